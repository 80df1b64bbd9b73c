"""The checkers see what is wrong, say what it is, and see nothing where nothing is wrong."""

from __future__ import annotations

import pytest

from protocol import limits
from protocol.board import Descriptor
from protocol.gossip import Gossip
from simnet.adversaries.withholder import Withholder, Withholding
from simnet.checkers import Checkers, Violated, honest_parts, lengths, node_lengths
from simnet.checkers.goals import way_out
from simnet.host import Host
from simnet.strategies import PlainGossip
from simnet.topology import explicit, subnets
from simnet.world import World

BOARD = Descriptor("checked", work_bits=0)


def checked(seed: int = 1, count: int = 3, make_board: type[Gossip] = Gossip) -> Checkers:
    world = World(seed, make_board=make_board)
    world.add_hosts(count, BOARD)
    checkers = Checkers(world)
    for number in range(6):
        world.hosts[number % count].post(f"post {number}")
    world.run(20)
    assert not checkers.violations
    return checkers


def rules(checkers: Checkers) -> set[str]:
    return {violation.rule for violation in checkers.violations}


def test_a_good_world_breaks_no_rule_and_converges() -> None:
    checkers = checked()
    assert checkers.check_converged(60)
    assert checkers.converged and checkers.converged_after_s == 0.0
    assert not checkers.violations


def test_checkers_do_not_change_what_happens() -> None:
    def trace(is_checked: bool) -> str:
        world = World(1)
        world.add_hosts(3, BOARD)
        if is_checked:
            Checkers(world)
        world.hosts[0].post("seen or not")
        world.run(30)
        return world.trace_hash

    assert trace(True) == trace(False)


def test_an_entry_that_was_changed_on_the_disk_is_found() -> None:
    checkers = checked()
    host = checkers.hosts[0]
    disk = host.disk()
    entry = next(iter(disk.entries.values()))
    forged = entry._replace(signature=bytes(64), id=bytes(32))
    disk.entries[forged.id] = forged
    checkers.world.run(60)
    assert rules(checkers) == {"invalid-stored", "index-disk"}
    assert {violation.host for violation in checkers.violations} == {host.number}


def test_an_entry_that_is_gone_from_the_disk_is_found() -> None:
    checkers = checked()
    disk = checkers.hosts[1].disk()
    del disk.entries[next(iter(disk.entries))]
    checkers.scan()
    assert {"told-lost", "index-disk"} <= rules(checkers)


def test_an_acknowledged_entry_that_is_gone_is_found() -> None:
    world = World(1)
    alone = world.add_hosts(1, BOARD)[0]
    checkers = Checkers(world)
    alone.post("kept?")
    world.run(5)
    alone.disk().outbox.clear()
    world.run(50)
    assert rules(checkers) == {"acknowledged-lost"}


def test_what_a_crash_lost_is_found_though_the_network_brings_it_back() -> None:
    checkers = checked()
    host = checkers.hosts[2]
    host.crash()
    lost = next(iter(host.disk().entries.values()))
    del host.disk().entries[lost.id]
    host.start()
    assert checkers.world.run_until(lambda: lost.id in host.ids(), 60)
    assert "told-lost" in rules(checkers)


def test_an_own_entry_in_the_index_is_found_before_anything_else() -> None:
    world = World(1)
    alone = world.add_hosts(1, BOARD)[0]
    checkers = Checkers(world)
    entry, _ = alone.post("too early")
    world.run(1)
    alone.node.boards[alone.board.id].index.insert(entry.timestamp, entry.id)
    checkers.scan()
    assert [violation.rule for violation in checkers.violations] == ["own-early", "index-disk"]


def test_strict_checkers_raise_at_once_and_skipped_rules_are_silent() -> None:
    world = World(1)
    alone = world.add_hosts(1, BOARD)[0]
    strict, lenient = Checkers(world, strict=True), Checkers(world, skip=["acknowledged-lost"])
    alone.post("kept?")
    world.run(1)
    alone.disk().outbox.clear()
    with pytest.raises(Violated, match="host 0: acknowledged-lost"):
        world.run(50)
    lenient.scan()
    assert strict.violations and not lenient.violations


def test_hosts_that_do_not_share_what_they_have_do_not_converge() -> None:
    world = World(1, make_board=Withholding)
    hosts = world.add_hosts(2, BOARD)
    checkers = Checkers(world)
    hosts[0].post("for nobody")
    world.run(5)
    assert not checkers.check_converged(20)
    assert checkers.converged is False and checkers.converged_after_s is None
    assert rules(checkers) == {"not-converged"}


def test_converging_heals_first_and_says_how_long_it_took() -> None:
    world = World(1)
    hosts = world.add_hosts(3, BOARD)
    checkers = Checkers(world)
    world.network.isolate(hosts[0])
    hosts[1].crash()
    hosts[0].post("cut off")
    world.run(10)
    assert checkers.check_converged(120)
    assert checkers.converged_after_s is not None and 0 < checkers.converged_after_s <= 120


