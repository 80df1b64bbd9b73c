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
    :ivar by_kind: bytes and frames of all hosts by kind, where that is known.
    :ivar spent_s: by host, processor time in the window.
    :ivar wall_s: what it took on this machine.
    """

    published_s: list[float | None]
    arrivals_s: list[dict[int, float]]
    sent_bytes: list[int] = field(default_factory=list)
    window_s: float = 0.0
    links: list[int] = field(default_factory=list)
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

    def last_latencies_s(self) -> list[float]:
        """By post, until the last host has it."""
        return [
            max(arrivals.values()) - published
            for published, arrivals in zip(self.published_s, self.arrivals_s, strict=True)
            if published is not None and arrivals
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
        latencies, lasts = self.latencies_s(), self.last_latencies_s()
        written = sum(time is not None for time in self.published_s)
        rates = [sent / self.window_s for sent in self.sent_bytes] if self.window_s else []
        expected = written * (count - 1)
        return {
            "posts": written,
            "delivered_share": len(latencies) / expected if expected else None,
            "latency_p50_s": quantile(latencies, 0.5),
            "latency_p95_s": quantile(latencies, 0.95),
            "last_node_p50_s": quantile(lasts, 0.5),
            "last_node_p95_s": quantile(lasts, 0.95),
            "converged_after_s": self.converged_after_s(count),
            "bytes_per_node_per_s_p50": quantile(rates, 0.5),
            "bytes_per_node_per_s_p95": quantile(rates, 0.95),
            "bytes_per_post": sum(self.sent_bytes) / written if written else None,
            "processor_share_p50": quantile([s / self.window_s for s in self.spent_s], 0.5),
            "links_per_node": statistics.fmean(self.links) if self.links else None,
        }


def quantile(values: Sequence[float], share: float) -> float | None:
    """The smallest value that ``share`` of all do not exceed; None of nothing."""
    if not values:
        return None
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


#: What is compared: the key, what it is called, unit, factor of the unit.
COMPARED: tuple[tuple[str, str, str, float], ...] = (
    ("latency_p50_s", "latency, median", "ms", 1000.0),
    ("latency_p95_s", "latency, p95", "ms", 1000.0),
    ("last_node_p50_s", "until the last node, median", "ms", 1000.0),
    ("last_node_p95_s", "until the last node, p95", "ms", 1000.0),
    ("converged_after_s", "all have all, after the last post", "ms", 1000.0),
    ("bytes_per_node_per_s_p50", "bytes a node sends a second, median", "B/s", 1.0),
    ("bytes_per_node_per_s_p95", "bytes a node sends a second, p95", "B/s", 1.0),
    ("bytes_per_post", "bytes a post, all nodes", "kB", 0.001),
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
    digits = 0 if abs(value) >= 100 else 1
    return f"{value:,.{digits}f} {unit}".strip()
