"""Sweeps: the same results whoever ran them, also where a worker dies; figures with intervals."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from simnet import sweep as sweeps
from simnet.scenario import Scenario, ScenarioError, of_settings, to_settings
from simnet.sweep import SweepError, aggregate, combinations, half_width, run_one, sweep, table

distributed = pytest.importorskip("distributed")

pytestmark = pytest.mark.timeout(180)

SEEDS = (1, 2, 3)


def small() -> Scenario:
    return of_settings(
        {
            "scenario": {"name": "small", "seconds": 60},
            "hosts": {"count": 4, "ciphers": "cheap"},
            "workload": {"posts_per_hour": 600},
        }
    )


def without_host(results: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{key: value for key, value in each.items() if key != "host"} for each in results]


def quiet(done: int, count: int) -> None:
    """Progress that nobody reads."""


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    with distributed.LocalCluster(
        n_workers=2,
        threads_per_worker=1,
        host="127.0.0.1",
        dashboard_address="127.0.0.1:0",
        silence_logs=50,
    ) as made:
        yield made


def test_results_are_those_of_running_here_in_the_order_of_settings_and_seeds(
    cluster: Any,
) -> None:
    vary = {"workload.posts_per_hour": [300, 600]}
    result = sweep(small(), SEEDS, vary, cluster.scheduler_address, quiet)
    here = []
    for posts_per_hour in (300, 600):
        settings = to_settings(small())
        settings["workload"]["posts_per_hour"] = posts_per_hour
        here += [run_one(settings, seed) for seed in SEEDS]
    assert without_host(result["results"]) == without_host(here)
    assert [row["changes"] for row in result["rows"]] == [
        {"workload.posts_per_hour": 300},
        {"workload.posts_per_hour": 600},
    ]
    posts = [row["figures"]["delivery.posts"] for row in result["rows"]]
    assert posts[0]["mean"] < posts[1]["mean"]
    assert posts[0]["count"] == len(SEEDS)
    assert "workload.posts_per_hour=600" in table(result)


def test_a_worker_that_is_killed_changes_nothing(cluster: Any) -> None:
    seeds = range(1, 9)
    undisturbed = sweep(small(), seeds, scheduler=cluster.scheduler_address, progress=quiet)
    killed: list[int] = []

    def kill_once(done: int, count: int) -> None:
        if not killed and done < count:
            nanny = next(iter(cluster.workers.values()))
            killed.append(nanny.pid)
            os.kill(nanny.pid, signal.SIGKILL)

    disturbed = sweep(small(), seeds, scheduler=cluster.scheduler_address, progress=kill_once)
    assert killed
    assert without_host(disturbed["results"]) == without_host(undisturbed["results"])


def test_a_run_that_fails_is_one_line_that_says_why_and_the_cluster_goes_on(cluster: Any) -> None:
    address = cluster.scheduler_address
    with pytest.raises(SweepError, match=r"^seed 2: ZeroDivisionError: at once$"):
        sweep(small(), [1, 2], scheduler=address, progress=quiet, run=fails_in_seed_2)
    assert len(sweep(small(), [1], scheduler=address, progress=quiet)["results"]) == 1


def fails_in_seed_2(settings: dict[str, Any], seed: int) -> dict[str, Any]:
    """A run that has a bug."""
    if seed == 2:
        raise ZeroDivisionError("at\nonce")
    return run_one(settings, seed)


@pytest.mark.skipif(shutil.which("ss") is None, reason="needs iproute2's ss")
def test_local_processes_are_the_default_and_nothing_of_them_is_on_the_network() -> None:
    before = listening()
    with sweeps._connected(None, 1) as client:
        (worker,) = client.scheduler_info()["workers"]
        assert client.submit(os.getpid).result() != os.getpid()
        assert worker.startswith("tcp://127.0.0.1:")
        assert listening() <= before


def listening() -> set[str]:
    """Sockets that accept connections on an address other than loopback's, of this process and
    those that it has started."""
    shown = subprocess.run(("ss", "-Hltnp"), capture_output=True, text=True, check=True).stdout
    family = {os.getpid(), *descendants(os.getpid())}
    lines = [line for line in shown.splitlines() if any(f"pid={pid}," in line for pid in family)]
    return {line for line in lines if not line.split()[3].startswith(("127.", "[::1]"))}


def descendants(pid: int) -> list[int]:
    found = []
    for file in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in map(int, file.read_text().split()):
            found += [child, *descendants(child)]
    return found


def test_a_scheduler_that_does_not_answer_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweeps, "_CONNECT_S_MAX", 1)
    with pytest.raises(SweepError, match="no Dask scheduler answers") as told:
        sweep(small(), [1], scheduler="tcp://127.0.0.1:9")
    assert "\n" not in str(told.value)


def test_without_dask_one_line_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(SweepError, match=r"pip install 'p2pboard\[cluster\]'"):
        sweep(small(), [1])


def test_a_setting_that_is_not_allowed_is_refused_before_anything_runs() -> None:
    with pytest.raises(ScenarioError, match="count"):
        sweep(small(), [1], {"hosts.count": [4, -1]}, "tcp://127.0.0.1:9")


def test_combinations_are_all_ways_to_choose() -> None:
    assert combinations({"a": [1, 2], "b": ["x"]}) == [{"a": 1, "b": "x"}, {"a": 2, "b": "x"}]
    assert combinations({}) == [{}]


def test_the_interval_is_students() -> None:
    # Mean 3, deviation sqrt(2.5), t with 4 degrees of freedom 2.776.
    assert half_width([1, 2, 3, 4, 5]) == pytest.approx(2.776 * 2.5**0.5 / 5**0.5)
    assert half_width([7.0]) is None
    assert half_width([2.0] * 50) == 0.0


def test_figures_are_summed_up_over_seeds_and_lists_are_none() -> None:
    results = [
        {"delivery": {"p50_s": value, "curve": [1, 2]}, "checks": {"violations": []}}
        for value in (0.1, 0.3)
    ]
    summed = aggregate(results)
    assert summed["delivery.p50_s"]["mean"] == pytest.approx(0.2)
    assert (summed["delivery.p50_s"]["least"], summed["delivery.p50_s"]["most"]) == (0.1, 0.3)
    assert summed["checks.violations"]["mean"] == 0
    assert not any("curve" in name for name in summed)
