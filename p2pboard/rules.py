"""Block rules: what this node's user does not want to see, or to keep.

A rule names a persona, an entry, a thread or a word, and either *hides* (shown collapsed, with the
reason) or *purges* (the payload is deleted, and refused for as long as the rule is there). Rules
are local and reversible: after a rule is gone, peers are asked for what it had purged. Nobody else
learns of them, but for a purged payload that this node no longer has.

Words are compared on *normalised* text, because blocked words come back dressed up: compatibility
forms folded (NFKC: full-width letters, ligatures), case folded, characters that can't be seen
taken out, runs of blanks made one. A word matches at word borders only, or "ass" would hide
"passage"; scripts that are written without blanks have no such borders, and there it matches
anywhere.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import blake2b
from typing import Literal, get_args

from p2pboard.errors import UserError

RuleKind = Literal["persona", "entry", "thread", "word"]
RuleAction = Literal["hide", "purge"]

WORD_CHARACTERS_MAX = 200
REASON_CHARACTERS_MAX = 200

_HEX_KEY = re.compile(r"[0-9a-f]{64}")
#: Shown by nothing, and yet not of Unicode's category Cf: the grapheme joiner, Hangul fillers,
#: Khmer's inherent vowels, the variation selectors.
_UNSEEN = re.compile("[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\ufe00-\ufe0f\uffa0]")
#: Written without blanks between words (Thai to Tibetan, Myanmar, Khmer, kana, Han), or with
#: endings stuck to them (Hangul): first and last code point of the blocks.
_UNSPACED = (
    (0x0E00, 0x0FFF),
    (0x1000, 0x109F),
    (0x1100, 0x11FF),
    (0x1780, 0x17FF),
    (0x2E80, 0x9FFF),
    (0xA960, 0xA97F),
    (0xAC00, 0xD7FF),
    (0xF900, 0xFAFF),
    (0x1B000, 0x1B16F),
    (0x20000, 0x3FFFF),
)


@dataclass(frozen=True, slots=True)
class Rule:
    """One block rule; checked at construction.

    :param id: what the user calls it by; "" lets the store choose (:func:`rule_id`).
    :param kind: what ``value`` names.
    :param value: a public key or an id (64 hex digits), or a word or phrase.
    :param action: whether what matches is hidden or purged.
    :param reason: the user's, shown as the "why"; may be empty.
    :param created: when it was made, in ten-minute steps since 1970.
    :raises UserError: where a field is out of its bounds.
    """

    id: str
    kind: RuleKind
    value: str
    action: RuleAction = "hide"
    reason: str = ""
    created: int = 0

    def __post_init__(self) -> None:
        if self.kind not in get_args(RuleKind):
            raise UserError(
                "a rule is on a persona, an entry, a thread or a word: name one of these"
            )
        if self.action not in get_args(RuleAction):
            raise UserError("a rule hides or purges: choose one of these")
        if len(self.reason) > REASON_CHARACTERS_MAX:
            raise UserError(f"the reason is too long: at most {REASON_CHARACTERS_MAX} characters")
        if self.kind == "word":
            _check_word(self.value)
        elif not _HEX_KEY.fullmatch(self.value):
            raise UserError(f"a rule on a {self.kind} takes its whole id: 64 digits of 0-9 and a-f")


def _check_word(word: str) -> None:
    if not normalise(word):
        raise UserError("nothing of that word can be seen: give one with letters")
    if len(word) > WORD_CHARACTERS_MAX:
        raise UserError(f"the word is too long: at most {WORD_CHARACTERS_MAX} characters")


def rule_id(rule: Rule, length: int = 6) -> str:
    """A short name that follows from what the rule is on: a second rule on the same takes the
    place of the first. Hex, up to 64 digits, fewer being a prefix of more."""
    value = normalise(rule.value) if rule.kind == "word" else rule.value
    digest = blake2b(f"{rule.kind} {value}".encode(errors="replace"), digest_size=32)
    return digest.hexdigest()[:length]


def normalise(text: str) -> str:
    """``text`` as rules compare it."""
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    seen = "".join(c for c in _UNSEEN.sub("", folded) if unicodedata.category(c) != "Cf")
    # Once more: what stood apart only by an unseen character may compose now.
    return " ".join(unicodedata.normalize("NFKC", seen).split())


def is_unseen(character: str) -> bool:
    """Whether nobody would see that it is there: joiners, direction marks, fillers."""
    return unicodedata.category(character) == "Cf" or _UNSEEN.match(character) is not None


def is_unspaced(character: str) -> bool:
    """Whether its script is written without blanks between words."""
    return any(first <= ord(character) <= last for first, last in _UNSPACED)


def _is_joined(inner: str, outer: str) -> bool:
    """Whether ``outer`` continues the word that ``inner`` is the edge of."""
    return (
        unicodedata.category(outer)[0] in "LMN"
        and unicodedata.category(inner)[0] in "LMN"
        and not is_unspaced(inner)
        and not is_unspaced(outer)
    )


def has_word(text: str, word: str) -> bool:
    """Whether ``word`` stands in ``text``, both normalised, at word borders where there are any."""
    start = text.find(word)
    while start >= 0:
        end = start + len(word)
        is_begun = start == 0 or not _is_joined(word[0], text[start - 1])
        is_ended = end == len(text) or not _is_joined(word[-1], text[end])
        if is_begun and is_ended:
            return True
        start = text.find(word, start + 1)
    return False


class Matcher:
    """Rules, made ready to be asked often."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        self._by_key: dict[tuple[str, bytes], Rule] = {}
        self._words: list[tuple[str, Rule]] = []
        for rule in rules:
            if rule.kind == "word":
                self._words.append((normalise(rule.value), rule))
            else:
                self._by_key[rule.kind, bytes.fromhex(rule.value)] = rule

    def __bool__(self) -> bool:
        return bool(self._by_key or self._words)

    @property
    def has_words(self) -> bool:
        """Whether the text matters at all."""
        return bool(self._words)

    def match(
        self, persona: bytes, entry_id: bytes, thread: bytes, text: str | None
    ) -> Rule | None:
        """The rule that an entry falls under, the one that says most about it: on the entry, its
        thread, its persona, a word; None where there is none. ``text`` is None where it is not
        there."""
        by_key = self._by_key
        if by_key:
            for key in (("entry", entry_id), ("thread", thread), ("persona", persona)):
                if key in by_key:
                    return by_key[key]
        return self._match_words(text) if text and self._words else None

    def _match_words(self, text: str) -> Rule | None:
        normalised = normalise(text)
        return next((rule for word, rule in self._words if has_word(normalised, word)), None)


def compile_rules(rules: Iterable[Rule]) -> Matcher:
    """A matcher of ``rules``."""
    return Matcher(rules)
