"""How many could have written it: what a writer is told before and after posting.

The *crowd* of a board is the nodes that emit cells on it now, this one included: each of them could
have written what comes out of the mix. Of a persona that writes on, somebody who notes who was
there each time knows more: its author is among those who were there *every* time. So this node
notes the same for each of its personas, and tells its user among how many the persona still is
(after Wolinsky, Syta, Ford: "Hang with Your Buddies to Resist Intersection Attacks", CCS 2013).

A note holds no addresses but short keyed hashes of them, under a salt of its own. It is kept and
deleted with the persona's key, and sealed like it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from protocol.crypto import RandomBytes

#: Fewer than so many, and posting asks first. Guess: with four, two others than the writer and one
#: of the relays are left to be suspected by whoever is the last relay.
CROWD_LEAST_DEFAULT = 4
#: The setting with that number.
CROWD_SETTING = "crowd_least"
#: More is on no board that a person would wait for.
CROWD_LEAST_MAX = 1000
_SALT_BYTES = 16
#: Of a few hundred addresses, two have the same tag one time in some ten billions.
_TAG_BYTES = 8
#: So that a note stays within 8 KiB; more are there on no LAN, and the rest of a campus does not
#: matter to somebody who is one of a thousand.
_TAGS_MAX = 1000


def note_crowd(note: bytes | None, hosts: Sequence[str], random_bytes: RandomBytes) -> bytes:
    """The note of a persona once it has written among ``hosts`` (the addresses of the others).

    :param note: what it was before; None for its first entry.
    """
    if note is None:
        salt = random_bytes(_SALT_BYTES)
        tags = sorted({_tag(salt, host) for host in hosts})[:_TAGS_MAX]
    else:
        salt = note[:_SALT_BYTES]
        tags = sorted(_tags(note) & {_tag(salt, host) for host in hosts})
    return salt + b"".join(tags)


def crowd_after(note: bytes | None, hosts: Sequence[str]) -> int:
    """Among how many nodes, this one included, a persona is once it has written among ``hosts``."""
    if note is None:
        return 1 + len(set(hosts))
    salt = note[:_SALT_BYTES]
    return 1 + len(_tags(note) & {_tag(salt, host) for host in hosts})


def crowd_of_note(note: bytes | None) -> int | None:
    """Among how many nodes a persona is; None where it has not come back yet."""
    return None if note is None else 1 + len(_tags(note))


def _tags(note: bytes) -> set[bytes]:
    return {note[at : at + _TAG_BYTES] for at in range(_SALT_BYTES, len(note), _TAG_BYTES)}


def _tag(salt: bytes, host: str) -> bytes:
    return hashlib.blake2b(host.encode(), key=salt, digest_size=_TAG_BYTES).digest()


@dataclass(frozen=True, slots=True)
class Crowd:
    """The crowd for an entry that is to be written.

    :ivar nodes: how many nodes are there, this one included; None where no node runs to know it.
    :ivar persona: among how many the persona would be afterwards; None for a fresh one.
    :ivar least: how many the user wants at least.
    """

    nodes: int | None
    persona: int | None
    least: int

    @property
    def is_enough(self) -> bool:
        """Whether there is no need to ask."""
        smallest = min((n for n in (self.nodes, self.persona) if n is not None), default=None)
        return smallest is not None and smallest >= self.least

    @property
    def advice(self) -> str | None:
        """What it means and what to do, in plain words; None where all is well."""
        if self.nodes is None:
            return None
        if self.nodes == 1:
            return "no other node is there: nothing leaves before one comes"
        if self.nodes == 2:
            return "one other node is there: whoever runs it will know that you wrote this"
        if self.nodes < self.least:
            return (
                f"only {self.nodes} nodes are there, yours included: whoever runs the others can "
                "guess well; wait for more (--wait)"
            )
        if self.persona is not None and self.persona < self.least:
            return (
                f"only {self.persona} of the {self.nodes} nodes were there each time that this "
                "persona wrote: take a fresh one (--fresh), or wait for the others (--wait)"
            )
        return None

    def as_json(self) -> dict[str, int | str | bool | None]:
        """For ``--json``."""
        return {
            "nodes": self.nodes,
            "persona": self.persona,
            "least": self.least,
            "enough": self.is_enough,
            "advice": self.advice,
        }
