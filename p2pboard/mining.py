"""The search for a nonce, off the event loop: for entries that are written and for the core."""

from __future__ import annotations

import trio

from protocol.work import Work

#: A slice of the work loop: some tens of milliseconds, so that cancelling is prompt.
TRIES_A_SLICE = 50_000


async def find_nonce(work: Work, start: int) -> bytes:
    """A nonce that has the work, searched from ``start`` on (0..2**64-1, random)."""
    while True:
        nonce = await trio.to_thread.run_sync(work.search, start, TRIES_A_SLICE)
        if nonce is not None:
            return nonce
        start += TRIES_A_SLICE
