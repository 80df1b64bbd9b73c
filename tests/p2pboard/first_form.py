"""A database of the first form, as the program that wrote it did: with secrets, boards, rules and
addresses in clear, and one row of secrets for whatever was sealed."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from secrets import token_bytes

from p2pboard.store.database import Database
from p2pboard.store.schema import MIGRATIONS, migrate
from protocol.board import Board, encode_descriptor
from protocol.codec import encode
from protocol.crypto import aead_encrypt
from protocol.entry import Entry
from protocol.persona import Persona


class FirstForm:
    """Writes one; ``secrets`` are all that it used."""

    def __init__(self, path: Path) -> None:
        self.db = sqlite3.connect(path, isolation_level=None, factory=Database)
        for pragma in ("page_size = 8192", "journal_mode = WAL", "secure_delete = ON"):
            self.db.execute(f"PRAGMA {pragma}").fetchall()
        migrate(self.db, MIGRATIONS[:1])
        self.secrets: list[bytes] = []

    def _seal(self, label: bytes, content: bytes) -> tuple[int, bytes]:
        self.secrets.append(token_bytes(32))
        self.db.execute("INSERT INTO secrets (secret) VALUES (?)", self.secrets[-1:])
        return len(self.secrets), aead_encrypt(self.secrets[-1], bytes(12), label, content)

    def add_board(self, board: Board) -> None:
        raw = encode_descriptor(board.descriptor)
        self.db.execute("INSERT INTO boards (id, descriptor) VALUES (?, ?)", (board.id, raw))

    def store(self, entry: Entry) -> None:
        identifier, header, raw, signature, payload = entry
        row = (header.bucket, identifier, header.persona, header.seq, header.kind)
        thread = header.thread or identifier
        number = self.db.execute(
            "INSERT INTO entries (board, bucket, id, persona, seq, kind, thread, parent, header,"
            " signature, payload_state) VALUES (1, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0)",
            (*row, thread, header.parent, raw, signature),
        ).lastrowid
        slot, sealed = self._seal(b"payload", payload or b"")
        self.db.execute("INSERT INTO payloads VALUES (?, ?, ?)", (number, slot, sealed))

    def forget(self, slot: int) -> None:
        """Erase what a slot seals, and free it."""
        self.db.execute("DELETE FROM payloads WHERE slot = ?", (slot,))
        self.db.execute("UPDATE secrets SET secret = zeroblob(32) WHERE slot = ?", (slot,))
        self.db.execute("INSERT INTO free_slots VALUES (?)", (slot,))
        self.db.execute(
            "UPDATE entries SET payload_state = 2 WHERE entry NOT IN (SELECT entry FROM payloads)"
        )

    def keep(self, persona: Persona, is_fresh: bool) -> None:
        fields = [persona.seed, persona.public_key, persona.thread, persona.seq, persona.prev]
        row = self._seal(b"persona", encode([*fields, is_fresh]))
        self.db.execute("INSERT INTO personas (board, slot, sealed) VALUES (1, ?, ?)", row)

    def wait(self, entry: Entry) -> None:
        content = encode([entry.id, entry.raw, entry.signature, entry.payload])
        row = self._seal(b"outbox", content)
        self.db.execute("INSERT INTO outbox (board, slot, sealed) VALUES (1, ?, ?)", row)

    def add_rule(self, *row: object) -> None:
        self.db.execute("INSERT INTO rules VALUES (1, ?, ?, ?, ?, ?, ?)", row)

    def add_address(self, *row: object) -> None:
        self.db.execute("INSERT INTO addresses VALUES (1, ?, ?, ?)", row)
