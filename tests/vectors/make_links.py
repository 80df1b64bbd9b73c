"""Vectors of links: the handshake, first messages that open a door or do not, and frames."""

from __future__ import annotations

from collections.abc import Callable

from protocol import handshake, limits
from protocol.board import (
    Board,
    encode_descriptor,
)
from protocol.codec import encode
from protocol.crypto import signing_public_key
from protocol.entry import (
    bucket_of,
)
from protocol.errors import Reason
from protocol.frames import FrameSealer, encode_message, sealed_sizes
from protocol.messages import (
    Address,
    Announce,
    Bye,
    Hello,
    Message,
    MessageKind,
    Ping,
    Want,
    encode_body,
    kind_of,
)
from protocol.noise import CipherState, SymmetricState
from tests.vectors.shared import BOARD, OTHER_BOARD, WALL_S, Vector, Vectors, fixed

LISTENER = Address("10.0.0.1", 4000)


def ephemeral(name: str) -> Callable[[int], bytes]:
    """A randomness port that gives one secret."""
    return lambda size: fixed(name, size)


def first_message(
    board: Board = BOARD,
    destination: Address = LISTENER,
    wall_s: int = WALL_S,
    version: int = 1,
) -> bytes:
    payload = handshake.first_payload(board, destination, wall_s)
    state = handshake.begin(board, True, ephemeral("dialler"))
    return state.write_message(bytes([version]) + payload[1:])


def of_low_order() -> bytes:
    """A first message with a public key of zeros, and right in all that follows from it."""
    public_key = bytes(32)
    state = SymmetricState("Noise_NNpsk0_25519_ChaChaPoly_BLAKE2b", "BLAKE2b")
    state.mix_hash(b"p2pboard link 1")
    state.mix_key_and_hash(BOARD.link_psk)
    state.mix_hash(public_key)
    state.mix_key(public_key)
    payload = handshake.first_payload(BOARD, LISTENER, WALL_S)
    return public_key + state.encrypt_and_hash(payload)


def said(*messages: Message) -> Vector:
    """Messages and the stream that they are."""
    stream = b"".join(encode_message(kind_of(m), encode_body(m)) for m in messages)
    bodies = [[kind_of(m).name.lower(), int(kind_of(m)), encode_body(m).hex()] for m in messages]
    return {"messages": bodies, "stream": stream.hex()}


def hello(sender: str, handshake_hash: bytes, port: int = 4000) -> Hello:
    """What the dialler or the listener says first."""
    seed = fixed(f"{sender} instance")
    proof = handshake.prove_instance(seed, sender == "dialler", handshake_hash)
    return Hello(signing_public_key(seed), port, proof)


def whole_handshake() -> Vector:
    """Both messages, and the first frames of both sides."""
    dialler = handshake.begin(BOARD, True, ephemeral("dialler"))
    listener = handshake.begin(BOARD, False, ephemeral("listener"))
    payload = handshake.first_payload(BOARD, LISTENER, WALL_S)
    first = dialler.write_message(payload)
    listener.read_message(first)
    second = listener.write_message(handshake.second_payload())
    dialler.read_message(second)
    handshake_hash = dialler.handshake_hash
    sealers = {
        "dialler": FrameSealer(dialler.split()[0]),
        "listener": FrameSealer(listener.split()[0]),
    }
    ids = [fixed(f"{number}") for number in range(20)]
    talk: list[tuple[str, list[Message]]] = [
        ("listener", [hello("listener", handshake_hash)]),
        ("dialler", [hello("dialler", handshake_hash, 0), Ping()]),
        ("dialler", [Announce([(bucket_of(WALL_S), identifier) for identifier in ids])]),
        ("listener", [Want(1, ids[:9]), Bye(14)]),
    ]
    pieces = []
    for sender, messages in talk:
        piece = {"from": sender, **said(*messages)}
        piece["wire"] = sealers[sender].seal(bytes.fromhex(piece["stream"])).hex()
        pieces.append(piece)
    return {
        "about": "A handshake with fixed ephemeral secrets, and the first frames of both sides.",
        "rule": "L-2",
        "board": encode_descriptor(BOARD.descriptor).hex(),
        "listener": list(LISTENER),
        "wall_s": WALL_S,
        "dialler_secret": fixed("dialler").hex(),
        "listener_secret": fixed("listener").hex(),
        "dialler_instance_seed": fixed("dialler instance").hex(),
        "listener_instance_seed": fixed("listener instance").hex(),
        "first_payload": payload.hex(),
        "first": first.hex(),
        "second": second.hex(),
        "handshake_hash": handshake_hash.hex(),
        "pieces": pieces,
        "outcome": "valid",
    }


