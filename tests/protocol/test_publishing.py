"""Own entries leave in cells and come back like anybody else's; nodes are relays for each other."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import pytest

from protocol import inputs, limits
from protocol.cells import Last, build_cell, unwrap_cell
from protocol.crypto import CURVE25519, exchange_public_key
from protocol.effects import CameBack, Effect, EntriesArrived, FindWork, SendDatagram, Tell, Verify
from protocol.entry import BUCKET_SECONDS, Entry
from protocol.errors import Reason
from protocol.index import EntryIndex
from protocol.messages import (
    Address,
    Announce,
    Answer,
    Ask,
    Entries,
    Message,
    Pong,
    RelayRecords,
    Want,
    WireEntry,
)
from protocol.pieces import Piece, cut, decode_body
from protocol.publishing import Publishing
from protocol.reconcile import Initiator
from protocol.relays import Record, decode_record, epoch_of
from tests.protocol.wired import (
    BOARD,
    LISTENING,
    OTHER_BOARD,
    WALL_S,
    Host,
    Network,
    Speaker,
    badly_signed,
    item,
    of_kind,
    raw_record,
    seeded,
    wire,
    written,
)

EPOCH = epoch_of(WALL_S)
EMIT_MS, DELAY_MS = (
    pace[BOARD.descriptor.pace] for pace in (limits.PACE_EMIT_MS, limits.PACE_DELAY_MS)
)
JITTER_MS = limits.ANNOUNCE_JITTER_MS_MAX
NOTHING = b"\x61\x00\x00\x02\x00"
ENTRY = written("mine")
LONG = written("long " * 1500)


def publishing(host: Host) -> Publishing:
    return host.node.boards[BOARD.id].publishing


def records_in(messages: Sequence[Message]) -> list[Record]:
    """The relay records among what was heard."""
    return [
        decode_record(BOARD, raw, CURVE25519)
        for message in messages
        if isinstance(message, RelayRecords)
        for raw in message.records
    ]


def announced_in(messages: Sequence[Message]) -> list[bytes]:
    """The ids announced in what was heard."""
    return [i for m in messages if isinstance(m, Announce) for _, i in m.items]


def greeted(host: Host, link: int, **more: object) -> Speaker:
    """A peer that has heard all from its hello on."""
    speaker = Speaker(host, link, **more)  # type: ignore[arg-type]
    speaker.dial()
    speaker.greet()
    return speaker


def pass_with(host: Host, span_ms: int, *peers: Speaker) -> None:
    """Let time pass, while peers show that they are there."""
    for _ in range(span_ms // 30_000):
        host.pass_ms(30_000)
        for peer in peers:
            peer.say(Pong())
    host.pass_ms(span_ms % 30_000)


# --- The way out and back -------------------------------------------------------------------------


@pytest.mark.parametrize("count", [2, 3, 4])
@pytest.mark.parametrize("entry", [ENTRY, LONG], ids=["short", "long"])
def test_an_entry_gets_to_everybody_and_is_nowhere_on_its_node_until_it_came_back(
    count: int, entry: Entry
) -> None:
    """O-1, O-2."""
    network = Network.of(count)
    author = network.hosts[0]
    spy = author.meet(1000)
    network.settle()
    assert author.feed(inputs.Publish(BOARD.id, entry)) == []
    back = CameBack(BOARD.id, entry.id)
    for step in range(600):
        network.run(0.25)
        if back in author.events:
            break
        spy.take()
        spy.say(Ask(Initiator(EntryIndex()).start()), Want(step, [entry.id]))
        author.work()
        assert spy.take() == [Answer(NOTHING), Entries(step, True, [])]
        assert entry.id not in author.disk and not len(author.node.boards[BOARD.id].index)
    assert back in author.events and author.events.count(back) == 1
    assert EntriesArrived(BOARD.id, (entry,)) in author.events
    network.run(1)
    assert all(host.disk == {entry.id: entry} for host in network.hosts)
    assert announced_in(spy.take()) == [entry.id]
    assert len(publishing(author).outbox) == publishing(author).mix.queued == 0


def test_a_long_entry_takes_several_cells() -> None:
    assert len(cut(wire(LONG), bytes(16))) == 8


def test_all_that_leaves_as_datagrams_has_one_size_and_goes_to_relays() -> None:
    network = Network.of(4)
    network.hosts[0].feed(inputs.Publish(BOARD.id, LONG))
    network.run(60)
    listening = {host.listening for host in network.hosts}
    for host in network.hosts:
        assert len(host.datagrams) > 100
        assert {len(sent.data) for _, sent in host.datagrams} == {limits.CELL_BYTES}
        assert {sent.address for _, sent in host.datagrams} == listening - {host.listening}


def test_writing_sends_nothing_by_itself() -> None:
    """O-5: no effect, no timer moved, at whatever moment."""
    network = Network.of(3)
    author = network.hosts[0]
    for number in range(20):
        network.run(0.3)
        due_ms = publishing(author).mix.next_ms()
        assert author.feed(inputs.Publish(BOARD.id, written(f"entry {number}"))) == []
        assert publishing(author).mix.next_ms() == due_ms


def test_what_is_lost_goes_again_until_it_has_come_back() -> None:
    """O-2."""
    network = Network.of(4)
    author, *others = network.hosts
    broken = others[0].listening
    network.is_lost = lambda sender, address: broken in (address, sender.listening)
    entries = [written(f"entry {number}") for number in range(6)]
    for entry in entries:
        author.feed(inputs.Publish(BOARD.id, entry))
    # All three others are on each path.
    network.run(30)
    assert not author.disk
    network.is_lost = lambda sender, address: False
    network.run(120)
    assert set(author.disk) == {entry.id for entry in entries}
    assert len(publishing(author).outbox) == 0


def test_own_entries_of_the_last_run_leave_once_somebody_is_there() -> None:
    """O-2: and no look while nobody was there counts as a try."""
    host = Host(outbox=(ENTRY,))
    member = host.meet(1)  # no relay; but by its link there is a record of our own
    pass_with(host, 4 * 3_600_000, member)
    assert host.datagrams == [] and ENTRY.id in publishing(host).outbox
    speaker, secret = with_relay(host, 2)
    host.pass_ms(20 * EMIT_MS)
    assert pieces_for(host, speaker, secret)


def with_relay(
    host: Host, link: int, secret: bytes = bytes(range(32)), **more: object
) -> tuple[Speaker, bytes]:
    """A peer that is the only relay."""
    speaker = host.meet(link, **more)  # type: ignore[arg-type]
    speaker.say(RelayRecords([own_record(host, speaker, secret)]))
    return speaker, secret


def own_record(host: Host, speaker: Speaker, secret: bytes) -> bytes:
    epoch = epoch_of(host.wall_s)
    return raw_record(speaker.remote.host, speaker.port, epoch, secret)


def pieces_for(host: Host, speaker: Speaker, secret: bytes) -> list[Piece]:
    """What the host has sent to a relay that was the last one."""
    found = []
    for _, sent in host.datagrams:
        assert sent.address == Address(speaker.remote.host, speaker.port)
        opened = unwrap_cell(sent.data, secret, exchange_public_key(secret))
        if isinstance(opened, Last):
            said = decode_body(opened.body)
            if isinstance(said, Piece):
                found.append(said)
    return found


def test_an_entry_that_does_not_come_back_goes_again_after_a_random_time() -> None:
    """O-2."""
    least, most = (times * DELAY_MS for times in limits.RETRY_DELAYS_RANGE)
    host = Host()
    speaker, secret = with_relay(host, 1)
    host.feed(inputs.Publish(BOARD.id, ENTRY))
    left_ms = []
    while len(left_ms) < 4:
        host.datagrams.clear()
        host.pass_ms(100)
        left_ms += [host.mono_ms] * len(pieces_for(host, speaker, secret))
        speaker.say(Pong())
    for sooner, later in pairwise(left_ms):
        # And then the next emission that is no loop, which may take its time.
        assert least <= later - sooner <= most + 20 * EMIT_MS


def test_what_has_come_back_sends_no_more() -> None:
    """O-3."""
    host = Host()
    speaker, secret = with_relay(host, 1)
    host.feed(inputs.Publish(BOARD.id, LONG))
    while not host.datagrams:
        host.pass_ms(10)
    effects = [*speaker.bring(LONG), *host.work()]
    told = [effect.event for effect in effects if isinstance(effect, Tell)]
    assert CameBack(BOARD.id, LONG.id) in told
    assert EntriesArrived(BOARD.id, (LONG,)) in told
    host.datagrams.clear()
    host.pass_ms(40_000)
    assert host.datagrams and pieces_for(host, speaker, secret) == []
    assert len(publishing(host).outbox) == 0


def test_what_is_withdrawn_sends_no_more() -> None:
    """O-3."""
    host = Host()
    speaker, secret = with_relay(host, 1)
    host.feed(inputs.Publish(BOARD.id, LONG))
    while not pieces_for(host, speaker, secret):
        host.pass_ms(10)
    assert host.feed(inputs.Withdraw(BOARD.id, LONG.id)) == []
    host.datagrams.clear()
    host.pass_ms(40_000)
    assert host.datagrams and pieces_for(host, speaker, secret) == []
    assert not any(isinstance(event, CameBack) for event in host.events)


def test_an_own_entry_without_its_payload_has_not_come_back() -> None:
    """O-1."""
    host = Host()
    silencer, secret = with_relay(host, 1)
    host.feed(inputs.Publish(BOARD.id, ENTRY))
    silencer.say(Announce([item(ENTRY)]))
    [want] = [message for message in silencer.take() if isinstance(message, Want)]
    silencer.say(Entries(want.request, True, [wire(ENTRY._replace(payload=None))]))
    host.work()
    assert host.disk[ENTRY.id].payload is None
    assert not any(isinstance(event, CameBack) for event in host.events)
    host.pass_ms(30_000)
    assert pieces_for(host, silencer, secret)
    other = greeted(host, 2)
    [want] = [message for message in other.heard if isinstance(message, Want)]
    other.say(Entries(want.request, True, [wire(ENTRY)]))
    host.work()
    assert CameBack(BOARD.id, ENTRY.id) in host.events and host.disk[ENTRY.id] == ENTRY


def test_what_is_older_than_the_window_is_given_up() -> None:
    """O-4."""
    old = written("old", wall_s=WALL_S - 30 * 86400 + BUCKET_SECONDS)
    host = Host(outbox=(old,))
    assert old.id in publishing(host).outbox
    host.pass_ms(3 * BUCKET_SECONDS * 1000)
    assert len(publishing(host).outbox) == 0


def test_an_entry_that_waits_for_company_leaves_when_enough_are_there() -> None:
    host = Host()
    speaker, secret = with_relay(host, 1)
    host.feed(inputs.Publish(BOARD.id, ENTRY, crowd_least=3))
    host.pass_ms(10_000)
    assert host.datagrams and pieces_for(host, speaker, secret) == []
    other = host.meet(2)
    other.say(RelayRecords([own_record(host, other, bytes(32))]))
    assert len(publishing(host).crowd(host.now)) == 2
    host.pass_ms(5_000 + 10 * EMIT_MS)  # looked for every 5 s
    assert publishing(host).outbox._waiting[ENTRY.id].tries > 0


def test_records_that_nobody_has_answered_for_are_no_company() -> None:
    host = Host()
    liar = host.meet(1, port=0)
    liar.say(RelayRecords([raw_record(f"10.7.0.{number}") for number in range(20)]))
    assert publishing(host).crowd(host.now) == []
    host.feed(inputs.Publish(BOARD.id, ENTRY, crowd_least=3))
    host.pass_ms(30_000)
    assert host.datagrams and publishing(host).mix.queued == 0
    assert publishing(host).outbox._waiting[ENTRY.id].tries == 0


def test_a_node_that_does_not_listen_publishes_and_is_no_relay() -> None:
    """Y-3."""
    members = [
        Host(name=f"member {number}", listening=Address(f"10.0.0.{number + 1}", 4000))
        for number in range(3)
    ]
    mute = Host(name="mute", listening=Address("10.0.0.9", 0))
    network = Network(mute, *members)
    for place, host in enumerate(members):
        network.connect(mute, host)
        for other in members[:place]:
            network.connect(host, other)
    network.run(0.2)
    mute.feed(inputs.Publish(BOARD.id, LONG))
    network.run(60)
    assert LONG.id in mute.disk and CameBack(BOARD.id, LONG.id) in mute.events
    assert publishing(mute).mix.own == [] and len(publishing(mute).relays) == 3
    for host in members:
        assert mute.listening.host not in {sent.address.host for _, sent in host.datagrams}


# --- Cells that arrive ----------------------------------------------------------------------------


def cells_bringing(host: Host, entry: WireEntry) -> list[bytes]:
    """Cells whose only relay is the host; others at each time."""
    random_bytes = seeded(f"brought {host.mono_ms}")
    hop = publishing(host).mix.own[0].hop
    bodies = cut(entry, random_bytes(16))
    return [build_cell(BOARD, [hop], body, random_bytes) for body in bodies]


def bring(host: Host, entry: WireEntry) -> list[Effect]:
    """Somebody's cells have brought an entry; what comes of it, once they have waited."""
    for cell in cells_bringing(host, entry):
        # No datagram answers another.
        assert host.feed(inputs.DatagramReceived(Address("10.0.3.3", 4000), cell)) == []
    effects: list[Effect] = []
    while publishing(host).mix._held:
        effects += host.pass_ms(100)
    return effects


