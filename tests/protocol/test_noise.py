"""Noise is held from three sides: published vectors, a second implementation, and damage.

The vectors are those of the Noise community's collection that name our cipher and our patterns;
the second implementation is the ``noiseprotocol`` package.
"""

from __future__ import annotations

import itertools
import json
import random
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from noise.connection import Keypair, NoiseConnection

from protocol.errors import Misuse, Reason, Refused
from protocol.noise import MESSAGE_BYTES_MAX, PATTERNS, CipherState, HandshakeState

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "noise.json").read_text())["vectors"]
PSK = bytes(range(32))
OTHER_PSK = bytes(range(1, 33))
PROLOGUE = b"p2pboard"

#: Every u-coordinate below 2**255 whose product with any clamped scalar is zero (RFC 7748 section
#: 6.1): 0, 1, the two points of order eight and p - 1; p and p + 1 are 0 and 1 unreduced.
P = 2**255 - 19
ORDER_8 = (
    325606250916557431795983626356110631294008115727848805560023387167927233504,
    39382357235489614581723060781553021112529911719440698176882885853963445705823,
)
LOW_ORDER = [u.to_bytes(32, "little") for u in (0, 1, *ORDER_8, P - 1, P, P + 1)]


def vector_handshake(vector: dict, side: str) -> HandshakeState:
    _, pattern, _, _, hash_name = vector["protocol_name"].split("_")
    ephemeral = bytes.fromhex(vector[f"{side}_ephemeral"])
    return HandshakeState(
        pattern,
        side == "init",
        bytes.fromhex(vector[f"{side}_prologue"]),
        [bytes.fromhex(psk) for psk in vector.get(f"{side}_psks", [])],
        lambda size: ephemeral,
        hash_name,
    )


def handshake(
    initiator: bool, psk: bytes = PSK, *, seed: int = 0, prologue: bytes = PROLOGUE
) -> HandshakeState:
    generator = random.Random(f"{initiator} {seed}")
    return HandshakeState("NNpsk0", initiator, prologue, [psk], generator.randbytes)


def complete_pair() -> tuple[HandshakeState, HandshakeState]:
    initiator, responder = handshake(True), handshake(False)
    responder.read_message(initiator.write_message())
    initiator.read_message(responder.write_message())
    return initiator, responder


def assert_refused(state: HandshakeState, message: bytes) -> None:
    with pytest.raises(Refused) as refused:
        state.read_message(message)
    assert refused.value.reason is Reason.LINK_HANDSHAKE


# --- Vectors --------------------------------------------------------------------------------------


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["protocol_name"])
def test_both_sides_speak_every_vector_to_the_byte(vector):
    """L-1."""
    sides = [vector_handshake(vector, "init"), vector_handshake(vector, "resp")]
    messages = [
        (bytes.fromhex(m["payload"]), bytes.fromhex(m["ciphertext"])) for m in vector["messages"]
    ]
    for number, (payload, message) in enumerate(messages[:2]):
        writer, reader = sides[number % 2], sides[1 - number % 2]
        assert writer.is_own_turn and not reader.is_own_turn
        assert writer.write_message(payload) == message
        assert reader.read_message(message) == payload
    for side in sides:
        assert side.is_complete and not side.is_own_turn
        assert side.handshake_hash.hex() == vector["handshake_hash"]
    ciphers = [side.split() for side in sides]
    assert len(messages) > 2
    for number, (payload, message) in enumerate(messages[2:]):
        (send, _), (_, receive) = ciphers[number % 2], ciphers[1 - number % 2]
        assert send.encrypt(payload) == message
        assert receive.decrypt(message) == payload


def test_the_vectors_cover_every_pattern_in_the_table():
    assert {vector["protocol_name"].split("_")[1] for vector in VECTORS} == set(PATTERNS)


# --- A second implementation ----------------------------------------------------------------------


def their_handshake(initiator: bool, secret: bytes) -> NoiseConnection:
    theirs = NoiseConnection.from_name(b"Noise_NNpsk0_25519_ChaChaPoly_BLAKE2b")
    theirs.set_psks(PSK)
    theirs.set_prologue(PROLOGUE)
    theirs.set_as_initiator() if initiator else theirs.set_as_responder()
    theirs.set_keypair_from_private_bytes(Keypair.EPHEMERAL, secret)
    theirs.start_handshake()
    return theirs


payloads = st.binary(max_size=300)


