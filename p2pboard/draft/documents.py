"""Numbers of documents and accounts that name one person, if they have a check digit or a form.

python-stdnum knows the forms and the check digits; here is only how they stand in a text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from stdnum import iban, luhn
from stdnum.ch import ssn as swiss
from stdnum.cn import ric
from stdnum.de import idnr
from stdnum.es import dni, nie
from stdnum.fr import nir
from stdnum.it import codicefiscale
from stdnum.us import ssn

from p2pboard.draft.findings import Finding
from p2pboard.draft.folding import Folded

#: The first digits and the lengths of cards that are in use: Visa, Mastercard, American Express,
#: Diners, JCB, Discover and UnionPay, Maestro (ISO/IEC 7812).
_ISSUERS = re.compile(
    r"4(?:\d{12}|\d{15}|\d{18})|(?:5[1-5]|2[2-7])\d{14}|3[47]\d{13}|3[068]\d{12}|35\d{14}"
    r"|6[0245]\d{14}(?:\d{3})?"
)


@dataclass(frozen=True, slots=True)
class _Form:
    what: str
    pattern: re.Pattern[str]
    is_valid: Callable[[str], bool]


def _form(what: str, pattern: str, is_valid: Callable[[str], bool]) -> _Form:
    return _Form(what, re.compile(rf"(?<![^\W_])(?<!\d[.,]){pattern}(?![^\W_])", re.I), is_valid)


def _is_card(text: str) -> bool:
    digits = re.sub(r"[ \-]", "", text)
    return _ISSUERS.fullmatch(digits) is not None and luhn.is_valid(digits)


_FORMS = (
    # ISO 13616: two letters, two digits, 11 to 30 more; often in groups of four.
    _form("a bank account's number", r"[A-Z]{2}\d{2}(?:[ \-]?[A-Z0-9]){11,30}", iban.is_valid),
    _form("a credit card's number", r"[2-6](?:[ \-]?\d){12,18}", _is_card),
    _form("a Chinese resident identity number", r"\d{17}[\dX]", ric.is_valid),
    _form("a US social security number", r"\d{3}-\d{2}-\d{4}", ssn.is_valid),
    _form("a German tax number", r"\d{2} ?\d{3} ?\d{3} ?\d{3}", idnr.is_valid),
    _form("a French social security number", r"[12](?: ?[0-9AB]){14}", nir.is_valid),
    _form("a Swiss social security number", r"756(?:[. ]?\d){10}", swiss.is_valid),
    _form("a Spanish identity number", r"\d{8}-?[A-Z]", dni.is_valid),
    _form("a Spanish identity number", r"[XYZ]-?\d{7}-?[A-Z]", nie.is_valid),
    _form("an Italian tax code", r"(?:[A-Z]{6}\d[0-9A-Z]{9})", codicefiscale.is_valid),
)


def find_documents(plain: Folded) -> Iterator[Finding]:
    """Valid numbers of documents in a text (:func:`~p2pboard.draft.folding.fold_plain`)."""
    for form in _FORMS:
        for match in form.pattern.finditer(plain.text):
            end = _valid_to(match[0], form.is_valid)
            if end is not None:
                start = match.start()
                yield Finding("id-number", *plain.span(start, start + end), f"this is {form.what}")


def _valid_to(text: str, is_valid: Callable[[str], bool]) -> int | None:
    """Words and numbers may follow that look like more of it: it is as long as it is valid."""
    ends = [match.end() for match in re.finditer(r"[^\W_]+", text)]
    return next((end for end in reversed(ends) if is_valid(text[:end])), None)
