"""The graph as an attack knows it."""

from __future__ import annotations

from simnet.attacks.graph import Graph
from tests.simnet.attacks.sighted import sighting


def test_distances_follow_links_and_for_stems_the_way_back_along_dialled_ones() -> None:
    pairs = [(0, 1), (1, 2), (2, 3), *((n, n + 1) for n in range(4, 40))]
    graph = Graph.of(pairs, range(41), spies={3})
    assert dict(graph.distances(sighting(0, 3, 2, b"e"))) == {2: 0, 1: 1, 3: 1, 0: 2}
    assert dict(graph.distances(sighting(0, 3, 2, b"e", "hand"))) == {2: 0, 1: 1, 0: 2}
    assert dict(graph.distances(sighting(0, 3, 1, b"e", "hand"))) == {1: 0, 0: 1}
    assert graph.spy_links[2] == 1 and graph.spy_links[1] == 0
