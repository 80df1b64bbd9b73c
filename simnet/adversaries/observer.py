"""The global passive observer: sees when each packet is sent, by whom, to whom, and how long it is.

It is in no node and has no key: the company's IT department with a port of each switch. What it
can make of that is :func:`simnet.attacks.observer.observer_auc`.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from typing import TYPE_CHECKING

from simnet.network import Packet

if TYPE_CHECKING:
    from simnet.world import World


class PassiveObserver:
    """Logs all packets of a world from now on: iterating gives them, in the order of sending.

    Kept in columns (33 bytes a packet), because a world of thousands sends tens of millions.
    """

    def __init__(self, world: World) -> None:
        self._at_us, self._sources = array("q"), array("q")
        self._destinations, self._bytes = array("q"), array("q")
        self._are_datagrams = array("b")
        world.network.observers.append(self._see)

    def _see(self, packet: Packet) -> None:
        self._at_us.append(packet.at_us)
        self._sources.append(packet.source)
        self._destinations.append(packet.destination)
        self._bytes.append(packet.bytes)
        self._are_datagrams.append(packet.is_datagram)

    def __len__(self) -> int:
        return len(self._at_us)

    def __iter__(self) -> Iterator[Packet]:
        columns = (self._at_us, self._sources, self._destinations, self._bytes)
        are_datagrams = map(bool, self._are_datagrams)
        return map(Packet._make, zip(*columns, are_datagrams, strict=True))
