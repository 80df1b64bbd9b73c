"""``run``: a scenario, and what came of it."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click

from simnet.cli.ending import PROGRAM
from simnet.cli.progress import progress_bar
from simnet.cli.shared import (
    arguments,
    changes_option,
    check_writable,
    load_scenario,
    out_file,
    scenario_argument,
    seed_option,
    strategy_option,
    write_json,
)
from simnet.cli.summary import print_summary
from simnet.run import run_scenario

_VIOLATIONS_SHOWN = 10


@click.command("run")
@arguments(scenario_argument, seed_option, strategy_option, changes_option)
@click.option("--json", "json_file", type=out_file, metavar="FILE", help="Write the result.")
@click.option("--report", type=out_file, metavar="FILE.html", help="Write a report for people.")
@click.option(
    "--trace",
    type=out_file,
    metavar="FILE",
    help="Write what spies and observer see, and the truth to FILE.truth.",
)
def run(
    scenario: str,
    seed: int,
    strategy: str | None,
    changes: tuple[str, ...],
    json_file: Path | None,
    report: Path | None,
    trace: Path | None,
) -> int:
    """Run a scenario, and tell what came of it."""
    made = load_scenario(scenario, changes, strategy)
    check_writable(json_file, report, trace)
    if report is not None and find_spec("matplotlib") is None:
        raise click.UsageError("--report needs matplotlib: pip install 'p2pboard[sim]'")
    with progress_bar(made.name) as progress:
        result = run_scenario(made, seed, trace=trace, progress=progress)
    write_json(json_file, result)
    if report is not None:
        from simnet.report import write_report

        write_report(result, report)
    print_summary(made, result)
    return _judge(result, _again("run", scenario, seed, strategy, changes))


def _again(
    command: str, scenario: str, seed: int, strategy: str | None, changes: Sequence[str]
) -> str:
    """The one command that shows the same again."""
    words = [command, scenario, "--seed", str(seed)]
    words += ["--strategy", strategy] if strategy else []
    for change in changes:
        words += ["--set", change]
    return f"{PROGRAM} {shlex.join(words)}"


def _judge(result: dict[str, Any], again: str) -> int:
    violations = result["checks"]["violations"]
    if not violations:
        return 0
    for violation in violations[:_VIOLATIONS_SHOWN]:
        where = f"{violation['at_s']:.3f} s, host {violation['host']}"
        click.echo(f"violated: {where}: {violation['rule']}: {violation['detail']}", err=True)
    if len(violations) > _VIOLATIONS_SHOWN:
        click.echo(f"... and {len(violations) - _VIOLATIONS_SHOWN} more", err=True)
    click.echo(f"again: {again}", err=True)
    return 1
