"""Where members may be found, whom to dial next, and the tags by which members meet on a LAN.

Addresses come from people (``--peer``, an invite), the LAN, peers, the last run. None
of them can spoil the others: each has its own back-off, a dead one is only tried more rarely, and
when the table is full, what peers told goes first and what people gave never (SPEC.md,
"Discovery").
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache

from protocol import limits
from protocol.board import Board
from protocol.chance import Chance
from protocol.crypto import keyed_hash
from protocol.errors import Refused
from protocol.handshake import packed_host
from protocol.messages import Address

SALT_BYTES = 16
TAG_BYTES = 8
#: A node shows so many tags, or twice as many ..., the rest random: how many boards it is on
#: is nobody's business.
TAGS_STEP = 8
#: More would not fit the 255 bytes of one string in a TXT record (RFC 6763 section 6.1).
TAGS_MAX = 24


class Source(IntEnum):
    """Who says that a member is there, the least trusted first."""

    TOLD = 0
    REMEMBERED = 1
    LAN = 2
    GIVEN = 3


@dataclass(slots=True)
class _Record:
    """:ivar node: the first of the addresses that are known to be one node's, to dial it once.
    :ivar order: records that came earlier have smaller ones.
    """

    source: Source
    node: Address
    subnet: bytes
    order: int
    failures: int = 0
    due_ms: int = 0


class Directory:
    """The addresses of one board.

    A node hears of members all the time, each time from a few, so looking whether there is
    anything new in it, and making room for it, must not cost a walk over all that is known.
    """

    def __init__(self, chance: Chance) -> None:
        self._chance = chance
        self._records: dict[Address, _Record] = {}
        self._added = 0
        #: Of the records, those that people gave, and those that were not reached the last time.
        self._given: dict[Address, None] = {}
        self._failed: set[Address] = set()
        self._own: set[Address] = set()
        self._dialling: set[Address] = set()
        self._linked: dict[int, Address] = {}
        #: Of those, what may be told to others.
        self._tellable: dict[int, Address] = {}

    def __len__(self) -> int:
        return len(self._records)

    def __contains__(self, address: Address) -> bool:
        return address in self._records

    def add(self, addresses: Sequence[Address], source: Source, now_ms: int) -> None:
        """One node may be at these addresses."""
        for address in addresses:
            if address in self._own:
                continue
            known = self._records.get(address)
            if known is None:
                if not self._make_room(source):
                    return
                self._added += 1
                self._records[address] = _Record(
                    source, addresses[0], subnet_of(address.host), self._added, due_ms=now_ms
                )
            elif source > Source.TOLD:
                # Seen with own eyes, now: no reason to wait any longer.
                known.source = max(known.source, source)
                known.failures, known.due_ms = 0, min(known.due_ms, now_ms)
                self._failed.discard(address)
            if source is Source.GIVEN:
                self._given[address] = None

    @property
    def has_given(self) -> bool:
        """Whether people gave an address."""
        return bool(self._given)

    @property
    def dialling(self) -> int:
        """Dials under way, until their link is open."""
        return len(self._dialling)

    def next_dials(
        self,
        links_wanted: int,
        now_ms: int,
        dialled: Sequence[Address] = (),
        own: frozenset[bytes] = frozenset(),
        given_extra: int = 0,
    ) -> list[Address]:
        """Addresses to dial now: those that people gave first, else at random among those that are
        due.

        :param dialled: where the links that we dialled lead.
        :param own: our own subnets, as far as known (:func:`subnet_of`).
        :param given_extra: so many more links are wanted to what people gave.
        """
        room = limits.DIALS_AT_ONCE_MAX - len(self._dialling)
        picked: list[Address] = []
        if room <= 0:
            return picked
        crowds = self._crowds(dialled)
        busy = self._busy_nodes()
        due = [
            address
            for address, record in self._dialable(links_wanted, crowds, busy, own)
            if record.due_ms <= now_ms
        ]
        shuffled = self._chance.shuffled(due)
        if self._given:
            shuffled.sort(key=lambda address: address not in self._given)
        for address in shuffled:
            record = self._records[address]
            is_given = record.source is Source.GIVEN
            if len(picked) >= min(room, links_wanted + given_extra * is_given):
                break
            # What was picked a moment ago counts as well.
            if record.node in busy or not (is_given or _has_room(record.subnet, crowds, own)):
                continue
            busy.add(record.node)
            crowds[record.subnet] = crowds.get(record.subnet, 0) + 1
            picked.append(address)
        self._dialling.update(picked)
        return picked

    def next_due_ms(
        self,
        dialled: Sequence[Address] = (),
        own: frozenset[bytes] = frozenset(),
        links_wanted: int = 1,
        soon_ms: int = 0,
    ) -> int | None:
        """When one of those that :meth:`next_dials` chooses from is due, or None.

        :param soon_ms: the caller waits until then at least: that something is due by then will
            do, whatever is due before it.
        """
        busy = self._busy_nodes()
        crowds = self._crowds(dialled)
        next_ms = None
        for _, record in self._dialable(links_wanted, crowds, busy, own):
            if next_ms is None or record.due_ms < next_ms:
                next_ms = record.due_ms
                if next_ms <= soon_ms:
                    break
        return next_ms

    def _dialable(
        self,
        links_wanted: int,
        crowds: dict[bytes, int],
        busy: set[Address],
        own: frozenset[bytes],
    ) -> Iterator[tuple[Address, _Record]]:
        """Whom to dial when they are due: nobody is linked with them, and they are not in a subnet
        with enough links, or people gave them; only these where no links are wanted."""
        if links_wanted > 0:
            for address, record in self._records.items():
                if record.node not in busy and (
                    record.source is Source.GIVEN or _has_room(record.subnet, crowds, own)
                ):
                    yield address, record
        else:
            for address in self._given:
                record = self._records[address]
                if record.node not in busy:
                    yield address, record

    def _crowds(self, dialled: Sequence[Address]) -> dict[bytes, int]:
        """How many links and dials of ours lead into each subnet."""
        crowds: dict[bytes, int] = {}
        for address in (*dialled, *self._dialling):
            subnet = subnet_of(address.host)
            crowds[subnet] = crowds.get(subnet, 0) + 1
        return crowds

    def on_failed(self, address: Address, now_ms: int) -> None:
        """The dial, or the link before it was open, came to nothing: wait twice as long."""
        self._dialling.discard(address)
        record = self._records.get(address)
        if record is None:
            return
        least, most = limits.REDIAL_MS_RANGE
        if record.source is Source.GIVEN:
            # It may be the only way out of a segment.
            most = limits.REDIAL_GIVEN_MS_MAX
        wait_ms = min(most, least << min(record.failures, 16))
        record.failures += 1
        self._failed.add(address)
        # Somewhere in the upper half, so that nodes that failed together do not return together.
        record.due_ms = now_ms + self._chance.between((wait_ms // 2, wait_ms))

    def on_linked(self, link: int, address: Address | None, is_dialled: bool = True) -> None:
        """The link is open; a listener's peer may be at ``address`` (None: it does not listen)."""
        if address is None:
            return
        if is_dialled:
            # A peer that came in while we dial it does not end that dial: it would not be counted.
            self._dialling.discard(address)
        self._linked[link] = address
        if is_worth_telling(address):
            self._tellable[link] = address

    def on_closed(self, link: int, now_ms: int, is_full: bool = False) -> None:
        """The link is gone; its address may be dialled again after a short while, or, where the
        peer had no place for us, with growing patience."""
        address = self._linked.pop(link, None)
        self._tellable.pop(link, None)
        if address is None:
            return
        if is_full:
            self.on_failed(address, now_ms)
        elif address in self._records:
            record = self._records[address]
            record.failures = 0
            self._failed.discard(address)
            record.due_ms = now_ms + self._chance.between((1_000, 3_000))

    def on_same_node(self, address: Address | None, other: Address | None) -> None:
        """A link to each has led to one node: while one is open, the other is not dialled."""
        if address in self._records and other in self._records:
            self._records[address].node = self._records[other].node

    def on_own(self, address: Address) -> None:
        """That was ourselves: never again."""
        self._dialling.discard(address)
        self._forget(address)
        if len(self._own) < limits.ADDRESSES_PER_BOARD_MAX:
            self._own.add(address)

    def to_tell(self, but: Address | None) -> list[Address]:
        """Addresses of linked members for another member, at random; addresses that mean something
        only on this machine or this segment are left out."""
        known = set(self._tellable.values())
        if but is not None:
            known.discard(but)
        return self._chance.shuffled(sorted(known))[: limits.PEERS_ADDRESSES_MAX]

    def has_others(self) -> bool:
        """Whether there is somebody that no link is open to."""
        busy = self._busy_nodes()
        return any(record.node not in busy for record in self._records.values())

    def _busy_nodes(self) -> set[Address]:
        busy = self._busy()
        for address in tuple(busy):
            record = self._records.get(address)
            if record is not None:
                busy.add(record.node)
        return busy

    def _busy(self) -> set[Address]:
        """Where we are linked, or about to be."""
        return {*self._dialling, *self._linked.values()}

    def _make_room(self, source: Source) -> bool:
        if len(self._records) < limits.ADDRESSES_PER_BOARD_MAX:
            return True
        worst = self._worst()
        if worst is None:
            return False
        spared = self._records[worst].source
        if spared > source or spared is Source.GIVEN:
            return False
        self._forget(worst)
        return True

    def _worst(self) -> Address | None:
        """The one to give up first: of those that are idle and least trusted the one that failed
        most often; of those that are equal the one that is here longest. None where all are busy.
        """
        records, busy = self._records, self._busy()

        def worth(address: Address) -> tuple[int, int, int]:
            record = records[address]
            return record.source, -record.failures, record.order

        # Nearly always there is one that a peer told: no need to compare all.
        failed = (a for a in self._failed if a not in busy and records[a].source is Source.TOLD)
        worst = min(failed, key=worth, default=None)
        if worst is None:
            told = (a for a, r in records.items() if r.source is Source.TOLD and a not in busy)
            worst = next(told, None)
        if worst is None:
            worst = min((a for a in records if a not in busy), key=worth, default=None)
        return worst

    def _forget(self, address: Address) -> None:
        self._records.pop(address, None)
        self._given.pop(address, None)
        self._failed.discard(address)


