"""The store of a home: opened, begun where it is new, and rid of what should not be there any more.

What joins a persona to this node is only its key. It is thrown away some time after its last use,
while a node runs and whenever a command opens the store.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, asynccontextmanager

import trio

from p2pboard.errors import StoreError
from p2pboard.home import Home, HomeBusy
from p2pboard.store.reader import Reader
from p2pboard.store.root import is_wiped
from p2pboard.store.worker import StoreWorker, open_store
from p2pboard.store.writer import Writer
from protocol.board import LOBBY, Board, Descriptor, encode_descriptor
from protocol.entry import bucket_of

_BEGUN = "begun"
#: Between two looks for keys whose time has come: that has steps of ten minutes anyway.
LOOK_FOR_KEYS_S = 600
#: Between two tries to get a lock that somebody holds.
BUSY_STEP_S = 0.05


@asynccontextmanager
async def patiently_locked(home: Home, s_max: float) -> AsyncIterator[None]:
    """Holds the right to write in ``home``, waiting for it at most so long.

    :raises HomeBusy: where another program goes on holding it.
    """
    deadline = trio.current_time() + s_max
    with ExitStack() as stack:
        while True:
            try:
                stack.enter_context(home.locked())
                break
            except HomeBusy:
                if trio.current_time() > deadline:
                    raise
            await trio.sleep(BUSY_STEP_S)
        yield


@asynccontextmanager
async def open_home_store(
    home: Home, passphrase: str | None = None, wall_s: Callable[[], float] = time.time
) -> AsyncIterator[StoreWorker]:
    """The store of a home whose lock is held; a new one begins with the board ``lobby``.

    What was left undone is done first: a home that was thrown away is emptied, and keys whose time
    has come meanwhile are thrown away.

    :param wall_s: the clock, seconds since 1970.
    :raises Locked, WrongPassphrase: where a passphrase is set and not given, or another one.
    :raises StoreError: where it can't be opened.
    """
    if is_wiped(home.database):
        home.delete_stored()
    async with open_store(home.database, passphrase) as store:
        if await store.read(Reader.setting, _BEGUN) is None:
            await store.write(_begin)
        await store.write(Writer.throw_away_due, bucket_of(int(wall_s())))
        yield store


async def throw_keys_away(
    store: StoreWorker, log: Callable[[str], None], wall_s: Callable[[], float] = time.time
) -> None:
    """Throw away the keys of own personas as their time comes, until cancelled.

    :param log: called with one line where that fails; it is tried again.
    """
    while True:
        await trio.sleep(LOOK_FOR_KEYS_S)
        try:
            await store.write(Writer.throw_away_due, bucket_of(int(wall_s())))
        except StoreError as error:
            log(f"could not throw away keys: {error}")


def add_board(writer: Writer, descriptor: Descriptor, addresses: tuple[str, ...]) -> Board:
    """Add a board, with the addresses of an invite."""
    board = Board.of(descriptor)
    writer.add_board(encode_descriptor(descriptor), board.id, addresses)
    return board


def _begin(writer: Writer) -> None:
    add_board(writer, LOBBY, ())
    # So that a lobby that was left does not come back at the next start.
    writer.put_setting(_BEGUN, True)
