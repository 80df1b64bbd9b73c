"""Entries: the signed header, the payload that may be forgotten, and what makes both valid.

Validity is *local*: a function of the entry's bytes, the board's descriptor and the clock, never of
other entries or of the order in which they came. So the entries of a board are a set that only
grows (inside the retention window), and any two nodes converge whatever the network does. Gaps and
forks of a log are facts for the reader, never reasons to refuse.

The header commits to the payload by hash only. The payload begins with 16 random bytes, its *salt*:
once a payload is forgotten, the hash that stays in the header can't be used to test a guess of what
it said (SPEC.md, "Rationale").
"""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

from protocol import limits
from protocol.board import Board
from protocol.codec import decode, encode, is_bytes, is_uint
from protocol.crypto import (
    HASH_BYTES,
    PUBLIC_KEY_BYTES,
    SIGNATURE_BYTES,
    is_signed,
    keyed_hash,
)
from protocol.errors import Reason, Refused
from protocol.work import NONCE_BYTES, work_of

ENTRY_VERSION = 1
BUCKET_SECONDS = 600
SALT_BYTES = 16
ID_LABEL = b"p2pb entry id"

_BUCKETS_PER_DAY = 86400 // BUCKET_SECONDS
_FIELDS = 12
_UINT32_MAX = 2**32 - 1


class Kind(IntEnum):
    """What an entry does."""

    POST = 0
    RETRACT = 1


class Header(NamedTuple):
    """The fields of a header, in their order on the wire (SPEC.md, "Entries").

    :ivar thread: the id of the entry that opened the thread; None in that entry itself.
    :ivar parent: the entry answered to; of a retraction, its target.
    :ivar bucket: the time in steps of ten minutes since 1970, UTC.
    """

    version: int
    kind: int
    board_tag: bytes
    persona: bytes
    seq: int
    prev: bytes | None
    thread: bytes | None
    parent: bytes | None
    bucket: int
    payload_bytes: int
    payload_hash: bytes
    nonce: bytes


class Entry(NamedTuple):
    """An entry as it is kept and sent. ``raw`` is the header's encoding, ``payload`` None where it
    is forgotten or was never had."""

    id: bytes
    header: Header
    raw: bytes
    signature: bytes
    payload: bytes | None

    @property
    def timestamp(self) -> int:
        """Seconds since 1970, as reconciliation orders entries."""
        return self.header.bucket * BUCKET_SECONDS

    @property
    def thread(self) -> bytes:
        """The thread's id, also for the entry that opens it."""
        return self.header.thread or self.id

    @property
    def wire_bytes(self) -> int:
        """About what it takes in a message."""
        return len(self.raw) + SIGNATURE_BYTES + len(self.payload or b"") + 8


def bucket_of(wall_s: int) -> int:
    """The ten-minute bucket of a time in seconds since 1970."""
    return wall_s // BUCKET_SECONDS


def oldest_bucket(board: Board, wall_s: int) -> int:
    """The first bucket inside the retention window."""
    return bucket_of(wall_s) - board.descriptor.retention_days * _BUCKETS_PER_DAY


def entry_id(board: Board, raw: bytes) -> bytes:
    """The keyed hash of a header under its board's id."""
    return keyed_hash(ID_LABEL, board.id, raw)


def payload_hash(board: Board, payload: bytes) -> bytes:
    """What a header commits to its payload by."""
    return keyed_hash(b"p2pb payload", board.id, payload)


def encode_payload(salt: bytes, text: str) -> bytes:
    """A post's payload: 16 random bytes and the text in UTF-8."""
    return salt + text.encode("utf-8")


def payload_text(payload: bytes) -> str:
    """The text of a post's payload. Bytes that are not UTF-8 are shown as U+FFFD: whether a
    payload reads well is for the reader, or a node without it would judge otherwise."""
    return payload[SALT_BYTES:].decode("utf-8", "replace")


def decode_entry(
    board: Board, raw: bytes, signature: bytes, payload: bytes | None, wall_s: int
) -> Entry:
    """The entry, all of it checked but its signature, in the order of SPEC.md, "Validity".

    The signature is left to :func:`check_signature` because it costs twenty times the rest and is
    done in batches elsewhere.

    :param payload: None where the sender has forgotten it.
    :param wall_s: the clock of whoever judges, seconds since 1970.
    :raises Refused: an ENTRY_ reason.
    """
    header = decode_header(raw)
    _check_policy(board, header)
    identifier = entry_id(board, raw)
    if work_of(identifier) < board.descriptor.work_bits:
        raise Refused(Reason.ENTRY_WORK, "too little work")
    _check_time(board, header.bucket, wall_s)
    if payload is not None:
        check_payload(board, header, payload)
    return Entry(identifier, header, raw, signature, payload)


