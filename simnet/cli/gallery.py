"""``list`` and ``explain``: what scenarios there are, and what is in them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import click
from rich.console import Console
from rich.markup import escape
from rich.text import Text

from simnet.cli.shared import arguments, changes_option, load_scenario, scenario_argument
from simnet.cli.wording import clock, console, share, table_of
from simnet.scenario import Scenario, Setting, explain, gallery, load


@click.command("list")
def list_() -> None:
    """List the scenarios of the gallery."""
    rows = table_of("scenario", ">hosts", ">simulated", "")
    for name in gallery():
        made = load(name)
        rows.add_row(name, str(made.hosts.count), clock(made.seconds), escape(made.title))
    console().print(rows)


@click.command("explain")
@arguments(scenario_argument, changes_option)
def explain_(scenario: str, changes: tuple[str, ...]) -> None:
    """Say what a scenario is, with all its settings and what they mean."""
    made, out = load_scenario(scenario, changes), console()
    out.print(Text(made.title or made.name, style="bold"))
    if made.scenario.story:
        out.print(Text(" ".join(made.scenario.story.split())))
    out.print(Text(in_words(made)))
    for section, about, settings in explain(made):
        if section != "scenario":
            out.print()
            out.print(Text(f"[{section}] ", style="bold cyan") + Text(about))
            _print_settings(out, settings)


def _print_settings(out: Console, settings: Sequence[Setting]) -> None:
    rows = table_of("", "", "", "")
    rows.show_header = False
    for setting in settings:
        allowed = f" ({setting.allowed})" if setting.allowed else ""
        rows.add_row(
            Text(f"  {setting.key}"),
            Text(toml_value(setting.value), style="" if setting.is_default else "bold yellow"),
            Text(setting.meaning) + Text(allowed, style="dim"),
        )
    if settings:
        out.print(rows)


def toml_value(value: Any) -> str:
    """A value as a scenario file has it, shortened where it is long."""
    if isinstance(value, tuple):
        text = f"[{', '.join(map(toml_value, value))}]"
    elif isinstance(value, float):
        text = f"{value:g}"
    else:
        text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 40 else f"{text[:37]}..."


def _rate_of(mbit: float) -> str:
    return f"{mbit:g} Mbit/s" if mbit else "any rate"


def in_words(made: Scenario) -> str:
    """A scenario in a few sentences."""
    count, network = made.hosts.count, made.network
    said = [
        f"{count} hosts on a network of the kind {network.topology}, {made.hosts.ciphers} ciphers, "
        f"for {clock(made.seconds)} (and the healing)."
    ]
    if network.remote_share:
        out, into = network.remote.bandwidth_mbit, network.remote.down.bandwidth_mbit
        said.append(
            f"{share(network.remote_share)} of them have another line, of {_rate_of(out)} out and "
            f"{_rate_of(into)} in."
        )
    if made.workload.trace:
        said.append(f"They write the {len(made.workload.posts)} posts of {made.workload.trace}.")
    else:
        rate, replies = made.workload.posts_per_hour, made.workload.replies_share
        said.append(f"They write {rate:g} posts an hour, {share(replies)} of them replies.")
    if made.churn.rhythm == "daily":
        start = clock(made.churn.start_hour * 3600)
        said.append(f"Laptops open and close by the day, which begins at {start}.")
    for adversary in made.adversaries:
        said.append(
            f"{adversary.count} of the hosts are {adversary.name}."
            if adversary.count
            else "An observer sees all packets."
        )
    said.append(f'Publishing: "{made.publishing.strategy}".')
    return " ".join(said)
