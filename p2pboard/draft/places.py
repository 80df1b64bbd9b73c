"""Where the writer's machine is: its addresses, and folders that are called after somebody."""

from __future__ import annotations

import re
from collections.abc import Iterator
from ipaddress import AddressValueError, IPv4Address, IPv6Address

from p2pboard.draft.findings import Finding
from p2pboard.draft.folding import Folded, bare_text
from p2pboard.draft.harmless import ACCOUNTS
from p2pboard.draft.identity import Address, Identity

_IPV4 = re.compile(r"(?<![\d.])\d{1,3}(?:\.\d{1,3}){3}(?!\.?\d)")
_IPV6 = re.compile(
    r"(?<![\w:.])[0-9a-f]{0,4}(?::[0-9a-f]{0,4}){2,8}(?:\.\d{1,3}){0,3}(?![\w:])", re.I
)
_MAC = re.compile(
    r"(?<![^\W_])[0-9a-f]{2}(?:[:\-]?[0-9a-f]{2}){5}(?![^\W_])"
    r"|(?<![^\W_])[0-9a-f]{4}[.\-][0-9a-f]{4}[.\-][0-9a-f]{4}(?![^\W_])",
    re.I,
)
#: Folders of users on Linux, macOS and Windows, with what may stand before; in a web address the
#: same words mean other things.
_HOME = re.compile(
    r"(?<![\w.\-/\\])(?:file://|[a-z]:|\\\\[^\s\\/]{1,64})?(?:[\\/][\w.\-]{1,32}){0,3}?"
    r"[\\/](?:home|users|documents and settings)[\\/]+(?P<user>[^\s\\/:*?\"<>|,;()'`]{1,64})",
    re.I,
)
_TILDE = re.compile(r"(?<![\w~/])~(?P<user>[a-z_][a-z0-9_.\-]{1,31})(?=/)", re.I)


def find_addresses(plain: Folded, identity: Identity) -> Iterator[Finding]:
    """Addresses of this machine in a text (:func:`~p2pboard.draft.folding.fold_plain`). Those of
    others are left alone: routers and servers are talked about all the time."""
    own = frozenset(identity.addresses)
    for pattern in (_IPV4, _IPV6):
        for match in pattern.finditer(plain.text):
            if _address_of(match[0]) in own:
                why = "this is an address of your machine"
                yield Finding("ip-address", *plain.span(*match.span()), why)
    for match in _MAC.finditer(plain.text):
        if re.sub(r"[.:\-]", "", match[0]).lower() in identity.macs:
            why = "this is the hardware address of your machine"
            yield Finding("mac-address", *plain.span(*match.span()), why)


def _address_of(text: str) -> Address | None:
    kind = IPv6Address if ":" in text else IPv4Address
    try:
        return kind(text)
    except AddressValueError:
        return None


def find_homes(plain: Folded, identity: Identity) -> Iterator[Finding]:
    """File paths with a user's folder in them, anybody's."""
    why = "this path has a user's name in it"
    for pattern in (_HOME, _TILDE):
        for match in pattern.finditer(plain.text):
            user = bare_text(match["user"].rstrip(".!"))
            if user not in ACCOUNTS and len(user) > 1:
                yield Finding("home-path", *plain.span(*match.span()), why)
    for home in identity.homes:
        # Where homes are elsewhere; that of root is called like everybody's.
        if len(home) > 1 and bare_text(re.split(r"[\\/]", home)[-1]) not in ACCOUNTS:
            for match in re.finditer(re.escape(home) + r"(?![^\W_])", plain.text):
                yield Finding("home-path", *plain.span(*match.span()), "this is your own folder")
