"""Plays a plan in the simulator, measuring what emulation measures."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

from protocol.effects import EntriesArrived, Event
from protocol.entry import Entry
from protocol.persona import Persona
from simnet.emulation.outcome import Outcome
from simnet.emulation.plan import Plan, Planned
from simnet.emulation.play import ANSWERED_S_MAX, STARTING_S, starting_at_once
from simnet.emulation.shaping import Means
from simnet.emulation.wire import WireMeter
from simnet.faults import CALM, Faults
from simnet.host import Host, Processor
from simnet.topology import LinkClass, Topology
from simnet.world import World

#: What a way between two namespaces is like where nothing shapes it.
BARE = LinkClass(latency_ms=0.03, latency_sigma=0.3, bandwidth_mbit=0.0, loss=0.0)
_ANSWERED_STEP_US = 20_000
#: What a reader costs that follows the board, from an entry's being durable to its being shown:
#: measured by emulate (a node's processor time for an entry, with a follower and without).
READ_US = 2_000.0


def foretell(
    plan: Plan,
    seed: int,
    means: Means = Means.NETEM,
    faults: Faults = CALM,
    cores: int | None = None,
) -> Outcome:
    """Simulate it.

    :param means: where nothing shapes the emulation's ways, the simulation's are bare too.
    :param cores: of a processor that all hosts share, like real nodes on one machine; None: each
        has its own.
    """
    begun = time.perf_counter()
    topology = plan.topology if means is not Means.NONE else _bare(plan.topology)
    world = World(seed, faults, topology)
    meter = WireMeter(world, plan.count)
    hosts = world.add_hosts(plan.count, plan.descriptor, is_on=False)
    _share_processor(hosts, cores)
    clock = _Clock(hosts)
    _start_all(world, hosts)
    world.run(plan.settle_s)
    start_us = world.now_us
    links = [len(host.node.boards[host.board.id].links) for host in hosts]
    before, cells_before = list(meter.sent_bytes), meter.cells
    posting = _Posting(world, hosts, len(plan.posts))
    for index, post in enumerate(plan.posts):
        world.after(int(post.at_s * 1e6), lambda i=index, p=post: posting.post(i, p))
    world.run(plan.span_s + plan.drain_s)
    outcome = posting.outcome(plan, clock, start_us)
    outcome.window_s = plan.span_s + plan.drain_s
    outcome.links = links
    outcome.sent_bytes = [b - a for a, b in zip(before, meter.sent_bytes, strict=True)]
    outcome.cells = meter.cells - cells_before
    outcome.wall_s = time.perf_counter() - begun
    return outcome


def _share_processor(hosts: Sequence[Host], cores: int | None) -> None:
    if cores is not None:
        shared = Processor(cores)
        for host in hosts:
            host.processor = shared


def _start_all(world: World, hosts: Sequence[Host]) -> None:
    """A few at a time, like the real ones: who comes later finds others linked already."""
    at_once = starting_at_once()
    for first in range(0, len(hosts), at_once):
        for host in hosts[first : first + at_once]:
            host.start()
        world.run(STARTING_S)


def _bare(topology: Topology) -> Topology:
    between = BARE if topology.between is not None else None
    return replace(topology, inside=BARE, between=between, remotes=frozenset())


class _Clock:
    """When entries were durable at their authors, and when other hosts had them; virtual
    microseconds."""

    def __init__(self, hosts: Sequence[Host]) -> None:
        self.published_us: dict[bytes, int] = {}
        self.arrived_us: dict[tuple[bytes, int], int] = {}
        for host in hosts:
            host.keeps_events = False
            host.on_acknowledged.append(self._note_published)
            host.on_event.append(self._note_arrivals)

    def _note_published(self, host: Host, entry: Entry) -> None:
        self.published_us[entry.id] = host.world.now_us

    def _note_arrivals(self, host: Host, event: Event) -> None:
        if isinstance(event, EntriesArrived):
            for entry in event.entries:
                self.arrived_us.setdefault((entry.id, host.number), host.compute(READ_US))


class _Posting:
    """Writes the plan's posts."""

    def __init__(self, world: World, hosts: Sequence[Host], count: int) -> None:
        self._world = world
        self._hosts = hosts
        self._entries: list[Entry | None] = [None] * count
        self._personas: dict[tuple[int, bytes], Persona] = {}

    def post(self, index: int, post: Planned, waited_us: int = 0) -> None:
        """Write one; a reply waits a while for what it answers."""
        host = self._hosts[post.author]
        parent = None if post.answering is None else self._entries[post.answering]
        if post.answering is not None and (parent is None or parent.id not in host.ids()):
            if waited_us < ANSWERED_S_MAX * 1e6:
                waited_us += _ANSWERED_STEP_US
                self._world.after(_ANSWERED_STEP_US, lambda: self.post(index, post, waited_us))
                return
            parent = None
        # In a thread, a real node goes on under the persona that it has there.
        persona = self._personas.get((post.author, parent.thread)) if parent else None
        entry, persona = host.post(post.text, parent, persona)
        self._entries[index] = entry
        self._personas[post.author, entry.thread] = persona

    def outcome(self, plan: Plan, clock: _Clock, start_us: int) -> Outcome:
        """What came of them."""
        published: list[float | None] = []
        arrivals: list[dict[int, float]] = []
        for post, entry in zip(plan.posts, self._entries, strict=True):
            at_us = clock.published_us.get(entry.id) if entry else None
            published.append(None if at_us is None else (at_us - start_us) / 1e6)
            arrivals.append(
                {
                    number: (clock.arrived_us[entry.id, number] - start_us) / 1e6
                    for number in range(plan.count)
                    if number != post.author and (entry.id, number) in clock.arrived_us
                }
                if entry
                else {}
            )
        return Outcome(published, arrivals)
