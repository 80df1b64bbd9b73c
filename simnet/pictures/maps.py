"""The map of the network, with one post spreading over it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Circle

from simnet.findings import Result, as_seconds
from simnet.pictures.paper import Picture, Theme, picture_of

Point = tuple[float, float]

#: Larger maps are pixels.
SVG_HOSTS_MAX = 500
#: More networks than this are not named in a map.
NAMED_SEGMENTS_MAX = 12
_GOLDEN_ANGLE = math.pi * (3 - math.sqrt(5))


def places(
    hosts: Sequence[Mapping[str, Any]],
) -> tuple[dict[int, Point], list[tuple[Point, float]]]:
    """Where to draw each host, and the discs of the networks (segments) that they are on.

    Hosts of one segment lie in one disc, those of several between theirs. Where each host is a
    segment of its own (a graph without networks) all lie on a ring, or in one disc if they are
    many.

    :returns: host number -> point; centre and radius of each segment, by its number.
    """
    members: dict[int, list[int]] = {}
    for host in hosts:
        for segment in host["segments"]:
            members.setdefault(segment, [])
        if len(host["segments"]) == 1:
            members[host["segments"][0]].append(host["number"])
    if len(members) > 1 and all(len(numbers) <= 1 for numbers in members.values()):
        return _graph_places([host["number"] for host in hosts]), []
    centres, radius = _grid(len(members), max((len(n) for n in members.values()), default=1))
    discs = {
        segment: (centre, radius) for segment, centre in zip(sorted(members), centres, strict=True)
    }
    at: dict[int, Point] = {}
    for segment, numbers in sorted(members.items()):
        for index, number in enumerate(numbers):
            at[number] = _sunflower(index, discs[segment][0])
    _place_bridges(hosts, {segment: disc[0] for segment, disc in discs.items()}, at)
    return at, [discs[segment] for segment in sorted(discs)]


def _sunflower(index: int, centre: Point) -> Point:
    """The seeds of a sunflower: even, and in a disc (Vogel 1979)."""
    radius, angle = math.sqrt(index + 0.5), index * _GOLDEN_ANGLE
    return centre[0] + radius * math.cos(angle), centre[1] + radius * math.sin(angle)


def _grid(count: int, largest: int) -> tuple[list[Point], float]:
    """Centres of ``count`` discs, and a radius that holds ``largest`` seeds."""
    radius = math.sqrt(largest + 0.5) + 1.2
    step = 2 * radius + max(1.5, 0.35 * radius)
    columns = count if count <= 3 else math.ceil(math.sqrt(count))
    return [(step * (i % columns), -step * (i // columns)) for i in range(count)], radius


def _graph_places(numbers: Sequence[int]) -> dict[int, Point]:
    if len(numbers) > 250:
        return {number: _sunflower(index, (0.0, 0.0)) for index, number in enumerate(numbers)}
    turn = 2 * math.pi / len(numbers)
    return {
        number: (math.sin(turn * index), math.cos(turn * index))
        for index, number in enumerate(numbers)
    }


def _place_bridges(
    hosts: Sequence[Mapping[str, Any]], centres: Mapping[int, Point], at: dict[int, Point]
) -> None:
    beside: dict[tuple[int, ...], int] = {}
    for host in hosts:
        segments = tuple(host["segments"])
        if len(segments) > 1:
            x = sum(centres[segment][0] for segment in segments) / len(segments)
            y = sum(centres[segment][1] for segment in segments) / len(segments)
            nth = beside[segments] = beside.get(segments, -1) + 1
            aside = 1.6 * ((nth + 1) // 2) * (1 if nth % 2 else -1)
            is_row = centres[segments[0]][1] == centres[segments[-1]][1]
            at[host["number"]] = (x, y + aside) if is_row else (x + aside, y)


@dataclass(frozen=True)
class _Spread:
    """A result's spreading, ready to be drawn."""

    at: dict[int, Point]
    discs: list[tuple[Point, float]]
    roles: dict[int, str]
    author: int
    arrivals: list[tuple[int, float, int | None]]

    @cached_property
    def edges_s(self) -> list[float]:
        """Until when a fifth, two fifths, ... of the hosts had it."""
        times = [at_s for _, at_s, _ in self.arrivals]
        return [times[max(0, math.ceil(len(times) * step / 5) - 1)] for step in range(1, 6)]

    def step(self, at_s: float) -> int:
        """Which fifth a time falls in, 0 to 4."""
        return sum(at_s > edge for edge in self.edges_s[:-1])


def _spread(result: Result) -> _Spread | None:
    spread = result.get("spread")
    if not spread or not spread["arrivals"]:
        return None
    at, discs = places(result["hosts"])
    arrivals = [(n, at_s - spread["at_s"], source) for n, at_s, source in spread["arrivals"]]
    roles = {host["number"]: host["role"] for host in result["hosts"]}
    return _Spread(at, discs, roles, spread["author"], arrivals)


def spread_map(result: Result, width: float = 7.6) -> Picture | None:
    """The whole network: who got one post when, and from whom.

    :param width: in inches; text is as large in a narrow picture as in a wide one.
    """
    spread = _spread(result)
    if spread is None:
        return None
    last_s = spread.arrivals[-1][1]

    def draw(figure: Figure, theme: Theme) -> None:
        axes = figure.add_subplot()
        _draw_map(axes, theme, spread, last_s, is_named=True)
        _draw_time_legend(figure, theme, spread, columns=4 if width > 6 else 3)

    alt = (
        f"Map of {len(spread.at)} nodes. One post starts at node {spread.author} and reaches "
        f"{len(spread.arrivals)} others; the last after {as_seconds(last_s)}. "
        "Lines show who gave it to whom, colours how early."
    )
    return picture_of(draw, _map_inches(spread, width), alt, len(spread.at) <= SVG_HOSTS_MAX)


