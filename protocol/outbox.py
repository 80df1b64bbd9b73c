"""Own entries that have not come back from the network, and when each is sent (again).

An own entry is not in the board's set, in no answer and in no count, until it has come back like
anybody else's. It is put into cells (:mod:`protocol.mix`) and takes another path when it does not
come back in a random time (SPEC.md, "Publishing"). A restart begins anew, which does no harm: the
same entry twice is one.
"""

from __future__ import annotations

from dataclasses import dataclass

from protocol import limits
from protocol.chance import Chance
from protocol.entry import Entry

#: How often an entry that waits for company looks whether it is there.
_CROWD_AGAIN_MS = 5_000


@dataclass(slots=True)
class _Waiting:
    """:ivar due_ms: when it is to be put into cells (again); None while its cells wait.
    :ivar crowd_least: it waits until so many nodes could have written it.
    :ivar tries: how many times its cells have left.
    """

    entry: Entry
    due_ms: int | None
    crowd_least: int
    tries: int = 0


class Outbox:
    """Own entries on their way, in the order written.

    :param delay_ms: the mean delay at a relay of the board.
    """

    def __init__(self, chance: Chance, delay_ms: int) -> None:
        self._chance = chance
        self._delay_ms = delay_ms
        self._waiting: dict[bytes, _Waiting] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def __contains__(self, identifier: bytes) -> bool:
        return identifier in self._waiting

    def add(self, entry: Entry, now_ms: int, crowd_least: int = 0) -> None:
        """An own entry is durable in the driver's outbox. One too many goes out after a restart."""
        if entry.id not in self._waiting and len(self._waiting) < limits.OUTBOX_MAX:
            self._waiting[entry.id] = _Waiting(entry, now_ms, crowd_least)

    def take_back(self, identifier: bytes) -> bool:
        """Whether this entry, which is stored now or was withdrawn, was one of ours on its way."""
        return self._waiting.pop(identifier, None) is not None

    def drop_before(self, bucket: int) -> list[bytes]:
        """Entries that the board would not keep any more are given up; which those are."""
        given_up = [i for i, w in self._waiting.items() if w.entry.header.bucket < bucket]
        for identifier in given_up:
            del self._waiting[identifier]
        return given_up

    def take_due(self, now_ms: int, crowd: int) -> list[Entry]:
        """What to put into cells now; each is due again only some time after :meth:`on_sent`.

        :param crowd: how many nodes could have written what leaves now.
        """
        due = []
        for waiting in self._waiting.values():
            if waiting.due_ms is None or waiting.due_ms > now_ms:
                continue
            if waiting.crowd_least > crowd:
                waiting.due_ms = now_ms + _CROWD_AGAIN_MS
            else:
                waiting.due_ms = None
                due.append(waiting.entry)
        return due

    def on_sent(self, identifier: bytes, now_ms: int) -> None:
        """The last cell of an entry has left."""
        waiting = self._waiting.get(identifier)
        if waiting is None:
            return
        waiting.tries += 1
        # After many tries twice as long each time: what does not come back then is not wanted by
        # anybody, or nobody is there. Not before: some relays that drop cells must not make the
        # time until an honest path grow with their number's power of two.
        doublings = min(
            max(waiting.tries - limits.RETRY_PATIENT_TRIES, 0), limits.RETRY_DOUBLINGS_MAX
        )
        least, most = limits.RETRY_DELAYS_RANGE
        patience_ms = self._chance.between((least * self._delay_ms, most * self._delay_ms))
        waiting.due_ms = now_ms + (patience_ms << doublings)

    def next_ms(self) -> int | None:
        """When something is due again."""
        dues = [w.due_ms for w in self._waiting.values() if w.due_ms is not None]
        return min(dues, default=None)
