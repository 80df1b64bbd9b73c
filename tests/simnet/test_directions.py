"""A way and the way back may be unlike each other, and are never mistaken for one another."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.board import Descriptor
from protocol.messages import Address
from simnet.host import Host
from simnet.network import DATAGRAM_HEADERS_BYTES, RESEND_US, Connection
from simnet.scenario import of_settings
from simnet.topology import (
    Down,
    LinkClass,
    Route,
    Topology,
    campus,
    explicit,
    lan,
    subnets,
    with_remotes,
)
from simnet.world import World

BOARD = Descriptor("test", work_bits=0)
#: Nothing takes time, nothing is lost.
FREE = LinkClass(latency_ms=0.0, latency_sigma=0.0, bandwidth_mbit=0.0)
EXACT = Down(latency_sigma=0.0)


class End(Host):
    """A host that only notes what reaches it, and when."""

    got: list[tuple[int, bytes]]
    opened: Connection | None = None
    closed_us: int | None = None

    def accepted(self, connection: Connection, source: Address, local: Address) -> None:
        self.got, self.opened = [], connection

    def dialled(
        self, connection: Connection, address: Address, local: Address, board_id: bytes
    ) -> None:
        self.got, self.opened = [], connection

    def received(self, connection: Connection, data: bytes) -> None:
        self.got.append((self.world.now_us, data))

    def got_datagram(self, remote: Address, data: bytes) -> None:
        self.got.append((self.world.now_us, data))

    def sent(self, connection: Connection, size: int) -> None:
        pass

    def closed(self, connection: Connection) -> None:
        self.closed_us = self.world.now_us

    def listen(self) -> None:
        self.is_on, self.got = True, []
        self.addresses = self._own_addresses()
        self.world.network.listen(self)

    def dial(self, other: End) -> Connection:
        address = next(iter(other.addresses.values()))
        self.world.network.dial(self, address, self.board.id)
        self.world.run(10)
        assert self.opened is not None
        return self.opened


def ends(topology: Topology) -> list[End]:
    world = World(1, topology=topology)
    hosts = world.add_hosts(topology.places, BOARD, make_host=End, is_on=False)
    found = [host for host in hosts if isinstance(host, End)]
    for end in found:
        end.listen()
    return found


def took_us(connection: Connection, sender: End, receiver: End, pieces: int = 1) -> int:
    """How long it is until the last of some pieces of 1000 bytes has come."""
    begun_us = sender.world.now_us
    for _ in range(pieces):
        sender.world.network.send(connection, sender, bytes(1000))
    sender.world.run(60)
    return receiver.got[-1][0] - begun_us


def one_remote(line: LinkClass, inside: LinkClass = FREE) -> Topology:
    """Two hosts, of which the first has a line of its own."""
    return Topology(((0,), (0,)), inside, remotes=frozenset({0}), remote=line)


# --- On the network -------------------------------------------------------------------------------


@pytest.mark.parametrize("dialler", [0, 1])
def test_what_a_remote_host_sends_takes_its_way_out_and_what_it_gets_its_way_in(
    dialler: int,
) -> None:
    line = LinkClass(40.0, 0.0, 0.0, down=Down(7.0, 0.0))
    hosts = ends(one_remote(line))
    connection = hosts[dialler].dial(hosts[1 - dialler])
    remote, other = hosts
    assert took_us(connection, remote, other) == 40_000
    assert took_us(connection, other, remote) == 7_000


def test_dialling_takes_the_way_there_and_the_way_back() -> None:
    remote, other = ends(one_remote(LinkClass(40.0, 0.0, 0.0, down=Down(7.0, 0.0))))
    world, opened = remote.world, []
    remote.dialled = lambda *_: opened.append(world.now_us)  # type: ignore[method-assign]
    world.network.dial(remote, next(iter(other.addresses.values())), remote.board.id)
    world.run(10)
    assert opened == [47_000]


def test_bytes_leave_at_the_rate_out_and_come_at_the_rate_in() -> None:
    line = LinkClass(0.0, 0.0, 1.0, down=Down(0.0, 0.0, 8.0))
    remote, other = ends(one_remote(line))
    connection = remote.dial(other)
    assert took_us(connection, remote, other, 10) == 80_000, "1 Mbit/s"
    assert took_us(connection, other, remote, 10) == 10_000, "8 Mbit/s"


def test_a_line_in_is_shared_by_all_that_comes_to_it_and_a_line_out_by_all_that_leaves() -> None:
    inside = LinkClass(0.0, 0.0, 8.0, down=Down(0.0, 0.0, 2.0))
    hosts = ends(lan(4, inside))
    connections = [host.dial(hosts[0]) for host in hosts[1:]]
    begun_us = hosts[0].world.now_us
    network = hosts[0].world.network
    for host, connection in zip(hosts[1:], connections, strict=True):
        network.send(connection, host, bytes(1000))
    hosts[0].world.run(1)
    assert [at_us - begun_us for at_us, _ in hosts[0].got] == [5_000, 9_000, 13_000]
    begun_us = hosts[0].world.now_us
    for connection in connections:
        network.send(connection, hosts[0], bytes(1000))
    hosts[0].world.run(1)
    assert [host.got[-1][0] - begun_us for host in hosts[1:]] == [5_000, 6_000, 7_000]


def test_a_piece_from_afar_does_not_hold_the_line_in_before_it_is_there() -> None:
    far = LinkClass(500.0, 0.0, 0.0)
    inside = LinkClass(0.0, 0.0, 0.0, down=Down(0.0, 0.0, 8.0))
    hosts = ends(Topology(((0,),) * 3, inside, remotes=frozenset({1}), remote=far))
    [from_afar, near] = [host.dial(hosts[0]) for host in hosts[1:]]
    hosts[0].world.network.send(from_afar, hosts[1], b"afar")
    assert took_us(near, hosts[2], hosts[0]) == 500_000 + 4
    assert [data[:4] for _, data in hosts[0].got] == [bytes(4), b"afar"]


def test_a_piece_that_is_lost_is_late_in_its_own_direction_only() -> None:
    for line, lost in (
        (LinkClass(0.0, 0.0, 0.0, loss=1.0, down=EXACT), (True, False)),
        (LinkClass(0.0, 0.0, 0.0, loss=0.0, down=Down(0.0, 0.0, loss=1.0)), (False, True)),
    ):
        remote, other = ends(one_remote(line))
        connection = remote.dial(other)
        late = took_us(connection, remote, other), took_us(connection, other, remote)
        assert late == tuple(RESEND_US * is_lost for is_lost in lost)


def test_a_close_comes_after_what_is_still_on_the_line_in() -> None:
    remote, other = ends(one_remote(LinkClass(0.0, 0.0, 0.0, down=Down(0.0, 0.0, 1.0))))
    connection = remote.dial(other)
    for _ in range(5):
        other.world.network.send(connection, other, bytes(1000))
    other.world.network.close(connection, other)
    other.world.run(1)
    assert len(remote.got) == 5 and remote.closed_us == remote.got[-1][0]


def came_us(sender: End, receiver: End, datagrams: int = 1) -> list[int]:
    """How long each of some datagrams, sent at once, was on its way; 1000 bytes with headers."""
    world, begun_us = sender.world, sender.world.now_us
    for _ in range(datagrams):
        destination = next(iter(receiver.addresses.values()))
        data = bytes(1000 - DATAGRAM_HEADERS_BYTES)
        world.network.send_datagram(sender, None, destination, data)
    world.run(60)
    came = [at_us - begun_us for at_us, _ in receiver.got]
    receiver.got.clear()
    return came


def test_a_datagram_has_the_direction_that_it_goes_in() -> None:
    remote, other = ends(one_remote(LinkClass(40.0, 0.0, 1.0, down=Down(7.0, 0.0, 8.0))))
    assert came_us(remote, other, 3) == [48_000, 56_000, 64_000], "1 Mbit/s and then 40 ms"
    assert came_us(other, remote, 3) == [8_000, 9_000, 10_000], "7 ms and then 8 Mbit/s"


def test_a_datagram_is_lost_in_its_own_direction_only() -> None:
    remote, other = ends(one_remote(LinkClass(0.0, 0.0, 0.0, loss=1.0, down=EXACT)))
    assert (came_us(remote, other), came_us(other, remote)) == ([], [0])
    remote, other = ends(one_remote(LinkClass(0.0, 0.0, 0.0, down=Down(0.0, 0.0, loss=1.0))))
    assert (came_us(remote, other), came_us(other, remote)) == ([0], [])


@given(st.integers(0, 2**32), st.lists(st.integers(1, 5000), min_size=1, max_size=20))
def test_a_stream_keeps_its_order_in_each_direction(seed: int, sizes: list[int]) -> None:
    line = LinkClass(5.0, 1.0, 3.0, 0.3, Down(5.0, 1.0, 2.0, 0.3))
    remote, other = ends(one_remote(line))
    remote.world.network._random = Random(seed)
    connection = remote.dial(other)
    for sender, receiver in ((remote, other), (other, remote)):
        data = [bytes([number]) * size for number, size in enumerate(sizes)]
        for piece in data:
            sender.world.network.send(connection, sender, piece)
        sender.world.run(60)
        assert b"".join(got for _, got in receiver.got) == b"".join(data)


# --- In the topology ------------------------------------------------------------------------------

REMOTE = LinkClass(30.0, 0.5, 5.0, 0.01, Down(12.0, 0.2, 40.0, 0.02))
INSIDE = LinkClass(3.0, 0.8, 30.0, 0.1)
BETWEEN = Route(5.0, 0.4, 100.0, 0.2)


def test_without_remotes_all_ways_are_the_one_that_was_given() -> None:
    for made in (lan(3, INSIDE), subnets([2, 2], 1, INSIDE), explicit(2, [(0, 1)], INSIDE)):
        assert made.ways(0, 1, 0) == (INSIDE, INSIDE)
        assert made.way(0, 1, 0) is made.inside


def test_a_way_to_a_remote_is_the_senders_out_and_the_remotes_in() -> None:
    made = Topology(((0,),) * 4, INSIDE, remotes=frozenset({2, 3}), remote=REMOTE)
    to_remote = LinkClass(3.0, 0.8, 30.0, 0.1, REMOTE.down)
    from_remote = LinkClass(30.0, 0.5, 5.0, 0.01, INSIDE.down)
    assert made.ways(0, 2, 0) == (to_remote, from_remote)
    assert made.ways(2, 0, 0) == (from_remote, to_remote)
    assert made.ways(2, 3, 0) == (REMOTE, REMOTE)
    assert made.line(2) == REMOTE and made.line(1) == INSIDE


def test_across_the_router_a_remote_has_its_line_and_what_the_router_adds() -> None:
    made = Topology(((0,), (1,), (1,)), INSIDE, BETWEEN, remotes=frozenset({0}), remote=REMOTE)
    forth, back = made.ways(0, 1, 1) or (None, None)
    assert back == LinkClass(5.0, 0.4, 100.0, 0.2, REMOTE.down)
    assert forth is not None and forth.down == INSIDE.down
    assert (forth.latency_ms, forth.bandwidth_mbit) == (32.0, 5.0)
    assert forth.loss == pytest.approx(1 - 0.99 * 0.9)


def test_there_is_no_way_back_where_there_is_none() -> None:
    assert campus(4, 2, Random(1)).ways(0, 3, 1) is not None
    assert subnets([2, 2]).ways(0, 3, 1) is None
    assert explicit(3, [(0, 1)]).ways(0, 2, 0) is None


@given(st.integers(1, 50), st.floats(0, 1), st.integers())
def test_as_many_places_are_remote_as_were_asked_for(count: int, share: float, seed: int) -> None:
    made = with_remotes(lan(count), REMOTE, share, Random(seed))
    assert abs(len(made.remotes) - share * count) <= 0.5
    assert made.remotes <= set(range(count)) and made.remote is REMOTE


# --- In a scenario --------------------------------------------------------------------------------


def test_a_scenario_says_both_directions() -> None:
    network = {
        "remote_share": 0.5,
        "remote": {"latency_ms": 20, "bandwidth_mbit": 2, "down": {"latency_ms": 4}},
        "inside": {"down": {"bandwidth_mbit": 50}},
    }
    made = of_settings({"network": network, "hosts": {"count": 4}})
    topology = made.make_topology(Random(1))
    assert len(topology.remotes) == 2
    assert (topology.remote.latency_ms, topology.remote.bandwidth_mbit) == (20.0, 2.0)
    assert topology.remote.down.latency_ms == 4.0
    assert topology.remote.down.bandwidth_mbit == 50.0, "what the table leaves out stays"
    assert topology.inside.down.bandwidth_mbit == 50.0


def test_worlds_without_remotes_are_drawn_as_ever() -> None:
    made = of_settings({"network": {"topology": "campus"}, "hosts": {"count": 60}})
    drawn = campus(60, 25, Random(5), made.network.inside, made.network.between)
    assert made.make_topology(Random(5)) == drawn
