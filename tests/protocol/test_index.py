"""The ordered set of entries, against a sorted list that does the same the slow way."""

from __future__ import annotations

import bisect
import random
from hashlib import sha256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from protocol.errors import Misuse
from protocol.index import (
    BLOCK_KEYS_MAX,
    EMPTY_FINGERPRINT,
    TIMESTAMP_MAX,
    EntryIndex,
    encode_key,
    encode_varint,
)

Item = tuple[int, bytes]

# Few times, and ids that share beginnings, so that ties and near misses are common.
timestamps = st.integers(0, 5) | st.sampled_from([TIMESTAMP_MAX - 1, TIMESTAMP_MAX])
ids = st.builds(
    lambda head, tail: bytes([head]) * 31 + bytes([tail]),
    st.sampled_from([0, 1, 255]),
    st.integers(0, 255),
)
item_sets = st.lists(st.tuples(timestamps, ids), max_size=60).map(lambda items: sorted(set(items)))


def plain_fingerprint(items: list[Item]) -> bytes:
    total = sum(int.from_bytes(entry_id, "little") for _, entry_id in items) % 2**256
    return sha256(total.to_bytes(32, "little") + encode_varint(len(items))).digest()[:16]


def index_of(items: list[Item], block_keys_max: int = BLOCK_KEYS_MAX) -> EntryIndex:
    keys = [encode_key(*item) for item in items]
    return EntryIndex.from_keys(keys, block_keys_max=block_keys_max)


def random_items(seed: int, count: int, timestamp_max: int = 50_000) -> list[Item]:
    rng = random.Random(seed)
    return sorted((rng.randint(0, timestamp_max), rng.randbytes(32)) for _ in range(count))


