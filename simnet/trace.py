"""Traces: what adversaries saw, for whoever wants to try another attack; and looking back at a run.

A trace file has JSON lines. The first is the header, with the whole scenario and the seed, so that
:func:`replay` can run the same world again and look at one of its nodes. The last is the end, with
the trace hash. Between them, in the order of time, each line is one thing that somebody saw:

    {"kind": "header", "format": 2, "scenario": {...}, "seed": 1, "spies": [3, 7], "hosts": 20}
    {"kind": "sighting", "at_us": 81000213, "spy": 3, "peer": 5, "what": "want", "entry": "ab.."}
    {"kind": "packet", "at_us": 81000300, "source": 3, "destination": 5, "bytes": 512,
     "is_datagram": false}
    {"kind": "end", "simulated_s": 600.0, "trace_hash": "..."}

(A packet is one line, too.) The bytes of a datagram are those of its headers and its own; where
nobody listens at its address, its destination is -1.

What an attack must not know is in a second file, named ``FILE.truth``: for each entry its author,
and when it was written (a recorded workload, too; see :mod:`simnet.workload`).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple

from protocol import effects, inputs
from protocol.entry import Entry
from protocol.inputs import Input
from protocol.link import Link
from protocol.messages import (
    Announce,
    Answer,
    Ask,
    Bye,
    Entries,
    Hello,
    Message,
    Peers,
    RelayRecords,
    Want,
)
from simnet.host import Host
from simnet.network import Packet

if TYPE_CHECKING:
    from simnet.run import Built, Progress

FORMAT = 2
#: Ids are told by so many digits; enough to find them again.
_ID_DIGITS = 12


class TraceError(Exception):
    """A file that is no trace, or one of another version; one line."""


def truth_path(path: Path) -> Path:
    """Where the truth to a trace is."""
    return path.with_name(f"{path.name}.truth")


# --- Writing --------------------------------------------------------------------------------------


class TraceWriter:
    """Writes a trace while its world runs; nothing is kept that is written.

    :param built: a world that has not begun.
    """

    def __init__(self, path: Path, built: Built) -> None:
        self._built = built
        self._lines = path.open("w", encoding="utf-8")
        self._truth = truth_path(path).open("w", encoding="utf-8")
        self._packets: list[Packet] = []
        self._read = [0] * len(built.spies)
        if built.observer is not None:
            built.world.network.observers.append(self._packets.append)
        for host in built.hosts:
            host.on_acknowledged.append(self._on_acknowledged)
        self._write(header_of(built))

    def __enter__(self) -> TraceWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._lines.close()
        self._truth.close()

    def drain(self) -> None:
        """Write what was seen since the last time."""
        seen: list[tuple[int, dict[str, Any]]] = [
            (packet.at_us, {"kind": "packet", **packet._asdict()}) for packet in self._packets
        ]
        self._packets.clear()
        for index, spy in enumerate(self._built.spies):
            for sighting in spy.log[self._read[index] :]:
                fields = sighting._asdict()
                fields["entry"] = fields.pop("entry_id").hex()
                seen.append((sighting.at_us, {"kind": "sighting", **fields}))
            self._read[index] = len(spy.log)
        for _, record in sorted(seen, key=lambda pair: pair[0]):
            self._write(record)

    def finish(self, result: dict[str, Any]) -> None:
        """Write the end."""
        self.drain()
        hash_ = result["trace_hash"]
        self._write({"kind": "end", "simulated_s": result["simulated_s"], "trace_hash": hash_})

    def _write(self, record: dict[str, Any]) -> None:
        self._lines.write(json.dumps(record) + "\n")

    def _on_acknowledged(self, host: Host, entry: Entry) -> None:
        truth = {
            "entry": entry.id.hex(),
            "author": host.number,
            "role": host.role,
            "at_s": round(self._built.world.now_us / 1_000_000, 6),
            "thread": entry.thread.hex(),
            "bytes": max(1, entry.header.payload_bytes - 16),
        }
        self._truth.write(json.dumps(truth) + "\n")


def header_of(built: Built) -> dict[str, Any]:
    """The first line of a trace."""
    from simnet.scenario import to_settings

    return {
        "kind": "header",
        "format": FORMAT,
        "scenario": to_settings(built.scenario),
        "seed": built.seed,
        "hosts": len(built.hosts),
        "spies": [spy.number for spy in built.spies],
    }


def read_header(path: Path) -> dict[str, Any]:
    """The first line of a trace.

    :raises TraceError: where it is none.
    """
    try:
        with path.open(encoding="utf-8") as lines:
            header = json.loads(lines.readline())
    except OSError as error:
        raise TraceError(f"{path}: {error.strerror or error}") from None
    except ValueError:
        header = None
    if not isinstance(header, dict) or header.get("kind") != "header":
        raise TraceError(f"{path}: not a trace: its first line is no header")
    if header.get("format") != FORMAT:
        raise TraceError(f"{path}: a trace of another version; this one reads format {FORMAT}")
    return header


# --- Looking back ---------------------------------------------------------------------------------


class Line(NamedTuple):
    """Something that a node saw or did.

    :ivar kind: "in" (its driver told it), "got" and "sent" (messages), "event" (told to its
        application), "fault".
    """

    at_s: float
    kind: str
    text: str


def replay(
    header: dict[str, Any],
    until_s: float,
    node: int,
    tell: Callable[[Line], None],
    from_s: float = 0.0,
    progress: Callable[[Progress], None] | None = None,
) -> str:
    """Run the world of a trace again, and tell what one node sees and does.

    :param header: of the trace.
    :param until_s: simulated seconds.
    :param node: a host's number.
    :param tell: gets each line as it happens.
    :param from_s: what is before is left out.
    :returns: the trace hash at that time.
    :raises TraceError: where there is no such node.
    :raises ScenarioError: where the header's scenario is not one of this version.
    """
    from simnet.run import begin, build, passing
    from simnet.scenario import of_settings

    built = build(of_settings(header["scenario"], "trace"), int(header["seed"]))
    if not 0 <= node < len(built.hosts):
        raise TraceError(f"--node {node}: there are nodes 0 to {len(built.hosts) - 1}")
    watch(built.hosts[node], lambda line: tell(line) if line.at_s >= from_s else None)
    begin(built)
    for _ in passing(built, min(until_s, built.scenario.seconds), progress):
        pass
    for fault in built.troubles:
        if node in fault["hosts"] and fault["at_s"] >= from_s:
            tell(Line(fault["at_s"], "fault", fault["what"]))
    return built.world.trace_hash


def watch(host: Host, tell: Callable[[Line], None]) -> None:
    """Tell all that a host sees and does from now on."""
    feed = host.feed

    def say(kind: str, text: str) -> None:
        tell(Line(host.world.now_us / 1_000_000, kind, text))

    def watched_feed(happened: Input) -> None:
        text = describe_input(happened)
        if text:
            say("in", text)
        feed(happened)

    def on_message(_: Host, link: Link, is_sent: bool, message: Message) -> None:
        kind, way = ("sent", "to") if is_sent else ("got", "from")
        say(kind, f"{describe_message(message)} {way} {link.remote} (link {link.number})")

    host.feed = watched_feed  # type: ignore[method-assign]
    host.listeners.append(on_message)
    host.on_event.append(lambda _, event: say("event", describe_event(event)))


# --- In words -------------------------------------------------------------------------------------


def _short(identifier: bytes) -> str:
    return identifier.hex()[:_ID_DIGITS]


def _ids(identifiers: list[bytes]) -> str:
    shown = ", ".join(map(_short, identifiers[:3]))
    return f"{shown}, ... ({len(identifiers)})" if len(identifiers) > 3 else shown


def describe_input(happened: Input) -> str:
    """An input in words; empty for those that only say that time has passed or bytes have left."""
    match happened:
        case inputs.Tick() | inputs.BytesSent():
            return ""
        case inputs.BytesReceived():
            return f"{len(happened.data)} bytes on link {happened.link}"
        case inputs.BoardOpened():
            name, kept = happened.board.descriptor.name, len(happened.keys) // 40
            return f"opens the board {name!r}: {kept} entries, {len(happened.outbox)} in the outbox"
        case inputs.BoardClosed():
            return "leaves the board"
        case inputs.LinkOpened():
            way = "dialled" if happened.board_id is not None else "accepted from"
            return f"link {happened.link} {way} {happened.remote}"
        case inputs.LinkClosed():
            return f"link {happened.link} was closed"
        case inputs.DialFailed():
            return f"nobody answered at {happened.address}"
        case inputs.Publish():
            return f"its user published {_short(happened.entry.id)}"
        case inputs.Verified():
            return f"signatures: {sum(happened.is_valid)} of {len(happened.is_valid)} valid"
        case inputs.Loaded():
            return f"read {len(happened.entries)} entries from disk"
        case inputs.Stored():
            return f"a write is durable, {len(happened.lacking)} payloads still missing"
        case inputs.StoreFailed():
            return "a write failed"
        case _:
            return _describe_finding(happened)


def _describe_finding(happened: Input) -> str:
    match happened:
        case inputs.Advertised():
            return f"{happened.addresses[0]} advertises itself"
        case inputs.AddressGiven():
            return f"was given the address {happened.address}"
        case inputs.DatagramReceived():
            return f"a datagram of {len(happened.data)} bytes from {happened.remote}"
        case inputs.WorkFound():
            return "a search for a nonce has ended"
        case inputs.ListeningOn():
            return f"listens on port {happened.port}"
        case _:
            return type(happened).__name__


def describe_message(message: Message) -> str:
    """A message in words."""
    name = type(message).__name__
    match message:
        case Announce():
            return f"{name} {_ids([identifier for _, identifier in message.items])}"
        case Want():
            return f"{name} {_ids(message.ids)} (request {message.request})"
        case Entries():
            end = ", the last part" if message.last else ""
            return f"{name} {len(message.entries)} (request {message.request}{end})"
        case RelayRecords():
            return f"{name} {len(message.records)}"
        case Ask() | Answer():
            return f"{name} {len(message.step)} bytes"
        case Peers():
            return f"{name} {', '.join(map(str, message.addresses))}"
        case Hello():
            return f"{name} port {message.port}"
        case Bye():
            return f"{name} reason {message.reason}"
        case _:
            return name


def describe_event(event: effects.Event) -> str:
    """An event in words."""
    match event:
        case effects.EntriesArrived():
            return f"new: {_ids([entry.id for entry in event.entries])}"
        case effects.CameBack():
            return f"own entry {_short(event.id)} came back"
        case effects.LinkUp():
            return f"link {event.link} with {event.address} is up"
        case effects.LinkDown():
            return f"link {event.link} is down: {event.reason.slug}"
        case effects.SyncProgress():
            state = ", reconciling" if event.is_reconciling else ""
            return f"sync: {event.fetched} fetched, {event.wanted} wanted{state}"


def read_trace(path: Path) -> Iterator[dict[str, Any]]:
    """All lines of a trace, the header first.

    :raises TraceError: where it is none.
    """
    read_header(path)
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)
