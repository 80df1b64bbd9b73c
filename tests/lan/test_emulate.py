"""The same plan on real nodes in namespaces and in the simulator."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from random import Random

import pytest

from protocol.board import Descriptor
from simnet.emulate import emulate_plan, plan_of, table
from simnet.emulation.foretell import foretell
from simnet.emulation.hub import kind_of
from simnet.emulation.namespaces import Net, remove_leftovers
from simnet.emulation.outcome import Outcome, compared, quantile
from simnet.emulation.plan import GAP_S_LEAST, Plan, Planned, Unplayable, check_playable, squeezed
from simnet.emulation.shaping import Means, across, netem_words
from simnet.scenario import of_settings
from simnet.topology import LinkClass, campus, lan, random_regular, subnets

TEA = Descriptor("tea kitchen", bytes(32), work_bits=4)
ROOT = Path(__file__).parents[2]

needs_namespaces = pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("ip") is None, reason="needs root and iproute2"
)
needs_tap = pytest.mark.skipif(not Path("/dev/net/tun").exists(), reason="needs /dev/net/tun")


def posts(count: int, hosts: int) -> tuple[Planned, ...]:
    """Each a reply to the one before, by the next author."""
    return tuple(
        Planned(index * 1.0, index % hosts, f"post {index}", index - 1 if index else None)
        for index in range(count)
    )


def namespaces() -> set[str]:
    shown = subprocess.run(("ip", "netns", "list"), capture_output=True, text=True, check=True)
    return {line.split()[0] for line in shown.stdout.splitlines() if line.startswith("simnet-")}


def namespaces_of(pid: int) -> set[str]:
    return {name for name in namespaces() if name.startswith(f"simnet-{pid}-")}


# --- With real nodes ------------------------------------------------------------------------------


@pytest.mark.lan
@needs_namespaces
@needs_tap
def test_real_nodes_and_simulated_hosts_deliver_the_same_posts() -> None:
    way = LinkClass(latency_ms=5.0, latency_sigma=0.3, bandwidth_mbit=30.0, loss=0.0)
    plan = Plan("small", lan(3, way), 3, TEA, posts(6, 3), settle_s=1.0, drain_s=3.0)
    result = emulate_plan(plan, means=Means.HUB)
    assert not namespaces_of(os.getpid())
    for side in ("simulation", "emulation"):
        assert result[side]["delivered_share"] == 1.0
        assert result[side]["posts"] == 6
        assert result[side]["links_per_node"] == 2.0
    # Some ways of about 5 ms each; their spread, and where the first and last of them begin and
    # end, leave no sharper bound that always holds.
    assert result["emulation"]["latency_p50_s"] > 0.005
    # Bytes do not depend on how busy the machine is, times do: docs/simnet.md has those.
    rows = {row["key"]: row for row in result["rows"]}
    assert abs(rows["bytes_per_node_per_s_p50"]["difference"]) < 0.5
    assert result["emulation_by_kind"]["tcp"] > 0
    assert "latency, median" in table(result)


@pytest.mark.lan
@needs_namespaces
def test_what_was_started_goes_when_emulation_is_told_to_stop() -> None:
    script = (
        "from tests.lan.test_emulate import *\n"
        "emulate_plan(Plan('small', lan(3), 3, TEA, posts(6, 3)), means=Means.NONE,"
        " progress=lambda line: print(line, flush=True))"
    )
    running = subprocess.Popen(
        (sys.executable, "-c", script), stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    assert running.stdout is not None
    for line in running.stdout:
        if "nodes run" in line:
            break
    assert namespaces_of(running.pid)
    inside = keepers_of(running.pid)
    running.send_signal(signal.SIGTERM)
    assert running.wait(30) == 128 + signal.SIGTERM
    running.stdout.close()
    assert not namespaces_of(running.pid)
    assert inside and not any(Path(f"/proc/{pid}").exists() for pid in inside)


def keepers_of(pid: int) -> list[int]:
    """The processes that a process has started."""
    files = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for file in files for child in file.read_text().split()]


@pytest.mark.lan
@needs_namespaces
def test_what_a_killed_run_left_behind_goes_with_the_next() -> None:
    gone = subprocess.Popen(("true",))
    gone.wait()
    name = f"simnet-{gone.pid}-test-0"
    subprocess.run(("ip", "netns", "add", name), check=True)
    remove_leftovers()
    assert name not in namespaces()


@pytest.mark.lan
@needs_namespaces
@needs_tap
@pytest.mark.parametrize("means", [Means.HUB, Means.NONE])
def test_a_way_is_as_long_as_it_should_be_and_crosses_the_router(means: Means) -> None:
    flat = LinkClass(latency_ms=10.0, latency_sigma=0.0, bandwidth_mbit=0.0)
    far = LinkClass(latency_ms=25.0, latency_sigma=0.0, bandwidth_mbit=0.0)
    topology = campus(2, 1, Random(1), flat, far)
    with Net(topology, 2, means) as net:
        one, other = net.hosts
        pinged = round_trip_ms(net, one.command(), other.addresses[1])
    # 25 ms each way, where anything delays.
    assert (50.0 <= pinged < 90.0) if means is Means.HUB else pinged < 40.0


def round_trip_ms(net: Net, inside: list[str], address: str) -> float:
    """The quickest of some connections to a port where nobody listens: a packet and its answer."""
    script = (
        "import socket, time\n"
        "def trip():\n"
        "    begun = time.monotonic()\n"
        f"    socket.socket().connect_ex(({address!r}, 9))\n"
        "    return time.monotonic() - begun\n"
        "print(min(trip() for _ in range(5)) * 1000)"
    )
    done = subprocess.run(
        (*inside, sys.executable, "-c", script), capture_output=True, text=True, timeout=30
    )
    return float(done.stdout)


# --- Without --------------------------------------------------------------------------------------


def test_times_are_drawn_together_and_keep_their_order_and_a_gap() -> None:
    plan = Plan("long", lan(2), 2, TEA, tuple(Planned(60.0 * i, 0, "x") for i in range(100)))
    short = squeezed(plan, posts_max=21, seconds_max=40.0)
    assert [post.at_s for post in short.posts] == [2.0 * i for i in range(21)]
    dense = squeezed(plan, posts_max=21, seconds_max=1.0)
    assert [post.at_s for post in dense.posts] == [GAP_S_LEAST * i for i in range(21)]


@pytest.mark.parametrize(
    ("plan", "why"),
    [
        (Plan("big", lan(31), 31, TEA, posts(2, 2)), "31 hosts, and at most 30"),
        (Plan("silent", lan(3), 3, TEA, ()), "no posts"),
    ],
)
def test_what_cannot_be_played_is_told_in_one_line(plan: Plan, why: str) -> None:
    with pytest.raises(Unplayable, match=why):
        check_playable(plan)


def test_an_explicit_graph_cannot_be_played() -> None:
    plan = Plan("graph", random_regular(6, 3, Random(1)), 6, TEA, posts(2, 2))
    with pytest.raises(Unplayable, match="explicit graph"):
        check_playable(plan)


def test_a_scenario_becomes_a_plan_that_says_what_it_leaves_out() -> None:
    scenario = of_settings(
        {
            "scenario": {"name": "two", "seconds": 600},
            "hosts": {"count": 5, "slowness": [1.0, 2.0]},
            "network": {"topology": "subnets", "segment_sizes": [2, 2]},
            "workload": {"posts_per_hour": 120},
        }
    )
    plan = plan_of(scenario, seed=3)
    assert plan == plan_of(scenario, seed=3)
    assert plan.count == 5
    assert plan.left_out == ("hosts.slowness",)
    assert len(plan.posts) > 5
    for index, post in enumerate(plan.posts):
        assert post.answering is None or post.answering < index


def test_the_simulated_side_delivers_and_converges() -> None:
    plan = Plan("three", subnets([2, 2]), 5, TEA, posts(5, 5))
    outcome = foretell(plan, seed=1)
    figures = outcome.as_json(plan.count)
    assert figures["delivered_share"] == 1.0
    assert figures["converged_after_s"] < 5.0
    assert all(sent > 0 for sent in outcome.sent_bytes)


def test_hosts_that_share_a_processor_are_slower() -> None:
    plan = Plan("ten", lan(10), 10, TEA, posts(5, 10))
    apart, together = (foretell(plan, 1, cores=cores).latencies_s() for cores in (None, 1))
    assert quantile(together, 0.5) > quantile(apart, 0.5)  # type: ignore[operator]


def test_a_comparison_is_relative_to_the_real_nodes() -> None:
    real = Outcome([0.0, None], [{1: 0.2, 2: 0.4}, {}], [300, 100, 200], 10.0)
    simulated = Outcome([0.0, 1.0], [{1: 0.1, 2: 0.3}, {0: 1.1}], [200, 200, 200], 10.0)
    rows = {row["key"]: row for row in compared(simulated.as_json(3), real.as_json(3))}
    assert rows["latency_p50_s"]["difference"] == pytest.approx(-0.5)
    assert rows["bytes_per_node_per_s_p50"]["difference"] == pytest.approx(0.0)
    assert rows["converged_after_s"]["simulated"] is None  # one has not had the second post
    assert rows["delivered_share"]["simulated"] == pytest.approx(75.0)


def test_netem_is_told_the_median_and_the_spread() -> None:
    words = netem_words(LinkClass(latency_ms=3.0, latency_sigma=0.8, bandwidth_mbit=30, loss=0.005))
    said = " ".join(words)
    assert re.search(r"delay 3\.000ms 2\.400ms distribution normal", said)
    assert "loss 0.5000%" in said and "rate 30mbit" in said
    assert netem_words(LinkClass(0.0, 0.0, 0.0, 0.0)) == []


def test_the_router_adds_what_the_way_across_has_more() -> None:
    way = across(LinkClass(latency_ms=3.0, loss=0.01), LinkClass(latency_ms=5.0, loss=0.03))
    assert way.latency_ms == pytest.approx(2.0)
    assert way.loss == pytest.approx(0.02)


def test_frames_are_told_apart() -> None:
    ethernet = bytes(12) + b"\x08\x00"
    ip = bytes([0x45, 0, 0, 40]) + bytes(5) + b"\x06" + bytes(10)
    tcp = bytes(12) + b"\x50" + bytes(7)
    assert kind_of(ethernet + ip + tcp) == "ack"
    longer = ip[:3] + b"\x29" + ip[4:]
    assert kind_of(ethernet + longer + tcp + b"x") == "tcp"
    udp = ip[:9] + b"\x11" + ip[10:]
    assert kind_of(ethernet + udp + (5353).to_bytes(2, "big") * 2 + bytes(4)) == "mdns"
    assert kind_of(bytes(12) + b"\x08\x06" + bytes(28)) == "other"


@pytest.mark.lan
@needs_namespaces
@needs_tap
def test_a_hub_loses_what_it_should_and_keeps_the_rest_in_order() -> None:
    lossy = LinkClass(latency_ms=1.0, latency_sigma=1.0, bandwidth_mbit=0.0, loss=0.3)
    with Net(lan(2, lossy), 2, Means.HUB) as net:
        one, other = net.hosts
        receiver = subprocess.Popen(
            (*other.command(), sys.executable, "-c", _RECEIVER), stdout=subprocess.PIPE, text=True
        )
        time.sleep(1.0)  # until it listens; a frame before that would be answered by an error
        address = other.addresses[0]
        sender = _SENDER.format(address=address)
        subprocess.run((*one.command(), sys.executable, "-c", sender), check=True, timeout=30)
        numbers = [int(word) for word in receiver.communicate(timeout=20)[0].split()]
    assert numbers == sorted(numbers)
    assert 120 < len(numbers) < 260  # of 300, 30 % lost


_SENDER = """
import socket, time
out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for number in range(300):
    out.sendto(str(number).encode(), ("{address}", 999))
    time.sleep(0.002)
"""
_RECEIVER = """
import socket
box = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
box.bind(("0.0.0.0", 999))
box.settimeout(4)
try:
    while True:
        print(box.recv(100).decode())
except TimeoutError:
    pass
"""
