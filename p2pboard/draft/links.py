"""Links that say who passed them on, or who is logged in: what follows them is not only the page.

Marked is the telling part of the link, so that it can be cut off.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from urllib.parse import unquote

from p2pboard.draft.findings import Finding
from p2pboard.draft.folding import Folded

_LINK = re.compile(
    r"(?P<scheme>[a-z][a-z0-9+.\-]{1,15}://|www\.)"
    r"(?:(?P<user>[^\s/?#@<>\"]{1,256})@)?"
    r"(?P<host>[^\s/?#<>\"]{1,256})"
    r"(?P<path>[^\s?#<>\"]*)"
    r"(?P<query>\?[^\s#<>\"]*)?"
    r"(?P<fragment>\#[^\s<>\"]*)?",
    re.IGNORECASE,
)
_INVITE = re.compile(r"p2pboard:[a-z0-9\s]{20,}", re.IGNORECASE)
#: What ends a sentence or a bracket is no part of the link.
_PARAMETER = re.compile(r"(?P<name>[^?&;#=/]{1,64})=(?P<value>[^&;#]*[^&;#.,!?)\]}'*_])")
#: Parameters by which advertisers and sites follow a link from one person to the next.
_TRACKING = re.compile(
    r"utm_\w+|\w{0,6}clid|gclsrc|[gw]braid|msclkid|igshid?|mc_[ec]id|mkt_tok|oly_\w+_id|_hs\w+|__hs\w+"
    r"|hsctatracking|li_fat_id|vero_\w+|trk|trk\w+|tracking\w*|si|spm|share_\w+|ref_src|ref_url|s_cid"
    r"|ml_subscriber\w*|rb_clickid|wickedid|pk_\w+|mtm_\w+|matomo_\w+|_branch_\w+|xtor|ncid|cmpid"
    r"|sc_cid|ef_id|epik",
    re.IGNORECASE,
)
#: Parameters that name a person.
_PERSON = re.compile(
    r"users?|user_?(?:name|id)|uid|uname|log_?in|acc(?:oun)?t(?:_?id)?|member(?:_?id)?"
    r"|e[_-]?mail(?:_?address)?|author|owner|sender|from_?user|(?:shared|invited)_?by|referr?er"
    r"|referral|ref_?code|profile(?:_?id)?|person|personal|employee(?:_?id)?|staff|customer(?:_?id)?"
    r"|client_?id|subscriber|recipient|contact_?id|(?:first|last|full)_?name",
    re.IGNORECASE,
)
#: Parameters that let their bearer in.
_SECRET = re.compile(
    r"(?:access|auth|id|refresh|csrf|xsrf|share|invite|reset|api|login|session|resource)?[_-]?"
    r"(?:token|key|secret|ticket)|auth|authorization|session|session_?id|sid|phpsessid|jsessionid"
    r"|jwt|sig|signature|x-amz-\w+|pass|passwd|password|pwd|otp|code|invite|credential\w*|authkey",
    re.IGNORECASE,
)
#: What one of those has for a value if it has one at all: "?code=de" is none.
_SECRET_CHARACTERS_LEAST = 6
#: In these, an id is the name of what everybody sees.
_PUBLIC_IDS = re.compile(r"/(?:commits?|blob|tree|raw|tags?|releases?|objects?|pull|issues)/", re.I)
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.I)
_TOKEN = re.compile(r"[A-Za-z0-9_\-]{16,}")
#: Random letters and digits change their kind at every second place; words do at their ends.
_CHANGES_LEAST = 6


def find_links(plain: Folded) -> Iterator[Finding]:
    """The telling parts of links in a text (:func:`~p2pboard.draft.folding.fold_plain`)."""
    for match in _INVITE.finditer(plain.text):
        end = match.start() + len(match[0].rstrip())
        why = "this is an invite, and whoever reads it can join its board"
        yield Finding("link", *plain.span(match.start(), end), why)
    for match in _LINK.finditer(plain.text):
        for start, end, why in _telling_parts(match):
            yield Finding("link", *plain.span(start, end), why)


def _telling_parts(link: re.Match[str]) -> Iterator[tuple[int, int, str]]:
    if link["user"]:
        yield link.start("user"), link.end("host"), "this part of the link has a user's name in it"
    for part in ("query", "fragment"):
        for parameter in _PARAMETER.finditer(link[part] or ""):
            why = _why_parameter(parameter["name"], unquote(parameter["value"]))
            if why is not None:
                offset = link.start(part)
                yield offset + parameter.start(), offset + parameter.end(), why
    yield from _share_ids(link)


def _why_parameter(name: str, value: str) -> str | None:
    if _TRACKING.fullmatch(name):
        return "this part of the link follows it from the one who copied it to those who open it"
    if _PERSON.fullmatch(name) or "@" in value:
        return "this part of the link names a user"
    if _SECRET.fullmatch(name) and len(value) >= _SECRET_CHARACTERS_LEAST:
        return "this part of the link can let others in, and names whom it was made for"
    return None


def _share_ids(link: re.Match[str]) -> Iterator[tuple[int, int, str]]:
    if _PUBLIC_IDS.search(link["path"]):
        return
    for part in ("path", "query", "fragment"):
        for token in _TOKEN.finditer(link[part] or ""):
            if _is_random(token[0]):
                offset = link.start(part)
                why = "this part of the link may have been made for one person only"
                yield offset + token.start(), offset + token.end(), why


def _is_random(token: str) -> bool:
    """Whether nobody has thought it up: an id, not the words of a title."""
    if _UUID.search(token):
        return True
    kinds = ["d" if c.isdigit() else "u" if c.isupper() else "l" for c in token if c.isalnum()]
    if len(set(kinds)) < 2 or "d" not in kinds:
        return False
    changes = sum(left != right for left, right in pairwise(kinds))
    return changes >= _CHANGES_LEAST
