"""What a driver tells the core (:meth:`protocol.node.Node.handle`).

Each input is a fact: something that has happened. None of them is a question, and none of them may
be told twice. ``docs/drivers.md`` walks through them in the order in which a driver needs them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from protocol.board import Board
from protocol.entry import Entry
from protocol.messages import Address


class Now(NamedTuple):
    """The two clocks, told with every input.

    :ivar mono_ms: milliseconds that never run backwards; all deadlines are in them.
    :ivar wall_s: seconds since 1970; only the times inside entries and handshakes are in them.
    """

    mono_ms: int
    wall_s: int


@dataclass(frozen=True, slots=True)
class BoardOpened:
    """The node takes part in a board from now on.

    :ivar keys: the index: the 40-byte keys (:mod:`protocol.index`) of all stored entries, sorted.
    :ivar outbox: own entries that have not come back from the network.
    :ivar held: of those that wait for company, by id, how many nodes must be there.
    :ivar lacking: ids of stored entries whose payload is wanted and missing.
    :ivar addresses: where members were met, or are said to be; dialled with patience.
    """

    board: Board
    keys: bytes = b""
    outbox: tuple[Entry, ...] = ()
    lacking: tuple[bytes, ...] = ()
    addresses: tuple[Address, ...] = ()
    held: Mapping[bytes, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class BoardClosed:
    """The node has left the board; its links are hung up."""

    board_id: bytes


@dataclass(frozen=True, slots=True)
class AddressGiven:
    """Somebody who knows says that nodes listen here: never forgotten, tried for every board."""

    address: Address


@dataclass(frozen=True, slots=True)
class Advertised:
    """A node on the LAN shows presence tags (SPEC.md, "Discovery").

    :ivar addresses: all that it lists; the same node.
    """

    addresses: tuple[Address, ...]
    salt: bytes
    tags: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class LinkOpened:
    """A connection stands.

    :ivar link: the driver's number for it, never used again.
    :ivar remote: the other end as the socket names it.
    :ivar local: this end as the socket names it.
    :ivar board_id: of a connection that we dialled, the board that it was dialled for; else None.
    """

    link: int
    remote: Address
    local: Address
    board_id: bytes | None = None


@dataclass(frozen=True, slots=True)
class DialFailed:
    """Nobody answered there."""

    board_id: bytes
    address: Address


@dataclass(frozen=True, slots=True)
class BytesReceived:
    """Bytes of a link, in order, cut anywhere."""

    link: int
    data: bytes


@dataclass(frozen=True, slots=True)
class DatagramReceived:
    """A UDP datagram came to the port that the node listens on.

    :ivar remote: where it says that it comes from, which nothing proves.
    """

    remote: Address
    data: bytes


@dataclass(frozen=True, slots=True)
class BytesSent:
    """So many bytes of :class:`~protocol.effects.SendBytes` have left for the network."""

    link: int
    count: int


@dataclass(frozen=True, slots=True)
class LinkClosed:
    """The other end, or the network, has closed the connection."""

    link: int


@dataclass(frozen=True, slots=True)
class Verified:
    """The answer to :class:`~protocol.effects.Verify`, in its order."""

    token: int
    is_valid: tuple[bool, ...]


@dataclass(frozen=True, slots=True)
class Stored:
    """The entries of :class:`~protocol.effects.Store` are durable.

    :ivar lacking: ids among them whose payload is wanted and still missing.
    """

    token: int
    lacking: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class StoreFailed:
    """They are not (disk full, say), and will not be without a new attempt."""

    token: int


@dataclass(frozen=True, slots=True)
class Loaded:
    """The answer to :class:`~protocol.effects.Load`.

    :ivar covered: how many of the ids asked for are dealt with, from the first on; the rest was
        left out because of the bound on bytes.
    :ivar entries: those of them that there are, in log order.
    """

    token: int
    covered: int
    entries: tuple[Entry, ...]


@dataclass(frozen=True, slots=True)
class WorkFound:
    """The answer to :class:`~protocol.effects.FindWork`."""

    token: int
    nonce: bytes


@dataclass(frozen=True, slots=True)
class Publish:
    """An own entry is durable in the outbox: get it out.

    :ivar crowd_least: but not before so many nodes could have written it.
    """

    board_id: bytes
    entry: Entry
    crowd_least: int = 0


@dataclass(frozen=True, slots=True)
class Withdraw:
    """An own entry was taken out of the outbox: hand it to nobody any more."""

    board_id: bytes
    id: bytes


@dataclass(frozen=True, slots=True)
class PayloadsWanted:
    """Stored entries whose payload is wanted again: ask around, when it is time to."""

    board_id: bytes
    ids: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class ListeningOn:
    """The node accepts connections on this port (0: it does not)."""

    port: int


@dataclass(frozen=True, slots=True)
class Tick:
    """:meth:`~protocol.node.Node.next_deadline` has come."""


Input = (
    BoardOpened
    | BoardClosed
    | AddressGiven
    | Advertised
    | LinkOpened
    | DialFailed
    | BytesReceived
    | DatagramReceived
    | BytesSent
    | LinkClosed
    | Verified
    | Stored
    | StoreFailed
    | Loaded
    | WorkFound
    | Publish
    | Withdraw
    | PayloadsWanted
    | ListeningOn
    | Tick
)
