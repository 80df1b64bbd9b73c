"""What a node does about what happens: exact effects where they are few, outcomes where not."""

from __future__ import annotations

import itertools

import pytest

from protocol import inputs, limits
from protocol.board import Board, Descriptor
from protocol.directory import TAGS_STEP, presence_tag
from protocol.effects import (
    Advertise,
    Dial,
    Effect,
    EntriesArrived,
    Expire,
    FindWork,
    HangUp,
    LinkDown,
    LinkUp,
    Load,
    RememberAddress,
    SendBytes,
    Store,
    SyncProgress,
    Tell,
    Verify,
)
from protocol.entry import BUCKET_SECONDS, Entry
from protocol.errors import Misuse, Reason
from protocol.frames import encode_message
from protocol.index import EntryIndex, encode_key
from protocol.messages import (
    Address,
    Announce,
    Answer,
    Ask,
    Bye,
    Entries,
    Hello,
    Message,
    Nudge,
    Peers,
    Ping,
    Pong,
    Want,
)
from protocol.node import Node
from protocol.reconcile import Initiator, respond
from tests.protocol.wired import (
    BOARD,
    LISTENING,
    OTHER_BOARD,
    WALL_S,
    Host,
    Network,
    Speaker,
    badly_signed,
    encoded,
    item,
    many,
    of_kind,
    seeded,
    wire,
    written,
)

JITTER_MS = limits.ANNOUNCE_JITTER_MS_MAX
PEER = Address("10.0.0.77", 4000)
#: The reconciliation message of an empty set: no ids in the range that is everything.
NOTHING = b"\x61\x00\x00\x02\x00"
#: The first token that is free: before, the node has had its relay record's work looked for.
FREE = 2


def hung_up(effects: list[Effect]) -> list[tuple[int, Reason]]:
    return [(e.link, e.reason) for e in effects if isinstance(e, HangUp)]


def wants(heard: list[Message]) -> list[Want]:
    return [message for message in heard if isinstance(message, Want)]


def give(speaker: Speaker, *entries: Entry, heard: list[Message] | None = None) -> list[Effect]:
    """Answer the one request heard, with these entries."""
    [want] = wants(speaker.take() if heard is None else heard)
    return speaker.say(Entries(want.request, True, [wire(entry) for entry in entries]))


def all_ids(message: Announce) -> list[bytes]:
    return [identifier for _, identifier in message.items]


# --- Strangers ------------------------------------------------------------------------------------


def first_message_of(board: Board, **said: object) -> bytes:
    return Speaker(Host(name="elsewhere"), 1, board).first_message(**said)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "probe",
    [
        b"",
        b"\0",
        b"GET / HTTP/1.1\r\nHost: 10.0.0.1\r\n\r\n" * 4,
        bytes(limits.HANDSHAKE_MESSAGE_BYTES - 1),
        bytes(limits.HANDSHAKE_MESSAGE_BYTES),
        bytes(100_000),
        first_message_of(OTHER_BOARD),
        first_message_of(Board.of(Descriptor("test"))),
        first_message_of(BOARD, local=Address("10.0.0.9", LISTENING.port)),
        first_message_of(BOARD, local=Address(LISTENING.host, LISTENING.port + 1)),
        first_message_of(BOARD, wall_s=WALL_S - limits.HANDSHAKE_SKEW_S_MAX - 60),
        first_message_of(BOARD, wall_s=WALL_S + limits.HANDSHAKE_SKEW_S_MAX + 60),
        first_message_of(BOARD)[:-1] + b"\0",
    ],
    ids=[
        "nothing",
        "one byte",
        "a web request",
        "almost a first message",
        "as long as a first message",
        "very much",
        "another board",
        "a board of the same name",
        "another host's",
        "another port's",
        "an old one",
        "one from the future",
        "one wrong byte",
    ],
)
def test_a_stranger_gets_no_byte_and_no_sign_however_long_it_talks(probe: bytes) -> None:
    """L-5, L-7, L-15."""
    host = Host()
    stranger = Speaker(host, 1)
    assert stranger.connect() == []
    assert stranger.say_bytes(probe) == []
    assert stranger.say_bytes(first_message_of(OTHER_BOARD)) == []
    least_ms, most_ms = limits.SILENCE_MS_RANGE
    assert host.pass_ms(least_ms - 1) == []
    assert stranger.say_bytes(probe) == []
    assert host.pass_ms(most_ms - least_ms + 1) == [HangUp(1, Reason.LINK_TIMEOUT)]
    assert stranger.wire_heard == b""
    assert stranger.say_bytes(probe) == []


def test_a_replayed_first_message_gets_no_byte() -> None:
    """L-5."""
    host = Host()
    member = Speaker(host, 1)
    member.connect()
    first = member.first_message()
    assert of_kind(member.say_bytes(first), SendBytes)
    for link in (2, 3):
        replayer = Speaker(host, link)
        replayer.connect()
        assert replayer.say_bytes(first) == [] and replayer.say_bytes(first * 5) == []


def test_a_silent_connection_is_closed_after_a_time_that_cannot_be_foretold() -> None:
    """L-7."""
    least_ms, most_ms = limits.SILENCE_MS_RANGE
    closed_ms = set()
    for number in range(20):
        host = Host(name=f"host {number}")
        Speaker(host, 1).connect()
        start_ms = host.mono_ms
        host.pass_ms(least_ms - 1)
        while not host.hung_up:
            host.pass_ms(10)
        closed_ms.add(host.mono_ms - start_ms)
    assert min(closed_ms) >= least_ms and max(closed_ms) <= most_ms + 10
    assert len(closed_ms) > 15


def test_strangers_hold_a_bounded_number_of_connections_and_members_are_not_among_them() -> None:
    """L-8."""
    host = Host()
    host.meet(1000)
    for link in range(limits.LINKS_UNPROVEN_MAX):
        assert Speaker(host, link).connect() == []
    late = Speaker(host, 2000)
    assert late.connect() == [HangUp(2000, Reason.LINK_FULL)]
    host.pass_ms(limits.SILENCE_MS_RANGE[1])
    assert Speaker(host, 2001).connect() == []


