"""Opening the store of a home: what is begun, finished and thrown away by that."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

from p2pboard.errors import StoreError
from p2pboard.home import Home
from p2pboard.home_store import LOOK_FOR_KEYS_S, open_home_store, throw_keys_away
from p2pboard.reading import list_personas
from p2pboard.store.relock import relock
from p2pboard.store.root import Locked, key_file_of, wipe_key_file
from p2pboard.store.worker import StoreWorker
from tests.p2pboard.making import bytes_of_files
from tests.p2pboard.world import NOW_S, World

DAY_S = 86400


async def keys(store: StoreWorker) -> int:
    return len(await store.read(list_personas, "b"))


async def test_a_command_that_comes_late_throws_away_the_keys_that_are_due(tmp_path: Path) -> None:
    """S-7."""
    home = Home(tmp_path)
    async with open_home_store(home, wall_s=lambda: NOW_S) as store:
        world = await World(store).begin()
        await world.actions.post("b", "words")
        ((wrapped,),) = await store.read(
            lambda reader: reader._db.execute(
                "SELECT secret FROM personas JOIN record_secrets USING (slot)"
            ).fetchall()
        )
    async with open_home_store(home, wall_s=lambda: NOW_S + 2 * DAY_S) as store:
        assert await keys(store) == 1
    assert wrapped in bytes_of_files(home.database)
    async with open_home_store(home, wall_s=lambda: NOW_S + 4 * DAY_S) as store:
        assert await keys(store) == 0
        assert wrapped not in bytes_of_files(home.database)


async def test_a_node_that_runs_throws_them_away_as_their_time_comes(
    tmp_path: Path, mock_clock: trio.testing.MockClock
) -> None:
    """S-7."""
    # The clock jumps when it is told to: one that jumps by itself would while a thread writes.
    begun = trio.current_time()

    def wall_s() -> float:
        return NOW_S + trio.current_time() - begun

    async with open_home_store(Home(tmp_path), wall_s=wall_s) as store, trio.open_nursery() as n:
        world = await World(store).begin()
        world.now_s = NOW_S
        await world.actions.post("b", "words")
        n.start_soon(throw_keys_away, store, pytest.fail, wall_s)
        mock_clock.jump(3 * DAY_S - LOOK_FOR_KEYS_S)
        await trio.testing.wait_all_tasks_blocked()
        await store.write(lambda _: None)  # what was queued before it is done by then
        assert await keys(store) == 1
        for _ in range(10):
            mock_clock.jump(LOOK_FOR_KEYS_S)
            await trio.testing.wait_all_tasks_blocked()
            await store.write(lambda _: None)
        assert await keys(store) == 0
        n.cancel_scope.cancel()


async def test_a_store_that_fails_is_said_and_looked_through_again(
    autojump_clock: trio.testing.MockClock,
) -> None:
    said: list[str] = []
    tries = 0

    class Failing:
        async def write(self, *_: Any) -> None:
            nonlocal tries
            tries += 1
            if tries < 3:
                raise StoreError("the disk is full")

    with trio.move_on_after(10 * LOOK_FOR_KEYS_S):
        await throw_keys_away(Failing(), said.append)  # type: ignore[arg-type]
    assert said == ["could not throw away keys: the disk is full"] * 2
    assert tries >= 9


async def test_a_home_with_a_passphrase_opens_with_it_only(
    tmp_path: Path, cheap_passphrases: None
) -> None:
    """S-8."""
    home = Home(tmp_path)
    async with open_home_store(home):
        pass
    relock(home.database, None, "tea without a kettle")
    with pytest.raises(Locked):
        async with open_home_store(home):
            pass
    async with open_home_store(home, "tea without a kettle") as store:
        assert len(await store.read(lambda reader: reader.boards())) == 1


async def test_a_home_that_was_thrown_away_is_emptied_by_whoever_opens_it_next(
    tmp_path: Path,
) -> None:
    home = Home(tmp_path)
    async with open_home_store(home) as store:
        world = await World(store).begin()
        entry = await world.receive("words")
    wipe_key_file(home.database)
    assert entry.id in bytes_of_files(home.database)
    async with open_home_store(home) as store:
        assert [row.descriptor.name for row in await store.read(lambda r: r.boards())] == ["lobby"]
    assert entry.id not in bytes_of_files(home.database)
    assert key_file_of(home.database).read_bytes() != bytes(32)
