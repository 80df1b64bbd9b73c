"""What people see in a terminal: entries, times, tables.

What strangers write reaches a terminal here and in the live view only through :func:`plain`:
control characters could move the cursor or recolour the screen, and direction marks could turn
words round. Rich gets finished :class:`~rich.text.Text`, never markup made of a stranger's words.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

Record = dict[str, Any]

#: The work on an entry leaves zeros at the beginning of its id (16 bits: four digits).
ID_DIGITS = 12
PERSONA_DIGITS = 8
_INDENT = 2
_DEPTH_MAX = 8
_WIDTH_LEAST = 20
#: Embeddings, overrides and isolates of writing direction (Unicode UAX 9).
_DIRECTION_MARKS = frozenset(
    "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f\u061c"
)
_LINE_ENDS = frozenset("\n\u2028\u2029")

_NOTES = {
    "outbox": "in the outbox",
    "hidden": "hidden",
    "forgotten": "forgotten",
    "retracted": "retracted by its author",
}


def console(*, stderr: bool = False) -> Console:
    """A console on what standard output is now; plain where that is no terminal."""
    return Console(stderr=stderr, highlight=False, markup=False, emoji=False, soft_wrap=False)


def plain(text: str) -> str:
    """``text`` on one line, without anything that steers a terminal."""
    return " ".join(plain_lines(text).split())


def plain_lines(text: str) -> str:
    """``text`` with its line ends, without anything that steers a terminal."""
    return "".join(map(_plain_character, text))


def _plain_character(character: str) -> str:
    if character in _LINE_ENDS:
        return "\n"
    if character == "\t":
        return "    "
    if character in _DIRECTION_MARKS:
        return ""
    return "\ufffd" if unicodedata.category(character) in ("Cc", "Cs") else character


def table(*headings: str) -> Table:
    """An open table; a heading that begins with ``>`` has a column of numbers."""
    made = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for heading in headings:
        justify = "right" if heading.startswith(">") else "left"
        made.add_column(heading.lstrip(">"), justify=justify, overflow="fold")  # type: ignore[arg-type]
    return made


def coarse_time(wall_s: int, now: datetime) -> str:
    """A time as people say it, in the zone of ``now``: "today 14:10"."""
    then = datetime.fromtimestamp(wall_s, now.tzinfo)
    clock = then.strftime("%H:%M")
    days = (now.date() - then.date()).days
    if days == 0:
        return f"today {clock}"
    if days == 1:
        return f"yesterday {clock}"
    if 1 < days < 7:
        return f"{then:%A} {clock}"
    return f"{then:%Y-%m-%d} {clock}"


def heading(record: Record, now: datetime) -> Text:
    """The line above an entry: who, when, id, state."""
    line = Text(record["name"], style="bold cyan")
    if record["op"]:
        line.append(" (op)", style="bold")
    line.append(f"  {coarse_time(record['time'], now)}", style="dim")
    line.append(f"  {record['id'][:ID_DIGITS]}", style="yellow")
    line.append(f"  by {record['persona'][:PERSONA_DIGITS]}", style="dim")
    if record["state"] != "shown":
        line.append(f"  [{note(record)}]", style="magenta")
    return line


def note(record: Record) -> str:
    """Why an entry is not simply shown."""
    why = record.get("why")
    if record["state"] == "hidden" and why is not None:
        because = f": {plain(why['reason'])}" if why["reason"] else ""
        return f"hidden by rule {why['rule']}{because}"
    return _NOTES[record["state"]]


def print_entry(out: Console, record: Record, now: datetime, depth: int = 0) -> None:
    """An entry with its heading; ``depth`` steps to the right."""
    left = _INDENT * min(depth, _DEPTH_MAX)
    _print_indented(out, heading(record, now), left)
    if record["text"] is not None:
        _print_indented(out, Text(plain_lines(record["text"])), left + _INDENT)


def _print_indented(out: Console, text: Text, left: int) -> None:
    """Folded to the width of a terminal; elsewhere lines stay whole, for those who search them."""
    if out.is_terminal:
        lines = text.wrap(out, max(_WIDTH_LEAST, out.width - left))
    else:
        lines = text.split("\n", allow_blank=True)
    for line in lines:
        out.print(Text(" " * left) + line, soft_wrap=True)


def print_threads(out: Console, records: Sequence[Record], now: datetime) -> None:
    """Entries thread by thread, the thread with the newest entry last; answers indented."""
    for thread in by_thread(records):
        for record, depth in in_tree_order(thread):
            print_entry(out, record, now, depth)
        out.print()


def by_thread(records: Iterable[Record]) -> list[list[Record]]:
    """Posts grouped by thread, the thread that was written in last at the end."""
    threads: dict[str, list[Record]] = {}
    for record in records:
        if record["kind"] == "post":
            thread = threads.pop(record["thread"], [])
            thread.append(record)
            threads[record["thread"]] = thread
    return list(threads.values())


def in_tree_order(records: Sequence[Record]) -> Iterator[tuple[Record, int]]:
    """Each entry and its depth, an answer below what it answers.

    An answer to what is not among ``records`` stands at the left: nothing is left out.
    """
    ids = {record["id"] for record in records}
    answers: dict[str | None, list[Record]] = {}
    for record in records:
        parent = record["parent"] if record["parent"] in ids else None
        answers.setdefault(parent, []).append(record)
    waiting = [(record, 0) for record in reversed(answers.get(None, []))]
    while waiting:
        record, depth = waiting.pop()
        yield record, depth
        waiting += [(answer, depth + 1) for answer in reversed(answers.get(record["id"], []))]
