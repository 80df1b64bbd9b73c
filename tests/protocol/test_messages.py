"""Every message survives a round trip; a body that is not one is refused, and for nothing else."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol import limits
from protocol.codec import encode
from protocol.errors import Reason, Refused
from protocol.messages import (
    Address,
    Announce,
    Answer,
    Ask,
    Bye,
    Entries,
    Hello,
    Message,
    MessageKind,
    Nudge,
    Peers,
    Ping,
    Pong,
    RelayRecords,
    Want,
    WireEntry,
    decode_message,
    encode_body,
    kind_of,
)

MALFORMED, UNKNOWN = Reason.LINK_MESSAGE_MALFORMED, Reason.LINK_MESSAGE_UNKNOWN

uint32 = st.integers(0, 2**32 - 1)
ids = st.binary(min_size=32, max_size=32)
steps = st.binary(min_size=1, max_size=200)
hosts = st.ip_addresses(v=4).map(str) | st.ip_addresses(v=6).map(str)
wire_entries = st.builds(
    WireEntry,
    st.binary(max_size=300),
    st.binary(min_size=64, max_size=64),
    st.none() | st.binary(max_size=100),
)
#: Every kind of message, with any fields that it may have.
messages: st.SearchStrategy[Message] = st.one_of(
    st.builds(Hello, ids, st.integers(0, 65535), st.binary(min_size=64, max_size=64)),
    st.builds(Ask, steps),
    st.builds(Answer, steps),
    st.just(Nudge()),
    st.builds(Announce, st.lists(st.tuples(uint32, ids), min_size=1, max_size=5)),
    st.builds(Want, uint32, st.lists(ids, min_size=1, max_size=5)),
    st.builds(Entries, uint32, st.booleans(), st.lists(wire_entries, max_size=4)),
    st.builds(Peers, st.lists(st.builds(Address, hosts, st.integers(1, 65535)), max_size=4)),
    st.just(Ping()),
    st.just(Pong()),
    st.builds(Bye, st.integers(0, 255)),
    st.builds(
        RelayRecords,
        st.lists(st.binary(max_size=limits.RELAY_RECORD_BYTES_MAX), min_size=1, max_size=4),
    ),
)


def refusal_of(kind: int, body: bytes) -> Reason | None:
    try:
        decode_message(kind, body)
    except Refused as refused:
        return refused.reason
    return None


@settings(max_examples=300)
@given(messages)
def test_a_message_survives_a_round_trip(message: Message) -> None:
    decoded = decode_message(kind_of(message), encode_body(message))
    assert decoded == message and type(decoded) is type(message)


@settings(max_examples=500)
@given(st.integers(0, 255), st.binary(max_size=60))
def test_arbitrary_bodies_are_messages_or_refused_for_documented_reasons(
    kind: int, body: bytes
) -> None:
    """M-2, M-3, M-8."""
    reason = refusal_of(kind, body)
    if kind not in list(MessageKind):
        assert reason is UNKNOWN
    else:
        assert reason in (None, MALFORMED)


@settings(max_examples=500)
@given(messages, st.data())
def test_mutated_messages_are_messages_or_malformed(message: Message, data: st.DataObject) -> None:
    body = bytearray(encode_body(message))
    body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    body = body[: data.draw(st.integers(0, len(body)))] if data.draw(st.booleans()) else body
    assert refusal_of(kind_of(message), bytes(body)) in (None, MALFORMED)


@settings(max_examples=300)
@given(
    st.sampled_from(MessageKind),
    st.lists(
        st.none() | st.booleans() | uint32 | ids | st.text(max_size=4) | st.lists(uint32 | ids),
        max_size=4,
    ),
)
def test_fields_of_any_type_are_taken_or_malformed(kind: int, fields: list[Any]) -> None:
    assert refusal_of(kind, encode(fields)) in (None, MALFORMED)


def test_every_kind_is_known_and_has_a_number_of_its_own() -> None:
    assert [kind.value for kind in MessageKind] == [*range(1, 8), *range(9, 14)]
    for unassigned in (0, 8, 14):
        assert refusal_of(unassigned, encode([])) is UNKNOWN


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        (MessageKind.HELLO, [bytes(31), 0, bytes(64)]),
        (MessageKind.HELLO, [bytes(32), 65536, bytes(64)]),
        (MessageKind.HELLO, [bytes(32), 0, bytes(63)]),
        (MessageKind.HELLO, [bytes(32), 0]),
        (MessageKind.HELLO, [bytes(32), 0, bytes(64), 0]),
        (MessageKind.ASK, [b""]),
        (MessageKind.ASK, [b"x" * (limits.RECONCILE_MESSAGE_BYTES_MAX + 1)]),
        (MessageKind.ANSWER, ["text"]),
        (MessageKind.NUDGE, [0]),
        (MessageKind.ANNOUNCE, [[]]),
        (MessageKind.ANNOUNCE, [[[0, bytes(31)]]]),
        (MessageKind.ANNOUNCE, [[[2**32, bytes(32)]]]),
        (MessageKind.ANNOUNCE, [[[0, bytes(32)]] * (limits.ANNOUNCE_ITEMS_MAX + 1)]),
        (MessageKind.WANT, [0, []]),
        (MessageKind.WANT, [2**32, [bytes(32)]]),
        (MessageKind.WANT, [0, [bytes(33)]]),
        (MessageKind.WANT, [0, [bytes(32)] * (limits.WANT_IDS_MAX + 1)]),
        (MessageKind.ENTRIES, [0, 1, []]),
        (MessageKind.ENTRIES, [0, True, [[b"", bytes(63), None]]]),
        (MessageKind.ENTRIES, [0, True, [[b"", bytes(64)]]]),
        (MessageKind.ENTRIES, [0, True, [[b"", bytes(64), "text"]]]),
        (MessageKind.ENTRIES, [0, True, [[b"", bytes(64), None]] * (limits.WANT_IDS_MAX + 1)]),
        (MessageKind.PEERS, [[["10.0.0.1", 0]]]),
        (MessageKind.PEERS, [[["10.0.0.1", 65536]]]),
        (MessageKind.PEERS, [[["10.0.0.1", 1]] * (limits.PEERS_ADDRESSES_MAX + 1)]),
        (MessageKind.PEERS, [[[b"10.0.0.1", 1]]]),
        (MessageKind.PING, [None]),
        (MessageKind.BYE, [256]),
        (MessageKind.BYE, [True]),
        (MessageKind.RELAYS, [[]]),
        (MessageKind.RELAYS, [b""]),
        (MessageKind.RELAYS, [["text"]]),
        (MessageKind.RELAYS, [[bytes(limits.RELAY_RECORD_BYTES_MAX + 1)]]),
        (MessageKind.RELAYS, [[b""] * (limits.RELAYS_ITEMS_MAX + 1)]),
    ],
)
def test_a_field_out_of_its_bounds_is_malformed(kind: int, fields: list[Any]) -> None:
    """M-3."""
    assert refusal_of(kind, encode(fields)) is MALFORMED


@pytest.mark.parametrize("host", ["printer.example", "", "1", "10.0.0.1%0", "fe80::1%e", "x" * 65])
def test_a_peer_tells_ip_addresses_only(host: str) -> None:
    """M-6."""
    assert refusal_of(MessageKind.PEERS, encode([[[host, 4000]]])) is MALFORMED


def test_bytes_after_a_body_are_malformed() -> None:
    """M-3."""
    assert refusal_of(MessageKind.PING, encode([])) is None
    assert refusal_of(MessageKind.PING, encode([]) + b"\0") is MALFORMED
    assert refusal_of(MessageKind.PING, b"") is MALFORMED


def test_the_largest_messages_fit_the_bound_on_bodies() -> None:
    entry = WireEntry(bytes(limits.HEADER_BYTES_MAX), bytes(64), bytes(limits.PAYLOAD_BYTES_MOST))
    batch = [entry] * (1 + limits.ENTRIES_BATCH_BYTES // limits.PAYLOAD_BYTES_MOST)
    largest: list[Message] = [
        Ask(bytes(limits.RECONCILE_MESSAGE_BYTES_MAX)),
        Announce([(2**32 - 1, bytes(32))] * limits.ANNOUNCE_ITEMS_MAX),
        Want(2**32 - 1, [bytes(32)] * limits.WANT_IDS_MAX),
        Entries(2**32 - 1, True, batch),
        RelayRecords([bytes(limits.RELAY_RECORD_BYTES_MAX)] * limits.RELAYS_ITEMS_MAX),
    ]
    for message in largest:
        body = encode_body(message)
        assert len(body) <= limits.MESSAGE_BODY_BYTES_MAX
        assert decode_message(kind_of(message), body) == message


def test_an_address_is_shown_as_people_write_it() -> None:
    assert str(Address("10.0.0.1", 80)) == "10.0.0.1:80"
    assert str(Address("fd00::1", 80)) == "[fd00::1]:80"
