"""What the draft check says."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, get_args

#: Stable: scripts and translations go by it. Of two findings on one place, the first named is told.
Kind = Literal[
    "link",
    "email",
    "home-path",
    "full-name",
    "user-name",
    "host-name",
    "domain",
    "network",
    "mac-address",
    "ip-address",
    "id-number",
    "phone",
    "repeats",
    "resembles",
]
_RANK = {kind: rank for rank, kind in enumerate(get_args(Kind))}


@dataclass(frozen=True, slots=True)
class Finding:
    """One place in a draft that could tell who wrote it.

    :ivar start: of its first character, counted in code points.
    :ivar end: after its last character.
    :ivar why: one sentence for the writer.
    """

    kind: Kind
    start: int
    end: int
    why: str

    def as_json(self) -> dict[str, object]:
        """The record that commands print and the loopback interface serves."""
        return {"kind": self.kind, "start": self.start, "end": self.end, "why": self.why}


def settle(findings: Iterable[Finding]) -> list[Finding]:
    """What is worth telling, in the order of the text.

    A finding inside another one is left out: who takes the larger away takes it along. That a
    passage is like an earlier one is no such larger thing, for it is mended by rewording.
    """
    widest_first = sorted(findings, key=lambda f: (f.start - f.end, _RANK[f.kind], f.start))
    told: list[Finding] = []
    for finding in widest_first:
        if not any(_covers(other, finding) for other in told):
            told.append(finding)
    return sorted(told, key=lambda f: (f.start, f.end, _RANK[f.kind]))


def _covers(outer: Finding, inner: Finding) -> bool:
    is_reworded = outer.kind in ("repeats", "resembles")
    is_same_cure = not is_reworded or inner.kind in ("repeats", "resembles")
    return is_same_cure and outer.start <= inner.start and inner.end <= outer.end
