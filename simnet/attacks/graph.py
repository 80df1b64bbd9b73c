"""Who has links to whom, as far as an attack knows it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from simnet.adversaries.spies import Sighting

#: Distances are counted up to here ...
HOPS_MAX = 8
#: ... or until this share of all candidates is nearer; whoever is farther is just "far".
NEAR_SHARE = 0.25


@dataclass(frozen=True, slots=True)
class Graph:
    """Who has links to whom, as the pooled estimator knows it.

    :ivar spy_links: of each honest host (who alone may be an author), how many links to spies it
        has; in the order of their numbers.
    :ivar neighbours: of each host, all its peers.
    :ivar diallers: of each host, the peers that dialled it: where a stem comes from.
    """

    spy_links: Mapping[int, int]
    neighbours: Mapping[int, Sequence[int]]
    diallers: Mapping[int, Sequence[int]]
    _distances: dict[tuple[bool, int], dict[int, int]] = field(default_factory=dict)

    @classmethod
    def of(cls, pairs: Iterable[tuple[int, int]], honest: Iterable[int], spies: set[int]) -> Graph:
        """From pairs of dialler and dialled."""
        neighbours: dict[int, list[int]] = {}
        diallers: dict[int, list[int]] = {}
        for dialler, dialled in pairs:
            neighbours.setdefault(dialler, []).append(dialled)
            neighbours.setdefault(dialled, []).append(dialler)
            diallers.setdefault(dialled, []).append(dialler)
        spy_links = {
            host: sum(peer in spies for peer in neighbours.get(host, ())) for host in honest
        }
        return cls(spy_links, neighbours, diallers)

    def distances(self, sighting: Sighting) -> Mapping[int, int]:
        """How far each candidate that is near is from the peer sighted: along the way of stems for
        a hand-over, else along any links."""
        is_hand = sighting.what == "hand"
        key = (is_hand, sighting.peer)
        if key not in self._distances:
            found = self._search(self.diallers if is_hand else self.neighbours, sighting.peer)
            self._distances[key] = {h: d for h, d in found.items() if h in self.spy_links}
        return self._distances[key]

    def _search(self, ways: Mapping[int, Sequence[int]], start: int) -> dict[int, int]:
        """Breadth first."""
        distances = {start: 0}
        edge = [start]
        for hops in range(1, HOPS_MAX):
            if not edge or len(distances) > NEAR_SHARE * len(self.spy_links):
                break
            peers = (peer for host in edge for peer in ways.get(host, ()))
            edge = [peer for peer in dict.fromkeys(peers) if peer not in distances]
            distances.update(dict.fromkeys(edge, hops))
        return distances
