"""Cells: what goes in comes out at the last relay, nothing that is changed comes through, and no
relay can tell where on the path it stands."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol import cells, limits
from protocol.board import Board, Descriptor
from protocol.cells import (
    BLOCK_BYTES,
    BODY_BYTES,
    MAC_BYTES,
    ROUTING_BYTES,
    TAG_BYTES,
    Forward,
    Hop,
    Last,
    build_cell,
    is_of_board,
    lioness_decrypt,
    lioness_encrypt,
    seal_cell,
    unwrap_cell,
)
from protocol.crypto import CURVE25519, PUBLIC_KEY_BYTES, Group, keyed_hash, xor
from protocol.errors import Misuse
from simnet import cheap
from tests.protocol.wired import BOARD, OTHER_BOARD, seeded

GROUPS = {"curve": CURVE25519, "cheap": cheap.GROUP}
BODY = seeded("body")(BODY_BYTES)
#: Where each field of a cell begins and ends.
FIELDS = {
    "tag": (0, 16),
    "element": (16, 48),
    "mac": (48, 64),
    "routing": (64, 229),
    "body": (229, 1232),
}
bodies = st.binary(max_size=BODY_BYTES).map(lambda body: body.ljust(BODY_BYTES, b"\0"))
lengths = st.integers(1, limits.PATH_RELAYS_MAX)
lioness_keys = st.tuples(*[st.binary(min_size=32, max_size=32)] * 4)


class Relay(NamedTuple):
    """A relay with its secret, for tests."""

    hop: Hop
    secret: bytes


def relays(count: int, group: Group = CURVE25519, name: str = "relay") -> list[Relay]:
    random_bytes = seeded(f"{name} {count}")
    secrets = [random_bytes(32) for _ in range(count)]
    return [Relay(Hop(random_bytes(16), group.public_key(secret)), secret) for secret in secrets]


def built(
    path: Sequence[Relay], body: bytes = BODY, group: Group = CURVE25519, name: str = "cell"
) -> bytes:
    return build_cell(BOARD, [relay.hop for relay in path], body, seeded(name), group)


def unwrapped(cell: bytes, relay: Relay, group: Group = CURVE25519) -> Forward | Last | None:
    return unwrap_cell(cell, relay.secret, relay.hop.key, group)


def passed_on(cell: bytes, relay: Relay, group: Group = CURVE25519) -> bytes:
    """What a relay that is not the last sends."""
    opened = unwrapped(cell, relay, group)
    assert isinstance(opened, Forward)
    return seal_cell(BOARD, opened.cell)


def at_each_hop(
    path: Sequence[Relay], cell: bytes, group: Group = CURVE25519
) -> list[tuple[bytes, Forward | Last]]:
    """The cell as each relay of the path gets it, and what it makes of it."""
    seen = []
    for relay in path:
        opened = unwrapped(cell, relay, group)
        assert opened is not None
        seen.append((cell, opened))
        if isinstance(opened, Forward):
            cell = seal_cell(BOARD, opened.cell)
    return seen


def flipped(data: bytes, bit: int) -> bytes:
    """The same with one bit changed."""
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def ones(data: bytes) -> int:
    return int.from_bytes(data, "big").bit_count()


# --- There and no further -------------------------------------------------------------------------


@pytest.mark.parametrize("group", GROUPS.values(), ids=GROUPS)
@settings(max_examples=40)
@given(length=lengths, body=bodies, name=st.text(max_size=3))
def test_a_cell_goes_from_relay_to_relay_and_the_last_one_finds_the_body(
    group: Group, length: int, body: bytes, name: str
) -> None:
    """K-4, K-5, K-6, K-7."""
    path = relays(length, group)
    seen = at_each_hop(path, built(path, body, group, name), group)
    for (_, opened), after in zip(seen, path[1:], strict=False):
        assert isinstance(opened, Forward) and opened.next_id == after.hop.id
    last = seen[-1][1]
    assert isinstance(last, Last) and last.body == body


def test_a_path_has_one_to_five_relays_and_a_body_its_one_size() -> None:
    """K-7."""
    path = relays(6)
    for wrong, body in (([], BODY), (path, BODY), (path[:1], BODY[1:]), (path[:1], BODY + b"\0")):
        with pytest.raises(Misuse):
            built(wrong, body)


def test_the_key_of_a_relay_on_the_path_is_one() -> None:
    path = relays(3)
    path[1] = Relay(Hop(bytes(16), bytes(32)), bytes(32))
    with pytest.raises(Misuse):
        built(path)


def test_the_same_randomness_makes_the_same_cell_and_another_another() -> None:
    """K-6."""
    path = relays(3)
    assert built(path) == built(path)
    first, second = built(path), built(path, name="another")
    for start, end in FIELDS.values():
        assert first[start:end] != second[start:end]


def test_a_cell_is_for_one_key_only() -> None:
    """K-2."""
    for group in GROUPS.values():
        path, others = relays(3, group), relays(3, group, "other")
        cell = built(path, group=group)
        for relay in [*path[1:], *others]:
            assert unwrapped(cell, relay, group) is None
        # The relay's public key goes into all of its keys.
        assert unwrap_cell(cell, path[0].secret, others[0].hop.key, group) is None


def test_a_relay_goes_twice_on_a_path_if_a_writer_likes() -> None:
    one, other = relays(2)
    path = [one, other, one]
    seen = at_each_hop(path, built(path))
    assert isinstance(seen[-1][1], Last) and len({opened.replay for _, opened in seen}) == 3


# --- Nothing changed comes through ----------------------------------------------------------------


def is_refused(cell: bytes, relay: Relay, group: Group = CURVE25519) -> bool:
    return not is_of_board(BOARD, cell) or unwrapped(cell, relay, group) is None


def resealed(cell: bytes) -> bytes:
    """The same by a member, who can make the tag right again."""
    return seal_cell(BOARD, cell[TAG_BYTES:])


def is_noticed(cell: bytes, bit: int, relay: Relay, group: Group) -> bool:
    """Whether a changed bit is noticed by the very next relay, though a member changed it."""
    return is_refused(resealed(flipped(cell, bit)), relay, group)


#: The highest bit of an X25519 public key does not count (RFC 7748 section 5), nor does any other
#: representation make a difference: the element goes into the relay's keys as it stands.
PATH = relays(5)
CELLS = [cell for cell, _ in at_each_hop(PATH, built(PATH))]


@settings(max_examples=200)
@given(place=st.integers(0, 4), bit=st.integers(8 * TAG_BYTES, 8 * limits.CELL_BYTES - 1))
def test_any_changed_bit_is_noticed_by_the_very_next_relay(place: int, bit: int) -> None:
    """K-2: nobody can mark a cell and recognise it further on."""
    assert is_noticed(CELLS[place], bit, PATH[place], CURVE25519)


@pytest.mark.parametrize("field", [name for name in FIELDS if name != "tag"])
@pytest.mark.parametrize("group", GROUPS.values(), ids=GROUPS)
def test_changed_bits_everywhere_in_each_field_are_noticed(group: Group, field: str) -> None:
    """K-2."""
    path = relays(3, group)
    start, end = (8 * at for at in FIELDS[field])
    edges = {*range(start, start + 9), *range(end - 9, end)}
    cell = built(path, group=group)
    for bit in sorted(edges | set(range(start, end, 29))):
        assert is_noticed(cell, bit, path[0], group), bit


def test_each_bit_of_a_tag_counts_and_each_bit_under_it() -> None:
    """K-1."""
    cell = CELLS[0]
    assert is_of_board(BOARD, cell)
    for bit in [*range(8 * TAG_BYTES), *range(8 * TAG_BYTES, 8 * limits.CELL_BYTES, 97)]:
        assert not is_of_board(BOARD, flipped(cell, bit))


@given(datagram=st.binary(max_size=2000))
def test_a_datagram_of_another_size_or_from_a_stranger_is_no_cell(datagram: bytes) -> None:
    """K-1."""
    assert not is_of_board(BOARD, datagram)
    assert not is_of_board(BOARD, datagram[: limits.CELL_BYTES].ljust(limits.CELL_BYTES, b"\0"))


def test_a_cell_of_another_board_is_none_of_this_one() -> None:
    """K-1."""
    cell = CELLS[0]
    assert not is_of_board(OTHER_BOARD, cell)
    inside = cell[TAG_BYTES:]
    for wrong in (inside[:-1], inside + b"\0", b"", inside + inside):
        assert not is_of_board(BOARD, seal_cell(BOARD, wrong))
    assert len(cell) == limits.CELL_BYTES == 1232


#: Of order 1, 2, 4 and 8, and their other representations (RFC 7748 section 6.1).
LOW_ORDER = [
    bytes(32),
    b"\x01" + bytes(31),
    b"\xec" + b"\xff" * 30 + b"\x7f",
    b"\xed" + b"\xff" * 30 + b"\x7f",
    b"\xee" + b"\xff" * 30 + b"\x7f",
    bytes.fromhex("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"),
    bytes.fromhex("5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157"),
]


def with_mac(cell: bytes, shared: bytes, key: bytes) -> bytes:
    """The cell with the authenticator that follows from a shared secret, computed by hand."""
    element, routing, body = cell[16:48], cell[64:229], cell[229:]
    secret = keyed_hash(b"p2pb cell secret", shared, element + key)
    mac_key = keyed_hash(b"p2pb cell keys", secret, b"\0", 64)[:32]
    mac = keyed_hash(b"p2pb cell mac", mac_key, routing + body, 16)
    return seal_cell(BOARD, element + mac + routing + body)


def test_an_authenticator_by_hand_is_the_one_that_a_relay_computes() -> None:
    """Or the next test would prove nothing."""
    relay = PATH[0]
    shared = CURVE25519.exchange(relay.secret, CELLS[0][16:48])
    assert shared is not None
    assert with_mac(CELLS[0], shared, relay.hop.key) == CELLS[0]


@pytest.mark.parametrize("element", LOW_ORDER, ids=lambda element: element.hex()[:8])
def test_an_element_that_gives_a_secret_of_zeros_is_refused(element: bytes) -> None:
    """K-2: else anybody could make a cell that fits whatever key the relay has."""
    relay = PATH[0]
    cell = CELLS[0][:16] + element + CELLS[0][48:]
    assert CURVE25519.exchange(relay.secret, element) is None
    assert unwrapped(with_mac(cell, bytes(32), relay.hop.key), relay) is None


def test_the_cheap_group_has_an_element_that_is_refused_too() -> None:
    [relay] = relays(1, cheap.GROUP)
    cell = built([relay], group=cheap.GROUP)
    zeros = cell[:16] + bytes(32) + cell[48:]
    assert cheap.GROUP.exchange(relay.secret, bytes(32)) is None
    assert unwrapped(with_mac(zeros, bytes(32), relay.hop.key), relay, cheap.GROUP) is None


@pytest.mark.parametrize("command", [2, 3, 128, 255])
def test_a_command_that_is_none_is_dropped(command: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """K-5."""
    monkeypatch.setattr(cells, "_LAST", command)
    cell = built(PATH[:1])
    monkeypatch.undo()
    assert unwrapped(cell, PATH[0]) is None


# --- What a relay can tell ------------------------------------------------------------------------


def test_a_cell_has_the_same_size_at_each_hop_of_each_path() -> None:
    for length in range(1, 6):
        for cell, _ in at_each_hop(relays(length), built(relays(length))):
            assert len(cell) == limits.CELL_BYTES and is_of_board(BOARD, cell)


def test_what_two_relays_see_of_one_cell_has_no_byte_in_common_but_by_chance() -> None:
    for one, other in itertools.combinations(CELLS, 2):
        same = sum(a == b for a, b in zip(one, other, strict=True))
        assert same < 20  # 4.8 on average of 1232 bytes; so many once in 10**7
        for start, end in FIELDS.values():
            assert one[start:end] != other[start:end]


def deciphered(cell: bytes, relay: Relay) -> bytes:
    """All six blocks that a relay sees, computed by hand."""
    shared = CURVE25519.exchange(relay.secret, cell[16:48])
    assert shared is not None
    secret = keyed_hash(b"p2pb cell secret", shared, cell[16:48] + relay.hop.key)
    key = keyed_hash(b"p2pb cell keys", secret, b"\0", 64)[32:]
    stream = stream_of(key, ROUTING_BYTES + BLOCK_BYTES)
    return xor(cell[64:229] + bytes(BLOCK_BYTES), stream)


def stream_of(key: bytes, size: int) -> bytes:
    """ChaCha20 from counter 1 on, by hand (RFC 8439 section 2.3)."""

    def rotated(word: int, bits: int) -> int:
        return (word << bits | word >> (32 - bits)) & 0xFFFFFFFF

    def quarter(x: list[int], a: int, b: int, c: int, d: int) -> None:
        for one, other, third, bits in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
            x[one] = (x[one] + x[other]) & 0xFFFFFFFF
            x[third] = rotated(x[third] ^ x[one], bits)

    words = [int.from_bytes(key[at : at + 4], "little") for at in range(0, 32, 4)]
    out = b""
    for counter in itertools.count(1):
        if len(out) >= size:
            return out[:size]
        start = [0x61707865, 0x3320646E, 0x79622D32, 0x6B206574, *words, counter, 0, 0, 0]
        x = list(start)
        for _ in range(10):
            for columns in ((0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15)):
                quarter(x, *columns)
            for diagonals in ((0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14)):
                quarter(x, *diagonals)
        for word, before in zip(x, start, strict=True):
            out += ((word + before) & 0xFFFFFFFF).to_bytes(4, "little")
    raise AssertionError


@pytest.mark.parametrize("length", range(1, 6))
def test_the_filler_is_what_relays_put_behind_and_the_rest_is_random(length: int) -> None:
    """K-4, K-6: a relay sees its block, and then nothing that it could know, wherever it is."""
    path = relays(length)
    cell = built(path)
    for place, (seen, opened) in enumerate(at_each_hop(path, cell)):
        blocks = deciphered(seen, path[place])
        is_last = place == length - 1
        assert blocks[0] == (1 if is_last else 0)
        if not is_last:
            assert isinstance(opened, Forward)
            assert opened.cell[PUBLIC_KEY_BYTES + MAC_BYTES :][:ROUTING_BYTES] == blocks[33:]
        # Of the last relay's rest, nothing is zero: it would say how many were before it.
        for at in range(BLOCK_BYTES, len(blocks), BLOCK_BYTES):
            block = blocks[at : at + BLOCK_BYTES]
            assert 80 < ones(block) < 184, (place, at)  # 132 on average, of 264; 6 deviations


def test_the_last_relay_sees_no_zeros_where_a_longer_path_would_go_on() -> None:
    """K-6: over many cells each byte of the rest takes many values, on the shortest path too."""
    [relay] = relays(1)
    rests = [deciphered(built([relay], name=f"{n}"), relay)[1:ROUTING_BYTES] for n in range(64)]
    for at in range(ROUTING_BYTES - 1):
        assert len({rest[at] for rest in rests}) > 40


def test_a_replay_tag_is_the_same_for_copies_and_no_others() -> None:
    """K-3."""
    tags = set()
    for number in range(20):
        cell = built(PATH, name=f"cell {number}")
        seen = at_each_hop(PATH, cell)
        again = at_each_hop(PATH, resealed(cell))
        assert [opened.replay for _, opened in seen] == [opened.replay for _, opened in again]
        tags |= {opened.replay for _, opened in seen}
    assert len(tags) == 100 and {len(tag) for tag in tags} == {16}


# --- The wide block -------------------------------------------------------------------------------


@given(lioness_keys, st.binary(min_size=33, max_size=1100))
def test_lioness_gives_back_what_went_in(keys: tuple[bytes, ...], block: bytes) -> None:
    sealed = lioness_encrypt(keys, block)  # type: ignore[arg-type]
    assert len(sealed) == len(block)
    assert lioness_decrypt(keys, sealed) == block  # type: ignore[arg-type]
    assert lioness_encrypt(keys, lioness_decrypt(keys, block)) == block  # type: ignore[arg-type]


@settings(max_examples=60)
@given(st.integers(0, 8 * BODY_BYTES - 1), st.booleans())
def test_one_changed_bit_changes_about_half_of_all(bit: int, is_sealing: bool) -> None:
    keys = tuple(seeded("lioness")(32) for _ in range(4))
    cipher = lioness_encrypt if is_sealing else lioness_decrypt
    one, other = (cipher(keys, block) for block in (BODY, flipped(BODY, bit)))  # type: ignore[arg-type]
    for start, end in ((0, 32), (32, BODY_BYTES)):
        bits = 8 * (end - start)
        changed = ones(xor(one[start:end], other[start:end]))
        assert abs(changed - bits / 2) < 3 * bits**0.5  # six standard deviations


@pytest.mark.parametrize("number", range(4))
def test_each_key_of_lioness_counts(number: int) -> None:
    cipher = lioness_decrypt if number == 3 else lioness_encrypt  # the last key's turn is the last
    keys = [seeded("lioness")(32)] * 4
    others = [flipped(key, 7) if at == number else key for at, key in enumerate(keys)]
    one, other = (cipher(tuple(each), BODY) for each in (keys, others))  # type: ignore[arg-type]
    assert abs(ones(xor(one, other)) - 4 * BODY_BYTES) < 3 * (8 * BODY_BYTES) ** 0.5


def test_a_board_of_the_same_name_has_other_tags() -> None:
    """K-1."""
    namesake = Board.of(Descriptor("test", secret=bytes(32), work_bits=0))
    assert not is_of_board(namesake, CELLS[0])