def test_one_stranger_leaves_places_for_others() -> None:
    """L-8."""
    host = Host()
    greedy = Address("10.0.9.9", 50_000)
    for link in range(limits.LINKS_UNPROVEN_PER_HOST_MAX):
        assert Speaker(host, link, remote=greedy).connect() == []
    assert Speaker(host, 2000, remote=greedy).connect() == [HangUp(2000, Reason.LINK_FULL)]
    assert Speaker(host, 2001).connect() == []


def test_members_that_never_say_hello_are_bounded_too_and_hung_up_on() -> None:
    """L-8, L-9."""
    host = Host()
    for link in range(limits.LINKS_UNPROVEN_MAX):
        Speaker(host, link).dial()
    assert Speaker(host, 2000).connect() == [HangUp(2000, Reason.LINK_FULL)]
    host.pass_ms(limits.SILENCE_MS_RANGE[1])
    assert set(host.hung_up.values()) == {Reason.LINK_TIMEOUT, Reason.LINK_FULL}
    assert not host.node.links


def test_a_listener_that_answers_wrongly_is_hung_up_on_without_a_word() -> None:
    """L-9."""
    host = Host(addresses=(PEER,))
    assert host.dials == [Dial(BOARD.id, PEER)]
    host.feed(inputs.LinkOpened(1, PEER, LISTENING, BOARD.id))
    effects = host.feed(inputs.BytesReceived(1, bytes(limits.HANDSHAKE_MESSAGE_BYTES)))
    assert effects == [HangUp(1, Reason.LINK_HANDSHAKE)]
    host.feed(inputs.LinkOpened(2, PEER, LISTENING, BOARD.id))
    assert host.pass_ms(limits.HANDSHAKE_MS_MAX)[-1] == HangUp(2, Reason.LINK_TIMEOUT)


def test_a_dialled_address_hears_one_first_message_and_nothing_else() -> None:
    """L-9."""
    host = Host(addresses=(PEER,))
    [sent] = host.feed(inputs.LinkOpened(1, PEER, LISTENING, BOARD.id))
    assert isinstance(sent, SendBytes) and len(sent.data) == limits.HANDSHAKE_MESSAGE_BYTES
    assert of_kind(host.pass_ms(limits.HANDSHAKE_MS_MAX), SendBytes) == []


# --- Opening a link -------------------------------------------------------------------------------


def test_a_member_that_dials_is_answered_and_greeted() -> None:
    host = Host()
    member = Speaker(host, 1)
    effects = member.dial()
    assert [type(effect) for effect in effects] == [SendBytes, SendBytes]
    assert len(effects[0].data) == limits.HANDSHAKE_MESSAGE_BYTES  # type: ignore[union-attr]
    assert len(effects[1].data) == limits.FRAME_WIRE_BYTES[0]  # type: ignore[union-attr]
    [hello] = member.take()
    assert isinstance(hello, Hello) and hello.port == LISTENING.port
    reached = Address(member.remote.host, member.port)
    linked, search = member.greet()
    assert linked == Tell(LinkUp(BOARD.id, 1, reached))
    assert isinstance(search, FindWork)  # of a record for the address that the link has shown


def test_a_member_that_was_dialled_is_remembered_and_reconciled_with() -> None:
    host = Host(addresses=(PEER,))
    peer = Speaker(host, 1)
    peer.be_dialled(PEER)
    [hello] = peer.take()
    assert isinstance(hello, Hello)
    effects = peer.greet()
    assert effects[:2] == [Tell(LinkUp(BOARD.id, 1, PEER)), RememberAddress(BOARD.id, PEER)]
    assert peer.take() == [Ask(NOTHING)]


def test_a_node_that_dials_itself_notices_and_never_does_again() -> None:
    """L-11."""
    host = Host(addresses=(LISTENING,))
    network = Network(host)
    host.ends.clear()
    source = Address(LISTENING.host, 50_001)
    # Both ends of the connection are in one node, so it has two numbers.
    host.ends[1] = _Loop(network, host, 2)
    host.ends[2] = _Loop(network, host, 1)
    host.feed(inputs.LinkOpened(2, source, LISTENING))
    host.feed(inputs.LinkOpened(1, LISTENING, source, BOARD.id))
    network.settle()
    assert set(host.hung_up.values()) == {Reason.LINK_SELF} and not host.node.links
    host.feed(inputs.AddressGiven(LISTENING))
    host.pass_ms(10**6)
    assert host.dials == [Dial(BOARD.id, LISTENING)]


class _Loop:
    """One end of a connection of a host with itself."""

    def __init__(self, network: Network, host: Host, other: int) -> None:
        self.network, self.host, self.other = network, host, other

    def receive(self, data: bytes) -> None:
        self.network.queue.append((self.host, inputs.BytesReceived(self.other, data)))

    def hang_up(self, reason: Reason) -> None:
        self.network.queue.append((self.host, inputs.LinkClosed(self.other)))


@pytest.mark.parametrize("names", [("a", "b"), ("b", "a"), ("c", "d"), ("e", "f"), ("g", "h")])
@pytest.mark.parametrize("is_at_once", [True, False])
def test_two_links_between_two_nodes_become_the_same_one_at_both_ends(
    names: tuple[str, str], is_at_once: bool
) -> None:
    """L-13."""
    first = Host(name=names[0], listening=Address("10.0.0.1", 4000))
    second = Host(name=names[1], listening=Address("10.0.0.2", 4000))
    network = Network(first, second)
    network.connect(first, second)
    if not is_at_once:
        network.settle()
    network.connect(second, first)
    network.settle()
    assert len(first.node.links) == 1 and list(first.node.links) == list(second.node.links)
    assert {*first.hung_up.values(), *second.hung_up.values()} == {Reason.LINK_DUPLICATE}
    entry = written("comes back over the one that is left")
    first.feed(inputs.Publish(BOARD.id, entry))
    network.run(20)
    assert set(first.disk) == set(second.disk) == {entry.id}


