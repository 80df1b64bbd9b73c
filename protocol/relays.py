"""Relays: who passes cells on, under which key, at which address (SPEC.md, "Relays").

Each node that listens makes a *relay record* for each of its addresses and each epoch: a fresh key,
the address, some work. Records are soft state, told inside of links and forgotten with their epoch;
nothing joins those of two epochs but the address, and nothing joins them to a persona.

Anybody can make a record, also one with somebody else's address. So a record counts as *alive*
only once its owner has answered for it: on a link that leads to that very address, or by a test
cell that came home through it. When a test cell through it alone gets lost, it is *doubted* until
another comes home. Paths are drawn among the living, uniformly by address, so that many records
for one address are as good as one, and a flood of invented ones costs its author work and
everybody else a few test cells.

Doubts go so far and no further: once most addresses are doubted, it is not they who fail but the
network around this node, and whoever lets it see only a few chosen relays shall gain nothing by it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from ipaddress import ip_address
from typing import NamedTuple

from protocol import limits
from protocol.board import Board
from protocol.cells import RELAY_ID_BYTES, Hop
from protocol.chance import Chance
from protocol.codec import decode_whole, encode, is_bytes, is_uint
from protocol.crypto import KEY_BYTES, PUBLIC_KEY_BYTES, Group, keyed_hash
from protocol.errors import Reason, Refused
from protocol.handshake import packed_host
from protocol.messages import Address
from protocol.work import NONCE_BYTES, Work, work_of

RELAY_VERSION = 1
_FIELDS = 6
_LABEL = b"p2pb relay"
_UINT32_MAX = 2**32 - 1
#: Applied to a key to see whether it is one: of small order, all secrets give zero.
_ANY_SECRET = b"\x09" + bytes(KEY_BYTES - 1)
#: What is drawn from is put together anew after this, for what has died of age meanwhile.
_CHOICES_MS = 10_000


def epoch_of(wall_s: int) -> int:
    """The number of the epoch."""
    return wall_s // limits.RELAY_EPOCH_S


class Record(NamedTuple):
    """A relay record that was checked.

    :ivar id: 16 bytes, by which cells name their next relay.
    :ivar raw: as it goes over the wire.
    """

    id: bytes
    epoch: int
    key: bytes
    address: Address
    raw: bytes

    @property
    def hop(self) -> Hop:
        """What a path needs of it."""
        return Hop(self.id, self.key)


def relay_work(board: Board, epoch: int, key: bytes, host: bytes, port: int) -> Work:
    """What a record's nonce is searched for.

    :param host: 4 bytes of IPv4 or 16 of IPv6.
    """
    blank = encode([RELAY_VERSION, epoch, key, host, port, bytes(NONCE_BYTES)])
    return Work(_LABEL, board.id, blank[:-NONCE_BYTES], work_bits(board))


def work_bits(board: Board) -> int:
    """The leading zero bits that a record's hash has."""
    return board.descriptor.work_bits + limits.RELAY_WORK_BITS_EXTRA


def record_id(board: Board, raw: bytes) -> bytes:
    """The id (16 bytes) of a record: the end of its hash, whose beginning shows the work."""
    return keyed_hash(_LABEL, board.id, raw)[-RELAY_ID_BYTES:]


def decode_record(board: Board, raw: bytes, group: Group) -> Record:
    """A record in which all is right but, perhaps, its time.

    :raises Refused: RELAY_MALFORMED, RELAY_WORK.
    """
    fields = decode_whole(raw, Reason.RELAY_MALFORMED)
    if type(fields) is not list or len(fields) != _FIELDS or encode(fields) != raw:
        raise Refused(Reason.RELAY_MALFORMED, "not six fields in their one encoding")
    version, epoch, key, host, port, nonce = fields
    if not (
        is_uint(version, RELAY_VERSION)
        and version == RELAY_VERSION
        and is_uint(epoch, _UINT32_MAX)
        and is_bytes(key, PUBLIC_KEY_BYTES)
        and (is_bytes(host, 4) or is_bytes(host, 16))
        and is_uint(port, 65535)
        and port > 0
        and is_bytes(nonce, NONCE_BYTES)
    ):
        raise Refused(Reason.RELAY_MALFORMED, "a field is out of range")
    digest = keyed_hash(_LABEL, board.id, raw)
    if work_of(digest) < work_bits(board):
        raise Refused(Reason.RELAY_WORK, "too little work")
    if group.exchange(_ANY_SECRET, key) is None:
        raise Refused(Reason.RELAY_MALFORMED, "not a key")
    # An IPv4 address in an IPv6 one is the same host, and must not be drawn as if it were two.
    plain = str(ip_address(packed_host(str(ip_address(host)))))
    return Record(digest[-RELAY_ID_BYTES:], epoch, key, Address(plain, port), raw)