def test_an_entry_that_cells_have_brought_is_announced_to_everybody() -> None:
    """K-1, K-10."""
    host = Host()
    peers = [host.meet(link) for link in (1, 2, 3)]
    effects = bring(host, wire(LONG))
    [verify] = of_kind(effects, Verify)
    assert isinstance(verify, Verify)
    assert verify.entries == (LONG,) and not any(announced_in(peer.take()) for peer in peers)
    assert of_kind(bring(host, wire(LONG)), Verify) == []  # it is on its way to the disk
    host.work()
    host.pass_ms(JITTER_MS)
    assert [announced_in(peer.take()) for peer in peers] == [[LONG.id]] * 3
    assert host.disk == {LONG.id: LONG}
    assert of_kind(bring(host, wire(LONG)), Verify) == []


@pytest.mark.parametrize(
    "wrong",
    [
        wire(badly_signed(ENTRY)),
        wire(ENTRY)._replace(payload=b"another"),
        wire(ENTRY)._replace(raw=b"no header"),
        wire(written("elsewhere", board=OTHER_BOARD)),
        wire(written("late", wall_s=WALL_S - 40 * 86400)),
        wire(written("early", wall_s=WALL_S + 86400)),
    ],
    ids=["signature", "payload", "header", "board", "late", "early"],
)
def test_a_wrong_entry_in_cells_is_dropped_and_nobody_is_blamed(wrong: WireEntry) -> None:
    """K-10."""
    host = Host()
    peers = [host.meet(link) for link in (1, 2)]
    bring(host, wrong)
    host.work()
    host.pass_ms(JITTER_MS)
    assert host.disk == {} and host.hung_up == {}
    assert [announced_in(peer.take()) for peer in peers] == [[], []]
    # Whoever has the right one can still bring it.
    bring(host, wire(ENTRY))
    host.work()
    assert host.disk == {ENTRY.id: ENTRY}


