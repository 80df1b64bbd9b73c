"""Posts on a board for whoever writes to its input, and says when.

``python -m tests.lan.poster HOME BOARD``; runs in the namespace of the node. Each line of input is
a JSON string, a text; each is answered by a JSON object: ``asked_s`` and ``answered_s``, wall time,
and the entry's ``id``. A command line for each post would take a second of the processor to start,
and nobody would know when the node was told.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import trio

from p2pboard import local
from p2pboard.home import Home


async def main(home: Path, board: str) -> None:
    """Until the input ends."""
    opened = Home(home)
    print(json.dumps("ready"), flush=True)
    while line := await trio.to_thread.run_sync(sys.stdin.readline):
        asked_s = time.time()
        entry = await local.call(opened, "post", {"board": board, "text": json.loads(line)})
        said = {"asked_s": asked_s, "answered_s": time.time(), "id": entry["id"]}
        print(json.dumps(said), flush=True)


if __name__ == "__main__":
    trio.run(main, Path(sys.argv[1]), sys.argv[2])
