"""What the makers of vectors share: the boards, the clock, and bytes that look random."""

from __future__ import annotations

from hashlib import blake2b
from typing import Any

from protocol.board import (
    Board,
    Descriptor,
)

Vector = dict[str, Any]
Vectors = dict[str, Vector]

#: 2026-09-21 13:40 UTC, a multiple of ten minutes.
WALL_S = 1_790_000_400


def fixed(name: str, size: int = 32) -> bytes:
    """Bytes that look random and are the same each time."""
    return blake2b(name.encode(), digest_size=size).digest()


BOARD = Board.of(Descriptor("vectors", fixed("secret"), payload_bytes_max=1024, work_bits=8))
OTHER_BOARD = Board.of(Descriptor("another", fixed("other secret"), work_bits=8))
SEED = fixed("persona")
