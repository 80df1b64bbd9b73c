"""Who wrote each entry: all that attackers saw of cells, put together.

An entry may have come to attackers in several ways: pieces of it, or several tries, that spies
opened, and where an honest relay published it. Each gives a probability for each node; they are
multiplied (of one author, they are independent as far as the mix works).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from simnet.attacks.beliefs import View, believe
from simnet.attacks.exits import Exits
from simnet.attacks.tracing import Origins
from simnet.attacks.tracks import Floats, Pace, Tracks

#: Of each node, the probability that it wrote an entry.
Posterior = Floats

#: Beliefs are made for so long at a time ...
_SPAN_S = 60.0
#: ... and need what was before, and after, in mean delays: five of them last longer than the first
#: of these once in 10,000.
_BEFORE_DELAYS = 24.0
_AFTER_DELAYS = 8.0
#: No posterior is so sure that another could not overrule it: the model leaves things out.
_DOUBT = 1e-6


@dataclass(frozen=True, slots=True)
class Known:
    """What attackers know of one entry's cells.

    :ivar rows: of the tracks that brought it, or pieces of it, to spies.
    :ivar exits: where an honest node may have published it.
    """

    rows: list[int] = field(default_factory=list)
    exits: Exits = ()


@dataclass(frozen=True, slots=True)
class Watch:
    """What attackers saw.

    :ivar suspects: of each node, 1 if it may be an author, else 0.
    :ivar unseen: between how many honest nodes cells go unseen; 0: all are seen.
    """

    tracks: Tracks
    pace: Pace
    suspects: Floats
    unseen: int
    begin_s: float
    end_s: float


def name_authors(watch: Watch, known: Mapping[bytes, Known]) -> dict[bytes, Posterior]:
    """Of each entry of which something is known, the probability of each node."""
    logs: dict[bytes, Floats] = {}
    prior = watch.suspects / watch.suspects.sum()
    for span in _spans(watch, known):
        for entry, posterior in span:
            log = np.log(posterior * (1 - _DOUBT) + prior * _DOUBT + 1e-300)
            logs[entry] = logs.get(entry, 0.0) + log
    return {entry: _normal(log, watch.suspects) for entry, log in logs.items()}


def multiply(posteriors: Sequence[Posterior], suspects: Floats) -> Posterior:
    """What several entries of one persona say together."""
    prior = suspects / suspects.sum()
    logs = [np.log(p * (1 - _DOUBT) + prior * _DOUBT + 1e-300) for p in posteriors]
    return _normal(np.sum(logs, axis=0), suspects)


def _normal(log: Floats, suspects: Floats) -> Posterior:
    weights = np.exp(log - log[suspects > 0].max()) * (suspects > 0)
    return np.asarray(weights / weights.sum())


def _spans(
    watch: Watch, known: Mapping[bytes, Known]
) -> Iterator[Iterator[tuple[bytes, Posterior]]]:
    """Piece by piece of the time, what is known of entries that came out then."""
    delay_s = watch.pace.delay_s
    at_s = watch.begin_s
    while at_s < watch.end_s:
        until_s = at_s + _SPAN_S
        low, high = np.searchsorted(
            watch.tracks.left_s,
            [at_s - _BEFORE_DELAYS * delay_s, until_s + _AFTER_DELAYS * delay_s],
        )
        due = list(_due(watch, known, at_s, until_s))
        if due:
            begin_s = max(watch.begin_s, at_s - _BEFORE_DELAYS * delay_s)
            end_s = min(watch.end_s, until_s + _AFTER_DELAYS * delay_s)
            view = View(watch.pace, len(watch.suspects), watch.unseen, begin_s, end_s)
            beliefs = believe(watch.tracks.rows(slice(low, high)), view)
            yield _judge(Origins(beliefs, watch.suspects), due, int(low))
        at_s = until_s


_Due = tuple[bytes, int | None, Exits]


def _due(watch: Watch, known: Mapping[bytes, Known], at_s: float, until_s: float) -> Iterator[_Due]:
    for entry, what in known.items():
        for row in what.rows:
            if at_s <= watch.tracks.came_s[row] < until_s:
                yield entry, row, ()
        if what.exits and at_s <= what.exits[0][0].at_s < until_s:
            yield entry, None, what.exits


def _judge(origins: Origins, due: Sequence[_Due], low: int) -> Iterator[tuple[bytes, Posterior]]:
    for entry, row, exits in due:
        if row is not None:
            yield entry, origins.of_track(row - low)
        else:
            parts = [weight * origins.of_opened(opened) for opened, weight in exits]
            yield entry, np.sum(parts, axis=0)
