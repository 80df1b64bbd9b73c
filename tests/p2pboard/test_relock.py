"""Setting, changing and removing a passphrase: what stays, what opens, and what is left on disk."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from p2pboard.errors import StoreError, UserError
from p2pboard.rules import Rule
from p2pboard.store import relock as relock_module
from p2pboard.store.reader import Reader
from p2pboard.store.relock import relock
from p2pboard.store.root import Locked, WrongPassphrase, unwrap
from p2pboard.store.schema import is_locked, open_database
from p2pboard.store.sealing import is_erased
from p2pboard.store.worker import open_store
from p2pboard.store.writer import Writer
from tests.p2pboard.making import (
    Author,
    bytes_of_files,
    make_board,
    make_posts,
    open_writer,
    write_own,
)

BOARD = make_board()
FIRST, SECOND = "tea without a kettle", "a kettle without tea"
STEPS = [(None, FIRST), (FIRST, SECOND), (SECOND, None)]


@pytest.fixture(autouse=True)
def _cheap(cheap_passphrases: None) -> None:
    """None of these tests needs a strong key."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A database with something of every kind."""
    path = tmp_path / "board.sqlite3"
    author, late = Author(BOARD), Author(BOARD, 2)
    with open_writer(path, BOARD) as writer:
        writer.put_entries(BOARD.id, make_posts(BOARD, 30))
        forgotten = make_posts(BOARD, 1, first_seed=1)[0]
        writer.put_entries(BOARD.id, [forgotten])
        writer.forget(BOARD.id, forgotten.id)
        write_own(writer, author, "mine")
        write_own(writer, late, "mine, too")
        writer.note_crowd(BOARD.id, author.key, b"whom")
        writer.put_entries(BOARD.id, writer.outbox(BOARD.id)[:1])
        writer.add_rule(BOARD.id, Rule("", "word", "casino", reason="tired of it"))
        writer.remember_address(BOARD.id, "10.11.12.13", 4000, 7)
    return path


def everything(path: Path, passphrase: str | None) -> object:
    """All that can be asked for, opened."""
    with closing(open_database(path, read_only=True, passphrase=passphrase)) as connection:
        reader = Reader(connection)
        return (
            reader.boards(),
            reader.rows(BOARD.id),
            reader.outbox(BOARD.id),
            [(dated.own.kept, dated.due) for dated in reader.own_personas(BOARD.id)],
            reader.rules(BOARD.id),
            reader.addresses(BOARD.id),
        )


def roots(path: Path) -> bytes:
    with closing(sqlite3.connect(path)) as connection:
        return bytes(connection.execute("SELECT wrapped FROM root").fetchone()[0])


def wrapped(path: Path) -> Iterator[bytes]:
    with closing(sqlite3.connect(path)) as connection:
        for table in ("secrets", "record_secrets"):
            for (raw,) in connection.execute("SELECT secret FROM $".replace("$", table)):
                if not is_erased(raw):
                    yield raw


def test_whatever_is_set_everything_is_still_there(path: Path) -> None:
    before = everything(path, None)
    for old, new in STEPS:
        relock(path, old, new)
        assert is_locked(path) == (new is not None)
        assert everything(path, new) == before


def test_what_was_stored_before_a_passphrase_can_be_changed_after_it(path: Path) -> None:
    relock(path, None, FIRST)
    with closing(open_database(path, passphrase=FIRST)) as connection:
        connection.execute("BEGIN")
        writer = Writer(connection)
        (entry,) = writer.outbox(BOARD.id)
        writer.put_entries(BOARD.id, [entry, *make_posts(BOARD, 3, first_seed=7000)])
        assert writer.outbox(BOARD.id) == []
        assert writer.throw_away_due(10**9) == 2
        writer.remove_board(BOARD.id)
        assert writer.boards() == []
        connection.execute("COMMIT")


