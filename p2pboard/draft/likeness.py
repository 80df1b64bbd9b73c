"""Passages of a draft that are like what this node has posted under another persona.

Two comparisons, both on the letters and digits of the bare texts, quoted lines (``>``) left out:

- *repeats*: a run of letters that stands in the earlier text, too. Found as rsync finds blocks: the
  earlier text is cut into blocks of half the least run, one of which lies in each run whole.
- *resembles*: windows of both texts that share many of their character 4-grams (the cosine of the
  sets): what was said before with some words changed or moved.

Neither knows a writer by their style. That was tried and measured, and n-grams can't do it on texts
of this length: docs/draft.md has the figures, and those that the constants here come from.
"""

from __future__ import annotations

import re
import struct
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from math import sqrt

from p2pboard.draft.findings import Finding
from p2pboard.draft.folding import Folded, bare_text

#: Two texts of different people never shared so many letters in a row, in thousands of pairs.
RUN_LETTERS_LEAST = 24
#: "aaaaa" and "1, 2, 3" are shared by chance.
_RUN_VARIETY_LEAST = 8
_BLOCK_LETTERS = RUN_LETTERS_LEAST // 2
#: Places at which one block may stand in a draft; more are a pattern, not a text. Guess.
_PLACES_MAX = 8
#: Some five lines: shorter windows are alike by chance, in longer ones a reworked sentence drowns.
WINDOW_CHARACTERS = 400
_STEP_CHARACTERS = WINDOW_CHARACTERS // 2
GRAM_CHARACTERS = 4
#: Fewer different n-grams say nothing; some two lines have so many.
GRAMS_LEAST = 60
#: The cosine from which on two windows are alike.
LIKENESS_LEAST = 0.35
#: A window has far fewer n-grams than fit into such a lane.
_LANE_BITS = 16
#: So much of the own texts is compared, so that nobody waits for it: some 70 ms of work. Guess.
OWN_CHARACTERS_MAX = 200_000
#: A post is named by so much of its id, as in listings.
_ID_DIGITS = 12

_OTHER = re.compile(r"[\W_]+")
_QUOTED = re.compile(r"^[ \t]*>.*$", re.MULTILINE)
#: Kana, Han, Hangul: a character of these says as much as some three letters of an alphabet.
_DENSE = re.compile("[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7a3\U00020000-\U0003ffff]")
_DENSITY = 3


@dataclass(frozen=True, slots=True)
class OwnText:
    """What this node has posted.

    :ivar id: the entry's, hex.
    """

    id: str
    text: str


@dataclass(frozen=True, slots=True)
class _Words:
    """A text in words, one blank between them.

    :ivar places: of each character in the bare text.
    """

    text: str
    places: Sequence[int]


def find_likeness(bare: Folded, own: Sequence[OwnText]) -> Iterator[Finding]:
    """Passages of a text (:func:`~p2pboard.draft.folding.fold_bare`) that are in one of ``own``,
    or like it. Where several are alike, the first of them is named: so the newest come first. What
    comes after :data:`OWN_CHARACTERS_MAX` characters is not looked at."""
    earlier = list(_bounded(own))
    draft = _densely(_words_with_places(bare.text))
    yield from _find_repeats(bare, _without_blanks(draft), earlier)
    yield from _find_resembling(bare, draft, earlier)


def _bounded(own: Iterable[OwnText]) -> Iterator[tuple[str, str]]:
    """The names and the words of the first texts, so many that they are compared in no time."""
    total = 0
    for text in own:
        words = _dense(_words_of(text.text))
        total += max(len(text.text), len(words))
        if total > OWN_CHARACTERS_MAX:
            return
        yield text.id[:_ID_DIGITS], words


# --- The form of texts that is compared -----------------------------------------------------------


def _words_of(text: str) -> str:
    return _OTHER.sub(" ", bare_text(_QUOTED.sub("", text)))


def _dense(words: str) -> str:
    return words if words.isascii() else _DENSE.sub(lambda match: match[0] * _DENSITY, words)


def _words_with_places(bare: str) -> _Words:
    unquoted = _QUOTED.sub(lambda match: " " * len(match[0]), bare)
    characters: list[str] = []
    places: list[int] = []
    last = 0
    for other in _OTHER.finditer(unquoted):
        characters.append(unquoted[last : other.start()] + " ")
        places += range(last, other.start() + 1)
        last = other.end()
    return _Words("".join(characters) + unquoted[last:], [*places, *range(last, len(unquoted))])


def _densely(words: _Words) -> _Words:
    if words.text.isascii():
        return words
    times = [_DENSITY if _DENSE.match(character) else 1 for character in words.text]
    places = [p for p, count in zip(words.places, times, strict=True) for _ in range(count)]
    return _Words(_dense(words.text), places)


def _without_blanks(words: _Words) -> _Words:
    places = [p for p, character in zip(words.places, words.text, strict=True) if character != " "]
    return _Words(words.text.replace(" ", ""), places)


# --- The same letters -----------------------------------------------------------------------------


