"""A small world's real result, and made-up parts of results, for tests of reports."""

from __future__ import annotations

import copy
from functools import cache
from typing import Any

from protocol.board import Descriptor
from simnet.host import Host
from simnet.measures import Recorder
from simnet.topology import subnets
from simnet.world import World


class Spy(Host):
    role = "spy"


@cache
def _measured() -> dict[str, Any]:
    world = World(1, topology=subnets([8, 7], bridges=1))
    board = Descriptor("test", work_bits=0)
    hosts = [*world.add_hosts(14, board), *world.add_hosts(2, board, make_host=Spy)]
    recorder = Recorder(world)
    world.run(10)
    for number in range(6):
        hosts[number].post(f"post {number}")
        world.run(5)
    world.run(60)
    about = {"name": "two-floors", "title": "Two floors", "story": "Two floors, one bridge."}
    return {
        "format": 1,
        "scenario": {"scenario": about, "hosts": {"count": 16}},
        "seed": 1,
        "strategy": "ours",
        "ciphers": "real",
        "simulated_s": world.now_us / 1_000_000,
        "events": world.events,
        "trace_hash": world.trace_hash,
        **recorder.result(),
        "faults": [],
        "checks": {"violations": [], "converged": True, "converged_after_s": 2.0},
        "attacks": [],
        "observer": None,
        "host": {"wall_s": 1.5},
    }


def a_result(**changes: Any) -> dict[str, Any]:
    """The world's result, with some of its parts replaced."""
    return {**copy.deepcopy(_measured()), **changes}


def an_attack(named: float, share: float = 0.2, estimator: str = "first-spy") -> dict[str, Any]:
    """What an estimator made of it."""
    return {
        "estimator": estimator,
        "spies": 3,
        "share": share,
        "precision": named,
        "recall": named,
        "named": named,
        "blind": 0.05,
    }


def nothing_happened() -> dict[str, Any]:
    """The result of a world in which nobody was."""
    return a_result(**Recorder(World(1)).result())
