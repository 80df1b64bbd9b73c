"""What the two handshake messages say, and how a listener tells members from strangers.

The handshake is Noise NNpsk0 with the board's key (SPEC.md, "Handshake"). Its first message proves
membership before the listener has sent a byte. Two things in its payload keep a *recorded* first
message from being a probe ("does that host run this board too?"): the address that was dialled, so
that it fits one listener only, and the minute, so that what a listener must remember is bounded.

The handshake says that both sides are members, not which. What tells one node's links apart from
another's is the key of its *instance*, and the proof of that key in ``hello`` is bound to the
handshake that it follows, so that nobody else can show it, on another link or in the other
direction of the same one (SPEC.md, "Hello").
"""

from __future__ import annotations

import ipaddress
from collections import OrderedDict
from collections.abc import Callable
from functools import lru_cache
from typing import Protocol

from protocol import limits
from protocol.board import Board
from protocol.crypto import (
    PUBLIC_KEY_BYTES,
    TAG_BYTES,
    RandomBytes,
    is_signed,
    keyed_hash,
    plain_hash,
    sign,
)
from protocol.errors import Reason, Refused
from protocol.messages import Address, Hello
from protocol.noise import CipherState, HandshakeState

PROTOCOL_VERSION = 1
_PROLOGUE = b"p2pboard link 1"
_PAYLOAD_BYTES = limits.HANDSHAKE_MESSAGE_BYTES - PUBLIC_KEY_BYTES - TAG_BYTES
_DESTINATION_BYTES = 16
#: Who of the two proves its instance.
_DIALLER, _LISTENER = b"\x01", b"\x02"


class Handshake(Protocol):
    """What a link needs of a handshake: :class:`protocol.noise.HandshakeState` is one; a
    simulation of thousands of nodes may choose one that only has its sizes and its failures."""

    @property
    def handshake_hash(self) -> bytes:
        """What both sides alone have in common, other for each handshake; once both messages are
        through."""

    def write_message(self, payload: bytes = b"") -> bytes:
        """The next message of this side."""

    def read_message(self, message: bytes) -> bytes:
        """The payload of the other side's message; raises Refused(LINK_HANDSHAKE)."""

    def split(self) -> tuple[CipherState, CipherState]:
        """The ciphers for sending and receiving, once both messages are through."""


#: Board, whether we dialled, randomness: one side of a handshake.
Begin = Callable[[Board, bool, RandomBytes], Handshake]


def begin(board: Board, is_initiator: bool, random_bytes: RandomBytes) -> HandshakeState:
    """One side of a handshake on ``board``."""
    return HandshakeState("NNpsk0", is_initiator, _PROLOGUE, [board.link_psk], random_bytes)


def first_payload(board: Board, destination: Address, wall_s: int) -> bytes:
    """The payload of the first message: version, minute, destination, zeros."""
    fields = (
        bytes([PROTOCOL_VERSION])
        + (wall_s // 60).to_bytes(5, "big")
        + _destination_tag(board, destination)
    )
    return fields.ljust(_PAYLOAD_BYTES, b"\0")


def second_payload() -> bytes:
    """The payload of the second message: zeros, so that both have one size."""
    return bytes(_PAYLOAD_BYTES)


def _destination_tag(board: Board, destination: Address) -> bytes:
    return keyed_hash(
        b"p2pb dest",
        board.link_psk,
        packed_host(destination.host) + destination.port.to_bytes(2, "big"),
        _DESTINATION_BYTES,
    )


@lru_cache(maxsize=limits.ADDRESSES_JUDGED_MAX)
def packed_host(host: str) -> bytes:
    """An IP address as bytes: no zone, and an IPv4 address that came through an IPv6 socket is
    IPv4, so that both ends of a connection name it alike.

    :raises Refused: LINK_MESSAGE_MALFORMED where it is no IP address.
    """
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        raise Refused(Reason.LINK_MESSAGE_MALFORMED, "not an IP address") from None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return address.packed


def prove_instance(seed: bytes, is_dialler: bool, handshake_hash: bytes) -> bytes:
    """A proof (64 bytes) for ``hello`` that its sender holds the key of ``seed``.

    :param is_dialler: whether the sender has dialled the link.
    :param handshake_hash: of the link's handshake.
    """
    return sign(seed, _to_be_proven(is_dialler, handshake_hash))


def check_instance(hello: Hello, is_dialler: bool, handshake_hash: bytes) -> None:
    """Judge a peer's proof; ``is_dialler`` says whether the *peer* has dialled the link.

    :raises Refused: LINK_INSTANCE where it is not the instance's own, made for this link and side.
    """
    if not is_signed(hello.instance, _to_be_proven(is_dialler, handshake_hash), hello.proof):
        raise Refused(Reason.LINK_INSTANCE, "the proof of the instance does not fit")


def _to_be_proven(is_dialler: bool, handshake_hash: bytes) -> bytes:
    return plain_hash(b"p2pb instance", (_DIALLER if is_dialler else _LISTENER) + handshake_hash)


class Doorkeeper:
    """Judges first messages: of which board, meant for us, in time, never seen before."""

    def __init__(self, begin: Begin = begin) -> None:
        self._begin = begin
        self._seen: OrderedDict[bytes, None] = OrderedDict()

    def admit(
        self,
        message: bytes,
        boards: list[Board],
        local: Address,
        wall_s: int,
        random_bytes: RandomBytes,
    ) -> tuple[Board, Handshake]:
        """The board that the sender is a member of, and the handshake to be answered.

        :raises Refused: LINK_HANDSHAKE; the caller stays silent.
        """
        for board in boards:
            state = self._begin(board, False, random_bytes)
            try:
                payload = state.read_message(message)
            except Refused:
                continue
            self._check(board, payload, local, wall_s)
            self._remember(message[:PUBLIC_KEY_BYTES])
            return board, state
        raise Refused(Reason.LINK_HANDSHAKE, "not a member of a board of ours")

    def _check(self, board: Board, payload: bytes, local: Address, wall_s: int) -> None:
        sent_s = int.from_bytes(payload[1:6], "big") * 60
        destination = payload[6 : 6 + _DESTINATION_BYTES]
        if payload[0] != PROTOCOL_VERSION:
            raise Refused(Reason.LINK_HANDSHAKE, "another version")
        if abs(wall_s - sent_s) > limits.HANDSHAKE_SKEW_S_MAX:
            raise Refused(Reason.LINK_HANDSHAKE, "the clocks differ too much")
        if destination != _destination_tag(board, local):
            raise Refused(Reason.LINK_HANDSHAKE, "meant for another listener")

    def _remember(self, ephemeral: bytes) -> None:
        if ephemeral in self._seen:
            raise Refused(Reason.LINK_HANDSHAKE, "replayed")
        self._seen[ephemeral] = None
        if len(self._seen) > limits.REPLAYS_REMEMBERED_MAX:
            self._seen.popitem(last=False)
