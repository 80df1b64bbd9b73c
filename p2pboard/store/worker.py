"""The store under trio: one writer with group commit, and a few readers.

Writes are queued to one task. It takes all that is queued, runs it in *one* transaction on *one*
trip to a thread, commits, and only then lets the callers go on: so what a caller has been told is
on disk, and a hundred waiting writes cost one flush. Where anything fails, a job or the commit, all
of it is undone and each job is run again in a transaction of its own, so that only those fail that
must, and their callers alone are told. (A savepoint for each job would save that repetition, which
is rare, and cost a copy of every page that is changed, always: a fifth of the throughput.)

After something was erased, the write-ahead log is truncated, since it holds the old pages. Readers
can stand in the way of that, so it is tried again until it is done.

State: ``_jobs`` (bounded by ``_room``) → the writer task → answers in the order of the queue.
Leaving ``async with`` closes the queue, and the task ends once that is empty.
"""

from __future__ import annotations

import sqlite3
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Concatenate, NamedTuple, ParamSpec, TypeVar

import trio

from p2pboard.errors import StoreError
from p2pboard.store.database import Database
from p2pboard.store.reader import Reader
from p2pboard.store.schema import open_database, store_error
from p2pboard.store.writer import Writer

#: Writes waiting; the core has far fewer batches of entries under way. Guess.
JOBS_MAX = 1024
#: Jobs in one transaction: batches of 500 entries take some 10 ms each. Guess.
BATCH_JOBS_MAX = 64
#: Reads at a time; they share one interpreter, so more would only wait for each other.
READERS_MAX = 2
#: A write-ahead log that readers kept from being truncated is tried again after so long.
SCRUB_RETRY_S = 1.0
#: The writer waits for readers so long, at the most, before it goes on without truncating.
SCRUB_BUSY_MS = 200

P = ParamSpec("P")
T = TypeVar("T")


class _Job(NamedTuple):
    """A queued write: what to run, and whom to tell (a result or an exception)."""

    run: Callable[[Writer], Any]
    then: Callable[[Any], None]