def test_of_two_links_that_one_node_dialled_it_gives_up_the_second_and_dials_it_no_more() -> None:
    """L-13, L-15."""
    elsewhere = Address("10.0.0.78", 4000)
    host = Host(addresses=(PEER, elsewhere))
    seed = bytes(range(32))
    host.reach(1, PEER, seed=seed)
    again = Speaker(host, 2, seed=seed)
    again.be_dialled(elsewhere)
    assert (2, Reason.LINK_DUPLICATE) in hung_up(again.greet())
    assert again.take()[-1] == Bye(Reason.LINK_DUPLICATE)
    host.dials.clear()
    host.pass_ms(30_000)
    assert host.dials == []


@pytest.mark.parametrize("victim", ["a", "b", "c", "d"])
@pytest.mark.parametrize("is_dialled", [True, False])
def test_a_copied_instance_ends_its_own_link_and_no_other(victim: str, is_dialled: bool) -> None:
    """L-13, L-16, L-20: whichever instance is the larger, whoever dialled."""
    host = Host(addresses=(PEER,), name=victim)
    honest = host.reach(1, PEER)
    honest.take()
    proofs = [honest.hello().proof, bytes(64)]
    for link, proof in enumerate([*proofs, None], 2):
        thief = Speaker(host, link)
        thief.be_dialled(Address("10.0.0.66", 4000)) if is_dialled else thief.dial()
        own = thief.hello()
        copied = Hello(honest.instance, own.port, own.proof if proof is None else proof)
        effects = thief.say(copied)
        assert hung_up(effects) == [(link, Reason.LINK_INSTANCE)]
        assert thief.take()[-1] == Bye(Reason.LINK_INSTANCE)
        assert of_kind(effects, Tell) == []
    assert honest.reason is None and honest.take() == []
    honest.say(Ping())
    assert honest.take() == [Pong()]
    assert list(host.node.boards[BOARD.id].links) == [1]


def test_our_own_hello_sent_back_does_not_pass_for_ourselves() -> None:
    """L-11, L-20: or the address of a member could be made one that we never dial again."""
    host = Host(addresses=(PEER,))
    mirror = Speaker(host, 1)
    mirror.be_dialled(PEER)
    [ours] = mirror.take()
    assert hung_up(mirror.say(ours)) == [(1, Reason.LINK_INSTANCE)]
    host.dials.clear()
    host.pass_ms(limits.REDIAL_MS_RANGE[1])
    assert Dial(BOARD.id, PEER) in host.dials


def test_each_start_and_each_board_has_an_instance_of_its_own() -> None:
    """L-18."""
    random_bytes = seeded("one machine")
    instances = []
    for _ in range(2):
        node = Node(random_bytes)
        for board in (BOARD, OTHER_BOARD):
            node.handle(inputs.BoardOpened(board, b""), Host().now)
        instances += [node.boards[board.id].instance for board in (BOARD, OTHER_BOARD)]
        node.handle(inputs.BoardClosed(BOARD.id), Host().now)
        node.handle(inputs.BoardOpened(BOARD, b""), Host().now)
        instances.append(node.boards[BOARD.id].instance)
    assert len(set(instances)) == 6


def test_a_board_has_a_bounded_number_of_links() -> None:
    """L-12, L-15."""
    host = Host()
    for link in range(limits.LINKS_PER_BOARD_MAX):
        host.meet(link)
    late = Speaker(host, 1000, remote=Address("10.0.0.250", 50_000))
    late.dial()
    late.take()
    assert hung_up(late.greet()) == [(1000, Reason.LINK_FULL)]
    assert late.take() == [Bye(Reason.LINK_FULL)]
    assert len(host.node.boards[BOARD.id].links) == limits.LINKS_PER_BOARD_MAX


def test_a_newcomer_from_elsewhere_takes_the_place_of_one_of_a_crowd() -> None:
    """L-12."""
    for crowd, newcomer in (
        # Many instances on one machine, against a neighbour; a whole subnet, against another one.
        (lambda link: "10.0.0.9" if link < 8 else f"10.0.0.{link + 10}", "10.0.0.250"),
        (lambda link: f"10.0.0.{link + 10}", "10.0.1.1"),
    ):
        host = Host()
        for link in range(limits.LINKS_PER_BOARD_MAX):
            member = Speaker(host, link, remote=Address(crowd(link), 50_000))
            member.dial()
            member.greet()
        late = Speaker(host, 1000, remote=Address(newcomer, 50_000))
        late.dial()
        ((left, reason),) = hung_up(late.greet())
        assert reason is Reason.LINK_FULL and left < limits.LINKS_PER_BOARD_MAX
        assert crowd(left) == crowd(0) or newcomer == "10.0.1.1"
        assert 1000 in host.node.boards[BOARD.id].links
        assert len(host.node.boards[BOARD.id].links) == limits.LINKS_PER_BOARD_MAX


def test_a_listener_that_says_goodbye_before_hello_does_not_keep_us_from_dialling() -> None:
    peers = tuple(Address(f"10.0.1.{number}", 4000) for number in range(8))
    host = Host(addresses=peers)
    for link in range(4):
        hasty = Speaker(host, link)
        hasty.be_dialled(host.dials[link].address)
        hasty.say(Bye((Reason.LINK_DUPLICATE, Reason.LINK_SELF)[link % 2]))
    assert len(host.dials) == 8


# --- Wrong words ----------------------------------------------------------------------------------


def refused_for(*messages: Message, stream: bytes = b"") -> Reason | None:
    """Why a peer that says this is hung up on; None where it is not."""
    host = Host()
    peer = host.meet(1)
    effects = peer.say(*messages) if messages else peer.say_stream(stream)
    if peer.reason is not None:
        assert peer.take()[-1] == Bye(peer.reason)
        assert of_kind(effects, HangUp) == [HangUp(1, peer.reason)]
        assert Tell(LinkDown(BOARD.id, 1, peer.reason)) in effects
    return peer.reason


