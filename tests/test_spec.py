"""SPEC.md and the code say the same: its tables, its examples, and a test for each rule."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from protocol import limits
from protocol.board import (
    LOBBY,
    Board,
    Descriptor,
    Invite,
    decode_descriptor,
    decode_invite,
    encode_descriptor,
    encode_invite,
)
from protocol.cells import ROUTING_BYTES, Last, build_cell, unwrap_cell
from protocol.crypto import (
    CURVE25519,
    exchange_public_key,
    is_signed,
    plain_hash,
    signing_public_key,
)
from protocol.directory import presence_tag
from protocol.entry import Entry, Kind, check_signature, decode_entry, payload_text
from protocol.errors import Reason
from protocol.frames import (
    CLOSINGS,
    FrameOpener,
    FrameSealer,
    MessageSplitter,
    encode_message,
)
from protocol.handshake import begin, first_payload, prove_instance, second_payload
from protocol.index import EMPTY_FINGERPRINT, EntryIndex, encode_varint
from protocol.messages import (
    Address,
    Announce,
    Answer,
    Ask,
    Bye,
    Entries,
    Hello,
    MessageKind,
    Nudge,
    Peers,
    Ping,
    Pong,
    RelayRecords,
    Want,
    WireEntry,
    decode_message,
    encode_body,
    kind_of,
)
from protocol.noise import CipherState
from protocol.persona import persona_name
from protocol.pieces import loop_body
from protocol.reconcile import Initiator, respond
from protocol.relays import decode_record, is_timely
from protocol.words import ANIMALS, COLOURS

ROOT = Path(__file__).parents[1]
SPEC = (ROOT / "SPEC.md").read_text(encoding="utf-8")
RULES = re.findall(r"\*\*\[([A-Z]-\d+)\]\*\*", SPEC)
#: A rule where it is named.
RULE = r"\b[BCDEFIKLMOPRSTXY]-\d+\b"
WALL_S = 1_790_000_400
HERE = Address("192.0.2.7", 4711)


def section(title: str) -> str:
    """The text from a heading that ends in ``title`` to the next heading."""
    found = re.search(rf"^#+ [\d.]* ?{re.escape(title)}\n(.*?)(?=^#+ )", SPEC, re.M | re.S)
    assert found, f"no section {title!r}"
    return found[1]


def rows(text: str) -> Iterator[list[str]]:
    """The cells of each table row, code marks taken off; no heading rows."""
    lines = re.findall(r"^\|.*\|$", text, re.M)
    for before, line in pairwise(["", *lines]):
        if not set(line) <= set("|-: ") and not line.startswith("| name |") and before != line:
            cells = re.split(r"(?<!\\)\|", line.strip("|"))
            yield [cell.strip().strip("`") for cell in cells]


def example(name: str) -> bytes:
    """The bytes of a worked example, its comments taken off."""
    return b"".join(parts(name))


def parts(name: str) -> list[bytes]:
    """The same, one piece for each comment."""
    found = re.search(rf"<!-- example: {name} -->\n```hex\n(.*?)```", SPEC, re.S)
    assert found, f"no example {name!r}"
    pieces = re.findall(r"([0-9a-f\s]+?)\s*;[^\n]*\n", found[1])
    return [bytes.fromhex(piece) for piece in pieces]


def link_of_the_example() -> str:
    found = re.search(r"<!-- example: invite-link -->\n```text\n(\S+)\n```", SPEC)
    assert found
    return found[1]


BOARD = Board.of(decode_descriptor(example("descriptor")))


# --- The rules ------------------------------------------------------------------------------------


def test_each_rule_has_a_number_of_its_own_and_none_is_left_out() -> None:
    assert len(set(RULES)) == len(RULES) > 100
    for letter in {rule[0] for rule in RULES}:
        numbers = sorted(int(rule[2:]) for rule in RULES if rule[0] == letter)
        assert numbers == list(range(1, len(numbers) + 1)), letter


def named_in_tests() -> set[str]:
    named = set()
    for path in (ROOT / "tests").rglob("*.py"):
        if path.name != Path(__file__).name:
            named |= set(re.findall(RULE, path.read_text(encoding="utf-8")))
    return named


def test_each_rule_is_named_by_a_test() -> None:
    assert sorted(set(RULES) - named_in_tests()) == []


def test_tests_name_no_rule_that_is_not_there() -> None:
    assert sorted(named_in_tests() - set(RULES)) == []


def test_text_refers_to_no_rule_that_is_not_there() -> None:
    assert set(re.findall(RULE, SPEC)) == set(RULES)


# --- The tables -----------------------------------------------------------------------------------


def test_registry_has_each_reason_with_its_number_and_slug() -> None:
    listed = [
        (int(cells[0]), cells[1])
        for cells in rows(section("Registry of reasons"))
        if cells[0].isdigit()
    ]
    assert listed == [(int(reason), reason.slug) for reason in Reason]


def names_of_limits() -> list[str]:
    tree = ast.parse(Path(limits.__file__).read_text(encoding="utf-8"))
    return [
        target.id
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    ]


def test_table_of_limits_has_each_with_the_value_of_the_code() -> None:
    listed = list(rows(section("Timers and limits")))
    assert [cells[0] for cells in listed] == names_of_limits()
    for name, value, noticed_by, meaning in listed:
        told = tuple(int(number) for number in re.findall(r"\d+", value))
        coded = getattr(limits, name)
        assert told == (coded if isinstance(coded, tuple) else (coded,)), name
        assert noticed_by in ("peer", "local") and meaning


def labels_of_the_code() -> set[str]:
    return {
        node.value.decode("ascii")
        for path in (ROOT / "protocol").glob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant)
        and isinstance(node.value, bytes)
        and node.value.startswith(b"p2pb")
    }


def test_table_of_labels_has_those_of_the_code_and_no_other() -> None:
    listed = [cells[0] for cells in rows(section("Cryptography")) if cells[0].startswith("p2pb")]
    assert sorted(listed) == sorted(labels_of_the_code())
    # BLAKE2b has room for 16 bytes; the prologue goes elsewhere.
    assert all(len(label) <= 16 for label in listed)


def test_table_of_messages_has_each_kind() -> None:
    listed = [(int(cells[0]), cells[1]) for cells in rows(section("Table")) if cells[0].isdigit()]
    assert listed == [(int(kind), kind.name.lower()) for kind in MessageKind]


def test_table_of_closings_is_the_code_s() -> None:
    found = re.findall(
        r"^\| (\d+) \| (\d+) × (\d+) \|$", section("How a sender chooses sizes"), re.M
    )
    listed = [(int(fits), int(size), int(count)) for fits, count, size in found]
    assert listed == list(CLOSINGS)


def test_lists_of_words_are_the_code_s() -> None:
    """P-4."""
    lists = re.findall(r"```words\n(.*?)```", SPEC, re.S)
    assert [tuple(words.split()) for words in lists] == [COLOURS, ANIMALS]
    assert len(set(COLOURS)) == len(set(ANIMALS)) == 64


# --- The examples ---------------------------------------------------------------------------------


def test_example_of_a_descriptor() -> None:
    descriptor = Descriptor("tea kitchen", secret=bytes(range(32)), work_bits=8)
    assert decode_descriptor(example("descriptor")) == descriptor
    assert encode_descriptor(descriptor) == example("descriptor")
    keys = [BOARD.id, BOARD.tag, BOARD.link_psk, BOARD.discovery_key, BOARD.cell_key]
    assert parts("board-keys") == keys


def test_example_of_the_lobby() -> None:
    assert encode_descriptor(LOBBY) == example("lobby")
    assert Board.of(LOBBY).id == example("lobby-id")


def test_example_of_an_invite() -> None:
    invite = Invite(BOARD.descriptor, (str(HERE),))
    assert encode_invite(invite) == link_of_the_example()
    assert decode_invite(link_of_the_example()) == invite
    framed = example("invite-bytes")
    assert plain_hash(b"p2pb invite", framed[:-4], 4) == framed[-4:] == parts("invite-bytes")[-1]


def example_post() -> Entry:
    return decode_entry(
        BOARD, example("header"), example("entry-signature"), example("payload"), WALL_S
    )


def example_retraction() -> Entry:
    wire = Entries(*decode_message(*message("entries"))).entries[0]
    return decode_entry(BOARD, *wire, WALL_S)


def test_example_of_a_post() -> None:
    post = example_post()
    check_signature(post)
    assert post.id == example("entry-id")
    assert post.header.persona == signing_public_key(bytes([1]) * 32)
    assert payload_text(post.payload or b"") == "Is the tea really free?"
    assert f"`{persona_name(post.header.persona, post.thread)}`" in section("Personas and names")


def test_example_of_a_retraction() -> None:
    retraction = example_retraction()
    check_signature(retraction)
    assert retraction.raw == example("retraction")
    assert retraction.header.kind == Kind.RETRACT
    assert retraction.header.parent == retraction.header.prev == example_post().id


def test_example_of_a_handshake() -> None:
    payload = first_payload(BOARD, HERE, WALL_S)
    assert payload == example("first-payload")
    dialler = begin(BOARD, True, lambda size: bytes([2]) * size)
    listener = begin(BOARD, False, lambda size: bytes([3]) * size)
    assert dialler.write_message(payload) == example("first-message")
    assert listener.read_message(example("first-message")) == payload
    assert listener.write_message(second_payload()) == example("second-message")
    assert dialler.read_message(example("second-message")) == second_payload()
    assert dialler.handshake_hash == listener.handshake_hash == example("handshake-hash")
    for cipher, key in zip(dialler.split(), parts("link-keys"), strict=True):
        assert cipher.encrypt(b"") == CipherState(key).encrypt(b"")


def example_hello() -> Hello:
    """Of the listener of the handshake."""
    seed = bytes([4]) * 32
    proof = prove_instance(seed, False, example("handshake-hash"))
    return Hello(signing_public_key(seed), HERE.port, proof)


def test_example_of_a_proof() -> None:
    role, handshake_hash, proven = parts("instance")
    assert (role, handshake_hash) == (b"\x02", example("handshake-hash"))
    assert plain_hash(b"p2pb instance", role + handshake_hash) == proven
    assert is_signed(example_hello().instance, proven, example_hello().proof)


def test_example_of_a_frame() -> None:
    key = parts("link-keys")[0]
    stream = FrameOpener(CipherState(key)).feed(example("frame"))
    assert stream == example("message-ping")
    assert FrameSealer(CipherState(key)).seal(stream) == example("frame")


def message(name: str) -> tuple[int, bytes]:
    (split,) = MessageSplitter(limits.MESSAGE_BODY_BYTES_MAX).feed(example(f"message-{name}"))
    return split


def test_example_of_each_message() -> None:
    post, retraction = example_post(), example_retraction()
    wire = WireEntry(retraction.raw, retraction.signature, b"")
    expected = [
        example_hello(),
        Ask(example("reconcile-first")),
        Answer(example("reconcile-answer")),
        Nudge(),
        Announce([(post.header.bucket, post.id)]),
        Want(7, [post.id]),
        Entries(7, True, [wire]),
        Peers([HERE]),
        Ping(),
        Pong(),
        Bye(Reason.LINK_LEAVING),
        RelayRecords([example("relay")]),
    ]
    assert [kind_of(each) for each in expected] == list(MessageKind)
    for each in expected:
        name = kind_of(each).name.lower()
        assert decode_message(*message(name)) == each
        assert encode_message(kind_of(each), encode_body(each)) == example(f"message-{name}")


def test_example_of_a_relay_record() -> None:
    record = decode_record(BOARD, example("relay"), CURVE25519)
    assert record.key == exchange_public_key(bytes([5]) * 32)
    assert record.address == HERE and is_timely(record, WALL_S)
    assert parts("relay-id") == [record.id]


def test_example_of_a_cell() -> None:
    """One relay: the record of the example, whose secret key is 32 bytes of 05."""
    secret, relay = bytes([5]) * 32, decode_record(BOARD, example("relay"), CURVE25519)
    draws = iter([bytes([6]) * 32, bytes([7]) * (ROUTING_BYTES - 1)])
    cell = build_cell(BOARD, [relay.hop], loop_body(bytes(16)), lambda size: next(draws))
    assert cell == example("cell")
    opened = unwrap_cell(cell, secret, relay.key)
    assert opened == Last(parts("cell-replay")[0], loop_body(bytes(16)))


def test_table_of_paces_is_the_code_s() -> None:
    listed = list(rows(section("The mix")))[1:]
    told = [tuple(int(re.sub(r"\D", "", cell)) for cell in cells[1:]) for cells in listed]
    assert told == list(zip(limits.PACE_EMIT_MS, limits.PACE_DELAY_MS, strict=True))


def test_example_of_reconciling() -> None:
    index = EntryIndex()
    for entry in (example_post(), example_retraction()):
        index.insert(entry.timestamp, entry.id)
    initiator = Initiator(EntryIndex())
    assert initiator.start() == example("reconcile-first")
    assert respond(index, example("reconcile-first")) == example("reconcile-answer")
    step = initiator.receive(example("reconcile-answer"))
    assert (step.reply, set(step.need)) == (None, {example_post().id, example_retraction().id})
    assert index.fingerprint() == example("fingerprint")
    assert example("empty-fingerprint") == EMPTY_FINGERPRINT
    assert parts("varints") == [encode_varint(value) for value in (0, 127, 128, 2**64 - 1)]


def test_example_of_presence() -> None:
    salt, tag = parts("presence")
    assert presence_tag(BOARD, salt) == tag


@pytest.mark.parametrize("folder", re.findall(r"^\| `(\w[\w.-]+/?)` \|", section("Vectors"), re.M))
def test_vectors_that_the_text_names_are_there(folder: str) -> None:
    assert (ROOT / "tests" / "vectors" / folder).exists()
