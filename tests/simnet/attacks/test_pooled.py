"""The pooled estimator finds what can be found and claims no more."""

from __future__ import annotations

from random import Random

from simnet.attacks.first_spy import first_spy
from simnet.attacks.graph import Graph
from simnet.attacks.pooled import pooled
from simnet.attacks.success import measure
from tests.simnet.attacks.sighted import sighting


def ring_with_one_spy(count: int) -> Graph:
    """Host 0 is the spy, linked with all; the others are a ring."""
    ring = [(n, n % (count - 1) + 1) for n in range(1, count)]
    return Graph.of([*ring, *((n, 0) for n in range(1, count))], range(1, count), {0})


def test_pooled_learns_that_the_author_is_always_the_next_but_one_who_is_heard_first() -> None:
    # A made-up strategy: the first who is heard of is a neighbour of the author, the second the
    # author's other neighbour. First-spy is always wrong; the author is the one between.
    graph, random = ring_with_one_spy(41), Random(1)
    truth, evidence = {}, {}
    for number in range(200):
        author = random.randrange(1, 41)
        sides = [author % 40 + 1, (author - 2) % 40 + 1]
        random.shuffle(sides)
        entry = number.to_bytes(2, "big")
        truth[entry] = author
        evidence[entry] = [sighting(i, 0, side, entry) for i, side in enumerate(sides)]
    assert measure(first_spy(evidence), truth, 40).named == 0
    assert measure(pooled(graph, evidence, truth), truth, 40).named > 0.95


def test_pooled_finds_nothing_where_there_is_nothing_to_find() -> None:
    graph, random = ring_with_one_spy(41), Random(2)
    truth = {n.to_bytes(2, "big"): random.randrange(1, 41) for n in range(600)}
    evidence = {
        entry: [
            sighting(i, 0, peer, entry) for i, peer in enumerate(random.sample(range(1, 41), 5))
        ]
        for entry in truth
    }
    assert measure(pooled(graph, evidence, truth), truth, 40).named < 0.06


def test_pooled_names_for_certain_who_hands_over() -> None:
    graph, random = ring_with_one_spy(41), Random(3)
    truth, evidence = {}, {}
    for number in range(100):
        entry, author = number.to_bytes(2, "big"), random.randrange(1, 41)
        others = [sighting(5 + i, 0, random.randrange(1, 41), entry) for i in range(4)]
        truth[entry] = author
        evidence[entry] = [sighting(0, 0, author, entry, "hand"), *others]
    assert measure(pooled(graph, evidence, truth), truth, 40).named == 1


def test_pooled_is_never_judged_on_what_it_was_trained_on() -> None:
    # Each author has a habit that nobody shares: learnt by heart it would name everybody.
    graph = ring_with_one_spy(41)
    truth = {b"only": 7}
    evidence = {b"only": [sighting(0, 0, 7, b"only"), sighting(1, 0, 8, b"only")]}
    assert pooled(graph, evidence, truth) == {b"only": 1}, "it has nothing to go by"
