"""One way to write each value, and nothing but the documented refusal for all other bytes."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.codec import DEPTH_MAX, decode, decode_whole, encode, is_bytes, is_uint
from protocol.errors import Reason, Refused

ANY_REASON = Reason.LINK_MESSAGE_MALFORMED

scalars = (
    st.none()
    | st.booleans()
    | st.integers(0, 2**64 - 1)
    | st.integers(-(2**64), -1)
    | st.binary(max_size=300)
    | st.text(max_size=40)
)
values = st.lists(st.lists(st.lists(scalars, max_size=4) | scalars, max_size=5) | scalars)


def refusal_of(raw: bytes) -> Reason | None:
    """Why both decoders refuse ``raw``; None where neither does."""
    reasons = []
    for decoder in (decode, decode_whole):
        try:
            decoder(raw, ANY_REASON)
            reasons.append(None)
        except Refused as refused:
            reasons.append(refused.reason)
    assert reasons[0] in (reasons[1], None)
    return reasons[1]


@given(values)
def test_every_value_survives_a_round_trip(value: list[Any]) -> None:
    assert decode_whole(encode(value), ANY_REASON) == value
    assert decode(encode(value) + b"more", ANY_REASON) == value


@given(values)
def test_decoding_and_encoding_again_gives_the_same_bytes(value: list[Any]) -> None:
    assert encode(decode(encode(value), ANY_REASON)) == encode(value)


@settings(max_examples=500)
@given(st.binary(max_size=40))
def test_arbitrary_bytes_decode_or_are_refused_for_the_reason_given(raw: bytes) -> None:
    assert refusal_of(raw) in (None, ANY_REASON)


@settings(max_examples=300)
@given(values, st.data())
def test_mutated_values_decode_or_are_refused_for_the_reason_given(
    value: list[Any], data: st.DataObject
) -> None:
    raw = bytearray(encode(value))
    at = data.draw(st.integers(0, len(raw) - 1))
    raw[at] = data.draw(st.integers(0, 255))
    assert refusal_of(bytes(raw)) in (None, ANY_REASON)


@settings(max_examples=300)
@given(st.recursive(scalars | st.floats(), lambda inner: st.lists(inner, max_size=3)), st.data())
def test_whatever_decodes_can_be_encoded_again(value: Any, data: st.DataObject) -> None:
    raw = bytearray(encode(value))
    raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    try:
        decoded = decode(bytes(raw), ANY_REASON)
    except Refused:
        return
    encode(decoded)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\x81",
        b"\x81\x81\x81\x81\x81\x01",
        b"\x81" * 100_000,
        b"\x9f\x01\xff",
        b"\x5f\x41a\xff",
        b"\x7f\x61a\xff",
        b"\xbf\x01\x02\xff",
        b"\xff",
        b"\x61\xff",
        b"\x62\xed\xa0",
        b"\x9b" + b"\xff" * 8,
        b"\x5b" + b"\xff" * 8,
        b"\x7b\x00\x00\x00\xff\xff\xff\xff\xff",
        b"\x1c",
        b"\xf8\x18",
        b"\xa1\x81\x80\x81\x81\x81\x81",
    ],
    ids=lambda raw: raw[:8].hex() or "nothing",
)
def test_what_is_not_a_well_formed_value_is_refused(raw: bytes) -> None:
    """C-2."""
    assert refusal_of(raw) is ANY_REASON


@pytest.mark.parametrize("tag", [0, 1, 2, 3, 4, 5, 28, 29, 35, 37, 258, 260, 43000, 55799, 2**32])
def test_tags_are_refused_before_anything_is_made_of_them(tag: int) -> None:
    """C-2."""
    head = b"\xdb" + tag.to_bytes(8, "big")
    for content in (b"\x01", b"\x61a", b"\x41a", b"\x82\x01\x02"):
        assert refusal_of(head + content) is ANY_REASON


def test_nothing_nests_deeper_than_the_messages_do() -> None:
    """C-2."""
    deepest = b"\x81" * (DEPTH_MAX - 1) + b"\x01"
    assert refusal_of(deepest) is None
    assert refusal_of(b"\x81\x81" + deepest) is ANY_REASON


def test_bytes_after_the_value_are_refused_where_the_whole_is_meant() -> None:
    assert decode(b"\x01\x02", ANY_REASON) == 1
    with pytest.raises(Refused) as refused:
        decode_whole(b"\x01\x02", ANY_REASON)
    assert refused.value.reason is ANY_REASON


def test_booleans_floats_and_negatives_are_not_unsigned_integers() -> None:
    assert is_uint(0, 0) and is_uint(7, 7)
    assert not any(is_uint(value, 7) for value in (8, -1, True, False, 1.0, None, "1", b"1"))


def test_a_byte_string_has_its_exact_size() -> None:
    assert is_bytes(b"abc", 3)
    assert not any(is_bytes(value, 3) for value in (b"ab", b"abcd", "abc", [1, 2, 3], None))
