"""``sweep``: many seeds and settings."""

from __future__ import annotations

from pathlib import Path

import click

from simnet.cli.shared import (
    arguments,
    changes_option,
    check_writable,
    load_scenario,
    out_file,
    scenario_argument,
    strategy_option,
    write_json,
)


@click.command("sweep")
@arguments(scenario_argument, strategy_option, changes_option)
@click.option("--seeds", type=click.IntRange(min=1), default=5, show_default=True, metavar="N")
@click.option("--from", "first", type=click.IntRange(min=0), default=1, help="The first seed.")
@click.option(
    "--vary",
    "varied",
    multiple=True,
    metavar="KEY=A,B,C",
    help="Run with each of these values; can be repeated, for all combinations.",
)
@click.option("--scheduler", metavar="ADDRESS", help="Of a Dask cluster; else local processes.")
@click.option("--json", "json_file", type=out_file, metavar="FILE", help="Write all results.")
def sweep_(
    scenario: str,
    strategy: str | None,
    changes: tuple[str, ...],
    seeds: int,
    first: int,
    varied: tuple[str, ...],
    scheduler: str | None,
    json_file: Path | None,
) -> None:
    """Run a scenario under many seeds and settings, on all processors or a cluster."""
    vary = [_parse_vary(one) for one in varied]
    for key, values in vary:
        for value in values:
            load_scenario(scenario, [*changes, f"{key}={value}"], strategy)
    load_scenario(scenario, changes, strategy)
    check_writable(json_file)
    from simnet.sweep import sweep, table

    result = sweep(
        scenario,
        seeds=range(first, first + seeds),
        vary=vary,
        changes=changes,
        strategy=strategy,
        scheduler=scheduler,
    )
    write_json(json_file, result)
    click.echo(table(result))


def _parse_vary(text: str) -> tuple[str, list[str]]:
    key, equals, values = text.partition("=")
    if not equals or not key or not values:
        raise click.BadParameter(f"{text!r} is not KEY=A,B,C, like hosts.count=20,50")
    return key, [value.strip() for value in values.split(",")]
