"""The home of a node: the one folder that holds all it keeps.

``board.sqlite3``      the store (p2pboard.store), with ``-wal`` and ``-shm`` while it is open;
``board.sqlite3.key``  half of the key to what is sealed in it (p2pboard.store.root);
``local.json``         while a node runs: where its loopback interface listens, and the token;
``lock``               held by the one program that may write.

``p2pboard panic`` deletes what :meth:`Home.delete_stored` and :meth:`Home.delete_rest` name: each
new kind of file has to be named there.

The folder is private to its user (0700), and so is every file in it: entries of one's own are
among the others there, and the keys of one's personas too. The lock belongs to the operating
system's open file, so a killed node leaves nothing behind that would have to be cleaned up by hand.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import stat
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from p2pboard.errors import Failure, UserError
from p2pboard.store.root import key_file_of, sync_folder

HOME_VARIABLE = "P2PBOARD_HOME"
#: A port and 32 bytes in hex take a hundred; whatever is longer was not written by a node.
_TOKEN_FILE_BYTES_MAX = 512
SECRET_BYTES = 32
_TOKEN_PART = ".local-"
_DATABASE = "board.sqlite3"
_STORED = (
    *(_DATABASE + suffix for suffix in ("", "-wal", "-shm", "-journal")),
    f"{_DATABASE}.key.new",
)


class HomeBusy(Failure):
    """Another program writes in this home."""


@dataclass(frozen=True, slots=True)
class Token:
    """What the loopback interface of a running node is reached by.

    :ivar port: TCP, on 127.0.0.1.
    :ivar secret: 32 random bytes, new at each start of the node.
    """

    port: int
    secret: bytes


def _is_plausible(token: Token) -> bool:
    return type(token.port) is int and 0 < token.port < 65536 and len(token.secret) == SECRET_BYTES


def default_path() -> Path:
    """P2PBOARD_HOME where it is set, else the platform's folder for a program's data."""
    chosen = os.environ.get(HOME_VARIABLE)
    return Path(chosen) if chosen else Path(platformdirs.user_data_dir("p2pboard", False))


class Home:
    """A folder that is there and can be used.

    :param path: made with mode 0700 where it is missing.
    :raises UserError: where ``path`` can't be a folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.database = path / _DATABASE
        self.token_file = path / "local.json"
        self.lock_file = path / "lock"
        _make_private_folder(path)

    def delete_stored(self) -> None:
        """Deletes all that was stored; the key's half last, since what is left of it says that this
        was not finished.

        :raises Failure: where a file can't be deleted; all others are by then.
        """
        failures = [name for name in _STORED if not self._is_deleted(name)]
        if failures:
            raise Failure(
                f"can't delete {self.path / failures[0]}: end the programs that use it, then run"
                " 'p2pboard panic' again"
            )
        self._is_deleted(key_file_of(self.database).name)
        sync_folder(self.path)

    def delete_rest(self) -> None:
        """Deletes what else is in a home whose lock is held, and the folder if it is empty then."""
        for name in (self.token_file.name, self.lock_file.name):
            self._is_deleted(name)
        for part in self.path.glob(f"{_TOKEN_PART}*"):
            self._is_deleted(part.name)
        with contextlib.suppress(OSError):
            self.path.rmdir()

    def _is_deleted(self, name: str) -> bool:
        """Deletes a file; whether there is none of that name any more."""
        try:
            (self.path / name).unlink(missing_ok=True)
        except OSError:
            return False
        return True

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Holds the right to write in this home.

        :raises HomeBusy: at once, where another program holds it.
        """
        try:
            descriptor = os.open(self.lock_file, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise _unusable(self.path, error) from None
        try:
            if not _try_lock(descriptor):
                raise HomeBusy(
                    f"another node uses {self.path}: stop it, or choose another folder with --home"
                )
            yield
        finally:
            os.close(descriptor)

    def write_token(self, token: Token) -> None:
        """Tells the commands of this user how to reach the node; replaces any older file.

        :raises UserError: where the folder can't be written.
        """
        text = json.dumps({"port": token.port, "token": token.secret.hex()})
        part = self.path / f"{_TOKEN_PART}{secrets.token_hex(4)}"
        try:
            descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w", encoding="ascii") as file:
                file.write(text + "\n")
            os.replace(part, self.token_file)
        except OSError as error:
            with contextlib.suppress(OSError):
                part.unlink(missing_ok=True)
            raise _unusable(self.path, error) from None

    def read_token(self) -> Token | None:
        """How to reach a node that runs or ran here; None where there is no such file."""
        try:
            with self.token_file.open("rb") as file:
                record = json.loads(file.read(_TOKEN_FILE_BYTES_MAX))
            token = Token(record["port"], bytes.fromhex(record["token"]))
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return token if _is_plausible(token) else None

    def remove_token(self, token: Token) -> None:
        """Removes the token file where it is still ``token``'s."""
        if self.read_token() == token:
            with contextlib.suppress(OSError):
                self.token_file.unlink()


def _make_private_folder(path: Path) -> None:
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        is_folder = stat.S_ISDIR(path.stat().st_mode)
    except FileExistsError:
        is_folder = False
    except OSError as error:
        raise _unusable(path, error) from None
    if not is_folder:
        raise UserError(f"{path} is not a folder: give another one with --home")


def _unusable(path: Path, error: OSError) -> UserError:
    reason = (error.strerror or "it can't be used").lower()
    return UserError(f"can't use the folder {path}: {reason}; give another one with --home")


if sys.platform == "win32":
    import msvcrt

    def _try_lock(descriptor: int) -> bool:
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

else:
    import fcntl

    def _try_lock(descriptor: int) -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        return True
