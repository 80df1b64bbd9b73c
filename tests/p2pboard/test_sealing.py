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
from p2pboard.store.sealing import CROWD_BYTES_MAX, WRAPPED_BYTES, Kept, Slots
from protocol.crypto import KEY_BYTES, TAG_BYTES
from protocol.errors import Misuse
from tests.p2pboard.making import Author, make_board

SECRET = bytes(range(KEY_BYTES))
AUTHOR = Author(make_board())
ENTRY = AUTHOR.post("words")


@given(st.binary(max_size=300), st.binary(min_size=KEY_BYTES, max_size=KEY_BYTES))
def test_payloads_round_trip(payload: bytes, secret: bytes) -> None:
    assert sealing.unseal_payload(secret, sealing.seal_payload(secret, payload)) == payload


@pytest.mark.parametrize("is_fresh", [True, False])
@pytest.mark.parametrize("crowd", [b"", b"\0whom", bytes(sealing.CROWD_BYTES_MAX)])
def test_personas_round_trip_with_their_keys_and_their_crowds(is_fresh: bool, crowd: bytes) -> None:
    kept = Kept(AUTHOR.persona, is_fresh, 2_833_333, crowd)
    sealed = sealing.seal_persona(SECRET, kept)
    assert sealing.unseal_persona(SECRET, sealed) == kept
    assert AUTHOR.persona.seed not in sealed


def test_more_than_there_is_room_for_is_noted_of_no_crowd() -> None:
    with pytest.raises(Misuse):
        sealing.seal_persona(SECRET, Kept(AUTHOR.persona, crowd=bytes(CROWD_BYTES_MAX + 1)))


@given(st.lists(st.text(max_size=20), max_size=5))
def test_short_records_all_look_the_same(fields: list[str]) -> None:
    sealed = sealing.seal_record(SECRET, sealing.RULE, fields)
    assert sealing.unseal_record(SECRET, sealing.RULE, sealed) == fields
    assert len(sealed) - TAG_BYTES == 1024


@given(st.integers(1, 70_000))
def test_of_a_long_record_only_the_power_of_two_is_seen(size: int) -> None:
    sealed = len(sealing.seal_record(SECRET, sealing.RULE, [bytes(size)])) - TAG_BYTES
    assert sealed & (sealed - 1) == 0
    assert sealed <= max(1024, 2 * (size + 8))


def test_own_entries_round_trip() -> None:
    sealed = sealing.seal_outbox(SECRET, ENTRY)
    assert sealing.unseal_outbox(SECRET, sealed) == (ENTRY, 0)
    held = sealing.seal_outbox(SECRET, ENTRY, 4)
    assert sealing.unseal_outbox(SECRET, held) == (ENTRY, 4) and len(held) == len(sealed)
    assert b"words" not in sealed


@pytest.mark.parametrize("secret", [None, bytes(KEY_BYTES), SECRET[::-1]])
def test_without_its_secret_nothing_is_unsealed(secret: bytes | None) -> None:
    with pytest.raises(StoreError, match="damaged"):
        sealing.unseal_payload(secret, sealing.seal_payload(SECRET, b"words"))


def test_one_kind_is_not_taken_for_another() -> None:
    with pytest.raises(StoreError):
        sealing.unseal_outbox(SECRET, sealing.seal_payload(SECRET, b"words"))


# --- Secrets --------------------------------------------------------------------------------------

keys = st.binary(min_size=KEY_BYTES, max_size=KEY_BYTES)
salts = st.binary(min_size=16, max_size=16)


@given(keys, salts, keys)
def test_secrets_round_trip(root: bytes, salt: bytes, secret: bytes) -> None:
    wrapped = sealing.wrap_secret(root, salt, secret)
    assert len(wrapped) == WRAPPED_BYTES
    assert sealing.open_secret(root, wrapped) == secret


@given(keys, keys, salts, keys)
def test_under_another_root_a_secret_is_another(
    root: bytes, other: bytes, salt: bytes, secret: bytes
) -> None:
    opened = sealing.open_secret(other, sealing.wrap_secret(root, salt, secret))
    assert (opened == secret) == (root == other)


# --- Slots ----------------------------------------------------------------------------------------


class Counting:
    """Randomness that never gives the same twice."""

    def __init__(self) -> None:
        self._next = 0

    def __call__(self, count: int) -> bytes:
        self._next += 1
        return b"".join(
            (self._next << 16 | place).to_bytes(16, "big") for place in range(-(-count // 16))
        )[:count]


@pytest.fixture(params=["payloads", "records"])
def slots(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Slots]:
    connection = open_database(tmp_path / "a")
    connection.execute("BEGIN")
    yield Slots(connection, connection.root, Counting(), request.param)
    connection.close()


def stored(slots: Slots) -> dict[int, bytes]:
    """What is in each slot, as it is in the file."""
    return dict(slots._db.execute(slots._sql("SELECT slot, secret FROM $secrets")))


def opened(slots: Slots) -> dict[int, bytes]:
    return {slot: sealing.open_secret(slots._root, raw) for slot, raw in stored(slots).items()}


def test_secrets_are_fresh_and_stored_where_it_is_said(slots: Slots) -> None:
    taken = dict(slots.take(3) + slots.take(2))
    assert len(set(taken.values())) == 5
    assert opened(slots) == taken
    assert not set(taken.values()) & {raw[16:] for raw in stored(slots).values()}
    assert not slots.has_erased


def test_what_is_freed_is_overwritten_in_place_and_its_slot_used_again(slots: Slots) -> None:
    before = dict(slots.take(3))
    slots.free([2])
    assert slots.has_erased
    assert stored(slots)[2] == bytes(WRAPPED_BYTES)
    assert {slot: secret for slot, secret in opened(slots).items() if slot != 2} == {
        slot: secret for slot, secret in before.items() if slot != 2
    }
    again = slots.take(2)
    assert [slot for slot, _ in again] == [2, 4]
    assert not {secret for _, secret in again} & set(before.values())


def test_freeing_nothing_erases_nothing(slots: Slots) -> None:
    slots.free_selected("SELECT slot FROM secrets WHERE slot > ?", (0,))
    assert not slots.has_erased
    assert slots.take(0) == []


def test_wrapped_anew_secrets_are_the_same_and_look_all_different(
    slots: Slots, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sealing, "_REWRAPPED_AT_ONCE", 3)
    taken = dict(slots.take(10))
    slots.free([4])
    before = stored(slots)
    slots.rewrap(bytes(KEY_BYTES))
    after = stored(slots)
    assert after.pop(4) == before.pop(4) == bytes(WRAPPED_BYTES)
    assert not {raw[:16] for raw in before.values()} & {raw[:16] for raw in after.values()}
    assert {slot: sealing.open_secret(bytes(KEY_BYTES), raw) for slot, raw in after.items()} == {
        slot: secret for slot, secret in taken.items() if slot != 4
    }
