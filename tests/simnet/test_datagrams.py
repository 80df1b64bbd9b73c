"""Datagrams of the simulated network, and work: lost, doubled, overtaken, counted, paid for."""

from __future__ import annotations

from dataclasses import replace

import pytest

from protocol import effects, inputs
from protocol.board import Descriptor
from protocol.crypto import keyed_hash
from protocol.messages import Address
from protocol.work import Work, work_of
from simnet import trouble
from simnet.adversaries.observer import PassiveObserver
from simnet.emulation.wire import WireMeter
from simnet.faults import CALM, Faults
from simnet.host import Costs, Host
from simnet.network import (
    DATAGRAM_HEADERS_BYTES,
    NOBODY,
    UNREAD_DATAGRAMS_MAX,
    Connection,
    Datagram,
    Packet,
)
from simnet.topology import LinkClass, Topology, campus, explicit, lan, subnets
from simnet.trace import describe_input
from simnet.world import World

BOARD = Descriptor("test", work_bits=0)
#: Ten milliseconds without spread, and no bandwidth to queue for.
TEN_MS = LinkClass(latency_ms=10.0, latency_sigma=0.0, bandwidth_mbit=0.0)
CELL = bytes(1232)


class Noting(Host):
    """Notes what comes of datagrams and searches, in place of its core."""

    def __init__(self, *arguments: object) -> None:
        super().__init__(*arguments)  # type: ignore[arg-type]
        self.got: list[tuple[int, Address, bytes]] = []
        self.found: list[tuple[int, inputs.WorkFound]] = []

    def feed(self, happened: inputs.Input) -> None:
        if isinstance(happened, inputs.DatagramReceived):
            self.got.append((self.world.now_us, happened.remote, happened.data))
        elif isinstance(happened, inputs.WorkFound):
            self.found.append((self.world.now_us, happened))
        else:
            super().feed(happened)

    @property
    def received_texts(self) -> list[bytes]:
        return [data for _, _, data in self.got]

    @property
    def address(self) -> Address:
        return next(iter(self.addresses.values()))

    def send(self, address: Address, data: bytes = CELL) -> None:
        self._carry_out(effects.SendDatagram(address, data))


def noting(
    count: int = 2, topology: Topology | None = None, faults: Faults = CALM, seed: int = 1
) -> tuple[World, list[Noting]]:
    """Hosts without a board: nobody sends anything by himself."""
    world = World(seed, faults, topology or lan(count, TEN_MS))
    hosts = [host for host in world.add_hosts(count, make_host=Noting) if isinstance(host, Noting)]
    return world, hosts


# --- On the way -----------------------------------------------------------------------------------


def test_a_datagram_arrives_after_the_delay_from_the_port_that_its_sender_listens_on() -> None:
    world, (one, other) = noting()
    world.run(1)
    one.send(other.address, b"cell")
    world.run(1)
    assert other.got == [(1_010_000, one.address, b"cell")]


def test_it_queues_for_the_bandwidth_with_its_headers_and_behind_what_is_computed() -> None:
    slow = LinkClass(latency_ms=10.0, latency_sigma=0.0, bandwidth_mbit=1.0)
    world, (one, other) = noting(topology=lan(2, slow))
    one.compute(5_000)
    for _ in range(2):
        one.send(other.address)
    world.run(1)
    takes_us = (len(CELL) + DATAGRAM_HEADERS_BYTES) * 8
    assert [at_us for at_us, _, _ in other.got] == [15_000 + takes_us, 15_000 + 2 * takes_us]


def test_datagrams_overtake_each_other() -> None:
    world, (one, other) = noting(faults=replace(CALM, delay_ms=(0.0, 100.0)))
    sent = [bytes([number]) for number in range(50)]
    for data in sent:
        one.send(other.address, data)
    world.run(1)
    assert other.received_texts != sent
    assert sorted(other.received_texts) == sent


