"""Relay records: which are right, who is alive, and that nobody gains by having many."""

from __future__ import annotations

from collections import Counter
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol import limits
from protocol.board import Board, Descriptor
from protocol.chance import Chance
from protocol.codec import encode
from protocol.crypto import CURVE25519, exchange_public_key
from protocol.errors import Reason, Refused
from protocol.messages import Address
from protocol.relays import (
    Record,
    Relays,
    decode_record,
    epoch_of,
    is_timely,
    record_id,
    relay_work,
    work_bits,
)
from protocol.work import work_of
from tests.protocol.test_cells import LOW_ORDER
from tests.protocol.wired import BOARD, OTHER_BOARD, WALL_S, raw_record, seeded

EPOCH = epoch_of(WALL_S)
NOW_MS = 1_000_000
ALIVE_MS = limits.RELAY_ALIVE_MS
MALFORMED = Reason.RELAY_MALFORMED
RAW = raw_record()


def decoded(raw: bytes, board: Board = BOARD) -> Record:
    return decode_record(board, raw, CURVE25519)


def record(number: int, host: str | None = None, epoch: int = EPOCH, port: int = 4000) -> Record:
    """A right record; another key for each number."""
    secret = seeded(f"relay {number}")(32)
    return decoded(
        raw_record(host or f"10.1.{number // 250}.{number % 250 + 1}", port, epoch, secret)
    )


def refusal_of(raw: bytes, board: Board = BOARD) -> Reason | None:
    try:
        decoded(raw, board)
    except Refused as refused:
        return refused.reason
    return None


def relays(name: str = "relays") -> Relays:
    return Relays(BOARD, Chance(seeded(name)), CURVE25519)


def known(*records: Record, name: str = "relays", alive: bool = True) -> Relays:
    """A table that has these, all of them alive or none."""
    table = relays(name)
    for each in records:
        assert table.add(each, WALL_S, NOW_MS)
    if alive:
        table.on_home([each.id for each in records], NOW_MS)
    return table


def hosts_of(path: list[Record]) -> list[str]:
    return [each.address.host for each in path]


# --- Records --------------------------------------------------------------------------------------


@given(
    st.ip_addresses(),
    st.integers(1, 65535),
    st.integers(0, 2**32 - 1),
    st.binary(min_size=32, max_size=32),
)
def test_a_record_says_what_it_was_made_of(
    host: object, port: int, epoch: int, secret: bytes
) -> None:
    """Y-1."""
    raw = raw_record(str(host), port, epoch, secret)
    assert len(raw) <= limits.RELAY_RECORD_BYTES_MAX
    read = decoded(raw)
    assert (read.epoch, read.key, read.raw) == (epoch, exchange_public_key(secret), raw)
    assert read.address.port == port
    mapped = getattr(host, "ipv4_mapped", None)
    assert ip_address(read.address.host) == (mapped or host)
    assert read.hop.id == read.id == record_id(BOARD, raw) and len(read.id) == 16


def test_the_longest_record_is_within_the_bound() -> None:
    longest = raw_record(b"\xff" * 16, 65535, 2**32 - 1)
    assert len(longest) <= limits.RELAY_RECORD_BYTES_MAX
    decoded(longest)


FIELDS = [1, EPOCH, exchange_public_key(bytes(range(32))), bytes([10, 0, 0, 9]), 4000, bytes(8)]


def with_field(at: int, value: object) -> bytes:
    return encode([*FIELDS[:at], value, *FIELDS[at + 1 :]])


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\x86",
        RAW[:-1],
        RAW + b"\0",
        encode(RAW),
        encode(FIELDS[:5]),
        encode([*FIELDS, 0]),
        b"\x98\x06" + RAW[1:],
        with_field(0, 0),
        with_field(0, 2),
        with_field(0, True),
        with_field(0, 1.0),
        with_field(1, -1),
        with_field(1, 2**32),
        with_field(1, None),
        with_field(2, bytes(31)),
        with_field(2, "x" * 32),
        with_field(3, bytes(5)),
        with_field(3, b""),
        with_field(3, "10.0.0.9"),
        with_field(4, 0),
        with_field(4, 65536),
        with_field(4, True),
        with_field(5, bytes(7)),
        with_field(5, 0),
    ],
    ids=lambda raw: raw.hex()[:12] + "-" + str(len(raw)),
)
def test_what_is_no_record_is_malformed(raw: bytes) -> None:
    """Y-1."""
    assert refusal_of(raw) is MALFORMED


