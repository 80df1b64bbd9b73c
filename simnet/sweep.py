"""Many runs of one scenario, under many seeds and settings, on all processors or on a cluster.

    result = sweep("office-20", seeds=range(1, 11), vary={"hosts.count": [10, 20]})
    print(table(result))

Each run is a pure function of the scenario's settings and the seed (:func:`run_one`), so it does
not matter who does it: a run whose worker is lost is done again by another, and the results are the
same, but for what is under "host". The work is spread by dask.distributed (the extra ``cluster``):
over processes of this machine, or over the workers of a scheduler that somebody else started, who
need the same version of this package.

What comes out is every result, and for each combination of settings the mean of each figure over
the seeds with its 95 % confidence interval (Student's t).
"""

from __future__ import annotations

import itertools
import json
import logging
import math
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from simnet.compare import figures
from simnet.run import run_scenario
from simnet.scenario import (
    Scenario,
    ScenarioError,
    change_setting,
    load,
    of_settings,
    to_settings,
    with_strategy,
)

Record = dict[str, Any]
#: (how many runs are done, of how many).
Progress = Callable[[int, int], None]

FORMAT = 1
#: Workers that may be lost while they do one run before it is given up: a run that needs more
#: memory than any worker has would otherwise take them all down, again and again. Guess.
LOST_WORKERS_MAX = 5
_CONNECT_S_MAX = 10
#: Two-sided 95 % quantiles of Student's t with 1, 2, ... degrees of freedom.
_T95 = (
    *(12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228),
    *(2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086),
    *(2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042),
)
#: What the table for people has, as far as it was measured; the JSON has everything.
_SHOWN = (
    "delivery.delivered_share",
    "delivery.p50_s",
    "delivery.p95_s",
    "delivery.last_node_p95_s",
    "redundancy.payload_copies_per_delivery",
    "traffic.bytes_per_node_per_s.p50",
    "checks.violations",
)


class SweepError(ScenarioError):
    """The runs cannot be done, or one of them failed; one line."""


# --- One run --------------------------------------------------------------------------------------


def run_one(settings: Record, seed: int) -> Record:
    """The result of one run; what a worker does.

    :param settings: of :func:`simnet.scenario.to_settings`.
    """
    return run_scenario(of_settings(settings), seed)


Run = Callable[[Record, int], Record]


# --- All of them ----------------------------------------------------------------------------------


def sweep(
    scenario: Scenario | str,
    seeds: Iterable[int],
    vary: Mapping[str, Sequence[Any]] | Iterable[tuple[str, Sequence[Any]]] = (),
    scheduler: str | None = None,
    progress: Progress | None = None,
    *,
    changes: Sequence[str] = (),
    strategy: str | None = None,
    workers: int | None = None,
    run: Run = run_one,
) -> Record:
    """Run a scenario with each combination of settings under each seed.

    :param scenario: a name of the gallery, a path, or a scenario.
    :param vary: by key (``section.name``) the values that it takes.
    :param scheduler: the address of a Dask scheduler; None for processes of this machine.
    :param progress: told after each run; by default a line on standard error.
    :param changes: ``section.key=value`` that all runs have.
    :param strategy: instead of the scenario's way of publishing.
    :param workers: local processes; as many as there are processor cores if not given.
    :param run: what is done in a run; a module's function, so that workers find it.
    :returns: JSON values: "rows" are the combinations with their figures, "results" the results in
        the order of combinations and seeds.
    :raises ScenarioError: a setting is not allowed, Dask is missing, or a run failed.
    """
    varied = dict(vary)
    seeds = list(seeds)
    settings = [
        (combination, _settings(scenario, combination, changes, strategy))
        for combination in combinations(varied)
    ]
    tasks = [(each, seed) for _, each in settings for seed in seeds]
    began = time.perf_counter()
    with _connected(scheduler, workers) as client:
        results = _run_all(client, tasks, run, progress or _say)
    by_row = [results[i : i + len(seeds)] for i in range(0, len(results), max(1, len(seeds)))]
    return {
        "format": FORMAT,
        "scenario": settings[0][1].get("scenario", {}).get("name", ""),
        "seeds": seeds,
        "varied": {key: list(values) for key, values in varied.items()},
        "rows": [
            {"changes": combination, "figures": aggregate(each)}
            for (combination, _), each in zip(settings, by_row, strict=True)
        ],
        "results": results,
        "host": {"wall_s": time.perf_counter() - began, "runs": len(tasks)},
    }


def combinations(varied: Mapping[str, Sequence[Any]]) -> list[Record]:
    """Each way of choosing one value for each key; one empty way of nothing."""
    return [
        dict(zip(varied, chosen, strict=True)) for chosen in itertools.product(*varied.values())
    ]


def _settings(
    scenario: Scenario | str, combination: Record, changes: Sequence[str], strategy: str | None
) -> Record:
    chosen = [f"{key}={_as_toml(value)}" for key, value in combination.items()]
    if isinstance(scenario, Scenario):
        made = _changed(scenario, [*changes, *chosen])
    else:
        made = load(scenario, [*changes, *chosen])
    return to_settings(made if strategy is None else with_strategy(made, strategy))


