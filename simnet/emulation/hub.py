"""A switch in user space that delays frames: what ``tc netem`` does, for kernels without it.

``python -m simnet.emulation.hub``; reads one JSON line from standard input,

    {"seed": 1, "ports": [{"name": "tap0", "segment": 0, "latency_ms": 3.0, "latency_sigma": 0.8,
                           "bandwidth_mbit": 30.0, "loss": 0.005,
                           "down": {"latency_ms": 0.0, ...}}, ...]}

makes a TAP interface for each port in its own network namespace, prints ``ready``, and carries
frames between the ports of a segment until its input ends. Whoever started it moves the interfaces
into the namespaces of the hosts. A line ``counts`` on its input is answered by one JSON line: bytes
by kind that each port has sent.

A frame waits for its port's way out (rate), then for a delay drawn from the port's distribution
and one from that of the receiver's way in (``down``), then for the rate of that; frames from one
port to another keep their order, because a reordered stream is another fault.
Addresses are learnt as by any switch; what is for everybody goes to all ports of the segment.
"""

from __future__ import annotations

import contextlib
import fcntl
import heapq
import json
import math
import os
import select
import struct
import sys
import time
from dataclasses import dataclass, field
from random import Random
from typing import Any

from protocol.limits import CELL_BYTES
from simnet.emulation.priority import go_first

#: <linux/if_tun.h>: make this interface; Ethernet frames, no header of tun's own.
_TUNSETIFF = 0x400454CA
_IFF_TAP_NO_PI = 0x0002 | 0x1000
#: One frame at Ethernet's MTU with a VLAN tag fits; TAP without offloads makes none larger.
_FRAME_BYTES_MAX = 2048
#: Frames taken from one port before the others have their turn.
_BURST = 32
#: As deep as a queue gets before frames are dropped: netem's limit in shaping.py.
_QUEUED_MAX = 100_000
_MDNS_PORT = 5353


@dataclass
class Direction:
    """One of the two ways through a port.

    :ivar free_at: when all that waits for it has passed.
    """

    latency_s: float
    sigma: float
    seconds_per_byte: float
    loss: float
    free_at: float = 0.0

    def passed_at(self, frame_bytes: int) -> float:
        """When a frame that comes now has passed; it keeps the way busy until then."""
        self.free_at = max(time.monotonic(), self.free_at) + frame_bytes * self.seconds_per_byte
        return self.free_at

    def loses(self, random: Random) -> bool:
        """Whether one frame is lost."""
        return bool(self.loss) and random.random() < self.loss

    def delay_s(self, random: Random) -> float:
        """One draw."""
        return self.latency_s * math.exp(random.gauss(0.0, self.sigma)) if self.latency_s else 0.0


@dataclass
class Port:
    """One host's socket in the switch: what it sends goes ``up``, what it gets comes ``down``."""

    number: int
    file: int
    segment: int
    up: Direction
    down: Direction
    #: To each port, when the last frame arrives there.
    arrives_at: dict[int, float] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)


