"""Estimators find what can be found, claim no more, and are measured as the papers do."""

from __future__ import annotations

import math
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.board import Descriptor
from simnet import estimators
from simnet.adversaries.observer import PassiveObserver
from simnet.adversaries.spies import Sighting, Spy
from simnet.estimators import Graph, first_spy, measure, pooled, pooled_sightings
from simnet.host import Host
from simnet.network import Packet
from simnet.strategies import STRATEGIES
from simnet.topology import random_regular
from simnet.world import World

BOARD = Descriptor("test", work_bits=0)


def sighting(at_us: int, spy: int, peer: int, entry: bytes, what: str = "announce") -> Sighting:
    return Sighting(at_us, spy, peer, what, entry)


# --- Measures -------------------------------------------------------------------------------------


def test_precision_and_recall_are_those_of_the_papers() -> None:
    # 1's and 2's entries are both said to be 1's, 3's is said to be 4's, 4's was seen by nobody.
    truth = {b"a": 1, b"b": 2, b"c": 3, b"d": 4}
    success = measure({b"a": 1, b"b": 1, b"c": 4}, truth, candidates=4)
    assert success.precision == pytest.approx((1 / 2 + 0 + 0 + 0) / 4)
    assert success.recall == pytest.approx(1 / 4)
    assert success.named == pytest.approx((1 + 1 / 4) / 4), "what nobody saw is guessed blindly"


def test_an_author_of_several_entries_counts_once_and_named_counts_entries() -> None:
    truth = {b"a": 1, b"b": 1, b"c": 1, b"d": 2}
    success = measure({b"a": 1, b"b": 1, b"c": 2, b"d": 3}, truth, candidates=3)
    assert success.precision == pytest.approx((2 / 2 + 0) / 2)
    assert success.recall == pytest.approx((2 / 3 + 0) / 2)
    assert success.named == pytest.approx(2 / 4)


@given(
    st.dictionaries(st.binary(min_size=1, max_size=2), st.integers(0, 5)),
    st.dictionaries(st.binary(min_size=1, max_size=2), st.integers(0, 7)),
)
def test_measures_are_shares_and_the_truth_itself_has_all(
    truth: dict[bytes, int], guesses: dict[bytes, int]
) -> None:
    success = measure(guesses, truth, candidates=6)
    assert all(0 <= v <= 1 for v in (success.precision, success.recall, success.named))
    perfect = measure(truth, truth, candidates=6)
    if truth:
        assert (perfect.precision, perfect.recall, perfect.named) == (1, 1, 1)


# --- Evidence -------------------------------------------------------------------------------------


def spies_with(*sightings: Sighting) -> list[Spy]:
    world = World(1)
    world.add_hosts(8, BOARD, is_on=False)
    spies = world.add_hosts(2, BOARD, make_host=Spy, is_on=False)
    for seen in sightings:
        spies[seen.spy - 8].log.append(seen)  # type: ignore[attr-defined]
    return [spy for spy in spies if isinstance(spy, Spy)]


def test_sightings_are_pooled_in_order_once_a_link_and_without_other_spies() -> None:
    spies = spies_with(
        sighting(30, 8, 1, b"e"),
        sighting(40, 8, 1, b"e", "entry"),
        sighting(20, 9, 2, b"e"),
        sighting(10, 9, 8, b"e"),
    )
    assert [(s.at_us, s.peer) for s in pooled_sightings(spies)[b"e"]] == [(20, 2), (30, 1)]


def test_first_spy_names_the_first_who_has_it_and_not_who_only_asks() -> None:
    evidence = {
        b"e": [sighting(1, 8, 3, b"e", "want"), sighting(2, 8, 1, b"e"), sighting(3, 9, 2, b"e")],
        b"f": [sighting(1, 8, 3, b"f", "want")],
    }
    assert first_spy(evidence) == {b"e": 1}


def test_distances_follow_links_and_for_stems_the_way_back_along_dialled_ones() -> None:
    pairs = [(0, 1), (1, 2), (2, 3), *((n, n + 1) for n in range(4, 40))]
    graph = Graph.of(pairs, range(41), spies={3})
    assert dict(graph.distances(sighting(0, 3, 2, b"e"))) == {2: 0, 1: 1, 3: 1, 0: 2}
    assert dict(graph.distances(sighting(0, 3, 2, b"e", "hand"))) == {2: 0, 1: 1, 0: 2}
    assert dict(graph.distances(sighting(0, 3, 1, b"e", "hand"))) == {1: 0, 0: 1}
    assert graph.spy_links[2] == 1 and graph.spy_links[1] == 0


# --- The pooled estimator -------------------------------------------------------------------------


def ring_with_one_spy(count: int) -> Graph:
    """Host 0 is the spy, linked with all; the others are a ring."""
    ring = [(n, n % (count - 1) + 1) for n in range(1, count)]
    return Graph.of([*ring, *((n, 0) for n in range(1, count))], range(1, count), {0})


