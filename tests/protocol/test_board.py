"""A board is its descriptor; an invite tells three accidents apart."""

from __future__ import annotations

import base64

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from protocol import limits
from protocol.board import (
    INVITE_SCHEME,
    LOBBY,
    Board,
    Descriptor,
    Invite,
    Pace,
    _checksum,
    decode_descriptor,
    decode_invite,
    encode_descriptor,
    encode_invite,
    is_board_name,
    private_descriptor,
)
from protocol.codec import encode
from protocol.errors import Reason, Refused
from tests.protocol.wired import seeded

BOARD_REASONS = {Reason.BOARD_MALFORMED, Reason.BOARD_VERSION, Reason.BOARD_FIELD}
INVITE_REASONS = {
    *BOARD_REASONS,
    Reason.INVITE_NOT_A_LINK,
    Reason.INVITE_TRUNCATED,
    Reason.INVITE_MISTYPED,
    Reason.INVITE_VERSION,
    Reason.INVITE_MALFORMED,
}

descriptors = st.builds(
    Descriptor,
    name=st.text(min_size=1, max_size=64).filter(is_board_name),
    secret=st.none() | st.binary(min_size=32, max_size=32),
    retention_days=st.integers(1, limits.RETENTION_DAYS_MAX),
    payload_bytes_max=st.integers(limits.PAYLOAD_BYTES_LEAST, limits.PAYLOAD_BYTES_MOST),
    work_bits=st.integers(0, limits.WORK_BITS_MAX),
    pace=st.sampled_from(Pace),
)
invites = st.builds(
    Invite,
    descriptors,
    st.lists(st.text(min_size=3, max_size=40), max_size=limits.INVITE_ADDRESSES_MAX).map(tuple),
)
AN_INVITE = encode_invite(Invite(Descriptor("office", bytes(range(32))), ("10.0.0.1:4000",)))


def descriptor_refusal(raw: bytes) -> Reason | None:
    try:
        decode_descriptor(raw)
    except Refused as refused:
        return refused.reason
    return None


def invite_refusal(link: str) -> Reason | None:
    try:
        decode_invite(link)
    except Refused as refused:
        return refused.reason
    return None


def armoured(framed: bytes) -> str:
    """An invite around any frame, with the right checksum."""
    text = base64.b32encode(framed + _checksum(framed)).decode().rstrip("=")
    return INVITE_SCHEME + text.lower()


# --- Descriptors ----------------------------------------------------------------------------------


@given(descriptors)
def test_a_descriptor_survives_a_round_trip(descriptor: Descriptor) -> None:
    assert decode_descriptor(encode_descriptor(descriptor)) == descriptor


@given(descriptors, descriptors)
def test_different_descriptors_are_different_boards(first: Descriptor, second: Descriptor) -> None:
    """B-5."""
    assume(first != second)
    one, two = Board.of(first), Board.of(second)
    assert one.id != two.id and one.link_psk != two.link_psk
    assert one.discovery_key != two.discovery_key


@settings(max_examples=300)
@given(st.binary(max_size=60))
def test_arbitrary_bytes_are_refused_as_a_descriptor_for_documented_reasons(raw: bytes) -> None:
    assert descriptor_refusal(raw) in BOARD_REASONS


@settings(max_examples=300)
@given(descriptors, st.data())
def test_a_descriptor_has_one_encoding_and_other_bytes_are_another_board_or_refused(
    descriptor: Descriptor, data: st.DataObject
) -> None:
    """C-3."""
    raw = bytearray(encode_descriptor(descriptor))
    raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    reason = descriptor_refusal(bytes(raw))
    assert reason in {None, *BOARD_REASONS}
    if reason is None:
        assert encode_descriptor(decode_descriptor(bytes(raw))) == bytes(raw)


@pytest.mark.parametrize("version", [True, 1.0, 0, 2, -1, None, "1"])
def test_another_version_is_refused_whatever_follows(version: object) -> None:
    """B-2."""
    fields = [version, "office", None, 30, 8192, 14, 1]
    assert descriptor_refusal(encode(fields)) is Reason.BOARD_VERSION
    assert descriptor_refusal(encode(fields[:2])) is Reason.BOARD_VERSION


@pytest.mark.parametrize(
    ("at", "value"),
    [
        *((1, name) for name in ("", " a", "a ", "a\nb", "a\u200bb", "a\u202eb", "a\u2028b", b"a")),
        (1, "x" * 65),
        (2, bytes(31)),
        (2, bytes(33)),
        (2, "x" * 32),
        (3, 0),
        (3, limits.RETENTION_DAYS_MAX + 1),
        (3, True),
        (4, limits.PAYLOAD_BYTES_LEAST - 1),
        (4, limits.PAYLOAD_BYTES_MOST + 1),
        (5, limits.WORK_BITS_MAX + 1),
        (5, -1),
        (5, None),
        (6, 3),
        (6, False),
    ],
)
def test_a_field_out_of_its_range_is_refused(at: int, value: object) -> None:
    """B-4."""
    fields: list[object] = [1, "office", None, 30, 8192, 14, 1]
    assert descriptor_refusal(encode(fields)) is None
    fields[at] = value
    assert descriptor_refusal(encode(fields)) is Reason.BOARD_FIELD


def test_names_in_any_script_and_emoji_are_names() -> None:
    """B-4."""
    for name in ("lobby", "営業部の休憩室", "Büro 3", "☕", "غرفة"):
        assert is_board_name(name)


