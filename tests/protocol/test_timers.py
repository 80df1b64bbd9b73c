"""Each key has one deadline, the last that was set, and comes up once."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from protocol.timers import Timers

keys = st.sampled_from("abcdef")
times = st.integers(0, 50)


class TimersAgainstADict(RuleBasedStateMachine):
    """A dict of deadlines is all that timers mean."""

    def __init__(self) -> None:
        super().__init__()
        self.timers: Timers[str] = Timers()
        self.model: dict[str, int] = {}

    @rule(key=keys, at_ms=times)
    def set(self, key: str, at_ms: int) -> None:
        self.timers.set(key, at_ms)
        self.model[key] = at_ms

    @rule(key=keys, at_ms=times)
    def set_earlier(self, key: str, at_ms: int) -> None:
        self.timers.set_earlier(key, at_ms)
        self.model[key] = min(at_ms, self.model.get(key, at_ms))

    @rule(key=keys)
    def cancel(self, key: str) -> None:
        self.timers.cancel(key)
        self.model.pop(key, None)

    @rule(now_ms=times)
    def take_due(self, now_ms: int) -> None:
        key = self.timers.take_due(now_ms)
        due = {k: at_ms for k, at_ms in self.model.items() if at_ms <= now_ms}
        if key is None:
            assert not due
        else:
            assert self.model.pop(key) == min(due.values())

    @invariant()
    def agrees(self) -> None:
        assert self.timers.next_ms() == min(self.model.values(), default=None)
        assert len(self.timers) == len(self.model)


TestTimersAgainstADict = TimersAgainstADict.TestCase


@given(st.lists(times, min_size=1))
def test_what_is_due_at_the_same_time_comes_in_the_order_set(at_ms: list[int]) -> None:
    timers: Timers[int] = Timers()
    for key, at in enumerate(at_ms):
        timers.set(key, at)
    taken = [timers.take_due(50) for _ in at_ms]
    assert taken == sorted(range(len(at_ms)), key=lambda key: (at_ms[key], key))
    assert timers.take_due(50) is None


def test_moving_deadlines_again_and_again_keeps_the_heap_small() -> None:
    timers: Timers[str] = Timers()
    for at_ms in range(10_000):
        timers.set("idle", at_ms)
    assert len(timers._heap) <= 65
    assert timers.next_ms() == 9_999
