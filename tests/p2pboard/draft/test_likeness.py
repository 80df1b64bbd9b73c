"""Passages that were posted before: the same letters, or nearly the same words."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from bench.draft import LENGTHS, error_rates
from bench.writers import TOPICS, Writer, reworked
from p2pboard.draft import Finding, OwnText
from p2pboard.draft.folding import fold_bare
from p2pboard.draft.likeness import (
    OWN_CHARACTERS_MAX,
    RUN_LETTERS_LEAST,
    WINDOW_CHARACTERS,
    find_likeness,
)
from tests.p2pboard.draft.people import words_of
from tests.p2pboard.draft.test_folding import ANY_TEXT

RUN = "thequickbrownfoxjumpsoverthelazydog"
LETTERS = st.text("abcdefghijklmnopqrstuvwxyz", max_size=60)


def alike(text: str, *own: str) -> list[Finding]:
    texts = [OwnText(f"{number:064x}", earlier) for number, earlier in enumerate(own)]
    found = list(find_likeness(fold_bare(text), texts))
    assert all(words_of(finding, text) for finding in found)
    return found


def a_post(seed: int, characters: int = 600) -> str:
    return Writer(seed).post(seed % TOPICS, characters, Random(seed))


# --- The same letters -----------------------------------------------------------------------------


@given(LETTERS, LETTERS, LETTERS, LETTERS, st.integers(RUN_LETTERS_LEAST, len(RUN)))
def test_a_run_of_letters_is_found_wherever_it_stands(
    before: str, after: str, there_before: str, there_after: str, length: int
) -> None:
    run = RUN[:length]
    text = f"{before} {run} {after}"
    found = alike(text, f"{there_before} {run} {there_after}")
    start = len(before) + 1
    assert any(f.start <= start and start + length <= f.end for f in found if f.kind == "repeats")


def test_a_shorter_run_is_chance() -> None:
    text = f"1 {RUN[: RUN_LETTERS_LEAST - 1]} 2"
    assert alike(text, f"3 {RUN[: RUN_LETTERS_LEAST - 1]} 4") == []


def test_the_run_is_marked_and_the_post_is_named() -> None:
    text = "Well. “Who ELSE thinks the Plan is mädness?!”"
    (finding,) = alike(text, "nothing", "Hm, who else thinks, the plan is -- madness")
    assert words_of(finding, text) == "Who ELSE thinks the Plan is mädness"
    assert finding.why.startswith("your own post 000000000000 has the same words")


def test_of_several_posts_with_the_same_words_the_newest_is_named() -> None:
    texts = [OwnText("aa" * 32, RUN), OwnText("bb" * 32, RUN)]
    (finding,) = find_likeness(fold_bare(RUN), texts)
    assert "aaaaaaaaaaaa" in finding.why


def test_what_is_quoted_is_somebody_elses() -> None:
    assert alike(f"> {RUN}\nyes", RUN) == []
    assert alike(RUN, f"see:\n > {RUN}\nno") == []


@pytest.mark.parametrize("text", ["x" * 8000, "ha" * 500, "1, 2, 3, " * 100, "-" * 500])
def test_a_run_of_few_different_letters_is_chance(text: str) -> None:
    assert alike(text, *[text] * 50) == []


def test_a_pattern_that_goes_on_and_on_is_one_finding() -> None:
    text = "abcdefghijklm " * 500
    kinds = [finding.kind for finding in alike(text, *[text] * 50)]
    assert kinds == ["repeats"]


@pytest.mark.parametrize(("characters", "kinds"), [(7, []), (8, ["repeats"])])
def test_a_character_of_a_dense_script_says_as_much_as_three_letters(
    characters: int, kinds: list[str]
) -> None:
    run = "新的排班計劃真是瘋狂"[:characters]
    assert [f.kind for f in alike(f"誰還覺得{run}？", f"我認為{run}。")] == kinds


# --- Nearly the same words ------------------------------------------------------------------------


@pytest.mark.parametrize("characters", LENGTHS)
def test_what_was_reworked_is_told_and_what_others_wrote_is_not(characters: int) -> None:
    """The figures of docs/draft.md, with some room for the few pairs."""
    rates = error_rates(characters, 60)
    assert rates["another writer, another topic"] <= 0.05
    assert rates["another writer, same topic"] <= 0.07
    assert rates["reworked, 3 words of 10"] >= 0.95
    assert rates["reworked, 6 words of 10"] >= 0.6


def test_a_reworked_passage_is_found_in_a_long_text_and_marked() -> None:
    earlier = a_post(1, WINDOW_CHARACTERS)
    passage = reworked(earlier, 0.2, Random(1))
    before = a_post(2, 3000)
    text = f"{before}\n{passage}\n{a_post(3, 3000)}"
    found = [f for f in alike(text, earlier) if f.kind == "resembles"]
    start = len(before) + 1
    end = start + len(passage)
    assert found
    covered = sum(max(0, min(f.end, end) - max(f.start, start)) for f in found)
    assert covered > 0.7 * len(passage)
    assert all(f.start > start - WINDOW_CHARACTERS for f in found)
    assert all(f.end < end + WINDOW_CHARACTERS for f in found)


def test_a_few_words_resemble_nothing() -> None:
    assert alike("who took my cup?", "who took the cup?") == []


# --- Any text -------------------------------------------------------------------------------------


@given(ANY_TEXT, ANY_TEXT)
def test_any_two_texts_can_be_compared(text: str, other: str) -> None:
    alike(text, other, text)


@given(st.text(min_size=40))
def test_a_text_of_some_length_is_like_itself(text: str) -> None:
    letters = [character for character in fold_bare(text).text if character.isalnum()]
    assume(len(letters) >= RUN_LETTERS_LEAST and len(set(letters)) >= 8 and ">" not in text)
    assert alike(text, text)


def test_there_is_an_end_to_what_is_compared() -> None:
    assert alike(RUN, "x" * (OWN_CHARACTERS_MAX - len(RUN)), RUN) != []
    assert alike(RUN, "x" * OWN_CHARACTERS_MAX, RUN) == []
