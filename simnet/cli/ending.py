"""How a command ends: its exit status, and one line about what was wrong."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, Never

import click

from simnet.compare import ResultError
from simnet.scenario import ScenarioError
from simnet.trace import TraceError

PROGRAM = "python -m simnet"
DEBUG_VARIABLE = "SIMNET_DEBUG"
#: What shells give to a program that Ctrl-C ended (128 and the signal's number).
_INTERRUPTED = 130
_USER_ERRORS = (ScenarioError, TraceError, ResultError)


class Program(click.Group):
    """The whole command line; the only place where errors end."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Alone is no wrong use: the help is the answer."""
        if not args:
            click.echo(ctx.get_help())
            ctx.exit()
        return super().parse_args(ctx, args)

    def main(self, args: Sequence[str] | None = None, *_: Any, **options: Any) -> Never:
        """Runs one command and ends the process with its exit status."""
        options |= {"standalone_mode": False, "prog_name": PROGRAM}
        sys.exit(_exit_status_of(partial(super().main, args, **options)))


def _exit_status_of(run: Callable[[], Any]) -> int:
    try:
        status = run()
    except SystemExit:
        raise
    except BaseException as error:  # noqa: BLE001 - the last line of defence against tracebacks
        return _complain(error)
    return status if isinstance(status, int) else 0


def _complain(error: BaseException) -> int:
    if isinstance(error, KeyboardInterrupt | click.Abort):
        return _INTERRUPTED
    if isinstance(error, BrokenPipeError):
        with suppress(OSError, ValueError):  # the interpreter's last flush must not fail
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    if os.environ.get(DEBUG_VARIABLE) == "1":
        traceback.print_exception(error)
    line, status = _line_and_status(error)
    click.echo(f"simnet: {' '.join(line.split())}", err=True)
    return status


def _line_and_status(error: BaseException) -> tuple[str, int]:
    if isinstance(error, _USER_ERRORS):
        return str(error), 2
    if isinstance(error, click.UsageError):
        path = error.ctx.command_path if error.ctx else PROGRAM
        return f"{error.format_message().rstrip('.')}; see '{path} --help'", 2
    if isinstance(error, click.ClickException):
        return error.format_message(), 2
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}", 2
    bug = f"this is a bug: {type(error).__name__}: {error}"
    return f"{bug}; please report it, with what {DEBUG_VARIABLE}=1 shows", 1