def test_everybody_knows_the_lobby_and_nobody_else_knows_a_private_board() -> None:
    assert LOBBY.is_open
    random_bytes = seeded("secrets")
    first, second = (private_descriptor("office", random_bytes) for _ in range(2))
    assert not first.is_open and Board.of(first).id != Board.of(second).id


# --- Invites --------------------------------------------------------------------------------------


@given(invites)
def test_an_invite_survives_a_round_trip(invite: Invite) -> None:
    assert decode_invite(encode_invite(invite)) == invite


@given(st.integers(1, len(AN_INVITE) - 1), st.sampled_from(["\n", " ", "\r\n\t", "\u00a0"]))
def test_case_blanks_and_line_breaks_do_not_matter(at: int, blank: str) -> None:
    """I-2."""
    broken = f"{blank}{AN_INVITE[:at]}{blank}{AN_INVITE[at:]}{blank}"
    assert decode_invite(broken) == decode_invite(AN_INVITE)
    assert decode_invite(broken.upper()) == decode_invite(AN_INVITE)


@pytest.mark.parametrize("end", range(len(INVITE_SCHEME), len(AN_INVITE) - 1))
def test_an_invite_that_was_cut_off_anywhere_says_so(end: int) -> None:
    """I-4, I-5, I-6."""
    assert invite_refusal(AN_INVITE[:end]) is Reason.INVITE_TRUNCATED


@settings(max_examples=300)
@given(st.integers(len(INVITE_SCHEME) + 7, len(AN_INVITE) - 2), st.sampled_from("abc234567xyz"))
def test_an_invite_with_a_wrong_character_says_so(at: int, character: str) -> None:
    """I-6."""
    assume(AN_INVITE[at] != character)
    assert invite_refusal(AN_INVITE[:at] + character + AN_INVITE[at + 1 :]) in (
        Reason.INVITE_MISTYPED,
    )


@pytest.mark.parametrize("character", ["0", "1", "8", "-", "=", "é", "ß", "\u212a", "\x00"])
def test_a_character_outside_the_alphabet_is_a_wrong_one(character: str) -> None:
    """I-4."""
    assert invite_refusal(AN_INVITE[:40] + character + AN_INVITE[41:]) is Reason.INVITE_MISTYPED


def test_two_neighbours_exchanged_are_found() -> None:
    """I-6."""
    start = len(INVITE_SCHEME) + 7
    for at in range(start, len(AN_INVITE) - 2):
        first, second = AN_INVITE[at], AN_INVITE[at + 1]
        if first != second:
            swapped = AN_INVITE[:at] + second + first + AN_INVITE[at + 2 :]
            assert invite_refusal(swapped) is Reason.INVITE_MISTYPED


def test_a_newer_invite_says_so_and_not_that_it_was_mistyped() -> None:
    """I-7."""
    body = b"whatever a newer version holds"
    newer = bytes([2]) + len(body).to_bytes(2, "big") + body
    assert invite_refusal(armoured(newer)) is Reason.INVITE_VERSION


@pytest.mark.parametrize("link", ["", "http://example.com", "p2pboard", "xp2pboard:aa", "p2pboard"])
def test_what_does_not_begin_as_an_invite_is_not_a_link(link: str) -> None:
    """I-3."""
    assert invite_refusal(link) is Reason.INVITE_NOT_A_LINK


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff",
        encode({}),
        encode([encode_descriptor(LOBBY)]),
        encode([encode_descriptor(LOBBY), [], 1]),
        encode(["lobby", []]),
        encode([encode_descriptor(LOBBY), None]),
        encode([encode_descriptor(LOBBY), [1]]),
        encode([encode_descriptor(LOBBY), ["ab"]]),
        encode([encode_descriptor(LOBBY), ["a" * 256]]),
        encode([encode_descriptor(LOBBY), ["a.b:1"] * 9]),
    ],
)
def test_a_body_that_is_not_an_invite_is_malformed(body: bytes) -> None:
    """I-1, I-8."""
    framed = bytes([1]) + len(body).to_bytes(2, "big") + body
    assert invite_refusal(armoured(framed)) is Reason.INVITE_MALFORMED


def test_a_fault_of_the_descriptor_keeps_its_own_reason() -> None:
    """I-8."""
    body = encode([encode([2, "newer"]), []])
    framed = bytes([1]) + len(body).to_bytes(2, "big") + body
    assert invite_refusal(armoured(framed)) is Reason.BOARD_VERSION


def test_too_many_addresses_cannot_be_put_into_an_invite() -> None:
    """I-1."""
    with pytest.raises(Refused) as refused:
        encode_invite(Invite(LOBBY, ("10.0.0.1:4000",) * 9))
    assert refused.value.reason is Reason.INVITE_MALFORMED


def test_the_largest_invite_fits_its_bound() -> None:
    """I-4."""
    largest = Invite(Descriptor("名" * 64, bytes(32)), ("h" * 255,) * 8)
    link = encode_invite(largest)
    assert len(link) <= limits.INVITE_CHARACTERS_MAX and decode_invite(link) == largest
    assert invite_refusal(INVITE_SCHEME + "a" * 5000) is Reason.INVITE_MISTYPED


@settings(max_examples=300)
@given(st.text(max_size=80), st.binary(max_size=60))
def test_arbitrary_links_are_refused_for_documented_reasons(text: str, body: bytes) -> None:
    assert invite_refusal(text) in INVITE_REASONS
    assert invite_refusal(INVITE_SCHEME + text) in INVITE_REASONS
    framed = bytes([1]) + len(body).to_bytes(2, "big") + body
    assert invite_refusal(armoured(framed)) in INVITE_REASONS
    assert invite_refusal(armoured(body)) in INVITE_REASONS
