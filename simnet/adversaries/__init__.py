"""The adversaries, by name.

One that is a node is a small subclass of :class:`simnet.host.Host` in a module of its own, which
ends in a ``KIND``; to add one, write the module and name it in ``_MODULES``:

    KIND = Kind("spies", "honest nodes that log and collude", SpyOptions, make)

    kind = ADVERSARIES["spies"]
    spies = world.add_hosts(10, BOARD, make_host=kind.make(kind.options()))

The observer (:mod:`simnet.adversaries.observer`) is no node and not in the table.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from protocol.board import Board
    from simnet.host import Host
    from simnet.world import World

#: Makes a host of a world, with its number and its boards.
MakeHost = Callable[["World", int, "Sequence[Board]"], "Host"]

#: By name: the module whose ``KIND`` it is. Imported when asked for.
_MODULES: dict[str, str] = {
    "eclipse": "simnet.adversaries.eclipse",
    "equivocator": "simnet.adversaries.equivocator",
    "malformed": "simnet.adversaries.malformed",
    "spammer": "simnet.adversaries.spammer",
    "spies": "simnet.adversaries.spies",
    "sybils": "simnet.adversaries.sybils",
    "withholder": "simnet.adversaries.withholder",
}


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of adversary.

    :ivar options: a frozen dataclass, each field with its default; what a scenario may set.
    :ivar make: from options, what makes each host (for :meth:`simnet.world.World.add_hosts`).
    """

    name: str
    description: str
    options: type
    make: Callable[[Any], MakeHost]


class _Table(Mapping[str, Kind]):
    def __getitem__(self, name: str) -> Kind:
        kind: Kind = import_module(_MODULES[name]).KIND
        return kind

    def __iter__(self) -> Iterator[str]:
        return iter(_MODULES)

    def __len__(self) -> int:
        return len(_MODULES)


ADVERSARIES: Mapping[str, Kind] = _Table()