def is_timely(record: Record, wall_s: int) -> bool:
    """Whether it is of this epoch, the one before or the one after: clocks differ."""
    return abs(record.epoch - epoch_of(wall_s)) <= 1


class _Choices(NamedTuple):
    """What is drawn from, put together at some moment, on one side of this node.

    :ivar usable: by host, the records that may be used; :ivar hosts: its keys.
    :ivar doubtful: records that are to be asked alone.
    :ivar has_answered: whether those that may be used have answered, and are not just all that
        there are.
    """

    until_ms: int
    usable: dict[str, list[Record]]
    hosts: list[str]
    doubtful: list[Record]
    has_answered: bool


class _Linked(NamedTuple):
    """A link to a relay's own address: its number, where it leads, and where it ends here."""

    link: int
    at: Address
    side: str


class Relays:
    """The records of others that are known for a board, and which of them are alive."""

    def __init__(self, board: Board, chance: Chance, group: Group) -> None:
        self._board = board
        self._chance = chance
        self._group = group
        self._records: dict[bytes, Record] = {}
        self._own: set[bytes] = set()
        self._proved: dict[bytes, tuple[int, str]] = {}
        self._linked: dict[bytes, _Linked] = {}
        self._doubted: set[bytes] = set()
        self._suspected: dict[bytes, None] = {}
        self._choices: dict[str, _Choices] = {}

    def __len__(self) -> int:
        return len(self._records)

    def add_own(self, record: Record) -> None:
        """A record of ours: told to others, and never on a path of ours but at its end."""
        self._own.add(record.id)
        self._records[record.id] = record

    def add(self, record: Record, wall_s: int, now_ms: int) -> bool:
        """Take in what a peer told; False where it is not new, untimely, or there is no room."""
        if record.id in self._records or not is_timely(record, wall_s):
            return False
        if len(self._records) >= limits.RELAYS_MAX and not self._make_room(now_ms):
            return False
        self._records[record.id] = record
        self._choices = {}
        return True

    def _make_room(self, now_ms: int) -> bool:
        """Let one go that nobody has answered for, at random."""
        doubtful = [i for i in self._records if i not in self._own and not self.is_alive(i, now_ms)]
        if not doubtful:
            return False
        self._forget(self._chance.one_of(doubtful))
        return True

    def _forget(self, identifier: bytes) -> None:
        del self._records[identifier]
        self._own.discard(identifier)
        self._linked.pop(identifier, None)
        self._proved.pop(identifier, None)
        self._doubted.discard(identifier)
        self._suspected.pop(identifier, None)
        self._choices = {}

    def expire(self, wall_s: int) -> None:
        """Forget the records of epochs that are over."""
        for record in [r for r in self._records.values() if not is_timely(r, wall_s)]:
            self._forget(record.id)

    def get(self, identifier: bytes) -> Record | None:
        """The record with this id."""
        return self._records.get(identifier)

    def address_of(self, record: Record) -> Address:
        """Where to send cells for it: where a link to it leads, for the zone of link-local
        addresses, or where it says."""
        linked = self._linked.get(record.id)
        return linked.at if linked else record.address

    def to_tell(self) -> list[Record]:
        """All records, our own first, the others at random."""
        own = [r for r in self._records.values() if r.id in self._own]
        others = [r for r in self._records.values() if r.id not in self._own]
        return own + self._chance.shuffled(others)

    # --- Who is alive -----------------------------------------------------------------------------

    def on_link(self, link: int, identifier: bytes, at: Address, side: str = "") -> None:
        """A link leads to the record's own address, and it came by that link.

        :param side: our own address at which the link ends.
        """
        if identifier in self._records and identifier not in self._own:
            self._linked[identifier] = _Linked(link, at, side)
            self._choices = {}

    def on_link_closed(self, link: int) -> None:
        """Whoever was there may be gone."""
        for identifier in [i for i, linked in self._linked.items() if linked.link == link]:
            del self._linked[identifier]
            self._proved.pop(identifier, None)
            self._choices = {}

    def on_home(self, identifiers: Iterable[bytes], now_ms: int, side: str = "") -> None:
        """A test cell has come home through these, to our address ``side``."""
        for identifier in identifiers:
            if identifier in self._records and identifier not in self._own:
                if not self.is_alive(identifier, now_ms):
                    self._choices = {}
                self._proved[identifier] = (now_ms + limits.RELAY_ALIVE_MS, side)
                self._doubted.discard(identifier)
                if self._suspected.pop(identifier, 0) is None:
                    self._choices = {}

    def on_lost(self, identifiers: Sequence[bytes]) -> None:
        """A test cell through these has not come home: one that went through one relay alone says
        that it is not there; of several each is asked alone before it is left out, for most of
        them are not to blame."""
        known = [identifier for identifier in identifiers if identifier in self._records]
        if len(identifiers) > 1:
            self._suspected.update(dict.fromkeys(known))
        else:
            self._doubted.update(known)
            for identifier in known:
                self._suspected.pop(identifier, None)
        self._choices = {}

    def is_alive(self, identifier: bytes, now_ms: int) -> bool:
        """Whether somebody has answered for it not long ago, and the last time."""
        return identifier not in self._doubted and self._has_answered(identifier, now_ms)

    def _has_answered(self, identifier: bytes, now_ms: int) -> bool:
        return identifier in self._linked or self._proved.get(identifier, (0, ""))[0] > now_ms

    def _is_on(self, identifier: bytes, side: str) -> bool:
        """Whether it has answered at our address ``side``; at any, where that is empty."""
        linked, (_, proved_at) = self._linked.get(identifier), self._proved.get(identifier, (0, ""))
        return not side or side in (linked and linked.side, proved_at)

    def hosts(self, now_ms: int, wall_s: int, side: str = "") -> list[str]:
        """The addresses, without ports, at which relays are alive: as many nodes could be on a
        path, or write. (``side``: as in :meth:`choose`.)"""
        choices = self._current(now_ms, wall_s, side)
        return choices.hosts if choices.has_answered else []

    def is_path(self, now_ms: int, wall_s: int) -> bool:
        """Whether there is a relay to draw at all."""
        return bool(self._current(now_ms, wall_s, "").hosts)

    # --- Drawing ----------------------------------------------------------------------------------

    def choose(
        self, count: int, now_ms: int, wall_s: int, but: Sequence[str] = (), side: str = ""
    ) -> list[Record]:
        """Relays for a path: uniformly by address, no two at one; fewer where there are fewer.

        While none is alive (a node that has just come), among all that are known.

        :param but: addresses that are on the path already.
        :param side: only those that have answered at this address of ours: a node in two networks
            can't be sure that a relay in one of them reaches those in the other.
        """
        choices = self._current(now_ms, wall_s, side)
        hosts = choices.hosts
        if but:
            hosts = [host for host in hosts if host not in but]
        picked: list[str] = []
        while len(picked) < min(count, len(hosts)):
            host = self._chance.one_of(hosts)
            if host not in picked:
                picked.append(host)
        return [self._chance.one_of(choices.usable[host]) for host in picked]

    def doubtful(self, now_ms: int, wall_s: int) -> Record | None:
        """One that is known and not alive, to send a test cell through it alone."""
        choices = self._current(now_ms, wall_s, "")
        return self._chance.one_of(choices.doubtful) if choices.doubtful else None

    def suspect(self, now_ms: int) -> Record | None:
        """One that is alive and was on the way of a test cell that got lost: to send one through it
        alone, soon."""
        suspects = [i for i in self._suspected if self.is_alive(i, now_ms)]
        return self._records[self._chance.one_of(suspects)] if suspects else None

    def _current(self, now_ms: int, wall_s: int, side: str) -> _Choices:
        choices = self._choices.get(side)
        if choices is None or choices.until_ms <= now_ms:
            choices = self._choices[side] = self._put_together(now_ms, wall_s, side)
        return choices

    def _put_together(self, now_ms: int, wall_s: int, side: str) -> _Choices:
        epoch = epoch_of(wall_s)
        others = [r for r in self._records.values() if r.id not in self._own]
        doubtful = [r for r in others if not self.is_alive(r.id, now_ms)]
        here = [r for r in others if self._has_answered(r.id, now_ms) and self._is_on(r.id, side)]
        answered = _by_host(here, epoch)
        alive = _by_host([r for r in here if r.id not in self._doubted], epoch)
        # Of many at one address all are one machine's: it is not asked for each of them.
        alive = {h: some for h, some in alive.items() if 2 * len(some) >= len(answered[h])}
        if 2 * len(alive) < len(answered):
            alive = answered  # it is the network
        usable = _without_spare(alive or ({} if side else _by_host(others, epoch)))
        return _Choices(now_ms + _CHOICES_MS, usable, list(usable), doubtful, bool(alive))


def _without_spare(by_host: dict[str, list[Record]]) -> dict[str, list[Record]]:
    """Without IPv6 where there is enough of IPv4: in a /64 one laptop may have any number of
    addresses, and most nodes have one of each kind, which would count twice."""
    scarce = {host: records for host, records in by_host.items() if ":" not in host}
    return scarce if len(scarce) >= limits.PATH_RELAYS else by_host


def _by_host(records: Sequence[Record], epoch: int) -> dict[str, list[Record]]:
    """By host, one record for each port: that of this epoch, or else the nearest."""
    nearest: dict[Address, Record] = {}
    for record in records:
        other = nearest.get(record.address)
        if other is None or abs(record.epoch - epoch) < abs(other.epoch - epoch):
            nearest[record.address] = record
    by_host: dict[str, list[Record]] = {}
    for record in nearest.values():
        by_host.setdefault(record.address.host, []).append(record)
    return by_host
