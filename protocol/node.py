"""The node: one entry point, ``effects = node.handle(input, now)``, and ``next_deadline()``.

It routes. An input about a connection goes to its link (:mod:`protocol.link`), what the link
understood goes to its board (:mod:`protocol.gossip`), and what they ask for is returned as effects,
in the order in which they must be carried out. A peer can do nothing that makes ``handle`` raise: a
:class:`~protocol.errors.Refused` ends here, as a hang-up with its reason. :class:`Misuse` is the
driver's own fault and is raised.

Messages queued for a peer during one call leave together, sealed into as few frames as they fit,
as the last effects of that call.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from protocol import handshake, inputs, limits
from protocol.cells import is_of_board
from protocol.chance import Chance
from protocol.crypto import CURVE25519, Group, RandomBytes
from protocol.directory import Source, presence_tag, presence_tags
from protocol.effects import Advertise, Effect, FindWork, HangUp, SendBytes
from protocol.errors import Misuse, Reason, Refused
from protocol.gossip import Batch, Gossip
from protocol.handshake import Begin, Doorkeeper
from protocol.inputs import Input, Now
from protocol.link import Link, LinkState, Tap
from protocol.messages import Address, Bye, Hello, Message, Ping
from protocol.ports import Due, TimerKey
from protocol.timers import Timers
from protocol.work import Work


class Node:
    """The core of one node.

    :param random_bytes: the randomness port; cryptographic in production, seeded in simulation.
    :param make_board: the machine of a board; simulations try other ways of publishing with it.
    :param begin: the handshake of links.
    :param group: where cells exchange secrets.
    :param tap: see :class:`protocol.link.Link`.
    """

    def __init__(
        self,
        random_bytes: RandomBytes,
        make_board: type[Gossip] = Gossip,
        begin: Begin = handshake.begin,
        tap: Tap | None = None,
        group: Group = CURVE25519,
    ) -> None:
        self.chance = Chance(random_bytes)
        self.group = group
        self._make_board = make_board
        self._begin = begin
        self._tap = tap
        self.timers: Timers[TimerKey] = Timers()
        self.boards: dict[bytes, Gossip] = {}
        self.links: dict[int, Link] = {}
        self._port = 0
        self._given: list[Address] = []
        self._salt = b""
        self._doorkeeper = Doorkeeper(begin)
        self._batches: dict[int, Batch] = {}
        self._searches: dict[int, tuple[Gossip, Callable[[bytes, Now], None]]] = {}
        self._next_token = 0
        self._effects: list[Effect] = []
        self._unflushed: dict[int, Link] = {}
        self._handlers: dict[type, Callable[[Any, Now], None]] = {
            inputs.BoardOpened: self._handle_board_opened,
            inputs.BoardClosed: self._handle_board_closed,
            inputs.AddressGiven: self._handle_address_given,
            inputs.Advertised: self._handle_advertised,
            inputs.LinkOpened: self._handle_link_opened,
            inputs.DialFailed: self._handle_dial_failed,
            inputs.BytesReceived: self._handle_bytes_received,
            inputs.BytesSent: self._handle_bytes_sent,
            inputs.DatagramReceived: self._handle_datagram_received,
            inputs.LinkClosed: self._handle_link_closed,
            inputs.Verified: self._handle_verified,
            inputs.Stored: self._handle_stored,
            inputs.StoreFailed: self._handle_store_failed,
            inputs.Loaded: self._handle_loaded,
            inputs.WorkFound: self._handle_work_found,
            inputs.Publish: self._handle_publish,
            inputs.Withdraw: self._handle_withdraw,
            inputs.PayloadsWanted: self._handle_payloads_wanted,
            inputs.ListeningOn: self._handle_listening_on,
            inputs.Tick: self._handle_tick,
        }

    # --- The surface ------------------------------------------------------------------------------

    def handle(self, happened: Input, now: Now) -> list[Effect]:
        """Take an input in; what the driver has to do about it.

        :raises Misuse: where the driver breaks the rules of :mod:`protocol.inputs`.
        """
        self._handlers[type(happened)](happened, now)
        while (key := self.timers.take_due(now.mono_ms)) is not None:
            self._on_due(key, now)
        if self._unflushed:
            self._flush(now)
        effects, self._effects = self._effects, []
        return effects

    def next_deadline(self) -> int | None:
        """When a :class:`~protocol.inputs.Tick` is due, in monotonic milliseconds."""
        return self.timers.next_ms()

    # --- What links and boards use (protocol.gossip.Core) -----------------------------------------

    def emit(self, effect: Effect) -> None:
        """Hand an effect to the driver, once this call is over."""
        self._effects.append(effect)

    def new_token(self, batch: Batch) -> int:
        """A number for work under way; the input that answers it repeats it."""
        self._next_token += 1
        self._batches[self._next_token] = batch
        return self._next_token

    def find_work(self, board_id: bytes, work: Work, then: Callable[[bytes, Now], None]) -> None:
        """Have a nonce searched for; ``then`` gets it, unless the board was left meanwhile."""
        self._next_token += 1
        self._searches[self._next_token] = (self._board(board_id), then)
        self.emit(FindWork(self._next_token, work))

    def hang_up(self, link: Link, reason: Reason, now: Now) -> None:
        """End a link; a member is told why, a stranger nothing."""
        if link.number not in self.links:
            return
        if link.is_proven:
            link.send(Bye(reason))
            self._send(link, link.take_outgoing())
        self.emit(HangUp(link.number, reason))
        self._end(link, reason, now)

    # --- Boards -----------------------------------------------------------------------------------

    def _handle_board_opened(self, opened: inputs.BoardOpened, now: Now) -> None:
        if opened.board.id in self.boards:
            raise Misuse("the board is open")
        gossip = self._make_board(self, opened, self._port, now)
        self.boards[opened.board.id] = gossip
        for address in self._given:
            gossip.learn([address], Source.GIVEN, now)
        self._advertise()

    def _handle_board_closed(self, closed: inputs.BoardClosed, now: Now) -> None:
        gossip = self._board(closed.board_id)
        gossip.is_leaving = True
        for link in list(self.links.values()):
            if link.board is gossip.board:
                self.hang_up(link, Reason.LINK_LEAVING, now)
        del self.boards[closed.board_id]
        for due in Due:
            self.timers.cancel((due, closed.board_id))
        self._advertise()

    def _handle_publish(self, publish: inputs.Publish, now: Now) -> None:
        self._board(publish.board_id).publishing.publish(publish.entry, publish.crowd_least, now)

    def _handle_withdraw(self, withdraw: inputs.Withdraw, now: Now) -> None:
        self._board(withdraw.board_id).publishing.take_back(withdraw.id)

    def _handle_payloads_wanted(self, wanted: inputs.PayloadsWanted, now: Now) -> None:
        self._board(wanted.board_id).want_payloads(wanted.ids)

    def _board(self, board_id: bytes) -> Gossip:
        if board_id not in self.boards:
            raise Misuse("the board is not open")
        return self.boards[board_id]

    # --- Finding members --------------------------------------------------------------------------

    def _handle_listening_on(self, listening: inputs.ListeningOn, now: Now) -> None:
        self._port = listening.port
        for gossip in self.boards.values():
            gossip.publishing.listen(listening.port, now)
        self._advertise()

    def _advertise(self) -> None:
        if self._port:
            boards = [gossip.board for gossip in self.boards.values()]
            self._salt, tags = presence_tags(boards, self.chance)
            self.emit(Advertise(self._salt, tags))

    def _handle_advertised(self, advertised: inputs.Advertised, now: Now) -> None:
        if advertised.salt == self._salt or not advertised.addresses:
            return
        for gossip in self.boards.values():
            if presence_tag(gossip.board, advertised.salt) in advertised.tags:
                gossip.learn(advertised.addresses, Source.LAN, now)

    def _handle_address_given(self, given: inputs.AddressGiven, now: Now) -> None:
        if given.address not in self._given:
            self._given.append(given.address)
        for gossip in self.boards.values():
            gossip.learn([given.address], Source.GIVEN, now)

    def _handle_dial_failed(self, failed: inputs.DialFailed, now: Now) -> None:
        gossip = self.boards.get(failed.board_id)
        if gossip is not None:
            gossip.on_dial_failed(failed.address, now)

    # --- Links ------------------------------------------------------------------------------------

    def _handle_link_opened(self, opened: inputs.LinkOpened, now: Now) -> None:
        if opened.link in self.links:
            raise Misuse("a link's number is used once")
        gossip = None
        if opened.board_id is not None:
            gossip = self.boards.get(opened.board_id)
        if self._is_full_for(opened) if opened.board_id is None else gossip is None:
            self.emit(HangUp(opened.link, Reason.LINK_FULL))
            return
        link = Link(
            opened.link,
            opened.remote,
            opened.local,
            self.chance.bytes,
            self._queued,
            gossip.board if gossip else None,
            self._begin,
            self._tap,
        )
        link.heard_ms = now.mono_ms
        self.links[opened.link] = link
        if link.is_dialled:
            patience_ms = limits.HANDSHAKE_MS_MAX
            self._send(link, link.first_message(now))
        else:
            patience_ms = self.chance.between(limits.SILENCE_MS_RANGE)
        self.timers.set((Due.HANDSHAKE, link.number), now.mono_ms + patience_ms)

    def _is_full_for(self, stranger: inputs.LinkOpened) -> bool:
        """Whether too many have not proved membership yet, in all or from that host."""
        # A member that does not say hello counts as well, or it could hold any number of them.
        unproven = [
            link.remote.host
            for link in self.links.values()
            if not link.is_open and not link.is_dialled
        ]
        return (
            len(unproven) >= limits.LINKS_UNPROVEN_MAX
            or unproven.count(stranger.remote.host) >= limits.LINKS_UNPROVEN_PER_HOST_MAX
        )

    def _handle_bytes_received(self, received: inputs.BytesReceived, now: Now) -> None:
        link = self.links.get(received.link)
        if link is None:
            return  # hung up a moment ago; these bytes were on their way
        link.heard_ms = now.mono_ms
        was_proven = link.is_proven
        boards = [] if was_proven else [gossip.board for gossip in self.boards.values()]
        try:
            answer, messages = link.receive(received.data, now, self._doorkeeper, boards)
            if answer:
                self._send(link, answer)
            if not was_proven and link.is_proven:
                self._gossip_of(link).greet(link)
            for message in messages:
                if link.state is LinkState.CLOSED:
                    return
                self._on_message(link, message, now)
        except Refused as refused:
            self.hang_up(link, refused.reason, now)

    def _on_message(self, link: Link, message: Message, now: Now) -> None:
        match message:
            case Hello():
                self._gossip_of(link).on_hello(link, message, now)
                if link.is_open:
                    self.timers.cancel((Due.HANDSHAKE, link.number))
                    self._set_idle(link, limits.PING_AFTER_MS)
            case Bye():
                self.emit(HangUp(link.number, _told_reason(message)))
                self._end(link, _told_reason(message), now)
            case _ if link.is_open:
                self._gossip_of(link).on_message(link, message, now)
            case _:
                raise Refused(Reason.LINK_MESSAGE_UNEXPECTED, "before hello")

    def _gossip_of(self, link: Link) -> Gossip:
        if link.board is None:
            raise Misuse("the link has no board yet")
        return self._board(link.board.id)

    def _handle_bytes_sent(self, sent: inputs.BytesSent, now: Now) -> None:
        link = self.links.get(sent.link)
        if link is not None:
            link.unsent_bytes -= sent.count
            if link.asked_for and link.is_open:
                self._gossip_of(link).serve(link)

    def _handle_link_closed(self, closed: inputs.LinkClosed, now: Now) -> None:
        link = self.links.get(closed.link)
        if link is not None:
            self._end(link, Reason.LINK_LOST, now)

    def _end(self, link: Link, reason: Reason, now: Now) -> None:
        del self.links[link.number]
        link.close()
        for due in Due:
            self.timers.cancel((due, link.number))
        if link.board is not None and link.board.id in self.boards:
            self.boards[link.board.id].close_link(link, reason, now)

    def _queued(self, link: Link) -> None:
        self._unflushed[link.number] = link

    def _flush(self, now: Now) -> None:
        while self._unflushed:
            unflushed, self._unflushed = self._unflushed, {}
            for link in unflushed.values():
                if link.state is not LinkState.CLOSED:
                    self._send(link, link.take_outgoing())
                    if link.unsent_bytes > limits.SEND_BYTES_MAX:
                        self.hang_up(link, Reason.LINK_SLOW, now)

    def _send(self, link: Link, data: bytes) -> None:
        if data:
            link.unsent_bytes += len(data)
            self.emit(SendBytes(link.number, data))

    def _handle_datagram_received(self, received: inputs.DatagramReceived, now: Now) -> None:
        for gossip in self.boards.values():
            if is_of_board(gossip.board, received.data):
                gossip.publishing.on_cell(received.remote, received.data, now)
                return

    # --- Work done outside ------------------------------------------------------------------------

    def _handle_verified(self, verified: inputs.Verified, now: Now) -> None:
        batch = self._take_batch(verified.token)
        if self._is_current(batch):
            batch.gossip.on_verified(batch, verified.is_valid, now)

    def _handle_stored(self, stored: inputs.Stored, now: Now) -> None:
        batch = self._take_batch(stored.token)
        if self._is_current(batch):
            batch.gossip.on_stored(batch, stored.lacking, now)

    def _handle_store_failed(self, failed: inputs.StoreFailed, now: Now) -> None:
        batch = self._take_batch(failed.token)
        if self._is_current(batch):
            batch.gossip.on_store_failed(batch)

    def _handle_loaded(self, loaded: inputs.Loaded, now: Now) -> None:
        batch = self._take_batch(loaded.token)
        if self._is_current(batch):
            batch.gossip.on_loaded(batch, loaded.covered, loaded.entries)

    def _handle_work_found(self, found: inputs.WorkFound, now: Now) -> None:
        if found.token not in self._searches:
            raise Misuse("no such work is under way")
        gossip, then = self._searches.pop(found.token)
        if self.boards.get(gossip.board.id) is gossip:
            then(found.nonce, now)

    def _take_batch(self, token: int) -> Batch:
        if token not in self._batches:
            raise Misuse("no such work is under way")
        return self._batches.pop(token)

    def _is_current(self, batch: Batch) -> bool:
        """Whether the board was not left while the work was done."""
        return self.boards.get(batch.gossip.board.id) is batch.gossip

    # --- Time -------------------------------------------------------------------------------------

    def _handle_tick(self, tick: inputs.Tick, now: Now) -> None:
        """All there is to do is what is due, which every call does."""

    def _on_due(self, key: TimerKey, now: Now) -> None:
        due, subject = key
        if isinstance(subject, bytes):
            self._on_board_due(due, self.boards[subject], now)
        else:
            self._on_link_due(due, self.links[subject], now)

    def _on_board_due(self, due: Due, gossip: Gossip, now: Now) -> None:
        match due:
            case Due.DIAL:
                gossip.dial(now)
            case Due.REFRESH:
                gossip.refresh(now)
            case Due.MIX:
                gossip.publishing.run(now)
            case Due.RELAY:
                gossip.publishing.check(now)
            case _:
                gossip.expire(now)

    def _on_link_due(self, due: Due, link: Link, now: Now) -> None:
        match due:
            case Due.HANDSHAKE:
                self.hang_up(link, Reason.LINK_TIMEOUT, now)
            case Due.REQUEST:
                self.hang_up(link, Reason.LINK_SLOW, now)
            case Due.IDLE:
                self._idle(link, now)
            case Due.ANNOUNCE:
                self._gossip_of(link).announce_due(link, now)
            case Due.RECONCILE:
                self._gossip_of(link).reconcile(link)
            case _:
                self._gossip_of(link).tell_peers(link, now)

    def _idle(self, link: Link, now: Now) -> None:
        quiet_ms = now.mono_ms - link.heard_ms
        if quiet_ms >= limits.IDLE_MS_MAX:
            self.hang_up(link, Reason.LINK_IDLE, now)
        elif quiet_ms >= limits.PING_AFTER_MS:
            link.send(Ping())
            self._set_idle(link, limits.IDLE_MS_MAX)
        else:
            self._set_idle(link, limits.PING_AFTER_MS)

    def _set_idle(self, link: Link, quiet_ms: int) -> None:
        self.timers.set((Due.IDLE, link.number), link.heard_ms + quiet_ms)


def _told_reason(bye: Bye) -> Reason:
    try:
        return Reason(bye.reason)
    except ValueError:
        return Reason.LINK_LOST
