"""Holds what each attack says of a world against the truth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from simnet.adversaries.spies import Spy
from simnet.attacks.first_spy import first_spy
from simnet.attacks.graph import Graph
from simnet.attacks.pooled import pooled
from simnet.attacks.sightings import pooled_sightings
from simnet.attacks.success import measure
from simnet.world import World


def judge(world: World, truth: Mapping[bytes, int], spies: Sequence[Spy]) -> list[dict[str, Any]]:
    """What the spies of a world can say about the authors of entries, by each estimator.

    The graph is that of the moment: call it while the hosts are still linked.

    :param truth: of each entry, the number of the host that wrote it; entries of hosts that are not
        honest are left out.
    :returns: for each estimator ``estimator``, ``spies`` (how many), ``share`` (of all hosts),
        ``precision``, ``recall``, ``named``, ``blind`` (the chance of a blind guess), ``entries``
        (how many were judged) and ``seen`` (how many of them a spy saw).
    """
    honest = [host.number for host in world.hosts if host.role == "honest"]
    may_write = set(honest)
    judged = {e: author for e, author in truth.items() if author in may_write}
    evidence = {e: s for e, s in pooled_sightings(spies).items() if e in judged}
    graph = Graph.of(world.network.pairs(), honest, {spy.number for spy in spies})
    guesses = {
        "first-spy": first_spy(evidence),
        "pooled": pooled(graph, evidence, judged),
    }
    return [
        {
            "estimator": name,
            "spies": len(spies),
            "share": len(spies) / max(len(world.hosts), 1),
            **asdict(measure(named, judged, len(honest))),
            "blind": 1 / max(len(honest), 1),
            "entries": len(judged),
            "seen": len(evidence),
        }
        for name, named in guesses.items()
    ]
