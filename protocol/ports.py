"""What the machines of a board need of the node around them, and the names of their deadlines."""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum, auto
from typing import Protocol

from protocol.chance import Chance
from protocol.effects import Effect
from protocol.inputs import Now
from protocol.timers import Timers
from protocol.work import Work


class Due(IntEnum):
    """What a deadline is for; the second part of its key is a board or a link. (Integers, since
    these keys are hashed all the time, and a plain Enum has a hash of its own in Python.)"""

    HANDSHAKE = auto()
    IDLE = auto()
    ANNOUNCE = auto()
    REQUEST = auto()
    RECONCILE = auto()
    PEERS = auto()
    DIAL = auto()
    REFRESH = auto()
    MIX = auto()
    RELAY = auto()
    EXPIRE = auto()


TimerKey = tuple[Due, bytes | int]


class Ports(Protocol):
    """The node, as its machines see it."""

    chance: Chance
    timers: Timers[TimerKey]

    def emit(self, effect: Effect) -> None:
        """Hand an effect to the driver."""

    def find_work(self, board_id: bytes, work: Work, then: Callable[[bytes, Now], None]) -> None:
        """Have a nonce searched for; ``then`` gets it, unless the board was left meanwhile."""