def test_a_payload_that_was_lacking_may_come_by_cells() -> None:
    """K-10, T-11."""
    host = Host(stored=[ENTRY._replace(payload=None)], lacking=(ENTRY.id,))
    peer = host.meet(1)
    peer.say(Entries(1, True, []))
    bring(host, wire(ENTRY))
    host.work()
    host.pass_ms(JITTER_MS)
    assert host.disk[ENTRY.id] == ENTRY and announced_in(peer.take()) == [ENTRY.id]


def test_an_entry_that_was_asked_for_may_come_by_cells_first() -> None:
    """K-10."""
    host = Host()
    peer = host.meet(1)
    peer.say(Announce([item(ENTRY)]))
    [want] = [message for message in peer.take() if isinstance(message, Want)]
    bring(host, wire(ENTRY))
    peer.say(Entries(want.request, True, [wire(ENTRY)]))
    host.work()
    assert host.disk == {ENTRY.id: ENTRY} and peer.reason is None


def test_datagrams_of_strangers_are_dropped_without_a_word() -> None:
    """K-1."""
    host = Host()
    host.meet(1)
    [right] = cells_bringing(host, wire(ENTRY))
    before = publishing(host).mix.next_ms()
    strange = [b"", b"\0", bytes(1232), right[:-1], right + b"\0", bytes(16) + right[16:]]
    for datagram in strange:
        assert host.feed(inputs.DatagramReceived(Address("10.6.6.6", 1), datagram)) == []
    assert publishing(host).mix._held == [] and publishing(host).mix.next_ms() == before


