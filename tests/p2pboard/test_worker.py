"""The store under trio: group commit, failures, closing, and dying."""

from __future__ import annotations

import shutil
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

from p2pboard.errors import StoreError, UserError
from p2pboard.rules import Rule
from p2pboard.store import worker
from p2pboard.store.reader import Reader, UnknownBoard
from p2pboard.store.schema import open_database
from p2pboard.store.worker import StoreWorker, open_store
from p2pboard.store.writer import Writer
from tests.p2pboard.making import (
    Author,
    add_board,
    bytes_of_files,
    make_board,
    make_posts,
    open_writer,
)

BOARD = make_board()
ROOT = Path(__file__).parents[2]


def fail(writer: Writer, error: Exception) -> None:
    add_board(writer, make_board("never", 9))
    raise error


def begun_transactions(store: StoreWorker) -> list[str]:
    statements: list[str] = []
    store._connection.set_trace_callback(statements.append)
    return statements


async def all_written(store: StoreWorker) -> None:
    await store.write(lambda _: None)


async def hold_writer(store: StoreWorker, nursery: trio.Nursery) -> threading.Event:
    """Keeps the writer busy until the event is set, so that what follows is queued."""
    held, release = threading.Event(), threading.Event()

    def hold(_: Writer) -> None:
        held.set()
        release.wait(10)

    nursery.start_soon(store.write, hold)
    await trio.to_thread.run_sync(held.wait, 10)
    return release


async def test_what_is_written_is_read(tmp_path: Path) -> None:
    entries = make_posts(BOARD, 10)
    async with open_store(tmp_path / "a") as store:
        await store.write(add_board, BOARD)
        assert await store.write(Writer.put_entries, BOARD.id, entries) == []
        assert await store.read(Reader.count, BOARD.id) == 10
    async with open_store(tmp_path / "a") as store:
        assert await store.read(Reader.count, BOARD.id) == 10


async def test_all_that_waits_is_committed_at_once_and_one_failure_fails_alone(
    tmp_path: Path,
) -> None:
    answers: list[tuple[str, Any]] = []
    async with open_store(tmp_path / "a") as store:
        await store.write(add_board, BOARD)
        async with trio.open_nursery() as nursery:
            release = await hold_writer(store, nursery)
            for i, entry in enumerate(make_posts(BOARD, 5)):
                store.write_soon(
                    Writer.put_entries,
                    BOARD.id,
                    [entry],
                    then=lambda outcome, i=i: answers.append((f"put {i}", outcome)),
                )
            store.write_soon(fail, KeyError("x"), then=lambda o: answers.append(("fail", o)))
            store.write_soon(
                Writer.put_entries, bytes(32), [], then=lambda o: answers.append(("gone", o))
            )
            store.write_soon(Writer.put_setting, "a", 1, then=lambda o: answers.append(("set", o)))
            release.set()
        await all_written(store)
        assert await store.read(Reader.count, BOARD.id) == 5
        assert await store.read(Reader.setting, "a") == 1
        assert len(await store.read(Reader.boards)) == 1
    assert [name for name, _ in answers] == [*(f"put {i}" for i in range(5)), "fail", "gone", "set"]
    assert [outcome for _, outcome in answers[:5]] == [[]] * 5
    assert isinstance(answers[5][1], KeyError)
    assert isinstance(answers[6][1], UnknownBoard)


async def test_a_hundred_waiting_writes_are_a_few_transactions(tmp_path: Path) -> None:
    async with open_store(tmp_path / "a") as store:
        await store.write(add_board, BOARD)
        async with trio.open_nursery() as nursery:
            release = await hold_writer(store, nursery)
            statements = begun_transactions(store)
            for entry in make_posts(BOARD, 100):
                nursery.start_soon(store.write, Writer.put_entries, BOARD.id, [entry])
            await trio.testing.wait_all_tasks_blocked()
            release.set()
        assert statements.count("COMMIT") <= 3
        assert await store.read(Reader.count, BOARD.id) == 100


async def test_an_exception_of_the_job_reaches_its_caller_as_it_is(tmp_path: Path) -> None:
    async with open_store(tmp_path / "a") as store:
        with pytest.raises(UserError, match="mine"):
            await store.write(fail, UserError("mine"))
        assert await store.read(Reader.boards) == []


async def test_an_exception_of_the_block_is_not_wrapped(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="mine"):
        async with open_store(tmp_path / "a"):
            raise UserError("mine")


