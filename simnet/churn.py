"""Who is switched on when: the rhythm of a working day.

A laptop's lid opens in the morning, closes for lunch (perhaps), and closes for the night, when some
people shut down instead. Each day is planned at its midnight, for all hosts in their order and from
one generator, so that a world with churn has one plan whatever else happens in it. A host that a
fault has switched off meanwhile is started by the next opening of its lid, like a real one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Annotated, Literal

if TYPE_CHECKING:
    from simnet.host import Host
    from simnet.world import World

Share = Annotated[float, (0.0, 1.0)]
HourOfDay = Annotated[float, (0.0, 24.0)]
DaySeconds = Annotated[float, (0.0, 43_200.0)]

_HOUR_US = 3_600_000_000
_DAY_US = 24 * _HOUR_US


@dataclass(frozen=True, slots=True)
class Options:
    """When laptops are open. Spreads are uniform: each host's moment is up to so much before or
    after the hour, drawn anew every day.

    :ivar rhythm: "none": everybody is on all the time; "daily": the working day below.
    :ivar start_spread_s: without a rhythm: all start within the first so many seconds.
    :ivar start_hour: the time of day at which the simulation begins.
    :ivar open_hour: when lids open.
    :ivar open_spread_s: how far before or after it.
    :ivar close_hour: when lids close.
    :ivar close_spread_s: how far before or after it.
    :ivar lunch_hour: when those who go to lunch close their lid.
    :ivar lunch_spread_s: how far before or after it.
    :ivar lunch_s: how long they are away.
    :ivar lunch_share: the share of people who do so on a day.
    :ivar absent_share: the share of people who are not there on a day.
    :ivar shut_down_share: the share that shut down in the evening; the others close the lid, and
        their program keeps its memory.
    :ivar always_on_share: the share of machines that never go off.
    """

    rhythm: Literal["none", "daily"] = "none"
    start_spread_s: DaySeconds = 10.0
    start_hour: HourOfDay = 9.0
    open_hour: HourOfDay = 9.0
    open_spread_s: DaySeconds = 1800.0
    close_hour: HourOfDay = 18.0
    close_spread_s: DaySeconds = 1800.0
    lunch_hour: HourOfDay = 12.5
    lunch_spread_s: DaySeconds = 1200.0
    lunch_s: DaySeconds = 2700.0
    lunch_share: Share = 0.7
    absent_share: Share = 0.0
    shut_down_share: Share = 0.3
    always_on_share: Share = 0.0

    def __post_init__(self) -> None:
        if self.rhythm == "daily" and not self.open_hour < self.close_hour:
            raise ValueError("close_hour: must be later than open_hour")


def schedule(
    world: World, hosts: Sequence[Host], options: Options, until_s: float | None = None
) -> None:
    """Switch on who is on at the start, and let the days pass.

    :param hosts: those that live by the rhythm, none of them on yet.
    :param until_s: from then on nobody opens or closes anything.
    """
    _Days(world, hosts, options, until_s).begin()


class _Days:
    def __init__(
        self, world: World, hosts: Sequence[Host], options: Options, until_s: float | None
    ) -> None:
        self._world = world
        self._hosts = hosts
        self._options = options
        self._random = world.random("churn")
        self._until_us = None if until_s is None else int(until_s * 1_000_000)
        #: World time of the midnight before the start.
        self._midnight_us = -int(options.start_hour * _HOUR_US)

    def begin(self) -> None:
        if self._options.rhythm == "none":
            for host in self._hosts:
                begins_us = self._random.uniform(0, self._options.start_spread_s) * 1_000_000
                self._world.after(int(begins_us), partial(_open, host))
            return
        staying = int(self._options.always_on_share * len(self._hosts) + 0.5)
        always_on = {host.number for host in self._random.sample(self._hosts, staying)}
        for host in self._hosts:
            if host.number in always_on:
                host.start()
        self._hosts = [host for host in self._hosts if host.number not in always_on]
        self._plan_day()

    def _plan_day(self) -> None:
        for host in self._hosts:
            self._plan(host)
        self._midnight_us += _DAY_US
        self._at(self._midnight_us, self._plan_day)

    def _plan(self, host: Host) -> None:
        options, draw = self._options, self._random
        # Everything is drawn, whatever is used, so that one setting does not reshuffle the rest.
        is_absent = draw.random() < options.absent_share
        opens_us = self._moment_us(options.open_hour, options.open_spread_s)
        closes_us = self._moment_us(options.close_hour, options.close_spread_s)
        lunch_us = self._moment_us(options.lunch_hour, options.lunch_spread_s)
        has_lunch = draw.random() < options.lunch_share
        shuts_down = draw.random() < options.shut_down_share
        if is_absent:
            return
        back_us = lunch_us + int(options.lunch_s * 1_000_000)
        has_lunch = has_lunch and opens_us < lunch_us and back_us < closes_us
        now_us = self._world.now_us
        if opens_us <= now_us < closes_us:
            host.start()
            if has_lunch and lunch_us <= now_us < back_us:
                host.sleep()
        self._later(opens_us, partial(_open, host))
        if has_lunch:
            self._later(lunch_us, partial(_close, host, False))
            self._later(back_us, partial(_open, host))
        self._later(closes_us, partial(_close, host, shuts_down))

    def _moment_us(self, hour: float, spread_s: float) -> int:
        moved_us = self._random.uniform(-spread_s, spread_s) * 1_000_000
        return self._midnight_us + int(hour * _HOUR_US + moved_us)

    def _later(self, at_us: int, act: Callable[[], None]) -> None:
        if at_us > self._world.now_us:
            self._at(at_us, act)

    def _at(self, at_us: int, act: Callable[[], None]) -> None:
        if self._until_us is None or at_us < self._until_us:
            self._world.after(at_us - self._world.now_us, act)


def _open(host: Host) -> None:
    if not host.is_on:
        host.start()
    elif host.is_asleep:
        host.wake()


def _close(host: Host, shuts_down: bool) -> None:
    if not host.is_running:
        return
    if shuts_down:
        host.stop()
    else:
        host.sleep()
