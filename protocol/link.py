"""One link: handshake, frames, messages. Knows nothing of boards' contents.

    WAITING ---first message ok---> GREETING ---hello---> OPEN
       |  (listener)                   ^                    |
       | not a member                  |                    | any refusal, any close
       v                               |                    v
     SILENT                          DIALLED ----------->  CLOSED
                                     (second message ok)

A dialler starts in DIALLED, a listener in WAITING. SILENT is where a connection goes that did not
prove membership: what it sends is thrown away, nothing is answered, and after a random time it is
closed, so that a probe learns nothing that any mute service would not have told (SPEC.md,
"Handshake"). Whatever else a peer does wrong is a :class:`~protocol.errors.Refused` out of
:meth:`Link.receive`, which the node turns into a hang-up with that reason.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from enum import Enum, auto

from protocol import handshake, limits
from protocol.board import Board
from protocol.crypto import RandomBytes
from protocol.errors import Misuse, Reason, Refused
from protocol.frames import FrameOpener, FrameSealer, MessageSplitter, encode_message
from protocol.handshake import Begin, Doorkeeper
from protocol.inputs import Now
from protocol.messages import (
    Address,
    Hello,
    Message,
    decode_message,
    encode_body,
    kind_of,
)
from protocol.reconcile import Initiator

#: A link, whether it sends, a message.
Tap = Callable[["Link", bool, Message], None]


class LinkState(Enum):
    """Where a link stands."""

    WAITING = auto()
    DIALLED = auto()
    SILENT = auto()
    GREETING = auto()
    OPEN = auto()
    CLOSED = auto()


class Link:
    """A connection, from its first byte to its last.

    :param board: of a connection that we dialled; None where a stranger came in.
    :param on_queued: told whenever a message waits to be sealed.
    :param tap: told each message sent (True) and received (False); for simulations to measure by.
    :ivar is_open: whether both sides have said hello.
    :ivar is_proven: whether the peer is known to be a member.
    :ivar board: None until a listener's peer has proved membership.
    :ivar instance: the peer's instance, once it has said hello and proved it.
    :ivar listening: where others can reach the peer, if it listens.
    """

    def __init__(
        self,
        number: int,
        remote: Address,
        local: Address,
        random_bytes: RandomBytes,
        on_queued: Callable[[Link], None],
        board: Board | None = None,
        begin: Begin = handshake.begin,
        tap: Tap | None = None,
    ) -> None:
        self._on_queued = on_queued
        self._tap = tap
        self.number = number
        self.remote = remote
        self.local = local
        self.board = board
        self.is_dialled = board is not None
        self._enter(LinkState.DIALLED if self.is_dialled else LinkState.WAITING)
        self.instance: bytes | None = None
        self.listening: Address | None = None
        self.unsent_bytes = 0
        self.heard_ms = 0

        # What the board's gossip keeps for this peer; see protocol.gossip.
        self.announcing: dict[bytes, int] = {}
        self.relaying: list[bytes] = []
        self.initiator: Initiator | None = None
        self.rounds = 0
        self.held_step: bytes | None = None
        self.have: list[tuple[int, bytes]] = []
        self.is_asking = False
        self.asked_for: deque[tuple[int, tuple[bytes, ...]]] = deque()
        self.is_loading = False

        self._random_bytes = random_bytes
        self._handshake = begin(board, True, random_bytes) if board else None
        self._handshake_hash = b""
        self._received = bytearray()
        self._outgoing: list[bytes] = []
        self._sealer: FrameSealer | None = None
        self._opener: FrameOpener | None = None
        self._splitter = MessageSplitter(limits.MESSAGE_BODY_BYTES_MAX)

    def _enter(self, state: LinkState) -> None:
        self.state = state
        self.is_open = state is LinkState.OPEN
        self.is_proven = state in (LinkState.GREETING, LinkState.OPEN)

    def first_message(self, now: Now) -> bytes:
        """What a dialler sends as soon as the connection stands."""
        if self._handshake is None or self.board is None:
            raise Misuse("a listener waits")
        payload = handshake.first_payload(self.board, self.remote, now.wall_s)
        return self._handshake.write_message(payload)

    def receive(
        self, data: bytes, now: Now, doorkeeper: Doorkeeper, boards: list[Board]
    ) -> tuple[bytes, list[Message]]:
        """What to send at once without a frame (the handshake), and the messages in ``data``.

        :raises Refused: the link is to be hung up with the reason.
        """
        answer = b""
        if not self.is_proven:
            answer, data = self._receive_handshake(data, now, doorkeeper, boards)
        if self._opener is None or not data:
            return answer, []
        messages = self._splitter.feed(self._opener.feed(data))
        return answer, [self._decode(kind, body) for kind, body in messages]

    def _receive_handshake(
        self, data: bytes, now: Now, doorkeeper: Doorkeeper, boards: list[Board]
    ) -> tuple[bytes, bytes]:
        """The answer to the peer's message of the handshake, and what follows that."""
        if self.state in (LinkState.SILENT, LinkState.CLOSED):
            return b"", b""
        self._received += data
        if len(self._received) < limits.HANDSHAKE_MESSAGE_BYTES:
            return b"", b""
        message = bytes(self._received[: limits.HANDSHAKE_MESSAGE_BYTES])
        rest = bytes(self._received[limits.HANDSHAKE_MESSAGE_BYTES :])
        self._received.clear()
        if self.state is LinkState.DIALLED:
            self._finish_dialling(message)
            return b"", rest
        return self._admit(message, now, doorkeeper, boards), rest

    def _decode(self, kind: int, body: bytes) -> Message:
        message = decode_message(kind, body)
        if self._tap is not None:
            self._tap(self, False, message)
        return message

    def send(self, message: Message) -> None:
        """Queue a message; :meth:`take_outgoing` seals what is queued."""
        if self.state is not LinkState.CLOSED:
            if self._tap is not None:
                self._tap(self, True, message)
            self._outgoing.append(encode_message(kind_of(message), encode_body(message)))
            self._on_queued(self)

    def take_outgoing(self) -> bytes:
        """The frames of everything queued, in as few frames as they fit; empty if nothing is."""
        if not self._outgoing or self._sealer is None:
            return b""
        stream = b"".join(self._outgoing)
        self._outgoing.clear()
        return self._sealer.seal(stream)

    def prove(self, seed: bytes) -> bytes:
        """The proof for our own hello that we hold the key of ``seed``."""
        if not self.is_proven:
            raise Misuse("a proof is bound to a handshake that is done")
        return handshake.prove_instance(seed, self.is_dialled, self._handshake_hash)

    def on_hello(self, hello: Hello) -> None:
        """The peer is who it says: the link is open.

        :raises Refused: LINK_MESSAGE_UNEXPECTED for a second one; LINK_INSTANCE where the proof is
            not of this link, this side or this instance.
        """
        if self.state is not LinkState.GREETING:
            raise Refused(Reason.LINK_MESSAGE_UNEXPECTED, "a second hello")
        handshake.check_instance(hello, not self.is_dialled, self._handshake_hash)
        self._enter(LinkState.OPEN)
        self.instance = hello.instance
        if self.is_dialled:
            self.listening = self.remote
        elif hello.port:
            self.listening = Address(self.remote.host, hello.port)

    def close(self) -> None:
        """Nothing comes or goes any more."""
        self._enter(LinkState.CLOSED)
        self._outgoing.clear()

    def _finish_dialling(self, message: bytes) -> None:
        if self._handshake is None:
            raise Misuse("a listener has nothing to finish")
        self._handshake.read_message(message)
        self._begin_frames()

    def _admit(
        self, message: bytes, now: Now, doorkeeper: Doorkeeper, boards: list[Board]
    ) -> bytes:
        try:
            self.board, self._handshake = doorkeeper.admit(
                message, boards, self.local, now.wall_s, self._random_bytes
            )
            answer = self._handshake.write_message(handshake.second_payload())
        except Refused:
            self.board = None
            self._enter(LinkState.SILENT)
            return b""
        self._begin_frames()
        return answer

    def _begin_frames(self) -> None:
        if self._handshake is None:
            raise Misuse("no handshake")
        self._handshake_hash = self._handshake.handshake_hash
        send, receive = self._handshake.split()
        self._sealer, self._opener = FrameSealer(send), FrameOpener(receive)
        self._handshake = None
        self._enter(LinkState.GREETING)
