"""The driver: the only caller of ``Node.handle``. It tells the core what happens on sockets, disk
and clock, and carries out what the core answers, in order.

Everything here runs on one trio thread, so ``feed`` needs no lock. What blocks is elsewhere:
signatures and proofs of work on worker threads, the database behind
:mod:`p2pboard.store.worker`, mDNS on zeroconf's thread. An effect that takes long is only begun in
order; its answer is fed when it is there.
"""

from __future__ import annotations

import secrets
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from typing import Any

import trio

from p2pboard import transport
from p2pboard.crowd import note_crowd
from p2pboard.datagrams import Datagrams, open_port
from p2pboard.discovery import Discovery
from p2pboard.errors import StoreError
from p2pboard.mining import find_nonce
from p2pboard.store.reader import Reader, UnknownBoard
from p2pboard.store.worker import StoreWorker
from p2pboard.store.writer import Writer
from protocol import effects, inputs, limits
from protocol.board import Board
from protocol.entry import Entry, check_signature
from protocol.errors import Refused
from protocol.inputs import Input, Now
from protocol.messages import Address
from protocol.node import Node

#: Batches of signatures checked at the same time: libsodium lets go of the interpreter meanwhile.
_VERIFIERS = 2
#: Searches for a nonce at the same time. They hold the interpreter, and nobody waits for them.
_SEARCHERS = 1
#: Events that wait for one subscriber; more, and it is told that it has missed some.
_EVENTS_QUEUED_MAX = 1024
#: How long a link may take to send its last words.
_FAREWELL_SECONDS_MAX = 2.0
_RESOLVE_AGAIN_SECONDS = 30.0

Record = dict[str, Any]
Log = Callable[[str], None]


class Missed:
    """In an event stream: the subscriber was too slow, and events are missing here."""


