"""What goes wrong, and how often: one record for a whole world."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

Probability = Annotated[float, (0.0, 1.0)]


@dataclass(frozen=True, slots=True)
class Faults:
    """Probabilities (0..1) and ranges in virtual milliseconds, all drawn from the world's seed.

    :ivar delay_ms: added to the delay of each piece of bytes.
    :ivar break_: that a piece breaks its connection.
    :ivar dial: that a dial fails.
    :ivar advert_loss: that one host misses one advertisement.
    :ivar advert_copy: that it gets it twice.
    :ivar rechunk: that a piece is cut at a random place.
    :ivar repeat: that a piece reaches its receiver twice, which breaks the link it belongs to.
    :ivar verify_ms: added to the time that signatures take; batches overtake each other.
    :ivar store_ms: the time until a write is durable; a crash before it loses the write.
    :ivar store_failure: that a write fails.
    """

    delay_ms: tuple[float, float] = (0.0, 0.0)
    break_: Probability = 0.0
    dial: Probability = 0.0
    advert_loss: Probability = 0.0
    advert_copy: Probability = 0.0
    rechunk: Probability = 0.2
    repeat: float = 0.0
    verify_ms: tuple[float, float] = (0.05, 0.5)
    store_ms: tuple[float, float] = (0.5, 10.0)
    store_failure: Probability = 0.0


CALM = Faults()

ROUGH = Faults(
    delay_ms=(0.0, 200.0),
    break_=0.01,
    dial=0.2,
    advert_loss=0.3,
    advert_copy=0.3,
    rechunk=0.5,
    verify_ms=(0.05, 50.0),
    store_ms=(0.5, 100.0),
    store_failure=0.02,
)
