"""Trouble comes at its rate, is drawn from the seed, passes, and is written down."""

from __future__ import annotations

from dataclasses import replace

import pytest

from protocol.board import Descriptor
from protocol.link import Link
from protocol.messages import Message, Want
from simnet import trouble
from simnet.host import Host
from simnet.network import UNREAD_BYTES_MAX, Connection, Datagram
from simnet.strategies import PlainGossip
from simnet.trouble import KINDS, Options, Stranger
from simnet.world import World

BOARD = Descriptor("trouble", work_bits=0)
#: What the list says of each kind.
NAMES = {
    "partitions": "partition",
    "isolate": "isolated",
    "asymmetric": "one way",
    "flapping": "flapping",
    "crashes": "crash",
    "clock_steps": "clock",
    "replays": "replay",
    "slow_readers": "not reading",
    "full_disks": "disk full",
    "slow_disks": "disk slow",
}


def troubled(
    options: Options, seed: int = 1, seconds: int = 30
) -> tuple[World, list[trouble.Happening]]:
    world = World(seed)
    hosts = world.add_hosts(4, BOARD)
    happened = trouble.schedule(world, hosts, options, until_s=seconds)
    world.run(seconds + 5)
    return world, happened


def test_every_kind_has_a_name() -> None:
    assert set(NAMES) == set(KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_happens_and_has_passed_by_the_end(kind: str) -> None:
    world, happened = troubled(replace(Options(lasts_s_max=8.0), **{kind: 1800.0}))
    assert any(one["what"].startswith(NAMES[kind]) for one in happened)
    assert all(0 <= one["at_s"] <= 30 and one["hosts"] for one in happened)
    assert all(host.is_on and not host.is_disk_full for host in world.hosts)
    assert all(host.costs.disk_slowness == 1.0 for host in world.hosts)
    world.hosts[0].post("still there")
    assert world.run_until(lambda: all(len(host.ids()) == 1 for host in world.hosts), 300)


def test_nothing_happens_at_rate_zero() -> None:
    assert troubled(Options())[1] == []


def test_the_same_seed_has_the_same_trouble_and_another_seed_another() -> None:
    options = Options(partitions=600, crashes=600, clock_steps=600)
    (world, happened), (again, again_happened) = troubled(options), troubled(options)
    assert happened == again_happened and world.trace_hash == again.trace_hash
    assert troubled(options, seed=2)[1] != happened


def test_one_rate_does_not_move_what_another_brings() -> None:
    def steps(options: Options) -> list[trouble.Happening]:
        return [one for one in troubled(options)[1] if one["what"].startswith("clock")]

    assert steps(Options(clock_steps=600)) == steps(Options(clock_steps=600, slow_disks=600)) != []


def test_clocks_stay_within_what_was_asked_for() -> None:
    world, _ = troubled(Options(clock_steps=3600, clock_s_max=60.0))
    assert all(abs(host.skew_s) <= 60 for host in world.hosts)


def test_a_replayed_connection_is_not_answered_with_one_byte() -> None:
    world = World(1)
    hosts = world.add_hosts(4, BOARD)
    answered, replayed = [], []

    def record(connection: Connection | Datagram, side: int, piece: bytes) -> None:
        if isinstance(connection, Connection) and isinstance(connection.ends[0], Stranger):
            (answered if side else replayed).append(piece)

    world.network.wiretaps.append(record)
    trouble.schedule(world, hosts, Options(replays=3600, crashes=200), until_s=60)
    world.run(100)
    assert replayed and not answered


def test_who_does_not_read_gets_everything_later_and_in_order() -> None:
    # It stops when it has asked for all that there is, in one request.
    world = World(1, make_board=PlainGossip)
    [first] = world.add_hosts(1, BOARD)
    texts = [f"{number:02} " + "x" * 8000 for number in range(30)]
    for text in texts:
        first.post(text)
    world.run(5)

    def on_message(_: Host, link: Link, is_sent: bool, message: Message) -> None:
        if isinstance(message, Want) and not is_sent:
            world.network.stop_reading(second)

    first.listeners.append(on_message)
    [second] = world.add_hosts(1, BOARD)
    world.run(3)
    first.listeners.remove(on_message)
    assert not second.ids()
    link = next(iter(first.node.links.values()))
    assert link.unsent_bytes > 30 * 8000 - UNREAD_BYTES_MAX - 100_000 > 0
    world.network.read_on(second)
    assert world.run_until(lambda: second.texts() == texts == first.texts(), 60)
    assert link.unsent_bytes < 10_000


def test_a_host_whose_disk_is_full_acknowledges_nothing() -> None:
    world = World(1)
    first, second = world.add_hosts(2, BOARD)
    first.is_disk_full = True
    first.post("not kept")
    second.post("not for the first")
    world.run(60)
    assert not first.acknowledged and not first.ids()
    first.is_disk_full = False
    assert world.run_until(lambda: first.texts() == ["not for the first"] == second.texts(), 300)


def test_healing_rights_everything() -> None:
    world = World(1)
    hosts: list[Host] = world.add_hosts(3, BOARD)
    world.network.split(hosts[:1])
    world.network.block(hosts[1], hosts[2])
    world.network.stop_reading(hosts[2])
    hosts[0].crash()
    hosts[1].sleep()
    hosts[2].is_disk_full, hosts[2].skew_s = True, 99.0
    trouble.heal(world, hosts)
    hosts[0].post("well")
    assert world.run_until(lambda: all(host.texts() == ["well"] for host in hosts), 120)
