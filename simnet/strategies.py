"""Ways of publishing, exchangeable on one world: ours, and those that it is measured against.

A strategy is a board's machine (:class:`protocol.gossip.Gossip`) that differs in two things only:
how an own entry leaves the node, and when a stored entry is announced to which peer. All else, from
the handshake to reconciling and fetching, is the same code on the same links, so that a difference
in what spies learn is a difference of the strategies.

- *ours*: the protocol as it is (SPEC.md, "Publishing").
- *gossip*: an own entry is stored and announced to all peers at once.
- *diffusion*: the same, but each peer is told after an exponential delay of its own, as Bitcoin
  does.
- *dandelion*: Dandelion++ (Fanti, Venkatakrishnan, Bakshi, Denby, Bhargava, Miller, Viswanath:
  "Dandelion++: Lightweight Cryptocurrency Networking with Formal Anonymity Guarantees", SIGMETRICS
  2018, sections 4 and 5). An entry first travels along a *stem*, from relay to relay; then it is
  *fluffed*: diffused as above. A node draws two relays among the peers that it has dialled, and
  maps each inbound edge to one of the two at random; all this anew in each epoch. A relay ends the
  stem with probability q. Each node on the stem, the author too, fluffs the entry itself when it
  has not met it fluffed after an exponential time.

A stem is carried by Entries that nobody has asked for. What the paper leaves open is done as in the
simulations that
its authors published: own entries take the relay that most inbound edges are mapped to (one at
random where these are equal), and an entry that comes back to a node on its stem goes to the relay
of the two that has not had it yet. When both have, it waits for the fail-safe. A node that has
dialled nobody draws among all its peers; one that has nobody but whom the stem came from ends it.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from protocol import limits
from protocol.effects import Store
from protocol.entry import Entry, decode_entry
from protocol.gossip import NOBODY, Batch, Core, Gossip
from protocol.inputs import BoardOpened, Now
from protocol.link import Link
from protocol.messages import Entries, Message, WireEntry
from protocol.ports import Due
from protocol.publishing import Publishing

#: The mean delay of diffusion for each peer; Bitcoin Core's to peers that it has dialled.
DIFFUSION_MS_MEAN = 2_000
RELAYS = 2
#: Epochs of Dandelion++ are "on the order of 10 minutes" (section 4.2).
EPOCH_MS = 600_000
#: The mean of the fail-safe timer. Equation 7 of the paper wants it above the square of the hops
#: times half a hop's delay, over the share of stems cut short: ten hops of some milliseconds.
FAIL_SAFE_MS_MEAN = 60_000
STEMS_MAX = 4_096
#: The request number under which a stem travels: no node has that many under way.
STEM = 2**32 - 1


class Unmixed(Publishing):
    """No cells and no relays: what is due in the outbox leaves at once, as the board says."""

    board_machine: PlainGossip

    def start(self, now: Now) -> None:
        """There is nothing to begin with."""

    def run(self, now: Now) -> None:
        """Let what is due leave; again later where it has not come back."""
        for entry in self.outbox.take_due(now.mono_ms, 1):
            self.board_machine.leave(entry, now)
            self.outbox.on_sent(entry.id, now.mono_ms)
        dues = [self.outbox.next_ms(), self.board_machine.run_due(now)]
        due_ms = min((due for due in dues if due is not None), default=None)
        if due_ms is not None:
            self._ports.timers.set((Due.MIX, self._board.id), due_ms)

    def open_link(self, link: Link, now: Now) -> None:
        """Nobody is told of relays; what has waited for a peer leaves."""
        self.run(now)

    def renew(self, now: Now) -> None:
        """Nobody is a relay."""


class PlainGossip(Gossip):
    """An own entry is one's own from the first moment, and everybody hears of it at once."""

    publishing_machine = Unmixed

    def __init__(self, core: Core, opened: BoardOpened, port: int, now: Now) -> None:
        self._to_announce: dict[int, list[tuple[int, int, bytes]]] = {}
        super().__init__(core, opened, port, now)

    def _make_publishing(self, port: int) -> Publishing:
        publishing = super()._make_publishing(port)
        if isinstance(publishing, Unmixed):
            publishing.board_machine = self
        return publishing

    def leave(self, entry: Entry, now: Now) -> None:
        """Store an own entry like any other."""
        self._keep(entry)

    def run_due(self, now: Now) -> int | None:
        """Do what a strategy does later; when there is more."""
        return None

    def _keep(self, entry: Entry) -> None:
        """Store an entry that is known to be good; announced to everybody once it is durable."""
        self.fetcher.unwanted(entry.id)
        self.fetcher.arriving.add(entry.id)
        batch = Batch(self, (entry,), {entry.id: NOBODY})
        self._core.emit(Store(self._core.new_token(batch), self.board.id, batch.entries))

    def _delay_ms(self) -> int:
        """How long the next announcement to one peer waits."""
        return 0

    def _announce_to(self, link: Link, entry: Entry, now: Now) -> None:
        waiting = self._to_announce.setdefault(link.number, [])
        if len(waiting) < limits.ANNOUNCE_QUEUE_MAX:
            due_ms = now.mono_ms + self._delay_ms()
            heapq.heappush(waiting, (due_ms, entry.header.bucket, entry.id))
            self._core.timers.set_earlier((Due.ANNOUNCE, link.number), due_ms)

    def announce_due(self, link: Link, now: Now) -> None:
        """Send what is due for this peer."""
        waiting = self._to_announce.get(link.number, [])
        while waiting and waiting[0][0] <= now.mono_ms:
            _, bucket, identifier = heapq.heappop(waiting)
            link.announcing[identifier] = bucket
        super().announce_due(link, now)
        if waiting:
            self._core.timers.set((Due.ANNOUNCE, link.number), waiting[0][0])
        else:
            self._to_announce.pop(link.number, None)


