"""A bar that says how far a simulation is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, TextColumn
from rich.progress import Progress as Bar

from simnet.cli.wording import clock
from simnet.run import Progress


@contextmanager
def progress_bar(name: str) -> Iterator[Callable[[Progress], None] | None]:
    """What to tell progress to; nothing where nobody would see it."""
    out = Console(stderr=True)
    if not out.is_terminal:
        yield None
        return
    columns = ("{task.description}", "{task.fields[now]}", "{task.fields[rate]}")
    texts = [TextColumn(column) for column in columns]
    with Bar(texts[0], BarColumn(), *texts[1:], console=out, transient=True) as bar:
        task = bar.add_task(name, total=1.0, now="", rate="")

        def tell(progress: Progress) -> None:
            bar.update(
                task,
                completed=progress.simulated_s / progress.seconds,
                now=f"{clock(progress.simulated_s)} of {clock(progress.seconds)} simulated",
                rate=_rate(progress),
            )

        yield tell


def _rate(progress: Progress) -> str:
    ahead = "" if progress.remaining_s is None else f", {clock(progress.remaining_s)} to go"
    return f"{progress.events_per_s:,.0f} events/s{ahead}"
