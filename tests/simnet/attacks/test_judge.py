"""The judge, on worlds."""

from __future__ import annotations

from random import Random

import pytest

from protocol.board import Descriptor
from simnet.adversaries.spies import Spy
from simnet.attacks.judge import judge
from simnet.strategies import STRATEGIES
from simnet.topology import lan, random_regular
from simnet.world import World

BOARD = Descriptor("test", work_bits=0)


def judged(strategy: str, seed: int = 1) -> list[dict[str, object]]:
    """30 hosts of degree 4 (on one LAN, for ours), six of them spies, two posts by each honest
    host."""
    world = World(
        seed,
        topology=lan(30) if strategy == "ours" else random_regular(30, 4, Random(seed)),
        make_board=STRATEGIES[strategy].make_board,
        ciphers="cheap",
    )
    world.add_hosts(24, BOARD)
    spies = world.add_hosts(6, BOARD, make_host=Spy)
    world.run(20)
    truth = {}
    for _ in range(2):
        for host in world.hosts[:24]:
            truth[host.post("hello")[0].id] = host.number
            world.run(0.2)
    world.run(30)
    return judge(world, truth, [spy for spy in spies if isinstance(spy, Spy)])


def test_plain_gossip_gives_most_authors_away() -> None:
    first, pooling = judged("gossip")
    assert (first["estimator"], pooling["estimator"]) == ("first-spy", "pooled")
    assert first["spies"] == 6 and first["share"] == pytest.approx(0.2)
    assert first["blind"] == pytest.approx(1 / 24) and first["entries"] == first["seen"] == 48
    assert max(float(str(row["named"])) for row in (first, pooling)) > 0.6


def test_ours_gives_away_far_fewer_than_gossip_does() -> None:
    ours = max(float(str(row["named"])) for row in judged("ours"))
    gossip = max(float(str(row["named"])) for row in judged("gossip"))
    assert ours < 0.2 and 3 * ours < gossip


def test_the_judgement_is_the_same_for_the_same_seed() -> None:
    assert judged("diffusion", 3) == judged("diffusion", 3)


def test_entries_of_hosts_that_are_not_honest_are_not_judged() -> None:
    world = World(1, ciphers="cheap")
    world.add_hosts(2, BOARD)
    [spy] = world.add_hosts(1, BOARD, make_host=Spy)
    world.run(5)
    entry, _ = spy.post("by a spy")
    world.run(10)
    assert isinstance(spy, Spy)
    for row in judge(world, {entry.id: spy.number}, [spy]):
        assert (row["entries"], row["named"], row["precision"]) == (0, 0, 0)
