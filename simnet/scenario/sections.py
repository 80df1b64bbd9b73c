"""The sections of a scenario file, each a record: its fields are the keys."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from protocol import limits
from protocol.board import Descriptor, Pace
from protocol.errors import Refused
from simnet.topology import HOME, LAN, ROUTED, LinkClass, Route

STRATEGY_DEFAULT = "ours"
Share = Annotated[float, (0.0, 1.0)]
Factor = Annotated[float, (0.01, 1000.0)]
Skew = Annotated[float, (-86_400.0, 86_400.0)]
Drift = Annotated[float, (-0.01, 0.01)]
Count = Annotated[int, (1, 100_000)]


@dataclass(frozen=True, slots=True)
class About:
    """What it is called and how long it lasts.

    :ivar name: one word, for tables and files.
    :ivar title: one line for people.
    :ivar story: what it shows and why one would run it.
    :ivar seconds: of simulated time, before the healing and the check of convergence.
    """

    name: str = ""
    title: str = ""
    story: str = ""
    seconds: Annotated[float, (1.0, 2_678_400.0)] = 600.0


@dataclass(frozen=True, slots=True)
class BoardOptions:
    """The board that all hosts are members of.

    :ivar name: of the board.
    :ivar work_bits: leading zero bits of each entry's id: what a post costs.
    :ivar retention_days: entries older than this are deleted everywhere.
    :ivar payload_bytes_max: the largest payload.
    :ivar pace: of the mix: how often each node emits a cell, and how long a relay holds one.
    """

    name: str = "simulated"
    work_bits: Annotated[int, (0, 20)] = 4
    retention_days: Annotated[int, (1, limits.RETENTION_DAYS_MAX)] = limits.RETENTION_DAYS_DEFAULT
    payload_bytes_max: Annotated[int, (limits.PAYLOAD_BYTES_LEAST, limits.PAYLOAD_BYTES_MOST)] = (
        limits.PAYLOAD_BYTES_DEFAULT
    )
    pace: Literal["brisk", "normal", "calm"] = "normal"

    def __post_init__(self) -> None:
        try:
            self.descriptor()
        except Refused as refused:
            raise ValueError(f"name: {refused.detail}") from None

    def descriptor(self) -> Descriptor:
        """The board's descriptor."""
        return Descriptor(
            self.name,
            work_bits=self.work_bits,
            retention_days=self.retention_days,
            payload_bytes_max=self.payload_bytes_max,
            pace=Pace[self.pace.upper()],
        )


@dataclass(frozen=True, slots=True)
class NetworkOptions:
    """Who can reach whom, over what kind of link.

    :ivar topology: "lan": one segment; "subnets": segments joined by hosts that are on two;
        "campus": segments behind routers; "random-regular", "small-world" and "explicit": graphs
        of links without multicast, where nobody connects to anybody but their neighbours (cells
        of the mix go to everybody).
    :ivar segment_sizes: of subnets: hosts on each segment alone.
    :ivar bridges: of subnets: hosts on both of each two neighbouring segments.
    :ivar segment_hosts: of a campus: hosts on one segment.
    :ivar degree: of random-regular: everybody's neighbours.
    :ivar near: of small-world: neighbours on each side of the ring.
    :ivar rewired: of small-world: the share of edges that lead anywhere.
    :ivar edges: of explicit: pairs of hosts; the first dials.
    :ivar inside: links within a segment, or along an edge.
    :ivar between: of a campus: ways through the router.
    :ivar remote_share: of the hosts, those whose line is another one than the rest's.
    :ivar remote: that line: what they send, and as ``down`` what they get.
    """

    topology: Literal["lan", "subnets", "campus", "random-regular", "small-world", "explicit"] = (
        "lan"
    )
    segment_sizes: tuple[Count, ...] = ()
    bridges: Count = 1
    segment_hosts: Count = 25
    degree: Annotated[int, (1, 1000)] = 8
    near: Annotated[int, (1, 1000)] = 4
    rewired: Share = 0.1
    edges: tuple[tuple[int, int], ...] = ()
    inside: LinkClass = LAN
    between: Route = ROUTED
    remote_share: Share = 0.0
    remote: LinkClass = HOME


#: Keys that only one topology has.
KEYS_OF_TOPOLOGY = {
    "segment_sizes": "subnets",
    "bridges": "subnets",
    "segment_hosts": "campus",
    "between": "campus",
    "degree": "random-regular",
    "near": "small-world",
    "rewired": "small-world",
    "edges": "explicit",
}


@dataclass(frozen=True, slots=True)
class HostsOptions:
    """The laptops. Ranges are drawn from uniformly, host by host.

    :ivar count: of all hosts, adversaries included.
    :ivar ciphers: "real", or "cheap": stand-ins for ciphers and signatures of the same sizes and
        failures, for large worlds.
    :ivar slowness: a factor on the time that a host's work takes.
    :ivar clock_skew_s: how far a host's wall clock is off.
    :ivar clock_drift: seconds that it gains each second.
    """

    count: Count = 20
    ciphers: Literal["real", "cheap"] = "real"
    slowness: tuple[Factor, Factor] = (1.0, 1.0)
    clock_skew_s: tuple[Skew, Skew] = (0.0, 0.0)
    clock_drift: tuple[Drift, Drift] = (0.0, 0.0)


@dataclass(frozen=True, slots=True)
class PublishingOptions:
    """How own entries leave a node.

    :ivar strategy: a name in simnet.strategies: "ours" is what the protocol does, the others are
        there to be compared with.
    """

    strategy: str = STRATEGY_DEFAULT


@dataclass(frozen=True, slots=True)
class ChecksOptions:
    """What must hold.

    :ivar invariants: whether every host is watched all the time; costs some speed.
    :ivar converge_within_s: once all is healed, every honest host has the same entries within so
        many simulated seconds; 0: not looked at.
    """

    invariants: bool = True
    converge_within_s: Annotated[float, (0.0, 86_400.0)] = 300.0


@dataclass(frozen=True, slots=True)
class ObserverOptions:
    """Sees when each packet is sent, by whom, to whom, and how long it is. It is no host, and there
    is one of it at most."""
