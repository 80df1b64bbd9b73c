"""What all commands share: the shape of a command, the home, how a call gets done, and errors.

Each command is a :class:`Command`: it has an example in its help, and takes ``--home`` wherever it
stands on the line. :class:`Program` is the only place where errors end: as one line on standard
error and the exit status of the contract (2 for a wrong use, 1 for a failure).
"""

from __future__ import annotations

import json
import os
import sqlite3
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, suppress
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, Never

import click
import trio

from p2pboard import local
from p2pboard.actions import Actions
from p2pboard.cli.passphrase import can_ask, passphrase_for, passphrase_option
from p2pboard.errors import Failure, ProgramError, StoreError, UserError
from p2pboard.home import Home, HomeBusy, default_path
from p2pboard.home_store import BUSY_STEP_S, open_home_store
from p2pboard.reading import READINGS
from p2pboard.store.reader import Reader
from p2pboard.store.root import Locked
from p2pboard.store.schema import open_database, store_error
from protocol.messages import Address

DEBUG_VARIABLE = "P2PBOARD_DEBUG"
#: How long a command waits for another one that writes in the same home at the same time.
BUSY_S_MAX = 10
#: What shells give to a program that Ctrl-C ended (128 and the signal's number).
_INTERRUPTED = 130

# --- The shape of a command -----------------------------------------------------------------------


def _remember_home(context: click.Context, _: click.Parameter, value: Path | None) -> None:
    if value is not None:
        context.find_root().obj = value


def _home_option() -> click.Option:
    return click.Option(
        ["--home"],
        type=click.Path(path_type=Path),
        metavar="DIR",
        expose_value=False,
        is_eager=True,
        callback=_remember_home,
        help="The folder to keep everything in (else P2PBOARD_HOME, else the usual place).",
    )


def _epilog(example: str) -> str:
    lines = "\n".join(f"  {line.strip()}" for line in example.strip().splitlines())
    return f"\b\nExample:\n{lines}"


class Command(click.Command):
    """A command with an example in its help.

    :param example: one or more lines, as they would be typed.
    """

    def __init__(self, *arguments: Any, example: str, **options: Any) -> None:
        options["epilog"] = _epilog(example)
        super().__init__(*arguments, **options)
        self.params += [_home_option(), passphrase_option()]


class Group(click.Group):
    """Commands that belong together; alone, it prints its help."""

    command_class = Command

    def __init__(self, *arguments: Any, example: str, **options: Any) -> None:
        options |= {"epilog": _epilog(example), "no_args_is_help": False}
        super().__init__(*arguments, **options)
        self.params += [_home_option(), passphrase_option()]

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Alone is no wrong use here: the help is the answer."""
        if not args:
            click.echo(ctx.get_help())
            ctx.exit()
        return super().parse_args(ctx, args)


# --- Where errors end -----------------------------------------------------------------------------


class Program(Group):
    """The whole command line."""

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **options: Any,
    ) -> Never:
        """Runs one command and ends the process with its exit status.

        It has one name however it was started, and errors are ours to say, so ``prog_name`` and
        ``standalone_mode`` are not asked for.
        """
        run = partial(super().main, args, "p2pboard", complete_var, standalone_mode=False)
        sys.exit(exit_status_of(partial(run, **options)))


def exit_status_of(run: Callable[[], Any]) -> int:
    """Runs a command; whatever goes wrong is said in one line."""
    try:
        status = run()
    except SystemExit:
        raise
    except BaseException as error:  # noqa: BLE001 - the last line of defence against tracebacks
        return _complain(_most_telling(error))
    return status if isinstance(status, int) else 0


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for part in error.exceptions:
            yield from _leaves(part)
    else:
        yield error


def _most_telling(error: BaseException) -> BaseException:
    """Of all that went wrong at once, what the user can do most about."""
    leaves = list(_leaves(error))
    for kind in (ProgramError, click.ClickException, KeyboardInterrupt, click.Abort, OSError):
        for leaf in leaves:
            if isinstance(leaf, kind):
                return leaf
    return leaves[0]


def _complain(error: BaseException) -> int:
    if isinstance(error, KeyboardInterrupt | click.Abort):
        return _INTERRUPTED
    if isinstance(error, BrokenPipeError):
        _say_nothing_more()
        return 1
    if os.environ.get(DEBUG_VARIABLE) == "1":
        traceback.print_exception(error)
    line, status = _line_and_status(error)
    click.echo(f"p2pboard: {' '.join(line.split())}", err=True)
    return status


def _say_nothing_more() -> None:
    """Whoever read the output is gone ("| head"); the interpreter's last flush must not fail."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _line_and_status(error: BaseException) -> tuple[str, int]:
    if isinstance(error, ProgramError):
        return str(error), error.exit_status
    if isinstance(error, click.UsageError):
        path = error.ctx.command_path if error.ctx else "p2pboard"
        return f"{error.format_message().rstrip('.')}; see '{path} --help'", 2
    if isinstance(error, click.ClickException):
        return error.format_message(), 2
    bug = f"this is a bug: {type(error).__name__}: {error}"
    return f"{bug}; please report it, with what {DEBUG_VARIABLE}=1 shows", 1


