"""A run follows from its scenario and its seed, and from nothing else."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from simnet.run import Progress, begin, build, passing, run_scenario
from simnet.scenario import Scenario, ScenarioError, load, of_settings

KEYS = {
    *("format", "scenario", "seed", "strategy", "ciphers", "simulated_s", "events", "trace_hash"),
    *("delivery", "redundancy", "traffic", "load", "hosts", "entries", "spread", "faults"),
    *("checks", "attacks", "observer", "host"),
}
#: Some of everything, small.
SETTINGS: dict[str, dict[str, Any]] = {
    "scenario": {"name": "mixed", "seconds": 90},
    "hosts": {"count": 8, "ciphers": "cheap", "clock_skew_s": [-30, 30], "slowness": [1, 3]},
    "workload": {"posts_per_hour": 900, "first_s": 15, "quiet_s": 10, "bursts_per_hour": 40},
    "churn": {"rhythm": "daily", "start_hour": 12.49, "lunch_spread_s": 30, "lunch_s": 20},
    "faults": {"break": 0.001, "advert_loss": 0.1},
    "trouble": {"crashes": 360, "partitions": 120, "lasts_s_max": 10},
    "adversaries": {"spies": {"count": 2}, "observer": {}},
}


def mixed(**scenario: Any) -> Scenario:
    return of_settings(SETTINGS | {"scenario": SETTINGS["scenario"] | scenario})


def without_machine(result: dict[str, Any]) -> str:
    return json.dumps({key: value for key, value in result.items() if key != "host"})


@pytest.fixture(scope="module")
def result() -> dict[str, Any]:
    return run_scenario(mixed(), 5)


def test_the_result_is_json_with_the_documented_keys(result: dict[str, Any]) -> None:
    assert result.keys() == KEYS
    assert json.loads(json.dumps(result)) == result
    assert {"wall_s", "events_per_s", "rss_mb_max", "python", "machine"} <= result["host"].keys()


def test_everything_that_a_scenario_asks_for_happens(result: dict[str, Any]) -> None:
    roles = [host["role"] for host in result["hosts"]]
    assert roles.count("spy") == 2 and roles.count("honest") == 6
    assert result["delivery"]["posts"] > 5
    assert {fault["what"] for fault in result["faults"]} >= {"crash", "partition"}
    assert {attack["estimator"] for attack in result["attacks"]} >= {"first-spy"}
    assert result["observer"] is not None
    assert result["checks"]["converged"] is True
    assert result["checks"]["violations"] == []


def test_the_same_seed_is_the_same_run(result: dict[str, Any]) -> None:
    assert without_machine(run_scenario(mixed(), 5)) == without_machine(result)


def test_another_seed_is_another_run(result: dict[str, Any]) -> None:
    assert run_scenario(mixed(), 6)["trace_hash"] != result["trace_hash"]


@pytest.mark.parametrize("hash_seed", ["0", "4711"])
def test_the_hash_seed_of_the_interpreter_does_not_matter(
    result: dict[str, Any], hash_seed: str
) -> None:
    program = (
        "import json, sys; from simnet.run import run_scenario;"
        "from simnet.scenario import of_settings;"
        "result = run_scenario(of_settings(json.load(sys.stdin)), 5);"
        "del result['host']; print(json.dumps(result))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program],
        input=json.dumps(SETTINGS),
        env=os.environ | {"PYTHONHASHSEED": hash_seed},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert ran.stdout.strip() == without_machine(result)


def test_being_watched_changes_nothing() -> None:
    seen: list[Progress] = []
    bare = run_scenario(mixed(seconds=20.5), 1)
    watched = run_scenario(mixed(seconds=20.5), 1, progress=seen.append)
    assert bare["trace_hash"] == watched["trace_hash"]
    assert [progress.simulated_s for progress in seen] == [*range(1, 21), 20.5]
    assert seen[-1].remaining_s == 0


def test_a_time_that_floats_cannot_hold_is_reached_all_the_same() -> None:
    built = build(mixed(), 1)
    begin(built)
    *_, last = passing(built, 1.2345678)
    assert last == pytest.approx(1.234567, abs=1e-9)


def test_settings_are_in_the_result_and_make_the_same_run(result: dict[str, Any]) -> None:
    again = run_scenario(of_settings(result["scenario"]), result["seed"])
    assert again["trace_hash"] == result["trace_hash"]


def test_a_strategy_takes_the_place_of_the_scenarios() -> None:
    changed = run_scenario(mixed(seconds=30), 1, strategy="gossip")
    assert changed["strategy"] == changed["scenario"]["publishing"]["strategy"] == "gossip"
    # It serves own entries at once, on purpose.
    assert changed["checks"]["violations"] == []


def test_an_unknown_strategy_is_refused() -> None:
    with pytest.raises(ScenarioError, match="gossip"):
        run_scenario(mixed(), 1, strategy="shouting")


def test_adversaries_sit_at_places_that_the_seed_draws() -> None:
    def spies(seed: int) -> list[int]:
        return [spy.number for spy in build(mixed(), seed).spies]

    assert spies(1) == spies(1)
    assert len({tuple(spies(seed)) for seed in range(8)}) > 1


def test_nothing_is_checked_where_nothing_is_asked_for() -> None:
    settings = SETTINGS | {
        "scenario": {"seconds": 5},
        "checks": {"invariants": False, "converge_within_s": 0},
    }
    checks = run_scenario(of_settings(settings), 1)["checks"]
    assert checks == {"violations": [], "converged": None, "converged_after_s": None}


@pytest.mark.parametrize(
    "network",
    [
        {"topology": "subnets", "segment_sizes": [4, 3], "bridges": 1},
        {"topology": "campus", "segment_hosts": 4},
        {"topology": "random-regular", "degree": 3},
        {"topology": "small-world", "near": 2},
        {"topology": "explicit", "edges": [[i, i + 1] for i in range(7)]},
    ],
)
def test_a_post_gets_everywhere_in_every_topology(network: dict[str, Any]) -> None:
    settings = {
        "scenario": {"seconds": 60},
        "network": network,
        "hosts": {"count": 8, "ciphers": "cheap"},
        "workload": {"posts_per_hour": 1800},
    }
    done = run_scenario(of_settings(settings), 3)
    assert done["checks"]["converged"], done["checks"]
    assert done["delivery"]["posts"] > 1


@pytest.mark.parametrize("name", ["office-20", "two-floors", "flood"])
def test_the_beginning_of_a_scenario_of_the_gallery_runs(name: str) -> None:
    changes = ["scenario.seconds=12", "checks.converge_within_s=0", "hosts.ciphers=cheap"]
    made = load(name, [*changes, "workload.first_s=1", "workload.quiet_s=0"])
    assert run_scenario(made, 1)["checks"]["violations"] == []
