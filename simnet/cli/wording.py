"""Figures, tables and times as a person reads them."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table


def clock(seconds: float) -> str:
    """Seconds as people write them: 1:02:03."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def console() -> Console:
    """Standard output, without colours of its own."""
    return Console(highlight=False, emoji=False)


def table_of(*headings: str) -> Table:
    """A table without lines; a heading that begins with ">" stands to the right."""
    made = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for heading in headings:
        made.add_column(heading.lstrip(">"), justify="right" if heading[:1] == ">" else "left")
    return made


def number(value: float | int | None) -> str:
    """With as many digits as a person wants to read; a dash for nothing."""
    if value is None:
        return "–"
    if isinstance(value, int) or abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def share(value: float | None) -> str:
    """A share as a percentage."""
    return "–" if value is None else f"{100 * value:.4g} %"
