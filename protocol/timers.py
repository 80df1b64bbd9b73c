"""Deadlines by name: set, moved, cancelled; a heap that skips what is no longer meant."""

from __future__ import annotations

import heapq
from collections.abc import Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)


class Timers(Generic[K]):
    """Each key has at most one deadline, in monotonic milliseconds.

    Setting and cancelling cost O(log n) amortised: an outdated heap item stays until it comes up,
    and the heap is rebuilt when most of it is outdated.
    """

    def __init__(self) -> None:
        self._deadlines: dict[K, tuple[int, int]] = {}
        self._heap: list[tuple[int, int, K]] = []
        self._sequence = 0

    def set(self, key: K, at_ms: int) -> None:
        """``key`` is due at ``at_ms``, whatever it was before."""
        self._sequence += 1
        self._deadlines[key] = (at_ms, self._sequence)
        heapq.heappush(self._heap, (at_ms, self._sequence, key))
        if len(self._heap) > 64 and len(self._heap) > 4 * len(self._deadlines):
            self._heap = [(at, order, k) for k, (at, order) in self._deadlines.items()]
            heapq.heapify(self._heap)

    def set_earlier(self, key: K, at_ms: int) -> None:
        """``key`` is due at ``at_ms`` at the latest."""
        if key not in self._deadlines or self._deadlines[key][0] > at_ms:
            self.set(key, at_ms)

    def cancel(self, key: K) -> None:
        """``key`` is not due any more; unknown keys are no fault."""
        self._deadlines.pop(key, None)

    def next_ms(self) -> int | None:
        """When the next one is due."""
        self._drop_outdated()
        return self._heap[0][0] if self._heap else None

    def take_due(self, now_ms: int) -> K | None:
        """One key that is due, which has no deadline afterwards; None where none is."""
        self._drop_outdated()
        if not self._heap or self._heap[0][0] > now_ms:
            return None
        key = heapq.heappop(self._heap)[2]
        del self._deadlines[key]
        return key

    def __len__(self) -> int:
        return len(self._deadlines)

    def _drop_outdated(self) -> None:
        while self._heap:
            at_ms, order, key = self._heap[0]
            if self._deadlines.get(key) == (at_ms, order):
                return
            heapq.heappop(self._heap)