def test_a_cell_is_for_one_board_of_a_node() -> None:
    """K-1."""
    host = Host(BOARD, OTHER_BOARD)
    host.meet(1), host.meet(2, OTHER_BOARD)
    host.become_relay()
    [cell] = cells_bringing(host, wire(ENTRY))
    host.feed(inputs.DatagramReceived(Address("10.6.6.6", 1), cell))
    mixes = [host.node.boards[board.id].publishing.mix for board in (BOARD, OTHER_BOARD)]
    assert [len(mix._held) for mix in mixes] == [1, 0]
    assert len({record.key for mix in mixes for record in mix.own}) == 2


def test_a_board_that_is_left_sends_nothing_and_takes_nothing() -> None:
    host = Host()
    with_relay(host, 1)
    [cell] = cells_bringing(host, wire(ENTRY))
    host.feed(inputs.BoardClosed(BOARD.id))
    host.datagrams.clear()
    assert host.feed(inputs.DatagramReceived(Address("10.6.6.6", 1), cell)) == []
    assert of_kind(host.pass_ms(100_000), SendDatagram, FindWork) == []


# --- Records --------------------------------------------------------------------------------------


def own_addresses(host: Host) -> list[tuple[Address, int]]:
    return sorted((record.address, record.epoch) for record in publishing(host).mix.own)


