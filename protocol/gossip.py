"""One board's machine: who is linked, what is known, what is wanted, what goes out.

The way of an entry through a node:

    announced, or found by reconciling (or brought by cells: then it is here already)
      -> wanted (:mod:`protocol.fetch`) -> asked for -> received and checked
      -> Verify (the signature) -> Store -> durable
      -> in the index: from now on it is reconciled, served and announced

and nothing is done out of that order: what is not durable does not exist for peers. An own entry
goes the same way, after somebody else has published it (:mod:`protocol.publishing`; SPEC.md,
"Transfer", "Publishing").
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import ClassVar, Protocol

from protocol import limits
from protocol.board import Board
from protocol.crypto import SEED_BYTES, Group, signing_public_key
from protocol.directory import Directory, Source, is_worth_telling, subnet_of
from protocol.effects import (
    CameBack,
    Dial,
    EntriesArrived,
    Expire,
    LinkDown,
    LinkUp,
    Load,
    RememberAddress,
    Store,
    SyncProgress,
    Tell,
    Verify,
)
from protocol.entry import BUCKET_SECONDS, Entry, decode_entry, entry_id, oldest_bucket
from protocol.errors import Reason, Refused
from protocol.fetch import Fetcher
from protocol.index import KEY_BYTES, EntryIndex
from protocol.inputs import BoardOpened, Now
from protocol.link import Link
from protocol.messages import (
    Address,
    Announce,
    Answer,
    Ask,
    Entries,
    Hello,
    Message,
    Nudge,
    Peers,
    Ping,
    Pong,
    RelayRecords,
    Want,
    WireEntry,
)
from protocol.ports import Due, Ports
from protocol.publishing import Publishing
from protocol.reconcile import Initiator, respond

#: Refused for the clock and not for a fault: the peer is not to blame, and later it may be right.
_UNTIMELY = (Reason.ENTRY_FUTURE, Reason.ENTRY_EXPIRED)


#: Stands for the link by which an entry came where there is none: cells have brought it. Links
#: count from 1.
NOBODY = 0
_initiator_of = attrgetter("initiator")
#: How often a node with enough links looks whether an address that people gave may be dialled.
_FULL_PATIENCE_MS = 10_000


class Core(Ports, Protocol):
    """What a board's machine needs of the node around it."""

    group: Group

    def new_token(self, batch: Batch) -> int:
        """A number for work that the driver answers later."""

    def hang_up(self, link: Link, reason: Reason, now: Now) -> None:
        """End a link."""


@dataclass(slots=True)
class Batch:
    """Work under way outside of the core: entries to verify or store, or a request to load.

    :ivar sources: by id, the link that an entry came by.
    """

    gossip: Gossip
    entries: tuple[Entry, ...] = ()
    sources: dict[bytes, int] = field(default_factory=dict)
    link: int = 0
    request: int = 0
    ids: tuple[bytes, ...] = ()


