"""Sweeps on a cluster that somebody else started: scheduler and workers are processes of their own,
known by nothing but an address."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from simnet.scenario import to_settings
from simnet.sweep import SweepError, run_one, sweep
from tests.simnet.test_sweep import small, without_host

pytest.importorskip("distributed")

pytestmark = pytest.mark.timeout(120)

SEEDS = range(1, 9)
_START_S_MAX = 60.0


class Cluster:
    """A scheduler and workers on loopback.

    :ivar address: of the scheduler.
    :ivar workers: their processes, without anybody who starts them anew.
    """

    def __init__(self, stack: ExitStack, folder: Path, workers: int) -> None:
        found = folder / "scheduler.json"
        self.scheduler = stack.enter_context(
            _process(folder, "scheduler", "--port", "0", "--scheduler-file", str(found))
        )
        _wait_for(found.is_file, self.scheduler)
        self.address: str = json.loads(found.read_text())["address"]
        options = ("--no-nanny", "--nthreads", "1", "--local-directory", str(folder))
        self.workers = [
            stack.enter_context(_process(folder, "worker", self.address, *options))
            for _ in range(workers)
        ]


@contextmanager
def _process(folder: Path, kind: str, *words: str) -> Iterator[subprocess.Popen[bytes]]:
    command = (sys.executable, "-m", f"distributed.cli.dask_{kind}", *words)
    bounded = ("--host", "127.0.0.1", "--dashboard-address", "127.0.0.1:0", "--no-dashboard")
    with (folder / f"{kind}.log").open("ab") as log:
        process = subprocess.Popen((*command, *bounded), stdout=log, stderr=log)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def _wait_for(is_there: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + _START_S_MAX
    while not is_there():
        assert process.poll() is None and time.monotonic() < until, "it did not start"
        time.sleep(0.05)


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    with ExitStack() as stack:
        yield Cluster(stack, tmp_path, workers=2)


def test_a_cluster_that_loses_a_worker_gives_the_results_that_this_process_gives(
    cluster: Cluster,
) -> None:
    lost, stays = cluster.workers

    def lose_one(done: int, count: int) -> None:
        if done == 1:
            # Eight runs were dealt out to two workers, and one is done.
            lost.send_signal(signal.SIGKILL)
            lost.wait()

    result = sweep(small(), SEEDS, scheduler=cluster.address, progress=lose_one)
    assert lost.returncode == -signal.SIGKILL and stays.poll() is None
    here = [run_one(to_settings(small()), seed) for seed in SEEDS]
    assert without_host(result["results"]) == without_host(here)


def test_a_cluster_that_is_gone_is_one_line(cluster: Cluster) -> None:
    def lose_all(done: int, count: int) -> None:
        cluster.scheduler.kill()

    with pytest.raises(SweepError, match="the cluster is gone") as told:
        sweep(small(), SEEDS, scheduler=cluster.address, progress=lose_all)
    assert "\n" not in str(told.value)
