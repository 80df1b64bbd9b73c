"""Proof of work."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from protocol.crypto import keyed_hash
from protocol.work import Work, work_of

LABEL = b"p2pb test"


@given(st.binary(max_size=64), st.integers(0, 8), st.integers(0, 2**64 - 1))
def test_what_is_found_has_the_work(prefix: bytes, bits: int, start: int) -> None:
    nonce = Work(LABEL, bytes(32), prefix, bits).search(start, 1 << 14)
    assert nonce is not None
    assert work_of(keyed_hash(LABEL, bytes(32), prefix + nonce)) >= bits


def test_a_search_that_ends_too_early_finds_nothing_and_can_go_on() -> None:
    work = Work(LABEL, bytes(32), b"prefix", 10)
    found = next(s for s in range(0, 1 << 20, 4) if work.search(s, 4) is not None)
    assert found > 4
    assert work.search(found, 4) is not None
    assert work.search(found - 4, 4) is None


def test_no_work_is_found_at_once() -> None:
    assert Work(LABEL, b"", b"", 0).search(7, 1) == (7).to_bytes(8, "big")


def test_the_search_goes_on_from_zero_after_the_last_nonce() -> None:
    work = Work(LABEL, b"", b"", 6)
    nonce = work.search(2**64 - 1, 1 << 12)
    assert nonce is not None and work_of(keyed_hash(LABEL, b"", nonce)) >= 6
