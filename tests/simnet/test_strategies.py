"""How own entries leave a node under each strategy, and that all of them bring entries to all."""

from __future__ import annotations

from random import Random
from statistics import mean, mode

import pytest

from protocol.board import Descriptor
from protocol.effects import CameBack
from protocol.entry import entry_id
from protocol.gossip import Gossip
from protocol.link import Link
from protocol.messages import Announce, Entries, Message
from simnet.host import Host
from simnet.strategies import (
    DIFFUSION_MS_MEAN,
    FAIL_SAFE_MS_MEAN,
    STEM,
    STRATEGIES,
    DandelionUnfluffed,
)
from simnet.topology import explicit, lan, random_regular
from simnet.world import World

BOARD = Descriptor("test", work_bits=0)
#: A line: each host dials the next.
LINE = [(0, 1), (1, 2), (2, 3)]
#: What dials 20 leads stems nowhere: they go round once, and wait.
RING = [(20, 21), (21, 22), (22, 20)]


class Sent:
    """What each host sent about entries: (milliseconds, from, to, kind, id)."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.rows: list[tuple[int, int, int, str, bytes]] = []
        for host in world.hosts:
            host.listeners.append(self._on_message)

    def _on_message(self, host: Host, link: Link, is_sent: bool, message: Message) -> None:
        if not is_sent:
            return
        connection = host._connections[link.number]
        peer = connection.ends[1 - connection.side_of(host)].number
        row = (self.world.now_us // 1000, host.number, peer)
        if isinstance(message, Entries) and message.request == STEM:
            self.rows.append((*row, "hand", entry_id(host.board, message.entries[0].raw)))
        if isinstance(message, Announce):
            self.rows += [(*row, "announce", identifier) for _, identifier in message.items]

    def kinds(self, host: int) -> list[tuple[int, str]]:
        """(to, kind) of what one host sent, in order."""
        return [(to, kind) for _, source, to, kind, _ in self.rows if source == host]


def linked(strategy: str, pairs: list[tuple[int, int]], seed: int = 1) -> tuple[World, Sent]:
    """Hosts on a graph, linked."""
    count = 1 + max(max(pair) for pair in pairs)
    world = World(
        seed,
        topology=explicit(count, pairs),
        make_board=STRATEGIES[strategy].make_board,
        ciphers="cheap",
    )
    world.add_hosts(count, BOARD)
    world.run(10)
    return world, Sent(world)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_each_strategy_brings_an_entry_to_everybody_and_back_to_its_author(strategy: str) -> None:
    # Cells go anywhere that IP goes; stems and announcements know a graph of links.
    world = World(
        2,
        topology=lan(12) if strategy == "ours" else random_regular(12, 4, Random(2)),
        make_board=STRATEGIES[strategy].make_board,
        ciphers="cheap",
    )
    hosts = world.add_hosts(12, BOARD)
    world.run(10)
    entry, _ = hosts[3].post("hello")
    assert world.run_until(lambda: all(host.texts() == ["hello"] for host in hosts), 300)
    assert [e.id for e in hosts[3].events if isinstance(e, CameBack)] == [entry.id]
    assert not hosts[3].disk().outbox
    assert hosts[3].index_keys() == hosts[3].disk().keys()


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_each_strategy_is_the_same_for_the_same_seed(strategy: str) -> None:
    def trace() -> str:
        world, _ = linked(strategy, LINE, seed=5)
        world.hosts[0].post("hello")
        world.run(30)
        return world.trace_hash

    assert trace() == trace()


def test_the_table_names_each_strategy_and_ours_is_the_protocol_itself() -> None:
    assert list(STRATEGIES) == ["ours", "gossip", "diffusion", "dandelion", "dandelion-q0"]
    assert all(strategy.name == name for name, strategy in STRATEGIES.items())
    assert STRATEGIES["ours"].make_board is Gossip


def test_gossip_announces_an_own_entry_to_all_peers_in_the_same_moment() -> None:
    world, sent = linked("gossip", [(0, peer) for peer in range(1, 7)])
    world.hosts[0].post("hello")
    world.run(1)
    own = [row for row in sent.rows if row[1] == 0]
    assert sorted(to for _, _, to, _, _ in own) == [1, 2, 3, 4, 5, 6]
    assert len({at_ms for at_ms, *_ in own}) == 1
    assert {kind for *_, kind, _ in own} == {"announce"}


def test_diffusion_tells_each_peer_after_an_exponential_time_of_its_own() -> None:
    world, sent = linked("diffusion", [(0, peer) for peer in range(1, 9)])
    begun_ms = world.now_ms
    for number in range(50):
        world.hosts[0].post(f"post {number}")
    world.run(60)
    delays = [row[0] - begun_ms for row in sent.rows if row[1] == 0]
    assert len(delays) == 50 * 8
    assert mean(delays) == pytest.approx(DIFFUSION_MS_MEAN, rel=0.2)
    assert sum(delay > DIFFUSION_MS_MEAN for delay in delays) / 400 == pytest.approx(0.37, abs=0.1)


def test_dandelion_hands_an_own_entry_to_one_dialled_peer_and_announces_nothing() -> None:
    world, sent = linked("dandelion-q0", [(0, 1), (0, 2), (3, 0), (4, 0), (1, 20), (2, 20), *RING])
    world.hosts[0].post("hello")
    world.run(1)
    [(relay, kind)] = sent.kinds(0)
    assert kind == "hand" and relay in (1, 2)
    assert not world.hosts[0].ids() and not world.hosts[relay].ids()


def test_a_stem_goes_along_dialled_links_hop_by_hop_and_nobody_on_it_has_the_entry() -> None:
    world, sent = linked("dandelion-q0", [*LINE, (3, 20), *RING])
    world.hosts[0].post("hello")
    world.run(0.5)
    ways = [(source, to) for _, source, to, _, _ in sent.rows]
    assert ways == [(0, 1), (1, 2), (2, 3), (3, 20), (20, 21), (21, 22), (22, 20)]
    assert {kind for *_, kind, _ in sent.rows} == {"hand"}
    assert not any(host.ids() for host in world.hosts)


def test_own_entries_of_an_epoch_take_one_relay_and_each_inbound_edge_another_or_the_same() -> None:
    diallers = range(3, 11)
    ahead = [(0, 1), (0, 2), (1, 20), (2, 20), *RING]
    world, sent = linked("dandelion-q0", [*ahead, *((d, 0) for d in diallers)])
    for host in (0, *diallers):
        for number in range(3):
            world.hosts[host].post(f"{number}")
    world.run(1)
    author_of = {entry.id: host.number for host in world.hosts for entry in host.acknowledged}
    relays: dict[int, set[int]] = {}
    for _, source, to, _, identifier in sent.rows:
        if source == 0:
            relays.setdefault(author_of[identifier], set()).add(to)
    assert set(relays) == {0, *diallers}
    assert all(len(taken) == 1 for taken in relays.values())
    assert set.union(*relays.values()) == {1, 2}


def test_own_entries_go_where_most_inbound_edges_lead() -> None:
    diallers = range(3, 12)
    ahead = [(0, 1), (0, 2), (1, 20), (2, 20), *RING]
    world, sent = linked("dandelion-q0", [*ahead, *((d, 0) for d in diallers)], seed=9)
    own, _ = world.hosts[0].post("own")
    world.run(0.2)
    for dialler in diallers:
        world.hosts[dialler].post("through 0")
    world.run(0.5)
    taken = {identifier: to for _, source, to, _, identifier in sent.rows if source == 0}
    others = [to for identifier, to in taken.items() if identifier != own.id]
    assert len(others) == 9 and taken[own.id] == mode(others)


def test_a_stem_that_comes_back_takes_the_other_relay() -> None:
    world, sent = linked("dandelion-q0", [(0, 1), (0, 2), (1, 3), (2, 3), (3, 4), (4, 0)])
    world.hosts[0].post("hello")
    world.run(1)
    assert sorted(sent.kinds(0)) == [(1, "hand"), (2, "hand")]
    assert sent.kinds(3) == [(4, "hand")], "it has one relay only: the second time it waits"


def test_a_relay_ends_the_stem_with_probability_q() -> None:
    world, sent = linked("dandelion", [(0, 1), (1, 2), (2, 3)], seed=4)
    for number in range(300):
        world.hosts[0].post(f"{number}")
    world.run(4)
    handed = {
        identifier for _, source, _, kind, identifier in sent.rows if (source, kind) == (1, "hand")
    }
    assert 1 - len(handed) / 300 == pytest.approx(0.1, abs=0.05)


def test_who_has_nobody_else_to_hand_a_stem_to_ends_it() -> None:
    world, sent = linked("dandelion-q0", LINE)
    world.hosts[0].post("hello")
    world.run(0.2)
    assert [len(host.ids()) for host in world.hosts] == [0, 0, 0, 1]
    assert all(source < to for _, source, to, kind, _ in sent.rows if kind == "hand")


def test_what_was_not_met_fluffed_is_fluffed_by_somebody_on_the_stem() -> None:
    world, sent = linked("dandelion-q0", [(0, 1), (1, 2), (2, 0)])
    world.hosts[0].post("hello")
    world.run(FAIL_SAFE_MS_MEAN / 1000 * 3)
    assert all(host.texts() == ["hello"] for host in world.hosts)
    assert all(not board._stems for h in world.hosts for board in unfluffed(h))
    assert any(kind == "announce" for *_, kind, _ in sent.rows)


def unfluffed(host: Host) -> list[DandelionUnfluffed]:
    """Its boards."""
    return [b for b in host.node.boards.values() if isinstance(b, DandelionUnfluffed)]


def test_an_author_whose_relays_vanish_fluffs_by_itself() -> None:
    world, _ = linked("dandelion-q0", [(0, 1), (2, 0), (1, 20), *RING])
    world.hosts[0].post("hello")
    while not any(board._stems for board in unfluffed(world.hosts[0])):
        world.run(0.001)
    world.hosts[1].crash()
    assert world.run_until(lambda: world.hosts[2].texts() == ["hello"], 600)


def test_a_crash_between_durable_and_published_does_not_lose_an_own_entry() -> None:
    for strategy in STRATEGIES:
        world, _ = linked(strategy, LINE, seed=7)
        world.hosts[0].post("kept")
        while not world.hosts[0].acknowledged:
            world.run(0.001)
        world.hosts[0].crash()
        world.hosts[0].start()
        is_everywhere = world.run_until(lambda w=world: w.hosts[3].texts() == ["kept"], 900)  # type: ignore[misc]
        assert is_everywhere, strategy
