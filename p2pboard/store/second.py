"""The second form of the database: everything but the headers of entries is sealed, all of it under
one root, and what belongs to own entries takes no slot from payloads.

In the first form the secrets were in clear, and so were boards, rules and addresses. Their old
tables are dropped, and with ``secure_delete`` the pages of a dropped table are overwritten.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from typing import Any

from p2pboard.store.database import Database
from p2pboard.store.root import join_halves, wrap
from p2pboard.store.sealing import (
    ADDRESS,
    BOARD,
    RULE,
    WRAPPED_BYTES,
    Kept,
    Slots,
    board_tag,
    seal_outbox,
    seal_persona,
    seal_record,
    unseal_outbox,
    unseal_record,
    wrap_secret,
)
from protocol.crypto import KEY_BYTES
from protocol.persona import Persona

_TABLES = (
    "CREATE TABLE root (root INTEGER PRIMARY KEY, wrapped BLOB NOT NULL)",
    "CREATE TABLE record_secrets (slot INTEGER PRIMARY KEY, secret BLOB NOT NULL)",
    "CREATE TABLE free_record_slots (slot INTEGER PRIMARY KEY)",
    "CREATE TABLE new_secrets (slot INTEGER PRIMARY KEY, secret BLOB NOT NULL)",
    """CREATE TABLE new_boards (
        board INTEGER PRIMARY KEY,
        tag BLOB NOT NULL UNIQUE,
        slot INTEGER NOT NULL,
        sealed BLOB NOT NULL
    )""",
    """CREATE TABLE new_rules (
        rule INTEGER PRIMARY KEY,
        board INTEGER NOT NULL REFERENCES boards ON DELETE CASCADE,
        slot INTEGER NOT NULL,
        sealed BLOB NOT NULL
    )""",
    """CREATE TABLE new_addresses (
        address INTEGER PRIMARY KEY,
        board INTEGER NOT NULL REFERENCES boards ON DELETE CASCADE,
        slot INTEGER NOT NULL,
        sealed BLOB NOT NULL
    )""",
)
_RENEWED = ("secrets", "boards", "rules", "addresses")
_SECRETS_AT_ONCE = 50_000


def _seal_everything(connection: Database) -> None:
    half = secrets.token_bytes(KEY_BYTES)
    root = join_halves(connection.key_file, half)
    connection.execute("INSERT INTO root VALUES (1, ?)", (wrap(half, None, secrets.token_bytes),))
    connection.root = root
    slots = Slots(connection, root, secrets.token_bytes, "records")
    _seal_own(connection, slots)
    _seal_boards(connection, slots)
    _wrap_secrets(connection)


def _seal_own(connection: Database, slots: Slots) -> None:
    """Own personas and the outbox get slots of their own; their old ones are free."""
    waiting = connection.execute(
        "SELECT item, board, slot, sealed, secret FROM outbox JOIN secrets USING (slot)"
    ).fetchall()
    kept = connection.execute(
        "SELECT persona, board, slot, sealed, secret FROM personas JOIN secrets USING (slot)"
    ).fetchall()
    connection.execute("DELETE FROM outbox")
    connection.execute("DELETE FROM personas")
    entries = [unseal_outbox(secret, sealed)[0] for *_, sealed, secret in waiting]
    for (item, board, *_), entry in zip(waiting, entries, strict=True):
        ((slot, fresh),) = slots.take(1)
        connection.execute(
            "INSERT INTO outbox VALUES (?, ?, ?, ?)", (item, board, slot, seal_outbox(fresh, entry))
        )
    for number, board, _, sealed, secret in kept:
        *fields, is_fresh = unseal_record(secret, b"persona", sealed)
        persona = Persona(*fields)
        written = [e.header.bucket for e in entries if e.header.persona == persona.public_key]
        used = max([*written, _last_stored(connection, persona)])
        ((slot, fresh),) = slots.take(1)
        connection.execute(
            "INSERT INTO personas VALUES (?, ?, ?, ?)",
            (number, board, slot, seal_persona(fresh, Kept(persona, bool(is_fresh), used))),
        )
    freed = [(row[2],) for row in (*waiting, *kept)]
    connection.executemany("UPDATE secrets SET secret = zeroblob(32) WHERE slot = ?", freed)
    connection.executemany("INSERT INTO free_slots VALUES (?)", freed)


def _last_stored(connection: Database, persona: Persona) -> int:
    if persona.thread is None:
        return 0
    row = connection.execute(
        "SELECT max(bucket) FROM entries INDEXED BY entries_by_thread"
        " WHERE substr(thread, 1, 8) = ? AND thread = ? AND persona = ?",
        (persona.thread[:8], persona.thread, persona.public_key),
    ).fetchone()
    return int(row[0] or 0)


def _seal_boards(connection: Database, slots: Slots) -> None:
    for number, identifier, raw in connection.execute("SELECT * FROM boards").fetchall():
        ((slot, secret),) = slots.take(1)
        connection.execute(
            "INSERT INTO new_boards VALUES (?, ?, ?, ?)",
            (
                number,
                board_tag(connection.root, identifier),
                slot,
                seal_record(secret, BOARD, [identifier, raw]),
            ),
        )
    sealed = (
        ("SELECT * FROM rules", "INSERT INTO new_rules VALUES (NULL, ?, ?, ?)", RULE),
        ("SELECT * FROM addresses", "INSERT INTO new_addresses VALUES (NULL, ?, ?, ?)", ADDRESS),
    )
    for select, insert, label in sealed:
        for board, *fields in connection.execute(select).fetchall():
            ((slot, secret),) = slots.take(1)
            connection.execute(insert, (board, slot, seal_record(secret, label, fields)))


def _wrap_secrets(connection: Database) -> None:
    last = connection.execute("SELECT max(slot) FROM secrets").fetchone()[0] or 0
    for first in range(0, int(last) + 1, _SECRETS_AT_ONCE):
        rows = connection.execute(
            "SELECT slot, secret FROM secrets WHERE slot BETWEEN ? AND ? ORDER BY slot",
            (first, first + _SECRETS_AT_ONCE - 1),
        ).fetchall()
        connection.executemany(
            "INSERT INTO new_secrets VALUES (?, ?)",
            [(slot, _wrapped(connection.root, secret)) for slot, secret in rows],
        )


def _wrapped(root: bytes, secret: bytes) -> bytes:
    if secret == bytes(KEY_BYTES):
        return bytes(WRAPPED_BYTES)
    return wrap_secret(root, secrets.token_bytes(WRAPPED_BYTES - KEY_BYTES), secret)


def _renewed(table: str) -> tuple[str, str]:
    return f"DROP TABLE {table}", f"ALTER TABLE new_{table} RENAME TO {table}"


Step = str | Callable[[Database], Any]

#: From the first form to the second.
SECOND: Sequence[Step] = (
    *_TABLES,
    _seal_everything,
    *(statement for table in _RENEWED for statement in _renewed(table)),
)
