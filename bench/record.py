"""What a benchmark says: one figure a record."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Record:
    """A figure.

    :ivar name: ``benchmark/figure``.
    :ivar aim: what it should be, in words ("≥ 0.5"); empty where it only informs.
    """

    name: str
    value: float
    unit: str
    aim: str = ""

    def as_json(self) -> dict[str, object]:
        """For programs."""
        return {"name": self.name, "value": self.value, "unit": self.unit, "aim": self.aim}
