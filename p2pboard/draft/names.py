"""Own names in a draft: of the person, the account, the machine, its networks.

Each name becomes a few *forms*, patterns on the bare text: "Anna Maria Schmidt" is looked for whole
and in its parts, as first.last, last-first, a.schmidt, schmidta and so on, with umlauts written
either way. A form stands for itself only at the borders of a word, a genitive's s aside, unless it
is long enough not to be part of another word by chance.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from p2pboard.draft.findings import Finding, Kind
from p2pboard.draft.folding import Folded, bare_text
from p2pboard.draft.harmless import ACCOUNTS, DOMAINS, HOSTS, NETWORKS, PARTICLES, WORDS
from p2pboard.draft.identity import Identity
from p2pboard.rules import is_unspaced

#: Shorter ones are words or abbreviations too often; a name in Chinese has two characters.
LETTERS_LEAST = 3
_LETTERS_LEAST_UNSPACED = 2
#: With fewer letters than that, but a number: "pc0142".
_NUMBERED_CHARACTERS_LEAST = 5
#: From here on a genitive's s ("Annas") is more likely than another word ("Ans", "Bens"). Guess.
_GENITIVE_LETTERS_LEAST = 4
#: So long a form is found inside of words as well. Guess.
_ANYWHERE_LETTERS_LEAST = 9
#: What can stand between the parts of a name; between an initial and a name, no blank alone: "a
#: cook" is no Anna Cook.
_BETWEEN = r"[\W_]{0,3}"
_AFTER_INITIAL = r"(?:[.\-_][\W_]{0,2})?"
_BEFORE_INITIAL = r"(?:[.\-_]?{0}(?!\w)|,? ?{0}\.)"
#: Umlauts as they are written without: "mueller" is what "muller" may have come from.
_UMLAUTS = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "å": "aa", "ø": "oe", "æ": "ae"})
_WRITTEN_OUT = re.compile("(?<=[a-z])([aou])e(?=[a-z])")
#: The longest name that is looked for, and the most parts that it is taken apart into. Guesses.
_NAME_CHARACTERS_MAX = 80
_PARTS_MAX = 6


@dataclass(frozen=True, slots=True)
class _Form:
    """One way to write a name.

    :ivar pattern: on a bare text.
    """

    kind: Kind
    why: str
    pattern: re.Pattern[str]


def find_names(bare: Folded, identity: Identity) -> Iterator[Finding]:
    """Where ``identity``'s names stand in a text (:func:`~p2pboard.draft.folding.fold_bare`)."""
    for form in _forms(identity):
        for match in form.pattern.finditer(bare.text):
            end = _end_of_word(bare.text, match.start(), match.end())
            if end is not None:
                yield Finding(form.kind, *bare.span(match.start(), end), form.why)


def _end_of_word(text: str, start: int, end: int) -> int | None:
    """Where the form ends, its genitive's s included; None where it is part of another word."""
    form = text[start:end]
    if form.isalnum() and len(form) >= _ANYWHERE_LETTERS_LEAST:
        return end
    if start and _is_joined(text[start - 1], form[0]):
        return None
    rest = text[end : end + 2]
    if not rest or not _is_joined(form[-1], rest[0]):
        return end
    is_genitive = rest[0] == "s" and len(form) >= _GENITIVE_LETTERS_LEAST
    return end + 1 if is_genitive and (len(rest) == 1 or not _is_joined("s", rest[1])) else None


def _is_joined(left: str, right: str) -> bool:
    """Whether two characters are of one word. A digit ends a word: "anna1985" has "anna" in it."""
    if is_unspaced(left) or is_unspaced(right):
        return False
    is_mark = unicodedata.category(right)[0] == "M"
    both_letters = left.isalpha() and (right.isalpha() or is_mark)
    return both_letters or (left.isdigit() and right.isdigit())


# --- Forms ----------------------------------------------------------------------------------------


def _forms(identity: Identity) -> Iterator[_Form]:
    for name in identity.full_names:
        yield from _forms_of_person(name)
    for user in identity.users:
        yield from _forms_of_user(user, "this is your user name on this machine")
    for email in identity.emails:
        for part in email.partition("@")[0].split("+"):
            yield from _forms_of_user(part, "this is the name in your e-mail address")
    for host in identity.hosts:
        why = "this is what your machine is called"
        yield from _forms_of_label(host, HOSTS, partial(_Form, "host-name", why))
    for domain in identity.domains:
        why = "this is the domain that your machine is in"
        yield from _forms_of_label(domain, DOMAINS, partial(_Form, "domain", why))
    for network in identity.networks:
        why = "this is what a network or an interface of your machine is called"
        yield from _forms_of_label(network, NETWORKS, partial(_Form, "network", why))