class Driver:
    """One running node.

    :ivar store: the database behind its worker.
    :ivar datagrams: its UDP sockets; whoever opened it closes them.
    :param nursery: where the node's tasks run; cancel it to stop.
    :param listening: where the node accepts connections, None where it does not.
    :param log: called with one line for a person; never told content or peers' addresses.
    :param datagrams: its UDP sockets on the same port; None where it does not listen.
    """

    def __init__(
        self,
        store: StoreWorker,
        nursery: trio.Nursery,
        listening: Address | None = None,
        log: Log = lambda line: None,
        datagrams: Datagrams | None = None,
    ) -> None:
        self.store = store
        self.datagrams = datagrams or Datagrams()
        self.discovery: Discovery | None = None
        self._nursery = nursery
        self._listening = listening
        self._log = log
        self._node = Node(secrets.token_bytes)
        self._inputs: deque[Input] = deque()
        self._is_feeding = False
        self._connections: dict[int, _Connection] = {}
        self._since: dict[int, float] = {}
        self._progress: dict[bytes, effects.SyncProgress] = {}
        self._next_link = 0
        self._open_sockets = 0
        self._all_closed = trio.Event()
        self._is_leaving = False
        self._armed_ms: int | None = None
        self._rearm = trio.Event()
        self._verifiers = trio.CapacityLimiter(_VERIFIERS)
        self._searchers = trio.CapacityLimiter(_SEARCHERS)
        self._subscribers: dict[trio.MemorySendChannel[Any], None] = {}

    # --- What the application uses ----------------------------------------------------------------

    async def open_board(self, board_id: bytes) -> None:
        """Take part in a board that the store has; opening it twice is no fault."""
        if board_id in self._node.boards:
            return
        opened, names = await self.store.read(_read_board, board_id)
        if board_id not in self._node.boards:
            self.feed(opened)
        for name in names:
            self._nursery.start_soon(self.resolve_peer, *name)

    async def close_board(self, board_id: bytes) -> None:
        """Leave a board's network; the store is the caller's business."""
        if board_id in self._node.boards:
            self.feed(inputs.BoardClosed(board_id))
            self._progress.pop(board_id, None)

    def publish(self, board_id: bytes, entry: Entry, crowd_least: int = 0) -> None:
        """Get an own entry out that is durable in the outbox, once so many nodes are there."""
        if board_id in self._node.boards:
            self.feed(inputs.Publish(board_id, entry, crowd_least))

    def crowd(self, board_id: bytes) -> list[str] | None:
        """The addresses of the other nodes that could write now; None on a board that is not
        open."""
        gossip = self._node.boards.get(board_id)
        return None if gossip is None else gossip.publishing.crowd(_now())

    def withdraw(self, board_id: bytes, entry_id: bytes) -> None:
        """An own entry was taken out of the outbox."""
        if board_id in self._node.boards:
            self.feed(inputs.Withdraw(board_id, entry_id))

    async def want_payloads(self, board_id: bytes) -> None:
        """Ask the peers for what the store lacks, after a rule that kept it away is gone."""
        if board_id not in self._node.boards:
            return
        lacking = await self.store.read(Reader.lacking, board_id, limits.LACKING_MAX)
        if board_id in self._node.boards:  # not left meanwhile
            self.feed(inputs.PayloadsWanted(board_id, tuple(lacking)))

    def peers(self) -> list[Record]:
        """One record for each open link."""
        return [
            {
                "board": link.board.descriptor.name,
                "board_id": link.board.id.hex(),
                "address": str(link.listening or link.remote),
                "since_s": int(trio.current_time() - self._since.get(link.number, 0.0)),
                "inbound": not link.is_dialled,
            }
            for link in self._node.links.values()
            if link.is_open and link.board is not None
        ]

    def status(self) -> Record:
        """Where the node stands, board by board."""
        return {
            "listening": str(self._listening) if self._listening else None,
            "mdns": self.discovery is not None and self.discovery.is_working,
            "boards": [self._board_status(board_id) for board_id in self._node.boards],
        }

    def _board_status(self, board_id: bytes) -> Record:
        gossip = self._node.boards[board_id]
        progress = self._progress.get(board_id)
        return {
            "name": gossip.board.descriptor.name,
            "board_id": board_id.hex(),
            "entries": len(gossip.index),
            "peers": len(gossip.links),
            "outbox": len(gossip.publishing.outbox),
            "crowd": 1 + len(gossip.publishing.crowd(_now())),
            "loops_home": gossip.publishing.mix.loops()[0],
            "loops_sent": gossip.publishing.mix.loops()[1],
            "wanted": progress.wanted if progress else 0,
            "fetched": progress.fetched if progress else 0,
            "syncing": bool(progress and (progress.wanted or progress.is_reconciling)),
        }

    @contextmanager
    def subscribe(self) -> Iterator[trio.MemoryReceiveChannel[Any]]:
        """A channel of the events that happen from now on."""
        send, receive = trio.open_memory_channel[Any](_EVENTS_QUEUED_MAX + 1)
        self._subscribers[send] = None
        try:
            yield receive
        finally:
            del self._subscribers[send]
            send.close()
            receive.close()

    # --- The core ---------------------------------------------------------------------------------

    def feed(self, happened: Input) -> None:
        """Tell the core, and carry out what it answers."""
        self._inputs.append(happened)
        if self._is_feeding:
            return  # an effect of the call under way; the loop below comes to it
        self._is_feeding = True
        try:
            while self._inputs:
                for effect in self._node.handle(self._inputs.popleft(), _now()):
                    self._carry_out(effect)
        finally:
            self._is_feeding = False
        deadline_ms = self._node.next_deadline()
        if deadline_ms is not None and (self._armed_ms is None or deadline_ms < self._armed_ms):
            self._rearm.set()

    async def keep_time(self) -> None:
        """Feed a tick at each deadline, for ever."""
        while True:
            self._armed_ms = self._node.next_deadline()
            self._rearm = trio.Event()
            wait_s = trio_seconds_until(self._armed_ms)
            with trio.move_on_after(wait_s) as waiting:
                await self._rearm.wait()
            if waiting.cancelled_caught:
                self._armed_ms = None
                self.feed(inputs.Tick())

    def _carry_out(self, effect: effects.Effect) -> None:
        match effect:
            case effects.SendBytes():
                connection = self._connections.get(effect.link)
                if connection is not None:
                    connection.outgoing.send(effect.data)
            case effects.SendDatagram():
                self.datagrams.send(effect.address, effect.data)
            case effects.Verify():
                self._nursery.start_soon(self._verify, effect)
            case effects.FindWork():
                self._nursery.start_soon(self._find_work, effect)
            case effects.Store():
                self._begin_storing(effect)
            case effects.Load():
                self._nursery.start_soon(self._load, effect)
            case effects.Tell():
                self._tell(effect.event)
            case effects.Dial():
                self._nursery.start_soon(self._dial, effect)
            case effects.HangUp():
                connection = self._connections.pop(effect.link, None)
                if connection is not None:
                    connection.hang_up()
            case effects.Advertise():
                if self.discovery is not None:
                    self.discovery.show(effect.salt, effect.tags)
            case effects.Expire():
                self._write_soon(Writer.expire, effect.board_id, effect.bucket)
            case effects.RememberAddress():
                self._write_soon(
                    Writer.remember_address,
                    effect.board_id,
                    effect.address.host,
                    effect.address.port,
                    _now().wall_s // 86400,
                )

    # --- CPU and disk -----------------------------------------------------------------------------

    async def _verify(self, effect: effects.Verify) -> None:
        is_valid = await trio.to_thread.run_sync(
            _check_signatures, effect.entries, limiter=self._verifiers
        )
        self.feed(inputs.Verified(effect.token, is_valid))

    async def _find_work(self, effect: effects.FindWork) -> None:
        async with self._searchers:
            nonce = await find_nonce(effect.work, secrets.randbits(64))
        self.feed(inputs.WorkFound(effect.token, nonce))

    def _begin_storing(self, effect: effects.Store) -> None:
        def done(outcome: Any) -> None:
            if isinstance(outcome, Exception):
                self._log(f"could not store entries: {_why(outcome)}")
                self.feed(inputs.StoreFailed(effect.token))
            else:
                self.feed(inputs.Stored(effect.token, tuple(outcome)))

        self.store.write_soon(Writer.put_entries, effect.board_id, effect.entries, then=done)

    def _write_soon(self, write: Callable[..., Any], *arguments: Any) -> None:
        def done(outcome: Any) -> None:
            if isinstance(outcome, Exception):
                self._log(f"could not write: {_why(outcome)}")

        self.store.write_soon(write, *arguments, then=done)

    async def _load(self, effect: effects.Load) -> None:
        try:
            covered, entries = await self.store.read(
                Reader.load_entries, effect.board_id, effect.ids, effect.bytes_max
            )
        except UnknownBoard:
            covered, entries = len(effect.ids), []  # left meanwhile
        except StoreError as error:
            self._log(f"could not read entries: {error}")
            covered, entries = len(effect.ids), []
        self.feed(inputs.Loaded(effect.token, covered, tuple(entries)))

    # --- Datagrams --------------------------------------------------------------------------------

    async def receive_datagrams(self) -> None:
        """Feed what comes to the port that the node listens on, for ever."""
        await self.datagrams.receive_forever(
            lambda remote, data: self.feed(inputs.DatagramReceived(remote, data))
        )

    # --- Connections ------------------------------------------------------------------------------

    async def _dial(self, effect: effects.Dial) -> None:
        stream = await transport.dial(effect.address)
        if stream is None:
            self.feed(inputs.DialFailed(effect.board_id, effect.address))
        else:
            await self._run_connection(stream, effect)

    async def accept(self, stream: trio.SocketStream) -> None:
        """Serve a connection that somebody made to us."""
        if self._is_leaving:
            await trio.aclose_forcefully(stream)
        else:
            await self._run_connection(stream, None)

    async def _run_connection(
        self, stream: trio.SocketStream, dialled: effects.Dial | None
    ) -> None:
        async with self._counted(stream):
            try:
                remote, local = transport.ends_of(stream)
            except OSError:
                if dialled is not None:
                    self.feed(inputs.DialFailed(dialled.board_id, dialled.address))
                return
            self._next_link += 1
            number = self._next_link
            connection = _Connection(stream)
            self._connections[number] = connection
            if dialled is not None:
                opened = inputs.LinkOpened(number, dialled.address, local, dialled.board_id)
            else:
                opened = inputs.LinkOpened(number, remote, local)
            self.feed(opened)
            try:
                await connection.run(
                    lambda data: self.feed(inputs.BytesReceived(number, data)),
                    lambda count: self.feed(inputs.BytesSent(number, count)),
                )
            finally:
                if self._connections.pop(number, None) is not None:
                    self.feed(inputs.LinkClosed(number))

    @asynccontextmanager
    async def _counted(self, stream: trio.SocketStream) -> AsyncIterator[None]:
        """The socket's life, counted so that leaving can wait until the last is closed."""
        self._open_sockets += 1
        try:
            async with stream:
                yield
        finally:
            self._open_sockets -= 1
            if not self._open_sockets:
                self._all_closed.set()

    async def resolve_peer(self, host: str, port: int) -> None:
        """Give the core the addresses of a host that a person named; tries until there are some."""
        is_told = False
        while True:
            try:
                found = await transport.resolve(host, port)
                break
            except ValueError:
                self._log(f"the host of a peer with port {port} can't be a name; leaving it out")
                return
            except OSError:
                if not is_told:
                    self._log(f"can't resolve the host of a peer with port {port}; trying again")
                is_told = True
                await trio.sleep(_RESOLVE_AGAIN_SECONDS)
        for address in found:
            self.feed(inputs.AddressGiven(address))

    async def say_goodbye(self) -> None:
        """Tell all peers that this node is leaving, so that they need not find out."""
        self._is_leaving = True
        self._all_closed = trio.Event()
        if not self._open_sockets:
            return
        for board_id in list(self._node.boards):
            await self.close_board(board_id)
        for stranger in self._connections.values():
            stranger.hang_up()
        with trio.move_on_after(_FAREWELL_SECONDS_MAX):
            await self._all_closed.wait()

    # --- Events -----------------------------------------------------------------------------------

    def _tell(self, event: effects.Event) -> None:
        match event:
            case effects.LinkUp():
                self._since[event.link] = trio.current_time()
            case effects.LinkDown():
                self._since.pop(event.link, None)
            case effects.SyncProgress():
                self._progress[event.board_id] = event
            case effects.CameBack():
                hosts = self.crowd(event.board_id) or []
                self._write_soon(_note_crowd, event.board_id, event.id, tuple(hosts))
        for channel in self._subscribers:
            waiting = channel.statistics().current_buffer_used
            if waiting < _EVENTS_QUEUED_MAX:
                channel.send_nowait(event)
            elif waiting == _EVENTS_QUEUED_MAX:
                # The last place, so that it is told even where nothing happens any more.
                channel.send_nowait(Missed())


