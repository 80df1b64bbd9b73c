"""A whole scenario: its sections, the adversaries in it, the places of its hosts."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random
from typing import Any

from simnet import churn, topology, trouble, workload
from simnet.adversaries import ADVERSARIES
from simnet.faults import Faults
from simnet.scenario.sections import (
    About,
    BoardOptions,
    ChecksOptions,
    HostsOptions,
    NetworkOptions,
    ObserverOptions,
    PublishingOptions,
)
from simnet.topology import Topology

#: The one adversary that is no host.
OBSERVER = "observer"


@dataclass(frozen=True, slots=True)
class Adversary:
    """A kind of adversary and how many of them there are.

    :ivar name: in simnet.adversaries.
    :ivar count: how many hosts; 0 of the observer, which is none.
    :ivar options: of its own.
    """

    name: str
    count: int
    options: Any


@dataclass(frozen=True, slots=True)
class Scenario:
    """A whole file, every section with its defaults filled in."""

    scenario: About = field(default_factory=About)
    board: BoardOptions = field(default_factory=BoardOptions)
    network: NetworkOptions = field(default_factory=NetworkOptions)
    hosts: HostsOptions = field(default_factory=HostsOptions)
    churn: churn.Options = field(default_factory=churn.Options)
    workload: workload.Options = field(default_factory=workload.Options)
    faults: Faults = field(default_factory=Faults)
    trouble: trouble.Options = field(default_factory=trouble.Options)
    publishing: PublishingOptions = field(default_factory=PublishingOptions)
    checks: ChecksOptions = field(default_factory=ChecksOptions)
    adversaries: tuple[Adversary, ...] = ()

    @property
    def name(self) -> str:
        """One word."""
        return self.scenario.name

    @property
    def title(self) -> str:
        """One line."""
        return self.scenario.title

    @property
    def seconds(self) -> float:
        """Of simulated time."""
        return self.scenario.seconds

    @property
    def adversaries_count(self) -> int:
        """How many of the hosts are adversaries."""
        return sum(adversary.count for adversary in self.adversaries)

    def make_topology(self, random: Random) -> Topology:
        """The places of its hosts.

        :raises ValueError: where no such graph exists.
        """
        network, made = self.network, self._make_places(random)
        if not network.remote_share:
            return made
        return topology.with_remotes(made, network.remote, network.remote_share, random)

    def _make_places(self, random: Random) -> Topology:
        network, count = self.network, self.hosts.count
        match network.topology:
            case "lan":
                return topology.lan(count, network.inside)
            case "subnets":
                sizes = list(network.segment_sizes)
                return topology.subnets(sizes, network.bridges, network.inside)
            case "campus":
                return topology.campus(
                    count, network.segment_hosts, random, network.inside, network.between
                )
            case "random-regular":
                return topology.random_regular(count, network.degree, random, network.inside)
            case "small-world":
                return topology.small_world(
                    count, network.near, network.rewired, random, network.inside
                )
            case _:
                return topology.explicit(count, list(network.edges), network.inside)


def adversary_kinds() -> dict[str, type[Any]]:
    """Of each kind of adversary that a scenario can have, the record of its options."""
    return {name: kind.options for name, kind in ADVERSARIES.items()} | {OBSERVER: ObserverOptions}


def section_types() -> dict[str, type[Any]]:
    """By name, the record of each section, in the order of the file."""
    return {
        "scenario": About,
        "board": BoardOptions,
        "network": NetworkOptions,
        "hosts": HostsOptions,
        "churn": churn.Options,
        "workload": workload.Options,
        "faults": Faults,
        "trouble": trouble.Options,
        "publishing": PublishingOptions,
        "checks": ChecksOptions,
    }
