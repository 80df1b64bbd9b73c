"""``replay``: what one node of a trace saw and did."""

from __future__ import annotations

from pathlib import Path

import click

from simnet.cli.progress import progress_bar
from simnet.cli.shared import in_file
from simnet.trace import Line, read_header, replay


@click.command("replay")
@click.argument("trace", type=in_file)
@click.option("--until", type=click.FloatRange(min=0), required=True, metavar="T", help="Seconds.")
@click.option("--node", type=click.IntRange(min=0), required=True, metavar="N", help="Which host.")
@click.option("--from", "from_s", type=click.FloatRange(min=0), default=0.0, metavar="T")
def replay_(trace: Path, until: float, node: int, from_s: float) -> None:
    """Run the world of a trace again, and tell what one node saw and did."""
    with progress_bar(f"node {node}") as progress:
        replay(read_header(trace), until, node, _print_line, from_s, progress)


def _print_line(line: Line) -> None:
    click.echo(f"{line.at_s:12.6f}  {line.kind:<5}  {line.text}")
