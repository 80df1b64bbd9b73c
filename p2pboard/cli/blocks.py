"""Blocks: what this node hides or deletes for its user. Nobody else is told."""

from __future__ import annotations

from typing import Any

import click

from p2pboard.cli.shared import (
    Group,
    check_one_of,
    json_option,
    perform,
    print_json_lines,
    query,
)
from p2pboard.cli.show import console, plain, table

_SHOWN_VALUE_DIGITS = 16


@click.group(cls=Group, example='p2pboard block add lobby --word casino --reason "spam"')
def block() -> None:
    """Hide or delete what you don't want to see, on this node only."""


@block.command(
    example="""
    p2pboard block add lobby --persona 8c1d
    p2pboard block add lobby --word casino --purge --reason "spam\"""",
)
@click.argument("board")
@click.option("--persona", metavar="P", help="All that this persona (beginning of its key) writes.")
@click.option("--entry", metavar="ID", help="One entry.")
@click.option("--thread", metavar="ID", help="The thread that this entry is in.")
@click.option("--word", metavar="W", help="Entries with this word in their text.")
@click.option("--purge", is_flag=True, help="Delete the texts too, now and whenever they come.")
@click.option("--reason", metavar="R", default="", help="A note to yourself.")
def add(
    board: str,
    persona: str | None,
    entry: str | None,
    thread: str | None,
    word: str | None,
    purge: bool,
    reason: str,
) -> None:
    """Block a persona, an entry, a thread or a word."""
    kind, value = check_one_of({"persona": persona, "entry": entry, "thread": thread, "word": word})
    record = perform("block_add", board=board, kind=kind, value=value, purge=purge, reason=reason)
    done = "deletes" if purge else "hides"
    undo = f"p2pboard block remove {board} {record['rule']}"
    click.echo(f"rule {record['rule']} {done} it; '{undo}' ends that")


@block.command("list", example="p2pboard block list lobby")
@click.argument("board")
@json_option
def list_(board: str, as_json: bool) -> None:
    """List what is blocked on a board."""
    records = query("block_list", board=board)
    if as_json:
        print_json_lines(records)
    elif records:
        _print_rules(records)
    else:
        click.echo("nothing is blocked")


def _print_rules(records: list[dict[str, Any]]) -> None:
    rows = table("rule", "blocks", "what", "by", "reason")
    for record in records:
        is_word = record["kind"] == "word"
        value = record["value"] if is_word else record["value"][:_SHOWN_VALUE_DIGITS]
        rows.add_row(
            record["rule"], record["kind"], plain(value), record["action"], plain(record["reason"])
        )
    console().print(rows)


@block.command(example="p2pboard block remove lobby k3f7")
@click.argument("board")
@click.argument("rule")
def remove(board: str, rule: str) -> None:
    """End a block. What it deleted comes back only if other nodes still have it."""
    perform("block_remove", board=board, rule=rule)
    click.echo(f"rule {plain(rule)} is gone")