def _changed(scenario: Scenario, changes: Sequence[str]) -> Scenario:
    """A scenario with some settings changed."""
    settings = to_settings(scenario)
    for change in changes:
        change_setting(settings, change)
    return of_settings(settings)


def _as_toml(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _run_all(
    client: Any, tasks: Sequence[tuple[Record, int]], run: Run, progress: Progress
) -> list[Record]:
    futures = [client.submit(run, *task, pure=False, retries=1) for task in tasks]
    where = {future.key: index for index, future in enumerate(futures)}
    results: list[Record] = [{} for _ in tasks]
    as_completed = import_module("distributed").as_completed
    for done, future in enumerate(as_completed(futures, loop=client.loop), 1):
        index = where[future.key]
        try:
            # Both wait: a result is lost with the worker that has it, and then made again.
            why = future.exception()
            results[index] = future.result() if why is None else {}
        except (CancelledError, OSError) as error:
            raise SweepError(f"the cluster is gone: {_one_line(error)}") from None
        if why is not None:
            client.cancel(futures)
            raise SweepError(f"seed {tasks[index][1]}: {_one_line(why)}")
        # The scheduler need not keep what we have.
        future.release()
        progress(done, len(tasks))
    return results


def _one_line(error: BaseException | None) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"


def _say(done: int, count: int) -> None:
    print(f"{done} of {count} runs", file=sys.stderr, flush=True)


@contextmanager
def _connected(scheduler: str | None, workers: int | None) -> Iterator[Any]:
    """A client of a cluster: the one at the address, or processes that go with the block."""
    try:
        dask, distributed = import_module("dask"), import_module("distributed")
    except ImportError:
        raise SweepError("sweep needs Dask: pip install 'p2pboard[cluster]'") from None
    if scheduler is not None:
        try:
            client = distributed.Client(scheduler, timeout=_CONNECT_S_MAX, set_as_default=False)
        except (OSError, ValueError) as error:
            raise SweepError(f"no Dask scheduler answers at {scheduler}: {error}") from None
        with client:
            yield client
        return
    with (
        dask.config.set({"distributed.scheduler.allowed-failures": LOST_WORKERS_MAX}),
        # Nobody else on the network has anything to do with it: loopback only, and no page.
        distributed.LocalCluster(
            n_workers=workers or os.cpu_count() or 1,
            threads_per_worker=1,
            processes=True,
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",
            scheduler_kwargs={"dashboard": False},
            memory_limit=0,
            silence_logs=logging.CRITICAL,
        ) as cluster,
        distributed.Client(cluster, set_as_default=False) as client,
    ):
        yield client


# --- Figures --------------------------------------------------------------------------------------


def aggregate(results: Sequence[Record]) -> Record:
    """For each figure of results that differ in their seeds only: mean, interval, range, count.

    :returns: by name {"mean", "low", "high", "least", "most", "count"}; "low" and "high" bound the
        95 % confidence interval, and are None where one run says nothing of it.
    """
    of_name: dict[str, list[float]] = {}
    for result in results:
        for name, value in figures(result):
            if isinstance(value, int | float) and not isinstance(value, bool):
                of_name.setdefault(name, []).append(float(value))
    return {name: _summary(values) for name, values in of_name.items()}


def _summary(values: Sequence[float]) -> Record:
    mean, half = statistics.fmean(values), half_width(values)
    return {
        "mean": mean,
        "low": None if half is None else mean - half,
        "high": None if half is None else mean + half,
        "least": min(values),
        "most": max(values),
        "count": len(values),
    }


def half_width(values: Sequence[float]) -> float | None:
    """Half the 95 % confidence interval of the mean; None of a single value."""
    if len(values) < 2:
        return None
    degrees = len(values) - 1
    t = _T95[degrees - 1] if degrees <= len(_T95) else 1.96
    return t * statistics.stdev(values) / math.sqrt(len(values))


def table(result: Record) -> str:
    """The rows for people, in Markdown: mean ± half the 95 % interval over the seeds."""
    rows = result["rows"]
    shown = [name for name in _SHOWN if any(name in row["figures"] for row in rows)]
    shown += sorted(
        {name for row in rows for name in row["figures"] if name.endswith((".named", ".auc"))}
    )
    head = ["settings", *(name.partition(".")[2] or name for name in shown)]
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    for row in rows:
        changes = ", ".join(f"{key}={value}" for key, value in row["changes"].items())
        cells = [changes or "as it is", *(_cell(row["figures"].get(name)) for name in shown)]
        lines.append(f"| {' | '.join(cells)} |")
    count = len(result["seeds"])
    return "\n".join([f"{result['scenario']}, {count} seeds", "", *lines])


def _cell(figure: Record | None) -> str:
    if figure is None:
        return "-"
    if figure["low"] is None:
        return f"{figure['mean']:.4g}"
    return f"{figure['mean']:.4g} ± {figure['mean'] - figure['low']:.2g}"
