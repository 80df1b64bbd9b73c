"""Opening a database: new, of an earlier form, of a later one, or not ours."""

from __future__ import annotations

import os
import sqlite3
import stat
from pathlib import Path
from random import Random

import pytest

from p2pboard.errors import StoreError
from p2pboard.store import schema
from p2pboard.store.schema import APPLICATION_ID, MIGRATIONS, migrate, open_database
from tests.p2pboard.making import bytes_of_files


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


def test_a_database_of_the_first_schema_opens_and_keeps_what_it_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "first.sqlite3"
    first = sqlite3.connect(path, isolation_level=None)
    migrate(first, MIGRATIONS[:1])
    first.execute("INSERT INTO boards (id, descriptor) VALUES (x'01', x'02')")
    first.close()
    later = (*MIGRATIONS, ("ALTER TABLE boards ADD COLUMN note TEXT NOT NULL DEFAULT 'none'",))
    monkeypatch.setattr(schema, "MIGRATIONS", later)
    connection = open_database(path)
    assert connection.execute("SELECT id, note FROM boards").fetchall() == [(b"\1", "none")]
    assert pragma(connection, "user_version") == len(later)
    connection.close()


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
