"""How long each queue and table of a node is, and how long it may be."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sized
from operator import attrgetter
from typing import TypeVar

from protocol import limits
from protocol.gossip import Gossip
from protocol.link import Link
from protocol.node import Node

T = TypeVar("T")

#: Entries on their way to the disk: what was asked for comes still, when peers have handed over as
#: many; and each link may always be asked for a few.
ARRIVING_MAX = 2 * limits.ARRIVING_MAX + limits.LINKS_PER_BOARD_MAX * limits.REQUEST_IDS_LEAST
Length = tuple[str, int, int]

_is_dialled = attrgetter("is_dialled")
_queue = attrgetter("queue")
_requests = attrgetter("requests")

#: Of a board's machine: what, how long it is, how long it may be.
_TABLES: tuple[tuple[str, Callable[[Gossip], int], int], ...] = (
    ("links", lambda g: len(g.links), limits.LINKS_PER_BOARD_MAX),
    (
        "links dialled",
        lambda g: sum(map(_is_dialled, g.links.values())) + g.directory.dialling,
        limits.LINKS_DIALLED_MAX,
    ),
    ("wanted", lambda g: g.fetcher.wanted, limits.WANTED_MAX),
    ("arriving", lambda g: len(g.fetcher.arriving), ARRIVING_MAX),
    ("lacking", lambda g: len(g._lacking), limits.LACKING_MAX),
    ("deferred", lambda g: len(g._deferred), limits.DEFERRED_MAX),
    ("outbox", lambda g: len(g.publishing.outbox), limits.OUTBOX_MAX),
    ("relays", lambda g: len(g.publishing.relays), limits.RELAYS_MAX + 4 * limits.RELAY_HOSTS_MAX),
    ("cells held", lambda g: len(g.publishing.mix._held), limits.CELLS_HELD_MAX),
    ("cells queued", lambda g: g.publishing.mix.queued, limits.OUTBOX_MAX * limits.PIECES_MAX),
    ("transfers", lambda g: len(g.publishing.mix._assembly), limits.TRANSFERS_MAX),
    ("loops", lambda g: len(g.publishing.mix._loops), limits.LOOPS_REMEMBERED_MAX),
    ("own keys", lambda g: len(g.publishing.mix._keys), 3 * limits.RELAY_HOSTS_MAX),
    ("addresses", lambda g: len(g.directory), limits.ADDRESSES_PER_BOARD_MAX),
    ("own addresses", lambda g: len(g.directory._own), limits.ADDRESSES_PER_BOARD_MAX),
    ("dials", lambda g: len(g.directory._dialling), limits.DIALS_AT_ONCE_MAX),
    ("linked addresses", lambda g: len(g.directory._linked), limits.LINKS_PER_BOARD_MAX),
    (
        "holders",
        lambda g: max(map(len, g.fetcher._holders.values()), default=0),
        limits.LINKS_PER_BOARD_MAX,
    ),
)
#: Of a link; where an answer under way goes back into its queue, that is one more.
_LINK_TABLES: tuple[tuple[str, Callable[[Link], Sized], int], ...] = (
    ("announcing", attrgetter("announcing"), limits.ANNOUNCE_QUEUE_MAX + 1),
    ("asked for", attrgetter("asked_for"), limits.REQUESTS_PER_LINK_MAX + 2),
    ("have", attrgetter("have"), 2 * limits.ANNOUNCE_ITEMS_MAX),
    ("held step", lambda link: link.held_step or b"", limits.RECONCILE_MESSAGE_BYTES_MAX),
    ("messages unsealed", attrgetter("_outgoing"), 0),
)


def lengths(gossip: Gossip) -> Iterable[Length]:
    """Each queue and table of a board's machine: its name, its length, its bound; of what each link
    has one of, the longest."""
    for what, length, bound in _TABLES:
        yield what, length(gossip), bound
    # Most links have nothing in any of their tables, most of the time.
    sources = [s for s in gossip.fetcher._sources.values() if s.queue or s.requests]
    # Husks, and what another link passed on, stand in it besides what is wanted.
    yield "queue of a link", _longest(sources, _queue), 2 * limits.WANTED_MAX
    yield "requests of a link", _longest(sources, _requests), limits.REQUESTS_PER_LINK_MAX
    busy = [
        link
        for link in gossip.links.values()
        if link.announcing
        or link.asked_for
        or link.have
        or link.held_step
        or link._outgoing
        or link.unsent_bytes
    ]
    for what, table, bound in _LINK_TABLES:
        yield what, _longest(busy, table), bound
    unsent_bytes = max((link.unsent_bytes for link in busy), default=0)
    yield "unsent bytes", unsent_bytes, limits.SEND_BYTES_MAX


def _longest(owners: Collection[T], table: Callable[[T], Sized]) -> int:
    return max(map(len, map(table, owners))) if owners else 0


def node_lengths(node: Node) -> Iterable[Length]:
    """What a node keeps besides its boards."""
    links_max = limits.LINKS_UNPROVEN_MAX + (
        limits.LINKS_PER_BOARD_MAX + limits.LINKS_DIALLED_MAX
    ) * len(node.boards)
    unproven = [link for link in node.links.values() if not link.is_dialled and not link.is_open]
    yield "links unproven", len(unproven), limits.LINKS_UNPROVEN_MAX
    yield "links of the node", len(node.links), links_max
    yield "first messages", len(node._doorkeeper._seen), limits.REPLAYS_REMEMBERED_MAX
    yield "work under way", len(node._batches), ARRIVING_MAX + 4 * links_max
    yield "timers", len(node.timers), 8 * (links_max + len(node.boards))
