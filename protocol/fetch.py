"""Which entries are wanted, from whom, and which are on their way: one per board.

Every id has one place: in the queue of one link, in a request under way, or *arriving* (between the
network and the disk). Other peers known to have it are remembered, a few, so that when a peer
falls silent its ids go to somebody else. Everything is bounded; what does not fit is dropped,
because reconciling finds it again (SPEC.md, "Transfer").
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from protocol import limits
from protocol.errors import Reason, Refused


@dataclass(slots=True)
class Request:
    """Ids asked of one link and not answered yet, in the order asked."""

    ids: dict[bytes, None]
    deadline_ms: int


@dataclass(slots=True)
class _Source:
    """What is wanted of one link."""

    queue: deque[bytes] = field(default_factory=deque)
    requests: dict[int, Request] = field(default_factory=dict)


class Fetcher:
    """A small machine without effects: told who has what, it says what to ask of whom.

    :param arriving_max: entries that may be asked for and not yet on disk, but for a few of each
        link.
    :ivar arriving: ids between the network and the disk.
    :ivar fetched: entries got since the last time that nothing was wanted.
    :ivar has_dropped: something did not fit; reconcile again once there is room.
    """

    def __init__(self, arriving_max: int = limits.ARRIVING_MAX) -> None:
        self.arriving: set[bytes] = set()
        self.fetched = 0
        self.has_dropped = False
        self._sources: dict[int, _Source] = {}
        self._holders: dict[bytes, list[int]] = {}
        self._next_request = 0
        self._arriving_max = arriving_max
        self._asked = 0

    @property
    def is_full(self) -> bool:
        """Whether the way to the disk has no room for one more."""
        return len(self.arriving) >= self._arriving_max

    @property
    def wanted(self) -> int:
        """Ids that are queued or asked for."""
        return len(self._holders)

    def add_link(self, link: int) -> None:
        """The link is open."""
        self._sources[link] = _Source()

    def drop_link(self, link: int) -> list[int]:
        """The link is gone; its ids go to other links that have them. Returns those links."""
        source = self._sources.pop(link, None)
        if source is None:
            return []
        ids = [i for request in source.requests.values() for i in request.ids]
        self._asked -= len(ids)
        return self._pass_on(link, [*ids, *source.queue])

    def is_idle(self, link: int) -> bool:
        """Whether nothing is asked of this link, nor to be asked."""
        source = self._sources[link]
        return not (source.queue or source.requests)

    def queued(self, link: int) -> int:
        """Ids that this link has still to be asked for."""
        return len(self._sources[link].queue)

    def offer(self, link: int, ids: Iterable[bytes], is_for_payload: bool = False) -> None:
        """The peer has these, and they are neither stored nor refused.

        :param is_for_payload: they are stored without their payloads, and this peer may have those.
            Then no number of other peers is enough: reconciling would not find them again.
        """
        holders_max = limits.LINKS_PER_BOARD_MAX if is_for_payload else limits.HOLDERS_MAX
        queue = self._sources[link].queue
        for identifier in ids:
            if identifier in self.arriving:
                continue
            holders = self._holders.get(identifier)
            if holders is None:
                # The queue counts as well: it may hold husks of what came by another way.
                if max(len(self._holders), len(queue)) >= limits.WANTED_MAX:
                    self.has_dropped = True
                    return
                self._holders[identifier] = [link]
                queue.append(identifier)
            elif link not in holders and len(holders) < holders_max:
                holders.append(link)

    def next_request(self, link: int, now_ms: int) -> tuple[int, list[bytes]] | None:
        """A request to send to the link, or None while it, or the way to the disk, is full."""
        source = self._sources[link]
        if self.is_full or len(source.requests) >= limits.REQUESTS_PER_LINK_MAX:
            return None
        room = self._arriving_max - len(self.arriving) - self._asked
        if not source.requests:
            # Peers that take their time with what they were asked for must not starve the others.
            room = max(room, limits.REQUEST_IDS_LEAST)
        ids = self._take_queued(link, min(limits.REQUEST_IDS, room))
        if not ids:
            return None
        self._asked += len(ids)
        self._next_request = (self._next_request + 1) & 0xFFFFFFFF
        deadline_ms = now_ms + limits.REQUEST_MS_MAX
        source.requests[self._next_request] = Request(dict.fromkeys(ids), deadline_ms)
        return self._next_request, ids

    def check_request(self, link: int, request: int) -> None:
        """:raises Refused: LINK_MESSAGE_UNEXPECTED where nothing was asked under that number."""
        if request not in self._sources[link].requests:
            raise Refused(Reason.LINK_MESSAGE_UNEXPECTED, "an answer to no request")

    def check_asked(self, link: int, request: int, identifier: bytes) -> None:
        """:raises Refused: LINK_MESSAGE_UNEXPECTED where that entry was not asked for."""
        if identifier not in self._sources[link].requests[request].ids:
            raise Refused(Reason.LINK_MESSAGE_UNEXPECTED, "an entry that was not asked for")

    def on_entry(self, link: int, request: int, identifier: bytes, now_ms: int) -> None:
        """An entry asked for is here: it is arriving now.

        :raises Refused: LINK_MESSAGE_UNEXPECTED where that entry was not asked for.
        """
        self.check_asked(link, request, identifier)
        # Entries alone are progress: empty parts must not hold what others would give.
        asked = self._sources[link].requests[request]
        asked.deadline_ms = now_ms + limits.REQUEST_MS_MAX
        del asked.ids[identifier]
        self._asked -= 1
        self._holders.pop(identifier, None)
        self.arriving.add(identifier)
        self.fetched += 1

    def on_part(self, link: int, request: int, is_last: bool) -> list[int]:
        """A part of an answer was taken in. After the last, what was not in it is asked of others;
        returns the links that have more to be asked for now."""
        if not is_last:
            return []
        missing = self._sources[link].requests.pop(request).ids
        self._asked -= len(missing)
        return self._pass_on(link, missing)

    def landed(self, identifier: bytes) -> None:
        """An arriving entry is on disk, or was refused."""
        self.arriving.discard(identifier)
        if not self.arriving and not self._holders:
            self.fetched = 0

    def unwanted(self, identifier: bytes) -> None:
        """An entry that may still be queued somewhere has come by another way."""
        self._holders.pop(identifier, None)

    def next_deadline_ms(self, link: int) -> int | None:
        """When the link's oldest request is overdue."""
        requests = self._sources[link].requests.values()
        return min((request.deadline_ms for request in requests), default=None)

    def _take_queued(self, link: int, count: int) -> list[bytes]:
        queue = self._sources[link].queue
        ids: dict[bytes, None] = {}
        while queue and len(ids) < count:
            identifier = queue.popleft()
            # What came by another way in the meantime, or was passed on, stays in the queue as a
            # husk: taking it out would cost a walk. Wanted again since, it stands there twice.
            if self._holders.get(identifier, [-1])[0] == link:
                ids[identifier] = None
        return list(ids)

    def _pass_on(self, link: int, ids: Iterable[bytes]) -> list[int]:
        others: dict[int, None] = {}
        for identifier in ids:
            holders = self._holders.get(identifier)
            if holders is None or holders[0] != link:
                continue  # a husk
            del self._holders[identifier]
            rest = [holder for holder in holders if holder != link and holder in self._sources]
            if rest:
                self._holders[identifier] = rest
                self._sources[rest[0]].queue.append(identifier)
                others[rest[0]] = None
        return list(others)
