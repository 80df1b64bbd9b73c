"""The node: run, peers, status."""

from __future__ import annotations

import logging
import signal
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import click
import trio

from p2pboard import local
from p2pboard.actions import Actions
from p2pboard.cli.passphrase import passphrase_for
from p2pboard.cli.shared import (
    Command,
    ask_node,
    current_home,
    json_option,
    parse_address,
    perform,
    print_json,
    print_json_lines,
    query,
)
from p2pboard.cli.show import console, plain, table
from p2pboard.home import Home
from p2pboard.home_store import open_home_store, patiently_locked, throw_keys_away
from p2pboard.live import Warnings, show_live, write_lines
from p2pboard.store.worker import StoreWorker
from protocol.messages import Address

#: Another command may be writing at the moment when a node starts; that takes less than this.
_BUSY_S_MAX = 1.0


@dataclass(frozen=True, slots=True)
class Options:
    """How to run a node.

    :ivar listen: None for a free port on all interfaces.
    :ivar peers: HOST:PORT as typed, so that names are looked up when the node starts.
    """

    listen: Address | None
    peers: tuple[Address, ...]
    is_mdns: bool
    is_verbose: bool


@click.command(
    cls=Command,
    example="""
    p2pboard run
    p2pboard run --listen 0.0.0.0:4000 --peer 192.168.1.20:4000 --no-mdns""",
)
@click.option("--listen", metavar="HOST:PORT", help="Where to listen (else a free port, anywhere).")
@click.option(
    "--peer", "peers", multiple=True, metavar="HOST:PORT", help="A node to link with; repeatable."
)
@click.option("--no-mdns", is_flag=True, help="Neither look for others on the LAN nor be found.")
@click.option("--verbose", is_flag=True, help="Name the addresses of peers in the lines.")
def run(listen: str | None, peers: tuple[str, ...], no_mdns: bool, verbose: bool) -> None:
    """Run the node, until Ctrl-C.

    It finds others, takes in what is new and gets out what you wrote. In a terminal it shows a live
    view, elsewhere it prints lines.
    """
    options = Options(
        listen=None if listen is None else parse_address(listen, "--listen", port_least=0),
        peers=tuple(parse_address(peer, "--peer") for peer in peers),
        is_mdns=not no_mdns,
        is_verbose=verbose,
    )
    trio.run(_run, current_home(), options)


async def _run(home: Home, options: Options) -> None:
    async with patiently_locked(home, _BUSY_S_MAX):
        # Asked before signals are ours: Ctrl-C ends the question.
        await _run_locked(home, options, passphrase_for(home))


async def _run_locked(home: Home, options: Options, passphrase: str | None) -> None:
    is_live = sys.stdout.isatty()
    working = trio.CancelScope()
    with _warnings(None if is_live else partial(click.echo, err=True)) as warnings:
        async with trio.open_nursery() as nursery:
            await nursery.start(_stop_at_signal, working, nursery.cancel_scope)
            async with (
                open_home_store(home, passphrase) as store,
                _open_node(store, options, warnings) as driver,
            ):
                # Left in order and not cancelled, the driver says goodbye to its peers.
                with working:
                    actions = Actions(store, driver, stop=nursery.cancel_scope.cancel)
                    await _serve(home, actions, driver, options, warnings, is_live)
            nursery.cancel_scope.cancel()


async def _stop_at_signal(
    working: trio.CancelScope,
    everything: trio.CancelScope,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """The first signal ends the work in order, a second one does not wait for that."""
    with trio.open_signal_receiver(*_stopping_signals()) as signals:
        task_status.started()
        async for _ in signals:
            if working.cancel_called:
                everything.cancel()
            working.cancel()


def _stopping_signals() -> list[signal.Signals]:
    stopping = [signal.SIGINT, signal.SIGTERM]
    # A terminal that closes ends its node, unless nohup asked for the contrary.
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
        stopping.append(signal.SIGHUP)
    return stopping


@asynccontextmanager
async def _open_node(
    store: StoreWorker, options: Options, warnings: Warnings
) -> AsyncIterator[Any]:
    """The one place where the command line touches the driver."""
    from p2pboard.driver import (
        open_driver,
    )  # pulls in zeroconf, which other commands can do without

    async with open_driver(
        store, listen=options.listen, peers=options.peers, mdns=options.is_mdns, log=warnings.say
    ) as driver:
        yield driver


async def _serve(
    home: Home, actions: Actions, driver: Any, options: Options, warnings: Warnings, is_live: bool
) -> None:
    async with trio.open_nursery() as nursery:
        await nursery.start(local.serve, home, actions)
        nursery.start_soon(throw_keys_away, actions.store, warnings.say)
        if is_live:
            await show_live(actions, driver, warnings)
        else:
            await write_lines(actions, driver, _say, options.is_verbose)


def _say(line: str) -> None:
    click.echo(line)
    sys.stdout.flush()


@contextmanager
def _warnings(say: Callable[[str], None] | None) -> Iterator[Warnings]:
    """Warnings of all parts go to one place, so that none draws across the live view."""
    warnings, root = Warnings(say), logging.getLogger()
    logging.getLogger("zeroconf").setLevel(logging.ERROR)
    root.addHandler(warnings)
    try:
        yield warnings
    finally:
        root.removeHandler(warnings)


@click.command(cls=Command, example="p2pboard peers")
@json_option
def peers(as_json: bool) -> None:
    """List the peers of the running node."""
    records = perform("peers")
    if as_json:
        print_json_lines(records)
    elif records:
        _print_peers(records)
    else:
        click.echo("no peers yet: is another node on this network? --peer HOST:PORT reaches one")


def _print_peers(records: list[dict[str, Any]]) -> None:
    rows = table("board", "address", ">for", "")
    for record in records:
        rows.add_row(
            plain(record["board"]),
            plain(record["address"]),
            _duration(record["since_s"]),
            "dialled us" if record["inbound"] else "dialled",
        )
    console().print(rows)


def _duration(seconds: int) -> str:
    if seconds < 60:
        return f"{seconds} s"
    return f"{seconds // 60} min" if seconds < 3600 else f"{seconds // 3600} h"


@click.command(cls=Command, example="p2pboard status")
@json_option
def status(as_json: bool) -> None:
    """Say how the node is: running or not, its boards, its outbox.

    "could write" is how many nodes, this one included, could have written what comes out now. "test
    cells" are packets to itself by way of others: where few come home, somebody drops them, or a
    firewall lets no UDP in, and posts take long to get out.
    """
    record = ask_node("status") or query("status")
    if as_json:
        print_json(record)
    else:
        _print_status(record)


def _loops(board: dict[str, Any]) -> str:
    sent = board.get("loops_sent", 0)
    return f"{board['loops_home']} of {sent} home" if sent else ""


def _print_status(record: dict[str, Any]) -> None:
    if record["running"]:
        click.echo(f"running, listening on {record['listening'] or 'nothing'}")
        click.echo("finding others by mDNS" if record["mdns"] else "not using mDNS")
    else:
        click.echo("not running: 'p2pboard run' starts the node")
    rows = table("board", ">entries", ">outbox", ">peers", ">could write", ">test cells", "")
    for board in record["boards"]:
        rows.add_row(
            plain(board["name"]),
            str(board["entries"]),
            str(board["outbox"]),
            str(board.get("peers", 0)),
            str(board.get("crowd", "")),
            _loops(board),
            "syncing" if board.get("syncing") else "",
        )
    console().print(rows)
