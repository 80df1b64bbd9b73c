"""Bugs that were put in on purpose are found, within the fixed seeds and by the rule they break."""

from __future__ import annotations

from dataclasses import replace

import pytest

from simnet.checkers import Checkers, Violated
from simnet.world import World
from tests.simnet.planted import PLANTED, ForgetsBound, Planted
from tests.simnet.test_seeds import BOARD, CONVERGED_SECONDS_MAX, SEEDS, MixedWorld


def first_violation(planted: Planted) -> str:
    """The rule that is broken first, in the first of the fixed seeds that breaks any."""
    for seed in SEEDS:
        mixed = MixedWorld(seed, planted.make_board, planted.make_host)
        mixed.checkers.strict = True
        if planted.store_ms is not None:
            mixed.world.faults = replace(mixed.world.faults, store_ms=planted.store_ms)
        try:
            mixed.run()
            mixed.checkers.check_converged(CONVERGED_SECONDS_MAX)
        except Violated:
            return mixed.checkers.violations[0].rule
    return "nothing"


@pytest.mark.parametrize("planted", PLANTED, ids=lambda planted: planted.name)
def test_a_planted_bug_is_found_by_the_rule_that_it_breaks(planted: Planted) -> None:
    assert first_violation(planted) == planted.rule


def test_a_table_without_a_bound_is_found() -> None:
    world = World(1, make_board=ForgetsBound)
    host = world.add_hosts(1, BOARD)[0]
    checkers = Checkers(world)
    for number in range(1_100):
        host.post(f"nobody is there {number}")
    world.run(20)
    assert [violation.rule for violation in checkers.violations] == ["bound"]
    assert "outbox" in checkers.violations[0].detail
