"""Spies that trace cells: what their logs say of each cell, laid together.

A cell that went from spy to spy is one track. Spies know their own cells wherever they meet them,
and leave them out. What a spy opened as the last relay it can read, so it knows which track brought
(a piece of) which entry; and it sees who predecessors are, not what these do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from protocol.board import Board
from protocol.entry import entry_id
from protocol.pieces import Assembly
from simnet.adversaries.cell_log import CellIn, CellOut
from simnet.adversaries.spies import Spy
from simnet.attacks.tracks import ENDED, HELD, OWN, Tracks

_US = 1e6
_Row = tuple[float, int, float, int, int]


@dataclass(slots=True)
class Logs:
    """The cell logs of all spies.

    :ivar spies: their numbers.
    :ivar came: by element, each cell that came to one; :ivar left: each that left one.
    :ivar own: elements of cells that a spy has written.
    """

    spies: set[int]
    came: dict[bytes, CellIn] = field(default_factory=dict)
    left: dict[bytes, CellOut] = field(default_factory=dict)
    own: set[bytes] = field(default_factory=set)

    @classmethod
    def of(cls, spies: Sequence[Spy]) -> Logs:
        """Lay them together."""
        logs = cls({spy.number for spy in spies})
        for spy in spies:
            logs.came |= {cell.element: cell for cell in spy.cells.came}
            logs.left |= {cell.element: cell for cell in spy.cells.left}
            logs.own |= spy.cells.own
        return logs

    def tracks(self, knows_own: bool = True) -> tuple[Tracks, dict[bytes, int]]:
        """The tracks through spies, and which of them brought what the spies opened: by the
        element that it came with, the row.

        :param knows_own: leave the spies' own cells out; else those that others pass on are like
            any other, and where they left the spies there is a track that is known to be a first
            leg.
        """
        rows: list[tuple[_Row, bytes]] = []
        for cell in self.came.values():
            if cell.peer not in self.spies and not (knows_own and cell.element in self.own):
                rows.append(self._follow(cell))
        if not knows_own:
            rows += self._emitted()
        rows.sort()
        ended = {element: row for row, (_, element) in enumerate(rows) if element}
        return Tracks.of([row for row, _ in rows]), ended

    def _follow(self, first: CellIn) -> tuple[_Row, bytes]:
        """From an honest node through spies to an honest node, or to its end."""
        cell, spies = first, 1
        source, left_s = first.peer, first.at_us / _US
        while cell.next_element:
            out = self.left.get(cell.next_element)
            if out is None:
                return (left_s, source, cell.at_us / _US, HELD, spies), b""
            if out.peer not in self.spies:
                target = out.peer if out.peer >= 0 else HELD
                return (left_s, source, out.at_us / _US, target, spies), b""
            following = self.came.get(cell.next_element)
            if following is None:
                return (left_s, source, out.at_us / _US, HELD, spies), b""
            cell, spies = following, spies + 1
        return (left_s, source, cell.at_us / _US, ENDED, spies), cell.element

    def _emitted(self) -> list[tuple[_Row, bytes]]:
        """Where own cells left for honest nodes, by way of other spies or not."""
        passed_on = {cell.next_element for cell in self.came.values()}
        rows = []
        for first in self.left.values():
            if first.element in passed_on:
                continue
            out: CellOut | None = first
            spies = 0
            while out is not None and out.peer in self.spies:
                cell = self.came.get(out.element)
                out = self.left.get(cell.next_element) if cell is not None else None
                spies += 1
            if out is not None and out.peer >= 0:
                at_s = out.at_us / _US
                rows.append(((at_s, OWN, at_s, out.peer, spies), b""))
        return rows

    def opened(self, board: Board) -> dict[bytes, list[bytes]]:
        """Of each entry that spies could put together, the elements of the cells that brought its
        pieces to them."""
        brought: dict[bytes, list[bytes]] = {}
        elements: dict[tuple[int, bytes], list[bytes]] = {}
        assemblies: dict[int, Assembly] = {}
        for cell in sorted(self.came.values(), key=lambda cell: cell.at_us):
            if cell.piece is not None:
                key = (cell.spy, cell.piece.transfer)
                elements.setdefault(key, []).append(cell.element)
                assembly = assemblies.setdefault(cell.spy, Assembly())
                entry = assembly.add(cell.piece, cell.at_us // 1000)
                if entry is not None:
                    brought.setdefault(entry_id(board, entry.raw), []).extend(elements[key])
        return brought
