"""Proof of work: leading zero bits of a hash whose message ends in a nonce (SPEC.md, "Entries").

Verified by hashing once; found by trying. The search is cut into pieces so that whoever drives it
can stop between them, show progress, and let other threads run.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b

from protocol.crypto import HASH_BYTES

NONCE_BYTES = 8


@dataclass(frozen=True, slots=True)
class Work:
    """What a nonce is searched for.

    :ivar label: the hash's personalisation; :ivar key: its key.
    :ivar prefix: all of the message but the nonce, which is its end.
    :ivar bits: how many leading zero bits the hash must have.
    """

    label: bytes
    key: bytes
    prefix: bytes
    bits: int

    def search(self, start: int, tries: int) -> bytes | None:
        """A nonce of 8 bytes among ``tries`` from ``start`` on (0..2**64-1, random, so that nothing
        can be read from it), or None: call again further on."""
        base = blake2b(self.prefix, digest_size=HASH_BYTES, key=self.key, person=self.label)
        bits = self.bits
        bound = (1 << (8 * HASH_BYTES - bits)).to_bytes(HASH_BYTES + 1, "big")[1:] if bits else None
        for attempt in range(start, start + tries):
            nonce = (attempt & 0xFFFFFFFFFFFFFFFF).to_bytes(NONCE_BYTES, "big")
            attempted = base.copy()
            attempted.update(nonce)
            if bound is None or attempted.digest() < bound:
                return nonce
        return None


def work_of(digest: bytes) -> int:
    """How many leading zero bits a hash has."""
    return 8 * len(digest) - int.from_bytes(digest, "big").bit_length()
