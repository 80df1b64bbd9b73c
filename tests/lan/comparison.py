"""Set what an observer sees of a host that posts against what it sees of hosts that do not.

Three ways, each fair to a host that is only unlike the others in what posting has no part in:

- *Cells, poster against the others of its run*: in each minute any of the hosts might have been the
  poster. *Cells, poster against itself* where nobody posts: each minute might have been in either
  run.
- *TCP by minute*: entries make TCP traffic at all hosts, and who dialled a link has another part in
  it than who accepted it, always. So what counts is what the poster has more than the others in the
  minutes in which more was posted than in others.
- *After posts*: the observer is told the very moment of each post, and looks at the time after it;
  what a host has in the time before is its habit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from tests.lan import chance
from tests.lan.sightings import STREAMS, Sightings, Stream

MINUTE_S = 60.0
#: How long after the answer to a post the observer looks: what leaves at once, and up to when the
#: entry has come back (some five seconds at the normal pace). Posts are further apart.
AFTER_S = (0.05, 0.5, 5.0, 15.0)
#: A post's traffic is counted for the minute that it is in so many seconds later.
_REACTION_S = 10.0
#: TCP packets that are closer than this belong to one burst.
_BURST_S = 1.0
MEASURES = ("sizes", "gaps", "counts")
_CHANCE_ROUNDS = 500


@dataclass
class Verdict:
    """One comparison.

    :ivar what: which packets, and which of their properties.
    :ivar against: what the poster was compared with.
    :ivar difference: as :mod:`tests.lan.chance` defines it for the kind of comparison.
    :ivar p: by itself; :ivar p_corrected: for the number of comparisons.
    """

    what: str
    against: str
    difference: float
    p: float
    p_corrected: float = 1.0


@dataclass
class Auc:
    """How well something tells: 0.5 not at all, 1 always.

    :ivar low: with :ivar high: the 95 % interval, of the scores as they are.
    :ivar chance_low: with :ivar chance_high: where 95 % of such figures lie if there is nothing to
        tell, the choice of what to look at included.
    """

    what: str
    auc: float
    low: float
    high: float
    chance_low: float
    chance_high: float
    some_count: int
    others_count: int


@dataclass
class Comparison:
    """All of it.

    :ivar control_p: the least p, corrected for the number of comparisons and hosts, when each of
        the other hosts of the run is taken for the poster: what chance and the habits of hosts
        make of these tests.
    """

    verdicts: list[Verdict]
    aucs: list[Auc]
    control_p: float | None = None

    def told_apart(self, p: float = 0.001) -> list[Verdict]:
        """What is more than chance."""
        return [verdict for verdict in self.verdicts if verdict.p_corrected < p]

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        return asdict(self)


def compare(
    posting: Sightings,
    idle: Sightings,
    seed: int = 1,
    rounds: int = chance.ROUNDS,
    control_rounds: int = 0,
) -> Comparison:
    """Compare.

    :param control_rounds: draws for each test of the controls; 0: none.
    """
    random = np.random.default_rng(seed)
    verdicts = [
        *_within_run(posting, random, rounds),
        *_between_runs(posting, idle, random, rounds),
        *_after_posts(posting, random, rounds),
    ]
    correct(verdicts)
    aucs = [auc_of_minutes(posting, idle, random), auc_of_posts(posting, random)]
    return Comparison(verdicts, aucs, _control(posting, random, control_rounds))


def correct(verdicts: Sequence[Verdict]) -> None:
    """Fill in the corrected p values."""
    corrected = chance.holm([verdict.p for verdict in verdicts])
    for verdict, p in zip(verdicts, corrected, strict=True):
        verdict.p_corrected = p


def _control(posting: Sightings, random: np.random.Generator, rounds: int) -> float | None:
    if not rounds:
        return None
    verdicts = [
        verdict
        for number in range(len(posting.hosts))
        if number != posting.poster
        for pretended in [posting.as_if(number)]
        for verdict in (
            *_within_run(pretended, random, rounds),
            *_after_posts(pretended, random, rounds),
        )
    ]
    correct(verdicts)
    return min(verdict.p_corrected for verdict in verdicts)


# --- Windows --------------------------------------------------------------------------------------


def samples(stream: Stream, measure: str, begin_s: float, seconds: float) -> list[np.ndarray]:
    """The samples of a measure by minute: sizes of packets, the times from one to the next, or how
    many there are."""
    minutes = int(seconds / MINUTE_S)
    bounds = np.searchsorted(stream.at_s, begin_s + MINUTE_S * np.arange(minutes + 1))
    pairs = list(pairwise(bounds))
    if measure == "counts":
        return [np.array([float(b - a)]) for a, b in pairs]
    if measure == "gaps":
        gaps = np.diff(stream.at_s, prepend=begin_s)
        return [gaps[a:b] for a, b in pairs]
    return [stream.ip_bytes[a:b].astype(float) for a, b in pairs]


def _histograms_of_hosts(
    run: Sightings, name: str, measure: str, below: float = np.inf
) -> np.ndarray:
    """Of samples below a bound; shape (minutes, hosts, bins)."""
    by_host = [samples(host[name], measure, run.begin_s, run.seconds) for host in run.hosts]
    flat = chance.histograms([window[window < below] for host in by_host for window in host])
    return flat.reshape(len(by_host), -1, flat.shape[1]).transpose(1, 0, 2)


def _additive(run: Sightings, name: str, measure: str) -> np.ndarray:
    """Of the shape of :func:`_histograms_of_hosts`; what posts add does not depend on what a host
    has besides. Counts are by themselves, and of gaps only those within a burst."""
    if measure != "counts":
        below = _BURST_S if measure == "gaps" else np.inf
        return _histograms_of_hosts(run, name, measure, below)
    by_host = [samples(host[name], measure, run.begin_s, run.seconds) for host in run.hosts]
    return np.array([[window[0] for window in host] for host in by_host]).T[:, :, None]


def _posts_by_minute(run: Sightings) -> np.ndarray:
    minutes = int(run.seconds / MINUTE_S)
    edges = run.begin_s + MINUTE_S * np.arange(minutes + 1)
    reacted = [post.answered_s + _REACTION_S for post in run.posts]
    return np.histogram(reacted, edges)[0].astype(float)


# --- Tests ----------------------------------------------------------------------------------------


def _within_run(run: Sightings, random: np.random.Generator, rounds: int) -> Iterator[Verdict]:
    weights = _posts_by_minute(run)
    for name in STREAMS:
        for measure in MEASURES:
            if name.startswith("cells"):
                windows = _histograms_of_hosts(run, name, measure)
                found = chance.among_hosts(windows, run.poster, random, rounds)
            else:
                windows = _additive(run, name, measure)
                found = chance.among_hosts_by_time(windows, weights, run.poster, random, rounds)
            yield Verdict(f"{name}, {measure}", "other hosts, same run", *found)


def _between_runs(
    posting: Sightings, idle: Sightings, random: np.random.Generator, rounds: int
) -> Iterator[Verdict]:
    for name in STREAMS:
        if not name.startswith("cells"):
            continue
        for measure in MEASURES:
            both = [
                samples(run.hosts[run.poster][name], measure, run.begin_s, run.seconds)
                for run in (posting, idle)
            ]
            windows = chance.histograms([*both[0], *both[1]])
            some, others = windows[: len(both[0])], windows[len(both[0]) :]
            found = chance.between_runs(some, others, random, rounds)
            yield Verdict(f"{name}, {measure}", "itself, idle run", *found)


def _after_posts(run: Sightings, random: np.random.Generator, rounds: int) -> Iterator[Verdict]:
    for what, scores in scores_after_posts(run):
        found = chance.among_hosts_by_sum(scores, run.poster, random, rounds)
        yield Verdict(what, "other hosts, after each post", *found)


def scores_after_posts(run: Sightings) -> Iterator[tuple[str, np.ndarray]]:
    """What is measured, and how much more of it each host has right after each post than right
    before; shape (posts, hosts)."""
    for name, is_bytes, after_s in _MEASURED_AFTER:
        after, before = _after_and_before(run, name, is_bytes, after_s)
        yield _name(name, is_bytes, after_s), after - before
    for name in _FIRST_OF:
        yield _first_name(name), _shares_below(-_first_after(run, name))


def _after_and_before(
    run: Sightings, name: str, is_bytes: bool, after_s: float
) -> tuple[np.ndarray, np.ndarray]:
    """Packets or bytes after each post and for as long before; shape (posts, hosts) each."""
    begins, ends = _moments(run, after_s)
    after, before = (
        np.array([_between(host[name], is_bytes, *moments) for host in run.hosts]).T
        for moments in ((begins, ends), (begins - (ends - begins), begins))
    )
    return after, before


#: Cells have one size, so that their bytes say nothing more; another size is another test's.
_MEASURED_AFTER = [
    (name, is_bytes, after_s)
    for name in STREAMS
    for is_bytes in ((False,) if name.startswith("cells") else (False, True))
    for after_s in AFTER_S
]


#: Whoever publishes an entry is the first that says something of it, and to several others: so many
#: packets in so short a time are no ping and no reconciliation. In which order hosts come is what
#: is looked at, not when.
_TALKING_PACKETS, _TALKING_S = 3, 0.2
_FIRST_OF = ("tcp out", "tcp in")


def _first_name(stream: str) -> str:
    return f"{stream}, who is first"


def _first_after(run: Sightings, name: str) -> np.ndarray:
    """How long after each post each host begins to talk, at most as long as is looked; shape
    (posts, hosts)."""
    begins, ends = _moments(run, AFTER_S[-1])
    columns = []
    for host in run.hosts:
        at_s = host[name].at_s
        several = at_s[_TALKING_PACKETS - 1 :] - at_s[: 1 - _TALKING_PACKETS]
        at_s = np.append(at_s[: len(several)][several < _TALKING_S], np.inf)
        columns.append(np.minimum(at_s[np.searchsorted(at_s, begins)], ends) - begins)
    return np.array(columns).T


def _name(stream: str, is_bytes: bool, after_s: float) -> str:
    return f"{stream}, {'bytes' if is_bytes else 'packets'} within {after_s:g} s"


def _moments(run: Sightings, after_s: float) -> tuple[np.ndarray, np.ndarray]:
    begins = np.array([post.asked_s for post in run.posts])
    return begins, np.array([post.answered_s + after_s for post in run.posts])


def _between(stream: Stream, is_bytes: bool, begins: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """Packets or bytes from each moment to another."""
    weights = stream.ip_bytes if is_bytes else np.ones(len(stream.at_s))
    until = np.concatenate([[0.0], np.cumsum(weights)])
    first, last = (np.searchsorted(stream.at_s, moments) for moments in (begins, ends))
    return np.asarray(until[last] - until[first])


# --- Telling minutes and hosts --------------------------------------------------------------------


def auc_of_minutes(posting: Sightings, idle: Sightings, random: np.random.Generator) -> Auc:
    """Whether the poster's cells tell a minute with a post from one of the run without any."""
    posted = [post.asked_s for post in posting.posts]
    minutes = int(posting.seconds / MINUTE_S)
    edges = posting.begin_s + MINUTE_S * np.arange(minutes + 1)
    some = _features(posting)[np.histogram(posted, edges)[0] > 0]
    others = _features(idle)
    scores = chance.scores_unseen(some, others)
    both = np.concatenate([some, others])

    def by_chance() -> float:
        mixed = random.permutation(both)
        return chance.auc(*chance.scores_unseen(mixed[: len(some)], mixed[len(some) :]))

    return Auc(
        "minutes with a post and minutes without, by the poster's cells",
        chance.auc(*scores),
        *chance.bootstrapped(chance.auc, scores, random),
        *chance.interval(by_chance() for _ in range(_CHANCE_ROUNDS)),
        len(some),
        len(others),
    )


