"""Somebody who has names of every kind, and what is found in a text of theirs."""

from __future__ import annotations

from ipaddress import ip_address

from p2pboard.draft import Finding, Identity, OwnText, review_draft

ANNA = Identity(
    users=("amuster", "anna1985"),
    full_names=("Anna-Lena Müller",),
    emails=("lena.work@corp.example",),
    hosts=("pc0142", "zebra-laptop"),
    domains=("berlin.acme.example",),
    networks=("ACME-Staff 5G",),
    addresses=(ip_address("192.168.7.20"), ip_address("fe80::1234:5678")),
    macs=("a1b2c3d4e5f6",),
    homes=("/data/people/amuster",),
    region="DE",
)


def found_in(
    text: str, identity: Identity = ANNA, own: tuple[OwnText, ...] = ()
) -> list[tuple[str, str]]:
    """The kind of each finding, and the words of the text that it is about."""
    return [(f.kind, words_of(f, text)) for f in review_draft(text, identity, own)]


def words_of(finding: Finding, text: str) -> str:
    assert 0 <= finding.start < finding.end <= len(text)
    return text[finding.start : finding.end]
