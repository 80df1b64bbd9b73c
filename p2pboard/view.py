"""What is shown: one function decides it, for every command and every page.

:func:`show` takes what the store has (entries and outbox) and the user's rules, and makes of each
entry one record that says what may be said of it, in the order in which people read.

**Order** is by time, but that is ten minutes coarse and each writer's own claim. So within it, and
against it where they contradict: an answer never stands before what it answers, nor an entry before
an earlier one of its own log. Gaps and forks don't matter to that (a fork's branches stand side by
side), and a circle, which only a hostile log can make (its earlier number answering its later
one), is cut at its earliest entry.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from heapq import heapify, heappop, heappush
from itertools import pairwise
from typing import Any, Literal

from p2pboard.crowd import crowd_of_note
from p2pboard.rules import Matcher, Rule
from p2pboard.store.reader import EntryRow
from p2pboard.store.schema import PayloadState
from protocol.entry import BUCKET_SECONDS, Kind, payload_text
from protocol.persona import persona_name

State = Literal["shown", "hidden", "forgotten", "retracted", "outbox"]


@dataclass(frozen=True, slots=True)
class Shown:
    """An entry as people and programs get to see it; ids and keys in hex.

    :ivar parent: None of an entry that opens a thread.
    :ivar name: two words for the persona, in this thread.
    :ivar op: whether the persona wrote the entry that opened the thread.
    :ivar time: the begin of its ten-minute bucket, seconds since 1970.
    :ivar text: None unless the state is "shown" or "outbox".
    :ivar crowd: of an own persona: among how many nodes it was each time that it wrote.
    :ivar why: the rule that it falls under; stays here, is not part of the JSON.
    """

    id: str
    thread: str
    parent: str | None
    persona: str
    name: str
    op: bool
    seq: int
    time: int
    kind: Literal["post", "retract"]
    text: str | None
    state: State
    crowd: int | None = None
    why: Rule | None = None

    def as_json(self) -> dict[str, Any]:
        """The record that commands print and the loopback interface serves."""
        return {
            "id": self.id,
            "thread": self.thread,
            "parent": self.parent,
            "persona": self.persona,
            "name": self.name,
            "op": self.op,
            "seq": self.seq,
            "time": self.time,
            "kind": self.kind,
            "text": self.text,
            "state": self.state,
            "crowd": self.crowd,
        }


def show(
    rows: Iterable[EntryRow],
    rules: Iterable[Rule] | Matcher,
    crowds: Mapping[bytes, bytes] | None = None,
) -> list[Shown]:
    """What is to be shown of ``rows`` under ``rules``, in reading order.

    :param crowds: what is noted of the crowds of own personas (:mod:`p2pboard.crowd`).
    """
    matcher = rules if isinstance(rules, Matcher) else Matcher(rules)
    ordered = in_reading_order(list(rows))
    # An own retraction that still waits in the outbox counts here already, though nowhere else.
    retracted = {(r.parent, r.persona) for r in ordered if r.kind == Kind.RETRACT}
    among = {key: crowd_of_note(note or None) for key, note in (crowds or {}).items()}
    return [
        _shown(row, matcher, (row.id, row.persona) in retracted, among.get(row.persona))
        for row in ordered
    ]


def _shown(row: EntryRow, matcher: Matcher, is_retracted: bool, crowd: int | None) -> Shown:
    text = payload_text(row.payload) if row.payload and row.kind == Kind.POST else None
    why = matcher.match(row.persona, row.id, row.thread, text)
    state = _state(row, is_retracted, why)
    return Shown(
        id=row.id.hex(),
        thread=row.thread.hex(),
        parent=None if row.parent is None else row.parent.hex(),
        persona=row.persona.hex(),
        name=persona_name(row.persona, row.thread),
        op=row.persona == row.opener,
        seq=row.seq,
        time=row.bucket * BUCKET_SECONDS,
        kind="post" if row.kind == Kind.POST else "retract",
        text=text if state in ("shown", "outbox") else None,
        state=state,
        crowd=crowd,
        why=why,
    )


def _state(row: EntryRow, is_retracted: bool, why: Rule | None) -> State:
    """The first that is true of: retracted, forgotten, hidden, outbox, shown."""
    if row.kind == Kind.POST:
        if is_retracted or row.is_retracted:
            return "retracted"
        if row.payload_state != PayloadState.HAVE:
            return "forgotten"
    if why is not None:
        return "hidden"
    return "outbox" if row.is_outbox else "shown"


def in_reading_order(rows: Sequence[EntryRow]) -> list[EntryRow]:
    """``rows`` by (bucket, seq, id), parents before answers and logs in the order of their numbers.

    Costs n log n: a topological sort with a heap of what may come next.
    """
    rank = sorted(rows, key=lambda row: (row.bucket, row.seq, row.id))
    after, waits_for = _constraints(rank)
    ready = [place for place, count in enumerate(waits_for) if not count]
    heapify(ready)
    ordered: list[EntryRow] = []
    earliest = 0
    is_placed = [False] * len(rank)
    while len(ordered) < len(rank):
        if not ready:  # a circle: cut it at its earliest entry
            while is_placed[earliest]:
                earliest += 1
            ready.append(earliest)
        place = heappop(ready)
        if is_placed[place]:
            continue
        is_placed[place] = True
        ordered.append(rank[place])
        for later in after[place]:
            waits_for[later] -= 1
            if not waits_for[later]:
                heappush(ready, later)
    return ordered


def _constraints(rank: Sequence[EntryRow]) -> tuple[dict[int, list[int]], list[int]]:
    """For each place in ``rank``: the places that must come after it, and how many before."""
    place_of = {row.id: place for place, row in enumerate(rank)}
    pairs = {
        (place_of[row.parent], place)
        for place, row in enumerate(rank)
        if row.parent is not None and row.parent in place_of
    }
    logs: dict[bytes, list[int]] = defaultdict(list)
    for place in sorted(range(len(rank)), key=lambda place: rank[place].seq):
        logs[rank[place].persona].append(place)
    for log in logs.values():
        pairs |= set(_steps(rank, log))
    after: dict[int, list[int]] = defaultdict(list)
    waits_for = [0] * len(rank)
    for before, later in sorted(pairs):
        after[before].append(later)
        waits_for[later] += 1
    return after, waits_for


def _steps(rank: Sequence[EntryRow], log: Sequence[int]) -> Iterable[tuple[int, int]]:
    """Neighbours in a log; the branches of a fork, having one number, in the order of ``rank``,
    except where one of them answers another."""
    for before, later in pairwise(log):
        if rank[before].seq != rank[later].seq or rank[before].parent != rank[later].id:
            yield before, later
