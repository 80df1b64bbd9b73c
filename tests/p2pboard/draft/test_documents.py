"""Numbers of documents: the valid ones, and nothing else."""

from __future__ import annotations

import pytest

from p2pboard.draft import Identity
from tests.p2pboard.draft.people import found_in

VALID = [
    "DE89 3704 0044 0532 0130 00",
    "DE89370400440532013000",
    "gb82 west 1234 5698 7654 32",
    "4111 1111 1111 1111",
    "5555-5555-5555-4444",
    "378282246310005",
    "11010519491231002X",
    "536-90-4399",
    "36574261809",
    "36 574 261 809",
    "2 95 10 99 126 111 93",
    "756.9217.0769.85",
    "54362315-K",
    "X-2482300W",
    "RCCMNL83S18D969H",
]


@pytest.mark.parametrize("number", VALID)
@pytest.mark.parametrize("text", ["{}", "it is {}.", "({})", "mine: {} 2024 and on"])
def test_valid_numbers_are_found(number: str, text: str) -> None:
    assert found_in(text.format(number), Identity()) == [("id-number", number)]


@pytest.mark.parametrize("number", VALID)
def test_with_another_digit_they_are_nothing(number: str) -> None:
    place = max(i for i, c in enumerate(number) if c.isdigit())
    for other in "0123456789":
        # The US number has no check digit; and a wrong number may be somebody's phone number.
        if other != number[place] and number != "536-90-4399":
            wrong = number[:place] + other + number[place + 1 :]
            assert "id-number" not in {kind for kind, _ in found_in(wrong, Identity())}


@pytest.mark.parametrize(
    "text",
    [
        "x4111111111111111",
        "41111111111111112",
        "0.4111111111111111",
        "1234 5678 1234 5678",
        "000-12-3456",
        "DE00 3704 0044 0532 0130 00",
        "AB12 is the room, CD34 the other one of the building",
        "12345678-A",
    ],
)
def test_what_looks_a_bit_like_them_is_nothing(text: str) -> None:
    assert [f for f in found_in(text, Identity()) if f[0] == "id-number"] == []