class Hub:
    """All segments."""

    def __init__(self, ports: list[Port], random: Random) -> None:
        self._ports = ports
        self._random = random
        self._where: dict[tuple[int, bytes], Port] = {}
        #: When, in which order, for whom, what, and whether it has passed the receiver's way in.
        self._waiting: list[tuple[float, int, Port, bytes, bool]] = []
        self._sequence = 0

    def run(self) -> None:
        """Carry frames until standard input ends."""
        of_file = {port.file: port for port in self._ports}
        files = [*of_file, sys.stdin.fileno()]
        while True:
            for file in select.select(files, (), (), self._wait_s())[0]:
                if file in of_file:
                    self._take_in(of_file[file])
                elif not self._answer():
                    return
            self._put_out()

    def _wait_s(self) -> float | None:
        return max(0.0, self._waiting[0][0] - time.monotonic()) if self._waiting else None

    def _take_in(self, port: Port) -> None:
        for _ in range(_BURST):
            try:
                frame = os.read(port.file, _FRAME_BYTES_MAX)
            except OSError:
                return  # nothing more there, or the interface has just gone with its namespace
            kind = kind_of(frame)
            port.counts[kind] = port.counts.get(kind, 0) + len(frame)
            port.counts[f"{kind} frames"] = port.counts.get(f"{kind} frames", 0) + 1
            self._carry(port, frame)

    def _carry(self, port: Port, frame: bytes) -> None:
        destination, source = frame[:6], frame[6:12]
        self._where[port.segment, source] = port
        left_at = port.up.passed_at(len(frame))
        if len(self._waiting) >= _QUEUED_MAX:
            return
        known = None if destination[0] & 1 else self._where.get((port.segment, destination))
        receivers = self._ports if known is None else (known,)
        for receiver in receivers:
            if receiver is not port and receiver.segment == port.segment:
                self._send_later(port, receiver, left_at, frame)

    def _send_later(self, port: Port, receiver: Port, left_at: float, frame: bytes) -> None:
        if port.up.loses(self._random) or receiver.down.loses(self._random):
            return
        at = left_at + port.up.delay_s(self._random) + receiver.down.delay_s(self._random)
        at = max(at, port.arrives_at.get(receiver.number, 0.0))
        port.arrives_at[receiver.number] = at
        self._wait(at, receiver, frame, not receiver.down.seconds_per_byte)

    def _wait(self, at: float, receiver: Port, frame: bytes, is_in: bool) -> None:
        self._sequence += 1
        heapq.heappush(self._waiting, (at, self._sequence, receiver, frame, is_in))

    def _put_out(self) -> None:
        now = time.monotonic()
        while self._waiting and self._waiting[0][0] <= now:
            _, _, receiver, frame, is_in = heapq.heappop(self._waiting)
            if not is_in:
                self._wait(receiver.down.passed_at(len(frame)), receiver, frame, True)
                continue
            # An interface that is down or whose queue is full loses frames, as on any network.
            with contextlib.suppress(OSError):
                os.write(receiver.file, frame)

    def _answer(self) -> bool:
        line = sys.stdin.readline()
        if not line:
            return False
        print(json.dumps([port.counts for port in self._ports]), flush=True)
        return True


def kind_of(frame: bytes) -> str:
    """What a frame is, as far as a comparison of bytes needs it: ``tcp``, ``ack`` (TCP without
    payload), ``cell`` (UDP as long as a cell), ``mdns`` or ``other`` (neighbours, groups)."""
    kind = frame[12:14]
    if kind == b"\x08\x00":
        at, protocol = 14 + 4 * (frame[14] & 15), frame[23]
        end = 14 + int.from_bytes(frame[16:18], "big")
    elif kind == b"\x86\xdd":
        at, protocol, end = 54, frame[20], 54 + int.from_bytes(frame[18:20], "big")
    else:
        return "other"
    if protocol == 6:
        return "tcp" if end > at + 4 * (frame[at + 12] >> 4) else "ack"
    if protocol == 17 and int.from_bytes(frame[at + 2 : at + 4], "big") == _MDNS_PORT:
        return "mdns"
    return "cell" if protocol == 17 and end - at - 8 == CELL_BYTES else "other"


def open_tap(name: str) -> int:
    """The file of a new TAP interface."""
    file = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(file, _TUNSETIFF, struct.pack("16sH22x", name.encode(), _IFF_TAP_NO_PI))
    return file


def make_port(number: int, record: dict[str, Any]) -> Port:
    """A port as the input describes it."""
    return Port(
        number=number,
        file=open_tap(str(record["name"])),
        segment=int(record["segment"]),
        up=_direction(record),
        down=_direction(record["down"]),
    )


def _direction(record: dict[str, Any]) -> Direction:
    rate_mbit = float(record["bandwidth_mbit"])
    return Direction(
        latency_s=float(record["latency_ms"]) / 1000,
        sigma=float(record["latency_sigma"]),
        seconds_per_byte=8 / (rate_mbit * 1_000_000) if rate_mbit else 0.0,
        loss=float(record["loss"]),
    )


def main() -> None:
    """Until standard input ends."""
    # Frames must not wait for the nodes that they go between.
    go_first(15)
    asked = json.loads(sys.stdin.readline())
    ports = [make_port(number, record) for number, record in enumerate(asked["ports"])]
    print("ready", flush=True)
    Hub(ports, Random(asked["seed"])).run()


if __name__ == "__main__":
    main()
