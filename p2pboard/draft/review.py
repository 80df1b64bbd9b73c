"""The whole check of a draft."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from p2pboard.draft.contact import find_emails, find_phones
from p2pboard.draft.documents import find_documents
from p2pboard.draft.findings import Finding, settle
from p2pboard.draft.folding import fold_bare, fold_plain
from p2pboard.draft.identity import Identity
from p2pboard.draft.likeness import OwnText, find_likeness
from p2pboard.draft.links import find_links
from p2pboard.draft.names import find_names
from p2pboard.draft.places import find_addresses, find_homes


def review_draft(text: str, identity: Identity, own: Sequence[OwnText] = ()) -> list[Finding]:
    """What in ``text`` could tell who wrote it, in the order of the text.

    :param own: earlier posts that readers must not be able to join with this one, newest first.
    """
    return settle(_all_findings(text, identity, own))


def _all_findings(text: str, identity: Identity, own: Sequence[OwnText]) -> Iterator[Finding]:
    plain, bare = fold_plain(text), fold_bare(text)
    yield from find_names(bare, identity)
    yield from find_emails(plain, identity)
    yield from find_phones(plain, identity)
    yield from find_documents(plain)
    yield from find_links(plain)
    yield from find_addresses(plain, identity)
    yield from find_homes(plain, identity)
    yield from find_likeness(bare, own)
