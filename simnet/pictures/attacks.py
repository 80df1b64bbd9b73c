"""What adversaries could make of what they saw, against a blind guess."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from simnet.findings import Result, as_share, attacks_of
from simnet.pictures.paper import Picture, Theme, picture_of


def attacks(results: Sequence[Result], labels: Sequence[str]) -> list[tuple[str, Picture]]:
    """For each estimator: how often it names the author, against a blind guess and against the
    share of spies."""
    names = dict.fromkeys(row["estimator"] for r in results for row in attacks_of(r))
    return [(name, _attack(name, results, labels)) for name in names]


def _attack(name: str, results: Sequence[Result], labels: Sequence[str]) -> Picture:
    rows = [
        (label, {row["share"]: row for row in attacks_of(r) if row["estimator"] == name})
        for r, label in zip(results, labels, strict=True)
        if any(row["estimator"] == name for row in attacks_of(r))
    ]
    shares = sorted({share for _, by_share in rows for share in by_share})

    def draw(figure: Figure, theme: Theme) -> None:
        axes = figure.add_subplot()
        width = 0.8 / len(rows)
        for index, (label, by_share) in enumerate(rows):
            colour = theme.series[index % len(theme.series)]
            at = [i - 0.4 + width * (index + 0.5) for i, s in enumerate(shares) if s in by_share]
            named = [by_share[share]["named"] for share in shares if share in by_share]
            bars = axes.bar(at, named, width=width * 0.88, color=colour, label=label)
            axes.bar_label(bars, [as_share(value) for value in named], fontsize=9, padding=2)
        for place, share in enumerate(shares):
            blind = max(by[share]["blind"] for _, by in rows if share in by)
            ends = (place - 0.45, place + 0.45)
            is_first = place == 0
            _level(axes, ends, share, theme.muted, "--", "share of spies" if is_first else "")
            _level(axes, ends, blind, theme.alarm, "-", "blind guess" if is_first else "")
        axes.set_xticks(range(len(shares)), [f"{as_share(share)} spies" for share in shares])
        axes.set_xlim(-0.6, len(shares) - 0.4)
        axes.grid(axis="x", visible=False)
        axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
        axes.set_ylabel("authors named rightly")
        axes.margins(y=0.15)
        figure.legend(loc="outside lower center", ncols=3)

    words = "; ".join(
        f"{label}, {as_share(share)} spies: {as_share(by_share[share]['named'])}"
        for label, by_share in rows
        for share in sorted(by_share)
    )
    return picture_of(
        draw, (5.2, 3.9), f"How often the {name} estimator names the author. {words}."
    )


def _level(
    axes: Axes, ends: tuple[float, float], value: float, colour: str, style: str, label: str
) -> None:
    axes.plot(ends, (value, value), color=colour, ls=style, lw=1.6, label=label or "_", zorder=5)


def observer(results: Sequence[Result], labels: Sequence[str]) -> Picture | None:
    """How well somebody who sees all packets tells who posts."""
    rows = [
        (label, r["observer"]["auc"])
        for r, label in zip(results, labels, strict=True)
        if r.get("observer") and r["observer"].get("auc") is not None
    ]
    if not rows:
        return None

    def draw(figure: Figure, theme: Theme) -> None:
        axes = figure.add_subplot()
        for place, (_, auc) in enumerate(rows):
            colour = theme.series[place % len(theme.series)]
            axes.plot([0.5, auc], [place, place], color=colour, lw=3)
            axes.plot([auc], [place], "o", color=colour, ms=10)
            axes.annotate(
                f"{auc:.2f}", (auc, place), va="center", xytext=(10, 0), textcoords="offset points"
            )
        axes.axvline(0.5, color=theme.alarm, lw=1.4)
        axes.set_yticks(range(len(rows)), [label for label, _ in rows])
        axes.set_ylim(len(rows) - 0.4, -0.6)
        axes.set_xlim(min(0.4, *(auc for _, auc in rows)) - 0.02, 1.08)
        axes.set_xticks([0.5, 0.75, 1.0], ["0.5\ncoin toss", "0.75", "1\ncertain"])
        axes.grid(axis="y", visible=False)

    words = "; ".join(f"{label} {auc:.2f}" for label, auc in rows)
    alt = f"Area under the curve of the observer (0.5 is a coin toss): {words}."
    return picture_of(draw, (5.2, 1.0 + 0.42 * len(rows)), alt)
