"""E-mail addresses and phone numbers."""

from __future__ import annotations

from dataclasses import replace

import pytest

from p2pboard.draft import Identity, review_draft
from tests.p2pboard.draft.people import found_in

NOBODY = Identity()


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("write to bob@example.org.", ["bob@example.org"]),
        ("<b.o-b+x@mail.example.co.uk>", ["b.o-b+x@mail.example.co.uk"]),
        ("mailto:bob@example.org?subject=x", ["bob@example.org"]),
        ("bob [at] example [dot] org", ["bob [at] example [dot] org"]),
        ("bob(at)example.org", ["bob(at)example.org"]),
        ("bob＠example.org", ["bob＠example.org"]),
        ("jörg@müller.example", ["jörg@müller.example"]),
        ("@bob@social.example", ["bob@social.example"]),
        ("meet me at home", []),
        ("3 @ 4.50", []),
        ("bob@localhost", []),
    ],
)
def test_email_addresses_are_found(text: str, found: list[str]) -> None:
    assert found_in(text, NOBODY) == [("email", words) for words in found]


def test_the_own_address_is_said_to_be_ones_own() -> None:
    me = Identity(emails=("Bob@Example.org",))
    (finding,) = review_draft("bob@example.org", me)
    assert finding.why == "this is your e-mail address"


@pytest.mark.parametrize(
    "number",
    [
        "+49 30 901820",
        "+49 (0)30 90 18 20",
        "0049 30 901820",
        "0171 1234567",
        "0171/1234567",
        "030 901820",
        "(415) 555-2671",
        "415-555-2671",
        "+86 138 1234 5678",
        "13812345678",
        "020 7946 0958",
        "06 12 34 56 78",
        "０３０ ９０１８２０",
    ],
)
def test_phone_numbers_are_found(number: str) -> None:
    assert found_in(f"call {number} after six", NOBODY) == [("phone", number)]


def test_two_numbers_in_a_list_are_two() -> None:
    found = found_in("0171 1234567, 030 901820", NOBODY)
    assert found == [("phone", "0171 1234567"), ("phone", "030 901820")]


@pytest.mark.parametrize(
    "text",
    [
        "order 12345678",
        "15.05.2024 at 14:30, 2024-05-15 14:30:00",
        "10 000 000 people, 1,234,567.89 euro, 5000-6000",
        "version 1.2.3.4 on 10.0.0.1:4000",
        "3.14159265358 and 1700000000",
        "room 3.142, ext. 4711, ticket 1234567",
        "0001f1a2b3c4, 00000012345678",
        "8-9-10-11-12 o'clock, rgb(255 255 255)",
        "1 2 3 4 5 6 7 8 9 0 " * 20,
    ],
)
def test_other_numbers_are_no_phone_numbers(text: str) -> None:
    assert found_in(text, NOBODY) == []


def test_numbers_of_where_the_user_lives_are_found() -> None:
    polish = "512 345 678"
    assert found_in(polish, NOBODY) == []
    assert found_in(polish, replace(NOBODY, region="PL")) == [("phone", polish)]
