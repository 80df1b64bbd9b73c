"""What is played on both sides: places, the ways between them, and posts with their times."""

from __future__ import annotations

from dataclasses import dataclass, replace

from protocol.board import Descriptor
from simnet.topology import Topology

#: Real processes share this machine; more than these and its processor is what is measured.
HOSTS_MAX = 30
#: Between two posts, after squeezing: a reader's stream pauses for a tenth of a second after each
#: piece of news, and what waits for that is not the network's latency.
GAP_S_LEAST = 0.5


class Unplayable(Exception):
    """A scenario cannot be played with real nodes here; one line that says why."""


@dataclass(frozen=True, slots=True)
class Planned:
    """One post.

    :ivar at_s: seconds after the network has settled.
    :ivar author: number of a host.
    :ivar answering: index of an earlier post of the plan; None opens a thread.
    """

    at_s: float
    author: int
    text: str
    answering: int | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """A network, a board and what is written on it.

    :ivar topology: hosts take its places from 0; there are ``count`` of them.
    :ivar settle_s: how long links are given to form before the first post.
    :ivar drain_s: how long after the last post deliveries are waited for: at the normal pace, an
        entry that is lost on its way goes again after half a minute at most.
    :ivar left_out: what of the scenario is not in here, by name.
    """

    name: str
    topology: Topology
    count: int
    descriptor: Descriptor
    posts: tuple[Planned, ...]
    settle_s: float = 15.0
    drain_s: float = 45.0
    left_out: tuple[str, ...] = ()

    @property
    def span_s(self) -> float:
        """From the first moment to the last post."""
        return self.posts[-1].at_s if self.posts else 0.0


def check_playable(plan: Plan) -> None:
    """:raises Unplayable: where real nodes cannot stand in for this plan."""
    if plan.count > HOSTS_MAX:
        raise Unplayable(
            f"{plan.name} has {plan.count} hosts, and at most {HOSTS_MAX} real nodes fit on one"
            " machine: emulate a smaller scenario"
        )
    if plan.topology.edges is not None:
        raise Unplayable(
            f"{plan.name} is an explicit graph, and real hosts are on segments: give it a topology"
            " of segments"
        )
    if not plan.posts:
        raise Unplayable(f"{plan.name} has no posts in the time that is played")


def squeezed(plan: Plan, posts_max: int, seconds_max: float) -> Plan:
    """The first posts of a plan, their times drawn together until they fit into ``seconds_max``.

    Both sides play the result, so nothing is compared with what was not squeezed.
    """
    posts = sorted(plan.posts[:posts_max], key=lambda post: post.at_s)
    if not posts:
        return plan
    first_s, last_s = posts[0].at_s, posts[-1].at_s
    factor = min(1.0, seconds_max / (last_s - first_s)) if last_s > first_s else 1.0
    placed: list[Planned] = []
    for post in posts:
        at_s = (post.at_s - first_s) * factor
        if placed:
            at_s = max(at_s, placed[-1].at_s + GAP_S_LEAST)
        placed.append(replace(post, at_s=round(at_s, 3)))
    return replace(plan, posts=tuple(placed))
