"""What spies write down of cells: each that comes to one, as what, and each that leaves it.

A relay that logs knows which cell that leaves it is which that came, and spies that lay their logs
together know a cell again that goes from one to another. They know, too, their own cells wherever
these come by, since whoever writes a cell can compute what each relay makes of it. A cell is known
by its element (:mod:`protocol.cells`), which is another at each relay.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from protocol.cells import _ELEMENT, Forward, Last, _key_schedule, build_cell
from protocol.gossip import Gossip
from protocol.inputs import Now
from protocol.messages import Address
from protocol.mix import Mix, OwnKey
from protocol.pieces import Loop, Piece, decode_body
from protocol.publishing import Publishing
from protocol.relays import Record

if TYPE_CHECKING:
    from simnet.host import Host


class CellIn(NamedTuple):
    """A cell that a spy took a layer off.

    :ivar spy: the number of the host that logged it; :ivar peer: the host that it came from.
    :ivar element: by which it is known; :ivar next_element: by which, when it has gone on; empty if
        this was its last relay.
    :ivar piece: what was in it, if this was its last relay and it was no cover.
    """

    at_us: int
    spy: int
    peer: int
    element: bytes
    next_element: bytes
    piece: Piece | None


class CellOut(NamedTuple):
    """A cell that left a spy.

    :ivar peer: the host that it was sent to; -1: nobody's address.
    """

    at_us: int
    spy: int
    peer: int
    element: bytes


@dataclass(slots=True)
class CellLog:
    """All that one spy knows of cells.

    :ivar own: the elements that its own cells have or will have, on their whole way.
    """

    came: list[CellIn] = field(default_factory=list)
    left: list[CellOut] = field(default_factory=list)
    own: set[bytes] = field(default_factory=set)


class LoggingMix(Mix):
    """A mix like any other, whose owner writes down all that goes through it."""

    host: ClassVar[Host]
    log: ClassVar[CellLog]

    def receive(self, remote: Address, cell: bytes, now: Now) -> None:
        """As always; from whom it came is remembered for the log."""
        self._remote, self._element = remote, cell[_ELEMENT]
        super().receive(remote, cell, now)

    def _on_opened(self, key: OwnKey, opened: Forward | Last, now: Now) -> None:
        if opened.replay not in key.seen:
            self._write_down(opened)
        super()._on_opened(key, opened, now)

    def _write_down(self, opened: Forward | Last) -> None:
        next_element, said = b"", None
        if isinstance(opened, Forward):
            next_element = opened.cell[: _ELEMENT.stop - _ELEMENT.start]
        else:
            said = decode_body(opened.body)
        piece = None if isinstance(said, Loop) else said
        world = self.host.world
        peer = world.network.number_at(self._remote)
        self.log.came.append(
            CellIn(world.now_us, self.host.number, peer, self._element, next_element, piece)
        )

    def _build(self, path: Sequence[Record], body: bytes) -> bytes:
        drawn: list[bytes] = []

        def draw(count: int) -> bytes:
            drawn.append(self._chance.bytes(count))
            return drawn[-1]

        hops = [record.hop for record in path]
        cell = build_cell(self._board, hops, body, draw, self._group)
        element, keys = _key_schedule(hops, drawn[0], self._group)
        for hop_keys in keys:
            self.log.own.add(element)
            element = self._group.exchange(hop_keys.blinding, element) or element
        return cell


def logging_machine(machine: type[Gossip], host: Host, log: CellLog) -> type[Gossip]:
    """A board's machine that does as ``machine`` does and logs the cells of ``host``."""
    publishing = machine.publishing_machine
    mix = type("Logging", (LoggingMix, publishing.mix_machine), {"host": host, "log": log})

    def send(self: Publishing, address: Address, cell: bytes) -> None:
        peer = host.world.network.number_at(address)
        log.left.append(CellOut(host.world.now_us, host.number, peer, cell[_ELEMENT]))
        publishing._send(self, address, cell)

    logging = type("LoggingPublishing", (publishing,), {"mix_machine": mix, "_send": send})
    return type(f"Logging{machine.__name__}", (machine,), {"publishing_machine": logging})
