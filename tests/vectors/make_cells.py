"""Vectors of the mix: cells, hop by hop, their bodies, and relay records."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from protocol import cells as cells_module
from protocol import limits
from protocol.board import Board, encode_descriptor
from protocol.cells import (
    BODY_BYTES,
    ROUTING_BYTES,
    Forward,
    Hop,
    build_cell,
    seal_cell,
    unwrap_cell,
)
from protocol.codec import encode
from protocol.crypto import exchange_public_key, keyed_hash
from protocol.errors import Reason
from protocol.messages import WireEntry
from protocol.pieces import Loop, Piece, cover_body, cut, decode_body, loop_body
from protocol.relays import decode_record, epoch_of, record_id, work_bits
from protocol.work import work_of
from tests.vectors.shared import BOARD, OTHER_BOARD, WALL_S, Vector, Vectors, fixed

#: What becomes of a datagram that is refused: no word about it goes anywhere.
DROPPED = "dropped"
BODY = loop_body(fixed("token", 16))


# --- Cells ----------------------------------------------------------------------------------------


class Relay(NamedTuple):
    """A relay on the path of a vector."""

    hop: Hop
    secret: bytes


def relay(number: int) -> Relay:
    secret = fixed(f"relay {number}")
    return Relay(Hop(fixed(f"id {number}", 16), exchange_public_key(secret)), secret)


def draws_for(length: int) -> list[bytes]:
    """What a writer draws for a path of that length: x, and the rest of the last routing."""
    rest_bytes = ROUTING_BYTES - 1 - (length - 1) * cells_module.BLOCK_BYTES
    return [fixed("x"), b"".join(fixed(f"rest {at}") for at in range(6))[:rest_bytes]]


def built(path: Sequence[Relay], board: Board = BOARD) -> bytes:
    draws = iter(draws_for(len(path)))
    return build_cell(board, [each.hop for each in path], BODY, lambda size: next(draws))


def with_command(command: int) -> bytes:
    """A cell for one relay whose block has another command, and an authenticator that fits."""
    cell, one = built([relay(0)]), relay(0)
    shared = cells_module.CURVE25519.exchange(one.secret, cell[16:48]) or b""
    routing = bytes([cell[64] ^ 1 ^ command]) + cell[65:229]
    return seal_cell(BOARD, cell[16:48] + mac_of(cell, shared, one, routing) + routing + cell[229:])


def mac_of(cell: bytes, shared: bytes, one: Relay, routing: bytes) -> bytes:
    secret = keyed_hash(b"p2pb cell secret", shared, cell[16:48] + one.hop.key)
    key = keyed_hash(b"p2pb cell keys", secret, b"\0", 64)[:32]
    return keyed_hash(b"p2pb cell mac", key, routing + cell[229:], 16)


def of_low_order(element: bytes) -> bytes:
    """A cell with an element that gives zeros, and right in all that follows from them."""
    cell = built([relay(0)])
    cell = cell[:16] + element + cell[48:]
    mac = mac_of(cell, bytes(32), relay(0), cell[64:229])
    return seal_cell(BOARD, element + mac + cell[64:])


def path_of(length: int) -> Vector:
    path = [relay(number) for number in range(length)]
    draws = draws_for(length)
    cell = built(path)
    vector: Vector = {
        "about": f"A cell for {length} relays, and what each of them makes of it.",
        "rule": "K-6",
        "board": encode_descriptor(BOARD.descriptor).hex(),
        "x": draws[0].hex(),
        "rest": draws[1].hex(),
        "body": BODY.hex(),
        "outcome": "valid",
        "hops": [],
    }
    for each in path:
        hop = {"id": each.hop.id, "key": each.hop.key, "secret": each.secret, "cell": cell}
        opened = unwrap_cell(cell, each.secret, each.hop.key)
        assert opened is not None
        hop["replay"] = opened.replay
        if isinstance(opened, Forward):
            hop["next_id"] = opened.next_id
            cell = seal_cell(BOARD, opened.cell)
        vector["hops"].append({name: value.hex() for name, value in hop.items()})
    return vector


def faulty_cells() -> Vectors:
    one = relay(0)
    right = built([one, relay(1)])

    def dropped(about: str, rule: str, cell: bytes) -> Vector:
        return {
            "about": about,
            "rule": rule,
            "twin": "path-2",
            "board": encode_descriptor(BOARD.descriptor).hex(),
            "secret": one.secret.hex(),
            "key": one.hop.key.hex(),
            "cell": cell.hex(),
            "outcome": DROPPED,
        }

    def bit(name: str, at: int) -> Vector:
        inside = right[16:at] + bytes([right[at] ^ 1]) + right[at + 1 :]
        return dropped(f"A bit of the {name} is another; the tag is right.", "K-2", seal(inside))

    def seal(inside: bytes) -> bytes:
        return seal_cell(BOARD, inside)

    return {
        "cell-tag-bit": dropped("A bit of the tag.", "K-1", bytes([right[0] ^ 1]) + right[1:]),
        "cell-other-board": dropped(
            "The tag of another board.", "K-1", seal_cell(OTHER_BOARD, right[16:])
        ),
        "cell-short": dropped("A byte too few, under a right tag.", "K-1", seal(right[16:-1])),
        "cell-long": dropped(
            "A byte too many, under a right tag.", "K-1", seal(right[16:] + b"\0")
        ),
        "cell-element-bit": bit("element", 16),
        "cell-element-high-bit": dropped(
            "The highest bit of the element, which X25519 does not look at.",
            "K-2",
            seal(right[16:47] + bytes([right[47] ^ 128]) + right[48:]),
        ),
        "cell-mac-bit": bit("mac", 48),
        "cell-routing-first-bit": bit("routing", 64),
        "cell-routing-last-bit": bit("end of the routing", 228),
        "cell-body-first-bit": bit("body", 229),
        "cell-body-last-bit": bit("end of the body", 1231),
        "cell-other-relay": dropped("For another relay.", "K-2", built([relay(1), one])),
        "cell-element-zero": dropped(
            "An element of zeros, and an authenticator that follows from a secret of zeros.",
            "K-2",
            of_low_order(bytes(32)),
        ),
        "cell-element-low-order": dropped(
            "An element of order 8, and an authenticator that follows from a secret of zeros.",
            "K-2",
            of_low_order(
                bytes.fromhex("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800")
            ),
        ),
        "cell-command": dropped("Command 2.", "K-5", with_command(2)),
    }


# --- Bodies ---------------------------------------------------------------------------------------


def whole_entry() -> Vector:
    """An entry in three pieces."""
    entry = WireEntry(fixed("header", 60), fixed("signature", 64), b"payload " * 300)
    transfer = fixed("transfer", 16)
    return {
        "about": "An entry in pieces.",
        "rule": "K-8",
        "entry": [part.hex() for part in entry if part is not None],
        "transfer": transfer.hex(),
        "bodies": [body.hex() for body in cut(entry, transfer)],
        "outcome": "valid",
    }


def body(
    about: str,
    *,
    place: int = 1,
    places: int = 3,
    length: int = 7,
    kind: int = 1,
    after: bytes = b"",
) -> Vector:
    head = bytes([kind]) + fixed("transfer", 16) + bytes([place, places])
    raw = (head + length.to_bytes(2, "big") + b"a piece" + after).ljust(BODY_BYTES, b"\0")
    return said(about, raw)


def said(about: str, raw: bytes) -> Vector:
    vector: Vector = {"about": about, "rule": "K-8", "body": raw.hex()}
    match decode_body(raw):
        case Piece(transfer, place, places, part):
            fields = {"transfer": transfer.hex(), "place": place, "places": places}
            return {**vector, "outcome": "valid", "piece": {**fields, "part": part.hex()}}
        case Loop(token):
            return {**vector, "outcome": "valid", "loop": token.hex()}
    return {**vector, "outcome": DROPPED, "twin": "body-piece"}


def bodies() -> Vectors:
    return {
        "body-piece": body("A piece."),
        "body-piece-most": body(
            "A piece of 982 bytes, the last of 80.", place=79, places=80, length=982
        ),
        "body-piece-more": body("What follows a piece does not count.", after=b"more"),
        "body-loop": said("A loop.", loop_body(fixed("token", 16))),
        "body-cover": said("Cover.", cover_body()),
        "body-kind": body("Kind 3.", kind=3),
        "body-place": body("A place as large as the number of places.", place=3),
        "body-places": body("81 places.", places=81),
        "body-no-places": body("No places.", place=0, places=0),
        "body-length-zero": body("A piece of nothing.", length=0),
        "body-length": body("A length of 983 bytes.", length=983),
    }


# --- Relay records --------------------------------------------------------------------------------

RECORD: list[Any] = [
    1,
    epoch_of(WALL_S),
    exchange_public_key(fixed("record")),
    bytes([192, 0, 2, 7]),
    4711,
    bytes(8),
]


def worked(make: Callable[[bytes], bytes], is_enough: bool = True) -> bytes:
    """The bytes with the first nonce whose work is enough, or is not."""
    for number in range(1 << 20):
        raw = make(number.to_bytes(8, "little"))
        digest = keyed_hash(b"p2pb relay", BOARD.id, raw)
        if (work_of(digest) >= work_bits(BOARD)) is is_enough:
            return raw
    raise RuntimeError("no nonce found")


def record(
    about: str,
    outcome: Reason | None = None,
    change: Callable[[bytes], bytes] = lambda raw: raw,
    is_worked: bool = True,
    **fields: Any,
) -> Vector:
    """One vector: fields in their places (``f0`` to ``f4``), with work for the bytes that come of
    it."""
    changed = [fields.get(f"f{at}", value) for at, value in enumerate(RECORD)]
    changed += fields.get("more", [])
    raw = worked(
        lambda nonce: change(encode([nonce if each == bytes(8) else each for each in changed])),
        is_worked,
    )
    return record_of(about, raw, outcome)


def record_of(about: str, raw: bytes, outcome: Reason | None) -> Vector:
    vector: Vector = {
        "about": about,
        "rule": "Y-1",
        "board": encode_descriptor(BOARD.descriptor).hex(),
        "record": raw.hex(),
        "outcome": outcome.slug if outcome else "valid",
    }
    if outcome is not None:
        return {**vector, "twin": "record"}
    read = decode_record(BOARD, raw, cells_module.CURVE25519)
    return {
        **vector,
        "id": record_id(BOARD, raw).hex(),
        "epoch": read.epoch,
        "key": read.key.hex(),
        "address": list(read.address),
    }


def records() -> Vectors:
    malformed = Reason.RELAY_MALFORMED
    mapped = bytes(10) + b"\xff\xff" + bytes([192, 0, 2, 7])

    def wrong(about: str, **fields: Any) -> Vector:
        return record(about, malformed, **fields)

    return {
        "record": record("A record of an IPv4 address."),
        "record-ipv6": record("Of an IPv6 address.", f3=b"\xfd" + bytes(14) + b"\x07"),
        "record-mapped": record("Of an IPv4 address inside of an IPv6 one.", f3=mapped),
        "record-most": record("Every field at its most.", f1=2**32 - 1, f3=b"\xff" * 16, f4=65535),
        "record-least": record("Epoch 0, port 1.", f1=0, f4=1),
        "record-work": record("Too little work.", Reason.RELAY_WORK, is_worked=False),
        "record-nothing": record_of("No bytes.", b"", malformed),
        "record-truncated": wrong("The last byte is missing.", change=lambda raw: raw[:-1]),
        "record-trailing-byte": wrong("A zero byte after it.", change=lambda raw: raw + b"\0"),
        "record-array-length": wrong(
            "The array's length in two bytes instead of one.",
            change=lambda raw: b"\x98\x06" + raw[1:],
        ),
        "record-indefinite": wrong(
            "An array of indefinite length.", change=lambda raw: b"\x9f" + raw[1:] + b"\xff"
        ),
        "record-field-more": wrong("A seventh field.", more=[0]),
        "record-version-2": wrong("Version 2.", f0=2),
        "record-version-true": wrong("Version true.", f0=True),
        "record-epoch": wrong("An epoch of more than 32 bits.", f1=2**32),
        "record-epoch-negative": wrong("A negative epoch.", f1=-1),
        "record-key-short": wrong("A key of 31 bytes.", f2=bytes(31)),
        "record-key-zero": wrong("A key of zeros, which gives zeros.", f2=bytes(32)),
        "record-key-low-order": wrong("A key of order 1.", f2=b"\x01" + bytes(31)),
        "record-host-5": wrong("An address of 5 bytes.", f3=bytes(5)),
        "record-host-text": wrong("An address of text.", f3="192.0.2.7"),
        "record-port-0": wrong("Port 0.", f4=0),
        "record-port-large": wrong("Port 65536.", f4=65536),
        "record-nonce-short": wrong(
            "A nonce of 7 bytes.",
            change=lambda raw: raw[:-9] + b"\x47" + raw[-8:-1],
        ),
    }


def cells() -> Vectors:
    """All of them."""
    paths = {f"path-{length}": path_of(length) for length in range(1, limits.PATH_RELAYS_MAX + 1)}
    return {**paths, **faulty_cells(), "entry": whole_entry(), **bodies(), **records()}