def _find_repeats(
    bare: Folded, draft: _Words, earlier: Iterable[tuple[str, str]]
) -> Iterator[Finding]:
    blocks = _blocks_of(draft.text)
    found: list[tuple[int, int]] = []
    for name, words in earlier:
        for start, end in _runs(draft.text, blocks, words.replace(" ", ""), found):
            why = f"your own post {name} has the same words, so both can be told to be yours"
            first, last = draft.places[start], draft.places[end - 1]
            yield Finding("repeats", *bare.span(first, last + 1), why)


def _blocks_of(text: str) -> dict[str, list[int]]:
    """Where each block stands in a text."""
    places: dict[str, list[int]] = defaultdict(list)
    for start in range(len(text) - _BLOCK_LETTERS + 1):
        known = places[text[start : start + _BLOCK_LETTERS]]
        if len(known) < _PLACES_MAX:
            known.append(start)
    return places


def _runs(
    draft: str, blocks: dict[str, list[int]], earlier: str, found: list[tuple[int, int]]
) -> Iterator[tuple[int, int]]:
    """Runs of ``draft`` that stand in ``earlier``, those left out that are in ``found``, to which
    they are added."""
    for there in range(0, len(earlier) - _BLOCK_LETTERS + 1, _BLOCK_LETTERS):
        for here in blocks.get(earlier[there : there + _BLOCK_LETTERS], ()):
            if any(start <= here < end for start, end in found):
                continue
            start, end = _widened(draft, here, earlier, there)
            if end - start >= RUN_LETTERS_LEAST:
                # Noted in any case: what is found again and again is then found in no time.
                found.append((start, end))
                if _is_varied(draft[start:end]):
                    yield start, end


def _widened(draft: str, here: int, earlier: str, there: int) -> tuple[int, int]:
    """The longest run around the places in both where they have the same letter."""
    before = 0
    while before < min(here, there) and draft[here - before - 1] == earlier[there - before - 1]:
        before += 1
    after = 0
    most = min(len(draft) - here, len(earlier) - there)
    while after < most and draft[here + after] == earlier[there + after]:
        after += 1
    return here - before, here + after


def _is_varied(run: str) -> bool:
    return len(set(run)) >= _RUN_VARIETY_LEAST


# --- Nearly the same words ------------------------------------------------------------------------


def _find_resembling(
    bare: Folded, draft: _Words, earlier: Iterable[tuple[str, str]]
) -> Iterator[Finding]:
    windows = _Windows(draft.text)
    best: list[tuple[float, str | None]] = [(LIKENESS_LEAST, None)] * len(windows.spans)
    for name, words in earlier:
        for start in range(0, len(words), WINDOW_CHARACTERS):
            grams = _grams(words[start : start + WINDOW_CHARACTERS])
            for number, likeness in enumerate(windows.likeness(grams)):
                if likeness > best[number][0]:
                    best[number] = (likeness, name)
    for start, end, name in _joined(windows.spans, [name for _, name in best]):
        why = f"this resembles your own post {name}, so both can be told to be yours"
        yield Finding("resembles", *bare.span(draft.places[start], draft.places[end - 1] + 1), why)


def _grams(text: str) -> set[str]:
    return {
        text[start : start + GRAM_CHARACTERS] for start in range(len(text) - GRAM_CHARACTERS + 1)
    }


class _Windows:
    """The windows of a draft, ready to be compared with many others.

    They overlap by half, and the last is as long as the others. All are compared at once: each
    n-gram has a number with a *lane* of bits for each window, 1 in those of the windows that it is
    in, so that the sum of these numbers says how many n-grams each window shares.

    :ivar spans: begin and end of each.
    """

    def __init__(self, text: str) -> None:
        last = max(0, len(text) - WINDOW_CHARACTERS)
        starts = [*range(0, last, _STEP_CHARACTERS), last]
        self.spans = [(start, min(len(text), start + WINDOW_CHARACTERS)) for start in starts]
        grams = [_grams(text[start:end]) for start, end in self.spans]
        self._sizes = [len(of_window) for of_window in grams]
        self._lanes: dict[str, int] = defaultdict(int)
        for number, of_window in enumerate(grams):
            for gram in of_window:
                self._lanes[gram] += 1 << (_LANE_BITS * number)

    def likeness(self, grams: set[str]) -> list[float]:
        """The cosine of each window with a set of n-grams, 0 to 1; 0 where one is too small."""
        if len(grams) < GRAMS_LEAST:
            return []
        total = sum(map(self._lanes.__getitem__, grams & self._lanes.keys()))
        packed = total.to_bytes(len(self.spans) * _LANE_BITS // 8, "little")
        shared = struct.unpack(f"<{len(self.spans)}H", packed)
        return [
            count / sqrt(size * len(grams)) if size >= GRAMS_LEAST else 0.0
            for count, size in zip(shared, self._sizes, strict=True)
        ]


def _joined(
    spans: Sequence[tuple[int, int]], names: Sequence[str | None]
) -> Iterator[tuple[int, int, str]]:
    """Neighbouring windows that resemble the same post, as one."""
    for name, group in groupby(zip(spans, names, strict=True), key=lambda pair: pair[1]):
        if name is not None:
            joined = [span for span, _ in group]
            yield joined[0][0], joined[-1][1], name
