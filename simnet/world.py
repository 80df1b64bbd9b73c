"""Virtual time: a heap of (time, sequence), and everything random from one seed.

Two runs with the same seed do the same, to the byte; :attr:`World.trace_hash` says so. Every source
of randomness is a generator of its own, named after what it is for, so that a change in one part
does not reshuffle the others.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from functools import cache
from hashlib import blake2b
from random import Random
from struct import Struct
from typing import Any

from protocol import handshake
from protocol.board import Board, Descriptor
from protocol.crypto import CURVE25519
from protocol.entry import Entry
from protocol.gossip import Gossip
from protocol.handshake import Begin
from protocol.link import Tap
from protocol.node import Node
from simnet import cheap
from simnet.faults import CALM, Faults
from simnet.host import Host
from simnet.network import Network
from simnet.topology import Topology, lan

#: 2026-09-21 13:40 UTC, a multiple of ten minutes: the wall clock at the start of each world.
EPOCH_S = 1_790_000_400
#: Places of a world that was given no topology: one LAN, larger than any test needs.
_PLACES = 1_000
#: Notes are hashed so many bytes at a time.
_NOTED_BYTES_MAX = 64 * 1024


@cache
def _note_of(what: str, count: int) -> tuple[Callable[..., bytes], bytes]:
    """How a note is packed (microseconds, how many numbers, the name with its length, the numbers),
    and the name."""
    name = what.encode()
    return Struct(f"<qI{len(name) + 1}p{count}q").pack, name


class World:
    """Hosts, a network between them, and a clock.

    :param seed: decides everything.
    :param faults: what goes wrong; may be replaced while the world runs.
    :param topology: who can reach whom; a LAN if not given.
    :param make_board: the machine of each board: how entries are published (simnet.strategies).
    :param ciphers: "real", or "cheap" for stand-ins of the same sizes (:mod:`simnet.cheap`).
    :ivar now_us: virtual microseconds since the start.
    :ivar events: how many have happened.
    """

    def __init__(
        self,
        seed: int,
        faults: Faults = CALM,
        topology: Topology | None = None,
        make_board: type[Gossip] = Gossip,
        ciphers: str = "real",
    ) -> None:
        self.seed = seed
        self.faults = faults
        self.topology = topology or lan(_PLACES)
        self.make_board = make_board
        self.ciphers = ciphers
        self.begin: Begin = cheap.begin if ciphers == "cheap" else handshake.begin
        self.group = cheap.GROUP if ciphers == "cheap" else CURVE25519
        self.is_signed: Callable[[Entry], bool] = (
            cheap.Signatures() if ciphers == "cheap" else cheap.is_signed
        )
        self.now_us = 0
        self.events = 0
        self.hosts: list[Host] = []
        self.network = Network(self)
        self._segments: dict[int, list[Host]] = {}
        self._heap: list[tuple[int, int, Callable[..., None], tuple[Any, ...]]] = []
        self._sequence = 0
        self._trace = blake2b(digest_size=16)
        self._noted = bytearray()

    def random(self, purpose: str) -> Random:
        """A generator of its own for each purpose."""
        return Random(f"{self.seed}/{purpose}")

    def make_node(self, purpose: str, make_board: type[Gossip] | None, tap: Tap) -> Node:
        """A core with this world's ciphers.

        :param purpose: what names its generator of randomness.
        :param make_board: the machine of its boards, where it is not the world's.
        """
        machine = make_board or self.make_board
        return Node(self.random(purpose).randbytes, machine, self.begin, tap, self.group)

    # --- Time -------------------------------------------------------------------------------------

    @property
    def now_ms(self) -> int:
        """Virtual monotonic milliseconds."""
        return self.now_us // 1000

    @property
    def wall_s(self) -> int:
        """The true wall clock; hosts may have others."""
        return EPOCH_S + self.now_us // 1_000_000

    @property
    def trace_hash(self) -> str:
        """The hash of all that has happened."""
        self._trace.update(self._noted)
        self._noted.clear()
        return self._trace.hexdigest()

    def note(self, what: str, *numbers: int) -> None:
        """Add something that happened to the trace: its name, and whom or what it is about."""
        count = len(numbers)
        pack, name = _note_of(what, count)
        self._noted += pack(self.now_us, count, name, *numbers)
        if len(self._noted) > _NOTED_BYTES_MAX:
            self._trace.update(self._noted)
            self._noted.clear()

    def after(self, delay_us: int, act: Callable[..., None], *arguments: Any) -> None:
        """Do something later; what is due at the same time happens in the order of asking."""
        self._sequence += 1
        at_us = self.now_us + delay_us if delay_us > 0 else self.now_us
        heapq.heappush(self._heap, (at_us, self._sequence, act, arguments))

    def run(self, seconds: float) -> None:
        """Let virtual time pass."""
        end_us = self.now_us + int(seconds * 1_000_000)
        heap, pop = self._heap, heapq.heappop
        while heap and heap[0][0] <= end_us:
            self.now_us, _, act, arguments = pop(heap)
            self.events += 1
            act(*arguments)
        self.now_us = end_us

    def run_until(self, is_done: Callable[[], bool], seconds_max: float) -> bool:
        """Let time pass until something holds, looked at each virtual second; whether it does."""
        for _ in range(int(seconds_max)):
            if is_done():
                return True
            self.run(1.0)
        return is_done()

    # --- Hosts ------------------------------------------------------------------------------------

    def add_hosts(
        self,
        count: int,
        *descriptors: Descriptor,
        make_host: Callable[[World, int, Sequence[Board]], Host] = Host,
        is_on: bool = True,
    ) -> list[Host]:
        """Hosts at the next places of the topology, members of the boards.

        :param make_host: makes each; adversaries are hosts of their own kind.
        :param is_on: whether they are switched on now.
        """
        boards = [Board.of(descriptor) for descriptor in descriptors]
        added = []
        for _ in range(count):
            host = make_host(self, len(self.hosts), boards)
            self.hosts.append(host)
            for segment in self.topology.segments[host.number]:
                self._segments.setdefault(segment, []).append(host)
            added.append(host)
        for host in added:
            if is_on:
                host.start()
        return added

    def on_segment(self, segment: int) -> Sequence[Host]:
        """The hosts of a segment."""
        return self._segments.get(segment, ())
