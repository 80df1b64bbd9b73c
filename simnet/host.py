"""One virtual laptop: the real core, and a driver for it with a disk that a crash can cut."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from protocol import effects, inputs
from protocol.board import Board
from protocol.entry import Entry, Kind, check_signature, payload_text
from protocol.errors import Refused
from protocol.index import encode_key
from protocol.inputs import Now
from protocol.messages import Address
from protocol.node import Node
from protocol.persona import Draft, Persona, draft_post, draft_retraction
from simnet.network import Connection

if TYPE_CHECKING:
    from simnet.world import World

#: A host shows itself again in this time, as mDNS refreshes its records.
ADVERTISE_AGAIN_US = 20_000_000


@dataclass
class Disk:
    """What is durable of one board."""

    entries: dict[bytes, Entry] = field(default_factory=dict)
    forgotten: set[bytes] = field(default_factory=set)
    outbox: dict[bytes, Entry] = field(default_factory=dict)

    def put(self, entry: Entry) -> bool:
        """Store; whether the payload is wanted and lacking now."""
        self.outbox.pop(entry.id, None)
        known = self.entries.get(entry.id)
        if entry.id in self.forgotten:
            entry = entry._replace(payload=None)
        elif known is not None and known.payload is not None:
            entry = known
        self.entries[entry.id] = entry
        return entry.payload is None and entry.id not in self.forgotten

    def forget(self, identifier: bytes) -> None:
        """Keep the header, drop what it said."""
        self.forgotten.add(identifier)
        if identifier in self.entries:
            self.entries[identifier] = self.entries[identifier]._replace(payload=None)

    def lacking(self) -> tuple[bytes, ...]:
        """Ids whose payload was never had."""
        return tuple(
            identifier
            for identifier, entry in self.entries.items()
            if entry.payload is None and identifier not in self.forgotten
        )


class Host:
    """A host on the world's network.

    :ivar boot: counts the starts; what an earlier one began never reaches a later one.
    :ivar events: what the core told the application, all of it.
    :ivar skew_s: how far its wall clock is off.
    """

    def __init__(self, world: World, number: int, boards: list[Board]) -> None:
        self.world = world
        self.number = number
        self.boot = 0
        self.is_on = False
        self.skew_s = 0
        self.disks: dict[bytes, Disk] = {board.id: Disk() for board in boards}
        self.boards = {board.id: board for board in boards}
        self.events: list[effects.Event] = []
        self.hang_ups: list[effects.HangUp] = []
        self.node = Node(world.random(f"host {number}").randbytes)
        self._random = world.random(f"work {number}")
        self._writer_random = world.random(f"writer {number}")
        self._connections: dict[int, Connection] = {}
        self._ticking_us: int | None = None
        self._durable_us = 0
        self._shown: inputs.Advertised | None = None

    # --- Switching on and off ---------------------------------------------------------------------

    @property
    def address(self) -> Address:
        """Where it listens: a new port at each start."""
        return Address(f"10.1.{self.number // 250}.{self.number % 250 + 1}", 20_000 + self.boot)

    def source_address(self) -> Address:
        """What the other end of a connection that it dials sees."""
        return Address(self.address.host, 50_000)

    def start(self) -> None:
        """Switch on, with what is on the disk."""
        self.boot += 1
        self.is_on = True
        self._connections = {}
        self.node = Node(self.world.random(f"host {self.number} boot {self.boot}").randbytes)
        for board in self.boards.values():
            self._open(board)
        self._feed(inputs.ListeningOn(self.address.port))

    def join(self, board: Board, addresses: tuple[Address, ...] = ()) -> None:
        """Take part in one more board."""
        self.boards[board.id] = board
        self.disks[board.id] = Disk()
        self._open(board, addresses)

    def _open(self, board: Board, addresses: tuple[Address, ...] = ()) -> None:
        disk = self.disks[board.id]
        keys = sorted(encode_key(e.timestamp, e.id) for e in disk.entries.values())
        opened = inputs.BoardOpened(
            board, b"".join(keys), tuple(disk.outbox.values()), disk.lacking(), addresses
        )
        self._feed(opened)

    def crash(self) -> None:
        """Power off: what was not durable is gone, and all connections with it."""
        self.is_on = False
        self.boot += 1
        self.world.note("crash", self.number)
        self.world.network.host_died(self)

    # --- What its user does -----------------------------------------------------------------------

    def post(
        self,
        text: str,
        answering: Entry | None = None,
        persona: Persona | None = None,
        board: Board | None = None,
    ) -> tuple[Entry, Persona]:
        """Write a post; returns it and its persona, to write on with."""
        board = board or next(iter(self.boards.values()))
        thread = answering.thread if answering else None
        persona = persona or Persona.fresh(self._writer_random.randbytes, thread)
        parent = answering.id if answering else persona.prev if persona.thread else None
        draft = draft_post(
            board, persona, text, parent, self.now().wall_s, self._writer_random.randbytes
        )
        return self._publish(board, draft, persona)

    def retract(
        self, target: Entry, persona: Persona, board: Board | None = None
    ) -> tuple[Entry, Persona]:
        """Take an own entry back."""
        board = board or next(iter(self.boards.values()))
        draft = draft_retraction(board, persona, target.id, self.now().wall_s)
        return self._publish(board, draft, persona)

    def _publish(self, board: Board, draft: Draft, persona: Persona) -> tuple[Entry, Persona]:
        nonce = draft.mine(0, 1 << 24)
        if nonce is None:
            raise RuntimeError("no work found; give the board fewer work bits")
        entry = draft.sign(persona, nonce)
        self.disks[board.id].outbox[entry.id] = entry
        if self.is_on:
            self._feed(inputs.Publish(board.id, entry))
        return entry, persona.after(entry)

    def forget(self, entry: Entry, board: Board | None = None) -> None:
        """Drop a payload for good."""
        board = board or next(iter(self.boards.values()))
        self.disks[board.id].forget(entry.id)

    def ids(self, board: Board | None = None) -> set[bytes]:
        """The entries that it has."""
        return set(self.disks[(board or next(iter(self.boards.values()))).id].entries)

    def index_keys(self, board: Board | None = None) -> list[bytes]:
        """What its core says that it has, to be compared with its disk."""
        board = board or next(iter(self.boards.values()))
        return list(self.node.boards[board.id].index.keys())

    def stored_keys(self, board: Board | None = None) -> list[bytes]:
        """What its disk has, in the same form."""
        disk = self.disks[(board or next(iter(self.boards.values()))).id]
        return sorted(encode_key(entry.timestamp, entry.id) for entry in disk.entries.values())

    def texts(self, board: Board | None = None) -> list[str]:
        """What can be read, sorted."""
        disk = self.disks[(board or next(iter(self.boards.values()))).id]
        return sorted(
            payload_text(entry.payload)
            for entry in disk.entries.values()
            if entry.header.kind == Kind.POST and entry.payload is not None
        )

    # --- What the network tells -------------------------------------------------------------------

    def now(self) -> Now:
        """Its two clocks."""
        return Now(self.world.now_ms, self.world.wall_s + self.skew_s)

    def dial_failed(self, board_id: bytes, address: Address) -> None:
        """Nobody answered."""
        self._feed(inputs.DialFailed(board_id, address))

    def dialled(self, connection: Connection, address: Address, board_id: bytes) -> None:
        """A dial succeeded."""
        self._connections[connection.number] = connection
        local = self.source_address()
        self._feed(inputs.LinkOpened(connection.number, address, local, board_id))

    def accepted(self, connection: Connection, remote: Address) -> None:
        """Somebody dialled."""
        self._connections[connection.number] = connection
        self._feed(inputs.LinkOpened(connection.number, remote, self.address))

    def received(self, connection: Connection, piece: bytes) -> None:
        """Bytes arrived."""
        if connection.number in self._connections:
            self._feed(inputs.BytesReceived(connection.number, piece))

    def sent(self, connection: Connection, count: int) -> None:
        """Bytes of ours arrived."""
        if self.is_on and connection.number in self._connections:
            self._feed(inputs.BytesSent(connection.number, count))

    def closed(self, connection: Connection) -> None:
        """The connection is gone."""
        if self._connections.pop(connection.number, None) is not None and self.is_on:
            self._feed(inputs.LinkClosed(connection.number))

    def saw(self, advertised: inputs.Advertised) -> None:
        """A neighbour's advertisement."""
        if self.is_on:
            self._feed(advertised)

    # --- The driver -------------------------------------------------------------------------------

    def _feed(self, happened: inputs.Input) -> None:
        for effect in self.node.handle(happened, self.now()):
            self._carry_out(effect)
        deadline_ms = self.node.next_deadline()
        if deadline_ms is not None and (
            self._ticking_us is None or deadline_ms * 1000 < self._ticking_us
        ):
            self._tick_at(deadline_ms * 1000)

    def _tick_at(self, at_us: int) -> None:
        self._ticking_us = at_us
        boot = self.boot

        def tick() -> None:
            if self.boot == boot and self.is_on and self._ticking_us == at_us:
                self._ticking_us = None
                self._feed(inputs.Tick())

        self.world.after(at_us - self.world.now_us, tick)

    def _carry_out(self, effect: effects.Effect) -> None:
        match effect:
            case effects.SendBytes():
                if effect.link in self._connections:
                    self.world.network.send(self._connections[effect.link], self, effect.data)
            case effects.HangUp():
                self.hang_ups.append(effect)
                connection = self._connections.pop(effect.link, None)
                if connection is not None:
                    self.world.network.close(connection, self)
            case effects.Dial():
                self.world.network.dial(self, effect.address, effect.board_id)
            case effects.Verify():
                self._after(self.world.faults.verify_ms, lambda: self._verify(effect))
            case effects.Store():
                self._store(effect)
            case effects.Load():
                self._after(self.world.faults.verify_ms, lambda: self._load(effect))
            case effects.Expire():
                disk = self.disks[effect.board_id]
                for entry in list(disk.entries.values()):
                    if entry.header.bucket < effect.bucket:
                        del disk.entries[entry.id]
            case effects.Advertise():
                self._advertise(effect)
            case effects.Tell():
                self.events.append(effect.event)
            case effects.RememberAddress():
                pass  # the LAN is asked again at each start

    def _verify(self, effect: effects.Verify) -> None:
        valid = []
        for entry in effect.entries:
            try:
                check_signature(entry)
                valid.append(True)
            except Refused:
                valid.append(False)
        self._feed(inputs.Verified(effect.token, tuple(valid)))

    def _store(self, effect: effects.Store) -> None:
        # One writer: writes become durable in their order, whatever each of them takes.
        span = self.world.faults.store_ms
        takes_us = int(1000 * self._random.uniform(*span))
        self._durable_us = max(self._durable_us, self.world.now_us) + takes_us
        fails = self._random.random() < self.world.faults.store_failure

        def durable() -> None:
            if fails:
                self._feed(inputs.StoreFailed(effect.token))
                return
            disk = self.disks[effect.board_id]
            lacking = tuple(entry.id for entry in effect.entries if disk.put(entry))
            self._feed(inputs.Stored(effect.token, lacking))

        self._at(self._durable_us, durable)

    def _load(self, effect: effects.Load) -> None:
        stored = self.disks[effect.board_id].entries
        found: list[Entry] = []
        covered = 0
        size = 0
        for identifier in effect.ids:
            if size >= effect.bytes_max:
                break
            covered += 1
            if identifier in stored:
                found.append(stored[identifier])
                size += stored[identifier].wire_bytes
        found.sort(key=lambda entry: (entry.header.bucket, entry.header.seq))
        self._feed(inputs.Loaded(effect.token, covered, tuple(found)))

    def _advertise(self, effect: effects.Advertise) -> None:
        advertised = inputs.Advertised((self.address,), effect.salt, effect.tags)
        self._shown = advertised
        boot = self.boot

        def show() -> None:
            if self.boot == boot and self.is_on and self._shown is advertised:
                self.world.network.advertise(self, advertised)
                self.world.after(ADVERTISE_AGAIN_US, show)

        self.world.after(0, show)

    def _after(self, span_ms: tuple[float, float], act: Callable[[], None]) -> None:
        self._at(self.world.now_us + int(1000 * self._random.uniform(*span_ms)), act)

    def _at(self, at_us: int, act: Callable[[], None]) -> None:
        boot = self.boot

        def guarded() -> None:
            if self.boot == boot and self.is_on:
                act()

        self.world.after(at_us - self.world.now_us, guarded)

