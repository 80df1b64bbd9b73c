"""``compare``: two results side by side."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.markup import escape

from simnet.cli.shared import in_file
from simnet.cli.wording import console, number, table_of
from simnet.compare import Comparison, Row, compare, read_result


@click.command("compare")
@click.argument("a", type=in_file)
@click.argument("b", type=in_file)
@click.option("--all", "shows_all", is_flag=True, help="Figures that are the same, too.")
def compare_(a: Path, b: Path, shows_all: bool) -> None:
    """Set two results (of 'run --json') side by side."""
    comparison, out = compare(read_result(a), read_result(b)), console()
    if comparison.is_same_run:
        out.print("the same run: all but the machine is equal")
    _print_rows(out, "settings that differ", comparison.settings, a, b)
    shown = [row for row in comparison.figures if shows_all or row.is_different]
    _print_rows(out, "figures", shown, a, b)
    _print_rows(out, "machine", _machine(comparison), a, b)


def _machine(comparison: Comparison) -> list[Row]:
    return [row for row in comparison.machine if row.is_different]


def _print_rows(out: Console, heading: str, rows: Sequence[Row], a: Path, b: Path) -> None:
    if not rows:
        return
    shown = table_of(heading, f">{a.name}", f">{b.name}", ">change")
    for row in rows:
        change = "" if row.change is None else f"{100 * row.change:+.1f} %"
        shown.add_row(escape(row.name), _cell(row.a), _cell(row.b), change)
    out.print(shown)
    out.print()


def _cell(value: Any) -> str:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return number(value) if value is None or is_number else escape(str(value))
