"""What was measured on one side, and how two sides compare."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

Record = dict[str, Any]


@dataclass
class Outcome:
    """One playing of a plan.

    :ivar published_s: by post, when it was durable at its author's; None: it was not written.
    :ivar arrivals_s: by post, when each host other than the author could read it; seconds on the
        same clock as ``published_s``.
    :ivar sent_bytes: by host, from the first moment of the plan to the end of the draining.
    :ivar window_s: how long that was.
    :ivar links: by host, at the first moment.
    :ivar cells: how many datagrams of cells all hosts have sent in that time, where that is known.
    :ivar by_kind: bytes and frames of all hosts by kind, where that is known.
    :ivar spent_s: by host, processor time in the window.
    :ivar wall_s: what it took on this machine.
    """

    published_s: list[float | None]
    arrivals_s: list[dict[int, float]]
    sent_bytes: list[int] = field(default_factory=list)
    window_s: float = 0.0
    links: list[int] = field(default_factory=list)
    cells: int | None = None
    by_kind: dict[str, int] = field(default_factory=dict)
    spent_s: list[float] = field(default_factory=list)
    wall_s: float = 0.0

    def latencies_s(self) -> list[float]:
        """From a post's being published to one other host's reader having it; all of them."""
        return [
            arrived - published
            for published, arrivals in zip(self.published_s, self.arrivals_s, strict=True)
            if published is not None
            for arrived in arrivals.values()
        ]

    def firsts_s(self) -> list[float]:
        """By post, from its being published to the first of the other hosts having it: the time in
        the mix."""
        return [
            min(arrivals.values()) - published
            for published, arrivals in zip(self.published_s, self.arrivals_s, strict=True)
            if published is not None and arrivals
        ]

    def spreads_s(self) -> list[float]:
        """From the first of the other hosts to each of the rest; all of them."""
        return [
            arrived - ordered[0]
            for ordered in (sorted(arrivals.values()) for arrivals in self.arrivals_s)
            for arrived in ordered[1:]
        ]

    def last_spreads_s(self) -> list[float]:
        """By post, from the first of the other hosts to the last."""
        return [
            max(arrivals.values()) - min(arrivals.values())
            for arrivals in self.arrivals_s
            if len(arrivals) > 1
        ]

    def converged_after_s(self, count: int) -> float | None:
        """From the last publication until everybody has everything; None: they never had."""
        times = [time for time in self.published_s if time is not None]
        if not times or any(
            published is not None and len(arrivals) < count - 1
            for published, arrivals in zip(self.published_s, self.arrivals_s, strict=True)
        ):
            return None
        last = max(time for arrivals in self.arrivals_s for time in arrivals.values())
        return max(0.0, last - max(times))

    def as_json(self, count: int) -> Record:
        """Figures; seconds and bytes."""
        latencies, firsts = self.latencies_s(), self.firsts_s()
        spreads, lasts = self.spreads_s(), self.last_spreads_s()
        written = sum(time is not None for time in self.published_s)
        rates = [sent / self.window_s for sent in self.sent_bytes] if self.window_s else []
        expected = written * (count - 1)
        return {
            "posts": written,
            "delivered_share": len(latencies) / expected if expected else None,
            "latency_p50_s": quantile(latencies, 0.5),
            "latency_p95_s": quantile(latencies, 0.95),
            "mix_p50_s": quantile(firsts, 0.5),
            "spread_p50_s": quantile(spreads, 0.5),
            "spread_p95_s": quantile(spreads, 0.95),
            "last_spread_p50_s": quantile(lasts, 0.5),
            "last_spread_p95_s": quantile(lasts, 0.95),
            "converged_after_s": self.converged_after_s(count),
            "bytes_per_node_per_s_p50": quantile(rates, 0.5),
            "bytes_per_node_per_s_p95": quantile(rates, 0.95),
            "cells_per_node_per_s": self._cells_per_node_per_s(count),
            "bytes_per_post": sum(self.sent_bytes) / written if written else None,
            "processor_share_p50": quantile([s / self.window_s for s in self.spent_s], 0.5),
            "links_per_node": statistics.fmean(self.links) if self.links else None,
        }

    def _cells_per_node_per_s(self, count: int) -> float | None:
        if self.cells is None or not self.window_s:
            return None
        return self.cells / count / self.window_s


def quantile(values: Sequence[float], share: float) -> float | None:
    """The smallest value that ``share`` of all do not exceed; None of nothing."""
    if not values:
        return None
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


#: What is compared: the key, what it is called, unit, factor of the unit. Not when all have all:
#: that hangs on one post's luck in the mix.
COMPARED: tuple[tuple[str, str, str, float], ...] = (
    ("latency_p50_s", "latency, median", "s", 1.0),
    ("latency_p95_s", "latency, p95", "s", 1.0),
    ("mix_p50_s", "until the first node, median", "s", 1.0),
    ("spread_p50_s", "from the first to another, median", "ms", 1000.0),
    ("spread_p95_s", "from the first to another, p95", "ms", 1000.0),
    ("last_spread_p50_s", "from the first to the last, median", "ms", 1000.0),
    ("last_spread_p95_s", "from the first to the last, p95", "ms", 1000.0),
    ("cells_per_node_per_s", "cells a node sends a second", "", 1.0),
    ("bytes_per_node_per_s_p50", "bytes a node sends a second, median", "B/s", 1.0),
    ("bytes_per_node_per_s_p95", "bytes a node sends a second, p95", "B/s", 1.0),
    ("links_per_node", "links a node", "", 1.0),
    ("delivered_share", "delivered", "%", 100.0),
)


def compared(simulated: Record, emulated: Record) -> list[Record]:
    """A row for each figure; ``difference`` is of the simulation, relative to the emulation."""
    rows = []
    for key, name, unit, factor in COMPARED:
        one, other = simulated.get(key), emulated.get(key)
        difference = None if one is None or not other else (one - other) / other
        rows.append(
            {
                "key": key,
                "name": name,
                "unit": unit,
                "simulated": None if one is None else one * factor,
                "emulated": None if other is None else other * factor,
                "difference": difference,
            }
        )
    return rows


def table(rows: Sequence[Record]) -> str:
    """The rows as a table for people (and for Markdown)."""
    lines = [
        f"| {'measure':<36} | {'simulation':>14} | {'emulation':>14} | {'difference':>10} |",
        f"|{'-' * 38}|{'-' * 15}:|{'-' * 15}:|{'-' * 11}:|",
    ]
    for row in rows:
        shown = [_figure(row[side], row["unit"]) for side in ("simulated", "emulated")]
        difference = row["difference"]
        relative = "-" if difference is None else f"{100 * difference:+.0f} %"
        lines.append(f"| {row['name']:<36} | {shown[0]:>14} | {shown[1]:>14} | {relative:>10} |")
    return "\n".join(lines)


def _figure(value: float | None, unit: str) -> str:
    if value is None:
        return "-"
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2
    return f"{value:,.{digits}f} {unit}".strip()