@pytest.mark.filterwarnings("ignore:One of ephemeral keypairs")
@settings(max_examples=20, deadline=None)
@given(
    initiator=st.booleans(),
    seed=st.integers(0, 2**32),
    handshake_payloads=st.tuples(payloads, payloads),
    transport_payloads=st.lists(st.tuples(payloads, payloads, st.booleans()), max_size=6),
)
def test_the_second_implementation_understands_us_in_both_roles(
    initiator, seed, handshake_payloads, transport_payloads
):
    ours = handshake(initiator, seed=seed)
    theirs = their_handshake(not initiator, random.Random(seed).randbytes(32))
    for payload in handshake_payloads:
        if ours.is_own_turn:
            assert theirs.read_message(ours.write_message(payload)) == payload
        else:
            assert ours.read_message(bytes(theirs.write_message(payload))) == payload
    assert ours.handshake_hash == theirs.get_handshake_hash()
    send, receive = ours.split()
    for from_us, from_them, is_rekeyed in transport_payloads:
        assert theirs.decrypt(send.encrypt(from_us)) == from_us
        assert receive.decrypt(theirs.encrypt(from_them)) == from_them
        if is_rekeyed:
            send.rekey()
            receive.rekey()
            theirs.rekey_inbound_cipher()
            theirs.rekey_outbound_cipher()


# --- Damage to the handshake ----------------------------------------------------------------------


def test_a_first_message_under_another_key_is_refused():
    assert_refused(handshake(False, OTHER_PSK), handshake(True).write_message(b"hello"))


def test_a_first_message_with_another_prologue_is_refused():
    """L-1."""
    message = handshake(True, prologue=b"another").write_message(b"hello")
    assert_refused(handshake(False), message)


def test_a_flipped_bit_anywhere_in_the_first_message_is_refused():
    message = handshake(True).write_message(b"hello")
    for bit in range(8 * len(message)):
        assert_refused(handshake(False), flip(message, bit))


def test_a_flipped_bit_anywhere_in_the_second_message_is_refused():
    responder = handshake(False)
    responder.read_message(handshake(True).write_message())
    message = responder.write_message(b"hello")
    for bit in range(8 * len(message)):
        initiator = handshake(True)
        initiator.write_message()
        assert_refused(initiator, flip(message, bit))