def test_a_record_is_made_when_a_link_has_shown_an_address_and_told_to_all() -> None:
    """Y-3, Y-4."""
    host = Host()
    assert not host.pending
    first = greeted(host, 1)
    [search] = host.pending
    assert isinstance(search, FindWork) and search.work.bits == limits.RELAY_WORK_BITS_EXTRA
    second = greeted(host, 2)
    assert list(host.pending) == [search]
    host.work()
    host.pass_ms(JITTER_MS)
    for peer in (first, second):
        [record] = records_in(peer.take())
        assert (record.address, record.epoch) == (LISTENING, EPOCH)
    # Whoever comes later hears of it at once.
    assert records_in(greeted(host, 3).heard) == [record]


def test_each_address_has_a_record_and_a_key_of_its_own_up_to_a_bound() -> None:
    """Y-3."""
    host = Host()
    for number in range(1, 4):
        host.listening = Address(f"10.0.{number}.1", 4000)
        host.meet(number)
    assert own_addresses(host) == [(Address(f"10.0.{n}.1", 4000), EPOCH) for n in (1, 2, 3)]
    assert len({record.key for record in publishing(host).mix.own}) == 3
    for number in range(4, 9):
        host.listening = Address(f"10.0.{number}.1", 4000)
        host.meet(number)
    assert len(publishing(host)._hosts) == limits.RELAY_HOSTS_MAX == 4


def test_an_address_counts_once_however_the_socket_names_it() -> None:
    """Y-3."""
    host = Host()
    host.meet(1)
    host.listening = Address("::ffff:10.0.0.1", 4000)
    host.meet(2)
    assert own_addresses(host) == [(LISTENING, EPOCH)]


def to_epoch(host: Host, epoch: int, before_s: int) -> None:
    """Let time pass until shortly before an epoch begins; peers are let go."""
    host.pass_ms((epoch * limits.RELAY_EPOCH_S - before_s - host.wall_s) * 1000)


