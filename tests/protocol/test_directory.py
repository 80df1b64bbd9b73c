"""Addresses: tried with patience, bounded, what people gave never forgotten; presence tags."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol import limits
from protocol.board import Board, Descriptor
from protocol.chance import Chance
from protocol.directory import (
    TAG_BYTES,
    TAGS_MAX,
    TAGS_STEP,
    Directory,
    Source,
    is_worth_telling,
    presence_tag,
    presence_tags,
    subnet_of,
)
from protocol.messages import Address
from tests.protocol.wired import BOARD, OTHER_BOARD, seeded

LEAST_MS, MOST_MS = limits.REDIAL_MS_RANGE


def directory() -> Directory:
    return Directory(Chance(seeded("directory")))


def at(number: int) -> Address:
    return Address(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}", 4000)


# --- Dialling -------------------------------------------------------------------------------------


def test_a_new_address_is_dialled_at_once_and_not_twice_at_a_time() -> None:
    known = directory()
    known.add([at(1)], Source.TOLD, 0)
    assert known.next_dials(8, 0) == [at(1)]
    assert known.next_dials(8, 0) == []


def test_dials_under_way_are_bounded() -> None:
    """D-6."""
    known = directory()
    for number in range(20):
        known.add([at(number)], Source.TOLD, 0)
    dialled = known.next_dials(8, 0)
    assert len(dialled) == limits.DIALS_AT_ONCE_MAX
    assert known.next_dials(8, 0) == []
    known.on_failed(dialled[0], 0)
    assert len(known.next_dials(8, 0)) == 1


def test_each_failure_doubles_the_wait_up_to_the_most() -> None:
    """D-6."""
    known = directory()
    known.add([at(1)], Source.TOLD, 0)
    now_ms, waits = 0, []
    for _ in range(14):
        assert known.next_dials(8, now_ms) == [at(1)]
        known.on_failed(at(1), now_ms)
        due_ms = known.next_due_ms()
        assert due_ms is not None
        assert known.next_dials(8, due_ms - 1) == []
        waits.append(due_ms - now_ms)
        now_ms = due_ms
    for failures, wait_ms in enumerate(waits):
        most_ms = min(MOST_MS, LEAST_MS << failures)
        assert most_ms // 2 <= wait_ms <= most_ms
    assert waits[-1] >= MOST_MS // 2


def test_a_link_resets_the_wait() -> None:
    known = directory()
    known.add([at(1)], Source.TOLD, 0)
    for now_ms in (0, 10**6, 2 * 10**6):
        assert known.next_dials(8, now_ms) == [at(1)]
        known.on_failed(at(1), now_ms)
    assert known.next_dials(8, 10**7) == [at(1)]
    known.on_linked(1, at(1))
    assert known.next_dials(8, 10**7) == []
    known.on_closed(1, 10**7)
    due_ms = known.next_due_ms()
    assert due_ms is not None and 1_000 <= due_ms - 10**7 <= 3_000
    assert known.next_dials(8, due_ms) == [at(1)]


def test_being_seen_on_the_lan_ends_the_wait_and_being_told_again_does_not() -> None:
    known = directory()
    known.add([at(1)], Source.TOLD, 0)
    known.next_dials(8, 0)
    known.on_failed(at(1), 0)
    known.add([at(1)], Source.TOLD, 1)
    assert known.next_dials(8, 1) == []
    known.add([at(1)], Source.LAN, 2)
    assert known.next_dials(8, 2) == [at(1)]


def test_a_failed_address_does_not_keep_others_from_being_dialled() -> None:
    known = directory()
    known.add([at(1)], Source.GIVEN, 0)
    known.next_dials(8, 0)
    known.on_failed(at(1), 0)
    known.add([at(2)], Source.TOLD, 0)
    assert known.next_dials(8, 0) == [at(2)]


def test_one_node_at_several_addresses_is_dialled_once() -> None:
    known = directory()
    known.add([at(1), at(2)], Source.LAN, 0)
    [first] = known.next_dials(8, 0)
    assert known.next_dials(8, 0) == []
    known.on_linked(1, first)
    assert known.next_dials(8, 10**6) == [] and not known.has_others()


def test_addresses_that_led_to_one_node_are_one_node_from_then_on() -> None:
    known = directory()
    for number in (1, 2):
        known.add([at(number)], Source.TOLD, 0)
        known.on_linked(number, at(number))
    known.on_same_node(at(2), at(1))
    known.on_closed(2, 0)
    assert known.next_dials(8, 10**6) == [] and not known.has_others()
    known.on_closed(1, 10**6)
    assert len(known.next_dials(8, 10**7)) == 1


def test_an_own_address_is_never_dialled_again() -> None:
    """L-11."""
    known = directory()
    known.add([at(1)], Source.LAN, 0)
    known.next_dials(8, 0)
    known.on_own(at(1))
    known.add([at(1)], Source.GIVEN, 0)
    assert len(known) == 0 and known.next_dials(8, 10**9) == []


# --- Bounds ---------------------------------------------------------------------------------------


def test_the_table_is_bounded() -> None:
    known = directory()
    for number in range(1000):
        known.add([at(number)], Source.TOLD, 0)
    assert len(known) == limits.ADDRESSES_PER_BOARD_MAX


def test_what_people_gave_is_never_dropped() -> None:
    known = directory()
    known.add([at(0)], Source.GIVEN, 0)
    for source in Source:
        for number in range(1, 600):
            known.add([at(number + 1000 * source)], source, 0)
    assert len(known) == limits.ADDRESSES_PER_BOARD_MAX
    assert known._records[at(0)].source is Source.GIVEN


def test_what_is_given_after_the_table_is_full_of_given_addresses_replaces_none() -> None:
    known = directory()
    for number in range(limits.ADDRESSES_PER_BOARD_MAX + 1):
        known.add([at(number)], Source.GIVEN, 0)
    assert at(0) in known._records and at(limits.ADDRESSES_PER_BOARD_MAX) not in known._records


def test_what_peers_told_goes_first_and_what_failed_most_goes_first_of_that() -> None:
    known = directory()
    known.add([at(0)], Source.REMEMBERED, 0)
    for number in range(1, limits.ADDRESSES_PER_BOARD_MAX):
        known.add([at(number)], Source.TOLD, 0)
    known.on_failed(at(77), 0)
    known.add([at(1000)], Source.TOLD, 0)
    assert at(77) not in known._records and at(0) in known._records
    known.add([at(1001)], Source.LAN, 0)
    assert at(0) in known._records and at(1001) in known._records


@given(st.lists(st.tuples(st.sampled_from(Source), st.integers(0, 3), st.booleans())), st.data())
def test_the_worst_of_all_that_are_idle_makes_room(
    drawn: list[tuple[Source, int, bool]], data: st.DataObject
) -> None:
    known = directory()
    for number, (source, _, _) in enumerate(drawn):
        known.add([at(number)], source, 0)
    for number, (_, failures, _) in enumerate(drawn):
        for _ in range(failures):
            known.on_failed(at(number), 0)
    seen_again = data.draw(st.sets(st.sampled_from(range(len(drawn) or 1))))
    for number in sorted(seen_again):
        if number < len(drawn):
            known.add([at(number)], Source.LAN, 0)
    for number, (_, _, is_linked) in enumerate(drawn):
        if is_linked:
            known.on_linked(number, at(number))
    idle = [at(number) for number, (_, _, is_linked) in enumerate(drawn) if not is_linked]
    records = known._records
    worst = min(idle, key=lambda a: (records[a].source, -records[a].failures), default=None)
    assert known._worst() == worst


def test_what_peers_tell_drops_nothing_better() -> None:
    known = directory()
    for number in range(limits.ADDRESSES_PER_BOARD_MAX):
        known.add([at(number)], Source.LAN, 0)
    known.add([at(1000)], Source.TOLD, 0)
    assert at(1000) not in known._records


def test_own_addresses_remembered_are_bounded() -> None:
    known = directory()
    for number in range(1000):
        known.on_own(at(number))
    assert len(known._own) == limits.ADDRESSES_PER_BOARD_MAX


# --- Telling --------------------------------------------------------------------------------------


def test_a_peer_is_told_whom_we_are_linked_with_but_not_itself() -> None:
    known = directory()
    for number in range(3):
        known.on_linked(number, at(number))
    known.on_linked(3, None)
    assert set(known.to_tell(at(0))) == {at(1), at(2)}


def test_no_more_is_told_than_a_message_may_hold() -> None:
    """D-5."""
    known = directory()
    for number in range(40):
        known.on_linked(number, at(number))
    assert len(known.to_tell(None)) == limits.PEERS_ADDRESSES_MAX


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.8.0.1",
        "169.254.3.4",
        "::1",
        "fe80::1",
        "fe80::1%eth0",
        "::ffff:127.0.0.1",
        "0.0.0.0",
        "::",
        "224.0.0.251",
        "ff02::fb",
        "localhost",
        "printer.example",
    ],
)
def test_what_means_nothing_elsewhere_is_not_told(host: str) -> None:
    """M-7."""
    assert not is_worth_telling(Address(host, 4000))


@pytest.mark.parametrize("host", ["10.0.0.1", "192.168.1.2", "fd00::1", "2001:db8::1"])
def test_what_others_can_reach_is_told(host: str) -> None:
    assert is_worth_telling(Address(host, 4000))


# --- Presence -------------------------------------------------------------------------------------


def boards(count: int) -> list[Board]:
    return [Board.of(Descriptor(f"board {number}", bytes(32))) for number in range(count)]


@given(st.integers(0, 40))
def test_the_number_of_tags_says_little_and_fits_one_record(count: int) -> None:
    """D-2."""
    salt, tags = presence_tags(boards(count), Chance(seeded(str(count))))
    assert len(tags) % TAGS_STEP == 0 and TAGS_STEP <= len(tags) <= TAGS_MAX
    assert len(set(tags)) == len(tags) and all(len(tag) == TAG_BYTES for tag in tags)
    shown = sum(presence_tag(board, salt) in tags for board in boards(count))
    assert shown == min(count, TAGS_MAX)


def test_only_members_can_tell_which_tag_is_the_boards() -> None:
    """D-2."""
    salt, tags = presence_tags([BOARD], Chance(seeded("presence")))
    assert presence_tag(BOARD, salt) in tags
    assert presence_tag(OTHER_BOARD, salt) not in tags
    assert not any(BOARD.id[:4] in tag or BOARD.tag in tag for tag in tags)


def test_two_salts_of_one_node_have_no_tag_in_common() -> None:
    chance = Chance(seeded("two salts"))
    first_salt, first = presence_tags([BOARD, OTHER_BOARD], chance)
    second_salt, second = presence_tags([BOARD, OTHER_BOARD], chance)
    assert first_salt != second_salt and not set(first) & set(second)


def test_tags_come_in_an_order_that_says_nothing() -> None:
    """D-2."""
    _, tags = presence_tags([BOARD, OTHER_BOARD], Chance(seeded("order")))
    assert list(tags) == sorted(tags)


def test_a_peer_that_is_full_is_dialled_ever_more_rarely() -> None:
    directory = Directory(Chance(seeded("full")))
    address = Address("10.0.0.7", 7000)
    directory.add([address], Source.LAN, 0)
    now_ms, waits = 0, []
    for link in range(8):
        assert directory.next_dials(1, now_ms) == [address]
        directory.on_linked(link, address)
        directory.on_closed(link, now_ms, is_full=True)
        due_ms = directory.next_due_ms()
        assert due_ms is not None
        waits.append(due_ms - now_ms)
        now_ms = due_ms
    assert waits[-1] > 16 * waits[0]


def test_some_dials_are_kept_for_other_subnets() -> None:
    """D-6."""
    directory = Directory(Chance(seeded("subnets")))
    own = frozenset([subnet_of("10.0.0.99")])
    near = [Address(f"10.0.0.{i}", 7000) for i in range(1, 31)]
    far = [Address(f"10.0.{i}.{j}", 7000) for i in (1, 2) for j in range(1, 31)]
    ordinary = limits.LINKS_DIALLED_TARGET + limits.LINKS_ELSEWHERE_TARGET
    for address in near:
        directory.add([address], Source.LAN, 0)
    dialled: list[Address] = []

    def dial_all(wanted: int) -> None:
        while picked := directory.next_dials(wanted - len(dialled), 0, dialled, own):
            for address in picked:
                directory.on_linked(len(dialled), address)
                dialled.append(address)

    dial_all(ordinary)
    assert len(dialled) == limits.LINKS_DIALLED_TARGET and set(dialled) < set(near)
    assert directory.next_due_ms(dialled, own) is None, "a full subnet is nothing to wake up for"
    for address in far:
        directory.add([address], Source.TOLD, 0)
    dial_all(ordinary)
    assert len(dialled) == ordinary
    assert set(dialled[limits.LINKS_DIALLED_TARGET :]) < set(far)
    dial_all(30)
    assert len(dialled) == limits.LINKS_DIALLED_TARGET + 2 * limits.LINKS_ELSEWHERE_TARGET


def test_what_people_gave_is_dialled_though_there_are_links_enough() -> None:
    """D-6."""
    directory = Directory(Chance(seeded("given too")))
    given = Address("10.0.0.1", 7000)
    dialled = [Address(f"10.0.0.{i}", 7000) for i in range(2, 12)]
    directory.add([Address("10.9.0.1", 7000)], Source.LAN, 0)
    directory.add([given], Source.GIVEN, 0)
    own = frozenset([subnet_of("10.0.0.99")])
    assert directory.next_dials(0, 0, dialled, own, given_extra=4) == [given]


def test_what_people_gave_is_dialled_first() -> None:
    """D-6."""
    directory = Directory(Chance(seeded("given")))
    for i in range(1, 101):
        directory.add([Address(f"10.{i}.0.1", 7000)], Source.TOLD, 0)
    given = Address("10.200.0.1", 7000)
    directory.add([given], Source.GIVEN, 0)
    assert directory.next_dials(1, 0) == [given]


def test_with_enough_links_only_what_people_gave_is_a_reason_to_wake_up() -> None:
    known = directory()
    known.add([at(1)], Source.LAN, 0)
    assert known.next_due_ms(links_wanted=1) == 0
    assert known.next_due_ms(links_wanted=0) is None
    known.add([at(2)], Source.GIVEN, 5)
    assert known.next_due_ms(links_wanted=0) == 5
    assert known.next_dials(0, 5, given_extra=1) == [at(2)]
    assert known.next_due_ms(links_wanted=0) is None, "it is dialled already"
