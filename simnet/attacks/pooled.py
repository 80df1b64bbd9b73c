"""Pooled: all sightings of all spies, the graph, and a strategy that was rehearsed.

It knows more than first-spy: the graph (which host has a link to which, and who dialled) and how
the strategy in use spreads entries, which it has *rehearsed*: it is trained on other entries of the
same world whose authors it was told, and never judged on those (cross-validation in folds). Most
people who attack have less.

It is a naive Bayes estimator: each of the first sightings, described by its kind and its rank or
its delay after the first (a *cell*), is evidence about how far the author is from the peer that was
sighted. In training, it counts how often the author is at what distance for each cell. A
candidate's score is the sum of

    log( P(distance | cell) / share of honest hosts at that distance from the peer )

over the sightings, plus the like for its own links to spies over which nothing came among these
first sightings. For a single sighting this is the exact posterior of what the cell can tell. For a
hand-over in our protocol all of it may sit at distance 0; for a stem of Dandelion++, where distance
is counted along dialled links, it is the weight of each predecessor; for diffusion, early sightings
by the neighbours of the author add up. Sightings of one entry are not independent of each other, as
the sum pretends; all but the first are therefore weighed, with what names most authors of the
training entries: 0 (the first alone), 1/4, 1/2 or 1.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from simnet.adversaries.spies import Sighting
from simnet.attacks.graph import HOPS_MAX, Graph
from simnet.attacks.sightings import Evidence

#: Of each entry, so many sightings are weighed; later ones only say that everybody has it.
SIGHTINGS_MAX = 16
FOLDS = 5
WEIGHTS = (0.0, 0.25, 0.5, 1.0)
#: Sightings up to this rank are told apart by rank, later ones by delay.
RANKS = 2
DELAY_BINS = 3
#: Observations that the prior (the author may be anybody) counts for, in each cell. Guess.
PRIOR = 1.0

_Cell = tuple[str, int]


@dataclass(slots=True)
class _Model:
    """What was learnt.

    :ivar counts: of each cell, how often the author was at each distance.
    :ivar bounds_us: between the bins of delays.
    :ivar silence: what a link of the candidate's own over which nothing came adds to its score.
    :ivar weight: of all evidence but the first sighting.
    """

    counts: dict[_Cell, Counter[int]]
    bounds_us: Sequence[int]
    silence: float
    weight: float = 0.0


def pooled(graph: Graph, evidence: Evidence, truth: Mapping[bytes, int]) -> dict[bytes, int]:
    """Of each entry in ``truth`` that was sighted, the likeliest author (see above)."""
    entries = [identifier for identifier in evidence if identifier in truth]
    guesses: dict[bytes, int] = {}
    for fold in range(FOLDS):
        training = {e: truth[e] for i, e in enumerate(entries) if i % FOLDS != fold}
        model = _train(graph, evidence, training)
        for identifier in entries[fold::FOLDS]:
            guesses[identifier] = _best(_scores(graph, model, evidence[identifier]), model.weight)
    return guesses


def _train(graph: Graph, evidence: Evidence, truth: Mapping[bytes, int]) -> _Model:
    model = _Model({}, _delay_bounds([evidence[e] for e in truth]), 0.0)
    for identifier, author in truth.items():
        sightings = evidence[identifier][:SIGHTINGS_MAX]
        for sighting, cell in zip(sightings, _cells(sightings, model.bounds_us), strict=True):
            distance = graph.distances(sighting).get(author, HOPS_MAX)
            model.counts.setdefault(cell, Counter())[distance] += 1
    model.silence = _silence(graph, evidence, truth)
    model.weight = _best_weight(graph, model, evidence, truth)
    return model


def _delay_bounds(trained_on: Sequence[Sequence[Sighting]]) -> list[int]:
    """Quantiles of the delays after the first sighting."""
    delays = sorted(
        sighting.at_us - sightings[0].at_us
        for sightings in trained_on
        for sighting in sightings[RANKS:SIGHTINGS_MAX]
    )
    return [delays[len(delays) * i // DELAY_BINS] for i in range(1, DELAY_BINS)] if delays else []


def _cells(sightings: Sequence[Sighting], bounds_us: Sequence[int]) -> list[_Cell]:
    first_us = sightings[0].at_us
    return [
        (s.what, rank if rank < RANKS else RANKS + bisect_right(bounds_us, s.at_us - first_us))
        for rank, s in enumerate(sightings)
    ]


def _silence(graph: Graph, evidence: Evidence, truth: Mapping[bytes, int]) -> float:
    """The logarithm of: how often an author's link to a spy is silent, over how often any is."""
    own = own_silent = 0
    every = every_silent = 0
    for identifier, author in truth.items():
        sightings = evidence[identifier][:SIGHTINGS_MAX]
        own += graph.spy_links[author]
        own_silent += graph.spy_links[author] - sum(s.peer == author for s in sightings)
        every += sum(graph.spy_links.values())
        every_silent += sum(graph.spy_links.values()) - len(sightings)
    if min(own, every) == 0:
        return 0.0
    # Links may have gone since: counts below zero are none.
    own_share = (max(own_silent, 0) + PRIOR) / (own + PRIOR)
    return math.log(own_share * (every + PRIOR) / (max(every_silent, 0) + PRIOR))


def _best_weight(
    graph: Graph, model: _Model, evidence: Evidence, truth: Mapping[bytes, int]
) -> float:
    named = dict.fromkeys(WEIGHTS, 0)
    for identifier, author in truth.items():
        scores = _scores(graph, model, evidence[identifier])
        for weight in WEIGHTS:
            named[weight] += _best(scores, weight) == author
    return max(WEIGHTS, key=lambda weight: named[weight])


def _scores(
    graph: Graph, model: _Model, sightings: Sequence[Sighting]
) -> tuple[dict[int, float], dict[int, float]]:
    """Of each candidate, the score by the first sighting and that by all else."""
    sightings = sightings[:SIGHTINGS_MAX]
    by_first = dict.fromkeys(graph.spy_links, 0.0)
    by_rest = {host: model.silence * links for host, links in graph.spy_links.items()}
    for sighting in sightings:
        if sighting.peer in by_rest:
            by_rest[sighting.peer] -= model.silence
    for rank, cell in enumerate(_cells(sightings, model.bounds_us)):
        counts = model.counts.get(cell)
        if counts is not None:
            scores = by_rest if rank else by_first
            _weigh(scores, graph.distances(sightings[rank]), counts)
    return by_first, by_rest


def _weigh(scores: dict[int, float], distances: Mapping[int, int], counts: Counter[int]) -> None:
    """Add what one sighting says. Far candidates stay as they are, near ones gain or lose."""
    hosts_at = Counter(distances.values())
    hosts_at[HOPS_MAX] = len(scores) - len(distances)
    total = counts.total() + PRIOR
    gains = {
        distance: math.log((counts[distance] * len(scores) / hosts + PRIOR) / total)
        for distance, hosts in hosts_at.items()
        if hosts
    }
    far = gains.get(HOPS_MAX, 0.0)
    for host, distance in distances.items():
        scores[host] += gains[distance] - far


def _best(scores: tuple[dict[int, float], dict[int, float]], weight: float) -> int:
    by_first, by_rest = scores
    return max(by_first, key=lambda host: by_first[host] + weight * by_rest[host])
