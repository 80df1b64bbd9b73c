"""What must have come to whom once all is healed.

Of an own entry that nobody else has, this is a question of chance: its cells must meet relays that
pass them on, each of them in reach of the one before. Where most paths that its author may draw are
like that, it must be back. Where they are still not, some time after the healing (the author's
relays are an attacker's invention, or on networks that do not reach each other), the mix promises
to hide the author and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from protocol import limits
from protocol.board import Board
from protocol.entry import bucket_of, oldest_bucket
from protocol.inputs import Now
from protocol.publishing import Publishing
from simnet.disk import Disk
from simnet.strategies import Unmixed

if TYPE_CHECKING:
    from simnet.host import Host
    from simnet.world import World

#: An own entry must come back where this share of paths leads out: the dozen tries of a few minutes
#: then fail together once in a thousand times.
WAY_OUT_LEAST = 0.5
_PATHS = 200
#: By then each relay that there may be was asked alone some times, and those that drop cells are
#: left out. Guess.
_EXCUSED_AFTER_US = 300_000_000


@dataclass(slots=True)
class Goal:
    """What each of some hosts must have of one board.

    :ivar wanted: ids; :ivar readable: those of them whose payload some host has.
    :ivar excused_us: from when on nobody waits for what can't get out.
    """

    board: Board
    hosts: list[Host]
    wanted: set[bytes]
    readable: set[bytes]
    excused_us: int

    @classmethod
    def of(cls, world: World, board: Board, hosts: list[Host]) -> Goal:
        """What any of them has now."""
        latest = bucket_of(world.wall_s) + limits.FUTURE_BUCKETS_MAX
        # What is about to expire is nobody's goal.
        oldest = oldest_bucket(board, world.wall_s) + 2
        wanted, readable = set(), set()
        for disk in (host.disks[board.id] for host in hosts):
            for entry in (*disk.entries.values(), *disk.outbox.values()):
                if oldest <= entry.header.bucket <= latest:
                    wanted.add(entry.id)
                    if entry.payload is not None:
                        readable.add(entry.id)
        return cls(board, hosts, wanted, readable, world.now_us + _EXCUSED_AFTER_US)

    def is_reached(self) -> bool:
        """Whether each of them has it."""
        return next(iter(self.lacks()), None) is None

    def lacks(self) -> Iterable[tuple[Host, str]]:
        """Each host that is not there yet, and why not."""
        if len(self.hosts) < 2:
            return
        wanted = self.wanted - self._kept_in()
        for host in self.hosts:
            disk = host.disks[self.board.id]
            missing = wanted - disk.entries.keys()
            missing -= {i for i in missing & disk.outbox.keys() if not self._wants(host, i)}
            if missing:
                yield host, f"{len(missing)} of {len(wanted)} entries are missing"
            elif waiting := [
                i for i in sorted(wanted & disk.outbox.keys()) if self._wants(host, i)
            ]:
                yield host, f"{len(waiting)} own entries did not come back"
            elif unread := self._unread(host, disk):
                yield host, f"{unread} payloads are missing"

    def _kept_in(self) -> set[bytes]:
        """What only its author has, who can't be expected to get it out."""
        if not self.hosts or self.hosts[0].world.now_us < self.excused_us:
            return set()
        held = {i for host in self.hosts for i in host.disks[self.board.id].outbox}
        for host in self.hosts:
            held -= host.disks[self.board.id].entries.keys()
        if not held:
            return held
        kept_in = set()
        for host in self.hosts:
            own = held & host.disks[self.board.id].outbox.keys()
            if own and way_out(host, self.board, self.hosts) < WAY_OUT_LEAST:
                kept_in |= own
        return kept_in

    def _wants(self, author: Host, identifier: bytes) -> bool:
        # What everybody has forgotten whom the author reaches can't come back: a payload comes from
        # a neighbour, and none of them passes on, or takes in again, what it has forgotten.
        return any(
            identifier not in host.disks[self.board.id].forgotten
            for host in self.hosts
            if host is not author and _reaches(author, host)
        )

    def _unread(self, host: Host, disk: Disk) -> int:
        lacking = [
            i for i in disk.lacking() if i in self.readable and self._is_readable_elsewhere(host, i)
        ]
        return len(lacking)

    def _is_readable_elsewhere(self, host: Host, identifier: bytes) -> bool:
        # Whoever had it may have forgotten it since; and nobody passes on what it has forgotten.
        for other in self.hosts:
            entry = other.disks[self.board.id].entries.get(identifier)
            if entry is not None and entry.payload is not None and _reaches(host, other):
                return True
        return False


def way_out(author: Host, board: Board, honest: Sequence[Host]) -> float:
    """Of the paths that a host may draw now, the share on which all relays are of these hosts and
    in reach, each of the one before; 1 where it publishes otherwise than through the mix."""
    gossip = author.node.boards.get(board.id)
    if gossip is None or isinstance(gossip.publishing, Unmixed):
        return float(gossip is not None)
    at = {address.host: (h, s) for h in honest for s, address in h.addresses.items()}
    random = author.world.random("way out")
    drawn_from = _drawn_from(gossip.publishing, author.now())
    if not any(drawn_from):
        return 0.0
    sides = random.choices(drawn_from, [len(hosts) for hosts in drawn_from], k=_PATHS)
    paths = [
        [at.get(host) for host in random.sample(hosts, min(limits.PATH_RELAYS, len(hosts)))]
        for hosts in sides
    ]
    return sum(_is_open(author, path) for path in paths) / _PATHS


def _drawn_from(publishing: Publishing, now: Now) -> list[list[str]]:
    """The relays' addresses that a path is drawn from, on each side of a node in several networks.
    Asked so that nothing is remembered: who is watched does what it would do unwatched."""
    sides = list(dict.fromkeys(record.address.host for record in publishing.mix.homes))

    def hosts(side: str, is_sure: bool) -> list[str]:
        choices = publishing.relays._put_together(now.mono_ms, now.wall_s, side)
        return choices.hosts if choices.has_answered or not is_sure else []

    found = [hosts(side, True) for side in sides] if len(sides) > 1 else []
    return [known for known in found if known] or [hosts("", False)]


def _is_open(author: Host, path: Sequence[tuple[Host, int] | None]) -> bool:
    before = author
    for hop in path:
        if hop is None or not hop[0].is_running:
            return False
        relay, segment = hop
        if not before.world.topology.datagram_way(before.number, relay.number, segment):
            return False
        before = relay
    return True


def _reaches(one: Host, other: Host) -> bool:
    """Whether there is a way from one host to the other without a third."""
    topology = one.world.topology
    segments = topology.segments[other.number]
    return any(topology.way(one.number, other.number, segment) for segment in segments)


def honest_parts(world: World, hosts: Sequence[Host]) -> list[list[Host]]:
    """The hosts, by who can reach whom over ways that only lead through these hosts."""
    topology = world.topology
    if topology.edges is None and topology.between is not None:
        return [list(hosts)]
    # Each host joins its rooms: its segments, or in a graph its edges.
    parts: list[tuple[set[object], list[Host]]] = []
    for host in hosts:
        if topology.edges is None:
            rooms: set[object] = set(topology.segments[host.number])
        else:
            near = topology.edges[host.number]
            rooms = {frozenset((host.number, other)) for other in near}
        met = [part for part in parts if part[0] & rooms]
        parts = [part for part in parts if not part[0] & rooms]
        members = [member for part in met for member in part[1]]
        parts.append((rooms.union(*(part[0] for part in met)), [*members, host]))
    return [members for _, members in parts]
