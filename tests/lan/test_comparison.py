"""The comparison of captures, on captures that are made up: it finds what was planted, and nothing
where nothing was."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from tests.lan import chance
from tests.lan.comparison import compare
from tests.lan.sightings import Posted, Sightings, Stream, stream_of

SECONDS = 1800.0
CELL_IP_BYTES = 1260
CELLS_PER_S = 4.5
HOSTS = 6
#: Enough for p < 0.01 after correction for all comparisons.
ROUNDS, P = 6_000, 0.01

Made = list[dict[str, list[tuple[float, int]]]]


def poisson(random: np.random.Generator, per_s: float) -> np.ndarray:
    return np.sort(random.uniform(0.0, SECONDS, random.poisson(per_s * SECONDS)))


def made_up(seed: int, has_posts: bool) -> tuple[Made, list[Posted]]:
    """Cells at random, TCP where a host answers to an entry; each host with habits of its own."""
    random = np.random.default_rng(seed)
    slots = np.arange(30.0, SECONDS - 60.0, 40.0)
    asked = slots + random.uniform(0.0, 20.0, len(slots)) if has_posts else []
    posts = [Posted(float(at), float(at) + 0.1) for at in asked]
    hosts: Made = []
    for number in range(HOSTS):
        cells = {
            f"cells {way}": [(at, CELL_IP_BYTES) for at in poisson(random, CELLS_PER_S)]
            for way in ("out", "in")
        }
        tcp: dict[str, list[tuple[float, int]]] = {}
        for way in ("out", "in"):
            habits = poisson(random, 0.05 + 0.02 * number)
            answers = [post.answered_s + random.gamma(3.0, 1.5) for post in posts for _ in range(3)]
            tcp[f"tcp {way}"] = [(float(at), 564 + 100 * (number % 3)) for at in habits]
            tcp[f"tcp {way}"] += [(at, 564) for at in answers]
        hosts.append({**cells, **tcp})
    return hosts, posts


def seen(made: Made, posts: list[Posted]) -> Sightings:
    hosts = [{name: stream_of(pairs) for name, pairs in host.items()} for host in made]
    return Sightings(hosts, 0.0, SECONDS, poster=2, posts=posts)


def nothing(made: Made, posts: list[Posted]) -> None:
    pass


def an_extra_cell(made: Made, posts: list[Posted]) -> None:
    """The poster does not wait for an emission."""
    made[2]["cells out"] += [(post.answered_s + 0.02, CELL_IP_BYTES) for post in posts]


def a_larger_cell(made: Made, posts: list[Posted]) -> None:
    """The next cell after a post is not as full of zeros as the others."""
    out = sorted(made[2]["cells out"])
    for post in posts:
        index = next(i for i, (at, _) in enumerate(out) if at > post.answered_s)
        out[index] = (out[index][0], CELL_IP_BYTES + 16)
    made[2]["cells out"] = out


def a_cell_less_in(made: Made, posts: list[Posted]) -> None:
    """Cover comes home, and an entry does not: one in fifteen cells is missing."""
    into = made[2]["cells in"]
    made[2]["cells in"] = [pair for index, pair in enumerate(into) if index % 15]


def an_entry_that_is_not_fetched(made: Made, posts: list[Posted]) -> None:
    """The poster has its entry already, and everybody sees that it asks nobody."""
    random = np.random.default_rng(5)
    for host in [host for number, host in enumerate(made) if number != 2]:
        host["tcp in"] += [(post.answered_s + random.gamma(3.0, 1.5), 2100) for post in posts]


def a_poster_that_hears_of_it_last(made: Made, posts: list[Posted]) -> None:
    """Who comes first is drawn, but for the poster."""
    random = np.random.default_rng(6)
    for post in posts:
        at = post.answered_s + 0.1 * random.random()
        order = random.permutation([number for number in range(HOSTS) if number != 2])
        for place, number in enumerate([*order, 2]):
            made[number]["tcp out"] += [(at + 0.01 * place + 0.001 * k, 564) for k in range(3)]


Plant = Callable[[Made, list[Posted]], None]


def found(plant: Plant, seed: int = 1) -> set[str]:
    """What is told apart when something was planted."""
    made, posts = made_up(seed, has_posts=True)
    plant(made, posts)
    idle, _ = made_up(seed + 1000, has_posts=False)
    result = compare(seen(made, posts), seen(idle, []), rounds=ROUNDS)
    return {verdict.what for verdict in result.told_apart(P)}


def test_nothing_is_found_where_nothing_was_planted() -> None:
    assert found(nothing) == set()


@pytest.mark.parametrize(
    ("plant", "what"),
    [
        (an_extra_cell, "cells out, packets within 0.05 s"),
        (a_larger_cell, "cells out, sizes"),
        (a_cell_less_in, "cells in, counts"),
        (an_entry_that_is_not_fetched, "tcp in, bytes within 15 s"),
        (a_poster_that_hears_of_it_last, "tcp out, who is first"),
    ],
)
def test_what_posting_shows_is_found(plant: Plant, what: str) -> None:
    assert what in found(plant)


def test_a_planted_leak_raises_the_auc_and_nothing_does_not() -> None:
    made, posts = made_up(1, has_posts=True)
    idle = seen(made_up(1001, has_posts=False)[0], [])
    for told in compare(seen(made, posts), idle, rounds=100).aucs:
        assert told.chance_low < told.auc < told.chance_high
    a_larger_cell(made, posts)
    an_extra_cell(made, posts)
    for told in compare(seen(made, posts), idle, rounds=100).aucs:
        assert told.low > 0.5 and told.auc > told.chance_high


def test_without_an_effect_p_is_as_often_small_as_it_says() -> None:
    random = np.random.default_rng(1)
    values = []
    for _ in range(200):
        windows = random.poisson(3.0, (10, 6, 4)).astype(float)
        values.append(chance.among_hosts(windows, 0, random, 200)[1])
        values.append(chance.between_runs(windows[:, 0], windows[:, 1], random, 200)[1])
        values.append(chance.among_hosts_by_sum(windows[:, :, 0], 0, random, 200)[1])
        weights = random.poisson(1.0, 10).astype(float)
        values.append(chance.among_hosts_by_time(windows, weights, 0, random, 200)[1])
    for by_kind in (values[kind::4] for kind in range(4)):
        assert sum(value <= 0.1 for value in by_kind) < 40
        assert sum(value <= 0.5 for value in by_kind) > 60


def test_what_a_host_always_does_more_than_others_is_no_sign_of_posting() -> None:
    random = np.random.default_rng(2)
    windows = random.poisson(3.0, (30, 6, 1)).astype(float)
    windows[:, 0] += 20
    weights = random.poisson(1.0, 30).astype(float)
    _, p = chance.among_hosts_by_time(windows, weights, 0, random, 2000)
    assert p > 0.01
    windows[:, 0, 0] += 3 * weights
    _, p = chance.among_hosts_by_time(windows, weights, 0, random, 2000)
    assert p < 0.001


def test_p_values_are_corrected_for_their_number() -> None:
    assert chance.holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert chance.holm([0.9, 0.8]) == [1.0, 1.0]


def test_the_distance_is_that_of_kolmogorov_and_smirnov() -> None:
    some, others = np.array([1.0, 2.0, 3.0]), np.array([2.5, 3.5])
    first, second = chance.histograms([some, others])
    # Below 2.5 lie two thirds of the one and nothing of the other.
    assert float(chance.kolmogorov(first, second)) == pytest.approx(2 / 3)
    assert float(chance.kolmogorov(first, np.zeros(len(first)))) == 0.0


def test_an_auc_counts_ties_by_half() -> None:
    assert chance.auc(np.array([1.0, 2.0]), np.array([1.0, 0.0])) == pytest.approx(7 / 8)


def test_a_discriminant_is_judged_on_what_it_has_not_seen() -> None:
    random = np.random.default_rng(3)
    noise = [random.normal(size=(20, 10)) for _ in range(2)]
    assert 0.2 < chance.auc(*chance.scores_unseen(*noise)) < 0.75
    noise[0][:, 4] += 3.0
    assert chance.auc(*chance.scores_unseen(*noise)) > 0.9


def test_another_host_can_be_taken_for_the_poster() -> None:
    run = Sightings([{"cells out": Stream(np.zeros(0), np.zeros(0))}], 0.0, 1.0, 0, [])
    assert run.as_if(3) == replace(run, poster=3)
