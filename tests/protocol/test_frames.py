"""Frames carry any stream, at few sizes, however the network cuts it; messages likewise."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.errors import Misuse, Reason, Refused
from protocol.frames import (
    CLOSINGS,
    FRAME_OVERHEAD_BYTES,
    FrameOpener,
    FrameSealer,
    MessageSplitter,
    encode_message,
    sealed_sizes,
)
from protocol.limits import FRAME_WIRE_BYTES, REKEY_FRAMES
from protocol.noise import CipherState

KEY = bytes(range(32))
SMALLEST, LARGEST = FRAME_WIRE_BYTES[0], FRAME_WIRE_BYTES[-1]
#: Around every place where the choice of sizes changes.
EDGES = sorted(
    {0, 1, *(fits + more for fits, _, _ in CLOSINGS for more in (-1, 0, 1))}
    | {2 * (LARGEST - FRAME_OVERHEAD_BYTES) + more for more in (-1, 0, 1)}
)
quick = settings(max_examples=60, deadline=None)


def pair(rekey_frames: int = REKEY_FRAMES) -> tuple[FrameSealer, FrameOpener]:
    return (
        FrameSealer(CipherState(KEY), rekey_frames),
        FrameOpener(CipherState(KEY), rekey_frames),
    )


def pattern(size: int) -> bytes:
    """Bytes in which a lost or repeated piece shows."""
    return b"".join(number.to_bytes(4, "big") for number in range(size // 4 + 1))[:size]


def wire_sizes(wire: bytes) -> list[int]:
    """The sizes of the frames as an observer reads them off the length fields."""
    sizes = []
    start = 0
    while start < len(wire):
        sizes.append(2 + int.from_bytes(wire[start : start + 2], "big"))
        start += sizes[-1]
    assert start == len(wire)
    return sizes


def cut(whole: bytes, sizes: list[int]) -> Iterator[bytes]:
    start = 0
    for size in sizes:
        yield whole[start : start + size]
        start += size
    yield whole[start:]


def raw_frame(plaintext: bytes) -> bytes:
    """A first frame that holds whatever a peer with the key likes."""
    ciphertext = CipherState(KEY).encrypt(plaintext)
    return len(ciphertext).to_bytes(2, "big") + ciphertext


def assert_refuses(machine: FrameOpener | MessageSplitter, fed: bytes, reason: Reason) -> None:
    """It refuses ``fed``, and everything after that for the same reason."""
    for again in (fed, b"", fed[:1]):
        with pytest.raises(Refused) as refused:
            machine.feed(again)
        assert refused.value.reason is reason


# --- Sizes ----------------------------------------------------------------------------------------


def test_a_closing_is_a_power_of_two_from_the_smallest_frame_to_the_largest():
    """F-6."""
    totals = [size * count for _, size, count in CLOSINGS]
    assert totals == [2**power for power in range(9, 17)]
    assert [fits for fits, _, _ in CLOSINGS] == sorted(fits for fits, _, _ in CLOSINGS)


@pytest.mark.parametrize(
    ("stream_bytes", "sizes"),
    [
        (0, [512]),
        (492, [512]),
        (493, [512, 512]),
        (985, [2048]),
        (2100, [2048, 2048]),
        (16_345, [8192] * 4),
        (32_689, [65536]),
        (65_516, [65536]),
        (65_517, [65536, 512]),
        (2 * 65_516, [65536, 65536]),
    ],
)
def test_the_choice_of_sizes(stream_bytes, sizes):
    """F-6."""
    assert sealed_sizes(stream_bytes) == sizes


@pytest.mark.parametrize("stream_bytes", EDGES)
def test_every_length_around_an_edge_comes_back_in_sizes_of_the_table(stream_bytes):
    sealer, opener = pair()
    stream = pattern(stream_bytes)
    wire = sealer.seal(stream)
    assert wire_sizes(wire) == sealed_sizes(stream_bytes)
    assert set(wire_sizes(wire)) <= set(FRAME_WIRE_BYTES)
    assert opener.feed(wire) == stream


@given(st.integers(1, 300_000))
def test_padding_at_most_doubles_what_is_carried(stream_bytes):
    sizes = sealed_sizes(stream_bytes)
    assert sum(sizes) - FRAME_OVERHEAD_BYTES * len(sizes) >= stream_bytes
    assert sum(sizes) <= max(SMALLEST, 2 * (stream_bytes + FRAME_OVERHEAD_BYTES * len(sizes)))


def test_an_empty_stream_is_one_smallest_frame_that_carries_nothing():
    """F-5, F-6."""
    sealer, opener = pair()
    cover = sealer.seal()
    assert len(cover) == SMALLEST
    assert opener.feed(cover) == b""
    assert opener.feed(sealer.seal(b"and goes on")) == b"and goes on"


# --- Round trips ----------------------------------------------------------------------------------


@quick
@given(
    streams=st.lists(st.one_of(st.binary(max_size=700), st.integers(0, 20_000).map(pattern))),
    cuts=st.lists(st.one_of(st.integers(0, 3), st.integers(0, 20_000)), max_size=30),
    rekey_frames=st.integers(1, 5),
)
def test_round_trip_however_the_wire_is_cut(streams, cuts, rekey_frames):
    """F-5."""
    sealer, opener = pair(rekey_frames)
    wire = b"".join(sealer.seal(stream) for stream in streams)
    assert b"".join(opener.feed(chunk) for chunk in cut(wire, cuts)) == b"".join(streams)


def test_round_trip_byte_by_byte_gives_each_frame_with_its_last_byte():
    sealer, opener = pair()
    wire = sealer.seal(b"first") + sealer.seal(pattern(2000))
    given_out = [(at, out) for at in range(len(wire)) if (out := opener.feed(wire[at : at + 1]))]
    assert given_out == [(511, b"first"), (2559, pattern(2000))]


def test_trailing_bytes_wait_for_their_frame():
    for size in (1, 2, 3, 511):
        sealer, opener = pair()
        first, second = sealer.seal(b"first"), sealer.seal(b"second")
        assert opener.feed(first + second[:size]) == b"first"
        assert opener.feed(second[size:]) == b"second"


def test_many_frames_in_one_large_chunk_come_back_whole():
    sealer, opener = pair()
    stream = pattern(3_000_000)
    assert opener.feed(sealer.seal(stream)) == stream


def test_less_than_one_frame_is_kept():
    sealer, opener = pair()
    wire = sealer.seal(pattern(500_000))
    for chunk in cut(wire, [100_000] * 4):
        opener.feed(chunk)
        assert len(opener._wire) < LARGEST


# --- Keys -----------------------------------------------------------------------------------------


class CountingCipher(CipherState):
    """Writes down how many frames each key served."""

    __slots__ = ("served",)

    def __init__(self) -> None:
        super().__init__(KEY)
        self.served = [0]

    def encrypt(self, plaintext: bytes, associated: bytes = b"") -> bytes:
        self.served[-1] += 1
        return super().encrypt(plaintext, associated)

    def decrypt(self, ciphertext: bytes, associated: bytes = b"") -> bytes:
        self.served[-1] += 1
        return super().decrypt(ciphertext, associated)

    def rekey(self) -> None:
        self.served.append(0)
        super().rekey()


def test_both_sides_take_a_new_key_after_the_same_frame():
    """F-4."""
    sending, receiving = CountingCipher(), CountingCipher()
    sealer, opener = FrameSealer(sending, 3), FrameOpener(receiving, 3)
    # One call may cross the boundary in its midst: four frames, then four of one.
    for stream in (pattern(32_000), b"a", b"b", b"c", b""):
        assert opener.feed(sealer.seal(stream)) == stream
    assert sending.served == receiving.served == [3, 3, 2]


def test_the_key_lasts_as_many_frames_as_the_limit_says():
    """F-4."""
    cipher = CountingCipher()
    sealer = FrameSealer(cipher)
    for _ in range(REKEY_FRAMES + 1):
        sealer.seal()
    assert cipher.served == [REKEY_FRAMES, 1]


def test_sides_that_disagree_about_rekeying_notice_at_the_boundary():
    sealer, opener = FrameSealer(CipherState(KEY), 2), FrameOpener(CipherState(KEY), 3)
    assert opener.feed(sealer.seal(b"1") + sealer.seal(b"2")) == b"12"
    assert_refuses(opener, sealer.seal(b"3"), Reason.LINK_AUTHENTICATION)


def test_a_rekey_count_below_one_is_misuse():
    for machine in (FrameSealer, FrameOpener):
        with pytest.raises(Misuse):
            machine(CipherState(KEY), 0)


# --- Refused frames -------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [2, 17, 511, 513, 2047, 8193, 65535, 65537])
def test_a_size_that_is_not_in_the_table_is_refused_with_its_two_bytes(size):
    """F-1."""
    field = (size - 2).to_bytes(2, "big")
    assert_refuses(pair()[1], field, Reason.LINK_FRAME_SIZE)
    opener = pair()[1]
    assert opener.feed(field[:1]) == b""
    assert_refuses(opener, field[1:], Reason.LINK_FRAME_SIZE)


def test_a_wrong_size_after_a_good_frame_is_refused():
    """F-1."""
    sealer, opener = pair()
    assert_refuses(opener, sealer.seal(b"good") + b"\0\0", Reason.LINK_FRAME_SIZE)


@pytest.mark.parametrize("at", [2, 3, 300, 511])
def test_a_damaged_frame_is_refused(at):
    """F-2."""
    sealer, opener = pair()
    wire = bytearray(sealer.seal(b"text"))
    wire[at] ^= 0x10
    assert_refuses(opener, bytes(wire), Reason.LINK_AUTHENTICATION)


def test_a_frame_that_is_replayed_is_refused():
    """F-2."""
    sealer, opener = pair()
    wire = sealer.seal(b"text")
    opener.feed(wire)
    assert_refuses(opener, wire, Reason.LINK_AUTHENTICATION)


@pytest.mark.parametrize("wire_bytes", FRAME_WIRE_BYTES)
def test_a_frame_may_be_used_to_its_last_byte_and_no_further(wire_bytes):
    """F-3."""
    room = wire_bytes - FRAME_OVERHEAD_BYTES
    assert pair()[1].feed(raw_frame(room.to_bytes(2, "big") + bytes(room))) == bytes(room)
    for used in (room + 1, 65535):
        frame = raw_frame(used.to_bytes(2, "big") + bytes(room))
        assert_refuses(pair()[1], frame, Reason.LINK_MESSAGE_MALFORMED)


@pytest.mark.parametrize("at", [10, 11, 250, 491])
def test_padding_that_is_not_zero_is_refused(at):
    """F-3."""
    plaintext = bytearray((10).to_bytes(2, "big") + bytes(492))
    plaintext[2 + at] = 1
    assert_refuses(pair()[1], raw_frame(bytes(plaintext)), Reason.LINK_MESSAGE_MALFORMED)


def test_the_last_used_byte_is_not_padding():
    plaintext = bytearray((10).to_bytes(2, "big") + bytes(492))
    plaintext[2 + 9] = 1
    assert pair()[1].feed(raw_frame(bytes(plaintext))) == bytes(9) + b"\x01"


length_fields = st.sampled_from([(size - 2).to_bytes(2, "big") for size in FRAME_WIRE_BYTES])
junk = st.one_of(
    st.binary(max_size=600),
    st.builds(lambda field, rest: field + rest * 8, length_fields, st.binary(max_size=600)),
)


@quick
@given(st.lists(junk, max_size=8), st.booleans())
def test_arbitrary_bytes_raise_nothing_but_the_documented_refusals(chunks, is_after_a_frame):
    sealer, opener = pair()
    if is_after_a_frame:
        opener.feed(sealer.seal(b"good"))
    for chunk in chunks:
        try:
            assert opener.feed(chunk) == b""
        except Refused as refused:
            assert refused.reason in (Reason.LINK_FRAME_SIZE, Reason.LINK_AUTHENTICATION)


@quick
@given(
    used=st.integers(0, 65535),
    content=st.binary(max_size=492),
)
def test_a_peer_with_the_key_can_cause_only_the_documented_refusals(used, content):
    frame = raw_frame(used.to_bytes(2, "big") + content.ljust(492, b"\0"))
    try:
        assert len(pair()[1].feed(frame)) == used
    except Refused as refused:
        assert refused.reason is Reason.LINK_MESSAGE_MALFORMED


# --- Messages -------------------------------------------------------------------------------------

messages = st.lists(st.tuples(st.integers(0, 255), st.binary(max_size=100)), max_size=10)


def test_a_message_is_length_kind_body():
    assert encode_message(7, b"body") == bytes.fromhex("00000407") + b"body"
    assert encode_message(255, b"") == bytes.fromhex("000000ff")


@quick
@given(sent=messages, cuts=st.lists(st.integers(0, 50), max_size=30))
def test_messages_round_trip_however_the_stream_is_cut(sent, cuts):
    stream = b"".join(encode_message(kind, body) for kind, body in sent)
    splitter = MessageSplitter(100)
    assert [message for chunk in cut(stream, cuts) for message in splitter.feed(chunk)] == sent


@quick
@given(messages)
def test_messages_round_trip_byte_by_byte(sent):
    stream = b"".join(encode_message(kind, body) for kind, body in sent)
    splitter = MessageSplitter(100)
    received = [m for at in range(len(stream)) for m in splitter.feed(stream[at : at + 1])]
    assert received == sent


def test_a_message_of_no_body_is_there_with_its_header():
    splitter = MessageSplitter(0)
    assert splitter.feed(b"\0\0\0") == []
    assert splitter.feed(b"\x05") == [(5, b"")]


def test_messages_run_on_across_frames_and_share_them():
    sealer, opener = pair()
    sent = [(1, b"small"), (2, pattern(100_000)), (3, b"")]
    splitter = MessageSplitter(100_000)
    wire = sealer.seal(b"".join(encode_message(kind, body) for kind, body in sent))
    received = [m for chunk in cut(wire, [40_000] * 2) for m in splitter.feed(opener.feed(chunk))]
    assert received == sent


def test_a_message_of_the_bound_is_taken_and_one_byte_more_refused_by_its_header():
    """M-1."""
    assert MessageSplitter(10).feed(encode_message(1, bytes(10))) == [(1, bytes(10))]
    splitter = MessageSplitter(10)
    header = encode_message(1, bytes(11))[:4]
    assert splitter.feed(header[:3]) == []
    assert_refuses(splitter, header[3:], Reason.LINK_MESSAGE_TOO_LARGE)


def test_a_too_large_message_after_a_good_one_is_refused():
    stream = encode_message(1, b"good") + b"\xff\xff\xff\x01"
    assert_refuses(MessageSplitter(10), stream, Reason.LINK_MESSAGE_TOO_LARGE)


@quick
@given(st.lists(st.binary(max_size=50), max_size=20))
def test_arbitrary_streams_are_messages_or_too_large_and_never_kept_beyond_the_bound(chunks):
    splitter = MessageSplitter(300)
    try:
        for chunk in chunks:
            assert all(len(body) <= 300 for _, body in splitter.feed(chunk))
            assert len(splitter._stream) < 300 + 4
    except Refused as refused:
        assert refused.reason is Reason.LINK_MESSAGE_TOO_LARGE


@pytest.mark.parametrize(("kind", "body_bytes"), [(-1, 0), (256, 0), (1, 2**24)])
def test_a_message_that_its_header_cannot_describe_is_misuse(kind, body_bytes):
    with pytest.raises(Misuse):
        encode_message(kind, bytes(body_bytes))