def first_messages() -> Vectors:
    skew_s = limits.HANDSHAKE_SKEW_S_MAX

    def of(
        about: str,
        rule: str,
        first: bytes,
        outcome: Reason | None,
        listener: Address = LISTENER,
    ) -> Vector:
        return {
            "about": about,
            "rule": rule,
            "board": encode_descriptor(BOARD.descriptor).hex(),
            "listener": list(listener),
            "wall_s": WALL_S,
            "first": first.hex(),
            "outcome": outcome.slug if outcome else "valid",
        }

    def silence(about: str, rule: str, first: bytes) -> Vector:
        return of(about, rule, first, Reason.LINK_HANDSHAKE)

    right = first_message()
    return {
        "first-message": of("A member's.", "L-5", right, None),
        "first-message-early": of(
            "A clock an hour ahead.", "L-5", first_message(wall_s=WALL_S + skew_s), None
        ),
        "first-message-mapped": of(
            "The listener knows its address by way of IPv6.",
            "L-4",
            right,
            None,
            Address("::ffff:10.0.0.1", 4000),
        ),
        "first-message-other-board": silence(
            "Of a board that the listener is not on.", "L-5", first_message(OTHER_BOARD)
        ),
        "first-message-other-host": silence(
            "For another host.", "L-5", first_message(destination=Address("10.0.0.2", 4000))
        ),
        "first-message-other-port": silence(
            "For another port.", "L-5", first_message(destination=Address("10.0.0.1", 4001))
        ),
        "first-message-too-early": silence(
            "A clock an hour and a minute ahead.", "L-5", first_message(wall_s=WALL_S + skew_s + 60)
        ),
        "first-message-too-late": silence(
            "A clock an hour and a minute behind.",
            "L-5",
            first_message(wall_s=WALL_S - skew_s - 60),
        ),
        "first-message-version-2": silence("Of version 2.", "L-5", first_message(version=2)),
        "first-message-one-bit": silence(
            "One bit is wrong.", "L-5", right[:-1] + bytes([right[-1] ^ 128])
        ),
        "first-message-low-order": silence("A public key of zeros.", "L-3", of_low_order()),
    }


def hellos() -> Vectors:
    """What a listener thinks of the dialler's hello, and one the other way round."""
    this_link, other_link = fixed("handshake hash", 64), fixed("another handshake hash", 64)
    right, listeners = hello("dialler", this_link), hello("listener", this_link)

    def of(about: str, rule: str, said: Hello, is_right: bool, sender: str = "dialler") -> Vector:
        return {
            "about": about,
            "rule": rule,
            "handshake_hash": this_link.hex(),
            "sender": sender,
            "body": encode_body(said).hex(),
            "outcome": "valid" if is_right else Reason.LINK_INSTANCE.slug,
        }

    def wrong(about: str, **changed: bytes) -> Vector:
        return of(about, "L-20", right._replace(**changed), False)

    order = 2**252 + 27742317777372353535851937790883648493
    scalar = int.from_bytes(right.proof[32:], "little") + order
    return {
        "hello-dialler": of("The dialler's.", "L-19", right, True),
        "hello-listener": of("The listener's.", "L-19", listeners, True, "listener"),
        "hello-other-link": wrong(
            "The proof of another link of this instance.", proof=hello("dialler", other_link).proof
        ),
        "hello-other-side": wrong(
            "The proof that this instance would give as the listener.",
            proof=handshake.prove_instance(fixed("dialler instance"), False, this_link),
        ),
        "hello-sent-back": of("The listener's own, sent back to it.", "L-20", listeners, False),
        "hello-copied-instance": wrong(
            "Another's instance, proved with one's own key.", instance=listeners.instance
        ),
        "hello-one-bit": wrong(
            "One bit of the proof is wrong.",
            proof=right.proof[:9] + bytes([right.proof[9] ^ 1]) + right.proof[10:],
        ),
        "hello-not-reduced": wrong(
            "The group's order added to S.",
            proof=right.proof[:32] + scalar.to_bytes(32, "little"),
        ),
        "hello-neutral-key": wrong(
            "The neutral element as instance, and a proof that fits if that is not noticed.",
            instance=b"\x01" + bytes(31),
            proof=b"\x01" + bytes(63),
        ),
    }


