"""Who can reach whom, over what kind of link, and who hears whose multicast.

A topology is about *places*, numbered from 0; hosts take places in the order in which they are
added. Each place is on one or more segments (a LAN: multicast reaches all of it). Between segments
there may be a router, which carries connections and no multicast. An explicit graph has no
multicast at all: neighbours are given each other's addresses, and nobody reaches anybody else.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from random import Random
from typing import Annotated


@dataclass(frozen=True, slots=True)
class LinkClass:
    """What a way between two hosts is like.

    :ivar latency_ms: the median of the one-way delay of a piece.
    :ivar latency_sigma: its spread: the delay is the median times e to a normal of this deviation.
    :ivar bandwidth_mbit: of a host's way out, megabit a second, shared by its connections; 0: no
        limit.
    :ivar loss: that a piece is lost and sent again, which delays it and all behind it.
    """

    latency_ms: float = 0.5
    latency_sigma: float = 0.3
    bandwidth_mbit: float = 100.0
    loss: Annotated[float, (0.0, 1.0)] = 0.0

    def delay_us(self, random: Random) -> int:
        """One draw."""
        if not self.latency_sigma:
            return int(1000 * self.latency_ms)
        return int(1000 * self.latency_ms * math.exp(random.gauss(0.0, self.latency_sigma)))


LAN = LinkClass()
WIFI = LinkClass(latency_ms=3.0, latency_sigma=0.8, bandwidth_mbit=30.0, loss=0.005)
ROUTED = LinkClass(latency_ms=2.0, latency_sigma=0.4, bandwidth_mbit=100.0)


@dataclass(frozen=True, slots=True)
class Topology:
    """:ivar segments: of each place, the segments that it is on.
    :ivar inside: the links within a segment.
    :ivar between: the links across the router; None: there is no router.
    :ivar introductions: pairs of places: the first is given the second's address.
    :ivar edges: of an explicit graph, each place's neighbours; nobody reaches anybody else.
    """

    segments: tuple[tuple[int, ...], ...]
    inside: LinkClass = LAN
    between: LinkClass | None = None
    introductions: tuple[tuple[int, int], ...] = ()
    edges: tuple[frozenset[int], ...] | None = field(default=None)

    @property
    def places(self) -> int:
        """How many hosts fit."""
        return len(self.segments)

    def way(self, one: int, other: int, segment: int) -> LinkClass | None:
        """The kind of link from ``one`` to the address that ``other`` has on ``segment``; None
        where there is no way."""
        if self.edges is not None:
            return self.inside if other in self.edges[one] else None
        if segment in self.segments[one]:
            return self.inside
        return self.between

    def shares_multicast(self, one: int, segment: int) -> bool:
        """Whether a place hears the multicast of a segment."""
        return self.edges is None and segment in self.segments[one]


def lan(count: int, inside: LinkClass = LAN) -> Topology:
    """One segment."""
    return Topology(segments=((0,),) * count, inside=inside)


def subnets(sizes: list[int], bridges: int = 1, inside: LinkClass = LAN) -> Topology:
    """Segments without a router; between each and the next, ``bridges`` hosts that are on both (a
    laptop with cable and Wi-Fi). They come last."""
    segments: list[tuple[int, ...]] = [
        (segment,) for segment, size in enumerate(sizes) for _ in range(size)
    ]
    for segment in range(len(sizes) - 1):
        segments += [(segment, segment + 1)] * bridges
    return Topology(segments=tuple(segments), inside=inside)


def campus(
    count: int,
    segment_size: int,
    random: Random,
    inside: LinkClass = WIFI,
    between: LinkClass = ROUTED,
) -> Topology:
    """Segments behind routers; in each, one host was given the address of one in another."""
    segments = tuple((place // segment_size,) for place in range(count))
    introductions = []
    for segment in range(1, segments[-1][0] + 1):
        introductions.append(
            (segment * segment_size, random.randrange(min(count, segment * segment_size)))
        )
    return Topology(segments, inside, between, tuple(introductions))


def explicit(count: int, pairs: list[tuple[int, int]], inside: LinkClass = LAN) -> Topology:
    """A graph: each pair is one way, dialled by the first of it."""
    edges: list[set[int]] = [set() for _ in range(count)]
    for one, other in pairs:
        edges[one].add(other)
        edges[other].add(one)
    return Topology(
        segments=tuple((place,) for place in range(count)),
        inside=inside,
        introductions=tuple(pairs),
        edges=tuple(frozenset(neighbours) for neighbours in edges),
    )


def random_regular(count: int, degree: int, random: Random, inside: LinkClass = LAN) -> Topology:
    """Each host has ``degree`` neighbours; by pairing stubs at random until no pair is double (the
    configuration model, with swaps in place of starting over)."""
    if count * degree % 2 or degree >= count:
        raise ValueError("degree times count must be even, and degree below count")
    stubs = [place for place in range(count) for _ in range(degree)]
    random.shuffle(stubs)
    pairs = [(stubs[i], stubs[i + 1]) for i in range(0, len(stubs), 2)]
    while bad := _faulty(pairs):
        for index in bad:
            other = random.randrange(len(pairs))
            (a, b), (c, d) = pairs[index], pairs[other]
            pairs[index], pairs[other] = (a, d), (c, b)
    return explicit(count, pairs, inside)


def _faulty(pairs: list[tuple[int, int]]) -> list[int]:
    seen: set[frozenset[int]] = set()
    bad = []
    for index, (one, other) in enumerate(pairs):
        pair = frozenset((one, other))
        if one == other or pair in seen:
            bad.append(index)
        seen.add(pair)
    return bad


def small_world(
    count: int, near: int, rewired: float, random: Random, inside: LinkClass = LAN
) -> Topology:
    """A ring where each knows ``near`` on each side, each edge rewired with probability ``rewired``
    (Watts and Strogatz 1998)."""
    pairs: set[tuple[int, int]] = set()
    for place in range(count):
        for step in range(1, near + 1):
            other = (place + step) % count
            if random.random() < rewired:
                other = random.randrange(count)
            if other != place and (other, place) not in pairs:
                pairs.add((place, other))
    return explicit(count, sorted(pairs), inside)
