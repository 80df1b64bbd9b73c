"""What a cell's body says, and how an entry is cut into several (SPEC.md, "Bodies").

A body is a kind (1 byte), fields, and zeros up to its one size:

    0 cover    nothing
    1 piece    transfer 16 | place 1 | places 1 | length 2 | part of an entry
    2 loop     token 16
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from protocol import limits
from protocol.cells import BODY_BYTES
from protocol.codec import decode_whole, encode
from protocol.errors import Reason, Refused
from protocol.messages import WireEntry, decode_wire_entry

TRANSFER_BYTES = 16
TOKEN_BYTES = 16
_COVER, _PIECE, _LOOP = range(3)
_PIECE_HEADER_BYTES = 1 + TRANSFER_BYTES + 1 + 1 + 2
PIECE_BYTES_MAX = BODY_BYTES - _PIECE_HEADER_BYTES


class Piece(NamedTuple):
    """A part of an entry; ``transfer`` is what all of its parts have in common."""

    transfer: bytes
    place: int
    places: int
    part: bytes


class Loop(NamedTuple):
    """A test cell that comes home."""

    token: bytes


def cover_body() -> bytes:
    """A body that says nothing."""
    return bytes(BODY_BYTES)


def loop_body(token: bytes) -> bytes:
    """The body of a test cell."""
    return (bytes([_LOOP]) + token).ljust(BODY_BYTES, b"\0")


def cut(entry: WireEntry, transfer: bytes) -> list[bytes]:
    """The bodies in which an entry travels, in order."""
    whole = encode(list(entry))
    parts = [whole[at : at + PIECE_BYTES_MAX] for at in range(0, len(whole), PIECE_BYTES_MAX)]
    return [
        (
            bytes([_PIECE])
            + transfer
            + bytes([place, len(parts)])
            + len(part).to_bytes(2, "big")
            + part
        ).ljust(BODY_BYTES, b"\0")
        for place, part in enumerate(parts)
    ]


def decode_body(body: bytes) -> Piece | Loop | None:
    """What a body says; None for cover, and for what nobody honest writes: its writer can't be
    told that it is wrong, and nobody else is to blame."""
    if body[0] == _LOOP:
        return Loop(body[1 : 1 + TOKEN_BYTES])
    if body[0] != _PIECE:
        return None
    transfer = body[1 : 1 + TRANSFER_BYTES]
    place, places = body[1 + TRANSFER_BYTES], body[2 + TRANSFER_BYTES]
    length = int.from_bytes(body[_PIECE_HEADER_BYTES - 2 : _PIECE_HEADER_BYTES], "big")
    if not (place < places <= limits.PIECES_MAX and 0 < length <= PIECE_BYTES_MAX):
        return None
    return Piece(transfer, place, places, body[_PIECE_HEADER_BYTES : _PIECE_HEADER_BYTES + length])


@dataclass(slots=True)
class _Transfer:
    places: int
    gives_up_ms: int
    parts: dict[int, bytes] = field(default_factory=dict)


class Assembly:
    """Entries that arrive in pieces, in any order."""

    def __init__(self) -> None:
        self._transfers: dict[bytes, _Transfer] = {}
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._transfers)

    def add(self, piece: Piece, now_ms: int) -> WireEntry | None:
        """Take a piece; the entry, if that was the last that was missing."""
        self._give_up(now_ms)
        transfer = self._transfers.get(piece.transfer)
        if transfer is None:
            self._make_room()
            transfer = _Transfer(piece.places, now_ms + limits.TRANSFER_MS_MAX)
            self._transfers[piece.transfer] = transfer
        if piece.places != transfer.places or piece.place in transfer.parts:
            return None
        transfer.parts[piece.place] = piece.part
        self._bytes += len(piece.part)
        if len(transfer.parts) < transfer.places:
            return None
        whole = b"".join(transfer.parts[place] for place in range(transfer.places))
        self._drop(piece.transfer)
        try:
            fields = decode_whole(whole, Reason.LINK_MESSAGE_MALFORMED)
            return decode_wire_entry(fields)
        except Refused:
            return None  # whoever wrote it can't be told

    def _give_up(self, now_ms: int) -> None:
        for identifier in [i for i, t in self._transfers.items() if t.gives_up_ms <= now_ms]:
            self._drop(identifier)
        while self._bytes > limits.TRANSFERS_BYTES_MAX - PIECE_BYTES_MAX:
            self._drop(next(iter(self._transfers)))

    def _make_room(self) -> None:
        while len(self._transfers) >= limits.TRANSFERS_MAX:
            self._drop(next(iter(self._transfers)))

    def _drop(self, identifier: bytes) -> None:
        transfer = self._transfers.pop(identifier)
        self._bytes -= sum(map(len, transfer.parts.values()))
