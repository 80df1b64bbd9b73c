"""Validity is a function of the bytes, the board and the clock; each rule has its own reason."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol import limits
from protocol.board import Board
from protocol.codec import encode
from protocol.crypto import sign
from protocol.entry import (
    BUCKET_SECONDS,
    Entry,
    Header,
    bucket_of,
    check_signature,
    decode_entry,
    decode_header,
    entry_id,
    oldest_bucket,
    payload_hash,
    payload_text,
)
from protocol.errors import Reason, Refused
from protocol.persona import Persona, draft_retraction
from protocol.work import work_of
from tests.protocol.wired import BOARD, OTHER_BOARD, WALL_S, badly_signed, seeded, written

ENTRY_REASONS = {reason for reason in Reason if reason.name.startswith("ENTRY_")}
HEADER_REASONS = {
    Reason.ENTRY_TOO_LARGE,
    Reason.ENTRY_MALFORMED,
    Reason.ENTRY_VERSION,
    Reason.ENTRY_TRAILING_BYTES,
    Reason.ENTRY_NOT_CANONICAL,
    Reason.ENTRY_UNKNOWN_FIELD,
    Reason.ENTRY_KIND,
    Reason.ENTRY_FIELD,
    Reason.ENTRY_STRUCTURE,
}
POST = written("hello")
ids = st.binary(min_size=32, max_size=32)
uint32 = st.integers(0, 2**32 - 1)


@st.composite
def headers(draw: st.DrawFn) -> Header:
    """Any header that the rules of form and structure allow."""
    is_retraction = draw(st.booleans())
    answers = is_retraction or draw(st.booleans())
    seq = draw(uint32)
    return Header(
        version=1,
        kind=int(is_retraction),
        board_tag=draw(st.binary(min_size=4, max_size=4)),
        persona=draw(ids),
        seq=seq,
        prev=draw(ids) if seq else None,
        thread=draw(ids) if answers else None,
        parent=draw(ids) if answers else None,
        bucket=draw(uint32),
        payload_bytes=0 if is_retraction else draw(st.integers(16, 2**32 - 1)),
        payload_hash=draw(ids),
        nonce=draw(st.binary(min_size=8, max_size=8)),
    )


def judged(
    raw: bytes,
    board: Board = BOARD,
    payload: bytes | None = POST.payload,
    wall_s: int = WALL_S,
) -> Reason | None:
    """Why an entry with this header is refused; None where it is not."""
    try:
        decode_entry(board, raw, POST.signature, payload, wall_s)
    except Refused as refused:
        return refused.reason
    return None


def changed(**fields: object) -> bytes:
    """The post's header with other fields."""
    return encode(list(POST.header._replace(**fields)))  # type: ignore[arg-type]


# --- Encoding -------------------------------------------------------------------------------------


@given(headers())
def test_a_header_survives_a_round_trip(header: Header) -> None:
    assert decode_header(encode(list(header))) == header


@given(headers())
def test_the_largest_header_fits_its_bound(header: Header) -> None:
    largest = header._replace(seq=2**32 - 1, prev=bytes(32), thread=bytes(32), parent=bytes(32))
    assert len(encode(list(largest))) <= limits.HEADER_BYTES_MAX


@settings(max_examples=400)
@given(st.binary(max_size=80))
def test_arbitrary_bytes_are_refused_as_a_header_for_documented_reasons(raw: bytes) -> None:
    with pytest.raises(Refused) as refused:
        decode_header(raw)
    assert refused.value.reason in HEADER_REASONS


