"""The messages of a link (SPEC.md, "Messages").

A message is a kind (one byte) and a body: a CBOR array with a fixed number of fields. Each kind is
a class of fields here; :func:`decode_message` checks every field of a body before anything else
sees it, so that the machines behind it handle only well-formed values.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from enum import IntEnum
from functools import lru_cache
from typing import Any, NamedTuple

from protocol import limits
from protocol.codec import decode_whole, encode, is_bytes, is_uint
from protocol.crypto import HASH_BYTES, PUBLIC_KEY_BYTES, SIGNATURE_BYTES
from protocol.errors import Reason, Refused

_UINT32_MAX = 2**32 - 1


class Address(NamedTuple):
    """Where a node listens: an IP address in its usual text form, and a TCP port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class MessageKind(IntEnum):
    """The kind byte. Numbers are never reused; 128 and above are free for extensions."""

    HELLO = 1
    ASK = 2
    ANSWER = 3
    NUDGE = 4
    ANNOUNCE = 5
    WANT = 6
    ENTRIES = 7
    # 8 was "hand", which let one peer know who wrote an entry
    PEERS = 9
    PING = 10
    PONG = 11
    BYE = 12
    RELAYS = 13


class Hello(NamedTuple):
    """First on a link, from both sides.

    :ivar instance: an Ed25519 public key, made at each start of the node and for each board: by it
        a node notices that it has dialled itself, or a peer that it is linked with already.
    :ivar port: where the sender listens, 0 where it does not.
    :ivar proof: that the sender holds the instance's key, on this very link
        (:func:`protocol.handshake.prove_instance`); not checked by decoding.
    """

    instance: bytes
    port: int
    proof: bytes


class Ask(NamedTuple):
    """A step of reconciliation by the side that began it (a Negentropy message)."""

    step: bytes


class Answer(NamedTuple):
    """The other side's answer to an :class:`Ask`."""

    step: bytes


class Nudge(NamedTuple):
    """ "I have many entries that you lack: reconcile with me." """


class Announce(NamedTuple):
    """New entries of the sender: pairs of bucket and id, all of them on its disk."""

    items: list[tuple[int, bytes]]


class Want(NamedTuple):
    """A request for entries.

    :ivar request: chosen by the sender; the answers repeat it.
    """

    request: int
    ids: list[bytes]


class WireEntry(NamedTuple):
    """An entry inside a message, nothing of it checked but its types."""

    raw: bytes
    signature: bytes
    payload: bytes | None


class Entries(NamedTuple):
    """A part of the answer to a :class:`Want`. Entries that the sender lacks are left out.

    :ivar last: whether the request is answered with this part.
    """

    request: int
    last: bool
    entries: list[WireEntry]


class Peers(NamedTuple):
    """Addresses where the sender has met members."""

    addresses: list[Address]


class RelayRecords(NamedTuple):
    """Relay records that the sender knows, its own among them (:mod:`protocol.relays`), nothing of
    them checked but their size."""

    records: list[bytes]


class Ping(NamedTuple):
    """Asks for a :class:`Pong`."""


class Pong(NamedTuple):
    """ "I am here." """


class Bye(NamedTuple):
    """Last on a link, where there is something to say."""

    reason: int


Message = (
    Hello
    | Ask
    | Answer
    | Nudge
    | Announce
    | Want
    | Entries
    | Peers
    | Ping
    | Pong
    | Bye
    | RelayRecords
)


_KIND_OF: dict[type[Message], MessageKind] = {
    Hello: MessageKind.HELLO,
    Ask: MessageKind.ASK,
    Answer: MessageKind.ANSWER,
    Nudge: MessageKind.NUDGE,
    Announce: MessageKind.ANNOUNCE,
    Want: MessageKind.WANT,
    Entries: MessageKind.ENTRIES,
    Peers: MessageKind.PEERS,
    Ping: MessageKind.PING,
    Pong: MessageKind.PONG,
    Bye: MessageKind.BYE,
    RelayRecords: MessageKind.RELAYS,
}


def kind_of(message: Message) -> MessageKind:
    """The kind byte of a message."""
    return _KIND_OF[type(message)]


#: The body of a message without fields.
_NOTHING = encode([])


def encode_body(message: Message) -> bytes:
    """The body of a message; :func:`protocol.frames.encode_message` puts it into the stream."""
    return encode(list(message)) if message else _NOTHING


def _check(is_right: bool, what: str) -> None:
    if not is_right:
        raise Refused(Reason.LINK_MESSAGE_MALFORMED, what)


def _decode_hello(fields: list[Any]) -> Hello:
    instance, port, proof = fields
    _check(
        is_bytes(instance, PUBLIC_KEY_BYTES)
        and is_uint(port, 65535)
        and is_bytes(proof, SIGNATURE_BYTES),
        "hello",
    )
    return Hello(instance, port, proof)


def _step(fields: list[Any]) -> bytes:
    (step,) = fields
    _check(type(step) is bytes, "a step is bytes")
    _check(1 <= len(step) <= limits.RECONCILE_MESSAGE_BYTES_MAX, "length of a step")
    return bytes(step)


