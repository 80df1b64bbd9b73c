"""Plays a plan on real nodes in namespaces, in real time."""

from __future__ import annotations

import os
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

from protocol.board import Invite, encode_invite
from simnet.emulation.namespaces import Net
from simnet.emulation.nodes import RealNode, wait_until
from simnet.emulation.outcome import Outcome
from simnet.emulation.plan import Plan, Planned
from simnet.emulation.shaping import Means

Progress = Callable[[str], None]

#: Where nodes listen; each has a namespace of its own, so it may be the same everywhere.
PORT = 4000
#: Nodes that start at the same time on one processor core.
_STARTING_PER_CORE = 2
#: About what one such group takes; the simulation waits so long between them.
STARTING_S = 3.0
#: Links are counted until nobody's number changes for so long.
_STEADY_S = 5.0
_STEADY_S_MAX = 60.0
#: A reply waits so long for what it answers (in the mix, that may have to go twice); then it opens
#: a thread, as in foretell.py.
ANSWERED_S_MAX = 30.0


def play(plan: Plan, means: Means, seed: int = 1, progress: Progress = print) -> Outcome:
    """Play it; all that was started is gone when this returns or raises.

    :raises Unplayable: where the machine or a node does not take part.
    """
    begun = time.monotonic()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="simnet-")))
        net = stack.enter_context(Net(plan.topology, plan.count, means, seed))
        nodes: list[RealNode] = []
        stack.callback(_stop_all, nodes)
        _start_all(plan, net, folder, nodes, progress)
        _settle(plan, nodes, progress)
        outcome = _play_posts(plan, net, nodes, progress)
    outcome.wall_s = time.monotonic() - begun
    return outcome


def starting_at_once() -> int:
    """How many nodes are started together on this machine."""
    return _STARTING_PER_CORE * (os.cpu_count() or 1)


def _start_all(
    plan: Plan, net: Net, folder: Path, nodes: list[RealNode], progress: Progress
) -> None:
    invite = encode_invite(Invite(plan.descriptor))
    at_once = starting_at_once()
    for first in range(0, plan.count, at_once):
        batch = []
        for number in range(first, min(plan.count, first + at_once)):
            words = ["--listen", f"0.0.0.0:{PORT}", *_peer_words(plan, net, number)]
            node = RealNode(net.hosts[number], folder / f"node{number}", words)
            nodes.append(node)
            batch.append(node)
        for node in batch:
            node.wait_until_ready()
            # The board that every fresh node has would carry links and bytes of its own.
            node.call("leave", board="lobby")
            node.call("join", link=invite)
            node.follow(plan.descriptor.name)
        progress(f"{len(nodes)} of {plan.count} nodes run")


def _peer_words(plan: Plan, net: Net, number: int) -> list[str]:
    """The addresses that this host was given; of hosts that come later, too."""
    words: list[str] = []
    for one, other in plan.topology.introductions:
        if one == number and other < plan.count:
            segment = plan.topology.segments[other][0]
            words += ["--peer", f"10.{100 + segment}.0.{other + 1}:{PORT}"]
    return words


def _settle(plan: Plan, nodes: Sequence[RealNode], progress: Progress) -> None:
    """Wait until links stand still, and then as long as the simulation does."""
    steady_since, before = time.monotonic(), [-1] * len(nodes)

    def is_steady() -> bool:
        nonlocal steady_since, before
        links = _links(nodes)
        if links != before or not all(links):
            steady_since, before = time.monotonic(), links
        return time.monotonic() - steady_since > _STEADY_S

    progress("waiting for links")
    if not wait_until(is_steady, _STEADY_S_MAX, 1.0) and len(nodes) > 1:
        progress(f"links are not steady: {before}")
    time.sleep(plan.settle_s)


def _links(nodes: Sequence[RealNode]) -> list[int]:
    waits = [node.begin("status") for node in nodes]
    return [sum(board["peers"] for board in wait()[0]["boards"]) for wait in waits]


