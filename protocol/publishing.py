"""How a board's own entries leave this node, and how it is a relay for others.

The parts are machines of their own: :mod:`protocol.outbox` (what is on its way, and when it is
tried again), :mod:`protocol.mix` (cells), :mod:`protocol.relays` (who is a relay). Here they are
joined, and connected to links, deadlines and the driver.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from ipaddress import ip_address
from typing import ClassVar

from protocol import limits
from protocol.board import Board
from protocol.codec import encode
from protocol.crypto import SEED_BYTES, Group
from protocol.effects import SendDatagram
from protocol.entry import Entry
from protocol.errors import Misuse, Refused
from protocol.handshake import packed_host
from protocol.inputs import Now
from protocol.link import Link
from protocol.messages import Address, RelayRecords, WireEntry
from protocol.mix import Mix, OwnKey
from protocol.outbox import Outbox
from protocol.ports import Due, Ports
from protocol.relays import (
    RELAY_VERSION,
    Record,
    Relays,
    decode_record,
    epoch_of,
    record_id,
    relay_work,
)

#: How often a node looks whether it needs a new record; at random, so that the last minutes of an
#: epoch see them one by one.
_CHECK_MS_RANGE = (30_000, 90_000)
#: What an address is, is asked for each record and each link.
_remembered = lru_cache(maxsize=limits.ADDRESSES_JUDGED_MAX)


class Publishing:
    """One board's way out.

    :param links: the board's open links, by number; the board's own table.
    :param publish_here: what to do with an entry that somebody wants this node to publish.
    :cvar mix_machine: what emits and relays; simulations try others.
    :ivar port: where the node listens, for links and for cells; 0: it can't be a relay.
    """

    mix_machine: ClassVar[type[Mix]] = Mix

    def __init__(
        self,
        ports: Ports,
        board: Board,
        links: Mapping[int, Link],
        port: int,
        group: Group,
        publish_here: Callable[[WireEntry, Now], None],
    ) -> None:
        self.port = port
        self.outbox = Outbox(ports.chance, limits.PACE_DELAY_MS[board.descriptor.pace])
        self.relays = Relays(board, ports.chance, group)
        self.mix = self.mix_machine(
            board, self.relays, ports.chance, group, self._send, self._on_sent, publish_here
        )
        self._ports = ports
        self._board = board
        self._links = links
        self._group = group
        self._hosts: list[str] = []
        self._sought: set[tuple[str, int, int]] = set()

    def start(self, now: Now) -> None:
        """From now on the node emits."""
        self._set(Due.RELAY, now.mono_ms + self._ports.chance.between(_CHECK_MS_RANGE))
        self.run(now)

    def listen(self, port: int, now: Now) -> None:
        """The node listens here from now on."""
        self.port = port
        self.renew(now)

    # --- Own entries ------------------------------------------------------------------------------

    def publish(self, entry: Entry, crowd_least: int, now: Now) -> None:
        """An own entry is durable in the driver's outbox. Nothing leaves for it now: its cells go
        in place of cover that would have left anyway."""
        self.outbox.add(entry, now.mono_ms, crowd_least)
        self.run(now)

    def take_back(self, entry_id: bytes) -> bool:
        """It has come back, or is withdrawn: no more cells; whether it was on its way at all."""
        if not self.outbox.take_back(entry_id):
            return False
        self.mix.withdraw(entry_id)
        return True

    def drop_before(self, bucket: int) -> None:
        """Own entries that the board would not keep any more are given up."""
        for identifier in self.outbox.drop_before(bucket):
            self.mix.withdraw(identifier)

    def run(self, now: Now) -> None:
        """Do what is due. While there is no relay but this node, entries wait, and are not tried:
        patience must not grow by what nobody could have passed on."""
        if self._is_path(now):
            for entry in self.outbox.take_due(now.mono_ms, len(self.crowd(now)) + 1):
                wire = WireEntry(entry.raw, entry.signature, entry.payload)
                self.mix.queue(entry.id, wire, now)
        self.mix.run(now)
        self._arm(now)

    def _is_path(self, now: Now) -> bool:
        return self.relays.is_path(now.mono_ms, now.wall_s)

    def _arm(self, now: Now) -> None:
        dues = [self.mix.next_ms()]
        if self._is_path(now):
            dues.append(self.outbox.next_ms())
        due_ms = min((due for due in dues if due is not None), default=None)
        if due_ms is not None:
            self._set(Due.MIX, due_ms)

    def _send(self, address: Address, cell: bytes) -> None:
        self._ports.emit(SendDatagram(address, cell))

    def _on_sent(self, entry_id: bytes, now: Now) -> None:
        self.outbox.on_sent(entry_id, now.mono_ms)

    # --- Cells of others --------------------------------------------------------------------------

    def on_cell(self, remote: Address, cell: bytes, now: Now) -> None:
        """A cell of this board has come."""
        self.mix.receive(remote, cell, now)
        self._arm(now)

    # --- Records ----------------------------------------------------------------------------------

    def open_link(self, link: Link, now: Now) -> None:
        """A peer is there: it learns of all relays, and this node of an address of its own."""
        link.relaying = [r.raw for r in self.relays.to_tell() if _is_worth(r, link, link.local)]
        self.tell_due(link)
        if _plain(link.local.host) not in self._hosts:
            self.renew(now)

    def close_link(self, link: Link) -> None:
        """A peer is gone."""
        self.relays.on_link_closed(link.number)

    def check(self, now: Now) -> None:
        """Look after records: forget what is over, make what is needed."""
        self.relays.expire(now.wall_s)
        self.mix.drop_keys(now.wall_s)
        self.renew(now)
        self._set(Due.RELAY, now.mono_ms + self._ports.chance.between(_CHECK_MS_RANGE))

    def renew(self, now: Now) -> None:
        """Make a record for each own address and each epoch that needs one. Own addresses are those
        that links lead from now: a laptop may have come to another network."""
        self._hosts = self._own_hosts() or self._hosts
        if not self.port:
            return
        self._set_homes(now)
        epochs = {epoch_of(now.wall_s), epoch_of(now.wall_s + limits.RELAY_RENEW_S)}
        have = {(r.address.host, r.address.port, r.epoch) for r in self.mix.own}
        for host in self._hosts:
            for epoch in sorted(epochs):
                wanted = (host, self.port, epoch)
                if wanted not in have and wanted not in self._sought:
                    self._sought.add(wanted)
                    self._make_record(*wanted)

    def _set_homes(self, now: Now) -> None:
        epoch = epoch_of(now.wall_s)
        here = [r for r in self.mix.own if self._is_here(r)]
        self.mix.homes = [r for r in here if r.epoch == epoch] or here

    def _own_hosts(self) -> list[str]:
        hosts = list(dict.fromkeys(_plain(link.local.host) for link in self._links.values()))
        return [h for h in hosts if ":" not in h][: limits.RELAY_HOSTS_MAX] or hosts[:1]

    def _make_record(self, host: str, port: int, epoch: int) -> None:
        secret = self._ports.chance.bytes(SEED_BYTES)
        key = self._group.public_key(secret)
        packed = packed_host(host)

        def found(nonce: bytes, now: Now) -> None:
            self._sought.discard((host, port, epoch))
            raw = encode([RELAY_VERSION, epoch, key, packed, port, nonce])
            try:
                record = decode_record(self._board, raw, self._group)
            except Refused:
                raise Misuse("that is not the work that was asked for") from None
            # One epoch more than it is meant for: clocks differ, and cells are under way.
            self.mix.add_key(OwnKey(record, secret, (epoch + 2) * limits.RELAY_EPOCH_S))
            self.relays.add_own(record)
            self._set_homes(now)
            self._tell(record, now)

        work = relay_work(self._board, epoch, key, packed, port)
        self._ports.find_work(self._board.id, work, found)

    def on_records(self, link: Link, message: RelayRecords, now: Now) -> None:
        """A peer tells of relays.

        :raises Refused: where one of them is none.
        """
        for raw in message.records:
            known = self.relays.get(record_id(self._board, raw))
            record = known or decode_record(self._board, raw, self._group)
            if not _is_worth(record, link, link.remote) or self._is_here(record):
                continue
            is_new = known is None and self.relays.add(record, now.wall_s, now.mono_ms)
            if link.listening and _is_at(record, link.listening):
                side = _plain(link.local.host)
                self.relays.on_link(link.number, record.id, link.listening, side)
            if is_new:
                self._tell(record, now, but=link)
        self._arm(now)

    def _is_here(self, record: Record) -> bool:
        """Whether it has an address of ours: made by us, or before our last start, or invented by
        somebody. If we passed such a one on, our peers would take it for ours."""
        return record.address.host in self._hosts and record.address.port == self.port

    def _tell(self, record: Record, now: Now, but: Link | None = None) -> None:
        """Pass a record on to all peers, a moment later and together with others."""
        for link in self._links.values():
            if link is not but and _is_worth(record, link, link.local):
                link.relaying.append(record.raw)
                jitter_ms = self._ports.chance.below(limits.ANNOUNCE_JITTER_MS_MAX + 1)
                self._ports.timers.set_earlier((Due.ANNOUNCE, link.number), now.mono_ms + jitter_ms)

    def tell_due(self, link: Link) -> None:
        """Send the records that have gathered for this peer."""
        while link.relaying:
            link.send(RelayRecords(link.relaying[: limits.RELAYS_ITEMS_MAX]))
            del link.relaying[: limits.RELAYS_ITEMS_MAX]

    def crowd(self, now: Now) -> list[str]:
        """The addresses, other than this node's, at which nodes are that could have written what
        this node writes, as far as it knows."""
        return self.relays.hosts(now.mono_ms, now.wall_s)

    def _set(self, due: Due, at_ms: int) -> None:
        self._ports.timers.set((due, self._board.id), at_ms)


@_remembered
def _plain(host: str) -> str:
    """An address without its zone, IPv4 as such."""
    return str(ip_address(packed_host(host)))


def _is_at(record: Record, address: Address) -> bool:
    return record.address == Address(_plain(address.host), address.port)


@_remembered
def _is_loopback(host: str) -> bool:
    return ip_address(packed_host(host)).is_loopback


@_remembered
def _is_of_a_segment(host: str) -> bool:
    address = ip_address(host)
    return address.version == 6 and address.is_link_local


@_remembered
def _is_nobodys(host: str) -> bool:
    address = ip_address(host)
    return address.is_unspecified or address.is_multicast


def _is_worth(record: Record, link: Link, end: Address) -> bool:
    """Whether its address can mean something to who hears of it on this link: one that means only
    "this machine" comes from a node on this machine; one that means something on one segment only
    must be an end of the link itself.

    :param end: the end of the link at which who tells it is.
    """
    host = record.address.host
    if _is_loopback(host):
        return _is_loopback(link.remote.host)
    if _is_of_a_segment(host):
        return host == _plain(end.host)
    return not _is_nobodys(host)
