"""Rules of SPEC.md, each held by the least test that would notice its breach.

Here stand those that no module's own tests are about: the bytes that a second implementation would
have to agree on, computed another way, and what peers owe one another, seen from the wire.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from hashlib import blake2b, sha256, sha512

import nacl.bindings as sodium
import pytest
from noise.connection import NoiseConnection

from p2pboard.discovery import Discovery, decode_text, encode_text
from protocol import handshake, inputs, limits
from protocol.board import LOBBY, Board, decode_descriptor, encode_descriptor
from protocol.codec import encode
from protocol.crypto import is_signed
from protocol.directory import presence_tag
from protocol.effects import EntriesArrived, SendBytes
from protocol.entry import SALT_BYTES, Entry, decode_entry, entry_id, payload_hash
from protocol.errors import Reason, Refused
from protocol.index import EntryIndex
from protocol.messages import (
    Address,
    Announce,
    Answer,
    Ask,
    Bye,
    Entries,
    Hello,
    Message,
    Nudge,
    Peers,
    Ping,
    Pong,
    Want,
    decode_message,
    encode_body,
)
from protocol.persona import Persona, draft_post, persona_name
from protocol.reconcile import Initiator, respond
from protocol.words import ANIMALS, COLOURS
from tests.protocol.wired import (
    BOARD,
    LISTENING,
    WALL_S,
    Host,
    Speaker,
    item,
    many,
    of_kind,
    seeded,
    wire,
    written,
)

POST = written("a post")
ELSEWHERE = Address("10.9.9.9", 4000)


def refused_with(judge: Callable[[], object]) -> Reason | None:
    try:
        judge()
    except Refused as refused:
        return refused.reason
    return None


def hashed(person: bytes, key: bytes, message: bytes, size: int) -> bytes:
    """Section 5's hash, with the padding of the label spelled out."""
    return blake2b(message, key=key, digest_size=size, person=person.ljust(16, b"\0")).digest()


def heard(speaker: Speaker, kind: type[Message]) -> list[Message]:
    return [message for message in speaker.heard if isinstance(message, kind)]


# --- Encodings ------------------------------------------------------------------------------------


def heads(raw: bytes) -> Iterator[tuple[int, int, int]]:
    """Major type, argument and bytes of each head in an encoding without indefinite lengths."""
    at = 0
    while at < len(raw):
        major, size = raw[at] >> 5, {24: 1, 25: 2, 26: 4, 27: 8}.get(raw[at] & 31, 0)
        argument = int.from_bytes(raw[at + 1 : at + 1 + size], "big") if size else raw[at] & 31
        yield major, argument, size
        at += 1 + size + (argument if major in (2, 3) else 0)


def test_only_shortest_forms_of_six_types_are_written() -> None:
    """C-1."""
    long = [written("x" * length) for length in (1, 300, 8000)]
    bodies: list[Message] = [
        Hello(bytes(32), 65535, bytes(64)),
        Ask(bytes(70_000)),
        Announce([item(entry) for entry in many(30)]),
        Entries(2**32 - 1, False, [wire(entry)._replace(payload=None) for entry in long]),
        Entries(24, True, [wire(entry) for entry in long]),
        Peers([Address("fd00::1", 255)]),
    ]
    raws = [encode_descriptor(LOBBY), encode_descriptor(BOARD.descriptor), POST.raw]
    for raw in [*raws, *map(encode_body, bodies)]:
        for major, argument, size in heads(raw):
            assert major in (0, 2, 3, 4) or (major == 7 and argument in (20, 21, 22))
            assert size == 0 or argument >= (24, 2**8, 2**16, 0, 2**32)[size.bit_length() - 1]


def test_message_bodies_are_taken_in_any_well_formed_encoding() -> None:
    """C-3."""
    body = b"\x98\x02" + b"\x1a\x00\x00\x10\x67" + b"\x98\x01" + b"\x59\x00\x20" + bytes(32)
    assert decode_message(6, body) == Want(4199, [bytes(32)])


# --- Boards ---------------------------------------------------------------------------------------

FIELDS: list[object] = [1, "office", None, 30, 8192, 14, 1]


@pytest.mark.parametrize("raw", [b"", b"\x87", encode(1), encode([]), encode(FIELDS) + b"\0"])
def test_what_is_no_array_and_nothing_else_is_a_malformed_descriptor(raw: bytes) -> None:
    """B-1."""
    assert refused_with(lambda: decode_descriptor(raw)) is Reason.BOARD_MALFORMED