def _play_posts(plan: Plan, net: Net, nodes: Sequence[RealNode], progress: Progress) -> Outcome:
    links = _links(nodes)
    before, kinds_before, spent_before = _counters(net), net.counts_by_kind(), _spent(nodes)
    start = time.monotonic()
    posting = _Posting(plan, nodes, start)
    for index, post in enumerate(plan.posts):
        time.sleep(max(0.0, start + post.at_s - time.monotonic()))
        posting.begin(index, post)
        progress(f"post {index + 1} of {len(plan.posts)}, {plan.span_s - post.at_s:.0f} s to go")
    posting.wait()
    wait_until(lambda: posting.is_everywhere(), plan.drain_s)
    # The window has its full length on both sides, so that bytes can be compared.
    time.sleep(max(0.0, start + plan.span_s + plan.drain_s - time.monotonic()))
    outcome = posting.outcome()
    outcome.window_s = time.monotonic() - start
    after, kinds_after, spent_after = _counters(net), net.counts_by_kind(), _spent(nodes)
    outcome.spent_s = [b - a for a, b in zip(spent_before, spent_after, strict=True)]
    outcome.links = links
    outcome.sent_bytes = [b - a for a, b in zip(before, after, strict=True)]
    for old, new in zip(kinds_before or [], kinds_after or [], strict=True):
        for kind, number in new.items():
            grown = number - old.get(kind, 0)
            outcome.by_kind[kind] = outcome.by_kind.get(kind, 0) + grown
    if kinds_before is not None:
        outcome.cells = outcome.by_kind.get("cell frames", 0)
    return outcome


def _counters(net: Net) -> list[int]:
    return [place.counters()[0] for place in net.hosts]


def _spent(nodes: Sequence[RealNode]) -> list[float]:
    waits = [node.begin_spent() for node in nodes]
    return [float(wait()[0]) for wait in waits]


def _stop_all(nodes: Sequence[RealNode]) -> None:
    for node in nodes:
        node.end()
    for node in nodes:
        node.stop()


class _Posting:
    """The posts under way; each has a thread, because a node works for an entry before it answers
    and the next post is not held up by that."""

    def __init__(self, plan: Plan, nodes: Sequence[RealNode], start: float) -> None:
        self._plan = plan
        self._nodes = nodes
        self._start = start
        self._published: list[tuple[str, float] | None] = [None] * len(plan.posts)
        self._threads: list[threading.Thread] = []

    def begin(self, index: int, post: Planned) -> None:
        thread = threading.Thread(target=self._post, args=(index, post), daemon=True)
        self._threads.append(thread)
        thread.start()

    def wait(self) -> None:
        for thread in self._threads:
            thread.join(2 * ANSWERED_S_MAX)

    def _post(self, index: int, post: Planned) -> None:
        node = self._nodes[post.author]
        arguments = {"board": self._plan.descriptor.name, "text": post.text}
        if post.answering is not None:
            answered = self._answered(node, post.answering)
            if answered is not None:
                arguments["reply"] = answered
        result, at = node.call("post", **arguments)
        self._published[index] = (result["id"], at)

    def _answered(self, node: RealNode, index: int) -> str | None:
        def is_there() -> bool:
            parent = self._published[index]
            return parent is not None and parent[0] in node.shown

        if not wait_until(is_there, ANSWERED_S_MAX, 0.02):
            return None
        parent = self._published[index]
        return parent[0] if parent else None

    def is_everywhere(self) -> bool:
        return all(
            published is None or all(published[0] in node.shown for node in self._nodes)
            for published in self._published
        )

    def outcome(self) -> Outcome:
        published: list[float | None] = []
        arrivals: list[dict[int, float]] = []
        for post, written in zip(self._plan.posts, self._published, strict=True):
            published.append(written[1] - self._start if written else None)
            arrivals.append(
                {
                    number: node.shown[written[0]] - self._start
                    for number, node in enumerate(self._nodes)
                    if number != post.author and written[0] in node.shown
                }
                if written
                else {}
            )
        return Outcome(published, arrivals)
