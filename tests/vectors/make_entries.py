"""Vectors of entries: valid ones, and one for each way in which one can be wrong."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from protocol import limits
from protocol.board import (
    encode_descriptor,
)
from protocol.codec import encode
from protocol.crypto import sign, signing_public_key
from protocol.entry import (
    Header,
    Kind,
    bucket_of,
    encode_payload,
    entry_id,
    oldest_bucket,
    payload_hash,
)
from protocol.errors import Reason
from protocol.work import work_of
from tests.vectors.shared import BOARD, OTHER_BOARD, SEED, WALL_S, Vector, Vectors, fixed

#: The order of Ed25519's base point (RFC 8032 section 5.1).
ED25519_ORDER = 2**252 + 27742317777372353535851937790883648493
PAYLOAD = encode_payload(fixed("salt", 16), "The coffee machine is broken again.")

Encode = Callable[[list[Any]], bytes]


def header(**fields: Any) -> list[Any]:
    """The fields of a post that opens a thread, but for those given."""
    usual = Header(
        version=1,
        kind=int(Kind.POST),
        board_tag=BOARD.tag,
        persona=signing_public_key(SEED),
        seq=0,
        prev=None,
        thread=None,
        parent=None,
        bucket=bucket_of(WALL_S),
        payload_bytes=len(PAYLOAD),
        payload_hash=payload_hash(BOARD, PAYLOAD),
        nonce=bytes(8),
    )
    return list(usual._replace(**fields))


def worked(fields: list[Any], encoding: Encode, is_enough: bool) -> bytes:
    """The header's bytes with the first nonce whose work is enough, or is not."""
    for number in range(1 << 20):
        nonce = number.to_bytes(8, "big")
        raw = encoding([nonce if field == bytes(8) else field for field in fields])
        if (work_of(entry_id(BOARD, raw)) >= BOARD.descriptor.work_bits) is is_enough:
            return raw
    raise RuntimeError("no nonce found")


def entry(
    about: str,
    rule: str,
    outcome: Reason | None = None,
    *,
    twin: str = "post-opens-a-thread",
    fields: list[Any] | None = None,
    encoding: Encode = encode,
    payload: bytes | None = PAYLOAD,
    is_worked: bool = True,
    signed: Callable[[bytes], bytes] = lambda identifier: sign(SEED, identifier),
) -> Vector:
    """One vector: a header in some encoding, with its work, its signature and a payload."""
    fields = header() if fields is None else fields
    raw = worked(fields, encoding, is_worked)
    identifier = entry_id(BOARD, raw)
    vector: Vector = {
        "about": about,
        "rule": rule,
        "board": encode_descriptor(BOARD.descriptor).hex(),
        "wall_s": WALL_S,
        "header": raw.hex(),
        "signature": signed(identifier).hex(),
        "payload": None if payload is None else payload.hex(),
        "id": identifier.hex(),
        "outcome": "valid" if outcome is None else outcome.slug,
    }
    if outcome is None:
        nonce = raw[-8:]
        read = Header(*[nonce if field == bytes(8) else field for field in fields])
        vector["fields"] = readable(read._asdict())
    else:
        vector["twin"] = twin
    return vector


def readable(fields: dict[str, Any]) -> dict[str, Any]:
    """Bytes as hex."""
    return {k: v.hex() if isinstance(v, bytes) else v for k, v in fields.items()}


def of_payload(payload: bytes) -> dict[str, Any]:
    """The fields that commit to a payload."""
    return {"payload_bytes": len(payload), "payload_hash": payload_hash(BOARD, payload)}


THREAD, PARENT, PREV = fixed("thread"), fixed("parent"), fixed("prev")
RETRACTION = {
    "kind": int(Kind.RETRACT),
    "seq": 1,
    "prev": PARENT,
    "thread": THREAD,
    "parent": PARENT,
    **of_payload(b""),
}


