"""What a running node tells its user: a live view in a terminal, lines of text elsewhere.

Both are made of the same three questions to the node (its status, its peers, the newest entries),
asked again after something happened. So an event that was missed does no harm, and what is drawn or
written is a function of the answers: :func:`picture` and :func:`lines_between`.

The lines may end up in a log file that others read: they hold counts, never what was written, by
whom or when one's own came out, and addresses of peers only if asked for.
"""

from __future__ import annotations

import logging
import os
import traceback
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any

import trio
from rich.console import Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from p2pboard.actions import Actions, Driver
from p2pboard.cli.show import console, heading, plain, table
from p2pboard.reading import newest_entries

Record = dict[str, Any]

#: The view is drawn at most so often, whatever happens; people see no more. Guess.
_REDRAW_S = 0.25
#: And at least so often, because times and rates go on.
_REDRAW_S_MAX = 5.0
#: mDNS answers within a second or two; who has found nobody after this needs a hint. Guess.
LONELY_S = 20.0
_WARNINGS_MAX = 3
#: Lines of the screen that are not entries: headings, the bars, the last line.
_LINES_AROUND = 8
_LINES_AN_ENTRY = 2


class Warnings(logging.Handler):
    """The last warnings of the program, one line each; a traceback only for those who debug."""

    def __init__(self, print_line: Callable[[str], None] | None = None) -> None:
        super().__init__(logging.WARNING)
        self.lines: deque[str] = deque(maxlen=_WARNINGS_MAX)
        self._print = print_line

    def emit(self, record: logging.LogRecord) -> None:
        """Takes a record of :mod:`logging`."""
        line = " ".join(record.getMessage().split())
        if record.exc_info and record.exc_info[1]:
            line += f": {type(record.exc_info[1]).__name__}"
            if os.environ.get("P2PBOARD_DEBUG") == "1":
                traceback.print_exception(record.exc_info[1])
        self.say(line)

    def say(self, line: str) -> None:
        """Keeps one line, and says it where there is no view to draw it. The same line again says
        nothing new: a disk that stays full would fill a log, on the same disk."""
        if self.lines and self.lines[-1] == line:
            return
        self.lines.append(line)
        if self._print is not None:
            self._print(line)


# --- Lines ----------------------------------------------------------------------------------------


async def write_lines(
    actions: Actions, driver: Driver, say: Callable[[str], None], is_verbose: bool
) -> None:
    """Says in lines what changes, until cancelled."""
    before: Record = {}
    addresses: frozenset[str] = frozenset()
    with driver.subscribe() as events:
        while True:
            after = await actions.status()
            for line in lines_between(before, after):
                say(line)
            if is_verbose:
                addresses = _say_addresses(addresses, await actions.peers(), say)
            before = after
            await _next_change(events)


def _say_addresses(
    before: frozenset[str], peers: Sequence[Record], say: Callable[[str], None]
) -> frozenset[str]:
    after = frozenset(f"{plain(peer['board'])} {peer['address']}" for peer in peers)
    for gone in sorted(before - after):
        say(f"unlinked: {gone}")
    for new in sorted(after - before):
        say(f"linked: {new}")
    return after


def lines_between(before: Record, after: Record) -> list[str]:
    """What to say when the status was ``before`` (``{}``: nothing said yet) and is ``after``."""
    lines = []
    if not before:
        lines.append(
            f"listening on {after['listening']}" if after["listening"] else "not listening"
        )
        lines.append("finding others by mDNS" if after["mdns"] else "not using mDNS")
    old = {board["board_id"]: board for board in before.get("boards", ())}
    for board in after["boards"]:
        lines += _board_lines(old.pop(board["board_id"], None), board)
    lines += [f"board {plain(board['name'])}: left" for board in old.values()]
    return lines


