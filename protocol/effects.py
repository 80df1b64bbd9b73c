"""What the core asks its driver to do, and what it tells the application.

A driver carries effects out in the order in which it got them. Those that cost CPU or disk
(:class:`Verify`, :class:`Store`, :class:`Load`) are only *begun* in order: each carries a token and
is answered by an input with the same token, whenever it is done.
"""

from __future__ import annotations

from dataclasses import dataclass

from protocol.entry import Entry
from protocol.errors import Reason
from protocol.messages import Address
from protocol.work import Work


@dataclass(frozen=True, slots=True)
class Dial:
    """Connect to ``address``; answer with LinkOpened or DialFailed."""

    board_id: bytes
    address: Address


@dataclass(frozen=True, slots=True)
class SendBytes:
    """Write to a link; answer with BytesSent as they leave."""

    link: int
    data: bytes


@dataclass(frozen=True, slots=True)
class SendDatagram:
    """Send one UDP datagram from the port that the node listens on. It may be lost on the way, and
    nothing is answered; one that can't be sent is dropped."""

    address: Address
    data: bytes


@dataclass(frozen=True, slots=True)
class FindWork:
    """Search for a nonce off the event loop (:meth:`protocol.work.Work.search`, from a random start
    on, until there is one); answer with WorkFound."""

    token: int
    work: Work


@dataclass(frozen=True, slots=True)
class HangUp:
    """Write what is queued, then close. No input about this link is expected afterwards.

    :ivar reason: for the log and for people; None where the other end closed.
    """

    link: int
    reason: Reason


@dataclass(frozen=True, slots=True)
class Verify:
    """Check signatures off the event loop (:func:`protocol.entry.check_signature`)."""

    token: int
    entries: tuple[Entry, ...]


@dataclass(frozen=True, slots=True)
class Store:
    """Make entries durable; answer with Stored or StoreFailed. Entries that are stored already are
    no fault: a payload that was missing is filled in. An entry that is in the outbox leaves it in
    the same transaction."""

    token: int
    board_id: bytes
    entries: tuple[Entry, ...]


@dataclass(frozen=True, slots=True)
class Load:
    """Read stored entries (never the outbox's); answer with Loaded.

    :ivar bytes_max: stop after the entry that exceeds it.
    """

    token: int
    board_id: bytes
    ids: tuple[bytes, ...]
    bytes_max: int


@dataclass(frozen=True, slots=True)
class Expire:
    """Delete all of a board's entries before ``bucket``, without trace."""

    board_id: bytes
    bucket: int


@dataclass(frozen=True, slots=True)
class Advertise:
    """Show these presence tags on the LAN from now on, instead of any before."""

    salt: bytes
    tags: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class RememberAddress:
    """A member was reached here: worth trying after the next start."""

    board_id: bytes
    address: Address


# --- Events: what only the application is told ----------------------------------------------------


@dataclass(frozen=True, slots=True)
class EntriesArrived:
    """Entries are in the board that were not before."""

    board_id: bytes
    entries: tuple[Entry, ...]


@dataclass(frozen=True, slots=True)
class CameBack:
    """An own entry has come back from the network: it has left the outbox."""

    board_id: bytes
    id: bytes


@dataclass(frozen=True, slots=True)
class LinkUp:
    """A peer is there."""

    board_id: bytes
    link: int
    address: Address


@dataclass(frozen=True, slots=True)
class LinkDown:
    """A peer is gone."""

    board_id: bytes
    link: int
    reason: Reason


@dataclass(frozen=True, slots=True)
class SyncProgress:
    """How far fetching is; told when that has changed.

    :ivar fetched: entries got since nothing was wanted.
    :ivar wanted: entries known to be missing still.
    :ivar is_reconciling: whether more may turn out to be missing.
    """

    board_id: bytes
    fetched: int
    wanted: int
    is_reconciling: bool


Event = EntriesArrived | CameBack | LinkUp | LinkDown | SyncProgress


@dataclass(frozen=True, slots=True)
class Tell:
    """Tell the application."""

    event: Event


Effect = (
    Dial
    | SendBytes
    | SendDatagram
    | FindWork
    | HangUp
    | Verify
    | Store
    | Load
    | Expire
    | Advertise
    | RememberAddress
    | Tell
)
