"""What no section of a scenario can see by itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from simnet.scenario.reading import Reader
from simnet.scenario.sections import KEYS_OF_TOPOLOGY, Share
from simnet.scenario.whole import Scenario
from simnet.scenario.wording import describe
from simnet.strategies import STRATEGIES


def check_whole(made: Scenario, settings: Mapping[str, Any], reader: Reader) -> None:
    """What no section can see by itself."""
    for key in settings.get("network", {}):
        only = KEYS_OF_TOPOLOGY.get(key)
        if only not in (None, made.network.topology):
            reader.fail(f"network.{key}", f'allowed only with topology = "{only}"')
    if "remote" in settings.get("network", {}) and "remote_share" not in settings["network"]:
        allowed = describe(Share, "remote_share")
        reader.fail("network.remote", f"whose line? remote_share is missing; allowed: {allowed}")
    if made.publishing.strategy not in STRATEGIES:
        names = ", ".join(f'"{name}"' for name in STRATEGIES)
        reader.fail("publishing.strategy", f"no such strategy; allowed: {names}")
    if made.adversaries_count >= made.hosts.count:
        reader.fail("adversaries", f"nobody honest is left among {made.hosts.count} hosts")
    if any(post.author >= made.hosts.count for post in made.workload.posts):
        reader.fail("workload.posts", f"authors must be below {made.hosts.count}")
    _check_places(made, reader)


def _check_places(made: Scenario, reader: Reader) -> None:
    network, count = made.network, made.hosts.count
    match network.topology:
        case "subnets":
            segments = len(network.segment_sizes)
            places = sum(network.segment_sizes) + network.bridges * max(0, segments - 1)
            if segments < 2 or places != count:
                reader.fail(
                    "network.segment_sizes",
                    f"two segments or more; their hosts and the bridges must be {count} "
                    f"(hosts.count), and are {places}",
                )
        case "random-regular":
            if count * network.degree % 2 or network.degree >= count:
                reader.fail("network.degree", "below hosts.count, and degree times count even")
        case "small-world":
            if 2 * network.near >= count:
                reader.fail("network.near", f"below half of hosts.count ({count})")
        case "explicit":
            if not network.edges or any(
                one == other or max(one, other) >= count for one, other in network.edges
            ):
                reader.fail("network.edges", f"pairs [a, b] of two hosts, from 0 to {count - 1}")
