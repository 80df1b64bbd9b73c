"""Hosts as network namespaces, segments as bridges (or as a hub), a router where there is one.

A host has one interface for each segment that it is on: a laptop with cable and Wi-Fi has two. All
of it is made for one run and goes with it: also after an exception or Ctrl-C (:class:`Net` is a
context), and what a killed run has left behind goes when the next one starts, because the
names hold the number of the process that they belong to.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import subprocess
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any

from simnet.emulation.plan import Unplayable
from simnet.emulation.shaping import Means, netem_words, run_tool
from simnet.topology import Down, LinkClass, Route, Topology, across

_PREFIX = "simnet-"
#: The last octet of the router on each segment; hosts are numbered from 1.
_ROUTER_OCTET = 254
_HUB_START_S_MAX = 20.0


class Place:
    """A namespace with its interfaces.

    :ivar name: of the namespace.
    :ivar addresses: by segment, IPv4.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.addresses: dict[int, str] = {}

    def command(self, *words: str) -> list[str]:
        """A command line that runs in here."""
        return ["ip", "netns", "exec", self.name, *words]

    def counters(self) -> tuple[int, int]:
        """Bytes that its interfaces have sent and received, Ethernet headers included."""
        shown = subprocess.run(
            ("ip", "-n", self.name, "-s", "-j", "link", "show"),
            check=True,
            capture_output=True,
            text=True,
            timeout=20,
        )
        links = [link for link in json.loads(shown.stdout) if link["ifname"] != "lo"]
        stats = [link["stats64"] for link in links]
        return sum(s["tx"]["bytes"] for s in stats), sum(s["rx"]["bytes"] for s in stats)


