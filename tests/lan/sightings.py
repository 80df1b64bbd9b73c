"""What somebody who sees all packets of a LAN sees of each host."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from tests.lan.packets import UDP, Carried

_MDNS_PORT = 5353
#: Cells are all UDP but mDNS; of TCP, acknowledgements count too.
STREAMS = ("cells out", "cells in", "tcp out", "tcp in")


class Stream(NamedTuple):
    """Packets of one kind and direction of one host.

    :ivar at_s: wall times, rising, shape (packets,).
    :ivar ip_bytes: sizes with the headers of IP, of the same shape.
    """

    at_s: np.ndarray
    ip_bytes: np.ndarray


class Posted(NamedTuple):
    """When an author's node was asked to post, and when it had answered; wall time."""

    asked_s: float
    answered_s: float


@dataclass
class Sightings:
    """A run of a LAN, seen from outside; and what only the poster knows.

    :ivar hosts: by host, its streams by name.
    :ivar begin_s: from when on, :ivar end_s: and before when; wall time.
    :ivar poster: which host is the poster, or would be.
    :ivar posts: when it posted.
    """

    hosts: list[dict[str, Stream]]
    begin_s: float
    end_s: float
    poster: int = 0
    posts: list[Posted] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        """How long it was."""
        return self.end_s - self.begin_s

    def as_if(self, poster: int) -> Sightings:
        """The same, with somebody else taken for the poster."""
        return Sightings(self.hosts, self.begin_s, self.end_s, poster, self.posts)


def kind_of(one: Carried) -> str:
    """``cells``, ``tcp`` or ``mdns``."""
    if one.protocol != UDP:
        return "tcp"
    return "mdns" if _MDNS_PORT in (one.source_port, one.destination_port) else "cells"


def sight(
    packets: Iterable[Carried],
    addresses: Sequence[bytes],
    begin_s: float,
    end_s: float,
    poster: int = 0,
    posts: Sequence[Posted] = (),
) -> Sightings:
    """Sort packets by host.

    :param addresses: of the hosts' Ethernet interfaces.
    """
    number_of = {address: number for number, address in enumerate(addresses)}
    seen: list[dict[str, list[tuple[float, int]]]] = [
        {name: [] for name in STREAMS} for _ in addresses
    ]
    for one in packets:
        kind = kind_of(one)
        if kind == "mdns" or not begin_s <= one.at_s < end_s:
            continue
        for address, way in ((one.sender, "out"), (one.receiver, "in")):
            if address in number_of:
                seen[number_of[address]][f"{kind} {way}"].append((one.at_s, one.ip_bytes))
    hosts = [{name: stream_of(pairs) for name, pairs in host.items()} for host in seen]
    return Sightings(hosts, begin_s, end_s, poster, list(posts))


def stream_of(pairs: Iterable[tuple[float, int]]) -> Stream:
    """Of times and sizes, in any order."""
    ordered = sorted(pairs)
    return Stream(
        np.array([at_s for at_s, _ in ordered], dtype=float),
        np.array([size for _, size in ordered], dtype=int),
    )


def bytes_per_s(
    packets: Iterable[Carried], addresses: Sequence[bytes], begin_s: float, end_s: float
) -> list[tuple[float, float]]:
    """By host, what it sends and receives a second, groups (mDNS) included, at the level of IP."""
    sent, received = [0] * len(addresses), [0] * len(addresses)
    for one in packets:
        if begin_s <= one.at_s < end_s:
            is_for_all = bool(one.receiver[0] & 1)
            for number, address in enumerate(addresses):
                if one.sender == address:
                    sent[number] += one.ip_bytes
                elif is_for_all or one.receiver == address:
                    received[number] += one.ip_bytes
    seconds = end_s - begin_s
    return [(a / seconds, b / seconds) for a, b in zip(sent, received, strict=True)]
