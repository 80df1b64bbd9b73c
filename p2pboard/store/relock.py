"""Setting, changing or removing the passphrase of a store that nobody else has open.

Each makes a *new root*, wraps all secrets under it, and overwrites what was there before, in one
transaction. It would be less to do to wrap the old root in another way; but an old copy of the file
(a backup, or what a disk keeps of overwritten sectors) and what opens *it* would then open whatever
is written later, too.
"""

from __future__ import annotations

import secrets
import sqlite3
from contextlib import closing
from pathlib import Path

from p2pboard.errors import StoreError
from p2pboard.store.base import Base
from p2pboard.store.database import Database
from p2pboard.store.root import join_halves, wrap
from p2pboard.store.schema import open_database, store_error
from p2pboard.store.sealing import Slots, board_tag
from protocol.crypto import KEY_BYTES


def relock(database: Path, old: str | None, new: str | None) -> None:
    """Set (``old`` is None), change or remove (``new`` is None) the passphrase of a database.

    :raises Locked, WrongPassphrase: where ``old`` is not the one that is set.
    :raises UserError: where ``new`` can't be one.
    :raises StoreError: where it can't be done; then nothing has changed, unless the line says so.
    """
    with closing(open_database(database, passphrase=old)) as connection:
        half = secrets.token_bytes(KEY_BYTES)
        wrapped = wrap(half, new, secrets.token_bytes)
        try:
            _replace_root(connection, join_halves(connection.key_file, half), wrapped)
            _drop_the_log(connection)
        except sqlite3.Error as error:
            raise store_error(error) from None


def _replace_root(connection: Database, root: bytes, wrapped: bytes) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        tags = [
            (board_tag(root, row.board_id), board_tag(connection.root, row.board_id))
            for row in Base(connection).boards()
        ]
        connection.executemany("UPDATE boards SET tag = ? WHERE tag = ?", tags)
        Slots(connection, connection.root, secrets.token_bytes, "payloads").rewrap(root)
        Slots(connection, connection.root, secrets.token_bytes, "records").rewrap(root)
        # Of one size, so it happens in place: the old half is in no page any more.
        connection.execute("UPDATE root SET wrapped = ?", (wrapped,))
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    connection.root = root


def _drop_the_log(connection: Database) -> None:
    """Until then the database's file has the old half, and the log the new one."""
    row = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    if row[0]:
        raise StoreError(
            "it is done, but another program reads here, and what was there before is kept for it:"
            " end it, then start the node once"
        )
