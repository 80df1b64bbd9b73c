"""What happened when: traffic, nodes that were on, posts, and what went wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, MultipleLocator

from simnet.findings import Result, Trouble, as_bytes, troubles_of
from simnet.pictures.paper import Picture, Theme, picture_of


def timeline(result: Result, width: float = 7.2) -> Picture | None:
    """What happened when: traffic, nodes that were on, posts, and what went wrong.

    :param width: in inches.
    """
    moments = result["traffic"].get("over_time") or []
    troubles = troubles_of(result)
    posts = [row["at_s"] for row in result.get("entries") or []]
    if not moments and not troubles:
        return None
    kinds = list(dict.fromkeys(trouble.kind for trouble in troubles))
    has_churn = len({moment["hosts_on"] for moment in moments}) > 1
    heights = [1.5] + [0.8] * has_churn + [0.3 * (1 + len(kinds)) + 0.1]

    def draw(figure: Figure, theme: Theme) -> None:
        rows = figure.subplots(len(heights), 1, sharex=True, height_ratios=heights, squeeze=False)
        axes = [row[0] for row in rows]
        _draw_traffic(axes[0], theme, moments)
        if has_churn:
            _draw_hosts_on(axes[1], theme, moments)
        _draw_happenings(axes[-1], theme, posts, troubles, kinds)
        axes[-1].set_xlim(0, result["simulated_s"])
        _clock_axis(axes[-1], result["simulated_s"], ticks=round(width))
        axes[-1].set_xlabel("simulated time")

    happened = ", ".join(f"{sum(t.kind == kind for t in troubles)} × {kind}" for kind in kinds)
    alt = f"Timeline: traffic, {len(posts)} posts, faults: {happened or 'none'}."
    return picture_of(draw, (width, sum(heights) + 1.0), alt)


#: Steps of a clock: seconds, minutes, hours, days.
_CLOCK_S = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200, 86400)


def _clock_axis(axes: Axes, seconds: float, ticks: int) -> None:
    step_s = next((step for step in _CLOCK_S if seconds / step <= ticks), 86400 * 7)
    units = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))
    size, unit = next((size, unit) for size, unit in units if step_s % size == 0)
    axes.xaxis.set_major_locator(MultipleLocator(step_s))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda s, _: f"{s / size:.0f} {unit}"))


def _steps(moments: Sequence[Mapping[str, float]], key: str) -> tuple[list[float], list[float]]:
    """Each value holds from the moment before to its own."""
    starts = [0.0, *(moment["at_s"] for moment in moments)]
    return starts, [*(moment[key] for moment in moments), moments[-1][key]]


def _draw_traffic(axes: Axes, theme: Theme, moments: Sequence[Mapping[str, float]]) -> None:
    axes.set_title("Traffic of all nodes together")
    if moments:
        xs, ys = _steps(moments, "bytes_per_s")
        axes.fill_between(xs, ys, step="post", color=theme.series[0], alpha=0.3, lw=0)
        axes.step(xs, ys, where="post", color=theme.series[0], lw=1.0)
    axes.set_ylim(bottom=0)
    axes.yaxis.set_major_locator(MaxNLocator(3))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{as_bytes(value)}/s"))


def _draw_hosts_on(axes: Axes, theme: Theme, moments: Sequence[Mapping[str, float]]) -> None:
    axes.set_title("Nodes that are on")
    xs, ys = _steps(moments, "hosts_on")
    axes.step(xs, ys, where="post", color=theme.series[2], lw=1.6)
    axes.set_ylim(0, 1.1 * max(ys))
    axes.yaxis.set_major_locator(MaxNLocator(2, integer=True))


def _draw_happenings(
    axes: Axes,
    theme: Theme,
    posts: Sequence[float],
    troubles: Sequence[Trouble],
    kinds: Sequence[str],
) -> None:
    names = ["posts", *kinds]
    axes.plot(posts, [0] * len(posts), "|", color=theme.series[0], ms=11, mew=1.4)
    for trouble in troubles:
        row = names.index(trouble.kind)
        if trouble.end_s is not None:
            ends = [trouble.begin_s, trouble.end_s]
            axes.plot(ends, [row, row], color=theme.alarm, lw=7, alpha=0.45, solid_capstyle="butt")
        axes.plot([trouble.begin_s], [row], "|", color=theme.alarm, ms=11, mew=2)
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.grid(axis="y", visible=False)
    axes.spines["left"].set_visible(False)
