"""Draws stay in their range, reach all of it, and follow from the bytes alone."""

from __future__ import annotations

from collections import Counter
from itertools import permutations

from hypothesis import given
from hypothesis import strategies as st

from protocol.chance import Chance
from tests.protocol.wired import seeded


@given(st.integers(1, 2**32), st.binary(min_size=8, max_size=8))
def test_a_draw_is_below_its_bound(bound: int, drawn: bytes) -> None:
    assert 0 <= Chance(lambda _: drawn).below(bound) < bound


@given(st.integers(-(2**20), 2**20), st.integers(0, 2**20), st.binary(min_size=8, max_size=8))
def test_a_draw_from_a_range_is_in_it(least: int, width: int, drawn: bytes) -> None:
    assert least <= Chance(lambda _: drawn).between((least, least + width)) <= least + width


def test_both_ends_of_a_range_are_drawn() -> None:
    chance = Chance(seeded("range"))
    assert {chance.between((3, 5)) for _ in range(100)} == {3, 4, 5}


def test_every_item_is_chosen_sometimes() -> None:
    chance = Chance(seeded("items"))
    assert {chance.one_of("abcd") for _ in range(200)} == set("abcd")


@given(st.lists(st.integers()), st.integers())
def test_shuffling_keeps_every_item_and_leaves_the_original(items: list[int], seed: int) -> None:
    before = list(items)
    assert sorted(Chance(seeded(str(seed))).shuffled(items)) == sorted(items)
    assert items == before


def test_every_order_comes_about_equally_often() -> None:
    chance = Chance(seeded("orders"))
    orders = Counter(tuple(chance.shuffled("abc")) for _ in range(6000))
    assert set(orders) == set(permutations("abc"))
    assert all(850 < count < 1150 for count in orders.values())


def test_the_same_bytes_draw_the_same() -> None:
    first, second = Chance(seeded("same")), Chance(seeded("same"))
    assert first.shuffled(range(50)) == second.shuffled(range(50))


def test_shuffling_draws_as_drawing_one_by_one_does() -> None:
    """So that a simulation goes on the same, however many draws are made at once."""
    together, one_by_one = Chance(seeded("one by one")), Chance(seeded("one by one"))
    deck = list(range(20))
    for last in range(19, 0, -1):
        pick = one_by_one.below(last + 1)
        deck[last], deck[pick] = deck[pick], deck[last]
    assert together.shuffled(range(20)) == deck
    assert together.bytes(8) == one_by_one.bytes(8)
