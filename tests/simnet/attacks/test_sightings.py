"""What spies noticed is laid together once, and in order."""

from __future__ import annotations

from protocol.board import Descriptor
from simnet.adversaries.spies import Sighting, Spy
from simnet.attacks.sightings import pooled_sightings
from simnet.world import World
from tests.simnet.attacks.sighted import sighting

BOARD = Descriptor("test", work_bits=0)


def spies_with(*sightings: Sighting) -> list[Spy]:
    world = World(1)
    world.add_hosts(8, BOARD, is_on=False)
    spies = world.add_hosts(2, BOARD, make_host=Spy, is_on=False)
    for seen in sightings:
        spies[seen.spy - 8].log.append(seen)  # type: ignore[attr-defined]
    return [spy for spy in spies if isinstance(spy, Spy)]


def test_sightings_are_pooled_in_order_once_a_link_and_without_other_spies() -> None:
    spies = spies_with(
        sighting(30, 8, 1, b"e"),
        sighting(40, 8, 1, b"e", "entry"),
        sighting(20, 9, 2, b"e"),
        sighting(10, 9, 8, b"e"),
    )
    assert [(s.at_us, s.peer) for s in pooled_sightings(spies)[b"e"]] == [(20, 2), (30, 1)]
