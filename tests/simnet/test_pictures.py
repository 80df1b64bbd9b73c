"""Pictures hold what results say, and are the same each time."""

from __future__ import annotations

import math
from base64 import b64decode
from typing import Any
from xml.etree import ElementTree

import pytest

pytest.importorskip("matplotlib")

from simnet import pictures
from simnet.pictures import Picture
from tests.simnet.results import a_result, an_attack, nothing_happened


def hosts(*segments: tuple[int, ...]) -> list[dict[str, Any]]:
    return [
        {"number": number, "segments": list(on), "role": "honest"}
        for number, on in enumerate(segments)
    ]


def texts(picture: Picture) -> list[str]:
    kind, _, encoded = picture.light.partition(";base64,")
    assert kind == "data:image/svg+xml"
    root = ElementTree.fromstring(b64decode(encoded))
    return ["".join(text.itertext()) for text in root.iter("{http://www.w3.org/2000/svg}text")]


def test_hosts_of_a_segment_lie_in_its_disc_and_apart() -> None:
    at, discs = pictures.places(hosts(*[(0,)] * 40, *[(1,)] * 25, (0, 1), (0, 1)))
    for number in range(65):
        (x, y), radius = discs[number >= 40]
        assert math.dist(at[number], (x, y)) < radius
    assert len(set(at.values())) == 67
    for number in (65, 66):
        assert discs[0][0][0] < at[number][0] < discs[1][0][0]


def test_discs_do_not_overlap() -> None:
    _, discs = pictures.places(hosts(*[(place % 7,) for place in range(300)]))
    assert len(discs) == 7
    for i, (one, radius) in enumerate(discs):
        assert all(math.dist(one, other) > 2 * radius for other, _ in discs[:i])


@pytest.mark.parametrize("count", [12, 400])
def test_a_graph_has_no_discs(count: int) -> None:
    at, discs = pictures.places(hosts(*[(place,) for place in range(count)]))
    assert discs == [] and len(set(at.values())) == count


def test_a_map_tells_who_and_when() -> None:
    picture = pictures.spread_map(a_result())
    assert picture is not None and "16 nodes" in picture.alt
    assert {"network 1", "network 2", "author", "adversary"} <= set(texts(picture))
    assert "never" not in texts(picture)


def test_moments_go_from_one_node_to_all() -> None:
    captions = [caption for caption, _ in pictures.spread_moments(a_result())]
    assert captions[0].endswith("1 of 15 nodes") and captions[-1].endswith("15 of 15 nodes")


def test_whoever_never_got_it_is_in_the_legend() -> None:
    result = a_result()
    result["spread"]["arrivals"] = result["spread"]["arrivals"][:9]
    picture = pictures.spread_map(result)
    assert picture is not None and "never" in texts(picture)


def test_a_large_map_is_made_of_pixels() -> None:
    result = a_result()
    result["hosts"] = hosts(*[(place // 50,) for place in range(pictures.SVG_HOSTS_MAX + 1)])
    picture = pictures.spread_map(result)
    assert picture is not None and picture.light.startswith("data:image/png;base64,")


def test_pictures_are_the_same_each_time_and_differ_by_paper() -> None:
    first, second = (pictures.latency([a_result()], ["ours"]) for _ in range(2))
    assert first is not None and first == second
    assert first.light != first.dark


def test_a_timeline_has_a_row_for_each_kind_of_trouble() -> None:
    faults = [
        {"at_s": 5.0, "what": "crash", "hosts": [1]},
        {"at_s": 9.0, "what": "restart", "hosts": [1]},
        {"at_s": 12.0, "what": "replay", "hosts": [2]},
    ]
    picture = pictures.timeline(a_result(faults=faults))
    assert picture is not None
    assert {"posts", "crash", "replay"} <= set(texts(picture))
    assert "restart" not in texts(picture)


def test_attacks_are_set_beside_baselines_blind_guess_and_share_of_spies() -> None:
    results = [
        a_result(attacks=[an_attack(0.08), an_attack(0.1, estimator="timing")]),
        a_result(attacks=[an_attack(0.41)]),
        a_result(),
    ]
    drawn = dict(pictures.attacks(results, ["ours", "gossip", "neither"]))
    assert list(drawn) == ["first-spy", "timing"]
    shown = set(texts(drawn["first-spy"]))
    assert {"ours", "gossip", "blind guess", "share of spies"} <= shown
    assert "neither" not in shown
    assert "gossip" not in texts(drawn["timing"])


def test_of_nothing_there_is_no_picture() -> None:
    nothing = nothing_happened()
    assert pictures.spread_map(nothing) is None and pictures.spread_moments(nothing) == []
    assert pictures.latency([nothing], ["ours"]) is None
    assert pictures.message_kinds([nothing], ["ours"]) is None
    assert pictures.timeline(nothing) is None
    assert pictures.attacks([nothing], ["ours"]) == []
    assert pictures.observer([nothing], ["ours"]) is None
    assert pictures.load([nothing], ["ours"]) == []
