"""What the store encrypts, each thing under a secret of its own, and where the secrets are.

Payloads, own personas, the outbox, boards, rules and addresses are *sealed*: to erase one is to
overwrite its secret (:mod:`p2pboard.store.schema` says why deleting is not enough). A *slot* is a
row of a table of secrets; it is overwritten in place, never deleted, and used again. What stands
there is the secret *wrapped* under the store's root (:mod:`p2pboard.store.root`): without the root
none can be used, and so a passphrase protects all of them at the cost of one hash for each.

There are two tables of slots. Payloads have one of their own: if an own persona took its slot
between those of payloads, the gap would say where among the entries its owner wrote.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from functools import lru_cache
from hashlib import blake2b
from typing import Any, Literal, NamedTuple

from p2pboard.errors import StoreError
from protocol.codec import decode, encode
from protocol.crypto import KEY_BYTES, aead_decrypt, aead_encrypt, keyed_hash
from protocol.entry import Entry, Header
from protocol.errors import Misuse, Reason
from protocol.persona import Persona

#: A secret seals one thing and is never used again, so the nonce can be constant (RFC 8439, 2.8).
_NONCE = bytes(12)
_PAYLOAD = b"payload"
_PERSONA = b"persona"
_OUTBOX = b"outbox"
#: Labels of what :func:`seal_record` seals.
BOARD = b"board"
RULE = b"rule"
ADDRESS = b"address"

_SALT_BYTES = 16
#: A wrapped secret: its salt, and the secret under a mask.
WRAPPED_BYTES = _SALT_BYTES + KEY_BYTES
_ERASED = bytes(WRAPPED_BYTES)
_MASK_LABEL = b"p2pb store mask"
_TAG_LABEL = b"p2pb store board"
_TAG_BYTES = 16
#: What is sealed is filled up to a power of two, at least this: a length would tell which of the
#: entries one of the outbox has become. Posts of some hundred characters are one size; guess.
_FILLED_BYTES_LEAST = 1024
#: Secrets in memory at a time while all are wrapped anew: some ten megabytes.
_REWRAPPED_AT_ONCE = 50_000
#: Whatever is noted of a persona's crowd; the size that its user asked for.
CROWD_BYTES_MAX = 8192


class Kept(NamedTuple):
    """A persona as it is kept, with its key.

    :ivar is_fresh: whether it was made for one entry only.
    :ivar used: the bucket in which it last wrote.
    :ivar crowd: what is noted of the nodes among which it wrote; no business of the store's.
    """

    persona: Persona
    is_fresh: bool = False
    used: int = 0
    crowd: bytes = b""


# --- Secrets --------------------------------------------------------------------------------------


def wrap_secret(root: bytes, salt: bytes, secret: bytes) -> bytes:
    """A secret as its slot holds it.

    The mask is a hash of the salt, 16 random bytes, under the root: no two secrets share one.
    """
    return salt + _masked(root, salt, secret)


def open_secret(root: bytes, wrapped: bytes) -> bytes:
    """The secret in a slot; noise where it was erased, or wrapped under another root."""
    return _masked(root, wrapped[:_SALT_BYTES], wrapped[_SALT_BYTES:])


def is_erased(wrapped: bytes) -> bool:
    """Whether a slot was overwritten."""
    return wrapped == _ERASED


def _masked(root: bytes, salt: bytes, secret: bytes) -> bytes:
    mask = _keyed(root).copy()
    mask.update(salt)
    return (int.from_bytes(mask.digest()) ^ int.from_bytes(secret)).to_bytes(KEY_BYTES)


@lru_cache(maxsize=4)
def _keyed(root: bytes) -> blake2b:
    """A hash that has taken in the root already: half the time of a mask."""
    return blake2b(digest_size=KEY_BYTES, key=root, person=_MASK_LABEL)


def board_tag(root: bytes, board_id: bytes) -> bytes:
    """What a board's row is found by: 16 bytes that say nothing of its id without the root."""
    return keyed_hash(_TAG_LABEL, root, board_id, _TAG_BYTES)


