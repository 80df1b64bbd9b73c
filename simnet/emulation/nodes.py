"""A real node in its namespace, by way of the keeper beside it."""

from __future__ import annotations

import contextlib
import itertools
import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from simnet.emulation.namespaces import Place, source_root
from simnet.emulation.plan import Unplayable

Record = dict[str, Any]

_ANSWER_S_MAX = 60.0
_STOP_S_MAX = 12.0


@dataclass
class _Answer:
    is_there: threading.Event = field(default_factory=threading.Event)
    record: Record = field(default_factory=dict)


class RealNode:
    """A node and its keeper.

    :ivar arrived: by entry id, when its reader was first told of it, and that as what: "outbox" is
        an own entry that has not come back. Seconds of time.monotonic.
    :ivar shown: by entry id, when its reader could read it as everybody else can.
    """

    def __init__(self, place: Place, home: Path, words: Sequence[str]) -> None:
        self.place = place
        self.shown: dict[str, float] = {}
        self.is_ready = threading.Event()
        self._home = home
        self._log = home.with_suffix(".log")
        self._tags = itertools.count(1)
        self._answers: dict[int, _Answer] = {}
        self._sending = threading.Lock()
        keeper = (sys.executable, "-m", "simnet.emulation.keeper", str(home), str(self._log))
        self._keeper = subprocess.Popen(
            place.command(*keeper, *words),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            # Ctrl-C is for us: we stop them.
            start_new_session=True,
            cwd=source_root(),
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def process_id(self) -> int:
        """Of the keeper, which is the node's parent."""
        return self._keeper.pid

    def call(self, name: str, **arguments: Any) -> tuple[Any, float]:
        """The node's answer, and when it gave it.

        :raises Unplayable: where it refuses or is gone.
        """
        return self.begin(name, **arguments)()

    def begin(self, name: str, **arguments: Any) -> Callable[[], tuple[Any, float]]:
        """Ask now; call what is returned for the answer."""
        return self._ask(name, {"call": name, "arguments": arguments})

    def begin_spent(self) -> Callable[[], tuple[Any, float]]:
        """Ask for the processor time that the node has used; seconds."""
        return self._ask("its time", {"spent": True})

    def _ask(self, what: str, record: Record) -> Callable[[], tuple[Any, float]]:
        tag, answer = next(self._tags), _Answer()
        self._answers[tag] = answer
        self._send({"tag": tag, **record})

        def wait() -> tuple[Any, float]:
            if not answer.is_there.wait(_ANSWER_S_MAX):
                raise Unplayable(f"a node did not answer to {what}{self.log()}")
            if "error" in answer.record:
                raise Unplayable(f"a node refused {what}: {answer.record['error']}")
            return answer.record["result"], float(answer.record["at"])

        return wait

    def follow(self, board: str) -> None:
        """From now on :attr:`shown` is filled."""
        self._send({"follow": {"board": board}})

    def wait_until_ready(self) -> None:
        """:raises Unplayable: where it does not start."""
        if not self.is_ready.wait(_ANSWER_S_MAX + 10) or self._keeper.poll() is not None:
            raise Unplayable(f"a node did not start{self.log()}")

    def log(self) -> str:
        """The end of what the node printed, to be added to a message."""
        text = self._log.read_text().strip() if self._log.exists() else ""
        return f": {text[-500:]}" if text else ""

    def end(self) -> None:
        """Let the keeper stop the node; :meth:`stop` waits for it."""
        if self._keeper.stdin is not None and not self._keeper.stdin.closed:
            with contextlib.suppress(BrokenPipeError):
                self._keeper.stdin.close()

    def stop(self) -> None:
        """Stop both."""
        self.end()
        try:
            self._keeper.wait(_STOP_S_MAX)
        except subprocess.TimeoutExpired:
            self._keeper.kill()
            self._keeper.wait(5)
        self._reader.join(5)
        if self._keeper.stdout is not None:
            self._keeper.stdout.close()

    def _send(self, record: Record) -> None:
        if self._keeper.stdin is None:
            return
        try:
            with self._sending:
                self._keeper.stdin.write(json.dumps(record) + "\n")
                self._keeper.stdin.flush()
        except (BrokenPipeError, ValueError):
            raise Unplayable(f"a node is gone{self.log()}") from None

    def _read(self) -> None:
        if self._keeper.stdout is None:
            return
        for line in self._keeper.stdout:
            record = json.loads(line)
            if "ready" in record:
                if record["ready"]:
                    self.is_ready.set()
            elif "entry" in record:
                if record["entry"]["state"] == "shown":
                    self.shown.setdefault(record["entry"]["id"], float(record["at"]))
            else:
                answer = self._answers.pop(record["tag"])
                answer.record = record
                answer.is_there.set()
        self.is_ready.set()  # whoever waits finds the keeper gone


def wait_until(is_done: Callable[[], bool], seconds_max: float, step_s: float = 0.2) -> bool:
    """Whether something came true in time; real processes have no clock that we could advance."""
    give_up_at = time.monotonic() + seconds_max
    while not is_done():
        if time.monotonic() > give_up_at:
            return False
        time.sleep(step_s)
    return True