class Diffusion(PlainGossip):
    """Everybody hears of an entry after a time of their own."""

    def _delay_ms(self) -> int:
        return self._core.chance.exponential(DIFFUSION_MS_MEAN)


@dataclass(slots=True)
class _Stem:
    """An entry whose stem has come through here.

    :ivar source: the link that it came by first.
    :ivar tried: the relays that have had it.
    :ivar due_ms: when it is fluffed, if it was not met fluffed before.
    """

    entry: Entry
    source: int
    tried: list[int]
    due_ms: int


class Dandelion(Diffusion):
    """Dandelion++."""

    #: q: the probability that a relay ends the stem.
    fluff_probability: ClassVar[float] = 0.1

    def __init__(self, core: Core, opened: BoardOpened, port: int, now: Now) -> None:
        self._relays: list[int] = []
        self._routes: dict[int, int] = {}
        # Nodes have epochs of their own, or all would change their relays at once.
        self._epoch_ends_ms = now.mono_ms + core.chance.below(EPOCH_MS)
        self._stems: dict[bytes, _Stem] = {}
        self._unverified: set[bytes] = set()
        super().__init__(core, opened, port, now)

    # --- Own entries, and the fail-safe -----------------------------------------------------------

    def leave(self, entry: Entry, now: Now) -> None:
        """Begin the stem of an own entry."""
        if entry.id not in self._stems:
            self._begin_stem(entry, NOBODY, now)

    def run_due(self, now: Now) -> int | None:
        """Fluff the stems that the fail-safe has waited for."""
        for stem in [s for s in self._stems.values() if s.due_ms <= now.mono_ms]:
            stem.due_ms = self._fail_safe_ms(now)
            self._fluff(stem)
        return min((stem.due_ms for stem in self._stems.values()), default=None)

    def _fail_safe_ms(self, now: Now) -> int:
        return now.mono_ms + 1 + self._core.chance.exponential(FAIL_SAFE_MS_MEAN)

    # --- Stems ------------------------------------------------------------------------------------

    def on_message(self, link: Link, message: Message, now: Now) -> None:
        """As always, but for what travels along a stem."""
        if isinstance(message, Entries) and message.request == STEM:
            self._on_stem(link, decode_entry(self.board, *message.entries[0], now.wall_s), now)
        else:
            super().on_message(link, message, now)

    def _on_stem(self, link: Link, entry: Entry, now: Now) -> None:
        if self.index.contains(entry.timestamp, entry.id):
            self._announce_to(link, entry, now)
        elif entry.id in self._stems:
            self._pass_on(self._stems[entry.id], link.number)
        elif entry.id not in self._unverified and entry.id not in self.fetcher.arriving:
            self._unverified.add(entry.id)
            self._verify([entry], link.number)

    def on_verified(self, batch: Batch, is_valid: Sequence[bool], now: Now) -> None:
        """A stem is no entry of the board yet: where others would store it, it is passed on."""
        identifier = batch.entries[0].id
        is_stem = identifier in self._unverified and len(batch.entries) == 1
        # One that arrives by fetching at the same time is fluffed, and stored like any other.
        if is_stem and is_valid[0] and identifier not in self.fetcher.arriving:
            self._unverified.discard(identifier)
            self._begin_stem(batch.entries[0], batch.sources[identifier], now)
            return
        self._unverified.difference_update(entry.id for entry in batch.entries)
        super().on_verified(batch, is_valid, now)

    def _begin_stem(self, entry: Entry, source: int, now: Now) -> None:
        if self.index.contains(entry.timestamp, entry.id) or len(self._stems) >= STEMS_MAX:
            return
        stem = _Stem(entry, source, [], self._fail_safe_ms(now))
        self._stems[entry.id] = stem
        self._core.timers.set_earlier((Due.MIX, self.board.id), stem.due_ms)
        route = self._route(source, now)
        if route is None or (source != NOBODY and self._ends_here()):
            self._fluff(stem)
        else:
            self._hand_on(stem, route)

    def _pass_on(self, stem: _Stem, source: int) -> None:
        """It has come back: the other relay, or patience."""
        if self._ends_here():
            self._fluff(stem)
            return
        for relay in self._relays:
            if relay not in (source, *stem.tried) and relay in self.links:
                self._hand_on(stem, relay)
                return

    def _hand_on(self, stem: _Stem, relay: int) -> None:
        stem.tried.append(relay)
        entry = stem.entry
        wire = WireEntry(entry.raw, entry.signature, entry.payload)
        self.links[relay].send(Entries(STEM, True, [wire]))

    def _ends_here(self) -> bool:
        return self._core.chance.below(1 << 32) < self.fluff_probability * (1 << 32)

    def _fluff(self, stem: _Stem) -> None:
        if stem.entry.id not in self.fetcher.arriving:
            # Whoever handed it over hears of it too.
            self._keep(stem.entry)

    def on_stored(self, batch: Batch, lacking: Sequence[bytes], now: Now) -> None:
        """Fluffed, here or elsewhere: the stem is over."""
        for entry in batch.entries:
            self._stems.pop(entry.id, None)
        super().on_stored(batch, lacking, now)

    # --- Routes -----------------------------------------------------------------------------------

    def _route(self, source: int, now: Now) -> int | None:
        """The relay for what comes by a link, or is our own; None where nobody else is there."""
        if now.mono_ms >= self._epoch_ends_ms:
            self._epoch_ends_ms = now.mono_ms + EPOCH_MS
            self._relays, self._routes = [], {}
        self._draw_relays()
        if source == NOBODY:
            self._map_own()
        else:
            self._map(source, [relay for relay in self._relays if relay != source])
        return self._routes.get(source)

    def _map(self, source: int, relays: Sequence[int]) -> None:
        """Let a source keep its relay, or draw one for it."""
        if self._routes.get(source) not in relays:
            self._routes.pop(source, None)
            if relays:
                self._routes[source] = self._core.chance.one_of(relays)

    def _map_own(self) -> None:
        """Own entries go where most inbound edges lead, to be among the stems of others."""
        inbound = [link.number for link in self.links.values() if not link.is_dialled]
        for link in inbound:
            self._map(link, [relay for relay in self._relays if relay != link])
        led = Counter(self._routes[link] for link in inbound if link in self._routes)
        most = max((led[relay] for relay in self._relays), default=0)
        if self._routes.get(NOBODY) not in self._relays:
            self._map(NOBODY, [relay for relay in self._relays if led[relay] == most])

    def _draw_relays(self) -> None:
        self._relays = [relay for relay in self._relays if relay in self.links]
        dialled = [link.number for link in self.links.values() if link.is_dialled]
        # A node that nobody lets dial has no choice but who dialled it.
        candidates = [n for n in dialled or list(self.links) if n not in self._relays]
        for relay in self._core.chance.shuffled(candidates)[: RELAYS - len(self._relays)]:
            self._relays.append(relay)


class DandelionUnfluffed(Dandelion):
    """Dandelion++ whose stems end by the fail-safe only."""

    fluff_probability: ClassVar[float] = 0.0


@dataclass(frozen=True, slots=True)
class Strategy:
    """A way of publishing.

    :ivar make_board: for :class:`simnet.world.World`.
    """

    name: str
    description: str
    make_board: type[Gossip]


STRATEGIES: dict[str, Strategy] = {
    strategy.name: strategy
    for strategy in (
        Strategy("ours", "in cells through the mix, published by somebody else", Gossip),
        Strategy("gossip", "stored and announced to all peers at once", PlainGossip),
        Strategy("diffusion", "as gossip, each peer after an exponential delay", Diffusion),
        Strategy("dandelion", "Dandelion++: a stem, ended with q = 0.1, then diffusion", Dandelion),
        Strategy("dandelion-q0", "Dandelion++ with q = 0: only stems", DandelionUnfluffed),
    )
}
