"""Entries: post, read, retract, forget."""

from __future__ import annotations

import sys
from datetime import datetime
from typing import Any

import click
import trio

from p2pboard import local
from p2pboard.cli.shared import (
    Command,
    Done,
    ask_node,
    current_home,
    json_option,
    perform,
    perform_somewhere,
    print_json,
    query,
)
from p2pboard.cli.show import console, plain, print_entry, print_threads
from p2pboard.cli.warnings import decide, has_terminal
from p2pboard.errors import Failure, UserError

#: So many entries a person reads at once; --limit asks for more.
LIMIT_DEFAULT = 100
#: Longer than any board allows; what is longer need not be read to its end to be refused.
_INPUT_BYTES_MAX = 1024 * 1024


@click.command(
    cls=Command,
    example="""
    p2pboard post lobby "Is the coffee free?"
    p2pboard post lobby "It is." --reply 3f9a
    p2pboard post lobby - < letter.txt""",
)
@click.argument("board")
@click.argument("text", required=False)
@click.option("--reply", metavar="ID", help="Answer this entry, in its thread.")
@click.option("--fresh", is_flag=True, help="Under a new persona, even in a thread with your own.")
@click.option("--anyway", is_flag=True, help="Post in spite of warnings, and now.")
@click.option("--wait", is_flag=True, help="Let it leave only once enough nodes are there.")
@json_option
def post(
    board: str,
    text: str | None,
    reply: str | None,
    fresh: bool,
    anyway: bool,
    wait: bool,
    as_json: bool,
) -> None:
    """Write on a board.

    Without TEXT, or with -, the text is read from standard input.

    First it is checked for what could tell who wrote it: names, addresses, numbers, links, words
    that you have posted before; and whether enough nodes are there that could have written it
    ('p2pboard crowd'). On a terminal you are shown what was found, and asked; elsewhere such a text
    is not posted unless --anyway is given. With --wait it is kept until enough nodes are there, as
    is what you write while no node runs here.

    With --json, "warnings" is there if there are any, "crowd" says how many nodes could have
    written it and, where your persona goes on, among how many it is then.

    Each thread that you write in knows you by one throwaway persona, which answers go on with. The
    entry waits in the outbox until it has come back from other nodes.
    """
    if anyway and wait:
        raise UserError("--anyway posts now and --wait later: give one of them")
    wish: dict[str, Any] = {"board": board, "text": _text_of(text), "reply": reply, "fresh": fresh}
    review = perform("review", **wish)
    crowd = review["crowd"]
    # Where nobody else is there it waits anyway; it had better not go to the first one who comes.
    is_kept = wait or (crowd["nodes"] in (None, 1) and not anyway)
    advice = None if crowd["enough"] or is_kept else crowd["advice"]
    if not anyway and (review["warnings"] or advice):
        _decide(wish["text"], review, advice, as_json)
    least = crowd["least"] if is_kept else 0
    done = _do_work("post", **wish, crowd_least=least)
    if as_json:
        warnings = {"warnings": review["warnings"]} if review["warnings"] else {}
        print_json(done.result | {"crowd": crowd} | warnings)
    else:
        click.echo(f"{done.result['id']} {_what_next(done, board, least, crowd['nodes'])}")


def _decide(text: str, review: dict[str, Any], advice: str | None, as_json: bool) -> None:
    if as_json:
        print_json(review)
    decide(text, review["warnings"], advice, can_ask=not as_json and has_terminal())


def _do_work(name: str, **arguments: Any) -> Done:
    with console(stderr=True).status("doing the work that the board asks for"):
        return perform_somewhere(name, **arguments)


def _what_next(done: Done, board: str, least: int = 0, nodes: int | None = None) -> str:
    """What becomes of an own entry after it was written.

    :param least: it waits until so many nodes are there; :param nodes: so many are.
    """
    status = ask_node("status") if done.by_node else None
    company = f" once {least} nodes are there (--anyway: with fewer)" if least > 1 else ""
    if status is None:
        return f"waits in the outbox: 'p2pboard run' sends it out{company}"
    if company and (nodes or 0) < least:
        return f"waits in the outbox: the node sends it out{company}"
    board_id = query("board", board=board)["board_id"]
    if not any(on["peers"] for on in status["boards"] if on["board_id"] == board_id):
        return "waits in the outbox: the node sends it out as soon as it has a peer there"
    among = f", written by one of {nodes}" if nodes else ""
    return f"goes out among the cells of everybody{among}: it is shown once it has come back"


