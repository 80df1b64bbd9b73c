"""Boards: create, join, boards, invite, leave."""

from __future__ import annotations

import io
import sys
from typing import Any

import click
import segno

from p2pboard.cli.shared import (
    Command,
    json_option,
    parse_address,
    perform,
    print_json,
    print_json_lines,
    query,
)
from p2pboard.cli.show import console, plain, table


@click.command(
    cls=Command,
    example="""
    p2pboard create "Third floor"
    p2pboard create canteen --open --retention-days 7""",
)
@click.argument("name")
@click.option("--open", "is_open", is_flag=True, help="Whoever knows name and policy is in.")
@click.option("--retention-days", type=int, metavar="N", help="Entries are deleted after N days.")
@click.option("--work-bits", type=int, metavar="N", help="What a post costs: 2^N hashes.")
@click.option(
    "--pace",
    type=click.Choice(["brisk", "normal", "calm"]),
    help="How long posts mix with those of others: some 2, 6 or 16 seconds. Calm hides best.",
)
@json_option
def create(
    name: str,
    is_open: bool,
    retention_days: int | None,
    work_bits: int | None,
    pace: str | None,
    as_json: bool,
) -> None:
    """Make a board, and print the invite link for the others.

    Whoever has the link can read and post: give it to those who belong there, and to nobody else.
    A board's policy can't be changed later.
    """
    record = perform(
        "create",
        name=name,
        is_open=is_open,
        retention_days=retention_days,
        work_bits=work_bits,
        pace=pace,
    )
    _print_invite(record, as_json)


@click.command(cls=Command, example="p2pboard invite lobby")
@click.argument("board")
@click.option(
    "--address",
    "addresses",
    multiple=True,
    metavar="HOST:PORT",
    help="Where a node of the board listens, for networks without multicast; can be repeated.",
)
@json_option
def invite(board: str, addresses: tuple[str, ...], as_json: bool) -> None:
    """Print the invite link of a board, and its QR code in a terminal."""
    checked = tuple(str(parse_address(address, "--address")) for address in addresses)
    _print_invite(query("invite", board=board, addresses=checked), as_json)


def _print_invite(record: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(record)
        return
    click.echo(record["link"])
    if sys.stdout.isatty():
        click.echo(_qr_code(record["link"]))


def _qr_code(link: str) -> str:
    # In upper case every character is of QR's alphanumeric set, which takes a third less room.
    picture = io.StringIO()
    segno.make(link.upper(), error="l", micro=False).terminal(picture, compact=True)
    return picture.getvalue()


@click.command(cls=Command, example="p2pboard join p2pboard:aeafmwdm...")
@click.argument("link")
def join(link: str) -> None:
    """Take part in the board that an invite link is for."""
    record = perform("join", link=link)
    click.echo(f"joined {plain(record['name'])}")


@click.command(cls=Command, example="p2pboard boards")
@json_option
def boards(as_json: bool) -> None:
    """List the boards of this node."""
    records = query("boards")
    if as_json:
        print_json_lines(records)
    elif records:
        _print_boards(records)
    else:
        click.echo("no boards: 'p2pboard create lobby --open' brings the lobby back")


def _print_boards(records: list[dict[str, Any]]) -> None:
    rows = table("board", "id", "", ">entries", ">outbox", ">kept for", ">work")
    for record in records:
        rows.add_row(
            plain(record["name"]),
            record["board_id"][:8],
            "open" if record["open"] else "private",
            str(record["entries"]),
            str(record["outbox"]),
            f"{record['retention_days']} days",
            f"{record['work_bits']} bits",
        )
    console().print(rows)


@click.command(cls=Command, example="p2pboard leave canteen")
@click.argument("board")
def leave(board: str) -> None:
    """Delete a board from this node, with all that is on it.

    The others keep theirs. To come back you need the invite link again.
    """
    record = perform("leave", board=board)
    click.echo(f"left {plain(record['name'])}, and deleted all of it here")
