"""First-spy: names the peer from whom any spy heard of the entry first.

It needs no knowledge of the network, and is what most measurements of Bitcoin have used.
"""

from __future__ import annotations

from simnet.attacks.sightings import Evidence


def first_spy(of_entry: Evidence) -> dict[bytes, int]:
    """Of each entry, the peer that was first to show that it has it."""
    guesses = {}
    for identifier, sightings in of_entry.items():
        first = next((s for s in sightings if s.what != "want"), None)
        if first is not None:
            guesses[identifier] = first.peer
    return guesses
