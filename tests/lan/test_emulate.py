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

from protocol.board import Descriptor, Pace
from protocol.limits import CELL_BYTES
from simnet.emulate import emulate_plan, plan_of, table
from simnet.emulation import namespaces as namespaces_module
from simnet.emulation.foretell import foretell
from simnet.emulation.hub import kind_of
from simnet.emulation.namespaces import Net, Place, remove_leftovers
from simnet.emulation.outcome import Outcome, compared, quantile
from simnet.emulation.plan import GAP_S_LEAST, Plan, Planned, Unplayable, check_playable, squeezed
from simnet.emulation.shaping import Means, netem_words
from simnet.scenario import of_settings
from simnet.topology import (
    Down,
    LinkClass,
    Topology,
    across,
    campus,
    lan,
    random_regular,
)

TEA = Descriptor("tea kitchen", bytes(32), work_bits=4, pace=Pace.BRISK)
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
    plan = Plan("small", lan(3, way), 3, TEA, posts(4, 3), settle_s=1.0, drain_s=12.0)
    result = emulate_plan(plan, means=Means.HUB)
    assert not namespaces_of(os.getpid())
    for side in ("simulation", "emulation"):
        assert result[side]["delivered_share"] == 1.0
        assert result[side]["posts"] == 4
        assert result[side]["links_per_node"] == 2.0
    # The announcement, the question and the answer, some 5 ms each; their spread, and where the
    # first and last of them begin and end, leave no sharper bound that always holds.
    assert result["emulation"]["spread_p50_s"] > 0.005
    # Bytes do not depend on how busy the machine is, times do: docs/simnet.md has those.
    rows = {row["key"]: row for row in result["rows"]}
    for key in ("bytes_per_node_per_s_p50", "cells_per_node_per_s"):
        assert abs(rows[key]["difference"]) < 0.5
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


@pytest.mark.lan
@needs_namespaces
@needs_tap
def test_the_way_out_of_a_remote_host_is_not_its_way_in() -> None:
    line = LinkClass(80.0, 0.0, 0.0, down=Down(20.0, 0.0))
    flat = LinkClass(0.0, 0.0, 0.0)
    topology = Topology(((0,), (0,)), flat, remotes=frozenset({0}), remote=line)
    with Net(topology, 2, Means.HUB) as net:
        remote, other = net.hosts
        out, into = one_way_ms(remote, other), one_way_ms(other, remote)
    # No machine is so busy that the quickest of many frames waits sixty milliseconds more.
    assert out >= 80.0 and into >= 20.0
    assert into < 80.0


@pytest.mark.lan
@needs_namespaces
@needs_tap
def test_a_hub_lets_through_what_the_receivers_line_in_can_carry() -> None:
    # 100 frames of 1,042 bytes are 0.42 s at 2 Mbit/s; the other way, nothing limits them.
    line = LinkClass(0.0, 0.0, 0.0, down=Down(0.0, 0.0, 2.0))
    topology = Topology(((0,), (0,)), LinkClass(0.0, 0.0, 0.0), remotes=frozenset({0}), remote=line)
    with Net(topology, 2, Means.HUB) as net:
        remote, other = net.hosts
        into = one_way_ms(other, remote, bytes_each=1000, last=True)
        out = one_way_ms(remote, other, bytes_each=1000, last=True)
    assert into >= 400.0 > out


def one_way_ms(sender: Place, receiver: Place, bytes_each: int = 20, last: bool = False) -> float:
    """How long the quickest of a hundred datagrams is on its way, or the last of them since the
    first was sent; both ends have the same monotonic clock."""
    listening = subprocess.Popen(
        (*receiver.command(), sys.executable, "-c", _TIMED_RECEIVER),
        stdout=subprocess.PIPE,
        text=True,
    )
    assert listening.stdout is not None and listening.stdout.readline() == "listening\n"
    sending = _TIMED_SENDER.format(
        address=receiver.addresses[0], size=bytes_each, pause_s=0.0 if last else 0.002
    )
    subprocess.run((*sender.command(), sys.executable, "-c", sending), check=True, timeout=30)
    times = [line.split() for line in listening.communicate(timeout=20)[0].splitlines()]
    sent, came = ([float(pair[index]) for pair in times] for index in (0, 1))
    if last:
        return 1000 * (came[-1] - sent[0])
    return 1000 * min(b - a for a, b in zip(sent, came, strict=True))


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
    plan = Plan("five", lan(5), 5, TEA, posts(5, 5))
    outcome = foretell(plan, seed=1)
    figures = outcome.as_json(plan.count)
    assert figures["delivered_share"] == 1.0
    assert figures["converged_after_s"] < plan.drain_s
    assert all(sent > 0 for sent in outcome.sent_bytes)
    # Of a node's bytes, cells are the most.
    assert outcome.cells is not None
    assert 0.5 < outcome.cells * 1274 / sum(outcome.sent_bytes) < 1.0