@given(st.binary(max_size=100))
def test_arbitrary_bytes_are_refused_for_documented_reasons(raw: bytes) -> None:
    assert refusal_of(raw) in (MALFORMED, Reason.RELAY_WORK)


@given(st.integers(0, len(RAW) - 1), st.integers(1, 255))
def test_a_changed_byte_makes_another_record_or_none(at: int, change: int) -> None:
    changed = RAW[:at] + bytes([RAW[at] ^ change]) + RAW[at + 1 :]
    if refusal_of(changed) is None:
        assert decoded(changed).id != decoded(RAW).id
    else:
        assert refusal_of(changed) in (MALFORMED, Reason.RELAY_WORK)


def test_a_record_needs_four_bits_of_work_more_than_an_entry() -> None:
    """Y-1."""
    board = Board.of(Descriptor("work", bytes(32), work_bits=3))
    assert work_bits(board) == 7
    key = exchange_public_key(bytes(32))
    search = relay_work(board, EPOCH, key, bytes(4), 1)
    assert search.bits == 7
    for number in range(300):
        raw = encode([1, EPOCH, key, bytes(4), 1, number.to_bytes(8, "big")])
        is_enough = search.search(number, 1) is not None
        assert refusal_of(raw, board) is (None if is_enough else Reason.RELAY_WORK)
    right = raw_record(board=board)
    assert work_of(decoded(right, board).id) < 20 and refusal_of(right, board) is None


def test_a_record_is_of_one_board() -> None:
    right = [raw_record(port=port) for port in range(1, 40)]
    assert sum(refusal_of(raw, OTHER_BOARD) is None for raw in right) < 12
    assert record_id(BOARD, RAW) != record_id(OTHER_BOARD, RAW)


@pytest.mark.parametrize("key", LOW_ORDER, ids=lambda key: key.hex()[:8])
def test_a_key_that_gives_zeros_is_malformed(key: bytes) -> None:
    """Y-1."""
    assert refusal_of(raw_record(key=key)) is MALFORMED


def test_a_record_is_timely_in_its_epoch_and_one_around() -> None:
    """Y-2."""
    start_s = EPOCH * limits.RELAY_EPOCH_S
    one = record(1)
    for wall_s, is_right in (
        (start_s - 3601, False),
        (start_s - 3600, True),
        (start_s, True),
        (start_s + 7199, True),
        (start_s + 7200, False),
    ):
        assert is_timely(one, wall_s) is is_right
        assert relays().add(one, wall_s, NOW_MS) is is_right


# --- The table ------------------------------------------------------------------------------------


def test_a_record_is_new_once() -> None:
    table = known(record(1))
    assert not table.add(record(1), WALL_S, NOW_MS)
    assert len(table) == 1 and table.get(record(1).id) == record(1)


def test_records_of_epochs_that_are_over_are_forgotten() -> None:
    """Y-2."""
    old, new = record(1, epoch=EPOCH - 1), record(2, epoch=EPOCH + 1)
    table = known(old, new)
    own = record(3, epoch=EPOCH - 1)
    table.add_own(own)
    table.expire(WALL_S)
    assert len(table) == 3
    table.expire(WALL_S + limits.RELAY_EPOCH_S)
    assert table.get(old.id) is None and table.get(own.id) is None
    assert table.choose(3, NOW_MS, WALL_S + limits.RELAY_EPOCH_S) == [new]
    assert table.to_tell() == [new]


def flood(count: int) -> list[Record]:
    """Different records, without the price of making so many."""
    one = record(0)
    return [
        one._replace(
            id=number.to_bytes(16, "big"),
            address=Address(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}", 4000),
        )
        for number in range(count)
    ]


