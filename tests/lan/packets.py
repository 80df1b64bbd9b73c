"""Just enough of Ethernet, IP and TCP to look into a capture."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

_IPV4, _IPV6, _TCP = 0x0800, 0x86DD, 6


class Segment(NamedTuple):
    """A TCP segment with data."""

    source: bytes
    destination: bytes
    source_port: int
    destination_port: int
    data: bytes


def read_packets(path: Path) -> list[bytes]:
    """All packets of a capture."""
    return [bytes.fromhex(line) for line in path.read_text().split()]


def tcp_segments(packets: list[bytes]) -> Iterator[Segment]:
    """Segments that carry data, in the order of the capture."""
    for packet in packets:
        kind = int.from_bytes(packet[12:14], "big")
        if kind == _IPV4 and packet[23] == _TCP:
            header = 14 + 4 * (packet[14] & 15)
            end = 14 + int.from_bytes(packet[16:18], "big")
            source, destination = packet[26:30], packet[30:34]
        elif kind == _IPV6 and packet[20] == _TCP:
            header, end = 54, 54 + int.from_bytes(packet[18:20], "big")
            source, destination = packet[22:38], packet[38:54]
        else:
            continue
        data = packet[header + 4 * (packet[header + 12] >> 4) : end]
        if data:
            ports = packet[header : header + 4]
            source_port = int.from_bytes(ports[:2], "big")
            yield Segment(source, destination, source_port, int.from_bytes(ports[2:], "big"), data)