class _Connection:
    """A socket with its writer, and a way to stop reading it."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self.outgoing = transport.Writer(stream)
        self._stream = stream
        self._reading = trio.CancelScope()

    def hang_up(self) -> None:
        """Read no more, write what is queued, then close."""
        self._reading.cancel()
        self.outgoing.close_soon()

    async def run(self, on_data: Callable[[bytes], None], on_sent: Callable[[int], None]) -> None:
        """Read and write until either end has closed."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.outgoing.run, on_sent)
            with self._reading, suppress(trio.BrokenResourceError, trio.ClosedResourceError):
                while data := await self._stream.receive_some(transport.READ_BYTES):
                    on_data(bytes(data))
            # The other end has closed, or we have hung up: a moment for the last words.
            nursery.cancel_scope.deadline = trio.current_time() + _FAREWELL_SECONDS_MAX
            self.outgoing.close_soon()


@asynccontextmanager
async def open_driver(
    store: StoreWorker,
    listen: Address | None = None,
    peers: Sequence[Address] = (),
    mdns: bool = True,
    log: Log = lambda line: None,
) -> AsyncIterator[Driver]:
    """A node on all boards of the store, running until the block is left.

    :param listen: where to accept connections and datagrams; None: every interface, a new port at
        each start.
    :param peers: HOST:PORT of other nodes, by name or address.
    :raises Failure: where that address can't be listened on.
    """
    async with AsyncExitStack() as stack:
        listeners, datagrams = await open_port(listen)
        stack.callback(datagrams.close)
        for listener in listeners:
            await stack.enter_async_context(listener)
        port = transport.port_of(listeners)
        listening = Address(listen.host if listen else "0.0.0.0", port)
        nursery = await stack.enter_async_context(trio.open_nursery())
        driver = Driver(store, nursery, listening, log, datagrams)
        if mdns:
            driver.discovery = Discovery(port, driver.feed, log)
            nursery.start_soon(driver.discovery.run)
        for board_id in await store.read(_board_ids):
            await driver.open_board(board_id)
        driver.feed(inputs.ListeningOn(port))
        for listener in listeners:
            nursery.start_soon(transport.accept_forever, listener, driver.accept)
        nursery.start_soon(driver.receive_datagrams)
        nursery.start_soon(driver.keep_time)
        for peer in peers:
            nursery.start_soon(driver.resolve_peer, peer.host, peer.port)
        try:
            yield driver
            await driver.say_goodbye()
        finally:
            nursery.cancel_scope.cancel()