def test_the_table_is_bounded_and_the_living_and_our_own_are_never_put_out() -> None:
    """Y-4."""
    linked, proven, own = record(1), record(2), record(3)
    table = known(linked, proven, alive=False)
    table.add_own(own)
    table.on_link(1, linked.id, linked.address)
    table.on_home([proven.id], NOW_MS)
    for one in flood(3 * limits.RELAYS_MAX):
        assert table.add(one, WALL_S, NOW_MS)
        assert len(table) <= limits.RELAYS_MAX
    assert len(table) == 1024
    assert all(table.get(each.id) for each in (linked, proven, own))
    kept = [one for one in flood(3 * limits.RELAYS_MAX) if table.get(one.id)]
    # Chosen at random: neither the first nor the last have all the places.
    early = sum(one.id < (1024).to_bytes(16, "big") for one in kept)
    assert 0 < early < 1021 / 2


def test_a_table_that_is_full_of_the_living_takes_no_more_until_some_are_not() -> None:
    """Y-4."""
    table = known(*flood(limits.RELAYS_MAX))
    assert not table.add(record(1), WALL_S, NOW_MS)
    assert table.add(record(1), WALL_S, NOW_MS + ALIVE_MS)
    assert len(table) == limits.RELAYS_MAX


def test_our_own_records_are_told_first_and_those_of_others_in_no_order() -> None:
    """Y-4."""
    others = [record(number) for number in range(8)]
    own = record(100)
    told = set()
    for seed in range(10):
        table = known(*others, name=f"relays {seed}")
        table.add_own(own)
        first, *rest = table.to_tell()
        assert first == own and sorted(rest) == sorted(others)
        told.add(tuple(each.id for each in rest))
    assert len(told) > 5


# --- Who is alive ---------------------------------------------------------------------------------


def test_a_record_is_alive_while_a_link_leads_to_it() -> None:
    """Y-6."""
    one = record(1)
    table = known(one, alive=False)
    assert not table.is_alive(one.id, NOW_MS)
    table.on_link(7, one.id, one.address)
    assert table.is_alive(one.id, NOW_MS + 100 * ALIVE_MS)
    table.on_link_closed(8)
    assert table.is_alive(one.id, NOW_MS)
    table.on_link_closed(7)
    assert not table.is_alive(one.id, NOW_MS)


def test_a_link_that_closes_takes_with_it_what_loops_had_shown() -> None:
    """Y-6: whoever was there is gone, most likely."""
    one = record(1)
    table = known(one)
    table.on_link(7, one.id, one.address)
    table.on_link_closed(7)
    assert not table.is_alive(one.id, NOW_MS)


def test_a_loop_that_came_home_vouches_for_a_relay_for_half_an_hour() -> None:
    """Y-6."""
    one, other = record(1), record(2)
    table = known(one, other, alive=False)
    table.on_home([one.id], NOW_MS)
    assert table.is_alive(one.id, NOW_MS + ALIVE_MS - 1)
    assert not table.is_alive(one.id, NOW_MS + ALIVE_MS)
    assert not table.is_alive(other.id, NOW_MS) and ALIVE_MS == 1_800_000


def test_those_on_a_lost_loop_are_asked_alone_and_stay_alive_meanwhile() -> None:
    """X-2, Y-6."""
    table = known(*[record(number) for number in range(6)])
    one, other = record(0), record(1)
    table.on_lost([one.id, other.id, bytes(16)])
    assert table.is_alive(one.id, NOW_MS) and table.is_alive(other.id, NOW_MS)
    assert {table.suspect(NOW_MS) for _ in range(50)} == {one, other}
    table.on_home([one.id], NOW_MS)
    assert {table.suspect(NOW_MS) for _ in range(50)} == {other}
    table.on_home([other.id, record(2).id], NOW_MS)
    assert table.suspect(NOW_MS) is table.doubtful(NOW_MS, WALL_S) is None


def test_an_address_is_out_while_most_of_those_that_answered_there_are_doubted() -> None:
    """Y-6: many records at one address are one machine's."""
    many = [record(0, port=4000 + number) for number in range(5)]
    table = known(*many, *[record(number) for number in range(1, 9)])
    for number, one in enumerate(many, 1):
        assert (one.address.host in table.hosts(NOW_MS, WALL_S)) is (number <= 3)
        table.on_lost([one.id])