def test_a_descriptor_has_seven_fields_in_one_form() -> None:
    """B-3, C-3."""
    raw = encode(FIELDS)
    longer = raw.replace(b"\x18\x1e", b"\x19\x00\x1e")
    for wrong in (encode(FIELDS[:6]), encode([*FIELDS, None]), longer, b"\x98\x07" + raw[1:]):
        assert wrong != raw
        assert refused_with(lambda wrong=wrong: decode_descriptor(wrong)) is Reason.BOARD_MALFORMED


def test_a_boards_keys_follow_from_its_descriptor() -> None:
    """B-5."""
    board_id = hashed(b"p2pb board id", b"", encode_descriptor(BOARD.descriptor), 32)
    assert BOARD.id == board_id
    assert BOARD.tag == hashed(b"p2pb board tag", board_id, b"", 4)
    assert BOARD.link_psk == hashed(b"p2pb link psk", board_id, b"", 32)
    assert BOARD.discovery_key == hashed(b"p2pb discovery", board_id, b"", 32)
    assert BOARD.cell_key == hashed(b"p2pb cells", board_id, b"", 32)


def test_nothing_of_a_board_is_readable_on_the_wire() -> None:
    """B-6."""
    host = Host(stored=many(3))
    peer = host.meet(1)
    peer.say(Want(1, [entry.id for entry in many(3)]))
    host.work()
    shown = b"".join(salt for a in host.advertised for salt in (a.salt, *a.tags))
    keys = (BOARD.id, BOARD.tag, BOARD.link_psk, BOARD.discovery_key, BOARD.cell_key)
    for secret in (*keys, b"test", b"entry 0"):
        assert secret not in peer.wire_heard + shown


def test_the_lobby_is_the_same_everywhere() -> None:
    """B-7."""
    assert encode_descriptor(LOBBY) == bytes.fromhex("8701656c6f626279f6181e1920000e01")
    assert Board.of(LOBBY).id.hex()[:16] == "23c0967a9f58693f"


# --- Personas -------------------------------------------------------------------------------------


def test_a_name_is_two_bytes_of_a_hash() -> None:
    """P-3."""
    for number in range(20):
        key, thread = bytes([number]) * 32, bytes([number + 100]) * 32
        colour, animal = hashed(b"p2pb name", key, thread, 2)
        assert persona_name(key, thread) == f"{COLOURS[colour % 64]} {ANIMALS[animal % 64]}"


def test_the_lists_of_words_stay_as_they_are() -> None:
    """P-4."""
    digest = sha256(" ".join(COLOURS + ANIMALS).encode()).hexdigest()
    assert digest[:32] == "16418649236f20432a95bbaaf8849654"


# --- Entries --------------------------------------------------------------------------------------


def test_an_id_is_a_hash_under_the_board() -> None:
    """E-1."""
    assert POST.id == entry_id(BOARD, POST.raw) == hashed(b"p2pb entry id", BOARD.id, POST.raw, 32)
    payload = POST.payload or b""
    assert payload_hash(BOARD, payload) == hashed(b"p2pb payload", BOARD.id, payload, 32)
    assert POST.header.payload_hash == payload_hash(BOARD, payload)


def test_a_payload_is_fresh_salt_and_the_text() -> None:
    """E-2."""
    random_bytes = seeded("salt")
    persona = Persona.fresh(random_bytes)
    first, second = (
        draft_post(BOARD, persona, "täglich", None, WALL_S, random_bytes).payload or b""
        for _ in range(2)
    )
    assert first[SALT_BYTES:] == second[SALT_BYTES:] == "täglich".encode()
    assert len(first) == 16 + len("täglich".encode()) and first[:16] != second[:16]


def stray() -> list[Entry]:
    """Valid entries of which nothing else is known: a gap, a fork, an unknown thread."""
    persona = Persona.fresh(seeded("stray"))
    gap = Persona(persona.seed, persona.public_key, bytes(32), 7, bytes([1]) * 32)
    return [
        written("gap", persona=gap, parent=bytes([2]) * 32),
        written("fork", persona=gap, parent=bytes([3]) * 32),
    ]