def valid_entries() -> Vectors:
    empty, full = fixed("salt", 16), fixed("salt", 16) + b"x" * 1008
    not_text = fixed("salt", 16) + b"caf\xe9 \xff"
    last = bucket_of(WALL_S) + limits.FUTURE_BUCKETS_MAX
    oldest = oldest_bucket(BOARD, WALL_S)
    answer = {"thread": THREAD, "parent": PARENT}
    return {
        "post-opens-a-thread": entry("A post that opens a thread.", "E-21"),
        "post-answers": entry(
            "A post that answers another, of which nothing else is known.",
            "E-21",
            fields=header(**answer),
        ),
        "post-later-in-a-log": entry(
            "The largest sequence number; the entries before it are not known.",
            "E-27",
            fields=header(seq=2**32 - 1, prev=PREV, **answer),
        ),
        "post-payload-forgotten": entry(
            "The payload is not there: header and signature are judged all the same.",
            "E-24",
            payload=None,
        ),
        "post-without-text": entry(
            "A payload that is its salt only.",
            "E-2",
            fields=header(**of_payload(empty)),
            payload=empty,
        ),
        "post-of-the-largest-payload": entry(
            "A payload of exactly the board's limit.",
            "E-15",
            fields=header(**of_payload(full)),
            payload=full,
        ),
        "post-not-utf8": entry(
            "A text that is not UTF-8, which is for the reader and no fault.",
            "E-3",
            fields=header(**of_payload(not_text)),
            payload=not_text,
        ),
        "post-from-the-last-bucket": entry(
            "Two buckets ahead of the clock.", "E-17", fields=header(bucket=last)
        ),
        "post-from-the-first-bucket": entry(
            "As old as the board keeps.", "E-18", fields=header(bucket=oldest)
        ),
        "retraction": entry("A retraction.", "E-25", fields=header(**RETRACTION), payload=b""),
    }


def encoded_with(at: int, replacement: bytes) -> Encode:
    """The usual encoding, but for the field at a place, which is encoded as given."""

    def encoding(fields: list[Any]) -> bytes:
        parts = [encode(field) for field in fields]
        parts[at] = replacement
        return encode(fields)[:1] + b"".join(parts)

    return encoding


def entries_of_another_form() -> Vectors:
    too_long, malformed = Reason.ENTRY_NOT_CANONICAL, Reason.ENTRY_MALFORMED
    persona = signing_public_key(SEED)

    def of(about: str, rule: str, reason: Reason, encoding: Encode) -> Vector:
        return entry(about, rule, reason, encoding=encoding)

    return {
        "not-canonical-array-length": of(
            "The array's length in two bytes instead of one.",
            "E-8",
            too_long,
            lambda fields: b"\x98\x0c" + encode(fields)[1:],
        ),
        "not-canonical-version": of(
            "The version in two bytes instead of one.",
            "E-8",
            too_long,
            encoded_with(0, b"\x18\x01"),
        ),
        "not-canonical-seq": of(
            "The sequence number in nine bytes instead of one.",
            "E-8",
            too_long,
            encoded_with(4, b"\x1b" + bytes(8)),
        ),
        "not-canonical-bucket": of(
            "The bucket in nine bytes instead of five.",
            "E-8",
            too_long,
            encoded_with(8, b"\x1b" + bucket_of(WALL_S).to_bytes(8, "big")),
        ),
        "not-canonical-length-of-bytes": of(
            "The length of the persona's key in two bytes instead of one.",
            "E-8",
            too_long,
            encoded_with(3, b"\x59\x00\x20" + persona),
        ),
        "not-canonical-short-length-of-bytes": of(
            "The length of the board tag in an extra byte.",
            "E-8",
            too_long,
            encoded_with(2, b"\x58\x04" + BOARD.tag),
        ),
        "trailing-byte": of(
            "A zero byte after the header.",
            "E-7",
            Reason.ENTRY_TRAILING_BYTES,
            lambda fields: encode(fields) + b"\0",
        ),
        "trailing-item": of(
            "A second header after the header.",
            "E-7",
            Reason.ENTRY_TRAILING_BYTES,
            lambda fields: encode(fields) * 2,
        ),
        "malformed-indefinite-array": of(
            "The fields in an array of indefinite length.",
            "C-2",
            malformed,
            lambda fields: b"\x9f" + encode(fields)[1:] + b"\xff",
        ),
        "malformed-indefinite-bytes": of(
            "The persona's key in two chunks.",
            "C-2",
            malformed,
            encoded_with(3, b"\x5f\x50" + persona[:16] + b"\x50" + persona[16:] + b"\xff"),
        ),
        "malformed-tag": of(
            "The bucket tagged as a time since 1970.",
            "C-2",
            malformed,
            encoded_with(8, b"\xc1" + encode(bucket_of(WALL_S))),
        ),
        "malformed-truncated": of(
            "The last byte is missing.", "E-5", malformed, lambda fields: encode(fields)[:-1]
        ),
        "malformed-nothing": of(
            "An array of no fields, with more fields than that after it.",
            "E-5",
            malformed,
            lambda fields: b"\x80" + encode(fields)[1:],
        ),
        "malformed-map": of(
            "The array in a map.", "E-5", malformed, lambda fields: b"\xa1\x00" + encode(fields)
        ),
        "malformed-field-missing": of(
            "Eleven fields: the parent is missing.",
            "E-10",
            malformed,
            lambda fields: encode(fields[:7] + fields[8:]),
        ),
        "unknown-field": of(
            "A thirteenth field.",
            "E-9",
            Reason.ENTRY_UNKNOWN_FIELD,
            lambda fields: encode([*fields, None]),
        ),
        "too-large-header": of(
            "A header of more than 512 bytes, by a thirteenth field.",
            "E-4",
            Reason.ENTRY_TOO_LARGE,
            lambda fields: encode([*fields, bytes(450)]),
        ),
    }


