"""The crowd: who could have written, and among how many a persona is left."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2pboard.crowd import Crowd, crowd_after, crowd_of_note, note_crowd

HOSTS = [f"10.0.0.{number}" for number in range(1, 30)]
some_hosts = st.lists(st.sampled_from(HOSTS), max_size=20)


def random_bytes(size: int) -> bytes:
    return Random(1).randbytes(size)


@given(st.lists(some_hosts, min_size=1, max_size=6))
def test_a_note_counts_who_was_there_each_time(times: list[list[str]]) -> None:
    note = None
    left = set(HOSTS)
    for hosts in times:
        left &= set(hosts)
        assert crowd_after(note, hosts) == 1 + len(left)
        note = note_crowd(note, hosts, random_bytes)
        assert crowd_of_note(note) == 1 + len(left)


def test_a_note_names_no_address_and_notes_of_one_crowd_can_not_be_joined() -> None:
    one = note_crowd(None, HOSTS, Random(1).randbytes)
    other = note_crowd(None, HOSTS, Random(2).randbytes)
    assert not any(host.encode() in one for host in HOSTS)
    tags = [{note[at : at + 8] for at in range(16, len(note), 8)} for note in (one, other)]
    assert not tags[0] & tags[1] and len(tags[0]) == len(HOSTS)


def test_a_note_of_a_huge_crowd_is_bounded() -> None:
    hosts = [f"10.{a}.{b}.1" for a in range(20) for b in range(200)]
    note = note_crowd(None, hosts, random_bytes)
    assert len(note) <= 8192 and crowd_of_note(note) == 1001


@pytest.mark.parametrize(
    ("nodes", "persona", "is_enough", "says"),
    [
        (None, None, False, None),
        (1, None, False, "no other node"),
        (2, None, False, "will know that you wrote this"),
        (3, None, False, "only 3 nodes"),
        (4, None, True, None),
        (9, 9, True, None),
        (9, 3, False, "take a fresh one"),
        (3, 2, False, "only 3 nodes"),
    ],
)
def test_advice(nodes: int | None, persona: int | None, is_enough: bool, says: str | None) -> None:
    crowd = Crowd(nodes, persona, 4)
    assert crowd.is_enough == is_enough
    assert crowd.as_json()["advice"] == crowd.advice
    assert (says or "") in (crowd.advice or "") and (says is None) == (crowd.advice is None)
