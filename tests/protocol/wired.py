"""Cores wired by hand: a driver without network, disk or clock, for tests of :mod:`protocol.node`.

A :class:`Host` is a node and the least driver that it needs: time stands still unless a test lets
it pass, and work given out (Verify, Store, Load, FindWork) waits in ``pending`` until a test
answers it, all of it (:meth:`Host.work`) or piece by piece (:meth:`Host.answer`). A link ends in a
:class:`Speaker`, a peer whose every message the test says and hears, or, between two hosts, in a
:class:`Wire`. Datagrams are kept in ``datagrams``, and carried where the host is in a
:class:`Network`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from random import Random
from typing import Protocol

from protocol import handshake, inputs, limits
from protocol.board import Board, Descriptor
from protocol.codec import encode
from protocol.crypto import exchange_public_key, signing_public_key
from protocol.effects import (
    Advertise,
    Dial,
    Effect,
    Event,
    Expire,
    FindWork,
    HangUp,
    Load,
    SendBytes,
    SendDatagram,
    Store,
    Tell,
    Verify,
)
from protocol.entry import Entry, check_signature
from protocol.errors import Reason, Refused
from protocol.frames import FrameOpener, FrameSealer, MessageSplitter, encode_message
from protocol.index import encode_key
from protocol.inputs import Input, Now
from protocol.messages import (
    Address,
    Announce,
    Entries,
    Hello,
    Message,
    Want,
    WireEntry,
    decode_message,
    encode_body,
    kind_of,
)
from protocol.node import Node
from protocol.persona import Persona, draft_post
from protocol.relays import RELAY_VERSION, epoch_of, relay_work

#: A multiple of ten minutes.
WALL_S = 1_790_000_400
BOARD = Board.of(Descriptor("test", secret=bytes(range(32)), work_bits=0))
OTHER_BOARD = Board.of(Descriptor("other", secret=bytes(32), work_bits=0))
LISTENING = Address("10.0.0.1", 4000)

Work = Verify | Store | Load | FindWork


def seeded(name: str) -> Callable[[int], bytes]:
    """A randomness port that gives the same bytes in each run."""
    return Random(name).randbytes


def written(
    text: str,
    board: Board = BOARD,
    wall_s: int = WALL_S,
    persona: Persona | None = None,
    parent: bytes | None = None,
) -> Entry:
    """An entry that is right in every way; the same for the same arguments."""
    random_bytes = seeded(f"entry {text} {wall_s}")
    persona = persona or Persona.fresh(random_bytes, parent)
    draft = draft_post(board, persona, text, parent, wall_s, random_bytes)
    nonce = draft.mine(0, 1 << 20)
    assert nonce is not None
    return draft.sign(persona, nonce)


def many(count: int, wall_s: int = WALL_S) -> list[Entry]:
    """Different entries."""
    return [written(f"entry {number}", wall_s=wall_s) for number in range(count)]


def badly_signed(entry: Entry) -> Entry:
    """The same with a signature that does not fit."""
    return entry._replace(signature=entry.signature[:-1] + bytes([entry.signature[-1] ^ 1]))


def wire(entry: Entry) -> WireEntry:
    """An entry as messages carry it."""
    return WireEntry(entry.raw, entry.signature, entry.payload)


def item(entry: Entry) -> tuple[int, bytes]:
    """An entry as announcements name it."""
    return entry.header.bucket, entry.id


def raw_record(
    host: str | bytes = "10.0.0.9",
    port: int = 4000,
    epoch: int = epoch_of(WALL_S),
    secret: bytes = bytes(range(32)),
    board: Board = BOARD,
    key: bytes | None = None,
) -> bytes:
    """A relay record that is right in every way; the same for the same arguments."""
    key = exchange_public_key(secret) if key is None else key
    packed = handshake.packed_host(host) if isinstance(host, str) else host
    nonce = relay_work(board, epoch, key, packed, port).search(0, 1 << 20)
    assert nonce is not None
    return encode([RELAY_VERSION, epoch, key, packed, port, nonce])


def of_kind(effects: Sequence[Effect], *kinds: type) -> list[Effect]:
    """Those effects among them."""
    return [effect for effect in effects if isinstance(effect, kinds)]


class End(Protocol):
    """What a host's link leads to."""

    def receive(self, data: bytes) -> None:
        """Bytes that the host sent."""

    def hang_up(self, reason: Reason) -> None:
        """The host closed the link."""


