"""A node in a process of its own, for benchmarks between processes.

``python -m bench.node HOME --listen PORT`` serves until its input ends;
``python -m bench.node HOME --peer PORT --until COUNT`` ends once it has so many entries.
Each prints JSON lines: what happened, and when (monotonic seconds, which processes of one machine
share).
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import time
from pathlib import Path

import trio

from bench.boards import BOARD
from p2pboard.driver import Driver, open_driver
from p2pboard.store.worker import open_store
from protocol.effects import EntriesArrived, LinkUp
from protocol.messages import Address


def say(what: str, **more: object) -> None:
    """One line."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    line = {
        "what": what,
        "at_s": time.monotonic(),
        "cpu_s": usage.ru_utime + usage.ru_stime,
        "rss_bytes": peak_rss_bytes(),
        **more,
    }
    print(json.dumps(line), flush=True)


def peak_rss_bytes() -> int:
    """The most memory that this process had. Not getrusage's figure where there is a better one:
    that counts what the parent had when it forked."""
    status = Path("/proc/self/status")
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    (line,) = (line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


async def until(driver: Driver, count: int) -> None:
    """Report the first link and the last entry."""
    arrived = 0
    with driver.subscribe() as events:
        async for event in events:
            if isinstance(event, LinkUp):
                say("linked")
            elif isinstance(event, EntriesArrived):
                arrived += len(event.entries)
                if arrived >= count:
                    say("done", entries=arrived)
                    return


async def main() -> None:
    """Run as told."""
    parser = argparse.ArgumentParser()
    parser.add_argument("home", type=Path)
    parser.add_argument("--listen", type=int, default=0)
    parser.add_argument("--peer", type=int)
    parser.add_argument("--until", type=int)
    options = parser.parse_args()
    peers = [Address("127.0.0.1", options.peer)] if options.peer else []
    async with (
        open_store(options.home / "board.sqlite") as store,
        open_driver(store, Address("127.0.0.1", options.listen), peers, mdns=False) as driver,
    ):
        say("listening", address=driver.status()["listening"])
        if options.until:
            await until(driver, options.until)
        else:
            await trio.to_thread.run_sync(sys.stdin.read, abandon_on_cancel=True)
        say("ending", board=BOARD.id.hex()[:8])


if __name__ == "__main__":
    trio.run(main)
