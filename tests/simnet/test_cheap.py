"""The stand-ins have the sizes and the failures of what they stand for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol import handshake
from protocol.board import Board, Descriptor
from protocol.errors import Reason, Refused
from protocol.frames import FrameOpener, FrameSealer
from simnet import cheap
from simnet.world import World
from tests.simnet.random_worlds import BOARD

OURS = Board.of(Descriptor("ours", secret=bytes(32)))
THEIRS = Board.of(Descriptor("theirs", secret=bytes(32)))
PAYLOAD = bytes(48)


def zeros(count: int) -> bytes:
    return bytes(count)


@pytest.mark.parametrize("begin", [handshake.begin, cheap.begin])
def test_messages_have_one_size_and_frames_pass(begin: handshake.Begin) -> None:
    dialler, listener = (
        begin(OURS, True, lambda n: b"d" * n),
        begin(OURS, False, lambda n: b"l" * n),
    )
    first = dialler.write_message(PAYLOAD)
    assert len(first) == 96
    assert listener.read_message(first) == PAYLOAD
    second = listener.write_message(PAYLOAD)
    assert len(second) == 96
    assert dialler.read_message(second) == PAYLOAD
    send, _ = dialler.split()
    _, receive = listener.split()
    sealer, opener = FrameSealer(send, rekey_frames=2), FrameOpener(receive, rekey_frames=2)
    for _ in range(5):
        wire = sealer.seal(b"stream")
        assert len(wire) == 512
        assert opener.feed(wire) == b"stream"


@pytest.mark.parametrize("begin", [handshake.begin, cheap.begin])
def test_another_boards_key_is_refused(begin: handshake.Begin) -> None:
    first = begin(OURS, True, lambda n: b"d" * n).write_message(PAYLOAD)
    with pytest.raises(Refused) as refused:
        begin(THEIRS, False, lambda n: b"l" * n).read_message(first)
    assert refused.value.reason is Reason.LINK_HANDSHAKE


def test_a_changed_or_missing_frame_is_noticed() -> None:
    for spoil in (lambda wire: wire[:99] + b"\xff" + wire[100:], lambda wire: b""):
        sealer = FrameSealer(cheap.CheapCipher(bytes(32)))
        opener = FrameOpener(cheap.CheapCipher(bytes(32)))
        with pytest.raises(Refused) as refused:
            opener.feed(spoil(sealer.seal(b"one")) + sealer.seal(b"two"))
        assert refused.value.reason is Reason.LINK_AUTHENTICATION


def test_a_cheap_world_does_what_a_real_one_does() -> None:
    worlds = [World(11, ciphers=ciphers) for ciphers in ("real", "cheap")]
    for world in worlds:
        hosts = world.add_hosts(4, BOARD)
        entry, _ = hosts[0].post("hello")
        world.run(10)
        hosts[1].post("again", answering=entry)
        world.run(30)
        assert all(host.texts() == ["again", "hello"] for host in hosts)
    assert worlds[0].trace_hash == worlds[1].trace_hash


@given(*[st.binary(min_size=32, max_size=32)] * 3)
def test_secrets_of_the_cheap_group_may_be_applied_in_any_order(
    a: bytes, b: bytes, c: bytes
) -> None:
    group = cheap.GROUP
    with_a, with_b = (group.exchange(each, group.public_key(c)) for each in (a, b))
    if with_a is not None and with_b is not None:
        assert group.exchange(b, with_a) == group.exchange(a, with_b)
        assert len(with_a) == len(with_b) == 32
    assert group.exchange(a, bytes(32)) is None
