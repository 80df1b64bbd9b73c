"""What can be asked of the store.

A :class:`Reader` works on one connection, in whatever transaction is open there: the worker opens
one for each job, so that a job sees the store at one moment. A writer is also a reader, and sees
what it has just written.

Queries name their index: without statistics SQLite would take one that begins with the board, and
read all of it.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from p2pboard.errors import StoreError, UserError
from p2pboard.rules import Rule
from p2pboard.store.schema import PayloadState
from p2pboard.store.sealing import header_of, unseal_outbox, unseal_payload, unseal_persona
from protocol.board import Descriptor, decode_descriptor
from protocol.entry import BUCKET_SECONDS, Entry, Kind
from protocol.persona import Persona

#: So much of an id is in the indexes.
SHORT_BYTES = 8
#: Rows fetched in one go, so that memory holds the answer and not the rows of it, too.
_ROWS_A_FETCH = 10_000
#: Entries loaded in one query: the most that is read in vain where the bound on bytes is hit.
_LOADED_AT_ONCE = 64


class UnknownBoard(StoreError):
    """The board is not, or no longer, in the store."""


class NotFound(UserError):
    """No entry has such an id."""


class Ambiguous(UserError):
    """More than one entry has such an id.

    :ivar candidates: some of them, whole ids.
    """

    def __init__(self, message: str, candidates: Sequence[bytes]) -> None:
        super().__init__(message)
        self.candidates = candidates


class BoardRow(NamedTuple):
    """A board as it is stored."""

    board_id: bytes
    descriptor: Descriptor
    descriptor_raw: bytes


class EntryRow(NamedTuple):
    """An entry as :mod:`p2pboard.view` needs it.

    :ivar thread: never None; of the entry that opens a thread, its own id.
    :ivar payload: with its salt; None unless ``payload_state`` is HAVE.
    :ivar opener: the persona of the entry that opened the thread; None where that isn't there.
    :ivar is_retracted: whether its own persona has retracted it, as far as the network knows.
    :ivar is_outbox: whether it waits in the outbox.
    """

    id: bytes
    persona: bytes
    seq: int
    kind: int
    thread: bytes
    parent: bytes | None
    bucket: int
    payload: bytes | None
    payload_state: int
    opener: bytes | None
    is_retracted: bool
    is_outbox: bool


class OutboxItem(NamedTuple):
    """A row of the outbox, opened."""

    item: int
    slot: int
    entry: Entry


class OwnPersona(NamedTuple):
    """A row of the personas, opened."""

    row: int
    slot: int
    is_fresh: bool
    persona: Persona


class _Stored(NamedTuple):
    """What is needed to make an entry again."""

    id: bytes
    raw: bytes
    signature: bytes
    sealed: bytes | None
    secret: bytes | None


def short(identifier: bytes) -> bytes:
    """The part of an id or a thread that the indexes know it by."""
    return identifier[:SHORT_BYTES]


def _entry_of(row: _Stored) -> Entry:
    header = header_of(row.raw)
    payload = None
    if header.kind == Kind.RETRACT:
        payload = b""
    elif row.sealed is not None:
        payload = unseal_payload(row.secret, row.sealed)
    return Entry(row.id, header, row.raw, row.signature, payload)


def _in_log_order(entries: Iterable[Entry]) -> list[Entry]:
    return sorted(entries, key=lambda entry: (entry.header.bucket, entry.header.seq, entry.id))


class Reader:
    """The questions. Those that take a board's id raise :class:`UnknownBoard` where it isn't there.

    :param connection: of :func:`p2pboard.store.schema.open_database`.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._db = connection

    def _board(self, board_id: bytes) -> int:
        row = self._db.execute("SELECT board FROM boards WHERE id = ?", (board_id,)).fetchone()
        if row is None:
            raise UnknownBoard("the board is not here any more: join it again to use it")
        return int(row[0])

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

    # --- Boards -----------------------------------------------------------------------------------

    def boards(self) -> list[BoardRow]:
        """All boards, in the order in which they were added."""
        rows = self._db.execute("SELECT id, descriptor FROM boards ORDER BY board")
        return [BoardRow(board_id, decode_descriptor(raw), raw) for board_id, raw in rows]

    def addresses(self, board_id: bytes) -> list[tuple[str, int]]:
        """Hosts and ports where members were met, the last met first."""
        rows = self._db.execute(
            "SELECT host, port FROM addresses WHERE board = ? ORDER BY day DESC, host, port",
            (self._board(board_id),),
        )
        return rows.fetchall()

    def rules(self, board_id: bytes) -> list[Rule]:
        """The board's block rules, oldest first."""
        return self._rules(self._board(board_id))

    def _rules(self, board: int) -> list[Rule]:
        rows = self._db.execute(
            "SELECT id, kind, value, action, reason, created FROM rules"
            " WHERE board = ? ORDER BY created, id",
            (board,),
        )
        return [Rule(*row) for row in rows]

    def setting(self, name: str) -> Any:
        """A setting of this node, any JSON value; None where it isn't set."""
        row = self._db.execute("SELECT value FROM settings WHERE name = ?", (name,)).fetchone()
        return None if row is None else json.loads(row[0])

    # --- What the core needs ----------------------------------------------------------------------

    def index_keys(self, board_id: bytes) -> bytes:
        """The keys (:mod:`protocol.index`) of all stored entries, sorted: 40 bytes an entry."""
        times: dict[int, bytes] = {}
        rows = self._db.execute(
            "SELECT bucket, id FROM entries WHERE board = ? ORDER BY bucket, id",
            (self._board(board_id),),
        )
        parts = []
        while chunk := rows.fetchmany(_ROWS_A_FETCH):
            for bucket in {bucket for bucket, _ in chunk} - times.keys():
                times[bucket] = (bucket * BUCKET_SECONDS).to_bytes(8, "big")
            parts.append(b"".join([times[bucket] + identifier for bucket, identifier in chunk]))
        return b"".join(parts)

    def count(self, board_id: bytes) -> int:
        """How many entries are stored, the outbox apart."""
        board = self._board(board_id)
        row = self._db.execute("SELECT count(*) FROM entries WHERE board = ?", (board,)).fetchone()
        return int(row[0])

    def lacking(self, board_id: bytes, limit: int) -> list[bytes]:
        """Ids of at most ``limit`` stored entries whose payload is wanted and not there: it never
        came, or a rule that is gone had purged it."""
        rows = self._db.execute(
            "SELECT id FROM entries WHERE board = ? AND payload_state = ? AND payload_state > 0"
            " LIMIT ?",
            (self._board(board_id), int(PayloadState.LACKING), limit),
        )
        return [identifier for (identifier,) in rows]

    def outbox(self, board_id: bytes) -> list[Entry]:
        """Own entries that have not come back from the network, in log order."""
        items = self._outbox_items(self._board(board_id))
        return _in_log_order(item.entry for item in items)

    def _outbox_items(self, board: int) -> list[OutboxItem]:
        rows = self._db.execute(
            "SELECT item, slot, sealed, secret FROM outbox JOIN secrets USING (slot)"
            " WHERE board = ?",
            (board,),
        )
        return [
            OutboxItem(item, slot, unseal_outbox(secret, sealed))
            for item, slot, sealed, secret in rows
        ]

    def load_entries(
        self, board_id: bytes, ids: Sequence[bytes], bytes_max: int
    ) -> tuple[int, list[Entry]]:
        """Stored entries, never the outbox's; those that aren't here are left out.

        :param bytes_max: stop after the entry that exceeds it.
        :return: how many of ``ids`` are dealt with, from the first on, and the entries in log
            order; the payload is None where it isn't had.
        """
        board = self._board(board_id)
        entries: list[Entry] = []
        size = 0
        for start in range(0, len(ids), _LOADED_AT_ONCE):
            chunk = ids[start : start + _LOADED_AT_ONCE]
            stored = self._stored(board, chunk)
            for position, identifier in enumerate(chunk, start + 1):
                if identifier in stored:
                    entries.append(_entry_of(stored[identifier]))
                    size += entries[-1].wire_bytes
                    if size > bytes_max:
                        return position, _in_log_order(entries)
        return len(ids), _in_log_order(entries)

    def _stored(self, board: int, ids: Sequence[bytes]) -> dict[bytes, _Stored]:
        rows = self._select_in(
            "SELECT id, header, signature, sealed, secret FROM entries INDEXED BY entries_by_id"
            " LEFT JOIN payloads USING (entry) LEFT JOIN secrets USING (slot)"
            " WHERE board = ? AND substr(id, 1, 8) IN (...)",
            [short(identifier) for identifier in ids],
            (board,),
        )
        return {row[0]: _Stored._make(row) for row in rows}

    # --- What people read -------------------------------------------------------------------------

    def rows(
        self, board_id: bytes, thread: bytes | None = None, newest: int | None = None
    ) -> list[EntryRow]:
        """Entries and outbox, for :func:`p2pboard.view.show` to decide on.

        :param thread: only this thread's.
        :param newest: only so many, those of the latest buckets.
        """
        board = self._board(board_id)
        rows = {row.id: row for row in self._entry_rows(board, thread, newest)}
        rows |= {row.id: row for row in self._outbox_rows(board, thread)}
        latest_first = sorted(
            rows.values(), key=lambda row: (row.bucket, row.seq, row.id), reverse=True
        )
        return latest_first[:newest]

    def entry_row(self, board_id: bytes, entry_id: bytes) -> EntryRow | None:
        """One entry, of the store or the outbox; None where there is none."""
        board = self._board(board_id)
        waiting = (row for row in self._outbox_rows(board, None) if row.id == entry_id)
        stored = self._query_rows(
            "entries_by_id",
            "e.board = ? AND substr(e.id, 1, 8) = ? AND e.id = ?",
            (board, short(entry_id), entry_id),
        )
        return next(waiting, None) or next(iter(stored), None)

    def _entry_rows(
        self, board: int, thread: bytes | None, newest: int | None
    ) -> Iterator[EntryRow]:
        limit = -1 if newest is None else newest
        order = "ORDER BY e.bucket DESC, e.id DESC LIMIT ?"
        if thread is None:
            return self._query_rows("entries_in_order", f"e.board = ? {order}", (board, limit))
        return self._query_rows(
            "entries_by_thread",
            f"e.board = ? AND substr(e.thread, 1, 8) = ? AND e.thread = ? {order}",
            (board, short(thread), thread, limit),
        )

    def _query_rows(
        self, index: str, condition: str, parameters: Sequence[object]
    ) -> Iterator[EntryRow]:
        rows = self._db.execute(_ROWS_SQL.replace("{index}", index) + condition, parameters)
        for *fields, sealed, secret, opener, is_retracted in rows:
            payload = None if sealed is None else unseal_payload(secret, sealed)
            identifier, persona, seq, kind, thread, parent, bucket, state = fields
            yield EntryRow(
                id=identifier,
                persona=persona,
                seq=seq,
                kind=kind,
                thread=thread,
                parent=parent,
                bucket=bucket,
                payload=payload,
                payload_state=state,
                opener=opener,
                is_retracted=bool(is_retracted),
                is_outbox=False,
            )

    def _outbox_rows(self, board: int, thread: bytes | None) -> list[EntryRow]:
        entries = [item.entry for item in self._outbox_items(board)]
        openers = {e.id: e.header.persona for e in entries if e.header.parent is None}
        return [
            self._outbox_row(entry, openers)
            for entry in entries
            if thread is None or entry.thread == thread
        ]

    def _outbox_row(self, entry: Entry, openers: dict[bytes, bytes]) -> EntryRow:
        header = entry.header
        return EntryRow(
            id=entry.id,
            persona=header.persona,
            seq=header.seq,
            kind=header.kind,
            thread=entry.thread,
            parent=header.parent,
            bucket=header.bucket,
            payload=entry.payload,
            payload_state=PayloadState.HAVE,
            opener=openers.get(entry.thread) or self._opener(entry.thread),
            is_retracted=False,
            is_outbox=True,
        )

    def _opener(self, thread: bytes) -> bytes | None:
        row = self._db.execute(
            "SELECT persona FROM entries INDEXED BY entries_by_id"
            " WHERE substr(id, 1, 8) = ? AND id = ? AND parent IS NULL",
            (short(thread), thread),
        ).fetchone()
        return None if row is None else bytes(row[0])

    def resolve(self, board_id: bytes, prefix_hex: str) -> bytes:
        """The id, of the store or the outbox, that begins with ``prefix_hex``.

        :raises NotFound: none does, or the prefix is not hexadecimal.
        :raises Ambiguous: several do.
        """
        board = self._board(board_id)
        prefix = prefix_hex.lower()
        if not prefix or len(prefix) > 64 or prefix.strip("0123456789abcdef"):
            raise NotFound(f"{prefix_hex!r} is no id: give the digits that a listing shows")
        found = self._ids_between(
            board, bytes.fromhex(prefix.ljust(64, "0")), bytes.fromhex(prefix.ljust(64, "f"))
        )
        waiting = (item.entry.id for item in self._outbox_items(board))
        found |= {identifier for identifier in waiting if identifier.hex().startswith(prefix)}
        if not found:
            raise NotFound(f"no entry begins with {prefix}: give the digits that a listing shows")
        if len(found) > 1:
            raise Ambiguous(f"several entries begin with {prefix}: give more digits", sorted(found))
        return found.pop()

    def _ids_between(self, board: int, first: bytes, last: bytes) -> set[bytes]:
        rows = self._db.execute(
            "SELECT id FROM entries INDEXED BY entries_by_id"
            " WHERE board = ? AND substr(id, 1, 8) BETWEEN ? AND ?"
            " AND id BETWEEN ? AND ? LIMIT 8",
            (board, short(first), short(last), first, last),
        )
        return {identifier for (identifier,) in rows}

    # --- Own personas -----------------------------------------------------------------------------

    def own_persona(self, board_id: bytes, thread: bytes) -> Persona | None:
        """The persona that this node writes with in ``thread``, its key included; None where it
        has none yet. Those made fresh for one entry don't count."""
        own = [
            row.persona
            for row in self._personas(self._board(board_id))
            if row.persona.thread == thread and not row.is_fresh
        ]
        return max(own, key=lambda persona: persona.seq, default=None)

    def own_persona_by_key(self, board_id: bytes, public_key: bytes) -> Persona | None:
        """The own persona, fresh or not, of that key; None where it is somebody else's."""
        row = self._own_persona_row(self._board(board_id), public_key)
        return None if row is None else row.persona

    def _own_persona_row(self, board: int, public_key: bytes) -> OwnPersona | None:
        rows = self._personas(board)
        return next((row for row in rows if row.persona.public_key == public_key), None)

    def _personas(self, board: int) -> list[OwnPersona]:
        """All of them: what a row is about can be told only by opening it."""
        rows = self._db.execute(
            "SELECT persona, slot, sealed, secret FROM personas JOIN secrets USING (slot)"
            " WHERE board = ?",
            (board,),
        )
        opened = []
        for number, slot, sealed, secret in rows:
            persona, is_fresh = unseal_persona(secret, sealed)
            opened.append(OwnPersona(number, slot, is_fresh, persona))
        return opened


_ROWS_SQL = """
SELECT e.id, e.persona, e.seq, e.kind, e.thread, e.parent, e.bucket, e.payload_state,
    p.sealed, s.secret,
    (SELECT o.persona FROM entries o INDEXED BY entries_by_id
        WHERE substr(o.id, 1, 8) = substr(e.thread, 1, 8) AND o.id = e.thread
        AND o.parent IS NULL),
    EXISTS (SELECT 1 FROM entries r INDEXED BY retractions_by_target
        WHERE r.kind = 1 AND r.parent = e.id AND r.persona = e.persona)
FROM entries e INDEXED BY {index}
    LEFT JOIN payloads p USING (entry) LEFT JOIN secrets s USING (slot)
WHERE """
