"""A connection to a store's database, and what opens the sealed things in it."""

from __future__ import annotations

import sqlite3


class Database(sqlite3.Connection):
    """A connection that :func:`p2pboard.store.schema.open_database` has unlocked.

    :ivar key_file: the half of the root that is in a file; empty for a database in memory.
    :ivar root: what all secrets hang from (:mod:`p2pboard.store.root`).
    """

    key_file: bytes = b""
    root: bytes = b""
