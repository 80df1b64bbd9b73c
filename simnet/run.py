"""Runs a scenario: builds its world, lets its time pass, heals it, and tells what was measured.

    build      topology, world, hosts at their places (adversaries at drawn ones), who watches them
    schedule   trouble, churn, workload: each puts its first events on the heap
    pass       simulated second by simulated second, telling the caller how far it is
    measure    deliveries, traffic, load, what the adversaries could make of it
    heal       everybody on, nobody cut off: now everything must get everywhere

The result is a record of JSON values. All of it follows from the scenario and the seed, except for
what is under "host": the machine that it ran on, and how fast that was.
"""

from __future__ import annotations

import gc
import platform
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

from protocol.entry import Entry
from simnet import churn, trouble, workload
from simnet.adversaries import ADVERSARIES, MakeHost
from simnet.adversaries.observer import PassiveObserver
from simnet.adversaries.spies import Spy
from simnet.attacks.judge import judge
from simnet.attacks.observer import observer_auc
from simnet.checkers import Checkers
from simnet.host import Host
from simnet.measures import Recorder
from simnet.scenario import (
    OBSERVER,
    STRATEGY_DEFAULT,
    Scenario,
    to_settings,
    with_strategy,
)
from simnet.strategies import STRATEGIES
from simnet.trace import TraceWriter
from simnet.world import World

FORMAT = 1
#: Worlds with more hosts than this keep the arrivals of some entries only.
DETAILED_HOSTS_MAX = 1_000
_STEP_US = 1_000_000


class Progress(NamedTuple):
    """How far a run is.

    :ivar simulated_s: of ``seconds``.
    :ivar events: that have happened.
    :ivar events_per_s: of real time, lately.
    :ivar remaining_s: of real time, as far as one can tell; None at the start.
    """

    simulated_s: float
    seconds: float
    events: int
    events_per_s: float
    remaining_s: float | None


@dataclass
class Built:
    """A world as a scenario describes it, everybody off.

    :ivar hosts: by number.
    :ivar checkers: where the scenario wants its invariants looked at.
    :ivar observer: where the scenario has one.
    :ivar posted: where there is one: author and time (microseconds) of each honest post.
    :ivar troubles: fills with what goes wrong as it does.
    """

    scenario: Scenario
    seed: int
    world: World
    hosts: list[Host]
    checkers: Checkers | None = None
    observer: PassiveObserver | None = None
    posted: list[tuple[int, int]] = field(default_factory=list)
    troubles: list[dict[str, Any]] = field(default_factory=list)

    @property
    def honest(self) -> list[Host]:
        """Those that are no adversaries."""
        return [host for host in self.hosts if host.role == "honest"]

    @property
    def spies(self) -> list[Spy]:
        """Those that log."""
        return [host for host in self.hosts if isinstance(host, Spy)]


# --- Building -------------------------------------------------------------------------------------


def build(scenario: Scenario, seed: int) -> Built:
    """The world of a scenario, its hosts at their places, and who watches them."""
    world = World(
        seed,
        scenario.faults,
        scenario.make_topology(Random(f"{seed}/topology")),
        STRATEGIES[scenario.publishing.strategy].make_board,
        ciphers=scenario.hosts.ciphers,
    )
    built = Built(scenario, seed, world, _add_hosts(world, scenario))
    if any(adversary.name == OBSERVER for adversary in scenario.adversaries):
        _observe(built)
    if scenario.checks.invariants:
        built.checkers = _make_checkers(built)
    return built


def _observe(built: Built) -> None:
    """Somebody sees all packets from now on; when posts were written is kept to judge it by."""
    built.observer = PassiveObserver(built.world)

    def on_acknowledged(host: Host, _: Entry) -> None:
        built.posted.append((host.number, built.world.now_us))

    for host in built.honest:
        host.on_acknowledged.append(on_acknowledged)


