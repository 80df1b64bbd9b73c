"""One virtual laptop: the real core, and a driver for it with a disk, a processor and clocks.

The core runs unchanged. What is virtual is around it: a write is durable only after its time, in
the order of writing, and a crash loses what was not; signatures queue for the processor; the wall
clock may be wrong; a laptop that sleeps has a monotonic clock that stands still.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from heapq import heapreplace
from typing import TYPE_CHECKING

from protocol import effects, inputs
from protocol.board import Board
from protocol.entry import Entry
from protocol.gossip import Gossip
from protocol.inputs import Now
from protocol.link import Link
from protocol.messages import Address, Message
from protocol.node import Node
from protocol.persona import Draft, Persona, draft_post, draft_retraction
from protocol.work import Work
from simnet.disk import Disk
from simnet.network import Connection

if TYPE_CHECKING:
    from simnet.world import World

#: A host shows itself again after this. mDNS records live for 75 or 2 minutes (RFC 6762, section
#: 10); most caches ask again before.
ADVERTISE_AGAIN_US = 120_000_000
#: A search that has not ended by then would hold the simulation up for seconds.
_TRIES_MAX = 1 << 24


@dataclass(frozen=True, slots=True)
class Costs:
    """What work costs a host's processor, in virtual microseconds.

    :ivar verify_us: one signature (PyNaCl on a laptop of 2020).
    :ivar receive_us: one piece of bytes: from the socket through the core (measured by emulate: the
        processor time of real nodes grows by 0.7 ms with each frame that is sent and received).
    :ivar send_us: one frame, from the core to the socket (as before; half of it each).
    :ivar cell_us: one datagram that arrives: from the socket through the core, and on to the socket
        where it is passed on (measured: the processor time of real nodes grows by 1.0 ms with each;
        an own emission is within that).
    :ivar hash_us: one try of a proof of work (2.5 million a second on one core, measured).
    :ivar store_us: one transaction, threads and events around it included (measured by emulate:
        what is left of a node's processor time for an entry).
    :ivar slowness: a factor on everything.
    :ivar disk_slowness: a further factor on writes.
    """

    verify_us: float = 45.0
    receive_us: float = 350.0
    send_us: float = 350.0
    cell_us: float = 1000.0
    hash_us: float = 0.4
    store_us: float = 2500.0
    slowness: float = 1.0
    disk_slowness: float = 1.0


class Processor:
    """Where hosts compute: work begins when a core is free, in the order of asking.

    :param cores: a host computes on one at a time; several hosts may share a processor, like the
        processes of :mod:`simnet.emulation` do.
    """

    def __init__(self, cores: int = 1) -> None:
        self._free_us = [0] * cores

    def occupy(self, from_us: int, cost_us: int) -> int:
        """When work is done that can begin at ``from_us``; virtual microseconds."""
        free_us = self._free_us[0]
        done_us = (from_us if from_us > free_us else free_us) + cost_us
        heapreplace(self._free_us, done_us)
        return done_us


#: What is told of each message: the host, the link, whether it was sent, the message.
Listener = Callable[["Host", Link, bool, Message], None]


class Host:
    """A host on the world's network.

    :cvar role: what it is in reports: "honest", or the kind of adversary.
    :ivar number: its place in the topology.
    :ivar boot: counts the starts; what an earlier one began never reaches a later one.
    :ivar shown: what it shows to its neighbours.
    :ivar events: what the core told the application, if ``keeps_events``.
    :ivar acknowledged: own entries that were durable, in the order of their user being told.
    :ivar skew_s: how far its wall clock is off; :ivar drift: seconds that it gains a second.
    :ivar is_disk_full: writes fail.
    :ivar listeners: told of each message that its core sends or receives.
    :ivar on_event: told of each event as it happens.
    :ivar on_acknowledged: told of each own entry as it is acknowledged, before its core is.
    :ivar on_start: told of each start, before anything of it has happened.
    :ivar signatures: how many it has checked.
    :ivar processor: its own, unless somebody lets hosts share one.
    :ivar computed_us: when its processor is done with all that has come up so far.
    """

    role: str = "honest"
    #: The machine of its boards, where it is not the world's: adversaries bring their own.
    make_board: type[Gossip] | None = None

    def __init__(self, world: World, number: int, boards: Sequence[Board]) -> None:
        self.world = world
        self.number = number
        self.boot = 0
        self.is_on = False
        self.is_asleep = False
        self.skew_s = 0.0
        self.drift = 0.0
        self.is_disk_full = False
        self.costs = Costs()
        self.disks: dict[bytes, Disk] = {board.id: Disk() for board in boards}
        self.boards: dict[bytes, Board] = {board.id: board for board in boards}
        self.keeps_events = True
        self.events: list[effects.Event] = []
        self.acknowledged: list[Entry] = []
        self.hang_ups: list[effects.HangUp] = []
        self.listeners: list[Listener] = []
        self.on_event: list[Callable[[Host, effects.Event], None]] = []
        self.on_acknowledged: list[Callable[[Host, Entry], None]] = []
        self.on_start: list[Callable[[Host], None]] = []
        self.signatures = 0
        self.addresses: dict[int, Address] = {}
        self._random = world.random(f"work {number}")
        self._writer_random = world.random(f"writer {number}")
        self._connections: dict[int, Connection] = {}
        self._ticking_us: int | None = None
        self._durable_us = 0
        self.processor = Processor()
        self.computed_us = 0
        self._slept_us = 0
        self._asleep_since_us = 0
        self.shown: effects.Advertise | None = None
        self.node = self._make_node()

    # --- Switching on and off ---------------------------------------------------------------------

    def start(self) -> None:
        """Switch on, with what is on the disk."""
        for told in self.on_start:
            told(self)
        self.boot += 1
        self.is_on = True
        self._connections = {}
        self._ticking_us = None
        self.addresses = self._own_addresses()
        self.node = self._make_node()
        self.world.network.listen(self)
        for board in self.boards.values():
            self._open(board)
        self.feed(inputs.ListeningOn(next(iter(self.addresses.values())).port))
        self.world.network.ask(self)
        self._introduce()

    def _own_addresses(self) -> dict[int, Address]:
        """Where it listens, on each of its segments."""
        return {
            segment: Address(
                f"10.{segment % 250}.{self.number // 250}.{self.number % 250 + 1}",
                # A new port at each start, like the real node.
                20_000 + (self.boot * 7) % 20_000,
            )
            for segment in self.world.topology.segments[self.number]
        }

    def _make_node(self) -> Node:
        purpose = f"host {self.number} boot {self.boot}"
        return self.world.make_node(purpose, self.make_board, self._tap)

    def _tap(self, link: Link, is_sent: bool, message: Message) -> None:
        for listener in self.listeners:
            listener(self, link, is_sent, message)

    def _introduce(self) -> None:
        """The addresses that somebody gave it. They are those of now: where the other host starts
        anew later, it dials here."""
        for one, other in self.world.topology.introductions:
            if one == self.number:
                self._give_address(other)
            elif other == self.number and one < len(self.world.hosts):
                introduced = self.world.hosts[one]
                if introduced.is_on and not introduced.is_asleep:
                    introduced._give_address(self.number)

    def _give_address(self, other: int) -> None:
        if other < len(self.world.hosts):
            for address in self.world.hosts[other].addresses.values():
                self.feed(inputs.AddressGiven(address))

    def join(self, board: Board, addresses: tuple[Address, ...] = ()) -> None:
        """Take part in one more board."""
        self.boards[board.id] = board
        self.disks[board.id] = Disk()
        self._open(board, addresses)

    def _open(self, board: Board, addresses: tuple[Address, ...] = ()) -> None:
        disk = self.disks[board.id]
        self.feed(
            inputs.BoardOpened(
                board,
                b"".join(disk.keys()),
                tuple(disk.outbox.values()),
                disk.lacking(),
                addresses,
            )
        )

    def crash(self) -> None:
        """Power off: what was not durable is gone, and all connections with it."""
        self.is_on = self.is_asleep = False
        self.boot += 1
        self.world.note("crash", self.number)
        self.world.network.host_died(self)

    def stop(self) -> None:
        """Shut down in order: peers are told."""
        for board_id in list(self.node.boards):
            self.feed(inputs.BoardClosed(board_id))
        self.crash()

    def sleep(self) -> None:
        """Close the lid: the program keeps its memory, its clock stands still, its connections
        break while it is away."""
        self.is_asleep = True
        self._asleep_since_us = self.world.now_us
        self.world.network.host_died(self)

    def wake(self) -> None:
        """Open the lid."""
        self.is_asleep = False
        self._slept_us += self.world.now_us - self._asleep_since_us
        self.world.network.listen(self)
        for number in list(self._connections):
            del self._connections[number]
            self.feed(inputs.LinkClosed(number))
        self._ticking_us = None
        self.feed(inputs.Tick())
        if self.shown is not None:
            self._advertise(self.shown)

    # --- What its user does -----------------------------------------------------------------------

    @property
    def board(self) -> Board:
        """Its first board."""
        return next(iter(self.boards.values()))

    def disk(self, board: Board | None = None) -> Disk:
        """What is durable of a board (the first)."""
        return self.disks[(board or self.board).id]

    def post(
        self,
        text: str,
        answering: Entry | None = None,
        persona: Persona | None = None,
        board: Board | None = None,
    ) -> tuple[Entry, Persona]:
        """Write a post; returns it and its persona, to write on with. It is the host's only once it
        is in :attr:`acknowledged`."""
        board = board or self.board
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
        board = board or self.board
        draft = draft_retraction(board, persona, target.id, self.now().wall_s)
        return self._publish(board, draft, persona)

    @staticmethod
    def finish(draft: Draft, persona: Persona) -> Entry:
        """Work and signature; the time that they take is the caller's to count."""
        return draft.sign(persona, _find_nonce(draft.work, 0))

    def _publish(self, board: Board, draft: Draft, persona: Persona) -> tuple[Entry, Persona]:
        entry = self.finish(draft, persona)

        def durable() -> None:
            self.disks[board.id].outbox[entry.id] = entry
            self.acknowledged.append(entry)
            for told in self.on_acknowledged:
                told(self, entry)
            self.feed(inputs.Publish(board.id, entry))

        if self.is_on and not self.is_disk_full:
            if board.descriptor.work_bits:
                self.compute(self._work_us(board.descriptor.work_bits))
            self._write(durable)
        return entry, persona.after(entry)

    def forget(self, entry: Entry, board: Board | None = None) -> None:
        """Drop a payload for good."""
        self.disk(board).forget(entry.id)

    def ids(self, board: Board | None = None) -> set[bytes]:
        """The entries that it has."""
        return set(self.disk(board).entries)

    def texts(self, board: Board | None = None) -> list[str]:
        """What can be read, sorted."""
        return self.disk(board).texts()

    def index_keys(self, board: Board | None = None) -> list[bytes]:
        """What its core says that it has, to be compared with its disk."""
        return list(self.node.boards[(board or self.board).id].index.keys())

    # --- What the network tells -------------------------------------------------------------------

    def now(self) -> Now:
        """Its two clocks."""
        now_us = self.world.now_us
        wall_s = self.world.wall_s
        if self.skew_s or self.drift:
            wall_s = int(wall_s + self.skew_s + self.drift * now_us / 1_000_000)
        return Now((now_us - self._slept_us) // 1000, wall_s)

    def address_on(self, segment: int) -> Address:
        """Where it listens on a segment, and what others there see that it sends from; beyond a
        router, they see its first address."""
        return self.addresses.get(segment) or next(iter(self.addresses.values()))

    def dial_failed(self, board_id: bytes, address: Address, boot: int) -> None:
        """Nobody answered."""
        if self.boot == boot and self.is_running:
            self.feed(inputs.DialFailed(board_id, address))

    @property
    def is_running(self) -> bool:
        """On, and awake."""
        return self.is_on and not self.is_asleep

    def dialled(
        self, connection: Connection, address: Address, local: Address, board_id: bytes
    ) -> None:
        """A dial succeeded; the other end sees it come from ``local``."""
        self._connections[connection.number] = connection
        self.feed(inputs.LinkOpened(connection.number, address, local, board_id))

    def accepted(self, connection: Connection, remote: Address, local: Address) -> None:
        """Somebody dialled."""
        self._connections[connection.number] = connection
        self.feed(inputs.LinkOpened(connection.number, remote, local))

    def received(self, connection: Connection, piece: bytes) -> None:
        """Bytes arrived."""
        if self.is_on and not self.is_asleep and connection.number in self._connections:
            # The core has it now; what it answers leaves when the processor has come to it.
            self.compute(self.costs.receive_us)
            self.feed(inputs.BytesReceived(connection.number, piece))

    def got_datagram(self, remote: Address, data: bytes) -> None:
        """A datagram arrived, or was made to look as if it came from ``remote``."""
        if self.is_running:
            self.compute(self.costs.cell_us)
            self.feed(inputs.DatagramReceived(remote, data))

    def sent(self, connection: Connection, count: int) -> None:
        """Bytes of ours arrived."""
        if self.is_on and not self.is_asleep and connection.number in self._connections:
            self.feed(inputs.BytesSent(connection.number, count))

    def closed(self, connection: Connection) -> None:
        """The connection is gone. Who sleeps finds out when it wakes."""
        if self.is_asleep:
            return
        if self._connections.pop(connection.number, None) is not None and self.is_on:
            self.feed(inputs.LinkClosed(connection.number))

    def saw(self, advertised: inputs.Advertised) -> None:
        """A neighbour's advertisement."""
        if self.is_running:
            self.feed(advertised)

    # --- The driver -------------------------------------------------------------------------------

    def feed(self, happened: inputs.Input) -> None:
        """Tell the core, and carry out what it answers."""
        node = self.node
        for effect in node.handle(happened, self.now()):
            self._carry_out(effect)
        deadline_ms = node.next_deadline()
        if deadline_ms is not None:
            at_us = deadline_ms * 1000 + self._slept_us
            if self._ticking_us is None or at_us < self._ticking_us:
                self._tick_at(at_us)

    def _tick_at(self, at_us: int) -> None:
        self._ticking_us = at_us
        self.world.after(at_us - self.world.now_us, self._tick, self.boot, at_us)

    def _tick(self, boot: int, at_us: int) -> None:
        if self.boot == boot and self.is_running and self._ticking_us == at_us:
            self._ticking_us = None
            self.feed(inputs.Tick())

    def _carry_out(self, effect: effects.Effect) -> None:
        match effect:
            case effects.SendBytes():
                if effect.link in self._connections:
                    self.compute(self.costs.send_us)
                    self.world.network.send(self._connections[effect.link], self, effect.data)
            case effects.SendDatagram():
                self.world.network.send_datagram(self, None, effect.address, effect.data)
            case effects.Tell():
                self._tell(effect.event)
            case effects.HangUp():
                self.hang_ups.append(effect)
                connection = self._connections.pop(effect.link, None)
                if connection is not None:
                    self.world.network.close(connection, self)
            case effects.Dial():
                self.world.network.dial(self, effect.address, effect.board_id)
            case effects.Verify():
                self._work(
                    self.costs.verify_us * len(effect.entries),
                    self.world.faults.verify_ms,
                    lambda: self._verify(effect),
                )
            case effects.Store():
                self._store(effect)
            case effects.Load():
                self._work(0, self.world.faults.verify_ms, lambda: self._load(effect))
            case effects.FindWork():
                self._search(effect)
            case effects.Expire():
                self.disks[effect.board_id].expire(effect.bucket)
            case effects.Advertise():
                self.shown = effect
                self._advertise(effect)
            case effects.RememberAddress():
                pass  # the LAN is asked again at each start

    def _tell(self, event: effects.Event) -> None:
        if self.keeps_events:
            self.events.append(event)
        for told in self.on_event:
            told(self, event)

    def is_valid(self, entry: Entry) -> bool:
        """Check a signature."""
        return self.world.is_signed(entry)

    def _verify(self, effect: effects.Verify) -> None:
        self.signatures += len(effect.entries)
        valid = tuple(self.is_valid(entry) for entry in effect.entries)
        self.feed(inputs.Verified(effect.token, valid))

    def _store(self, effect: effects.Store) -> None:
        fails = self.is_disk_full
        if self.world.faults.store_failure:
            fails = fails or self._random.random() < self.world.faults.store_failure

        def durable() -> None:
            if fails:
                self.feed(inputs.StoreFailed(effect.token))
                return
            disk = self.disks[effect.board_id]
            lacking = tuple(entry.id for entry in effect.entries if disk.put(entry))
            self.feed(inputs.Stored(effect.token, lacking))

        self._write(durable)

    def _write(self, durable: Callable[[], None]) -> None:
        """One writer: writes become durable in their order, whatever each of them takes."""
        takes_us = 1000 * self._random.uniform(*self.world.faults.store_ms)
        begins_us = max(self._durable_us, self.compute(self.costs.store_us))
        self._durable_us = begins_us + int(
            takes_us * self.costs.slowness * self.costs.disk_slowness
        )
        self._at(self._durable_us, durable)

    def _load(self, effect: effects.Load) -> None:
        disk = self.disks[effect.board_id]
        self.feed(inputs.Loaded(effect.token, *disk.load(effect.ids, effect.bytes_max)))

    def _search(self, effect: effects.FindWork) -> None:
        start = self._random.getrandbits(64)
        self._work(
            self._work_us(effect.work.bits),
            self.world.faults.verify_ms,
            lambda: self.feed(inputs.WorkFound(effect.token, _find_nonce(effect.work, start))),
        )

    def _work_us(self, bits: int) -> float:
        """What a search is expected to cost."""
        return self.costs.hash_us * (1 << bits)

    def _advertise(self, shown: effects.Advertise) -> None:
        boot = self.boot

        def show() -> None:
            if self.boot == boot and self.is_running and self.shown is shown:
                self.world.network.advertise(self, shown.salt, shown.tags)
                self.world.after(ADVERTISE_AGAIN_US, show)

        self.world.after(0, show)

    def _work(self, cost_us: float, extra_ms: tuple[float, float], act: Callable[[], None]) -> None:
        """Queue for the processor, then some time that does not occupy it."""
        extra_us = int(1000 * self._random.uniform(*extra_ms))
        self._at(self.compute(cost_us) + extra_us, act)

    def compute(self, cost_us: float) -> int:
        """Let the processor work for something; when it is done with that."""
        now_us, computed_us = self.world.now_us, self.computed_us
        from_us = now_us if now_us > computed_us else computed_us
        self.computed_us = self.processor.occupy(from_us, int(cost_us * self.costs.slowness))
        return self.computed_us

    def _at(self, at_us: int, act: Callable[[], None]) -> None:
        self.world.after(at_us - self.world.now_us, self._do, self.boot, act)

    def _do(self, boot: int, act: Callable[[], None]) -> None:
        if self.boot != boot or not self.is_on:
            return
        if self.is_asleep:
            # Held up until the lid is open again.
            self.world.after(1_000_000, self._do, boot, act)
        else:
            act()


def _find_nonce(work: Work, start: int) -> bytes:
    nonce = work.search(start, _TRIES_MAX)
    if nonce is None:
        raise RuntimeError("no work found; give the board fewer work bits")
    return nonce