@click.command(
    cls=Command,
    example="""
    p2pboard crowd
    p2pboard crowd --least 8""",
)
@click.option("--least", type=int, metavar="N", help="Ask before posting where fewer are there.")
@json_option
def crowd(least: int | None, as_json: bool) -> None:
    """Say how many nodes could have written what comes out now, board by board.

    Yours is one of them. A board of two has no secrets between the two; the more there are, the
    less can be guessed. Posting asks first where fewer than N (4 if never set) are there.
    """
    record = ask_node("crowd") if least is None else perform("crowd", least=least)
    record = record or query("crowd")
    if as_json:
        print_json(record)
        return
    click.echo(f"posting asks first where fewer than {record['least']} nodes are there")
    if not record["running"]:
        click.echo("no node runs here, and only a node can tell how many are there now")
    for on in record["boards"]:
        click.echo(f"{plain(on['name'])}: {on['crowd']}, yours included")


def _text_of(text: str | None) -> str:
    if text is None or text == "-":
        text = _standard_input()
    return text.rstrip("\r\n")


def _standard_input() -> str:
    if sys.stdin.isatty():
        click.echo("Write the text, and end it with Ctrl-D on a line of its own.", err=True)
    raw = sys.stdin.buffer.read(_INPUT_BYTES_MAX + 1)
    if len(raw) > _INPUT_BYTES_MAX:
        raise UserError("the text is longer than any board allows: shorten it, or split it")
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        raise UserError("the text is not valid UTF-8: save it as UTF-8 first") from None


@click.command(
    cls=Command,
    example="""
    p2pboard read lobby
    p2pboard read lobby --thread 3f9a
    p2pboard read lobby --follow --json""",
)
@click.argument("board")
@click.option("--thread", metavar="ID", help="Only the thread that this entry is in.")
@click.option("--follow", is_flag=True, help="Go on with what comes, until Ctrl-C.")
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    metavar="N",
    help=f"Only the newest N entries (for people {LIMIT_DEFAULT} if not given).",
)
@json_option
def read(board: str, thread: str | None, follow: bool, limit: int | None, as_json: bool) -> None:
    """Read a board, or one thread of it.

    With --json each line is an object with id, thread, parent, persona, name, op, seq, time, kind,
    text, state ("shown", "hidden", "forgotten", "retracted" or "outbox") and crowd (of a persona of
    yours: among how many nodes it was each time that it wrote). With --follow, an
    entry whose state changes is told again; that needs a node that runs.
    """
    if limit is None and not as_json:
        limit = LIMIT_DEFAULT
    if follow:
        _follow({"board": board, "thread": thread, "limit": limit}, as_json)
        return
    records = query("read", board=board, thread=thread, limit=limit)
    if as_json:
        for record in records:
            print_json({key: value for key, value in record.items() if key != "why"})
    else:
        _print_for_people(records, board, limit)


def _print_for_people(records: list[dict[str, Any]], board: str, limit: int | None) -> None:
    if not records:
        click.echo(f'nothing yet: p2pboard post {board} "..." begins a thread')
        return
    out, now = console(), datetime.now().astimezone()
    print_threads(out, records, now)
    if len(records) == limit:
        click.echo(f"(the newest {limit} entries; --limit asks for more)")


def _follow(arguments: dict[str, Any], as_json: bool) -> None:
    out = console()

    def receive(record: dict[str, Any]) -> None:
        if as_json:
            print_json(record)
        elif record["kind"] == "post":
            print_entry(out, record, datetime.now().astimezone(), int(record["parent"] is not None))
        sys.stdout.flush()

    try:
        trio.run(local.follow, current_home(), arguments, receive)
    except local.NoNode:
        raise Failure(
            "no node runs here, so nothing can come: start one with 'p2pboard run'"
        ) from None


@click.command(cls=Command, example="p2pboard retract lobby 3f9a")
@click.argument("board")
@click.argument("entry", metavar="ID")
def retract(board: str, entry: str) -> None:
    """Take back an entry that you wrote.

    Its text is not shown here any more, and is deleted by all nodes, this one too, as the
    retraction reaches them. Who has read it has read it. What still waits in the outbox is taken
    out of it. It takes the key of the persona that wrote it, which is kept only for some time (see
    'p2pboard persona list').
    """
    done = _do_work("retract", board=board, entry=entry)
    click.echo(f"{done.result['id']} is retracted; the retraction {_what_next(done, board)}")


@click.command(cls=Command, example="p2pboard forget lobby 3f9a")
@click.argument("board")
@click.argument("entry", metavar="ID")
def forget(board: str, entry: str) -> None:
    """Delete what an entry says from this node, for good.

    The others keep theirs; this node never takes it back. An entry of yours that still waits in
    the outbox is not sent.
    """
    record = perform("forget", board=board, entry=entry)
    click.echo(f"{record['id']} is forgotten on this node")