def _forms_of_person(full_name: str) -> Iterator[_Form]:
    """Forms of a name in words, the given name first; a word may have parts ("Hans-Peter")."""
    words = [_parts(word) for word in full_name[:_NAME_CHARACTERS_MAX].split()[:_PARTS_MAX]]
    whole = _BETWEEN.join(_word_pattern(word) for word in words if word)
    words = [word for word in words if word and bare_text("".join(word)) not in PARTICLES]
    if len(words) > 1:
        yield _Form("full-name", "this is your name", re.compile(whole))
        yield from _forms_of_ends(words[0], words[-1])
    elif words and _is_unspaced_name(words[0][0]) and len(words[0][0]) > _LETTERS_LEAST_UNSPACED:
        # A Chinese or Korean name: the family's name is its first character.
        given = _any_of(_spellings(words[0][0][1:]))
        yield _Form("full-name", "this is your given name", re.compile(given))
    why = "this is part of your name" if len(words) > 1 else "this is your name"
    for part in dict.fromkeys(part for word in words for part in [*word, "-".join(word)]):
        yield from _forms_of_label(part, ACCOUNTS | WORDS, partial(_Form, "full-name", why))


def _forms_of_ends(first_word: Sequence[str], last_word: Sequence[str]) -> Iterator[_Form]:
    """Forms of a first and a last name."""
    first, last = _word_pattern(first_word), _word_pattern(last_word)
    for pattern in (first + _BETWEEN + last, last + _BETWEEN + first):
        yield _Form("full-name", "this is your name", re.compile(pattern))
    if _is_long_enough("".join(last_word)):
        initial = re.escape(bare_text(first_word[0])[:1])
        why = "this is your last name with the initial of your first name"
        for pattern in (initial + _AFTER_INITIAL + last, last + _BEFORE_INITIAL.format(initial)):
            yield _Form("full-name", why, re.compile(pattern))


def _word_pattern(word: Sequence[str]) -> str:
    """A word whole, or one of its parts."""
    parts = [_any_of(_spellings(part)) for part in word]
    return parts[0] if len(parts) == 1 else f"(?:{'|'.join([_BETWEEN.join(parts), *parts])})"


def _forms_of_user(user: str, why: str) -> Iterator[_Form]:
    form = partial(_Form, "user-name", why)
    yield from _forms_of_label(user, ACCOUNTS | WORDS, form)
    stem = user.rstrip("0123456789")
    if stem != user:
        yield from _forms_of_label(stem, ACCOUNTS | WORDS, form)


def _forms_of_label(
    label: str, harmless: frozenset[str], form: Callable[[re.Pattern[str]], _Form]
) -> Iterator[_Form]:
    """A name that is one thing, however its parts are put together ("anna-laptop")."""
    if _is_telling(label, harmless):
        parts = _parts(label)
        yield form(re.compile(_BETWEEN.join(_any_of(_spellings(part)) for part in parts)))


def _parts(name: str) -> list[str]:
    return re.findall(r"[^\W_]+", name[:_NAME_CHARACTERS_MAX])[:_PARTS_MAX]


def _is_telling(name: str, harmless: frozenset[str]) -> bool:
    parts = _parts(bare_text(name))
    joined = "-".join(parts)
    # A number of one or two digits tells nothing ("user1", "Wired connection 2"); a longer may.
    unnumbered = re.sub(r"(?<!\d)-?\d{1,2}$", "", joined)
    return _is_long_enough("".join(parts)) and not {joined, unnumbered, ".".join(parts)} & harmless


def _is_long_enough(name: str) -> bool:
    """Digits count for little: alone they are a year, a room or a model."""
    if _is_unspaced_name(name):
        return len(name) >= _LETTERS_LEAST_UNSPACED
    letters = sum(map(str.isalpha, name))
    return letters >= LETTERS_LEAST or (letters > 0 and len(name) >= _NUMBERED_CHARACTERS_LEAST)


def _is_unspaced_name(name: str) -> bool:
    return bool(name) and all(map(is_unspaced, name))


def _spellings(part: str) -> list[str]:
    """A part of a name in bare spellings: as it is, with its umlauts written out, and with what
    may be umlauts written out drawn together."""
    bare = bare_text(part)
    written_out = bare_text(part.lower().translate(_UMLAUTS))
    drawn_together = _WRITTEN_OUT.sub(r"\1", bare)
    others = [s for s in (written_out, drawn_together) if len(s) >= LETTERS_LEAST]
    # The longest first, as a pattern takes the first that fits.
    return sorted({bare, *others}, key=lambda spelling: (-len(spelling), spelling))


def _any_of(spellings: list[str]) -> str:
    escaped = [re.escape(spelling) for spelling in spellings]
    return escaped[0] if len(escaped) == 1 else f"(?:{'|'.join(escaped)})"
