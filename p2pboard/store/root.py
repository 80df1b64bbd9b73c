"""The root: the one key that everything sealed in a store hangs from, and its two halves.

    key file, 32 bytes ──┐
                         ├── root ── opens the secret in a slot ── opens what is sealed with it
    ``root`` table ──────┘           (p2pboard.store.sealing)

**The half in a file** is made once and never changes. So throwing everything away at once is to
overwrite 32 bytes in one file, whoever has the database open meanwhile and whatever is in its
write-ahead log.

**The half in the database** is itself sealed: under a key that argon2id makes of the passphrase,
or where none is set, under one that everybody knows. Either way it is a record of the same form and
size, so setting, changing or removing a passphrase overwrites it in place, in one transaction with
all that hangs from it (:mod:`p2pboard.store.relock`).
"""

from __future__ import annotations

import os
import sys
import unicodedata
from pathlib import Path
from typing import NamedTuple

import nacl.exceptions
from nacl.pwhash import argon2id

from p2pboard.errors import StoreError, UserError
from protocol.crypto import (
    KEY_BYTES,
    TAG_BYTES,
    RandomBytes,
    aead_decrypt,
    aead_encrypt,
    keyed_hash,
)

#: libsodium's MODERATE: three passes over 256 MiB, 0.7 s on a laptop. RFC 9106 section 4 asks of
#: who can't spare 2 GiB for three passes over 64 MiB.
PASSES = argon2id.OPSLIMIT_MODERATE
MEMORY_KIB = argon2id.MEMLIMIT_MODERATE // 1024
#: No record of ours asks for more; a damaged one must not take all memory. Guess.
PASSES_MAX = 16
MEMORY_KIB_MAX = 1024 * 1024
#: Shorter ones are guessed in hours whatever argon2id costs. Guess.
PASSPHRASE_CHARACTERS_LEAST = 8
PASSPHRASE_CHARACTERS_MAX = 1024

_ROOT_LABEL = b"p2pb store root"
_SEALED_LABEL = b"root"
#: A salt and so a key is used once, and the key that everybody knows hides nothing (RFC 8439, 2.8).
_NONCE = bytes(12)
_KNOWN_KEY = bytes(KEY_BYTES)
_VERSION = b"\1"
_NUMBER_BYTES = 4
RECORD_BYTES = 1 + 2 * _NUMBER_BYTES + argon2id.SALTBYTES + KEY_BYTES + TAG_BYTES
_WIPED = bytes(KEY_BYTES)
#: In a binary file as it is, on Windows too.
_BINARY = getattr(os, "O_BINARY", 0)


class Locked(UserError):
    """A passphrase is set, and none was given."""


class WrongPassphrase(UserError):
    """The passphrase given is not the one that is set."""


class Wiped(StoreError):
    """Everything was thrown away, but not all files are gone yet."""


class _Record(NamedTuple):
    """The half in the database as it is stored; passes are 0 where there is no passphrase."""

    passes: int
    memory_kib: int
    salt: bytes
    sealed: bytes


# --- The half in the database ---------------------------------------------------------------------


def wrap(half: bytes, passphrase: str | None, random_bytes: RandomBytes) -> bytes:
    """``half`` (32 random bytes) as the database keeps it: RECORD_BYTES, whatever the passphrase.

    :raises UserError: where the passphrase can't be one.
    :raises StoreError: where the memory for argon2id is not there.
    """
    passes, memory_kib, salt = 0, 0, bytes(argon2id.SALTBYTES)
    if passphrase is not None:
        check_passphrase(passphrase)
        passes, memory_kib, salt = PASSES, MEMORY_KIB, random_bytes(argon2id.SALTBYTES)
    record = _Record(passes, memory_kib, salt, b"")
    return _encode(
        record._replace(sealed=aead_encrypt(_key(record, passphrase), _NONCE, _SEALED_LABEL, half))
    )


def unwrap(raw: bytes, passphrase: str | None) -> bytes:
    """What :func:`wrap` wrapped.

    :param passphrase: not looked at where none is set.
    :raises Locked, WrongPassphrase: where it is not the one.
    :raises StoreError: where the record is damaged, or the memory for argon2id is not there.
    """
    record = _decode(raw)
    if record.passes and passphrase is None:
        raise Locked(
            "a passphrase is set here: run this in a terminal to be asked for it, or name a file"
            " that holds it with --passphrase-file"
        )
    half = aead_decrypt(_key(record, passphrase), _NONCE, _SEALED_LABEL, record.sealed)
    if half is None:
        raise WrongPassphrase("wrong passphrase: try again") if record.passes else _damaged()
    return half