@pytest.mark.parametrize("loss", [0.0, 0.3, 1.0])
def test_a_lost_datagram_is_lost_and_not_late(loss: float) -> None:
    world, (one, other) = noting(topology=lan(2, replace(TEN_MS, loss=loss)))
    for _ in range(1000):
        one.send(other.address, b"")
    world.run(0.011)
    arrived = len(other.got)
    assert arrived == pytest.approx(1000 * (1 - loss), abs=60 if 0 < loss < 1 else 0)
    world.run(10)
    assert len(other.got) == arrived
    assert world.network.datagrams == arrived


def test_one_datagram_is_one_event() -> None:
    world, (one, other) = noting()
    world.run(1)
    before = world.events
    for _ in range(100):
        one.send(other.address)
    world.run(1)
    assert world.events - before == 100


def test_a_broken_middlebox_doubles_datagrams() -> None:
    world, (one, other) = noting(faults=replace(CALM, repeat=1.0))
    one.send(other.address, b"twice")
    world.run(1)
    assert other.received_texts == [b"twice", b"twice"]


def test_hosts_that_are_apart_get_nothing_from_each_other_not_even_later() -> None:
    world, (one, other) = noting()
    world.network.split([one], [other])
    one.send(other.address, b"apart")
    world.network.heal()
    world.run(1)
    assert other.got == []
    one.send(other.address, b"cut on the way")
    world.run(0.005)
    world.network.block(one, other)
    world.run(1)
    assert other.got == []
    other.send(one.address, b"the way back is open")
    world.run(1)
    assert one.received_texts == [b"the way back is open"]


def test_who_sleeps_is_off_or_has_started_anew_gets_nothing() -> None:
    world, (one, other) = noting()
    before = other.address
    one.send(before)
    other.sleep()
    world.run(1)
    one.send(before)
    other.wake()
    world.run(1)
    one.send(before)
    other.crash()
    other.start()
    world.run(1)
    one.send(before)
    world.run(1)
    assert other.got == []
    assert before != other.address
    one.send(other.address)
    world.run(1)
    assert len(other.got) == 1


def test_who_does_not_read_gets_what_has_room_later_and_in_order() -> None:
    world, (one, other) = noting()
    world.network.stop_reading(other)
    sent = [bytes([number]) for number in range(UNREAD_DATAGRAMS_MAX + 10)]
    for data in sent:
        one.send(other.address, data)
    world.run(1)
    assert other.got == []
    world.network.read_on(other)
    assert other.received_texts == sent[:UNREAD_DATAGRAMS_MAX]


def test_what_a_dead_host_has_not_read_is_gone() -> None:
    world, (one, other) = noting()
    world.network.stop_reading(other)
    one.send(other.address)
    world.run(1)
    other.crash()
    other.start()
    world.network.read_on(other)
    assert other.got == []


def test_a_datagram_to_oneself_arrives_and_is_on_no_wire() -> None:
    world, (one, _) = noting()
    observer = PassiveObserver(world)
    one.send(one.address, b"to me")
    world.run(1)
    assert one.got == [(0, one.address, b"to me")]
    assert len(observer) == 0 and not world.network.sent_bytes


def test_an_adversary_may_send_from_any_address() -> None:
    world, (one, other) = noting()
    forged = Address("10.9.9.9", 1)
    world.network.send_datagram(one, forged, other.address, b"not me")
    world.run(1)
    assert other.got[0][1] == forged


# --- Topologies -----------------------------------------------------------------------------------


def test_a_bridge_sends_from_its_address_on_the_segment_that_it_sends_to() -> None:
    world, hosts = noting(3, subnets([1, 1]))
    first, second, bridge = hosts
    for host in (first, second):
        bridge.send(host.address)
    first.send(second.address, b"there is no router")
    world.run(1)
    assert [remote for _, remote, _ in first.got] == [bridge.addresses[0]]
    assert [remote for _, remote, _ in second.got] == [bridge.addresses[1]]
    assert first.number not in world.network.sent_bytes


