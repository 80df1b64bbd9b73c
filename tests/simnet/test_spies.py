"""Spies behave like anybody and log all that they are told."""

from __future__ import annotations

from protocol.board import Descriptor
from simnet.adversaries import ADVERSARIES, Kind
from simnet.adversaries.spies import Spy, SpyOptions
from simnet.host import Host
from simnet.strategies import STRATEGIES
from simnet.topology import explicit
from simnet.world import World

BOARD = Descriptor("test", work_bits=0)


def line_with_a_spy(strategy: str) -> tuple[World, Spy]:
    """0 - 1 - 2, the spy in the middle."""
    world = World(
        1,
        topology=explicit(3, [(0, 1), (1, 2)]),
        make_board=STRATEGIES[strategy].make_board,
        ciphers="cheap",
    )
    world.add_hosts(1, BOARD)
    [spy] = world.add_hosts(1, BOARD, make_host=ADVERSARIES["spies"].make(SpyOptions()))
    world.add_hosts(1, BOARD)
    world.run(10)
    assert isinstance(spy, Spy)
    return world, spy


def test_every_adversary_in_the_table_says_what_it_is() -> None:
    for name, kind in ADVERSARIES.items():
        assert isinstance(kind, Kind) and kind.name == name and kind.description
        assert callable(kind.make(kind.options()))


def test_a_spy_logs_who_announced_an_entry_gave_it_and_asked_for_it() -> None:
    world, spy = line_with_a_spy("gossip")
    entry, _ = world.hosts[0].post("hello")
    world.run(5)
    assert world.hosts[2].texts() == ["hello"], "it passes on what it gets, like anybody"
    seen = [(s.peer, s.what) for s in spy.log if s.entry_id == entry.id]
    assert seen[:3] == [(0, "announce"), (0, "entry"), (2, "want")]
    assert {s.spy for s in spy.log} == {1}
    assert [s.at_us for s in spy.log] == sorted(s.at_us for s in spy.log)


def test_a_spy_logs_who_handed_an_entry_over() -> None:
    world, spy = line_with_a_spy("dandelion-q0")
    entry, _ = world.hosts[2].post("hello")
    world.run(5)
    first = spy.log[0]
    assert (first.peer, first.what, first.entry_id) == (2, "hand", entry.id)


def test_a_spy_knows_its_peers_again_after_they_restarted() -> None:
    world, spy = line_with_a_spy("gossip")
    world.hosts[0].crash()
    world.run(5)
    world.hosts[0].start()
    world.run(60)
    entry, _ = world.hosts[0].post("hello")
    world.run(5)
    assert next(s.peer for s in spy.log if s.entry_id == entry.id) == 0


def test_a_world_with_spies_runs_as_one_without_them() -> None:
    def trace(kind: type[Host]) -> str:
        world = World(3, ciphers="cheap")
        world.add_hosts(2, BOARD)
        world.add_hosts(1, BOARD, make_host=kind)
        world.run(5)
        world.hosts[0].post("hello")
        world.run(20)
        return world.trace_hash

    assert trace(Spy) == trace(Host)


def test_spies_are_not_honest_in_reports() -> None:
    assert Spy.role == "spy" and Host.role == "honest"
