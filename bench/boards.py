"""Boards full of entries, made quickly and the same each time."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from random import Random

import trio

from p2pboard.store.worker import open_store
from p2pboard.store.writer import Writer
from protocol.board import Board, Descriptor, encode_descriptor
from protocol.entry import Entry
from protocol.persona import Persona, draft_post

BOARD = Board.of(Descriptor("bench", secret=bytes(32), work_bits=0))
TEXT_CHARACTERS = 300
_BATCH = 500
_NO_WORK = bytes(8)


def make_entries(count: int, each: int = 1) -> Iterator[Entry]:
    """``count`` posts of 300 characters, ``each`` by one persona in its own thread, over the last
    ten days."""
    random = Random(count)
    now_s = int(time.time())
    for number in range(count // each):
        persona = Persona.fresh(random.randbytes)
        parent = None
        wall_s = now_s - random.randrange(10 * 86400)
        for seq in range(each):
            text = f"{number}/{seq} ".ljust(TEXT_CHARACTERS, "x")
            draft = draft_post(BOARD, persona, text, parent, wall_s, random.randbytes)
            entry = draft.sign(persona, _NO_WORK)
            persona, parent = persona.after(entry), entry.id
            yield entry


async def fill(home: Path, entries: Iterator[Entry]) -> int:
    """Fill the folder of a node with these entries; the sum of their sizes in bytes."""
    size = 0
    async with open_store(home / "board.sqlite") as store:
        await store.write(Writer.add_board, encode_descriptor(BOARD.descriptor), BOARD.id)
        batch: list[Entry] = []
        for entry in entries:
            batch.append(entry)
            size += len(entry.raw) + len(entry.signature) + len(entry.payload or b"")
            if len(batch) == _BATCH:
                await store.write(Writer.put_entries, BOARD.id, batch)
                batch = []
                await trio.lowlevel.checkpoint()
        if batch:
            await store.write(Writer.put_entries, BOARD.id, batch)
    return size
