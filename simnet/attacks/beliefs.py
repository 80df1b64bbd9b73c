"""Which leg goes on as which: beliefs about every cell in the network at once.

What a relay does is known: a cell leaves it an exponential time after it came, and all cells make
equally many legs. So of each track there are few possible stories:

    first leg     emitted by its source;                  then exactly one later leg continues it
    n-th leg      continues one (n-1)-th leg that came;   then exactly one later leg continues it
    last leg      continues one that came;                and nothing continues it

(a track through k spies is k + 1 legs, so some stories are ruled out for it). All tracks' stories
together have a probability: emissions are a Poisson process, delays are exponential. The exact
posterior sums over all ways to join legs, a permanent. *Belief propagation* (Pearl 1988; for sums
over matchings: Vontobel, "The Bethe permanent of a nonnegative matrix", IEEE Transactions on
Information Theory 59, 2013) approximates its marginals: each track tells each that might be its
parent or child how much it needs it. So it uses what a careful analyst would use: that two legs
can't continue the same one, that what comes in goes out, that a leg after which nothing left was
the last.

Who sees only some of the legs (spies) has more stories: the parent, or the child, may be a leg that
was not seen. Their rates follow from the constants of the protocol.

Along an edge between a track and one that may continue it go messages for each state in which it
may do so: as 1st leg to 2nd, as 2nd to 3rd ... All of them are ratios to "does not".
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from simnet.attacks.tracks import ENDED, OWN, Floats, Ints, Pace, Tracks

#: Delays beyond so many means are left out: less than one in a thousand.
DELAYS_MAX = 7.0
#: What a story without a visible parent or child weighs beside those of the model: cells get lost.
_SURPRISE = 1e-6
#: Beliefs change by less than a hundredth of themselves after ten rounds (measured), if messages
#: are averaged with those before.
_ROUNDS_MAX = 15
_TOLERANCE = 1e-2
_TINY = 1e-300


class View(NamedTuple):
    """What of a network an attacker sees.

    :ivar pace: the board's.
    :ivar nodes: how many there are.
    :ivar unseen: between how many of them (the honest) legs are not seen; 0: all legs are.
    :ivar begin_s: all else is seen from here on ...
    :ivar end_s: ... until here.
    """

    pace: Pace
    nodes: int
    unseen: int
    begin_s: float
    end_s: float


class Beliefs(NamedTuple):
    """What is believed of a set of tracks. Legs are counted from 0 here.

    :ivar parent: of each edge, the track that may go on ...
    :ivar child: ... as this one.
    :ivar joins: (legs - 1, edges): how much each edge weighs among the ways in which the child's
        first leg is leg 1, 2 ... of its cell.
    :ivar ways: (tracks, legs): what speaks for a track's first leg being leg 0, 1 ... of its cell,
        from all that was before; the sums of ``joins``, and what was not seen.
    :ivar ends: (tracks, legs): the same from all that came after.
    :ivar unseen_child: of each track, how much of ``ends`` is due to a child that was not seen.
    """

    tracks: Tracks
    view: View
    parent: Ints
    child: Ints
    joins: Floats
    ways: Floats
    ends: Floats
    unseen_child: Floats

    def places(self) -> Floats:
        """(tracks, legs): the probability that a track's first leg is leg 0, 1 ... of its cell."""
        weights = self.ways * self.ends
        return np.asarray(weights / np.maximum(weights.sum(axis=1, keepdims=True), _TINY))


def believe(tracks: Tracks, view: View) -> Beliefs:
    """Beliefs about tracks that are sorted by when they left."""
    graph = _Graph(tracks, view, *_edges(tracks, view))
    graph.settle()
    return graph.beliefs()


def _edges(tracks: Tracks, view: View) -> tuple[Ints, Ints, Floats]:
    """All pairs of a track into a node and one that left it later, and the density of that."""
    delay_s = view.pace.delay_s
    reach_s = DELAYS_MAX * delay_s
    # One axis for all nodes: the times of the first node, then those of the next.
    origin_s = min(tracks.left_s.min(initial=0.0), tracks.came_s.min(initial=0.0))
    end_s = max(tracks.came_s.max(initial=0.0), tracks.left_s.max(initial=0.0))
    stride_s = end_s - origin_s + 2 * reach_s + 1
    leaving = tracks.source * stride_s + (tracks.left_s - origin_s)
    leaving[tracks.source == OWN] = -np.inf
    order = np.argsort(leaving, kind="stable")
    coming = tracks.target * stride_s + (tracks.came_s - origin_s)
    arrivals = np.flatnonzero(tracks.target >= 0)
    low = np.searchsorted(leaving[order], coming[arrivals], "right")
    high = np.searchsorted(leaving[order], coming[arrivals] + reach_s, "right")
    counts = high - low
    parent = np.repeat(arrivals, counts)
    offsets = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    child = order[np.repeat(low, counts) + offsets]
    # A cell comes back to whom it came from only as a loop, which takes all of its legs.
    legs = tracks.spies[parent] + tracks.spies[child] + 2
    may_be = (legs >= view.pace.legs) | (tracks.target[child] != tracks.source[parent])
    parent, child = parent[may_be], child[may_be]
    waited_s = tracks.left_s[child] - tracks.came_s[parent]
    # Relative to an emission: that goes to one of all others, this not to whom it came from.
    weight = np.exp(-waited_s / delay_s) / delay_s * (view.nodes - 1) / max(view.nodes - 2, 1)
    return parent, child, weight