def test_without_the_passphrase_nothing_opens_not_even_for_reading(path: Path) -> None:
    """S-8."""
    relock(path, None, FIRST)
    for read_only in (True, False):
        with pytest.raises(Locked):
            open_database(path, read_only)
        with pytest.raises(WrongPassphrase):
            open_database(path, read_only, passphrase=SECOND)


def test_with_a_passphrase_the_files_tell_nothing_that_is_sealed(path: Path) -> None:
    """S-8."""
    relock(path, None, FIRST)
    found = bytes_of_files(path)
    author = Author(BOARD)
    secret = BOARD.descriptor.secret
    assert secret is not None
    for clear in (
        author.persona.seed,
        secret,
        BOARD.id,
        b"canteen",
        b"casino",
        b"tired",
        b"10.11.",
    ):
        assert clear not in found
    for clear in (b"mine", b"whom", b"x" * 20):
        assert clear not in found
    with closing(sqlite3.connect(path)) as connection:
        entries = connection.execute("SELECT count(*) FROM entries").fetchone()
    assert entries == (32,)  # headers are what can be read; SPEC.md, section 19


@pytest.mark.parametrize("step", STEPS, ids=["set", "change", "remove"])
def test_of_what_was_wrapped_before_nothing_is_in_any_file(
    path: Path, step: tuple[str | None, str | None]
) -> None:
    """S-8."""
    old, new = step
    if old is not None:
        relock(path, None, old)
    record, secrets = roots(path), [*wrapped(path)]
    half = unwrap(record, old)
    assert record in bytes_of_files(path)
    relock(path, old, new)
    found = bytes_of_files(path)
    assert record not in found
    assert record[-48:] not in found  # what is sealed of it, salt and costs apart
    assert record[9:25] not in found or old is None  # its salt; without a passphrase all zeros
    assert half not in found
    assert len(secrets) > 30
    assert not [raw for raw in secrets if raw in found]
    assert unwrap(roots(path), new) != half


def test_an_old_copy_and_what_opens_it_do_not_open_what_is_written_later(path: Path) -> None:
    relock(path, None, FIRST)
    with closing(open_database(path, passphrase=FIRST)) as connection:
        of_the_copy = connection.root
    relock(path, FIRST, SECOND)
    with closing(open_database(path, passphrase=SECOND)) as connection:
        assert connection.root != of_the_copy
    with (
        closing(open_database(path, read_only=True, root=of_the_copy)) as connection,
        pytest.raises(StoreError, match="damaged"),
    ):
        Reader(connection).boards()


def test_a_wrong_or_impossible_passphrase_changes_nothing(path: Path) -> None:
    relock(path, None, FIRST)
    before = roots(path)
    for old, new, error in (
        (SECOND, None, WrongPassphrase),
        (None, SECOND, Locked),
        (FIRST, "short", UserError),
    ):
        with pytest.raises(error):
            relock(path, old, new)
    assert roots(path) == before


def test_what_fails_in_the_middle_is_undone(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = everything(path, None)

    def fail(*_: object) -> None:
        raise sqlite3.OperationalError("disk I/O error")

    monkeypatch.setattr(relock_module.Slots, "_wrapped_anew", fail)
    with pytest.raises(StoreError):
        relock(path, None, FIRST)
    assert not is_locked(path)
    assert everything(path, None) == before


async def test_a_reader_in_the_way_is_said_and_the_next_start_cleans_up(path: Path) -> None:
    record = roots(path)
    with closing(open_database(path, read_only=True)) as reading:
        reading.execute("BEGIN")
        reading.execute("SELECT * FROM root").fetchone()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("p2pboard.store.schema.BUSY_MS_MAX", 1)
            with pytest.raises(StoreError, match="start the node once"):
                relock(path, None, FIRST)
        assert record in bytes_of_files(path)
    assert is_locked(path)
    async with open_store(path, FIRST):
        pass
    assert record not in bytes_of_files(path)