KEY = fixed("frame key")


def sealed(plaintext: bytes) -> bytes:
    """A first frame under KEY with any inside."""
    ciphertext = CipherState(KEY).encrypt(plaintext)
    return len(ciphertext).to_bytes(2, "big") + ciphertext


def frames() -> Vectors:
    ping = encode_message(MessageKind.PING, encode([]))
    right = FrameSealer(CipherState(KEY)).seal(ping)
    inside = len(ping).to_bytes(2, "big") + ping.ljust(492, b"\0")
    long = (limits.MESSAGE_BODY_BYTES_MAX + 1).to_bytes(3, "big") + b"\x07"

    def of(
        about: str, rule: str, wire: bytes, outcome: Reason | None, stream: bytes = b""
    ) -> Vector:
        vector: Vector = {"about": about, "rule": rule, "key": KEY.hex(), "wire": wire.hex()}
        vector["outcome"] = outcome.slug if outcome else "valid"
        return vector if outcome else {**vector, "stream": stream.hex()}

    def message(about: str, rule: str, kind: int, body: bytes, outcome: Reason) -> Vector:
        return of(
            about, rule, FrameSealer(CipherState(KEY)).seal(encode_message(kind, body)), outcome
        )

    two = encode_message(MessageKind.ASK, encode([bytes(500)]))
    sealer = FrameSealer(CipherState(KEY))
    for _ in range(limits.REKEY_FRAMES):
        sealer.seal()
    malformed = Reason.LINK_MESSAGE_MALFORMED
    return {
        "frame-ping": of("A ping.", "F-6", right, None, ping),
        "frame-two": of(
            "A message across two frames of 512 bytes.",
            "F-6",
            FrameSealer(CipherState(KEY)).seal(two),
            None,
            two,
        ),
        "frame-empty": of("A frame that carries nothing.", "F-5", sealed(bytes(494)), None),
        "frame-after-rekey": {
            **of(
                "A ping in the 1025th frame, under the next key.",
                "F-4",
                sealer.seal(ping),
                None,
                ping,
            ),
            "frames_before": limits.REKEY_FRAMES,
        },
        "frame-size": of(
            "A length that no frame has.", "F-1", b"\x01\xff" + right[2:], Reason.LINK_FRAME_SIZE
        ),
        "frame-one-bit": of(
            "One bit is wrong.",
            "F-2",
            right[:-1] + bytes([right[-1] ^ 1]),
            Reason.LINK_AUTHENTICATION,
        ),
        "frame-padding": of(
            "A last byte that is not zero.", "F-3", sealed(inside[:-1] + b"\x01"), malformed
        ),
        "frame-used": of(
            "It says that it carries one byte more than it can.",
            "F-3",
            sealed((493).to_bytes(2, "big") + bytes(492)),
            malformed,
        ),
        "message-unknown": message("Kind 14.", "M-2", 14, encode([]), Reason.LINK_MESSAGE_UNKNOWN),
        "message-malformed": message("A ping with a field.", "M-3", 10, encode([0]), malformed),
        "message-malformed-name": message(
            "A name for an address.", "M-6", 9, encode([[["printer.example", 4000]]]), malformed
        ),
        "message-too-large": of(
            "A body longer than any may be, announced.",
            "M-1",
            FrameSealer(CipherState(KEY)).seal(long),
            Reason.LINK_MESSAGE_TOO_LARGE,
        ),
    }


def sizes() -> Vector:
    """How pieces of the stream are sealed."""
    edges = sorted(
        {0, 1, 10**6}
        | {
            at + more
            for at in (492, 984, 1968, 2028, 4056, 8112, 8172, 16344, 32688, 65516, 131032)
            for more in (0, 1)
        }
    )
    return {
        "about": "Bytes of a piece of stream, and the sizes of the frames it is sealed as.",
        "rule": "F-6",
        "cases": [[stream_bytes, sealed_sizes(stream_bytes)] for stream_bytes in edges],
        "outcome": "valid",
    }


def links() -> Vectors:
    """All of them."""
    return {
        "handshake": whole_handshake(),
        "frame-sizes": sizes(),
        **first_messages(),
        **hellos(),
        **frames(),
    }
