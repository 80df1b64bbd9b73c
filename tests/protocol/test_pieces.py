"""Entries are cut into bodies and put together again, whatever else arrives with them."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol import limits
from protocol.cells import BODY_BYTES
from protocol.codec import encode
from protocol.messages import WireEntry
from protocol.pieces import (
    PIECE_BYTES_MAX,
    Assembly,
    Loop,
    Piece,
    cover_body,
    cut,
    decode_body,
    loop_body,
)
from tests.protocol.wired import seeded, wire, written

TRANSFER = bytes(range(16))
wire_entries = st.builds(
    WireEntry,
    st.binary(max_size=300),
    st.binary(min_size=64, max_size=64),
    st.none() | st.integers(0, 9000).map(lambda size: seeded(f"{size}")(size)),
)
pieces_of_any_kind = st.builds(
    Piece,
    st.sampled_from([bytes([number]) * 16 for number in range(4)]),
    st.integers(0, 5),
    st.integers(1, 6),
    st.binary(min_size=1, max_size=40),
).filter(lambda piece: piece.place < piece.places)


def pieces(entry: WireEntry, transfer: bytes = TRANSFER) -> list[Piece]:
    decoded = [decode_body(body) for body in cut(entry, transfer)]
    return [piece for piece in decoded if isinstance(piece, Piece)]


def of_pieces(count: int, name: str = "large") -> WireEntry:
    """An entry of so many pieces."""
    size = (count - 1) * PIECE_BYTES_MAX
    entry = WireEntry(b"header", bytes(64), seeded(name)(size))
    assert len(pieces(entry)) == count
    return entry


def assembled(assembly: Assembly, given_: list[Piece], now_ms: int = 0) -> list[WireEntry | None]:
    return [assembly.add(piece, now_ms) for piece in given_]


def body_of(
    kind: int = 1, place: int = 0, places: int = 1, length: int = 5, part: bytes = b"abcde"
) -> bytes:
    """A body by hand."""
    head = bytes([kind]) + TRANSFER + bytes([place, places]) + length.to_bytes(2, "big")
    return (head + part).ljust(BODY_BYTES, b"\0")


# --- Bodies ---------------------------------------------------------------------------------------


@given(wire_entries, st.binary(min_size=16, max_size=16))
def test_all_bodies_have_one_size_and_say_what_was_put_in(
    entry: WireEntry, transfer: bytes
) -> None:
    bodies = cut(entry, transfer)
    assert {len(body) for body in [*bodies, cover_body(), loop_body(transfer)]} == {BODY_BYTES}
    decoded = pieces(entry, transfer)
    assert len(decoded) == len(bodies)
    assert [piece.place for piece in decoded] == list(range(len(bodies)))
    assert {(piece.transfer, piece.places) for piece in decoded} == {(transfer, len(bodies))}
    assert all(len(piece.part) == PIECE_BYTES_MAX == 982 for piece in decoded[:-1])
    assert b"".join(piece.part for piece in decoded) == encode(list(entry))
    assert decode_body(cover_body()) is None and decode_body(loop_body(transfer)) == Loop(transfer)


@given(st.binary(max_size=BODY_BYTES))
def test_any_body_says_something_or_nothing(body: bytes) -> None:
    """K-8."""
    said = decode_body(body.ljust(BODY_BYTES, b"\0"))
    if isinstance(said, Piece):
        assert said.place < said.places <= limits.PIECES_MAX
        assert 1 <= len(said.part) <= PIECE_BYTES_MAX


@pytest.mark.parametrize(
    ("said", "is_piece"),
    [
        ({}, True),
        ({"kind": 0}, False),
        ({"kind": 3}, False),
        ({"kind": 255}, False),
        ({"place": 79, "places": 80}, True),
        ({"place": 80, "places": 81}, False),
        ({"place": 1, "places": 1}, False),
        ({"place": 0, "places": 0}, False),
        ({"length": 0}, False),
        ({"length": 982}, True),
        ({"length": 983}, False),
        ({"length": 65535}, False),
    ],
    ids=str,
)
def test_pieces_out_of_bounds_are_none(said: dict[str, int], is_piece: bool) -> None:
    """K-8."""
    assert isinstance(decode_body(body_of(**said)), Piece) is is_piece


def test_what_follows_in_a_body_is_not_looked_at() -> None:
    assert decode_body(body_of(part=b"abcdefgh")) == Piece(TRANSFER, 0, 1, b"abcde")


def test_the_largest_entry_has_pieces_within_the_bound() -> None:
    largest = WireEntry(bytes(limits.HEADER_BYTES_MAX), bytes(64), bytes(limits.PAYLOAD_BYTES_MOST))
    assert len(pieces(largest)) == len(cut(largest, TRANSFER)) <= limits.PIECES_MAX
    assert assembled(Assembly(), pieces(largest))[-1] == largest


def test_an_ordinary_post_goes_in_one_piece() -> None:
    assert len(cut(wire(written("x" * 600)), TRANSFER)) == 1


# --- Putting together -----------------------------------------------------------------------------


@settings(max_examples=60)
@given(wire_entries, st.data())
def test_pieces_become_the_entry_in_any_order_with_copies_and_others_between(
    entry: WireEntry, data: st.DataObject
) -> None:
    mine = pieces(entry)
    foreign = pieces(of_pieces(3, "foreign"), b"f" * 16)[:2]
    copies = [*mine[:-1], *foreign]
    order = data.draw(st.permutations([*mine, *copies]))
    assembly = Assembly()
    results = assembled(assembly, order)
    assert [result for result in results if result is not None] == [entry]


def test_without_one_piece_there_is_nothing() -> None:
    entry = of_pieces(4)
    for missing in range(4):
        assembly = Assembly()
        given_ = [piece for piece in pieces(entry) if piece.place != missing]
        assert assembled(assembly, given_ * 2) == [None] * 6 and len(assembly) == 1
        assert assembly.add(pieces(entry)[missing], 0) == entry
        assert len(assembly) == 0


def test_the_first_word_about_a_piece_and_about_their_number_counts() -> None:
    """K-8."""
    entry = of_pieces(2)
    first, second = pieces(entry)
    assembly = Assembly()
    contradictions = [second._replace(places=3), first._replace(part=b"false"), first]
    assert assembled(assembly, [first, *contradictions]) == [None] * 4
    assert assembly.add(second, 0) == entry


def test_entries_of_one_writer_do_not_mix() -> None:
    one, other = of_pieces(3, "one"), of_pieces(3, "other")
    assembly = Assembly()
    mixed = [p for pair in zip(pieces(one), pieces(other, b"o" * 16), strict=True) for p in pair]
    assert assembled(assembly, mixed) == [None] * 4 + [one, other]


@settings(max_examples=200)
@given(st.lists(pieces_of_any_kind, max_size=30))
def test_garbage_is_put_together_to_nothing_and_bounds_hold(given_: list[Piece]) -> None:
    assembly = Assembly()
    assert set(assembled(assembly, given_)) <= {None}
    assert len(assembly) <= 4


@given(st.binary(min_size=1, max_size=200))
def test_one_piece_of_anything_never_raises(part: bytes) -> None:
    assert Assembly().add(Piece(TRANSFER, 0, 1, part), 0) is None


def test_a_whole_that_is_no_entry_is_dropped_and_nothing_stays_of_it() -> None:
    for fields in ([], [b"", bytes(63), None], [b"", bytes(64)], ["text", bytes(64), None], 7):
        assembly = Assembly()
        assert assembly.add(Piece(TRANSFER, 0, 1, encode(fields)), 0) is None
        assert len(assembly) == 0
    right = encode([b"header", bytes(64), None])
    assert Assembly().add(Piece(TRANSFER, 0, 1, right), 0) == WireEntry(b"header", bytes(64), None)
    assert Assembly().add(Piece(TRANSFER, 0, 1, right + b"\0"), 0) is None


def started(assembly: Assembly, number: int, places: int = 2, now_ms: int = 0) -> None:
    transfer = number.to_bytes(16, "big")
    assert assembly.add(Piece(transfer, 0, places, b"first"), now_ms) is None


def ended(assembly: Assembly, number: int, now_ms: int = 0) -> bool:
    """Whether the second piece of a transfer finds the first one there."""
    transfer = number.to_bytes(16, "big")
    before = len(assembly)
    assembly.add(Piece(transfer, 1, 2, b"second"), now_ms)
    return len(assembly) == before - 1


def test_for_one_entry_more_than_there_is_room_for_the_oldest_goes() -> None:
    """K-9."""
    assembly = Assembly()
    for number in range(limits.TRANSFERS_MAX + 1):
        started(assembly, number)
    assert len(assembly) == limits.TRANSFERS_MAX == 64
    assert ended(assembly, 1) and ended(assembly, 64)
    assert not ended(assembly, 0)


def test_a_piece_of_one_that_is_under_way_makes_none_go() -> None:
    """K-9: the oldest neither, though there is no room for another."""
    assembly = Assembly()
    for number in range(limits.TRANSFERS_MAX):
        started(assembly, number)
    for number in range(limits.TRANSFERS_MAX):
        assert ended(assembly, number)
    assert len(assembly) == 0


def test_all_pieces_together_are_bounded_in_bytes() -> None:
    """K-9."""
    assembly = Assembly()
    part = bytes(PIECE_BYTES_MAX)
    for number in range(limits.TRANSFERS_MAX):
        for place in range(limits.PIECES_MAX - 1):
            assembly.add(Piece(number.to_bytes(16, "big"), place, limits.PIECES_MAX, part), 0)
            assert assembly._bytes <= limits.TRANSFERS_BYTES_MAX
    kept = assembly._transfers.values()
    assert assembly._bytes == sum(len(p) for t in kept for p in t.parts.values())
    assert limits.TRANSFERS_BYTES_MAX - assembly._bytes < 100 * PIECE_BYTES_MAX


def test_an_entry_whose_pieces_take_too_long_is_given_up() -> None:
    """K-9."""
    for late_ms, is_there in ((limits.TRANSFER_MS_MAX - 1, True), (limits.TRANSFER_MS_MAX, False)):
        assembly = Assembly()
        started(assembly, 1)
        assert ended(assembly, 1, late_ms) is is_there
    assert limits.TRANSFER_MS_MAX == 300_000
