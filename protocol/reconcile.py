"""Set reconciliation by ranges: Negentropy protocol v1 (SPEC.md, "Reconciliation").

Two peers find out which entries one has and the other lacks. The *initiator* sends fingerprints of
16 ranges that together cover everything; whoever receives a range compares its own fingerprint and,
where they differ, answers with 16 smaller ranges, or with the ids themselves where few are left.
Round by round the ranges close in on the differences. On the wire it is, to the byte, what the
reference implementation of Negentropy v1 sends (docs/negentropy-protocol-v1.md of that project),
with one exception below.

State: the responder has none, each message is answered from the index alone. The initiator
remembers which of its own ids it has reported, since cut-off messages can bring it to a range
twice; the caller bounds how many. Of the peer's it remembers none, or its memory would grow with
the length of a first sync.

A message that grows past the frame limit is cut off: what remains becomes one range to infinity
with the fingerprint of our entries *after* the range that no longer fitted, though the peer will
take it to begin where the last range written ended. The two then differ and the peer looks closer;
unless the peer has nothing in the range left out, which ours then would never mention. There, and
only there, we leave the reference: the fingerprint begins where the left-out range does, and a Skip
says so. It is an ordinary v1 message.

Cost of one message: linear in its bytes and in those of the reply, times the logarithm of the
index; for the initiator, also in the entries of its own that it compares with lists, each once.
Nodes that have the same entries ask each other the same, on each link, until an entry comes: so
the last question of each kind and its answer are kept with the index until it changes.
A hostile responder can always answer with more differences: whoever drives an
:class:`Initiator` bounds the rounds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from protocol.errors import Misuse, Reason, Refused
from protocol.index import (
    EMPTY_FINGERPRINT,
    FINGERPRINT_BYTES,
    ID_BYTES,
    TIMESTAMP_MAX,
    EntryIndex,
    encode_varint,
)

#: First byte of a message: version 1 (Negentropy v1, "Message").
VERSION = 0x61
#: First bytes that some version of the protocol could have.
_VERSIONS = range(0x60, 0x70)
#: The time of a bound after every entry.
INFINITY = TIMESTAMP_MAX + 1

#: How many ranges a range is split into, and below how many entries it is listed instead. Any
#: numbers would be understood; the reference has these, and transcripts are compared with it.
BUCKETS = 16
LISTED_MAX = 2 * BUCKETS - 1
#: Room kept at the end of a limited message for the last ranges; and the least limit, so that at
#: least one range (16 bounds and fingerprints, or 31 ids) fits into every message. The reference's.
FRAME_RESERVE_BYTES = 200
FRAME_BYTES_LEAST = 4096

_SKIP = 0
_FINGERPRINT = 1
_ID_LIST = 2
#: Questions and answers are kept if they are no longer than this: all those of peers that differ in
#: nothing are.
_KEPT_BYTES_MAX = 2048
#: 64 bits in base 128.
_VARINT_DIGITS_MAX = 10


class Bound(NamedTuple):
    """Where a range ends and the next begins: seconds, and 0..32 bytes of an id, the rest zero."""

    timestamp: int
    id_prefix: bytes


class Range(NamedTuple):
    """One decoded range: its exclusive upper end, its mode, and its payload (a fingerprint, or ids
    concatenated)."""

    end: Bound
    mode: int
    payload: bytes


class Step(NamedTuple):
    """What a message told the initiator.

    :param reply: to send back; None: reconciled.
    :param have: (seconds, id) of what we have and the peer lacks, not reported before.
    :param need: ids that the peer has and we lack; one may come again in a later step.
    """

    reply: bytes | None
    have: list[tuple[int, bytes]]
    need: list[bytes]


# --- Decoding -------------------------------------------------------------------------------------


class _Reader:
    """Takes a message apart; raises :class:`Refused` on the first byte that breaks a rule."""

    def __init__(self, message: bytes, offset: int) -> None:
        self._message = message
        self._offset = offset
        self._end = Bound(0, bytes(ID_BYTES))

    def ranges(self) -> Iterator[Range]:
        while self._offset < len(self._message):
            end = self._take_bound()
            mode = self._take_varint()
            if mode == _SKIP:
                yield Range(end, mode, b"")
            elif mode == _FINGERPRINT:
                yield Range(end, mode, self._take(FINGERPRINT_BYTES))
            elif mode == _ID_LIST:
                yield Range(end, mode, self._take_ids())
            else:
                raise Refused(Reason.RECONCILE_MODE, "a range's mode must be 0, 1 or 2")

    def _take(self, size: int) -> bytes:
        begin = self._offset
        self._offset = begin + size
        if self._offset > len(self._message):
            raise Refused(Reason.RECONCILE_TRUNCATED, "the message ends inside a range")
        return self._message[begin : self._offset]

    def _take_varint(self) -> int:
        value = 0
        for count in range(_VARINT_DIGITS_MAX):
            (digit,) = self._take(1)
            if digit == 0x80 and not count:
                raise Refused(Reason.RECONCILE_VARINT, "a number has as few digits as possible")
            value = value << 7 | digit & 0x7F
            if digit < 0x80:
                break
        else:
            raise Refused(Reason.RECONCILE_VARINT, "a number has at most ten digits")
        if value > INFINITY:
            raise Refused(Reason.RECONCILE_VARINT, "a number must fit 64 bits")
        return value

    def _take_bound(self) -> Bound:
        """Times are sent as 1 + the difference from the last bound's, 0 being infinity.

        A difference that leads beyond infinity is infinity, as in the reference. Equal bounds (an
        empty range) are in order: a message cut off just before a range's first id has them.
        """
        advance = self._take_varint()
        timestamp = min(self._end.timestamp + advance - 1, INFINITY) if advance else INFINITY
        size = self._take_varint()
        if size > ID_BYTES:
            raise Refused(Reason.RECONCILE_BOUND_SIZE, "a bound has at most 32 bytes of an id")
        prefix = self._take(size)
        end = Bound(timestamp, prefix.ljust(ID_BYTES, b"\0"))
        if end < self._end:
            raise Refused(Reason.RECONCILE_BOUND_ORDER, "bounds must be in order")
        self._end = end
        return Bound(timestamp, prefix)

    def _take_ids(self) -> bytes:
        size = self._take_varint() * ID_BYTES
        if size > len(self._message) - self._offset:
            raise Refused(Reason.RECONCILE_COUNT, "more ids announced than bytes are left")
        return self._take(size)


def _check_version(message: bytes) -> int:
    """The version byte of a message, whatever version it is."""
    if not message:
        raise Refused(Reason.RECONCILE_TRUNCATED, "a message begins with its version")
    if message[0] not in _VERSIONS:
        raise Refused(Reason.RECONCILE_VERSION, "not a reconciliation message")
    return message[0]


# --- Encoding -------------------------------------------------------------------------------------


class _Writer:
    """Puts ranges together; remembers the last bound's time, from which the next one counts."""

    def __init__(self, index: EntryIndex) -> None:
        self._index = index
        self._timestamp = 0

    def range(self, end: Bound, mode: int, payload: bytes = b"") -> bytes:
        if end.timestamp == INFINITY:
            advance = 0
        else:
            advance = end.timestamp - self._timestamp + 1
        self._timestamp = end.timestamp
        size = len(end.id_prefix).to_bytes(1, "big")
        return encode_varint(advance) + size + end.id_prefix + encode_varint(mode) + payload

    def fingerprint(self, begin: int, upper: int, end: Bound) -> bytes:
        return self.range(end, _FINGERPRINT, self._index.fingerprint(begin, upper))

    def id_list(self, begin: int, upper: int, end: Bound) -> bytes:
        ids = b"".join(self._index.ids(begin, upper))
        return self.range(end, _ID_LIST, encode_varint(upper - begin) + ids)

    def split(self, begin: int, upper: int, end: Bound) -> bytes:
        """Our entries at positions ``begin..upper``, as 16 fingerprints or one list; the last range
        ends at ``end``."""
        if upper - begin <= LISTED_MAX:
            return self.id_list(begin, upper, end)
        ranges = []
        size, larger = divmod(upper - begin, BUCKETS)
        for bucket in range(BUCKETS):
            cut = begin + size + (bucket < larger)
            bound = end if cut == upper else self._bound_before(cut)
            ranges.append(self.fingerprint(begin, cut, bound))
            begin = cut
        return b"".join(ranges)

    def _bound_before(self, position: int) -> Bound:
        """The shortest bound that parts the entry at ``position`` from the one before it."""
        (earlier, before), (timestamp, entry_id) = self._index.items(position - 1, position + 1)
        if earlier != timestamp:
            return Bound(timestamp, b"")
        shared = 0
        while before[shared] == entry_id[shared]:
            shared += 1
        return Bound(timestamp, entry_id[: shared + 1])


