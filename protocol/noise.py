"""The Noise Protocol Framework, revision 34: handshakes that prove membership, and link ciphers.

Theory of operation
-------------------
The framework is three objects, each inside the next (section 5 of the framework's text; the names
of its functions stand in the docstrings):

* :class:`CipherState` is a key and a counter: it seals and opens one direction's messages.
* :class:`SymmetricState` is everything both sides have said so far, hashed (``h``), and every
  secret they share so far, mixed (``ck``).
* :class:`HandshakeState` walks one row of :data:`PATTERNS`. A pattern is a sequence of messages, a
  message a sequence of tokens; the initiator writes the even messages, the responder the odd ones.
  The pattern is the whole transition table: the state is how many messages are behind us, and a
  token has one step for the writer (:data:`_WRITING`) and one for the reader (:data:`_READING`).

Only patterns without lasting keys are in the table, because a node has none: a static key would
let others follow a laptop from one day and network to the next. The link uses ``NNpsk0``: the
first message is already sealed under the board's key, so that a listener can tell a member from a
stranger before it has said a byte or done a Diffie-Hellman.

A listener with several boards makes one responder for each key and gives them all the same first
message. Each object has its own state; one that refuses has cost a few hashes, draws no
randomness, and is thrown away.

Key agreement is X25519, the cipher ChaCha20-Poly1305, the hash BLAKE2b; two more hashes are in
:data:`HASHES` so that published vectors can hold the rest of the machine in more than one way.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Mapping, Sequence
from enum import Enum, unique
from hashlib import blake2b, blake2s, sha256
from struct import Struct
from typing import Any, Final

from protocol.crypto import (
    KEY_BYTES,
    PUBLIC_KEY_BYTES,
    RandomBytes,
    aead_decrypt,
    aead_encrypt,
    exchange,
    exchange_public_key,
)
from protocol.errors import Misuse, Reason, Refused

#: No Noise message is longer (section 3); its length then fits two bytes.
MESSAGE_BYTES_MAX: Final = 65535
#: Reserved for rekey() (section 4.2), so it is also how many messages one cipher can ever carry.
_NONCE_MAX: Final = 2**64 - 1
#: ChaChaPoly's nonce (section 12.3): 32 zero bits, then the counter, little-endian.
_NONCE: Final = Struct("<4xQ")
_REKEY_NONCE: Final = _NONCE.pack(_NONCE_MAX)
_REKEY_PLAINTEXT: Final = bytes(KEY_BYTES)


@unique
class Token(Enum):
    """What one step of a handshake message does (sections 5.3 and 9.2)."""

    E = "e"
    EE = "ee"
    PSK = "psk"


#: Every pattern that we speak (sections 7.4, 9.4): its messages in turn, each its tokens in turn.
PATTERNS: Final[Mapping[str, tuple[tuple[Token, ...], ...]]] = {
    "NN": ((Token.E,), (Token.E, Token.EE)),
    "NNpsk0": ((Token.PSK, Token.E), (Token.E, Token.EE)),
    "NNpsk2": ((Token.E,), (Token.E, Token.EE, Token.PSK)),
}

#: Hashes by the name that they have in a protocol's name (section 12).
HASHES: Final[Mapping[str, Callable[..., Any]]] = {
    "BLAKE2b": blake2b,
    "BLAKE2s": blake2s,
    "SHA256": sha256,
}


class CipherState:
    """One direction's key and message counter (section 5.1, with a key always set).

    :param key: 32 bytes.
    :param nonce: number of the next message; other than 0 only in tests.
    """

    __slots__ = ("_key", "_nonce")

    def __init__(self, key: bytes, nonce: int = 0) -> None:
        self._key = key
        self._nonce = nonce

    def encrypt(self, plaintext: bytes, associated: bytes = b"") -> bytes:
        """Seal the next message (EncryptWithAd): 16 bytes longer than ``plaintext``.

        :raises Refused: ``LINK_AUTHENTICATION`` where every nonce has been used.
        """
        ciphertext = aead_encrypt(self._key, self._next_nonce(), associated, plaintext)
        self._nonce += 1
        return ciphertext

    def decrypt(self, ciphertext: bytes, associated: bytes = b"") -> bytes:
        """Open the next message (DecryptWithAd). A message that does not fit uses up no nonce.

        :raises Refused: ``LINK_AUTHENTICATION`` where the tag does not fit or every nonce has been
            used.
        """
        plaintext = aead_decrypt(self._key, self._next_nonce(), associated, ciphertext)
        if plaintext is None:
            raise Refused(Reason.LINK_AUTHENTICATION, "the tag does not fit")
        self._nonce += 1
        return plaintext

    def rekey(self) -> None:
        """Replace the key by a one-way function of itself; the counter runs on (section 4.2)."""
        self._key = aead_encrypt(self._key, _REKEY_NONCE, b"", _REKEY_PLAINTEXT)[:KEY_BYTES]

    def _next_nonce(self) -> bytes:
        # Going on would mean the same key and nonce twice, which gives both plaintexts away.
        if self._nonce >= _NONCE_MAX:
            raise Refused(Reason.LINK_AUTHENTICATION, "every nonce has been used")
        return _NONCE.pack(self._nonce)


class SymmetricState:
    """The transcript hash and the chain of secrets of one handshake (section 5.2).

    :param protocol_name: the full name, such as ``Noise_NN_25519_ChaChaPoly_BLAKE2b``.
    :param hash_name: a key of :data:`HASHES`.
    """

    def __init__(self, protocol_name: str, hash_name: str) -> None:
        self._hash = HASHES[hash_name]
        name = protocol_name.encode("ascii")
        size: int = self._hash().digest_size
        self.handshake_hash = name.ljust(size, b"\0") if len(name) <= size else self._digest(name)
        self._chaining_key = self.handshake_hash
        self._cipher: CipherState | None = None

    def mix_hash(self, heard: bytes) -> None:
        """Put ``heard`` into the transcript (MixHash)."""
        self.handshake_hash = self._digest(self.handshake_hash + heard)

    def mix_key(self, secret: bytes) -> None:
        """Put ``secret`` into the chain and take a new key from it (MixKey)."""
        self._chaining_key, key = self._derive(secret, 2)
        self._cipher = CipherState(key[:KEY_BYTES])

    def mix_key_and_hash(self, secret: bytes) -> None:
        """Put ``secret`` into both (MixKeyAndHash)."""
        self._chaining_key, heard, key = self._derive(secret, 3)
        self.mix_hash(heard)
        self._cipher = CipherState(key[:KEY_BYTES])

    def encrypt_and_hash(self, plaintext: bytes) -> bytes:
        """Seal under the current key, or pass through before there is one (EncryptAndHash)."""
        ciphertext = plaintext
        if self._cipher is not None:
            ciphertext = self._cipher.encrypt(plaintext, self.handshake_hash)
        self.mix_hash(ciphertext)
        return ciphertext

    def decrypt_and_hash(self, ciphertext: bytes) -> bytes:
        """The opposite (DecryptAndHash).

        :raises Refused: ``LINK_AUTHENTICATION`` where the tag does not fit.
        """
        plaintext = ciphertext
        if self._cipher is not None:
            plaintext = self._cipher.decrypt(ciphertext, self.handshake_hash)
        self.mix_hash(ciphertext)
        return plaintext

    def split(self) -> tuple[CipherState, CipherState]:
        """The initiator's sending cipher and the responder's (Split); the chain ends here."""
        initiators, responders = self._derive(b"", 2)
        self._chaining_key = b""
        self._cipher = None
        return CipherState(initiators[:KEY_BYTES]), CipherState(responders[:KEY_BYTES])

    def _digest(self, message: bytes) -> bytes:
        digest: bytes = self._hash(message).digest()
        return digest

    def _derive(self, secret: bytes, outputs: int) -> list[bytes]:
        """HKDF of section 4.3: RFC 5869 with the chaining key as salt and no info."""
        extracted = hmac.digest(self._chaining_key, secret, self._hash)
        derived = [hmac.digest(extracted, b"\x01", self._hash)]
        for number in range(2, outputs + 1):
            derived.append(hmac.digest(extracted, derived[-1] + bytes((number,)), self._hash))
        return derived


class HandshakeState:
    """One side of one handshake (section 5.3).

    Write and read in turn, beginning with :meth:`write_message` on the initiator, until
    :attr:`is_complete`; then :meth:`split`. After a ``Refused`` the object refuses everything
    else by the same reason.

    :param pattern_name: a key of :data:`PATTERNS`, ``NNpsk0`` on links.
    :param initiator: whether this side writes first.
    :param prologue: what both sides must agree on without sending it.
    :param psks: as many keys of 32 bytes as the pattern has ``psk`` tokens, in their order.
    :param random_bytes: where the ephemeral secret (32 bytes) is drawn from, once, on writing.
    :param hash_name: a key of :data:`HASHES`, ``BLAKE2b`` on links.
    :raises Misuse: where pattern, hash or keys don't fit that.
    """

    def __init__(
        self,
        pattern_name: str,
        initiator: bool,
        prologue: bytes,
        psks: Sequence[bytes],
        random_bytes: RandomBytes,
        hash_name: str = "BLAKE2b",
    ) -> None:
        if pattern_name not in PATTERNS or hash_name not in HASHES:
            raise Misuse(f"no such handshake: {pattern_name} with {hash_name}")
        self._messages = PATTERNS[pattern_name]
        self._has_psk = _check_psks(self._messages, psks)
        self._psks = list(psks)
        self._random_bytes = random_bytes
        self._initiator = initiator
        self._done = 0
        self._secret = b""
        self._their_public_key = b""
        self._refusal: tuple[Reason, str] | None = None
        self._is_split = False
        self._symmetric = SymmetricState(
            f"Noise_{pattern_name}_25519_ChaChaPoly_{hash_name}", hash_name
        )
        self._symmetric.mix_hash(prologue)

    @property
    def is_complete(self) -> bool:
        """Whether every message of the pattern has been written or read."""
        return self._done == len(self._messages) and self._refusal is None

    @property
    def is_own_turn(self) -> bool:
        """Whether the next message is this side's to write; False once there is none."""
        return self._done < len(self._messages) and self._is_own(self._done)

    @property
    def handshake_hash(self) -> bytes:
        """What both sides alone have in common (section 11.2); public, and different every time.

        :raises Misuse: before the handshake is complete.
        """
        self._check_complete()
        return self._symmetric.handshake_hash

    def write_message(self, payload: bytes = b"") -> bytes:
        """The next handshake message (WriteMessage).

        :raises Refused: ``LINK_HANDSHAKE`` where the peer's public key is of low order (which
            shows only now, when it is used).
        :raises Misuse: out of turn, or where the message would be longer than 65535 bytes.
        """
        self._check_turn(own=True)
        try:
            parts = [_WRITING[token](self) for token in self._messages[self._done]]
        except Refused as refused:
            raise self._refused(refused.detail) from None
        parts.append(self._symmetric.encrypt_and_hash(payload))
        message = b"".join(parts)
        if len(message) > MESSAGE_BYTES_MAX:
            raise Misuse("a handshake message is at most 65535 bytes")
        self._done += 1
        return message

    def read_message(self, message: bytes) -> bytes:
        """The payload of the peer's next handshake message (ReadMessage).

        :raises Refused: ``LINK_HANDSHAKE`` where it is not one of a peer with the same keys, names
            and prologue.
        :raises Misuse: out of turn.
        """
        self._check_turn(own=False)
        try:
            payload = self._read(message)
        except Refused as refused:
            raise self._refused(refused.detail) from None
        self._done += 1
        return payload

    def split(self) -> tuple[CipherState, CipherState]:
        """This side's ciphers, once: the one to send with, the one to receive with.

        :raises Misuse: before the handshake is complete, or a second time (two ciphers with one
            key would use every nonce twice).
        """
        self._check_complete()
        if self._is_split:
            raise Misuse("the handshake has been split before")
        self._is_split = True
        self._forget()
        initiators, responders = self._symmetric.split()
        return (initiators, responders) if self._initiator else (responders, initiators)

    def _read(self, message: bytes) -> bytes:
        if len(message) > MESSAGE_BYTES_MAX:
            raise Refused(Reason.LINK_HANDSHAKE, "the message is too long")
        rest = message
        for token in self._messages[self._done]:
            rest = _READING[token](self, rest)
        return self._symmetric.decrypt_and_hash(rest)

    def _write_ephemeral(self) -> bytes:
        self._secret = self._random_bytes(KEY_BYTES)
        public_key = exchange_public_key(self._secret)
        self._mix_ephemeral(public_key)
        return public_key

    def _read_ephemeral(self, message: bytes) -> bytes:
        if len(message) < PUBLIC_KEY_BYTES:
            raise Refused(Reason.LINK_HANDSHAKE, "the message is too short")
        self._their_public_key = message[:PUBLIC_KEY_BYTES]
        self._mix_ephemeral(self._their_public_key)
        return message[PUBLIC_KEY_BYTES:]

    def _mix_ephemeral(self, public_key: bytes) -> None:
        self._symmetric.mix_hash(public_key)
        # "In a PSK handshake, the "e" token [...] is followed by MixKey(e.public_key)" (section
        # 9.2): so that no two handshakes under one pre-shared key seal with the same key.
        if self._has_psk:
            self._symmetric.mix_key(public_key)

    def _mix_exchange(self) -> None:
        shared = exchange(self._secret, self._their_public_key)
        if shared is None:
            raise Refused(Reason.LINK_HANDSHAKE, "the public key is of low order")
        self._symmetric.mix_key(shared)

    def _mix_psk(self) -> None:
        self._symmetric.mix_key_and_hash(self._psks.pop(0))

    def _is_own(self, message_number: int) -> bool:
        return (message_number % 2 == 0) == self._initiator

    def _check_turn(self, own: bool) -> None:
        if self._refusal is not None:
            raise Refused(*self._refusal)
        if self._done == len(self._messages):
            raise Misuse("the handshake is complete")
        if self._is_own(self._done) != own:
            raise Misuse("it is the peer's turn" if own else "it is this side's turn")

    def _check_complete(self) -> None:
        if self._refusal is not None:
            raise Refused(*self._refusal)
        if not self.is_complete:
            raise Misuse("the handshake is not complete")

    def _refused(self, detail: str) -> Refused:
        """The refusal that this object repeats from now on. Whatever failed, a tag included, what
        it means here is that there is no link."""
        self._refusal = (Reason.LINK_HANDSHAKE, detail)
        self._forget()
        return Refused(*self._refusal)

    def _forget(self) -> None:
        self._secret = b""
        self._psks.clear()


