"""The simulator: its events against a bare heap, and worlds of office, campus and crowd size."""

from __future__ import annotations

import heapq
import time

from bench.record import Record
from simnet.run import run_scenario
from simnet.scenario import Scenario, load

BARE_EVENTS = 500_000


def rate() -> list[Record]:
    """Events a second of a small campus, against a loop that only pops and pushes."""
    result = run_scenario(load("campus-500", ["hosts.count=200", "scenario.seconds=300"]), seed=1)
    events, seconds = int(result["events"]), float(result["host"]["cpu_s"])
    bare = bare_heap_rate()
    return [
        Record("simnet-rate/events", events / seconds, "events/s of processor time"),
        Record("simnet-rate/ratio", events / seconds / bare, "× a bare heap loop"),
        Record(
            "simnet-rate/node-second",
            1000 * seconds / (200 * float(result["simulated_s"])),
            "ms for one node and simulated second",
        ),
    ]


def bare_heap_rate() -> float:
    """Events a second of a heap that does nothing but order them."""
    heap = [(number, number, int) for number in range(1000)]
    begun = time.perf_counter()
    for number in range(BARE_EVENTS):
        at, _, act = heapq.heappop(heap)
        act()
        heapq.heappush(heap, (at + 1000, number, act))
    return BARE_EVENTS / (time.perf_counter() - begun)


def real_ciphers() -> list[Record]:
    """Fifty nodes with real ciphers: simulated seconds for each of ours."""
    result = run_scenario(load("office-20", ["hosts.count=50"]), seed=1)
    speed = float(result["simulated_s"]) / float(result["host"]["wall_s"])
    return [Record("simnet-real/speed", speed, "× real time, 50 nodes", "≥ 1")]


def campus(count: int) -> list[Record]:
    """An hour of a campus with cheap ciphers."""
    return _large("simnet-campus", load("campus-500", [f"hosts.count={count}"]), 600, 4096)


def crowd(count: int) -> list[Record]:
    """Ten minutes of a crowd with cheap ciphers."""
    return _large("simnet-crowd", load("crowd-10k", [f"hosts.count={count}"]), 1800, 12288)


def _large(name: str, scenario: Scenario, seconds_max: int, memory_mb_max: int) -> list[Record]:
    result = run_scenario(scenario, seed=1)
    host, delivery = result["host"], result["delivery"]
    nodes = len(result["hosts"])
    return [
        Record(f"{name}/seconds", float(host["wall_s"]), f"s, {nodes} nodes", f"≤ {seconds_max}"),
        Record(f"{name}/cpu", float(host["cpu_s"]), "s of processor time"),
        Record(f"{name}/memory", float(host["rss_mb_max"]), "MB", f"≤ {memory_mb_max}"),
        Record(f"{name}/memory-per-node", 1024 * float(host["rss_mb_max"]) / nodes, "kB"),
        Record(f"{name}/delivered", float(delivery["delivered_share"] or 0), "share", "1"),
    ]
