"""Texts folded for comparison, which know where each of their characters came from.

Two degrees, both without characters that can't be seen:

- *plain*: compatibility forms as what they stand for (NFKC), so that "１" is "1" and "ﬁ" is "fi";
- *bare*: plain, in lower case and without accents: "Ångström" is "angstrom", "Straße" "strasse".

A character is folded together with the marks that stand on it, so the composed and the decomposed
form of a letter come out alike. ASCII, which is most of most drafts, is copied in runs.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache

from p2pboard.rules import is_unseen

#: A run of ASCII up to where a mark could stand on its last character; or what has to be looked at.
_RUN = re.compile(r"[\x00-\x7f]+(?=[\x00-\x7f]|\Z)|[\x00-\x7f]?[^\x00-\x7f]+")
#: Accents of Latin, Greek and Cyrillic. Marks of other scripts are vowels: without, words are lost.
_ACCENTS = re.compile("[\u0300-\u036f]")
#: Vowels and ends of Hangul syllables that are written in parts.
_HANGUL_PARTS = re.compile("[\u1160-\u11ff]")
#: Letters that Unicode does not take apart.
_LETTERS = str.maketrans(
    {"ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "æ": "ae", "œ": "oe", "ı": "i", "ħ": "h"}
)


@dataclass(frozen=True, slots=True)
class Folded:
    """A folded text.

    :ivar starts: for each character of ``text``, where in the original that begins which it is of.
    :ivar ends: and where that ends.
    """

    text: str
    starts: list[int]
    ends: list[int]

    def span(self, start: int, end: int) -> tuple[int, int]:
        """Where ``text[start:end]``, not empty, stands in the original."""
        return self.starts[start], self.ends[end - 1]


def fold_plain(text: str) -> Folded:
    """``text`` as it would be typed on a plain keyboard, by and large."""
    return _fold(text, str, _plain)


def fold_bare(text: str) -> Folded:
    """``text`` in lower case, too, and without accents."""
    return _fold(text, str.lower, _bare)


def bare_text(text: str) -> str:
    """The text of :func:`fold_bare`."""
    return text.lower() if text.isascii() else fold_bare(text).text


def _fold(
    text: str, fold_ascii: Callable[[str], str], fold_cluster: Callable[[str], str]
) -> Folded:
    parts: list[str] = []
    starts: list[int] = []
    ends: list[int] = []
    for run in _RUN.finditer(text):
        first, last = run.span()
        if run[0].isascii():
            parts.append(fold_ascii(run[0]))
            starts.extend(range(first, last))
            ends.extend(range(first + 1, last + 1))
            continue
        for cluster, start, end in _clusters(run[0], first):
            part = fold_cluster(cluster)
            parts.append(part)
            starts.extend([start] * len(part))
            ends.extend([end] * len(part))
    return Folded("".join(parts), starts, ends)


def _clusters(text: str, first: int) -> Iterator[tuple[str, int, int]]:
    """Characters with the marks that stand on them, and where they begin and end."""
    cluster, start, end = "", first, first
    for place, character in enumerate(text, first):
        if is_unseen(character):
            continue
        if cluster and not _is_continuing(character):
            yield cluster, start, end
            cluster = ""
        start = start if cluster else place
        cluster, end = cluster + character, place + 1
    if cluster:
        yield cluster, start, end


def _is_continuing(character: str) -> bool:
    return bool(unicodedata.combining(character) or _HANGUL_PARTS.match(character))


@lru_cache(maxsize=4096)
def _plain(cluster: str) -> str:
    return unicodedata.normalize("NFKC", cluster)


@lru_cache(maxsize=4096)
def _bare(cluster: str) -> str:
    apart = unicodedata.normalize("NFKD", cluster).casefold()
    base = _ACCENTS.sub("", unicodedata.normalize("NFKD", apart))
    return unicodedata.normalize("NFKC", base).translate(_LETTERS)
