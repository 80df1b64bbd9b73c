"""What adversaries make of what they saw: who wrote which entry, and who writes now.

**Who wrote it** (:func:`judge`). Spies pool their logs and name one honest host for each entry.
Two estimators, and what counts is the better of the two:

*first-spy* names the peer from whom any spy heard of the entry first. It needs no knowledge of the
network, and is what most measurements of Bitcoin have used.

*pooled* also knows the graph (which host has a link to which, and who dialled) and how the strategy
in use spreads entries, which it has *rehearsed*: it is trained on other entries of the same world
whose authors it was told, and never judged on those (cross-validation in folds). Most people who
attack have less. It is a naive Bayes estimator: each of the first sightings, described by its kind
and its rank or its delay after the first (a *cell*), is evidence about how far the author is from
the peer that was sighted. In training, it counts how often the author is at what distance for each
cell. A candidate's score is the sum of

    log( P(distance | cell) / share of honest hosts at that distance from the peer )

over the sightings, plus the like for its own links to spies over which nothing came among these
first sightings. For a single sighting this is the exact posterior of what the cell can tell. For a
hand-over in our protocol all of it may sit at distance 0; for a stem of Dandelion++, where distance
is counted along dialled links, it is the weight of each predecessor; for diffusion, early sightings
by the neighbours of the author add up. Sightings of one entry are not independent of each other, as
the sum pretends; all but the first are therefore weighed, with what names most authors of the
training entries: 0 (the first alone), 1/4, 1/2 or 1.

*Precision* and *recall* are those of the papers on Dandelion (Bojja Venkatakrishnan, Fanti,
Viswanath: "Dandelion: Redesigning the Bitcoin Network for Anonymity", SIGMETRICS 2017, section 2),
averaged over the honest authors v: the share of v's own among the entries that are assigned to v
(0 where none is), and the share of v's entries that are assigned to v. An entry that no spy saw is
assigned to nobody. *Named* is the probability that the best guess is right, averaged over entries;
an entry that no spy saw is guessed blindly.

**Who writes now** (:func:`observer_auc`): the global observer, who sees packets from outside.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from simnet.adversaries.observer import PassiveObserver
from simnet.adversaries.spies import Sighting, Spy
from simnet.world import World

#: Of each entry, so many sightings are weighed; later ones only say that everybody has it.
SIGHTINGS_MAX = 16
#: Distances are counted up to here ...
HOPS_MAX = 8
#: ... or until this share of all candidates is nearer; whoever is farther is just "far".
NEAR_SHARE = 0.25
FOLDS = 5
WEIGHTS = (0.0, 0.25, 0.5, 1.0)
#: Sightings up to this rank are told apart by rank, later ones by delay.
RANKS = 2
DELAY_BINS = 3
#: Observations that the prior (the author may be anybody) counts for, in each cell. Guess.
PRIOR = 1.0

#: Guesses: of each entry, the host named.
Guesses = Mapping[bytes, int]
_Cell = tuple[str, int]


# --- Evidence -------------------------------------------------------------------------------------


def pooled_sightings(spies: Sequence[Spy]) -> dict[bytes, list[Sighting]]:
    """Of each entry, what all spies noticed, in order; each link's first sighting alone, and none
    of one spy by another."""
    numbers = {spy.number for spy in spies}
    every = sorted(s for spy in spies for s in spy.log if s.peer not in numbers)
    of_entry: dict[bytes, list[Sighting]] = {}
    known: set[tuple[bytes, int, int]] = set()
    for sighting in every:
        link = (sighting.entry_id, sighting.spy, sighting.peer)
        if link not in known:
            known.add(link)
            of_entry.setdefault(sighting.entry_id, []).append(sighting)
    return of_entry


def first_spy(of_entry: Mapping[bytes, Sequence[Sighting]]) -> dict[bytes, int]:
    """Of each entry, the peer that was first to show that it has it."""
    guesses = {}
    for identifier, sightings in of_entry.items():
        first = next((s for s in sightings if s.what != "want"), None)
        if first is not None:
            guesses[identifier] = first.peer
    return guesses


@dataclass(frozen=True, slots=True)
class Graph:
    """Who has links to whom, as the pooled estimator knows it.

    :ivar spy_links: of each honest host (who alone may be an author), how many links to spies it
        has; in the order of their numbers.
    :ivar neighbours: of each host, all its peers.
    :ivar diallers: of each host, the peers that dialled it: where a stem comes from.
    """

    spy_links: Mapping[int, int]
    neighbours: Mapping[int, Sequence[int]]
    diallers: Mapping[int, Sequence[int]]
    _distances: dict[tuple[bool, int], dict[int, int]] = field(default_factory=dict)

    @classmethod
    def of(cls, pairs: Iterable[tuple[int, int]], honest: Iterable[int], spies: set[int]) -> Graph:
        """From pairs of dialler and dialled."""
        neighbours: dict[int, list[int]] = {}
        diallers: dict[int, list[int]] = {}
        for dialler, dialled in pairs:
            neighbours.setdefault(dialler, []).append(dialled)
            neighbours.setdefault(dialled, []).append(dialler)
            diallers.setdefault(dialled, []).append(dialler)
        spy_links = {
            host: sum(peer in spies for peer in neighbours.get(host, ())) for host in honest
        }
        return cls(spy_links, neighbours, diallers)

    def distances(self, sighting: Sighting) -> Mapping[int, int]:
        """How far each candidate that is near is from the peer sighted: along the way of stems for
        a hand-over, else along any links."""
        is_hand = sighting.what == "hand"
        key = (is_hand, sighting.peer)
        if key not in self._distances:
            found = self._search(self.diallers if is_hand else self.neighbours, sighting.peer)
            self._distances[key] = {h: d for h, d in found.items() if h in self.spy_links}
        return self._distances[key]

    def _search(self, ways: Mapping[int, Sequence[int]], start: int) -> dict[int, int]:
        """Breadth first."""
        distances = {start: 0}
        edge = [start]
        for hops in range(1, HOPS_MAX):
            if not edge or len(distances) > NEAR_SHARE * len(self.spy_links):
                break
            peers = (peer for host in edge for peer in ways.get(host, ()))
            edge = [peer for peer in dict.fromkeys(peers) if peer not in distances]
            distances.update(dict.fromkeys(edge, hops))
        return distances


# --- The pooled estimator -------------------------------------------------------------------------

_Evidence = Mapping[bytes, Sequence[Sighting]]


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


def pooled(graph: Graph, evidence: _Evidence, truth: Mapping[bytes, int]) -> dict[bytes, int]:
    """Of each entry in ``truth`` that was sighted, the likeliest author (see above)."""
    entries = [identifier for identifier in evidence if identifier in truth]
    guesses: dict[bytes, int] = {}
    for fold in range(FOLDS):
        training = {e: truth[e] for i, e in enumerate(entries) if i % FOLDS != fold}
        model = _train(graph, evidence, training)
        for identifier in entries[fold::FOLDS]:
            guesses[identifier] = _best(_scores(graph, model, evidence[identifier]), model.weight)
    return guesses


def _train(graph: Graph, evidence: _Evidence, truth: Mapping[bytes, int]) -> _Model:
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


def _silence(graph: Graph, evidence: _Evidence, truth: Mapping[bytes, int]) -> float:
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
    graph: Graph, model: _Model, evidence: _Evidence, truth: Mapping[bytes, int]
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


# --- The judge ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Success:
    """How well authors were named (see above)."""

    precision: float
    recall: float
    named: float


def measure(guesses: Guesses, truth: Mapping[bytes, int], candidates: int) -> Success:
    """Hold guesses against the truth.

    :param candidates: how many hosts may be authors; a blind guess is one of them.
    """
    written = Counter(truth.values())
    assigned = Counter(guesses[identifier] for identifier in truth if identifier in guesses)
    right = Counter(author for e, author in truth.items() if guesses.get(e) == author)
    blind = sum(identifier not in guesses for identifier in truth) / max(candidates, 1)
    authors = max(len(written), 1)
    return Success(
        precision=sum(right[v] / assigned[v] for v in written if assigned[v]) / authors,
        recall=sum(right[v] / written[v] for v in written) / authors,
        named=(right.total() + blind) / max(len(truth), 1),
    )


def judge(world: World, truth: Mapping[bytes, int], spies: Sequence[Spy]) -> list[dict[str, Any]]:
    """What the spies of a world can say about the authors of entries, by each estimator.

    The graph is that of the moment: call it while the hosts are still linked.

    :param truth: of each entry, the number of the host that wrote it; entries of hosts that are not
        honest are left out.
    :returns: for each estimator ``estimator``, ``spies`` (how many), ``share`` (of all hosts),
        ``precision``, ``recall``, ``named``, ``blind`` (the chance of a blind guess), ``entries``
        (how many were judged) and ``seen`` (how many of them a spy saw).
    """
    honest = [host.number for host in world.hosts if host.role == "honest"]
    may_write = set(honest)
    judged = {e: author for e, author in truth.items() if author in may_write}
    evidence = {e: s for e, s in pooled_sightings(spies).items() if e in judged}
    graph = Graph.of(world.network.pairs(), honest, {spy.number for spy in spies})
    guesses = {
        "first-spy": first_spy(evidence),
        "pooled": pooled(graph, evidence, judged),
    }
    return [
        {
            "estimator": name,
            "spies": len(spies),
            "share": len(spies) / max(len(world.hosts), 1),
            **asdict(measure(named, judged, len(honest))),
            "blind": 1 / max(len(honest), 1),
            "entries": len(judged),
            "seen": len(evidence),
        }
        for name, named in guesses.items()
    ]


# --- The observer ---------------------------------------------------------------------------------

#: How long after a post the observer looks, in microseconds: from a frame that leaves at once to
#: what comes back.
WINDOWS_US = (5_000, 50_000, 500_000, 5_000_000)
#: A host's baseline is its mean over so many windows before.
BASELINE_WINDOWS = 20
_FEATURES = ("bytes", "packets", "largest", "promptness")


class _Sent:
    """What each host sent, to be asked by time."""

    def __init__(self, observer: PassiveObserver) -> None:
        self._at_us: dict[int, list[int]] = {}
        self._bytes: dict[int, list[int]] = {}
        for packet in observer:
            self._at_us.setdefault(packet.source, []).append(packet.at_us)
            self._bytes.setdefault(packet.source, []).append(packet.bytes)

    def between(self, host: int, begin_us: int, end_us: int) -> tuple[Sequence[int], Sequence[int]]:
        """Times and sizes of what it sent from ``begin_us`` on and before ``end_us``."""
        at_us = self._at_us.get(host, [])
        span = slice(bisect_left(at_us, begin_us), bisect_left(at_us, end_us))
        return at_us[span], self._bytes.get(host, [])[span]

    def was_there(self, host: int, at_us: int) -> bool:
        """Whether it is switched on, as far as one can see."""
        times, _ = self.between(host, at_us - BASELINE_WINDOWS * WINDOWS_US[-1], at_us)
        return bool(times)


def _features(sent: _Sent, host: int, at_us: int, window_us: int) -> list[float]:
    """In the order of ``_FEATURES``: bytes and packets above the host's own baseline, the largest
    packet above the largest of the baseline, and how early in the window it began to send."""
    before_us = BASELINE_WINDOWS * window_us
    _, usual = sent.between(host, at_us - before_us, at_us)
    times, sizes = sent.between(host, at_us, at_us + window_us)
    return [
        sum(sizes) - sum(usual) / BASELINE_WINDOWS,
        len(sizes) - len(usual) / BASELINE_WINDOWS,
        max(sizes, default=0) - max(usual, default=0),
        at_us - times[0] if times else -window_us,
    ]


def observer_auc(
    world: World, observer: PassiveObserver, posts: Sequence[tuple[int, int]]
) -> dict[str, Any]:
    """Whether somebody who sees all packets can tell a host that posts from one that does not.

    For each post, its author is set against all idle hosts: those that are honest, were there (sent
    something in the time of the longest baseline) and did not post within the longest window around
    it. The score of a host is one of a few *features* (above) of the traffic that it sent in
    one of a few windows after the post. The AUC of a feature is the probability that the author
    scores higher than an idle host at the same moment (ties count half), averaged over posts: what
    all hosts do at that moment cancels. The observer uses the feature that is best on the other
    half of the posts, turned round where it is below one half: so an AUC of 0.5 means that nothing
    here tells, and is not the best of many draws.

    :param posts: the author's number and the time in microseconds when the entry was handed to the
        author's node; only those of honest hosts count.
    :returns: ``auc``, ``posts`` (how many had an idle host to be compared with), ``packets`` and
        ``features``: for each feature and window, its own AUC over all posts.
    """
    sent = _Sent(observer)
    honest = [host.number for host in world.hosts if host.role == "honest"]
    writers = set(honest)
    posts = [post for post in posts if post[0] in writers]
    wins: list[dict[str, float]] = []
    for author, at_us in posts:
        busy = {host for host, other_us in posts if abs(other_us - at_us) <= WINDOWS_US[-1]}
        idle = [host for host in honest if host not in busy and sent.was_there(host, at_us)]
        if idle:
            wins.append(_compare(sent, author, idle, at_us))
    return {
        "auc": _cross_validated(wins),
        "posts": len(wins),
        "packets": len(observer),
        "features": {name: _mean([w[name] for w in wins]) for name in (wins[0] if wins else ())},
    }


def _compare(sent: _Sent, author: int, idle: Sequence[int], at_us: int) -> dict[str, float]:
    """By feature and window, the share of idle hosts that score lower than the author."""
    wins = {}
    for window_us in WINDOWS_US:
        own = _features(sent, author, at_us, window_us)
        others = [_features(sent, host, at_us, window_us) for host in idle]
        for index, name in enumerate(_FEATURES):
            column = [other[index] for other in others]
            wins[f"{name} {window_us / 1e6:g} s"] = rank_statistic(own[index], column)
    return wins


def rank_statistic(own: float, others: Sequence[float]) -> float:
    """The share of ``others`` (not empty) below ``own``, ties by half: one term of an AUC (Mann and
    Whitney 1947)."""
    return sum(1.0 if other < own else 0.5 if other == own else 0.0 for other in others) / len(
        others
    )


def _cross_validated(wins: Sequence[Mapping[str, float]]) -> float:
    if len(wins) < 2:
        return _mean([max(win.values()) for win in wins])
    aucs = []
    for half in (0, 1):
        chosen_on, judged = wins[1 - half :: 2], wins[half::2]
        means = {name: _mean([w[name] for w in chosen_on]) for name in wins[0]}
        best = max(means, key=lambda name: abs(means[name] - 0.5))
        sign = 1 if means[best] >= 0.5 else -1
        aucs += [0.5 + sign * (win[best] - 0.5) for win in judged]
    return _mean(aucs)


def _mean(numbers: Sequence[float]) -> float:
    return sum(numbers) / len(numbers) if numbers else 0.5
