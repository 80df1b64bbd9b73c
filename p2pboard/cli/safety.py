"""What the laptop should not tell: a passphrase, and throwing everything away."""

from __future__ import annotations

from pathlib import Path

import click
import trio

from p2pboard.cli.passphrase import (
    ask_passphrase,
    known_passphrase,
    read_passphrase,
)
from p2pboard.cli.shared import Command, confirm, current_home
from p2pboard.errors import UserError
from p2pboard.home import Home
from p2pboard.home_store import open_home_store, patiently_locked
from p2pboard.panic import throw_all_away
from p2pboard.store.relock import relock
from p2pboard.store.root import check_passphrase
from p2pboard.store.schema import is_locked

#: Another command may be writing at that moment; a node goes on for longer, and has to be stopped.
_BUSY_S_MAX = 1.0


@click.command(
    cls=Command,
    example="""
    p2pboard lock
    p2pboard lock --change
    p2pboard lock --remove --passphrase-file old.txt""",
)
@click.option("--change", is_flag=True, help="Set another passphrase in place of the one there is.")
@click.option("--remove", is_flag=True, help="Open without a passphrase from now on.")
@click.option(
    "--new-passphrase-file",
    "new_file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Take the new passphrase from this file (else ask for it).",
)
def lock(change: bool, remove: bool, new_file: Path | None) -> None:
    """Set, change or remove the passphrase of this home.

    Without it, nobody who has the disk can read texts, boards, your own personas, the outbox, rules
    and addresses; they still see how many entries there are, and when and by which personas they
    were written, but not what they say or which are yours. The node asks for it when it starts,
    other commands only where no node runs. If you forget it, nobody can open this home for you.

    No node may run here meanwhile.
    """
    if change and remove:
        raise UserError("give one of --change and --remove")
    trio.run(_lock, current_home(), change, remove, new_file)


async def _lock(home: Home, change: bool, remove: bool, new_file: Path | None) -> None:
    async with patiently_locked(home, _BUSY_S_MAX):
        _check_there_is_one(home, change or remove)
        if not change and not remove:
            async with open_home_store(home):
                pass  # there may be nothing yet
        old = known_passphrase() if change or remove else None
        new = None if remove else _new_passphrase(new_file)
        relock(home.database, old, new)
    click.echo("the passphrase is removed" if remove else "the passphrase is set: keep it in mind")


def _check_there_is_one(home: Home, is_expected: bool) -> None:
    if is_locked(home.database) and not is_expected:
        raise UserError("a passphrase is set already: give --change or --remove")
    if is_expected and not is_locked(home.database):
        raise UserError("no passphrase is set: 'p2pboard lock' sets one")


def _new_passphrase(file: Path | None) -> str:
    new = ask_passphrase("New passphrase", is_new=True) if file is None else read_passphrase(file)
    check_passphrase(new)
    return new


@click.command(cls=Command, example="p2pboard panic --yes")
@click.option("--yes", is_flag=True, help="Don't ask.")
def panic(yes: bool) -> None:
    """Throw away everything here, at once and for good, and stop the node.

    First the key to all of it is overwritten, which takes a moment: if the laptop is switched off
    right after that, no text, key, board or address that is left can be read. Then the files are
    deleted. What others have of your entries stays with them.
    """
    home = current_home()
    confirm(f"Throw away everything in {home.path}, for good?", yes)
    trio.run(throw_all_away, home)
    click.echo("everything is thrown away")
