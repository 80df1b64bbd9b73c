"""What several commands take and do."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from simnet.scenario import Scenario, load, with_strategy


def arguments(*decorators: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Several arguments and options as one decorator, in their order."""

    def decorate(command: Any) -> Any:
        for decorator in reversed(decorators):
            command = decorator(command)
        return command

    return decorate


scenario_argument = click.argument("scenario")
out_file = click.Path(dir_okay=False, path_type=Path)
in_file = click.Path(dir_okay=False, exists=True, path_type=Path)
changes_option = click.option(
    "--set",
    "changes",
    multiple=True,
    metavar="KEY=VALUE",
    help="Change a setting, like hosts.count=50; can be repeated.",
)
strategy_option = click.option(
    "--strategy", metavar="NAME", help="Another way of publishing than the scenario's."
)
seed_option = click.option(
    "--seed", type=click.IntRange(min=0), default=1, show_default=True, help="Decides everything."
)


def load_scenario(scenario: str, changes: Sequence[str], strategy: str | None = None) -> Scenario:
    """What the command line names, with its changes.

    :raises ScenarioError: what is wrong, in one line.
    """
    made = load(scenario, changes)
    return made if strategy is None else with_strategy(made, strategy)


def check_writable(*files: Path | None) -> None:
    """Before an hour of simulation, not after it."""
    for file in files:
        if file is not None and not file.parent.is_dir():
            raise click.BadParameter(f"there is no folder {file.parent}")


def write_json(file: Path | None, result: dict[str, Any]) -> None:
    """Write a result where a file was asked for."""
    if file is not None:
        file.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
