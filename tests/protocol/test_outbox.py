"""What waits in the outbox, when it is tried, and when it is given up."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from protocol import limits
from protocol.chance import Chance
from protocol.entry import Entry
from protocol.outbox import Outbox
from tests.protocol.wired import many, seeded, written

DELAY_MS = 1_000
LEAST_MS, MOST_MS = (count * DELAY_MS for count in limits.RETRY_DELAYS_RANGE)
#: More nodes than any entry of these tests waits for.
CROWD = 100
ENTRIES = many(6)


def outbox(name: str = "outbox") -> Outbox:
    return Outbox(Chance(seeded(name)), DELAY_MS)


def patience_ms(waiting: Outbox, entry: Entry, now_ms: int) -> int:
    """How long an entry waits that has just left."""
    waiting.on_sent(entry.id, now_ms)
    next_ms = waiting.next_ms()
    assert next_ms is not None
    return next_ms - now_ms


def test_an_entry_is_put_into_cells_at_once_and_once() -> None:
    waiting = outbox()
    entry = written("once")
    waiting.add(entry, 5)
    assert waiting.next_ms() == 5
    assert waiting.take_due(5, CROWD) == [entry]
    assert waiting.next_ms() is None and waiting.take_due(10**9, CROWD) == []
    assert entry.id in waiting


def test_after_its_last_cell_has_left_it_waits_for_a_random_time_in_the_range() -> None:
    """O-2."""
    seen = set()
    for seed in range(40):
        waiting, entry = outbox(f"outbox {seed}"), written("again")
        waiting.add(entry, 0)
        waiting.take_due(0, CROWD)
        patience = patience_ms(waiting, entry, 70)
        assert LEAST_MS <= patience <= MOST_MS
        assert waiting.take_due(70 + patience - 1, CROWD) == []
        assert waiting.take_due(70 + patience, CROWD) == [entry]
        seen.add(patience)
    assert len(seen) > 35 and max(seen) - min(seen) > (MOST_MS - LEAST_MS) / 2


def test_patience_is_the_same_for_eight_tries_and_then_doubles_up_to_a_bound() -> None:
    """O-2."""
    waiting, entry, now_ms = outbox(), written("not wanted"), 0
    waiting.add(entry, 0)
    for tries in range(1, 20):
        assert waiting.take_due(now_ms, CROWD) == [entry]
        doubled = 1 << min(max(tries - limits.RETRY_PATIENT_TRIES, 0), 3)
        patience = patience_ms(waiting, entry, now_ms)
        assert doubled * LEAST_MS <= patience <= doubled * MOST_MS
        now_ms += patience


def test_what_came_back_is_ours_once_and_not_tried_again() -> None:
    """O-3."""
    waiting = outbox()
    entry, foreign = many(2)
    waiting.add(entry, 0)
    assert not waiting.take_back(foreign.id)
    assert waiting.take_back(entry.id) and not waiting.take_back(entry.id)
    waiting.on_sent(entry.id, 0)
    assert waiting.take_due(10**9, CROWD) == [] and waiting.next_ms() is None


def test_an_entry_that_came_back_while_its_cells_wait_does_not_come_up_again() -> None:
    """O-3."""
    waiting, entry = outbox(), written("fast")
    waiting.add(entry, 0)
    waiting.take_due(0, CROWD)
    waiting.take_back(entry.id)
    waiting.on_sent(entry.id, 1)
    assert len(waiting) == 0 and waiting.next_ms() is None


def test_an_entry_added_twice_waits_once() -> None:
    waiting, entry = outbox(), written("twice")
    waiting.add(entry, 0)
    assert waiting.take_due(0, CROWD) == [entry]
    waiting.add(entry, 1)
    assert len(waiting) == 1 and waiting.take_due(1, CROWD) == []


def test_what_the_board_would_not_keep_is_given_up() -> None:
    """O-4."""
    waiting, entry = outbox(), written("old")
    waiting.add(entry, 0)
    waiting.drop_before(entry.header.bucket)
    assert entry.id in waiting
    waiting.drop_before(entry.header.bucket + 1)
    assert len(waiting) == 0


def test_an_entry_that_waits_for_company_goes_when_enough_are_there_and_no_sooner() -> None:
    waiting = outbox()
    shy, bold = many(2)
    waiting.add(shy, 0, crowd_least=5)
    waiting.add(bold, 0)
    assert waiting.take_due(0, 4) == [bold]
    again_ms = waiting.next_ms()
    assert again_ms is not None and again_ms > 0
    assert waiting.take_due(again_ms, 4) == []
    again_ms = waiting.next_ms()
    assert again_ms is not None
    assert waiting.take_due(again_ms, 5) == [shy]


def test_the_outbox_is_bounded() -> None:
    waiting, entry = outbox(), written("many")
    for number in range(limits.OUTBOX_MAX + 5):
        waiting.add(entry._replace(id=number.to_bytes(32, "big")), 0)
    assert len(waiting) == limits.OUTBOX_MAX


class ModelOfTheOutbox(RuleBasedStateMachine):
    """Any order of what can happen: an entry is due or in cells or gone, never two of these."""

    def __init__(self) -> None:
        super().__init__()
        self.outbox = outbox("model")
        self.now_ms = 0
        #: By id, the earliest and latest moment of its next try; None while it is in cells.
        self.due: dict[bytes, tuple[int, int] | None] = {}
        self.tries: dict[bytes, int] = {}

    @rule(entry=st.sampled_from(ENTRIES))
    def write(self, entry: Entry) -> None:
        self.outbox.add(entry, self.now_ms)
        self.due.setdefault(entry.id, (self.now_ms, self.now_ms))
        self.tries.setdefault(entry.id, 0)

    @rule(span_ms=st.sampled_from([1, 5_000, 15_000, 40_000, 2_000_000]))
    def time_passes(self, span_ms: int) -> None:
        self.now_ms += span_ms

    @rule()
    def look(self) -> None:
        taken = {entry.id for entry in self.outbox.take_due(self.now_ms, CROWD)}
        for identifier, span in list(self.due.items()):
            if identifier in taken:
                assert span is not None and span[0] <= self.now_ms
                self.due[identifier] = None
            else:
                assert span is None or self.now_ms < span[1]
        assert taken <= set(self.due)

    @precondition(lambda self: None in self.due.values())
    @rule(data=st.data())
    def the_last_cell_leaves(self, data: st.DataObject) -> None:
        in_cells = [identifier for identifier, span in self.due.items() if span is None]
        identifier = data.draw(st.sampled_from(in_cells))
        self.outbox.on_sent(identifier, self.now_ms)
        self.tries[identifier] += 1
        times = 1 << min(max(self.tries[identifier] - 8, 0), 6)
        self.due[identifier] = (self.now_ms + times * LEAST_MS, self.now_ms + times * MOST_MS)

    @rule(entry=st.sampled_from(ENTRIES))
    def come_back(self, entry: Entry) -> None:
        assert self.outbox.take_back(entry.id) is (entry.id in self.due)
        self.due.pop(entry.id, None)
        self.tries.pop(entry.id, None)

    @rule(entry=st.sampled_from(ENTRIES))
    def a_cell_leaves_of_what_is_gone(self, entry: Entry) -> None:
        if entry.id not in self.due:
            self.outbox.on_sent(entry.id, self.now_ms)

    @invariant()
    def nothing_is_lost_and_the_next_look_is_in_time(self) -> None:
        assert len(self.outbox) == len(self.due)
        assert all(identifier in self.outbox for identifier in self.due)
        spans = [span for span in self.due.values() if span is not None]
        next_ms = self.outbox.next_ms()
        if next_ms is None:
            assert not spans
        else:
            assert min(span[0] for span in spans) <= next_ms <= min(span[1] for span in spans)


TestTheOutboxByModel = ModelOfTheOutbox.TestCase
TestTheOutboxByModel.settings = settings(max_examples=40, stateful_step_count=30)
