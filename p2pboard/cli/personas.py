"""Own personas: list, drop, keep."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

import click

from p2pboard.cli.shared import (
    Group,
    confirm,
    json_option,
    perform,
    print_json_lines,
    query,
)
from p2pboard.cli.show import ID_DIGITS, PERSONA_DIGITS, console, table
from p2pboard.errors import UserError

_SECONDS = {"h": 3600, "d": 86400}


@click.group(cls=Group, example="p2pboard persona list lobby")
def persona() -> None:
    """See and throw away the keys that you write with.

    A persona is joined to this node only by its key, which is kept so that you can go on in its
    thread and take back what it wrote. It is thrown away some time after its last use.
    """


@persona.command("list", example="p2pboard persona list lobby")
@click.argument("board")
@json_option
def list_(board: str, as_json: bool) -> None:
    """List your personas on a board whose keys are still kept.

    "among" is how many nodes were there each time that it wrote, yours included: whoever noted the
    same knows that one of them is its writer's.

    With --json each line is an object with id, name, thread, fresh, posts, crowd (among how many;
    null until something has come back), outbox (how many of them wait), last_used (by day) and
    thrown_away (times in seconds since 1970).
    """
    records = query("persona_list", board=board)
    if as_json:
        print_json_lines(records)
    elif records:
        _print_personas(records)
    else:
        click.echo("no keys are kept")


def _print_personas(records: list[dict[str, Any]]) -> None:
    now = datetime.now(UTC)
    rows = table(
        "persona", "name", "thread", ">posts", ">among", ">outbox", "last used", "thrown away"
    )
    for record in records:
        rows.add_row(
            record["id"][:PERSONA_DIGITS],
            record["name"],
            record["thread"][:ID_DIGITS],
            str(record["posts"]),
            str(record["crowd"] or "?"),
            str(record["outbox"]),
            datetime.fromtimestamp(record["last_used"], UTC).strftime("%Y-%m-%d"),
            _in_some_time(record["thrown_away"] - int(now.timestamp())),
        )
    console().print(rows)


def _in_some_time(seconds: int) -> str:
    if seconds < 3600:
        return "within the hour"
    hours = seconds // 3600
    return f"in {_count(hours, 'hour')}" if hours < 48 else f"in {_count(hours // 24, 'day')}"


def _count(number: int, what: str, plural: str | None = None) -> str:
    return f"1 {what}" if number == 1 else f"{number} {plural or what + 's'}"


@persona.command(
    example="""
    p2pboard persona drop lobby 8c1d
    p2pboard persona drop lobby --all --yes""",
)
@click.argument("board")
@click.argument("persona", required=False)
@click.option("--all", "is_all", is_flag=True, help="All of yours on this board.")
@click.option("--withdraw", is_flag=True, help="Don't send what still waits in the outbox.")
@click.option("--yes", is_flag=True, help="Don't ask, even where something waits in the outbox.")
def drop(board: str, persona: str | None, is_all: bool, withdraw: bool, yes: bool) -> None:
    """Throw away the key of a persona of yours (beginning of its key).

    Afterwards nothing here says that it was yours, and you can neither go on under it nor take back
    what it wrote. What waits in the outbox is signed already and goes out all the same, unless you
    give --withdraw; until it has come back, it says that it is yours.
    """
    if (persona is None) == (not is_all):
        raise UserError("give a persona, or --all")
    waiting = _waiting(board, persona)
    if waiting:
        becomes = "won't be sent" if withdraw else "will go out all the same, being signed already"
        what = _count(waiting, "entry", "entries")
        confirm(f"{what} in the outbox {becomes}. Throw the key away?", yes)
    done = perform("persona_drop", board=board, persona=persona, withdraw=withdraw)
    _say_dropped(done, withdraw)


def _waiting(board: str, prefix: str | None) -> int:
    """How many entries wait under the personas that ``prefix`` can name."""
    records = query("persona_list", board=board)
    begin = (prefix or "").strip().lower()
    return sum(record["outbox"] for record in records if record["id"].startswith(begin))


def _say_dropped(done: dict[str, Any], withdraw: bool) -> None:
    count = len(done["personas"])
    line = f"{_count(count, 'key is', 'keys are')} thrown away"
    if done["outbox"]:
        what = _count(len(done["outbox"]), "entry", "entries")
        line += f", and {what} not sent" if withdraw else f"; {what} in the outbox still to go out"
    click.echo(line)


@persona.command(
    example="""
    p2pboard persona keep
    p2pboard persona keep 12h
    p2pboard persona keep 3d""",
)
@click.argument("time", required=False)
def keep(time: str | None) -> None:
    """Say, or set, how long a key is kept after its last use: hours (12h) or days (3d).

    It is never kept for longer than the thread that it writes in. Keys whose time is over by a new
    setting are thrown away at once.
    """
    if time is None:
        keep_s = query("persona_keep")["keep_s"]
    else:
        keep_s = perform("persona_keep", keep_s=_parse_time(time))["keep_s"]
    click.echo(f"keys are kept for {_span(keep_s)} after their last use")


def _parse_time(text: str) -> int:
    match = re.fullmatch(r"([0-9]{1,6})([hd])", text.strip().lower())
    if match is None:
        raise UserError(f"{text!r} is no time: write hours like 12h, or days like 3d")
    return int(match[1]) * _SECONDS[match[2]]


def _span(seconds: int) -> str:
    unit, name = (86400, "day") if seconds % 86400 == 0 else (3600, "hour")
    return _count(seconds // unit, name)
