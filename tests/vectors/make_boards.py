"""Vectors of boards and invites."""

from __future__ import annotations

import base64
from typing import Any

from protocol import limits
from protocol.board import (
    INVITE_SCHEME,
    LOBBY,
    Board,
    Descriptor,
    Invite,
    Pace,
    encode_descriptor,
    encode_invite,
)
from protocol.codec import encode
from protocol.crypto import plain_hash
from protocol.errors import Reason
from tests.vectors.shared import Vector, Vectors, fixed


def valid_board(about: str, rule: str, descriptor: Descriptor) -> Vector:
    board = Board.of(descriptor)
    return {
        "about": about,
        "rule": rule,
        "descriptor": encode_descriptor(descriptor).hex(),
        "outcome": "valid",
        "fields": fields_of(descriptor),
        "id": board.id.hex(),
        "tag": board.tag.hex(),
        "link_psk": board.link_psk.hex(),
        "discovery_key": board.discovery_key.hex(),
        "cell_key": board.cell_key.hex(),
    }


def fields_of(descriptor: Descriptor) -> dict[str, Any]:
    return {
        "name": descriptor.name,
        "secret": descriptor.secret.hex() if descriptor.secret else None,
        "retention_days": descriptor.retention_days,
        "payload_bytes_max": descriptor.payload_bytes_max,
        "work_bits": descriptor.work_bits,
        "pace": int(descriptor.pace),
    }


def faulty_board(about: str, rule: str, raw: bytes, outcome: Reason) -> Vector:
    return {
        "about": about,
        "rule": rule,
        "twin": "private",
        "descriptor": raw.hex(),
        "outcome": outcome.slug,
    }


OFFICE = Descriptor("office", fixed("office"))


