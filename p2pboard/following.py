"""Following a board: what there is, and then each entry that is new or whose state has changed.

Two things change what is shown: the node tells of entries that came, and the actions of its user
(a post, a block) say so themselves. Both only *touch* a follower: they note what may have changed
and wake it. It then reads anew what was touched, all of it at one moment of the store, and sends
what differs from what it has sent before. So a burst costs one read, nothing is told twice, and
where too much was touched, or events were missed, it looks at everything and loses nothing.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractContextManager, asynccontextmanager
from typing import Any, Protocol

import trio

from p2pboard.errors import ProgramError
from p2pboard.reading import Record, shown_entries
from p2pboard.store.reader import Reader
from p2pboard.store.worker import StoreWorker
from p2pboard.view import Shown
from protocol.effects import EntriesArrived, Event
from protocol.entry import Entry

#: More threads than this touched at once (a first sync): one read of everything is cheaper. Guess.
THREADS_READ_SINGLY_MAX = 32
#: More entries than this touched while a follower does not look: it looks at everything. Guess.
_TOUCHED_MAX = 10_000
#: A reader is told of changes at most so often: a burst is one read. Guess.
_PAUSE_S = 0.1
#: Entries whose state a follower is remembered to have been told; the oldest go first.
_TOLD_MAX = 200_000

Send = Callable[[Record], Awaitable[None]]


class Source(Protocol):
    """Who tells of what happens on the network: a running node."""

    def subscribe(self) -> AbstractContextManager[trio.MemoryReceiveChannel[Any]]: ...


class Followers:
    """All who follow a board of one store just now."""

    def __init__(self) -> None:
        self._changes: set[_Changes] = set()

    def touch(self, board_id: bytes, entry: Entry | None = None) -> None:
        """``entry`` is new or has changed; None: who knows what on that board has."""
        for changes in self._changes:
            if changes.board_id == board_id:
                changes.touch(entry)

    async def follow(
        self,
        send: Send,
        store: StoreWorker,
        source: Source | None,
        board_id: bytes,
        thread: bytes | None = None,
        limit: int | None = None,
    ) -> None:
        """Send what there is and then, until cancelled, what is new or has changed.

        :param limit: of what there is, only the newest.
        :raises StoreError: where it can't be read, or the board is left.
        """
        async with self._changing(board_id, source) as changes:
            shown = await store.read(shown_entries, board_id, thread, limit)
            told = _Told(shown, is_cut=len(shown) == limit)
            touched: dict[bytes, bytes] | None = None
            while True:
                for record in told.news_among(shown, touched):
                    await send(record)
                await trio.sleep(_PAUSE_S)
                touched = await changes.take()
                shown = await store.read(_shown_of, board_id, thread, touched)

    @asynccontextmanager
    async def _changing(self, board_id: bytes, source: Source | None) -> AsyncIterator[_Changes]:
        """The changes from now on. What the block raises passes as it is, not wrapped into a
        group: it is said to whoever follows."""
        changes = _Changes(board_id)
        self._changes.add(changes)
        raised = None
        try:
            async with trio.open_nursery() as nursery:
                if source is not None:
                    await nursery.start(_watch, source, changes)
                try:
                    yield changes
                except (ProgramError, trio.BrokenResourceError, trio.ClosedResourceError) as error:
                    raised = error
                nursery.cancel_scope.cancel()
        finally:
            self._changes.discard(changes)
        if raised is not None:
            raise raised


class _Changes:
    """What a follower has not looked at yet: some entries of its board, or anything."""

    def __init__(self, board_id: bytes) -> None:
        self.board_id = board_id
        self._entries: dict[bytes, bytes] = {}
        self._is_anything = False
        self._wake = trio.Event()

    def touch(self, entry: Entry | None) -> None:
        """``entry`` is new or has changed; None: who knows what has."""
        if entry is None or len(self._entries) >= _TOUCHED_MAX:
            self._is_anything = True
        else:
            self._entries[entry.id] = entry.thread
        self._wake.set()

    async def take(self) -> dict[bytes, bytes] | None:
        """Waits for a change; then ids with their threads, or None for everything."""
        await self._wake.wait()
        taken = None if self._is_anything else self._entries
        self._entries, self._is_anything, self._wake = {}, False, trio.Event()
        return taken


class _Told:
    """What a follower has been told: the state of each entry, as far as it is remembered."""

    def __init__(self, shown: Sequence[Shown], is_cut: bool) -> None:
        self._states: dict[str, str] = {}
        #: Of entries that were cut off at the start, nothing is told.
        self._oldest = shown[0].time if is_cut and shown else 0

    def news_among(
        self, shown: Sequence[Shown], touched: dict[bytes, bytes] | None
    ) -> Iterator[Record]:
        """Those that are to be told, as JSON has them."""
        for entry in shown:
            record = entry.as_json()
            before = self._states.get(record["id"])
            is_due = touched is None or bytes.fromhex(record["id"]) in touched
            if before is None and not (is_due and record["time"] >= self._oldest):
                continue
            if before != record["state"]:
                self._states.pop(record["id"], None)
                self._states[record["id"]] = record["state"]
                yield record
        while len(self._states) > _TOLD_MAX:
            del self._states[next(iter(self._states))]


async def _watch(
    source: Source,
    changes: _Changes,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    with source.subscribe() as events:
        task_status.started()
        async for event in events:
            if isinstance(event, EntriesArrived):
                if event.board_id == changes.board_id:
                    for entry in event.entries:
                        changes.touch(entry)
            elif not isinstance(event, Event):
                changes.touch(None)  # events were missed


def _shown_of(
    reader: Reader, board_id: bytes, thread: bytes | None, touched: dict[bytes, bytes] | None
) -> list[Shown]:
    """What is to be shown of the threads that were touched, of ``thread`` only if it is given."""
    threads = set() if touched is None else set(touched.values())
    if touched is None or len(threads) > THREADS_READ_SINGLY_MAX:
        return shown_entries(reader, board_id, thread)
    wanted = [one for one in sorted(threads) if thread in (None, one)]
    return [shown for one in wanted for shown in shown_entries(reader, board_id, one)]