@settings(max_examples=400)
@given(headers(), st.data())
def test_a_mutated_header_is_another_header_in_canonical_form_or_refused(
    header: Header, data: st.DataObject
) -> None:
    raw = bytearray(encode(list(header)))
    for _ in range(data.draw(st.integers(1, 3))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    try:
        decoded = decode_header(bytes(raw))
    except Refused as refused:
        assert refused.reason in HEADER_REASONS
    else:
        assert encode(list(decoded)) == bytes(raw)


@settings(max_examples=300)
@given(st.binary(max_size=300), st.binary(max_size=70), st.none() | st.binary(max_size=40))
def test_an_arbitrary_entry_is_refused_for_documented_reasons(
    raw: bytes, signature: bytes, payload: bytes | None
) -> None:
    with pytest.raises(Refused) as refused:
        decode_entry(BOARD, raw, signature, payload, WALL_S)
    assert refused.value.reason in ENTRY_REASONS


@settings(max_examples=200)
@given(st.binary(max_size=70))
def test_any_signature_but_the_right_one_is_refused(signature: bytes) -> None:
    """E-20."""
    with pytest.raises(Refused) as refused:
        check_signature(POST._replace(signature=signature))
    assert refused.value.reason is Reason.ENTRY_SIGNATURE


# --- The rules ------------------------------------------------------------------------------------


def test_a_post_as_written_is_valid_also_without_its_payload() -> None:
    assert decode_entry(BOARD, POST.raw, POST.signature, POST.payload, WALL_S) == POST
    forgotten = decode_entry(BOARD, POST.raw, POST.signature, None, WALL_S)
    assert forgotten == POST._replace(payload=None)
    check_signature(POST)
    check_signature(forgotten)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"version": 0}, Reason.ENTRY_VERSION),
        ({"version": 2}, Reason.ENTRY_VERSION),
        ({"version": True}, Reason.ENTRY_VERSION),
        ({"version": 1.0}, Reason.ENTRY_VERSION),
        ({"kind": 2}, Reason.ENTRY_KIND),
        ({"kind": False}, Reason.ENTRY_KIND),
        ({"board_tag": bytes(3)}, Reason.ENTRY_FIELD),
        ({"persona": bytes(31)}, Reason.ENTRY_FIELD),
        ({"seq": -1}, Reason.ENTRY_FIELD),
        ({"seq": 2**32}, Reason.ENTRY_FIELD),
        ({"prev": bytes(31)}, Reason.ENTRY_FIELD),
        ({"thread": "x" * 32}, Reason.ENTRY_FIELD),
        ({"parent": 0}, Reason.ENTRY_FIELD),
        ({"bucket": 2**32}, Reason.ENTRY_FIELD),
        ({"bucket": 1.5}, Reason.ENTRY_FIELD),
        ({"payload_bytes": None}, Reason.ENTRY_FIELD),
        ({"payload_hash": None}, Reason.ENTRY_FIELD),
        ({"nonce": bytes(9)}, Reason.ENTRY_FIELD),
        ({"nonce": 7}, Reason.ENTRY_FIELD),
        ({"prev": bytes(32)}, Reason.ENTRY_STRUCTURE),
        ({"seq": 1}, Reason.ENTRY_STRUCTURE),
        ({"thread": bytes(32)}, Reason.ENTRY_STRUCTURE),
        ({"parent": bytes(32)}, Reason.ENTRY_STRUCTURE),
        ({"payload_bytes": 15}, Reason.ENTRY_STRUCTURE),
        ({"kind": 1, "payload_bytes": 0}, Reason.ENTRY_STRUCTURE),
        ({"kind": 1, "thread": bytes(32), "parent": bytes(32)}, Reason.ENTRY_STRUCTURE),
        ({"board_tag": OTHER_BOARD.tag}, Reason.ENTRY_WRONG_BOARD),
        ({"payload_bytes": 8193}, Reason.ENTRY_TOO_LARGE),
        ({"payload_bytes": 22}, Reason.ENTRY_PAYLOAD),
        ({"payload_hash": bytes(32)}, Reason.ENTRY_PAYLOAD),
    ],
)
def test_each_rule_has_its_reason(fields: dict[str, object], reason: Reason) -> None:
    """E-6, E-11, E-12, E-13, E-14, E-15, E-19."""
    assert judged(changed(**fields)) is reason


def test_the_number_of_fields_is_the_versions() -> None:
    """E-5, E-6, E-9, E-10."""
    fields = list(POST.header)
    assert judged(encode(fields[:-1])) is Reason.ENTRY_MALFORMED
    assert judged(encode([*fields, None])) is Reason.ENTRY_UNKNOWN_FIELD
    assert judged(encode([])) is Reason.ENTRY_MALFORMED
    assert judged(encode([2, "whatever"])) is Reason.ENTRY_VERSION


def test_a_header_has_one_form_and_nothing_after_it() -> None:
    """C-3, E-5, E-7, E-8."""
    raw = POST.raw
    assert judged(raw + b"\0") is Reason.ENTRY_TRAILING_BYTES
    assert judged(b"\x98\x0c" + raw[1:]) is Reason.ENTRY_NOT_CANONICAL
    assert judged(raw.replace(b"\x58\x20", b"\x59\x00\x20", 1)) is Reason.ENTRY_NOT_CANONICAL
    assert judged(raw[:1] + b"\x18\x01" + raw[2:]) is Reason.ENTRY_NOT_CANONICAL
    assert judged(b"\x9f" + raw[1:] + b"\xff") is Reason.ENTRY_MALFORMED
    assert judged(raw[:-1]) is Reason.ENTRY_MALFORMED
    assert judged(b"\xd8\x18" + raw) is Reason.ENTRY_MALFORMED


