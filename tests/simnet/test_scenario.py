"""Scenario files say what they mean, and every mistake is told in one line."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simnet.faults import Faults
from simnet.scenario import (
    GALLERY,
    Scenario,
    ScenarioError,
    explain,
    gallery,
    load,
    of_settings,
    to_settings,
)

GALLERY_NAMES = [
    "campus-500",
    "crowd-10k",
    "flood",
    "monday-morning",
    "office-20",
    "partition",
    "spies",
    "two-floors",
]


def complaint(*changes: str) -> str:
    with pytest.raises(ScenarioError) as caught:
        load("office-20", changes)
    return str(caught.value)


def test_the_gallery_has_its_scenarios() -> None:
    assert gallery() == GALLERY_NAMES


@pytest.mark.parametrize("name", GALLERY_NAMES)
def test_a_scenario_of_the_gallery_can_be_loaded_and_is_commented(name: str) -> None:
    made = load(name)
    assert made.name == name
    assert made.title and made.scenario.story
    assert (GALLERY / f"{name}.toml").read_text().startswith("# ")


@pytest.mark.parametrize("name", GALLERY_NAMES)
def test_settings_make_the_same_scenario_again(name: str) -> None:
    made = load(name)
    assert of_settings(to_settings(made)) == made


def test_an_empty_file_is_all_defaults() -> None:
    assert of_settings({}) == Scenario()


def test_keys_that_a_table_lacks_have_their_defaults() -> None:
    made = of_settings({"network": {"topology": "campus", "between": {"loss": 0.5}}})
    assert made.network.between.loss == 0.5
    assert made.network.between.latency_ms == Scenario().network.between.latency_ms


def test_every_setting_is_explained() -> None:
    for section, about, settings in explain(load("spies", ["churn.rhythm=daily"])):
        assert about, section
        for setting in settings:
            assert setting.meaning, f"{section}.{setting.key}"


def test_a_share_of_adversaries_is_of_all_hosts() -> None:
    made = of_settings({"hosts": {"count": 50}, "adversaries": {"spies": {"share": 0.1}}})
    assert made.adversaries_count == 5


def test_the_observer_is_no_host() -> None:
    made = of_settings({"adversaries": {"observer": {}}})
    assert [adversary.name for adversary in made.adversaries] == ["observer"]
    assert made.adversaries_count == 0


def test_break_is_a_key_like_any_other() -> None:
    assert of_settings({"faults": {"break": 0.5}}).faults == Faults(break_=0.5)


@pytest.mark.parametrize(
    ("change", "parts"),
    [
        ("hosts.count=0", ["hosts.count", "whole number from 1"]),
        ("hosts.count=2.5", ["hosts.count", "whole number"]),
        ("hosts.count=true", ["hosts.count", "true", "whole number"]),
        ("hosts.ciphers=none", ["hosts.ciphers", '"real", "cheap"']),
        ("hosts.slowness=[3, 1]", ["hosts.slowness", "[low, high]"]),
        ("hosts.slowness=2", ["hosts.slowness", "[low, high]"]),
        ("hosts.hosts=20", ["hosts.hosts", "no such key", "allowed", "count"]),
        ("network.inside.latency_s=3", ["network.inside.latency_s", "milliseconds: latency_ms"]),
        ("network.inside.latency_ms=5ms", ["latency_ms", "'5ms'", "milliseconds"]),
        ("network.inside.latency_ms=-1", ["latency_ms", "0 or more"]),
        ("network.inside.latency_ms=nan", ["latency_ms", "0 or more"]),
        ("network.inside.loss=2", ["network.inside.loss", "from 0 to 1"]),
        ("network.inside=3", ["network.inside", "table"]),
        ("network.topology=star", ["network.topology", '"lan"']),
        ("network.degree=3", ["network.degree", 'topology = "random-regular"']),
        ("network.topology=subnets", ["network.segment_sizes", "must be 20"]),
        ("faults.brake=0.1", ["faults.brake", "did you mean break?"]),
        ("fault.break=0.1", ["[fault]", "no such section", "faults"]),
        ("workload.replies_share=70", ["workload.replies_share", "from 0 to 1"]),
        ("workload.trace=nowhere.jsonl", ["workload.trace", "nowhere.jsonl"]),
        ("publishing.strategy=shout", ["publishing.strategy", '"gossip"']),
        ("adversaries.ghosts.count=1", ["adversaries.ghosts", "spies"]),
        ("adversaries.spies.count=21", ["adversaries.spies.count", "from 0 to 20"]),
        ("adversaries.spies.count=20", ["adversaries", "nobody honest"]),
        ("adversaries.spies.cunning=3", ["adversaries.spies.cunning", "count, share"]),
        ("board.work_bits=64", ["board.work_bits", "from 0 to 20"]),
        ('board.name=""', ["board", "name"]),
    ],
)
def test_a_mistake_is_one_line_with_file_key_and_what_is_allowed(
    change: str, parts: list[str]
) -> None:
    said = complaint(change)
    assert said.startswith("office-20.toml: ")
    assert "\n" not in said
    for part in parts:
        assert part in said


def test_a_day_that_ends_before_it_begins_is_refused() -> None:
    said = complaint("churn.rhythm=daily", "churn.open_hour=19.0")
    assert "churn" in said and "close_hour" in said


def test_count_and_share_together_are_refused() -> None:
    said = complaint("adversaries.spies.count=1", "adversaries.spies.share=0.1")
    assert "one of them" in said


@pytest.mark.parametrize("change", ["hosts.count", "count=3", "=3", "hosts.=3", "hosts.count.x=3"])
def test_a_change_that_is_none_is_refused(change: str) -> None:
    assert complaint(change)


def test_a_file_that_is_not_there_is_told_with_what_there_is() -> None:
    with pytest.raises(ScenarioError, match="office-20"):
        load("no-such-scenario")


@pytest.mark.parametrize("content", [b"[hosts\n", b"\xff\xfe", b"hosts = 3\n"])
def test_a_file_that_is_no_scenario_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "broken.toml"
    path.write_bytes(content)
    with pytest.raises(ScenarioError, match=r"broken\.toml"):
        load(path)


def test_a_file_is_named_after_itself(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text("[hosts]\ncount = 3\n")
    assert load(path).name == "mine"


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=4,
)
_SECTIONS = ["scenario", "board", "network", "hosts", "churn", "workload", "faults", "trouble"]
_KEYS = ["name", "seconds", "count", "topology", "edges", "inside", "posts", "rhythm", "slowness"]


@given(
    st.dictionaries(
        st.sampled_from([*_SECTIONS, "checks", "adversaries", "publishing"]),
        st.dictionaries(st.sampled_from([*_KEYS, "spies", "strategy"]), _VALUES) | _VALUES,
    )
)
def test_only_documented_errors(settings: dict[str, object]) -> None:
    try:
        of_settings(settings)
    except ScenarioError as error:
        assert "\n" not in str(error)