def test_hosts_that_share_a_processor_are_slower() -> None:
    plan = Plan("ten", lan(10), 10, TEA, posts(5, 10))
    apart, together = (foretell(plan, 1, cores=cores).spreads_s() for cores in (None, 1))
    assert quantile(together, 0.5) > quantile(apart, 0.5)  # type: ignore[operator]


def test_a_comparison_is_relative_to_the_real_nodes() -> None:
    real = Outcome([0.0, None], [{1: 0.2, 2: 0.4}, {}], [300, 100, 200], 10.0)
    simulated = Outcome([0.0, 1.0], [{1: 0.1, 2: 0.3}, {0: 1.1}], [200, 200, 200], 10.0)
    rows = {row["key"]: row for row in compared(simulated.as_json(3), real.as_json(3))}
    assert rows["latency_p50_s"]["difference"] == pytest.approx(-0.5)
    assert rows["bytes_per_node_per_s_p50"]["difference"] == pytest.approx(0.0)
    assert rows["spread_p50_s"]["difference"] == pytest.approx(0.0)
    assert simulated.as_json(3)["converged_after_s"] is None  # one has not had the second post
    assert rows["delivered_share"]["simulated"] == pytest.approx(75.0)


def test_netem_is_told_the_median_and_the_spread() -> None:
    words = netem_words(LinkClass(latency_ms=3.0, latency_sigma=0.8, bandwidth_mbit=30, loss=0.005))
    said = " ".join(words)
    assert re.search(r"delay 3\.000ms 2\.400ms distribution normal", said)
    assert "loss 0.5000%" in said and "rate 30mbit" in said
    assert netem_words(LinkClass(0.0, 0.0, 0.0, 0.0)) == []


def test_netem_shapes_a_hosts_end_as_its_way_out_and_the_switchs_end_as_its_way_in(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told: list[str] = []
    monkeypatch.setattr(namespaces_module, "run_tool", lambda *words: told.append(" ".join(words)))
    monkeypatch.setattr(namespaces_module, "remove_leftovers", lambda: None)
    monkeypatch.setattr(namespaces_module, "_delete_namespace", lambda name: None)
    line = LinkClass(80.0, 0.0, 1.0, 0.02, Down(20.0, 0.0, 4.0, 0.01))
    inside = LinkClass(5.0, 0.0, 100.0)
    topology = Topology(((0,), (0,)), inside, remotes=frozenset({1}), remote=line)
    with Net(topology, 2, Means.NETEM) as net:
        hosts = [place.name for place in net.hosts]
    shaped = [words.split(" root netem limit 100000 ") for words in told if words[:2] == "tc"]
    assert [(where.split()[2], where.split()[-1], how) for where, how in shaped] == [
        (hosts[0], "eth0", "delay 5.000ms rate 100mbit"),
        (hosts[1], "eth0", "delay 80.000ms loss 2.0000% rate 1mbit"),
        (f"{hosts[1][:-1]}switch", "tap1", "delay 20.000ms loss 1.0000% rate 4mbit"),
    ]


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
    cell = udp[:2] + (20 + 8 + CELL_BYTES).to_bytes(2, "big") + udp[4:]
    assert kind_of(ethernet + cell + bytes(8 + CELL_BYTES)) == "cell"
    longer_one = udp[:2] + (20 + 8 + CELL_BYTES + 1).to_bytes(2, "big") + udp[4:]
    assert kind_of(ethernet + longer_one + bytes(9 + CELL_BYTES)) == "other"


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
_TIMED_SENDER = """
import socket, time
out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for number in range(100):
    out.sendto(str(time.monotonic()).encode().ljust({size}), ("{address}", 999))
    time.sleep({pause_s})
"""
_TIMED_RECEIVER = """
import socket, time
box = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
box.bind(("0.0.0.0", 999))
box.settimeout(4)
print("listening", flush=True)
got = []
try:
    while len(got) < 100:
        sent = box.recv(2000)
        got.append((sent.decode().strip(), time.monotonic()))
except TimeoutError:
    pass
for sent, came in got:
    print(sent, came)
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