def test_the_next_epochs_record_is_made_before_it_begins_and_the_old_key_kept_one_more() -> None:
    """Y-3."""
    host = Host()
    host.meet(1)
    to_epoch(host, EPOCH + 1, limits.RELAY_RENEW_S + 1)
    host.work()
    assert own_addresses(host) == [(LISTENING, EPOCH)]
    to_epoch(host, EPOCH + 1, limits.RELAY_RENEW_S - 100)
    host.work()
    assert own_addresses(host) == [(LISTENING, EPOCH), (LISTENING, EPOCH + 1)]
    keys = {record.key for record in publishing(host).mix.own}
    assert len(keys) == 2
    to_epoch(host, EPOCH + 2, 1)
    host.work()
    assert (LISTENING, EPOCH) in own_addresses(host)
    to_epoch(host, EPOCH + 2, -100)  # looked after every 90 s
    host.work()
    assert own_addresses(host) == [(LISTENING, EPOCH + 1), (LISTENING, EPOCH + 2)]
    told = {record.epoch for record in publishing(host).relays.to_tell()}
    assert told == {EPOCH + 1, EPOCH + 2}


def test_when_the_next_record_is_made_cannot_be_foretold() -> None:
    """Y-3."""
    made_s = set()
    for number in range(8):
        host = Host(name=f"host {number}")
        host.meet(1)
        to_epoch(host, EPOCH + 1, limits.RELAY_RENEW_S)
        while not host.pending:
            host.pass_ms(1000)
        made_s.add(host.wall_s)
    assert len(made_s) > 4 and max(made_s) < (EPOCH + 1) * limits.RELAY_EPOCH_S


def test_each_start_has_other_keys() -> None:
    """Y-3."""
    keys = []
    for name in ("first", "second"):
        host = Host(name=name)
        host.meet(1)
        keys += [record.key for record in publishing(host).mix.own]
    assert len(set(keys)) == 2


def test_a_node_that_begins_to_listen_makes_its_record() -> None:
    """Y-3."""
    host = Host(listening=Address("10.0.0.1", 0))
    host.meet(1)
    assert not host.pending
    host.feed(inputs.ListeningOn(4000))
    host.work()
    assert own_addresses(host) == [(LISTENING, EPOCH)]


def test_a_link_that_opens_is_told_all_records_our_own_first() -> None:
    """Y-4."""
    host = Host()
    teller = host.meet(1)
    told = [raw_record(f"10.7.0.{number}") for number in range(100)]
    teller.say(RelayRecords(told[:50]), RelayRecords(told[50:]))
    heard = greeted(host, 2).heard
    messages = [message for message in heard if isinstance(message, RelayRecords)]
    assert all(len(message.records) <= limits.RELAYS_ITEMS_MAX for message in messages)
    raws = [raw for message in messages for raw in message.records]
    assert raws[0] == publishing(host).mix.own[0].raw
    assert sorted(raws[1:]) == sorted(told) and raws[1:] != told


def test_what_is_new_is_passed_on_within_a_moment_and_not_back() -> None:
    """Y-4."""
    host = Host()
    teller, other = host.meet(1), host.meet(2)
    raw = raw_record("10.7.0.1")
    for number in range(3):
        teller.say(RelayRecords([raw]))
        other.bring(written(f"entry {number}"))
        host.work()
    host.pass_ms(JITTER_MS)
    assert [record.raw for record in records_in(other.take())] == [raw]
    assert records_in(teller.take()) == []
    other.say(RelayRecords([raw]))
    host.pass_ms(JITTER_MS)
    assert records_in(other.take()) == records_in(teller.take()) == []


