"""Cells: onion packets of one size, in which entries travel to whoever publishes them.

The format is Sphinx (Danezis and Goldberg, "Sphinx: A Compact and Provably Secure Mix Format",
IEEE S&P 2009) over X25519, with two changes that our use allows (SPEC.md, "Cells"):

- There are no replies, so the writer knows every layer of the body. Each relay's authenticator
  therefore covers the body too, and not only the header: a bit that is changed anywhere is noticed
  by the very next relay, so that nobody can mark a cell and recognise it further on (Kuhn, Beck,
  Schiffner, Jorswieck, Strufe: "Breaking and (Partially) Fixing Provably Secure Onion Routing",
  IEEE S&P 2020).
- What fills up the last relay's routing blocks is random, not zero: zeros would tell it how long
  the path was (the same paper, section IV).

A cell:

    tag 16 | element 32 | authenticator 16 | routing 5 x 33 | body 1003

``tag`` is under a key of the board and lets a node throw strangers' datagrams away for the price of
a hash. All else is Sphinx: the element is the writer's ephemeral public key, blinded anew for each
relay; a relay takes its own block off the routing and fills it up behind, so that its length says
nothing of where on the path it stands; the body is under LIONESS (Anderson and Biham, 1996), of
which no part can be changed without changing all.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from hmac import compare_digest
from typing import NamedTuple

from protocol import limits
from protocol.board import Board
from protocol.crypto import (
    CURVE25519,
    KEY_BYTES,
    PUBLIC_KEY_BYTES,
    Group,
    RandomBytes,
    chacha20,
    keyed_hash,
    xor,
)
from protocol.errors import Misuse

TAG_BYTES = 16
MAC_BYTES = 16
RELAY_ID_BYTES = 16
#: What a relay does with the cell (1 byte), the next relay, and the next relay's authenticator.
BLOCK_BYTES = 1 + RELAY_ID_BYTES + MAC_BYTES
ROUTING_BYTES = limits.PATH_RELAYS_MAX * BLOCK_BYTES
BODY_BYTES = limits.CELL_BYTES - TAG_BYTES - PUBLIC_KEY_BYTES - MAC_BYTES - ROUTING_BYTES

_FORWARD = 0
_LAST = 1
_ELEMENT = slice(TAG_BYTES, TAG_BYTES + PUBLIC_KEY_BYTES)
_MAC = slice(_ELEMENT.stop, _ELEMENT.stop + MAC_BYTES)
_ROUTING = slice(_MAC.stop, _MAC.stop + ROUTING_BYTES)
_BODY = slice(_ROUTING.stop, limits.CELL_BYTES)


class Hop(NamedTuple):
    """A relay on a path.

    :ivar id: 16 bytes, by which the relay before knows where to send the cell.
    :ivar key: its X25519 public key.
    """

    id: bytes
    key: bytes


class Forward(NamedTuple):
    """The cell goes on.

    :ivar replay: what a relay remembers of it, 16 bytes: the same for each copy.
    :ivar cell: what to send, but for the tag (:func:`seal_cell`).
    """

    replay: bytes
    next_id: bytes
    cell: bytes


class Last(NamedTuple):
    """The cell has arrived.

    :ivar body: 1003 bytes, what its writer put in.
    """

    replay: bytes
    body: bytes


class _Keys(NamedTuple):
    """One relay's keys for one cell, all from the shared secret."""

    mac: bytes
    routing: bytes
    lioness: tuple[bytes, bytes, bytes, bytes]
    blinding: bytes
    replay: bytes


def _keys(shared: bytes, element: bytes, key: bytes) -> _Keys:
    secret = keyed_hash(b"p2pb cell secret", shared, element + key)
    mac_routing, one_two, three_four, rest = (
        keyed_hash(b"p2pb cell keys", secret, bytes([number]), 64) for number in range(4)
    )
    half = KEY_BYTES
    return _Keys(
        mac_routing[:half],
        mac_routing[half:],
        (one_two[:half], one_two[half:], three_four[:half], three_four[half:]),
        rest[:half],
        rest[half : half + 16],
    )


def _mac(keys: _Keys, routing: bytes, body: bytes) -> bytes:
    return keyed_hash(b"p2pb cell mac", keys.mac, routing + body, MAC_BYTES)


# --- LIONESS --------------------------------------------------------------------------------------


def _lioness_hash(key: bytes, right: bytes) -> bytes:
    return keyed_hash(b"p2pb cell body", key, right)


def lioness_encrypt(
    keys: tuple[bytes, bytes, bytes, bytes],
    block: bytes,
    stream: Callable[[bytes, bytes], bytes] = chacha20,
) -> bytes:
    """The wide-block cipher: ``block`` (more than 32 bytes) under four keys of 32 bytes."""
    left, right = block[:KEY_BYTES], block[KEY_BYTES:]
    right = stream(xor(left, keys[0]), right)
    left = xor(left, _lioness_hash(keys[1], right))
    right = stream(xor(left, keys[2]), right)
    left = xor(left, _lioness_hash(keys[3], right))
    return left + right