def test_gaps_forks_and_unknown_parents_are_no_faults() -> None:
    """E-21, E-27."""
    host = Host()
    peer = host.meet(1)
    for entry in reversed(stray()):
        assert decode_entry(BOARD, *wire(entry), WALL_S) == entry
        peer.bring(entry)
    host.work()
    assert set(host.disk) == {entry.id for entry in stray()}
    assert peer.reason is None


def test_an_entry_without_its_payload_is_kept_and_served() -> None:
    """E-24."""
    forgotten = POST._replace(payload=None)
    host = Host(stored=[forgotten])
    peer = host.meet(1)
    peer.say(Want(1, [POST.id]))
    host.work()
    assert heard(peer, Entries) == [Entries(1, True, [wire(forgotten)])]


#: The order of Ed25519's base point, and a point of order eight (RFC 8032 section 5.1).
ORDER = 2**252 + 27742317777372353535851937790883648493
TORSION = bytes.fromhex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a")


def signature_of(secret: int, public_key: bytes, commitment: int, shift: bytes | None) -> bytes:
    """An Ed25519 signature of the post's id, its R moved by a point of small order."""
    r = sodium.crypto_scalarmult_ed25519_base_noclamp(commitment.to_bytes(32, "little"))
    if shift is not None:
        r = sodium.crypto_core_ed25519_add(r, shift)
    challenge = int.from_bytes(sha512(r + public_key + POST.id).digest(), "little")
    return r + ((commitment + challenge * secret) % ORDER).to_bytes(32, "little")


def test_signatures_on_which_libraries_differ_are_refused() -> None:
    """E-20: two nodes that judged them differently would disagree about the set."""
    secret = 0x1234567890ABCDEF
    key = sodium.crypto_scalarmult_ed25519_base_noclamp(secret.to_bytes(32, "little"))
    plain = signature_of(secret, key, 77, None)
    larger = (int.from_bytes(plain[32:], "little") + ORDER).to_bytes(32, "little")
    identity = b"\x01" + bytes(31)
    cases = [
        (key, plain, True),
        (key, signature_of(secret, key, 77, TORSION), False),
        (key, plain[:32] + larger, False),
        (identity, signature_of(0, identity, 77, None), False),
        (TORSION, signature_of(0, TORSION, 77, None), False),
    ]
    for public_key, signature, is_right in cases:
        assert is_signed(public_key, POST.id, signature) is is_right


# --- Links ----------------------------------------------------------------------------------------


