"""The command line: the contract that scripts rely on, to the letter."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from p2pboard import live
from p2pboard.cli import show
from p2pboard.cli.program import program
from p2pboard.cli.shared import parse_address
from p2pboard.draft import Identity
from p2pboard.errors import UserError
from p2pboard.home import Home, Token
from p2pboard.reading import READINGS
from protocol.board import LOBBY, Board, decode_invite

ENTRY_KEYS = [
    *("id", "thread", "parent", "persona", "name", "op", "seq", "time", "kind", "text", "state"),
    "crowd",
]
ID = re.compile(r"[0-9a-f]{64}")
NOON = datetime(2024, 5, 15, 12, 0, tzinfo=UTC)
posix = pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX's")


class Line:
    """A command line with a home of its own, and a board ``b`` that costs no work."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.runner = CliRunner()

    def __call__(self, *arguments: str, stdin: str | bytes | None = None) -> Result:
        return self.runner.invoke(program, ["--home", str(self.home), *arguments], input=stdin)

    def said(self, *arguments: str, stdin: str | bytes | None = None) -> str:
        result = self(*arguments, stdin=stdin)
        assert result.exit_code == 0, result.stderr
        return result.stdout

    def objects(self, *arguments: str) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.said(*arguments, "--json").splitlines()]

    def object(self, *arguments: str) -> dict[str, Any]:
        (only,) = self.objects(*arguments)
        return only

    def post(self, *arguments: str) -> dict[str, Any]:
        return self.object("post", "b", *arguments)

    def refused(self, *arguments: str, status: int = 2, stdin: str | bytes | None = None) -> str:
        """What a command says that fails: one line."""
        result = self(*arguments, stdin=stdin)
        assert result.exit_code == status, (result.stdout, result.stderr)
        assert result.stdout == ""
        (line,) = result.stderr.splitlines()
        assert line.startswith("p2pboard: ")
        return line