def boards() -> Vectors:
    raw = encode_descriptor(OFFICE)
    fields = [1, "office", fixed("office"), 30, 8192, 14, 1]

    def with_field(at: int, value: Any) -> bytes:
        return encode([*fields[:at], value, *fields[at + 1 :]])

    def malformed(about: str, rule: str, faulty: bytes) -> Vector:
        return faulty_board(about, rule, faulty, Reason.BOARD_MALFORMED)

    def version(about: str, faulty: bytes) -> Vector:
        return faulty_board(about, "B-2", faulty, Reason.BOARD_VERSION)

    def field(about: str, at: int, value: Any) -> Vector:
        return faulty_board(about, "B-4", with_field(at, value), Reason.BOARD_FIELD)

    least = Descriptor("x", None, 1, limits.PAYLOAD_BYTES_LEAST, 0, Pace.BRISK)
    most = Descriptor(
        "n" * limits.BOARD_NAME_CHARACTERS_MAX,
        b"\xff" * 32,
        limits.RETENTION_DAYS_MAX,
        limits.PAYLOAD_BYTES_MOST,
        limits.WORK_BITS_MAX,
        Pace.CALM,
    )
    return {
        "lobby": valid_board("The open board that every node knows.", "B-7", LOBBY),
        "private": valid_board("A board with a secret.", "B-5", OFFICE),
        "least": valid_board("Every field at its least.", "B-4", least),
        "most": valid_board("Every field at its most.", "B-4", most),
        "name-in-another-script": valid_board(
            "A name of letters, blanks and a symbol outside of ASCII.",
            "B-4",
            Descriptor("営業部 ☕ café", fixed("office")),
        ),
        "malformed-nothing": malformed("No bytes.", "B-1", b""),
        "malformed-not-an-array": malformed("A byte string.", "B-1", encode(raw)),
        "malformed-no-fields": malformed("An empty array.", "B-1", b"\x80"),
        "malformed-truncated": malformed("The last byte is missing.", "B-1", raw[:-1]),
        "malformed-trailing-byte": malformed("A zero byte after it.", "B-1", raw + b"\0"),
        "malformed-tag": malformed("The array in a tag.", "B-1", b"\xd9\xd9\xf7" + raw),
        "malformed-indefinite-array": malformed(
            "An array of indefinite length.", "B-1", b"\x9f" + raw[1:] + b"\xff"
        ),
        "malformed-field-missing": malformed("Six fields.", "B-3", encode(fields[:6])),
        "malformed-field-more": malformed("Eight fields.", "B-3", encode([*fields, None])),
        "malformed-array-length": malformed(
            "The array's length in two bytes instead of one.", "B-3", b"\x98\x07" + raw[1:]
        ),
        "malformed-long-integer": malformed(
            "The retention in three bytes instead of two.",
            "B-3",
            raw.replace(b"\x18\x1e", b"\x19\x00\x1e"),
        ),
        "version-2": version("Version 2.", with_field(0, 2)),
        "version-true": version("Version true.", with_field(0, True)),
        "version-float": version("Version 1.0.", with_field(0, 1.0)),
        "version-of-fewer-fields": version("Version 2 with other fields.", encode([2, "new"])),
        "field-name-empty": field("An empty name.", 1, ""),
        "field-name-long": field("A name of 65 characters.", 1, "n" * 65),
        "field-name-bytes": field("A name of bytes.", 1, b"office"),
        "field-name-control": field("A name with a line break.", 1, "of\nfice"),
        "field-name-zero-width": field("A name with a zero-width space.", 1, "of\u200bfice"),
        "field-name-right-to-left": field("A name with an override.", 1, "of\u202efice"),
        "field-name-line-separator": field("A name with U+2028.", 1, "of\u2028fice"),
        "field-name-blank-at-end": field("A name that ends with a blank.", 1, "office "),
        "field-secret-short": field("A secret of 31 bytes.", 2, bytes(31)),
        "field-secret-text": field("A secret of text.", 2, "x" * 32),
        "field-retention-0": field("No days.", 3, 0),
        "field-retention-long": field("A day too many.", 3, limits.RETENTION_DAYS_MAX + 1),
        "field-payload-small": field("Payloads too small.", 4, limits.PAYLOAD_BYTES_LEAST - 1),
        "field-payload-large": field("Payloads too large.", 4, limits.PAYLOAD_BYTES_MOST + 1),
        "field-work-much": field("Too much work.", 5, limits.WORK_BITS_MAX + 1),
        "field-work-negative": field("Negative work.", 5, -1),
        "field-pace-unknown": field("Pace 3.", 6, 3),
        "field-pace-null": field("No pace.", 6, None),
    }


def armoured(framed: bytes) -> str:
    """An invite around any frame, its checksum right."""
    text = base64.b32encode(framed + plain_hash(b"p2pb invite", framed, 4)).decode("ascii")
    return INVITE_SCHEME + text.rstrip("=").lower()


def framed(body: bytes, version: int = 1) -> bytes:
    return bytes([version]) + len(body).to_bytes(2, "big") + body


def valid_invite(about: str, rule: str, link: str, invite: Invite) -> Vector:
    return {
        "about": about,
        "rule": rule,
        "link": link,
        "outcome": "valid",
        "descriptor": encode_descriptor(invite.descriptor).hex(),
        "fields": fields_of(invite.descriptor),
        "addresses": list(invite.addresses),
    }


