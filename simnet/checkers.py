"""What must hold in every world, looked at while it runs: the rules that no fault may break.

Two ways of looking. *At once*: each message that an honest host sends or gets, and each event that
it tells its application, is held against its disk at that moment; that costs a few look-ups.
*Scans*: each host is gone through every few virtual seconds and at each start, before the network
can put right what a crash has lost. A scan looks at what is new since the last one, and every so
often at everything.

The checkers know the truth from outside of the core: they decode and verify what is on a disk
themselves, and know an own entry from the host's user, not from its outbox. Adversaries are not
held to anything; what they make honest hosts do is.

Rules, by the names that violations carry:

=====================  ===========================================================================
invalid-stored         an entry on a disk is not valid by its bytes, its board and the clock
invalid-shown          the application was told of an entry that is not on the disk, or not valid
acknowledged-lost      an entry whose writer was told "kept" is neither in outbox nor on disk
told-lost              something that peers were told of, or given, is not on the disk any more
announced-not-durable  announced before it was on the disk
served-not-durable     given to a peer before it was on the disk
answer-incomplete      asked for, on the disk, and left out of the answer
own-early              an own entry announced, served, counted or shown as back before the
                       network brought it
index-disk             what the core says it has is not what the disk has
bound                  a queue or table is longer than protocol.limits says
not-converged          healed and calm, and after the stated time not everybody has everything
=====================  ===========================================================================
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from protocol import effects, limits
from protocol.board import Board
from protocol.entry import (
    BUCKET_SECONDS,
    Entry,
    bucket_of,
    check_signature,
    decode_entry,
    entry_id,
    oldest_bucket,
)
from protocol.errors import Refused
from protocol.gossip import Gossip
from protocol.link import Link
from protocol.messages import Announce, Answer, Ask, Entries, Message, Want
from protocol.node import Node
from simnet.disk import Disk
from simnet.trouble import heal

if TYPE_CHECKING:
    from simnet.host import Host
    from simnet.world import World

#: Each host is gone through this often.
SCAN_US = 4_000_000
#: Every so many scans of a host look at everything, changed or not.
WHOLE_SCAN_EVERY = 8
#: A broken rule breaks again with each message; nobody reads more.
VIOLATIONS_MAX = 200

#: Entries on their way to the disk: what was asked for comes still, when peers have handed over as
#: many; and each link may always be asked for a few.
_ARRIVING_MAX = 2 * limits.ARRIVING_MAX + limits.LINKS_PER_BOARD_MAX * limits.REQUEST_IDS_LEAST


class Violated(AssertionError):
    """A rule was broken, in a world whose checkers are strict."""


@dataclass(frozen=True, slots=True)
class Violation:
    """:ivar at_us: virtual microseconds since the start.
    :ivar host: its number.
    :ivar rule: a name of the table above.
    :ivar detail: one clause.
    """

    at_us: int
    host: int
    rule: str
    detail: str

    def __str__(self) -> str:
        return f"{self.at_us / 1e6:.3f} s, host {self.host}: {self.rule}: {self.detail}"


@dataclass(slots=True)
class _Answering:
    """A request that a host got and has not answered whole."""

    request: int
    ids: list[bytes]
    sent: int = 0


@dataclass(slots=True)
class _Kept:
    """What is known of one board on one host.

    :ivar own: by id, all acknowledged entries.
    :ivar away: by encoding, the own entries that the network has not brought yet.
    :ivar told: what peers were told of or given: the bucket by id.
    :ivar checked: ids on the disk that were found valid, and in the index.
    :ivar sizes: how long everything was at the last scan.
    """

    board: Board
    own: dict[bytes, Entry] = field(default_factory=dict)
    away: dict[bytes, Entry] = field(default_factory=dict)
    told: dict[bytes, int] = field(default_factory=dict)
    checked: set[bytes] = field(default_factory=set)
    sizes: tuple[int, ...] = ()


@dataclass(slots=True)
class _Watched:
    """:ivar wall_s: the latest that its wall clock has ever shown."""

    host: Host
    kept: dict[bytes, _Kept] = field(default_factory=dict)
    answering: dict[int, deque[_Answering]] = field(default_factory=dict)
    scans: int = 0
    wall_s: int = 0


class Checkers:
    """Watches all honest hosts of a world, those that come later included.

    :param strict: raise :class:`Violated` at the first violation.
    :param skip: rules that are not looked at: a publishing strategy that serves own entries at
        once, on purpose, skips "own-early".
    :ivar violations: each (host, rule, detail) once.
    :ivar converged: None until :meth:`check_converged`.
    :ivar converged_after_s: virtual seconds from healing to convergence.
    """

    def __init__(self, world: World, strict: bool = False, skip: Collection[str] = ()) -> None:
        self.world = world
        self.strict = strict
        self.skip = frozenset(skip)
        self.violations: list[Violation] = []
        self.converged: bool | None = None
        self.converged_after_s: float | None = None
        self._watched: dict[int, _Watched] = {}
        self._known: set[tuple[int, str, str]] = set()
        self._valid: set[Entry] = set()
        self._watch_all()
        world.after(SCAN_US, self._scan_again)

    # --- Whom to watch ----------------------------------------------------------------------------

    def watch(self, host: Host) -> None:
        """Watch one more host from now on; one that is watched, or not honest, is no fault."""
        if host.number in self._watched or host.role != "honest":
            return
        watched = _Watched(host)
        self._watched[host.number] = watched
        host.listeners.append(self._on_message)
        host.on_event.append(self._on_event)
        host.on_acknowledged.append(self._on_acknowledged)
        host.on_start.append(self._on_start)
        for entry in host.acknowledged:
            self._on_acknowledged(host, entry)

    def _watch_all(self) -> None:
        for host in self.world.hosts:
            self.watch(host)

    @property
    def hosts(self) -> list[Host]:
        """The honest hosts."""
        return [watched.host for watched in self._watched.values()]

    def _kept_of(self, host: Host, board: Board) -> _Kept:
        kept = self._watched[host.number].kept
        if board.id not in kept:
            kept[board.id] = _Kept(board)
        return kept[board.id]

    def _report(self, host: Host, rule: str, detail: str) -> None:
        key = (host.number, rule, detail)
        if rule in self.skip or key in self._known or len(self.violations) >= VIOLATIONS_MAX:
            return
        self._known.add(key)
        violation = Violation(self.world.now_us, host.number, rule, detail)
        self.violations.append(violation)
        if self.strict:
            raise Violated(str(violation))

    # --- At once ----------------------------------------------------------------------------------

    def _on_acknowledged(self, host: Host, entry: Entry) -> None:
        for board in host.boards.values():
            if board.tag == entry.header.board_tag:
                kept = self._kept_of(host, board)
                kept.own[entry.id] = entry
                kept.away[entry.raw] = entry

    def _on_start(self, host: Host) -> None:
        watched = self._watched[host.number]
        watched.answering.clear()
        self._scan(watched, is_whole=True)

    def _on_message(self, host: Host, link: Link, is_sent: bool, message: Message) -> None:
        if link.board is None:
            return
        kept = self._kept_of(host, link.board)
        match message:
            case Announce() if is_sent:
                self._check_announced(host, kept, message)
            case Entries() if is_sent:
                self._check_served(host, kept, link, message)
            case Ask() | Answer() if is_sent and kept.away:
                self._check_counted(host, kept)
            case Entries():
                for wire in message.entries:
                    kept.away.pop(wire.raw, None)
            case Want() if not is_sent:
                disk = host.disks[link.board.id]
                present = [identifier for identifier in message.ids if identifier in disk.entries]
                queue = self._watched[host.number].answering.setdefault(link.number, deque())
                queue.append(_Answering(message.request, present))

    def _check_announced(self, host: Host, kept: _Kept, announce: Announce) -> None:
        disk = host.disks[kept.board.id]
        oldest = oldest_bucket(kept.board, host.now().wall_s)
        for bucket, identifier in announce.items:
            if self._is_away(kept, identifier):
                self._report(host, "own-early", f"announced {_short(identifier)}")
            elif identifier in disk.entries:
                kept.told[identifier] = bucket
            elif bucket >= oldest:
                self._report(host, "announced-not-durable", _short(identifier))

    def _check_served(self, host: Host, kept: _Kept, link: Link, message: Entries) -> None:
        disk = host.disks[kept.board.id]
        for wire in message.entries:
            identifier = entry_id(kept.board, wire.raw)
            if wire.raw in kept.away:
                self._report(host, "own-early", f"served {_short(identifier)}")
            elif identifier in disk.entries:
                kept.told[identifier] = disk.entries[identifier].header.bucket
            else:
                self._report(host, "served-not-durable", _short(identifier))
        queue = self._watched[host.number].answering.get(link.number)
        if not queue or queue[0].request != message.request:
            return
        queue[0].sent += len(message.entries)
        if message.last:
            answered = queue.popleft()
            # What expired while it was answered is not missed.
            present = sum(identifier in disk.entries for identifier in answered.ids)
            if answered.sent < present:
                self._report(host, "answer-incomplete", f"{answered.sent} of {present} entries")

    def _check_counted(self, host: Host, kept: _Kept) -> None:
        gossip = host.node.boards.get(kept.board.id)
        for entry in kept.away.values():
            if gossip is not None and gossip.index.contains(entry.timestamp, entry.id):
                self._report(host, "own-early", f"counted {_short(entry.id)}")

    @staticmethod
    def _is_away(kept: _Kept, identifier: bytes) -> bool:
        own = kept.own.get(identifier)
        return own is not None and own.raw in kept.away

    def _on_event(self, host: Host, event: effects.Event) -> None:
        match event:
            case effects.EntriesArrived():
                kept = self._kept_of(host, host.boards[event.board_id])
                for entry in event.entries:
                    stored = host.disks[event.board_id].entries.get(entry.id)
                    if stored is None or not self._is_valid(kept.board, entry):
                        self._report(host, "invalid-shown", _short(entry.id))
            case effects.CameBack():
                kept = self._kept_of(host, host.boards[event.board_id])
                if self._is_away(kept, event.id):
                    self._report(host, "own-early", f"shown as back {_short(event.id)}")
            case effects.LinkDown():
                self._watched[host.number].answering.pop(event.link, None)

    # --- Scans ------------------------------------------------------------------------------------

    def _scan_again(self) -> None:
        self._watch_all()
        for watched in list(self._watched.values()):
            watched.scans += 1
            self._scan(watched, is_whole=watched.scans % WHOLE_SCAN_EVERY == 0)
        self.world.after(SCAN_US, self._scan_again)

    def scan(self) -> None:
        """Go through everything now; at the end of a run, say."""
        self._watch_all()
        for watched in self._watched.values():
            self._scan(watched, is_whole=True)

    def _scan(self, watched: _Watched, is_whole: bool) -> None:
        host = watched.host
        watched.wall_s = max(watched.wall_s, host.now().wall_s)
        for board in host.boards.values():
            kept = self._kept_of(host, board)
            disk = host.disks[board.id]
            gossip = host.node.boards.get(board.id) if host.is_on else None
            self._check_counted(host, kept)
            sizes = (len(disk.entries), len(disk.outbox), len(kept.own), len(kept.told), host.boot)
            if is_whole or sizes != kept.sizes:
                kept.sizes = sizes
                self._check_lost(watched, kept, disk)
                self._check_stored(watched, kept, disk)
            if gossip is not None:
                self._check_index(host, gossip, disk, is_whole)
                for what, length, bound in lengths(gossip):
                    if length > bound:
                        self._report(host, "bound", f"{what}: more than {bound}")
        if host.is_on:
            for what, length, bound in node_lengths(host.node):
                if length > bound:
                    self._report(host, "bound", f"{what}: more than {bound}")

    def _check_lost(self, watched: _Watched, kept: _Kept, disk: Disk) -> None:
        oldest = oldest_bucket(kept.board, watched.wall_s)
        for identifier in sorted(kept.told.keys() - disk.entries.keys()):
            if kept.told.pop(identifier) >= oldest:
                self._report(watched.host, "told-lost", _short(identifier))
        for identifier in sorted(kept.own.keys() - disk.entries.keys() - disk.outbox.keys()):
            if kept.own[identifier].header.bucket >= oldest:
                self._report(watched.host, "acknowledged-lost", _short(identifier))

    def _check_stored(self, watched: _Watched, kept: _Kept, disk: Disk) -> None:
        latest = bucket_of(watched.wall_s) + limits.FUTURE_BUCKETS_MAX
        for identifier in sorted(disk.entries.keys() - kept.checked):
            entry = disk.entries[identifier]
            if entry.id != identifier or not self._is_valid(kept.board, entry):
                self._report(watched.host, "invalid-stored", _short(identifier))
            elif entry.header.bucket > latest:
                self._report(watched.host, "invalid-stored", f"of the future {_short(identifier)}")
            kept.checked.add(identifier)

    def _is_valid(self, board: Board, entry: Entry) -> bool:
        if entry in self._valid:
            return True
        try:
            decoded = decode_entry(
                board,
                entry.raw,
                entry.signature,
                entry.payload,
                entry.header.bucket * BUCKET_SECONDS,
            )
            check_signature(decoded)
        except Refused:
            return False
        if decoded != entry:
            return False
        self._valid.add(entry)
        return True

    def _check_index(self, host: Host, gossip: Gossip, disk: Disk, is_whole: bool) -> None:
        if len(gossip.index) != len(disk.entries):
            self._report(host, "index-disk", "not as many entries")
        elif is_whole and list(gossip.index.keys()) != disk.keys():
            self._report(host, "index-disk", "not the same entries")

    # --- At the end -------------------------------------------------------------------------------

    def check_converged(self, within_s: float) -> bool:
        """Heal everything, then let the world run until every honest host has what any of them had
        (and has not forgotten), and every own entry has come back; whether it did in time.

        Adversaries go on with what they do. What they alone have is not asked for, and hosts that
        cannot reach each other by way of honest hosts are judged apart.
        """
        self._watch_all()
        heal(self.world, self.hosts)
        begun_us = self.world.now_us
        goals = self._goals()
        while self.world.now_us - begun_us <= within_s * 1e6:
            if all(goal.is_reached() for goal in goals):
                self.converged_after_s = (self.world.now_us - begun_us) / 1e6
                break
            self.world.run(1.0)
            heal(self.world, self.hosts)
        self.converged = self.converged_after_s is not None
        if not self.converged:
            for goal in goals:
                for host, detail in goal.lacks():
                    self._report(host, "not-converged", f"after {within_s:g} s {detail}")
        self.scan()
        return self.converged

    def _goals(self) -> list[_Goal]:
        boards = {board.id: board for host in self.hosts for board in host.boards.values()}
        return [
            _Goal.of(self.world, board, [host for host in part if board.id in host.boards])
            for part in honest_parts(self.world, self.hosts)
            for board in boards.values()
        ]


@dataclass(slots=True)
class _Goal:
    """What each of some hosts must have of one board.

    :ivar wanted: ids; :ivar readable: those of them whose payload some host has.
    """

    board: Board
    hosts: list[Host]
    wanted: set[bytes]
    readable: set[bytes]

    @classmethod
    def of(cls, world: World, board: Board, hosts: list[Host]) -> _Goal:
        latest = bucket_of(world.wall_s) + limits.FUTURE_BUCKETS_MAX
        # What is about to expire is nobody's goal.
        oldest = oldest_bucket(board, world.wall_s) + 2
        wanted, readable = set(), set()
        for disk in (host.disks[board.id] for host in hosts):
            for entry in (*disk.entries.values(), *disk.outbox.values()):
                if oldest <= entry.header.bucket <= latest:
                    wanted.add(entry.id)
                    if entry.payload is not None:
                        readable.add(entry.id)
        return cls(board, hosts, wanted, readable)

    def is_reached(self) -> bool:
        return next(iter(self.lacks()), None) is None

    def lacks(self) -> Iterable[tuple[Host, str]]:
        """Each host that is not there yet, and why not."""
        if len(self.hosts) < 2:
            return
        for host in self.hosts:
            disk = host.disks[self.board.id]
            missing = self.wanted - disk.entries.keys()
            missing -= {i for i in missing & disk.outbox.keys() if not self._wants(host, i)}
            if missing:
                yield host, f"{len(missing)} of {len(self.wanted)} entries are missing"
            elif waiting := [i for i in sorted(disk.outbox) if self._wants(host, i)]:
                yield host, f"{len(waiting)} own entries did not come back"
            elif unread := self._unread(host, disk):
                yield host, f"{unread} payloads are missing"

    def _wants(self, author: Host, identifier: bytes) -> bool:
        # What everybody has forgotten whom the author reaches can't come back: a payload comes from
        # a neighbour, and none of them passes on, or takes in again, what it has forgotten.
        return identifier in self.wanted and any(
            identifier not in host.disks[self.board.id].forgotten
            for host in self.hosts
            if host is not author and _reaches(author, host)
        )

    def _unread(self, host: Host, disk: Disk) -> int:
        lacking = [
            i for i in disk.lacking() if i in self.readable and self._is_readable_elsewhere(host, i)
        ]
        return len(lacking)

    def _is_readable_elsewhere(self, host: Host, identifier: bytes) -> bool:
        # Whoever had it may have forgotten it since; and nobody passes on what it has forgotten.
        for other in self.hosts:
            entry = other.disks[self.board.id].entries.get(identifier)
            if entry is not None and entry.payload is not None and _reaches(host, other):
                return True
        return False


def _reaches(one: Host, other: Host) -> bool:
    """Whether there is a way from one host to the other without a third."""
    topology = one.world.topology
    segments = topology.segments[other.number]
    return any(topology.way(one.number, other.number, segment) for segment in segments)


def honest_parts(world: World, hosts: Sequence[Host]) -> list[list[Host]]:
    """The hosts, by who can reach whom over ways that only lead through these hosts."""
    topology = world.topology
    if topology.edges is None and topology.between is not None:
        return [list(hosts)]
    # Each host joins its rooms: its segments, or in a graph its edges.
    parts: list[tuple[set[object], list[Host]]] = []
    for host in hosts:
        if topology.edges is None:
            rooms: set[object] = set(topology.segments[host.number])
        else:
            near = topology.edges[host.number]
            rooms = {frozenset((host.number, other)) for other in near}
        met = [part for part in parts if part[0] & rooms]
        parts = [part for part in parts if not part[0] & rooms]
        members = [member for part in met for member in part[1]]
        parts.append((rooms.union(*(part[0] for part in met)), [*members, host]))
    return [members for _, members in parts]


# --- Bounds -----------------------------------------------------------------------------------

Length = tuple[str, int, int]

#: Of a board's machine: what, how long it is, how long it may be.
_TABLES: tuple[tuple[str, Callable[[Gossip], int], int], ...] = (
    ("links", lambda g: len(g.links), limits.LINKS_PER_BOARD_MAX),
    (
        "links dialled",
        lambda g: sum(link.is_dialled for link in g.links.values()) + g.directory.dialling,
        limits.LINKS_DIALLED_MAX,
    ),
    ("wanted", lambda g: g.fetcher.wanted, limits.WANTED_MAX),
    ("arriving", lambda g: len(g.fetcher.arriving), _ARRIVING_MAX),
    ("lacking", lambda g: len(g._lacking), limits.LACKING_MAX),
    ("deferred", lambda g: len(g._deferred), limits.DEFERRED_MAX),
    ("outbox", lambda g: len(g.publishing.outbox), limits.OUTBOX_MAX),
    ("relays", lambda g: len(g.publishing.relays), limits.RELAYS_MAX + 4 * limits.RELAY_HOSTS_MAX),
    ("cells held", lambda g: len(g.publishing.mix._held), limits.CELLS_HELD_MAX),
    ("cells queued", lambda g: g.publishing.mix.queued, limits.OUTBOX_MAX * limits.PIECES_MAX),
    ("transfers", lambda g: len(g.publishing.mix._assembly), limits.TRANSFERS_MAX),
    ("loops", lambda g: len(g.publishing.mix._loops), limits.LOOPS_REMEMBERED_MAX),
    ("own keys", lambda g: len(g.publishing.mix._keys), 3 * limits.RELAY_HOSTS_MAX),
    ("addresses", lambda g: len(g.directory), limits.ADDRESSES_PER_BOARD_MAX),
    ("own addresses", lambda g: len(g.directory._own), limits.ADDRESSES_PER_BOARD_MAX),
    ("dials", lambda g: len(g.directory._dialling), limits.DIALS_AT_ONCE_MAX),
    ("linked addresses", lambda g: len(g.directory._linked), limits.LINKS_PER_BOARD_MAX),
    (
        "holders",
        lambda g: max((len(holders) for holders in g.fetcher._holders.values()), default=0),
        limits.LINKS_PER_BOARD_MAX,
    ),
)

#: Of a link; where an answer under way goes back into its queue, that is one more.
_LINK_TABLES: tuple[tuple[str, Callable[[Link], int], int], ...] = (
    ("unsent bytes", lambda link: link.unsent_bytes, limits.SEND_BYTES_MAX),
    ("announcing", lambda link: len(link.announcing), limits.ANNOUNCE_QUEUE_MAX + 1),
    ("asked for", lambda link: len(link.asked_for), limits.REQUESTS_PER_LINK_MAX + 2),
    ("have", lambda link: len(link.have), 2 * limits.ANNOUNCE_ITEMS_MAX),
    ("held step", lambda link: len(link.held_step or b""), limits.RECONCILE_MESSAGE_BYTES_MAX),
    ("messages unsealed", lambda link: len(link._outgoing), 0),
)


def lengths(gossip: Gossip) -> Iterable[Length]:
    """Each queue and table of a board's machine: its name, its length, its bound."""
    for what, length, bound in _TABLES:
        yield what, length(gossip), bound
    for source in gossip.fetcher._sources.values():
        # Husks, and what another link passed on, stand in it besides what is wanted.
        yield "queue of a link", len(source.queue), 2 * limits.WANTED_MAX
        yield "requests of a link", len(source.requests), limits.REQUESTS_PER_LINK_MAX
    for link in gossip.links.values():
        for what, link_length, bound in _LINK_TABLES:
            yield what, link_length(link), bound


def node_lengths(node: Node) -> Iterable[Length]:
    """What a node keeps besides its boards."""
    links_max = limits.LINKS_UNPROVEN_MAX + (
        limits.LINKS_PER_BOARD_MAX + limits.LINKS_DIALLED_MAX
    ) * len(node.boards)
    unproven = [link for link in node.links.values() if not link.is_open and not link.is_dialled]
    yield "links unproven", len(unproven), limits.LINKS_UNPROVEN_MAX
    yield "links of the node", len(node.links), links_max
    yield "first messages", len(node._doorkeeper._seen), limits.REPLAYS_REMEMBERED_MAX
    yield "work under way", len(node._batches), _ARRIVING_MAX + 4 * links_max
    yield "timers", len(node.timers), 8 * (links_max + len(node.boards))


def _short(identifier: bytes) -> str:
    return identifier.hex()[:12]