def entries_with_a_wrong_field() -> Vectors:
    field, structure = Reason.ENTRY_FIELD, Reason.ENTRY_STRUCTURE

    def of(about: str, rule: str, reason: Reason, **fields: Any) -> Vector:
        return entry(about, rule, reason, fields=header(**fields))

    return {
        "version-0": of("Version 0.", "E-6", Reason.ENTRY_VERSION, version=0),
        "version-2": of("Version 2.", "E-6", Reason.ENTRY_VERSION, version=2),
        "version-true": of("Version true.", "E-6", Reason.ENTRY_VERSION, version=True),
        "version-of-fewer-fields": entry(
            "Version 2, which may have other fields.",
            "E-6",
            Reason.ENTRY_VERSION,
            encoding=lambda fields: encode([2, *fields[1:6], fields[-1]]),
        ),
        "kind-2": of("Kind 2.", "E-11", Reason.ENTRY_KIND, kind=2),
        "kind-null": of("No kind.", "E-11", Reason.ENTRY_KIND, kind=None),
        "field-board-tag-short": of(
            "A board tag of 3 bytes.", "E-12", field, board_tag=BOARD.tag[:3]
        ),
        "field-persona-long": of(
            "A key of 33 bytes.", "E-12", field, persona=signing_public_key(SEED) + b"\0"
        ),
        "field-seq-negative": of("Sequence number -1.", "E-12", field, seq=-1, prev=PREV),
        "field-seq-over-32-bits": of("Sequence number 2^32.", "E-12", field, seq=2**32, prev=PREV),
        "field-prev-text": of("Text where an id is.", "E-12", field, seq=1, prev="x" * 32),
        "field-thread-short": of(
            "A thread id of 31 bytes.", "E-12", field, thread=THREAD[:31], parent=PARENT
        ),
        "field-parent-false": of(
            "A parent that is false.", "E-12", field, thread=THREAD, parent=False
        ),
        "field-bucket-over-32-bits": of("Bucket 2^32.", "E-12", field, bucket=2**32),
        "field-bucket-float": of(
            "A bucket that is a float.", "E-12", field, bucket=float(bucket_of(WALL_S))
        ),
        "field-payload-bytes-null": of("No payload size.", "E-12", field, payload_bytes=None),
        "field-payload-hash-null": of("No payload hash.", "E-12", field, payload_hash=None),
        "field-nonce-short": entry(
            "A nonce of 7 bytes.",
            "E-12",
            field,
            encoding=lambda fields: encode([*fields[:-1], fields[-1][1:]]),
        ),
        "structure-first-with-prev": of(
            "The first of a log, with an entry before it.", "E-13", structure, prev=PREV
        ),
        "structure-later-without-prev": of(
            "The second of a log, with none before it.", "E-13", structure, seq=1
        ),
        "structure-thread-without-parent": of(
            "A thread and no parent.", "E-13", structure, thread=THREAD
        ),
        "structure-parent-without-thread": of(
            "A parent and no thread.", "E-13", structure, parent=PARENT
        ),
        "structure-post-without-salt": entry(
            "A post with a payload of 15 bytes.",
            "E-13",
            structure,
            fields=header(**of_payload(bytes(15))),
            payload=bytes(15),
        ),
        "structure-retraction-of-nothing": entry(
            "A retraction without a target.",
            "E-13",
            structure,
            twin="retraction",
            fields=header(**{**RETRACTION, "thread": None, "parent": None}),
            payload=b"",
        ),
        "structure-retraction-with-payload": entry(
            "A retraction with a payload.",
            "E-13",
            structure,
            twin="retraction",
            fields=header(**{**RETRACTION, **of_payload(PAYLOAD)}),
        ),
    }


