"""Just enough of pcap, Ethernet, IP, TCP and UDP to look into a capture."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

IPV4, IPV6, TCP, UDP = 0x0800, 0x86DD, 6, 17
ETHERNET_BYTES = 14
#: Of the machine's byte order, nanoseconds, packets of any length, Ethernet.
PCAP_HEADER = struct.pack("=IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 65536, 1)
_RECORD = struct.Struct("=IIII")


class Packet(NamedTuple):
    """A frame as it was captured; wall time in seconds."""

    at_s: float
    frame: bytes


class Carried(NamedTuple):
    """What a packet carries by TCP or UDP.

    :ivar sender: Ethernet address; :ivar receiver: likewise.
    :ivar ip_bytes: with the headers of IP and of what is in it.
    :ivar sequence: of TCP, the number of the first byte.
    :ivar data: without headers; of TCP, often nothing.
    """

    at_s: float
    sender: bytes
    receiver: bytes
    protocol: int
    ip_bytes: int
    source: bytes
    destination: bytes
    source_port: int
    destination_port: int
    sequence: int
    data: bytes


def pcap_record(seconds: int, nanoseconds: int, frame: bytes) -> bytes:
    """A packet in a pcap file."""
    return _RECORD.pack(seconds, nanoseconds, len(frame), len(frame)) + frame


def read_packets(path: Path) -> list[Packet]:
    """All packets of a capture, but for one that is only half there yet."""
    content = path.read_bytes()
    packets, at = [], len(PCAP_HEADER)
    while at + _RECORD.size <= len(content):
        seconds, nanoseconds, length, _ = _RECORD.unpack_from(content, at)
        at += _RECORD.size
        if at + length <= len(content):
            packets.append(Packet(seconds + nanoseconds / 1e9, content[at : at + length]))
        at += length
    return packets


def carried(packets: Iterable[Packet]) -> Iterator[Carried]:
    """What is TCP or UDP, in the order of the capture; nothing here is sent in fragments."""
    for at_s, frame in packets:
        kind = int.from_bytes(frame[12:14], "big")
        if kind == IPV4:
            protocol, header = frame[23], ETHERNET_BYTES + 4 * (frame[14] & 15)
            ip_bytes = int.from_bytes(frame[16:18], "big")
            source, destination = frame[26:30], frame[30:34]
        elif kind == IPV6:
            protocol, header = frame[20], ETHERNET_BYTES + 40
            ip_bytes = 40 + int.from_bytes(frame[18:20], "big")
            source, destination = frame[22:38], frame[38:54]
        else:
            continue
        if protocol not in (TCP, UDP):
            continue
        begin = header + (8 if protocol == UDP else 4 * (frame[header + 12] >> 4))
        yield Carried(
            at_s,
            frame[6:12],
            frame[:6],
            protocol,
            ip_bytes,
            source,
            destination,
            int.from_bytes(frame[header : header + 2], "big"),
            int.from_bytes(frame[header + 2 : header + 4], "big"),
            int.from_bytes(frame[header + 4 : header + 8], "big") if protocol == TCP else 0,
            frame[begin : ETHERNET_BYTES + ip_bytes],
        )


def tcp_segments(packets: Iterable[Packet]) -> Iterator[Carried]:
    """Segments that carry data, in the order of the capture."""
    return (one for one in carried(packets) if one.protocol == TCP and one.data)


def tcp_streams(packets: Iterable[Packet]) -> list[bytes]:
    """What each end of each connection has sent, as far as it was captured without a hole."""
    streams: dict[tuple[bytes, bytes, int, int], tuple[int, bytearray]] = {}
    for segment in tcp_segments(packets):
        ends = (segment.source, segment.destination, segment.source_port, segment.destination_port)
        first, stream = streams.setdefault(ends, (segment.sequence, bytearray()))
        at = (segment.sequence - first) % 2**32
        if at <= len(stream):  # what was sent again is the same
            stream[at : at + len(segment.data)] = segment.data
    return [bytes(stream) for _, stream in streams.values()]


def words_in_clear(packets: Iterable[Packet], words: Iterable[str | bytes]) -> list[str | bytes]:
    """Those that are in a packet, text in any case of letters, in ASCII or UTF-16."""
    frames = b"\n".join(packet.frame for packet in packets)
    lower = frames.lower()
    return [
        word
        for word in words
        if (
            word in frames
            if isinstance(word, bytes)
            else word.lower().encode() in lower or word.lower().encode("utf-16-le") in lower
        )
    ]