def _has_room(subnet: bytes, crowds: dict[bytes, int], own: frozenset[bytes]) -> bool:
    """Whether one more link into a subnet is wanted: many in our own, few in any other, or a
    segment with many nodes would never look beyond its router, or see one other segment only."""
    is_near = not own or subnet in own
    most = limits.LINKS_DIALLED_TARGET if is_near else limits.LINKS_ELSEWHERE_TARGET
    return crowds.get(subnet, 0) < most


@lru_cache(maxsize=limits.ADDRESSES_JUDGED_MAX)
def subnet_of(host: str) -> bytes:
    """The part of an address that neighbours share: 24 bits of IPv4, 64 of IPv6; of what is no
    address, nothing."""
    try:
        packed = packed_host(host)
    except Refused:
        return b""
    return packed[:3] if len(packed) == 4 else packed[:8]


@lru_cache(maxsize=limits.ADDRESSES_JUDGED_MAX)
def is_worth_telling(address: Address) -> bool:
    """Whether an address can mean something to another host, and one host only: not loopback,
    link-local, unspecified or multicast, and no name."""
    try:
        host = ipaddress.ip_address(address.host.partition("%")[0])
    except ValueError:
        return False
    if isinstance(host, ipaddress.IPv6Address) and host.ipv4_mapped is not None:
        host = host.ipv4_mapped
    return not (host.is_loopback or host.is_link_local or host.is_unspecified or host.is_multicast)


def presence_tags(boards: Sequence[Board], chance: Chance) -> tuple[bytes, tuple[bytes, ...]]:
    """A salt and the tags to show on the LAN: one for each board (24 of them at random where there
    are more), filled up with random ones, in an order that says nothing. Only members can tell
    which tag is which board's, and nobody can join two salts of one node by them."""
    salt = chance.bytes(SALT_BYTES)
    tags = [presence_tag(board, salt) for board in chance.shuffled(boards)[:TAGS_MAX]]
    while len(tags) % TAGS_STEP or not tags:
        tags.append(chance.bytes(TAG_BYTES))
    return salt, tuple(sorted(tags))


def presence_tag(board: Board, salt: bytes) -> bytes:
    """The tag that a node with this salt shows for ``board``."""
    return keyed_hash(b"p2pb presence", board.discovery_key, salt, TAG_BYTES)
