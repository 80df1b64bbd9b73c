"""Success is measured as the papers do."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simnet.attacks.success import measure


def test_precision_and_recall_are_those_of_the_papers() -> None:
    # 1's and 2's entries are both said to be 1's, 3's is said to be 4's, 4's was seen by nobody.
    truth = {b"a": 1, b"b": 2, b"c": 3, b"d": 4}
    success = measure({b"a": 1, b"b": 1, b"c": 4}, truth, candidates=4)
    assert success.precision == pytest.approx((1 / 2 + 0 + 0 + 0) / 4)
    assert success.recall == pytest.approx(1 / 4)
    assert success.named == pytest.approx((1 + 1 / 4) / 4), "what nobody saw is guessed blindly"


def test_an_author_of_several_entries_counts_once_and_named_counts_entries() -> None:
    truth = {b"a": 1, b"b": 1, b"c": 1, b"d": 2}
    success = measure({b"a": 1, b"b": 1, b"c": 2, b"d": 3}, truth, candidates=3)
    assert success.precision == pytest.approx((2 / 2 + 0) / 2)
    assert success.recall == pytest.approx((2 / 3 + 0) / 2)
    assert success.named == pytest.approx(2 / 4)


@given(
    st.dictionaries(st.binary(min_size=1, max_size=2), st.integers(0, 5)),
    st.dictionaries(st.binary(min_size=1, max_size=2), st.integers(0, 7)),
)
def test_measures_are_shares_and_the_truth_itself_has_all(
    truth: dict[bytes, int], guesses: dict[bytes, int]
) -> None:
    success = measure(guesses, truth, candidates=6)
    assert all(0 <= v <= 1 for v in (success.precision, success.recall, success.named))
    perfect = measure(truth, truth, candidates=6)
    if truth:
        assert (perfect.precision, perfect.recall, perfect.named) == (1, 1, 1)