def test_an_announcement_does_not_put_off_a_record() -> None:
    """Y-4: within 100 ms also where entries arrive just before they are over."""
    raw = raw_record("10.7.0.1")
    for number in range(20):
        host = Host(name=f"host {number}")
        teller, other = host.meet(1), host.meet(2)
        teller.say(RelayRecords([raw]))
        host.pass_ms(JITTER_MS // 2)
        teller.bring(ENTRY)
        host.work()
        host.pass_ms(JITTER_MS // 2)
        assert [record.raw for record in records_in(other.take())] == [raw]


def test_records_get_to_everybody_along_a_chain() -> None:
    """Y-4."""
    hosts = [
        Host(name=f"host {number}", listening=Address(f"10.0.0.{number + 1}", 4000))
        for number in range(5)
    ]
    network = Network(*hosts)
    for dialler, listener in pairwise(hosts):
        network.connect(dialler, listener)
    network.run(1)
    for host in hosts:
        known = {record.address for record in publishing(host).relays.to_tell()}
        assert known == {other.listening for other in hosts}


def test_untimely_records_are_ignored_and_nobody_is_blamed() -> None:
    """Y-2."""
    host = Host()
    teller, other = host.meet(1), host.meet(2)
    raws = [raw_record("10.7.0.1", epoch=EPOCH + off) for off in (-2, -1, 0, 1, 2)]
    teller.say(RelayRecords(raws))
    host.pass_ms(JITTER_MS)
    assert [record.epoch - EPOCH for record in records_in(other.take())] == [-1, 0, 1]
    assert teller.reason is None


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", Reason.RELAY_MALFORMED),
        (raw_record("10.7.0.1")[:-1], Reason.RELAY_MALFORMED),
        (raw_record("10.7.0.1", key=bytes(32)), Reason.RELAY_MALFORMED),
    ],
    ids=["nothing", "cut", "no key"],
)
def test_who_tells_what_is_no_record_is_hung_up_on(raw: bytes, reason: Reason) -> None:
    """Y-1."""
    host = Host()
    teller, other = host.meet(1), host.meet(2)
    right = raw_record("10.7.0.2")
    teller.say(RelayRecords([right, raw]))
    assert teller.reason is reason and other.reason is None
    host.pass_ms(JITTER_MS)
    assert [record.raw for record in records_in(other.take())] == [right]


def test_a_record_with_too_little_work_has_its_reason() -> None:
    """Y-1."""
    raw = raw_record("10.7.0.1")
    for last in range(256):
        host = Host()
        teller = host.meet(1)
        teller.say(RelayRecords([raw[:-1] + bytes([last])]))
        if teller.reason is not None:
            assert teller.reason is Reason.RELAY_WORK
            return
    raise AssertionError("all have enough work")


# --- Whose record it is ---------------------------------------------------------------------------


def knows(host: Host, raw: bytes) -> bool:
    return any(record.raw == raw for record in publishing(host).relays.to_tell())


def is_alive(host: Host, raw: bytes) -> bool:
    [record] = [r for r in publishing(host).relays.to_tell() if r.raw == raw]
    return publishing(host).relays.is_alive(record.id, host.mono_ms)


def test_a_record_is_alive_while_a_link_to_its_address_has_told_it() -> None:
    """Y-6."""
    host = Host()
    peer, other = host.meet(1), host.meet(2)
    own = raw_record(peer.remote.host, peer.port)
    other.say(RelayRecords([own]))
    assert not is_alive(host, own)
    peer.say(RelayRecords([own]))
    assert is_alive(host, own) and publishing(host).crowd(host.now) == [peer.remote.host]
    peer.leave()
    assert not is_alive(host, own) and publishing(host).crowd(host.now) == []


def test_a_record_of_another_port_or_of_who_does_not_listen_is_not_alive_by_a_link() -> None:
    """Y-6."""
    host = Host()
    peer, mute = host.meet(1), host.meet(2, port=0)
    beside = raw_record(peer.remote.host, peer.port + 1)
    false = raw_record(mute.remote.host, 4000)
    peer.say(RelayRecords([beside]))
    mute.say(RelayRecords([false]))
    assert not is_alive(host, beside) and not is_alive(host, false)


