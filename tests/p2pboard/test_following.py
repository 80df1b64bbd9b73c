"""What those who follow a board are told, and how that ends."""

from __future__ import annotations

from pathlib import Path
from secrets import token_bytes
from typing import Any

import pytest
import trio
import trio.testing

from p2pboard.errors import StoreError, UserError
from p2pboard.following import THREADS_READ_SINGLY_MAX
from p2pboard.store.writer import Writer
from protocol.effects import CameBack, EntriesArrived
from protocol.persona import draft_post
from tests.p2pboard.world import NOW_S, World, a_world, make_stranger


class Follower:
    """Collects what it is sent."""

    def __init__(self, world: World, **arguments: Any) -> None:
        self._send, self._receive = trio.open_memory_channel[Any](1000)
        self._world = world
        self._arguments = {"board": "b"} | arguments

    async def __aenter__(self) -> Follower:
        self._nursery_context = trio.open_nursery()
        self._nursery = await self._nursery_context.__aenter__()
        self._nursery.start_soon(self._follow)
        return self

    async def __aexit__(self, *error: Any) -> None:
        self._nursery.cancel_scope.cancel()
        await self._nursery_context.__aexit__(*error)

    async def _follow(self) -> None:
        await self._world.actions.follow(self._send.send, **self._arguments)

    async def next(self) -> tuple[str, str]:
        """The next entry's text (or kind) and state."""
        with trio.fail_after(10):
            record = await self._receive.receive()
        return record["text"] or record["kind"], record["state"]


async def test_a_follower_gets_what_is_there_and_then_what_comes(tmp_path: Path) -> None:
    async with a_world(tmp_path) as world:
        await world.receive("before")
        async with Follower(world) as follower:
            assert await follower.next() == ("before", "shown")
            await world.receive("after")
            assert await follower.next() == ("after", "shown")
            await world.actions.post("b", "own")
            assert await follower.next() == ("own", "outbox")


async def test_a_follower_is_told_again_when_a_state_changes(tmp_path: Path) -> None:
    async with a_world(tmp_path) as world, Follower(world) as follower:
        posted = await world.actions.post("b", "own")
        assert await follower.next() == ("own", "outbox")
        (entry,) = world.published()
        await world.store.write(Writer.put_entries, world.board.id, [entry])
        world.driver.tell(CameBack(world.board.id, entry.id))
        world.driver.tell(EntriesArrived(world.board.id, (entry,)))
        assert await follower.next() == ("own", "shown")
        rule = await world.actions.block_add("b", "word", "own")
        assert await follower.next() == ("post", "hidden")
        await world.actions.block_remove("b", rule["rule"])
        assert await follower.next() == ("own", "shown")
        await world.actions.forget("b", posted["id"])
        assert await follower.next() == ("post", "forgotten")


async def test_a_follower_that_missed_events_is_told_all_the_same(tmp_path: Path) -> None:
    async with a_world(tmp_path) as world, Follower(world) as follower:
        theirs = make_stranger(None)
        draft = draft_post(world.board, theirs, "missed", None, NOW_S, token_bytes)
        entry = draft.sign(theirs, bytes(8))
        await world.store.write(Writer.put_entries, world.board.id, [entry])
        await trio.testing.wait_all_tasks_blocked(0.01)
        world.driver.tell(object())
        assert await follower.next() == ("missed", "shown")


async def test_a_follower_of_a_thread_is_told_of_that_thread_only(tmp_path: Path) -> None:
    async with a_world(tmp_path) as world:
        thread = await world.receive("thread")
        async with Follower(world, thread=thread.id.hex()) as follower:
            assert await follower.next() == ("thread", "shown")
            await world.receive("elsewhere")
            await world.receive("answer", parent=thread)
            assert await follower.next() == ("answer", "shown")


async def test_what_a_limit_cut_off_is_not_told_later(tmp_path: Path) -> None:
    async with a_world(tmp_path) as world:
        old = await world.receive("old")
        world.now_s += 600
        await world.receive("new")
        async with Follower(world, limit=1) as follower:
            assert await follower.next() == ("new", "shown")
            world.now_s += 600
            await world.receive("answer", parent=old)
            assert await follower.next() == ("answer", "shown")


async def test_more_threads_than_are_read_singly_are_all_told(tmp_path: Path) -> None:
    async with a_world(tmp_path) as world, Follower(world) as follower:
        count = THREADS_READ_SINGLY_MAX + 5
        for number in range(count):
            await world.receive(str(number))
        told = {(await follower.next())[0] for _ in range(count)}
        assert told == {str(number) for number in range(count)}


async def test_the_reader_of_an_unknown_board_is_told_at_once(tmp_path: Path) -> None:
    async with a_world(tmp_path) as world:
        with pytest.raises(UserError, match="no board"):
            await world.actions.follow(_never, "nowhere")


async def _never(_: Any) -> None:
    raise AssertionError


async def test_a_follower_of_a_board_that_is_left_is_told_so_in_one_line(tmp_path: Path) -> None:
    async with a_world(tmp_path) as world, trio.open_nursery() as nursery:
        told: list[Any] = []

        async def collect(record: Any) -> None:
            told.append(record)

        async def follow() -> None:
            with pytest.raises(StoreError, match="not here any more"):
                await world.actions.follow(collect, "b")

        await world.receive("words")
        nursery.start_soon(follow)
        while not told:
            await trio.testing.wait_all_tasks_blocked(0.001)
        await world.actions.leave("b")
        await trio.testing.wait_all_tasks_blocked()


async def test_a_follower_that_went_away_ends_with_what_its_stream_says(tmp_path: Path) -> None:
    async def gone(_: Any) -> None:
        raise trio.BrokenResourceError

    async with a_world(tmp_path) as world:
        await world.receive("words")
        with pytest.raises(trio.BrokenResourceError):
            await world.actions.follow(gone, "b")
        assert not world.actions._followers._changes