def _features(run: Sightings) -> np.ndarray:
    """By minute, out and in: packets, their mean and largest size, and mean, spread, least and
    largest of the gaps."""
    columns = []
    for name in ("cells out", "cells in"):
        stream = run.hosts[run.poster][name]
        sizes = samples(stream, "sizes", run.begin_s, run.seconds)
        gaps = samples(stream, "gaps", run.begin_s, run.seconds)
        columns.append([len(window) for window in sizes])
        columns += [_each(measure, sizes, 0.0) for measure in (np.mean, np.max)]
        columns += [_each(measure, gaps, MINUTE_S) for measure in (np.mean, np.std, np.min, np.max)]
    return np.array(columns, dtype=float).T


def _each(
    measure: Callable[[np.ndarray], float], windows: Sequence[np.ndarray], of_none: float
) -> list[float]:
    return [float(measure(window)) if len(window) else of_none for window in windows]


def auc_of_posts(run: Sightings, random: np.random.Generator) -> Auc:
    """Whether anything tells the poster from the other hosts after a post, whose time is known.

    As :func:`simnet.attacks.observer.observer_auc`: the measure and window that is best on one half
    of the posts judges the other half. What tells the host as well right *before* the posts is its
    habit, and is taken off.
    """
    wins = np.array(
        [
            *(_wins(run, *measured) for measured in _MEASURED_AFTER),
            *(_shares_below(-_first_after(run, name)) - 0.5 for name in _FIRST_OF),
        ]
    ).transpose(1, 0, 2)
    judged = _judged_by_the_other_half(wins[:, :, run.poster])

    def by_chance() -> float:
        pretended = random.integers(0, len(run.hosts), len(wins))
        chosen = np.take_along_axis(wins, pretended[:, None, None], axis=2)[:, :, 0]
        return float(_judged_by_the_other_half(chosen).mean())

    return Auc(
        "the poster and the others right after a post, by everything",
        float(judged.mean()),
        *chance.bootstrapped(lambda group: float(group.mean()), [judged], random),
        *chance.interval(by_chance() for _ in range(_CHANCE_ROUNDS)),
        len(wins),
        len(wins) * (len(run.hosts) - 1),
    )


def _judged_by_the_other_half(wins: np.ndarray) -> np.ndarray:
    judged = np.empty(len(wins))
    for half in (0, 1):
        means = wins[1 - half :: 2].mean(axis=0)
        best = int(np.abs(means).argmax())
        judged[half::2] = 0.5 + np.copysign(1.0, means[best]) * wins[half::2, best]
    return judged


def _wins(run: Sightings, name: str, is_bytes: bool, after_s: float) -> np.ndarray:
    """By post and host, of how many more of the other hosts it has more after the post than before
    it; a share, ties by half; shape (posts, hosts)."""
    after, before = _after_and_before(run, name, is_bytes, after_s)
    return _shares_below(after) - _shares_below(before)


def _shares_below(values: np.ndarray) -> np.ndarray:
    own, others = values[:, :, None], values[:, None, :]
    # With itself, each ties once.
    lower = (own > others).sum(axis=2) + ((own == others).sum(axis=2) - 1) / 2
    return np.asarray(lower / (values.shape[1] - 1))
