"""What all questions to the store stand on: boards, settings, and the secrets of what is sealed."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from p2pboard.errors import StoreError
from p2pboard.store.database import Database
from p2pboard.store.sealing import BOARD, board_tag, open_secret, unseal_record
from protocol.board import Descriptor, decode_descriptor
from protocol.entry import Entry

#: So much of an id is in the indexes.
SHORT_BYTES = 8


class UnknownBoard(StoreError):
    """The board is not, or no longer, in the store."""


class BoardRow(NamedTuple):
    """A board as it is stored."""

    board_id: bytes
    descriptor: Descriptor
    descriptor_raw: bytes


class Record(NamedTuple):
    """A row that is sealed as a whole, opened."""

    row: int
    slot: int
    fields: list[Any]


def short(identifier: bytes) -> bytes:
    """The part of an id or a thread that the indexes know it by."""
    return identifier[:SHORT_BYTES]


def in_log_order(entries: Iterable[Entry]) -> list[Entry]:
    """A persona's entries in the order of its log, and threads in that of time."""
    return sorted(entries, key=lambda entry: (entry.header.bucket, entry.header.seq, entry.id))


class Base:
    """One connection, in whatever transaction is open there.

    :param connection: of :func:`p2pboard.store.schema.open_database`.
    """

    def __init__(self, connection: Database) -> None:
        self._db = connection

    def boards(self) -> list[BoardRow]:
        """All boards, in the order in which they were added."""
        return [row for _, row in self._numbered_boards()]

    def _numbered_boards(self) -> list[tuple[int, BoardRow]]:
        rows = self._db.execute(
            "SELECT board, slot, sealed, secret FROM boards JOIN record_secrets USING (slot)"
            " ORDER BY board"
        )
        opened = ((record.row, *record.fields) for record in self._opened(rows, BOARD))
        return [
            (number, BoardRow(board_id, decode_descriptor(raw), raw))
            for number, board_id, raw in opened
        ]

    def setting(self, name: str) -> Any:
        """A setting of this node, any JSON value; None where it isn't set."""
        row = self._db.execute("SELECT value FROM settings WHERE name = ?", (name,)).fetchone()
        return None if row is None else json.loads(row[0])

    def _board(self, board_id: bytes) -> int:
        number = self._board_or_none(board_id)
        if number is None:
            raise UnknownBoard("the board is not here any more: join it again to use it")
        return number

    def _board_or_none(self, board_id: bytes) -> int | None:
        tag = board_tag(self._db.root, board_id)
        row = self._db.execute("SELECT board FROM boards WHERE tag = ?", (tag,)).fetchone()
        return None if row is None else int(row[0])

    def _secret(self, wrapped: bytes | None) -> bytes | None:
        """What is in a slot; None where there is no slot."""
        return None if wrapped is None else open_secret(self._db.root, wrapped)

    def _opened(
        self, rows: Iterable[tuple[int, int, bytes, bytes]], label: bytes
    ) -> Iterator[Record]:
        """Rows of (number, slot, sealed, wrapped secret), opened."""
        for number, slot, sealed, wrapped in rows:
            yield Record(number, slot, unseal_record(self._secret(wrapped), label, sealed))

    def _select_in(
        self, sql: str, values: Sequence[bytes], fixed: Sequence[object] = ()
    ) -> list[tuple[Any, ...]]:
        """The rows of ``sql``, ``(...)`` in it standing for ``values``, ``fixed`` coming first.

        The list is filled up to a power of two: so there are few different statements, and SQLite's
        compiled ones are found again.
        """
        if not values:
            return []
        size = 1 << (len(values) - 1).bit_length()
        marks = ",".join("?" * size)
        padding = [values[-1]] * (size - len(values))
        statement = sql.replace("(...)", f"({marks})")
        return self._db.execute(statement, (*fixed, *values, *padding)).fetchall()
