"""The checkers: they watch every honest host while a world runs."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection
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
from simnet.checkers.bounds import lengths, node_lengths
from simnet.checkers.goals import Goal, honest_parts
from simnet.checkers.violations import Violated, Violation
from simnet.disk import Disk
from simnet.trouble import heal

if TYPE_CHECKING:
    from simnet.host import Host
    from simnet.world import World


#: Messages that can break a rule.
_LOOKED_AT = frozenset((Announce, Answer, Ask, Entries, Want))
#: Each host is gone through this often.
SCAN_US = 4_000_000
#: Every so many scans of a host look at everything, changed or not.
WHOLE_SCAN_EVERY = 8
#: A broken rule breaks again with each message; nobody reads more.
VIOLATIONS_MAX = 200


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
        if link.board is None or type(message) not in _LOOKED_AT:
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

    def _goals(self) -> list[Goal]:
        boards = {board.id: board for host in self.hosts for board in host.boards.values()}
        return [
            Goal.of(self.world, board, [host for host in part if board.id in host.boards])
            for part in honest_parts(self.world, self.hosts)
            for board in boards.values()
        ]


def _short(identifier: bytes) -> str:
    return identifier.hex()[:12]
