"""Withholders: members that take and never give.

What one sees is what any member sees. It links, reconciles, fetches and keeps everything, so that
it looks like the best of peers; but it announces nothing that comes to it, whoever asks it for
entries gets an empty answer, or none, and of the cells that it should pass on or publish it drops a
share. Its own cells it sends, and what comes home to it comes home.

What is promised against it: delay, not loss. An own entry that does not come back takes another
path; ids that it leaves out are asked of others at once, and where it does not answer, after the
time for a request.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Annotated, ClassVar, Literal

from protocol.entry import Entry
from protocol.gossip import Gossip
from protocol.inputs import Now
from protocol.link import Link
from protocol.messages import Entries, Message, Want
from protocol.mix import Mix
from protocol.pieces import Piece
from protocol.publishing import Publishing
from protocol.relays import Record
from simnet.adversaries import Kind, MakeHost
from simnet.host import Host


@dataclass(frozen=True, slots=True)
class WithholderOptions:
    """:ivar answers: what a peer gets that asks for entries: "nothing" (an empty answer, at once)
    or "never" (it waits until it gives up).
    :ivar drops: the share of others' cells that it drops.
    """

    answers: Literal["nothing", "never"] = "nothing"
    drops: Annotated[float, (0.0, 1.0)] = 1.0


class DroppingMix(Mix):
    """A mix that drops cells of others."""

    drops: float = 1.0

    def _hold(self, record: Record | None, what: bytes | Piece, now: Now) -> None:
        if self._chance.below(1 << 32) >= self.drops * (1 << 32):
            super()._hold(record, what, now)


class DroppingPublishing(Publishing):
    """The way out of a board whose cells of others get lost here."""

    mix_machine = DroppingMix


class Withholding(Gossip):
    """A board's machine that passes nothing on."""

    answers: ClassVar[str] = "nothing"
    drops: ClassVar[float] = 1.0
    publishing_machine = DroppingPublishing

    def _make_publishing(self, port: int) -> Publishing:
        publishing = super()._make_publishing(port)
        if isinstance(publishing.mix, DroppingMix):
            publishing.mix.drops = self.drops
        return publishing

    def on_message(self, link: Link, message: Message, now: Now) -> None:
        """Requests get nothing; all else is as with an honest node."""
        match message:
            case Want():
                if self.answers == "nothing":
                    link.send(Entries(message.request, True, []))
            case _:
                super().on_message(link, message, now)

    def _announce_to(self, link: Link, entry: Entry, now: Now) -> None:
        """Nobody is told."""


class Withholder(Host):
    """A host that withholds."""

    role = "withholder"
    make_board = Withholding


def make(options: WithholderOptions) -> MakeHost:
    """Withholders, for :meth:`simnet.world.World.add_hosts`."""
    machine = type("Withholding", (Withholding,), asdict(options))
    return type("Withholder", (Withholder,), {"make_board": machine})


KIND = Kind("withholder", "takes what it gets and passes nothing on", WithholderOptions, make)
