"""How the warnings of the draft check are told, and how the writer decides.

On a terminal each place is shown, marked, and the writer is asked. Elsewhere nobody can be asked:
then a text with warnings is not posted, and each is one line.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import click
from rich.console import Console
from rich.text import Text

from p2pboard.cli.show import Record, console, plain
from p2pboard.errors import Failure

#: What is shown of the text on each side of a marked place.
_AROUND_CHARACTERS = 24
#: More of a marked place than this is not needed to find it.
_MARKED_CHARACTERS_MAX = 60
#: More than this nobody reads before they answer.
_SHOWN_MAX = 20


def decide(
    text: str, warnings: Sequence[Record], advice: str | None = None, *, can_ask: bool
) -> None:
    """Tells ``warnings`` and lets the writer decide.

    :param advice: what is to be said of a crowd that is too small.
    :param can_ask: whether the writer sits at a terminal.
    :raises Failure: where the text is not to be posted.
    """
    if can_ask:
        _print_marked(console(stderr=True), text, warnings)
        if advice:
            click.echo(f"  {advice}", err=True)
        if click.confirm("Post it all the same?", default=False, err=True):
            return
        raise Failure("not posted")
    for warning in warnings:
        click.echo(_line(text, warning), err=True)
    if not warnings:
        raise Failure(f"not posted: {advice}; --anyway posts it now")
    if advice:
        click.echo(f"crowd: {advice}", err=True)
    raise Failure(
        f"not posted, for what could tell who wrote it ({len(warnings)}, above): change it, or post"
        " it all the same with --anyway"
    )


def has_terminal() -> bool:
    """Whether there is somebody to ask."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def _line(text: str, warning: Record) -> str:
    start, end = warning["start"], warning["end"]
    return f"{start}-{end} {warning['kind']} {_marked(text, warning)!r}: {warning['why']}"


def _marked(text: str, warning: Record) -> str:
    marked = plain(text[warning["start"] : warning["end"]])
    if len(marked) <= _MARKED_CHARACTERS_MAX:
        return marked
    half = _MARKED_CHARACTERS_MAX // 2
    return f"{marked[:half]} … {marked[-half:]}"


def _print_marked(out: Console, text: str, warnings: Sequence[Record]) -> None:
    for warning in warnings[:_SHOWN_MAX]:
        before, after = _around(text, warning)
        line = Text.assemble(before, (_marked(text, warning), "bold reverse red"), after)
        out.print(Text("  ") + line, soft_wrap=True)
        # For those who see no colours.
        out.print(Text(" " * (2 + Text(before).cell_len)) + _underline(text, warning))
        out.print(Text("  " + warning["why"], style="yellow"), soft_wrap=True)
        out.print()
    if len(warnings) > _SHOWN_MAX:
        out.print(f"  (and {len(warnings) - _SHOWN_MAX} more)")


def _underline(text: str, warning: Record) -> Text:
    return Text("^" * max(1, Text(_marked(text, warning)).cell_len), style="bold red")


def _around(text: str, warning: Record) -> tuple[str, str]:
    """What stands on the same line just before and after a place."""
    before = text[: warning["start"]].rpartition("\n")[2]
    after = text[warning["end"] :].partition("\n")[0]
    return (
        _cut(before, before[-_AROUND_CHARACTERS:], at_start=True),
        _cut(after, after[:_AROUND_CHARACTERS], at_start=False),
    )


def _cut(whole: str, part: str, *, at_start: bool) -> str:
    """``part`` without what steers a terminal, and a mark where it was cut off."""
    seen = "".join(plain(character) or " " for character in part)
    if len(part) == len(whole):
        return seen
    return f"…{seen}" if at_start else f"{seen}…"
