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
        self._deadlines: dict[K, tuple[int, int, K]] = {}
        self._heap: list[tuple[int, int, K]] = []
        self._sequence = 0

    def set(self, key: K, at_ms: int) -> None:
        """``key`` is due at ``at_ms``, whatever it was before."""
        self._sequence += 1
        self._deadlines[key] = item = (at_ms, self._sequence, key)
        heapq.heappush(self._heap, item)
        if len(self._heap) > 64 and len(self._heap) > 4 * len(self._deadlines):
            self._heap = list(self._deadlines.values())
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
        heap, deadlines = self._heap, self._deadlines
        while heap:
            item = heap[0]
            if deadlines.get(item[2]) is item:
                return item[0]
            heapq.heappop(heap)
        return None

    def take_due(self, now_ms: int) -> K | None:
        """One key that is due, which has no deadline afterwards; None where none is."""
        heap, deadlines = self._heap, self._deadlines
        while heap and heap[0][0] <= now_ms:
            item = heapq.heappop(heap)
            key = item[2]
            if deadlines.get(key) is item:
                del deadlines[key]
                return key
        return None

    def __len__(self) -> int:
        return len(self._deadlines)