def invites() -> Vectors:
    plain, office = Invite(LOBBY), Invite(OFFICE, ("10.0.0.1:4000", "[fd00::1]:4000"))
    link = encode_invite(office)
    raw = encode_descriptor(OFFICE)

    def faulty(about: str, rule: str, text: str, outcome: Reason) -> Vector:
        return {
            "about": about,
            "rule": rule,
            "twin": "with-addresses",
            "link": text,
            "outcome": outcome.slug,
        }

    def malformed(about: str, body: bytes) -> Vector:
        return faulty(about, "I-8", armoured(framed(body)), Reason.INVITE_MALFORMED)

    def mistyped(about: str, rule: str, text: str) -> Vector:
        return faulty(about, rule, text, Reason.INVITE_MISTYPED)

    def truncated(about: str, rule: str, text: str) -> Vector:
        return faulty(about, rule, text, Reason.INVITE_TRUNCATED)

    def not_a_link(about: str, text: str) -> Vector:
        return faulty(about, "I-3", text, Reason.INVITE_NOT_A_LINK)

    wrong = "a" if link[60] != "a" else "b"
    blanks = f" {link[:20]}\n{link[20:50]}\r\n\t{link[50:]} \n"
    addresses = list(office.addresses)
    return {
        "without-addresses": valid_invite("No addresses.", "I-1", encode_invite(plain), plain),
        "with-addresses": valid_invite("Two addresses.", "I-1", link, office),
        "in-upper-case": valid_invite("As a QR code holds it.", "I-2", link.upper(), office),
        "with-blanks": valid_invite("As a mail breaks it.", "I-2", blanks, office),
        "not-a-link-nothing": not_a_link("Nothing.", ""),
        "not-a-link-web": not_a_link("A web address.", "https://example.com/"),
        "not-a-link-no-scheme": not_a_link(
            "The scheme is missing.", link.removeprefix("p2pboard:")
        ),
        "truncated-by-one": truncated("The last character is missing.", "I-6", link[:-1]),
        "truncated-half": truncated("Half of it is missing.", "I-6", link[: len(link) // 2]),
        "truncated-at-once": truncated("Nothing after the scheme.", "I-5", INVITE_SCHEME),
        "truncated-in-the-head": truncated("Six bytes.", "I-5", link[: len(INVITE_SCHEME) + 10]),
        "mistyped-character": mistyped(
            "One character is another.", "I-6", link[:60] + wrong + link[61:]
        ),
        "mistyped-neighbours": mistyped(
            "Two characters are exchanged.", "I-6", link[:61] + link[62] + link[61] + link[63:]
        ),
        "mistyped-alphabet": mistyped("A one for an L.", "I-4", link[:60] + "1" + link[61:]),
        "mistyped-more": mistyped("Characters follow it.", "I-6", link + "aaaaaaaa"),
        "mistyped-too-long": mistyped("4097 characters.", "I-4", INVITE_SCHEME + "a" * 4097),
        "version-2": faulty(
            "Made by a newer program.",
            "I-7",
            armoured(framed(b"whatever that holds", version=2)),
            Reason.INVITE_VERSION,
        ),
        "malformed-not-cbor": malformed("A body that is not CBOR.", b"\xff"),
        "malformed-not-an-array": malformed("A body that is the descriptor.", encode(raw)),
        "malformed-one-field": malformed("No list of addresses.", encode([raw])),
        "malformed-three-fields": malformed("A third field.", encode([raw, addresses, None])),
        "malformed-trailing-byte": malformed(
            "A byte after the body.", encode([raw, addresses]) + b"\0"
        ),
        "malformed-descriptor-text": malformed(
            "A descriptor of text.", encode(["office", addresses])
        ),
        "malformed-address-bytes": malformed("An address of bytes.", encode([raw, [b"10.0.0.1"]])),
        "malformed-address-short": malformed("An address of 2 characters.", encode([raw, ["a:"]])),
        "malformed-address-long": malformed(
            "An address of 256 characters.", encode([raw, ["a" * 256]])
        ),
        "malformed-addresses-many": malformed(
            "Nine addresses.", encode([raw, ["10.0.0.1:4000"] * 9])
        ),
        "descriptor-malformed": faulty(
            "A descriptor that is cut off keeps its own reason.",
            "I-8",
            armoured(framed(encode([raw[:-1], addresses]))),
            Reason.BOARD_MALFORMED,
        ),
        "descriptor-version": faulty(
            "A descriptor of a newer version keeps its own reason.",
            "I-8",
            armoured(framed(encode([encode([2, "new"]), addresses]))),
            Reason.BOARD_VERSION,
        ),
    }
