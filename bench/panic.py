"""Throwing away a full board, and wrapping all its secrets anew."""

from __future__ import annotations

import time
from pathlib import Path
from tempfile import TemporaryDirectory

import trio

from bench.boards import fill, make_entries
from bench.record import Record
from p2pboard.home import Home
from p2pboard.panic import throw_all_away
from p2pboard.store.relock import relock

_PASSPHRASE = "tea without a kettle"


def run(entries: int) -> list[Record]:
    """How long it takes on a board of so many entries, passphrase and all."""
    with TemporaryDirectory() as folder:
        home = Home(Path(folder) / "home")
        trio.run(fill, home.path, make_entries(entries))
        for file in home.path.iterdir():  # board.sqlite and its key
            file.rename(home.path / file.name.replace(".sqlite", ".sqlite3"))
        begun = time.perf_counter()
        relock(home.database, None, _PASSPHRASE)
        locked = time.perf_counter()
        trio.run(throw_all_away, home)
        ended = time.perf_counter()
        assert not home.path.exists()
    return [
        Record(f"panic/{entries} entries", ended - locked, "s", "≤ 1"),
        Record(f"lock/{entries} entries", locked - begun, "s"),
    ]