def check_signature(entry: Entry) -> None:
    """:raises Refused: ENTRY_SIGNATURE."""
    if len(entry.signature) != SIGNATURE_BYTES or not is_signed(
        entry.header.persona, entry.id, entry.signature
    ):
        raise Refused(Reason.ENTRY_SIGNATURE, "not signed by its persona")


def check_payload(board: Board, header: Header, payload: bytes) -> None:
    """:raises Refused: ENTRY_PAYLOAD where it is not what the header commits to."""
    if len(payload) != header.payload_bytes or payload_hash(board, payload) != header.payload_hash:
        raise Refused(Reason.ENTRY_PAYLOAD, "not the payload of this header")


def decode_header(raw: bytes) -> Header:
    """The header that ``raw`` is, whatever its board.

    :raises Refused: ENTRY_TOO_LARGE, ENTRY_MALFORMED, ENTRY_VERSION, ENTRY_TRAILING_BYTES,
        ENTRY_NOT_CANONICAL, ENTRY_UNKNOWN_FIELD, ENTRY_KIND, ENTRY_FIELD, ENTRY_STRUCTURE.
    """
    if len(raw) > limits.HEADER_BYTES_MAX:
        raise Refused(Reason.ENTRY_TOO_LARGE, "header over the limit")
    fields = decode(raw, Reason.ENTRY_MALFORMED)
    if type(fields) is not list or not fields:
        raise Refused(Reason.ENTRY_MALFORMED, "not a list")
    if not is_uint(fields[0], ENTRY_VERSION) or fields[0] != ENTRY_VERSION:
        raise Refused(Reason.ENTRY_VERSION, "unknown version")
    canonical = encode(fields)
    if canonical != raw:
        if raw.startswith(canonical):
            raise Refused(Reason.ENTRY_TRAILING_BYTES, "bytes follow the header")
        raise Refused(Reason.ENTRY_NOT_CANONICAL, "not the canonical form")
    if len(fields) > _FIELDS:
        raise Refused(Reason.ENTRY_UNKNOWN_FIELD, "more fields than this version has")
    if len(fields) < _FIELDS:
        raise Refused(Reason.ENTRY_MALFORMED, "fields are missing")
    header = Header._make(fields)
    _check_fields(header)
    _check_structure(header)
    return header


def _check_fields(header: Header) -> None:
    if not is_uint(header.kind, max(Kind)):
        raise Refused(Reason.ENTRY_KIND, "unknown kind")
    if not (
        is_bytes(header.board_tag, 4)
        and is_bytes(header.persona, PUBLIC_KEY_BYTES)
        and is_uint(header.seq, _UINT32_MAX)
        and (header.prev is None or is_bytes(header.prev, HASH_BYTES))
        and (header.thread is None or is_bytes(header.thread, HASH_BYTES))
        and (header.parent is None or is_bytes(header.parent, HASH_BYTES))
        and is_uint(header.bucket, _UINT32_MAX)
        and is_uint(header.payload_bytes, _UINT32_MAX)
        and is_bytes(header.payload_hash, HASH_BYTES)
        and is_bytes(header.nonce, NONCE_BYTES)
    ):
        raise Refused(Reason.ENTRY_FIELD, "a field has a wrong type, size or range")


def _check_structure(header: Header) -> None:
    if (header.seq == 0) != (header.prev is None):
        raise Refused(Reason.ENTRY_STRUCTURE, "the first of a log has no entry before it")
    if (header.thread is None) != (header.parent is None):
        raise Refused(Reason.ENTRY_STRUCTURE, "an answer names its thread and its parent")
    if header.kind == Kind.RETRACT and (header.parent is None or header.payload_bytes):
        raise Refused(Reason.ENTRY_STRUCTURE, "a retraction has a target and no payload")
    if header.kind == Kind.POST and header.payload_bytes < SALT_BYTES:
        raise Refused(Reason.ENTRY_STRUCTURE, "a post's payload begins with its salt")


def _check_policy(board: Board, header: Header) -> None:
    if header.board_tag != board.tag:
        raise Refused(Reason.ENTRY_WRONG_BOARD, "of another board")
    if header.payload_bytes > board.descriptor.payload_bytes_max:
        raise Refused(Reason.ENTRY_TOO_LARGE, "payload over the board's limit")


def _check_time(board: Board, bucket: int, wall_s: int) -> None:
    if bucket > bucket_of(wall_s) + limits.FUTURE_BUCKETS_MAX:
        raise Refused(Reason.ENTRY_FUTURE, "from the future")
    if bucket < oldest_bucket(board, wall_s):
        raise Refused(Reason.ENTRY_EXPIRED, "older than the board keeps")