def test_a_router_carries_datagrams_and_under_an_explicit_graph_of_links_they_go_anywhere() -> None:
    world, hosts = noting(4, campus(4, 2, World(1).random("campus"), TEN_MS, TEN_MS))
    hosts[0].send(hosts[3].address)
    world.run(1)
    assert [remote for _, remote, _ in hosts[3].got] == [hosts[0].address]
    world, hosts = noting(3, explicit(3, [(0, 1), (1, 2)], TEN_MS))
    hosts[0].send(hosts[1].address)
    hosts[0].send(hosts[2].address)
    world.run(1)
    assert [len(host.got) for host in hosts] == [0, 1, 1]


class Opened(Host):
    """Notes how its connections were opened."""

    def __init__(self, *arguments: object) -> None:
        self.opened: list[inputs.LinkOpened] = []
        super().__init__(*arguments)  # type: ignore[arg-type]

    def feed(self, happened: inputs.Input) -> None:
        if isinstance(happened, inputs.LinkOpened):
            self.opened.append(happened)
        super().feed(happened)


def test_both_ends_of_a_connection_name_the_dialler_by_its_address_on_their_segment() -> None:
    world = World(1, topology=subnets([2, 2], bridges=2))
    hosts = world.add_hosts(6, BOARD, make_host=Opened)
    world.run(60)
    by_link: dict[int, list[tuple[Host, inputs.LinkOpened]]] = {}
    for host in hosts:
        assert isinstance(host, Opened)
        for opened in host.opened:
            by_link.setdefault(opened.link, []).append((host, opened))
    second_segment = 0
    for (_, one), (_, other) in by_link.values():
        dialled, accepted = (one, other) if one.board_id else (other, one)
        assert dialled.local == accepted.remote
        assert dialled.remote == accepted.local
        assert accepted.remote.host.split(".")[1] == accepted.local.host.split(".")[1]
        second_segment += accepted.remote.host.startswith("10.1.")
    assert second_segment > 1


# --- What others see ------------------------------------------------------------------------------


def test_sent_and_received_bytes_have_the_headers_of_ip_and_udp() -> None:
    world, (one, other) = noting(topology=lan(2, replace(TEN_MS, loss=0.5)))
    for _ in range(100):
        one.send(other.address)
    one.send(Address("10.9.9.9", 9), b"nobody")
    world.run(1)
    size = len(CELL) + 28
    assert world.network.sent_bytes == {one.number: 100 * size + 6 + 28}
    assert world.network.received_bytes == {other.number: len(other.got) * size}
    assert 0 < len(other.got) < 100


def test_an_observer_tells_datagrams_from_streams_and_sees_those_for_nobody() -> None:
    world, (one, other) = noting()
    observer = PassiveObserver(world)
    one.send(other.address)
    one.send(Address("10.9.9.9", 9), b"nobody")
    posting = World(2)
    streams = PassiveObserver(posting)
    posting.add_hosts(2, BOARD)[0].post("hello")
    posting.run(30)
    assert list(observer) == [
        Packet(0, one.number, other.number, len(CELL) + 28, True),
        Packet(0, one.number, NOBODY, 6 + 28, True),
    ]
    assert all(type(packet.is_datagram) is bool for packet in (*observer, *streams))
    assert any(not packet.is_datagram for packet in streams)


def test_a_recorder_gets_the_datagrams_addresses_and_bytes() -> None:
    world, (one, other) = noting()
    recorded: list[tuple[Connection | Datagram, int, bytes]] = []
    world.network.wiretaps.append(lambda *what: recorded.append(what))
    one.send(other.address, b"cell")
    nowhere = Address("10.9.9.9", 9)
    one.send(nowhere, b"lost")
    assert recorded == [
        (Datagram(one, other, one.address, other.address), 0, b"cell"),
        (Datagram(one, None, one.address, nowhere), 0, b"lost"),
    ]


