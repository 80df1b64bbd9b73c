"""A trace says what adversaries saw and not who wrote; and a run can be looked at again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from simnet import workload
from simnet.run import run_scenario
from simnet.scenario import of_settings
from simnet.trace import Line, TraceError, read_header, read_trace, replay, truth_path
from tests.simnet.test_run import mixed


@pytest.fixture(scope="module")
def traced(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    path = tmp_path_factory.mktemp("trace") / "run.jsonl"
    return path, run_scenario(mixed(seconds=60), 5, trace=path)


def records(traced: tuple[Path, dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [record for record in read_trace(traced[0]) if record["kind"] == kind]


def truth(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in truth_path(path).read_text().splitlines()]


def test_a_trace_changes_nothing(traced: tuple[Path, dict[str, Any]]) -> None:
    bare = run_scenario(mixed(seconds=60), 5)
    assert bare["trace_hash"] == traced[1]["trace_hash"]
    assert records(traced, "end")[0]["trace_hash"] == bare["trace_hash"]


def test_a_trace_holds_all_that_each_spy_and_the_observer_saw(
    traced: tuple[Path, dict[str, Any]],
) -> None:
    header = read_header(traced[0])
    sightings = records(traced, "sighting")
    assert {sighting["spy"] for sighting in sightings} == set(header["spies"])
    assert {"announce", "entry"} <= {sighting["what"] for sighting in sightings}
    packets = records(traced, "packet")
    assert len(packets) > 1000
    assert packets[0].keys() == {"kind", "at_us", "source", "destination", "bytes", "is_datagram"}


def test_a_trace_is_in_the_order_of_time(traced: tuple[Path, dict[str, Any]]) -> None:
    times = [record["at_us"] for record in read_trace(traced[0]) if "at_us" in record]
    assert times == sorted(times)


def test_the_truth_is_in_the_other_file_only(traced: tuple[Path, dict[str, Any]]) -> None:
    path, result = traced
    known = {entry["id"]: entry["author"] for entry in result["entries"]}
    told = {line["entry"]: line["author"] for line in truth(path)}
    assert known and known.items() <= told.items()
    assert "author" not in path.read_text().split("\n", 1)[1]


def test_the_truth_can_be_played_as_a_recorded_workload(
    traced: tuple[Path, dict[str, Any]],
) -> None:
    posts = workload.load_posts(truth_path(traced[0]), 8)
    assert [post.author for post in posts] == [line["author"] for line in truth(traced[0])]
    settings = {
        "scenario": {"seconds": 70},
        "hosts": {"count": 8, "ciphers": "cheap"},
        "workload": {"posts": [list(post) for post in posts], "quiet_s": 0},
    }
    played = run_scenario(of_settings(settings), 1)
    assert played["delivery"]["posts"] == len(posts)


def looked_back(
    traced: tuple[Path, dict[str, Any]], until_s: float, node: int, from_s: float = 0.0
) -> list[Line]:
    lines: list[Line] = []
    replay(read_header(traced[0]), until_s, node, lines.append, from_s)
    return lines


def test_a_replay_is_the_same_run(traced: tuple[Path, dict[str, Any]]) -> None:
    header = read_header(traced[0])
    one = replay(header, 30, 0, lambda line: None)
    other = replay(header, 30, 7, lambda line: None)
    assert one == other


def test_a_replay_tells_what_a_node_saw_and_did(traced: tuple[Path, dict[str, Any]]) -> None:
    author = truth(traced[0])[0]
    lines = looked_back(traced, author["at_s"] + 10, author["author"])
    text = "\n".join(line.text for line in lines)
    assert f"its user published {author['entry'][:12]}" in text
    assert {"in", "got", "sent", "event"} <= {line.kind for line in lines}
    assert "is up" in text and "Announce" in text


def test_a_replay_ends_and_begins_where_it_is_told(traced: tuple[Path, dict[str, Any]]) -> None:
    lines = looked_back(traced, 25, 1, 20)
    assert lines
    assert all(20 <= line.at_s <= 25 for line in lines)


def test_a_node_that_is_not_there_is_refused(traced: tuple[Path, dict[str, Any]]) -> None:
    with pytest.raises(TraceError, match="nodes 0 to 7"):
        looked_back(traced, 1, 8)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"kind": "packet"}', '{"kind": "header"}'])
def test_a_file_that_is_no_trace_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "broken"
    path.write_text(content)
    with pytest.raises(TraceError, match="broken"):
        read_header(path)