@pytest.fixture(autouse=True)
def nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who runs the tests may be called like a word in them."""
    monkeypatch.setattr("p2pboard.actions.read_identity", Identity)


@pytest.fixture
def line(tmp_path: Path) -> Line:
    made = Line(tmp_path / "home")
    made.said("create", "b", "--work-bits", "0", "--pace", "brisk")
    return made


def commands(group: click.Group = program, path: str = "") -> Iterator[tuple[str, click.Command]]:
    for name, command in group.commands.items():
        yield f"{path}{name}", command
        if isinstance(command, click.Group):
            yield from commands(command, f"{path}{name} ")


# --- Help and wrong use ---------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["", *(path for path, _ in commands())])
def test_the_help_of_every_command_ends_with_an_example_of_it(path: str) -> None:
    text = CliRunner().invoke(program, [*path.split(), "--help"]).stdout
    _, example = text.rsplit("Example:\n", 1)
    lines = example.strip("\n").splitlines()
    assert lines
    assert all(line.strip().startswith(f"p2pboard {path}".strip()) for line in lines)


def test_all_commands_of_the_contract_are_there() -> None:
    assert {path for path, command in commands() if not isinstance(command, click.Group)} == {
        *("create", "join", "boards", "invite", "leave", "run", "post", "read"),
        *("retract", "forget", "block add", "block list", "block remove", "peers", "status"),
        "crowd",
        *("persona list", "persona drop", "persona keep", "lock", "panic"),
    }


@pytest.mark.parametrize("arguments", [[], ["block"], ["persona"]])
def test_alone_it_prints_its_help(arguments: list[str]) -> None:
    result = CliRunner().invoke(program, arguments)
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.startswith("Usage: p2pboard")


def test_the_version_is_said() -> None:
    result = CliRunner().invoke(program, ["--version"])
    assert result.exit_code == 0
    assert re.fullmatch(r"p2pboard, version \d+\.\d+\.\d+\S*\n", result.stdout)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["nonsense"], "No such command"),
        (["post"], "'p2pboard post --help'"),
        (["post", "b", "x", "--nonsense"], "--nonsense"),
        (["post", "b", "x", "y"], "unexpected"),
        (["read", "b", "--limit", "0"], "--limit"),
        (["read", "b", "--limit", "many"], "--limit"),
        (["create", "c", "--work-bits", "99"], "0 to 28"),
        (["create", "c", "--retention-days", "0"], "1 to"),
        (["create", "c\nd"], "control characters"),
        (["create", ""], "1 to 64"),
        (["create", "b"], "another name"),
        (["join", "https://example.org"], "begins with p2pboard:"),
        (["join", "p2pboard:"], "end of the link is missing"),
        (["post", "nowhere", "x"], "there is: b, lobby"),
        (["post", "b", ""], "empty"),
        (["post", "b", " \n"], "empty"),
        (["post", "b", "x", "--reply", "ff"], "'p2pboard read b'"),
        (["post", "b", "x", "--reply", "xyz"], "0-9 and a-f"),
        (["read", "b", "--thread", "ff"], "no entry"),
        (["retract", "b", "ff"], "no entry"),
        (["forget", "b", "ff"], "no entry"),
        (["leave", "nowhere"], "there is: b, lobby"),
        (["block", "add", "b"], "exactly one of"),
        (["block", "add", "b", "--word", "x", "--entry", "y"], "exactly one of"),
        (["block", "add", "b", "--persona", "ff"], "persona"),
        (["block", "add", "b", "--word", " "], "word"),
        (["block", "add", "b", "--word", "x", "--reason", "r" * 1000], "reason"),
        (["block", "remove", "b", "zzzz"], "'p2pboard block list b'"),
        (["run", "--peer", "somewhere"], "HOST:PORT"),
        (["run", "--peer", "host:0"], "HOST:PORT"),
        (["run", "--listen", "host:99999"], "HOST:PORT"),
        (["invite", "b", "--address", "x"], "HOST:PORT"),
    ],
)
def test_a_wrong_use_gets_one_line_and_status_2(
    line: Line, arguments: list[str], says: str
) -> None:
    assert says in line.refused(*arguments)


def test_a_home_that_is_a_file_is_a_wrong_use(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert "--home" in Line(tmp_path / "file").refused("boards")


def test_a_bug_is_one_line_and_status_1(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("two\nlines")

    monkeypatch.setitem(READINGS, "boards", broken)
    said = line.refused("boards", status=1)
    assert "this is a bug: ZeroDivisionError: two lines" in said
    assert "P2PBOARD_DEBUG=1" in said


def test_a_traceback_is_for_those_who_debug(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("P2PBOARD_DEBUG", "1")
    result = line("post", "nowhere", "x")
    assert result.exit_code == 2
    assert "Traceback" in result.stderr


def test_of_all_that_fails_at_once_the_most_telling_is_said(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ExceptionGroup("all", [ValueError(), ExceptionGroup("", [UserError("do this")])])

    monkeypatch.setitem(READINGS, "boards", broken)
    assert line.refused("boards") == "p2pboard: do this"


# --- Homes ----------------------------------------------------------------------------------------


def test_the_home_can_stand_before_and_after_the_command(tmp_path: Path) -> None:
    for number, arguments in enumerate((["--home", "{}", "boards"], ["boards", "--home", "{}"])):
        home = tmp_path / str(number)
        result = CliRunner().invoke(program, [part.format(home) for part in arguments])
        assert result.exit_code == 0
        assert Home(home).database.exists()


def test_the_variable_names_the_home(tmp_path: Path) -> None:
    result = CliRunner().invoke(program, ["boards"], env={"P2PBOARD_HOME": str(tmp_path / "it")})
    assert result.exit_code == 0
    assert (tmp_path / "it").is_dir()


def test_a_new_home_has_the_lobby_that_all_have(tmp_path: Path) -> None:
    """B-7."""
    line = Line(tmp_path / "new")
    assert [board["name"] for board in line.objects("boards")] == ["lobby"]
    assert decode_invite(line.said("invite", "lobby")).descriptor == LOBBY


def test_a_lobby_that_was_left_does_not_come_back_by_itself(tmp_path: Path) -> None:
    line = Line(tmp_path / "new")
    line.said("leave", "lobby")
    assert line.objects("boards") == []
    assert "create lobby --open" in line.said("boards")
    line.said("create", "lobby", "--open")
    assert decode_invite(line.said("invite", "lobby")).descriptor == LOBBY


# --- Boards ---------------------------------------------------------------------------------------


def test_create_prints_the_link_and_nothing_else_where_there_is_no_terminal(line: Line) -> None:
    said = line.said("create", "Third floor", "--retention-days", "7", "--work-bits", "3")
    (link,) = said.splitlines()
    descriptor = decode_invite(link).descriptor
    assert (descriptor.name, descriptor.retention_days, descriptor.work_bits) == (
        "Third floor",
        7,
        3,
    )
    assert not descriptor.is_open


def test_an_open_board_is_the_same_for_all_who_create_it(tmp_path: Path) -> None:
    links = {Line(tmp_path / n).said("create", "canteen", "--open") for n in ("a", "b")}
    assert len(links) == 1


def test_create_answers_scripts_with_an_object(line: Line) -> None:
    made = line.object("create", "c")
    assert list(made) == ["name", "board_id", "open", "link"]


def test_the_qr_code_holds_the_link() -> None:
    from p2pboard.cli.boards import _qr_code

    picture = _qr_code("p2pboard:abc")
    assert len(picture.splitlines()) > 5
    assert picture == _qr_code("P2PBOARD:ABC")


def test_boards_have_the_fields_that_scripts_need_and_keep_their_id_secret(line: Line) -> None:
    board = next(board for board in line.objects("boards") if board["name"] == "lobby")
    whole = Board.of(LOBBY).id.hex()
    assert board == {
        "name": "lobby",
        "board_id": whole[:16],
        "open": True,
        "entries": 0,
        "outbox": 0,
        "retention_days": LOBBY.retention_days,
        "work_bits": LOBBY.work_bits,
        "payload_bytes_max": LOBBY.payload_bytes_max,
    }


def test_who_joins_has_the_board(line: Line, tmp_path: Path) -> None:
    other = Line(tmp_path / "other")
    link = line.said("invite", "b", "--address", "192.168.1.20:4000").strip()
    assert other.said("join", link.upper()) == "joined b\n"
    assert decode_invite(other.said("invite", "b")).descriptor == decode_invite(link).descriptor
    assert "here already" in other.refused("join", link)


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda link: link[:-9], "end of the link is missing"),
        (lambda link: link[:20] + ("a" if link[20] != "a" else "b") + link[21:], "is wrong"),
    ],
)
def test_what_is_wrong_with_a_link_is_said(line: Line, spoil: Any, says: str) -> None:
    assert says in line.refused("join", spoil(line.said("invite", "b").strip()))


def test_boards_of_one_name_are_told_apart_by_their_ids(line: Line, tmp_path: Path) -> None:
    other = Line(tmp_path / "other")
    line.said("join", other.said("create", "b").strip())
    ids = [board["board_id"] for board in line.objects("boards") if board["name"] == "b"]
    said = line.refused("post", "b", "x")
    assert all(identifier[:8] in said for identifier in ids)
    assert line.said("read", ids[0][:8]).startswith("nothing yet")


def test_what_is_left_is_gone(line: Line) -> None:
    line.post("words")
    line.said("leave", "b")
    assert "no board 'b'" in line.refused("read", "b")


# --- Posts ----------------------------------------------------------------------------------------


def test_a_post_without_a_node_waits_in_the_outbox_and_reads_back(line: Line) -> None:
    posted = line.post("grün, 綠, \x1b[31m")
    assert list(posted) == ["id", "thread", "persona", "state", "crowd"]
    assert posted.pop("crowd") == {
        "nodes": None,
        "persona": None,
        "least": 4,
        "enough": False,
        "advice": None,
    }
    assert posted["state"] == "outbox"
    assert posted["id"] == posted["thread"]
    entry = line.object("read", "b")
    assert list(entry) == ENTRY_KEYS
    assert entry == entry | posted | {
        "parent": None,
        "op": True,
        "seq": 0,
        "kind": "post",
        "text": "grün, 綠, \x1b[31m",
    }
    assert entry["time"] % 600 == 0
    assert all(ID.fullmatch(entry[key]) for key in ("id", "thread", "persona"))


def test_people_are_told_that_without_a_node_a_post_waits(line: Line) -> None:
    said = line.said("post", "b", "words")
    identifier, what_next = said.split(" ", 1)
    assert ID.fullmatch(identifier)
    assert what_next == (
        "waits in the outbox: 'p2pboard run' sends it out once 4 nodes are there"
        " (--anyway: with fewer)\n"
    )
    assert line.said("post", "b", "words", "--anyway").endswith("'p2pboard run' sends it out\n")
    assert "the retraction waits in the outbox" in line.said("retract", "b", identifier)


def test_json_is_ascii(line: Line) -> None:
    line.post("綠\x9b\u202e")
    assert line.said("read", "b", "--json").isascii()


@pytest.mark.parametrize("arguments", [["-"], []])
def test_the_text_can_come_from_standard_input(line: Line, arguments: list[str]) -> None:
    line.said("post", "b", *arguments, stdin="one\n\ntwo\n")
    assert line.object("read", "b")["text"] == "one\n\ntwo"


def test_input_that_is_not_text_is_a_wrong_use(line: Line) -> None:
    assert "UTF-8" in line.refused("post", "b", "-", stdin=b"\xff\xfe")


def test_a_text_at_the_limit_is_posted_and_one_byte_more_is_not(line: Line) -> None:
    allowed = LOBBY.payload_bytes_max - 16
    line.post("ü" * (allowed // 2))
    said = line.refused("post", "b", "ü" * (allowed // 2) + "x")
    assert f"{allowed + 1} bytes" in said
    assert f"allows {allowed}" in said


def test_a_reply_goes_on_with_the_threads_own_persona(line: Line) -> None:
    first = line.post("first")
    second = line.post("second", "--reply", first["id"][:20])
    assert second["persona"] == first["persona"]
    assert second["thread"] == first["id"]
    entries = line.objects("read", "b")
    assert [entry["seq"] for entry in entries] == [0, 1]
    assert entries[1]["parent"] == first["id"]
    assert entries[0]["name"] == entries[1]["name"]


def test_a_fresh_reply_has_a_persona_of_its_own_that_is_used_once(line: Line) -> None:
    first = line.post("first")
    fresh = line.post("second", "--reply", first["id"], "--fresh")
    again = line.post("third", "--reply", fresh["id"])
    assert fresh["persona"] != first["persona"]
    assert again["persona"] == first["persona"]
    assert [entry["op"] for entry in line.objects("read", "b")] == [True, False, True]


def test_two_threads_never_share_a_persona(line: Line) -> None:
    assert line.post("one")["persona"] != line.post("two")["persona"]


def test_an_ambiguous_prefix_gets_its_candidates(line: Line) -> None:
    ids = [line.post(f"post {number}")["id"] for number in range(17)]
    digit = next(d for d in "0123456789abcdef" if sum(i.startswith(d) for i in ids) > 1)
    said = line.refused("read", "b", "--thread", digit)
    assert all(i[:12] in said for i in ids if i.startswith(digit))


def test_a_thread_is_read_alone_by_any_of_its_entries(line: Line) -> None:
    first, other = line.post("first"), line.post("other")
    reply = line.post("reply", "--reply", first["id"])
    read = line.objects("read", "b", "--thread", reply["id"])
    assert [entry["id"] for entry in read] == [first["id"], reply["id"]]
    assert other["id"] not in {entry["id"] for entry in read}


def test_limit_takes_the_newest(line: Line) -> None:
    first = line.post("0")
    for number in range(1, 4):
        line.post(str(number), "--reply", first["id"])
    assert [entry["text"] for entry in line.objects("read", "b", "--limit", "2")] == ["2", "3"]
    assert "--limit asks for more" in line.said("read", "b", "--limit", "2")


def test_people_read_threads_with_names_and_indented_answers(line: Line) -> None:
    first = line.post("what do you think\nof the coffee?")
    line.post("it is cold", "--reply", first["id"], "--fresh")
    said = line.said("read", "b")
    entries = line.objects("read", "b")
    lines = said.splitlines()
    assert lines[0].startswith(f"{entries[0]['name']} (op)")
    assert first["id"][:8] in lines[0]
    assert re.search(r"(today|yesterday) \d\d:\d0", lines[0])
    assert "[in the outbox]" in lines[0]
    assert lines[1:3] == ["  what do you think", "  of the coffee?"]
    assert lines[3].startswith(f"  {entries[1]['name']}")
    assert lines[4] == "    it is cold"


def test_lines_are_folded_in_a_terminal_and_whole_elsewhere() -> None:
    record = {"name": "teal heron", "op": False, "time": 0, "id": "ab" * 32, "persona": "cd" * 32}
    record |= {"state": "shown", "text": "word " * 30 + "\n\nend"}
    for is_terminal, count in ((True, 9), (False, 4)):
        written = io.StringIO()
        out = Console(file=written, width=40, force_terminal=is_terminal, color_system=None)
        show.print_entry(out, record, NOON, depth=1)
        lines = written.getvalue().splitlines()
        assert len(lines) == count
        assert all(line.startswith("  ") for line in lines)


def test_a_strangers_text_can_not_steer_the_terminal(line: Line) -> None:
    line.post("a\x1b[2Jb\x9b31mc\rd\u202ee[red]f")
    said = line.said("read", "b")
    assert not set("\x1b\x9b\r\u202e") & set(said)
    assert "[red]f" in said


def test_following_needs_a_node(line: Line) -> None:
    assert "p2pboard run" in line.refused("read", "b", "--follow", status=1)


# --- Taking back, forgetting, blocking ------------------------------------------------------------


def test_what_is_retracted_before_it_was_out_says_nothing_any_more(line: Line) -> None:
    first = line.post("a mistake")
    line.said("retract", "b", first["id"][:16])
    retraction = line.object("read", "b")
    assert retraction["text"] is None
    assert (retraction["kind"], retraction["parent"]) == ("retract", first["id"])
    assert retraction["persona"] == first["persona"]
    assert "mistake" not in line.said("read", "b")


def test_a_retraction_can_not_be_retracted_nor_answered(line: Line) -> None:
    first = line.post("a mistake")
    line.said("retract", "b", first["id"])
    retraction = line.object("read", "b")["id"]
    assert "can't be retracted" in line.refused("retract", "b", retraction)
    assert "is a retraction" in line.refused("post", "b", "x", "--reply", retraction)


def test_after_a_retraction_the_threads_persona_goes_on(line: Line) -> None:
    first = line.post("first")
    mistake = line.post("a mistake", "--reply", first["id"])
    line.said("retract", "b", mistake["id"])
    again = line.post("again", "--reply", first["id"])
    assert again["persona"] == first["persona"]
    assert [entry["seq"] for entry in line.objects("read", "b")] == [0, 2, 3]


def test_what_is_forgotten_before_it_was_out_never_gets_out(line: Line) -> None:
    first = line.post("words")
    line.said("forget", "b", first["id"])
    assert line.objects("read", "b") == []
    assert line.object("status")["boards"][0]["outbox"] == 0


def test_a_block_hides_and_its_removal_shows_again(line: Line) -> None:
    first = line.post("play casino now")
    line.said("block", "add", "b", "--word", "Casino", "--reason", "spam")
    (rule,) = line.objects("block", "list", "b")
    assert list(rule) == ["rule", "kind", "value", "action", "reason"]
    assert (rule["kind"], rule["action"], rule["reason"]) == ("word", "hide", "spam")
    entry = line.object("read", "b")
    assert (entry["id"], entry["state"], entry["text"]) == (first["id"], "hidden", None)
    assert f"hidden by rule {rule['rule']}: spam" in line.said("read", "b")
    assert rule["rule"] in line.said("block", "list", "b")
    line.said("block", "remove", "b", rule["rule"])
    assert line.object("read", "b")["text"] == "play casino now"
    assert line.said("block", "list", "b") == "nothing is blocked\n"


@pytest.mark.parametrize("kind", ["persona", "entry", "thread"])
def test_a_block_takes_the_beginning_of_a_key_or_an_id(line: Line, kind: str) -> None:
    first = line.post("words")
    line.post("other words")
    key = {"persona": "persona", "entry": "id", "thread": "thread"}[kind]
    line.said("block", "add", "b", f"--{kind}", first[key][:16])
    assert line.object("block", "list", "b")["value"] == first[key]
    states = {entry["id"]: entry["state"] for entry in line.objects("read", "b")}
    assert sorted(states.values()) == ["hidden", "outbox"]
    assert states[first["id"]] == "hidden"


# --- Own personas ---------------------------------------------------------------------------------


def test_own_personas_are_listed_and_thrown_away(line: Line) -> None:
    assert line.said("persona", "list", "b") == "no keys are kept\n"
    first, other = line.post("words"), line.post("other words")
    listed = {record["id"]: record for record in line.objects("persona", "list", "b")}
    assert listed.keys() == {first["persona"], other["persona"]}
    assert first["persona"][:8] in line.said("persona", "list", "b")
    assert "in 2 days" in line.said("persona", "list", "b")
    asked = line.refused("persona", "drop", "b", first["persona"][:12])
    assert "1 entry in the outbox will go out all the same" in asked
    assert "--yes" in asked
    assert len(line.objects("persona", "list", "b")) == 2
    said = line.said("persona", "drop", "b", first["persona"][:12], "--yes")
    assert said == "1 key is thrown away; 1 entry in the outbox still to go out\n"
    assert [record["id"] for record in line.objects("persona", "list", "b")] == [other["persona"]]
    assert len(line.objects("read", "b")) == 2
    said = line.said("persona", "drop", "b", "--all", "--withdraw", "--yes")
    assert said == "1 key is thrown away, and 1 entry not sent\n"
    assert [entry["id"] for entry in line.objects("read", "b")] == [first["id"]]
    assert line.said("persona", "drop", "b", "--all") == "0 keys are thrown away\n"


@pytest.mark.parametrize(("answer", "status", "left"), [("y\n", 0, 0), ("n\n", 1, 1), ("\n", 1, 1)])
def test_who_is_asked_decides(
    line: Line, monkeypatch: pytest.MonkeyPatch, answer: str, status: int, left: int
) -> None:
    monkeypatch.setattr("p2pboard.cli.shared.can_ask", lambda: True)
    line.post("words")
    result = line("persona", "drop", "b", "--all", stdin=answer)
    assert result.exit_code == status
    assert "Throw the key away?" in result.stderr
    assert ("nothing was done" in result.stderr) == (status == 1)
    assert len(line.objects("persona", "list", "b")) == left
    assert len(line.objects("read", "b")) == 1


def test_how_long_keys_are_kept_is_said_and_set(line: Line) -> None:
    assert line.said("persona", "keep") == "keys are kept for 3 days after their last use\n"
    for time, span in (("12h", "12 hours"), ("1d", "1 day"), ("24h", "1 day"), ("1H", "1 hour")):
        assert span in line.said("persona", "keep", time)
        assert span in line.said("persona", "keep")
    for time in ("3", "x", "-1d", "1w", "", "0d"):
        line.refused("persona", "keep", "--", time)


# --- Passphrases ----------------------------------------------------------------------------------

PASSPHRASE, OTHER = "tea without a kettle", "a kettle without tea"


@pytest.fixture
def phrases(tmp_path: Path, cheap_passphrases: None) -> tuple[str, str]:
    """Two files with a passphrase each."""
    for name, phrase in (("first", PASSPHRASE), ("second", OTHER)):
        (tmp_path / name).write_text(phrase + "\n", encoding="utf-8")
    return str(tmp_path / "first"), str(tmp_path / "second")


@pytest.fixture
def locked(line: Line, phrases: tuple[str, str]) -> Line:
    line.post("words")
    said = line.said("lock", "--new-passphrase-file", phrases[0])
    assert said == "the passphrase is set: keep it in mind\n"
    return line


READING = [
    ["read", "b"],
    ["boards"],
    ["invite", "b"],
    ["status"],
    ["block", "list", "b"],
    ["persona", "list", "b"],
    ["persona", "keep"],
]


@pytest.mark.parametrize("arguments", [*READING, ["post", "b", "x"], ["create", "c"], ["run"]])
def test_without_the_passphrase_there_is_one_clear_line(locked: Line, arguments: list[str]) -> None:
    """S-8."""
    said = locked.refused(*arguments)
    assert "passphrase" in said
    assert "--passphrase-file" in said


@pytest.mark.parametrize("arguments", READING)
def test_with_the_passphrase_everything_is_as_before(
    locked: Line, phrases: tuple[str, str], arguments: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with_it = locked.said(*arguments, "--passphrase-file", phrases[0])
    monkeypatch.setenv("P2PBOARD_PASSPHRASE_FILE", phrases[0])
    assert locked.said(*arguments) == with_it
    locked.said("lock", "--remove")
    monkeypatch.delenv("P2PBOARD_PASSPHRASE_FILE")
    assert locked.said(*arguments) == with_it


def test_a_wrong_passphrase_is_one_line(locked: Line, phrases: tuple[str, str]) -> None:
    said = locked.refused("read", "b", "--passphrase-file", phrases[1])
    assert said == "p2pboard: wrong passphrase: try again"


def test_a_passphrase_is_changed_and_removed(locked: Line, phrases: tuple[str, str]) -> None:
    first, second = phrases
    change = ["lock", "--change", "--new-passphrase-file", second, "--passphrase-file"]
    assert "wrong passphrase" in locked.refused(*change, second)
    locked.said(*change, first)
    assert "wrong passphrase" in locked.refused("read", "b", "--passphrase-file", first)
    assert "words" in locked.said("read", "b", "--passphrase-file", second)
    locked.said("lock", "--remove", "--passphrase-file", second)
    assert "words" in locked.said("read", "b")


def test_lock_says_what_it_can_not_do(line: Line, phrases: tuple[str, str], tmp_path: Path) -> None:
    first, _ = phrases
    assert "'p2pboard lock'" in line.refused("lock", "--change", "--passphrase-file", first)
    assert "one of --change and --remove" in line.refused("lock", "--change", "--remove")
    (tmp_path / "short").write_text("short")
    short = str(tmp_path / "short")
    assert "8 to 1024 characters" in line.refused("lock", "--new-passphrase-file", short)
    assert "in a terminal" in line.refused("lock")
    line.said("lock", "--new-passphrase-file", first)
    again = line.refused("lock", "--new-passphrase-file", first)
    assert "--change or --remove" in again


@pytest.mark.parametrize(
    ("content", "says"),
    [(None, "no such file"), (b"\xff\xfe", "UTF-8"), (b"x" * 5000, "too long")],
)
def test_what_is_wrong_with_a_passphrase_file_is_said(
    locked: Line, tmp_path: Path, content: bytes | None, says: str
) -> None:
    file = tmp_path / "phrase"
    if content is not None:
        file.write_bytes(content)
    assert says in locked.refused("read", "b", "--passphrase-file", str(file))


def test_who_sits_at_a_terminal_is_asked(
    line: Line, monkeypatch: pytest.MonkeyPatch, cheap_passphrases: None
) -> None:
    monkeypatch.setattr("p2pboard.cli.passphrase.can_ask", lambda: True)
    result = line("lock", stdin=f"{PASSPHRASE}\n{PASSPHRASE}\n")
    assert (result.exit_code, result.stdout) == (0, "the passphrase is set: keep it in mind\n")
    assert PASSPHRASE not in result.stderr
    assert line("boards", stdin=f"{PASSPHRASE}\n").exit_code == 0
    assert "wrong passphrase" in line("boards", stdin=f"{OTHER}\n").stderr


# --- Panic ----------------------------------------------------------------------------------------


def test_panic_asks_and_then_leaves_nothing(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    line.post("words")
    assert "--yes" in line.refused("panic")
    monkeypatch.setattr("p2pboard.cli.shared.can_ask", lambda: True)
    assert line("panic", stdin="n\n").exit_code == 1
    assert len(line.objects("read", "b")) == 1
    assert line("panic", stdin="y\n").stdout == "everything is thrown away\n"
    assert not line.home.exists()
    assert [board["name"] for board in line.objects("boards")] == ["lobby"]


def test_panic_needs_no_passphrase(locked: Line) -> None:
    locked.said("panic", "--yes")
    assert not locked.home.exists()


# --- The node -------------------------------------------------------------------------------------


def test_without_a_node_status_says_so_and_peers_fail(line: Line) -> None:
    line.post("words")
    status = line.object("status")
    assert (status["running"], status["listening"]) == (False, None)
    assert {board["name"]: board["outbox"] for board in status["boards"]} == {"b": 1, "lobby": 0}
    assert "not running" in line.said("status")
    assert "p2pboard run" in line.refused("peers", status=1)


def test_a_stale_token_file_is_no_hindrance(line: Line) -> None:
    Home(line.home).write_token(Token(9, bytes(32)))
    line.post("words")
    assert line.object("read", "b")["text"] == "words"


def test_a_busy_home_is_a_failure(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("p2pboard.cli.shared.BUSY_S_MAX", 0)
    with Home(line.home).locked():
        assert "another node uses" in line.refused("post", "b", "x", status=1)
        assert line.said("read", "b").startswith("nothing yet")


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("192.168.1.20:4000", ("192.168.1.20", 4000)),
        ("[fe80::1]:4000", ("fe80::1", 4000)),
        ("laptop.local:65535", ("laptop.local", 65535)),
    ],
)
def test_addresses_are_read(text: str, address: tuple[str, int]) -> None:
    assert tuple(parse_address(text, "--peer")) == address


@given(st.text(max_size=30))
def test_any_other_address_is_a_wrong_use(text: str) -> None:
    with contextlib.suppress(UserError):
        host, port = parse_address(text, "--peer")
        assert host
        assert 0 < port < 65536


# --- What people see ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("then", "said"),
    [
        (datetime(2024, 5, 15, 9, 10, tzinfo=UTC), "today 09:10"),
        (datetime(2024, 5, 14, 23, 50, tzinfo=UTC), "yesterday 23:50"),
        (datetime(2024, 5, 9, 0, 0, tzinfo=UTC), "Thursday 00:00"),
        (datetime(2024, 5, 8, 23, 50, tzinfo=UTC), "2024-05-08 23:50"),
        (datetime(2024, 5, 16, 0, 10, tzinfo=UTC), "2024-05-16 00:10"),
    ],
)
def test_times_are_said_as_people_say_them(then: datetime, said: str) -> None:
    assert show.coarse_time(int(then.timestamp()), NOON) == said


@given(st.text())
def test_plain_text_steers_nothing(text: str) -> None:
    kept = show.plain_lines(text)
    assert not any((ord(c) < 32 and c != "\n") or 0x7F <= ord(c) < 0xA0 for c in kept)
    kept.encode("utf-8")
    assert "\n" not in show.plain(text)


def test_an_answer_stands_below_what_it_answers_and_nothing_is_left_out() -> None:
    parents = {"a": None, "b": "a", "c": "elsewhere", "d": "b", "e": "a", "f": "c"}
    records = [{"id": id_, "parent": parent} for id_, parent in parents.items()]
    ordered = [(record["id"], depth) for record, depth in show.in_tree_order(records)]
    assert ordered == [("a", 0), ("b", 1), ("d", 2), ("e", 1), ("c", 0), ("f", 1)]


def test_a_very_deep_thread_is_no_trouble() -> None:
    records = [{"id": n, "parent": n - 1 if n else None} for n in range(5000)]
    assert [depth for _, depth in show.in_tree_order(records)] == list(range(5000))


# --- What a node tells its user -------------------------------------------------------------------


def status(**boards: dict[str, Any]) -> dict[str, Any]:
    blank = {"entries": 0, "peers": 0, "outbox": 0, "wanted": 0, "fetched": 0, "syncing": False}
    return {
        "running": True,
        "listening": "[::]:40123",
        "mdns": True,
        "boards": [
            {"name": name, "board_id": name} | blank | fields for name, fields in boards.items()
        ],
    }


def test_a_nodes_first_lines_say_where_it_listens_and_what_it_has() -> None:
    assert live.lines_between({}, status(lobby={"entries": 1})) == [
        "listening on [::]:40123",
        "finding others by mDNS",
        "board lobby: 1 entry stored",
    ]


@pytest.mark.parametrize(
    ("before", "after", "lines"),
    [
        ({"b": {}}, {"b": {}}, []),
        ({"b": {}}, {"b": {"entries": 7, "outbox": 1}}, []),
        ({"b": {}}, {"b": {"peers": 2}}, ["board b: linked with 2 peers"]),
        (
            {"b": {"peers": 1, "syncing": True}},
            {"b": {"peers": 1, "entries": 12}},
            ["board b: up to date, 12 entries"],
        ),
        ({"b": {"peers": 1, "syncing": True}}, {"b": {}}, ["board b: linked with 0 peers"]),
        ({"b": {}}, {}, ["board b: left"]),
        ({}, {"c": {}}, ["board c: 0 entries stored"]),
    ],
)
def test_lines_say_what_changed(before: Any, after: Any, lines: list[str]) -> None:
    assert live.lines_between(status(**before), status(**after)) == lines


def drawn(*arguments: Any, **options: Any) -> str:
    written = io.StringIO()
    Console(file=written, width=90).print(live.picture(*arguments, NOON, **options))
    return written.getvalue()


def test_the_live_view_shows_boards_progress_entries_and_warnings() -> None:
    record = {"board": "b", "name": "teal heron", "op": True, "time": 0, "id": "ab" * 32}
    record |= {"persona": "cd" * 32, "state": "shown", "text": "[red]words\x1b[2J"}
    syncing = {"peers": 3, "wanted": 75, "fetched": 25, "syncing": True}
    said = drawn(status(b=syncing), [record], ["the disk\nis full"])
    for part in ("[::]:40123", "mDNS on", "syncing", "25 of 100", "teal heron", "the disk is full"):
        assert part in said
    assert "[red]words" in said
    assert "\x1b" not in said


def test_only_a_node_that_stays_alone_is_given_advice() -> None:
    assert "nobody found yet" in drawn(status(b={}), [], [], is_lonely=True)
    assert "nobody found yet" not in drawn(status(b={"peers": 1}), [], [], is_lonely=True)
    assert "nobody found yet" not in drawn(status(b={}), [], [])


def test_a_warning_is_one_line_without_the_words_of_the_error() -> None:
    said: list[str] = []
    warnings = live.Warnings(said.append)
    try:
        raise ValueError("secret words")
    except ValueError:
        record = logging.LogRecord("n", logging.ERROR, "", 0, "call %s", ("a\nb",), sys.exc_info())
    warnings.emit(record)
    assert said == ["call a b: ValueError"] == [*warnings.lines]


def test_the_same_warning_again_says_nothing_new() -> None:
    said: list[str] = []
    warnings = live.Warnings(said.append)
    for line in ("the disk is full", "the disk is full", "no network", "the disk is full"):
        warnings.say(line)
    assert said == ["the disk is full", "no network", "the disk is full"]


# --- Real processes -------------------------------------------------------------------------------


def start(home: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "p2pboard", "--home", str(home), *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    )


FOLLOWING = ["read", "b", "--follow", "--json"]


@contextlib.contextmanager
def node(home: Path, *more: str) -> Iterator[subprocess.Popen[str]]:
    """A node on loopback that nobody else finds, once it answers."""
    with start(home, "run", "--no-mdns", "--listen", "127.0.0.1:0", *more) as running:
        try:
            assert running.stdout is not None
            assert running.stdout.readline().startswith("listening on 127.0.0.1:")
            yield running
        finally:
            running.kill()


@posix
def test_a_node_serves_its_commands_and_ends_in_order(line: Line) -> None:
    with node(line.home) as running:
        status = line.object("status")
        assert status["running"]
        assert status["listening"].startswith("127.0.0.1:")
        assert line.objects("peers") == []
        assert "once 4 nodes are there" in line.said("post", "lobby", "alone")
        assert "as soon as it has a peer" in line.said("post", "lobby", "now", "--anyway")
        first = line.post("while it runs")
        assert line.object("read", "b")["id"] == first["id"]
        line.said("create", "c", "--work-bits", "0")
        assert {board["name"] for board in line.object("status")["boards"]} >= {"b", "c"}
        assert "another node uses" in line.refused("run", "--no-mdns", status=1)
        with start(line.home, "read", "b", "--follow", "--json") as following:
            assert following.stdout is not None
            assert json.loads(following.stdout.readline())["id"] == first["id"]
            second = line.post("and more", "--reply", first["id"])
            assert json.loads(following.stdout.readline())["id"] == second["id"]
            running.send_signal(signal.SIGTERM)
            assert following.wait(20) == 1
        assert running.wait(20) == 0
        assert running.stderr is not None
        assert running.stderr.read() == ""
    assert Home(line.home).read_token() is None
    assert len(line.objects("read", "b")) == 2


@posix
def test_a_node_is_told_the_passphrase_and_its_commands_are_not(
    locked: Line, phrases: tuple[str, str]
) -> None:
    with node(locked.home, "--passphrase-file", phrases[0]) as running:
        for arguments in READING:
            locked.said(*arguments)
        first = locked.object("read", "b")
        assert list(first) == ENTRY_KEYS
        assert "once 4 nodes are there" in locked.said("post", "b", "while it runs")
        locked.said("block", "add", "b", "--word", "words")
        assert "hidden by rule" in locked.said("read", "b")
        assert "another node uses" in locked.refused(
            *("lock", "--remove", "--passphrase-file", phrases[0]), status=1
        )
        running.send_signal(signal.SIGTERM)
        assert running.wait(20) == 0


@posix
def test_a_port_that_is_taken_is_a_failure_of_one_line(line: Line, tmp_path: Path) -> None:
    with node(line.home):
        taken = line.object("status")["listening"]
        with start(tmp_path / "other", "run", "--no-mdns", "--listen", taken) as second:
            said, complaint = second.communicate(timeout=20)
    assert (second.returncode, said, len(complaint.splitlines())) == (1, "", 1)
    assert "--listen" in complaint


@posix
def test_after_a_kill_commands_do_without_the_node(line: Line) -> None:
    with node(line.home) as running:
        first = line.post("words")
        running.kill()
        running.wait()
        assert Home(line.home).read_token() is not None
        line.post("more words", "--reply", first["id"])
    assert [entry["text"] for entry in line.objects("read", "b")] == ["words", "more words"]


def test_commands_at_the_same_time_wait_for_each_other(line: Line) -> None:
    first = line.post("first")
    posting = [start(line.home, "post", "b", str(n), "--reply", first["id"]) for n in range(3)]
    assert [process.wait(20) for process in posting] == [0, 0, 0]
    assert [entry["seq"] for entry in line.objects("read", "b")] == [0, 1, 2, 3]
    for process in posting:
        process.communicate()


@posix
def test_an_entry_goes_from_home_to_home_and_comes_back_shown(line: Line, tmp_path: Path) -> None:
    other = Line(tmp_path / "other")
    other.said("join", line.said("invite", "b").strip())
    posted = line.post("words", "--anyway")
    with node(line.home):
        there = line.object("status")["listening"]
        with node(other.home, "--peer", there), start(other.home, *FOLLOWING) as following:
            assert following.stdout is not None
            entry = json.loads(following.stdout.readline())
            assert (entry["id"], entry["state"]) == (posted["id"], "shown")
            said = line.said("post", "b", "more words", "--anyway")
            assert "goes out among the cells of everybody" in said
            following.kill()
            with start(line.home, *FOLLOWING) as ours:
                assert ours.stdout is not None
                lines = iter(lambda: json.loads(ours.stdout.readline()), None)
                states = (entry["state"] for entry in lines if entry["text"] == "more words")
                assert next(state for state in states if state != "outbox") == "shown"
                ours.kill()


@posix
def test_a_reader_that_goes_away_gets_no_traceback(line: Line) -> None:
    for number in range(3):
        line.post(str(number))
    with start(line.home, "read", "b", "--json") as reading:
        assert reading.stdout is not None
        assert reading.stderr is not None
        reading.stdout.close()
        reading.wait(20)
        assert "Traceback" not in reading.stderr.read()
