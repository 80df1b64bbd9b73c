"""Opening a database: new, of an earlier form, of a later one, or not ours."""

from __future__ import annotations

import os
import sqlite3
import stat
from contextlib import closing
from pathlib import Path
from random import Random

import pytest

from p2pboard.errors import StoreError
from p2pboard.rules import Rule
from p2pboard.store import schema
from p2pboard.store.reader import Reader
from p2pboard.store.root import key_file_of
from p2pboard.store.schema import APPLICATION_ID, MIGRATIONS, migrate, open_database
from protocol.entry import Entry, bucket_of
from tests.p2pboard.first_form import FirstForm
from tests.p2pboard.making import (
    WALL_S,
    Author,
    bytes_of_files,
    make_board,
    make_posts,
    without_payload,
)


def pragma(connection: sqlite3.Connection, name: str) -> object:
    return connection.execute(f"PRAGMA {name}").fetchone()[0]


def open_error(path: Path, read_only: bool = False) -> str:
    with pytest.raises(StoreError) as caught:
        open_database(path, read_only)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_a_new_database_survives_power_cuts_and_erases_what_it_deletes(tmp_path: Path) -> None:
    connection = open_database(tmp_path / "new.sqlite3")
    assert pragma(connection, "journal_mode") == "wal"
    assert pragma(connection, "synchronous") == 2
    assert pragma(connection, "secure_delete") == 1
    assert pragma(connection, "foreign_keys") == 1
    assert pragma(connection, "auto_vacuum") == 2
    assert pragma(connection, "user_version") == len(MIGRATIONS)
    connection.close()


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such permissions")
def test_its_files_are_private_from_the_first_moment(tmp_path: Path) -> None:
    """S-5."""
    path = tmp_path / "new.sqlite3"
    connection = open_database(path)
    connection.execute("INSERT INTO settings VALUES ('a', '1')")
    for file in tmp_path.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600, file.name
    connection.close()


def write_the_first_form(path: Path) -> tuple[FirstForm, list[Entry], Author, Author]:
    board = make_board()
    mine, waiting = Author(board, 1), Author(board, 2)
    first = FirstForm(path)
    first.db.execute("BEGIN")
    first.add_board(board)
    stored = [mine.post("mine"), *make_posts(board, 300), make_posts(board, 1, first_seed=7)[0]]
    for entry in stored:
        first.store(entry)
    first.forget(len(stored))
    first.keep(mine.persona, False)
    entry = waiting.post("not back yet")
    first.wait(entry)
    first.keep(waiting.persona, True)
    first.add_rule("k3f7ab", "word", "casino", "hide", "tired of it", 12)
    first.add_address("10.11.12.13", 4000, 19000)
    first.db.execute("INSERT INTO settings VALUES ('begun', 'true')")
    first.db.execute("COMMIT")
    return first, [*stored[:-1], without_payload(stored[-1]), entry], mine, waiting


def test_a_database_of_the_first_form_opens_and_keeps_what_it_has(tmp_path: Path) -> None:
    path = tmp_path / "first.sqlite3"
    first, entries, mine, waiting = write_the_first_form(path)
    first.db.close()
    with closing(open_database(path)) as connection:
        reader, board = Reader(connection), make_board()
        assert [row.board_id for row in reader.boards()] == [board.id]
        assert reader.boards()[0].descriptor == board.descriptor
        ids = [entry.id for entry in entries]
        assert set(reader.load_entries(board.id, ids, 10**9)[1]) == set(entries[:-1])
        assert reader.outbox(board.id) == entries[-1:]
        assert [(d.own.kept.persona, d.own.is_fresh) for d in reader.own_personas(board.id)] == [
            (author.persona, author is waiting)
            for author in sorted((mine, waiting), key=lambda author: author.key)
        ]
        # No first form said when; the last entry does.
        assert {d.own.kept.used for d in reader.own_personas(board.id)} == {bucket_of(WALL_S)}
        rule = Rule("k3f7ab", "word", "casino", "hide", "tired of it", 12)
        assert reader.rules(board.id) == [rule]
        assert reader.addresses(board.id) == [("10.11.12.13", 4000)]
        assert reader.setting("begun") is True
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
        slots = connection.execute("SELECT count(*) FROM free_slots").fetchone()
        assert slots == (4,)  # the forgotten one's, and those of what has others now


def test_of_what_the_first_form_had_in_clear_nothing_is_left_in_any_file(tmp_path: Path) -> None:
    path = tmp_path / "first.sqlite3"
    first, _, mine, _ = write_the_first_form(path)
    first.db.close()
    board = make_board()
    assert board.descriptor.secret is not None
    clear = [board.id, board.descriptor.secret, b"casino", b"tired of it", b"10.11.12.13"]
    used = [secret for secret in first.secrets if secret in bytes_of_files(path)]
    assert len(used) > 300
    assert all(part in bytes_of_files(path) for part in clear)
    connection = open_database(path)
    found = bytes_of_files(path)
    assert not [part for part in (*clear, *used, mine.persona.seed) if part in found]
    connection.close()


