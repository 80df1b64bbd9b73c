"""How far the simulation is from real nodes: one scenario, the same posts, played on both.

    result = emulate(load("office-20"), seed=1)
    print(table(result))

The scenario's workload is drawn once, in the simulator, and written down as a plan: who posts what
when, answering what. The plan is squeezed into some minutes, because real nodes run in real time,
and then played twice: by node processes in network namespaces (:mod:`simnet.emulation`), and in the
simulator under several seeds. What a scenario says of churn, trouble, adversaries, slow hosts and
wrong clocks is left out on both sides, and listed.

A latency begins when a post is durable at its author's node and the node says so (so neither the
start of a command nor the work on the entry is part of it), and ends when another host's reader has
the post. Nearly all of it is the mix, seconds that are drawn at random for each post: some forty of
them make a median that is 8 % off by chance alone. What the network and the processor do is seen in
the time from the first other host that has a post to the rest.

Bytes are those of the interfaces, headers and acknowledgements included; the simulation adds these
(:mod:`simnet.emulation.wire`). Of mDNS there is next to nothing once nodes have found each other,
so the simulation has none; "emulation_by_kind" says how much there was.

All real nodes share this machine's processor, which twenty separate laptops do not, and one post
makes each of them work for some milliseconds at the same time. So the simulated hosts are made to
share one of as many cores (:class:`simnet.host.Processor`); "simulation_apart" in the result says
what they do when each has its own.
"""

from __future__ import annotations

import os
import platform
import signal
import statistics
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from random import Random
from types import FrameType
from typing import Any

from protocol.board import Board
from protocol.entry import Entry
from protocol.persona import Persona
from simnet import workload
from simnet.emulation import outcome
from simnet.emulation.foretell import foretell
from simnet.emulation.plan import Plan, Planned, Unplayable, check_playable, squeezed
from simnet.emulation.play import play
from simnet.emulation.shaping import Means, choose_means
from simnet.host import Host
from simnet.scenario import Scenario
from simnet.world import World

Record = dict[str, Any]

FORMAT = 1
POSTS_MAX = 60
SECONDS_MAX = 150.0
#: The simulation is quick: so many seeds say how much of a difference is chance.
SIMULATED_SEEDS = 10


def emulate(
    scenario: Scenario,
    seed: int = 1,
    *,
    posts_max: int = POSTS_MAX,
    seconds_max: float = SECONDS_MAX,
    means: Means | None = None,
    progress: Callable[[str], None] = lambda line: print(line, file=sys.stderr),
) -> Record:
    """Play a scenario with real nodes and in the simulator.

    :param seed: draws the posts, and the hub's delays; the simulation runs under it and the
        next nine.
    :param posts_max: only the scenario's first posts are played.
    :param seconds_max: their times are drawn together to fit into this.
    :param means: what shapes the links; the best that is there if not given.
    :returns: JSON values; "rows" is the table.
    :raises Unplayable: one line: the scenario or this machine is not fit for it.
    """
    plan = squeezed(plan_of(scenario, seed), posts_max, seconds_max)
    return emulate_plan(plan, seed, means=means, progress=progress)


def emulate_plan(
    plan: Plan,
    seed: int = 1,
    *,
    means: Means | None = None,
    progress: Callable[[str], None] = lambda line: None,
) -> Record:
    """As :func:`emulate`, of a plan that is there already."""
    check_playable(plan)
    said = "" if means is None else f"links are shaped by: {means.value}"
    if means is None:
        means, said = choose_means()
    progress(said)
    load_before = os.getloadavg()[0]
    with _stopped_by_signals():
        real = play(plan, means, seed, progress)
    seeds = range(seed, seed + SIMULATED_SEEDS)
    simulated = [foretell(plan, each, means, cores=os.cpu_count()) for each in seeds]
    figures = [each.as_json(plan.count) for each in simulated]
    apart = [foretell(plan, each, means).as_json(plan.count) for each in seeds]
    emulated = real.as_json(plan.count)
    return {
        "format": FORMAT,
        "scenario": plan.name,
        "seed": seed,
        "hosts_count": plan.count,
        "posts": len(plan.posts),
        "seconds": plan.span_s,
        "shaped_by": means.value,
        "notes": [said, *_notes(plan, _medians(apart))],
        "simulation": _medians(figures),
        "simulation_ranges": _ranges(figures),
        "simulation_apart": _medians(apart),
        "emulation": emulated,
        "emulation_by_kind": real.by_kind,
        "rows": outcome.compared(_medians(figures), emulated),
        "host": {
            "python": platform.python_version(),
            "machine": f"{platform.machine()}, {os.cpu_count()} cores",
            "load_before": load_before,
            "emulation_wall_s": real.wall_s,
            "simulation_wall_s": statistics.median(each.wall_s for each in simulated),
        },
    }