def test_a_second_hello_is_unexpected() -> None:
    """L-10, L-15."""
    assert refused_for(Hello(bytes(32), 0, bytes(64))) is Reason.LINK_MESSAGE_UNEXPECTED


@pytest.mark.parametrize(
    "message", [Ping(), Nudge(), Want(1, [bytes(32)]), Announce([(0, bytes(32))])]
)
def test_nothing_is_said_before_hello(message: Message) -> None:
    """L-10."""
    host = Host()
    peer = Speaker(host, 1)
    peer.dial()
    assert hung_up(peer.say(message)) == [(1, Reason.LINK_MESSAGE_UNEXPECTED)]
    assert peer.take()[-1] == Bye(Reason.LINK_MESSAGE_UNEXPECTED)


def test_an_unknown_kind_and_a_malformed_body_have_their_reasons() -> None:
    """M-2, M-3, M-8."""
    assert refused_for(stream=encode_message(14, b"\x80")) is Reason.LINK_MESSAGE_UNKNOWN
    assert refused_for(stream=encode_message(200, b"")) is Reason.LINK_MESSAGE_UNKNOWN
    assert refused_for(stream=encode_message(10, b"\x81\x00")) is Reason.LINK_MESSAGE_MALFORMED
    assert refused_for(stream=encode_message(6, b"junk")) is Reason.LINK_MESSAGE_MALFORMED


def test_a_message_that_is_too_long_is_refused_before_it_is_here() -> None:
    """M-1."""
    header = (limits.MESSAGE_BODY_BYTES_MAX + 1).to_bytes(3, "big") + b"\x07"
    assert refused_for(stream=header) is Reason.LINK_MESSAGE_TOO_LARGE


def test_bytes_that_are_no_frame_end_the_link() -> None:
    """F-1, F-2."""
    for junk, reason in (
        (b"\x00\x01", Reason.LINK_FRAME_SIZE),
        ((510).to_bytes(2, "big") + bytes(510), Reason.LINK_AUTHENTICATION),
    ):
        host = Host()
        peer = host.meet(1)
        assert hung_up(peer.say_bytes(junk)) == [(1, reason)]


def test_answers_to_nothing_are_unexpected() -> None:
    """R-3, T-5."""
    assert refused_for(Answer(b"\x61")) is Reason.LINK_MESSAGE_UNEXPECTED
    assert refused_for(Entries(1, True, [])) is Reason.LINK_MESSAGE_UNEXPECTED


def test_a_reconciliation_message_that_is_wrong_ends_the_link_with_its_reason() -> None:
    """R-5."""
    assert refused_for(Ask(b"\x62")) is None
    assert refused_for(Ask(b"\x10")) is Reason.RECONCILE_VERSION
    assert refused_for(Ask(b"\x61\x00\x00\x03")) is Reason.RECONCILE_MODE


def test_a_second_answer_to_one_question_is_unexpected() -> None:
    """R-3."""
    host = Host(addresses=(PEER,))
    peer = host.reach(1, PEER)
    assert hung_up(peer.say(Answer(b"\x61"))) == []
    assert hung_up(peer.say(Answer(b"\x61"))) == [(1, Reason.LINK_MESSAGE_UNEXPECTED)]


def test_an_answer_while_the_next_question_is_held_back_is_unexpected() -> None:
    """R-3: the next step waits while much of what was found is still to be fetched."""
    ids = [number.to_bytes(32, "little") for number in range(6_000)]
    theirs = EntryIndex.from_keys(encode_key(number, i) for number, i in enumerate(ids))
    host = Host(addresses=(PEER,))
    peer = host.reach(1, PEER)
    while asks := [message for message in peer.take() if isinstance(message, Ask)]:
        assert hung_up(peer.say(Answer(respond(theirs, asks[0].step, 60_000)))) == []
    assert host.node.links[1].held_step is not None
    assert hung_up(peer.say(Answer(b"\x61"))) == [(1, Reason.LINK_MESSAGE_UNEXPECTED)]


def test_too_many_requests_at_once_are_unexpected() -> None:
    """T-2."""
    host = Host()
    peer = host.meet(1)
    for number in range(limits.REQUESTS_PER_LINK_MAX):
        assert hung_up(peer.say(Want(number, [bytes(32)]))) == []
    effects = [e for number in range(5) for e in peer.say(Want(100 + number, [bytes(32)]))]
    assert hung_up(effects) == [(1, Reason.LINK_MESSAGE_UNEXPECTED)]


def test_a_reason_that_is_not_in_the_registry_is_a_goodbye_all_the_same() -> None:
    """M-5."""
    host = Host()
    peer = host.meet(1)
    assert peer.say(Bye(250))[0] == HangUp(1, Reason.LINK_LOST)
    assert host.meet(2).say(Bye(Reason.LINK_REFRESH))[0] == HangUp(2, Reason.LINK_REFRESH)


# --- Fetching -------------------------------------------------------------------------------------


def test_an_announced_entry_is_asked_for_verified_stored_and_only_then_announced() -> None:
    """T-1, T-10, T-11."""
    host = Host()
    source, other = host.meet(1), host.meet(2)
    entry = written("news")
    assert [type(e) for e in source.say(Announce([item(entry)]))] == [SendBytes]
    [want] = source.take()
    assert want == Want(1, [entry.id])
    answer = Entries(1, True, [wire(entry)])
    assert source.say(answer) == [Verify(FREE, (entry,))]
    assert host.feed(inputs.Verified(FREE, (True,))) == [Store(FREE + 1, BOARD.id, (entry,))]
    assert host.pass_ms(1_000) == [] and other.take() == []
    assert not len(host.node.boards[BOARD.id].index)
    stored = host.feed(inputs.Stored(FREE + 1))
    assert Tell(EntriesArrived(BOARD.id, (entry,))) in stored
    host.pass_ms(JITTER_MS)
    assert other.take() == [Announce([item(entry)])] and source.take() == []


