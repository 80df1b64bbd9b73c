"""``python -m bench list | all | NAME [--entries N] [--json FILE]``."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench import cold_sync
from bench.record import Record

#: Each returns its records; ``entries`` scales it.
BENCHMARKS: dict[str, tuple[str, Callable[[int | None], list[Record]]]] = {
    "cold-sync": (
        "a cold sync between two processes over loopback, against signature checks in the same run",
        lambda entries: cold_sync.run(entries or 20_000),
    ),
}


def main() -> None:
    """Run one benchmark, or all."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("name", choices=["list", "all", *BENCHMARKS])
    parser.add_argument("--entries", type=int, help="how many entries, instead of the default")
    parser.add_argument("--json", type=Path, help="write the records to a file as well")
    options = parser.parse_args()
    if options.name == "list":
        for name, (what, _) in BENCHMARKS.items():
            print(f"{name:12} {what}")
        return
    names = list(BENCHMARKS) if options.name == "all" else [options.name]
    records = [record for name in names for record in BENCHMARKS[name][1](options.entries)]
    if options.json:
        options.json.write_text(json.dumps([record.as_json() for record in records], indent=2))
    show(records)


def show(records: list[Record]) -> None:
    """A table for people."""
    table = Table("figure", "value", "unit", "aim")
    for record in records:
        table.add_row(record.name, f"{record.value:,.2f}", record.unit, record.aim)
    Console().print(table)


if __name__ == "__main__":
    main()
