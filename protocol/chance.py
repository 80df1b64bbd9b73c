"""Choices and waiting times drawn from the randomness port.

Peer choice and jitter are part of what hides an author, so they come from the same cryptographic
generator as keys do; only the simulator seeds it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from struct import unpack
from typing import TypeVar

from protocol.crypto import RandomBytes

T = TypeVar("T")


class Chance:
    """Draws from a source of random bytes."""

    def __init__(self, random_bytes: RandomBytes) -> None:
        self.bytes = random_bytes

    def below(self, bound: int) -> int:
        """A uniform integer in 0..bound-1 (2**64 values, so a bias under 2**-32 for any bound in
        use; bound at most 2**32)."""
        return int.from_bytes(self.bytes(8), "big") % bound

    def between(self, span: tuple[int, int]) -> int:
        """A uniform integer in a closed range."""
        least, most = span
        return least + self.below(most - least + 1)

    def exponential(self, mean: int) -> int:
        """A whole number from the exponential distribution with this mean: the time to the next
        event of a Poisson process."""
        return round(-mean * math.log((self.below(1 << 32) + 1) / (1 << 32)))

    def one_of(self, items: Sequence[T]) -> T:
        """A uniform choice; ``items`` is not empty."""
        return items[self.below(len(items))]

    def shuffled(self, items: Sequence[T]) -> list[T]:
        """A uniform permutation (Fisher and Yates)."""
        deck = list(items)
        lasts = range(len(deck) - 1, 0, -1)
        # All the draws of :meth:`below` at once.
        draws = unpack(f">{len(lasts)}Q", self.bytes(8 * len(lasts)))
        for last, drawn in zip(lasts, draws, strict=True):
            pick = drawn % (last + 1)
            deck[last], deck[pick] = deck[pick], deck[last]
        return deck
