"""The ordered set of a board's entries, with fingerprints of any range (SPEC.md, "Reconciliation").

Reconciliation asks, of a million entries, "what do positions 250,000 to 312,500 add up to?", again
and again, while live entries arrive in between. So the set is kept as *keys* of 40 bytes (time,
eight bytes big-endian, then the id: comparing bytes compares entries) in sorted *blocks* of a few
hundred, each with the sum of its ids. A sum over a range is whole blocks from running totals plus
two partial blocks, which are added up from the nearer end.

State and what it costs. n entries make n / 384 blocks when loaded, about n / 350 after insertions
everywhere:

- ``_blocks``: the keys, 40 bytes an entry. Blocks are immutable ``bytes``, so whoever walks over
  the set walks over a snapshot, and a block on disk is a block in memory.
- ``_firsts``, ``_sums``: first key and sum of each block, under half a byte an entry. Binary
  search over ``_firsts`` finds the block of a key.
- ``_ends``, ``_totals``: running counts and running sums, as long as the blocks, of which only the
  first ``_fresh`` are right. A change sets ``_fresh`` back to its block; the next question makes
  up for it. Entries are mostly new, so mostly only the tail is redone.

Insertion copies one block, a fingerprint costs a search and at most two half blocks of additions,
whatever the length of the range. The sum is Negentropy v1's, additive and so not
collision-resistant against someone who can choose ids freely: a forged match hides entries from
one exchange with one peer, it can't put false ones in.
"""

from __future__ import annotations

import operator
import struct
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from hashlib import sha256
from itertools import accumulate, chain, islice

from protocol.errors import Misuse

ID_BYTES = 32
TIMESTAMP_BYTES = 8
KEY_BYTES = TIMESTAMP_BYTES + ID_BYTES
FINGERPRINT_BYTES = 16
#: The greatest time an entry can have, seconds; one more is Negentropy's "infinity".
TIMESTAMP_MAX = 2**64 - 2

#: Most keys in a block. Half a block is what a fingerprint adds up at each end (50 ns a key), and a
#: whole one what an insertion copies; half as many would double the running totals to redo. A
#: power of two.
BLOCK_KEYS_MAX = 512

_SLOT_BITS = KEY_BYTES * 8
_SUM_MASK = (1 << (ID_BYTES * 8)) - 1
_KEY = struct.Struct(f">Q{ID_BYTES}s")
_ID_OF_KEY = struct.Struct(f"{TIMESTAMP_BYTES}x{ID_BYTES}s")


def encode_varint(value: int) -> bytes:
    """``value`` (>= 0) in base 128, most significant digit first, the high bit set on all digits
    but the last (Negentropy v1, "Varint")."""
    if value < 0x80:
        return value.to_bytes(1, "big")
    digits = [value & 0x7F]
    while value := value >> 7:
        digits.append(value & 0x7F | 0x80)
    return bytes(reversed(digits))


def encode_key(timestamp: int, entry_id: bytes) -> bytes:
    """The 40-byte key of an entry; keys compare as entries do.

    :raises Misuse: unless ``timestamp`` is in 0..2**64-2 and ``entry_id`` has 32 bytes.
    """
    if not 0 <= timestamp <= TIMESTAMP_MAX:
        raise Misuse("an entry's time must fit 64 bits and not be infinity")
    if len(entry_id) != ID_BYTES:
        raise Misuse("an entry's id has 32 bytes")
    return timestamp.to_bytes(TIMESTAMP_BYTES, "big") + entry_id


def _halvings(slots: int) -> tuple[tuple[int, int], ...]:
    """(bits to keep, mask of them) for half of ``slots`` (a power of two), a quarter, ... one."""
    widths = [_SLOT_BITS << i for i in range(slots.bit_length() - 1)]
    return tuple((bits, (1 << bits) - 1) for bits in reversed(widths))


#: Ones where an id is, zeros where a time is, in a run of keys without its first time.
_IDS_MASK = int.from_bytes((b"\xff" * ID_BYTES + bytes(TIMESTAMP_BYTES)) * BLOCK_KEYS_MAX, "little")
_HALVINGS = _halvings(BLOCK_KEYS_MAX)


def _sum_of_ids(keys: bytes) -> int:
    """The ids in at most ``BLOCK_KEYS_MAX`` concatenated keys, as little-endian numbers, added up
    mod 2**256.

    All keys become one long number, with zeros for times, whose upper half is added to its lower
    half until one slot is left; the room of the times takes the carries. Twice as fast as adding id
    by id, since no id becomes an object of its own.
    """
    total = int.from_bytes(keys[TIMESTAMP_BYTES:], "little") & _IDS_MASK
    for bits, mask in _HALVINGS:
        if total > mask:
            total = (total & mask) + (total >> bits)
    return total & _SUM_MASK