def table(result: Record) -> str:
    """A result for people, in Markdown."""
    head = (
        f"{result['scenario']}: {result['hosts_count']} hosts, {result['posts']} posts in"
        f" {result['seconds']:.0f} s; simulation: median of {SIMULATED_SEEDS} seeds"
    )
    notes = [f"- {note}" for note in result["notes"]]
    return "\n".join([head, "", outcome.table(result["rows"]), "", *notes])


def _notes(plan: Plan, apart: Record) -> list[str]:
    notes = [f"real nodes and simulated hosts share {os.cpu_count()} processor cores"]
    if apart["spread_p50_s"] is not None:
        notes[0] += (
            "; where each host has its own, the simulation's median from the first node to another"
            f" is {1000 * apart['spread_p50_s']:.0f} ms"
        )
    if plan.left_out:
        notes.append(f"left out on both sides: {', '.join(plan.left_out)}")
    return notes


def _medians(figures: Sequence[Record]) -> Record:
    return {key: _of_known(statistics.median, figures, key) for key in figures[0]}


def _ranges(figures: Sequence[Record]) -> Record:
    return {key: [_of_known(min, figures, key), _of_known(max, figures, key)] for key in figures[0]}


def _of_known(
    summary: Callable[[list[float]], float], figures: Sequence[Record], key: str
) -> float | None:
    known = [record[key] for record in figures if record[key] is not None]
    return summary(known) if known else None


@contextmanager
def _stopped_by_signals() -> Iterator[None]:
    """A request to end becomes an exception, so that everything is put away; while that happens
    a second Ctrl-C does not stop it half-way."""

    def stop(number: int, frame: FrameType | None) -> None:
        for each in (signal.SIGINT, signal.SIGTERM):
            signal.signal(each, signal.SIG_IGN)
        if number == signal.SIGINT:
            raise KeyboardInterrupt
        raise SystemExit(128 + number)

    try:
        before = {each: signal.signal(each, stop) for each in (signal.SIGINT, signal.SIGTERM)}
    except ValueError:  # not on the main thread: whoever runs us there handles signals
        yield
        return
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


# --- From a scenario to a plan --------------------------------------------------------------------


def plan_of(scenario: Scenario, seed: int) -> Plan:
    """What is written in a scenario when nothing goes wrong, and on what network.

    :raises Unplayable: where it has too many hosts, or no segments.
    """
    topology = scenario.make_topology(Random(f"{seed}/topology"))
    bare = Plan(
        name=scenario.name,
        topology=topology,
        count=scenario.hosts.count - scenario.adversaries_count,
        descriptor=scenario.board.descriptor(),
        posts=(),
        left_out=tuple(_left_out(scenario)),
    )
    if bare.count <= len(topology.segments) and topology.edges is None:
        bare = replace(bare, posts=_draw_posts(scenario, bare, seed))
    check_playable(bare)
    return bare


def _left_out(scenario: Scenario) -> Iterator[str]:
    """The sections that say something and that real nodes do not play."""
    plain = Scenario()
    for name in ("churn", "faults", "trouble", "publishing"):
        if getattr(scenario, name) != getattr(plain, name):
            yield name
    for key in ("slowness", "clock_skew_s", "clock_drift"):
        if getattr(scenario.hosts, key) != getattr(plain.hosts, key):
            yield f"hosts.{key}"
    for adversary in scenario.adversaries:
        yield f"adversaries.{adversary.name}"


def _draw_posts(scenario: Scenario, plan: Plan, seed: int) -> tuple[Planned, ...]:
    """The scenario's workload, as it comes out in a calm world."""
    written: list[Planned] = []
    index_of: dict[bytes, int] = {}

    class Writer(Host):
        """Writes down what its user posts."""

        def post(
            self,
            text: str,
            answering: Entry | None = None,
            persona: Persona | None = None,
            board: Board | None = None,
        ) -> tuple[Entry, Persona]:
            entry, persona = super().post(text, answering, persona, board)
            answered = index_of.get(answering.id) if answering else None
            index_of[entry.id] = len(written)
            written.append(Planned(self.world.now_us / 1e6, self.number, text, answered))
            return entry, persona

    world = World(seed, topology=plan.topology, ciphers="cheap")
    hosts = world.add_hosts(plan.count, plan.descriptor, make_host=Writer)
    workload.schedule(world, hosts, scenario.workload, scenario.seconds)
    world.run(scenario.seconds)
    return tuple(written)


__all__ = ["Means", "Plan", "Planned", "Unplayable", "emulate", "emulate_plan", "plan_of", "table"]