def flip(message: bytes, bit: int) -> bytes:
    flipped = bytearray(message)
    flipped[bit // 8] ^= 1 << bit % 8
    return bytes(flipped)


def test_a_truncated_or_lengthened_message_is_refused():
    message = handshake(True).write_message(b"hello")
    for size in range(len(message)):
        assert_refused(handshake(False), message[:size])
    assert_refused(handshake(False), message + b"\0")


def test_a_message_longer_than_any_of_noise_is_refused_whatever_it_says():
    for size, is_too_long in ((MESSAGE_BYTES_MAX, False), (MESSAGE_BYTES_MAX + 1, True)):
        # Without a key, any message of an allowed size is a public key and a payload.
        state = HandshakeState("NN", False, b"", [], random.Random(0).randbytes)
        if is_too_long:
            assert_refused(state, bytes(size))
        else:
            assert state.read_message(bytes(size)) == bytes(size - 32)


def test_a_first_message_replayed_to_its_writer_is_refused():
    initiator = handshake(True)
    message = initiator.write_message()
    assert_refused(initiator, message)


@settings(max_examples=100, deadline=None)
@given(pattern=st.sampled_from(sorted(PATTERNS)), message=st.binary(max_size=200))
def test_arbitrary_bytes_give_a_payload_or_the_documented_refusal(pattern, message):
    psks = [PSK] if "psk" in pattern else []
    state = HandshakeState(pattern, False, b"", psks, random.Random(0).randbytes)
    try:
        state.read_message(message)
    except Refused as refused:
        assert refused.reason is Reason.LINK_HANDSHAKE


@pytest.mark.parametrize("point", LOW_ORDER, ids=bytes.hex)
def test_a_low_order_point_is_refused_by_the_initiator(point):
    """L-3."""
    initiator = HandshakeState("NN", True, b"", [], random.Random(0).randbytes)
    initiator.write_message()
    assert_refused(initiator, point + bytes(16))


@pytest.mark.parametrize("point", LOW_ORDER, ids=bytes.hex)
def test_a_low_order_point_is_refused_by_the_responder_when_it_is_used(point):
    """L-3."""
    responder = HandshakeState("NN", False, b"", [], random.Random(0).randbytes)
    responder.read_message(point)
    with pytest.raises(Refused) as refused:
        responder.write_message()
    assert refused.value.reason is Reason.LINK_HANDSHAKE
    assert_refused(responder, bytes(64))


# --- One listener, several keys -------------------------------------------------------------------


def test_a_listener_finds_its_key_by_trying_each_on_the_same_message():
    def no_randomness(size: int) -> bytes:
        raise AssertionError("reading a first message needs no randomness")

    initiator = handshake(True)
    message = initiator.write_message(b"hello")
    psks = [OTHER_PSK, bytes(32), PSK, b"x" * 32]
    tried = [HandshakeState("NNpsk0", False, PROLOGUE, [psk], no_randomness) for psk in psks]
    fitting = []
    for psk, state in zip(psks, tried, strict=True):
        try:
            assert state.read_message(message) == b"hello"
        except Refused:
            assert not state.is_complete
            continue
        fitting.append(psk)
    assert fitting == [PSK]


def test_a_refused_handshake_changes_nothing_for_another():
    initiator, responder = handshake(True), handshake(False)
    message = initiator.write_message()
    for psk in (OTHER_PSK, PSK):
        assert_refused(handshake(False, psk), message[:-1])
    responder.read_message(message)
    initiator.read_message(responder.write_message())
    assert initiator.handshake_hash == responder.handshake_hash


def test_a_refused_handshake_repeats_its_refusal():
    state = handshake(False)
    assert_refused(state, b"")
    assert_refused(state, handshake(True).write_message())
    for use in (state.write_message, state.split, lambda: state.handshake_hash):
        with pytest.raises(Refused, match=re.escape("link-handshake: the message is too short")):
            use()


# --- Ciphers --------------------------------------------------------------------------------------


def test_split_gives_each_side_the_other_sides_ciphers():
    initiator, responder = complete_pair()
    ours, theirs = initiator.split(), responder.split()
    for (send, _), (_, receive) in itertools.permutations((ours, theirs)):
        for text in (b"", b"one", b"two" * 100):
            assert receive.decrypt(send.encrypt(text)) == text


def test_the_two_directions_have_different_keys():
    send, receive = complete_pair()[0].split()
    assert send.encrypt(b"same") != receive.encrypt(b"same")


def test_a_damaged_transport_message_is_refused_and_uses_up_no_nonce():
    send, receive = CipherState(PSK), CipherState(PSK)
    message = send.encrypt(b"text", b"with")
    damaged = [flip(message, bit) for bit in range(8 * len(message))]
    damaged += [message[:size] for size in range(len(message))]
    for wrong in damaged:
        with pytest.raises(Refused) as refused:
            receive.decrypt(wrong, b"with")
        assert refused.value.reason is Reason.LINK_AUTHENTICATION
    with pytest.raises(Refused):
        receive.decrypt(message, b"without")
    assert receive.decrypt(message, b"with") == b"text"


def test_a_replayed_or_reordered_transport_message_is_refused():
    send, receive = CipherState(PSK), CipherState(PSK)
    first, second = send.encrypt(b"1"), send.encrypt(b"2")
    with pytest.raises(Refused):
        receive.decrypt(second)
    receive.decrypt(first)
    with pytest.raises(Refused):
        receive.decrypt(first)


def test_rekeying_one_side_only_is_noticed_and_keeps_the_count():
    send, receive = CipherState(PSK), CipherState(PSK)
    receive.decrypt(send.encrypt(b"before"))
    send.rekey()
    message = send.encrypt(b"after")
    with pytest.raises(Refused):
        receive.decrypt(message)
    receive.rekey()
    assert receive.decrypt(message) == b"after"


def test_the_last_nonce_is_never_used():
    send, receive = CipherState(PSK, nonce=2**64 - 2), CipherState(PSK, nonce=2**64 - 2)
    assert receive.decrypt(send.encrypt(b"the last")) == b"the last"
    for use in (send.encrypt, receive.decrypt):
        with pytest.raises(Refused) as refused:
            use(bytes(32))
        assert refused.value.reason is Reason.LINK_AUTHENTICATION


# --- Misuse ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pattern", "psks", "hash_name"),
    [
        ("XX", [], "BLAKE2b"),
        ("NN", [], "MD5"),
        ("NN", [PSK], "BLAKE2b"),
        ("NNpsk0", [], "BLAKE2b"),
        ("NNpsk0", [PSK[:-1]], "BLAKE2b"),
    ],
)
def test_a_handshake_that_the_tables_do_not_have_is_misuse(pattern, psks, hash_name):
    with pytest.raises(Misuse):
        HandshakeState(pattern, True, b"", psks, random.Random(0).randbytes, hash_name)


def test_speaking_out_of_turn_is_misuse():
    initiator, responder = handshake(True), handshake(False)
    with pytest.raises(Misuse):
        initiator.read_message(bytes(48))
    with pytest.raises(Misuse):
        responder.write_message()
    for state in complete_pair():
        with pytest.raises(Misuse):
            state.write_message()
        with pytest.raises(Misuse):
            state.read_message(bytes(48))


def test_taking_the_outcome_too_early_or_twice_is_misuse():
    early = handshake(True)
    for use in (early.split, lambda: early.handshake_hash):
        with pytest.raises(Misuse):
            use()
    initiator, _ = complete_pair()
    initiator.split()
    with pytest.raises(Misuse):
        initiator.split()


def test_a_handshake_message_may_fill_a_noise_message_and_no_more():
    payload_bytes_max = MESSAGE_BYTES_MAX - 32 - 16
    message = handshake(True).write_message(bytes(payload_bytes_max))
    assert len(message) == MESSAGE_BYTES_MAX
    assert handshake(False).read_message(message) == bytes(payload_bytes_max)
    with pytest.raises(Misuse):
        handshake(True).write_message(bytes(payload_bytes_max + 1))
