"""Where a passphrase comes from: a file for services, else whoever sits at the terminal."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from p2pboard.errors import UserError
from p2pboard.home import Home
from p2pboard.store.root import PASSPHRASE_CHARACTERS_MAX, Locked
from p2pboard.store.schema import is_locked

VARIABLE = "P2PBOARD_PASSPHRASE_FILE"
_CHOSEN = "p2pboard.passphrase_file"
_TYPED = "p2pboard.passphrase"
#: The longest passphrase, each character of four bytes, and a line end.
_FILE_BYTES_MAX = 4 * PASSPHRASE_CHARACTERS_MAX + 2


def passphrase_option() -> click.Option:
    """``--passphrase-file``, which every command takes."""

    def remember(context: click.Context, _: click.Parameter, value: Path | None) -> None:
        if value is not None:
            context.meta[_CHOSEN] = value

    return click.Option(
        ["--passphrase-file"],
        type=click.Path(path_type=Path),
        metavar="FILE",
        expose_value=False,
        is_eager=True,
        callback=remember,
        help=f"Take the passphrase, where one is set, from this file (else {VARIABLE}, else ask).",
    )


def passphrase_for(home: Home) -> str | None:
    """The passphrase of ``home``; None where none is set.

    :raises Locked: where one is set and nobody can be asked.
    """
    return known_passphrase() if is_locked(home.database) else None


def known_passphrase() -> str:
    """The passphrase that is set; raises as :func:`passphrase_for`."""
    meta = click.get_current_context().meta
    if chosen := meta.get(_CHOSEN) or os.environ.get(VARIABLE):
        return read_passphrase(Path(chosen))
    # Once for a command, however often it opens the store.
    if _TYPED not in meta:
        meta[_TYPED] = ask_passphrase("Passphrase")
    return str(meta[_TYPED])


def ask_passphrase(question: str, is_new: bool = False) -> str:
    """What is typed, unseen; a new one is asked for twice.

    :raises Locked: where nobody can be asked.
    """
    if not can_ask():
        raise Locked(
            "a passphrase is needed: run this in a terminal to be asked for it, or name a file that"
            f" holds it with --passphrase-file or {VARIABLE}"
        )
    return str(click.prompt(question, hide_input=True, confirmation_prompt=is_new, err=True))


def can_ask() -> bool:
    """Whether somebody sits at a terminal; the text of a post may be piped in all the same."""
    return sys.stdin.isatty() or sys.stderr.isatty()


def read_passphrase(path: Path) -> str:
    """The passphrase in a file, its line end left out.

    :raises UserError: where it can't be read, or holds something else.
    """
    try:
        with path.open("rb") as file:
            raw = file.read(_FILE_BYTES_MAX + 1)
        if len(raw) > _FILE_BYTES_MAX:
            raise UserError(f"{path} is too long for a passphrase: name another file")
        return raw.decode("utf-8").rstrip("\r\n")
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise UserError(f"can't read the passphrase in {path}: {reason}") from None
    except UnicodeDecodeError:
        raise UserError(f"{path} is not text in UTF-8: save the passphrase as that") from None