def test_another_implementation_of_noise_is_a_member() -> None:
    """L-1, L-2, L-19."""
    noise = NoiseConnection.from_name(b"Noise_NNpsk0_25519_ChaChaPoly_BLAKE2b")
    noise.set_psks(psk=BOARD.link_psk)
    noise.set_prologue(b"p2pboard link 1")
    noise.set_as_initiator()
    noise.start_handshake()
    tag = hashed(b"p2pb dest", BOARD.link_psk, bytes([10, 0, 0, 1]) + (4000).to_bytes(2, "big"), 16)
    payload = b"\x01" + (WALL_S // 60).to_bytes(5, "big") + tag + bytes(26)
    first = bytes(noise.write_message(payload))
    host = Host()
    host.feed(inputs.LinkOpened(1, Address("10.0.0.9", 50_000), LISTENING))
    sent = of_kind(host.feed(inputs.BytesReceived(1, first)), SendBytes)
    answer = b"".join(effect.data for effect in sent if isinstance(effect, SendBytes))
    assert len(first) == 96 and answer[96:98] == (510).to_bytes(2, "big")
    assert noise.read_message(answer[:96]) == bytes(48)
    stream = noise.decrypt(answer[98:])
    hello = decode_message(stream[5], bytes(stream[6:110]))
    assert isinstance(hello, Hello) and hello.port == LISTENING.port
    assert hello.instance == host.node.boards[BOARD.id].instance
    proven = hashed(b"p2pb instance", b"", b"\x02" + noise.get_handshake_hash(), 32)
    assert is_signed(hello.instance, proven, hello.proof)


def test_each_connection_has_ephemeral_keys_of_its_own() -> None:
    """L-1."""
    host = Host()
    first, second = host.meet(1), host.meet(2)
    assert first.wire_heard[:32] != second.wire_heard[:32]


@pytest.mark.parametrize(
    ("host", "packed"),
    [
        ("10.0.0.1", bytes([10, 0, 0, 1])),
        ("::ffff:10.0.0.1", bytes([10, 0, 0, 1])),
        ("fd00::1", b"\xfd" + bytes(14) + b"\x01"),
        ("fe80::1%eth0", b"\xfe\x80" + bytes(13) + b"\x01"),
    ],
)
def test_both_ends_name_an_address_alike(host: str, packed: bytes) -> None:
    """L-4."""
    assert handshake.packed_host(host) == packed


def test_a_fault_ends_its_own_link_only() -> None:
    """L-15, L-16."""
    host = Host()
    good = host.meet(1)
    faults = [b"\x00\x00\x00\xff", b"\xff\xff\xff\x02", bytes.fromhex("0000010a00")]
    for link, stream in enumerate(faults, 2):
        bad = host.meet(link)
        bad.say_stream(stream)
        assert bad.reason is not None and bad.heard[-1] == Bye(bad.reason)
    assert good.reason is None
    good.say(Ping())
    assert Pong() in good.heard


# --- Messages -------------------------------------------------------------------------------------


def test_after_bye_nothing_is_said() -> None:
    """M-5."""
    for number, understood in ((14, Reason.LINK_LEAVING), (255, Reason.LINK_LOST)):
        host = Host()
        peer = host.meet(1)
        effects = peer.say(Bye(number))
        assert of_kind(effects, SendBytes) == [] and host.hung_up[1] is understood


# --- Reconciliation -------------------------------------------------------------------------------


def test_what_is_durable_is_reconciled_by_bucket_and_id() -> None:
    """R-1, T-1."""
    stored = [written(f"{n}", wall_s=WALL_S - 600 * (n % 3)) for n in range(9)]
    host = Host(stored=stored, outbox=(written("own"),))
    peer = host.meet(1)
    peer.bring(written("arriving"))
    peer.say(Ask(Initiator(EntryIndex()).start()))
    [answer] = heard(peer, Answer)
    assert isinstance(answer, Answer)
    in_order = sorted((entry.header.bucket * 600, entry.id) for entry in stored)
    ids = b"".join(identifier for _, identifier in in_order)
    assert answer.step == b"\x61\x00\x00\x02\x09" + ids


def asks(speaker: Speaker) -> int:
    return len(heard(speaker, Ask))


def test_the_dialler_asks_at_once_and_again_and_a_listener_when_nudged() -> None:
    """R-2."""
    host = Host(addresses=(ELSEWHERE,))
    dialled, accepted = host.reach(1, ELSEWHERE), host.meet(2)
    assert (asks(dialled), asks(accepted)) == (1, 0)
    dialled.say(Nudge())
    assert asks(dialled) == 1
    accepted.say(Nudge())
    assert asks(accepted) == 1
    for peer in (dialled, accepted):
        peer.say(Answer(b"\x61"))
    for _ in range(6):
        host.pass_ms(20_000)
        for peer in (dialled, accepted):
            peer.say(Pong())
    assert (asks(dialled), asks(accepted)) == (2, 1)


def test_answers_need_a_question_and_asks_none() -> None:
    """R-3."""
    host = Host(stored=[POST])
    peer = host.meet(1)
    for _ in range(3):
        peer.say(Ask(Initiator(EntryIndex()).start()))
    assert len(heard(peer, Answer)) == 3
    peer.say(Answer(b"\x61"))
    assert peer.reason is Reason.LINK_MESSAGE_UNEXPECTED


def test_an_exchange_without_end_is_ended() -> None:
    """R-13."""
    host = Host(addresses=(ELSEWHERE,))
    peer = host.reach(1, ELSEWHERE)
    host.node.links[1].rounds = limits.RECONCILE_ROUNDS_MAX
    peer.say(Answer(b"\x61"))
    assert peer.reason is Reason.RECONCILE_ROUNDS
    assert limits.RECONCILE_ROUNDS_MAX == 65_536


def test_the_next_question_waits_while_much_is_left_to_fetch() -> None:
    """R-13, T-2."""
    host = Host(addresses=(ELSEWHERE,))
    peer = host.reach(1, ELSEWHERE)
    theirs = EntryIndex()
    for number in range(20_000):
        theirs.insert(WALL_S + number, sha256(number.to_bytes(4, "big")).digest())
    rounds = 0
    while question := heard(peer, Ask):
        assert isinstance(question[0], Ask)
        wants = heard(peer, Want)
        peer.heard.clear()
        peer.heard += wants
        peer.say(Answer(respond(theirs, question[0].step, limits.RECONCILE_BYTES_MAX)))
        rounds += 1
    assert host.node.boards[BOARD.id].fetcher.queued(1) >= limits.WANTED_LOW
    wants = heard(peer, Want)
    assert len(wants) == limits.REQUESTS_PER_LINK_MAX and rounds < 20
    assert all(isinstance(want, Want) and len(want.ids) == 256 for want in wants)


# --- Transfer -------------------------------------------------------------------------------------


def test_a_payload_that_comes_late_is_announced_and_asked_for() -> None:
    """T-11."""
    host = Host(stored=[POST._replace(payload=None)], lacking=(POST.id,))
    giver, other = host.meet(1), host.meet(2)
    giver.say(Entries(1, True, [wire(POST)]))
    host.work()
    host.pass_ms(100)
    assert host.disk[POST.id] == POST
    assert heard(other, Announce) == [Announce([item(POST)])] and heard(giver, Announce) == []
    assert any(isinstance(event, EntriesArrived) for event in host.events)
    lacking = Host(stored=[POST._replace(payload=None)])
    peer = lacking.meet(1)
    peer.say(Announce([item(POST)]))
    assert heard(peer, Want) == []
    lacking.node.boards[BOARD.id]._lacking[POST.id] = None
    peer.say(Announce([item(POST)]))
    assert len(heard(peer, Want)) == 1


# --- Discovery ------------------------------------------------------------------------------------


def test_a_tag_is_a_hash_of_the_salt() -> None:
    """D-2."""
    salt = bytes(range(16))
    assert presence_tag(BOARD, salt) == hashed(b"p2pb presence", BOARD.discovery_key, salt, 8)


def reach_all(host: Host, count: int) -> list[Speaker]:
    """A peer answers each dial."""
    peers = []
    for link in range(1, count + 1):
        peers.append(host.reach(link, host.dials[link - 1].address))
        host.pass_ms(100)
    return peers


def test_so_many_are_dialled_and_no_more() -> None:
    """D-6."""
    host = Host(addresses=tuple(Address(f"10.0.0.{number}", 4000) for number in range(20, 40)))
    assert len(host.dials) == limits.DIALS_AT_ONCE_MAX == 4
    reach_all(host, 8)
    host.pass_ms(10_000)
    assert len(host.dials) == limits.LINKS_DIALLED_TARGET == 8
    for number in range(1, 13):
        host.feed(inputs.AddressGiven(Address(f"10.5.0.{number}", 4000)))
    for link in range(9, 15):
        if len(host.dials) < link:
            host.pass_ms(10_000)
        host.reach(link, host.dials[link - 1].address)
    host.pass_ms(10_000)
    assert len(host.dials) == limits.LINKS_DIALLED_MAX == 14


def test_peers_are_told_of_those_who_listen() -> None:
    """D-5."""
    host = Host(addresses=(ELSEWHERE,))
    host.reach(1, ELSEWHERE)
    host.meet(2, remote=Address("10.0.0.22", 50_000), port=4022)
    host.meet(3, remote=Address("10.0.0.33", 50_000), port=0)
    asking = Speaker(host, 4)
    asking.dial()
    asking.greet()
    [told] = heard(asking, Peers)
    assert isinstance(told, Peers)
    assert set(told.addresses) == {ELSEWHERE, Address("10.0.0.22", 4022)}


def test_a_presence_record_says_salt_and_tags_and_nothing_else() -> None:
    """D-2, D-4."""
    shown = Host().advertised[-1]
    record = encode_text(shown.salt, shown.tags)
    assert record == {b"v": b"1", b"s": shown.salt, b"t": b"".join(shown.tags)}
    assert decode_text(record) == (shown.salt, shown.tags)
    for key, wrong in ((b"v", b"2"), (b"v", None), (b"s", bytes(15)), (b"t", bytes(9))):
        assert decode_text(record | {key: wrong}) is None


async def test_names_on_the_lan_are_random_at_each_start() -> None:
    """D-1."""
    first, second = (Discovery(4000, lambda found: None, lambda line: None) for _ in range(2))
    names = [*(each._instance for each in (first, second)), *(d._host for d in (first, second))]
    assert len(set(names)) == 4
    assert all(re.fullmatch(r"[0-9a-f]{16}\.(_p2pboard\._tcp\.)?local\.", name) for name in names)