class StoreWorker:
    """The store of one database file; :func:`open_store` makes it."""

    def __init__(self, path: Path, passphrase: str | None = None) -> None:
        self._path = path
        self._jobs: deque[_Job] = deque()
        self._room = trio.Semaphore(JOBS_MAX)
        self._wake = trio.Event()
        self._is_closing = False
        self._reading = trio.CapacityLimiter(READERS_MAX)
        self._idle_readers: list[Database] = []
        self._connection = open_database(path, passphrase=passphrase)
        self._writer = Writer(self._connection)
        # A run that was killed may have erased something and not come to truncating the log.
        self._writer.has_erased = True

    # --- Writing ----------------------------------------------------------------------------------

    async def write(
        self, function: Callable[Concatenate[Writer, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """``function(writer, *args)``, its result once that is durable. It may be run twice, the
        first time being undone. Whoever is cancelled while waiting does not know whether it was.

        :raises StoreError: where it could not be stored.
        """
        done = trio.Event()
        answer: list[Any] = []

        def then(outcome: Any) -> None:
            answer.append(outcome)
            done.set()

        await self._room.acquire()
        self._enqueue(_Job(lambda writer: function(writer, *args, **kwargs), then))
        await done.wait()
        if isinstance(answer[0], Exception):
            raise answer[0]
        return answer[0]  # type: ignore[no-any-return]

    def write_soon(
        self,
        function: Callable[..., Any],
        *args: Any,
        then: Callable[[Any], None] | None = None,
    ) -> None:
        """Like :meth:`write`, without waiting: ``then(result or exception)`` is called on trio's
        thread, in the order of the calls. Where too much is waiting, with a StoreError."""
        try:
            self._room.acquire_nowait()
        except trio.WouldBlock:
            # Queued all the same, holding nothing: so that it is told in its turn.
            self._jobs.append(_Job(_refuse, then or _ignore))
        else:
            self._enqueue(_Job(lambda writer: function(writer, *args), then or _ignore))

    def _enqueue(self, job: _Job) -> None:
        if self._is_closing:
            self._room.release()
            raise StoreError("the store is closed: start the node again")
        self._jobs.append(job)
        self._wake.set()

    async def _write_all(self) -> None:
        # Shielded: what is queued is written whatever becomes of those who wait for it.
        with trio.CancelScope(shield=True):
            try:
                while await self._wait_for_jobs():
                    await self._write_batch()
            finally:
                await trio.to_thread.run_sync(self._close)

    async def _wait_for_jobs(self) -> bool:
        while not self._jobs and not self._is_closing:
            self._wake = trio.Event()
            timeout_s = SCRUB_RETRY_S if self._writer.has_erased else float("inf")
            with trio.move_on_after(timeout_s) as waiting:
                await self._wake.wait()
            if waiting.cancelled_caught:
                await trio.to_thread.run_sync(self._scrub)
        return bool(self._jobs)

    async def _write_batch(self) -> None:
        batch = [self._jobs.popleft() for _ in range(min(len(self._jobs), BATCH_JOBS_MAX))]
        outcomes = await trio.to_thread.run_sync(self._commit, batch)
        for job, outcome in zip(batch, outcomes, strict=True):
            if job.run is not _refuse:
                self._room.release()
            job.then(outcome)

    # --- On the writer's thread -------------------------------------------------------------------

    def _commit(self, batch: Sequence[_Job]) -> list[Any]:
        try:
            outcomes = self._commit_together(batch)
        except Exception as error:  # noqa: BLE001 - whatever a job raises is its caller's
            self._undo()
            if len(batch) == 1:
                return [store_error(error) if isinstance(error, sqlite3.Error) else error]
            return [outcome for job in batch for outcome in self._commit([job])]
        if self._writer.has_erased:
            self._scrub()
        return outcomes

    def _commit_together(self, batch: Sequence[_Job]) -> list[Any]:
        self._connection.execute("BEGIN IMMEDIATE")
        outcomes = [job.run(self._writer) for job in batch]
        self._connection.execute("COMMIT")
        return outcomes

    def _undo(self) -> None:
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")
        self._writer.rolled_back()

    def _scrub(self) -> None:
        """Truncate the write-ahead log, which holds what was erased, if no reader needs it."""
        busy_ms = self._connection.execute("PRAGMA busy_timeout").fetchone()[0]
        self._connection.execute(f"PRAGMA busy_timeout = {SCRUB_BUSY_MS}")
        try:
            row = self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            self._writer.has_erased = bool(row[0])
        except sqlite3.Error:
            self._writer.has_erased = True  # tried again; what was committed is safe either way
        finally:
            self._connection.execute(f"PRAGMA busy_timeout = {busy_ms}")

    def _close(self) -> None:
        self._scrub()
        for connection in (*self._idle_readers, self._connection):
            connection.close()
        self._idle_readers.clear()

    # --- Reading ----------------------------------------------------------------------------------

    async def read(
        self, function: Callable[Concatenate[Reader, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """``function(reader, *args)``, all that it reads being of one moment.

        :raises StoreError: where the database can't be read.
        """
        return await trio.to_thread.run_sync(
            lambda: self._read(lambda reader: function(reader, *args, **kwargs)),
            limiter=self._reading,
        )

    def _read(self, function: Callable[[Reader], T]) -> T:
        try:
            connection = self._idle_readers.pop()
        except IndexError:
            connection = open_database(self._path, read_only=True, root=self._connection.root)
        try:
            connection.execute("BEGIN")
            return function(Reader(connection))
        except sqlite3.Error as error:
            raise store_error(error) from error
        finally:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            self._idle_readers.append(connection)

    def _begin_closing(self) -> None:
        self._is_closing = True
        self._wake.set()


def _refuse(_: Writer) -> Any:
    raise StoreError("the store can't keep up: wait until it has caught up, then try again")


def _ignore(_: Any) -> None:
    pass


class open_store:
    """``async with open_store(path) as store``: a :class:`StoreWorker`, until the block is left.

    What is queued by then is still written. An exception of the block passes as it is, not
    wrapped into a group.

    :raises Locked, WrongPassphrase: where a passphrase is set and not given, or another one.
    :raises StoreError: where the database can't be opened.
    """

    def __init__(self, path: Path, passphrase: str | None = None) -> None:
        self._path = path
        self._passphrase = passphrase

    async def __aenter__(self) -> StoreWorker:
        self._store = await trio.to_thread.run_sync(StoreWorker, self._path, self._passphrase)
        self._nursery = trio.open_nursery()
        nursery = await self._nursery.__aenter__()
        nursery.start_soon(self._store._write_all)
        return self._store

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._store._begin_closing()
        # The nursery isn't told of the block's exception: it would wrap it, and cancel the writer.
        await self._nursery.__aexit__(None, None, None)
