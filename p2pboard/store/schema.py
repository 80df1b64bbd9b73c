"""The tables, how a database of any earlier form becomes one of today's, and how it is opened.

What shapes the tables:

**Own entries look like all others.** Nothing in ``entries`` says who wrote one. What has to say so
(``personas``, ``outbox``) is sealed row by row, so that not even a deleted row left over in a page
tells.

**What is erased is gone.** Deleting a row is not enough, even with ``secure_delete``: when SQLite
moves rows between pages to balance its tree it leaves stale copies in the unused part of the page
they came from, and nothing overwrites those when the row is deleted in its new place (measured:
two payloads in ten thousand survive). So each payload, and each row of ``boards``, ``personas``,
``outbox``, ``rules`` and ``addresses``, is encrypted under a random *secret* of its own.
``secrets`` (of payloads) and ``record_secrets`` (of all else) only ever grow at their end and their
rows are overwritten in place, never deleted, so they are never moved: to erase is to overwrite a
secret with zeros. A free slot is used again. Once the write-ahead log is truncated
(:mod:`p2pboard.store.worker`), the secret is in no file, and what it sealed is noise.

**All secrets hang from one**, the root (:mod:`p2pboard.store.root`), which a passphrase can protect
and which ``panic`` throws away. So what is not sealed is what anybody with the file can read: the
headers of entries, which are what the indexes are made of, and the settings.

**Times are coarse**: ten-minute buckets, or days.

**Indexes are narrow**, because they are most of the cost of a write: ids and threads are found by
their first eight bytes (then compared whole), and the order of reconciliation, (bucket, id), is
also what makes an entry unique. A retraction is found by its target, and entries without a
payload by their state, through partial indexes that hold little else.
"""

from __future__ import annotations

import os
import secrets
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from enum import IntEnum
from pathlib import Path

from p2pboard.errors import StoreError
from p2pboard.store.database import Database
from p2pboard.store.root import (
    has_passphrase,
    join_halves,
    key_file_of,
    make_key_file,
    read_key_file,
    unwrap,
)
from p2pboard.store.second import SECOND, Step

#: "p2bd": tells our databases from any other file of SQLite's.
APPLICATION_ID = 0x70326264
#: Twice SQLite's default: two rows of 500 bytes fit badly into few pages; 4096 was a third slower.
PAGE_BYTES = 8192
#: 32 MiB of write-ahead log between checkpoints: a busy index page is copied back once, not often.
CHECKPOINT_PAGES = 4000
#: The upper parts of all indexes of a million entries. Guess.
CACHE_KIB = 32 * 1024
#: Another process holds the lock for the length of one commit at most; guess.
BUSY_MS_MAX = 5000


class PayloadState(IntEnum):
    """Where an entry's payload is.

    FORGOTTEN is final (the user's wish, or the author's retraction); PURGED lasts for as long as a
    rule wants it. Neither is wanted or accepted from a peer.
    """

    HAVE = 0
    LACKING = 1
    FORGOTTEN = 2
    PURGED = 3


