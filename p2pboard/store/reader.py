"""What can be asked of the store.

A :class:`Reader` works on one connection, in whatever transaction is open there: the worker opens
one for each job, so that a job sees the store at one moment. A writer is also a reader, and sees
what it has just written.

Queries name their index: without statistics SQLite would take one that begins with the board, and
read all of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from p2pboard.errors import UserError
from p2pboard.rules import Rule
from p2pboard.store.base import BoardRow, UnknownBoard, in_log_order, short
from p2pboard.store.own_reader import OwnReader
from p2pboard.store.schema import PayloadState
from p2pboard.store.sealing import ADDRESS, RULE, header_of, unseal_payload
from protocol.entry import BUCKET_SECONDS, Entry, Kind

#: Rows fetched in one go, so that memory holds the answer and not the rows of it, too.
_ROWS_A_FETCH = 10_000
#: Entries loaded in one query: the most that is read in vain where the bound on bytes is hit.
_LOADED_AT_ONCE = 64


class NotFound(UserError):
    """No entry has such an id."""


class Ambiguous(UserError):
    """More than one entry has such an id.

    :ivar candidates: some of them, whole ids.
    """

    def __init__(self, message: str, candidates: Sequence[bytes]) -> None:
        super().__init__(message)
        self.candidates = candidates


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


class StoredRule(NamedTuple):
    """A row of the rules, opened."""

    row: int
    slot: int
    rule: Rule


class StoredAddress(NamedTuple):
    """A row of the addresses, opened; ``day`` since 1970 is when a member was last met there."""

    row: int
    slot: int
    host: str
    port: int
    day: int


class _Stored(NamedTuple):
    """What is needed to make an entry again."""

    id: bytes
    raw: bytes
    signature: bytes
    sealed: bytes | None
    secret: bytes | None


def _entry_of(row: _Stored) -> Entry:
    header = header_of(row.raw)
    payload = None
    if header.kind == Kind.RETRACT:
        payload = b""
    elif row.sealed is not None:
        payload = unseal_payload(row.secret, row.sealed)
    return Entry(row.id, header, row.raw, row.signature, payload)


class Reader(OwnReader):
    """The questions. Those that take a board's id raise :class:`UnknownBoard` where it isn't there.

    :param connection: of :func:`p2pboard.store.schema.open_database`.
    """

    # --- Boards -----------------------------------------------------------------------------------

    def addresses(self, board_id: bytes) -> list[tuple[str, int]]:
        """Hosts and ports where members were met, the last met first."""
        return [(met.host, met.port) for met in self._addresses(self._board(board_id))]

    def _addresses(self, board: int) -> list[StoredAddress]:
        rows = self._db.execute(
            "SELECT address, slot, sealed, secret FROM addresses"
            " JOIN record_secrets USING (slot) WHERE board = ?",
            (board,),
        )
        met = [
            StoredAddress(row, slot, *fields) for row, slot, fields in self._opened(rows, ADDRESS)
        ]
        return sorted(met, key=lambda address: (-address.day, address.host, address.port))

    def rules(self, board_id: bytes) -> list[Rule]:
        """The board's block rules, oldest first."""
        return [stored.rule for stored in self._rules(self._board(board_id))]

    def _rules(self, board: int) -> list[StoredRule]:
        rows = self._db.execute(
            "SELECT rule, slot, sealed, secret FROM rules"
            " JOIN record_secrets USING (slot) WHERE board = ?",
            (board,),
        )
        opened = [
            StoredRule(row, slot, Rule(*fields)) for row, slot, fields in self._opened(rows, RULE)
        ]
        return sorted(opened, key=lambda stored: (stored.rule.created, stored.rule.id))

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
                        return position, in_log_order(entries)
        return len(ids), in_log_order(entries)

    def _stored(self, board: int, ids: Sequence[bytes]) -> dict[bytes, _Stored]:
        rows = self._select_in(
            "SELECT id, header, signature, sealed, secret FROM entries INDEXED BY entries_by_id"
            " LEFT JOIN payloads USING (entry) LEFT JOIN secrets USING (slot)"
            " WHERE board = ? AND substr(id, 1, 8) IN (...)",
            [short(identifier) for identifier in ids],
            (board,),
        )
        return {
            identifier: _Stored(identifier, raw, signature, sealed, self._secret(wrapped))
            for identifier, raw, signature, sealed, wrapped in rows
        }

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
        for *fields, sealed, wrapped, opener, is_retracted in rows:
            payload = None if sealed is None else unseal_payload(self._secret(wrapped), sealed)
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


__all__ = [
    "Ambiguous",
    "BoardRow",
    "EntryRow",
    "NotFound",
    "Reader",
    "StoredAddress",
    "StoredRule",
    "UnknownBoard",
    "short",
]
