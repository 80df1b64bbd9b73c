"""``emulate``: a scenario with real nodes, too."""

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
    seed_option,
    write_json,
)
from simnet.scenario import ScenarioError


@click.command("emulate")
@arguments(scenario_argument, seed_option, changes_option)
@click.option("--json", "json_file", type=out_file, metavar="FILE", help="Write the result.")
def emulate_(scenario: str, seed: int, changes: tuple[str, ...], json_file: Path | None) -> None:
    """Play a scenario with real nodes, too, and tell how far the simulation is from them.

    Needs Linux, root and iproute2: nodes run in network namespaces of their own.
    """
    from simnet.emulate import Unplayable, emulate, table

    made = load_scenario(scenario, changes)
    check_writable(json_file)
    try:
        result = emulate(made, seed)
    except Unplayable as error:
        raise ScenarioError(str(error)) from None
    write_json(json_file, result)
    click.echo(table(result))
