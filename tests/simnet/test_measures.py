"""The recorder: what it counts is what happened, and it changes nothing."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol import effects
from protocol.board import Descriptor
from protocol.gossip import Gossip
from protocol.messages import Address
from simnet.host import Host
from simnet.measures import DETAILED_MAX, SAMPLES_MAX, Recorder, Sketch, host_number, spread_of
from simnet.strategies import PlainGossip
from simnet.topology import subnets
from simnet.world import World

BOARD = Descriptor("test", work_bits=0)


class Stranger(Host):
    role = "stranger"


def two_floors(
    seed: int = 1, keeps: str = "all", make_board: type[Gossip] = Gossip
) -> tuple[World, list[Host], Recorder]:
    world = World(seed, topology=subnets([6, 5], bridges=1), make_board=make_board)
    hosts = world.add_hosts(12, BOARD)
    return world, hosts, Recorder(world, keeps)  # type: ignore[arg-type]


# --- Figures --------------------------------------------------------------------------------------


@given(st.lists(st.integers(0, 2**40), min_size=1), st.integers(1, 100))
def test_a_quantile_of_a_sketch_is_near_the_exact_one(values: list[int], percent: int) -> None:
    sketch = Sketch()
    for value in values:
        sketch.add(value)
    exact = sorted(values)[max(1, -(-percent * len(values) // 100)) - 1]
    found = sketch.quantile(percent)
    assert found is not None and abs(found - exact) <= exact / 500
    if exact < 512:
        assert found == exact


@given(st.lists(st.integers(0, 10**6)), st.lists(st.integers(0, 100)))
def test_quantiles_in_one_walk_are_those_one_by_one(values: list[int], some: list[int]) -> None:
    sketch = Sketch()
    for value in values:
        sketch.add(value)
    percents = sorted(some)
    assert sketch.quantiles(percents) == [sketch.quantile(percent) for percent in percents]


def test_a_spread_is_median_nearest_rank_and_most() -> None:
    assert spread_of(range(1, 101)) == {"p50": 50, "p95": 95, "max": 100}
    assert spread_of([7]) == {"p50": 7, "p95": 7, "max": 7}
    assert spread_of([]) == {"p50": None, "p95": None, "max": None}


@pytest.mark.parametrize("number", [0, 1, 249, 250, 9_999])
def test_an_address_tells_its_host(number: int) -> None:
    assert host_number(Address(f"10.3.{number // 250}.{number % 250 + 1}", 1)) == number


def test_hosts_of_a_world_have_such_addresses() -> None:
    _, hosts, _ = two_floors()
    for host in hosts:
        assert {host_number(address) for address in host.addresses.values()} == {host.number}


# --- Deliveries -----------------------------------------------------------------------------------


def test_an_entry_is_delivered_to_everybody_but_its_author() -> None:
    world, hosts, recorder = two_floors()
    world.run(10)
    entry, _ = hosts[3].post("hello")
    world.run(20)
    result = recorder.result()
    assert recorder.author_of == {entry.id: 3}
    assert result["delivery"]["posts"] == 1
    assert result["delivery"]["delivered_share"] == result["delivery"]["on_share"] == 1.0
    assert result["entries"][0]["reached"] == 11
    arrived = [number for number, _, _ in result["spread"]["arrivals"]]
    assert sorted(arrived) == [host.number for host in hosts if host.number != 3]


def test_an_arrival_is_the_moment_when_the_host_tells_of_it() -> None:
    world, hosts, recorder = two_floors()
    told_us: dict[int, int] = {}

    def on_event(host: Host, event: effects.Event) -> None:
        if isinstance(event, effects.EntriesArrived):
            told_us.setdefault(host.number, world.now_us)

    for host in hosts:
        host.on_event.append(on_event)
    world.run(10)
    hosts[0].post("hello")
    world.run(20)
    result = recorder.result()
    for number, at_s, _ in result["spread"]["arrivals"]:
        assert at_s == pytest.approx(told_us[number] / 1e6, abs=0.0011)
    latest_s = max(us for number, us in told_us.items() if number) / 1e6
    waited_s = latest_s - result["spread"]["at_s"]
    # A sketch is exact to a five-hundredth.
    assert result["delivery"]["last_node_p50_s"] == pytest.approx(waited_s, rel=0.003)


def test_everybody_has_it_from_somebody_who_had_it_before() -> None:
    world, hosts, recorder = two_floors()
    world.run(10)
    hosts[2].post("hello")
    world.run(20)
    spread = recorder.result()["spread"]
    had_s = {spread["author"]: spread["at_s"]}
    by_cells = 0
    for number, at_s, source in spread["arrivals"]:
        if source is None:
            by_cells += 1
        else:
            assert had_s[source] <= at_s
        had_s[number] = at_s
    assert by_cells == 1, "one host has published it"


def test_what_is_off_when_it_is_written_counts_as_later() -> None:
    world, hosts, recorder = two_floors()
    world.run(10)
    hosts[4].crash()
    hosts[5].sleep()
    world.run(1)
    hosts[0].post("hello")
    world.run(30)
    before = recorder.result()["delivery"]
    assert before["on_share"] == 1.0 and before["later"]["deliveries"] == 0
    assert before["delivered_share"] == round(9 / 11, 5)
    hosts[4].start()
    hosts[5].wake()
    world.run(60)
    after = recorder.result()["delivery"]
    assert after["delivered_share"] == 1.0 and after["later"]["deliveries"] == 2
    assert after["later"]["p50_s"] > 29 > after["p99_s"]


def test_adversaries_count_neither_as_authors_nor_as_receivers() -> None:
    world = World(2)
    honest = world.add_hosts(4, BOARD)
    recorder = Recorder(world)
    (stranger,) = world.add_hosts(1, BOARD, make_host=Stranger)
    recorder.watch(stranger)
    world.run(10)
    spam, _ = stranger.post("buy")
    post, _ = honest[0].post("hello")
    world.run(20)
    result = recorder.result()
    assert recorder.author_of == {spam.id: 4, post.id: 0}
    assert result["delivery"]["posts"] == 1
    reached = {row["id"]: row["reached"] for row in result["entries"]}
    assert reached == {spam.id.hex(): 4, post.id.hex(): 3}
    assert result["spread"]["entry"] == post.id.hex()
    assert [number for number, _, _ in result["spread"]["arrivals"] if number == 4]
    assert result["hosts"][4]["role"] == "stranger"


def test_hosts_may_come_later() -> None:
    world, hosts, recorder = two_floors()
    world.run(10)
    entry, _ = hosts[0].post("hello")
    world.run(5)
    world.topology = subnets([6, 5], bridges=2)
    (late,) = world.add_hosts(1, BOARD)
    recorder.watch(late)
    recorder.watch(late)
    assert world.run_until(lambda: entry.id in late.ids(), 60)
    result = recorder.result()
    assert result["delivery"]["later"]["deliveries"] == 1
    assert result["delivery"]["delivered_share"] == 1.0
    assert result["entries"][0]["reached"] == 12


# --- Cost -----------------------------------------------------------------------------------------


def test_without_floods_everybody_gets_what_a_post_says_once() -> None:
    world, hosts, recorder = two_floors()
    world.run(10)
    for number in range(5):
        hosts[number].post("hello" * number)
        world.run(5)
    redundancy = recorder.result()["redundancy"]
    assert redundancy["payload_copies_per_delivery"] == pytest.approx(1.0, abs=0.1)
    assert redundancy["announcements_per_delivery"] > 1


def test_bytes_signatures_and_messages_are_those_of_the_world() -> None:
    world, hosts, recorder = two_floors()
    world.run(10)
    hosts[0].post("hello")
    world.run(30)
    result = recorder.result()
    rows = result["hosts"]
    assert {row["number"]: row["sent_bytes"] for row in rows} == world.network.sent_bytes
    assert [row["signatures"] for row in rows] == [1] * 12
    assert [row["entries"] for row in rows] == [1] * 12
    assert sum(row["messages"] for row in rows) == sum(
        result["traffic"]["messages_by_kind"].values()
    )
    assert result["traffic"]["bytes_per_post"] == world.network.carried_bytes
    assert all(row["links"] >= 5 for row in rows)


def test_traffic_over_time_adds_up_to_all_traffic() -> None:
    world, hosts, recorder = two_floors()
    for _ in range(6):
        hosts[0].post("hello")
        world.run(100)
    moments = recorder.result()["traffic"]["over_time"]
    assert len(moments) <= SAMPLES_MAX + 1
    before_s, total = 0.0, 0.0
    for moment in moments:
        assert moment["at_s"] > before_s
        total += moment["bytes_per_s"] * (moment["at_s"] - before_s)
        before_s = moment["at_s"]
    assert before_s == 600.0
    assert total == pytest.approx(world.network.carried_bytes, rel=1e-4)


# --- The recorder itself --------------------------------------------------------------------------


def test_measuring_changes_nothing() -> None:
    def trace(is_measured: bool) -> tuple[str, int]:
        world = World(5)
        hosts = world.add_hosts(5, BOARD)
        if is_measured:
            Recorder(world).result()
        world.run(5)
        hosts[0].post("hello")
        world.run(10)
        return world.trace_hash, world.events

    assert trace(True) == trace(False)


def test_one_seed_is_one_result() -> None:
    def result(keeps: str) -> str:
        world, hosts, recorder = two_floors(7, keeps)
        world.run(5)
        for number in range(4):
            hosts[number].post("hello")
            world.run(3)
        return json.dumps(recorder.result())

    assert result("all") == result("all")
    assert result("summary") == result("all"), "few entries: nothing is left out"


def test_a_summary_keeps_the_arrivals_of_the_first_entries_only() -> None:
    world, hosts, recorder = two_floors(keeps="summary", make_board=PlainGossip)
    world.run(5)
    entries = [hosts[i % 12].post(f"post {i}")[0] for i in range(DETAILED_MAX + 1)]
    world.run(30)
    result = recorder.result()
    assert result["delivery"]["delivered_share"] == 1.0
    by_time = [bytes.fromhex(row["id"]) for row in result["entries"]]
    assert {entry.id for entry in entries} == set(by_time)
    assert recorder.result(by_time[0])["spread"]["entry"] == by_time[0].hex()
    assert recorder.result(by_time[-1])["spread"] is None


def test_of_nothing_nothing_is_told() -> None:
    result = Recorder(World(1)).result()
    assert result["delivery"]["posts"] == 0
    assert result["delivery"]["p50_s"] is result["delivery"]["delivered_share"] is None
    assert result["delivery"]["curve"] == result["traffic"]["over_time"] == result["hosts"] == []
    assert result["spread"] is None
    json.dumps(result, allow_nan=False)