def test_a_loop_that_is_lost_through_one_alone_puts_it_in_doubt_until_one_comes_home() -> None:
    """Y-6: also who is linked."""
    table = known(*[record(number) for number in range(6)])
    linked, other = record(0), record(1)
    table.on_link(1, linked.id, linked.address)
    for one in (linked.id, other.id, bytes(16)):
        table.on_lost([one])
    assert not table.is_alive(linked.id, NOW_MS) and not table.is_alive(other.id, NOW_MS)
    for _ in range(30):
        assert not {linked, other} & set(table.choose(3, NOW_MS, WALL_S))
        assert table.doubtful(NOW_MS, WALL_S) in (linked, other)
    table.on_link(2, linked.id, linked.address)
    assert not table.is_alive(linked.id, NOW_MS)
    table.on_home([other.id], NOW_MS)
    assert table.is_alive(other.id, NOW_MS) and not table.is_alive(linked.id, NOW_MS)
    assert table.doubtful(NOW_MS, WALL_S) == linked


def test_a_relay_that_has_not_answered_is_not_alive_by_the_end_of_a_doubt() -> None:
    """Y-6."""
    one = record(1)
    table = known(one)
    table.on_lost([one.id])
    table.on_home([one.id], NOW_MS + 1)
    assert table.is_alive(one.id, NOW_MS + ALIVE_MS)
    assert not table.is_alive(one.id, NOW_MS + ALIVE_MS + 1)


@pytest.mark.parametrize(("doubted", "drawn"), [(4, 6), (5, 5), (6, 10), (10, 10)])
def test_where_most_are_doubted_nobody_is_left_out(doubted: int, drawn: int) -> None:
    """Y-7: it is the network then, and who controls it shall not choose for us."""
    records = [record(number) for number in range(10)]
    unanswered = [record(number) for number in range(10, 15)]
    table = known(*records)
    for one in unanswered:
        table.add(one, WALL_S, NOW_MS)
    for one in records[:doubted]:
        table.on_lost([one.id])
    counts = Counter(hosts_of(table.choose(1, NOW_MS, WALL_S))[0] for _ in range(2000))
    assert len(counts) == drawn
    assert set(counts) <= {one.address.host for one in records}
    assert sorted(table.hosts(NOW_MS, WALL_S)) == sorted(counts)


def test_what_is_unknown_or_our_own_is_not_vouched_for() -> None:
    own = record(1)
    table = relays()
    table.add_own(own)
    for identifier in (own.id, bytes(16)):
        table.on_link(1, identifier, own.address)
        table.on_home([identifier], NOW_MS)
        assert not table.is_alive(identifier, NOW_MS)


def test_cells_for_a_relay_go_where_the_link_to_it_leads() -> None:
    """An address of one segment needs its zone."""
    one = record(1, "fe80::7")
    table = known(one)
    assert table.address_of(one) == Address("fe80::7", 4000)
    table.on_link(1, one.id, Address("fe80::7%eth0", 4000))
    assert table.address_of(one) == Address("fe80::7%eth0", 4000)


def test_addresses_count_once_and_only_where_somebody_has_answered() -> None:
    one, same_host, other, dead = (
        record(1, "10.0.0.1"),
        record(2, "10.0.0.1", port=4001),
        record(3, "10.0.0.2"),
        record(4, "10.0.0.3"),
    )
    table = known(one, same_host, other, dead, alive=False)
    own = record(5, "10.0.0.4")
    table.add_own(own)
    assert table.hosts(NOW_MS, WALL_S) == []
    table.on_home([one.id, same_host.id, other.id], NOW_MS)
    assert sorted(table.hosts(NOW_MS, WALL_S)) == ["10.0.0.1", "10.0.0.2"]
    assert table.hosts(NOW_MS + ALIVE_MS, WALL_S) == []


def test_there_is_a_path_as_soon_as_somebody_else_is_known() -> None:
    table = relays()
    table.add_own(record(1))
    assert not table.is_path(NOW_MS, WALL_S)
    table.add(record(2), WALL_S, NOW_MS)
    assert table.is_path(NOW_MS, WALL_S)


# --- Drawing --------------------------------------------------------------------------------------

#: The 99.99th percentile of chi square with 9 degrees of freedom.
CHI_SQUARE_MOST = 33.7


def chi_square(counts: dict[str, int], expected: float) -> float:
    return sum((count - expected) ** 2 / expected for count in counts.values())


