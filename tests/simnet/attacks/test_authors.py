"""Who wrote an entry, from all packets of a mix: on networks drawn by hand or at random."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest

from simnet.attacks.authors import Known, Watch, multiply, name_authors
from simnet.attacks.tracing import Opened
from simnet.attacks.tracks import Pace, Tracks

ENTRY = b"entry"
NODES = 12


def watch(rows: list[tuple[float, int, float, int, int]], pace: Pace, end_s: float) -> Watch:
    """All legs seen, by somebody who is none of the nodes."""
    return Watch(Tracks.of(rows), pace, np.ones(NODES), 0, 0.0, end_s)


def leg(at_s: float, source: int, target: int) -> tuple[float, int, float, int, int]:
    return (at_s, source, at_s, target, 0)


def test_a_cell_that_is_alone_leads_back_to_its_author() -> None:
    rows = [leg(10.0, 3, 5), leg(10.4, 5, 7), leg(11.0, 7, 9)]
    known = {ENTRY: Known(exits=[(Opened(11.5, 9), 1.0)])}
    posterior = name_authors(watch(rows, Pace(1.0, 0.5, 3), 30.0), known)[ENTRY]
    assert posterior.sum() == pytest.approx(1.0)
    assert posterior.argmax() == 3 and posterior[3] > 0.9


def drawn(seed: int, pace: Pace, seconds: float) -> tuple[list[tuple[float, int, Opened]], Watch]:
    """A mix of twelve nodes on paper: of each cell when it left, its author and where it came
    out."""
    random = Random(seed)
    cells, rows = [], []
    for author in range(NODES):
        at_s = random.expovariate(1 / pace.emit_s)
        while at_s < seconds:
            others = [node for node in range(NODES) if node != author]
            path = random.sample(others, pace.legs)
            left_s, source = at_s, author
            for relay in path:
                rows.append(leg(left_s, source, relay))
                left_s, source = left_s + random.expovariate(1 / pace.delay_s), relay
            cells.append((at_s, author, Opened(left_s, path[-1])))
            at_s += random.expovariate(1 / pace.emit_s)
    return cells, watch(rows, pace, seconds + 60)


def share_named(pace: Pace) -> float:
    """How often the likeliest node is the author, over all cells of two networks."""
    right = total = 0
    for seed in (1, 2):
        cells, seen = drawn(seed, pace, 200.0)
        judged = [cell for cell in cells if 40.0 < cell[0] < 160.0]
        known = {b"%d" % i: Known(exits=[(c[2], 1.0)]) for i, c in enumerate(judged)}
        posteriors = name_authors(seen, known)
        for number, (_, author, _) in enumerate(judged):
            right += int(posteriors[b"%d" % number].argmax()) == author
            total += 1
    return right / total


def test_longer_delays_hide_better_and_no_delay_hides_nothing() -> None:
    """The attack must find an author whom the mix does not hide."""
    short, usual = share_named(Pace(2.0, 0.02, 3)), share_named(Pace(2.0, 2.0, 3))
    assert short > 0.8 and usual < 0.35


def test_several_entries_of_one_author_say_more_than_one() -> None:
    suspects = np.ones(4)
    weak = np.array([0.4, 0.2, 0.2, 0.2])
    assert multiply([weak] * 5, suspects)[0] > 0.9
