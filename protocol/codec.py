"""CBOR as the protocol uses it: arrays, integers, byte strings, text, null, booleans; no maps, no
floats, no tags, nothing of indefinite length (SPEC.md, "Encodings").

Without maps and floats the deterministic encoding of RFC 8949 section 4.2 leaves exactly one way to
write each value, and it is the one that cbor2 writes. So *canonical* can be checked by encoding
again, in about a microsecond for a header, and needs no code of our own.
"""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from typing import Any, NoReturn

import cbor2

from protocol.errors import Reason, Refused

#: No structure of the protocol nests deeper: a list of entries inside a message.
DEPTH_MAX = 4

#: Tags that cbor2 would turn into objects of its own (dates, big numbers, *regular expressions*):
#: refused before anything is built from a stranger's bytes. All others go to ``tag_hook``.
_KNOWN_TAGS = (
    *(0, 1, 2, 3, 4, 5, 25, 28, 29, 30, 35, 36, 37, 52, 54, 100),
    *(256, 258, 260, 261, 1004, 43000, 55799),
)


def _refuse_tag(*_: object) -> NoReturn:
    raise ValueError("tags are not part of the protocol")


_OPTIONS: dict[str, Any] = {
    "tag_hook": _refuse_tag,
    "semantic_decoders": dict.fromkeys(_KNOWN_TAGS, _refuse_tag),
    "max_depth": DEPTH_MAX,
    "allow_indefinite": False,
}

#: One way to write each value, for the types that the protocol uses.
encode: Callable[[Any], bytes] = cbor2.dumps


def decode(raw: bytes, malformed: Reason) -> Any:
    """The first value in ``raw``; what follows it is not looked at.

    :raises Refused: with ``malformed`` where ``raw`` does not begin with a well-formed value.
    """
    try:
        return cbor2.loads(raw, **_OPTIONS)
    except cbor2.CBORDecodeError:
        raise Refused(malformed, "not a well-formed value") from None


def decode_whole(raw: bytes, malformed: Reason) -> Any:
    """The one value that ``raw`` is.

    :raises Refused: with ``malformed``, also where bytes follow the value.
    """
    stream = BytesIO(raw)
    try:
        value = cbor2.CBORDecoder(stream, **_OPTIONS).decode()
    except cbor2.CBORDecodeError:
        raise Refused(malformed, "not a well-formed value") from None
    if stream.tell() != len(raw):
        raise Refused(malformed, "bytes follow the value")
    return value


def is_uint(value: object, maximum: int) -> bool:
    """Whether ``value`` is an integer (not a boolean) in 0..maximum."""
    return type(value) is int and 0 <= value <= maximum


def is_bytes(value: object, size: int) -> bool:
    """Whether ``value`` is a byte string of exactly ``size`` bytes."""
    return type(value) is bytes and len(value) == size
