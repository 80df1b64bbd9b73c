"""Spies: nodes that do all that an honest one does, and log which peer told them what and when, and
which cells came to them and left them.

They collude: :mod:`simnet.attacks` pools the logs of all of them. That is the insider of
the threat model; it breaks no rule, so no peer can tell it from the others.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from protocol.board import Board
from protocol.entry import entry_id
from protocol.link import Link
from protocol.messages import Announce, Entries, Message, Want
from simnet.adversaries import Kind, MakeHost
from simnet.adversaries.cell_log import CellLog, logging_machine
from simnet.host import Host
from simnet.strategies import STEM

if TYPE_CHECKING:
    from simnet.world import World


class Sighting(NamedTuple):
    """What a spy noticed about one entry.

    :ivar at_us: the spy's time (spies keep their clocks together).
    :ivar spy: the number of the host that noticed it.
    :ivar peer: the number of the host at the other end: spies know whose an address is.
    :ivar what: "announce", "hand" (along a stem) and "entry": the peer has it; "want": it asks
        for it.
    :ivar entry_id: which.
    """

    at_us: int
    spy: int
    peer: int
    what: str
    entry_id: bytes


class Spy(Host):
    """A colluding spy.

    :ivar log: what it noticed, in order.
    :ivar cells: what it knows of cells.
    """

    role = "spy"

    def __init__(self, world: World, number: int, boards: Sequence[Board]) -> None:
        self.cells = CellLog()
        self.make_board = logging_machine(self.make_board or world.make_board, self, self.cells)
        super().__init__(world, number, boards)
        self.log: list[Sighting] = []
        self.keeps_events = False
        self.listeners.append(self._on_message)

    def _on_message(self, _: Host, link: Link, is_sent: bool, message: Message) -> None:
        if is_sent:
            return
        connection = self._connections[link.number]
        peer = connection.ends[1 - connection.side_of(self)].number
        for what, identifier in _seen_in(message, link.board):
            self.log.append(Sighting(self.world.now_us, self.number, peer, what, identifier))


def _seen_in(message: Message, board: Board | None) -> Iterator[tuple[str, bytes]]:
    match message:
        case Announce():
            yield from (("announce", identifier) for _, identifier in message.items)
        case Want():
            yield from (("want", identifier) for identifier in message.ids)
        case Entries() if board is not None:
            what = "hand" if message.request == STEM else "entry"
            yield from ((what, entry_id(board, wire.raw)) for wire in message.entries)


@dataclass(frozen=True, slots=True)
class SpyOptions:
    """Spies have no settings: how many there are is what matters."""


def make(_: SpyOptions) -> MakeHost:
    """Spies, for :meth:`simnet.world.World.add_hosts`."""
    return Spy


KIND = Kind(
    "spies", "do all that honest nodes do, log what they are told, collude", SpyOptions, make
)