def fingerprint_of_sum(total: int, count: int) -> bytes:
    """Negentropy v1, "Fingerprint Algorithm": 16 bytes, of a sum of ids (mod 2**256) and how many
    there are. SHA-256 is the wire format's choice, not ours."""
    digest = sha256(total.to_bytes(ID_BYTES, "little") + encode_varint(count)).digest()
    return digest[:FINGERPRINT_BYTES]


#: The fingerprint of a range without entries.
EMPTY_FINGERPRINT = fingerprint_of_sum(0, 0)


class EntryIndex:
    """The set of (timestamp, id) of one board, ordered by both; positions count from 0.

    :param block_keys_max: most keys in a block, 2..512; for tests.
    :ivar derived: what others have computed from the whole set, by their own names for it; emptied
        whenever the set changes.

    Methods that take a time and an id, a range ``begin..end`` (``end`` exclusive; None: to the end)
    or a position raise :class:`Misuse` on one that cannot be.
    """

    def __init__(self, *, block_keys_max: int = BLOCK_KEYS_MAX) -> None:
        if not 2 <= block_keys_max <= BLOCK_KEYS_MAX:
            raise Misuse("a block has room for 2 to 512 keys")
        self._block_bytes_max = block_keys_max * KEY_BYTES
        self.derived: dict[str, tuple[tuple[bytes | int, ...], bytes]] = {}
        self._length = 0
        self._blocks: list[bytes] = []
        self._firsts: list[bytes] = []
        self._sums: list[int] = []
        self._ends: list[int] = []
        self._totals: list[int] = []
        self._fresh = 0

    # --- Loading ----------------------------------------------------------------------------------

    @classmethod
    def from_keys(
        cls, keys: Iterable[bytes], *, block_keys_max: int = BLOCK_KEYS_MAX
    ) -> EntryIndex:
        """An index of ``keys`` (40 bytes each), which must come in order and without repetition.

        Blocks are filled to three quarters, so that the first insertions don't halve them all.
        """
        index = cls(block_keys_max=block_keys_max)
        remaining = iter(keys)
        while chunk := list(islice(remaining, block_keys_max * 3 // 4)):
            if set(map(len, chunk)) != {KEY_BYTES}:
                raise Misuse("a key has 40 bytes")
            if not all(map(operator.lt, chunk, islice(chunk, 1, None))):
                raise Misuse("keys must come in order")
            block = b"".join(chunk)
            index._append(block, _sum_of_ids(block))
        return index

    @classmethod
    def from_blocks(
        cls, blocks: Iterable[tuple[bytes, int]], *, block_keys_max: int = BLOCK_KEYS_MAX
    ) -> EntryIndex:
        """An index of blocks as :meth:`blocks` gave them: (keys concatenated in order, sum of the
        ids mod 2**256). Sums and the order inside a block are taken on trust."""
        index = cls(block_keys_max=block_keys_max)
        for block, total in blocks:
            if not block or len(block) % KEY_BYTES or len(block) > index._block_bytes_max:
                raise Misuse("a block is a whole number of keys, at least one and not too many")
            index._append(block, total)
        return index

    def blocks(self) -> Iterator[tuple[bytes, int]]:
        """Each block with its sum, for :meth:`from_blocks`; a snapshot."""
        return zip(self._blocks[:], self._sums[:], strict=True)

    def _append(self, block: bytes, total: int) -> None:
        if self._blocks and self._blocks[-1][-KEY_BYTES:] >= block[:KEY_BYTES]:
            raise Misuse("keys must come in order")
        self.derived.clear()
        self._blocks.append(block)
        self._firsts.append(block[:KEY_BYTES])
        self._sums.append(total)
        self._length += len(block) // KEY_BYTES

    # --- Changing ---------------------------------------------------------------------------------

    def insert(self, timestamp: int, entry_id: bytes) -> bool:
        """Add an entry; False where it was there already."""
        key = encode_key(timestamp, entry_id)
        if not self._blocks:
            self._append(key, int.from_bytes(entry_id, "little"))
            return True
        at, offset = self._locate(key)
        block = self._blocks[at]
        if block[offset : offset + KEY_BYTES] == key:
            return False
        self._blocks[at] = block = block[:offset] + key + block[offset:]
        self._sums[at] = (self._sums[at] + int.from_bytes(entry_id, "little")) & _SUM_MASK
        self._changed(at, 1)
        if len(block) > self._block_bytes_max:
            self._split(at)
        return True

    def remove(self, timestamp: int, entry_id: bytes) -> bool:
        """Take an entry out; False where it was not there."""
        key = encode_key(timestamp, entry_id)
        if not self._blocks:
            return False
        at, offset = self._locate(key)
        block = self._blocks[at]
        if block[offset : offset + KEY_BYTES] != key:
            return False
        self._blocks[at] = block[:offset] + block[offset + KEY_BYTES :]
        self._sums[at] = (self._sums[at] - int.from_bytes(entry_id, "little")) & _SUM_MASK
        self._changed(at, -1)
        self._shrink(at)
        return True

    def remove_before(self, timestamp: int) -> int:
        """Take out all entries older than ``timestamp``; how many there were. Whole blocks go
        without being looked at."""
        if not self._blocks or timestamp <= 0:
            return 0
        if timestamp > TIMESTAMP_MAX:
            at, offset = len(self._blocks) - 1, len(self._blocks[-1])
        else:
            at, offset = self._locate(encode_key(timestamp, bytes(ID_BYTES)))
        head = self._blocks[at][:offset]
        removed = (sum(map(len, self._blocks[:at])) + offset) // KEY_BYTES
        del self._blocks[:at], self._firsts[:at], self._sums[:at]
        if removed:
            self._blocks[0] = self._blocks[0][offset:]
            self._sums[0] = (self._sums[0] - _sum_of_ids(head)) & _SUM_MASK
            self._changed(0, -removed)
            self._shrink(0)
        return removed

    def _changed(self, at: int, difference: int) -> None:
        self.derived.clear()
        self._firsts[at] = self._blocks[at][:KEY_BYTES]
        self._length += difference
        self._fresh = min(self._fresh, at)

    def _split(self, at: int) -> None:
        """Halve a block, adding up the shorter half only."""
        block = self._blocks[at]
        middle = len(block) // KEY_BYTES // 2 * KEY_BYTES
        lower_sum = _sum_of_ids(block[:middle])
        self._blocks[at : at + 1] = [block[:middle], block[middle:]]
        self._firsts.insert(at + 1, block[middle : middle + KEY_BYTES])
        self._sums[at : at + 1] = [lower_sum, (self._sums[at] - lower_sum) & _SUM_MASK]

    def _shrink(self, at: int) -> None:
        """Drop a block that is empty; join it with the next where both fill half a block."""
        if not self._blocks[at]:
            del self._blocks[at], self._firsts[at], self._sums[at]
        elif at + 1 < len(self._blocks):
            joined_bytes = len(self._blocks[at]) + len(self._blocks[at + 1])
            if joined_bytes <= self._block_bytes_max // 2:
                self._blocks[at : at + 2] = [self._blocks[at] + self._blocks[at + 1]]
                self._sums[at : at + 2] = [(self._sums[at] + self._sums[at + 1]) & _SUM_MASK]
                del self._firsts[at + 1]

    # --- Looking up -------------------------------------------------------------------------------

    def __len__(self) -> int:
        return self._length

    def contains(self, timestamp: int, entry_id: bytes) -> bool:
        """Whether the entry is in the set."""
        key = encode_key(timestamp, entry_id)
        if not self._blocks:
            return False
        at, offset = self._locate(key)
        return self._blocks[at][offset : offset + KEY_BYTES] == key

    def find_lower_bound(
        self, bound_timestamp: int, bound_id_prefix: bytes, begin: int = 0, end: int | None = None
    ) -> int:
        """The position of the first entry in ``begin..end`` that is not before the bound, or
        ``end``.

        :param bound_timestamp: 0..2**64-1, seconds; the greatest is after every entry.
        :param bound_id_prefix: 0..32 bytes; missing ones count as zero.
        """
        begin, end = self._check_range(begin, end)
        if not 0 <= bound_timestamp <= TIMESTAMP_MAX + 1:
            raise Misuse("a bound's time must fit 64 bits")
        if not self._blocks:
            return end
        # A prefix sorts just before all that it begins: no need to fill it up with zeros.
        at, offset = self._locate(
            bound_timestamp.to_bytes(TIMESTAMP_BYTES, "big") + bound_id_prefix
        )
        self._refresh()
        before = self._ends[at - 1] if at else 0
        return min(max(before + offset // KEY_BYTES, begin), end)

    def item(self, position: int) -> tuple[int, bytes]:
        """(timestamp, id) of the entry at ``position``."""
        if not 0 <= position < self._length:
            raise Misuse("no entry has that position")
        at, offset = self._block_of(position)
        timestamp, entry_id = _KEY.unpack_from(self._blocks[at], offset)
        return timestamp, entry_id

    def items(self, begin: int = 0, end: int | None = None) -> Iterator[tuple[int, bytes]]:
        """(timestamp, id) of each entry in ``begin..end``; a snapshot."""
        return chain.from_iterable(map(_KEY.iter_unpack, self._runs(begin, end)))

    def ids(self, begin: int = 0, end: int | None = None) -> Iterator[bytes]:
        """The id of each entry in ``begin..end``; a snapshot."""
        tuples = chain.from_iterable(map(_ID_OF_KEY.iter_unpack, self._runs(begin, end)))
        return map(operator.itemgetter(0), tuples)

    def keys(self, begin: int = 0, end: int | None = None) -> Iterator[bytes]:
        """The 40-byte key of each entry in ``begin..end``; a snapshot."""
        return (
            run[offset : offset + KEY_BYTES]
            for run in self._runs(begin, end)
            for offset in range(0, len(run), KEY_BYTES)
        )

    def fingerprint(self, begin: int = 0, end: int | None = None) -> bytes:
        """Negentropy v1's fingerprint (16 bytes) of the entries in ``begin..end``."""
        begin, end = self._check_range(begin, end)
        return fingerprint_of_sum(self._sum(begin, end), end - begin)

    # --- Inside -----------------------------------------------------------------------------------

    def _locate(self, key: bytes) -> tuple[int, int]:
        """(block, byte offset) of the first key >= ``key``, or of the end of the block that it
        would be added to. ``key`` may be cut short; there must be a block."""
        at = max(bisect_right(self._firsts, key) - 1, 0)
        block = self._blocks[at]
        keys = range(0, len(block), KEY_BYTES)
        found = bisect_left(keys, key, key=lambda offset: block[offset : offset + KEY_BYTES])
        return at, found * KEY_BYTES

    def _block_of(self, position: int) -> tuple[int, int]:
        """(block, byte offset) of a position; (number of blocks, 0) for the end."""
        self._refresh()
        at = bisect_right(self._ends, position)
        before = self._ends[at - 1] if at else 0
        return at, (position - before) * KEY_BYTES

    def _refresh(self) -> None:
        """Make the running counts and sums right again from the first changed block on."""
        fresh = self._fresh
        if fresh == len(self._blocks) == len(self._ends):
            return
        count, total = (self._ends[fresh - 1], self._totals[fresh - 1]) if fresh else (0, 0)
        counts = [len(block) // KEY_BYTES for block in islice(self._blocks, fresh, None)]
        sums = islice(self._sums, fresh, None)
        self._ends[fresh:] = islice(accumulate(counts, initial=count), 1, None)
        # Sums are not reduced on the way: of a million entries they stay within 276 bits.
        self._totals[fresh:] = islice(accumulate(sums, initial=total), 1, None)
        self._fresh = len(self._blocks)

    def _check_range(self, begin: int, end: int | None) -> tuple[int, int]:
        end = self._length if end is None else end
        if not 0 <= begin <= end <= self._length:
            raise Misuse("a range of positions must lie inside the index")
        return begin, end

    def _runs(self, begin: int, end: int | None) -> Sequence[bytes]:
        """Keys of ``begin..end`` in order, concatenated by block."""
        begin, end = self._check_range(begin, end)
        if begin == end:
            return ()
        first, first_offset = self._block_of(begin)
        last, last_offset = self._block_of(end)
        if first == last:
            return (self._blocks[first][first_offset:last_offset],)
        runs = self._blocks[first:last]
        runs[0] = runs[0][first_offset:]
        if last_offset:
            runs.append(self._blocks[last][:last_offset])
        return runs

    def _sum(self, begin: int, end: int) -> int:
        """Sum of the ids in ``begin..end``, mod 2**256."""
        first, first_offset = self._block_of(begin)
        last, last_offset = self._block_of(end)
        if first == last:
            return _sum_of_ids(self._blocks[first][first_offset:last_offset]) if begin < end else 0
        whole = self._totals[last - 1] - (self._totals[first - 1] if first else 0)
        tail = self._sum_of_head(last, last_offset)
        return (whole - self._sum_of_head(first, first_offset) + tail) & _SUM_MASK

    def _sum_of_head(self, at: int, offset: int) -> int:
        """Sum of the ids in the first ``offset`` bytes of a block, from the nearer end."""
        if not offset:
            return 0
        block = self._blocks[at]
        if offset <= len(block) // 2:
            return _sum_of_ids(block[:offset])
        return self._sums[at] - _sum_of_ids(block[offset:])
