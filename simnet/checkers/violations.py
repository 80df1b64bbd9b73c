"""A rule that was broken: where, when, which."""

from __future__ import annotations

from dataclasses import dataclass


class Violated(AssertionError):
    """A rule was broken, in a world whose checkers are strict."""


@dataclass(frozen=True, slots=True)
class Violation:
    """:ivar at_us: virtual microseconds since the start.
    :ivar host: its number.
    :ivar rule: a name of the table in :mod:`simnet.checkers`.
    :ivar detail: one clause.
    """

    at_us: int
    host: int
    rule: str
    detail: str

    def __str__(self) -> str:
        return f"{self.at_us / 1e6:.3f} s, host {self.host}: {self.rule}: {self.detail}"
