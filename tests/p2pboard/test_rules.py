"""Which rule an entry falls under."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2pboard.errors import UserError
from p2pboard.rules import Matcher, Rule, compile_rules, has_word, normalise, rule_id

KEY, ID, THREAD = bytes([1]) * 32, bytes([2]) * 32, bytes([3]) * 32


def word_rule(word: str) -> Rule:
    return Rule("r", "word", word)


def is_blocked(word: str, text: str) -> bool:
    return Matcher([word_rule(word)]).match(KEY, ID, THREAD, text) is not None


@pytest.mark.parametrize(
    "rule",
    [
        Rule("a", "persona", KEY.hex()),
        Rule("b", "entry", ID.hex()),
        Rule("c", "thread", THREAD.hex()),
        Rule("d", "word", "spam"),
    ],
)
def test_each_kind_matches_its_own_and_nothing_else(rule: Rule) -> None:
    matcher = compile_rules([rule])
    assert matcher.match(KEY, ID, THREAD, "some spam") == rule
    assert matcher.match(ID, THREAD, KEY, "some ham") is None
    assert matcher.match(ID, THREAD, KEY, None) is None


def test_a_rule_on_an_entry_hides_it_only_and_one_on_a_thread_all_of_it() -> None:
    entry, thread = Rule("b", "entry", ID.hex()), Rule("c", "thread", ID.hex())
    assert Matcher([entry]).match(KEY, THREAD, ID, None) is None
    assert Matcher([thread]).match(KEY, THREAD, ID, None) == thread
    assert Matcher([thread]).match(KEY, ID, ID, None) == thread


def test_the_rule_that_says_most_is_named() -> None:
    rules = [
        Rule("d", "word", "spam"),
        Rule("a", "persona", KEY.hex()),
        Rule("c", "thread", THREAD.hex()),
        Rule("b", "entry", ID.hex()),
    ]
    for left_out in range(4, 0, -1):
        found = Matcher(rules[:left_out]).match(KEY, ID, THREAD, "spam")
        assert found == rules[left_out - 1]


def test_no_rules_are_false_and_match_nothing() -> None:
    assert not Matcher([])
    assert Matcher([]).match(KEY, ID, THREAD, "spam") is None
    assert Matcher([word_rule("spam")]).has_words


@pytest.mark.parametrize(
    ("word", "text"),
    [
        ("spam", "SPAM"),
        ("spam", "ｓｐａｍ"),
        ("spam", "s\u200bp\u2060a\ufe0fm"),
        ("spam", "\u202espam\u202c"),
        ("spam", "s\u00adpam"),
        ("straße", "STRASSE"),
        ("café", "cafe\u0301!"),
        ("ﬁne", "fine"),
        ("buy now", "please BUY \n\t now."),
        ("spam", "spam-spam"),
        ("spam", "spam_x"),
        ("c++", "I like c++!"),
        ("spam", "买spam吗"),
        ("广告", "这是广告吗"),
        ("สแปม", "นี่คือสแปมนะ"),
        ("スパム", "これはｽﾊﾟﾑだ"),
        ("스팸", "스팸은 싫다"),
        ("नमस्ते", "नमस्ते दुनिया"),
        ("спам", "это СПАМ."),
    ],
)
def test_a_word_is_found_however_it_is_dressed_up(word: str, text: str) -> None:
    assert is_blocked(word, text)


@pytest.mark.parametrize(
    ("word", "text"),
    [
        ("ass", "passage"),
        ("ass", "assess"),
        ("ass", "class"),
        ("spam", "spam1"),
        ("cafe", "café"),
        ("नम", "नमस्ते"),
        ("buy now", "buy it now"),
        ("спам", "спамер"),
        ("广告", "广而告之"),
    ],
)
def test_a_part_of_a_word_is_not_the_word(word: str, text: str) -> None:
    assert not is_blocked(word, text)


def test_a_word_is_found_after_a_place_where_it_is_only_a_part() -> None:
    assert is_blocked("ass", "passage, ass")


@given(st.text(), st.text(min_size=1, max_size=8))
def test_a_word_set_off_by_blanks_is_always_found(text: str, word: str) -> None:
    if normalise(word):
        assert has_word(normalise(f"{text} {word} {text}"), normalise(word)) or not normalise(
            f"x {word}"
        ).endswith(normalise(word))


@given(st.text())
def test_normalising_twice_changes_nothing(text: str) -> None:
    assert normalise(normalise(text)) == normalise(text)


@pytest.mark.parametrize(
    ("kind", "value", "action"),
    [
        ("persona", "12", "hide"),
        ("entry", "G" * 64, "hide"),
        ("thread", KEY.hex().upper() + "0", "hide"),
        ("word", "", "hide"),
        ("word", " \u200b\ufe0f", "hide"),
        ("word", "a" * 201, "hide"),
        ("smell", "a", "hide"),
        ("word", "a", "burn"),
    ],
)
def test_a_rule_out_of_bounds_is_one_line(kind: str, value: str, action: str) -> None:
    with pytest.raises(UserError) as caught:
        Rule("", kind, value, action)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value) and ":" in str(caught.value)
    assert caught.value.exit_status == 2


def test_a_reason_has_a_bound() -> None:
    with pytest.raises(UserError, match="200"):
        Rule("", "word", "a", reason="x" * 201)


def test_an_id_follows_from_what_the_rule_is_on_and_nothing_else() -> None:
    rule = Rule("", "word", "Spam", "hide", "tired", 1)
    assert rule_id(rule) == rule_id(Rule("x", "word", "ｓｐａｍ", "purge", "", 2))
    assert rule_id(rule) != rule_id(Rule("", "word", "spa"))
    assert rule_id(Rule("", "entry", ID.hex())) != rule_id(Rule("", "thread", ID.hex()))
    assert len(rule_id(rule)) == 6 and rule_id(rule, 64).startswith(rule_id(rule))