class Gossip:
    """A board on this node.

    :cvar publishing_machine: its way out; simulations try others.
    :ivar instance: a public key, new for each start, so that links to one peer are told from links
        to two. Its seed is here and nowhere else: when the board closes, it is gone.
    :ivar index: what is durable here, and so what peers may know of.
    :ivar is_leaving: the board is being closed: nobody is dialled in place of who goes.
    """

    publishing_machine: ClassVar[type[Publishing]] = Publishing

    def __init__(self, core: Core, opened: BoardOpened, port: int, now: Now) -> None:
        self.board: Board = opened.board
        self.index = EntryIndex.from_keys(
            opened.keys[i : i + KEY_BYTES] for i in range(0, len(opened.keys), KEY_BYTES)
        )
        self._instance_seed = core.chance.bytes(SEED_BYTES)
        self.instance = signing_public_key(self._instance_seed)
        self.is_leaving = False
        self.links: dict[int, Link] = {}
        self._dialled: dict[int, Link] = {}
        self.directory = Directory(core.chance)
        self.fetcher = Fetcher(_arriving_max(opened.board))
        self._core = core
        self.publishing = self._make_publishing(port)
        self._lacking: dict[bytes, None] = dict.fromkeys(opened.lacking[: limits.LACKING_MAX])
        self._unasked: dict[bytes, None] = {}
        self._deferred: dict[bytes, int] = {}
        self._progress = (0, 0, False)
        for entry in opened.outbox:
            crowd_least = opened.held.get(entry.id, 0)
            self.publishing.outbox.add(entry, now.mono_ms, crowd_least)
        for address in opened.addresses:
            self.directory.add([address], Source.REMEMBERED, now.mono_ms)
        self.expire(now)
        self._set(Due.REFRESH, now, core.chance.between(limits.LINK_REFRESH_MS_RANGE))
        self.dial(now)
        self.publishing.start(now)

    def _make_publishing(self, port: int) -> Publishing:
        core = self._core
        return self.publishing_machine(
            core, self.board, self.links, port, core.group, self.publish_here
        )

    # --- Links ------------------------------------------------------------------------------------

    def greet(self, link: Link) -> None:
        """Say hello on a link whose handshake is done."""
        link.send(Hello(self.instance, self.publishing.port, link.prove(self._instance_seed)))

    def on_hello(self, link: Link, hello: Hello, now: Now) -> None:
        """The link is open, unless it leads to ourselves, is one too many, or exists already."""
        link.on_hello(hello)
        if hello.instance == self.instance:
            if link.is_dialled:
                self.directory.on_own(link.remote)
            self._core.hang_up(link, Reason.LINK_SELF, now)
            return
        if len(self.links) >= limits.LINKS_PER_BOARD_MAX:
            leaving = self._most_crowding(link) or link
            self._core.hang_up(leaving, Reason.LINK_FULL, now)
            if leaving is link:
                return
        self._open(link, now)
        for other in list(self.links.values()):
            if other is not link and other.instance == link.instance:
                loser = self._duplicate(other, link)
                self.directory.on_same_node(link.listening, other.listening)
                if loser is not None:
                    self._core.hang_up(loser, Reason.LINK_DUPLICATE, now)

    def _most_crowding(self, newcomer: Link) -> Link | None:
        """An accepted link to give up for a newcomer from a less crowded place; None where there is
        none. So neither one machine, nor one subnet, keeps the rest of a board out (after the
        eviction by network groups of Bitcoin; Heilman et al., USENIX Security 2015)."""
        hosts = Counter(link.remote.host for link in self.links.values())
        subnets = Counter(subnet_of(link.remote.host) for link in self.links.values())

        def crowd(link: Link) -> tuple[int, int]:
            return hosts[link.remote.host], subnets[subnet_of(link.remote.host)]

        accepted = [link for link in self.links.values() if not link.is_dialled]
        worst = max(map(crowd, accepted), default=(0, 0))
        most_crowding = [link for link in accepted if crowd(link) == worst]
        hosts[newcomer.remote.host] += 1
        subnets[subnet_of(newcomer.remote.host)] += 1
        return self._core.chance.one_of(most_crowding) if worst > crowd(newcomer) else None

    def _duplicate(self, older: Link, newer: Link) -> Link | None:
        """Of two links to one peer, the one to give up; None where that is for the peer to do.

        Both ends must choose alike. The link that the node with the larger instance dialled stays;
        where one node dialled both, it alone knows which was first, and gives up the other.
        """
        if older.is_dialled == newer.is_dialled:
            return newer if newer.is_dialled else None
        ours_stays = self.instance > (newer.instance or b"")
        return newer if newer.is_dialled != ours_stays else older

    def _open(self, link: Link, now: Now) -> None:
        self.links[link.number] = link
        if link.is_dialled:
            self._dialled[link.number] = link
        self.fetcher.add_link(link.number)
        self.directory.on_linked(link.number, link.listening, link.is_dialled)
        self._core.emit(Tell(LinkUp(self.board.id, link.number, link.listening or link.remote)))
        if link.is_dialled:
            self._core.emit(RememberAddress(self.board.id, link.remote))
            self.reconcile(link)
        self.fetcher.offer(link.number, list(self._lacking), is_for_payload=True)
        self._pump(link, now)
        self.tell_peers(link, now)
        self.publishing.open_link(link, now)

    def close_link(self, link: Link, reason: Reason, now: Now) -> None:
        """The link has ended."""
        was_open = self.links.pop(link.number, None) is not None
        self._dialled.pop(link.number, None)
        if was_open:
            self._core.emit(Tell(LinkDown(self.board.id, link.number, reason)))
            is_full = reason is Reason.LINK_FULL
            self.directory.on_closed(link.number, now.mono_ms, is_full)
            self.publishing.close_link(link)
            for other in self.fetcher.drop_link(link.number):
                self._pump(self.links[other], now)
            self._tell_progress()
        elif link.is_dialled:
            self.directory.on_failed(link.remote, now.mono_ms)
        self.dial(now)

    # --- Finding members --------------------------------------------------------------------------

    def learn(self, addresses: Sequence[Address], source: Source, now: Now) -> None:
        """Members may be there."""
        self.directory.add(addresses, source, now.mono_ms)
        self.dial(now)

    def on_dial_failed(self, address: Address, now: Now) -> None:
        """Nobody answered."""
        self.directory.on_failed(address, now.mono_ms)
        self.dial(now)

    def dial(self, now: Now) -> None:
        """Dial until there are as many links as wanted, or nobody is left to try."""
        if self.is_leaving:
            return
        ordinary = limits.LINKS_DIALLED_TARGET + limits.LINKS_ELSEWHERE_TARGET
        wanted = ordinary - len(self._dialled) - self.directory.dialling
        extra = limits.LINKS_GIVEN_EXTRA if self.directory.has_given else 0
        if wanted + extra <= 0:
            return  # until a link ends, or people give an address
        dialled = [link.remote for link in self._dialled.values()]
        own = frozenset(map(subnet_of, {link.local.host for link in self.links.values()}))
        for address in self.directory.next_dials(wanted, now.mono_ms, dialled, own, extra):
            self._core.emit(Dial(self.board.id, address))
        soon_ms = now.mono_ms + (100 if wanted > 0 else _FULL_PATIENCE_MS)
        due_ms = self.directory.next_due_ms(dialled, own, wanted, soon_ms)
        if due_ms is not None:
            self._core.timers.set((Due.DIAL, self.board.id), max(due_ms, soon_ms))

    def refresh(self, now: Now) -> None:
        """Give up one dialled link for somebody else, where there is somebody else."""
        self._set(Due.REFRESH, now, self._core.chance.between(limits.LINK_REFRESH_MS_RANGE))
        dialled = list(self._dialled.values())
        if len(dialled) >= limits.LINKS_DIALLED_TARGET and self.directory.has_others():
            self._core.hang_up(self._core.chance.one_of(dialled), Reason.LINK_REFRESH, now)

    def tell_peers(self, link: Link, now: Now) -> None:
        """Tell a peer where other members are, so that a board crosses subnets once one does."""
        delay_ms = self._core.chance.between(limits.PEERS_TOLD_MS_RANGE)
        self._core.timers.set((Due.PEERS, link.number), now.mono_ms + delay_ms)
        addresses = self.directory.to_tell(link.listening)
        if addresses:
            link.send(Peers(addresses))

    # --- Messages ---------------------------------------------------------------------------------

    def on_message(self, link: Link, message: Message, now: Now) -> None:
        """A message of an open link.

        :raises Refused: the link is to be hung up.
        """
        match message:
            case Announce():
                self._on_announce(link, message, now)
            case Want():
                self._on_want(link, message)
            case Entries():
                self._on_entries(link, message, now)
            case Ask():
                link.send(Answer(respond(self.index, message.step, limits.RECONCILE_BYTES_MAX)))
            case Answer():
                self._on_answer(link, message, now)
            case Nudge():
                self.reconcile(link)
            case Peers():
                self.learn_each(message.addresses, now)
            case RelayRecords():
                self.publishing.on_records(link, message, now)
            case Ping():
                link.send(Pong())
            case Pong():
                pass
            case _:
                raise Refused(Reason.LINK_MESSAGE_UNEXPECTED, "not on an open link")

    def learn_each(self, addresses: Iterable[Address], now: Now) -> None:
        """Addresses that a peer told, each of another node. One that no honest peer would tell is
        left out: nobody shall make us knock at our own machine's doors."""
        for address in addresses:
            if address not in self.directory and is_worth_telling(address):
                self.directory.add([address], Source.TOLD, now.mono_ms)
        self.dial(now)

    def _on_announce(self, link: Link, announce: Announce, now: Now) -> None:
        oldest = oldest_bucket(self.board, now.wall_s)
        for _, identifier in announce.items:
            link.announcing.pop(identifier, None)  # what the peer has is no news to it
        timely = [
            (bucket, identifier)
            for bucket, identifier in announce.items
            if bucket >= oldest and not self._is_deferred(identifier, now)
        ]
        new = [i for bucket, i in timely if not self.index.contains(bucket * BUCKET_SECONDS, i)]
        self.fetcher.offer(link.number, new)
        if self._lacking:
            lacking = [i for _, i in timely if i in self._lacking]
            self.fetcher.offer(link.number, lacking, is_for_payload=True)
        self._pump(link, now)

    # --- Reconciling ------------------------------------------------------------------------------

    def reconcile(self, link: Link) -> None:
        """Compare sets with the peer, unless that is under way."""
        if link.initiator is None:
            link.initiator = Initiator(
                self.index, limits.RECONCILE_BYTES_MAX, have_max=limits.ANNOUNCE_ITEMS_MAX + 1
            )
            link.rounds, link.have = 0, []
            link.is_asking = True
            link.send(Ask(link.initiator.start()))
            self._tell_progress()

    def _on_answer(self, link: Link, answer: Answer, now: Now) -> None:
        if link.initiator is None or not link.is_asking:
            raise Refused(Reason.LINK_MESSAGE_UNEXPECTED, "an answer to no question")
        link.is_asking = False
        link.rounds += 1
        if link.rounds > limits.RECONCILE_ROUNDS_MAX:
            raise Refused(Reason.RECONCILE_ROUNDS, "no end in sight")
        step = link.initiator.receive(answer.step)
        link.have += step.have
        self.fetcher.offer(
            link.number, [need for need in step.need if not self._is_deferred(need, now)]
        )
        if step.reply is None:
            self._finish_reconciling(link, now)
        else:
            link.held_step = step.reply
        self._pump(link, now)

    def _finish_reconciling(self, link: Link, now: Now) -> None:
        link.initiator = None
        if len(link.have) > limits.ANNOUNCE_ITEMS_MAX:
            # Pushing that many would overrun the peer; it fetches at its own pace.
            link.send(Nudge())
        elif link.have:
            link.send(Announce([(at_s // BUCKET_SECONDS, i) for at_s, i in link.have]))
        link.have = []
        if link.is_dialled:
            delay_ms = self._core.chance.between(limits.RECONCILE_AGAIN_MS_RANGE)
            self._core.timers.set((Due.RECONCILE, link.number), now.mono_ms + delay_ms)
        self._tell_progress()
        self._ask_for_unasked(now)

    # --- Fetching ---------------------------------------------------------------------------------

    def _pump(self, link: Link, now: Now) -> None:
        """Ask the peer for as much as may be under way, and go on reconciling when little is left
        to fetch of what it found, so that no list grows with the board."""
        if (
            self.fetcher.is_idle(link.number)
            and link.held_step is None
            and not self.fetcher.has_dropped
        ):
            # So it is with most links, each time that one has something to say.
            self._core.timers.cancel((Due.REQUEST, link.number))
            return
        while (request := self.fetcher.next_request(link.number, now.mono_ms)) is not None:
            link.send(Want(*request))
        overdue_ms = self.fetcher.next_deadline_ms(link.number)
        if overdue_ms is None:
            self._core.timers.cancel((Due.REQUEST, link.number))
        else:
            self._core.timers.set((Due.REQUEST, link.number), overdue_ms)
        if self.fetcher.queued(link.number) < limits.WANTED_LOW:
            if link.held_step is not None:
                link.is_asking = True
                link.send(Ask(link.held_step))
                link.held_step = None
            elif self.fetcher.has_dropped and self.fetcher.wanted < limits.WANTED_LOW:
                self.fetcher.has_dropped = False
                self.reconcile(link)

    def _pump_all(self, now: Now) -> None:
        for link in list(self.links.values()):
            self._pump(link, now)

    def _on_entries(self, link: Link, message: Entries, now: Now) -> None:
        self.fetcher.check_request(link.number, message.request)
        taken: list[Entry] = []
        try:
            for wire in message.entries:
                entry = self._take_in(link, message.request, wire, now)
                if entry is not None:
                    taken.append(entry)
        finally:
            # What came before a fault is good all the same.
            self._verify(taken, link.number)
        others = self.fetcher.on_part(link.number, message.request, message.last)
        for other in others:
            self._pump(self.links[other], now)
        self._pump(link, now)

    def _take_in(self, link: Link, request: int, wire: WireEntry, now: Now) -> Entry | None:
        try:
            entry = decode_entry(self.board, *wire, now.wall_s)
        except Refused as refused:
            if refused.reason not in _UNTIMELY:
                raise
            identifier = entry_id(self.board, wire.raw)
            self.fetcher.on_entry(link.number, request, identifier, now.mono_ms)
            self.fetcher.landed(identifier)
            self._defer(identifier, now)
            return None
        if entry.payload is None and entry.id in self._lacking:
            # As if it were left out: with the end of the answer others are asked for it.
            self.fetcher.check_asked(link.number, request, entry.id)
            return None
        self.fetcher.on_entry(link.number, request, entry.id, now.mono_ms)
        return entry

    def publish_here(self, wire: WireEntry, now: Now) -> None:
        """Somebody's cells have brought an entry: keep it and announce it to everybody. What is
        wrong with it is nobody's fault that could be named."""
        try:
            entry = decode_entry(self.board, *wire, now.wall_s)
        except Refused:
            return
        is_lacking = entry.payload is not None and entry.id in self._lacking
        is_known = self.index.contains(entry.timestamp, entry.id) and not is_lacking
        if not (is_known or entry.id in self.fetcher.arriving or self.fetcher.is_full):
            self.fetcher.unwanted(entry.id)
            self.fetcher.arriving.add(entry.id)
            self._verify([entry], NOBODY)

    def _verify(self, entries: list[Entry], link: int) -> None:
        if entries:
            batch = Batch(self, tuple(entries), dict.fromkeys((e.id for e in entries), link))
            self._core.emit(Verify(self._core.new_token(batch), batch.entries))

    def on_verified(self, batch: Batch, is_valid: Sequence[bool], now: Now) -> None:
        """Signatures were checked: store what is signed, hang up on who sent what is not."""
        signed = tuple(entry for entry, valid in zip(batch.entries, is_valid, strict=True) if valid)
        guilty: dict[int, None] = {}
        for entry, valid in zip(batch.entries, is_valid, strict=True):
            if not valid:
                self.fetcher.landed(entry.id)
                guilty[batch.sources[entry.id]] = None
        if signed:
            storing = Batch(self, signed, batch.sources)
            self._core.emit(Store(self._core.new_token(storing), self.board.id, signed))
        for number in guilty:
            if number in self.links:
                self._core.hang_up(self.links[number], Reason.ENTRY_SIGNATURE, now)

    def on_store_failed(self, batch: Batch) -> None:
        """Nothing is lost but time: it will be found missing again."""
        for entry in batch.entries:
            self.fetcher.landed(entry.id)

    def on_stored(self, batch: Batch, lacking: Sequence[bytes], now: Now) -> None:
        """Entries are durable: now they exist, for peers too."""
        arrived = []
        for entry in batch.entries:
            self.fetcher.landed(entry.id)
            is_new = self.index.insert(entry.timestamp, entry.id)
            # Without its payload it is not back: whoever holds that back would have silenced it.
            if entry.id not in lacking and self.publishing.take_back(entry.id):
                self._core.emit(Tell(CameBack(self.board.id, entry.id)))
            is_filled = entry.payload is not None and self._lacking.pop(entry.id, 0) is None
            if is_new or is_filled:
                arrived.append(entry)
                self._announce(entry, batch.sources[entry.id], now)
        self._note_lacking(lacking, batch)
        if arrived:
            self._core.emit(Tell(EntriesArrived(self.board.id, tuple(arrived))))
        self._pump_all(now)
        self._tell_progress()

    def _note_lacking(self, lacking: Sequence[bytes], batch: Batch) -> None:
        for identifier in lacking:
            if len(self._lacking) >= limits.LACKING_MAX:
                # The oldest may have expired, and nobody seems to have it.
                del self._lacking[next(iter(self._lacking))]
            self._lacking[identifier] = None
            for number in self.links:
                if number != batch.sources[identifier]:
                    self.fetcher.offer(number, [identifier], is_for_payload=True)

    def want_payloads(self, identifiers: Sequence[bytes]) -> None:
        """Payloads that were not wanted before are. Peers are asked for them when they are asked
        things anyway: nobody shall see by a packet when a user takes a rule back (O-5)."""
        room = limits.LACKING_MAX - len(self._lacking)
        for identifier in identifiers[:room]:
            self._lacking[identifier] = self._unasked[identifier] = None

    def _ask_for_unasked(self, now: Now) -> None:
        if self._unasked:
            unasked, self._unasked = list(self._unasked), {}
            for link in self.links.values():
                self.fetcher.offer(link.number, unasked, is_for_payload=True)
            self._pump_all(now)

    def _tell_progress(self) -> None:
        """Tell the application how far fetching is, where that has changed."""
        is_reconciling = any(map(_initiator_of, self.links.values()))
        wanted = self.fetcher.wanted + len(self.fetcher.arriving)
        progress = (self.fetcher.fetched, wanted, is_reconciling)
        if progress != self._progress:
            self._progress = progress
            self._core.emit(Tell(SyncProgress(self.board.id, *progress)))

    def _is_deferred(self, identifier: bytes, now: Now) -> bool:
        return bool(self._deferred) and self._deferred.get(identifier, 0) > now.mono_ms

    def _defer(self, identifier: bytes, now: Now) -> None:
        if len(self._deferred) >= limits.DEFERRED_MAX:
            del self._deferred[next(iter(self._deferred))]
        self._deferred[identifier] = now.mono_ms + limits.DEFERRED_MS

    # --- Announcing -------------------------------------------------------------------------------

    def _announce(self, entry: Entry, source: int, now: Now) -> None:
        for link in self.links.values():
            if link.number != source:
                self._announce_to(link, entry, now)

    def _announce_to(self, link: Link, entry: Entry, now: Now) -> None:
        if not link.announcing:
            jitter_ms = self._core.chance.below(limits.ANNOUNCE_JITTER_MS_MAX + 1)
            # Earlier where relay records are due already: they must not wait for longer.
            self._core.timers.set_earlier((Due.ANNOUNCE, link.number), now.mono_ms + jitter_ms)
        if len(link.announcing) <= limits.ANNOUNCE_QUEUE_MAX:
            link.announcing[entry.id] = entry.header.bucket

    def announce_due(self, link: Link, now: Now) -> None:
        """Send what has gathered for this peer."""
        self.publishing.tell_due(link)
        items = [(bucket, identifier) for identifier, bucket in link.announcing.items()]
        link.announcing = {}
        if len(items) > limits.ANNOUNCE_QUEUE_MAX:
            link.send(Nudge())
            return
        for start in range(0, len(items), limits.ANNOUNCE_ITEMS_MAX):
            link.send(Announce(items[start : start + limits.ANNOUNCE_ITEMS_MAX]))

    # --- Serving ----------------------------------------------------------------------------------

    def _on_want(self, link: Link, want: Want) -> None:
        if len(link.asked_for) > limits.REQUESTS_PER_LINK_MAX:
            raise Refused(Reason.LINK_MESSAGE_UNEXPECTED, "too many requests at once")
        link.asked_for.append((want.request, tuple(want.ids)))
        self.serve(link)

    def serve(self, link: Link) -> None:
        """Read the next part of what the peer wants, as long as it reads what it got."""
        if link.is_loading or not link.asked_for or link.unsent_bytes > limits.SEND_LOW_BYTES:
            return
        request, ids = link.asked_for.popleft()
        link.is_loading = True
        token = self._core.new_token(Batch(self, link=link.number, request=request, ids=ids))
        self._core.emit(Load(token, self.board.id, ids, limits.ENTRIES_BATCH_BYTES))

    def on_loaded(self, batch: Batch, covered: int, entries: Sequence[Entry]) -> None:
        """Part of an answer is read; the rest of the request stays first in the queue."""
        link = self.links.get(batch.link)
        if link is None:
            return
        link.is_loading = False
        rest = batch.ids[covered:]
        if rest:
            link.asked_for.appendleft((batch.request, rest))
        wire = [WireEntry(entry.raw, entry.signature, entry.payload) for entry in entries]
        link.send(Entries(batch.request, not rest, wire))
        self.serve(link)

    # --- Forgetting -------------------------------------------------------------------------------

    def expire(self, now: Now) -> None:
        """What is older than the board keeps goes, without trace."""
        oldest = max(0, oldest_bucket(self.board, now.wall_s))
        self.publishing.drop_before(oldest)
        if self.index.remove_before(oldest * BUCKET_SECONDS) or not len(self.index):
            self._core.emit(Expire(self.board.id, oldest))
        self._ask_for_unasked(now)
        self._set(Due.EXPIRE, now, limits.EXPIRE_EVERY_MS)

    def _set(self, due: Due, now: Now, delay_ms: int) -> None:
        self._core.timers.set((due, self.board.id), now.mono_ms + delay_ms)


def _arriving_max(board: Board) -> int:
    """Entries of this board that may be between the network and the disk: bounded in bytes."""
    entry_bytes_max = limits.HEADER_BYTES_MAX + board.descriptor.payload_bytes_max
    return min(limits.ARRIVING_MAX, limits.ARRIVING_BYTES_MAX // entry_bytes_max)