def spread_moments(result: Result) -> list[tuple[str, Picture]]:
    """Four moments of the same spreading, each with its caption."""
    spread = _spread(result)
    if spread is None:
        return []
    count = len(spread.arrivals)
    wanted = [1, math.ceil(count / 4), math.ceil(count * 3 / 4), count]
    moments = []
    for reached in sorted({max(1, number) for number in wanted}):
        at_s = spread.arrivals[reached - 1][1]
        has = sum(arrival[1] <= at_s for arrival in spread.arrivals)
        caption = f"After {as_seconds(at_s)}: {has} of {count} nodes"

        def draw(figure: Figure, theme: Theme, at_s: float = at_s) -> None:
            _draw_map(figure.add_subplot(), theme, spread, at_s, is_named=False)

        is_svg = len(spread.at) <= SVG_HOSTS_MAX
        moments.append((caption, picture_of(draw, _map_inches(spread, 3.2), caption, is_svg)))
    return moments


def _map_inches(spread: _Spread, width: float) -> tuple[float, float]:
    """As tall as the network is, within reason."""
    xs, ys = zip(*_corners(spread), strict=True)
    ratio = (max(ys) - min(ys) + 1) / (max(xs) - min(xs) + 1)
    return width, width * min(1.05, max(0.5, ratio)) + (0.5 if width > 4 else 0.0)


def _corners(spread: _Spread) -> list[Point]:
    corners = list(spread.at.values())
    for (x, y), radius in spread.discs:
        corners += [(x - radius, y - radius), (x + radius, y + radius)]
    return corners


def _draw_map(axes: Axes, theme: Theme, spread: _Spread, until_s: float, is_named: bool) -> None:
    axes.set_axis_off()
    axes.set_aspect("equal")
    for index, (centre, radius) in enumerate(spread.discs):
        axes.add_patch(Circle(centre, radius, facecolor=theme.ground, edgecolor="none", zorder=0))
        if is_named and 1 < len(spread.discs) <= NAMED_SEGMENTS_MAX:
            place = (centre[0], centre[1] + radius)
            axes.annotate(
                f"network {index + 1}",
                place,
                ha="center",
                va="bottom",
                color=theme.muted,
                fontsize=9.5,
            )
    _draw_ways(axes, theme, spread, until_s)
    _draw_hosts(axes, theme, spread, until_s, scale=1.0 if is_named else 0.45)
    axes.autoscale_view()


def _draw_ways(axes: Axes, theme: Theme, spread: _Spread, until_s: float) -> None:
    lines, colours = [], []
    for number, at_s, source in spread.arrivals:
        if source in spread.at and at_s <= until_s:
            lines.append([spread.at[source], spread.at[number]])
            colours.append(theme.heat[spread.step(at_s)])
    # Many lines together are as dark as few; the dots must stand out.
    thinness = 1 / math.sqrt(max(1, len(lines)))
    alpha = min(0.55, 6 * thinness)
    width = min(1.1, max(0.25, 15 * thinness))
    axes.add_collection(LineCollection(lines, colors=colours, linewidths=width, alpha=alpha))


def _draw_hosts(axes: Axes, theme: Theme, spread: _Spread, until_s: float, scale: float) -> None:
    colours = dict.fromkeys(spread.at, theme.grid)
    for number, at_s, _ in spread.arrivals:
        if at_s <= until_s:
            colours[number] = theme.heat[spread.step(at_s)]
    size = scale * min(90.0, max(3.0, 9_000 / len(spread.at)))
    for marker, is_honest in (("o", True), ("D", False)):
        numbers = [n for n in spread.at if (spread.roles[n] == "honest") == is_honest]
        if numbers:
            axes.scatter(
                [spread.at[n][0] for n in numbers],
                [spread.at[n][1] for n in numbers],
                s=size if is_honest else 1.1 * size,
                c=[colours[n] for n in numbers],
                marker=marker,
                edgecolors=theme.paper if is_honest else theme.ink,
                linewidths=0.4 * scale + 0.3 if size > 12 else 0,
                zorder=3,
            )
    x, y = spread.at[spread.author]
    star = max(size * 3.2, 130 * scale)
    axes.scatter([x], [y], s=star, c=theme.ink, marker="*", edgecolors=theme.paper, zorder=4)


def _draw_time_legend(figure: Figure, theme: Theme, spread: _Spread, columns: int) -> None:
    def dot(colour: str, marker: str, edge: str, label: str) -> Line2D:
        return Line2D(
            [], [], marker=marker, ls="", mfc=colour, mec=edge, ms=8, label=label, mew=0.8
        )

    handles = [dot(theme.ink, "*", theme.ink, "author")]
    seen: list[str] = []
    for colour, edge_s in zip(theme.heat, spread.edges_s, strict=True):
        if as_seconds(edge_s) not in seen:
            seen.append(as_seconds(edge_s))
            handles.append(dot(colour, "o", colour, f"by {seen[-1]}"))
    if any(role != "honest" for role in spread.roles.values()):
        handles.append(dot(theme.paper, "D", theme.ink, "adversary"))
    if len(spread.arrivals) + 1 < len(spread.at):
        handles.append(dot(theme.grid, "o", theme.grid, "never"))
    figure.legend(
        handles=handles,
        loc="outside lower center",
        ncols=columns,
        handletextpad=0.2,
        columnspacing=1.4,
    )
