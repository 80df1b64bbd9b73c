"""The mix of a board on this node: cells that leave, cells that are passed on.

After Loopix (Piotrowska, Hayes, Elahi, Meiser, Danezis: "The Loopix Anonymity System", USENIX
Security 2017):

- A node *emits* cells as a Poisson process that never stops while it is on the board and knows a
  relay. Each emission is a loop with a fixed probability (a test cell that comes home by way of
  two relays); else the next piece of an own entry, or, mostly, cover: a cell of the same form, on a
  path of the same distribution, whose last relay throws it away. So nothing that leaves a node, or
  comes to it, depends on whether it has something to say.
- A relay takes one layer off and passes the cell on after an exponential delay. The last one waits
  as well before it opens what came: memoryless delays are what makes the cells in a relay alike.

The machine does no I/O: it is told of cells and time, and answers with datagrams and with entries
that have arrived (SPEC.md, "The mix").
"""

from __future__ import annotations

import heapq
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import NamedTuple

from protocol import limits
from protocol.board import Board
from protocol.cells import Forward, Last, build_cell, seal_cell, unwrap_cell
from protocol.chance import Chance
from protocol.crypto import Group
from protocol.inputs import Now
from protocol.messages import Address, WireEntry
from protocol.pieces import (
    TOKEN_BYTES,
    TRANSFER_BYTES,
    Assembly,
    Loop,
    Piece,
    cover_body,
    cut,
    decode_body,
    loop_body,
)
from protocol.relays import Record, Relays

#: Outcomes of test cells that are remembered for people.
_OUTCOMES = 32


@dataclass(slots=True)
class OwnKey:
    """A key under which this node is a relay.

    :ivar gone_s: the wall time from which on it is not taken any more.
    :ivar seen: what the key has opened before.
    """

    record: Record
    secret: bytes
    gone_s: int
    seen: set[bytes] = field(default_factory=set)


class _Queued(NamedTuple):
    """A piece of an own entry that waits for an emission.

    :ivar last: where all pieces of the entry meet; :ivar side: on which side of this node.
    """

    entry_id: bytes
    body: bytes
    last: Record
    side: str
    is_last_piece: bool


class _Loop(NamedTuple):
    """:ivar home: at which of our addresses it ends.
    :ivar counts: whether it says something to people: all on its way were alive."""

    lost_ms: int
    through: tuple[bytes, ...]
    home: str
    counts: bool


#: What leaves: to whom, which bytes.
Send = Callable[[Address, bytes], None]


