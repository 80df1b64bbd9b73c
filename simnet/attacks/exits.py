"""Where and when an entry came out of the mix, if no spy opened it: which honest node published it.

*Spies* hear of it from their peers within a tenth of a second of each other. The publisher is the
one that was first, or nearly so; whoever asked a spy for it did not have it. *Whoever sees all
packets* knows better: each node that gets the entry does so in three frames, an announcement, a
request and the answer, which follow each other at once; the publisher is the one that gave it to
somebody and had got it from nobody.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence

import numpy as np

from simnet.adversaries.observer import PassiveObserver
from simnet.adversaries.spies import Sighting
from simnet.attacks.tracing import Opened

#: Of each entry, where it may have come out, with probabilities.
Exits = Sequence[tuple[Opened, float]]

#: How likely a node that announced so long (seconds) after the first one is the publisher, beside
#: others; rehearsed on 362 entries in LANs of 50 with 5, 10 and 15 spies.
_BY_GAP = ((0.0, 0.5), (0.005, 0.14), (0.01, 0.07), (0.02, 0.04), (0.03, 0.02), (0.05, 0.01))
_LATER = 0.001
#: A node that has no link to a spy, and one that has and said nothing before it was told.
_UNHEARD, _SILENT = 0.02, 0.003
#: An entry leaves its publisher so long after it came out: it is checked and stored, and the first
#: of some links gets it. Measured like the above: the median.
_STORED_S = 0.035
_FIRST_FRAME_S = 0.010
#: Frames of one exchange follow each other within this (twice a LAN's latency and some work).
_EXCHANGE_US = 8_000
#: Some spy has heard of an entry in this time after it left (measured: at most 70 ms).
_SPREAD_US = 90_000
#: The smallest frame.
_FRAME_BYTES = 512


def exits_by_gossip(
    sightings: Sequence[Sighting], spy_links: Mapping[int, int]
) -> list[tuple[Opened, float]]:
    """What spies make of what they were told.

    :param sightings: of one entry, in order.
    :param spy_links: of each honest host, how many links to spies it has.
    """
    announced = [s for s in sightings if s.what == "announce"]
    if not announced:
        return []
    begin_us = announced[0].at_us
    asked = {s.peer for s in sightings if s.what == "want"}
    gaps_s: dict[int, float] = {}
    for sighting in announced:
        gaps_s.setdefault(sighting.peer, (sighting.at_us - begin_us) / 1e6)
    weights = {}
    for host, links in spy_links.items():
        if host not in asked:
            weights[host] = (
                _gap_weight(gaps_s[host]) if host in gaps_s else (_SILENT if links else _UNHEARD)
            )
    total = sum(weights.values())
    at_s = begin_us / 1e6 - _STORED_S
    return [(Opened(at_s, host), weight / total) for host, weight in weights.items()]


def _gap_weight(gap_s: float) -> float:
    return next((weight for most_s, weight in _BY_GAP if gap_s <= most_s), _LATER)


class Exchanges:
    """Who gave whom something, as far as packets show: frame there, frame back, frame there."""

    def __init__(self, observer: PassiveObserver) -> None:
        self._gifts: list[tuple[int, int, int]] = []
        latest: dict[tuple[int, int], list[int]] = {}
        for packet in observer:
            if packet.is_datagram or packet.bytes < _FRAME_BYTES:
                continue
            way, back = (packet.source, packet.destination), (packet.destination, packet.source)
            begun = self._begun(latest.get(way, ()), latest.get(back, ()), packet.at_us)
            if begun is not None:
                self._gifts.append((begun, packet.source, packet.destination))
            latest.setdefault(way, []).append(packet.at_us)
            del latest[way][:-3]
        self._gifts.sort()
        self._times = [at_us for at_us, _, _ in self._gifts]

    @staticmethod
    def _begun(there: Sequence[int], back: Sequence[int], now_us: int) -> int | None:
        """When the exchange began that this frame ends, if it ends one."""
        if not back or now_us - back[-1] > _EXCHANGE_US:
            return None
        before = bisect_left(there, back[-1])
        if not before or back[-1] - there[before - 1] > _EXCHANGE_US:
            return None
        return there[before - 1]

    def exits(self, heard_us: int) -> list[tuple[Opened, float]]:
        """Where an entry came out that a member first heard of then: the nodes that gave and had
        not been given, all alike if there are several (several entries at a time)."""
        low = bisect_left(self._times, heard_us - _SPREAD_US)
        high = bisect_right(self._times, heard_us)
        given: set[int] = set()
        givers: dict[int, int] = {}
        for at_us, source, destination in self._gifts[low:high]:
            if source not in given:
                givers.setdefault(source, at_us)
            given.add(destination)
        return [
            (Opened(at_us / 1e6 - _FIRST_FRAME_S, host), 1 / len(givers))
            for host, at_us in givers.items()
        ]


def legs_of(observer: PassiveObserver, cell_bytes: int, spies: set[int]) -> np.ndarray:
    """The cells that went from one honest node to another: (when, from, to), a row each."""
    rows = [
        (packet.at_us / 1e6, packet.source, packet.destination)
        for packet in observer
        if packet.is_datagram
        and packet.bytes >= cell_bytes
        and packet.source not in spies
        and packet.destination not in spies
        and packet.destination >= 0
    ]
    return np.array(rows, float).reshape(-1, 3)