def _add_hosts(world: World, scenario: Scenario) -> list[Host]:
    """All hosts, off, in the order of places; adversaries at places drawn from the seed."""
    makers: dict[int, MakeHost] = dict.fromkeys(range(scenario.hosts.count), Host)
    places = world.random("places").sample(range(scenario.hosts.count), scenario.adversaries_count)
    for adversary in scenario.adversaries:
        if adversary.count:
            make = ADVERSARIES[adversary.name].make(adversary.options)
            taken, places = places[: adversary.count], places[adversary.count :]
            makers |= dict.fromkeys(taken, make)
    descriptor = scenario.board.descriptor()
    for make in makers.values():
        world.add_hosts(1, descriptor, make_host=make, is_on=False)
    _draw_machines(world, scenario)
    return world.hosts


def _draw_machines(world: World, scenario: Scenario) -> None:
    """How fast each host is, and how wrong its clock."""
    random, options = world.random("machines"), scenario.hosts
    for host in world.hosts:
        host.keeps_events = False
        host.costs = replace(host.costs, slowness=random.uniform(*options.slowness))
        host.skew_s = random.uniform(*options.clock_skew_s)
        host.drift = random.uniform(*options.clock_drift)


def _make_checkers(built: Built, is_late: bool = False) -> Checkers:
    """Checkers for all rules but one: every other way of publishing than ours serves own entries at
    once, on purpose; and who comes late has not seen which entries came back."""
    is_ours = built.scenario.publishing.strategy == STRATEGY_DEFAULT
    return Checkers(built.world, skip=() if is_ours and not is_late else ("own-early",))


def begin(built: Built) -> None:
    """Switch everybody on, and put the first events of each section on the heap."""
    scenario, world, honest = built.scenario, built.world, built.honest
    end_s = scenario.seconds
    built.troubles = trouble.schedule(world, honest, scenario.trouble, end_s)
    churn.schedule(world, honest, scenario.churn, end_s)
    # Adversaries don't go home: what is measured is the worst case.
    for host in built.hosts:
        if host.role != "honest":
            host.start()
    workload.schedule(world, honest, scenario.workload, end_s)


# --- Running --------------------------------------------------------------------------------------


