"""What happened when, and which rules were broken."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from simnet.findings import Result, as_seconds, troubles_of
from simnet.report.html import figure_of, section_of, side_by_side, table_of
from simnet.report.spreading import SIDE_BY_SIDE_MAX

VIOLATIONS_SHOWN_MAX = 25
#: Width of a timeline for phones, in inches.
_TIMELINE_NARROW = 4.4


def timelines_section(results: Sequence[Result], labels: Sequence[str]) -> str:
    """When posts were written, and what was broken on purpose."""
    from simnet import pictures

    figures = []
    for result, label in zip(results[:SIDE_BY_SIDE_MAX], labels, strict=False):
        is_alone = len(results) == 1
        picture = pictures.timeline(result, 7.2 if is_alone else 5.2)
        if picture is not None:
            narrow = pictures.timeline(result, _TIMELINE_NARROW) if is_alone else None
            figures.append(figure_of(picture, title="" if is_alone else label, narrow=narrow))
    has_trouble = any(troubles_of(result) for result in results)
    hint = (
        "Simulated time runs from left to right. Marks in the first row are posts; red is what was "
        "broken on purpose, a bar as long as it lasted."
        if has_trouble
        else "Simulated time runs from left to right. Nothing was broken on purpose."
    )
    return section_of(
        "What happened when",
        hint,
        side_by_side(figures, "large") if len(figures) > 1 else "".join(figures),
    )


def checks_section(results: Sequence[Result], labels: Sequence[str]) -> str:
    """The rules that were broken; nothing where none was."""
    rows = [
        [
            escape(label),
            as_seconds(violation["at_s"]),
            f"{violation['host']}",
            escape(str(violation["rule"])),
            escape(str(violation["detail"])),
        ]
        for result, label in zip(results, labels, strict=True)
        for violation in result["checks"]["violations"]
    ]
    if not rows:
        return ""
    more = len(rows) - VIOLATIONS_SHOWN_MAX
    return section_of(
        "Rules that were broken",
        "Rules that must hold whatever the network does. Each line is a bug, or an attack that "
        "worked.",
        table_of(["Run", "at", "node", "rule", "what"], rows[:VIOLATIONS_SHOWN_MAX], "words"),
        f'<p class="muted">And {more:,} more.</p>' if more > 0 else "",
    )
