"""A board: its descriptor, the keys derived from it, and the invite that carries it.

The descriptor is all there is to a board. Its hash is the board's id, so a board's policy can't be
changed: a new policy is a new board. Everything that proves or hides membership is derived from
the id, which is a secret as soon as the descriptor holds one (SPEC.md, "Boards").

The invite is framed so that three accidents can be told apart for as long as the scheme lives: a
link that was cut off (its length says so), one that was mistyped (its checksum says so, whatever
version it is), and one made by a newer program (checksum right, version unknown).
"""

from __future__ import annotations

import base64
import binascii
import re
import unicodedata
from dataclasses import dataclass
from enum import IntEnum

from protocol import limits
from protocol.codec import decode_whole, encode, is_bytes, is_uint
from protocol.crypto import KEY_BYTES, RandomBytes, keyed_hash, plain_hash
from protocol.errors import Reason, Refused

DESCRIPTOR_VERSION = 1
INVITE_SCHEME = "p2pboard:"
INVITE_VERSION = 1

_CHECKSUM_BYTES = 4
_INVITE_OVERHEAD_BYTES = 3 + _CHECKSUM_BYTES  # version, two of length, checksum


class Pace(IntEnum):
    """How fast the mix of a board runs; part of the descriptor so that nobody stands out by it."""

    BRISK = 0
    NORMAL = 1
    CALM = 2


@dataclass(frozen=True, slots=True)
class Descriptor:
    """What a board is; checked at construction.

    :param name: 1 to 64 characters, no control or format characters.
    :param secret: 32 random bytes, or None for an open board.
    :param retention_days: entries older than this are deleted everywhere.
    :param payload_bytes_max: the largest payload, its salt included.
    :param work_bits: leading zero bits that each entry's id must have.
    :param pace: of the mix.
    :raises Refused: BOARD_FIELD.
    """

    name: str
    secret: bytes | None = None
    retention_days: int = limits.RETENTION_DAYS_DEFAULT
    payload_bytes_max: int = limits.PAYLOAD_BYTES_DEFAULT
    work_bits: int = limits.WORK_BITS_DEFAULT
    pace: Pace = Pace.NORMAL

    def __post_init__(self) -> None:
        if not is_board_name(self.name):
            raise Refused(
                Reason.BOARD_FIELD,
                f"a name has 1 to {limits.BOARD_NAME_CHARACTERS_MAX} characters, none of them"
                " control characters or blanks at an end",
            )
        if self.secret is not None and not is_bytes(self.secret, KEY_BYTES):
            raise Refused(Reason.BOARD_FIELD, "a secret has 32 bytes")
        _check_range("retention days", self.retention_days, 1, limits.RETENTION_DAYS_MAX)
        _check_range(
            "payload bytes",
            self.payload_bytes_max,
            limits.PAYLOAD_BYTES_LEAST,
            limits.PAYLOAD_BYTES_MOST,
        )
        _check_range("work bits", self.work_bits, 0, limits.WORK_BITS_MAX)

    @property
    def is_open(self) -> bool:
        """Whether everybody who knows the name can join."""
        return self.secret is None


def _check_range(what: str, value: object, least: int, most: int) -> None:
    if not is_uint(value, most) or value < least:  # type: ignore[operator]
        raise Refused(Reason.BOARD_FIELD, f"{what} must be {least} to {most}")


#: Not "unassigned": what that is depends on the reader's version of Unicode.
_UNSHOWN = frozenset(("Cc", "Cf", "Co", "Cs", "Zl", "Zp"))


def is_board_name(name: object) -> bool:
    """Whether ``name`` can be shown on one line without tricks (SPEC.md, B-4)."""
    return (
        type(name) is str
        and 1 <= len(name) <= limits.BOARD_NAME_CHARACTERS_MAX
        and name == name.strip()
        and not any(unicodedata.category(c) in _UNSHOWN for c in name)
    )


def encode_descriptor(descriptor: Descriptor) -> bytes:
    """The canonical bytes that the board's id is the hash of."""
    return encode(
        [
            DESCRIPTOR_VERSION,
            descriptor.name,
            descriptor.secret,
            descriptor.retention_days,
            descriptor.payload_bytes_max,
            descriptor.work_bits,
            int(descriptor.pace),
        ]
    )


def decode_descriptor(raw: bytes) -> Descriptor:
    """The descriptor that ``raw`` encodes.

    :raises Refused: BOARD_MALFORMED, BOARD_VERSION, BOARD_FIELD.
    """
    fields = decode_whole(raw, Reason.BOARD_MALFORMED)
    if type(fields) is not list or not fields:
        raise Refused(Reason.BOARD_MALFORMED, "not a list")
    if not is_uint(fields[0], DESCRIPTOR_VERSION) or fields[0] != DESCRIPTOR_VERSION:
        raise Refused(Reason.BOARD_VERSION, "made by a newer version")
    if len(fields) != 7 or encode(fields) != raw:
        raise Refused(Reason.BOARD_MALFORMED, "not the canonical form")
    _, name, secret, retention_days, payload_bytes_max, work_bits, pace = fields
    if not is_uint(pace, max(Pace)):
        raise Refused(Reason.BOARD_FIELD, "unknown pace")
    return Descriptor(name, secret, retention_days, payload_bytes_max, work_bits, Pace(pace))


