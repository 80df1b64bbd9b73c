"""Sightings that are made up."""

from __future__ import annotations

from simnet.adversaries.spies import Sighting


def sighting(at_us: int, spy: int, peer: int, entry: bytes, what: str = "announce") -> Sighting:
    return Sighting(at_us, spy, peer, what, entry)