# --- Answering ------------------------------------------------------------------------------------


class _Answer:
    """One message on its way to being answered; the two roles differ in what a list of ids means.

    :param begin: the position that the first range begins at.
    """

    def __init__(self, index: EntryIndex, frame_bytes_max: int, begin: int = 0) -> None:
        self._index = index
        self._room = frame_bytes_max - FRAME_RESERVE_BYTES if frame_bytes_max else None
        self._writer = _Writer(index)
        self._written = bytearray([VERSION])
        self._is_closed = False
        #: The range at hand is at positions lower..upper and begins at this bound.
        self._lower = self._upper = begin
        self._begin = Bound(0, b"")
        #: Whether there are ranges before it of which only has to be said that they are skipped.
        self._is_skipping = False

    def answer(self, message: bytes) -> bytes:
        for received in _Reader(message, 1).ranges():
            self._lower = self._upper
            self._upper = self._index.find_lower_bound(*received.end, begin=self._lower)
            if received.mode == _SKIP:
                self._is_skipping = True
            elif received.mode == _FINGERPRINT:
                self._on_fingerprint(received)
            else:
                self._on_id_list(received)
            if self._is_closed:
                break
            self._begin = received.end
        return bytes(self._written)

    def _on_fingerprint(self, received: Range) -> None:
        if self._index.fingerprint(self._lower, self._upper) == received.payload:
            self._is_skipping = True
            return
        skip = self._take_skip()
        ranges = skip + self._writer.split(self._lower, self._upper, received.end)
        if not self._is_full(len(ranges)):
            self._written += ranges
        elif received.payload == EMPTY_FINGERPRINT:
            # The peer has nothing here, so ours must count in the last fingerprint: without them
            # it would match as soon as the rest does, and nobody would look here again.
            self._written += skip
            self._close(self._lower)
        else:
            self._close(self._upper)

    def _on_id_list(self, received: Range) -> None:
        raise NotImplementedError

    def _is_full(self, more_bytes: int = 0) -> bool:
        return self._room is not None and len(self._written) + more_bytes > self._room

    def _take_skip(self) -> bytes:
        """The Skip up to the range at hand, where one is due."""
        if not self._is_skipping:
            return b""
        self._is_skipping = False
        return self._writer.range(self._begin, _SKIP)

    def _close(self, begin: int) -> None:
        """End a full message with one range for all the rest, our part of it from ``begin``."""
        self._written += self._writer.fingerprint(begin, len(self._index), Bound(INFINITY, b""))
        self._is_closed = True