class Host:
    """A node with a driver in memory.

    :ivar pending: work that the core gave out and that is not answered yet.
    :ivar disk: what is durable, by id.
    :ivar hung_up: the reason that each link was hung up with.
    :ivar dials: what the core wanted dialled.
    :ivar datagrams: what it sent, with the time in milliseconds.
    """

    def __init__(
        self,
        *boards: Board,
        name: str = "host",
        listening: Address = LISTENING,
        stored: Sequence[Entry] = (),
        **opened: tuple[Address, ...] | tuple[Entry, ...] | tuple[bytes, ...],
    ) -> None:
        self.node = Node(seeded(name))
        self.listening = listening
        self.mono_ms = 1_000_000
        self.wall_s = WALL_S
        self.disk = {entry.id: entry for entry in stored}
        self.pending: deque[Work] = deque()
        self.hung_up: dict[int, Reason] = {}
        self.dials: list[Dial] = []
        self.advertised: list[Advertise] = []
        self.events: list[Event] = []
        self.datagrams: list[tuple[int, SendDatagram]] = []
        self.network: Network | None = None
        self.ends: dict[int, End] = {}
        self.unsent: dict[int, int] = {}
        for board in boards or (BOARD,):
            keys = b"".join(sorted(encode_key(e.timestamp, e.id) for e in stored))
            self.feed(inputs.BoardOpened(board, keys, **opened))  # type: ignore[arg-type]
        self.feed(inputs.ListeningOn(listening.port))

    @property
    def now(self) -> Now:
        return Now(self.mono_ms, self.wall_s)

    def feed(self, happened: Input) -> list[Effect]:
        """Tell the core something; its effects, which are carried out already."""
        effects = self.node.handle(happened, self.now)
        for effect in effects:
            self._carry_out(effect)
        return effects

    def _carry_out(self, effect: Effect) -> None:
        match effect:
            case SendBytes(link, data) if link in self.ends:
                self.unsent[link] = self.unsent.get(link, 0) + len(data)
                self.ends[link].receive(data)
            case HangUp(link, reason):
                self.hung_up[link] = reason
                if link in self.ends:
                    self.ends.pop(link).hang_up(reason)
            case Verify() | Store() | Load() | FindWork():
                self.pending.append(effect)
            case SendDatagram():
                self.datagrams.append((self.mono_ms, effect))
                if self.network is not None:
                    self.network.carry(self, effect)
            case Dial():
                self.dials.append(effect)
            case Advertise():
                self.advertised.append(effect)
            case Expire(_, bucket):
                self.disk = {i: e for i, e in self.disk.items() if e.header.bucket >= bucket}
            case Tell(event):
                self.events.append(event)
            case _:
                pass

    def pass_ms(self, span_ms: int) -> list[Effect]:
        """Let time pass, with a tick at each deadline; all effects of it."""
        end_ms, effects = self.mono_ms + span_ms, []
        while (due_ms := self.node.next_deadline()) is not None and due_ms <= end_ms:
            self._set_ms(max(due_ms, self.mono_ms))
            effects += self.feed(inputs.Tick())
        self._set_ms(end_ms)
        return effects

    def _set_ms(self, mono_ms: int) -> None:
        self.wall_s += mono_ms // 1000 - self.mono_ms // 1000
        self.mono_ms = mono_ms

    def answer(self, work: Work) -> list[Effect]:
        """Do one piece of work honestly."""
        self.pending.remove(work)
        match work:
            case Verify(token, entries):
                return self.feed(inputs.Verified(token, tuple(map(is_signed, entries))))
            case Store(token, _, entries):
                lacking = tuple(entry.id for entry in entries if self._put(entry))
                return self.feed(inputs.Stored(token, lacking))
            case Load(token, _, ids, bytes_max):
                return self.feed(inputs.Loaded(token, *self._read(ids, bytes_max)))
            case FindWork(token, search):
                nonce = search.search(0, 1 << 20)
                assert nonce is not None
                return self.feed(inputs.WorkFound(token, nonce))

    def work(self) -> list[Effect]:
        """Do all work there is, and what comes of it; all that was sent has left."""
        effects: list[Effect] = []
        while self.pending or self.unsent:
            effects += self.send_out()
            if self.pending:
                effects += self.answer(self.pending[0])
        return effects

    def send_out(self) -> list[Effect]:
        """All that was sent has left for the network."""
        unsent, self.unsent = self.unsent, {}
        effects: list[Effect] = []
        for link, count in unsent.items():
            effects += self.feed(inputs.BytesSent(link, count))
        return effects

    def _put(self, entry: Entry) -> bool:
        known = self.disk.get(entry.id)
        if known is None or known.payload is None:
            self.disk[entry.id] = entry
        return self.disk[entry.id].payload is None

    def _read(self, ids: Sequence[bytes], bytes_max: int) -> tuple[int, tuple[Entry, ...]]:
        entries: list[Entry] = []
        for covered, identifier in enumerate(ids):
            if sum(entry.wire_bytes for entry in entries) > bytes_max:
                return covered, tuple(entries)
            if identifier in self.disk:
                entries.append(self.disk[identifier])
        return len(ids), tuple(entries)

    # --- Links to peers that a test plays ---------------------------------------------------------

    def meet(self, link: int, board: Board = BOARD, **speaking: object) -> Speaker:
        """A peer dials us and says hello; what both said so far is forgotten."""
        speaker = Speaker(self, link, board, **speaking)  # type: ignore[arg-type]
        speaker.dial()
        speaker.greet()
        self.become_relay()
        speaker.heard.clear()
        return speaker

    def become_relay(self) -> None:
        """Where a link has shown the node an address of its own: it has made its record and told
        it to all peers, for which some time passes."""
        searches = [work for work in self.pending if isinstance(work, FindWork)]
        for search in searches:
            self.answer(search)
        if searches:
            self.pass_ms(limits.ANNOUNCE_JITTER_MS_MAX)

    def reach(self, link: int, address: Address, board: Board = BOARD, **more: object) -> Speaker:
        """A peer at ``address`` whom we dialled says hello; what both said so far is forgotten."""
        speaker = Speaker(self, link, board, **more)  # type: ignore[arg-type]
        speaker.be_dialled(address)
        speaker.greet()
        return speaker


