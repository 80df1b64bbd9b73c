"""The check as a whole."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

import p2pboard.draft
from p2pboard.draft import OwnText, review_draft
from p2pboard.draft.findings import settle
from tests.p2pboard.draft.people import ANNA, found_in, words_of
from tests.p2pboard.draft.test_folding import ANY_TEXT

#: What the check looks for, so that chance puts it together in ways that nobody thinks of.
PIECES = st.sampled_from(
    [
        *(
            "Anna",
            "Müller",
            "amuster",
            "@",
            "example.org",
            "https://",
            "?user=",
            "utm_x=",
            "&",
            "#",
        ),
        *("/home/", "C:\\Users\\", "~", "+49", "0171", "1234567", "4111", "DE89", "192.168.7.20"),
        *("a1:b2:", "::", "[at]", "[dot]", "(", ")", "-", "/", ".", " ", "\n", "> ", "\u200b", "ü"),
        *("p2pboard:", "abcdefghijklmnopqrstuvwxyz", "\u0308", "王小明", "\ud800", "=", "%", ":"),
    ]
)


def test_a_plain_text_has_nothing() -> None:
    assert found_in("Who else thinks the new shift plan is madness? I do, since Tuesday.") == []


def test_all_that_is_there_is_told_in_the_order_of_the_text() -> None:
    text = "Lena (bob@x.example, 0171 1234567) has /home/bob on pc0142"
    assert found_in(text) == [
        ("full-name", "Lena"),
        ("email", "bob@x.example"),
        ("phone", "0171 1234567"),
        ("home-path", "/home/bob"),
        ("host-name", "pc0142"),
    ]


@given(st.one_of(ANY_TEXT, st.lists(PIECES, max_size=30).map("".join)), ANY_TEXT)
def test_any_text_can_be_reviewed_and_all_spans_are_in_it(text: str, earlier: str) -> None:
    found = review_draft(text, ANNA, [OwnText("00", earlier), OwnText("01", text)])
    assert found == settle(found)
    for finding in found:
        assert words_of(finding, text)
        assert finding.why
        assert "\n" not in finding.why


@given(st.lists(PIECES, max_size=30).map("".join))
def test_a_review_is_the_same_each_time(text: str) -> None:
    assert review_draft(text, ANNA) == review_draft(text, ANNA)


def test_reasons_are_one_plain_sentence() -> None:
    text = "Lena bob@x.example 0171 1234567 /home/bob pc0142 https://x.example/?user=a 192.168.7.20"
    for finding in review_draft(text, ANNA):
        assert re.fullmatch(r"this [^.\n]{10,90}", finding.why)


def test_the_modules_import_only_what_stands_before_them() -> None:
    table = re.search(r"^    ((?:\w+ ?|\| ?)+)$", p2pboard.draft.__doc__ or "", re.M)
    assert table is not None
    levels = [level.split() for level in table[1].split("|")]
    before: set[str] = set()
    folder = Path(p2pboard.draft.__file__).parent
    modules = {path.stem for path in folder.glob("*.py")} - {"__init__"}
    assert sorted(name for level in levels for name in level) == sorted(modules)
    for level in levels:
        for name in level:
            tree = ast.parse((folder / f"{name}.py").read_text("utf-8"))
            imported = {
                (node.module or "").rpartition(".")[2]
                for node in ast.walk(tree)
                if isinstance(node, ast.ImportFrom) and "p2pboard.draft" in (node.module or "")
            }
            assert imported <= before, name
        before |= set(level)
