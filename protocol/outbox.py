"""How an own entry leaves the node.

An own entry is not in the board's set, in no answer and in no count, until it has come back from
the network like anybody else's. To get out, it is handed to one peer at a time, who keeps it and
announces it to everybody; when it has not come back after a random time, it is handed to another
(SPEC.md, "Publishing"). A restart begins anew, which does no harm: the same entry twice is one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from protocol import limits
from protocol.chance import Chance
from protocol.entry import Entry


@dataclass(slots=True)
class _Waiting:
    """:ivar rounds: how many times every link there was has been tried.
    :ivar tried: the links of this round.
    """

    entry: Entry
    due_ms: int
    rounds: int = 0
    tried: set[int] = field(default_factory=set)
    handed_to: int | None = None


class Outbox:
    """Own entries on their way, in the order written."""

    def __init__(self, chance: Chance) -> None:
        self._chance = chance
        self._waiting: dict[bytes, _Waiting] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def __contains__(self, identifier: bytes) -> bool:
        return identifier in self._waiting

    def add(self, entry: Entry, now_ms: int) -> None:
        """An own entry is durable in the driver's outbox."""
        if entry.id not in self._waiting and len(self._waiting) < limits.OUTBOX_MAX:
            self._waiting[entry.id] = _Waiting(entry, now_ms)

    def take_back(self, identifier: bytes) -> bool:
        """Whether this entry, which is stored now, was one of ours on its way."""
        return self._waiting.pop(identifier, None) is not None

    def drop_before(self, bucket: int) -> None:
        """Entries that the board would not keep any more are given up."""
        for identifier in [
            i for i, waiting in self._waiting.items() if waiting.entry.header.bucket < bucket
        ]:
            del self._waiting[identifier]

    def due(self, links: Sequence[int], now_ms: int) -> list[tuple[int, Entry]]:
        """What to hand to whom now; another link than the last time, where there is one."""
        if not links:
            return []
        handing = []
        for waiting in self._waiting.values():
            if waiting.due_ms > now_ms:
                continue
            waiting.handed_to = self._next_link(waiting, links)
            # Twice as long each time that everybody was tried: what does not come back after many
            # tries is not wanted by anybody, and asking on and on would be all that a peer ever
            # hears of us. Not with each try: some peers that withhold must not make the time until
            # an honest one is reached grow with their number's power of two.
            patience = 1 << min(waiting.rounds, limits.REHAND_DOUBLINGS_MAX)
            waiting.due_ms = now_ms + patience * self._chance.between(limits.REHAND_MS_RANGE)
            handing.append((waiting.handed_to, waiting.entry))
        return handing

    def _next_link(self, waiting: _Waiting, links: Sequence[int]) -> int:
        waiting.tried.intersection_update(links)
        untried = [link for link in links if link not in waiting.tried]
        if not untried:
            waiting.rounds += 1
            waiting.tried.clear()
            untried = [link for link in links if link != waiting.handed_to] or list(links)
        link = self._chance.one_of(untried)
        waiting.tried.add(link)
        return link

    def next_ms(self) -> int | None:
        """When something is due again."""
        return min((waiting.due_ms for waiting in self._waiting.values()), default=None)
