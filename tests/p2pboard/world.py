"""Actions on a store of their own, with a node that is none: it writes down what it is told."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from secrets import token_bytes
from typing import Any

import trio

from p2pboard.actions import Actions
from p2pboard.home import Home
from p2pboard.home_store import open_home_store
from p2pboard.reading import find_board
from p2pboard.store.worker import StoreWorker
from p2pboard.store.writer import Writer
from protocol.effects import EntriesArrived
from protocol.entry import Entry
from protocol.persona import Persona, draft_post

NOW_S = 1_700_000_000


class FakeDriver:
    """Writes down what it is told; tells what a test wants."""

    def __init__(self, store: StoreWorker) -> None:
        self._store = store
        self.told: list[Any] = []
        self.hosts: list[str] | None = ["10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4"]
        self._channels: list[trio.MemorySendChannel[Any]] = []

    async def open_board(self, board_id: bytes) -> None:
        self.told.append(("open", board_id))

    async def close_board(self, board_id: bytes) -> None:
        self.told.append(("close", board_id))

    def publish(self, board_id: bytes, entry: Entry, crowd_least: int = 0) -> None:
        self.told.append(("publish", entry))

    def crowd(self, board_id: bytes) -> list[str] | None:
        return self.hosts

    def withdraw(self, board_id: bytes, entry_id: bytes) -> None:
        self.told.append(("withdraw", entry_id))

    async def want_payloads(self, board_id: bytes) -> None:
        self.told.append(("want payloads", board_id))

    def peers(self) -> list[dict[str, Any]]:
        return [{"board": "b", "board_id": "ab" * 32, "address": "10.0.0.1:1"}]

    def status(self) -> dict[str, Any]:
        return {
            "listening": None,
            "mdns": False,
            "boards": [
                {
                    "name": "b",
                    "board_id": "ab" * 32,
                    "crowd": 5,
                    "loops_home": 9,
                    "loops_sent": 10,
                }
            ],
        }

    @contextlib.contextmanager
    def subscribe(self) -> Iterator[trio.MemoryReceiveChannel[Any]]:
        send, receive = trio.open_memory_channel[Any](100)
        self._channels.append(send)
        yield receive
        self._channels.remove(send)

    def tell(self, event: Any) -> None:
        for channel in self._channels:
            channel.send_nowait(event)


class World:
    """Actions on a store of their own, and a board ``b`` that costs no work."""

    def __init__(self, store: StoreWorker, has_driver: bool = True) -> None:
        self.store = store
        self.driver = FakeDriver(store)
        self.now_s = NOW_S
        self.actions = Actions(
            store, self.driver if has_driver else None, wall_s=lambda: float(self.now_s)
        )

    async def begin(self) -> World:
        await self.actions.create("b", work_bits=0)
        self.driver.told.clear()
        self.board = await self.store.read(find_board, "b")
        return self

    def published(self) -> list[Entry]:
        return [told[1] for told in self.driver.told if told[0] == "publish"]

    async def receive(
        self, text: str, persona: Persona | None = None, parent: Entry | None = None
    ) -> Entry:
        """An entry of somebody else arrives."""
        thread = None if parent is None else parent.thread
        persona = persona or make_stranger(thread)
        draft = draft_post(self.board, persona, text, parent and parent.id, self.now_s, token_bytes)
        entry = draft.sign(persona, bytes(8))
        await self.store.write(Writer.put_entries, self.board.id, [entry])
        self.driver.tell(EntriesArrived(self.board.id, (entry,)))
        return entry


def make_stranger(thread: bytes | None) -> Persona:
    return Persona.fresh(token_bytes, thread)


@contextlib.asynccontextmanager
async def a_world(path: Path, **options: Any) -> AsyncIterator[World]:
    home = Home(path)
    with home.locked():
        async with open_home_store(home) as store:
            yield await World(store, **options).begin()
