"""A link's states: who proves nothing is heard by nobody, and what is said arrives whole."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol import limits
from protocol.board import Board
from protocol.errors import Misuse, Reason, Refused
from protocol.handshake import Doorkeeper
from protocol.inputs import Now
from protocol.link import Link, LinkState
from protocol.messages import Address, Hello, Message, Ping, Want
from tests.protocol.test_messages import messages
from tests.protocol.wired import BOARD, LISTENING, OTHER_BOARD, WALL_S, seeded

NOW = Now(0, WALL_S)
REMOTE = Address("10.0.0.2", 50_000)


class Pair:
    """A dialler and a listener."""

    def __init__(self) -> None:
        self.queued: list[Link] = []
        self.doorkeeper = Doorkeeper()
        self.dialler = Link(1, LISTENING, REMOTE, seeded("dialler"), self.queued.append, BOARD)
        self.listener = Link(2, REMOTE, LISTENING, seeded("listener"), self.queued.append)

    def hear(
        self, link: Link, data: bytes, boards: list[Board] | None = None
    ) -> tuple[bytes, list[Message]]:
        return link.receive(data, NOW, self.doorkeeper, [BOARD] if boards is None else boards)

    def shake_hands(self) -> None:
        answer, _ = self.hear(self.listener, self.dialler.first_message(NOW))
        self.hear(self.dialler, answer)

    def open(self) -> None:
        self.shake_hands()
        self.dialler.on_hello(Hello(bytes(16), 0))
        self.listener.on_hello(Hello(bytes(16), 4000))


def test_a_link_goes_through_its_states() -> None:
    pair = Pair()
    assert (pair.dialler.state, pair.listener.state) == (LinkState.DIALLED, LinkState.WAITING)
    pair.shake_hands()
    assert pair.dialler.state is pair.listener.state is LinkState.GREETING
    assert pair.dialler.is_proven and not pair.dialler.is_open
    pair.listener.on_hello(Hello(bytes(16), 4000))
    assert pair.listener.is_open
    pair.listener.close()
    assert pair.listener.state is LinkState.CLOSED and not pair.listener.is_proven


def test_a_peer_listens_where_it_was_dialled_or_says_and_nowhere_if_it_says_so() -> None:
    pair = Pair()
    pair.open()
    assert pair.dialler.listening == LISTENING
    assert pair.listener.listening == Address(REMOTE.host, 4000)
    silent = Pair()
    silent.shake_hands()
    silent.listener.on_hello(Hello(bytes(16), 0))
    assert silent.listener.listening is None


def test_a_second_hello_is_refused() -> None:
    pair = Pair()
    pair.open()
    with pytest.raises(Refused) as refused:
        pair.listener.on_hello(Hello(bytes(16), 4000))
    assert refused.value.reason is Reason.LINK_MESSAGE_UNEXPECTED


def test_a_stranger_makes_the_link_silent_for_good() -> None:
    pair = Pair()
    assert pair.hear(pair.listener, bytes(limits.HANDSHAKE_MESSAGE_BYTES)) == (b"", [])
    assert pair.listener.state is LinkState.SILENT and pair.listener.board is None
    assert pair.hear(pair.listener, pair.dialler.first_message(NOW)) == (b"", [])
    assert pair.listener.take_outgoing() == b""


def test_a_member_of_a_board_that_the_listener_is_not_on_is_a_stranger() -> None:
    pair = Pair()
    for boards in ([], [OTHER_BOARD]):
        listener = Link(3, REMOTE, LISTENING, seeded("listener"), pair.queued.append)
        first = Pair().dialler.first_message(NOW)
        assert pair.hear(listener, first, boards) == (b"", [])
        assert listener.state is LinkState.SILENT


def test_a_wrong_second_message_is_refused() -> None:
    pair = Pair()
    pair.dialler.first_message(NOW)
    with pytest.raises(Refused) as refused:
        pair.hear(pair.dialler, bytes(limits.HANDSHAKE_MESSAGE_BYTES))
    assert refused.value.reason is Reason.LINK_HANDSHAKE


def test_nothing_is_sealed_before_the_handshake_is_done() -> None:
    pair = Pair()
    pair.dialler.send(Ping())
    assert pair.dialler.take_outgoing() == b""
    pair.shake_hands()
    assert pair.hear(pair.listener, pair.dialler.take_outgoing()) == (b"", [Ping()])


def test_messages_queued_together_leave_in_as_few_frames_as_they_fit() -> None:
    pair = Pair()
    pair.open()
    for _ in range(20):
        pair.dialler.send(Ping())
    sealed = pair.dialler.take_outgoing()
    assert len(sealed) == limits.FRAME_WIRE_BYTES[0]
    assert pair.hear(pair.listener, sealed)[1] == [Ping()] * 20
    assert pair.dialler.take_outgoing() == b""


@settings(max_examples=50)
@given(st.lists(messages, min_size=1, max_size=6), st.data())
def test_what_is_said_arrives_whole_however_it_is_cut(
    said: list[Message], data: st.DataObject
) -> None:
    pair = Pair()
    pair.open()
    for message in said:
        pair.dialler.send(message)
    wire = pair.dialler.take_outgoing()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(wire)), max_size=5)))
    heard: list[Message] = []
    for start, end in zip([0, *cuts], [*cuts, len(wire)], strict=True):
        heard += pair.hear(pair.listener, wire[start:end])[1]
    assert heard == said


def test_a_handshake_arrives_byte_by_byte_too() -> None:
    pair = Pair()
    first = pair.dialler.first_message(NOW)
    pair.dialler.send(Ping())
    answers = [pair.hear(pair.listener, first[at : at + 1])[0] for at in range(len(first))]
    assert set(answers[:-1]) == {b""}
    second = answers[-1]
    for at in range(len(second)):
        pair.hear(pair.dialler, second[at : at + 1])
    assert pair.hear(pair.listener, pair.dialler.take_outgoing())[1] == [Ping()]


def test_frames_may_follow_the_handshake_in_one_piece() -> None:
    pair = Pair()
    answer, _ = pair.hear(pair.listener, pair.dialler.first_message(NOW))
    pair.listener.send(Ping())
    assert pair.hear(pair.dialler, answer + pair.listener.take_outgoing()) == (b"", [Ping()])


def test_a_closed_link_says_and_hears_nothing() -> None:
    pair = Pair()
    pair.open()
    pair.dialler.send(Ping())
    wire = pair.dialler.take_outgoing()
    pair.listener.send(Want(1, [bytes(32)]))
    pair.listener.close()
    pair.listener.send(Ping())
    assert pair.listener.take_outgoing() == b""
    assert pair.hear(pair.listener, wire) == (b"", [])


def test_a_listener_has_no_first_message() -> None:
    with pytest.raises(Misuse):
        Pair().listener.first_message(NOW)