def _decode_announce(fields: list[Any]) -> Announce:
    (items,) = fields
    _check(type(items) is list and 1 <= len(items) <= limits.ANNOUNCE_ITEMS_MAX, "announcement")
    for item in items:
        _check(
            type(item) is list
            and len(item) == 2
            and is_uint(item[0], _UINT32_MAX)
            and is_bytes(item[1], HASH_BYTES),
            "announced item",
        )
    return Announce([(bucket, identifier) for bucket, identifier in items])


def _decode_want(fields: list[Any]) -> Want:
    request, ids = fields
    _check(is_uint(request, _UINT32_MAX), "request")
    _check(type(ids) is list and 1 <= len(ids) <= limits.WANT_IDS_MAX, "wanted ids")
    _check(all(is_bytes(identifier, HASH_BYTES) for identifier in ids), "wanted id")
    return Want(request, ids)


def decode_wire_entry(fields: Any) -> WireEntry:
    """An entry inside of something else.

    :raises Refused: LINK_MESSAGE_MALFORMED.
    """
    _check(type(fields) is list and len(fields) == 3, "entry")
    raw, signature, payload = fields
    _check(
        type(raw) is bytes
        and is_bytes(signature, SIGNATURE_BYTES)
        and (payload is None or type(payload) is bytes),
        "entry",
    )
    return WireEntry(raw, signature, payload)


def _decode_entries(fields: list[Any]) -> Entries:
    request, last, entries = fields
    _check(is_uint(request, _UINT32_MAX) and type(last) is bool, "entries")
    _check(type(entries) is list and len(entries) <= limits.WANT_IDS_MAX, "entries")
    return Entries(request, last, [decode_wire_entry(entry) for entry in entries])


@lru_cache(maxsize=limits.ADDRESSES_JUDGED_MAX)
def _is_host(host: str) -> bool:
    """Whether ``host`` is an IP address without a zone: a name would let a peer make us ask the
    name service whatever it likes, and a zone means something on its own machine only."""
    if not 2 <= len(host) <= limits.HOST_CHARACTERS_MAX or "%" in host:
        return False
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _decode_peers(fields: list[Any]) -> Peers:
    (addresses,) = fields
    _check(type(addresses) is list and len(addresses) <= limits.PEERS_ADDRESSES_MAX, "peers")
    for address in addresses:
        _check(
            type(address) is list
            and len(address) == 2
            and type(address[0]) is str
            and _is_host(address[0])
            and is_uint(address[1], 65535)
            and address[1] > 0,
            "address",
        )
    return Peers([Address(host, port) for host, port in addresses])


def _decode_relays(fields: list[Any]) -> RelayRecords:
    (records,) = fields
    _check(type(records) is list and 1 <= len(records) <= limits.RELAYS_ITEMS_MAX, "records")
    _check(
        all(type(raw) is bytes and len(raw) <= limits.RELAY_RECORD_BYTES_MAX for raw in records),
        "record",
    )
    return RelayRecords(records)


def _decode_bye(fields: list[Any]) -> Bye:
    (reason,) = fields
    _check(is_uint(reason, 255), "reason")
    return Bye(reason)


#: Kind: how many fields, and what makes a message of them.
_DECODERS: dict[int, tuple[int, Callable[[list[Any]], Message]]] = {
    MessageKind.HELLO: (3, _decode_hello),
    MessageKind.ASK: (1, lambda fields: Ask(_step(fields))),
    MessageKind.ANSWER: (1, lambda fields: Answer(_step(fields))),
    MessageKind.NUDGE: (0, lambda _: Nudge()),
    MessageKind.ANNOUNCE: (1, _decode_announce),
    MessageKind.WANT: (2, _decode_want),
    MessageKind.ENTRIES: (3, _decode_entries),
    MessageKind.PEERS: (1, _decode_peers),
    MessageKind.PING: (0, lambda _: Ping()),
    MessageKind.PONG: (0, lambda _: Pong()),
    MessageKind.BYE: (1, _decode_bye),
    MessageKind.RELAYS: (1, _decode_relays),
}


def decode_message(kind: int, body: bytes) -> Message:
    """The message, every field checked; nobody may change it, since others may get it, too.

    :raises Refused: LINK_MESSAGE_UNKNOWN, LINK_MESSAGE_MALFORMED.
    """
    return _decode_short(kind, body) if len(body) <= _SHORT_BYTES_MAX else _decode(kind, body)


#: An announcement of one entry is as long as this, and comes by every link.
_SHORT_BYTES_MAX = 48


@lru_cache(maxsize=limits.MESSAGES_KNOWN_MAX)
def _decode_short(kind: int, body: bytes) -> Message:
    return _decode(kind, body)


def _decode(kind: int, body: bytes) -> Message:
    if kind not in _DECODERS:
        raise Refused(Reason.LINK_MESSAGE_UNKNOWN, f"kind {kind}")
    count, decoder = _DECODERS[kind]
    fields = decode_whole(body, Reason.LINK_MESSAGE_MALFORMED)
    _check(type(fields) is list and len(fields) == count, "number of fields")
    return decoder(fields)