def test_relays_are_drawn_uniformly_by_address_and_many_records_at_one_gain_nothing() -> None:
    """Y-7: one of ten addresses has 40 records, among them some in the other family's form."""
    honest = [record(number, f"10.0.0.{number}") for number in range(1, 10)]
    greedy = [record(100 + number, "10.0.0.66", port=4000 + number) for number in range(35)]
    mapped = bytes(10) + b"\xff\xff" + bytes([10, 0, 0, 66])
    greedy += [decoded(raw_record(mapped, 5000 + number)) for number in range(5)]
    table = known(*honest, *greedy)
    counts = Counter(hosts_of(table.choose(1, NOW_MS, WALL_S))[0] for _ in range(10_000))
    assert len(counts) == 10
    assert chi_square(counts, 1000) < CHI_SQUARE_MOST


def test_each_place_of_a_path_is_drawn_uniformly() -> None:
    """Y-7."""
    table = known(*[record(number) for number in range(10)])
    paths = [hosts_of(table.choose(3, NOW_MS, WALL_S)) for _ in range(10_000)]
    for place in range(3):
        counts = Counter(path[place] for path in paths)
        assert len(counts) == 10 and chi_square(counts, 1000) < CHI_SQUARE_MOST


@given(st.lists(st.integers(0, 6), min_size=1, max_size=20), st.integers(0, 7), st.text(max_size=2))
def test_no_two_relays_of_a_path_are_at_one_address(
    places: list[int], count: int, name: str
) -> None:
    """Y-7."""
    records = [POOL[host][at % len(POOL[host])] for at, host in enumerate(places)]
    table = relays(name)
    for one in records:
        table.add(one, WALL_S, NOW_MS)
    path = table.choose(count, NOW_MS, WALL_S)
    hosts = hosts_of(path)
    assert len(set(hosts)) == len(hosts) == min(count, len(set(places)))
    but = hosts[:1]
    others = hosts_of(table.choose(count, NOW_MS, WALL_S, but=but))
    assert not set(but) & set(others)
    assert len(others) == min(count, len(set(places) - {int(h.split(".")[3]) for h in but}))


#: For each of seven addresses, records of three ports.
POOL = {
    host: [record(host * 3 + at, f"10.0.0.{host}", port=4000 + at) for at in range(3)]
    for host in range(7)
}


def test_only_the_living_are_drawn_and_all_known_ones_while_there_are_none() -> None:
    """Y-7."""
    living, dead = [record(1), record(2)], [record(3), record(4)]
    table = known(*living, *dead, alive=False)
    assert len(table.choose(4, NOW_MS, WALL_S)) == 4
    table.on_home([each.id for each in living], NOW_MS)
    for _ in range(50):
        assert sorted(table.choose(4, NOW_MS, WALL_S)) == sorted(living)
        assert table.doubtful(NOW_MS, WALL_S) in dead
    table.on_home([each.id for each in dead], NOW_MS)
    assert table.doubtful(NOW_MS, WALL_S) is None
    assert len(table.choose(4, NOW_MS, WALL_S)) == 4


def test_our_own_records_are_never_drawn() -> None:
    """Y-7."""
    table = known(record(1))
    table.add_own(record(2))
    assert all(table.choose(2, NOW_MS, WALL_S) == [record(1)] for _ in range(50))
    alone = relays()
    alone.add_own(record(2))
    assert alone.choose(3, NOW_MS, WALL_S) == [] and alone.doubtful(NOW_MS, WALL_S) is None


def test_of_one_port_the_record_of_this_epoch_is_taken_and_else_the_nearest() -> None:
    """Y-7."""
    before, this, after = (record(n, "10.0.0.1", EPOCH + n) for n in (-1, 0, 1))
    table = known(before, after, this)
    assert all(table.choose(1, NOW_MS, WALL_S) == [this] for _ in range(20))
    assert known(after, before).choose(1, NOW_MS, WALL_S + limits.RELAY_EPOCH_S) == [after]
    assert known(before).choose(1, NOW_MS, WALL_S) == [before]


def test_who_dies_of_age_is_not_drawn_for_long() -> None:
    one, other = record(1), record(2)
    table = known(one, other)
    assert len(table.choose(2, NOW_MS, WALL_S)) == 2
    table.on_home([one.id], NOW_MS + ALIVE_MS - 1)
    later_ms = NOW_MS + ALIVE_MS + 10_000
    assert table.choose(2, later_ms, WALL_S) == [one]