def lioness_decrypt(
    keys: tuple[bytes, bytes, bytes, bytes],
    block: bytes,
    stream: Callable[[bytes, bytes], bytes] = chacha20,
) -> bytes:
    """The inverse of :func:`lioness_encrypt`."""
    left, right = block[:KEY_BYTES], block[KEY_BYTES:]
    left = xor(left, _lioness_hash(keys[3], right))
    right = stream(xor(left, keys[2]), right)
    left = xor(left, _lioness_hash(keys[1], right))
    right = stream(xor(left, keys[0]), right)
    return left + right


# --- Writing --------------------------------------------------------------------------------------


def build_cell(
    board: Board,
    path: Sequence[Hop],
    body: bytes,
    random_bytes: RandomBytes,
    group: Group = CURVE25519,
) -> bytes:
    """A cell for the first relay of ``path``, which the last will open to ``body``.

    :param path: 1 to 5 relays.
    :param body: exactly ``BODY_BYTES``.
    :raises Misuse: where path or body have no such size, or a relay's key is none.
    """
    if not 1 <= len(path) <= limits.PATH_RELAYS_MAX or len(body) != BODY_BYTES:
        raise Misuse("a path has 1 to 5 relays, and a body its one size")
    element, keys = _key_schedule(path, random_bytes(KEY_BYTES), group)
    bodies = [body]
    for hop_keys in reversed(keys):
        bodies.insert(0, lioness_encrypt(hop_keys.lioness, bodies[0], group.stream))
    streams = [_routing_stream(hop_keys, group) for hop_keys in keys]
    filler = _filler(streams)
    # From the last relay to the first. The last one's block is followed by random bytes up to
    # where the filler begins, which the relays before it have written.
    inner = bytes([_LAST]) + random_bytes(ROUTING_BYTES - 1 - len(filler))
    routing = xor(inner, streams[-1][: len(inner)]) + filler
    mac = _mac(keys[-1], routing, bodies[len(path) - 1])
    for place in range(len(path) - 2, -1, -1):
        block = bytes([_FORWARD]) + path[place + 1].id + mac
        inner = block + routing[:-BLOCK_BYTES]
        routing = xor(inner, streams[place][:ROUTING_BYTES])
        mac = _mac(keys[place], routing, bodies[place])
    return seal_cell(board, element + mac + routing + bodies[0])


def _key_schedule(path: Sequence[Hop], secret: bytes, group: Group) -> tuple[bytes, list[_Keys]]:
    """The first element, and each relay's keys."""
    first = element = group.public_key(secret)
    blindings: list[bytes] = []
    keys: list[_Keys] = []
    for hop in path:
        shared = group.exchange(secret, hop.key)
        for blinding in blindings:
            shared = shared and group.exchange(blinding, shared)
        if shared is None:
            raise Misuse("a relay's key was not checked")
        keys.append(_keys(shared, element, hop.key))
        blindings.append(keys[-1].blinding)
        element = group.exchange(keys[-1].blinding, element) or element
    return first, keys


def _routing_stream(keys: _Keys, group: Group) -> bytes:
    return group.stream(keys.routing, bytes(ROUTING_BYTES + BLOCK_BYTES))


def _filler(streams: Sequence[bytes]) -> bytes:
    """What the last relay finds at the end of the routing: each relay before it has put a block of
    zeros there, under its stream and all that followed."""
    filler = b""
    for stream in streams[:-1]:
        filler += bytes(BLOCK_BYTES)
        filler = xor(filler, stream[-len(filler) :])
    return filler


# --- Relaying -------------------------------------------------------------------------------------


def seal_cell(board: Board, inside: bytes) -> bytes:
    """Put the board's tag in front: the whole datagram."""
    return keyed_hash(b"p2pb cell tag", board.cell_key, inside, TAG_BYTES) + inside


def is_of_board(board: Board, datagram: bytes) -> bool:
    """Whether a datagram is a cell that a member of ``board`` has made or passed on."""
    if len(datagram) != limits.CELL_BYTES:
        return False
    tag = keyed_hash(b"p2pb cell tag", board.cell_key, datagram[TAG_BYTES:], TAG_BYTES)
    return compare_digest(tag, datagram[:TAG_BYTES])


def unwrap_cell(
    cell: bytes, secret: bytes, key: bytes, group: Group = CURVE25519
) -> Forward | Last | None:
    """Take one layer off, with a relay's key pair; None where the cell is not for that key, or was
    changed.

    :param cell: a datagram whose tag is right.
    """
    element, mac = cell[_ELEMENT], cell[_MAC]
    routing, body = cell[_ROUTING], cell[_BODY]
    shared = group.exchange(secret, element)
    if shared is None:
        return None
    keys = _keys(shared, element, key)
    if not compare_digest(_mac(keys, routing, body), mac):
        return None
    body = lioness_decrypt(keys.lioness, body, group.stream)
    inner = xor(routing + bytes(BLOCK_BYTES), _routing_stream(keys, group))
    if inner[0] == _LAST:
        return Last(keys.replay, body)
    next_element = group.exchange(keys.blinding, element)
    if inner[0] != _FORWARD or next_element is None:
        return None
    next_id = inner[1 : 1 + RELAY_ID_BYTES]
    next_mac = inner[1 + RELAY_ID_BYTES : BLOCK_BYTES]
    return Forward(keys.replay, next_id, next_element + next_mac + inner[BLOCK_BYTES:] + body)
