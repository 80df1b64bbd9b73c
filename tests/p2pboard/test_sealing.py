"""Sealing: what the store encrypts, and the places of its secrets."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2pboard.errors import StoreError
from p2pboard.store import sealing
from p2pboard.store.schema import open_database
from p2pboard.store.sealing import Slots
from protocol.crypto import KEY_BYTES
from tests.p2pboard.making import Author, make_board

SECRET = bytes(range(KEY_BYTES))
AUTHOR = Author(make_board())
ENTRY = AUTHOR.post("words")


@given(st.binary(max_size=300), st.binary(min_size=KEY_BYTES, max_size=KEY_BYTES))
def test_payloads_round_trip(payload: bytes, secret: bytes) -> None:
    assert sealing.unseal_payload(secret, sealing.seal_payload(secret, payload)) == payload


@pytest.mark.parametrize("is_fresh", [True, False])
def test_personas_round_trip_with_their_keys(is_fresh: bool) -> None:
    sealed = sealing.seal_persona(SECRET, AUTHOR.persona, is_fresh)
    assert sealing.unseal_persona(SECRET, sealed) == (AUTHOR.persona, is_fresh)
    assert AUTHOR.persona.seed not in sealed


def test_own_entries_round_trip() -> None:
    sealed = sealing.seal_outbox(SECRET, ENTRY)
    assert sealing.unseal_outbox(SECRET, sealed) == ENTRY
    assert b"words" not in sealed


@pytest.mark.parametrize("secret", [None, bytes(KEY_BYTES), SECRET[::-1]])
def test_without_its_secret_nothing_is_unsealed(secret: bytes | None) -> None:
    with pytest.raises(StoreError, match="damaged"):
        sealing.unseal_payload(secret, sealing.seal_payload(SECRET, b"words"))


def test_one_kind_is_not_taken_for_another() -> None:
    with pytest.raises(StoreError):
        sealing.unseal_outbox(SECRET, sealing.seal_payload(SECRET, b"words"))


# --- Slots ----------------------------------------------------------------------------------------


class Counting:
    """Randomness that never gives the same twice."""

    def __init__(self) -> None:
        self._next = 0

    def __call__(self, count: int) -> bytes:
        self._next += 1
        return b"".join(
            (self._next << 16 | place).to_bytes(KEY_BYTES, "big")
            for place in range(count // KEY_BYTES)
        )


@pytest.fixture
def slots(tmp_path: Path) -> Iterator[Slots]:
    connection = open_database(tmp_path / "a")
    connection.execute("BEGIN")
    yield Slots(connection, Counting())
    connection.close()


def test_secrets_are_fresh_and_stored_where_it_is_said(slots: Slots) -> None:
    taken = dict(slots.take(3) + slots.take(2))
    assert len(set(taken.values())) == 5
    assert dict(slots._db.execute("SELECT slot, secret FROM secrets")) == taken
    assert not slots.has_erased


def test_what_is_freed_is_overwritten_in_place_and_its_slot_used_again(slots: Slots) -> None:
    before = dict(slots.take(3))
    slots.free([2])
    assert slots.has_erased
    stored = dict(slots._db.execute("SELECT slot, secret FROM secrets"))
    assert stored == before | {2: bytes(KEY_BYTES)}
    again = slots.take(2)
    assert [slot for slot, _ in again] == [2, 4]
    assert not {secret for _, secret in again} & set(before.values())


def test_freeing_nothing_erases_nothing(slots: Slots) -> None:
    slots.free_selected("SELECT slot FROM secrets WHERE slot > ?", (0,))
    assert not slots.has_erased
    assert slots.take(0) == []
