"""The passive observer sees every packet from outside, and nothing else."""

from __future__ import annotations

from protocol.board import Descriptor
from simnet.adversaries.observer import PassiveObserver
from simnet.network import Packet
from simnet.world import World

BOARD = Descriptor("test", work_bits=0)


def test_it_sees_each_byte_that_is_sent_and_by_whom() -> None:
    world = World(1, ciphers="cheap")
    observer = PassiveObserver(world)
    hosts = world.add_hosts(3, BOARD)
    hosts[0].post("hello")
    world.run(30)
    packets = list(observer)
    assert len(packets) == len(observer) > 0
    assert all(type(packet) is Packet for packet in packets)
    assert [p.at_us for p in packets] == sorted(p.at_us for p in packets)
    for host in hosts:
        sent = sum(packet.bytes for packet in packets if packet.source == host.number)
        assert sent == world.network.sent_bytes[host.number]
    assert all(packet.source != packet.destination for packet in packets)


def test_watching_changes_nothing() -> None:
    def trace(is_watched: bool) -> str:
        world = World(2, ciphers="cheap")
        if is_watched:
            PassiveObserver(world)
        world.add_hosts(3, BOARD)[1].post("hello")
        world.run(20)
        return world.trace_hash

    assert trace(True) == trace(False)