# --- What is sealed -------------------------------------------------------------------------------


def seal_payload(secret: bytes, payload: bytes) -> bytes:
    """A payload, readable only with ``secret`` (32 random bytes, used this once)."""
    return _seal(secret, _PAYLOAD, payload)


def unseal_payload(secret: bytes | None, sealed: bytes) -> bytes:
    """What :func:`seal_payload` sealed.

    :param secret: None where its row is missing.
    :raises StoreError: where the database is damaged.
    """
    return _unseal(secret, _PAYLOAD, sealed)


def seal_persona(secret: bytes, kept: Kept) -> bytes:
    """A persona with its key, sealed.

    :raises Misuse: where more is noted of its crowd than there is room for.
    """
    if len(kept.crowd) > CROWD_BYTES_MAX:
        raise Misuse("the note on a persona's crowd is too long")
    persona = kept.persona
    fields = [persona.seed, persona.public_key, persona.thread, persona.seq, persona.prev]
    return seal_record(secret, _PERSONA, [*fields, kept.is_fresh, kept.used, kept.crowd])


def unseal_persona(secret: bytes | None, sealed: bytes) -> Kept:
    """What :func:`seal_persona` sealed; raises as :func:`unseal_payload`."""
    *fields, is_fresh, used, crowd = unseal_record(secret, _PERSONA, sealed)
    return Kept(Persona(*fields), is_fresh, used, crowd)


def seal_outbox(secret: bytes, entry: Entry, crowd_least: int = 0) -> bytes:
    """An own entry, sealed.

    :param crowd_least: how many nodes must be there before it leaves.
    """
    fields = [entry.id, entry.raw, entry.signature, entry.payload, crowd_least]
    return seal_record(secret, _OUTBOX, fields)


def unseal_outbox(secret: bytes | None, sealed: bytes) -> tuple[Entry, int]:
    """What :func:`seal_outbox` sealed; raises as :func:`unseal_payload`."""
    # Databases of the first form had no crowd.
    identifier, raw, signature, payload, *more = unseal_record(secret, _OUTBOX, sealed)
    return Entry(identifier, header_of(raw), raw, signature, payload), more[0] if more else 0


def header_of(raw: bytes) -> Header:
    """A header that was checked before it was stored."""
    return Header._make(decode(raw, Reason.ENTRY_MALFORMED))


def seal_record(secret: bytes, label: bytes, fields: Sequence[Any]) -> bytes:
    """Some values, sealed; from outside, only the power of two that they fill can be seen."""
    content = encode(list(fields))
    filled = max(_FILLED_BYTES_LEAST, 1 << (len(content) - 1).bit_length())
    return _seal(secret, label, content.ljust(filled, b"\0"))


def unseal_record(secret: bytes | None, label: bytes, sealed: bytes) -> list[Any]:
    """What :func:`seal_record` sealed under the same label; raises as :func:`unseal_payload`."""
    return list(decode(_unseal(secret, label, sealed), Reason.ENTRY_MALFORMED))


def _seal(secret: bytes, label: bytes, content: bytes) -> bytes:
    return aead_encrypt(secret, _NONCE, label, content)


def _unseal(secret: bytes | None, label: bytes, sealed: bytes) -> bytes:
    content = None if secret is None else aead_decrypt(secret, _NONCE, label, sealed)
    if content is None:
        raise StoreError(
            "the store failed: the database is damaged: move it away and join your boards again"
        )
    return content


# --- Slots ----------------------------------------------------------------------------------------


