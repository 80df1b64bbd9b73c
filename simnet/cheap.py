"""Cheap stand-ins for ciphers and signatures, for worlds of thousands of nodes.

Same sizes, same failures: a handshake under another board's key is refused, a byte that was changed
is noticed, frames keep their order and their re-keying. Nothing here hides anything. A world has
them only where it is asked for them, and every result says so (``"ciphers": "cheap"``).

Signatures need no stand-in: the real check is made, once for each entry and signature in a world,
and remembered. What a host's *virtual* processor is charged stays the same.
"""

from __future__ import annotations

from hashlib import blake2b
from struct import Struct
from zlib import crc32

from protocol.board import Board
from protocol.crypto import KEY_BYTES, PUBLIC_KEY_BYTES, TAG_BYTES, Group, RandomBytes
from protocol.entry import Entry, check_signature
from protocol.errors import Misuse, Reason, Refused
from protocol.noise import CipherState

_TAG = Struct(">QQ")


class CheapCipher(CipherState):
    """Plaintext and a checksum, where the real one has ciphertext and an authenticator."""

    def __init__(self, key: bytes) -> None:
        super().__init__(key)
        self._epoch = crc32(key)
        self._count = 0

    def encrypt(self, plaintext: bytes, associated: bytes = b"") -> bytes:
        """As long as a real ciphertext."""
        return plaintext + self._tag(plaintext, associated)

    def decrypt(self, ciphertext: bytes, associated: bytes = b"") -> bytes:
        """:raises Refused: LINK_AUTHENTICATION where a bit was changed or a frame is missing."""
        plaintext, tag = ciphertext[:-TAG_BYTES], ciphertext[-TAG_BYTES:]
        if tag != self._tag(plaintext, associated):
            raise Refused(Reason.LINK_AUTHENTICATION, "a frame was changed")
        return plaintext

    def rekey(self) -> None:
        """Both sides must do it at the same frame."""
        self._epoch = (self._epoch + 1) & 0xFFFFFFFF

    def _tag(self, plaintext: bytes, associated: bytes) -> bytes:
        self._count += 1
        epoch = crc32(associated, self._epoch) if associated else self._epoch
        return _TAG.pack(crc32(plaintext, epoch), self._count)


class CheapHandshake:
    """Two messages of the real sizes that only prove that both sides know the board's key."""

    def __init__(self, board: Board, is_initiator: bool, random_bytes: RandomBytes) -> None:
        self._psk = board.link_psk
        self._is_initiator = is_initiator
        self._random_bytes = random_bytes
        self._heard = b""
        self._messages = 0

    def write_message(self, payload: bytes = b"") -> bytes:
        """The next message of this side."""
        ephemeral = self._random_bytes(PUBLIC_KEY_BYTES)
        message = ephemeral + payload + self._proof(ephemeral + payload)
        self._note(message)
        return message

    def read_message(self, message: bytes) -> bytes:
        """:raises Refused: LINK_HANDSHAKE where it was made under another key."""
        content, proof = message[:-TAG_BYTES], message[-TAG_BYTES:]
        if proof != self._proof(content):
            raise Refused(Reason.LINK_HANDSHAKE, "made under another key")
        self._note(message)
        return content[PUBLIC_KEY_BYTES:]

    @property
    def handshake_hash(self) -> bytes:
        """The same 64 bytes at both sides, others for each handshake."""
        if self._messages != 2:
            raise Misuse("the handshake is not complete")
        return blake2b(self._heard, key=self._psk).digest()

    def split(self) -> tuple[CipherState, CipherState]:
        """Ciphers for sending and receiving."""
        if self._messages != 2:
            raise Misuse("the handshake is not complete")
        first, second = (self._key(name) for name in (b"initiator", b"responder"))
        pair = (CheapCipher(first), CheapCipher(second))
        return pair if self._is_initiator else (pair[1], pair[0])

    def _note(self, message: bytes) -> None:
        self._heard += message[:PUBLIC_KEY_BYTES]
        self._messages += 1

    def _proof(self, content: bytes) -> bytes:
        return blake2b(self._heard + content, key=self._psk, digest_size=TAG_BYTES).digest()

    def _key(self, name: bytes) -> bytes:
        return blake2b(self._heard + name, key=self._psk, digest_size=KEY_BYTES).digest()


def begin(board: Board, is_initiator: bool, random_bytes: RandomBytes) -> CheapHandshake:
    """One side of a cheap handshake (:data:`protocol.handshake.Begin`)."""
    return CheapHandshake(board, is_initiator, random_bytes)


class Signatures:
    """Real checks, each made once in a world."""

    def __init__(self) -> None:
        self._known: dict[tuple[bytes, bytes], bool] = {}

    def __call__(self, entry: Entry) -> bool:
        """Whether the entry is signed by its persona."""
        key = (entry.id, entry.signature)
        if key not in self._known:
            self._known[key] = is_signed(entry)
        return self._known[key]


def is_signed(entry: Entry) -> bool:
    """The real check, made each time."""
    try:
        check_signature(entry)
    except Refused:
        return False
    return True


# --- Cells ----------------------------------------------------------------------------------------

#: A prime; numbers below it, under multiplication, stand for the curve.
_PRIME = 2**255 - 19


def _public_key(secret: bytes) -> bytes:
    return (int.from_bytes(secret, "little") % _PRIME or 1).to_bytes(PUBLIC_KEY_BYTES, "little")


def _exchange(secret: bytes, element: bytes) -> bytes | None:
    product = int.from_bytes(secret, "little") * int.from_bytes(element, "little") % _PRIME
    return product.to_bytes(PUBLIC_KEY_BYTES, "little") if product else None


def _stream(_: bytes, plaintext: bytes) -> bytes:
    return plaintext


#: Secrets are applied in any order with the same result, and small elements give nothing, as on the
#: curve; but everybody can divide. What is in a cell can be read; a bit that is changed is noticed
#: all the same, by the authenticators, which are the real ones.
GROUP = Group(_public_key, _exchange, _stream)
