"""Withholders: members that take and never give.

What one sees is what any member sees. It links, reconciles, fetches and keeps everything, so that
it looks like the best of peers; but an entry that is handed to it goes nowhere, it announces
nothing that comes to it, and whoever asks it for entries gets an empty answer, or none.

What is promised against it: delay, not loss. An own entry that does not come back is handed to
somebody else; ids that it leaves out are asked of others at once, and where it does not answer,
after the time for a request.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from protocol.entry import Entry
from protocol.gossip import Gossip
from protocol.inputs import Now
from protocol.link import Link
from protocol.messages import Entries, Hand, Message, Want
from simnet.adversaries import Kind, MakeHost
from simnet.host import Host


@dataclass(frozen=True, slots=True)
class WithholderOptions:
    """:ivar answers: what a peer gets that asks for entries: "nothing" (an empty answer, at once)
    or "never" (it waits until it gives up).
    """

    answers: Literal["nothing", "never"] = "nothing"


class Withholding(Gossip):
    """A board's machine that passes nothing on."""

    answers = "nothing"

    def on_message(self, link: Link, message: Message, now: Now) -> None:
        """Hands end here, requests get nothing; all else is as with an honest node."""
        match message:
            case Hand():
                pass
            case Want():
                if self.answers == "nothing":
                    link.send(Entries(message.request, True, []))
            case _:
                super().on_message(link, message, now)

    def _announce_to(self, link: Link, entry: Entry, now: Now) -> None:
        """Nobody is told."""


class _NeverAnswering(Withholding):
    answers = "never"


class Withholder(Host):
    """A host that withholds."""

    role = "withholder"
    make_board = Withholding


class _SilentWithholder(Withholder):
    make_board = _NeverAnswering


def make(options: WithholderOptions) -> MakeHost:
    """Withholders, for :meth:`simnet.world.World.add_hosts`."""
    return Withholder if options.answers == "nothing" else _SilentWithholder


KIND = Kind("withholder", "takes what it is handed and passes nothing on", WithholderOptions, make)