@dataclass(frozen=True, slots=True)
class Board:
    """A descriptor with everything that is derived from it.

    :ivar id: 32 bytes; whoever knows it is a member, so it never leaves the node in clear.
    :ivar tag: 4 bytes in each header: an entry of another board is told apart from a forged one.
    :ivar link_psk: the pre-shared key of the Noise handshake.
    :ivar discovery_key: the key of the presence tags.
    :ivar cell_key: the key of the tags by which cells are told from strangers' datagrams.
    """

    descriptor: Descriptor
    id: bytes
    tag: bytes
    link_psk: bytes
    discovery_key: bytes
    cell_key: bytes

    @classmethod
    def of(cls, descriptor: Descriptor) -> Board:
        """The board that ``descriptor`` describes."""
        board_id = plain_hash(b"p2pb board id", encode_descriptor(descriptor))
        return cls(
            descriptor=descriptor,
            id=board_id,
            tag=keyed_hash(b"p2pb board tag", board_id, b"", 4),
            link_psk=keyed_hash(b"p2pb link psk", board_id, b""),
            discovery_key=keyed_hash(b"p2pb discovery", board_id, b""),
            cell_key=keyed_hash(b"p2pb cells", board_id, b""),
        )


#: The open board that every node knows, so that two fresh nodes on a LAN meet without set-up.
LOBBY = Descriptor(name="lobby")


def private_descriptor(name: str, random_bytes: RandomBytes, **policy: int) -> Descriptor:
    """A descriptor with a fresh secret: a board for those who are given its invite."""
    return Descriptor(name=name, secret=random_bytes(KEY_BYTES), **policy)  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class Invite:
    """What a link carries: a descriptor, and addresses where members were found (HOST:PORT)."""

    descriptor: Descriptor
    addresses: tuple[str, ...] = ()


def encode_invite(invite: Invite) -> str:
    """The ``p2pboard:`` link, in lower case; a QR code of its upper case is the denser one.

    :raises Refused: INVITE_MALFORMED where there are too many addresses.
    """
    _check_addresses(list(invite.addresses))
    body = encode([encode_descriptor(invite.descriptor), list(invite.addresses)])
    framed = bytes([INVITE_VERSION]) + len(body).to_bytes(2, "big") + body
    text = base64.b32encode(framed + _checksum(framed)).decode("ascii").rstrip("=").lower()
    return INVITE_SCHEME + text


def decode_invite(link: str) -> Invite:
    """The invite that ``link`` carries; case, blanks and line breaks in it do not matter.

    :raises Refused: INVITE_NOT_A_LINK, INVITE_TRUNCATED, INVITE_MISTYPED, INVITE_VERSION,
        INVITE_MALFORMED, or a reason of :func:`decode_descriptor`.
    """
    framed = _checked_frame(_unarmour(link))
    if framed[0] != INVITE_VERSION:
        raise Refused(Reason.INVITE_VERSION, "made by a newer version")
    fields = decode_whole(framed[3:], Reason.INVITE_MALFORMED)
    if type(fields) is not list or len(fields) != 2 or type(fields[0]) is not bytes:
        raise Refused(Reason.INVITE_MALFORMED, "not a descriptor and addresses")
    descriptor_raw, addresses = fields
    _check_addresses(addresses)
    return Invite(decode_descriptor(descriptor_raw), tuple(addresses))


def _unarmour(link: str) -> bytes:
    compact = re.sub(r"\s+", "", link).lower()
    if not compact.startswith(INVITE_SCHEME):
        raise Refused(Reason.INVITE_NOT_A_LINK, f"an invite begins with {INVITE_SCHEME}")
    text = compact.removeprefix(INVITE_SCHEME)
    if len(text) > limits.INVITE_CHARACTERS_MAX:
        raise Refused(Reason.INVITE_MISTYPED, "longer than any invite")
    try:
        # A cut anywhere leaves a length that base32 knows or not; bits beyond whole bytes are
        # dropped here, so that the length inside decides and not the accident of the cut.
        whole = text[: len(text) - (len(text) % 8 in (1, 3, 6))]
        return base64.b32decode(whole.upper() + "=" * (-len(whole) % 8))
    except (binascii.Error, ValueError):
        raise Refused(Reason.INVITE_MISTYPED, "a character is not of the alphabet") from None


def _checked_frame(raw: bytes) -> bytes:
    if len(raw) < _INVITE_OVERHEAD_BYTES:
        raise Refused(Reason.INVITE_TRUNCATED, "its end is missing")
    expected = int.from_bytes(raw[1:3], "big") + _INVITE_OVERHEAD_BYTES
    framed, checksum = raw[:-_CHECKSUM_BYTES], raw[-_CHECKSUM_BYTES:]
    if _checksum(framed) == checksum and len(raw) == expected:
        return framed
    if len(raw) < expected <= limits.INVITE_CHARACTERS_MAX:
        raise Refused(Reason.INVITE_TRUNCATED, "its end is missing")
    raise Refused(Reason.INVITE_MISTYPED, "a character is wrong")


def _checksum(framed: bytes) -> bytes:
    return plain_hash(b"p2pb invite", framed, _CHECKSUM_BYTES)


def _check_addresses(addresses: object) -> None:
    if (
        type(addresses) is not list
        or len(addresses) > limits.INVITE_ADDRESSES_MAX
        or not all(type(a) is str and 3 <= len(a) <= 255 for a in addresses)
    ):
        raise Refused(Reason.INVITE_MALFORMED, "addresses out of bounds")