_FIRST = (
    """CREATE TABLE boards (
        board INTEGER PRIMARY KEY,
        id BLOB NOT NULL UNIQUE,
        descriptor BLOB NOT NULL
    )""",
    """CREATE TABLE entries (
        entry INTEGER PRIMARY KEY,
        board INTEGER NOT NULL REFERENCES boards ON DELETE CASCADE,
        bucket INTEGER NOT NULL,
        id BLOB NOT NULL,
        persona BLOB NOT NULL,
        seq INTEGER NOT NULL,
        kind INTEGER NOT NULL,
        thread BLOB NOT NULL,
        parent BLOB,
        header BLOB NOT NULL,
        signature BLOB NOT NULL,
        payload_state INTEGER NOT NULL
    )""",
    "CREATE UNIQUE INDEX entries_in_order ON entries (board, bucket, id)",
    "CREATE INDEX entries_by_id ON entries (substr(id, 1, 8))",
    "CREATE INDEX entries_by_thread ON entries (substr(thread, 1, 8))",
    "CREATE INDEX retractions_by_target ON entries (parent) WHERE kind = 1",
    "CREATE INDEX entries_without_payload ON entries (board, payload_state)"
    " WHERE payload_state > 0",
    "CREATE TABLE secrets (slot INTEGER PRIMARY KEY, secret BLOB NOT NULL)",
    "CREATE TABLE free_slots (slot INTEGER PRIMARY KEY)",
    """CREATE TABLE payloads (
        entry INTEGER PRIMARY KEY REFERENCES entries ON DELETE CASCADE,
        slot INTEGER NOT NULL,
        sealed BLOB NOT NULL
    )""",
    """CREATE TABLE personas (
        persona INTEGER PRIMARY KEY,
        board INTEGER NOT NULL REFERENCES boards ON DELETE CASCADE,
        slot INTEGER NOT NULL,
        sealed BLOB NOT NULL
    )""",
    """CREATE TABLE outbox (
        item INTEGER PRIMARY KEY,
        board INTEGER NOT NULL REFERENCES boards ON DELETE CASCADE,
        slot INTEGER NOT NULL,
        sealed BLOB NOT NULL
    )""",
    """CREATE TABLE addresses (
        board INTEGER NOT NULL REFERENCES boards ON DELETE CASCADE,
        host TEXT NOT NULL,
        port INTEGER NOT NULL,
        day INTEGER NOT NULL,
        PRIMARY KEY (board, host, port)
    ) WITHOUT ROWID""",
    """CREATE TABLE rules (
        board INTEGER NOT NULL REFERENCES boards ON DELETE CASCADE,
        id TEXT NOT NULL,
        kind TEXT NOT NULL,
        value TEXT NOT NULL,
        action TEXT NOT NULL,
        reason TEXT NOT NULL,
        created INTEGER NOT NULL,
        PRIMARY KEY (board, id)
    ) WITHOUT ROWID""",
    "CREATE TABLE settings (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
)

#: Each turns a database of version *n* into one of version *n + 1*: statements, and functions for
#: what SQL can't say. They are only ever added: a database out there has been through those that
#: are here.
MIGRATIONS: tuple[Sequence[Step], ...] = (_FIRST, SECOND)

#: The last form of the database that nothing hung from a root in.
_VERSION_WITHOUT_ROOT = 1

#: What SQLite calls a trouble: what a person can do about it. The first that fits counts.
_ADVICE = (
    ("SQLITE_FULL", "the disk is full: free some space and try again"),
    ("SQLITE_IOERR", "the disk does not read or write: check it and try again"),
    ("SQLITE_CORRUPT", "the database is damaged: move it away and join your boards again"),
    ("SQLITE_NOTADB", "the file is not a database: move it away or choose another home"),
    ("SQLITE_READONLY", "the database can't be written: check the permissions of its folder"),
    ("SQLITE_PERM", "the database can't be opened: check its permissions"),
    ("SQLITE_CANTOPEN", "the database can't be opened: check its folder and permissions"),
    ("SQLITE_BUSY", "another program is using the database: end it and try again"),
    ("SQLITE_LOCKED", "another program is using the database: end it and try again"),
)


def store_error(error: sqlite3.Error) -> StoreError:
    """The one line that a person reads instead of ``error``."""
    name = str(getattr(error, "sqlite_errorname", ""))
    for prefix, advice in _ADVICE:
        if name.startswith(prefix):
            return StoreError(f"the store failed: {advice}")
    text = " ".join(str(error).split())
    return StoreError(f"the store failed: {text}: please report this")


def open_database(
    path: Path,
    read_only: bool = False,
    *,
    passphrase: str | None = None,
    root: bytes | None = None,
) -> Database:
    """A connection to the database at ``path``, made or brought up to date unless ``read_only``.

    Transactions are explicit (``BEGIN``); the connection may move between threads, one at a time.

    :param passphrase: needed where one is set, and not looked at elsewhere.
    :param root: of a connection that is open already, instead of the passphrase, which takes long.
    :raises Locked, WrongPassphrase: where the passphrase is missing or another one.
    :raises StoreError: where the file can't be opened, is not ours, or is of a newer version.
    """
    try:
        connection = _connect(path, read_only)
        try:
            _check_ours(connection, path)
            if read_only:
                _check_current(connection, path)
            _read_key_file(connection, path)
            if not read_only:
                _prepare(connection)
            connection.root = root or _unlock(connection, passphrase)
        except BaseException:
            connection.close()
            raise
    except (sqlite3.Error, OSError) as error:
        raise _not_opened(path, error) from error
    return connection


