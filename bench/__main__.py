"""``python -m bench list | all | NAME [--entries N] [--json FILE]``."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench import cold_sync, draft, panic, simulation
from bench.record import Record

#: Each returns its records; ``entries`` scales it.
BENCHMARKS: dict[str, tuple[str, Callable[[int | None], list[Record]]]] = {
    "cold-sync": (
        "a cold sync between two processes over loopback, against signature checks in the same run",
        lambda entries: cold_sync.run(entries or 20_000),
    ),
    "draft": (
        "how often the draft check takes texts for one writer's, and how long it takes",
        lambda entries: draft.run(entries or 400),
    ),
    "panic": (
        "throwing away a board of 100,000 entries",
        lambda entries: panic.run(entries or 100_000),
    ),
    "simnet-rate": (
        "events of the simulator against a bare heap loop",
        lambda _: simulation.rate(),
    ),
    "simnet-real": (
        "fifty simulated nodes with real ciphers, against real time",
        lambda _: simulation.real_ciphers(),
    ),
    "simnet-campus": (
        "an hour of a simulated campus of 1,000 nodes; some ten minutes",
        lambda entries: simulation.campus(entries or 1_000),
    ),
    "simnet-crowd": (
        "ten minutes of a simulated crowd of 10,000 nodes; some thirty minutes",
        lambda entries: simulation.crowd(entries or 10_000),
    ),
}
#: Run only by name, or with ``all --long``.
LONG = ("simnet-campus", "simnet-crowd")


def main() -> None:
    """Run one benchmark, or all."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("name", choices=["list", "all", *BENCHMARKS])
    parser.add_argument("--entries", type=int, help="how many entries, or nodes, instead")
    parser.add_argument("--long", action="store_true", help="with all: the long ones, too")
    parser.add_argument("--json", type=Path, help="write the records to a file as well")
    options = parser.parse_args()
    if options.name == "list":
        for name, (what, _) in BENCHMARKS.items():
            print(f"{name:14} {what}")
        return
    names = [options.name]
    if options.name == "all":
        names = [name for name in BENCHMARKS if options.long or name not in LONG]
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