def test_whatever_comes_next_finds_a_database_of_today(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.sqlite3"
    write_the_first_form(path)[0].db.close()
    open_database(path).close()
    later = (*MIGRATIONS, ("ALTER TABLE boards ADD COLUMN note TEXT NOT NULL DEFAULT 'none'",))
    monkeypatch.setattr(schema, "MIGRATIONS", later)
    with closing(open_database(path)) as connection:
        assert connection.execute("SELECT note FROM boards").fetchall() == [("none",)]
        assert pragma(connection, "user_version") == len(later)
        assert Reader(connection).count(make_board().id) == 302


def test_a_damaged_first_form_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "first.sqlite3"
    first = write_the_first_form(path)[0]
    first.db.execute("UPDATE outbox SET sealed = x'00'")
    first.db.close()
    assert "damaged" in open_error(path)
    with closing(sqlite3.connect(path)) as connection:
        assert pragma(connection, "user_version") == 1
        assert connection.execute("SELECT count(*) FROM rules").fetchone() == (1,)


def test_without_its_key_file_a_database_does_not_open(tmp_path: Path) -> None:
    path = tmp_path / "a.sqlite3"
    open_database(path).close()
    key_file = key_file_of(path)
    half = key_file.read_bytes()
    key_file.unlink()
    for read_only in (True, False):
        assert "a.sqlite3.key is missing" in open_error(path, read_only)
    assert not key_file.exists()
    key_file.write_bytes(half)
    open_database(path).close()


def test_a_key_file_stays_when_its_database_is_moved_away(tmp_path: Path) -> None:
    path = tmp_path / "a.sqlite3"
    open_database(path).close()
    half = key_file_of(path).read_bytes()
    path.rename(tmp_path / "damaged")
    open_database(path).close()
    assert key_file_of(path).read_bytes() == half


def test_a_migration_that_fails_changes_nothing(tmp_path: Path) -> None:
    connection = open_database(tmp_path / "a.sqlite3")
    broken = (*MIGRATIONS, ("CREATE TABLE extra (a)", "CREATE TABLE boards (a)"))
    with pytest.raises(sqlite3.Error):
        migrate(connection, broken)
    assert pragma(connection, "user_version") == len(MIGRATIONS)
    tables = connection.execute("SELECT name FROM sqlite_master WHERE name = 'extra'")
    assert tables.fetchall() == []
    connection.close()


def test_a_newer_database_is_refused_with_one_line_that_says_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "newer.sqlite3"
    connection = open_database(path)
    connection.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    connection.close()
    message = open_error(path)
    assert "newer" in message and "install" in message
    assert "newer" in open_error(path, read_only=True)


def test_another_programs_database_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "theirs.sqlite3"
    theirs = sqlite3.connect(path)
    theirs.execute("CREATE TABLE boards (a)")
    theirs.commit()
    theirs.close()
    before = path.read_bytes()
    assert "another program" in open_error(path)
    assert path.read_bytes() == before


def test_what_is_no_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "text"
    path.write_bytes(b"not a database, but long enough to look at" * 50)
    assert "not a database" in open_error(path)


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    path = tmp_path / "missing" / "a.sqlite3"
    assert str(path) in open_error(path)


def test_reading_makes_no_database_and_upgrades_none(tmp_path: Path) -> None:
    path = tmp_path / "a.sqlite3"
    open_error(path, read_only=True)
    assert not path.exists()
    old = sqlite3.connect(path, isolation_level=None)
    old.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    old.execute("CREATE TABLE boards (a)")
    old.close()
    assert "older" in open_error(path, read_only=True)


def test_a_reader_can_not_write(tmp_path: Path) -> None:
    open_database(tmp_path / "a.sqlite3").close()
    connection = open_database(tmp_path / "a.sqlite3", read_only=True)
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        connection.execute("INSERT INTO settings VALUES ('a', '1')")
    connection.close()


def test_overwritten_secrets_are_in_no_file_however_the_tables_were_churned(tmp_path: Path) -> None:
    """What the erasing of everything rests on: rows of ``secrets`` are never moved, so no stale
    copy of one is left behind. With deleted rows, this very churn leaves some."""
    path = tmp_path / "churned.sqlite3"
    connection = open_database(path)
    random = Random(7)
    live: dict[int, bytes] = {}
    erased: list[bytes] = []
    for _ in range(60):
        connection.execute("BEGIN")
        for _ in range(random.randint(1, 80)):
            secret = random.randbytes(32)
            row = connection.execute("INSERT INTO secrets (secret) VALUES (?)", (secret,)).lastrowid
            assert row is not None
            live[row] = secret
            other = (str(random.getrandbits(40)), random.randbytes(random.choice([20, 300, 9000])))
            connection.execute("INSERT OR IGNORE INTO settings VALUES (?, ?)", other)
        for slot in random.sample(sorted(live), min(len(live), random.randint(0, 75))):
            connection.execute("UPDATE secrets SET secret = zeroblob(32) WHERE slot = ?", (slot,))
            erased.append(live.pop(slot))
        connection.execute(
            "DELETE FROM settings WHERE name IN (SELECT name FROM settings ORDER BY value LIMIT ?)",
            (random.randint(0, 60),),
        )
        connection.execute("COMMIT")
        connection.execute("PRAGMA incremental_vacuum").fetchall()
    assert len(erased) > 1000
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    found = bytes_of_files(path)
    assert [secret for secret in erased if secret in found] == []
    assert all(secret in found for secret in live.values())
    connection.close()
