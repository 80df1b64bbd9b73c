"""A board's machine that offers entries which it does not have like others have them: not on its
disk, not in its set, and perhaps no entries at all. For adversaries who say different things to
different peers, or wrong things."""

from __future__ import annotations

from protocol.board import Board
from protocol.entry import entry_id
from protocol.gossip import Gossip
from protocol.inputs import Now
from protocol.link import Link
from protocol.messages import Announce, Entries, Message, Want, WireEntry

#: Offers remembered, the newest.
_OFFERS_MAX = 256


class Offering(Gossip):
    """Announces what it is told to, and answers who asks for it."""

    _offers: dict[bytes, WireEntry]

    def offer(self, bucket: int, wire: WireEntry) -> Announce:
        """Remember an entry; the message that announces it to a peer."""
        if not hasattr(self, "_offers"):
            self._offers = {}
        identifier = offered_id(self.board, wire)
        self._offers[identifier] = wire
        if len(self._offers) > _OFFERS_MAX:
            del self._offers[next(iter(self._offers))]
        return Announce([(bucket, identifier)])

    def on_message(self, link: Link, message: Message, now: Now) -> None:
        """As always, but for requests for what was offered."""
        offers = getattr(self, "_offers", {})
        if isinstance(message, Want) and any(i in offers for i in message.ids):
            wires = [offers[i] for i in message.ids if i in offers]
            link.send(Entries(message.request, True, wires))
        else:
            super().on_message(link, message, now)


def offered_id(board: Board, wire: WireEntry) -> bytes:
    """What its id would be, whatever is wrong with it."""
    return entry_id(board, wire.raw)