def _check_psks(messages: tuple[tuple[Token, ...], ...], psks: Sequence[bytes]) -> bool:
    """Whether the pattern uses pre-shared keys; Misuse unless ``psks`` are what it needs."""
    needed = sum(message.count(Token.PSK) for message in messages)
    if len(psks) != needed or any(len(psk) != KEY_BYTES for psk in psks):
        raise Misuse(f"this pattern needs {needed} pre-shared keys of {KEY_BYTES} bytes")
    return needed > 0


def _silent(step: Callable[[HandshakeState], None]) -> Callable[[HandshakeState], bytes]:
    """The writer's form of a step that puts nothing on the wire."""

    def write(state: HandshakeState) -> bytes:
        step(state)
        return b""

    return write


def _deaf(step: Callable[[HandshakeState], None]) -> Callable[[HandshakeState, bytes], bytes]:
    """The reader's form of a step that takes nothing off the wire."""

    def read(state: HandshakeState, message: bytes) -> bytes:
        step(state)
        return message

    return read


#: What each token does on the writing side: the bytes that it adds to the message.
_WRITING: Final[Mapping[Token, Callable[[HandshakeState], bytes]]] = {
    Token.E: HandshakeState._write_ephemeral,
    Token.EE: _silent(HandshakeState._mix_exchange),
    Token.PSK: _silent(HandshakeState._mix_psk),
}
#: And on the reading side: what it leaves of the message.
_READING: Final[Mapping[Token, Callable[[HandshakeState, bytes], bytes]]] = {
    Token.E: HandshakeState._read_ephemeral,
    Token.EE: _deaf(HandshakeState._mix_exchange),
    Token.PSK: _deaf(HandshakeState._mix_psk),
}
