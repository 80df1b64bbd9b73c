"""Who writes now: what a global observer makes of packets that it sees from outside."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from typing import Any

from simnet.adversaries.observer import PassiveObserver
from simnet.world import World

#: How long after a post the observer looks, in microseconds: from a frame that leaves at once to
#: what comes back.
WINDOWS_US = (5_000, 50_000, 500_000, 5_000_000)
#: A host's baseline is its mean over so many windows before.
BASELINE_WINDOWS = 20
_FEATURES = ("bytes", "packets", "largest", "promptness")


class _Sent:
    """What each host sent, to be asked by time."""

    def __init__(self, observer: PassiveObserver) -> None:
        self._at_us: dict[int, list[int]] = {}
        self._bytes: dict[int, list[int]] = {}
        for packet in observer:
            self._at_us.setdefault(packet.source, []).append(packet.at_us)
            self._bytes.setdefault(packet.source, []).append(packet.bytes)

    def between(self, host: int, begin_us: int, end_us: int) -> tuple[Sequence[int], Sequence[int]]:
        """Times and sizes of what it sent from ``begin_us`` on and before ``end_us``."""
        at_us = self._at_us.get(host, [])
        span = slice(bisect_left(at_us, begin_us), bisect_left(at_us, end_us))
        return at_us[span], self._bytes.get(host, [])[span]

    def was_there(self, host: int, at_us: int) -> bool:
        """Whether it is switched on, as far as one can see."""
        times, _ = self.between(host, at_us - BASELINE_WINDOWS * WINDOWS_US[-1], at_us)
        return bool(times)


def _features(sent: _Sent, host: int, at_us: int, window_us: int) -> list[float]:
    """In the order of ``_FEATURES``: bytes and packets above the host's own baseline, the largest
    packet above the largest of the baseline, and how early in the window it began to send."""
    before_us = BASELINE_WINDOWS * window_us
    _, usual = sent.between(host, at_us - before_us, at_us)
    times, sizes = sent.between(host, at_us, at_us + window_us)
    return [
        sum(sizes) - sum(usual) / BASELINE_WINDOWS,
        len(sizes) - len(usual) / BASELINE_WINDOWS,
        max(sizes, default=0) - max(usual, default=0),
        at_us - times[0] if times else -window_us,
    ]


def observer_auc(
    world: World, observer: PassiveObserver, posts: Sequence[tuple[int, int]]
) -> dict[str, Any]:
    """Whether somebody who sees all packets can tell a host that posts from one that does not.

    For each post, its author is set against all idle hosts: those that are honest, were there (sent
    something in the time of the longest baseline) and did not post within the longest window around
    it. The score of a host is one of a few *features* (above) of the traffic that it sent in
    one of a few windows after the post. The AUC of a feature is the probability that the author
    scores higher than an idle host at the same moment (ties count half), averaged over posts: what
    all hosts do at that moment cancels. The observer uses the feature that is best on the other
    half of the posts, turned round where it is below one half: so an AUC of 0.5 means that nothing
    here tells, and is not the best of many draws.

    :param posts: the author's number and the time in microseconds when the entry was handed to the
        author's node; only those of honest hosts count.
    :returns: ``auc``, ``posts`` (how many had an idle host to be compared with), ``packets`` and
        ``features``: for each feature and window, its own AUC over all posts.
    """
    sent = _Sent(observer)
    honest = [host.number for host in world.hosts if host.role == "honest"]
    writers = set(honest)
    posts = [post for post in posts if post[0] in writers]
    wins: list[dict[str, float]] = []
    for author, at_us in posts:
        busy = {host for host, other_us in posts if abs(other_us - at_us) <= WINDOWS_US[-1]}
        idle = [host for host in honest if host not in busy and sent.was_there(host, at_us)]
        if idle:
            wins.append(_compare(sent, author, idle, at_us))
    return {
        "auc": _cross_validated(wins),
        "posts": len(wins),
        "packets": len(observer),
        "features": {name: _mean([w[name] for w in wins]) for name in (wins[0] if wins else ())},
    }


def _compare(sent: _Sent, author: int, idle: Sequence[int], at_us: int) -> dict[str, float]:
    """By feature and window, the share of idle hosts that score lower than the author."""
    wins = {}
    for window_us in WINDOWS_US:
        own = _features(sent, author, at_us, window_us)
        others = [_features(sent, host, at_us, window_us) for host in idle]
        for index, name in enumerate(_FEATURES):
            column = [other[index] for other in others]
            wins[f"{name} {window_us / 1e6:g} s"] = rank_statistic(own[index], column)
    return wins


def rank_statistic(own: float, others: Sequence[float]) -> float:
    """The share of ``others`` (not empty) below ``own``, ties by half: one term of an AUC (Mann and
    Whitney 1947)."""
    return sum(1.0 if other < own else 0.5 if other == own else 0.0 for other in others) / len(
        others
    )


def _cross_validated(wins: Sequence[Mapping[str, float]]) -> float:
    if len(wins) < 2:
        return _mean([max(win.values()) for win in wins])
    aucs = []
    for half in (0, 1):
        chosen_on, judged = wins[1 - half :: 2], wins[half::2]
        means = {name: _mean([w[name] for w in chosen_on]) for name in wins[0]}
        best = max(means, key=lambda name: abs(means[name] - 0.5))
        sign = 1 if means[best] >= 0.5 else -1
        aucs += [0.5 + sign * (win[best] - 0.5) for win in judged]
    return _mean(aucs)


def _mean(numbers: Sequence[float]) -> float:
    return sum(numbers) / len(numbers) if numbers else 0.5
