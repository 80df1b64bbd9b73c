"""Throwing everything away: cut off anywhere, with a node and without one."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from secrets import token_bytes

import pytest
import trio

from p2pboard.errors import Failure, StoreError
from p2pboard.home import Home, Token
from p2pboard.home_store import open_home_store
from p2pboard.panic import throw_all_away
from p2pboard.rules import Rule
from p2pboard.store.relock import relock
from p2pboard.store.root import Wiped, join_halves, key_file_of, unwrap
from p2pboard.store.schema import open_database
from p2pboard.store.sealing import (
    ADDRESS,
    BOARD,
    RULE,
    open_secret,
    unseal_outbox,
    unseal_payload,
    unseal_persona,
    unseal_record,
)
from p2pboard.store.worker import open_store
from tests.p2pboard.making import (
    Author,
    add_board,
    bytes_of_files,
    make_board,
    make_posts,
    open_writer,
    write_own,
)

ROOT = Path(__file__).parents[2]
THE_BOARD = make_board()
PASSPHRASE = "tea without a kettle"
posix = pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX's")


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A home with something of every kind, as a node leaves it."""
    home = Home(tmp_path / "home")
    mine, waiting = Author(THE_BOARD, 1), Author(THE_BOARD, 2)
    with open_writer(home.database, THE_BOARD) as writer:
        writer.put_entries(THE_BOARD.id, make_posts(THE_BOARD, 20))
        writer.put_entries(THE_BOARD.id, [write_own(writer, mine, "mine")])
        write_own(writer, waiting, "waits")
        writer.note_crowd(THE_BOARD.id, mine.key, b"whom")
        writer.add_rule(THE_BOARD.id, Rule("", "word", "casino", reason="tired of it"))
        writer.remember_address(THE_BOARD.id, "10.11.12.13", 4000, 7)
    home.lock_file.touch()
    return home


# --- What can be read -----------------------------------------------------------------------------


def sealed_things(database: Path) -> Iterator[tuple[str, bytes, bytes]]:
    """(table, what is sealed, its wrapped secret) of all that is in a database."""
    with contextlib.closing(sqlite3.connect(database)) as connection:
        for table in ("payloads", "boards", "personas", "outbox", "rules", "addresses"):
            secrets = "secrets" if table == "payloads" else "record_secrets"
            sql = "SELECT sealed, secret FROM $ JOIN % USING (slot)"
            for sealed, secret in connection.execute(
                sql.replace("$", table).replace("%", secrets)
            ).fetchall():
                yield table, sealed, secret


def read_with_all_that_is_there(home: Home, passphrase: str | None, copy: Path) -> set[str]:
    """The tables of which somebody can open a row who has all files, the program and even the
    passphrase, and does not care for what our own code refuses."""
    if not home.database.exists():
        return set()
    shutil.copytree(home.path, copy)
    database = Home(copy).database
    try:
        key_file = key_file_of(database).read_bytes()
    except FileNotFoundError:
        key_file = bytes(32)
    with contextlib.closing(sqlite3.connect(database)) as connection:
        ((wrapped,),) = connection.execute("SELECT wrapped FROM root").fetchall()
    root = join_halves(key_file, unwrap(wrapped, passphrase))
    opened = set()
    for table, sealed, secret in sealed_things(database):
        with contextlib.suppress(StoreError):
            unseal(table, open_secret(root, secret), sealed)
            opened.add(table)
    return opened


def unseal(table: str, secret: bytes, sealed: bytes) -> None:
    match table:
        case "payloads":
            unseal_payload(secret, sealed)
        case "personas":
            unseal_persona(secret, sealed)
        case "outbox":
            unseal_outbox(secret, sealed)
        case _:
            label = {"boards": BOARD, "rules": RULE, "addresses": ADDRESS}[table]
            unseal_record(secret, label, sealed)


def in_clear(home: Home) -> list[bytes]:
    """What of the home's contents a search of all its files finds."""
    secret = THE_BOARD.descriptor.secret
    assert secret is not None
    seeds = [Author(THE_BOARD, seed).persona.seed for seed in (1, 2)]
    clear = [*seeds, secret, THE_BOARD.id, b"canteen", b"x" * 20, b"casino", b"tired", b"10.11.12"]
    found = (
        b"".join(file.read_bytes() for file in home.path.glob("*")) if home.path.exists() else b""
    )
    return [part for part in clear if part in found]


EVERYTHING = {"payloads", "boards", "personas", "outbox", "rules", "addresses"}


def test_all_of_it_can_be_read_before(home: Home, tmp_path: Path) -> None:
    """Or the tests below could not fail."""
    assert read_with_all_that_is_there(home, None, tmp_path / "copy") == EVERYTHING
    assert in_clear(home) == []


# --- Cut off --------------------------------------------------------------------------------------