class Slots:
    """The secrets in one table of a database, in whatever transaction is open there.

    :param root: what they are wrapped under.
    :param random_bytes: cryptographic randomness.
    :param of: the payloads' or all others'.
    :ivar has_erased: whether something was erased since somebody last set it to False: the
        write-ahead log must be truncated before it is gone from the disk.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        root: bytes,
        random_bytes: Callable[[int], bytes],
        of: Literal["payloads", "records"] = "payloads",
    ) -> None:
        self._db = connection
        self._root = root
        self._random_bytes = random_bytes
        self._prefix = "" if of == "payloads" else "record_"
        self.has_erased = False

    def _sql(self, text: str) -> str:
        """``text`` on the tables of this kind, $ standing for the beginning of their names."""
        return text.replace("$", self._prefix)

    def take(self, count: int) -> list[tuple[int, bytes]]:
        """``count`` new secrets and where they are: in free slots, then at the end."""
        random = self._random_bytes(count * WRAPPED_BYTES)
        pieces = [random[at : at + WRAPPED_BYTES] for at in range(0, len(random), WRAPPED_BYTES)]
        fresh = [(piece[:_SALT_BYTES], piece[_SALT_BYTES:]) for piece in pieces]
        wrapped = [wrap_secret(self._root, salt, secret) for salt, secret in fresh]
        rows = self._db.execute(self._sql("SELECT slot FROM free_$slots LIMIT ?"), (count,))
        reused = rows.fetchall()
        last = self._db.execute(self._sql("SELECT max(slot) FROM $secrets")).fetchone()[0] or 0
        first = int(last) + 1
        slots = [slot for (slot,) in reused] + [*range(first, first + count - len(reused))]
        self._db.executemany(self._sql("DELETE FROM free_$slots WHERE slot = ?"), reused)
        self._db.executemany(
            self._sql("UPDATE $secrets SET secret = ? WHERE slot = ?"),
            zip(wrapped, slots[: len(reused)], strict=False),
        )
        self._db.executemany(
            self._sql("INSERT INTO $secrets VALUES (?, ?)"),
            zip(slots[len(reused) :], wrapped[len(reused) :], strict=True),
        )
        return [(slot, secret) for slot, (_, secret) in zip(slots, fresh, strict=True)]

    def free(self, slots: Sequence[int]) -> None:
        """Erase what the secrets in ``slots`` seal. Overwriting with as many bytes happens in
        place: that is why secrets are overwritten and not deleted."""
        self._db.executemany(
            self._sql("UPDATE $secrets SET secret = ? WHERE slot = ?"),
            [(_ERASED, slot) for slot in slots],
        )
        self._db.executemany(
            self._sql("INSERT INTO free_$slots VALUES (?)"), [(slot,) for slot in slots]
        )
        self.has_erased = self.has_erased or bool(slots)

    def free_selected(self, sql: str, parameters: Sequence[object]) -> None:
        """:meth:`free` the slots that a query answers."""
        self.free([slot for (slot,) in self._db.execute(sql, parameters)])

    def rewrap(self, root: bytes) -> None:
        """Wrap all secrets under another root, each in its place and under a new salt."""
        last = self._db.execute(self._sql("SELECT max(slot) FROM $secrets")).fetchone()[0] or 0
        for first in range(0, int(last) + 1, _REWRAPPED_AT_ONCE):
            rows = self._db.execute(
                self._sql("SELECT secret, slot FROM $secrets WHERE slot BETWEEN ? AND ?"),
                (first, first + _REWRAPPED_AT_ONCE - 1),
            ).fetchall()
            self._db.executemany(
                self._sql("UPDATE $secrets SET secret = ? WHERE slot = ?"),
                [
                    (self._wrapped_anew(root, wrapped), slot)
                    for wrapped, slot in rows
                    if not is_erased(wrapped)
                ],
            )
        self._root = root
        self.has_erased = True

    def _wrapped_anew(self, root: bytes, wrapped: bytes) -> bytes:
        return wrap_secret(root, self._random_bytes(_SALT_BYTES), open_secret(self._root, wrapped))