def test_a_false_record_of_another_node_is_not_used_and_that_node_does_not_spread_it() -> None:
    """Y-6: neither one that somebody invents, nor one of the time before a restart."""
    network = Network.of(3)
    user, victim, _ = network.hosts
    false = raw_record(*victim.listening)
    for place, host in enumerate(network.hosts):
        liar = host.meet(1000 + place)
        liar.say(RelayRecords([false]))
    network.run(1)
    assert not knows(victim, false)
    assert knows(user, false) and not is_alive(user, false)
    late = greeted(victim, 2000)
    assert false not in [record.raw for record in records_in(late.heard)]
    user.datagrams.clear()
    network.run(60)
    own = publishing(victim).mix.own
    cells = [sent.data for _, sent in user.datagrams if sent.address == victim.listening]
    [key] = [key for key in publishing(victim).mix._keys if key.record in own]
    opened = [unwrap_cell(cell, key.secret, key.record.key) for cell in cells]
    # But for the loops that try it out.
    assert sum(each is not None for each in opened) > len(cells) / 2 > 10


LOOPBACK, ELSEWHERE = Address("127.0.0.1", 4000), Address("10.0.0.2", 50_000)


def test_a_record_of_this_machine_is_told_and_taken_on_this_machine_only() -> None:
    """Y-5."""
    host = Host(listening=LOOPBACK)
    near = host.meet(1, remote=Address("127.0.0.1", 50_000))
    host.listening = LISTENING
    far = host.meet(2)
    own = {record.address: record.raw for record in publishing(host).mix.own}
    assert set(own) == {LOOPBACK, LISTENING}
    late_near = greeted(host, 3, remote=Address("127.0.0.1", 50_001))
    assert set(own.values()) == {record.raw for record in records_in(late_near.heard)}
    late_far = greeted(host, 4)
    assert [record.raw for record in records_in(late_far.heard)] == [own[LISTENING]]
    told_far, told_near = raw_record("127.0.0.2"), raw_record("127.0.0.3", port=1)
    far.say(RelayRecords([told_far]))
    near.say(RelayRecords([told_near]))
    assert not knows(host, told_far) and knows(host, told_near)
    host.pass_ms(JITTER_MS)
    assert told_near not in [record.raw for record in records_in(far.take())]
    assert told_near in [record.raw for record in records_in(late_near.take())]


def test_a_link_local_record_is_taken_and_told_by_its_own_link_only() -> None:
    """Y-5."""
    here, there = Address("fe80::1%eth0", 4000), Address("fe80::2%eth0", 50_000)
    host = Host(listening=here)
    peer = host.meet(1, remote=there)
    own, others = raw_record("fe80::2"), raw_record("fe80::3")
    peer.say(RelayRecords([own, others]))
    assert knows(host, own) and is_alive(host, own) and not knows(host, others)
    host.datagrams.clear()
    host.pass_ms(20 * EMIT_MS)
    # Only the link knows the zone.
    assert {sent.address for _, sent in host.datagrams} == {Address("fe80::2%eth0", 4000)}
    [record] = publishing(host).mix.own
    assert record.address == Address("fe80::1", 4000)
    same = greeted(host, 2, remote=Address("fe80::4%eth0", 50_000))
    assert records_in(same.heard) == [record]
    host.listening = LISTENING
    assert records_in(greeted(host, 3).heard) == []


@pytest.mark.parametrize("name", ["0.0.0.0", "::", "224.0.0.251", "ff02::fb"])
def test_a_record_of_no_host_is_ignored(name: str) -> None:
    """Y-5."""
    host = Host()
    peer = host.meet(1)
    raw = raw_record(name)
    peer.say(RelayRecords([raw]))
    assert not knows(host, raw) and peer.reason is None


def test_a_link_local_ipv4_record_is_like_any_other() -> None:
    """Y-5: it needs no zone."""
    host = Host()
    raw = raw_record("169.254.7.7")
    host.meet(1).say(RelayRecords([raw]))
    assert knows(host, raw)


def test_work_that_is_found_after_its_board_was_left_is_dropped() -> None:
    host = Host()
    greeted(host, 1)
    [search] = host.pending
    assert isinstance(search, FindWork)
    host.feed(inputs.BoardClosed(BOARD.id))
    assert host.answer(search) == []