#: Kills itself in place of the n-th call of those that change what is on the disk.
_CUT_OFF = """
import os, signal, sys
from pathlib import Path
import trio
from p2pboard.home import Home
from p2pboard.panic import throw_all_away

left = int(sys.argv[2])

def counted(function):
    def call(*arguments, **options):
        global left
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)
        left -= 1
        return function(*arguments, **options)
    return call

home = Home(Path(sys.argv[1]))
os.write, os.fsync = counted(os.write), counted(os.fsync)
Path.unlink, Path.rmdir = counted(Path.unlink), counted(Path.rmdir)
trio.run(throw_all_away, home)
"""
#: The one write that everything hangs from; before it, nothing is done at all.
_BEFORE_THE_WRITE = 0


def cut_off(home: Home, calls: int) -> bool:
    """Throws away everything, dying after so many calls; whether it came to that."""
    done = subprocess.run(
        [sys.executable, "-c", _CUT_OFF, str(home.path), str(calls)],
        cwd=ROOT,
        stderr=subprocess.PIPE,
        check=False,
        timeout=60,
    )
    assert done.returncode in (0, -signal.SIGKILL), done.stderr
    return done.returncode != 0


@posix
def test_wherever_it_is_cut_off_what_is_left_can_not_be_read_and_the_next_start_deletes_it(
    home: Home, tmp_path: Path
) -> None:
    """S-9."""
    before, entry = tmp_path / "before", make_posts(THE_BOARD, 1)[0]
    home.path.rename(before)
    calls = 0
    while True:
        shutil.copytree(before, home.path)
        was_cut = cut_off(home, calls)
        readable = read_with_all_that_is_there(home, None, tmp_path / f"copy {calls}")
        assert readable == (EVERYTHING if calls == _BEFORE_THE_WRITE else set())
        assert in_clear(home) == []
        if not was_cut:
            break
        if calls > _BEFORE_THE_WRITE:
            trio.run(open_and_close, home)
            assert entry.id not in bytes_of_files(home.database)
        shutil.rmtree(home.path, ignore_errors=True)
        calls += 1
    assert calls > 8
    assert not home.path.exists()


@posix
def test_who_has_the_passphrase_can_not_read_what_is_left_either(
    home: Home, tmp_path: Path, cheap_passphrases: None
) -> None:
    """S-9."""
    relock(home.database, None, PASSPHRASE)
    assert read_with_all_that_is_there(home, PASSPHRASE, tmp_path / "before") == EVERYTHING
    assert cut_off(home, _BEFORE_THE_WRITE + 1)
    assert home.database.exists()
    assert read_with_all_that_is_there(home, PASSPHRASE, tmp_path / "after") == set()
    with pytest.raises(Wiped):
        open_database(home.database, passphrase=PASSPHRASE)


async def open_and_close(home: Home) -> None:
    async with open_home_store(Home(home.path)) as store:
        assert len(await store.read(lambda reader: reader.boards())) == 1


# --- In one go ------------------------------------------------------------------------------------


async def test_nothing_is_left_not_even_the_folder(home: Home) -> None:
    home.write_token(Token(9, token_bytes(32)))
    (home.path / ".local-0badcafe").write_text("left by a crash")
    await throw_all_away(home)
    assert not home.path.exists()


async def test_what_is_not_ours_stays(home: Home) -> None:
    (home.path / "letter.txt").write_text("mine")
    await throw_all_away(home)
    assert [file.name for file in home.path.iterdir()] == ["letter.txt"]


async def test_an_empty_home_can_be_thrown_away(tmp_path: Path) -> None:
    await throw_all_away(Home(tmp_path / "new"))
    assert not (tmp_path / "new").exists()


async def test_a_store_that_is_open_goes_on_and_ends_without_bringing_anything_back(
    home: Home,
) -> None:
    """As that of a command that works on a post meanwhile."""
    with home.locked():
        async with open_store(home.database) as store:
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr("p2pboard.panic.STOP_S_MAX", 0.1)
                with pytest.raises(Failure, match="end its process"):
                    await throw_all_away(home)
            assert not home.database.exists()
            with contextlib.suppress(StoreError):
                await store.write(add_board, make_board("other", 2))
    assert [file.name for file in home.path.iterdir()] == ["lock"]
    await throw_all_away(home)
    assert not home.path.exists()


@posix
def test_a_key_file_that_can_not_be_written_is_said(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> int:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr("p2pboard.store.root.os.open", refuse)
    with pytest.raises(Failure, match=r"can't overwrite .*not permitted"):
        trio.run(throw_all_away, home)


@posix
def test_a_running_node_is_stopped_and_leaves_nothing(tmp_path: Path) -> None:
    home = tmp_path / "home"
    node = [sys.executable, "-m", "p2pboard", "--home", str(home)]
    with subprocess.Popen(
        [*node, "run", "--no-mdns", "--listen", "127.0.0.1:0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    ) as running:
        try:
            assert running.stdout is not None
            assert running.stdout.readline().startswith("listening on")
            subprocess.run([*node, "create", "b", "--work-bits", "0"], check=True, timeout=60)
            subprocess.run([*node, "post", "b", "words"], check=True, timeout=60)
            panic = subprocess.run([*node, "panic", "--yes"], check=False, timeout=60)
            assert panic.returncode == 0
            assert not home.exists()
            assert running.wait(20) == 0
            assert running.stderr is not None
            assert running.stderr.read() == ""
        finally:
            running.kill()
    assert not home.exists()
