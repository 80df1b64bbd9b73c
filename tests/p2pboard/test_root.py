"""The root: its two halves, and the passphrase over one of them."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from secrets import token_bytes

import nacl.exceptions
import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2pboard.errors import StoreError, UserError
from p2pboard.store import root
from p2pboard.store.root import Locked, Wiped, WrongPassphrase, unwrap, wrap

HALF = bytes(range(32))
PASSPHRASE = "tea without a kettle"


@pytest.fixture(autouse=True)
def _cheap(cheap_passphrases: None) -> None:
    """Each of these tests needs several keys, and none needs a strong one."""


# --- The half in the database ---------------------------------------------------------------------


@pytest.mark.parametrize("passphrase", [None, PASSPHRASE, "ü" * 8])
def test_a_half_comes_back_with_its_passphrase(passphrase: str | None) -> None:
    wrapped = wrap(HALF, passphrase, token_bytes)
    assert unwrap(wrapped, passphrase) == HALF
    assert root.has_passphrase(wrapped) == (passphrase is not None)


def test_with_or_without_a_passphrase_it_takes_the_same_room() -> None:
    """Or it could not be overwritten in place."""
    wrapped = [wrap(HALF, passphrase, token_bytes) for passphrase in (None, PASSPHRASE)]
    assert [len(raw) for raw in wrapped] == [root.RECORD_BYTES] * 2
    assert HALF not in wrapped[1]


def test_another_passphrase_opens_nothing_and_none_is_asked_for_where_none_is_set() -> None:
    wrapped = wrap(HALF, PASSPHRASE, token_bytes)
    with pytest.raises(WrongPassphrase):
        unwrap(wrapped, PASSPHRASE + " ")
    with pytest.raises(Locked, match="--passphrase-file"):
        unwrap(wrapped, None)
    assert unwrap(wrap(HALF, None, token_bytes), PASSPHRASE) == HALF


def test_a_passphrase_is_the_same_however_a_keyboard_composes_it() -> None:
    wrapped = wrap(HALF, "Bu\u0308cher im Regal", token_bytes)
    assert unwrap(wrapped, "B\u00fccher im Regal") == HALF


def test_the_same_passphrase_wraps_differently_each_time() -> None:
    one, two = (wrap(HALF, PASSPHRASE, token_bytes) for _ in range(2))
    assert one[-48:] != two[-48:]


def test_what_a_passphrase_costs_is_stored_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    wrapped = wrap(HALF, PASSPHRASE, token_bytes)
    monkeypatch.setattr(root, "PASSES", root.PASSES + 1)
    monkeypatch.setattr(root, "MEMORY_KIB", root.MEMORY_KIB * 2)
    assert unwrap(wrapped, PASSPHRASE) == HALF


@pytest.mark.parametrize("passphrase", ["", "short", "x" * 1025])
def test_what_is_soon_guessed_or_too_long_to_type_is_no_passphrase(passphrase: str) -> None:
    with pytest.raises(UserError, match="words"):
        wrap(HALF, passphrase, token_bytes)


@given(st.binary(max_size=80))
def test_noise_is_a_damaged_record_and_asks_for_no_memory(raw: bytes) -> None:
    with pytest.raises(StoreError, match="damaged"):
        unwrap(raw, PASSPHRASE)


@pytest.mark.parametrize("field", [slice(1, 5), slice(5, 9)])
def test_a_record_that_asks_for_all_memory_or_time_is_damaged(field: slice) -> None:
    raw = bytearray(wrap(HALF, PASSPHRASE, token_bytes))
    raw[field] = b"\xff" * 4
    with pytest.raises(StoreError, match="damaged"):
        unwrap(bytes(raw), PASSPHRASE)


def test_memory_that_is_not_there_is_said_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_memory(*_: object) -> bytes:
        raise nacl.exceptions.RuntimeError("Unexpected library error")

    monkeypatch.setattr("p2pboard.store.root.argon2id.kdf", no_memory)
    with pytest.raises(StoreError, match="memory"):
        wrap(HALF, PASSPHRASE, token_bytes)


def test_both_halves_make_the_root() -> None:
    made = {root.join_halves(a, b) for a in (HALF, bytes(32)) for b in (HALF, bytes(32))}
    assert len(made) == 4


# --- The half in a file ---------------------------------------------------------------------------


def test_the_half_in_a_file_is_private_whole_and_new_each_time(tmp_path: Path) -> None:
    """S-5."""
    path = tmp_path / "a"
    assert root.read_key_file(path) is None
    made = root.make_key_file(path, token_bytes)
    assert root.read_key_file(path) == made
    assert root.make_key_file(path, token_bytes) != made
    assert [file.name for file in tmp_path.iterdir()] == ["a.key"]
    if os.name != "nt":
        assert stat.S_IMODE(root.key_file_of(path).stat().st_mode) == 0o600


def test_a_wiped_half_is_overwritten_in_place_and_said_to_be_wiped(tmp_path: Path) -> None:
    path = tmp_path / "a"
    assert not root.wipe_key_file(path)
    assert not root.is_wiped(path)
    root.make_key_file(path, token_bytes)
    before = root.key_file_of(path).stat().st_ino
    assert not root.is_wiped(path)
    assert root.wipe_key_file(path)
    assert root.is_wiped(path)
    assert root.key_file_of(path).read_bytes() == bytes(32)
    assert root.key_file_of(path).stat().st_ino == before
    with pytest.raises(Wiped, match="p2pboard panic"):
        root.read_key_file(path)


def test_a_key_file_of_another_size_is_damaged(tmp_path: Path) -> None:
    root.key_file_of(tmp_path / "a").write_bytes(bytes(31))
    with pytest.raises(StoreError, match="damaged"):
        root.read_key_file(tmp_path / "a")
    assert not root.is_wiped(tmp_path / "a")
