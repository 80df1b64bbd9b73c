"""What attackers saw of cells on their way, in columns: the evidence of all that trace cells.

A *leg* is one datagram from a node to the next. A *track* is what attackers know to be legs of one
cell: a single leg, or several that join in spies, who know what they pass on. It begins where the
cell left an honest node and ends where it came to one, or in the hands of a spy that was its last
relay. What a cell did in between, in honest relays, is for :mod:`~simnet.attacks.beliefs`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from protocol import limits

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

#: As ``target``: the last spy of the track was the cell's last relay.
ENDED = -1
#: As ``target``: a spy has dropped it, or still had it when the log ended.
HELD = -2
#: As ``source``: the cell is a spy's own.
OWN = -3


class Tracks(NamedTuple):
    """Columns, one row a track.

    :ivar left_s: when the cell left ``source``, an honest node (or ``OWN``).
    :ivar came_s: when it came to ``target``: an honest node, ``ENDED`` or ``HELD``.
    :ivar spies: how many spies it passed in between, those that it ended with included.
    """

    left_s: Floats
    source: Ints
    came_s: Floats
    target: Ints
    spies: Ints

    def __len__(self) -> int:
        return len(self.left_s)

    def rows(self, chosen: NDArray[np.bool_] | Ints | slice) -> Tracks:
        """Some of them."""
        return Tracks(
            self.left_s[chosen],
            self.source[chosen],
            self.came_s[chosen],
            self.target[chosen],
            self.spies[chosen],
        )

    @classmethod
    def of(cls, rows: Sequence[tuple[float, int, float, int, int]]) -> Tracks:
        """From rows, sorted by when they left."""
        rows = sorted(rows)
        left_s, source, came_s, target, spies = zip(*rows, strict=True) if rows else [()] * 5
        return cls(
            np.array(left_s, float),
            np.array(source, np.int64),
            np.array(came_s, float),
            np.array(target, np.int64),
            np.array(spies, np.int64),
        )


class Pace(NamedTuple):
    """What everybody knows of a board's mix.

    :ivar emit_s: the mean time between two emissions of a node.
    :ivar delay_s: the mean delay at a relay.
    :ivar legs: how many legs each cell makes: as many as its path has relays.
    """

    emit_s: float
    delay_s: float
    legs: int = limits.PATH_RELAYS

    @classmethod
    def of(cls, pace: int) -> Pace:
        """Of a board's descriptor."""
        return cls(limits.PACE_EMIT_MS[pace] / 1000, limits.PACE_DELAY_MS[pace] / 1000)
