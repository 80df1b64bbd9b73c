"""Personas: throwaway signing keys, the entries they write, and the names that readers see.

A persona is made for one thread (or one entry) and thrown away; it never writes in two threads, or
its writer could be followed from one to the other. Its entries form a log: each has a sequence
number and the id of the one before (SPEC.md, "Personas").

Writing an entry takes three steps, because the middle one costs CPU and belongs on a thread:
:func:`draft_post` or :func:`draft_retraction`, :meth:`Draft.mine` (in slices), :meth:`Draft.sign`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from protocol.board import Board
from protocol.codec import encode
from protocol.crypto import (
    SEED_BYTES,
    RandomBytes,
    keyed_hash,
    sign,
    signing_public_key,
)
from protocol.entry import (
    ENTRY_VERSION,
    ID_LABEL,
    SALT_BYTES,
    Entry,
    Header,
    Kind,
    bucket_of,
    encode_payload,
    entry_id,
    payload_hash,
)
from protocol.errors import Misuse
from protocol.words import ANIMALS, COLOURS
from protocol.work import NONCE_BYTES, Work


@dataclass(frozen=True, slots=True)
class Persona:
    """A signing key and where its log stands.

    :ivar seed: the secret, 32 bytes. The core never holds one; only writers do.
    :ivar public_key: the name of the log.
    :ivar thread: the only thread it writes in; None until its first entry opens one.
    :ivar seq: the next entry's sequence number.
    :ivar prev: the id of the last entry, None at the start.
    """

    seed: bytes
    public_key: bytes
    thread: bytes | None = None
    seq: int = 0
    prev: bytes | None = None

    @classmethod
    def fresh(cls, random_bytes: RandomBytes, thread: bytes | None = None) -> Persona:
        """A new persona for ``thread`` (None: for the thread that its first entry opens)."""
        seed = random_bytes(SEED_BYTES)
        return cls(seed, signing_public_key(seed), thread)

    def after(self, entry: Entry) -> Persona:
        """The persona once ``entry`` is written."""
        return replace(self, thread=entry.thread, seq=entry.header.seq + 1, prev=entry.id)


@dataclass(frozen=True, slots=True)
class Draft:
    """An entry that still lacks its work and its signature."""

    board: Board
    header: Header
    payload: bytes | None

    def mine(self, start: int, tries: int) -> bytes | None:
        """A nonce with the board's work among ``tries`` from ``start`` on (0..2**64-1, random, so
        that nothing can be read from it), or None: call again further on.
        """
        return self.work.search(start, tries)

    @property
    def work(self) -> Work:
        """The work that the board wants: over the header, whose last field the nonce is."""
        blank = encode(list(self.header._replace(nonce=b"\0" * NONCE_BYTES)))
        bits = self.board.descriptor.work_bits
        return Work(ID_LABEL, self.board.id, blank[:-NONCE_BYTES], bits)

    def sign(self, persona: Persona, nonce: bytes) -> Entry:
        """The finished entry.

        :raises Misuse: where ``persona`` is not the one drafted for.
        """
        if persona.public_key != self.header.persona:
            raise Misuse("the draft is another persona's")
        header = self.header._replace(nonce=nonce)
        raw = encode(list(header))
        identifier = entry_id(self.board, raw)
        return Entry(identifier, header, raw, sign(persona.seed, identifier), self.payload)


def draft_post(
    board: Board,
    persona: Persona,
    text: str,
    parent: bytes | None,
    wall_s: int,
    random_bytes: RandomBytes,
) -> Draft:
    """A post: it opens a thread where the persona has none, else answers ``parent``.

    :raises Misuse: where thread and parent do not go together.
    """
    if (persona.thread is None) != (parent is None):
        raise Misuse("a persona writes in its own thread, and an answer has a parent")
    payload = encode_payload(random_bytes(SALT_BYTES), text)
    header = _header(board, persona, Kind.POST, parent, wall_s, payload)
    return Draft(board, header, payload)


def draft_retraction(board: Board, persona: Persona, target: bytes, wall_s: int) -> Draft:
    """A retraction of ``target``, an earlier entry of the same persona.

    :raises Misuse: where the persona has written nothing yet.
    """
    if persona.thread is None or persona.seq == 0:
        raise Misuse("nothing to retract")
    return Draft(board, _header(board, persona, Kind.RETRACT, target, wall_s, b""), b"")


def _header(
    board: Board,
    persona: Persona,
    kind: Kind,
    parent: bytes | None,
    wall_s: int,
    payload: bytes,
) -> Header:
    return Header(
        version=ENTRY_VERSION,
        kind=int(kind),
        board_tag=board.tag,
        persona=persona.public_key,
        seq=persona.seq,
        prev=persona.prev,
        thread=persona.thread,
        parent=parent,
        bucket=bucket_of(wall_s),
        payload_bytes=len(payload),
        payload_hash=payload_hash(board, payload),
        nonce=b"\0" * NONCE_BYTES,
    )


def persona_name(persona: bytes, thread: bytes) -> str:
    """What readers see instead of a key: "teal heron". A name, not a proof: two personas may share
    one, and only the key tells them apart."""
    digest = keyed_hash(b"p2pb name", persona, thread, 2)
    return f"{COLOURS[digest[0] % len(COLOURS)]} {ANIMALS[digest[1] % len(ANIMALS)]}"
