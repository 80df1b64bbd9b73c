"""Laptops open and close by the day."""

from __future__ import annotations

from protocol.board import Descriptor
from simnet import churn
from simnet.host import Host
from simnet.world import World

BOARD = Descriptor("test", work_bits=0)
HOUR_S = 3600.0


class Laptop(Host):
    """A host whose lid is all that matters here: it never says anything."""

    def start(self) -> None:
        self.boot += 1
        self.is_on = True

    def stop(self) -> None:
        self.is_on = False

    def sleep(self) -> None:
        self.is_asleep = True

    def wake(self) -> None:
        self.is_asleep = False


def office(options: churn.Options, count: int = 40, until_s: float | None = None) -> World:
    world = World(1)
    hosts = world.add_hosts(count, BOARD, make_host=Laptop, is_on=False)
    churn.schedule(world, hosts, options, until_s)
    return world


def running(world: World) -> int:
    return sum(host.is_running for host in world.hosts)


def test_without_a_rhythm_all_start_soon_and_stay() -> None:
    world = office(churn.Options(start_spread_s=10))
    assert running(world) == 0
    world.run(10)
    assert running(world) == 40
    world.run(48 * HOUR_S)
    assert running(world) == 40


def test_a_day_goes_from_nobody_to_everybody_to_nobody() -> None:
    world = office(churn.Options("daily", start_hour=8.0, lunch_share=0.0))
    world.run(0.4 * HOUR_S)
    assert running(world) == 0
    world.run(0.6 * HOUR_S)
    assert 0 < running(world) < 40
    world.run(1 * HOUR_S)
    assert running(world) == 40
    world.run(9 * HOUR_S)
    assert running(world) == 0


def test_all_wake_within_the_spread() -> None:
    world = office(churn.Options("daily", start_hour=8.9, open_hour=9.0, open_spread_s=300))
    world.run(60)
    assert running(world) == 0
    world.run(600)
    assert running(world) == 40


def test_who_goes_to_lunch_sleeps_and_comes_back() -> None:
    options = churn.Options("daily", start_hour=12.0, lunch_share=1.0, lunch_spread_s=0)
    world = office(options)
    assert running(world) == 40
    world.run(0.6 * HOUR_S)
    assert running(world) == 0
    assert all(host.is_asleep for host in world.hosts)
    world.run(0.75 * HOUR_S)
    assert running(world) == 40


def test_a_simulation_that_begins_at_lunch_begins_with_sleepers() -> None:
    options = churn.Options("daily", start_hour=12.6, lunch_share=1.0, lunch_spread_s=0)
    world = office(options)
    assert running(world) == 0
    assert all(host.is_asleep for host in world.hosts)


def test_in_the_evening_some_shut_down_and_some_close_the_lid() -> None:
    world = office(churn.Options("daily", start_hour=17.0, shut_down_share=0.5))
    world.run(2 * HOUR_S)
    assert running(world) == 0
    shut_down = sum(not host.is_on for host in world.hosts)
    assert 5 < shut_down < 35


def test_the_next_day_is_a_day_again() -> None:
    world = office(churn.Options("daily", start_hour=17.0))
    world.run(16.0 * HOUR_S + 1800)
    assert running(world) == 40


def test_some_machines_never_go_off_and_some_people_never_come() -> None:
    world = office(churn.Options("daily", start_hour=3.0, always_on_share=0.25))
    assert running(world) == 10
    absent = office(churn.Options("daily", start_hour=10.0, absent_share=1.0))
    absent.run(HOUR_S)
    assert running(absent) == 0


def test_after_the_end_nobody_opens_or_closes_anything() -> None:
    world = office(churn.Options("daily", start_hour=17.0), until_s=60)
    assert running(world) == 40
    world.run(24 * HOUR_S)
    assert running(world) == 40


def test_a_host_that_a_fault_switched_off_is_started_by_its_lid() -> None:
    world = office(churn.Options("daily", start_hour=12.0, lunch_share=1.0, lunch_spread_s=0))
    world.hosts[0].stop()
    world.run(1.3 * HOUR_S)
    assert world.hosts[0].is_running


def test_one_setting_does_not_reshuffle_the_others() -> None:
    def opened_s(lunch_share: float) -> list[int]:
        world = office(churn.Options("daily", start_hour=8.0, lunch_share=lunch_share))
        seen: list[int] = []
        for second in range(0, 6000, 60):
            world.run(60)
            seen.append(running(world) * 10_000 + second)
        return seen

    assert opened_s(0.0) == opened_s(1.0)
