"""A busy node is killed again and again; what it acknowledged, or told others of, stays."""

from __future__ import annotations

import random
import sqlite3
import subprocess
import sys
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
import trio

from p2pboard import local
from p2pboard.errors import Failure
from p2pboard.home import Home

ROUNDS = 30
BOARD = "crash"
STARTED_SECONDS_MAX = 30
CONVERGED_SECONDS_MAX = 150
#: Between two posts of one node: cells leave at the board's pace, some two a second at the most.
PAUSE_SECONDS = 0.2

pytestmark = pytest.mark.timeout(280)


def command(home: Path, *words: str) -> list[str]:
    return [sys.executable, "-m", "p2pboard", "--home", str(home), *words]


def run(home: Path, *words: str) -> str:
    return subprocess.run(
        command(home, *words), check=True, capture_output=True, text=True, timeout=30
    ).stdout


class RunningNode:
    """A real node in a process of its own, reachable on loopback only."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.process: subprocess.Popen[bytes] | None = None

    async def start(self, *words: str) -> str:
        """Start; where it listens."""
        self.spawn("--no-mdns", "--listen", "127.0.0.1:0", *words)
        with trio.fail_after(STARTED_SECONDS_MAX):
            while True:
                with suppress(local.NoNode, Failure):
                    status = await local.call(Home(self.home), "status", {})
                    if status["running"]:
                        return str(status["listening"])
                await trio.sleep(0.02)

    def spawn(self, *words: str) -> None:
        self.process = subprocess.Popen(
            command(self.home, "run", *words),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def kill(self) -> None:
        """As if the power went, but for the disk's own cache."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(10)

    async def post(self, text: str) -> str:
        """The id of a post that the node has acknowledged."""
        arguments = {"board": BOARD, "text": text}
        return str((await local.call(Home(self.home), "post", arguments))["id"])


async def post_until_killed(node: RunningNode, acknowledged: list[str]) -> None:
    with suppress(local.NoNode, Failure, OSError):
        while True:
            acknowledged.append(await node.post(f"post {len(acknowledged)}"))
            await trio.sleep(PAUSE_SECONDS)


def stored_ids(home: Path) -> set[str]:
    with closing(sqlite3.connect(f"file:{Home(home).database}?mode=ro", uri=True)) as database:
        return {row[0].hex() for row in database.execute("SELECT id FROM entries")}


def check_integrity(home: Path) -> None:
    with closing(sqlite3.connect(Home(home).database)) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


async def test_what_a_killed_node_acknowledged_is_kept_and_sync_goes_on(tmp_path: Path) -> None:
    seed = random.randrange(2**32)
    chance = random.Random(seed)
    print(f"seed {seed}")
    busy, peer = RunningNode(tmp_path / "busy"), RunningNode(tmp_path / "peer")
    link = run(busy.home, "create", BOARD, "--work-bits", "0", "--pace", "brisk").split()[-1]
    run(peer.home, "join", link)
    address = await peer.start()
    acknowledged: dict[str, list[str]] = {"busy": [], "peer": []}
    try:
        for _ in range(ROUNDS):
            await busy.start("--peer", address)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(post_until_killed, busy, acknowledged["busy"])
                nursery.start_soon(post_until_killed, peer, acknowledged["peer"])
                await trio.sleep(chance.uniform(0.02, 0.6))
                busy.kill()
                nursery.cancel_scope.cancel()
        await busy.start("--peer", address)
        await converge([busy, peer], {*acknowledged["busy"], *acknowledged["peer"]})
    finally:
        for node in (busy, peer):
            if node.process is not None:
                node.kill()
    for node in (busy, peer):
        check_integrity(node.home)
    assert len(acknowledged["busy"]) > ROUNDS / 2, "the node was hardly busy"


async def converge(nodes: list[RunningNode], expected: set[str]) -> None:
    missing: Any = None
    with trio.move_on_after(CONVERGED_SECONDS_MAX):
        while missing is None or any(missing):
            stored = [stored_ids(node.home) for node in nodes]
            # What either has, it may have told the other of, so it counts as much.
            missing = [set.union(expected, *stored) - ids for ids in stored]
            await trio.sleep(0.1)
        return
    pytest.fail(f"lost: {[len(lost) for lost in missing]} of {len(expected)}")
