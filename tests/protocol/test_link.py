"""A link's states: who proves nothing is heard by nobody, and what is said arrives whole."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol import limits
from protocol.board import Board
from protocol.crypto import signing_public_key
from protocol.errors import Misuse, Reason, Refused
from protocol.handshake import Doorkeeper
from protocol.inputs import Now
from protocol.link import Link, LinkState
from protocol.messages import Address, Hello, Message, Ping, Want
from tests.protocol.test_messages import messages
from tests.protocol.wired import BOARD, LISTENING, OTHER_BOARD, WALL_S, seeded

NOW = Now(0, WALL_S)
REMOTE = Address("10.0.0.2", 50_000)
SEED = bytes(range(32))


class Pair:
    """A dialler and a listener."""

    def __init__(self, dialler: str = "dialler", listener: str = "listener") -> None:
        self.queued: list[Link] = []
        self.doorkeeper = Doorkeeper()
        self.dialler = Link(1, LISTENING, REMOTE, seeded(dialler), self.queued.append, BOARD)
        self.listener = Link(2, REMOTE, LISTENING, seeded(listener), self.queued.append)

    def hear(
        self, link: Link, data: bytes, boards: list[Board] | None = None
    ) -> tuple[bytes, list[Message]]:
        return link.receive(data, NOW, self.doorkeeper, [BOARD] if boards is None else boards)

    def shake_hands(self) -> None:
        answer, _ = self.hear(self.listener, self.dialler.first_message(NOW))
        self.hear(self.dialler, answer)

    def open(self) -> None:
        self.shake_hands()
        self.dialler.on_hello(hello_from(self.listener, 0))
        self.listener.on_hello(hello_from(self.dialler))


def hello_from(link: Link, port: int = 4000, seed: bytes = SEED) -> Hello:
    """What that end of a link says."""
    return Hello(signing_public_key(seed), port, link.prove(seed))


def assert_not_opened(link: Link, hello: Hello) -> None:
    with pytest.raises(Refused) as refused:
        link.on_hello(hello)
    assert refused.value.reason is Reason.LINK_INSTANCE
    assert link.state is LinkState.GREETING
    assert link.instance is None and link.listening is None


def test_a_link_goes_through_its_states() -> None:
    pair = Pair()
    assert (pair.dialler.state, pair.listener.state) == (LinkState.DIALLED, LinkState.WAITING)
    pair.shake_hands()
    assert pair.dialler.state is pair.listener.state is LinkState.GREETING
    assert pair.dialler.is_proven and not pair.dialler.is_open
    pair.listener.on_hello(hello_from(pair.dialler))
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
    silent.listener.on_hello(hello_from(silent.dialler, 0))
    assert silent.listener.listening is None


def test_a_second_hello_is_refused() -> None:
    pair = Pair()
    pair.open()
    with pytest.raises(Refused) as refused:
        pair.listener.on_hello(hello_from(pair.dialler))
    assert refused.value.reason is Reason.LINK_MESSAGE_UNEXPECTED


def test_each_side_proves_its_instance_to_the_other() -> None:
    """L-19."""
    pair = Pair()
    pair.open()
    assert pair.dialler.instance == pair.listener.instance == signing_public_key(SEED)
    assert pair.dialler.is_open and pair.listener.is_open


def test_an_instance_without_its_key_does_not_open_a_link() -> None:
    """L-20."""
    pair = Pair()
    pair.shake_hands()
    right = hello_from(pair.dialler)
    own = hello_from(pair.dialler, seed=bytes(32))
    assert_not_opened(pair.listener, right._replace(proof=own.proof))
    assert_not_opened(pair.listener, right._replace(proof=bytes(64)))
    # The neutral element as a key, and a signature that without a look at the key would fit all.
    assert_not_opened(pair.listener, Hello(b"\x01" + bytes(31), 0, b"\x01" + bytes(63)))
    pair.listener.on_hello(right)
    assert pair.listener.is_open


@settings(max_examples=50)
@given(st.integers(0, 96 * 8 - 1))
def test_an_instance_or_a_proof_with_one_wrong_bit_does_not_open_a_link(bit: int) -> None:
    """L-20."""
    pair = Pair()
    pair.shake_hands()
    right = hello_from(pair.dialler)
    spoilt = bytearray(right.instance + right.proof)
    spoilt[bit // 8] ^= 1 << bit % 8
    assert_not_opened(pair.listener, Hello(bytes(spoilt[:32]), right.port, bytes(spoilt[32:])))


def test_a_proof_that_is_sent_back_does_not_open_a_link() -> None:
    """L-20."""
    pair = Pair()
    pair.shake_hands()
    assert_not_opened(pair.dialler, hello_from(pair.dialler))
    assert_not_opened(pair.listener, hello_from(pair.listener))


def test_a_member_in_the_middle_cannot_pass_on_the_proofs_of_both_sides() -> None:
    """L-20."""
    to_listener, to_dialler = Pair("middle", "listener"), Pair("dialler", "middle")
    to_listener.shake_hands()
    to_dialler.shake_hands()
    assert_not_opened(to_listener.listener, hello_from(to_dialler.dialler))
    assert_not_opened(to_dialler.dialler, hello_from(to_listener.listener))


def test_a_proof_of_an_earlier_link_between_the_same_nodes_is_not_one_of_this() -> None:
    """L-20."""
    earlier, later = Pair("before", "before"), Pair("after", "after")
    earlier.shake_hands()
    later.shake_hands()
    assert_not_opened(later.listener, hello_from(earlier.dialler))


def test_nothing_can_be_proved_before_the_handshake() -> None:
    with pytest.raises(Misuse):
        Pair().dialler.prove(SEED)


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
