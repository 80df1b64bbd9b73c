"""A node that has nothing gets everything from one that has it: two processes over loopback."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import trio

from bench.boards import fill, make_entries
from bench.record import Record
from protocol.entry import Entry, check_signature

SECONDS_MAX = 600
_VERIFIED_AT_MOST = 20_000


def run(entries: int = 20_000, each: int = 1) -> list[Record]:
    """The rate of a cold sync, and its ratio to what one thread verifies."""
    made = list(make_entries(entries, each))
    with tempfile.TemporaryDirectory(prefix="p2pboard-bench-") as folder:
        full, empty = Path(folder, "full"), Path(folder, "empty")
        full.mkdir()
        empty.mkdir()
        stored_bytes = trio.run(fill, full, iter(made))
        trio.run(fill, empty, iter(()))
        verified_per_s = verify_rate(made[:_VERIFIED_AT_MOST])
        server, client = sync(full, empty, len(made))
    seconds = client["done"]["at_s"] - client["linked"]["at_s"]
    rate = len(made) / seconds
    return [
        Record("cold-sync/ratio", rate / verified_per_s, "× verify, one thread", "≥ 0.5"),
        Record("cold-sync/rate", rate, "entries/s"),
        Record("cold-sync/verify", verified_per_s, "signatures/s, one thread"),
        Record("cold-sync/seconds", seconds, "s"),
        Record("cold-sync/entry", stored_bytes / len(made), "bytes stored"),
        Record("cold-sync/memory-receiving", client["done"]["rss_bytes"] / 2**20, "MiB peak"),
        Record("cold-sync/memory-sending", server["ending"]["rss_bytes"] / 2**20, "MiB peak"),
        Record("cold-sync/cpu-receiving", client["done"]["cpu_s"], "s"),
        Record("cold-sync/cpu-sending", server["ending"]["cpu_s"], "s"),
    ]


def verify_rate(entries: list[Entry]) -> float:
    """Signatures a second that PyNaCl checks on one thread, here and now."""
    begun = time.perf_counter()
    for entry in entries:
        check_signature(entry)
    return len(entries) / (time.perf_counter() - begun)


def sync(full: Path, empty: Path, count: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """Run both nodes; what each said, by what it was about."""
    node = (sys.executable, "-m", "bench.node")
    server = subprocess.Popen(
        (*node, str(full)), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert server.stdout is not None
    listening = json.loads(server.stdout.readline())
    port = listening["address"].rpartition(":")[2]
    client = subprocess.run(
        (*node, str(empty), "--peer", port, "--until", str(count)),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=SECONDS_MAX,
    )
    output, _ = server.communicate("", timeout=60)
    return _by_what(output), _by_what(client.stdout)


def _by_what(output: str) -> dict[str, Any]:
    lines = [json.loads(line) for line in output.splitlines()]
    return {line["what"]: line for line in reversed(lines)}