async def test_a_full_disk_is_one_line_for_everybody_it_concerns(tmp_path: Path) -> None:
    async with open_store(tmp_path / "a") as store:
        await store.write(add_board, BOARD)
        pages = store._connection.execute("PRAGMA page_count").fetchone()[0]
        store._connection.execute(f"PRAGMA max_page_count = {pages + 8}")
        failures = []
        async with trio.open_nursery() as nursery:
            release = await hold_writer(store, nursery)
            for i in range(4):
                store.write_soon(
                    Writer.put_entries,
                    BOARD.id,
                    make_posts(BOARD, 100, 1000, first_seed=1000 * i),
                    then=failures.append,
                )
            store.write_soon(Writer.put_setting, "a", 1, then=failures.append)
            release.set()
        await all_written(store)
        assert failures[-1] is None
        assert len(failures) == 5
        for failure in failures[:-1]:
            assert isinstance(failure, StoreError)
            assert "disk is full" in str(failure) and "\n" not in str(failure)
        assert await store.read(Reader.count, BOARD.id) == 0
        store._connection.execute("PRAGMA max_page_count = 100000")
        await store.write(Writer.put_entries, BOARD.id, make_posts(BOARD, 100, 1000))
        assert await store.read(Reader.count, BOARD.id) == 100


async def test_a_broken_read_is_a_store_error(tmp_path: Path) -> None:
    async with open_store(tmp_path / "a") as store:
        with pytest.raises(StoreError, match="no such table"):
            await store.read(lambda reader: reader._db.execute("SELECT * FROM no_table"))
        assert await store.read(Reader.boards) == []


async def test_too_many_writes_are_refused_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "JOBS_MAX", 3)
    answers: list[Any] = []
    async with open_store(tmp_path / "a") as store:
        async with trio.open_nursery() as nursery:
            release = await hold_writer(store, nursery)
            for i in range(6):
                store.write_soon(Writer.put_setting, str(i), i, then=answers.append)
            nursery.start_soon(store.write, Writer.put_setting, "patient", 1)
            release.set()
        await all_written(store)
        assert [type(answer) for answer in answers] == [type(None)] * 2 + [StoreError] * 4
        assert await store.read(Reader.setting, "1") == 1
        assert await store.read(Reader.setting, "2") is None
        assert await store.read(Reader.setting, "patient") == 1


async def test_what_is_queued_is_written_even_when_everything_is_cancelled(tmp_path: Path) -> None:
    with trio.CancelScope() as scope:
        async with open_store(tmp_path / "a") as store, trio.open_nursery() as nursery:
            release = await hold_writer(store, nursery)
            for i in range(200):
                store.write_soon(Writer.put_setting, str(i), i)
            release.set()
            scope.cancel()
    assert scope.cancelled_caught
    async with open_store(tmp_path / "a") as store:
        assert await store.read(Reader.setting, "199") == 199


async def test_a_closed_store_refuses(tmp_path: Path) -> None:
    async with open_store(tmp_path / "a") as store:
        pass
    with pytest.raises(StoreError, match="closed"):
        await store.write(add_board, BOARD)


async def test_a_read_sees_one_moment_while_writes_go_on(tmp_path: Path) -> None:
    started, written = threading.Event(), threading.Event()
    counts: list[int] = []

    def count_twice(reader: Reader) -> None:
        counts.append(reader.count(BOARD.id))
        started.set()
        written.wait(10)
        counts.append(reader.count(BOARD.id))

    async with open_store(tmp_path / "a") as store:
        await store.write(add_board, BOARD)
        await store.write(Writer.put_entries, BOARD.id, make_posts(BOARD, 3))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(store.read, count_twice)
            await trio.to_thread.run_sync(started.wait, 10)
            await store.write(Writer.put_entries, BOARD.id, make_posts(BOARD, 3, first_seed=50))
            assert await store.read(Reader.count, BOARD.id) == 6
            written.set()
        assert counts == [3, 3]


async def test_what_was_forgotten_is_in_no_file_once_the_caller_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "a"
    entry = Author(BOARD).post()
    async with open_store(path) as store:
        await store.write(add_board, BOARD)
        await store.write(Writer.put_entries, BOARD.id, [entry])
        ((secret,),) = await store.read(
            lambda reader: reader._db.execute("SELECT secret FROM secrets").fetchall()
        )
        assert secret in bytes_of_files(path)
        await store.write(Writer.forget, BOARD.id, entry.id)
        assert secret not in bytes_of_files(path)


async def test_a_log_that_a_reader_kept_from_being_truncated_is_truncated_later(
    tmp_path: Path, autojump_clock: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "SCRUB_BUSY_MS", 1)
    path = tmp_path / "a"
    entry = Author(BOARD).post()
    async with open_store(path) as store:
        await store.write(add_board, BOARD)
        await store.write(Writer.put_entries, BOARD.id, [entry])
        reader = open_database(path, read_only=True)
        reader.execute("BEGIN")
        ((secret,),) = reader.execute("SELECT secret FROM secrets").fetchall()
        await store.write(Writer.forget, BOARD.id, entry.id)
        assert secret in bytes_of_files(path)
        reader.execute("ROLLBACK")
        scrubbed = threading.Event()
        scrub = store._scrub
        monkeypatch.setattr(store, "_scrub", lambda: (scrub(), scrubbed.set()))
        await trio.sleep(2 * worker.SCRUB_RETRY_S)
        assert await trio.to_thread.run_sync(scrubbed.wait, 10)
        assert secret not in bytes_of_files(path)
        reader.close()