class IndexAgainstSortedList(RuleBasedStateMachine):
    """Blocks of at most four keys, so that they split, join and vanish all the time."""

    def __init__(self) -> None:
        super().__init__()
        self.index = EntryIndex(block_keys_max=4)
        self.model: list[Item] = []

    @rule(timestamp=timestamps, entry_id=ids)
    def insert(self, timestamp: int, entry_id: bytes) -> None:
        is_new = (timestamp, entry_id) not in self.model
        assert self.index.insert(timestamp, entry_id) is is_new
        if is_new:
            bisect.insort(self.model, (timestamp, entry_id))

    @rule(batch=item_sets)
    def insert_many(self, batch: list[Item]) -> None:
        for item in batch:
            self.insert(*item)

    @rule(timestamp=timestamps, entry_id=ids)
    def remove_any(self, timestamp: int, entry_id: bytes) -> None:
        is_there = (timestamp, entry_id) in self.model
        assert self.index.remove(timestamp, entry_id) is is_there
        if is_there:
            self.model.remove((timestamp, entry_id))

    @rule(choice=st.randoms(use_true_random=False))
    def remove_some(self, choice: random.Random) -> None:
        for item in choice.sample(self.model, len(self.model) // 2):
            self.remove_any(*item)

    @rule(timestamp=timestamps | st.just(TIMESTAMP_MAX + 1))
    def remove_before(self, timestamp: int) -> None:
        kept = [item for item in self.model if item[0] >= timestamp]
        assert self.index.remove_before(timestamp) == len(self.model) - len(kept)
        self.model = kept

    @rule()
    def reload(self) -> None:
        self.index = EntryIndex.from_blocks(self.index.blocks(), block_keys_max=4)

    @rule(timestamp=timestamps, entry_id=ids)
    def contains(self, timestamp: int, entry_id: bytes) -> None:
        assert self.index.contains(timestamp, entry_id) is ((timestamp, entry_id) in self.model)

    @rule(timestamp=timestamps, prefix=ids, size=st.integers(0, 32), ends=st.randoms())
    def find_lower_bound(
        self, timestamp: int, prefix: bytes, size: int, ends: random.Random
    ) -> None:
        begin, end = sorted(ends.randint(0, len(self.model)) for _ in range(2))
        bound = (timestamp, prefix[:size].ljust(32, b"\0"))
        expected = bisect.bisect_left(self.model, bound, begin, end)
        assert self.index.find_lower_bound(timestamp, prefix[:size], begin, end) == expected

    @rule(ends=st.randoms(use_true_random=False))
    def read_range(self, ends: random.Random) -> None:
        begin, end = sorted(ends.randint(0, len(self.model)) for _ in range(2))
        expected = self.model[begin:end]
        assert list(self.index.items(begin, end)) == expected
        assert list(self.index.ids(begin, end)) == [entry_id for _, entry_id in expected]
        assert list(self.index.keys(begin, end)) == [encode_key(*item) for item in expected]
        assert self.index.fingerprint(begin, end) == plain_fingerprint(expected)
        for position in range(begin, end):
            assert self.index.item(position) == self.model[position]

    @invariant()
    def agrees_as_a_whole(self) -> None:
        assert len(self.index) == len(self.model)
        assert list(self.index.items()) == self.model

    @invariant()
    def blocks_are_neither_empty_nor_too_long(self) -> None:
        assert all(0 < len(keys) <= 4 * 40 for keys, _ in self.index.blocks())


IndexAgainstSortedList.TestCase.settings = settings(
    max_examples=60, stateful_step_count=25, deadline=None
)
TestIndexAgainstSortedList = IndexAgainstSortedList.TestCase


@given(item_sets, st.integers(2, 8))
def test_loading_in_order_equals_inserting_in_any_order(items: list[Item], size: int) -> None:
    inserted = EntryIndex(block_keys_max=size)
    for item in random.Random(0).sample(items, len(items)):
        inserted.insert(*item)
    loaded = index_of(items, size)
    assert list(loaded.items()) == list(inserted.items()) == items
    assert loaded.fingerprint() == inserted.fingerprint() == plain_fingerprint(items)


def test_fingerprints_stay_right_over_full_blocks_with_changes_between() -> None:
    items = random_items(1, 3000)
    index = index_of(items)
    rng = random.Random(2)
    for _ in range(300):
        item = (rng.randint(0, 50_000), rng.randbytes(32))
        assert index.insert(*item)
        bisect.insort(items, item)
        begin, end = sorted(rng.randint(0, len(items)) for _ in range(2))
        assert index.fingerprint(begin, end) == plain_fingerprint(items[begin:end])


def test_the_greatest_ids_add_up_without_carrying_into_each_other() -> None:
    items = [(2**64 - 2, bytes([i // 256, i % 256]) + b"\xff" * 30) for i in range(BLOCK_KEYS_MAX)]
    index = EntryIndex()
    for item in items:
        index.insert(*item)
    assert len(list(index.blocks())) == 1
    for begin, end in [(0, 512), (1, 512), (0, 511), (3, 260), (250, 510)]:
        assert index.fingerprint(begin, end) == plain_fingerprint(items[begin:end])


def test_the_fingerprint_of_nothing_is_that_of_sum_and_count_zero() -> None:
    """R-4."""
    assert EntryIndex().fingerprint() == EMPTY_FINGERPRINT == sha256(bytes(33)).digest()[:16]
    assert index_of(random_items(3, 10)).fingerprint(4, 4) == EMPTY_FINGERPRINT


def test_a_walk_is_a_snapshot() -> None:
    items = random_items(4, 2000)
    index = index_of(items)
    walk = index.items()
    first = next(walk)
    index.remove_before(25_000)
    index.insert(0, bytes(32))
    assert [first, *walk] == items


def test_a_shrinking_set_does_not_keep_its_blocks() -> None:
    items = random_items(5, 4000)
    index = index_of(items)
    for item in random.Random(6).sample(items, 3900):
        index.remove(*item)
    assert len(list(index.blocks())) <= 2


def test_removing_before_the_first_and_after_the_last() -> None:
    index = index_of(random_items(7, 1000))
    assert index.remove_before(0) == 0
    assert index.remove_before(2**70) == 1000
    assert len(index) == 0 and list(index.items()) == []
    assert index.remove_before(5) == 0
    assert index.insert(5, bytes(32)) and index.item(0) == (5, bytes(32))


@pytest.mark.parametrize(
    ("value", "encoded"),
    [(0, "00"), (127, "7f"), (128, "8100"), (16383, "ff7f"), (16384, "818000")],
)
def test_varints_have_the_most_significant_digit_first(value: int, encoded: str) -> None:
    assert encode_varint(value).hex() == encoded


def test_the_greatest_varint_has_ten_digits() -> None:
    assert encode_varint(2**64 - 1).hex() == "81" + "ff" * 8 + "7f"


@pytest.mark.parametrize(
    "keys",
    [[bytes(39)], [bytes(41), bytes(39)], [b"\1" * 40, bytes(40)], [bytes(40), bytes(40)]],
)
def test_keys_of_wrong_size_or_order_are_not_loaded(keys: list[bytes]) -> None:
    with pytest.raises(Misuse):
        EntryIndex.from_keys(keys)
    with pytest.raises(Misuse):
        EntryIndex.from_keys(keys, block_keys_max=2)


@pytest.mark.parametrize("sizes", [[0], [39], [40, 40], [513 * 40]])
def test_blocks_of_wrong_size_or_order_are_not_loaded(sizes: list[int]) -> None:
    with pytest.raises(Misuse):
        EntryIndex.from_blocks((bytes(size), 0) for size in sizes)


def test_what_cannot_be_is_misuse() -> None:
    index = index_of(random_items(8, 10))
    for wrong in (
        lambda: index.insert(-1, bytes(32)),
        lambda: index.insert(2**64 - 1, bytes(32)),
        lambda: index.contains(0, bytes(31)),
        lambda: index.item(10),
        lambda: index.item(-1),
        lambda: index.fingerprint(0, 11),
        lambda: index.fingerprint(5, 4),
        lambda: index.items(-1),
        lambda: index.find_lower_bound(2**64, b""),
        lambda: EntryIndex(block_keys_max=1),
        lambda: EntryIndex(block_keys_max=513),
    ):
        with pytest.raises(Misuse):
            wrong()
