"""How posts spread: maps, curves, times."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from simnet.findings import Result, as_count, as_seconds, as_share
from simnet.report.html import duration, figure_of, section_of, side_by_side, table_of

#: Of many results, only the first have maps and timelines of their own.
SIDE_BY_SIDE_MAX = 6
#: Width of a map for phones, in inches.
_MAP_NARROW = 4.2


def spreading_section(results: Sequence[Result], labels: Sequence[str]) -> str:
    """Maps of how one post spreads."""
    from simnet import pictures

    hint = (
        "One post, followed over the whole network. The star wrote it; each dot is a node, each "
        "line says who gave it to whom, and the colour says how early. Discs are networks: what is "
        "in one disc hears each other's multicast; dots between discs are on both."
    )
    if len(results) == 1:
        whole = pictures.spread_map(results[0])
        if whole is None:
            return ""
        moments = [
            figure_of(picture, caption) for caption, picture in pictures.spread_moments(results[0])
        ]
        return section_of(
            "How a post spreads",
            hint,
            figure_of(whole, narrow=pictures.spread_map(results[0], _MAP_NARROW)),
            side_by_side(moments, "moments"),
        )
    maps = [pictures.spread_map(result, _MAP_NARROW) for result in results[:SIDE_BY_SIDE_MAX]]
    figures = [
        figure_of(picture, title=label)
        for picture, label in zip(maps, labels, strict=False)
        if picture is not None
    ]
    return section_of("How a post spreads", hint, side_by_side(figures), _left_out(results))


def _left_out(results: Sequence[Result]) -> str:
    left = len(results) - SIDE_BY_SIDE_MAX
    return f'<p class="muted">Of {as_count(left, "more run")} no picture.</p>' if left > 0 else ""


def delivery_section(results: Sequence[Result], labels: Sequence[str]) -> str:
    """How long posts take, in a curve and figures."""
    from simnet import pictures

    head = ["Run", "posts", "delivered", "half", "95 %", "99 %", "slowest node", "back at author"]
    rows = []
    for result, label in zip(results, labels, strict=True):
        delivery = result["delivery"]
        keys = ("p50_s", "p95_s", "p99_s", "last_node_p50_s", "came_back_p50_s")
        rows.append(
            [
                escape(label),
                f"{delivery['posts']:,}",
                as_share(delivery["delivered_share"]),
                *(duration(delivery.get(key)) for key in keys),
            ]
        )
    curve = pictures.latency(results, labels)
    hint = (
        "From the moment when a post was kept by its author's node until another node had it on "
        "disk; only nodes that were on at that moment count. “Slowest node” is the typical post's "
        "last arrival, “back at author” is when the author's own page shows it as published."
    )
    figures = [figure_of(curve)] if curve else []
    return section_of(
        "How fast posts arrive", hint, *figures, table_of(head, rows), _later(results)
    )


def _later(results: Sequence[Result]) -> str:
    later = results[0]["delivery"].get("later") or {}
    if len(results) > 1 or not later.get("deliveries"):
        return ""
    return (
        f"<p>{as_count(later['deliveries'], 'time')} a node was off or asleep when a post was "
        f"written and got it later; half of those within {as_seconds(later['p50_s'])} of its "
        "writing.</p>"
    )
