"""Beside each node: starts it, asks it, follows its board, and stops it when told to or left alone.

``python -m simnet.emulation.keeper HOME LOG WORD...`` runs ``python -m p2pboard --home HOME run
WORD...`` with its output going to LOG. Standard input has one JSON object a line,

    {"tag": 1, "call": "post", "arguments": {"board": "tea", "text": "hello"}}
    {"tag": 2, "spent": true}
    {"follow": {"board": "tea"}}

and standard output answers, in any order, with the time (``time.monotonic``, which all namespaces
of a machine share) at which the node said so:

    {"at": 12.345, "ready": true}
    {"at": 12.345, "tag": 1, "result": {...}}   or   {"at": ..., "tag": 1, "error": "..."}
    {"at": 12.345, "tag": 2, "result": 1.23}      seconds of processor time of the node so far
    {"at": 12.345, "entry": {...}}

Times are taken here, next to the node, so that neither the start of a command nor a busy reader of
thirty streams is part of a latency. The end of the input stops the node: one that nobody plays with
any more does not stay behind.
"""

from __future__ import annotations

import json
import os
import secrets
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from hashlib import blake2b
from pathlib import Path
from typing import IO, Any, cast

from simnet.emulation.priority import go_first

Record = dict[str, Any]

_STARTUP_S_MAX = 60.0
_STOP_S_MAX = 8.0
_PRINTING = threading.Lock()


def say(record: Record, at: float) -> None:
    """One line on standard output."""
    line = json.dumps({"at": at, **record})
    with _PRINTING:
        print(line, flush=True)


def connect(home: Path) -> IO[bytes]:
    """A connection to the node's loopback interface, proved on both sides (see there).

    :raises OSError: where no node answers, or a stranger does.
    """
    token = json.loads((home / "local.json").read_text())
    secret = bytes.fromhex(token["token"])
    connection = socket.create_connection(("127.0.0.1", int(token["port"])), timeout=30)
    connection.settimeout(None)
    lines = cast("IO[bytes]", connection.makefile("rwb"))
    connection.close()  # once the file is
    nonce = secrets.token_bytes(16)
    send(lines, {"nonce": nonce.hex(), "proof": _proof(secret, b"call", nonce)})
    if json.loads(lines.readline() or b"{}").get("proof") != _proof(secret, b"node", nonce):
        raise OSError("what answers at the node's port is not the node")
    return lines


def _proof(secret: bytes, side: bytes, nonce: bytes) -> str:
    person = b"p2pb local " + side
    return blake2b(nonce, key=secret, person=person, digest_size=32).hexdigest()


def send(lines: IO[bytes], record: Record) -> None:
    """One object."""
    lines.write(json.dumps(record).encode() + b"\n")
    lines.flush()


def call(home: Path, asked: Record) -> None:
    """One call; says what came of it."""
    try:
        with connect(home) as lines:
            send(lines, {"call": asked["call"], "arguments": asked["arguments"]})
            line = lines.readline()
            at = time.monotonic()
        answer = json.loads(line)
    except (OSError, ValueError) as error:
        say({"tag": asked["tag"], "error": str(error)}, time.monotonic())
        return
    if "error" in answer:
        say({"tag": asked["tag"], "error": answer["error"]["message"]}, at)
    else:
        say({"tag": asked["tag"], "result": answer["result"]}, at)


def follow(home: Path, arguments: Record) -> None:
    """Says each entry as the node tells it, until one of us ends."""
    with connect(home) as lines:
        send(lines, {"call": "follow", "arguments": arguments})
        while line := lines.readline():
            at = time.monotonic()
            answer = json.loads(line)
            if "entry" in answer:
                entry = answer["entry"]
                say({"entry": {key: entry[key] for key in ("id", "state", "thread")}}, at)


def spent_s(node: subprocess.Popen[bytes]) -> float:
    """Processor time of the node so far."""
    # The name may have blanks in it; user and system time are the 14th and 15th field (proc(5)).
    fields = Path(f"/proc/{node.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def start_node(home: Path, log: Path, words: list[str]) -> subprocess.Popen[bytes]:
    """The node, running."""
    with log.open("ab") as output:
        return subprocess.Popen(
            (sys.executable, "-m", "p2pboard", "--home", str(home), "run", *words),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )


def wait_until_it_answers(node: subprocess.Popen[bytes], home: Path) -> bool:
    """Whether it does, in a time that a busy machine can keep."""
    give_up_at = time.monotonic() + _STARTUP_S_MAX
    while node.poll() is None and time.monotonic() < give_up_at:
        try:
            connect(home).close()
            return True
        except (OSError, ValueError, KeyError):
            time.sleep(0.05)
    return False


def begin(work: Callable[[Path, Record], None], home: Path, asked: Record) -> None:
    """Do it meanwhile."""
    threading.Thread(target=work, args=(home, asked), daemon=True).start()


def main(home: Path, log: Path, words: list[str]) -> int:
    """Until standard input ends."""
    go_first(10)
    node = start_node(home, log, words)
    try:
        is_up = wait_until_it_answers(node, home)
        say({"ready": is_up}, time.monotonic())
        if not is_up:
            return 1
        for line in sys.stdin:
            asked = json.loads(line)
            if "spent" in asked:
                say({"tag": asked["tag"], "result": spent_s(node)}, time.monotonic())
            elif "follow" in asked:
                begin(follow, home, asked["follow"])
            else:
                begin(call, home, asked)
        return 0
    finally:
        node.terminate()
        try:
            node.wait(_STOP_S_MAX)
        except subprocess.TimeoutExpired:
            node.kill()


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:]))