def is_locked(path: Path) -> bool:
    """Whether the database at ``path`` opens only with a passphrase; where it can't be read, that
    is said by who opens it."""
    try:
        with closing(_connect(path, read_only=True)) as connection:
            if _pragma(connection, "application_id") != APPLICATION_ID:
                return False
            return has_passphrase(_wrapped_root(connection))
    except (sqlite3.Error, OSError, StoreError):
        return False


def _not_opened(path: Path, error: sqlite3.Error | OSError) -> StoreError:
    if isinstance(error, OSError):
        return StoreError(f"can't open {path}: {error.strerror or error}: choose another home")
    return StoreError(f"can't open {path}: {store_error(error)}")


def _connect(path: Path, read_only: bool) -> Database:
    if not read_only:
        # Made here, so that it is private from its first moment; SQLite gives the files beside it
        # the same permissions.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={'ro' if read_only else 'rw'}",
        uri=True,
        isolation_level=None,
        check_same_thread=False,
        factory=Database,
    )
    for pragma in (
        f"busy_timeout = {BUSY_MS_MAX}",
        f"cache_size = -{CACHE_KIB}",
        "foreign_keys = ON",
        # Undone savepoints hold old pages; they belong in no other file.
        "temp_store = MEMORY",
    ):
        connection.execute(f"PRAGMA {pragma}")
    return connection


def _check_ours(connection: sqlite3.Connection, path: Path) -> None:
    if _pragma(connection, "application_id") != APPLICATION_ID and _pragma(
        connection, "schema_version"
    ):
        raise StoreError(f"{path} is another program's database: choose another home")
    if _pragma(connection, "user_version") > len(MIGRATIONS):
        raise StoreError(
            f"{path} was written by a newer p2pboard than this one: install that version again,"
            " or choose another home"
        )


def _check_current(connection: sqlite3.Connection, path: Path) -> None:
    if _pragma(connection, "user_version") != len(MIGRATIONS):
        raise StoreError(f"{path} is of an older p2pboard: start the node once to bring it along")


def _read_key_file(connection: Database, path: Path) -> None:
    key_file = read_key_file(path)
    if key_file is None:
        if _pragma(connection, "user_version") > _VERSION_WITHOUT_ROOT:
            raise StoreError(
                f"{key_file_of(path)} is missing, and without it nothing here can be opened: put it"
                " back from a copy, or move the database away and join your boards again"
            )
        key_file = make_key_file(path, secrets.token_bytes)
    connection.key_file = key_file


def _unlock(connection: Database, passphrase: str | None) -> bytes:
    return join_halves(connection.key_file, unwrap(_wrapped_root(connection), passphrase))


def _wrapped_root(connection: sqlite3.Connection) -> bytes:
    return bytes(connection.execute("SELECT wrapped FROM root").fetchone()[0])


def _prepare(connection: Database) -> None:
    for pragma in (
        f"page_size = {PAGE_BYTES}",
        "auto_vacuum = INCREMENTAL",  # expiry gives space back, a piece at a time
        "journal_mode = WAL",
        "synchronous = FULL",  # what write() has confirmed survives a power cut, too
        "secure_delete = ON",
        f"wal_autocheckpoint = {CHECKPOINT_PAGES}",
    ):
        connection.execute(f"PRAGMA {pragma}").fetchall()
    before = _pragma(connection, "user_version")
    migrate(connection, MIGRATIONS)
    if 0 < before < len(MIGRATIONS):
        # The log holds pages of the older form.
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()


def migrate(connection: Database, steps: Sequence[Sequence[Step]]) -> None:
    """Take the steps that ``connection``'s database has not been through, all or none of them."""
    # A table is renewed by dropping it, which must not take along the rows that refer to its own.
    connection.execute("PRAGMA foreign_keys = OFF")
    connection.execute("BEGIN IMMEDIATE")
    try:
        for step in steps[_pragma(connection, "user_version") :]:
            for action in step:
                if isinstance(action, str):
                    connection.execute(action)
                else:
                    action(connection)
        connection.execute(f"PRAGMA user_version = {len(steps)}")
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    else:
        connection.execute("COMMIT")
    finally:
        connection.execute("PRAGMA foreign_keys = ON")


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    return int(connection.execute(f"PRAGMA {name}").fetchone()[0])