# --- Getting things done --------------------------------------------------------------------------


def current_home() -> Home:
    """The home that this command works in."""
    chosen = click.get_current_context().find_root().obj
    return Home((chosen or default_path()).expanduser().absolute())


def perform(name: str, /, **arguments: Any) -> Any:
    """Does one action: by the node where one runs, else here.

    :raises UserError, Failure: what is wrong.
    """
    return perform_somewhere(name, **arguments).result


class Done(NamedTuple):
    """An action that was done.

    :ivar by_node: whether a running node did it; else this command did, and no node knows.
    """

    result: Any
    by_node: bool


def perform_somewhere(name: str, /, **arguments: Any) -> Done:
    """As :func:`perform`, for who wants to know where it was done."""
    return trio.run(_perform, current_home(), name, arguments)


async def _perform(home: Home, name: str, arguments: dict[str, Any]) -> Done:
    deadline = trio.current_time() + BUSY_S_MAX
    while True:
        try:
            return Done(await local.call(home, name, arguments), by_node=True)
        except local.NoNode:
            pass
        try:
            return Done(await _perform_here(home, name, arguments), by_node=False)
        except HomeBusy:
            # Another command writes, or a node is about to start or to stop: both take moments.
            if trio.current_time() > deadline:
                raise
        await trio.sleep(BUSY_STEP_S)


async def _perform_here(home: Home, name: str, arguments: dict[str, Any]) -> Any:
    with home.locked():
        async with open_home_store(home, passphrase_for(home)) as store:
            return await Actions(store).perform(name, arguments)


def ask_node(name: str) -> Any:
    """The answer of the node that runs in this home; None where none runs."""

    async def ask() -> Any:
        try:
            return await local.call(home, name, {})
        except local.NoNode:
            return None

    home = current_home()
    return trio.run(ask)


def query(name: str, /, **arguments: Any) -> Any:
    """The answer of an action that only reads (:data:`p2pboard.reading.READINGS`): straight from
    the store, node or no node. Where a passphrase is set, a running node answers, which has been
    told it; without one, it is asked for.
    """
    home = current_home()
    try:
        return _query(home, name, arguments)
    except Locked:
        return perform(name, **arguments)
    except StoreError:
        # Not there yet, made this moment, or of an older version: whoever may write sees to it.
        perform("boards")
    return _query(home, name, arguments)


def _query(home: Home, name: str, arguments: dict[str, Any]) -> Any:
    try:
        with closing(open_database(home.database, read_only=True)) as connection:
            connection.execute("BEGIN")  # all of it as it is at one moment
            return READINGS[name](Reader(connection), **arguments)
    except sqlite3.Error as error:
        raise store_error(error) from None


# --- Small things ---------------------------------------------------------------------------------


def print_json(record: Any) -> None:
    """One object, one line. Pure ASCII, so that no text of a stranger can steer the terminal, and
    every reader of JSON gets the same whatever its encoding."""
    click.echo(json.dumps(record))


def print_json_lines(records: Sequence[Any]) -> None:
    """One object a line."""
    for record in records:
        print_json(record)


def parse_address(text: str, option: str, port_least: int = 1) -> Address:
    """HOST:PORT, an IPv6 address in brackets.

    :raises UserError: where it is something else.
    """
    host, colon, port = text.rpartition(":")
    is_bracketed = host.startswith("[") and host.endswith("]")
    host = host[1:-1] if is_bracketed else host
    is_port = port.isascii() and port.isdigit() and port_least <= int(port) < 65536
    if not (colon and host and is_port) or (":" in host) != is_bracketed:
        raise UserError(
            f"{option} {text!r} is not HOST:PORT: write 192.168.1.20:4000 or [fe80::1]:4000"
        )
    return Address(host, int(port))


def confirm(question: str, is_sure: bool) -> None:
    """Asks before something that can't be undone.

    :param is_sure: don't ask.
    :raises Failure: where the answer is no.
    :raises UserError: where nobody can be asked.
    """
    if is_sure:
        return
    if not can_ask():
        raise UserError(f"{question} Nobody can be asked here: give --yes")
    if not click.confirm(question, err=True):
        raise Failure("nothing was done")


json_option = click.option("--json", "as_json", is_flag=True, help="For scripts: JSON.")


def check_one_of(choices: dict[str, str | None]) -> tuple[str, str]:
    """The one option that is given, and its value.

    :raises UserError: where none or several are.
    """
    given = [(name, value) for name, value in choices.items() if value is not None]
    if len(given) != 1:
        names = ", ".join(f"--{name}" for name in choices)
        raise UserError(f"give exactly one of {names}")
    return given[0]


__all__ = [
    "Command",
    "Done",
    "Group",
    "Program",
    "ask_node",
    "check_one_of",
    "confirm",
    "current_home",
    "exit_status_of",
    "json_option",
    "parse_address",
    "perform",
    "perform_somewhere",
    "print_json",
    "print_json_lines",
    "query",
]