def is_signed(entry: Entry) -> bool:
    try:
        check_signature(entry)
    except Refused:
        return False
    return True


class Speaker:
    """A peer that is a member, played by the test on real frames.

    :ivar seed: of its instance's key.
    :ivar heard: the messages that the host has sent.
    :ivar wire_heard: its bytes, from the first on.
    :ivar reason: why the host hung up; None while it did not.
    """

    def __init__(
        self,
        host: Host,
        link: int,
        board: Board = BOARD,
        remote: Address | None = None,
        seed: bytes | None = None,
        port: int = 4000,
    ) -> None:
        self.host = host
        self.link = link
        self.board = board
        self.remote = remote or Address(f"10.0.{link // 200}.{link % 200 + 2}", 50_000)
        self.random_bytes = seeded(f"speaker {link}")
        self.seed = seed if seed is not None else self.random_bytes(32)
        self.instance = signing_public_key(self.seed)
        self.port = port
        self.heard: list[Message] = []
        self.wire_heard = b""
        self.reason: Reason | None = None
        self._sealer: FrameSealer | None = None
        self._opener: FrameOpener | None = None
        self._splitter = MessageSplitter(limits.MESSAGE_BODY_BYTES_MAX)
        self._state = handshake.begin(board, True, self.random_bytes)
        self._is_initiator = True

    def connect(self) -> list[Effect]:
        """A connection to the host stands."""
        self.host.ends[self.link] = self
        return self.host.feed(inputs.LinkOpened(self.link, self.remote, self.host.listening))

    def first_message(self, local: Address | None = None, wall_s: int | None = None) -> bytes:
        """The first message of the handshake, for a listener at ``local``."""
        at_s = self.host.wall_s if wall_s is None else wall_s
        payload = handshake.first_payload(self.board, local or self.host.listening, at_s)
        return self._state.write_message(payload)

    def dial(self) -> list[Effect]:
        """Connect and prove membership."""
        return [*self.connect(), *self.say_bytes(self.first_message())]

    def be_dialled(self, address: Address) -> list[Effect]:
        """The host has dialled this peer at ``address``, and both prove membership."""
        self._is_initiator, self.remote = False, address
        self._state = handshake.begin(self.board, False, self.random_bytes)
        self.host.ends[self.link] = self
        local = Address(self.host.listening.host, 50_000)
        self.host.feed(inputs.LinkOpened(self.link, address, local, self.board.id))
        second = self._state.write_message(handshake.second_payload())
        self._begin_frames()
        return self.say_bytes(second)

    def greet(self) -> list[Effect]:
        """Say hello."""
        return self.say(self.hello())

    def hello(self, is_dialler: bool | None = None) -> Hello:
        """This link's hello, its proof made for the right side unless another is asked for."""
        is_dialler = self._is_initiator if is_dialler is None else is_dialler
        proof = handshake.prove_instance(self.seed, is_dialler, self._state.handshake_hash)
        return Hello(self.instance, self.port, proof)

    def say(self, *messages: Message) -> list[Effect]:
        """Send messages, together; the host's effects."""
        return self.say_stream(b"".join(map(encoded, messages)))

    def say_stream(self, stream: bytes) -> list[Effect]:
        """Send anything in right frames."""
        assert self._sealer is not None
        return self.say_bytes(self._sealer.seal(stream))

    def say_bytes(self, data: bytes) -> list[Effect]:
        """Send anything."""
        return self.host.feed(inputs.BytesReceived(self.link, data))

    def bring(self, *entries: Entry) -> list[Effect]:
        """Announce entries and give them when asked; the effects of the answer."""
        before = len(self.heard)
        self.say(Announce([item(entry) for entry in entries]))
        [want] = [message for message in self.heard[before:] if isinstance(message, Want)]
        self.heard.remove(want)
        given = [wire(entry) for entry in entries if entry.id in want.ids]
        return self.say(Entries(want.request, True, given))

    def take(self) -> list[Message]:
        """What was heard since the last time."""
        heard, self.heard = self.heard, []
        return heard

    def receive(self, data: bytes) -> None:
        self.wire_heard += data
        if self._opener is None:
            size = limits.HANDSHAKE_MESSAGE_BYTES
            message, data = data[:size], data[size:]
            self._state.read_message(message)
            if not self._is_initiator:
                return
            self._begin_frames()
        assert self._opener is not None
        split = self._splitter.feed(self._opener.feed(data))
        self.heard += [decode_message(kind, body) for kind, body in split]

    def hang_up(self, reason: Reason) -> None:
        self.reason = reason

    def leave(self) -> list[Effect]:
        """Close the connection."""
        self.host.ends.pop(self.link, None)
        return self.host.feed(inputs.LinkClosed(self.link))

    def _begin_frames(self) -> None:
        send, receive = self._state.split()
        self._sealer, self._opener = FrameSealer(send), FrameOpener(receive)