class Mix:
    """The emissions of this node and the cells that wait in it.

    :param send: told of each datagram as it leaves.
    :param on_sent: told of each own entry whose last cell has left.
    :param on_arrived: told of each entry that this node is to publish.
    :ivar homes: own records at which this node can be reached now, for loops; those of this epoch,
        which others have heard of.
    """

    def __init__(
        self,
        board: Board,
        relays: Relays,
        chance: Chance,
        group: Group,
        send: Send,
        on_sent: Callable[[bytes, Now], None],
        on_arrived: Callable[[WireEntry, Now], None],
    ) -> None:
        self._board = board
        self._relays = relays
        self._chance = chance
        self._group = group
        self._send = send
        self._on_sent = on_sent
        self._on_arrived = on_arrived
        self._emit_ms = limits.PACE_EMIT_MS[board.descriptor.pace]
        self._delay_ms = limits.PACE_DELAY_MS[board.descriptor.pace]
        self.homes: list[Record] = []
        self._keys: list[OwnKey] = []
        self._next_emission_ms: int | None = None
        self._queue: deque[_Queued] = deque()
        self._held: list[tuple[int, int, Record | None, bytes | Piece]] = []
        self._sequence = 0
        self._assembly = Assembly()
        self._loops: dict[bytes, _Loop] = {}
        self._outcomes: deque[bool] = deque(maxlen=_OUTCOMES)
        self._buckets: OrderedDict[str, tuple[float, int]] = OrderedDict()

    # --- Keys -------------------------------------------------------------------------------------

    @property
    def own(self) -> list[Record]:
        """Our own records, the newest first."""
        return [key.record for key in self._keys]

    def add_key(self, key: OwnKey) -> None:
        """This node is a relay under one more key."""
        self._keys.insert(0, key)

    def drop_keys(self, wall_s: int) -> None:
        """Keys whose time is over are gone for good, and with them what was recorded under them."""
        self._keys = [key for key in self._keys if key.gone_s > wall_s]

    # --- Own entries ------------------------------------------------------------------------------

    def queue(self, entry_id: bytes, entry: WireEntry, now: Now) -> bool:
        """Put an entry into cells that leave one by one; whether there is a relay at all."""
        side = self._side(now)
        last = self._relays.choose(1, now.mono_ms, now.wall_s, side=side)
        if not last:
            return False
        bodies = cut(entry, self._chance.bytes(TRANSFER_BYTES))
        for number, body in enumerate(bodies, 1):
            self._queue.append(_Queued(entry_id, body, last[0], side, number == len(bodies)))
        return True

    def withdraw(self, entry_id: bytes) -> None:
        """What has not left of an entry does not leave any more."""
        self._queue = deque(item for item in self._queue if item.entry_id != entry_id)

    @property
    def queued(self) -> int:
        """Cells that wait for an emission."""
        return len(self._queue)

    # --- Time -------------------------------------------------------------------------------------

    def next_ms(self) -> int | None:
        """When :meth:`run` has something to do."""
        held_ms = self._held[0][0] if self._held else None
        if held_ms is None or self._next_emission_ms is None:
            return self._next_emission_ms if held_ms is None else held_ms
        return min(held_ms, self._next_emission_ms)

    def run(self, now: Now) -> None:
        """Let go what has waited long enough, and emit."""
        while self._held and self._held[0][0] <= now.mono_ms:
            _, _, record, what = heapq.heappop(self._held)
            if record is not None and isinstance(what, bytes):
                self._send(self._relays.address_of(record), what)
            elif isinstance(what, Piece):
                entry = self._assembly.add(what, now.mono_ms)
                if entry is not None:
                    self._on_arrived(entry, now)
        if self._next_emission_ms is None:
            self._next_emission_ms = now.mono_ms + self._chance.exponential(self._emit_ms)
        elif self._next_emission_ms <= now.mono_ms:
            # A laptop that slept does not make up for what it has missed: that would be a burst.
            self._next_emission_ms = now.mono_ms + self._chance.exponential(self._emit_ms)
            self._emit(now)

    def _emit(self, now: Now) -> None:
        if self._chance.below(limits.LOOP_ONE_IN) == 0 and self.homes:
            path, body = self._loop(now)
        elif self._queue:
            path, body = self._piece(now)
        else:
            path, body = self._path(None, self._side(now), now), cover_body()
        if path:
            self._send(self._relays.address_of(path[0]), self._build(path, body))

    def _build(self, path: Sequence[Record], body: bytes) -> bytes:
        hops = [record.hop for record in path]
        return build_cell(self._board, hops, body, self._chance.bytes, self._group)

    def _side(self, now: Now) -> str:
        """Which of our addresses a path keeps to: of a node in several networks one that is drawn,
        the likelier the more relays are there; else none, "" for no matter which."""
        sides = list(dict.fromkeys(record.address.host for record in self.homes))
        if len(sides) < 2:
            return ""
        weights = [len(self._relays.hosts(now.mono_ms, now.wall_s, side)) for side in sides]
        if not sum(weights):
            return ""
        drawn = self._chance.below(sum(weights))
        return next(s for s, end in zip(sides, accumulate(weights), strict=True) if drawn < end)

    def _path(self, last: Record | None, side: str, now: Now) -> list[Record]:
        """A path as all cells but loops take it."""
        clocks = (now.mono_ms, now.wall_s)
        if last is None:
            return self._relays.choose(limits.PATH_RELAYS, *clocks, side=side)
        but = [last.address.host]
        return [*self._relays.choose(limits.PATH_RELAYS - 1, *clocks, but, side), last]

    def _piece(self, now: Now) -> tuple[list[Record], bytes]:
        queued = self._queue.popleft()
        if queued.is_last_piece:
            self._on_sent(queued.entry_id, now)
        return self._path(queued.last, queued.side, now), queued.body

    # --- Loops ------------------------------------------------------------------------------------

    def _loop(self, now: Now) -> tuple[list[Record], bytes]:
        """A test cell: there and back, through one that has not answered (or not the last time), so
        that it is clear who has; or a path like that of other cells."""
        clocks = (now.mono_ms, now.wall_s)
        self._count_lost(now)
        doubtful = self._relays.suspect(now.mono_ms)
        if doubtful is None and self._chance.below(2):
            doubtful = self._relays.doubtful(*clocks)
        side = "" if doubtful else self._side(now)
        if doubtful is not None:
            through = [doubtful]
        else:
            through = self._relays.choose(limits.PATH_RELAYS - 1, *clocks, side=side)
        if not through:
            return [], b""
        homes = [r for r in self.homes if side in ("", r.address.host)]
        home = self._chance.one_of(homes)
        token = self._chance.bytes(TOKEN_BYTES)
        if len(self._loops) < limits.LOOPS_REMEMBERED_MAX:
            lost_ms = now.mono_ms + limits.LOOP_PATIENCE_DELAYS * self._delay_ms
            # One that nobody has answered for may not exist: that says nothing of the others.
            counts = all(self._relays.is_alive(record.id, now.mono_ms) for record in through)
            ids = tuple(record.id for record in through)
            self._loops[token] = _Loop(lost_ms, ids, home.address.host, counts)
        return [*through, home], loop_body(token)

    def _on_loop(self, loop: Loop, now: Now) -> None:
        sent = self._loops.pop(loop.token, None)
        if sent is not None:
            self._relays.on_home(sent.through, now.mono_ms, sent.home)
            if sent.counts:
                self._outcomes.append(True)

    def _count_lost(self, now: Now) -> None:
        for token in [t for t, loop in self._loops.items() if loop.lost_ms <= now.mono_ms]:
            lost = self._loops.pop(token)
            if lost.counts:
                self._outcomes.append(False)
            self._relays.on_lost(lost.through)

    def loops(self) -> tuple[int, int]:
        """Of the last test cells through relays that are alive: how many came home, how many were
        sent. Where few do, somebody drops this node's cells, or nobody can reach it."""
        return sum(self._outcomes), len(self._outcomes)

    # --- Relaying ---------------------------------------------------------------------------------

    def receive(self, remote: Address, cell: bytes, now: Now) -> None:
        """A cell of this board has come; what is no cell for us is dropped without a word."""
        if len(self._held) >= limits.CELLS_HELD_MAX or not self._may_send(remote.host, now):
            return
        for key in self._keys:
            opened = unwrap_cell(cell, key.secret, key.record.key, self._group)
            if opened is not None:
                self._on_opened(key, opened, now)
                return

    def _on_opened(self, key: OwnKey, opened: Forward | Last, now: Now) -> None:
        if opened.replay in key.seen or len(key.seen) >= limits.CELLS_REMEMBERED_MAX:
            return
        key.seen.add(opened.replay)
        if isinstance(opened, Forward):
            record = self._relays.get(opened.next_id)
            if record is not None:
                self._hold(record, seal_cell(self._board, opened.cell), now)
            return
        said = decode_body(opened.body)
        if isinstance(said, Loop):
            self._on_loop(said, now)
        elif isinstance(said, Piece):
            self._hold(None, said, now)

    def _hold(self, record: Record | None, what: bytes | Piece, now: Now) -> None:
        self._sequence += 1
        due_ms = now.mono_ms + self._chance.exponential(self._delay_ms)
        heapq.heappush(self._held, (due_ms, self._sequence, record, what))

    def _may_send(self, host: str, now: Now) -> bool:
        """A token bucket for each address, so that one flood does not take the place of all."""
        tokens, at_ms = self._buckets.pop(host, (float(limits.CELLS_PER_HOST_BURST), now.mono_ms))
        tokens += (now.mono_ms - at_ms) * limits.CELLS_PER_HOST_PER_S / 1000
        tokens = min(tokens, limits.CELLS_PER_HOST_BURST)
        is_taken = tokens >= 1
        self._buckets[host] = (tokens - 1 if is_taken else tokens, now.mono_ms)
        if len(self._buckets) > limits.CELL_HOSTS_MAX:
            self._buckets.popitem(last=False)
        return is_taken
