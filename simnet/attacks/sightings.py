"""What spies noticed, laid together: the evidence that all estimators start from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from simnet.adversaries.spies import Sighting, Spy

#: Of each entry, what was noticed of it, in order.
Evidence = Mapping[bytes, Sequence[Sighting]]


def pooled_sightings(spies: Sequence[Spy]) -> dict[bytes, list[Sighting]]:
    """Of each entry, what all spies noticed, in order; each link's first sighting alone, and none
    of one spy by another."""
    numbers = {spy.number for spy in spies}
    every = sorted(s for spy in spies for s in spy.log if s.peer not in numbers)
    of_entry: dict[bytes, list[Sighting]] = {}
    known: set[tuple[bytes, int, int]] = set()
    for sighting in every:
        link = (sighting.entry_id, sighting.spy, sighting.peer)
        if link not in known:
            known.add(link)
            of_entry.setdefault(sighting.entry_id, []).append(sighting)
    return of_entry
