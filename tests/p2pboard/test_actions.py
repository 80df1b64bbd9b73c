"""The actions: what they refuse, in which order they do things, and what followers are told."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from secrets import token_bytes
from typing import Any

import pytest
import trio
import trio.testing

from p2pboard import actions as module
from p2pboard.actions import ACTIONS, Actions, open_home_store
from p2pboard.errors import Failure, UserError
from p2pboard.home import Home
from p2pboard.store.worker import StoreWorker
from p2pboard.store.writer import Writer
from protocol.effects import CameBack, EntriesArrived
from protocol.entry import Entry, check_signature, decode_entry
from protocol.persona import Persona, draft_post

NOW_S = 1_700_000_000


class FakeDriver:
    """Writes down what it is told; tells what a test wants."""

    def __init__(self, store: StoreWorker) -> None:
        self._store = store
        self.told: list[Any] = []
        self._channels: list[trio.MemorySendChannel[Any]] = []

    async def open_board(self, board_id: bytes) -> None:
        self.told.append(("open", board_id))

    async def close_board(self, board_id: bytes) -> None:
        self.told.append(("close", board_id))

    def publish(self, board_id: bytes, entry: Entry) -> None:
        self.told.append(("publish", entry))

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
            "boards": [{"name": "b", "board_id": "ab" * 32}],
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
        self.board = await self.store.read(module.find_board, "b")
        return self

    def published(self) -> list[Entry]:
        return [told[1] for told in self.driver.told if told[0] == "publish"]

    async def receive(
        self, text: str, persona: Persona | None = None, parent: Entry | None = None
    ) -> Entry:
        """An entry of somebody else arrives."""
        thread = None if parent is None else parent.thread
        persona = persona or _stranger(thread)
        draft = draft_post(self.board, persona, text, parent and parent.id, self.now_s, token_bytes)
        entry = draft.sign(persona, bytes(8))
        await self.store.write(Writer.put_entries, self.board.id, [entry])
        self.driver.tell(EntriesArrived(self.board.id, (entry,)))
        return entry


def _stranger(thread: bytes | None) -> Persona:
    return Persona.fresh(token_bytes, thread)


@contextlib.asynccontextmanager
async def a_world(path: Path, **options: Any) -> AsyncIterator[World]:
    home = Home(path)
    with home.locked():
        async with open_home_store(home) as store:
            yield await World(store, **options).begin()


# --- The table ------------------------------------------------------------------------------------


def test_the_table_has_every_public_action() -> None:
    public = {name for name in vars(Actions) if not name.startswith("_")}
    assert set(ACTIONS) == public - {"perform", "follow"}


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("nonsense", {}),
        ("__init__", {}),
        ("perform", {"name": "boards", "arguments": {}}),
        ("post", {}),
        ("post", {"board": "b", "text": "x", "more": 1}),
        ("boards", {"self": None}),
    ],
)
async def test_a_call_of_another_version_is_refused(
    tmp_path: Path, name: str, arguments: dict[str, Any]
) -> None:
    async with a_world(tmp_path) as world:
        with pytest.raises(UserError, match="another version"):
            await world.actions.perform(name, arguments)


# --- Boards ---------------------------------------------------------------------------------------


async def test_the_node_takes_part_in_boards_once_they_are_stored(tmp_path: Path) -> None:
    async with a_world(tmp_path) as world:
        made = await world.actions.create("c", retention_days=3)
        ((what, board_id),) = world.driver.told
        assert what == "open"
        assert board_id.hex().startswith(made["board_id"])
        await world.actions.leave("c")
        assert world.driver.told[1:] == [("close", board_id)]


async def test_a_private_board_is_unlike_any_other_of_its_name(tmp_path: Path) -> None:
    async with a_world(tmp_path / "1") as one, a_world(tmp_path / "2") as two:
        assert one.board.id != two.board.id


async def test_no_answer_holds_a_boards_whole_id(tmp_path: Path) -> None:
    async with a_world(tmp_path) as world:
        answers = [
            await world.actions.boards(),
            await world.actions.status(),
            await world.actions.peers(),
            await Actions(world.store).status(),
        ]
        assert world.board.id.hex() not in str(answers)
        assert "ab" * 32 not in str(answers)
        assert "ab" * 8 in str(answers)


# --- Writing --------------------------------------------------------------------------------------


async def test_a_post_is_durable_before_the_node_gets_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with a_world(tmp_path) as world:
        order: list[str] = []
        write = world.store.write

        async def writing(function: Any, *arguments: Any) -> Any:
            outcome = await write(function, *arguments)
            order.append(function.__name__)
            return outcome

        monkeypatch.setattr(world.store, "write", writing)
        monkeypatch.setattr(world.driver, "publish", lambda *_: order.append("publish"))
        await world.actions.post("b", "words")
        assert order == ["put_own", "publish"]


async def test_what_is_published_is_valid(tmp_path: Path) -> None:
    async with a_world(tmp_path) as world:
        first = await world.actions.post("b", "words")
        await world.actions.post("b", "more", reply=first["id"])
        await world.actions.retract("b", first["id"])
        for entry in world.published():
            decode_entry(world.board, entry.raw, entry.signature, entry.payload, NOW_S)
            check_signature(entry)
        assert len(world.published()) == 3


async def test_the_work_of_the_board_is_done(tmp_path: Path) -> None:
    async with a_world(tmp_path) as world:
        await world.actions.create("costly", work_bits=10)
        posted = await world.actions.post("costly", "words")
        assert int(posted["id"], 16) >> (256 - 10) == 0


async def test_answers_at_the_same_time_do_not_fork_the_log(tmp_path: Path) -> None:
    async with a_world(tmp_path) as world:
        first = await world.actions.post("b", "words")
        async with trio.open_nursery() as nursery:
            for number in range(8):
                nursery.start_soon(world.actions.post, "b", str(number), first["id"])
            nursery.start_soon(world.actions.retract, "b", first["id"])
        log = sorted(world.published(), key=lambda entry: entry.header.seq)
        assert [entry.header.seq for entry in log] == list(range(10))
        assert [entry.header.prev for entry in log[1:]] == [entry.id for entry in log[:-1]]


async def test_a_post_that_is_cancelled_while_it_works_leaves_nothing(tmp_path: Path) -> None:
    async with a_world(tmp_path) as world:
        await world.actions.create("impossible", work_bits=28)
        with trio.move_on_after(0.1):
            await world.actions.post("impossible", "words")
        assert await world.actions.read("impossible") == []
        assert world.published() == []


async def test_an_answer_to_a_stranger_has_a_persona_that_stays_in_the_thread(
    tmp_path: Path,
) -> None:
    async with a_world(tmp_path) as world:
        theirs = await world.receive("question")
        one = await world.actions.post("b", "answer", reply=theirs.id.hex())
        two = await world.actions.post("b", "and more", reply=one["id"])
        assert one["thread"] == two["thread"] == theirs.id.hex()
        assert one["persona"] == two["persona"] != theirs.header.persona.hex()
        elsewhere = await world.receive("another question")
        three = await world.actions.post("b", "answer", reply=elsewhere.id.hex())
        assert three["persona"] != one["persona"]


async def test_a_fresh_entry_can_be_retracted_and_its_persona_stays_unused(tmp_path: Path) -> None:
    async with a_world(tmp_path) as world:
        fresh = await world.actions.post("b", "words", fresh=True)
        await world.store.write(Writer.put_entries, world.board.id, world.published())
        await world.actions.retract("b", fresh["id"])
        assert (await world.actions.read("b"))[0]["state"] == "retracted"
        answer = await world.actions.post("b", "answer", reply=fresh["id"])
        assert answer["persona"] != fresh["persona"]


async def test_only_own_entries_can_be_retracted(tmp_path: Path) -> None:
    async with a_world(tmp_path) as world:
        theirs = await world.receive("words")
        with pytest.raises(UserError, match="only its author"):
            await world.actions.retract("b", theirs.id.hex())
        assert world.published() == []


async def test_a_stranger_that_came_to_the_same_board_is_shown(tmp_path: Path) -> None:
    async with a_world(tmp_path) as world:
        theirs = await world.receive("words")
        (shown,) = await world.actions.read("b")
        assert (shown["id"], shown["state"], shown["text"]) == (theirs.id.hex(), "shown", "words")


async def test_forgetting_takes_the_text_and_nothing_else(tmp_path: Path) -> None:
    async with a_world(tmp_path) as world:
        theirs = await world.receive("words")
        assert await world.actions.forget("b", theirs.id.hex()) == {
            "id": theirs.id.hex(),
            "state": "forgotten",
        }
        (shown,) = await world.actions.read("b")
        assert (shown["state"], shown["text"]) == ("forgotten", None)
        assert [what for what, _ in world.driver.told] == ["withdraw"]


async def test_a_blocked_persona_is_blocked_in_what_comes_later(tmp_path: Path) -> None:
    async with a_world(tmp_path) as world:
        persona = _stranger(None)
        theirs = await world.receive("words", persona)
        await world.actions.block_add("b", "persona", theirs.header.persona.hex()[:10])
        await world.receive("more", persona.after(theirs), theirs)
        assert {entry["state"] for entry in await world.actions.read("b")} == {"hidden"}


async def test_what_is_purged_is_not_there_after_the_rule_is_gone(tmp_path: Path) -> None:
    async with a_world(tmp_path) as world:
        theirs = await world.receive("words")
        rule = await world.actions.block_add("b", "entry", theirs.id.hex(), purge=True)
        assert rule["action"] == "purge"
        await world.actions.block_remove("b", rule["rule"])
        assert (await world.actions.read("b"))[0]["text"] is None


async def test_a_key_that_is_not_there_yet_can_be_blocked_if_it_is_whole(tmp_path: Path) -> None:
    async with a_world(tmp_path) as world:
        rule = await world.actions.block_add("b", "persona", "ab" * 32)
        assert rule["value"] == "ab" * 32
        with pytest.raises(UserError, match="no persona"):
            await world.actions.block_add("b", "persona", "ab")
        with pytest.raises(UserError, match="can't be blocked"):
            await world.actions.block_add("b", "board", "ab")


async def test_without_a_node_there_are_no_peers(tmp_path: Path) -> None:
    async with a_world(tmp_path, has_driver=False) as world:
        with pytest.raises(Failure, match="p2pboard run"):
            await world.actions.peers()


# --- Following ------------------------------------------------------------------------------------


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
        theirs = _stranger(None)
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
        count = module._THREADS_READ_SINGLY_MAX + 5
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


def test_a_boards_shown_id_is_a_beginning() -> None:
    assert module.shown_board_id(bytes(range(32))) == "0001020304050607"
