"""Curves and bars: how fast, how much work, what kinds of messages."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator, PercentFormatter

from simnet.findings import Result, as_bytes, as_seconds, as_share
from simnet.pictures.paper import LEGEND_MAX, Picture, Theme, picture_of

#: Of more nodes than this the load is a curve, not bars.
BARS_MAX = 80


def _time_axis(axes: Axes) -> None:
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda s, _: as_seconds(s)))
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.xaxis.set_minor_locator(NullLocator())


def latency(results: Sequence[Result], labels: Sequence[str]) -> Picture | None:
    """Which share of the nodes had a post after how long."""
    curves = [
        (r["delivery"].get("curve") or [], label) for r, label in zip(results, labels, strict=True)
    ]
    if not any(curve for curve, _ in curves):
        return None

    def draw(figure: Figure, theme: Theme) -> None:
        axes = figure.add_subplot()
        for index, (curve, label) in enumerate(curves):
            if curve:
                xs = [max(0.001, point[0]) for point in curve]
                colour = theme.series[index % len(theme.series)]
                axes.plot(xs, [p[1] for p in curve], color=colour, lw=2.2, label=label)
                if len(curves) == 1:
                    axes.fill_between(xs, [p[1] for p in curve], color=colour, alpha=0.1, lw=0)
                    _mark_quantiles(axes, theme, results[0])
        _time_axis(axes)
        # The first few of a hundred arrivals are neighbours; they would take half of a log scale.
        early_s = min(curve[min(2, len(curve) - 1)][0] for curve, _ in curves if curve)
        axes.set_xlim(left=max(0.001, early_s / 1.5))
        axes.set_ylim(0, 1.04)
        axes.yaxis.set_major_formatter(PercentFormatter(1.0))
        axes.set_xlabel("time since the post was written")
        axes.set_ylabel("nodes that have it")
        if 1 < len(curves) <= LEGEND_MAX:
            axes.legend(loc="lower right")

    words = "; ".join(
        f"{label}: half after {as_seconds(r['delivery']['p50_s'])}, "
        f"95 % after {as_seconds(r['delivery']['p95_s'])}"
        for r, label in zip(results, labels, strict=True)
    )
    return picture_of(draw, (5.4, 3.5), f"Curve of delivery over time. {words}.")


def _mark_quantiles(axes: Axes, theme: Theme, result: Result) -> None:
    for name, share in (("p50_s", 0.5), ("p95_s", 0.95)):
        at_s = result["delivery"][name]
        if at_s is not None:
            axes.plot([max(0.001, at_s)], [share], "o", color=theme.ink, ms=5, zorder=4)
            axes.annotate(
                f"{share:.0%}: {as_seconds(at_s)}",
                (max(0.001, at_s), share),
                xytext=(-9, 0),
                textcoords="offset points",
                ha="right",
                va="center",
                color=theme.ink,
            )


#: What a node's load is told by: title, unit, how to get it from a host and a result.
_LOADS: tuple[tuple[str, Callable[[float, int], str], Callable[[Any, Result], float]], ...] = (
    (
        "Bytes sent a second",
        lambda value, _: as_bytes(value),
        lambda host, result: host["sent_bytes"] / max(1.0, result["simulated_s"]),
    ),
    ("Signatures checked", lambda value, _: f"{value:,.0f}", lambda host, _: host["signatures"]),
    ("Most links at a time", lambda value, _: f"{value:,.0f}", lambda host, _: host["links"]),
)


def load(results: Sequence[Result], labels: Sequence[str]) -> list[Picture]:
    """The nodes in order, from the busiest to the idlest, by what each had to do."""
    if not any(result["hosts"] for result in results):
        return []
    return [_load(results, labels, *what) for what in _LOADS]


def _load(
    results: Sequence[Result],
    labels: Sequence[str],
    title: str,
    unit: Callable[[float, int], str],
    value_of: Callable[[Any, Result], float],
) -> Picture:
    columns = [sorted((value_of(h, r) for h in r["hosts"]), reverse=True) for r in results]

    def draw(figure: Figure, theme: Theme) -> None:
        axes = figure.add_subplot()
        for index, values in enumerate(columns):
            shares = [(i + 0.5) / len(values) for i in range(len(values))]
            colour = theme.series[index % len(theme.series)]
            if len(columns) == 1 and len(values) <= BARS_MAX:
                bars = _role_colours(results[0], value_of, theme, colour)
                axes.bar(range(len(values)), values, color=bars, width=0.8)
            else:
                axes.plot(shares, values, color=colour, lw=2, label=labels[index])
                axes.fill_between(shares, values, color=colour, alpha=0.08, lw=0)
        axes.set_ylim(bottom=0)
        axes.set_xticks([])
        axes.grid(axis="x", visible=False)
        axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))
        axes.yaxis.set_major_formatter(FuncFormatter(unit))
        axes.set_title(title)
        axes.set_xlabel("nodes, busiest first")
        if 1 < len(columns) <= LEGEND_MAX:
            most = max((values[0] for values in columns if values), default=1)
            axes.set_ylim(top=most * (1.1 + 0.12 * len(columns)) or 1)
            axes.legend(loc="upper right")

    words = "; ".join(
        f"{label}: median {unit(values[len(values) // 2], 0)}, busiest {unit(values[0], 0)}"
        for label, values in zip(labels, columns, strict=True)
        if values
    )
    return picture_of(draw, (3.5, 2.7), f"{title} by node. {words}.")


def _role_colours(
    result: Result, value_of: Callable[[Any, Result], float], theme: Theme, honest: str
) -> list[str]:
    ordered = sorted(result["hosts"], key=lambda host: -value_of(host, result))
    colours = []
    for host in ordered:
        if host["role"] != "honest":
            colours.append(theme.alarm)
        else:
            colours.append(theme.series[3] if len(host["segments"]) > 1 else honest)
    return colours


def message_kinds(results: Sequence[Result], labels: Sequence[str]) -> Picture | None:
    """What the messages were."""
    counts = [r["traffic"].get("messages_by_kind") or {} for r in results]
    total = {kind: sum(c.get(kind, 0) for c in counts) for c in counts for kind in c}
    kinds = sorted(total, key=lambda kind: (total[kind], kind))
    if not kinds:
        return None

    def draw(figure: Figure, theme: Theme) -> None:
        axes = figure.add_subplot()
        height = 0.8 / len(counts)
        for index, count in enumerate(counts):
            whole = max(1, sum(count.values()))
            at = [place + 0.4 - height * (index + 0.5) for place in range(len(kinds))]
            shares = [count.get(kind, 0) / whole for kind in kinds]
            colour = theme.series[index % len(theme.series)]
            axes.barh(at, shares, height=height * 0.9, color=colour, label=labels[index])
        axes.set_yticks(range(len(kinds)), [_KIND_WORDS.get(kind, kind) for kind in kinds])
        axes.grid(axis="y", visible=False)
        axes.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
        axes.set_title("Messages by kind")
        if 1 < len(counts) <= LEGEND_MAX:
            axes.legend(loc="lower right")

    largest = ", ".join(
        f"{_KIND_WORDS.get(kind, kind)} {as_share(total[kind] / max(1, sum(total.values())))}"
        for kind in reversed(kinds[-3:])
    )
    tall = 1.0 + 0.24 * len(kinds) * max(1.0, len(counts) / 3)
    return picture_of(draw, (5.0, tall), f"Messages by kind; most: {largest}.")


#: What each kind of message does, in a word or two.
_KIND_WORDS = {
    "Announce": "announcements",
    "Want": "requests",
    "Entries": "posts sent",
    "RelayRecords": "relays told",
    "Ask": "comparing: questions",
    "Answer": "comparing: answers",
    "Nudge": "comparing: nudges",
    "Peers": "addresses",
    "Hello": "greetings",
    "Ping": "still there?",
    "Pong": "still here",
    "Bye": "goodbyes",
}
