"""Virtual time: a heap of (time, sequence), and everything random from one seed.

Two runs with the same seed do the same, to the byte; :attr:`World.trace_hash` says so. Every source
of randomness is a generator of its own, named after what it is for, so that a change in one part
does not reshuffle the others.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from hashlib import blake2b
from random import Random

from protocol.board import Board, Descriptor
from simnet.faults import CALM, Faults
from simnet.host import Host
from simnet.network import Network

#: 2026-09-21 13:40 UTC, a multiple of ten minutes: the wall clock at the start of each world.
EPOCH_S = 1_790_000_400


class World:
    """Hosts, a network between them, and a clock.

    :param seed: decides everything.
    :ivar now_us: virtual microseconds since the start.
    """

    def __init__(self, seed: int, faults: Faults = CALM) -> None:
        self.seed = seed
        self.faults = faults
        self.now_us = 0
        self.hosts: list[Host] = []
        self.network = Network(self)
        self._heap: list[tuple[int, int, Callable[[], None]]] = []
        self._sequence = 0
        self._trace = blake2b(digest_size=16)

    def random(self, purpose: str) -> Random:
        """A generator of its own for each purpose."""
        return Random(f"{self.seed}/{purpose}")

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
        return self._trace.hexdigest()

    def note(self, *what: object) -> None:
        """Add something that happened to the trace."""
        self._trace.update(repr((self.now_us, *what)).encode())

    def after(self, delay_us: int, act: Callable[[], None]) -> None:
        """Do something later; what is due at the same time happens in the order of asking."""
        self._sequence += 1
        heapq.heappush(self._heap, (self.now_us + max(0, delay_us), self._sequence, act))

    def run(self, seconds: float) -> None:
        """Let virtual time pass."""
        end_us = self.now_us + int(seconds * 1_000_000)
        while self._heap and self._heap[0][0] <= end_us:
            self.now_us, _, act = heapq.heappop(self._heap)
            act()
        self.now_us = end_us

    def run_until(self, is_done: Callable[[], bool], seconds_max: float) -> bool:
        """Let time pass until something holds, looked at each virtual second; whether it does."""
        for _ in range(int(seconds_max)):
            if is_done():
                return True
            self.run(1.0)
        return is_done()

    def add_hosts(self, count: int, *descriptors: Descriptor) -> list[Host]:
        """Hosts on one LAN segment, members of the boards, switched on."""
        boards = [Board.of(descriptor) for descriptor in descriptors]
        added = [Host(self, len(self.hosts) + i, boards) for i in range(count)]
        self.hosts += added
        for host in added:
            host.start()
        return added