class _Graph:
    """Messages along edges, in both directions."""

    def __init__(
        self, tracks: Tracks, view: View, parent: Ints, child: Ints, weight: Floats
    ) -> None:
        self._tracks, self._view = tracks, view
        self._parent, self._child, self._weight = parent, child, weight
        self._legs = view.pace.legs
        self._allowed = _allowed(tracks, self._legs)
        self._unseen_ways = _unseen_parents(tracks, view)
        self._unseen_ends = _unseen_children(tracks, view)
        # Down: to the child, from all that was before; up: to the parent, from all that came after.
        self._down = np.tile(weight, (self._legs - 1, 1))
        self._up = np.tile(weight, (self._legs - 1, 1))

    def settle(self) -> None:
        """Pass messages until they change no more."""
        for _ in range(_ROUNDS_MAX):
            if self._step() < _TOLERANCE:
                return

    def _step(self) -> float:
        ways, ends = self._ways(), self._ends()
        total = np.maximum((ways * ends).sum(axis=1), _TINY)
        # To the parent: as what the child needs it. To the child: as what the parent can be.
        up = self._messages(self._child, total, ends[:, 1:], self._down)
        can_be = _by_last_leg(self._tracks, ways * self._allowed)[:, :-1]
        down = self._messages(self._parent, total, can_be, self._up)
        change = max(_change(up, self._up), _change(down, self._down))
        self._up, self._down = (up + self._up) / 2, (down + self._down) / 2
        return change

    def _messages(self, at: Ints, total: Floats, rest: Floats, against: Floats) -> Floats:
        """What tracks say along each of their edges: the weight of all stories with it, over that
        of all without it."""
        factors = rest[at].T
        without = total[at] - (against * factors).sum(axis=0)
        return np.asarray(self._weight * factors / np.maximum(without, 1e-9 * total[at]))

    def _ways(self) -> Floats:
        ways = self._unseen_ways.copy()
        for leg, messages in enumerate(self._down, 1):
            ways[:, leg] += np.bincount(self._child, weights=messages, minlength=len(ways))
        return ways

    def _ends(self) -> Floats:
        ends = np.ones_like(self._unseen_ways)
        for leg, messages in enumerate(self._up):
            seen = np.bincount(self._parent, weights=messages, minlength=len(ends))
            ends[:, leg] = seen + self._unseen_ends
        return _by_first_leg(self._tracks, ends) * self._allowed

    def beliefs(self) -> Beliefs:
        """What is believed in the end."""
        return Beliefs(
            self._tracks,
            self._view,
            self._parent,
            self._child,
            self._down,
            self._ways(),
            self._ends(),
            self._unseen_ends,
        )


def _change(new: Floats, old: Floats) -> float:
    return float(np.abs(new - old).max(initial=0.0) / max(old.max(initial=0.0), _TINY))


def _allowed(tracks: Tracks, legs: int) -> Floats:
    """(tracks, legs): whether a track's first leg may be leg 0, 1 ... of its cell."""
    first = np.arange(legs)[None, :]
    last = first + tracks.spies[:, None]
    # What ended with a spy was one leg less than where it would have gone on.
    last = np.where(tracks.target[:, None] < 0, last - 1, last)
    allowed = last < legs
    ended = tracks.target == ENDED
    allowed[ended] = last[ended] == legs - 1
    allowed[tracks.source == OWN] &= first[0] == 0
    return np.asarray(allowed, float)


def _by_first_leg(tracks: Tracks, by_last_leg: Floats) -> Floats:
    """Shift columns: from "its last leg is leg n" to "its first leg is"; what ended with spies
    needs nothing to go on."""
    result = np.zeros_like(by_last_leg)
    for spies in range(by_last_leg.shape[1]):
        rows = tracks.spies == spies
        result[rows, : by_last_leg.shape[1] - spies] = by_last_leg[rows, spies:]
    result[tracks.target < 0] = 1.0
    return result


def _by_last_leg(tracks: Tracks, by_first_leg: Floats) -> Floats:
    """Shift columns: from "its first leg is leg n" to "its last leg is"."""
    result = np.zeros_like(by_first_leg)
    for spies in range(by_first_leg.shape[1]):
        rows = tracks.spies == spies
        result[rows, spies:] = by_first_leg[rows, : by_first_leg.shape[1] - spies]
    return result


def _unseen_parents(tracks: Tracks, view: View) -> Floats:
    """(tracks, legs): the rates at which a node emits, and lets go cells that came unseen; towards
    one particular next node, times the number of others."""
    rate = 1 / view.pace.emit_s
    ways = np.full((len(tracks), view.pace.legs), rate)
    # What came before anybody looked.
    before = rate * np.exp(-np.maximum(tracks.left_s - view.begin_s, 0) / view.pace.delay_s)
    for leg in range(1, view.pace.legs):
        # From an honest node, and written by one: spies know their own.
        ways[:, leg] = np.maximum(rate * _all_honest(view, min(leg, 2)), before) + _SURPRISE
    ways[tracks.source == OWN, 1:] = 0.0
    return ways


def _all_honest(view: View, count: int) -> float:
    """That so many nodes, other than an honest one, are honest (0 if all legs are seen)."""
    share = 1.0
    for taken in range(1, count + 1):
        share *= max(view.unseen - taken, 0) / max(view.nodes - taken, 1)
    return share


def _unseen_children(tracks: Tracks, view: View) -> Floats:
    """That the next leg is not seen: it goes to an honest node, or leaves too late."""
    late = np.exp(-np.maximum(view.end_s - tracks.came_s, 0) / view.pace.delay_s)
    honest_next = max(view.unseen - 1, 0) / max(view.nodes - 2, 1)
    return np.asarray(np.minimum(honest_next + late, 1.0) + _SURPRISE)