def run_scenario(
    scenario: Scenario,
    seed: int,
    *,
    strategy: str | None = None,
    trace: Path | str | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> dict[str, Any]:
    """Run a scenario to its end; the result as JSON would hold it.

    :param strategy: instead of the scenario's way of publishing.
    :param trace: a file to write what spies and observer saw to; the truth goes to a second file.
    :param progress: told after each simulated second.
    :raises ScenarioError: an unknown strategy.
    :raises OSError: the trace can't be written.
    """
    if strategy is not None:
        scenario = with_strategy(scenario, strategy)
    began = time.perf_counter(), time.process_time()
    with _quiet_collector(), ExitStack() as stack:
        built = build(scenario, seed)
        recorder = Recorder(
            built.world, keeps="all" if len(built.hosts) <= DETAILED_HOSTS_MAX else "summary"
        )
        writer = None if trace is None else stack.enter_context(TraceWriter(Path(trace), built))
        begin(built)
        for _ in passing(built, scenario.seconds, progress):
            if writer is not None:
                writer.drain()
        result = _measure(built, recorder)
        result["checks"] = _check(built)
        result |= {
            "simulated_s": built.world.now_us / 1_000_000,
            "events": built.world.events,
            "trace_hash": built.world.trace_hash,
        }
        if writer is not None:
            writer.finish(result)
    result["host"] = _about_host(*began, built.world.events)
    return {key: result[key] for key in _KEYS}


_KEYS = (
    *("format", "scenario", "seed", "strategy", "ciphers", "simulated_s", "events", "trace_hash"),
    *("delivery", "redundancy", "traffic", "load", "hosts", "entries", "spread", "faults"),
    *("checks", "attacks", "observer", "host"),
)


@contextmanager
def _quiet_collector() -> Iterator[None]:
    """Nearly nothing in a world is garbage in circles, and going through millions of living objects
    to find that out takes a third of the time."""
    thresholds = gc.get_threshold()
    gc.set_threshold(200_000, 20, 100)
    try:
        yield
    finally:
        gc.set_threshold(*thresholds)


def passing(
    built: Built, until_s: float, progress: Callable[[Progress], None] | None = None
) -> Iterator[float]:
    """Let time pass until ``until_s``, one simulated second at a time; yields where it is."""
    world, pace, end_us = built.world, _Pace(until_s), int(until_s * 1_000_000)
    while world.now_us < end_us:
        step_us = min(_STEP_US, end_us - world.now_us)
        # Half a microsecond more, or a fraction of a second may be rounded to less than it is.
        world.run((step_us + 0.5) / 1_000_000)
        if progress is not None:
            progress(pace.at(world.now_us / 1_000_000, world.events))
        yield world.now_us / 1_000_000


class _Pace:
    """How fast time passes; the latest steps say more than the first."""

    _KEPT = 30

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._marks: deque[tuple[float, float, int]] = deque(maxlen=self._KEPT)
        self._marks.append((time.perf_counter(), 0.0, 0))

    def at(self, simulated_s: float, events: int) -> Progress:
        now = time.perf_counter()
        was, was_simulated_s, was_events = self._marks[0]
        self._marks.append((now, simulated_s, events))
        took_s = max(1e-6, now - was)
        passed_s = simulated_s - was_simulated_s
        ahead_s = self._seconds - simulated_s
        remaining_s = ahead_s * took_s / passed_s if passed_s > 0 else None
        rate = (events - was_events) / took_s
        return Progress(simulated_s, self._seconds, events, rate, remaining_s)


# --- The result -----------------------------------------------------------------------------------


def _measure(built: Built, recorder: Recorder) -> dict[str, Any]:
    """What happened until now; before the healing, which is not part of the scenario."""
    scenario = built.scenario
    return {
        "format": FORMAT,
        "scenario": to_settings(scenario),
        "seed": built.seed,
        "strategy": scenario.publishing.strategy,
        "ciphers": scenario.hosts.ciphers,
        **recorder.result(),
        "faults": list(built.troubles),
        "attacks": _attacks(built, recorder),
        "observer": _observed(built),
    }


def _attacks(built: Built, recorder: Recorder) -> list[dict[str, Any]]:
    """How often the spies name the author."""
    return judge(built.world, recorder.author_of, built.spies) if built.spies else []


def _observed(built: Built) -> dict[str, Any] | None:
    """Whether the observer can tell who posts."""
    if built.observer is None:
        return None
    return observer_auc(built.world, built.observer, built.posted)


def _check(built: Built) -> dict[str, Any]:
    """Heal, see whether everybody gets everything, and tell all that was violated."""
    within_s = built.scenario.checks.converge_within_s
    checkers = built.checkers
    if checkers is None and within_s:
        checkers = _make_checkers(built, is_late=True)
    if checkers is None:
        return {"violations": [], "converged": None, "converged_after_s": None}
    if within_s:
        checkers.check_converged(within_s)
    return {
        "violations": [
            {
                "at_s": violation.at_us / 1_000_000,
                "host": violation.host,
                "rule": violation.rule,
                "detail": violation.detail,
            }
            for violation in checkers.violations
        ],
        "converged": checkers.converged,
        "converged_after_s": checkers.converged_after_s,
    }


def _about_host(began_s: float, cpu_began_s: float, events: int) -> dict[str, Any]:
    wall_s = time.perf_counter() - began_s
    return {
        "wall_s": round(wall_s, 3),
        "cpu_s": round(time.process_time() - cpu_began_s, 3),
        "events_per_s": round(events / max(wall_s, 1e-6)),
        "rss_mb_max": rss_mb_max(),
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}",
    }


def rss_mb_max() -> float | None:
    """The most memory that this process has had, in megabytes; None where that can't be told."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(most / (2**20 if sys.platform == "darwin" else 2**10), 1)
