"""E-mail addresses and phone numbers: anybody's, for who is named will ask who knew the number."""

from __future__ import annotations

import re
from collections.abc import Iterator

from phonenumbers import PhoneNumberMatcher

from p2pboard.draft.findings import Finding
from p2pboard.draft.folding import Folded
from p2pboard.draft.identity import Identity

#: RFC 5321, 4.5.3.1: what stands before the @ has at most 64 octets.
_LOCAL_PART = r"[\w.+%'\-]{1,64}"
_AT = r"(?:@|\s?[\[({<]\s?(?:@|at|ät)\s?[\])}>]\s?)"
_DOT = r"(?:\.|\s?[\[({<]\s?(?:\.|dot|punkt)\s?[\])}>]\s?)"
_EMAIL = re.compile(
    rf"(?<![\w.+%'\-]){_LOCAL_PART}{_AT}[\w\-]{{1,63}}(?:{_DOT}[\w\-]{{1,63}})+", re.I
)

#: Seven digits or more with what people put between them; the library is asked about these only.
_DIGITS = re.compile(r"(?<!\w)(?<!\d[.,])[+(]{0,2}\d(?:[\s()./\-‐-―]{0,3}\d){6,24}(?!\w)")
#: By what stands around it, the library tells a time of day from a number.
_CONTEXT_CHARACTERS = 8
_POINTS = (".", ",", ":")
#: Where a number without a country's code is looked for, besides where the user seems to live: the
#: languages that the board's people are likely to write in. Guess.
_REGIONS = ("US", "DE", "GB", "FR", "CN")


def find_emails(plain: Folded, identity: Identity) -> Iterator[Finding]:
    """E-mail addresses in a text (:func:`~p2pboard.draft.folding.fold_plain`), also those that
    are written for people only: "anna [at] example [dot] org"."""
    own = {email.casefold() for email in identity.emails}
    for match in _EMAIL.finditer(plain.text):
        is_own = match[0].casefold() in own
        why = "this is your e-mail address" if is_own else "this is somebody's e-mail address"
        yield Finding("email", *plain.span(*match.span()), why)


def find_phones(plain: Folded, identity: Identity) -> Iterator[Finding]:
    """Phone numbers: all with a country's code, and those that are possible in some countries."""
    regions = dict.fromkeys((identity.region or _REGIONS[0], *_REGIONS))
    why = "this looks like somebody's phone number"
    for digits in _DIGITS.finditer(plain.text):
        found = (_numbers_in(plain.text, *digits.span(), region) for region in regions)
        # In the first country where there are any, for one number can be possible in several.
        for start, end in next(filter(None, found), []):
            yield Finding("phone", *plain.span(start, end), why)


def _numbers_in(text: str, start: int, end: int, region: str) -> list[tuple[int, int]]:
    """Where numbers stand in a run of digits: there can be several, as in a list."""
    first = max(0, start - _CONTEXT_CHARACTERS)
    matches = PhoneNumberMatcher(text[first : end + _CONTEXT_CHARACTERS], region)
    spans = [(first + match.start, first + match.end) for match in matches]
    # What follows a point is the rest of another number: "3.14159265358".
    return [(s, e) for s, e in spans if start <= s and e <= end and text[s - 1 : s] not in _POINTS]