def test_hosts_that_come_later_are_watched_and_adversaries_are_not() -> None:
    class Wicked(Host):
        role = "wicked"

    world = World(1)
    checkers = Checkers(world)
    world.add_hosts(2, BOARD)
    wicked = world.add_hosts(1, BOARD, make_host=Wicked)[0]
    world.run(10)
    assert [host.number for host in checkers.hosts] == [0, 1]
    assert wicked not in checkers.hosts


def test_parts_are_hosts_that_reach_each_other_through_honest_hosts_only() -> None:
    line = World(1, topology=explicit(5, [(0, 1), (1, 2), (2, 3), (3, 4)]))
    hosts = line.add_hosts(5, BOARD)
    assert [len(part) for part in honest_parts(line, hosts)] == [5]
    assert [len(part) for part in honest_parts(line, [*hosts[:2], *hosts[3:]])] == [2, 2]
    floors = World(1, topology=subnets([2, 2]))
    hosts = floors.add_hosts(5, BOARD)
    assert [len(part) for part in honest_parts(floors, hosts)] == [5]
    assert [len(part) for part in honest_parts(floors, hosts[:4])] == [2, 2]


def test_a_way_out_is_a_path_of_honest_relays_each_in_reach_of_the_one_before() -> None:
    world = World(1)
    hosts = world.add_hosts(7, BOARD)
    world.run(60)
    assert way_out(hosts[0], hosts[0].board, hosts) == 1
    assert way_out(hosts[0], hosts[0].board, hosts[:1]) == 0
    assert 0 < way_out(hosts[0], hosts[0].board, hosts[:6]) < 1
    hosts[1].crash()
    assert 0 < way_out(hosts[0], hosts[0].board, hosts) < 1


def test_who_does_not_publish_through_the_mix_has_a_way_out() -> None:
    world = World(1, make_board=PlainGossip)
    [alone] = world.add_hosts(1, BOARD)
    assert way_out(alone, alone.board, [alone]) == 1


def test_a_path_of_a_host_on_two_networks_keeps_to_one_of_them() -> None:
    world = World(1, topology=subnets([6, 6]))
    hosts = world.add_hosts(13, BOARD)
    world.run(120)
    assert way_out(hosts[12], hosts[12].board, hosts) == 1
    assert way_out(hosts[0], hosts[0].board, hosts) == 1
    # Half of its paths are on the side where nobody else is honest.
    one_side = way_out(hosts[12], hosts[12].board, [*hosts[:6], hosts[12]])
    assert 0.3 < one_side < 0.7
    assert way_out(hosts[0], hosts[0].board, hosts[6:]) == 0


def test_what_no_honest_relay_takes_is_waited_for_until_relays_had_their_time() -> None:
    world = World(1)
    hosts = world.add_hosts(1, BOARD)
    world.add_hosts(4, BOARD, make_host=Withholder)
    hosts += world.add_hosts(1, BOARD)
    checkers = Checkers(world)
    hosts[0].post("for nobody")
    world.run(5)
    assert checkers.check_converged(400)
    assert checkers.converged_after_s is not None and checkers.converged_after_s >= 300
    assert hosts[0].disk().outbox


def test_every_bound_is_looked_at_and_holds_on_a_busy_node() -> None:
    node = checked(count=8).hosts[0].node
    gossip = next(iter(node.boards.values()))
    measured = [*lengths(gossip), *node_lengths(node)]
    assert len({what for what, _, _ in measured}) >= 20
    assert all(length <= bound for _, length, bound in measured)
    assert any(length for _, length, _ in measured)


def test_what_one_link_has_too_much_of_is_named() -> None:
    checkers = checked()
    gossip = next(iter(checkers.hosts[0].node.boards.values()))
    link = list(gossip.links.values())[-1]
    link.unsent_bytes = limits.SEND_BYTES_MAX + 1
    link.held_step = bytes(limits.RECONCILE_MESSAGE_BYTES_MAX + 1)
    gossip.fetcher._sources[link.number].queue.extend([bytes(32)] * (2 * limits.WANTED_MAX + 1))
    checkers.scan()
    assert {str(v).split(": ")[2] for v in checkers.violations} == {
        "unsent bytes",
        "held step",
        "queue of a link",
    }


def test_a_table_over_its_bound_is_named() -> None:
    checkers = checked()
    gossip = next(iter(checkers.hosts[0].node.boards.values()))
    gossip._deferred.update(
        {number.to_bytes(32, "big"): 0 for number in range(limits.DEFERRED_MAX + 1)}
    )
    checkers.scan()
    assert [str(v).partition(": ")[2] for v in checkers.violations] == [
        f"bound: deferred: more than {limits.DEFERRED_MAX}"
    ]