class _ResponderAnswer(_Answer):
    """Lists are answered with lists: it is for the initiator to compare them."""

    def _on_id_list(self, received: Range) -> None:
        end = received.end
        if self._room is not None:
            # Ids are written as long as there is room before them, so the last may exceed it.
            fitting = (self._room - len(self._written)) // ID_BYTES + 1
            if fitting < self._upper - self._lower:
                self._upper = self._lower + fitting
                end = Bound(*self._index.item(self._upper))
        self._written += self._take_skip()
        self._written += self._writer.id_list(self._lower, self._upper, end)
        if self._is_full():
            self._close(self._upper)


class _InitiatorAnswer(_Answer):
    """Lists are compared, and done with."""

    def __init__(self, index: EntryIndex, initiator: Initiator, begin: int) -> None:
        super().__init__(index, initiator.frame_bytes_max, begin)
        self._initiator = initiator

    def _on_id_list(self, received: Range) -> None:
        ids = received.payload
        theirs = [ids[at : at + ID_BYTES] for at in range(0, len(ids), ID_BYTES)]
        self._initiator.compare(self._index.items(self._lower, self._upper), theirs)
        self._is_skipping = True


# --- The two roles --------------------------------------------------------------------------------


def _once(
    index: EntryIndex, kind: str, question: tuple[bytes | int, ...], answer: Callable[[], bytes]
) -> bytes:
    """The answer to a question about the index; the last one's of each kind is remembered."""
    known = index.derived.get(kind)
    if known is not None and known[0] == question:
        return known[1]
    answered = answer()
    if len(answered) <= _KEPT_BYTES_MAX:
        index.derived[kind] = question, answered
    return answered