def entries_against_the_board() -> Vectors:
    over = fixed("salt", 16) + b"x" * 1009
    early = bucket_of(WALL_S) + limits.FUTURE_BUCKETS_MAX + 1
    late = oldest_bucket(BOARD, WALL_S) - 1
    return {
        "wrong-board": entry(
            "The tag of another board.",
            "E-14",
            Reason.ENTRY_WRONG_BOARD,
            fields=header(board_tag=OTHER_BOARD.tag),
        ),
        "too-large-payload": entry(
            "A payload of one byte more than the board's limit.",
            "E-15",
            Reason.ENTRY_TOO_LARGE,
            twin="post-of-the-largest-payload",
            fields=header(**of_payload(over)),
            payload=over,
        ),
        "too-large-payload-forgotten": entry(
            "The same, with the payload forgotten: its size is in the header.",
            "E-15",
            Reason.ENTRY_TOO_LARGE,
            twin="post-payload-forgotten",
            fields=header(**of_payload(over)),
            payload=None,
        ),
        "work": entry(
            "An id with fewer leading zero bits than the board asks for.",
            "E-16",
            Reason.ENTRY_WORK,
            is_worked=False,
        ),
        "future": entry(
            "Three buckets ahead of the clock.",
            "E-17",
            Reason.ENTRY_FUTURE,
            twin="post-from-the-last-bucket",
            fields=header(bucket=early),
        ),
        "expired": entry(
            "One bucket older than the board keeps.",
            "E-18",
            Reason.ENTRY_EXPIRED,
            twin="post-from-the-first-bucket",
            fields=header(bucket=late),
        ),
        "payload-other": entry(
            "Another payload of the same length.",
            "E-19",
            Reason.ENTRY_PAYLOAD,
            payload=PAYLOAD[:-1] + b"!",
        ),
        "payload-longer": entry(
            "A payload that goes on after its end.",
            "E-19",
            Reason.ENTRY_PAYLOAD,
            payload=PAYLOAD + b"\0",
        ),
        "payload-size": entry(
            "A header with the payload's hash and another size.",
            "E-19",
            Reason.ENTRY_PAYLOAD,
            fields=header(payload_bytes=len(PAYLOAD) + 1),
        ),
        "payload-hash-of-another-board": entry(
            "The payload's hash under another board's id.",
            "E-19",
            Reason.ENTRY_PAYLOAD,
            fields=header(payload_hash=payload_hash(OTHER_BOARD, PAYLOAD)),
        ),
    }


def plus_order(signature: bytes) -> bytes:
    """The same signature with S not reduced: what RFC 8032 section 5.1.7 says to refuse."""
    scalar = int.from_bytes(signature[32:], "little") + ED25519_ORDER
    return signature[:32] + scalar.to_bytes(32, "little")


def entries_with_a_wrong_signature() -> Vectors:
    neutral = b"\x01" + bytes(31)

    def of(about: str, signed: Callable[[bytes], bytes], **fields: Any) -> Vector:
        return entry(about, "E-20", Reason.ENTRY_SIGNATURE, fields=header(**fields), signed=signed)

    return {
        "signature-of-another-persona": of(
            "Signed by another key.", lambda identifier: sign(fixed("another"), identifier)
        ),
        "signature-one-bit": of(
            "One bit of the signature is wrong.",
            lambda identifier: bytes([sign(SEED, identifier)[0] ^ 1]) + sign(SEED, identifier)[1:],
        ),
        "signature-of-another-id": of(
            "The signature of another id.", lambda _: sign(SEED, fixed("another id"))
        ),
        "signature-short": of(
            "A signature without its last byte.", lambda identifier: sign(SEED, identifier)[:-1]
        ),
        "signature-not-reduced": of(
            "The right signature with the group's order added to S, which some verifiers take.",
            lambda identifier: plus_order(sign(SEED, identifier)),
        ),
        "signature-of-the-neutral-key": of(
            "A key of small order, under which some verifiers take this signature of anything.",
            lambda _: neutral + bytes(32),
            persona=neutral,
        ),
    }


def entries() -> Vectors:
    """All of them."""
    return {
        **valid_entries(),
        **entries_of_another_form(),
        **entries_with_a_wrong_field(),
        **entries_against_the_board(),
        **entries_with_a_wrong_signature(),
    }
