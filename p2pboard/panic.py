"""Throwing everything away at once.

The order is what matters, because it can be cut off at any point, by a dead battery or by whoever
took the laptop:

1. The half of the root in the key file is overwritten, in place, and that made durable. Nothing
   sealed can be opened from here on, whatever else is left: texts, keys of personas, the outbox,
   boards with their secrets, rules, addresses. It takes one write of 32 bytes, needs no passphrase
   and no lock, and no running node can be in its way.
2. The database and its log are deleted. They still hold the headers of entries, in clear.
3. A running node is told to stop: it has the root in memory, and the deleted files open.
4. With its lock in hand, whatever is there again is deleted (Windows keeps open files), then the
   key file, then the rest and the folder.

Cut off after the first step, the overwritten key file tells whoever opens the home next to finish
(:func:`p2pboard.home_store.open_home_store`).
"""

from __future__ import annotations

from contextlib import suppress

import trio

from p2pboard import local
from p2pboard.errors import Failure, ProgramError
from p2pboard.home import Home, HomeBusy
from p2pboard.home_store import patiently_locked
from p2pboard.store.root import key_file_of, wipe_key_file

#: A node that is cancelled ends within some milliseconds; one that hangs does not end at all.
STOP_S_MAX = 3.0


async def throw_all_away(home: Home) -> None:
    """Throw away everything in ``home``, and stop the node that runs there.

    :raises Failure: where something is left to do for a person.
    """
    try:
        wipe_key_file(home.database)
    except OSError as error:
        raise Failure(
            f"can't overwrite {key_file_of(home.database)}: {error.strerror or error}: delete the"
            " folder by other means"
        ) from None
    with suppress(Failure):
        home.delete_stored()  # what fails now is tried again when the node has stopped
    await _ask_to_stop(home)
    try:
        async with patiently_locked(home, STOP_S_MAX):
            home.delete_stored()
            home.delete_rest()
    except HomeBusy:
        raise Failure(
            "nothing here can be read any more, but a node still runs and knows it: end its"
            " process, then run 'p2pboard panic' again"
        ) from None


async def _ask_to_stop(home: Home) -> None:
    # Whether it stops is seen by the lock; its answer may be cut off by that.
    with trio.move_on_after(STOP_S_MAX), suppress(local.NoNode, ProgramError):
        await local.call(home, "stop", {})
