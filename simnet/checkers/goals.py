"""What must have come to whom once all is healed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from protocol import limits
from protocol.board import Board
from protocol.entry import bucket_of, oldest_bucket
from simnet.disk import Disk

if TYPE_CHECKING:
    from simnet.host import Host
    from simnet.world import World


@dataclass(slots=True)
class Goal:
    """What each of some hosts must have of one board.

    :ivar wanted: ids; :ivar readable: those of them whose payload some host has.
    """

    board: Board
    hosts: list[Host]
    wanted: set[bytes]
    readable: set[bytes]

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
        return cls(board, hosts, wanted, readable)

    def is_reached(self) -> bool:
        """Whether each of them has it."""
        return next(iter(self.lacks()), None) is None

    def lacks(self) -> Iterable[tuple[Host, str]]:
        """Each host that is not there yet, and why not."""
        if len(self.hosts) < 2:
            return
        for host in self.hosts:
            disk = host.disks[self.board.id]
            missing = self.wanted - disk.entries.keys()
            missing -= {i for i in missing & disk.outbox.keys() if not self._wants(host, i)}
            if missing:
                yield host, f"{len(missing)} of {len(self.wanted)} entries are missing"
            elif waiting := [i for i in sorted(disk.outbox) if self._wants(host, i)]:
                yield host, f"{len(waiting)} own entries did not come back"
            elif unread := self._unread(host, disk):
                yield host, f"{unread} payloads are missing"

    def _wants(self, author: Host, identifier: bytes) -> bool:
        # What everybody has forgotten whom the author reaches can't come back: a payload comes from
        # a neighbour, and none of them passes on, or takes in again, what it has forgotten.
        return identifier in self.wanted and any(
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
