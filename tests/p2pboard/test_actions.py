"""The actions: what they refuse, in which order they do things, and what giving up leaves."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import trio

from p2pboard.actions import ACTIONS, Actions
from p2pboard.crowd import note_crowd
from p2pboard.draft import Identity
from p2pboard.errors import Failure, UserError
from p2pboard.reading import find_board
from p2pboard.store.reader import Reader
from p2pboard.store.writer import Writer
from protocol.entry import check_signature, decode_entry
from tests.p2pboard.world import NOW_S, World, a_world, make_stranger

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
        persona = make_stranger(None)
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


async def test_of_two_that_take_a_name_at_once_one_is_refused(tmp_path: Path) -> None:
    async with a_world(tmp_path) as world:
        refused: list[str] = []

        async def create() -> None:
            try:
                await world.actions.create("c")
            except UserError as error:
                refused.append(str(error))

        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(create)
        assert len(refused) == 2
        assert all("another name" in line for line in refused)


# --- Reviewing ------------------------------------------------------------------------------------

RUN = "Who else thinks that the new shift plan is madness?"


async def kinds_of(actions: Actions, text: str, **wish: Any) -> list[str]:
    reviewed = await actions.review("b", text, **wish)
    return [warning["kind"] for warning in reviewed["warnings"]]


async def test_a_review_says_what_where_and_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("p2pboard.actions.read_identity", lambda: Identity(users=("amuster",)))
    async with a_world(tmp_path) as world:
        assert await world.actions.review("b", "by amuster") == {
            "warnings": [
                {
                    "kind": "user-name",
                    "start": 3,
                    "end": 10,
                    "why": "this is your user name on this machine",
                }
            ],
            "crowd": {
                "nodes": 5,
                "persona": None,
                "least": 4,
                "enough": True,
                "advice": None,
            },
        }


async def test_a_crowd_is_too_small_for_whom_its_user_wants_more(tmp_path: Path) -> None:
    async with a_world(tmp_path) as world:
        assert (await world.actions.crowd())["least"] == 4
        await world.actions.crowd(8)
        crowd = (await world.actions.review("b", "words"))["crowd"]
        assert (crowd["nodes"], crowd["least"], crowd["enough"]) == (5, 8, False)
        assert "--wait" in crowd["advice"]
        with pytest.raises(UserError, match="1 to 1000"):
            await world.actions.crowd(0)


async def test_what_waits_for_a_crowd_is_published_with_its_number(tmp_path: Path) -> None:
    async with a_world(tmp_path) as world:
        await world.actions.post("b", "words", crowd_least=6)
        board_id = (await world.store.read(find_board, "b")).id
        assert list((await world.store.read(Reader.held, board_id)).values()) == [6]


async def test_a_persona_that_goes_on_is_among_fewer(tmp_path: Path) -> None:
    async with a_world(tmp_path) as world:
        first = await world.actions.post("b", "words")
        key = bytes.fromhex(first["persona"])
        board_id = (await world.store.read(find_board, "b")).id
        note = note_crowd(None, ["10.0.0.1", "10.0.0.9"], secrets.token_bytes)
        assert await world.store.write(Writer.note_crowd, board_id, key, note)
        crowd = (await world.actions.review("b", "more", reply=first["id"]))["crowd"]
        assert (crowd["nodes"], crowd["persona"], crowd["enough"]) == (5, 2, False)
        assert "--fresh" in crowd["advice"]
        crowd = (await world.actions.review("b", "more", reply=first["id"], fresh=True))["crowd"]
        assert (crowd["persona"], crowd["enough"]) == (None, True)
        [entry] = await world.actions.read("b")
        assert entry["crowd"] == 3


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


async def test_a_review_leaves_nothing_behind(tmp_path: Path) -> None:
    async with a_world(tmp_path) as world:
        before = contents(tmp_path)
        await world.actions.review("b", "write to somebody.secret@example.org")
        assert contents(tmp_path) == before
        assert world.driver.told == []


async def test_own_words_under_another_persona_are_told(tmp_path: Path) -> None:
    async with a_world(tmp_path) as world:
        first = await world.actions.post("b", RUN)
        assert await kinds_of(world.actions, RUN) == ["repeats"]
        assert await kinds_of(world.actions, RUN, reply=first["id"], fresh=True) == ["repeats"]


async def test_own_words_under_the_same_persona_are_not(tmp_path: Path) -> None:
    async with a_world(tmp_path) as world:
        first = await world.actions.post("b", RUN)
        assert await kinds_of(world.actions, RUN, reply=first["id"]) == []


async def test_words_of_others_are_nobodys_business(tmp_path: Path) -> None:
    async with a_world(tmp_path) as world:
        await world.receive(RUN)
        assert await kinds_of(world.actions, RUN) == []


async def test_own_words_on_another_board_are_told(tmp_path: Path) -> None:
    async with a_world(tmp_path) as world:
        await world.actions.create("c", work_bits=0)
        await world.actions.post("c", RUN)
        assert await kinds_of(world.actions, RUN) == ["repeats"]


@pytest.mark.parametrize(
    "wish",
    [
        {"board": "nowhere", "text": "words"},
        {"board": "b", "text": " "},
        {"board": "b", "text": "x" * 100_000},
        {"board": "b", "text": "\ud800"},
        {"board": "b", "text": "words", "reply": "ff"},
    ],
)
async def test_a_review_refuses_what_can_not_be_posted(
    tmp_path: Path, wish: dict[str, Any]
) -> None:
    async with a_world(tmp_path) as world:
        with pytest.raises(UserError) as posted:
            await world.actions.post(**wish)
        with pytest.raises(UserError) as reviewed:
            await world.actions.review(**wish)
        assert str(posted.value) == str(reviewed.value)


# --- Rules and payloads ---------------------------------------------------------------------------


def asked_for_payloads(world: World) -> bool:
    return any(what == "want payloads" for what, _ in world.driver.told)


async def test_peers_are_asked_again_for_what_a_rule_had_purged_once_it_is_gone(
    tmp_path: Path,
) -> None:
    async with a_world(tmp_path) as world:
        theirs = await world.receive("words")
        rule = await world.actions.block_add("b", "entry", theirs.id.hex(), purge=True)
        assert not asked_for_payloads(world)
        await world.actions.block_remove("b", rule["rule"])
        assert asked_for_payloads(world)


async def test_peers_are_asked_again_where_a_rule_that_hides_takes_the_place_of_one_that_purged(
    tmp_path: Path,
) -> None:
    async with a_world(tmp_path) as world:
        theirs = await world.receive("words")
        await world.actions.block_add("b", "entry", theirs.id.hex(), purge=True)
        await world.actions.block_add("b", "entry", theirs.id.hex())
        assert asked_for_payloads(world)


async def test_rules_that_only_hide_are_nothing_that_peers_could_notice(tmp_path: Path) -> None:
    async with a_world(tmp_path) as world:
        rule = await world.actions.block_add("b", "word", "casino")
        await world.actions.block_remove("b", rule["rule"])
        assert world.driver.told == []


# --- Taking back, and giving up -------------------------------------------------------------------


async def test_a_retraction_withdraws_what_waits_in_the_outbox(tmp_path: Path) -> None:
    async with a_world(tmp_path) as world:
        posted = await world.actions.post("b", "words")
        await world.actions.retract("b", posted["id"])
        assert [what for what, _ in world.driver.told] == ["publish", "publish", "withdraw"]
        assert world.driver.told[-1][1].hex() == posted["id"]


async def test_a_retraction_of_what_is_out_withdraws_nothing_before_it_is_out_too(
    tmp_path: Path,
) -> None:
    async with a_world(tmp_path) as world:
        await world.actions.post("b", "words")
        (entry,) = world.published()
        await world.store.write(Writer.put_entries, world.board.id, [entry])
        await world.actions.retract("b", entry.id.hex())
        assert [what for what, _ in world.driver.told] == ["publish", "publish"]
        _, (stored,) = await world.store.read(
            Writer.load_entries, world.board.id, [entry.id], 10_000
        )
        assert stored.payload == entry.payload


Act = Callable[[World, str], Awaitable[Any]]


@pytest.mark.parametrize(
    ("write", "act", "told"),
    [
        ("put_own", lambda world, _: world.actions.post("b", "more"), ["publish"]),
        ("put_own", lambda world, id_: world.actions.retract("b", id_), ["publish", "withdraw"]),
        ("forget", lambda world, id_: world.actions.forget("b", id_), ["withdraw"]),
    ],
)
async def test_who_gives_up_after_the_write_does_not_keep_it_from_the_node(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write: str, act: Act, told: list[str]
) -> None:
    async with a_world(tmp_path) as world:
        posted = await world.actions.post("b", "words")
        world.driver.told.clear()
        scope = trio.CancelScope()
        write_really = world.store.write

        async def writing(function: Any, *arguments: Any) -> Any:
            if function.__name__ == write:
                scope.cancel()
            return await write_really(function, *arguments)

        monkeypatch.setattr(world.store, "write", writing)
        with scope:
            await act(world, posted["id"])
        assert [what for what, _ in world.driver.told] == told


# --- Own personas ---------------------------------------------------------------------------------


async def test_own_personas_are_listed_with_what_becomes_of_them(tmp_path: Path) -> None:
    async with a_world(tmp_path) as world:
        first = await world.actions.post("b", "words")
        await world.actions.post("b", "more", reply=first["id"])
        world.now_s += 86400
        fresh = await world.actions.post("b", "other words", reply=first["id"], fresh=True)
        last, before = await world.actions.persona_list("b")
        assert list(last) == [
            *("id", "name", "thread", "fresh", "posts", "crowd", "outbox"),
            *("last_used", "thrown_away"),
        ]
        shown = {entry["id"]: entry for entry in await world.actions.read("b")}
        assert before == {
            "id": first["persona"],
            "name": shown[first["id"]]["name"],
            "thread": first["id"],
            "fresh": False,
            "posts": 2,
            "crowd": None,
            "outbox": 2,
            "last_used": NOW_S - NOW_S % 86400,
            "thrown_away": NOW_S - NOW_S % 600 + 3 * 86400,
        }
        assert (last["id"], last["fresh"], last["posts"]) == (fresh["persona"], True, 1)
        assert last["last_used"] == before["last_used"] + 86400


async def test_what_waits_goes_out_though_its_key_is_thrown_away(tmp_path: Path) -> None:
    async with a_world(tmp_path) as world:
        first, other = [await world.actions.post("b", text) for text in ("words", "other words")]
        world.driver.told.clear()
        dropped = await world.actions.persona_drop("b", first["persona"][:12])
        assert dropped == {"personas": [first["persona"]], "outbox": [first["id"]]}
        assert world.driver.told == []
        assert {e["state"] for e in await world.actions.read("b")} == {"outbox"}
        assert [p["id"] for p in await world.actions.persona_list("b")] == [other["persona"]]
        with pytest.raises(UserError, match="thrown away"):
            await world.actions.retract("b", first["id"])
        answer = await world.actions.post("b", "more", reply=first["id"])
        assert answer["persona"] != first["persona"]


async def test_what_is_withdrawn_is_not_sent(tmp_path: Path) -> None:
    async with a_world(tmp_path) as world:
        for text in ("words", "other words"):
            await world.actions.post("b", text)
        ids = [entry.id for entry in world.published()]
        world.driver.told.clear()
        dropped = await world.actions.persona_drop("b", withdraw=True)
        assert (len(dropped["personas"]), len(dropped["outbox"])) == (2, 2)
        assert sorted(world.driver.told) == sorted(("withdraw", identifier) for identifier in ids)
        assert await world.actions.read("b") == []


async def test_only_own_personas_can_be_thrown_away(tmp_path: Path) -> None:
    async with a_world(tmp_path) as world:
        theirs = await world.receive("words")
        with pytest.raises(UserError, match="p2pboard persona list b"):
            await world.actions.persona_drop("b", theirs.header.persona.hex())
        with pytest.raises(UserError, match="0-9 and a-f"):
            await world.actions.persona_drop("b", "heron")
        assert await world.actions.persona_drop("b") == {"personas": [], "outbox": []}


async def test_a_key_that_is_thrown_away_while_an_answer_is_worked_on_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with a_world(tmp_path) as world:
        first = await world.actions.post("b", "words")
        sign = world.actions._sign

        async def sign_after_the_drop(*arguments: Any) -> Any:
            await world.actions.persona_drop("b")
            return await sign(*arguments)

        monkeypatch.setattr(world.actions, "_sign", sign_after_the_drop)
        with pytest.raises(Failure, match="try again"):
            await world.actions.post("b", "more", reply=first["id"])
        assert await world.actions.persona_list("b") == []
        assert len(world.published()) == 1


async def test_keys_whose_time_is_over_by_a_new_setting_go_at_once(tmp_path: Path) -> None:
    async with a_world(tmp_path) as world:
        await world.actions.post("b", "words")
        assert await world.actions.persona_keep() == {"keep_s": 3 * 86400}
        world.now_s += 7200
        assert await world.actions.persona_keep(3 * 3600) == {"keep_s": 3 * 3600}
        assert len(await world.actions.persona_list("b")) == 1
        await world.actions.persona_keep(3600)
        assert await world.actions.persona_list("b") == []


@pytest.mark.parametrize("keep_s", [0, -1, 3599, 3650 * 86400 + 1])
async def test_a_time_beyond_all_sense_is_refused(tmp_path: Path, keep_s: int) -> None:
    async with a_world(tmp_path) as world:
        with pytest.raises(UserError, match="1 hour to 3650 days"):
            await world.actions.persona_keep(keep_s)


# --- Stopping -------------------------------------------------------------------------------------


async def test_a_node_can_be_stopped_and_a_command_alone_can_not(tmp_path: Path) -> None:
    async with a_world(tmp_path) as world:
        stopped: list[bool] = []
        await Actions(world.store, world.driver, stop=lambda: stopped.append(True)).stop()
        assert stopped == [True]
        with pytest.raises(Failure, match="no node runs"):
            await Actions(world.store).stop()
