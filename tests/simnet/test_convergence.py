"""Whatever the network does, in the end everybody has everything."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.entry import Kind
from simnet.faults import ROUGH
from simnet.strategies import PlainGossip
from simnet.world import World
from tests.simnet.random_worlds import BOARD, RandomWorld

CONVERGED_SECONDS_MAX = 300


def check_world(seed: int) -> None:
    random_world = RandomWorld(seed)
    random_world.act(40)
    random_world.heal()
    is_done = random_world.world.run_until(random_world.has_converged, CONVERGED_SECONDS_MAX)
    assert is_done, f"seed {seed} has not converged"
    written = {entry.id for entry in random_world.written}
    for host in random_world.hosts:
        assert host.ids() == written, f"seed {seed}: entries lost or invented"
        assert host.index_keys() == host.disk().keys(), f"seed {seed}: core and disk differ"
    check_payloads(random_world, seed)


def check_payloads(random_world: RandomWorld, seed: int) -> None:
    """Forgotten stays forgotten; everything else that somebody still has, everybody has."""
    random_world.world.run(60)
    disks = [next(iter(host.disks.values())) for host in random_world.hosts]
    for host, entry in random_world.forgetting:
        assert host.disks[next(iter(host.boards))].entries[entry.id].payload is None
    for entry in random_world.written:
        kept = [disk.entries[entry.id].payload is not None for disk in disks]
        forgot = [entry.id in disk.forgotten for disk in disks]
        if any(kept) and entry.header.kind == Kind.POST:
            assert all(k or f for k, f in zip(kept, forgot, strict=True)), (
                f"seed {seed}: a payload that a peer has is still lacking"
            )


@pytest.mark.parametrize("seed", range(12))
def test_worlds_of_fixed_seeds_converge(seed: int) -> None:
    check_world(seed)


@settings(max_examples=10, deadline=None)
@given(st.integers(min_value=1000, max_value=2**32))
def test_random_worlds_converge(seed: int) -> None:
    check_world(seed)


def test_one_seed_is_one_world() -> None:
    def trace(seed: int) -> str:
        random_world = RandomWorld(seed)
        random_world.act(30)
        return random_world.world.trace_hash

    assert trace(7) == trace(7)
    assert trace(7) != trace(8)


def test_a_late_host_gets_everything() -> None:
    # Published at once: through the mix a node's posts leave one a second.
    world = World(3, make_board=PlainGossip)
    hosts = world.add_hosts(2, BOARD)
    for number in range(300):
        hosts[number % 2].post(f"post {number:03}")
    world.run(10)
    late = world.add_hosts(1, BOARD)[0]
    assert world.run_until(lambda: len(late.ids()) == 300, 60)
    assert late.texts() == [f"post {number:03}" for number in range(300)]


def test_an_own_entry_stays_in_the_outbox_while_nobody_is_there() -> None:
    world = World(4)
    alone = world.add_hosts(1, BOARD)[0]
    alone.post("anybody?")
    world.run(120)
    disk = next(iter(alone.disks.values()))
    assert len(disk.outbox) == 1 and not alone.ids()
    company = world.add_hosts(1, BOARD)[0]
    assert world.run_until(lambda: alone.ids() == company.ids() != set(), 60)
    assert not disk.outbox


def test_a_post_survives_a_crash_right_after_it_was_acknowledged() -> None:
    world = World(5, ROUGH)
    first, second = world.add_hosts(2, BOARD)
    world.run(30)
    first.post("kept")
    while not first.acknowledged:
        world.run(0.001)
    first.crash()
    world.run(5)
    first.start()
    assert world.run_until(lambda: second.texts() == ["kept"] == first.texts(), 300)


def test_a_payload_that_one_peer_forgot_is_got_from_another() -> None:
    world = World(6)
    first, second = world.add_hosts(2, BOARD)
    entry, _ = first.post("still here")
    assert world.run_until(lambda: second.texts() == ["still here"], 30)
    second.forget(entry)
    first.crash()
    late = world.add_hosts(1, BOARD)[0]
    assert world.run_until(lambda: late.ids() == {entry.id}, 30)
    assert late.texts() == []
    first.start()
    assert world.run_until(lambda: late.texts() == ["still here"], 120)
    assert second.texts() == []
