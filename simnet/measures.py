"""What a run is measured by: who had which entry when, what it cost, and who carried it.

A :class:`Recorder` listens to hosts (each message of their cores, each event, each own entry that
was acknowledged) and changes nothing: a world with one has the same trace as a world without. It
keeps counters, one byte for each pair of entry and host, and latencies in :class:`Sketch` cells, so
that ten thousand hosts and some hundred entries fit in tens of megabytes. Only for some entries (or
all, as one chooses) it keeps when each host got it and from whom: a map of the spreading is drawn
from that.

What the words mean here:

- An entry is *delivered* to a host when it is durable there, with what it says. Its author does
  not count, nor do adversaries, neither as authors nor as receivers.
- A host was *on* for an entry if it ran, awake, when the entry was acknowledged to its author.
  Latencies are those of hosts that were on: what a closed laptop misses until it opens again says
  nothing of the protocol; it is told apart, under ``later``.
- A *copy* is a payload that arrived at an honest host, wanted or not; *redundancy* sets copies and
  announcements against the payloads that were new to a disk.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable
from itertools import pairwise
from typing import Any, Literal

from protocol import effects
from protocol.entry import Entry
from protocol.link import Link
from protocol.messages import Address, Announce, Entries, Message, WireEntry
from simnet.host import Host
from simnet.world import World

#: "summary" keeps the arrivals of so many entries, the first by honest authors.
DETAILED_MAX = 32
#: So many entries are listed one by one in a result.
LISTED_MAX = 1_000
#: Moments of the traffic that are kept; with more, every second one is dropped.
SAMPLES_MAX = 240
_SAMPLE_EVERY_US = 1_000_000

_NEVER = 0xFFFFFFFF
_WAS_ON, _HAS_IT = 1, 2
_PERCENTS = {"p50": 50, "p95": 95, "p99": 99}


class Sketch:
    """Counts of whole numbers in cells that grow with the number: below 512 exact, above within
    0.2 %. Adding needs no room but for a new cell, and cells are the same on every machine
    (after Tene's HdrHistogram)."""

    _BITS = 9

    def __init__(self) -> None:
        self.count = 0
        self._cells: Counter[int] = Counter()

    def add(self, value: int) -> None:
        """Count a number of 0 or more."""
        shift = max(0, value.bit_length() - self._BITS)
        self._cells[shift << self._BITS | value >> shift] += 1
        self.count += 1

    def quantile(self, percent: int) -> int | None:
        """The nearest-rank quantile; None of nothing."""
        return self.quantiles([percent])[0]

    def quantiles(self, percents: Iterable[int]) -> list[int | None]:
        """Of rising percents, in one walk over the cells."""
        if not self.count:
            return [None for _ in percents]
        cells = iter(sorted(self._cells.items()))
        cell, seen = next(cells)
        found: list[int | None] = []
        for percent in percents:
            while seen < _rank(percent, self.count):
                cell, more = next(cells)
                seen += more
            found.append(self._middle(cell))
        return found

    def _middle(self, cell: int) -> int:
        shift = cell >> self._BITS
        return ((cell & (1 << self._BITS) - 1) << shift) + (1 << shift >> 1)


def _rank(percent: int, count: int) -> int:
    return max(1, -(-percent * count // 100))


def spread_of(values: Iterable[float]) -> dict[str, float | None]:
    """The median, the 95th percentile (nearest rank) and the largest."""
    ordered = sorted(values)
    if not ordered:
        return {"p50": None, "p95": None, "max": None}
    return {
        "p50": ordered[_rank(50, len(ordered)) - 1],
        "p95": ordered[_rank(95, len(ordered)) - 1],
        "max": ordered[-1],
    }


def host_number(address: Address) -> int:
    """Which host has this address: the way back from :meth:`simnet.host.Host.start`."""
    _, _, high, low = address.host.split(".")
    return int(high) * 250 + int(low) - 1


class _Tracked:
    """What is kept of one entry.

    :ivar marks: a byte a host: whether it was on, whether it has the entry.
    :ivar half_ms: until half of the honest hosts had it.
    :ivar arrived_ms, came_from: by host, where that is kept.
    """

    __slots__ = (
        "arrived_ms",
        "at_us",
        "author",
        "came_from",
        "entry",
        "half_ms",
        "is_honest",
        "last_ms",
        "last_on_ms",
        "marks",
        "on",
        "reached",
        "reached_on",
    )

    def __init__(self, entry: Entry, author: int, at_us: int, is_honest: bool) -> None:
        # The payload is with the hosts already; here it would be held after they forgot it.
        self.entry = entry._replace(payload=None)
        self.author = author
        self.at_us = at_us
        self.is_honest = is_honest
        self.marks = bytearray()
        self.on = self.reached = self.reached_on = 0
        self.half_ms: int | None = None
        self.last_ms: int | None = None
        self.last_on_ms: int | None = None
        self.arrived_ms: array[int] | None = None
        self.came_from: array[int] | None = None

    def keep_arrivals(self) -> None:
        """From now on."""
        self.arrived_ms, self.came_from = array("I"), array("i")
        self.grow(len(self.marks))

    def grow(self, hosts: int) -> None:
        """Make room for hosts that came later."""
        self.marks.extend(bytes(hosts - len(self.marks)))
        if self.arrived_ms is not None and self.came_from is not None:
            missing = hosts - len(self.arrived_ms)
            self.arrived_ms.extend([_NEVER] * missing)
            self.came_from.extend([-1] * missing)


class Recorder:
    """Measures a world from the moment it is made.

    :param keeps: of which entries the arrival at each host is kept, 8 bytes each: "all", or
        "summary" for the first few only.
    :ivar author_of: who wrote each entry that was acknowledged to its author; whoever writes
        entries by other means than hosts may add to it.
    """

    def __init__(self, world: World, keeps: Literal["all", "summary"] = "all") -> None:
        self.author_of: dict[bytes, int] = {}
        self._world = world
        self._keeps = keeps
        self._begun_us = world.now_us
        self._hosts: dict[int, Host] = {}
        self._is_honest = bytearray()
        self._honest = 0
        self._messages: array[int] = array("Q")
        self._links: array[int] = array("I")
        self._kinds: Counter[str] = Counter()
        self._tracked: dict[bytes, _Tracked] = {}
        self._by_raw: dict[bytes, _Tracked] = {}
        self._detailed = 0
        self._copies = self._announced = self._stored = 0
        self._on_ms, self._later_ms, self._back_ms = Sketch(), Sketch(), Sketch()
        self._samples: list[tuple[int, int, int]] = []
        self._sample_every_us = _SAMPLE_EVERY_US
        self._sample_due_us = world.now_us + _SAMPLE_EVERY_US
        for host in world.hosts:
            self.watch(host)
        self._samples.append(self._moment(world.now_us))

    def watch(self, host: Host) -> None:
        """Count this host too; hosts that were there when the recorder was made are counted."""
        if host.number in self._hosts:
            return
        self._hosts[host.number] = host
        missing = host.number + 1 - len(self._messages)
        if missing > 0:
            self._messages.extend([0] * missing)
            self._links.extend([0] * missing)
            self._is_honest.extend(bytes(missing))
        if host.role == "honest":
            self._is_honest[host.number] = 1
            self._honest += 1
        host.listeners.append(self._on_message)
        host.on_event.append(self._on_event)
        host.on_acknowledged.append(self.published)

    # --- Listening --------------------------------------------------------------------------------

    def published(self, host: Host, entry: Entry) -> None:
        """An entry's author was told that it is kept; called by hosts, and for entries that an
        adversary makes by other means than :meth:`simnet.host.Host.post`."""
        if entry.id in self._tracked:
            return
        self.author_of[entry.id] = host.number
        is_honest = bool(self._is_honest[host.number])
        tracked = _Tracked(entry, host.number, self._world.now_us, is_honest)
        self._tracked[entry.id] = self._by_raw[entry.raw] = tracked
        tracked.grow(len(self._messages))
        for other in self._hosts.values():
            if other.is_running and other is not host:
                tracked.marks[other.number] = _WAS_ON
                tracked.on += self._is_honest[other.number]
        if self._keeps == "all" or (is_honest and self._detailed < DETAILED_MAX):
            self._detailed += is_honest
            tracked.keep_arrivals()

    def _on_message(self, host: Host, link: Link, is_sent: bool, message: Message) -> None:
        if self._world.now_us >= self._sample_due_us:
            self._sample()
        if is_sent:
            self._messages[host.number] += 1
            self._kinds[type(message).__name__] += 1
        elif isinstance(message, Announce):
            if self._is_honest[host.number]:
                self._announced += len(message.items)
        elif isinstance(message, Entries):
            for wire in message.entries:
                self._on_copy(host, link, wire)

    def _on_copy(self, host: Host, link: Link, wire: WireEntry) -> None:
        if wire.payload is None:
            return
        self._copies += self._is_honest[host.number]
        tracked = self._by_raw.get(wire.raw)
        if tracked is None or tracked.came_from is None:
            return
        if host.number >= len(tracked.marks):
            tracked.grow(len(self._messages))
        if tracked.came_from[host.number] < 0:
            tracked.came_from[host.number] = host_number(link.remote)

    def _on_event(self, host: Host, event: effects.Event) -> None:
        if isinstance(event, effects.EntriesArrived):
            for entry in event.entries:
                if entry.payload is not None or not entry.header.payload_bytes:
                    self._stored += self._is_honest[host.number]
                    tracked = self._tracked.get(entry.id)
                    if tracked is not None and tracked.author != host.number:
                        self._on_delivery(host.number, tracked)
        elif isinstance(event, effects.LinkUp):
            links = sum(len(gossip.links) for gossip in host.node.boards.values())
            self._links[host.number] = max(self._links[host.number], links)
        elif isinstance(event, effects.CameBack):
            tracked = self._tracked.get(event.id)
            if tracked is not None and tracked.is_honest:
                self._back_ms.add(self._age_ms(tracked))

    def _age_ms(self, tracked: _Tracked) -> int:
        return (self._world.now_us - tracked.at_us + 500) // 1000

    def _on_delivery(self, number: int, tracked: _Tracked) -> None:
        if number >= len(tracked.marks):
            tracked.grow(len(self._messages))
        mark = tracked.marks[number]
        if mark & _HAS_IT:
            return  # it forgot it in the meantime, and wanted it again
        tracked.marks[number] = mark | _HAS_IT
        age_ms = self._age_ms(tracked)
        if tracked.arrived_ms is not None:
            tracked.arrived_ms[number] = min(age_ms, _NEVER - 1)
        if not self._is_honest[number]:
            return
        tracked.reached += 1
        tracked.last_ms = age_ms
        if tracked.half_ms is None and 2 * tracked.reached >= self._expected(tracked):
            tracked.half_ms = age_ms
        if mark & _WAS_ON:
            tracked.reached_on += 1
            tracked.last_on_ms = age_ms
        if tracked.is_honest:
            (self._on_ms if mark & _WAS_ON else self._later_ms).add(age_ms)

    def _expected(self, tracked: _Tracked) -> int:
        """How many honest hosts ought to get it in the end."""
        return self._honest - tracked.is_honest

    def _sample(self) -> None:
        """Looked at when something is sent, not by a timer of its own: measuring adds no events.

        All that was sent since the last moment was sent before the moment that is due now; where
        that is long past, nothing was sent from then on.
        """
        begins_us = self._world.now_us - self._world.now_us % self._sample_every_us
        self._samples.append(self._moment(self._sample_due_us))
        if begins_us > self._sample_due_us:
            self._samples.append(self._moment(begins_us))
        if len(self._samples) > SAMPLES_MAX:
            del self._samples[1::2]
            self._sample_every_us *= 2
        self._sample_due_us = begins_us + self._sample_every_us

    def _moment(self, at_us: int) -> tuple[int, int, int]:
        running = sum(host.is_running for host in self._hosts.values())
        return at_us, self._world.network.carried_bytes, running

    # --- The result -------------------------------------------------------------------------------

    def result(self, spread: bytes | None = None) -> dict[str, Any]:
        """What was measured, as JSON would hold it: seconds, bytes, shares of 0..1; None where
        there is nothing to measure. Sorted, rounded, and the same on every machine.

        :param spread: the entry whose way is told; else the one that reached most hosts, the first
            of these.
        """
        return {
            "delivery": self._delivery(),
            "redundancy": {
                "payload_copies_per_delivery": _ratio(self._copies, self._stored, 3),
                "announcements_per_delivery": _ratio(self._announced, self._stored, 3),
            },
            "traffic": self._traffic(),
            "load": self._load(),
            "entries": [
                self._row(tracked) for tracked in list(self._tracked.values())[:LISTED_MAX]
            ],
            "hosts": [self._host(host) for host in self._sorted_hosts()],
            "spread": self._spread(spread),
        }

    @property
    def _honest_entries(self) -> list[_Tracked]:
        return [tracked for tracked in self._tracked.values() if tracked.is_honest]

    def _sorted_hosts(self) -> list[Host]:
        return [host for _, host in sorted(self._hosts.items())]

    @property
    def _elapsed_s(self) -> float:
        return (self._world.now_us - self._begun_us) / 1_000_000

    def _delivery(self) -> dict[str, Any]:
        entries = self._honest_entries
        expected = sum(self._expected(tracked) for tracked in entries)
        on = sum(tracked.on for tracked in entries)
        last_ms = Sketch()
        for tracked in entries:
            if tracked.last_on_ms is not None and tracked.reached_on == tracked.on:
                last_ms.add(tracked.last_on_ms)
        return {
            "posts": len(entries),
            "delivered_share": _ratio(sum(t.reached for t in entries), expected),
            "on_share": _ratio(sum(t.reached_on for t in entries), on),
            **{f"{name}_s": _seconds(self._on_ms.quantile(p)) for name, p in _PERCENTS.items()},
            "last_node_p50_s": _seconds(last_ms.quantile(50)),
            "last_node_p95_s": _seconds(last_ms.quantile(95)),
            "came_back_p50_s": _seconds(self._back_ms.quantile(50)),
            "curve": self._curve(on),
            "later": {
                "deliveries": self._later_ms.count,
                "p50_s": _seconds(self._later_ms.quantile(50)),
                "p95_s": _seconds(self._later_ms.quantile(95)),
            },
        }

    def _curve(self, on: int) -> list[list[float | None]]:
        """Pairs: after so many seconds, that share of the hosts that were on had the entry."""
        count = self._on_ms.count
        if not count or not on:
            return []
        percents = range(101)
        return [
            [_seconds(ms), round(percent / 100 * count / on, 5)]
            for percent, ms in zip(percents, self._on_ms.quantiles(percents), strict=True)
        ]

    def _honest_numbers(self) -> list[int]:
        return [host.number for host in self._sorted_hosts() if self._is_honest[host.number]]

    def _traffic(self) -> dict[str, Any]:
        numbers = self._honest_numbers()
        sent = [self._world.network.sent_bytes.get(number, 0) for number in numbers]
        posts = len(self._honest_entries)
        seconds = self._elapsed_s
        rates = [round(bytes_ / seconds, 1) for bytes_ in sent] if seconds else []
        return {
            "bytes_per_node_per_s": spread_of(rates),
            "bytes_per_post": _ratio(sum(sent), posts, 1),
            "messages_per_post": _ratio(sum(self._messages[n] for n in numbers), posts, 1),
            "messages_by_kind": dict(sorted(self._kinds.items())),
            "over_time": self._over_time(),
        }

    def _over_time(self) -> list[dict[str, float]]:
        """Between each moment and the one before: bytes a second of all hosts, and hosts on."""
        moments = [*self._samples, self._moment(self._world.now_us)]
        return [
            {
                "at_s": round(now[0] / 1_000_000, 3),
                "bytes_per_s": round((now[1] - before[1]) * 1_000_000 / (now[0] - before[0]), 1),
                "hosts_on": now[2],
            }
            for before, now in pairwise(moments)
            if now[0] > before[0]
        ]

    def _load(self) -> dict[str, Any]:
        numbers = self._honest_numbers()
        return {
            "signatures_per_node": spread_of(self._hosts[n].signatures for n in numbers),
            "messages_per_node": spread_of(self._messages[n] for n in numbers),
            "links_per_node": spread_of(self._links[n] for n in numbers),
        }

    def _row(self, tracked: _Tracked) -> dict[str, Any]:
        return {
            "id": tracked.entry.id.hex(),
            "author": tracked.author,
            "at_s": round(tracked.at_us / 1_000_000, 3),
            "bytes": tracked.entry.wire_bytes + tracked.entry.header.payload_bytes,
            "thread": tracked.entry.thread.hex(),
            "reached": tracked.reached,
            "p50_s": _seconds(tracked.half_ms),
            "last_s": _seconds(tracked.last_ms),
        }

    def _host(self, host: Host) -> dict[str, Any]:
        network = self._world.network
        return {
            "number": host.number,
            "role": host.role,
            "segments": list(self._world.topology.segments[host.number]),
            "sent_bytes": network.sent_bytes.get(host.number, 0),
            "received_bytes": network.received_bytes.get(host.number, 0),
            "messages": self._messages[host.number],
            "entries": sum(len(disk.entries) for disk in host.disks.values()),
            "signatures": host.signatures,
            "links": self._links[host.number],
        }

    def _spread(self, wanted: bytes | None) -> dict[str, Any] | None:
        kept = [tracked for tracked in self._tracked.values() if tracked.arrived_ms is not None]
        if wanted is not None:
            kept = [tracked for tracked in kept if tracked.entry.id == wanted]
        tracked = max(kept, key=lambda t: (t.is_honest, t.reached), default=None)
        if tracked is None or tracked.arrived_ms is None or tracked.came_from is None:
            return None
        begun_ms = tracked.at_us / 1000
        arrivals = sorted(
            (ms, number) for number, ms in enumerate(tracked.arrived_ms) if ms != _NEVER
        )
        return {
            "entry": tracked.entry.id.hex(),
            "author": tracked.author,
            "at_s": round(begun_ms / 1000, 3),
            "arrivals": [
                [number, round((begun_ms + ms) / 1000, 3), _known(tracked.came_from[number])]
                for ms, number in arrivals
            ],
        }


def _known(number: int) -> int | None:
    return None if number < 0 else number


def _seconds(ms: int | None) -> float | None:
    return None if ms is None else round(ms / 1000, 3)


def _ratio(part: float, whole: float, digits: int = 5) -> float | None:
    return round(part / whole, digits) if whole else None