def respond(index: EntryIndex, message: bytes, frame_bytes_max: int = 0) -> bytes:
    """The responder's whole part: the answer to one message, from the index alone.

    :param frame_bytes_max: about how long the answer may be, at least 4096; 0: as long as it gets.
    :returns: a message; only the version byte where there is nothing to add, or where the message
        is of another version than ours (Negentropy v1, "Message").
    :raises Refused: RECONCILE_VERSION, _TRUNCATED, _VARINT, _BOUND_ORDER, _BOUND_SIZE, _MODE or
        _COUNT. Where the answer is full early, what follows in the message is not looked at.
    """
    _check_frame_bytes_max(frame_bytes_max)
    if _check_version(message) != VERSION:
        return bytes([VERSION])
    if len(message) > _KEPT_BYTES_MAX:
        return _ResponderAnswer(index, frame_bytes_max).answer(message)
    return _once(
        index,
        "respond",
        (message, frame_bytes_max),
        lambda: _ResponderAnswer(index, frame_bytes_max).answer(message),
    )


class Initiator:
    """The side that asks, and that learns what differs.

    :param index: our entries; may change between messages. An entry that comes while the exchange
        runs may be reported or not; all others that differ are.
    :param frame_bytes_max: about how long a message may be, at least 4096; 0: as long as it gets.
    :param since: reconcile only entries from this time on (seconds). The responder needs no part in
        that: the first range, up to this time, is sent as a Skip.
    :param have_max: report at most so many ids of ours in all, None: every one. For a peer with an
        empty board, or one that says so, that would be the whole index.
    """

    def __init__(
        self,
        index: EntryIndex,
        frame_bytes_max: int = 0,
        since: int = 0,
        have_max: int | None = None,
    ) -> None:
        _check_frame_bytes_max(frame_bytes_max)
        if not 0 <= since <= INFINITY:
            raise Misuse("a time to begin at must fit 64 bits")
        self.frame_bytes_max = frame_bytes_max
        self._index = index
        self._since = Bound(since, b"")
        self._have_max = have_max
        self._reported_have: set[bytes] = set()
        self._have: list[tuple[int, bytes]] = []
        self._need: list[bytes] = []

    def start(self) -> bytes:
        """The first message. It has at most 16 ranges, and so no limit."""
        return _once(self._index, "start", (self._since.timestamp,), self._first)

    def _first(self) -> bytes:
        writer = _Writer(self._index)
        skip = writer.range(self._since, _SKIP) if self._since.timestamp else b""
        begin = self._index.find_lower_bound(*self._since)
        ranges = writer.split(begin, len(self._index), Bound(INFINITY, b""))
        return bytes([VERSION]) + skip + ranges

    def receive(self, message: bytes) -> Step:
        """Take the responder's answer; what it tells, and what to send next.

        :raises Refused: RECONCILE_VERSION, _TRUNCATED, _VARINT, _BOUND_ORDER, _BOUND_SIZE, _MODE or
            _COUNT; the exchange is over then.
        """
        if _check_version(message) != VERSION:
            raise Refused(Reason.RECONCILE_VERSION, "the peer does not speak version 1")
        if len(message) == 1:
            return Step(None, [], [])  # nothing differs
        self._have, self._need = [], []
        begin = self._index.find_lower_bound(*self._since)
        reply = _InitiatorAnswer(self._index, self, begin).answer(message)
        return Step(reply if len(reply) > 1 else None, self._have, self._need)

    def compare(self, ours: Iterator[tuple[int, bytes]], theirs: list[bytes]) -> None:
        """Note what differs between all ids of one range, ours and the peer's."""
        lacking = dict.fromkeys(theirs)
        for timestamp, entry_id in ours:
            if entry_id in lacking:
                del lacking[entry_id]
            elif entry_id not in self._reported_have and not self._has_reported_enough():
                self._reported_have.add(entry_id)
                self._have.append((timestamp, entry_id))
        self._need += lacking

    def _has_reported_enough(self) -> bool:
        return self._have_max is not None and len(self._reported_have) >= self._have_max


def _check_frame_bytes_max(frame_bytes_max: int) -> None:
    if frame_bytes_max and frame_bytes_max < FRAME_BYTES_LEAST:
        raise Misuse(f"a frame limit is 0 or at least {FRAME_BYTES_LEAST}")
