"""The warnings of ``p2pboard post``: told, marked, and decided by the writer."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from p2pboard.cli import warnings
from p2pboard.cli.show import console
from p2pboard.draft import Identity
from p2pboard.errors import Failure
from tests.p2pboard.test_cli import Line

TELLING = "ask amuster, or bob@example.org"
WARNINGS = [
    {"kind": "user-name", "start": 4, "end": 11, "why": "this is your user name on this machine"},
    {"kind": "email", "start": 16, "end": 31, "why": "this is somebody's e-mail address"},
]


@pytest.fixture
def line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Line:
    monkeypatch.setattr("p2pboard.actions.read_identity", lambda: Identity(users=("amuster",)))
    made = Line(tmp_path / "home")
    made.said("create", "b", "--work-bits", "0")
    return made


def texts(line: Line) -> list[str]:
    return [entry["text"] for entry in line.objects("read", "b")]


# --- Where nobody can be asked --------------------------------------------------------------------


def refused(line: Line, *arguments: str, stdin: str | None = None) -> Result:
    result = line("post", "b", *arguments, stdin=stdin)
    assert result.exit_code == 1, (result.stdout, result.stderr)
    assert texts(line) == []
    return result


@pytest.mark.parametrize(
    ("arguments", "stdin"), [([TELLING], None), (["-"], TELLING + "\n"), ([], TELLING + "\n")]
)
def test_a_telling_text_is_refused_with_a_line_for_each_warning(
    line: Line, arguments: list[str], stdin: str | None
) -> None:
    result = refused(line, *arguments, stdin=stdin)
    assert result.stdout == ""
    assert result.stderr.splitlines() == [
        "4-11 user-name 'amuster': this is your user name on this machine",
        "16-31 email 'bob@example.org': this is somebody's e-mail address",
        "p2pboard: not posted, for what could tell who wrote it (2, above): change it, or post it"
        " all the same with --anyway",
    ]


def test_scripts_get_the_warnings_as_an_object(line: Line) -> None:
    result = refused(line, TELLING, "--json")
    told = json.loads(result.stdout)
    assert (list(told), told["warnings"]) == (["warnings", "crowd"], WARNINGS)


def test_a_script_is_never_asked(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("p2pboard.cli.posts.has_terminal", lambda: True)
    refused(line, TELLING, "--json", stdin="y\n")


def test_anyway_posts_it_without_a_word(line: Line) -> None:
    result = line("post", "b", TELLING, "--anyway")
    assert (result.exit_code, result.stderr) == (0, "")
    assert texts(line) == [TELLING]


def test_anyway_tells_scripts_what_there_was(line: Line) -> None:
    posted = line.post(TELLING, "--anyway")
    assert list(posted) == ["id", "thread", "persona", "state", "crowd", "warnings"]
    assert posted["warnings"] == WARNINGS


@pytest.mark.parametrize("anyway", [[], ["--anyway"]])
def test_without_warnings_the_object_is_as_ever(line: Line, anyway: list[str]) -> None:
    assert list(line.post("words", *anyway)) == ["id", "thread", "persona", "state", "crowd"]


def test_a_wrong_use_is_said_before_any_warning(line: Line) -> None:
    assert "p2pboard read b" in line.refused("post", "b", TELLING, "--reply", "ff")


@pytest.mark.usefixtures("cheap_passphrases")
def test_a_passphrase_is_asked_for_once(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = line.home / "passphrase"
    secret.write_text("a long passphrase\n")
    line.said("lock", "--new-passphrase-file", str(secret))
    monkeypatch.setattr("p2pboard.cli.passphrase.can_ask", lambda: True)
    result = line("post", "b", "words", stdin="a long passphrase\n")
    assert result.exit_code == 0
    assert result.stderr.count("Passphrase") == 1


# --- Where somebody can be asked ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "status", "posted"),
    [("y\n", 0, [TELLING]), ("n\n", 1, []), ("\n", 1, []), ("", 130, [])],
)
def test_the_writer_decides(
    line: Line, answer: str, status: int, posted: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("p2pboard.cli.posts.has_terminal", lambda: True)
    result = line("post", "b", TELLING, stdin=answer)
    assert result.exit_code == status
    assert texts(line) == posted
    assert "Post it all the same? [y/N]" in result.stderr
    assert "Post it" not in result.stdout


def marked(text: str, *found: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> list[str]:
    warnings._print_marked(console(stderr=True), text, found)
    return capsys.readouterr().err.splitlines()


def test_each_place_is_shown_on_its_line_and_marked(capsys: pytest.CaptureFixture[str]) -> None:
    text = "before\nmy 王小明 is\tamuster and nobody else at all is so or was ever\nafter"
    start = text.index("amuster")
    found = {"kind": "user-name", "start": start, "end": start + 7, "why": "because"}
    shown, underline, why, blank = marked(text, found, capsys=capsys)
    assert shown == "  my 王小明 is amuster and nobody else at all …"
    assert underline.strip() == "^" * 7
    assert cell_len(underline) == cell_len(shown[: shown.index("amuster") + 7])
    assert (why, blank) == ("  because", "")


def test_a_long_place_is_shown_by_its_ends(capsys: pytest.CaptureFixture[str]) -> None:
    text = f"a{'b' * 3000}c"
    found = {"kind": "resembles", "start": 0, "end": len(text), "why": "because"}
    shown, *_ = marked(text, found, capsys=capsys)
    assert re.fullmatch(r"  ab{29} … b{29}c", shown)


def test_of_very_many_warnings_the_first_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    found = [{"kind": "email", "start": n, "end": n + 1, "why": "because"} for n in range(100)]
    lines = marked("x" * 100, *found, capsys=capsys)
    assert lines.count("  because") == 20
    assert lines[-1] == "  (and 80 more)"


@given(st.text(), st.data())
def test_nothing_of_a_text_steers_the_terminal(text: str, data: st.DataObject) -> None:
    text = f"{text}\x1b[2J\u202e"
    start = data.draw(st.integers(0, len(text) - 1))
    end = data.draw(st.integers(start + 1, len(text)))
    found = {"kind": "email", "start": start, "end": end, "why": "because"}
    out = console()
    with out.capture() as capture:
        warnings._print_marked(out, text, [found])
    assert not set(capture.get()) & {"\x1b", "\x9b", "\r", "\u202e"}
    assert "\x1b" not in warnings._line(text, found)
    assert "\n" not in warnings._line(text, found)


def test_without_a_terminal_it_fails_at_once() -> None:
    with pytest.raises(Failure, match="--anyway"):
        warnings.decide(TELLING, WARNINGS, can_ask=False)


@pytest.mark.skipif(sys.platform == "win32", reason="terminals are POSIX's")
@pytest.mark.parametrize(("answer", "status"), [(b"n\n", 1), (b"y\n", 0)])
def test_a_real_terminal_is_asked(line: Line, answer: bytes, status: int) -> None:
    import pty

    ours, theirs = pty.openpty()
    try:
        posting = subprocess.Popen(
            [sys.executable, "-m", "p2pboard", "--home", str(line.home), "post", "b", TELLING],
            stdin=theirs,
            stdout=subprocess.PIPE,
            stderr=theirs,
        )
        os.close(theirs)
        shown = b""
        while b"[y/N]" not in shown:
            shown += os.read(ours, 4096)
        os.write(ours, answer)
        out, _ = posting.communicate()
    finally:
        os.close(ours)
    assert b"bob@example.org" in shown
    assert posting.returncode == status
    assert (b"'p2pboard run' sends it out" in out) == (status == 0)
