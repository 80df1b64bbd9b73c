"""How long each queue and table of a node is, and how long it may be."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from protocol import limits
from protocol.gossip import Gossip
from protocol.link import Link
from protocol.node import Node

#: Entries on their way to the disk: what was asked for comes still, when peers have handed over as
#: many; and each link may always be asked for a few.
ARRIVING_MAX = 2 * limits.ARRIVING_MAX + limits.LINKS_PER_BOARD_MAX * limits.REQUEST_IDS_LEAST
Length = tuple[str, int, int]
#: Of a board's machine: what, how long it is, how long it may be.
_TABLES: tuple[tuple[str, Callable[[Gossip], int], int], ...] = (
    ("links", lambda g: len(g.links), limits.LINKS_PER_BOARD_MAX),
    (
        "links dialled",
        lambda g: sum(link.is_dialled for link in g.links.values()) + g.directory.dialling,
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
        lambda g: max((len(holders) for holders in g.fetcher._holders.values()), default=0),
        limits.LINKS_PER_BOARD_MAX,
    ),
)
#: Of a link; where an answer under way goes back into its queue, that is one more.
_LINK_TABLES: tuple[tuple[str, Callable[[Link], int], int], ...] = (
    ("unsent bytes", lambda link: link.unsent_bytes, limits.SEND_BYTES_MAX),
    ("announcing", lambda link: len(link.announcing), limits.ANNOUNCE_QUEUE_MAX + 1),
    ("asked for", lambda link: len(link.asked_for), limits.REQUESTS_PER_LINK_MAX + 2),
    ("have", lambda link: len(link.have), 2 * limits.ANNOUNCE_ITEMS_MAX),
    ("held step", lambda link: len(link.held_step or b""), limits.RECONCILE_MESSAGE_BYTES_MAX),
    ("messages unsealed", lambda link: len(link._outgoing), 0),
)


def lengths(gossip: Gossip) -> Iterable[Length]:
    """Each queue and table of a board's machine: its name, its length, its bound."""
    for what, length, bound in _TABLES:
        yield what, length(gossip), bound
    for source in gossip.fetcher._sources.values():
        # Husks, and what another link passed on, stand in it besides what is wanted.
        yield "queue of a link", len(source.queue), 2 * limits.WANTED_MAX
        yield "requests of a link", len(source.requests), limits.REQUESTS_PER_LINK_MAX
    for link in gossip.links.values():
        for what, link_length, bound in _LINK_TABLES:
            yield what, link_length(link), bound


def node_lengths(node: Node) -> Iterable[Length]:
    """What a node keeps besides its boards."""
    links_max = limits.LINKS_UNPROVEN_MAX + (
        limits.LINKS_PER_BOARD_MAX + limits.LINKS_DIALLED_MAX
    ) * len(node.boards)
    unproven = [link for link in node.links.values() if not link.is_open and not link.is_dialled]
    yield "links unproven", len(unproven), limits.LINKS_UNPROVEN_MAX
    yield "links of the node", len(node.links), links_max
    yield "first messages", len(node._doorkeeper._seen), limits.REPLAYS_REMEMBERED_MAX
    yield "work under way", len(node._batches), ARRIVING_MAX + 4 * links_max
    yield "timers", len(node.timers), 8 * (links_max + len(node.boards))
