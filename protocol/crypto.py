"""Every cryptographic primitive the core uses, in one place (SPEC.md, "Cryptography").

Nothing is invented here: BLAKE2b (RFC 7693) from hashlib, Ed25519 (RFC 8032), X25519 (RFC 7748) and
ChaCha20-Poly1305 (RFC 8439) from libsodium by PyNaCl. Each use of a hash is told apart from every
other by a *label*, which goes into BLAKE2b's personalisation (16 bytes at most).
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import blake2b
from typing import NamedTuple

import nacl.bindings as sodium
from nacl.exceptions import CryptoError

HASH_BYTES = 32
KEY_BYTES = 32
SEED_BYTES = 32
PUBLIC_KEY_BYTES = 32
SIGNATURE_BYTES = 64
TAG_BYTES = 16
_NONCE_ZERO = bytes(12)

#: Randomness as a port: ``random_bytes(n)`` gives n bytes. ``secrets.token_bytes`` in
#: production, a seeded generator in the simulator; never called by the core on its own.
RandomBytes = Callable[[int], bytes]


def keyed_hash(label: bytes, key: bytes, message: bytes, size: int = HASH_BYTES) -> bytes:
    """BLAKE2b of ``message`` under ``key`` (up to 64 bytes), personalised by ``label``."""
    return blake2b(message, digest_size=size, key=key, person=label).digest()


def plain_hash(label: bytes, message: bytes, size: int = HASH_BYTES) -> bytes:
    """BLAKE2b of ``message``, personalised by ``label``."""
    return blake2b(message, digest_size=size, person=label).digest()


def signing_public_key(seed: bytes) -> bytes:
    """The Ed25519 public key (32 bytes) of a 32-byte seed."""
    public_key, _ = sodium.crypto_sign_seed_keypair(seed)
    return public_key


def sign(seed: bytes, message: bytes) -> bytes:
    """The detached Ed25519 signature (64 bytes) of ``message``."""
    _, secret_key = sodium.crypto_sign_seed_keypair(seed)
    return sodium.crypto_sign(message, secret_key)[:SIGNATURE_BYTES]


def is_signed(public_key: bytes, message: bytes, signature: bytes) -> bool:
    """Whether ``signature`` (64 bytes) is ``public_key``'s over ``message``; never raises on
    bytes of the right sizes."""
    try:
        sodium.crypto_sign_open(signature + message, public_key)
    except CryptoError:
        return False
    return True


def exchange_public_key(secret: bytes) -> bytes:
    """The X25519 public key of a 32-byte secret."""
    return sodium.crypto_scalarmult_base(secret)


def exchange(secret: bytes, public_key: bytes) -> bytes | None:
    """X25519; None where the result is all zero (a low-order public key), which RFC 7748 section
    6.1 lets us refuse, and which would let a peer choose the shared secret."""
    try:
        return sodium.crypto_scalarmult(secret, public_key)
    except (CryptoError, RuntimeError):
        return None


def chacha20(key: bytes, plaintext: bytes) -> bytes:
    """ChaCha20 (RFC 8439) under a key that is used once: nonce zero, counter from 1 on. It is the
    cipher inside of ChaCha20-Poly1305, whose authenticator is dropped."""
    sealed = sodium.crypto_aead_chacha20poly1305_ietf_encrypt(plaintext, None, _NONCE_ZERO, key)
    return sealed[:-TAG_BYTES]


class Group(NamedTuple):
    """A group in which secrets can be exchanged, and the cipher that they are for, as functions, so
    that simulations of many nodes can do with cheap ones.

    :ivar public_key: of a secret of 32 bytes.
    :ivar exchange: a secret applied to a public key or to the result of another exchange (the order
        does not matter); None for an element that nobody honest sends.
    :ivar stream: a stream cipher under a key that is used once, the same for both directions.
    """

    public_key: Callable[[bytes], bytes]
    exchange: Callable[[bytes, bytes], bytes | None]
    stream: Callable[[bytes, bytes], bytes] = chacha20


CURVE25519 = Group(exchange_public_key, exchange)


def xor(one: bytes, other: bytes) -> bytes:
    """Two strings of one length, bit by bit."""
    both = int.from_bytes(one, "big") ^ int.from_bytes(other, "big")
    return both.to_bytes(len(one), "big")


def aead_encrypt(key: bytes, nonce: bytes, associated: bytes, plaintext: bytes) -> bytes:
    """ChaCha20-Poly1305 (IETF, 12-byte nonce): ciphertext and 16-byte tag."""
    return sodium.crypto_aead_chacha20poly1305_ietf_encrypt(plaintext, associated, nonce, key)


def aead_decrypt(key: bytes, nonce: bytes, associated: bytes, ciphertext: bytes) -> bytes | None:
    """The plaintext, or None where the tag does not fit."""
    if len(ciphertext) < TAG_BYTES:
        return None
    try:
        return sodium.crypto_aead_chacha20poly1305_ietf_decrypt(ciphertext, associated, nonce, key)
    except CryptoError:
        return None
