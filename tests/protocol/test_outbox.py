"""An own entry is handed to one peer at a time until it has come back."""

from __future__ import annotations

import itertools

from protocol import limits
from protocol.chance import Chance
from protocol.outbox import Outbox
from tests.protocol.wired import many, seeded, written

LEAST_MS, MOST_MS = limits.REHAND_MS_RANGE


def outbox() -> Outbox:
    return Outbox(Chance(seeded("outbox")))


def test_without_peers_nothing_is_handed_and_nothing_is_lost() -> None:
    waiting = outbox()
    entry = written("alone")
    waiting.add(entry, 0)
    assert waiting.due([], 10**6) == []
    assert entry.id in waiting and len(waiting) == 1


def test_an_entry_goes_to_one_peer_and_then_waits_for_a_time_in_the_range() -> None:
    """O-2."""
    for seed in range(20):
        waiting = Outbox(Chance(seeded(f"outbox {seed}")))
        entry = written("once")
        waiting.add(entry, 0)
        [(link, handed)] = waiting.due([1, 2, 3], 0)
        assert link in (1, 2, 3) and handed == entry
        due_ms = waiting.next_ms()
        assert due_ms is not None and LEAST_MS <= due_ms <= MOST_MS
        assert waiting.due([1, 2, 3], due_ms - 1) == []
        assert len(waiting.due([1, 2, 3], due_ms)) == 1


def test_the_next_time_it_goes_to_another_peer_where_there_is_one() -> None:
    """O-2."""
    waiting = outbox()
    waiting.add(written("again"), 0)
    links, now_ms = [], 0
    for _ in range(20):
        links += [link for link, _ in waiting.due([1, 2, 3], now_ms)]
        now_ms = waiting.next_ms() or 0
    assert len(links) == 20
    assert all(link != after for link, after in itertools.pairwise(links))
    assert set(links) == {1, 2, 3}
    assert [link for link, _ in waiting.due([links[-1]], now_ms)] == [links[-1]]


def test_patience_doubles_with_each_try_up_to_a_bound() -> None:
    waiting = outbox()
    waiting.add(written("not wanted"), 0)
    now_ms = 0
    for tries in range(12):
        assert waiting.due([1], now_ms)
        doubled = 1 << min(tries, limits.REHAND_DOUBLINGS_MAX)
        next_ms = waiting.next_ms()
        assert next_ms is not None
        assert doubled * LEAST_MS <= next_ms - now_ms <= doubled * MOST_MS
        now_ms = next_ms


def test_what_came_back_is_ours_once_and_not_handed_again() -> None:
    waiting = outbox()
    entry, foreign = many(2)
    waiting.add(entry, 0)
    assert not waiting.take_back(foreign.id)
    assert waiting.take_back(entry.id)
    assert not waiting.take_back(entry.id)
    assert waiting.due([1], MOST_MS) == [] and waiting.next_ms() is None


def test_an_entry_added_twice_waits_once() -> None:
    waiting = outbox()
    entry = written("twice")
    waiting.add(entry, 0)
    assert len(waiting.due([1], 0)) == 1
    waiting.add(entry, 1)
    assert len(waiting) == 1 and waiting.due([1], 1) == []


def test_what_the_board_would_not_keep_is_given_up() -> None:
    """O-6."""
    waiting = outbox()
    entry = written("old")
    waiting.add(entry, 0)
    waiting.drop_before(entry.header.bucket)
    assert entry.id in waiting
    waiting.drop_before(entry.header.bucket + 1)
    assert len(waiting) == 0


def test_the_outbox_is_bounded() -> None:
    waiting = outbox()
    entry = written("many")
    for number in range(limits.OUTBOX_MAX + 5):
        waiting.add(entry._replace(id=number.to_bytes(32, "big")), 0)
    assert len(waiting) == limits.OUTBOX_MAX
