"""A first message opens one listener's door, once, and only for about an hour."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol import handshake, limits
from protocol.board import Board
from protocol.errors import Reason, Refused
from protocol.handshake import Doorkeeper, begin, first_payload, packed_host, second_payload
from protocol.messages import Address
from protocol.noise import HandshakeState
from tests.protocol.wired import BOARD, LISTENING, OTHER_BOARD, WALL_S, seeded

SKEW_S = limits.HANDSHAKE_SKEW_S_MAX


def first_message(
    board: Board = BOARD,
    destination: Address = LISTENING,
    wall_s: int = WALL_S,
    name: str = "dialler",
) -> bytes:
    state = begin(board, True, seeded(name))
    return state.write_message(first_payload(board, destination, wall_s))


def admit(
    doorkeeper: Doorkeeper,
    message: bytes,
    boards: list[Board] | None = None,
    local: Address = LISTENING,
    wall_s: int = WALL_S,
) -> tuple[Board, HandshakeState]:
    return doorkeeper.admit(message, boards or [BOARD], local, wall_s, seeded("listener"))


def assert_stays_out(
    message: bytes,
    doorkeeper: Doorkeeper | None = None,
    boards: list[Board] | None = None,
    local: Address = LISTENING,
    wall_s: int = WALL_S,
) -> None:
    with pytest.raises(Refused) as refused:
        admit(doorkeeper or Doorkeeper(), message, boards, local, wall_s)
    assert refused.value.reason is Reason.LINK_HANDSHAKE


def test_both_sides_end_with_the_same_keys_and_both_messages_have_one_size() -> None:
    """L-2."""
    dialler = begin(BOARD, True, seeded("dialler"))
    first = dialler.write_message(first_payload(BOARD, LISTENING, WALL_S))
    board, listener = admit(Doorkeeper(), first)
    second = listener.write_message(second_payload())
    dialler.read_message(second)
    assert board is BOARD and dialler.handshake_hash == listener.handshake_hash
    assert len(first) == len(second) == limits.HANDSHAKE_MESSAGE_BYTES
    send, receive = dialler.split()
    their_send, their_receive = listener.split()
    assert their_receive.decrypt(send.encrypt(b"to")) == b"to"
    assert receive.decrypt(their_send.encrypt(b"fro")) == b"fro"


def test_a_listener_finds_the_board_among_its_own() -> None:
    for board in (BOARD, OTHER_BOARD):
        found, _ = admit(Doorkeeper(), first_message(board), [OTHER_BOARD, BOARD])
        assert found is board


def test_a_member_of_another_board_stays_out() -> None:
    """L-5."""
    assert_stays_out(first_message(OTHER_BOARD))


def test_a_first_message_opens_once() -> None:
    """L-5."""
    doorkeeper = Doorkeeper()
    message = first_message()
    admit(doorkeeper, message)
    assert_stays_out(message, doorkeeper)
    admit(doorkeeper, first_message(name="another"))


def test_a_first_message_for_another_listener_stays_out() -> None:
    """L-5."""
    assert_stays_out(first_message(destination=Address("10.0.0.9", LISTENING.port)))
    assert_stays_out(first_message(destination=Address(LISTENING.host, LISTENING.port + 1)))


@pytest.mark.parametrize("off_s", [-SKEW_S + 60, 0, SKEW_S - 60])
def test_clocks_may_differ_by_less_than_the_limit(off_s: int) -> None:
    admit(Doorkeeper(), first_message(wall_s=WALL_S + off_s))


@pytest.mark.parametrize("off_s", [-86400, -SKEW_S - 60, SKEW_S + 60, 86400])
def test_a_first_message_with_a_clock_too_far_off_stays_out(off_s: int) -> None:
    """L-5."""
    assert_stays_out(first_message(wall_s=WALL_S + off_s))


def test_another_version_stays_out() -> None:
    """L-5."""
    payload = bytearray(first_payload(BOARD, LISTENING, WALL_S))
    payload[0] = 2
    assert_stays_out(begin(BOARD, True, seeded("newer")).write_message(bytes(payload)))


def test_a_refused_message_is_not_remembered_against_its_sender() -> None:
    doorkeeper = Doorkeeper()
    message = first_message(wall_s=WALL_S + SKEW_S + 120)
    assert_stays_out(message, doorkeeper)
    admit(doorkeeper, message, wall_s=WALL_S + 600)


@settings(max_examples=200)
@given(st.binary(max_size=120))
def test_arbitrary_bytes_stay_out(message: bytes) -> None:
    assert_stays_out(message, boards=[BOARD, OTHER_BOARD])


@settings(max_examples=200)
@given(st.integers(0, limits.HANDSHAKE_MESSAGE_BYTES * 8 - 1))
def test_a_first_message_with_one_wrong_bit_stays_out(bit: int) -> None:
    message = bytearray(first_message())
    message[bit // 8] ^= 1 << bit % 8
    assert_stays_out(bytes(message))


def test_what_is_remembered_is_bounded_and_the_oldest_goes_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """L-6."""
    monkeypatch.setattr(limits, "REPLAYS_REMEMBERED_MAX", 3)
    doorkeeper = Doorkeeper()
    messages = [first_message(name=str(number)) for number in range(5)]
    for message in messages:
        admit(doorkeeper, message)
    assert len(doorkeeper._seen) == 3
    for message in messages[2:]:
        assert_stays_out(message, doorkeeper)
    admit(doorkeeper, messages[0])


def test_both_ends_of_a_connection_name_the_listener_alike() -> None:
    """L-4."""
    assert packed_host("::ffff:10.0.0.1") == packed_host("10.0.0.1")
    assert packed_host("fe80::1%eth0") == packed_host("fe80::1%3") == packed_host("fe80:0::1")
    with pytest.raises(Refused) as refused:
        packed_host("printer.example")
    assert refused.value.reason is Reason.LINK_MESSAGE_MALFORMED


def test_the_payload_says_no_more_than_the_minute() -> None:
    assert first_payload(BOARD, LISTENING, WALL_S) == first_payload(BOARD, LISTENING, WALL_S + 59)
    assert len(first_payload(BOARD, LISTENING, WALL_S)) == handshake._PAYLOAD_BYTES
