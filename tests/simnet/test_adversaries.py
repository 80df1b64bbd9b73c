"""Each adversary does what it says, and the honest keep what they were promised."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, is_dataclass
from random import Random
from typing import Any

import pytest

from protocol import limits
from protocol.board import Descriptor, Pace
from protocol.errors import ProtocolError, Reason, Refused
from protocol.messages import Announce, Peers, Ping, RelayRecords, Want, decode_message
from simnet.adversaries import ADVERSARIES
from simnet.adversaries.equivocator import Equivocator
from simnet.adversaries.malformed import MalformedSender, garble, garble_bytes
from simnet.adversaries.spammer import Spammer
from simnet.adversaries.sybils import Machine
from simnet.checkers import Checkers
from simnet.host import Host
from simnet.topology import explicit
from simnet.world import World

BOARD = Descriptor("attacked", work_bits=0, pace=Pace.BRISK)


def wicked(name: str, **settings: Any) -> Callable[..., Host]:
    kind = ADVERSARIES[name]
    return kind.make(kind.options(**settings))


def attacked(
    name: str, honest: int, adversaries: int, seed: int = 1, **settings: Any
) -> tuple[World, list[Host], list[Any], Checkers]:
    """Adversaries first on the network, then honest hosts."""
    world = World(seed)
    bad = world.add_hosts(adversaries, BOARD, make_host=wicked(name, **settings))
    good = world.add_hosts(honest, BOARD)
    return world, good, bad, Checkers(world)


@pytest.mark.parametrize("name", list(ADVERSARIES))
def test_every_adversary_says_what_it_is_and_has_defaults(name: str) -> None:
    kind = ADVERSARIES[name]
    assert kind.name == name and kind.description
    assert is_dataclass(kind.options) and kind.options() == kind.options()
    documented = kind.options.__doc__ or ""
    assert all(f":ivar {option.name}:" in documented for option in fields(kind.options))
    host = World(1).add_hosts(1, BOARD, make_host=kind.make(kind.options()))[0]
    assert host.role != "honest"


@pytest.mark.parametrize("name", list(ADVERSARIES))
def test_a_world_with_an_adversary_replays_exactly_and_keeps_all_rules(name: str) -> None:
    def trace() -> str:
        world, good, bad, checkers = attacked(name, 4, 1)
        good[0].post("before")
        world.run(20)
        bad[0].crash()
        world.run(5)
        bad[0].start()
        bad[0].sleep()
        world.run(5)
        bad[0].wake()
        good[1].post("after")
        world.run(20)
        bad[0].stop()
        assert checkers.check_converged(200), checkers.violations
        assert not checkers.violations
        return world.trace_hash

    assert trace() == trace()


# --- Sybils ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("own_addresses", [True, False])
def test_sybils_are_many_nodes_at_one_place(own_addresses: bool) -> None:
    world, good, [machine], _ = attacked("sybils", 3, 1, identities=12, own_addresses=own_addresses)
    world.run(60)
    assert isinstance(machine, Machine)
    assert len(set(machine.own_addresses)) == 12
    assert len({address.host for address in machine.own_addresses}) == (12 if own_addresses else 1)
    for host in good:
        gossip = next(iter(host.node.boards.values()))
        assert len({link.instance for link in gossip.links.values()}) == 12 + 2
        assert len(gossip.links) <= limits.LINKS_PER_BOARD_MAX


def test_more_sybils_than_a_node_has_links_break_no_bound_and_lose_no_post() -> None:
    """The honest hosts were linked before the sybils came."""
    world = World(1)
    good = world.add_hosts(4, BOARD)
    checkers = Checkers(world)
    world.run(10)
    make = wicked("sybils", identities=60, gives=False, own_addresses=False)
    world.add_hosts(1, BOARD, make_host=make)
    world.run(60)
    gossip = next(iter(good[0].node.boards.values()))
    assert len(gossip.links) == limits.LINKS_PER_BOARD_MAX
    for host in good:
        host.post(f"from {host.number}")
    world.run(1)
    assert checkers.check_converged(400), checkers.violations
    assert not checkers.violations


def test_who_comes_when_sybils_hold_every_slot_is_let_in_by_the_others() -> None:
    world = World(1)
    early = world.add_hosts(3, BOARD)
    world.run(10)
    make = wicked("sybils", identities=34, gives=False, own_addresses=False)
    [machine] = world.add_hosts(1, BOARD, make_host=make)
    world.run(100)
    [late] = world.add_hosts(1, BOARD)
    late.post("let me in")
    assert world.run_until(lambda: all(host.texts() == ["let me in"] for host in early), 900)
    gossip = next(iter(late.node.boards.values()))
    sybils = {address.host for address in machine.own_addresses}
    assert any(link.remote.host not in sybils for link in gossip.links.values())


# --- Eclipse --------------------------------------------------------------------------------------


def test_an_eclipse_fills_the_victims_links_but_does_not_cut_it_off_its_lan() -> None:
    world = World(1)
    victim, *others = world.add_hosts(5, BOARD)
    checkers = Checkers(world)
    world.run(10)
    world.add_hosts(5, BOARD, make_host=wicked("eclipse", victim=0, identities=8))
    world.run(60)
    gossip = next(iter(victim.node.boards.values()))
    hostile = [link for link in gossip.links.values() if link.remote.host.startswith("172.")]
    assert len(hostile) > len(gossip.links) // 2
    victim.post("help")
    others[0].post("where are you?")
    world.run(1)
    assert checkers.check_converged(400), checkers.violations
    assert not checkers.violations


def test_a_victim_that_knows_only_its_attackers_sees_nobody_else() -> None:
    """What is not promised."""
    world = World(1, topology=explicit(3, [(0, 1)]))
    victim = world.add_hosts(1, BOARD)[0]
    world.add_hosts(1, BOARD, make_host=wicked("eclipse", victim=0))
    victim.post("anybody?")
    world.run(60)
    assert not victim.ids() and len(victim.disk().outbox) == 1


# --- Spammers -------------------------------------------------------------------------------------


def test_a_spammer_writes_at_its_rate_or_as_fast_as_the_work_lets_it() -> None:
    slow = Descriptor("costly", work_bits=6)
    rates = []
    for board in (BOARD, slow):
        world = World(1)
        make = wicked("spammer", entries_per_s=5.0, hashes_per_s=64.0, from_s=0.0)
        [spammer] = world.add_hosts(1, board, make_host=make)
        world.run(60)
        assert isinstance(spammer, Spammer)
        rates.append(len(spammer.spam) / 60)
    assert 4 < rates[0] < 6 and 0.6 < rates[1] < 1.4


@pytest.mark.parametrize(("texts", "distinct"), [("copies", 1), ("near", 50), ("fresh", 50)])
def test_spam_is_copies_near_copies_or_fresh_each_with_a_new_key(texts: str, distinct: int) -> None:
    world, good, [spammer], checkers = attacked(
        "spammer", 2, 1, entries_per_s=20.0, texts=texts, from_s=0.0, for_s=5.0
    )
    world.run(5)
    good[0].post("not spam")
    world.run(1)
    assert checkers.check_converged(60), checkers.violations
    spam = [text for text in good[1].texts() if text != "not spam"]
    assert len(spam) == len(spammer.spam) > 50 and "not spam" in good[1].texts()
    assert distinct == 1 == len(set(spam)) or len(set(spam)) >= distinct
    assert len({entry.header.persona for entry in spammer.spam}) == len(spammer.spam)


# --- Equivocators ---------------------------------------------------------------------------------


def test_all_branches_of_a_fork_reach_everybody() -> None:
    world, good, [forker], checkers = attacked("equivocator", 4, 1, forks_per_s=1.0, branches=3)
    world.run(30)
    assert isinstance(forker, Equivocator)
    forker.crash()
    assert checkers.check_converged(120), checkers.violations
    assert not checkers.violations
    assert len(forker.forks) > 10
    for fork in forker.forks:
        assert len({(entry.header.persona, entry.header.seq) for entry in fork}) == 1
        assert {entry.id for entry in fork} <= good[0].ids() == good[3].ids()
    assert max(entry.header.seq for fork in forker.forks for entry in fork) > 1


# --- Withholders ----------------------------------------------------------------------------------


@pytest.mark.parametrize("answers", ["nothing", "never"])
def test_withholders_delay_posts_and_lose_none(answers: str) -> None:
    world, good, bad, checkers = attacked("withholder", 6, 3, answers=answers)
    world.run(30)
    for host in good:
        host.post(f"from {host.number}")
    world.run(1)
    assert world.run_until(lambda: all(len(host.ids()) == 6 for host in good), 900)
    assert checkers.check_converged(200), checkers.violations
    assert not checkers.violations
    assert any(host.ids() for host in bad), "they take what they can get"


def test_withholders_alone_bring_nothing_out() -> None:
    world, [author], _, checkers = attacked("withholder", 1, 3)
    author.post("held back")
    world.run(120)
    assert not author.ids() and len(author.disk().outbox) == 1
    assert not checkers.violations


# --- Malformed ------------------------------------------------------------------------------------


def test_malformed_senders_are_hung_up_on_with_a_reason_and_change_nothing() -> None:
    world, good, [sender], checkers = attacked(
        "malformed", 3, 1, message_share=0.5, wire_share=0.1, strangers_per_s=2.0
    )
    for number in range(30):
        good[number % 3].post(f"post {number}")
        world.run(4)
    assert checkers.check_converged(200), checkers.violations
    assert not checkers.violations
    assert isinstance(sender, MalformedSender) and sender.said > 30
    reasons = {hang_up.reason for host in good for hang_up in host.hang_ups}
    assert Reason.LINK_MESSAGE_MALFORMED in reasons and Reason.LINK_AUTHENTICATION in reasons
    assert any(reason.slug.startswith("entry-") for reason in reasons if reason is not None)
    assert len(sender.strangers) > 100
    assert not any(stranger.answered_bytes for stranger in sender.strangers)


def test_what_is_garbled_is_refused_with_a_documented_reason_or_still_well_formed() -> None:
    random = Random(1)
    messages = [
        Announce([(1, bytes(32)), (2, bytes(32))]),
        Want(1, [bytes(32)]),
        RelayRecords([b"raw"]),
        Peers([]),
        Ping(),
    ]
    refused: set[Reason] = set()
    for _ in range(3_000):
        for kind, body in garble(random, random.choice(messages)):
            try:
                decode_message(kind, body)
            except Refused as refusal:
                refused.add(refusal.reason)
            except ProtocolError as error:
                pytest.fail(repr(error))
    assert refused == {Reason.LINK_MESSAGE_MALFORMED, Reason.LINK_MESSAGE_UNKNOWN}
    assert any(garble_bytes(random, b"frame") != b"frame" for _ in range(10))