class Net:
    """The network of a plan, up while the context is open.

    :param count: hosts; they take the topology's places from 0.
    :param means: what shapes the ways.
    :ivar hosts: by number.
    :raises Unplayable: where namespaces cannot be made.
    """

    def __init__(self, topology: Topology, count: int, means: Means, seed: int = 1) -> None:
        self.hosts: list[Place] = []
        self._topology = topology
        self._count = count
        self._means = means
        self._seed = seed
        self._prefix = f"{_PREFIX}{os.getpid()}-{secrets.token_hex(2)}-"
        self._switch = f"{self._prefix}switch"
        self._closing = ExitStack()
        self._taps = 0
        self._hub: subprocess.Popen[str] | None = None

    def __enter__(self) -> Net:
        try:
            remove_leftovers()
            self._build()
        except (OSError, subprocess.CalledProcessError) as error:
            self._closing.close()
            why = str(getattr(error, "stderr", None) or error).strip()
            raise Unplayable(
                f"can't make network namespaces ({why}): emulation needs Linux, iproute2 and root"
            ) from None
        except BaseException:
            self._closing.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._closing.close()

    def counts_by_kind(self) -> list[dict[str, int]] | None:
        """By host, the bytes and frames by kind that it has sent; only a hub can tell."""
        if self._hub is None or self._hub.stdin is None or self._hub.stdout is None:
            return None
        self._hub.stdin.write("counts\n")
        self._hub.stdin.flush()
        by_port = json.loads(self._hub.stdout.readline())
        summed: list[dict[str, int]] = [{} for _ in self.hosts]
        for port, counts in zip(self._ports, by_port, strict=True):
            if port["host"] is not None:
                for kind, number in counts.items():
                    summed[port["host"]][kind] = summed[port["host"]].get(kind, 0) + number
        return summed

    # --- Building ---------------------------------------------------------------------------------

    def _build(self) -> None:
        topology = self._topology
        self._add_namespace(self._switch)
        segments = sorted({s for place in topology.segments[: self._count] for s in place})
        self._ports = self._plan_ports(segments)
        if self._means is Means.HUB:
            self._start_hub()
        else:
            for segment in segments:
                self._add_bridge(segment)
        for number in range(self._count):
            place = self._add_place(f"{self._prefix}{number}")
            self.hosts.append(place)
            for index, segment in enumerate(topology.segments[number]):
                self._plug_in(place, index, segment, number + 1, topology.line(number))
        if topology.between is not None:
            self._add_router(segments, topology.between)

    def _plan_ports(self, segments: Sequence[int]) -> list[dict[str, Any]]:
        """What the hub is told, in the order in which interfaces are plugged in."""
        topology = self._topology
        ports = [
            {"segment": segment, "host": number, **asdict(topology.line(number))}
            for number in range(self._count)
            for segment in topology.segments[number]
        ]
        if topology.between is not None:
            line = asdict(_line_of_router(topology.inside, topology.between))
            ports += [{"segment": segment, "host": None, **line} for segment in segments]
        return [{"name": f"tap{index}", **port} for index, port in enumerate(ports)]

    def _add_namespace(self, name: str) -> None:
        run_tool("ip", "netns", "add", name)
        self._closing.callback(_delete_namespace, name)
        run_tool("ip", "-n", name, "link", "set", "lo", "up")

    def _add_place(self, name: str) -> Place:
        self._add_namespace(name)
        return Place(name)

    def _add_bridge(self, segment: int) -> None:
        inside = ("ip", "-n", self._switch, "link")
        run_tool(*inside, "add", f"br{segment}", "type", "bridge", "mcast_snooping", "0")
        run_tool(*inside, "set", f"br{segment}", "up")

    def _start_hub(self) -> None:
        hub = subprocess.Popen(
            ("ip", "netns", "exec", self._switch, sys.executable, "-m", "simnet.emulation.hub"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
            cwd=source_root(),
        )
        self._closing.callback(_end, hub)
        self._hub = hub
        if hub.stdin is None or hub.stdout is None:
            raise OSError("no pipes to the hub")
        hub.stdin.write(json.dumps({"seed": self._seed, "ports": self._ports}) + "\n")
        hub.stdin.flush()
        if hub.stdout.readline() != "ready\n":
            raise OSError("the hub did not start")

    def _plug_in(self, place: Place, index: int, segment: int, octet: int, line: LinkClass) -> None:
        outer, inner = f"tap{self._taps}", f"eth{index}"
        self._taps += 1
        of_switch = ("ip", "-n", self._switch, "link")
        if self._means is Means.HUB:
            run_tool(*of_switch, "set", outer, "netns", place.name)
            run_tool("ip", "-n", place.name, "link", "set", outer, "name", inner)
        else:
            peer = ("peer", "name", inner, "netns", place.name)
            run_tool(*of_switch, "add", outer, "type", "veth", *peer)
            run_tool(*of_switch, "set", outer, "master", f"br{segment}", "up")
        address = f"10.{100 + segment}.0.{octet}"
        place.addresses[segment] = address
        run_tool("ip", "-n", place.name, "address", "add", f"{address}/24", "dev", inner)
        run_tool("ip", "-n", place.name, "link", "set", inner, "up")
        if self._means is Means.NETEM:
            self._shape(place.name, inner, line)
            self._shape(self._switch, outer, line.down)

    def _shape(self, namespace: str, interface: str, way: Route | Down) -> None:
        """What leaves by an interface: a host's own is its way out, the switch's end of its cable
        its way in."""
        if words := netem_words(way):
            adding = ("tc", "-n", namespace, "qdisc", "add", "dev", interface, "root")
            run_tool(*adding, *words)

    def _add_router(self, segments: Sequence[int], between: Route) -> None:
        router = self._add_place(f"{self._prefix}router")
        run_tool(*router.command("sysctl", "-q", "-w", "net.ipv4.ip_forward=1"))
        line = _line_of_router(self._topology.inside, between)
        for index, segment in enumerate(segments):
            self._plug_in(router, index, segment, _ROUTER_OCTET, line)
        for place in self.hosts:
            segment = min(place.addresses)
            through = f"10.{100 + segment}.0.{_ROUTER_OCTET}"
            run_tool("ip", "-n", place.name, "route", "add", "default", "via", through)


def _line_of_router(inside: Route, between: Route) -> LinkClass:
    """Of each of its interfaces: out, what it adds; in, nothing."""
    more = across(inside, between)
    return LinkClass(more.latency_ms, more.latency_sigma, more.bandwidth_mbit, more.loss)


def source_root() -> Path:
    """The folder that holds the package, for processes that are started from elsewhere."""
    return Path(__file__).resolve().parents[2]


def remove_leftovers() -> None:
    """Delete the namespaces of runs whose process is gone."""
    listed = subprocess.run(("ip", "netns", "list"), capture_output=True, text=True, timeout=20)
    for line in listed.stdout.splitlines():
        name = line.split()[0] if line.strip() else ""
        owner = re.match(rf"{_PREFIX}(\d+)-", name)
        if owner and not Path(f"/proc/{owner[1]}").exists():
            _delete_namespace(name)


def _delete_namespace(name: str) -> None:
    subprocess.run(("ip", "netns", "delete", name), capture_output=True, timeout=20)


def _end(process: subprocess.Popen[str]) -> None:
    if process.stdin is not None:
        process.stdin.close()
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(5)
    if process.stdout is not None:
        process.stdout.close()
