"""First-spy believes whoever it heard of the entry from first."""

from __future__ import annotations

from simnet.attacks.first_spy import first_spy
from tests.simnet.attacks.sighted import sighting


def test_first_spy_names_the_first_who_has_it_and_not_who_only_asks() -> None:
    evidence = {
        b"e": [sighting(1, 8, 3, b"e", "want"), sighting(2, 8, 1, b"e"), sighting(3, 9, 2, b"e")],
        b"f": [sighting(1, 8, 3, b"f", "want")],
    }
    assert first_spy(evidence) == {b"e": 1}