def test_the_recorder_of_replays_passes_datagrams_over() -> None:
    world, (one, other) = noting()
    happened = trouble.schedule(world, [one, other], trouble.Options(replays=3600), until_s=10)
    one.send(other.address)
    world.run(15)
    assert happened == []


def test_an_interface_counts_a_datagram_with_ethernet_and_no_acknowledgement() -> None:
    world, (one, other) = noting()
    meter = WireMeter(world, 2)
    one.send(other.address)
    world.run(1)
    assert meter.sent_bytes == [len(CELL) + 28 + 14, 0]


def test_datagrams_are_in_the_trace_hash_and_a_replay_tells_them() -> None:
    def traced(data: bytes) -> str:
        world, (one, other) = noting()
        one.send(other.address, data)
        world.run(1)
        return world.trace_hash

    assert traced(b"a cell") != traced(b"cell")
    assert traced(b"cell") == traced(b"cell")
    received = inputs.DatagramReceived(Address("10.0.0.1", 20_000), b"cell")
    assert describe_input(received) == "a datagram of 4 bytes from 10.0.0.1:20000"


# --- The processor --------------------------------------------------------------------------------


def test_a_datagram_that_arrives_costs_its_receiver() -> None:
    world, (one, other) = noting()
    other.costs = Costs(cell_us=300.0)
    for _ in range(3):
        one.send(other.address)
    world.run(1)
    assert other.computed_us == 10_000 + 3 * 300
    assert one.computed_us == 0


def test_a_search_takes_its_expected_time_and_finds_a_nonce() -> None:
    world, (one, _) = noting(faults=replace(CALM, verify_ms=(0.0, 0.0)))
    one.costs = Costs(hash_us=100.0)
    work = Work(b"p2pb test", bytes(32), b"prefix", 5)
    for token in (1, 2):
        one._carry_out(effects.FindWork(token, work))
    world.run(1)
    assert [(at_us, found.token) for at_us, found in one.found] == [(3_200, 1), (6_400, 2)]
    nonces = [found.nonce for _, found in one.found]
    assert len(set(nonces)) == 2
    for nonce in nonces:
        assert work_of(keyed_hash(b"p2pb test", bytes(32), b"prefix" + nonce)) >= 5


def test_a_search_begins_where_the_seed_says() -> None:
    def found(seed: int) -> bytes:
        world, (one, _) = noting(seed=seed)
        one._carry_out(effects.FindWork(1, Work(b"p2pb test", b"", b"", 4)))
        world.run(1)
        return one.found[0][1].nonce

    assert found(1) == found(1) != found(2)


def acknowledged_us(work_bits: int, hash_us: float) -> int:
    world = World(1)
    (host,) = world.add_hosts(1, Descriptor("test", work_bits=work_bits))
    host.costs = replace(host.costs, hash_us=hash_us)
    at_us: list[int] = []
    host.on_acknowledged.append(lambda *_: at_us.append(world.now_us))
    world.run(1)
    host.post("hello")
    world.run(60)
    return at_us[0]


def test_a_post_waits_for_its_work_before_it_is_written() -> None:
    free_us = acknowledged_us(6, 0.0)
    assert acknowledged_us(6, 10_000.0) == free_us + 64 * 10_000
    assert acknowledged_us(0, 10_000.0) == acknowledged_us(0, 0.0)


def test_an_author_that_is_switched_off_during_the_work_has_written_nothing() -> None:
    world = World(1)
    (host,) = world.add_hosts(1, Descriptor("test", work_bits=6))
    host.costs = replace(host.costs, hash_us=10_000.0)
    host.post("hello")
    world.run(0.3)
    host.crash()
    host.start()
    world.run(10)
    assert not host.acknowledged and not host.disk().outbox
