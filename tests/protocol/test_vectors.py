"""The project's own vectors: each comes out as it says, and each reason has one.

The faults are named by rule in the files; see ``tests/vectors/generate.py``.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from protocol import handshake
from protocol.board import (
    Board,
    Descriptor,
    decode_descriptor,
    decode_invite,
    encode_descriptor,
    encode_invite,
)
from protocol.cells import Forward, Hop, Last, build_cell, is_of_board, seal_cell, unwrap_cell
from protocol.crypto import CURVE25519, exchange_public_key, signing_public_key
from protocol.directory import presence_tag
from protocol.entry import check_signature, decode_entry, entry_id
from protocol.errors import Reason, Refused
from protocol.frames import FrameOpener, FrameSealer, MessageSplitter, sealed_sizes
from protocol.handshake import Doorkeeper
from protocol.limits import MESSAGE_BODY_BYTES_MAX
from protocol.messages import Address, Hello, MessageKind, WireEntry, decode_message
from protocol.noise import CipherState
from protocol.persona import persona_name
from protocol.pieces import Assembly, Loop, Piece, cut, decode_body
from protocol.relays import decode_record
from protocol.words import ANIMALS, COLOURS
from tests.vectors.generate import all_vectors, own_files, text_of

FOLDER = Path(__file__).parent.parent / "vectors"
Vector = dict[str, Any]

#: Reasons that a link's bytes alone can give; the others need a peer's conduct or time.
LINK_REASONS = {
    Reason.LINK_HANDSHAKE,
    Reason.LINK_FRAME_SIZE,
    Reason.LINK_AUTHENTICATION,
    Reason.LINK_MESSAGE_MALFORMED,
    Reason.LINK_MESSAGE_UNKNOWN,
    Reason.LINK_MESSAGE_TOO_LARGE,
    Reason.LINK_INSTANCE,
}


def load(path: str) -> Vector:
    vector: Vector = json.loads((FOLDER / path).read_text(encoding="ascii"))
    return vector


def vectors_in(folder: str, prefix: str = "") -> dict[str, Vector]:
    return {
        path.stem: load(f"{folder}/{path.name}")
        for path in sorted((FOLDER / folder).glob(f"{prefix}*.json"))
    }


ENTRIES, BOARDS, INVITES = vectors_in("entries"), vectors_in("boards"), vectors_in("invites")
FIRST_MESSAGES = vectors_in("links", "first-message")
HELLOS = vectors_in("links", "hello-")
FRAMES = {**vectors_in("links", "frame-"), **vectors_in("links", "message-")}
FRAMES.pop("frame-sizes")
PATHS, CELLS = vectors_in("cells", "path-"), vectors_in("cells", "cell-")
BODIES, RECORDS = vectors_in("cells", "body-"), vectors_in("cells", "record")
ALL = (ENTRIES, BOARDS, INVITES, FIRST_MESSAGES, HELLOS, FRAMES, PATHS, CELLS, BODIES, RECORDS)


def each(vectors: dict[str, Vector]) -> Any:
    return pytest.mark.parametrize("vector", vectors.values(), ids=vectors.keys())


def unhex(vector: Vector, *names: str) -> list[bytes]:
    return [bytes.fromhex(vector[name]) for name in names]


def outcome_of(judge: Callable[[], object]) -> str:
    """The slug of the reason for which ``judge`` refuses, else "valid"."""
    try:
        judge()
    except Refused as refused:
        return refused.reason.slug
    return "valid"


def board_of(vector: Vector) -> Board:
    return Board.of(decode_descriptor(bytes.fromhex(vector["board"])))


def fields_of(descriptor: Descriptor) -> Vector:
    return {
        "name": descriptor.name,
        "secret": descriptor.secret.hex() if descriptor.secret else None,
        "retention_days": descriptor.retention_days,
        "payload_bytes_max": descriptor.payload_bytes_max,
        "work_bits": descriptor.work_bits,
        "pace": int(descriptor.pace),
    }


# --- Each vector ----------------------------------------------------------------------------------


@each(ENTRIES)
def test_an_entry_comes_out_as_its_vector_says(vector: Vector) -> None:
    board = board_of(vector)
    raw, signature = unhex(vector, "header", "signature")
    payload = None if vector["payload"] is None else bytes.fromhex(vector["payload"])

    def judge() -> None:
        entry = decode_entry(board, raw, signature, payload, vector["wall_s"])
        check_signature(entry)
        read = {k: v.hex() if type(v) is bytes else v for k, v in entry.header._asdict().items()}
        assert read == vector["fields"] and entry.payload == payload

    assert outcome_of(judge) == vector["outcome"]
    assert entry_id(board, raw).hex() == vector["id"]


@each(BOARDS)
def test_a_board_comes_out_as_its_vector_says(vector: Vector) -> None:
    [raw] = unhex(vector, "descriptor")

    def judge() -> None:
        descriptor = decode_descriptor(raw)
        board = Board.of(descriptor)
        assert fields_of(descriptor) == vector["fields"]
        assert encode_descriptor(descriptor) == raw
        for name in ("id", "tag", "link_psk", "discovery_key", "cell_key"):
            assert getattr(board, name).hex() == vector[name]

    assert outcome_of(judge) == vector["outcome"]


@each(INVITES)
def test_an_invite_comes_out_as_its_vector_says(vector: Vector) -> None:
    def judge() -> None:
        invite = decode_invite(vector["link"])
        assert fields_of(invite.descriptor) == vector["fields"]
        assert encode_descriptor(invite.descriptor).hex() == vector["descriptor"]
        assert list(invite.addresses) == vector["addresses"]
        assert encode_invite(invite) == "".join(vector["link"].lower().split())

    assert outcome_of(judge) == vector["outcome"]


@each(FIRST_MESSAGES)
def test_a_first_message_opens_the_door_or_meets_silence(vector: Vector) -> None:
    local = Address(*vector["listener"])
    [first] = unhex(vector, "first")

    def judge() -> None:
        admitted = Doorkeeper().admit(first, [board_of(vector)], local, vector["wall_s"], bytes_1)
        admitted[1].write_message(handshake.second_payload())

    assert outcome_of(judge) == vector["outcome"]


def bytes_1(size: int) -> bytes:
    return b"\1" * size


@each(HELLOS)
def test_an_instance_is_proved_or_not_as_its_vector_says(vector: Vector) -> None:
    handshake_hash, body = unhex(vector, "handshake_hash", "body")
    hello = decode_message(MessageKind.HELLO, body)
    assert isinstance(hello, Hello)

    def judge() -> None:
        handshake.check_instance(hello, vector["sender"] == "dialler", handshake_hash)

    assert outcome_of(judge) == vector["outcome"]


@each(FRAMES)
def test_a_frame_opens_as_its_vector_says(vector: Vector) -> None:
    key, wire = unhex(vector, "key", "wire")
    opener = FrameOpener(CipherState(key))
    before = FrameSealer(CipherState(key))
    for _ in range(vector.get("frames_before", 0)):
        opener.feed(before.seal())

    def judge() -> None:
        stream = opener.feed(wire)
        for kind, body in MessageSplitter(MESSAGE_BODY_BYTES_MAX).feed(stream):
            decode_message(kind, body)
        assert stream.hex() == vector["stream"]

    assert outcome_of(judge) == vector["outcome"]


def test_the_handshake_and_the_first_frames_are_the_vectors() -> None:
    vector = load("links/handshake.json")
    board, local = board_of(vector), Address(*vector["listener"])
    dialler_secret, listener_secret = unhex(vector, "dialler_secret", "listener_secret")
    payload, first, second = unhex(vector, "first_payload", "first", "second")
    dialler = handshake.begin(board, True, lambda _: dialler_secret)
    assert handshake.first_payload(board, local, vector["wall_s"]) == payload
    assert dialler.write_message(payload) == first
    _, listener = Doorkeeper().admit(
        first, [board], local, vector["wall_s"], lambda _: listener_secret
    )
    assert listener.write_message(handshake.second_payload()) == second
    dialler.read_message(second)
    assert dialler.handshake_hash.hex() == vector["handshake_hash"]
    at_dialler, at_listener = dialler.split(), listener.split()
    sealers = {"dialler": FrameSealer(at_dialler[0]), "listener": FrameSealer(at_listener[0])}
    openers = {"dialler": FrameOpener(at_listener[1]), "listener": FrameOpener(at_dialler[1])}
    for piece in vector["pieces"]:
        stream, wire = unhex(piece, "stream", "wire")
        assert sealers[piece["from"]].seal(stream) == wire
        assert openers[piece["from"]].feed(wire) == stream
        split = MessageSplitter(MESSAGE_BODY_BYTES_MAX).feed(stream)
        assert [
            [MessageKind(kind).name.lower(), kind, body.hex()] for kind, body in split
        ] == piece["messages"]
        for kind, body in split:
            told = decode_message(kind, body)
            if isinstance(told, Hello):
                [seed] = unhex(vector, f"{piece['from']}_instance_seed")
                is_dialler = piece["from"] == "dialler"
                proof = handshake.prove_instance(seed, is_dialler, dialler.handshake_hash)
                assert told == Hello(signing_public_key(seed), told.port, proof)


def test_pieces_are_sealed_as_frames_of_the_vectors_sizes() -> None:
    for stream_bytes, sizes in load("links/frame-sizes.json")["cases"]:
        assert sealed_sizes(stream_bytes) == sizes


@each(PATHS)
def test_a_cell_is_built_and_opened_hop_by_hop_as_its_vector_says(vector: Vector) -> None:
    board, draws = board_of(vector), iter(unhex(vector, "x", "rest"))
    [body] = unhex(vector, "body")
    path = [Hop(*unhex(hop, "id", "key")) for hop in vector["hops"]]
    cell = build_cell(board, path, body, lambda size: next(draws))
    for hop, after in zip(vector["hops"], [*vector["hops"][1:], None], strict=True):
        assert cell.hex() == hop["cell"] and is_of_board(board, cell)
        secret, key, replay = unhex(hop, "secret", "key", "replay")
        assert exchange_public_key(secret) == key
        opened = unwrap_cell(cell, secret, key)
        if after is None:
            assert opened == Last(replay, body)
        else:
            assert isinstance(opened, Forward) and opened.replay == replay
            assert opened.next_id.hex() == hop["next_id"] == after["id"]
            cell = seal_cell(board, opened.cell)


@each(CELLS)
def test_a_faulty_cell_is_dropped_by_its_first_relay(vector: Vector) -> None:
    cell, secret, key = unhex(vector, "cell", "secret", "key")
    assert vector["outcome"] == "dropped"
    is_size_or_tag = vector["rule"] == "K-1"
    assert is_of_board(board_of(vector), cell) is not is_size_or_tag
    assert is_size_or_tag or unwrap_cell(cell, secret, key) is None


@each(BODIES)
def test_a_body_says_what_its_vector_says(vector: Vector) -> None:
    match decode_body(*unhex(vector, "body")):
        case Piece(transfer, place, places, part):
            fields = {"transfer": transfer.hex(), "place": place, "places": places}
            assert vector["piece"] == {**fields, "part": part.hex()}
        case Loop(token):
            assert vector["loop"] == token.hex()
        case None:
            assert vector["outcome"] == "dropped"


def test_an_entry_is_cut_as_its_vector_says() -> None:
    vector = load("cells/entry.json")
    entry = WireEntry(*map(bytes.fromhex, vector["entry"]))
    [transfer] = unhex(vector, "transfer")
    bodies = [bytes.fromhex(body) for body in vector["bodies"]]
    assert cut(entry, transfer) == bodies
    pieces = [decode_body(body) for body in bodies]
    whole = [piece for piece in pieces if isinstance(piece, Piece)]
    assembly = Assembly()
    assert [assembly.add(piece, 0) for piece in reversed(whole)] == [None, None, entry]


@each(RECORDS)
def test_a_relay_record_comes_out_as_its_vector_says(vector: Vector) -> None:
    [raw] = unhex(vector, "record")

    def judge() -> None:
        record = decode_record(board_of(vector), raw, CURVE25519)
        assert (record.id.hex(), record.epoch) == (vector["id"], vector["epoch"])
        assert (record.key.hex(), list(record.address)) == (vector["key"], vector["address"])

    assert outcome_of(judge) == vector["outcome"]


def test_presence_tags_are_the_vectors() -> None:
    for case in load("presence.json")["cases"]:
        [salt] = unhex(case, "salt")
        assert presence_tag(board_of(case), salt).hex() == case["tag"]


def test_names_and_their_words_are_the_vectors() -> None:
    vector = load("names.json")
    assert (list(COLOURS), list(ANIMALS)) == (vector["colours"], vector["animals"])
    for case in vector["cases"]:
        assert persona_name(*unhex(case, "persona", "thread")) == case["name"]


# --- All of them ----------------------------------------------------------------------------------


def test_the_generator_writes_these_files_and_no_others() -> None:
    vectors = all_vectors()
    assert own_files() == set(vectors)
    for path, vector in vectors.items():
        assert (FOLDER / path).read_text(encoding="ascii") == text_of(vector), path


@pytest.mark.parametrize(
    "reason",
    [r for r in Reason if r.name.startswith(("ENTRY_", "BOARD_", "INVITE_", "RELAY_"))]
    + sorted(LINK_REASONS),
)
def test_each_reason_has_a_vector(reason: Reason) -> None:
    folders = {"ENTRY": [ENTRIES], "BOARD": [BOARDS], "INVITE": [INVITES], "RELAY": [RECORDS]}
    places = folders.get(reason.name.split("_")[0], [FIRST_MESSAGES, HELLOS, FRAMES])
    assert any(v["outcome"] == reason.slug for vectors in places for v in vectors.values())


def test_each_faulty_vector_has_a_valid_twin_in_the_same_world() -> None:
    for vectors in (ENTRIES, BOARDS, INVITES, BODIES, RECORDS, {**PATHS, **CELLS}):
        for name, vector in vectors.items():
            if vector["outcome"] != "valid":
                twin = vectors[vector["twin"]]
                assert twin["outcome"] == "valid", name
                assert all(twin.get(k) == vector.get(k) for k in ("board", "wall_s")), name


def test_no_two_vectors_are_the_same() -> None:
    for vectors in ALL:
        said = ("about", "rule", "twin", "outcome")
        cases = [str({k: v for k, v in one.items() if k not in said}) for one in vectors.values()]
        assert len(set(cases)) == len(cases)


def test_the_rules_that_vectors_name_are_in_the_specification() -> None:
    specification = (FOLDER.parent.parent / "SPEC.md").read_text(encoding="utf-8")
    for vectors in ALL:
        for name, vector in vectors.items():
            assert f"**[{vector['rule']}]**" in specification, name
