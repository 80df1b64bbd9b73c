"""Who can reach whom, over what kind of link, and who hears whose multicast.

A topology is about *places*, numbered from 0; hosts take places in the order in which they are
added. Each place is on one or more segments (a LAN: multicast reaches all of it). Between segments
there may be a router, which carries connections and no multicast. An explicit graph is one of
links: it has no multicast at all, neighbours are given each other's addresses, and nobody connects
to anybody else; datagrams go to everybody.

Ways have a direction: each host sends over its own line out and receives over its own line in,
which may differ (:class:`LinkClass` and its ``down``); and some hosts may have another line than
the rest (``Topology.remote``), so that a way to them is unlike the way back.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from random import Random
from typing import Annotated


@dataclass(frozen=True, slots=True)
class Down:
    """What the receiver's line in adds to a way: nothing, unless it is set.

    :ivar latency_ms: the median of what it adds to the one-way delay of a piece.
    :ivar latency_sigma: the spread of that.
    :ivar bandwidth_mbit: of a host's way in, megabit a second, shared by all that comes to it; 0:
        no limit.
    :ivar loss: that a piece is lost on it, as on the way out.
    """

    latency_ms: float = 0.0
    latency_sigma: float = 0.3
    bandwidth_mbit: float = 0.0
    loss: Annotated[float, (0.0, 1.0)] = 0.0


@dataclass(frozen=True, slots=True)
class Route:
    """What a way is like up to the receiver's line.

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


@dataclass(frozen=True, slots=True)
class LinkClass(Route):
    """What a way from one host to another is like: out of the sender, and down to the receiver.

    :ivar down: what the receiver's line in adds.
    """

    down: Down = Down()

    def delay_us(self, random: Random) -> int:
        """One draw."""
        delay_us = _draw_us(self.latency_ms, self.latency_sigma, random)
        if self.down.latency_ms:
            delay_us += _draw_us(self.down.latency_ms, self.down.latency_sigma, random)
        return delay_us

    def loses(self, random: Random) -> bool:
        """Whether one piece is lost, on the way out or on the way in."""
        if self.loss and random.random() < self.loss:
            return True
        return bool(self.down.loss) and random.random() < self.down.loss


def _draw_us(median_ms: float, sigma: float, random: Random) -> int:
    if not sigma:
        return int(1000 * median_ms)
    return int(1000 * median_ms * math.exp(random.gauss(0.0, sigma)))


LAN = LinkClass()
WIFI = LinkClass(latency_ms=3.0, latency_sigma=0.8, bandwidth_mbit=30.0, loss=0.005)
ROUTED = Route(latency_ms=2.0, latency_sigma=0.4, bandwidth_mbit=100.0)
#: A laptop at home whose tunnel ends in the office: much more comes in than goes out. Guess.
HOME = LinkClass(
    latency_ms=15.0,
    latency_sigma=0.4,
    bandwidth_mbit=10.0,
    loss=0.001,
    down=Down(latency_ms=10.0, latency_sigma=0.4, bandwidth_mbit=50.0, loss=0.001),
)


def across(inside: Route, between: Route) -> Route:
    """What the router adds, so that a way across it is like ``between``: the sender's own line has
    done ``inside`` already."""
    return Route(
        latency_ms=max(0.0, between.latency_ms - inside.latency_ms),
        latency_sigma=between.latency_sigma,
        bandwidth_mbit=0.0,
        loss=max(0.0, between.loss - inside.loss),
    )


@dataclass(frozen=True, slots=True)
class Topology:
    """:ivar segments: of each place, the segments that it is on.
    :ivar inside: the links within a segment.
    :ivar between: the ways across the router; None: there is no router.
    :ivar introductions: pairs of places: the first is given the second's address.
    :ivar edges: of an explicit graph, each place's neighbours; nobody connects to anybody else.
    :ivar remotes: the places that are joined to their segments (or neighbours) by another line.
    :ivar remote: that line.
    """

    segments: tuple[tuple[int, ...], ...]
    inside: LinkClass = LAN
    between: Route | None = None
    introductions: tuple[tuple[int, int], ...] = ()
    edges: tuple[frozenset[int], ...] | None = None
    remotes: frozenset[int] = frozenset()
    remote: LinkClass = HOME
    _ways: dict[tuple[bool, bool, bool], LinkClass] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def __post_init__(self) -> None:
        lines = ((False, self.inside), (True, self.remote))
        for is_remote, sender in lines:
            for reaches_remote, receiver in lines:
                for is_across in (False, True):
                    way = self._make_way(sender, receiver, is_across)
                    self._ways[is_remote, reaches_remote, is_across] = way

    @property
    def places(self) -> int:
        """How many hosts fit."""
        return len(self.segments)

    def line(self, place: int) -> LinkClass:
        """What joins a place to its segments: its way out and, as ``down``, its way in."""
        return self.remote if place in self.remotes else self.inside

    def way(self, one: int, other: int, segment: int) -> LinkClass | None:
        """The way from ``one`` to the address that ``other`` has on ``segment``; None where there
        is none."""
        ways = self.ways(one, other, segment)
        return ways and ways[0]

    def ways(self, one: int, other: int, segment: int) -> tuple[LinkClass, LinkClass] | None:
        """:meth:`way`, and the way back, which may be unlike it."""
        if self.edges is not None:
            if other not in self.edges[one]:
                return None
            is_across = False
        else:
            is_across = segment not in self.segments[one]
            if is_across and self.between is None:
                return None
        ends = one in self.remotes, other in self.remotes
        return self._ways[*ends, is_across], self._ways[*ends[::-1], is_across]

    def datagram_way(self, one: int, other: int, segment: int) -> LinkClass | None:
        """As :meth:`way`, for a datagram."""
        if self.edges is not None:
            return self._ways[one in self.remotes, other in self.remotes, False]
        return self.way(one, other, segment)

    def _make_way(self, sender: LinkClass, receiver: LinkClass, is_across: bool) -> LinkClass:
        if not is_across and sender is receiver:
            return sender
        out: Route = sender
        if is_across and self.between is not None:
            out = self.between if sender is self.inside else self._out_across(sender, self.between)
        return LinkClass(
            out.latency_ms, out.latency_sigma, out.bandwidth_mbit, out.loss, receiver.down
        )

    def _out_across(self, sender: LinkClass, between: Route) -> Route:
        """What a remote sender's way out and the router come to."""
        more = across(self.inside, between)
        return replace(
            sender,
            latency_ms=sender.latency_ms + more.latency_ms,
            loss=1 - (1 - sender.loss) * (1 - more.loss),
        )

    def shares_multicast(self, one: int, segment: int) -> bool:
        """Whether a place hears the multicast of a segment."""
        return self.edges is None and segment in self.segments[one]


def with_remotes(made: Topology, line: LinkClass, share: float, random: Random) -> Topology:
    """The same places, a share of them (drawn) joined by another line."""
    remotes = random.sample(range(made.places), int(share * made.places + 0.5))
    return replace(made, remotes=frozenset(remotes), remote=line)


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
    between: Route = ROUTED,
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
