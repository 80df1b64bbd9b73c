"""Delay, loss and rate of each host's interface: which means this machine has, and their settings.

The simulator draws the delay of each piece from a log-normal distribution around its median
(:class:`simnet.topology.LinkClass`) on its way out of the sender's interface, and what the
receiver's line adds (its ``down``) on the way in; so do both means. For netem the way in is the way
out of the switch's end of the cable.
"""

from __future__ import annotations

import os
import secrets
import subprocess
from enum import Enum
from pathlib import Path

from simnet.topology import Down, Route


class Means(Enum):
    """What shapes the traffic."""

    NETEM = "netem"
    HUB = "hub"
    NONE = "none"


def run_tool(*words: str) -> None:
    """Run ``ip`` or ``tc``.

    :raises subprocess.CalledProcessError: where it refuses.
    """
    subprocess.run(words, check=True, capture_output=True, text=True, timeout=20)


def has_netem() -> bool:
    """Whether the kernel has sch_netem; tried in a namespace of its own."""
    name = f"simnet-try-{secrets.token_hex(3)}"
    try:
        run_tool("ip", "netns", "add", name)
        inside = ("ip", "netns", "exec", name, "tc", "qdisc", "add", "dev", "lo", "root")
        run_tool(*inside, "netem", "delay", "1ms")
    except (OSError, subprocess.SubprocessError):
        return False
    finally:
        subprocess.run(("ip", "netns", "delete", name), capture_output=True, timeout=20)
    return True


def choose_means() -> tuple[Means, str]:
    """The best that this machine has, and one line that says so."""
    if has_netem():
        return Means.NETEM, "links are shaped by tc netem"
    if os.access("/dev/net/tun", os.R_OK | os.W_OK) and Path("/dev/net/tun").exists():
        return Means.HUB, "no sch_netem in this kernel: a switch in user space shapes the links"
    return Means.NONE, "no sch_netem and no /dev/net/tun here: links have no delay and no loss"


def netem_words(way: Route | Down) -> list[str]:
    """The arguments of ``tc qdisc ... netem`` for one direction of a line (of a
    :class:`~simnet.topology.LinkClass`: the way out); empty where there is nothing to shape.

    netem has no log-normal table of its own; a normal one with the same median stands in for it,
    since medians are what is compared. Its tail is shorter where sigma is large.
    """
    words: list[str] = []
    if way.latency_ms:
        deviation_ms = way.latency_ms * way.latency_sigma
        words += ["delay", f"{way.latency_ms:.3f}ms"]
        if deviation_ms:
            words += [f"{deviation_ms:.3f}ms", "distribution", "normal"]
    if way.loss:
        words += ["loss", f"{100 * way.loss:.4f}%"]
    if way.bandwidth_mbit:
        words += ["rate", f"{way.bandwidth_mbit:g}mbit"]
    return ["netem", "limit", "100000", *words] if words else []