def _board_lines(before: Record | None, after: Record) -> list[str]:
    name = f"board {plain(after['name'])}"
    lines = []
    if before is None:
        lines.append(f"{name}: {_count(after['entries'], 'entry', 'entries')} stored")
        before = {"peers": 0, "syncing": False}
    if after["peers"] != before["peers"]:
        lines.append(f"{name}: linked with {_count(after['peers'], 'peer', 'peers')}")
    if before["syncing"] and not after["syncing"] and after["peers"]:
        lines.append(f"{name}: up to date, {_count(after['entries'], 'entry', 'entries')}")
    return lines


def _count(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"


# --- The live view --------------------------------------------------------------------------------


async def show_live(actions: Actions, driver: Driver, warnings: Warnings) -> None:
    """Draws the node in the terminal until cancelled."""
    out = console()
    started = trio.current_time()
    with (
        driver.subscribe() as events,
        Live(console=out, screen=True, auto_refresh=False, vertical_overflow="crop") as live,
    ):
        while True:
            status = await actions.status()
            room = max(
                1, (out.size.height - _LINES_AROUND - len(status["boards"])) // _LINES_AN_ENTRY
            )
            newest = await actions.store.read(newest_entries, room)
            is_lonely = trio.current_time() - started > LONELY_S
            now = datetime.now().astimezone()
            drawn = picture(status, newest, [*warnings.lines], now, is_lonely=is_lonely)
            live.update(drawn, refresh=True)
            await _next_change(events)


def picture(
    status: Record,
    newest: Sequence[Record],
    warnings: Sequence[str],
    now: datetime,
    *,
    is_lonely: bool = False,
) -> RenderableType:
    """The live view.

    :param newest: entries with the name of their board under ``board``, oldest first.
    :param is_lonely: whether a node that has no peers yet has waited for long enough.
    """
    parts: list[RenderableType] = [_headline(status), Text(), _boards(status["boards"])]
    parts += [_bar(board) for board in status["boards"] if board["wanted"]]
    if is_lonely and not any(board["peers"] for board in status["boards"]):
        parts.append(
            Text(
                "nobody found yet: are others on this network? Where multicast is blocked,"
                " start with --peer HOST:PORT",
                style="yellow",
            )
        )
    parts += [Text(plain(line), style="yellow") for line in warnings]
    parts.append(Text())
    for record in newest:
        parts.append(Text.assemble((f"{plain(record['board'])}  ", "green"), heading(record, now)))
        parts.append(Text(f"  {plain(record['text'] or '')}", no_wrap=True, overflow="ellipsis"))
    return Group(*parts)


def _headline(status: Record) -> Text:
    line = Text("p2pboard", style="bold")
    line.append(
        f"  listening on {status['listening']}" if status["listening"] else "  not listening"
    )
    line.append("  mDNS on" if status["mdns"] else "  mDNS off")
    line.append("  Ctrl-C stops", style="dim")
    return line


def _boards(boards: Sequence[Record]) -> Table:
    rows = table("board", ">peers", ">entries", ">outbox", "")
    for board in boards:
        rows.add_row(
            plain(board["name"]),
            str(board["peers"]),
            str(board["entries"]),
            str(board["outbox"]),
            "syncing" if board["syncing"] else ("up to date" if board["peers"] else "alone"),
        )
    return rows


def _bar(board: Record) -> Table:
    total = board["fetched"] + board["wanted"]
    row = Table.grid(padding=(0, 1))
    row.add_row(
        plain(board["name"]),
        ProgressBar(total=total, completed=board["fetched"], width=40),
        f"{board['fetched']} of {total}",
    )
    return row


async def _next_change(events: trio.MemoryReceiveChannel[Any]) -> None:
    """Waits until something happened, but not for long; then swallows the rest of the burst."""
    with trio.move_on_after(_REDRAW_S_MAX):
        await events.receive()
    await trio.sleep(_REDRAW_S)
    with suppress(trio.WouldBlock):
        while True:
            events.receive_nowait()


__all__ = ["Warnings", "lines_between", "picture", "show_live", "write_lines"]
