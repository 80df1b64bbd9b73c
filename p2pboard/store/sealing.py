"""What the store encrypts, each thing under a secret of its own, and where the secrets are.

Payloads, own personas and the outbox are *sealed*: to erase one is to overwrite the 32 bytes of its
secret (:mod:`p2pboard.store.schema` says why deleting is not enough). A *slot* is a row of the
table of secrets; it is overwritten in place, never deleted, and used again.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from typing import Any

from p2pboard.errors import StoreError
from protocol.codec import decode, encode
from protocol.crypto import KEY_BYTES, aead_decrypt, aead_encrypt
from protocol.entry import Entry, Header
from protocol.errors import Reason
from protocol.persona import Persona

#: A secret seals one thing and is never used again, so the nonce can be constant (RFC 8439, 2.8).
_NONCE = bytes(12)
_PAYLOAD = b"payload"
_PERSONA = b"persona"
_OUTBOX = b"outbox"
_ERASED = bytes(KEY_BYTES)


def seal_payload(secret: bytes, payload: bytes) -> bytes:
    """A payload, readable only with ``secret`` (32 random bytes, used this once)."""
    return _seal(secret, _PAYLOAD, payload)


def unseal_payload(secret: bytes | None, sealed: bytes) -> bytes:
    """What :func:`seal_payload` sealed.

    :param secret: None where its row is missing.
    :raises StoreError: where the database is damaged.
    """
    return _unseal(secret, _PAYLOAD, sealed)


def seal_persona(secret: bytes, persona: Persona, is_fresh: bool) -> bytes:
    """A persona with its key, sealed; and whether it was made for one entry only."""
    fields = [persona.seed, persona.public_key, persona.thread, persona.seq, persona.prev, is_fresh]
    return _seal(secret, _PERSONA, encode(fields))


def unseal_persona(secret: bytes | None, sealed: bytes) -> tuple[Persona, bool]:
    """What :func:`seal_persona` sealed; raises as :func:`unseal_payload`."""
    *fields, is_fresh = _unseal_fields(secret, _PERSONA, sealed)
    return Persona(*fields), bool(is_fresh)


def seal_outbox(secret: bytes, entry: Entry) -> bytes:
    """An own entry, sealed."""
    return _seal(secret, _OUTBOX, encode([entry.id, entry.raw, entry.signature, entry.payload]))


def unseal_outbox(secret: bytes | None, sealed: bytes) -> Entry:
    """What :func:`seal_outbox` sealed; raises as :func:`unseal_payload`."""
    identifier, raw, signature, payload = _unseal_fields(secret, _OUTBOX, sealed)
    return Entry(identifier, header_of(raw), raw, signature, payload)


def header_of(raw: bytes) -> Header:
    """A header that was checked before it was stored."""
    return Header._make(decode(raw, Reason.ENTRY_MALFORMED))


def _seal(secret: bytes, label: bytes, content: bytes) -> bytes:
    return aead_encrypt(secret, _NONCE, label, content)


def _unseal(secret: bytes | None, label: bytes, sealed: bytes) -> bytes:
    content = None if secret is None else aead_decrypt(secret, _NONCE, label, sealed)
    if content is None:
        raise StoreError(
            "the store failed: the database is damaged: move it away and join your boards again"
        )
    return content


def _unseal_fields(secret: bytes | None, label: bytes, sealed: bytes) -> list[Any]:
    return list(decode(_unseal(secret, label, sealed), Reason.ENTRY_MALFORMED))


class Slots:
    """The secrets of one database, in whatever transaction is open there.

    :param random_bytes: cryptographic randomness.
    :ivar has_erased: whether something was erased since somebody last set it to False: the
        write-ahead log must be truncated before it is gone from the disk.
    """

    def __init__(
        self, connection: sqlite3.Connection, random_bytes: Callable[[int], bytes]
    ) -> None:
        self._db = connection
        self._random_bytes = random_bytes
        self.has_erased = False

    def take(self, count: int) -> list[tuple[int, bytes]]:
        """``count`` new secrets and where they are: in free slots, then at the end."""
        random = self._random_bytes(count * KEY_BYTES)
        fresh = [random[start : start + KEY_BYTES] for start in range(0, len(random), KEY_BYTES)]
        rows = self._db.execute("SELECT slot FROM free_slots LIMIT ?", (count,)).fetchall()
        reused = [(slot, secret) for (slot,), secret in zip(rows, fresh, strict=False)]
        last = self._db.execute("SELECT max(slot) FROM secrets").fetchone()[0] or 0
        appended = list(enumerate(fresh[len(reused) :], int(last) + 1))
        self._db.executemany("DELETE FROM free_slots WHERE slot = ?", rows)
        self._db.executemany(
            "UPDATE secrets SET secret = ? WHERE slot = ?", [(s, slot) for slot, s in reused]
        )
        self._db.executemany("INSERT INTO secrets VALUES (?, ?)", appended)
        return reused + appended

    def free(self, slots: Sequence[int]) -> None:
        """Erase what the secrets in ``slots`` seal. Overwriting with as many bytes happens in
        place: that is why secrets are overwritten and not deleted."""
        self._db.executemany(
            "UPDATE secrets SET secret = ? WHERE slot = ?", [(_ERASED, slot) for slot in slots]
        )
        self._db.executemany("INSERT INTO free_slots VALUES (?)", [(slot,) for slot in slots])
        self.has_erased = self.has_erased or bool(slots)

    def free_selected(self, sql: str, parameters: Sequence[object]) -> None:
        """:meth:`free` the slots that a query answers."""
        self.free([slot for (slot,) in self._db.execute(sql, parameters)])