def test_pooled_learns_that_the_author_is_always_the_next_but_one_who_is_heard_first() -> None:
    # A made-up strategy: the first who is heard of is a neighbour of the author, the second the
    # author's other neighbour. First-spy is always wrong; the author is the one between.
    graph, random = ring_with_one_spy(41), Random(1)
    truth, evidence = {}, {}
    for number in range(200):
        author = random.randrange(1, 41)
        sides = [author % 40 + 1, (author - 2) % 40 + 1]
        random.shuffle(sides)
        entry = number.to_bytes(2, "big")
        truth[entry] = author
        evidence[entry] = [sighting(i, 0, side, entry) for i, side in enumerate(sides)]
    assert measure(first_spy(evidence), truth, 40).named == 0
    assert measure(pooled(graph, evidence, truth), truth, 40).named > 0.95


def test_pooled_finds_nothing_where_there_is_nothing_to_find() -> None:
    graph, random = ring_with_one_spy(41), Random(2)
    truth = {n.to_bytes(2, "big"): random.randrange(1, 41) for n in range(600)}
    evidence = {
        entry: [
            sighting(i, 0, peer, entry) for i, peer in enumerate(random.sample(range(1, 41), 5))
        ]
        for entry in truth
    }
    assert measure(pooled(graph, evidence, truth), truth, 40).named < 0.06


def test_pooled_names_for_certain_who_hands_over() -> None:
    graph, random = ring_with_one_spy(41), Random(3)
    truth, evidence = {}, {}
    for number in range(100):
        entry, author = number.to_bytes(2, "big"), random.randrange(1, 41)
        others = [sighting(5 + i, 0, random.randrange(1, 41), entry) for i in range(4)]
        truth[entry] = author
        evidence[entry] = [sighting(0, 0, author, entry, "hand"), *others]
    assert measure(pooled(graph, evidence, truth), truth, 40).named == 1


def test_pooled_is_never_judged_on_what_it_was_trained_on() -> None:
    # Each author has a habit that nobody shares: learnt by heart it would name everybody.
    graph = ring_with_one_spy(41)
    truth = {b"only": 7}
    evidence = {b"only": [sighting(0, 0, 7, b"only"), sighting(1, 0, 8, b"only")]}
    assert pooled(graph, evidence, truth) == {b"only": 1}, "it has nothing to go by"


# --- The judge, on worlds -------------------------------------------------------------------------


def judged(strategy: str, seed: int = 1) -> list[dict[str, object]]:
    """30 hosts of degree 4, six of them spies, two posts by each honest host."""
    world = World(
        seed,
        topology=random_regular(30, 4, Random(seed)),
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
    return estimators.judge(world, truth, [spy for spy in spies if isinstance(spy, Spy)])


def test_plain_gossip_gives_most_authors_away() -> None:
    first, pooling = judged("gossip")
    assert (first["estimator"], pooling["estimator"]) == ("first-spy", "pooled")
    assert first["spies"] == 6 and first["share"] == pytest.approx(0.2)
    assert first["blind"] == pytest.approx(1 / 24) and first["entries"] == first["seen"] == 48
    assert max(float(str(row["named"])) for row in (first, pooling)) > 0.6


def test_ours_gives_away_fewer_than_gossip_and_handing_over_to_a_spy_is_what_does() -> None:
    ours = max(float(str(row["named"])) for row in judged("ours"))
    gossip = max(float(str(row["named"])) for row in judged("gossip"))
    assert 1 / 24 < ours < gossip


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
    for row in estimators.judge(world, {entry.id: spy.number}, [spy]):
        assert (row["entries"], row["named"], row["precision"]) == (0, 0, 0)


# --- The observer ---------------------------------------------------------------------------------


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
    assert estimators.observer_auc(world, world.observer, posts)["auc"] > 0.95


def test_hosts_whose_traffic_does_not_depend_on_posting_are_not_told_apart() -> None:
    world, random = Idle(20), Random(2)
    posts = post_times(20, random)
    world.tell(background(20, random, 1_000_000_000))
    result = estimators.observer_auc(world, world.observer, posts)
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
    assert estimators.observer_auc(world, world.observer, posts)["auc"] > 0.9


def test_without_posts_or_packets_nothing_is_claimed() -> None:
    world = Idle(3)
    assert estimators.observer_auc(world, world.observer, [])["auc"] == 0.5
    assert estimators.observer_auc(world, world.observer, [(0, 5)])["auc"] == 0.5


@given(st.integers(0, 9), st.lists(st.integers(0, 9), min_size=1))
def test_the_rank_statistic_counts_pairs(own: int, others: list[int]) -> None:
    pairs = [math.copysign(1, own - other) if own != other else 0 for other in others]
    expected = (sum(pairs) / len(pairs) + 1) / 2
    assert estimators.rank_statistic(own, others) == pytest.approx(expected)


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
    assert estimators.observer_auc(world, observer, posts)["auc"] > 0.9