def _now() -> Now:
    return Now(int(trio.current_time() * 1000), int(time.time()))


def trio_seconds_until(deadline_ms: int | None) -> float:
    """How long to sleep, in seconds; rounded up to the next millisecond so that it is due then."""
    if deadline_ms is None:
        return float("inf")
    return max(0.0, deadline_ms / 1000 - trio.current_time()) + 0.001


def _why(error: Exception) -> str:
    """What a log may hold of it: the words of any other error could be those of an entry."""
    return str(error) if isinstance(error, StoreError) else type(error).__name__


def _check_signatures(entries: tuple[Entry, ...]) -> tuple[bool, ...]:
    return tuple(_is_signed(entry) for entry in entries)


def _is_signed(entry: Entry) -> bool:
    try:
        check_signature(entry)
    except Refused:
        return False
    return True


def _board_ids(reader: Reader) -> list[bytes]:
    return [row.board_id for row in reader.boards()]


def _read_board(
    reader: Reader, board_id: bytes
) -> tuple[inputs.BoardOpened, list[tuple[str, int]]]:
    """Everything that the core needs of a board, and addresses that must be resolved first."""
    row = next((row for row in reader.boards() if row.board_id == board_id), None)
    if row is None:
        raise UnknownBoard("the board is not here any more: join it again to use it")
    numeric: list[tuple[str, int]] = []
    names: list[tuple[str, int]] = []
    for host, port in reader.addresses(board_id):
        (numeric if transport.is_numeric(host) else names).append((host, port))
    opened = inputs.BoardOpened(
        board=Board.of(row.descriptor),
        keys=reader.index_keys(board_id),
        outbox=tuple(reader.outbox(board_id)),
        lacking=tuple(reader.lacking(board_id, limits.LACKING_MAX)),
        addresses=tuple(Address(host, port) for host, port in numeric),
        held=reader.held(board_id),
    )
    return opened, names


def _note_crowd(writer: Writer, board_id: bytes, entry_id: bytes, hosts: Sequence[str]) -> None:
    """Note with its persona who was there when an own entry came out."""
    _, entries = writer.load_entries(board_id, [entry_id], 1)
    for entry in entries:
        note = writer.crowd_of(board_id, entry.header.persona)
        if note is not None:  # else its key was thrown away meanwhile
            noted = note_crowd(note or None, hosts, secrets.token_bytes)
            writer.note_crowd(board_id, entry.header.persona, noted)