def test_what_is_not_stored_is_not_answered_for() -> None:
    """T-1."""
    host = Host()
    source, other = host.meet(1), host.meet(2)
    entry = written("not yet")
    source.say(Announce([item(entry)]))
    give(source, entry)
    host.feed(inputs.Verified(FREE, (True,)))
    host.pending.clear()
    other.say(Ask(Initiator(host.node.boards[BOARD.id].index).start()), Want(9, [entry.id]))
    host.work()
    assert other.take() == [Answer(NOTHING), Entries(9, True, [])]


def test_a_write_that_failed_is_as_if_the_entry_had_never_come() -> None:
    host = Host()
    source = host.meet(1)
    entry = written("disk full")
    source.say(Announce([item(entry)]))
    give(source, entry)
    host.feed(inputs.Verified(FREE, (True,)))
    assert host.feed(inputs.StoreFailed(FREE + 1)) == []
    source.say(Announce([item(entry)]))
    assert wants(source.take()) == [Want(2, [entry.id])]


def test_an_entry_that_was_not_asked_for_is_unexpected_and_what_came_before_it_is_kept() -> None:
    """T-5, T-6."""
    host = Host()
    source = host.meet(1)
    asked, unasked = many(2)
    source.say(Announce([item(asked)]))
    effects = give(source, asked, unasked)
    assert effects[0] == Verify(FREE, (asked,))
    assert hung_up(effects) == [(1, Reason.LINK_MESSAGE_UNEXPECTED)]
    host.work()
    assert set(host.disk) == {asked.id}


def test_the_same_entry_twice_in_an_answer_is_unexpected() -> None:
    """T-3."""
    host = Host()
    source = host.meet(1)
    entry = written("twice")
    source.say(Announce([item(entry)]))
    assert hung_up(give(source, entry, entry)) == [(1, Reason.LINK_MESSAGE_UNEXPECTED)]


def test_who_sends_a_bad_signature_is_hung_up_on_and_the_rest_of_the_batch_is_kept() -> None:
    """E-20, T-6."""
    host = Host()
    source = host.meet(1)
    good, bad, better = many(3)
    source.say(Announce([item(entry) for entry in (good, bad, better)]))
    give(source, good, badly_signed(bad), better)
    effects = host.work()
    assert effects[0] == Store(FREE + 1, BOARD.id, (good, better))
    assert hung_up(effects) == [(1, Reason.ENTRY_SIGNATURE)]
    assert source.take()[-1] == Bye(Reason.ENTRY_SIGNATURE)
    assert set(host.disk) == {good.id, better.id}
    honest = host.meet(2)
    honest.say(Announce([item(bad)]))
    give(honest, bad)
    host.work()
    assert bad.id in host.disk


def test_who_sends_an_invalid_entry_is_hung_up_on_with_the_rule_that_it_breaks() -> None:
    """T-6."""
    host = Host()
    source, other = host.meet(1), host.meet(2)
    good, bad = many(2)
    source.say(Announce([item(good), item(bad)]))
    other.say(Announce([item(bad)]))
    effects = give(source, good, bad._replace(payload=b"not its payload"))
    assert effects[0] == Verify(FREE, (good,))
    assert hung_up(effects) == [(1, Reason.ENTRY_PAYLOAD)]
    assert wants(other.take()) == [Want(2, [bad.id])]


def test_progress_is_told_when_it_has_changed_and_only_then() -> None:
    host = Host()
    first, second = host.reach(1, PEER), host.reach(2, Address("10.0.0.78", 4000))
    entry = written("one")
    for peer in (first, second):
        peer.say(Answer(NOTHING))
        peer.take()
    first.say(Announce([item(entry)]))
    give(first, entry)
    host.work()
    told = [event for event in host.events if isinstance(event, SyncProgress)]
    assert [(event.wanted, event.is_reconciling) for event in told] == [(0, True), (0, False)]


def test_an_early_entry_is_refused_without_blame_and_not_asked_for_again_at_once() -> None:
    """E-22, T-7."""
    host = Host()
    peer = host.meet(1)
    entry = written("early", wall_s=WALL_S + 3 * BUCKET_SECONDS)
    peer.say(Announce([item(entry)]))
    assert of_kind(give(peer, entry), Verify, HangUp) == []
    peer.say(Announce([item(entry)]))
    assert peer.take() == [] and peer.reason is None
    host.pass_ms(limits.DEFERRED_MS)
    later = host.meet(2)
    later.say(Announce([item(entry)]))
    assert of_kind(give(later, entry), Verify)


def test_what_is_expired_by_its_own_word_is_not_asked_for() -> None:
    """T-11."""
    host = Host()
    peer = host.meet(1)
    peer.say(Announce([item(written("old", wall_s=WALL_S - 31 * 86400))]))
    assert peer.take() == []


