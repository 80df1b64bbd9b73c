"""Links: the part that tells, marked so that it can be cut off."""

from __future__ import annotations

import pytest

from p2pboard.draft import Identity
from tests.p2pboard.draft.people import found_in


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("https://x.example/a?utm_source=mail&b=1", ["utm_source=mail"]),
        ("https://x.example/a?b=1&fbclid=IwAR0xyz.", ["fbclid=IwAR0xyz"]),
        ("(https://x.example/?gclid=abc)", ["gclid=abc"]),
        ("HTTPS://X.EXAMPLE/?UTM_ID=7", ["UTM_ID=7"]),
        ("ｈｔｔｐｓ://x.example/?utm_id=7", ["utm_id=7"]),
        ("https://x.example/?utm_\u200bid=7", ["utm_\u200bid=7"]),
        ("https://youtu.be/dQw4w9WgXcQ?si=AbCdEf", ["si=AbCdEf"]),
        ("https://bob@x.example/a", ["bob@x.example"]),
        ("ftp://bob:pw@x.example:21/", ["bob:pw@x.example:21"]),
        ("https://x.example/?user=bob#top", ["user=bob"]),
        ("www.x.example/?userId=17", ["userId=17"]),
        ("https://x.example/?q=bob%40y.example", ["q=bob%40y.example"]),
        ("https://x.example/#access_token=abcdef", ["access_token=abcdef"]),
        ("https://x.example/?token=abcdef&sid=0123456", ["token=abcdef", "sid=0123456"]),
        (
            "https://docs.example/d/1A2b3C4d5E6f7G8h9I0jKlMnOp/edit",
            ["1A2b3C4d5E6f7G8h9I0jKlMnOp"],
        ),
        (
            "https://x.example/s/2f1e9a54-7f3c-4b8e-9c1d-0123456789ab",
            ["2f1e9a54-7f3c-4b8e-9c1d-0123456789ab"],
        ),
        (
            "p2pboard:abcdefghijklmnopqrstuvwxyz234567",
            ["p2pboard:abcdefghijklmnopqrstuvwxyz234567"],
        ),
        # Nothing that tells
        ("https://x.example/how-to-make-coffee-in-2024-and-keep-it-warm", []),
        ("https://x.example/?q=coffee&page=2&lang=de", []),
        ("https://x.example/?code=de&token=", []),
        ("https://git.example/commit/3f2a9c81d2e4b7a6c5d8e9f0a1b2c3d4e5f60718", []),
        ("https://en.wikipedia.org/wiki/Coffee_preparation#History", []),
        ("https://social.example/status/1234567890123456789", []),
        ("utm_source=mail, user=bob", []),
        ("https://", []),
        ("https://[", []),
        ("https://[::1]:80/?a=%zz", []),
    ],
)
def test_the_telling_parts_of_links_are_found(text: str, found: list[str]) -> None:
    assert found_in(text, Identity()) == [("link", words) for words in found]