def test_a_header_over_the_limit_is_refused_unread() -> None:
    """E-4."""
    assert judged(b"\xff" * (limits.HEADER_BYTES_MAX + 1)) is Reason.ENTRY_TOO_LARGE


def test_an_entry_of_the_future_is_refused_until_its_time_is_near() -> None:
    """E-17."""
    bucket = bucket_of(WALL_S)
    for ahead in range(limits.FUTURE_BUCKETS_MAX + 1):
        assert judged(changed(bucket=bucket + ahead)) is None
    ahead = limits.FUTURE_BUCKETS_MAX + 1
    assert judged(changed(bucket=bucket + ahead)) is Reason.ENTRY_FUTURE
    assert judged(changed(bucket=bucket + ahead), wall_s=WALL_S + BUCKET_SECONDS) is None


def test_an_entry_is_kept_for_as_long_as_the_board_says() -> None:
    """E-18."""
    oldest = oldest_bucket(BOARD, WALL_S)
    assert bucket_of(WALL_S) - oldest == 30 * 144
    assert judged(changed(bucket=oldest)) is None
    assert judged(changed(bucket=oldest - 1)) is Reason.ENTRY_EXPIRED


def test_work_is_leading_zero_bits_of_the_id() -> None:
    """E-1, E-16."""
    assert [work_of(bytes([first]) + bytes(31)) for first in (255, 127, 64, 1)] == [0, 1, 1, 7]
    assert work_of(bytes(32)) == 256
    costly = Board.of(replace(BOARD.descriptor, work_bits=6))
    worked = written("worked for", board=costly)
    assert judged(worked.raw, costly, worked.payload) is None
    for nonce in range(64):
        raw = encode(list(worked.header._replace(nonce=nonce.to_bytes(8, "big"))))
        expected = None if work_of(entry_id(costly, raw)) >= 6 else Reason.ENTRY_WORK
        assert judged(raw, costly, worked.payload) is expected


def test_a_retraction_names_its_target_and_has_no_payload() -> None:
    """E-2, E-13."""
    persona = Persona.fresh(seeded("retracting"))
    target = written("regretted", persona=persona)
    draft = draft_retraction(BOARD, persona.after(target), target.id, WALL_S)
    retraction = draft.sign(persona.after(target), bytes(8))
    assert judged(retraction.raw, payload=b"") is None
    assert judged(retraction.raw, payload=None) is None
    assert judged(retraction.raw, payload=b"x") is Reason.ENTRY_PAYLOAD
    assert retraction.header.parent == target.id and retraction.thread == target.thread


def test_an_id_belongs_to_one_board() -> None:
    """E-1."""
    assert entry_id(BOARD, POST.raw) == POST.id != entry_id(OTHER_BOARD, POST.raw)
    assert payload_hash(BOARD, b"x") != payload_hash(OTHER_BOARD, b"x")


def test_a_signature_is_over_the_id_by_the_persona() -> None:
    """E-20."""
    check_signature(POST)
    forged = sign(bytes(32), POST.id)
    for entry in (badly_signed(POST), POST._replace(signature=forged), POST._replace(id=bytes(32))):
        with pytest.raises(Refused) as refused:
            check_signature(entry)
        assert refused.value.reason is Reason.ENTRY_SIGNATURE


def test_equal_texts_have_payloads_that_cannot_be_joined() -> None:
    """E-2."""
    first, second = (written("same", wall_s=WALL_S + second).payload for second in (0, 600))
    assert first is not None and second is not None
    assert payload_text(first) == payload_text(second) == "same"
    assert payload_hash(BOARD, first) != payload_hash(BOARD, second)


def test_a_payload_that_is_not_text_is_for_the_reader_and_no_fault() -> None:
    """E-3."""
    assert payload_text(bytes(16) + b"a\xff\xfeb") == "a\ufffd\ufffdb"
    assert payload_text(bytes(16)) == ""


def test_the_thread_of_an_opening_post_is_its_own_id() -> None:
    assert POST.thread == POST.id
    answer: Entry = written("answer", parent=POST.id)
    assert answer.thread == POST.id
    assert answer.timestamp == answer.header.bucket * BUCKET_SECONDS <= WALL_S