def test_an_expired_entry_announced_as_a_new_one_is_refused_without_blame() -> None:
    """E-22."""
    host = Host()
    peer = host.meet(1)
    entry = written("old", wall_s=WALL_S - 31 * 86400)
    peer.say(Announce([(WALL_S // 600, entry.id)]))
    assert of_kind(give(peer, entry), Verify, HangUp) == []
    peer.say(Announce([(WALL_S // 600, entry.id)]))
    assert wants(peer.take()) == []


def test_a_peer_that_does_not_answer_is_hung_up_on_and_another_holder_asked() -> None:
    """T-2, T-8."""
    host = Host()
    slow, other = host.meet(1), host.meet(2)
    entry = written("wanted")
    slow.say(Announce([item(entry)]))
    other.say(Announce([item(entry)]))
    assert wants(slow.take()) == [Want(1, [entry.id])] and wants(other.take()) == []
    assert hung_up(host.pass_ms(limits.REQUEST_MS_MAX - 1)) == []
    assert hung_up(host.pass_ms(1)) == [(1, Reason.LINK_SLOW)]
    assert wants(other.take()) == [Want(2, [entry.id])]


def test_empty_parts_do_not_put_off_the_end_of_a_request() -> None:
    """T-8."""
    host = Host()
    slow = host.meet(1)
    slow.say(Announce([item(written("withheld"))]))
    for _ in range(3):
        slow.say(Entries(1, False, []))
        host.pass_ms(limits.REQUEST_MS_MAX // 3 + 1)
    assert slow.reason is Reason.LINK_SLOW


def test_a_payload_that_one_peer_forgot_is_asked_of_each_other_that_has_the_entry() -> None:
    """T-9."""
    host = Host()
    entry = written("forgotten by two of three")
    headless = entry._replace(payload=None)
    source, forgetful, keeper = host.meet(1), host.meet(2), host.meet(3)
    source.say(Announce([item(entry)]))
    give(source, headless)
    host.work()
    assert host.disk[entry.id].payload is None
    give(forgetful, headless)
    give(keeper, entry)
    host.work()
    assert host.disk[entry.id].payload == entry.payload
    assert [type(event) for event in host.events].count(EntriesArrived) == 2


def test_peers_without_a_payload_do_not_hide_the_one_who_has_it_however_many_they_are() -> None:
    """T-9. Found where one machine held more links than holders of an entry are remembered."""
    host = Host()
    entry = written("one of seven keeps it")
    source, *forgetful = [host.meet(link) for link in range(1, limits.HOLDERS_MAX + 3)]
    keeper = host.meet(limits.HOLDERS_MAX + 3)
    source.say(Announce([item(entry)]))
    give(source, entry._replace(payload=None))
    host.work()
    for peer in forgetful:
        give(peer)
    give(keeper, entry)
    host.work()
    assert host.disk[entry.id].payload == entry.payload


def test_whoever_announces_a_lacking_payload_is_asked_though_others_are_asked_before() -> None:
    """T-11."""
    host = Host()
    entry = written("filled in meanwhile")
    source, *silent = [host.meet(link) for link in range(1, limits.HOLDERS_MAX + 4)]
    source.say(Announce([item(entry)]))
    give(source, entry._replace(payload=None))
    host.work()
    source.take()
    source.say(Announce([item(entry)]))
    for peer in silent:
        give(peer)
    give(source, entry)
    host.work()
    assert host.disk[entry.id].payload == entry.payload


def test_a_lacking_payload_is_asked_of_who_announces_the_entry_later() -> None:
    """T-9, T-11."""
    entry = written("header first")
    host = Host(stored=[entry._replace(payload=None)], lacking=(entry.id,))
    peer = Speaker(host, 1)
    peer.dial()
    peer.greet()
    assert wants(peer.take()) == [Want(1, [entry.id])]
    peer.say(Entries(1, True, []))
    assert peer.take() == []
    peer.say(Announce([item(entry)]))
    give(peer, entry)
    host.work()
    assert host.disk[entry.id].payload == entry.payload


def test_entries_are_found_by_reconciling_and_asked_for() -> None:
    """R-12."""
    entries = many(3)
    theirs, host = Host(name="theirs", stored=entries), Host(addresses=(PEER,))
    peer = host.reach(1, PEER)
    [ask] = [message for message in peer.take() if isinstance(message, Ask)]
    step = respond(theirs.node.boards[BOARD.id].index, ask.step, limits.RECONCILE_BYTES_MAX)
    peer.say(Answer(step))
    [want] = wants(peer.take())
    assert sorted(want.ids) == sorted(entry.id for entry in entries)


def test_what_the_peer_lacks_is_announced_to_it_after_reconciling() -> None:
    """R-12."""
    entries = many(3)
    host = Host(addresses=(PEER,), stored=entries)
    peer = host.reach(1, PEER)
    index = Host(name="empty").node.boards[BOARD.id].index
    while asks := [message for message in peer.take() if isinstance(message, Ask)]:
        peer.say(Answer(respond(index, asks[0].step, limits.RECONCILE_BYTES_MAX)))
        announced = [message for message in peer.heard if isinstance(message, Announce)]
    assert sorted(all_ids(announced[0])) == sorted(entry.id for entry in entries)


def test_a_peer_that_lacks_very_many_is_nudged_instead() -> None:
    """R-12."""
    entry = written("seed of many")
    many_ids = [
        entry._replace(id=number.to_bytes(32, "big"))
        for number in range(limits.ANNOUNCE_ITEMS_MAX + 1)
    ]
    host = Host(addresses=(PEER,), stored=many_ids)
    peer = host.reach(1, PEER)
    index = Host(name="empty").node.boards[BOARD.id].index
    told: list[Message] = []
    while asks := [message for message in peer.heard if isinstance(message, Ask)]:
        told += peer.take()
        peer.say(Answer(respond(index, asks[0].step, limits.RECONCILE_BYTES_MAX)))
    told += peer.take()
    assert Nudge() in told and not any(isinstance(message, Announce) for message in told)


def test_a_nudge_makes_a_listener_reconcile_once_at_a_time() -> None:
    """R-2."""
    host = Host()
    peer = host.meet(1)
    peer.say(Nudge(), Nudge())
    assert [type(message) for message in peer.take()] == [Ask]


# --- Serving --------------------------------------------------------------------------------------


def test_entries_asked_for_are_loaded_and_sent_and_those_not_there_left_out() -> None:
    """T-3."""
    stored, missing = many(2)
    host = Host(stored=[stored])
    peer = host.meet(1)
    effects = peer.say(Want(7, [missing.id, stored.id]))
    assert effects == [Load(FREE, BOARD.id, (missing.id, stored.id), limits.ENTRIES_BATCH_BYTES)]
    host.work()
    assert peer.take() == [Entries(7, True, [wire(stored)])]


def test_a_long_answer_comes_in_parts() -> None:
    """T-3, T-4."""
    big = [written(f"{number}" + "x" * 8000) for number in range(60)]
    host = Host(stored=big)
    peer = host.meet(1)
    peer.say(Want(7, [entry.id for entry in big]))
    host.work()
    parts = [message for message in peer.take() if isinstance(message, Entries)]
    assert [part.last for part in parts] == [False] * (len(parts) - 1) + [True] and len(parts) > 2
    assert [entry for part in parts for entry in part.entries] == [wire(entry) for entry in big]


def test_nothing_more_is_read_from_the_disk_for_a_peer_that_does_not_read() -> None:
    """T-4."""
    big = [written(f"{number}" + "x" * 8000) for number in range(120)]
    host = Host(stored=big)
    peer = host.meet(1)
    peer.say(Want(7, [entry.id for entry in big]))
    while host.pending:
        host.answer(host.pending[0])  # and nothing of it leaves
    link = host.node.links[1]
    assert limits.SEND_LOW_BYTES < link.unsent_bytes < 2 * limits.SEND_LOW_BYTES
    assert of_kind(host.send_out(), Load)
    host.work()
    assert sum(len(m.entries) for m in peer.take() if isinstance(m, Entries)) == 120


def test_a_peer_that_asks_but_does_not_read_is_hung_up_on_at_the_bound() -> None:
    """L-17."""
    stored = [written("seed")._replace(id=number.to_bytes(32, "big")) for number in range(2000)]
    host = Host(stored=stored)
    peer = host.meet(1)
    # The answer to the empty set is as large as answers get.
    for _ in range(1000):
        if peer.reason is None:
            peer.say(Ask(NOTHING))
    assert peer.reason is Reason.LINK_SLOW
    assert host.unsent[1] < limits.SEND_BYTES_MAX + 2 * limits.RECONCILE_BYTES_MAX


# --- Announcing -----------------------------------------------------------------------------------


def test_a_burst_goes_as_one_announcement_after_the_jitter() -> None:
    """T-10."""
    host = Host()
    source, other = host.meet(1), host.meet(2)
    entries = many(5)
    for entry in entries:
        source.bring(entry)
    host.work()
    assert other.take() == []
    host.pass_ms(JITTER_MS)
    [announcement] = other.take()
    assert isinstance(announcement, Announce)
    assert all_ids(announcement) == [entry.id for entry in entries]


def test_more_than_one_message_holds_goes_in_several_and_too_many_as_a_nudge() -> None:
    """T-10."""
    for count, kinds in (
        (limits.ANNOUNCE_ITEMS_MAX + 1, [Announce, Announce]),
        (limits.ANNOUNCE_QUEUE_MAX + 1, [Nudge]),
    ):
        host = Host()
        peer = host.meet(1)
        gossip, link = host.node.boards[BOARD.id], host.node.links[1]
        entry = written("seed")
        for number in range(count):
            one = entry._replace(id=number.to_bytes(32, "big"))
            gossip._announce_to(link, one, host.now)
        host.pass_ms(JITTER_MS)
        assert [type(message) for message in peer.take()] == kinds


# --- Keeping links --------------------------------------------------------------------------------


def test_a_quiet_peer_is_pinged_and_kept_while_it_answers() -> None:
    """L-14."""
    host = Host()
    peer = host.meet(1)
    for _ in range(5):
        host.pass_ms(limits.PING_AFTER_MS)
        assert Ping() in peer.take()
        peer.say(Pong())
    assert peer.reason is None


def test_a_peer_that_stays_silent_is_hung_up_on() -> None:
    """L-14, L-15."""
    host = Host()
    peer = host.meet(1)
    silent_ms = host.mono_ms - host.node.links[1].heard_ms
    assert hung_up(host.pass_ms(limits.IDLE_MS_MAX - silent_ms - 1)) == []
    assert hung_up(host.pass_ms(1)) == [(1, Reason.LINK_IDLE)]
    assert [m for m in peer.take() if not isinstance(m, Peers)] == [Ping(), Bye(Reason.LINK_IDLE)]


def test_a_ping_is_answered() -> None:
    """M-4."""
    peer = Host().meet(1)
    peer.say(Ping())
    assert peer.take() == [Pong()]


def test_leaving_a_board_says_goodbye_and_dials_nobody() -> None:
    crowd = tuple(Address(f"10.0.1.{number}", 4000) for number in range(6))
    host = Host(BOARD, OTHER_BOARD, addresses=crowd)
    peer, other = host.meet(1), host.meet(2, OTHER_BOARD)
    reached = host.reach(3, host.dials[0].address)
    peer.take(), reached.take()
    effects = host.feed(inputs.BoardClosed(BOARD.id))
    assert hung_up(effects) == [(1, Reason.LINK_LEAVING), (3, Reason.LINK_LEAVING)]
    assert peer.take() == reached.take() == [Bye(Reason.LINK_LEAVING)]
    assert of_kind(effects, Dial) == [] and isinstance(effects[-1], Advertise)
    assert other.reason is None and list(host.node.boards) == [OTHER_BOARD.id]
    host.pass_ms(10**6)


def test_work_that_is_done_after_its_board_was_left_is_dropped() -> None:
    host = Host()
    [verify] = host.meet(1).bring(written("too late"))
    assert isinstance(verify, Verify)
    host.feed(inputs.BoardClosed(BOARD.id))
    assert host.feed(inputs.Verified(verify.token, (True,))) == []


def test_a_dialled_link_is_exchanged_for_another_now_and_then_where_there_are_others() -> None:
    """D-7."""
    peers = tuple(Address(f"10.0.0.{number + 20}", 4000) for number in range(12))
    host = Host(addresses=peers)
    for link in range(limits.LINKS_DIALLED_TARGET):
        if link == len(host.dials):
            host.pass_ms(200)
        host.reach(link, host.dials[link].address)
    host.dials.clear()
    gossip = host.node.boards[BOARD.id]
    gossip.refresh(host.now)
    effects = host.feed(inputs.Tick())
    assert [reason for _, reason in hung_up(effects)] == [Reason.LINK_REFRESH]
    assert len(of_kind(effects, Dial)) == 1


# --- Finding members ------------------------------------------------------------------------------


def test_no_more_are_dialled_than_wanted_and_others_when_dials_fail() -> None:
    """D-6."""
    peers = tuple(Address(f"10.0.1.{number}", 4000) for number in range(20))
    host = Host(addresses=peers)
    assert len(host.dials) == limits.DIALS_AT_ONCE_MAX
    for dial in list(host.dials):
        host.feed(inputs.DialFailed(BOARD.id, dial.address))
    assert len({dial.address for dial in host.dials}) == 2 * limits.DIALS_AT_ONCE_MAX


def test_a_failed_dial_is_tried_again_later_and_later() -> None:
    """D-6."""
    host = Host(addresses=(PEER,))
    at_ms = []
    for _ in range(6):
        at_ms.append(host.mono_ms)
        count = len(host.dials)
        host.feed(inputs.DialFailed(BOARD.id, PEER))
        while len(host.dials) == count:
            host.pass_ms(100)
    waits = [later - sooner for sooner, later in itertools.pairwise(at_ms)]
    assert all(later > sooner * 0.9 for sooner, later in itertools.pairwise(waits))
    assert waits[0] <= 1_200 and waits[-1] >= 8_000


def test_members_that_a_peer_tells_of_are_dialled_and_senseless_addresses_are_not() -> None:
    """M-7."""
    host = Host()
    peer = host.meet(1)
    told = [Address("10.3.0.1", 4000), Address("127.0.0.1", 22), Address("fe80::1", 4000)]
    effects = peer.say(Peers(told))
    assert of_kind(effects, Dial) == [Dial(BOARD.id, told[0])]


def test_a_peer_is_told_where_the_others_are() -> None:
    """D-5."""
    host = Host()
    host.meet(1)
    late = Speaker(host, 2)
    late.dial()
    late.greet()
    assert Peers([Address("10.0.0.3", 4000)]) in late.take()


def test_a_given_address_is_tried_for_each_board_also_for_one_opened_later() -> None:
    host = Host()
    host.feed(inputs.AddressGiven(PEER))
    host.feed(inputs.BoardOpened(OTHER_BOARD))
    assert host.dials == [Dial(BOARD.id, PEER), Dial(OTHER_BOARD.id, PEER)]


def test_only_members_see_that_an_advertisement_is_of_their_board() -> None:
    """D-4."""
    member, stranger = Host(name="member"), Host(OTHER_BOARD, name="stranger")
    advert = Host(name="shown").advertised[-1]
    shown = inputs.Advertised((PEER,), advert.salt, advert.tags)
    assert of_kind(member.feed(shown), Dial) == [Dial(BOARD.id, PEER)]
    assert stranger.feed(shown) == []


def test_a_node_does_not_dial_its_own_advertisement() -> None:
    """D-4."""
    host = Host()
    advert = host.advertised[-1]
    assert host.feed(inputs.Advertised((LISTENING,), advert.salt, advert.tags)) == []


def test_each_advertisement_has_a_new_salt_and_a_number_of_tags_that_says_little() -> None:
    """D-2, D-3."""
    boards = [Board.of(Descriptor(f"board {number}", bytes(32))) for number in range(9)]
    host = Host(boards[0])
    for board in boards[1:]:
        host.feed(inputs.BoardOpened(board))
    adverts = host.advertised
    assert [len(advert.tags) for advert in adverts] == [TAGS_STEP] * 8 + [2 * TAGS_STEP]
    assert len({advert.salt for advert in adverts}) == 9
    assert len({tag for advert in adverts for tag in advert.tags}) == 8 * 8 + 16
    assert all(presence_tag(board, adverts[-1].salt) in adverts[-1].tags for board in boards)


def test_a_node_that_does_not_listen_shows_nothing() -> None:
    host = Host(listening=Address("10.0.0.1", 0))
    assert host.advertised == []


# --- Forgetting -----------------------------------------------------------------------------------


def test_what_the_board_does_not_keep_goes_and_is_not_answered_for() -> None:
    """E-23."""
    old, new = written("old", wall_s=WALL_S - 30 * 86400), written("new")
    host = Host(stored=[old, new])
    assert set(host.disk) == {old.id, new.id}
    effects = host.pass_ms(2 * BUCKET_SECONDS * 1000)
    assert of_kind(effects, Expire)
    assert set(host.disk) == {new.id} and len(host.node.boards[BOARD.id].index) == 1


# --- The driver's own faults ----------------------------------------------------------------------


def test_a_driver_that_breaks_the_rules_is_told() -> None:
    host = Host()
    host.meet(1)
    for wrong in (
        inputs.BoardOpened(BOARD),
        inputs.BoardClosed(OTHER_BOARD.id),
        inputs.Publish(OTHER_BOARD.id, written("where?")),
        inputs.LinkOpened(1, PEER, LISTENING),
        inputs.Verified(99, ()),
        inputs.Stored(99),
        inputs.StoreFailed(99),
        inputs.Loaded(99, 0, ()),
    ):
        with pytest.raises(Misuse):
            host.feed(wrong)


def test_what_was_on_its_way_when_a_link_or_board_ended_is_no_fault() -> None:
    host = Host()
    for late in (
        inputs.BytesReceived(9, b"late"),
        inputs.BytesSent(9, 4),
        inputs.LinkClosed(9),
        inputs.DialFailed(OTHER_BOARD.id, PEER),
    ):
        assert host.feed(late) == []
    assert host.feed(inputs.LinkOpened(9, PEER, LISTENING, OTHER_BOARD.id)) == [
        HangUp(9, Reason.LINK_FULL)
    ]


def test_messages_of_one_call_leave_together() -> None:
    host = Host()
    peer = host.meet(1)
    effects = peer.say(*[Ping()] * 30)
    assert [len(e.data) for e in effects if isinstance(e, SendBytes)] == [512]
    assert encoded(Pong()) and peer.take() == [Pong()] * 30
