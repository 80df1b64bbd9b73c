"""Back from where an entry came out to who wrote it: a probability for each node.

The entry was opened by its last relay an exponential time after the last leg of its cell had come
there. So the last leg is one of those that came there shortly before, the one before is one of
those that the relay before may have continued, and so on; each weighs as much as
:mod:`~simnet.attacks.beliefs` say, and whoever sent the first leg is the author.

Where the parent of a leg was not seen, the cell came by one or more honest relays unseen, from a
track that was seen (the sum of several exponential delays before), or was never seen at all; then
its author may be anybody.
"""

from __future__ import annotations

from math import factorial
from typing import NamedTuple

import numpy as np

from simnet.attacks.beliefs import DELAYS_MAX, Beliefs
from simnet.attacks.tracks import Floats, Ints

_TINY = 1e-300
#: What weighs less than this is not followed further back.
_NEGLIGIBLE = 1e-6


class Opened(NamedTuple):
    """An entry came out of a cell.

    :ivar at_s: when its last relay let it out.
    :ivar relay: the last relay, an honest one.
    """

    at_s: float
    relay: int


class Origins:
    """Who emitted cells, by beliefs.

    :param suspects: of each node, 1 if it may be an author (honest, and not the attacker), else 0.
    """

    def __init__(self, beliefs: Beliefs, suspects: Floats) -> None:
        self._beliefs = beliefs
        self._suspects = suspects
        self._legs = beliefs.view.pace.legs
        self._places = beliefs.places()
        self._order = np.argsort(beliefs.child, kind="stable")
        numbers = np.arange(len(beliefs.tracks) + 1)
        self._starts = np.searchsorted(beliefs.child[self._order], numbers)

    def of_track(self, row: int) -> Floats:
        """Who emitted the cell of a track that ended with a spy; sums to one."""
        weights = self._nothing()
        weights[row, self._legs - int(self._beliefs.tracks.spies[row])] = 1.0
        return self._normal(self._back(weights, np.zeros(len(self._suspects))))

    def of_opened(self, opened: Opened) -> Floats:
        """Who emitted the cell that an honest relay opened; sums to one."""
        tracks, pace = self._beliefs.tracks, self._beliefs.view.pace
        weights = self._nothing()
        near = self._near(opened.at_s)
        here = near[tracks.target[near] == opened.relay]
        first = self._legs - 1 - tracks.spies[here]
        here, first = here[first >= 0], first[first >= 0]
        waited = (opened.at_s - tracks.came_s[here]) / pace.delay_s
        weights[here, first] = self._places[here, first] * np.exp(-waited) / pace.delay_s
        anybody = self._from_unseen(weights, opened.at_s, opened.relay, self._legs - 1, 1.0)
        result = self._back(weights, anybody)
        result[opened.relay] = 0.0
        return self._normal(result)

    def _nothing(self) -> Floats:
        return np.zeros((len(self._beliefs.tracks), self._legs))

    def _near(self, at_s: float) -> Ints:
        """Tracks that came to an honest node not long before."""
        tracks = self._beliefs.tracks
        reach_s = DELAYS_MAX * self._beliefs.view.pace.delay_s
        low, high = np.searchsorted(tracks.left_s, [at_s - 2 * reach_s, at_s])
        came_s = tracks.came_s[low:high]
        is_near = (tracks.target[low:high] >= 0) & (came_s <= at_s) & (came_s > at_s - reach_s)
        return np.arange(low, high)[is_near]

    def _back(self, weights: Floats, anybody: Floats) -> Floats:
        """From weights of tracks, by which leg of the cell in question their first leg is, to those
        of authors.

        :param anybody: what is known to be spread over all.
        """
        tracks = self._beliefs.tracks
        for leg in range(self._legs - 1, 0, -1):
            rows = np.flatnonzero(weights[:, leg])
            if len(rows):
                unseen = self._to_parents(weights, rows, leg)
                anybody = anybody + self._to_unseen(weights, rows, leg, unseen)
        emitted = (tracks.source >= 0) & (weights[:, 0] > 0)
        seen = np.bincount(
            tracks.source[emitted], weights[emitted, 0], minlength=len(self._suspects)
        )
        return np.asarray((anybody + seen) * self._suspects)

    def _to_parents(self, weights: Floats, rows: Ints, leg: int) -> Floats:
        """Hand the weight of tracks on to their possible parents; what of it is left for parents
        that were not seen."""
        beliefs = self._beliefs
        edges = self._order[self._starts[rows[0]] : self._starts[rows[-1] + 1]]
        edges = edges[weights[beliefs.child[edges], leg] > 0]
        parent, child = beliefs.parent[edges], beliefs.child[edges]
        share = beliefs.joins[leg - 1, edges] / np.maximum(beliefs.ways[child, leg], _TINY)
        share *= weights[child, leg]
        first = leg - 1 - beliefs.tracks.spies[parent]
        possible = first >= 0
        places = parent[possible] * self._legs + first[possible]
        weights += np.bincount(places, share[possible], minlength=weights.size).reshape(
            weights.shape
        )
        seen = np.bincount(child, share, minlength=len(weights))
        return np.asarray(np.maximum(weights[rows, leg] - seen[rows], 0.0))

    def _to_unseen(self, weights: Floats, rows: Ints, leg: int, unseen: Floats) -> Floats:
        """Hand the weight of parents that were not seen to tracks before them, and to anybody."""
        tracks = self._beliefs.tracks
        sources = tracks.source[rows]
        anybody = np.zeros(len(self._suspects))
        if self._beliefs.view.unseen:
            relevant = unseen > _NEGLIGIBLE * max(float(unseen.sum()), _TINY)
            for row, source, amount in zip(
                rows[relevant], sources[relevant], unseen[relevant], strict=True
            ):
                left_s = float(tracks.left_s[row])
                anybody += self._from_unseen(weights, left_s, int(source), leg - 1, amount, True)
            return anybody
        others = max(float(self._suspects.sum()) - 1, 1.0)
        by_source = np.bincount(sources[sources >= 0], unseen[sources >= 0], minlength=len(anybody))
        return np.asarray((unseen.sum() - by_source) * self._suspects / others)

    def _from_unseen(
        self,
        weights: Floats,
        at_s: float,
        relay: int,
        last: int,
        amount: float,
        is_share: bool = False,
    ) -> Floats:
        """A cell that left (or was opened by) an honest relay had come to it by a leg that was not
        seen: hand that on to tracks that went on unseen before, and to anybody.

        :param last: which leg of the cell the unseen one was.
        :param is_share: ``amount`` is to be shared among all possibilities; else they weigh what
            they weigh.
        """
        view = self._beliefs.view
        if not view.unseen:
            return np.zeros(len(self._suspects))
        found: list[tuple[Ints, Ints, Floats]] = []
        for hidden in range(1, last + 1):
            found.append(self._seen_before(at_s, relay, last - hidden, hidden))
        never = self._never_seen_rate(last)
        total = never + sum(float(each.sum()) for _, _, each in found)
        scale = amount / max(total, _TINY) if is_share else amount
        for rows, first, each in found:
            weights[rows, first] += scale * each
        return scale * never * self._anybody(relay)

    def _seen_before(
        self, at_s: float, relay: int, last: int, hidden: int
    ) -> tuple[Ints, Ints, Floats]:
        """Tracks whose last leg was leg ``last`` of a cell that then made ``hidden`` more unseen
        ones, the last of them to ``relay``, which it left at ``at_s``; and their weights."""
        beliefs, tracks, view = self._beliefs, self._beliefs.tracks, self._beliefs.view
        near = self._near(at_s)
        near = near[tracks.target[near] != relay]
        first = last - tracks.spies[near]
        near, first = near[first >= 0], first[first >= 0]
        waited = (at_s - tracks.came_s[near]) / view.pace.delay_s
        density = waited**hidden * np.exp(-waited) / factorial(hidden) / view.pace.delay_s
        unseen = beliefs.unseen_child[near] / np.maximum(beliefs.ends[near, first], _TINY)
        likely = self._places[near, first] * np.minimum(unseen, 1.0)
        others = max(view.unseen - 1, 1)
        honest = ((view.unseen - 2) / max(view.nodes - 2, 1)) ** (hidden - 1)
        return near, first, likely * density * honest / others

    def _never_seen_rate(self, last: int) -> float:
        """The rate at which cells of honest writers that no spy has had come to a node as leg
        ``last`` (from 0)."""
        view = self._beliefs.view
        share = 1.0
        for taken in range(1, last + 2):
            share *= max(view.unseen - taken, 0) / max(view.nodes - taken, 1)
        return share / view.pace.emit_s

    def _anybody(self, but: int) -> Floats:
        share = self._suspects.copy()
        if but >= 0:
            share[but] = 0.0
        return np.asarray(share / max(share.sum(), 1.0))

    def _normal(self, weights: Floats) -> Floats:
        total = weights.sum()
        if total <= 0:
            weights, total = self._suspects, self._suspects.sum()
        return np.asarray(weights / total)