def encoded(message: Message) -> bytes:
    """A message as it stands in the stream."""
    return encode_message(kind_of(message), encode_body(message))


# --- Hosts that are linked with each other --------------------------------------------------------


class Wire:
    """One end of a connection between two hosts: keeps what is sent until the network carries."""

    def __init__(self, network: Network, other: Host, link: int) -> None:
        self._network = network
        self._other = other
        self._link = link

    def receive(self, data: bytes) -> None:
        self._network.queue.append((self._other, inputs.BytesReceived(self._link, data)))

    def hang_up(self, reason: Reason) -> None:
        self._network.queue.append((self._other, inputs.LinkClosed(self._link)))


class Network:
    """Connections between hosts, first in first out, and one clock for all of them.

    :ivar is_lost: whether a datagram from a host to an address is dropped on its way.
    """

    def __init__(self, *hosts: Host) -> None:
        self.hosts = hosts
        self.queue: deque[tuple[Host, Input]] = deque()
        self.is_lost: Callable[[Host, Address], bool] = lambda sender, address: False
        self._links = 0
        for host in hosts:
            host.network = self

    @classmethod
    def of(cls, count: int, board: Board = BOARD, settles: bool = True) -> Network:
        """A network of hosts that are all linked with each other and know each other as relays."""
        hosts = [
            Host(board, name=f"host {number}", listening=Address(f"10.0.0.{number + 1}", 4000))
            for number in range(count)
        ]
        network = cls(*hosts)
        for place, dialler in enumerate(hosts):
            for listener in hosts[:place]:
                network.connect(dialler, listener, board)
        if settles:
            network.run(0.2)
        return network

    def carry(self, sender: Host, sent: SendDatagram) -> None:
        """A datagram goes to who listens at its address, if somebody does."""
        if self.is_lost(sender, sent.address):
            return
        for host in self.hosts:
            if host.listening == sent.address:
                happened = inputs.DatagramReceived(sender.listening, sent.data)
                self.queue.append((host, happened))

    def connect(self, dialler: Host, listener: Host, board: Board = BOARD) -> int:
        """A connection stands; nothing is carried yet. Returns its number, the same at both."""
        self._links += 1
        link = self._links
        source = Address(dialler.listening.host, 50_000 + link)
        dialler.ends[link] = Wire(self, listener, link)
        listener.ends[link] = Wire(self, dialler, link)
        listener.feed(inputs.LinkOpened(link, source, listener.listening))
        dialler.feed(inputs.LinkOpened(link, listener.listening, source, board.id))
        return link

    def settle(self) -> None:
        """Carry everything and do all work, until nothing is left to do."""
        while self.queue or any(host.pending for host in self.hosts):
            if self.queue:
                host, happened = self.queue.popleft()
                host.feed(happened)
            else:
                for host in self.hosts:
                    host.work()

    def run(self, seconds: float) -> None:
        """Let time pass, in steps of 50 ms, and settle after each."""
        self.settle()
        for _ in range(int(seconds * 20)):
            for host in self.hosts:
                host.pass_ms(50)
            self.settle()
