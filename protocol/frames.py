"""Frames: a stream of bytes as few sizes of ciphertext, and messages on top of that stream.

Theory of operation
-------------------
Two layers, each a pair of opposites, that know nothing of each other::

    message  --encode_message-->  stream  --FrameSealer-->  frames on the wire
    message  <--MessageSplitter-- stream  <--FrameOpener--  frames on the wire

A frame on the wire is a length ``L`` (2 bytes, big-endian) and ``L`` bytes of ciphertext (a Noise
message with no associated data). ``2 + L`` is one of :data:`protocol.limits.FRAME_WIRE_BYTES`. The
plaintext fills the frame: ``used`` (2 bytes, big-endian), ``used`` bytes of the stream, zeros.
Where a message ends does not show: messages run on across frames, and a frame may hold many.

**What sizes reveal.** A piece of stream is sealed as full frames of the largest size, then a
*closing*: 1, 2 or 4 equal frames whose sizes add up to a power of two from 512 to 65536 bytes, the
smallest that holds the rest (the table is :data:`CLOSINGS`). So an observer learns of a piece how
many times 64 KiB it is and into which of eight classes the rest falls, nothing finer; and a closing
is, apart from the fixed cost of a frame, never more than twice as long as what it carries, or the
smallest frame. One frame per rest would reveal four classes but pad up to fourfold (2,100 bytes as
8,192); the tightest mix of frames would save a few bytes more and reveal dozens of classes. Frames
that pad out a closing may be empty. The choice depends on the length alone.

**Keys.** A direction's key is replaced after every ``rekey_frames`` of its frames, on both sides by
count alone: a key read from memory opens no frame from before the last replacement.

**Refusals** end an object: it raises the same refusal from then on, since after one wrong byte
nothing that follows can be trusted. What whole frames or messages came in the same ``feed``, before
the fault, is lost with it.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from typing import Final

from protocol.crypto import TAG_BYTES
from protocol.errors import Misuse, Reason, Refused
from protocol.limits import FRAME_WIRE_BYTES, REKEY_FRAMES
from protocol.noise import CipherState

LENGTH_BYTES: Final = 2
USED_BYTES: Final = 2
#: What a frame carries less than its size on the wire.
FRAME_OVERHEAD_BYTES: Final = LENGTH_BYTES + USED_BYTES + TAG_BYTES
#: 3 bytes of length and one of kind stand before a message's body.
MESSAGE_HEADER_BYTES: Final = 4
MESSAGE_BODY_BYTES_MAX: Final = 2**24 - 1

_LARGEST: Final = FRAME_WIRE_BYTES[-1]
#: Length fields that a frame may have.
_CIPHERTEXT_BYTES: Final = frozenset(size - LENGTH_BYTES for size in FRAME_WIRE_BYTES)
#: A view, so that a slice of it costs the same whatever its size.
_ZEROS: Final = memoryview(bytes(_LARGEST))
#: By the size of a frame on the wire, its length field.
_LENGTHS: Final = {
    size: (size - LENGTH_BYTES).to_bytes(LENGTH_BYTES, "big") for size in FRAME_WIRE_BYTES
}


def _closings() -> Iterator[tuple[int, int, int]]:
    """For each size: one frame, two, four ... until the next size is as large."""
    next_sizes = (*FRAME_WIRE_BYTES[1:], FRAME_WIRE_BYTES[-1] + 1)
    for size, next_size in zip(FRAME_WIRE_BYTES, next_sizes, strict=True):
        count = 1
        while size * count < next_size:
            yield count * (size - FRAME_OVERHEAD_BYTES), size, count
            count *= 2


#: How the rest of a piece of stream is sealed: (stream bytes that fit, frame size on the wire,
#: number of frames), smallest first; the first that fits is taken.
CLOSINGS: Final = tuple(_closings())
_CAPACITIES: Final = tuple(capacity for capacity, _, _ in CLOSINGS)


def sealed_sizes(stream_bytes: int) -> list[int]:
    """The frame sizes on the wire, in order, that a piece of ``stream_bytes`` is sealed as.

    At least one: an empty piece is one smallest frame that carries nothing.
    """
    full, rest = divmod(stream_bytes, _LARGEST - FRAME_OVERHEAD_BYTES)
    sizes = [_LARGEST] * full
    if rest or not full:
        _, size, count = CLOSINGS[bisect_left(_CAPACITIES, rest)]
        sizes += [size] * count
    return sizes


class _RekeyCount:
    """Calls ``rekey()`` on a cipher after every ``rekey_frames`` frames."""

    __slots__ = ("_cipher", "_left", "_rekey_frames")

    def __init__(self, cipher: CipherState, rekey_frames: int) -> None:
        if rekey_frames < 1:
            raise Misuse("rekey_frames is at least 1")
        self._cipher = cipher
        self._rekey_frames = rekey_frames
        self._left = rekey_frames

    def count_frame(self) -> None:
        self._left -= 1
        if self._left == 0:
            self._cipher.rekey()
            self._left = self._rekey_frames


class FrameSealer:
    """The sending direction of a link.

    :param cipher: the sending half of a handshake's ``split()``; nobody else may use it.
    :param rekey_frames: frames under one key; both sides must agree.
    """

    def __init__(self, cipher: CipherState, rekey_frames: int = REKEY_FRAMES) -> None:
        self._cipher = cipher
        self._rekey = _RekeyCount(cipher, rekey_frames)

    def seal(self, stream: bytes = b"") -> bytes:
        """All of ``stream``, of any length, as whole frames; with none, one frame of cover.

        :raises Refused: ``LINK_AUTHENTICATION`` where the cipher's nonces have run out.
        """
        sizes = sealed_sizes(len(stream))
        if len(sizes) == 1:
            return _LENGTHS[sizes[0]] + self._seal_frame(stream, sizes[0])
        view = memoryview(stream)
        start = 0
        wire = []
        for size in sizes:
            end = start + size - FRAME_OVERHEAD_BYTES
            wire.append(_LENGTHS[size])
            wire.append(self._seal_frame(view[start:end], size))
            start = end
        return b"".join(wire)

    def _seal_frame(self, used: bytes | memoryview, size: int) -> bytes:
        padding_bytes = size - FRAME_OVERHEAD_BYTES - len(used)
        ciphertext = self._cipher.encrypt(
            b"".join((len(used).to_bytes(USED_BYTES, "big"), used, _ZEROS[:padding_bytes]))
        )
        self._rekey.count_frame()
        return ciphertext


class FrameOpener:
    """The receiving direction of a link.

    :param cipher: the receiving half of a handshake's ``split()``; nobody else may use it.
    :param rekey_frames: frames under one key; both sides must agree.
    """

    def __init__(self, cipher: CipherState, rekey_frames: int = REKEY_FRAMES) -> None:
        self._cipher = cipher
        self._rekey = _RekeyCount(cipher, rekey_frames)
        self._wire = bytearray()
        self._refusal: tuple[Reason, str] | None = None

    def feed(self, wire: bytes) -> bytes:
        """The stream bytes of all frames that ``wire`` makes whole.

        Keeps what is left, always less than one frame. The cost follows the bytes fed, however
        they are cut.

        :raises Refused: ``LINK_FRAME_SIZE`` as soon as a length is not one of the table's;
            ``LINK_AUTHENTICATION`` where a frame does not open; ``LINK_MESSAGE_MALFORMED`` where
            it opens but is not ``used`` bytes and zeros.
        """
        if self._refusal is not None:
            raise Refused(*self._refusal)
        try:
            if not self._wire and wire[:LENGTH_BYTES] == _LENGTHS.get(len(wire)):
                # Nearly always what comes is one whole frame, and needs no buffer.
                return self._open_frame(wire[LENGTH_BYTES:])
            self._wire += wire
            return b"".join(self._open_whole_frames())
        except Refused as refused:
            self._refusal = (refused.reason, refused.detail)
            self._wire.clear()
            raise

    def _open_whole_frames(self) -> list[bytes]:
        streams = []
        start = 0
        while (end := self._frame_end(start)) <= len(self._wire):
            # The slice of a view, since the cipher wants bytes and two copies are one too many.
            with memoryview(self._wire) as view:
                ciphertext = bytes(view[start + LENGTH_BYTES : end])
            streams.append(self._open_frame(ciphertext))
            start = end
        # Once per feed: once per frame would move a large feed as often as it has frames.
        del self._wire[:start]
        return streams

    def _frame_end(self, start: int) -> int:
        """Where the frame that begins at ``start`` ends, or its length field while that is not
        here yet; beyond the buffer where it is not whole."""
        stream_start = start + LENGTH_BYTES
        if stream_start > len(self._wire):
            return stream_start
        ciphertext_bytes = int.from_bytes(self._wire[start:stream_start], "big")
        if ciphertext_bytes not in _CIPHERTEXT_BYTES:
            raise Refused(Reason.LINK_FRAME_SIZE, "no frame has that size")
        return stream_start + ciphertext_bytes

    def _open_frame(self, ciphertext: bytes) -> bytes:
        plaintext = self._cipher.decrypt(ciphertext)
        self._rekey.count_frame()
        used_end = USED_BYTES + int.from_bytes(plaintext[:USED_BYTES], "big")
        padding_bytes = len(plaintext) - used_end
        if padding_bytes < 0:
            raise Refused(Reason.LINK_MESSAGE_MALFORMED, "a frame says it holds more than it can")
        if not plaintext.endswith(_ZEROS[:padding_bytes]):
            raise Refused(Reason.LINK_MESSAGE_MALFORMED, "a frame's padding is not zero")
        return plaintext[USED_BYTES:used_end]


def encode_message(kind: int, body: bytes) -> bytes:
    """A message as it stands in the stream: length of the body (3 bytes, big-endian), kind (1
    byte), body.

    :raises Misuse: where ``kind`` is not 0-255 or ``body`` is longer than 2**24 - 1 bytes.
    """
    if not 0 <= kind <= 255:
        raise Misuse("a kind is one byte")
    if len(body) > MESSAGE_BODY_BYTES_MAX:
        raise Misuse("a body's length is three bytes")
    return b"".join(((len(body) << 8 | kind).to_bytes(MESSAGE_HEADER_BYTES, "big"), body))


class MessageSplitter:
    """The stream of one direction, cut into messages.

    :param body_bytes_max: the longest body that is taken.
    """

    def __init__(self, body_bytes_max: int) -> None:
        self._body_bytes_max = body_bytes_max
        self._stream = bytearray()
        self._refusal: tuple[Reason, str] | None = None

    def feed(self, stream: bytes) -> list[tuple[int, bytes]]:
        """The kind and body of each message that ``stream`` makes whole, in order.

        Keeps what is left, always less than one message of the longest body. The cost follows the
        bytes fed, however they are cut.

        :raises Refused: ``LINK_MESSAGE_TOO_LARGE`` as soon as a header announces too long a body.
        """
        if self._refusal is not None:
            raise Refused(*self._refusal)
        if not self._stream and self._is_one_message(stream):
            return [(stream[MESSAGE_HEADER_BYTES - 1], stream[MESSAGE_HEADER_BYTES:])]
        self._stream += stream
        try:
            return self._take_whole_messages()
        except Refused as refused:
            self._refusal = (refused.reason, refused.detail)
            self._stream.clear()
            raise

    def _is_one_message(self, stream: bytes) -> bool:
        """Whether it is one message, whole and not too long: then it needs no buffer."""
        body_bytes = len(stream) - MESSAGE_HEADER_BYTES
        return (
            0 <= body_bytes <= self._body_bytes_max
            and int.from_bytes(stream[: MESSAGE_HEADER_BYTES - 1], "big") == body_bytes
        )

    def _take_whole_messages(self) -> list[tuple[int, bytes]]:
        messages = []
        start = 0
        while (end := self._message_end(start)) <= len(self._stream):
            body_start = start + MESSAGE_HEADER_BYTES
            with memoryview(self._stream) as view:
                body = bytes(view[body_start:end])
            messages.append((self._stream[body_start - 1], body))
            start = end
        del self._stream[:start]
        return messages

    def _message_end(self, start: int) -> int:
        """Where the message that begins at ``start`` ends, or its header while that is not here
        yet; beyond the buffer where it is not whole."""
        body_start = start + MESSAGE_HEADER_BYTES
        if body_start > len(self._stream):
            return body_start
        body_bytes = int.from_bytes(self._stream[start : body_start - 1], "big")
        if body_bytes > self._body_bytes_max:
            raise Refused(Reason.LINK_MESSAGE_TOO_LARGE, "a message is longer than its kind may be")
        return body_start + body_bytes
