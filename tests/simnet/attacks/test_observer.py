"""What somebody who sees all packets can tell, and cannot."""

from __future__ import annotations

import math
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.board import Descriptor
from simnet.adversaries.observer import PassiveObserver
from simnet.attacks.observer import observer_auc, rank_statistic
from simnet.host import Host
from simnet.network import Packet
from simnet.strategies import STRATEGIES
from simnet.world import World

BOARD = Descriptor("test", work_bits=0)


class Idle(World):
    """A world of hosts that are switched off, for packets that are made up."""

    def __init__(self, count: int) -> None:
        super().__init__(1)
        self.add_hosts(count, BOARD, is_on=False)
        self.observer = PassiveObserver(self)

    def tell(self, packets: list[Packet]) -> None:
        for packet in sorted(packets):
            for told in self.network.observers:
                told(packet)


def background(count: int, random: Random, until_us: int) -> list[Packet]:
    return [
        Packet(random.randrange(until_us), host, (host + 1) % count, 512)
        for host in range(count)
        for _ in range(until_us // 200_000)
    ]


def post_times(count: int, random: Random) -> list[tuple[int, int]]:
    return [(random.randrange(count), 120_000_000 + n * 20_000_000) for n in range(40)]


def test_a_host_that_sends_at_once_when_it_posts_is_told_from_the_others() -> None:
    world, random = Idle(20), Random(1)
    posts = post_times(20, random)
    told = [Packet(at_us + 100, host, (host + 2) % 20, 2048) for host, at_us in posts]
    world.tell(background(20, random, 1_000_000_000) + told)
    assert observer_auc(world, world.observer, posts)["auc"] > 0.95


def test_hosts_whose_traffic_does_not_depend_on_posting_are_not_told_apart() -> None:
    world, random = Idle(20), Random(2)
    posts = post_times(20, random)
    world.tell(background(20, random, 1_000_000_000))
    result = observer_auc(world, world.observer, posts)
    assert result["posts"] == 40
    assert result["auc"] == pytest.approx(0.5, abs=0.12)
    assert all(0 <= auc <= 1 for auc in result["features"].values())


def test_a_host_that_falls_silent_when_it_posts_is_told_as_well() -> None:
    world, random = Idle(20), Random(3)
    posts = post_times(20, random)
    packets = [
        packet
        for packet in background(20, random, 1_000_000_000)
        if not any(h == packet.source and 0 <= packet.at_us - t < 5_000_000 for h, t in posts)
    ]
    world.tell(packets)
    assert observer_auc(world, world.observer, posts)["auc"] > 0.9


def test_without_posts_or_packets_nothing_is_claimed() -> None:
    world = Idle(3)
    assert observer_auc(world, world.observer, [])["auc"] == 0.5
    assert observer_auc(world, world.observer, [(0, 5)])["auc"] == 0.5


@given(st.integers(0, 9), st.lists(st.integers(0, 9), min_size=1))
def test_the_rank_statistic_counts_pairs(own: int, others: list[int]) -> None:
    pairs = [math.copysign(1, own - other) if own != other else 0 for other in others]
    expected = (sum(pairs) / len(pairs) + 1) / 2
    assert rank_statistic(own, others) == pytest.approx(expected)


def test_a_real_board_is_watched() -> None:
    world = World(4, ciphers="cheap", make_board=STRATEGIES["gossip"].make_board)
    observer = PassiveObserver(world)
    hosts: list[Host] = world.add_hosts(12, BOARD)
    world.run(110)
    posts = []
    for host in hosts:
        posts.append((host.number, world.now_us))
        host.post("hello")
        world.run(6)
    assert observer_auc(world, observer, posts)["auc"] > 0.9
