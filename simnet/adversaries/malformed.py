"""Malformed senders: members whose messages are wrong, each in another way.

One sees what any member sees and behaves like one, but for a share of what it says. Messages are
changed with knowledge of their structure, where random bytes would all die at the same first check:
a field of another type, size or range; a list that is empty or endless; a body cut short or with
bytes behind it; an unknown kind; an answer to no question; an entry that is wrong in one respect
and signed all the same. Below that, frames are cut, changed and mixed with noise, and strangers
connect who say random bytes.

What is promised: a hang-up with a reason from the registry, nothing invalid on any disk, no bound
broken, and to strangers not one byte.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from random import Random
from typing import TYPE_CHECKING, Annotated, Any

from protocol import effects, limits
from protocol.board import Board
from protocol.codec import encode
from protocol.entry import Entry, Header, bucket_of, entry_id, payload_hash
from protocol.entry import Kind as EntryKind
from protocol.frames import encode_message
from protocol.link import Link
from protocol.messages import (
    Address,
    Answer,
    Entries,
    Hello,
    Message,
    MessageKind,
    Peers,
    Want,
    WireEntry,
    encode_body,
    kind_of,
)
from protocol.persona import Draft, Persona, draft_post
from simnet.adversaries import Kind, MakeHost
from simnet.adversaries.offering import Offering, offered_id
from simnet.host import Host
from simnet.trouble import Stranger

if TYPE_CHECKING:
    from simnet.world import World


@dataclass(frozen=True, slots=True)
class MalformedOptions:
    """:ivar message_share: the share of its messages that are wrong.
    :ivar wire_share: the share of what it writes that is wrong below the messages.
    :ivar strangers_per_s: connections with random bytes.
    """

    message_share: Annotated[float, (0.0, 1.0)] = 0.1
    wire_share: Annotated[float, (0.0, 1.0)] = 0.01
    strangers_per_s: Annotated[float, (0.0, 1000.0)] = 0.2


class Garbling(Offering):
    """A board's machine whose links say wrong things.

    :ivar host: whose it is, once it is open.
    """

    host: MalformedSender | None = None

    def greet(self, link: Link) -> None:
        """From the first message on."""
        if self.host is not None:
            honest = link.send
            link.send = partial(self.host.say, link, honest)  # type: ignore[method-assign]
        super().greet(link)


class MalformedSender(Host):
    """A host that sends wrong messages.

    :ivar said: how many messages were changed; :ivar strangers: who connected besides.
    """

    role = "malformed"
    make_board = Garbling

    def __init__(
        self, world: World, number: int, boards: Sequence[Board], options: MalformedOptions
    ) -> None:
        super().__init__(world, number, boards)
        self.options = options
        self.said = 0
        self.strangers: list[Stranger] = []
        self._garble_random = world.random(f"malformed {number}")

    def start(self) -> None:
        """Switch on, and let strangers out from now on."""
        super().start()
        if self.options.strangers_per_s:
            self._stranger_later(self.boot)

    def _open(self, board: Board, addresses: tuple[Address, ...] = ()) -> None:
        super()._open(board, addresses)
        gossip = self.node.boards[board.id]
        if isinstance(gossip, Garbling):
            gossip.host = self

    def say(self, link: Link, honest: Callable[[Message], None], message: Message) -> None:
        """Say a message, or something like it."""
        if link.board is None or self._garble_random.random() >= self.options.message_share:
            honest(message)
            return
        self.said += 1
        gossip = self.node.boards[link.board.id]
        if self._garble_random.random() < _WRONG_ENTRIES and isinstance(gossip, Garbling):
            wall_s = self.now().wall_s
            wire = wrong_entry(self._garble_random, link.board, wall_s)
            honest(gossip.offer(bucket_of(wall_s), wire))
            # And by way of somebody who can't tell whom to blame.
            gossip.publishing.mix.queue(offered_id(link.board, wire), wire, self.now())
            return
        for kind, body in garble(self._garble_random, message):
            link._outgoing.append(encode_message(kind, body))
        link._on_queued(link)

    def _carry_out(self, effect: effects.Effect) -> None:
        if (
            isinstance(effect, effects.SendBytes)
            and self._garble_random.random() < self.options.wire_share
        ):
            data = garble_bytes(self._garble_random, effect.data)
            effect = effects.SendBytes(effect.link, data)
        super()._carry_out(effect)

    def _stranger_later(self, boot: int) -> None:
        random = self._garble_random

        def call() -> None:
            if boot != self.boot or not self.is_on:
                return
            others = [host for host in self.world.hosts if host is not self and host.addresses]
            if others:
                size = random.choice((0, 1, limits.HANDSHAKE_MESSAGE_BYTES, 5_000))
                stranger = Stranger(self.world, self, random.randbytes(size))
                self.strangers.append(stranger)
                stranger.call(random.choice(list(random.choice(others).addresses.values())))
            self._stranger_later(boot)

        self.world.after(int(1e6 * random.expovariate(self.options.strangers_per_s)), call)


#: Of what it says wrong, the share that is wrong entries, announced for others to ask for.
_WRONG_ENTRIES = 1 / 3

# --- Messages -------------------------------------------------------------------------------------

Garbled = list[tuple[int, bytes]]


def garble(random: Random, message: Message) -> Garbled:
    """Kinds and bodies to say in place of ``message``."""
    ways: tuple[Callable[[], Garbled], ...] = (
        lambda: [(kind_of(message), encode(_garbled_field(random, list(message))))],
        lambda: [(kind_of(message), encode(_garbled_field(random, list(message))))],
        lambda: [(kind_of(message), _garbled_body(random, encode_body(message)))],
        lambda: [(_other_kind(random), encode_body(message))],
        lambda: [(kind_of(message), encode_body(message))] * random.choice((2, 12)),
        lambda: [_unasked(random)],
    )
    return random.choice(ways)()


def garble_bytes(random: Random, data: bytes) -> bytes:
    """What is on the wire, changed."""
    at = random.randrange(len(data)) if data else 0
    ways = (
        data[:at],
        data[:at] + random.randbytes(random.randint(1, 40)) + data[at:],
        random.randbytes(len(data)),
        data + data,
        data[:at] + bytes(1) + data[at + 1 :],
    )
    return random.choice(ways)


def _garbled_field(random: Random, fields: list[Any]) -> list[Any]:
    """The fields with one of them, at any depth, replaced by something like it."""
    if not fields or random.random() < 0.15:
        return random.choice(([], [*fields, 0], fields[:-1], [fields]))
    garbled = list(fields)
    at = random.randrange(len(garbled))
    field = garbled[at]
    if isinstance(field, (list, tuple)) and field and random.random() < 0.7:
        garbled[at] = _garbled_field(random, list(field))
    else:
        garbled[at] = _like(random, field)
    return garbled


def _like(random: Random, field: Any) -> Any:
    match field:
        case bool():
            return random.choice((0, 1, None, not field))
        case int():
            return random.choice((-1, 0, field + 1, 2**32, 2**63, 2**70, float(field), str(field)))
        case bytes():
            flipped = bytearray(field or b"\0")
            flipped[random.randrange(len(flipped))] ^= 1 << random.randrange(8)
            return random.choice(
                (bytes(flipped), field[:-1], field + b"\0", b"", field * 3, field.hex(), None)
            )
        case str():
            return random.choice(
                ("", "127.0.0.1", "::1", "fe80::1%eth0", "a.b", "9" * 70, field.encode())
            )
        case list() | tuple():
            return random.choice(([], list(field) * 600, list(field)[:1] * 3, {}, None))
        case _:
            return random.choice((b"", 0, [], {"a": 1}, True))


def _garbled_body(random: Random, body: bytes) -> bytes:
    at = random.randrange(len(body)) if body else 0
    return random.choice(
        (
            body[:at],
            body + b"\0",
            b"\x9f" + body[1:] + b"\xff",  # the same list, of indefinite length
            random.randbytes(len(body)),
            b"",
            b"\x9b" + b"\xff" * 8,  # a list of 2**64-1 items
            b"\x81" * 5_000,  # lists in lists
            b"\xd8\x1c" + body,  # a tag in front
        )
    )


def _other_kind(random: Random) -> int:
    return random.choice((0, 8, 14, 127, 200, 255, *(int(kind) for kind in MessageKind)))


def _unasked(random: Random) -> tuple[int, bytes]:
    """Well-formed, at the wrong time."""
    ids = [random.randbytes(32) for _ in range(random.choice((1, limits.WANT_IDS_MAX)))]
    messages: tuple[Message, ...] = (
        Hello(random.randbytes(32), 1, random.randbytes(64)),
        Answer(b"\x61" + random.randbytes(20)),
        Entries(random.randrange(2**32), True, []),
        Want(random.randrange(2**32), ids),
        Peers([Address("127.0.0.1", 22), Address("224.0.0.251", 5353)]),
    )
    message = random.choice(messages)
    return kind_of(message), encode_body(message)


# --- Entries --------------------------------------------------------------------------------------


def wrong_entry(random: Random, board: Board, wall_s: int) -> WireEntry:
    """An entry that is wrong in one respect; where that is not the signature, it is signed by its
    persona."""
    persona = Persona.fresh(random.randbytes)
    draft = draft_post(board, persona, "not valid", None, wall_s, random.randbytes)
    header, payload = draft.header, draft.payload or b""
    large = bytes(board.descriptor.payload_bytes_max + 1)
    headers: tuple[tuple[Header, bytes], ...] = (
        (header._replace(version=2), payload),
        (header._replace(kind=7), payload),
        (header._replace(kind=int(EntryKind.RETRACT)), payload),
        (header._replace(board_tag=random.randbytes(4)), payload),
        (header._replace(seq=1), payload),
        (header._replace(prev=random.randbytes(32)), payload),
        (header._replace(thread=random.randbytes(32)), payload),
        (header._replace(bucket=header.bucket + 1000), payload),
        (header._replace(bucket=0), payload),
        (header._replace(payload_bytes=3, payload_hash=payload_hash(board, b"abc")), b"abc"),
        (
            header._replace(payload_bytes=len(large), payload_hash=payload_hash(board, large)),
            large,
        ),
        (header, payload + b"!"),
        (header, bytes(len(payload))),
    )
    is_forged = random.random() < 0.4
    if not is_forged:
        header, payload = random.choice(headers)
    entry = _worked(board, header, persona)
    signature = entry.signature
    if is_forged:
        signature = random.choice((bytes(64), random.randbytes(64), signature[::-1]))
    raw = random.choice((entry.raw,) * 8 + (entry.raw + b"\0", entry.raw[:-1]))
    return WireEntry(raw, signature, payload)


def _worked(board: Board, header: Header, persona: Persona) -> Entry:
    nonce = Draft(board, header, None).mine(0, 1 << 24) or header.nonce
    header = header._replace(nonce=nonce)
    raw = encode(list(header))
    entry = Draft(board, header, None).sign(persona, nonce)
    return entry._replace(raw=raw, id=entry_id(board, raw))


def make(options: MalformedOptions) -> MakeHost:
    """Malformed senders, for :meth:`simnet.world.World.add_hosts`."""
    return partial(MalformedSender, options=options)


KIND = Kind("malformed", "a share of its messages and frames is wrong", MalformedOptions, make)