def has_passphrase(raw: bytes) -> bool:
    """Whether a passphrase is needed to :func:`unwrap`."""
    return _decode(raw).passes > 0


def join_halves(key_file: bytes, half: bytes) -> bytes:
    """The root, 32 bytes."""
    return keyed_hash(_ROOT_LABEL, key_file, half)


def check_passphrase(passphrase: str) -> None:
    """Whether ``passphrase`` can be set.

    :raises UserError: where it is too short, or longer than anybody types.
    """
    if not PASSPHRASE_CHARACTERS_LEAST <= len(passphrase) <= PASSPHRASE_CHARACTERS_MAX:
        raise UserError(
            f"a passphrase has {PASSPHRASE_CHARACTERS_LEAST} to {PASSPHRASE_CHARACTERS_MAX}"
            " characters: take five or six words that nobody would put together"
        )


def _key(record: _Record, passphrase: str | None) -> bytes:
    if not record.passes:
        return _KNOWN_KEY
    # One form for what is typed: a keyboard may send "ü" as one character or as two.
    typed = unicodedata.normalize("NFC", passphrase or "").encode("utf-8", "surrogatepass")
    try:
        return argon2id.kdf(KEY_BYTES, typed, record.salt, record.passes, record.memory_kib * 1024)
    except (nacl.exceptions.CryptoError, MemoryError, RuntimeError):
        raise StoreError(
            f"the passphrase needs {record.memory_kib // 1024} MiB of memory for a moment, which"
            " are not there: end other programs and try again"
        ) from None


def _encode(record: _Record) -> bytes:
    numbers = (record.passes, record.memory_kib)
    parts = [number.to_bytes(_NUMBER_BYTES, "big") for number in numbers]
    return b"".join([_VERSION, *parts, record.salt, record.sealed])


def _decode(raw: bytes) -> _Record:
    if len(raw) != RECORD_BYTES or raw[:1] != _VERSION:
        raise _damaged()
    passes = int.from_bytes(raw[1:5], "big")
    memory_kib = int.from_bytes(raw[5:9], "big")
    if passes > PASSES_MAX or memory_kib > MEMORY_KIB_MAX:
        raise _damaged()
    return _Record(passes, memory_kib, raw[9:25], raw[25:])


def _damaged() -> StoreError:
    return StoreError(
        "the store failed: the database is damaged: move it away and join your boards again"
    )


# --- The half in a file ---------------------------------------------------------------------------


def key_file_of(database: Path) -> Path:
    """The file with the other half: beside the database, named after it."""
    return database.with_name(database.name + ".key")


def read_key_file(database: Path) -> bytes | None:
    """The half in the file; None where there is none.

    :raises Wiped: where it was overwritten.
    :raises OSError: where it can't be read.
    """
    try:
        half = key_file_of(database).read_bytes()
    except FileNotFoundError:
        return None
    if len(half) != KEY_BYTES:
        raise StoreError(
            f"{key_file_of(database)} is damaged: put it back from a copy, or move it and the"
            " database away and join your boards again"
        )
    if half == _WIPED:
        raise Wiped(
            "everything here was thrown away, but not all files are gone:"
            " 'p2pboard panic' deletes the rest"
        )
    return half


def is_wiped(database: Path) -> bool:
    """Whether the half in the file was overwritten, and the file is still there."""
    try:
        read_key_file(database)
    except Wiped:
        return True
    except (OSError, StoreError):
        return False
    return False


def make_key_file(database: Path, random_bytes: RandomBytes) -> bytes:
    """A new half in a new file, durable and whole before anything can hang from it.

    :raises OSError: where it can't be written.
    """
    path = key_file_of(database)
    half = random_bytes(KEY_BYTES)
    part = path.with_name(path.name + ".new")
    part.unlink(missing_ok=True)
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _BINARY, 0o600), "wb") as f:
        f.write(half)
        f.flush()
        os.fsync(f.fileno())
    os.replace(part, path)
    sync_folder(path.parent)
    return half


def wipe_key_file(database: Path) -> bool:
    """Overwrite the half in the file, in place; whether there was one. Once this returns, nothing
    that is sealed in the store can be opened by anybody.

    :raises OSError: where it can't be written.
    """
    try:
        descriptor = os.open(key_file_of(database), os.O_WRONLY | _BINARY)
    except FileNotFoundError:
        return False
    try:
        os.write(descriptor, _WIPED)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    return True


def sync_folder(path: Path) -> None:
    """Make durable which files are in a folder; Windows does that by itself."""
    if sys.platform == "win32":
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