def forget_and_die(path: Path, killed: Path) -> bytes:
    """A database, at ``killed``, of a run that erased an entry and did not come to truncating the
    log; the secret that was erased."""
    entry = Author(BOARD).post()
    with open_writer(path, BOARD) as writer:
        writer.put_entries(BOARD.id, [entry])
    connection = open_database(path)
    ((secret,),) = connection.execute("SELECT secret FROM secrets").fetchall()
    connection.execute("BEGIN")
    Writer(connection).forget(BOARD.id, entry.id)
    connection.execute("COMMIT")
    killed.parent.mkdir()
    for file in path.parent.glob(path.name + "*"):
        shutil.copy(file, killed.with_name(file.name))
    connection.close()
    return bytes(secret)


async def test_what_a_run_had_erased_that_was_killed_is_gone_with_the_next_runs_first_write(
    tmp_path: Path,
) -> None:
    """S-3."""
    path = tmp_path / "killed" / "a"
    secret = forget_and_die(tmp_path / "a", path)
    assert secret in bytes_of_files(path)
    async with open_store(path) as store:
        await all_written(store)
        assert secret not in bytes_of_files(path)


async def test_an_undone_job_leaves_no_rule_behind_in_memory(tmp_path: Path) -> None:
    entry = Author(BOARD).post("cold soup")

    def add_and_fail(writer: Writer) -> None:
        writer.add_rule(BOARD.id, Rule("", "word", "soup", "purge"))
        writer.put_entries(BOARD.id, make_posts(BOARD, 1))
        raise UserError("undone")

    async with open_store(tmp_path / "a") as store:
        await store.write(add_board, BOARD)
        with pytest.raises(UserError):
            await store.write(add_and_fail)
        await store.write(Writer.put_entries, BOARD.id, [entry])
        loaded = await store.read(Reader.load_entries, BOARD.id, [entry.id], 10**6)
        assert loaded == (1, [entry])


# --- Dying ----------------------------------------------------------------------------------------

_WRITER_PROGRAM = """
import sys
from pathlib import Path
import trio
from p2pboard.store.worker import open_store
from p2pboard.store.writer import Writer
from tests.p2pboard.making import add_board, make_board, make_posts

async def write_forever(store, board, first_seed):
    for seed in range(first_seed, first_seed + 100_000):
        (entry,) = make_posts(board, 1, first_seed=seed)
        await store.write(Writer.put_entries, board.id, [entry])
        print(entry.id.hex(), flush=True)

async def main():
    board = make_board()
    async with open_store(Path(sys.argv[1])) as store, trio.open_nursery() as nursery:
        await store.write(add_board, board)
        for task in range(4):
            nursery.start_soon(write_forever, store, board, (int(sys.argv[2]) * 4 + task) * 100_000)

trio.run(main)
"""


def test_a_killed_node_has_lost_nothing_that_it_had_confirmed(tmp_path: Path) -> None:
    path = tmp_path / "a"
    confirmed: set[str] = set()
    for round_ in range(4):
        with subprocess.Popen(
            [sys.executable, "-c", _WRITER_PROGRAM, str(path), str(round_)],
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        ) as process:
            assert process.stdout is not None
            for _ in range(30 + 37 * round_):
                confirmed.add(process.stdout.readline().strip())
            process.kill()
            confirmed |= {line.strip() for line in process.stdout if line.endswith("\n")}
        connection = open_database(path)
        reader = Reader(connection)
        keys = reader.index_keys(BOARD.id)
        stored = {keys[start + 8 : start + 40].hex() for start in range(0, len(keys), 40)}
        assert confirmed <= stored
        ids = [bytes.fromhex(text) for text in sorted(stored)]
        covered, entries = reader.load_entries(BOARD.id, ids, 10**9)
        assert covered == len(entries) == len(stored)
        assert all(entry.payload for entry in entries)
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        connection.close()
    assert len(confirmed) > 300


async def test_a_program_that_holds_the_database_is_blamed(tmp_path: Path) -> None:
    async with open_store(tmp_path / "a") as store:
        other = open_database(tmp_path / "a")
        other.execute("BEGIN IMMEDIATE")
        store._connection.execute("PRAGMA busy_timeout = 1")
        with pytest.raises(StoreError, match="another program"):
            await store.write(add_board, BOARD)
        other.execute("ROLLBACK")
        other.close()
        await store.write(add_board, BOARD)
