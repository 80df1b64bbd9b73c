"""A peer that is a member and means harm: nothing it says makes the core raise, fill up, or fail
somebody else (L-16).

The machine below has one node, one hostile peer that comes back however often it is hung up on, and
a disk that answers when it likes. The peer tells relay records too, right and wrong ones, and sends
datagrams: cells of all kinds, in anybody's name. After each step all tables are within their
limits; at the end an honest peer, a second one and honest cells use the node as if nothing had
been.
"""

from __future__ import annotations

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from protocol import inputs, limits
from protocol.cells import BODY_BYTES, Hop, build_cell, seal_cell
from protocol.effects import SendDatagram, Store
from protocol.errors import Reason
from protocol.frames import encode_message
from protocol.link import Link
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
    RelayRecords,
    Want,
    encode_body,
    kind_of,
)
from protocol.pieces import PIECE_BYTES_MAX, cover_body, cut, loop_body
from protocol.publishing import Publishing
from protocol.relays import epoch_of, is_timely
from tests.protocol.test_messages import messages
from tests.protocol.wired import (
    BOARD,
    OTHER_BOARD,
    WALL_S,
    Host,
    Speaker,
    badly_signed,
    encoded,
    item,
    many,
    raw_record,
    seeded,
    wire,
    written,
)

STORED = many(5)
HEADLESS = written("its payload is lacking")
PEERS = tuple(Address(f"10.5.0.{number}", 4000) for number in range(3))
RIGHT = [
    *STORED,
    HEADLESS,
    *(written(f"right {number}") for number in range(5)),
    written("right, then forgotten")._replace(payload=None),
]
#: Wrong for now; in an hour nothing is wrong with it.
EARLY = written("early", wall_s=WALL_S + 3600)
WRONG = [
    *(badly_signed(written(f"wrong {number}")) for number in range(3)),
    written("wrong payload")._replace(payload=b"x"),
    written("of another board", board=OTHER_BOARD),
    written("late", wall_s=WALL_S - 40 * 86400),
]
ENTRIES = [*RIGHT, HEADLESS._replace(payload=None), EARLY, *WRONG]
#: By number, or each failure would print them all.
entries = st.integers(0, len(ENTRIES) - 1).map(lambda number: ENTRIES[number])
known_ids = entries.map(lambda entry: entry.id)
numbers = st.integers(0, 6)
#: Relay records: right ones at some addresses, the node's own and the honest peer's among them,
#: untimely ones, and wrong ones.
RELAYS = [
    *(raw_record(f"10.7.0.{number}", secret=bytes([number]) * 32) for number in range(4)),
    *(raw_record("10.7.0.9", port) for port in range(1, 5)),
    raw_record("10.0.0.1"),
    raw_record("10.0.50.2"),
    *(raw_record("10.7.0.1", epoch=epoch_of(WALL_S) + off) for off in (-2, -1, 1, 2)),
    *map(raw_record, ("127.0.0.1", "fe80::1", "224.0.0.1", "0.0.0.0", "::ffff:10.7.0.1")),
    raw_record("10.7.0.1", key=bytes(32)),
    raw_record("10.7.0.1")[:-1],
    b"",
]
relay_records = st.sampled_from(RELAYS)
#: What the bodies of hostile cells say.
bodies = st.one_of(
    st.sampled_from([cover_body(), loop_body(bytes(16)), b"\xff" * BODY_BYTES]),
    st.sampled_from(ENTRIES).flatmap(lambda e: st.sampled_from(cut(wire(e), bytes(16)))),
    st.builds(
        lambda transfer, place, places, part: (
            b"\x01" + bytes([transfer]) * 16 + bytes([place, places]) + part
        ).ljust(BODY_BYTES, b"\0")[:BODY_BYTES],
        st.integers(0, 255),
        st.integers(0, 90),
        st.integers(0, 90),
        st.just(PIECE_BYTES_MAX.to_bytes(2, "big") + bytes(PIECE_BYTES_MAX))
        | st.binary(max_size=9),
    ),
)
places = st.sampled_from(["10.0.0.66", "10.0.50.2", "fe80::66%eth0", "127.0.0.1"])
#: Messages that mean something to this node, besides any at all.
meant: st.SearchStrategy[Message] = st.one_of(
    st.builds(Announce, st.lists(entries.map(item), min_size=1, max_size=8)),
    st.builds(Want, numbers, st.lists(known_ids, min_size=1, max_size=8)),
    st.builds(Entries, numbers, st.booleans(), st.lists(entries.map(wire), max_size=6)),
    st.builds(Ask, st.sampled_from([b"\x61", b"\x61\x00\x00\x02\x00"])),
    st.builds(Answer, st.sampled_from([b"\x61", b"\x61\x00\x00\x02\x00"])),
    st.just(Nudge()),
    st.builds(RelayRecords, st.lists(relay_records, min_size=1, max_size=8)),
    st.builds(Bye, st.integers(0, 255)),
)


class HostilePeer(RuleBasedStateMachine):
    """What one hostile member can do to one node."""

    def __init__(self) -> None:
        super().__init__()
        stored = [*STORED, HEADLESS._replace(payload=None)]
        self.host = Host(stored=stored, lacking=(HEADLESS.id,), addresses=PEERS)
        self.links = 0
        self.requested: list[Want] = []
        self.honest = self.host.meet(10_000)
        self.speaker = self.come_in()

    def come_in(self, seed: bytes | None = None) -> Speaker:
        self.links += 1
        speaker = Speaker(self.host, self.links, seed=seed)
        speaker.dial()
        return speaker

    def say(self, stream: bytes) -> None:
        if self.speaker.reason is not None:
            self.speaker = self.come_in()
            self.speaker.greet()
        self.speaker.say_stream(stream)
        self.requested += [m for m in self.speaker.take() if isinstance(m, Want)]
        del self.requested[:-5]

    @rule()
    def greet(self) -> None:
        self.say(encoded(self.speaker.hello()))

    @rule(told=messages)
    def say_anything_well_formed(self, told: Message) -> None:
        self.say(encoded(told))

    @rule(told=st.lists(meant, min_size=1, max_size=4))
    def say_something_that_is_meant(self, told: list[Message]) -> None:
        self.say(b"".join(map(encoded, told)))

    @precondition(lambda self: self.requested)
    @rule(data=st.data())
    def answer_a_request(self, data: st.DataObject) -> None:
        want = data.draw(st.sampled_from(self.requested))
        right = [entry for entry in ENTRIES if entry.id in want.ids]
        given_ = data.draw(st.lists(st.sampled_from(right or ENTRIES), max_size=4))
        told = Entries(want.request, data.draw(st.booleans()), list(map(wire, given_)))
        self.say(encoded(told))

    @rule(told=meant, at=st.integers(0, 200), byte=st.integers(0, 255))
    def say_something_with_a_wrong_byte(self, told: Message, at: int, byte: int) -> None:
        body = bytearray(encode_body(told))
        body[at % len(body)] = byte
        self.say(encode_message(kind_of(told), bytes(body)))

    @rule(kind=st.integers(0, 255), body=st.binary(max_size=80))
    def say_anything(self, kind: int, body: bytes) -> None:
        self.say(encode_message(kind, body))

    @rule(stream=st.binary(max_size=40))
    def say_a_stream_that_is_no_messages(self, stream: bytes) -> None:
        self.say(stream)

    @rule(data=st.binary(max_size=600))
    def send_bytes_that_are_no_frames(self, data: bytes) -> None:
        self.speaker.say_bytes(data)

    @rule(data=st.binary(max_size=200))
    def knock_as_a_stranger(self, data: bytes) -> None:
        self.links += 1
        stranger = Speaker(self.host, self.links)
        stranger.connect()
        stranger.say_bytes(data)
        assert stranger.wire_heard == b""

    @rule()
    def be_dialled(self) -> None:
        if self.host.dials:
            dial = self.host.dials.pop()
            self.links += 1
            self.speaker = Speaker(self.host, self.links)
            self.speaker.be_dialled(dial.address)
            self.speaker.take()

    @rule()
    def leave_and_come_back(self) -> None:
        self.speaker.leave()
        self.speaker = self.come_in()
        self.speaker.greet()

    @rule()
    def come_twice(self) -> None:
        self.speaker = self.come_in(self.speaker.seed)
        self.say(encoded(self.speaker.hello()))

    @rule(is_own_proof=st.booleans(), is_dialler=st.booleans())
    def come_as_another_peer(self, is_own_proof: bool, is_dialler: bool) -> None:
        self.speaker = self.come_in()
        prover = self.speaker if is_own_proof else self.honest
        proof = prover.hello(is_dialler).proof
        self.speaker.say(Hello(self.honest.instance, 4000, proof))
        assert self.speaker.reason is not None and not self.host.node.links.get(self.links)

    @property
    def publishing(self) -> Publishing:
        return self.host.node.boards[BOARD.id].publishing

    @rule(remote=places, data=st.binary(max_size=60) | st.binary(min_size=1232, max_size=1232))
    def send_a_datagram(self, remote: str, data: bytes) -> None:
        self.datagram(remote, data)
        self.datagram(remote, seal_cell(BOARD, data))

    @rule(remote=places, body=bodies, seed=st.integers(0, 30), data=st.data())
    def send_a_cell(self, remote: str, body: bytes, seed: int, data: st.DataObject) -> None:
        """Right for the node, which passes it on to whom it likes, or opens it."""
        own = self.publishing.mix.own
        known = [Hop(record.id, record.key) for record in self.publishing.relays.to_tell()]
        if not own:
            return
        after = data.draw(st.lists(st.sampled_from(known), max_size=3))
        if data.draw(st.booleans()):
            after = [Hop(bytes(16), hop.key) for hop in after]
        random_bytes = seeded(f"hostile {seed}")
        cell = build_cell(BOARD, [own[-1].hop, *after], body, random_bytes)
        at = data.draw(st.none() | st.integers(16, len(cell) - 1))
        if at is not None:
            cell = seal_cell(BOARD, cell[16:at] + bytes([cell[at] ^ 1]) + cell[at + 1 :])
        self.datagram(remote, cell)

    @rule(remote=places, count=st.integers(1, 300))
    def flood(self, remote: str, count: int) -> None:
        cell = seal_cell(BOARD, bytes(1216))
        for _ in range(count):
            self.datagram(remote, cell)

    def datagram(self, remote: str, data: bytes) -> None:
        effects = self.host.feed(inputs.DatagramReceived(Address(remote, 4000), data))
        # None of them is answered, though what was due anyway may leave.
        assert sum(isinstance(effect, SendDatagram) for effect in effects) == 0

    @rule(count=st.integers(1, 5))
    def some_work_is_done(self, count: int) -> None:
        for _ in range(count):
            if self.host.pending:
                self.host.answer(self.host.pending[0])
        self.host.send_out()

    @rule()
    def a_write_fails(self) -> None:
        for work in list(self.host.pending):
            if isinstance(work, Store):
                self.host.pending.remove(work)
                self.host.feed(inputs.StoreFailed(work.token))

    @rule(text=st.text(max_size=5))
    def an_own_entry_is_published(self, text: str) -> None:
        self.host.feed(inputs.Publish(BOARD.id, written(f"own {text}")))

    @rule(span_ms=st.sampled_from([1, 50, 1_000, 20_000, 60_000, 600_000]))
    def time_passes(self, span_ms: int) -> None:
        self.host.pass_ms(span_ms)

    @invariant()
    def all_tables_are_within_their_limits(self) -> None:
        gossip = self.host.node.boards[BOARD.id]
        fetcher, links = gossip.fetcher, self.host.node.links
        assert len(gossip.links) <= limits.LINKS_PER_BOARD_MAX
        unopened = [link for link in links.values() if not link.is_open and not link.is_dialled]
        assert len(unopened) <= limits.LINKS_UNPROVEN_MAX
        assert fetcher.wanted <= limits.WANTED_MAX
        in_flight_max = limits.REQUESTS_PER_LINK_MAX * limits.REQUEST_IDS * len(gossip.links)
        assert len(fetcher.arriving) <= limits.ARRIVING_MAX + in_flight_max
        assert len(gossip._lacking) <= limits.LACKING_MAX
        assert len(gossip._deferred) <= limits.DEFERRED_MAX
        assert len(gossip.publishing.outbox) <= limits.OUTBOX_MAX
        self.check_mix(gossip.publishing)
        assert len(gossip.directory) <= limits.ADDRESSES_PER_BOARD_MAX
        assert len(gossip.directory._dialling) <= limits.DIALS_AT_ONCE_MAX
        dialled = sum(link.is_dialled for link in gossip.links.values())
        assert dialled + gossip.directory.dialling <= limits.LINKS_DIALLED_MAX
        for link in links.values():
            self.check_link(link)

    def check_mix(self, publishing: Publishing) -> None:
        mix, relays = publishing.mix, publishing.relays
        assert len(relays) <= limits.RELAYS_MAX
        assert len(mix._held) <= limits.CELLS_HELD_MAX
        assert len(mix._assembly) <= limits.TRANSFERS_MAX
        assert mix._assembly._bytes <= limits.TRANSFERS_BYTES_MAX
        assert len(mix._loops) <= limits.LOOPS_REMEMBERED_MAX
        assert len(mix._buckets) <= limits.CELL_HOSTS_MAX
        assert len(publishing._hosts) <= limits.RELAY_HOSTS_MAX
        known = {record.id for record in relays.to_tell()}
        assert set(relays._linked) | set(relays._proved) | relays._doubted <= known
        # Nobody makes the node knock at its own machine's doors, or everybody's.
        hosts = {sent.address.host for _, sent in self.host.datagrams}
        assert all(host.startswith("10.") for host in hosts)
        self.host.datagrams.clear()

    @invariant()
    def relays_for_paths_are_others_and_timely_to_an_hour(self) -> None:
        now = self.host.now
        for record in self.publishing.relays.choose(3, now.mono_ms, now.wall_s):
            assert record not in self.publishing.mix.own
            assert is_timely(record, now.wall_s - 120) or is_timely(record, now.wall_s)

    def check_link(self, link: Link) -> None:
        assert len(link.relaying) <= 2 * limits.RELAYS_MAX
        assert link.unsent_bytes <= limits.SEND_BYTES_MAX
        assert len(link.asked_for) <= limits.REQUESTS_PER_LINK_MAX + 2
        assert len(link.announcing) <= limits.ANNOUNCE_QUEUE_MAX + 1
        assert len(link.have) <= limits.ANNOUNCE_ITEMS_MAX + 1

    @invariant()
    def an_honest_peer_that_says_nothing_is_hung_up_on_for_that_alone(self) -> None:
        self.honest.heard.clear()
        assert self.honest.reason in (None, Reason.LINK_IDLE, Reason.LINK_SLOW)

    @invariant()
    def nothing_wrong_is_stored_and_nothing_stored_is_lost(self) -> None:
        assert not {entry.id for entry in WRONG} & set(self.host.disk)
        index = self.host.node.boards[BOARD.id].index
        assert set(index.ids()) <= set(self.host.disk)
        assert {entry.id for entry in STORED} <= set(index.ids())

    def teardown(self) -> None:
        self.host.work()
        self.host.pass_ms(100_000)
        self.host.work()
        self.speaker.leave()
        self.check_that_honest_cells_bring_an_entry()
        giver = self.host.meet(10_001)
        other = Speaker(self.host, 10_002)
        other.dial()
        other.greet()
        other.take()
        entry = written("honest", wall_s=self.host.wall_s)
        giver.bring(entry)
        self.host.work()
        self.host.pass_ms(limits.ANNOUNCE_JITTER_MS_MAX)
        announced = [m for m in other.take() if isinstance(m, Announce)]
        assert [item(entry)] in [message.items for message in announced]
        other.say(Want(77, [STORED[0].id, entry.id]))
        self.host.work()
        assert Entries(77, True, [wire(STORED[0]), wire(entry)]) in other.take()
        assert giver.reason is None and other.reason is None

    def check_that_honest_cells_bring_an_entry(self) -> None:
        entry = written("by cells", wall_s=self.host.wall_s)
        [body] = cut(wire(entry), b"honest".ljust(16))
        hop = self.publishing.mix.own[0].hop
        cell = build_cell(BOARD, [hop], body, seeded("honest cells"))
        self.host.feed(inputs.DatagramReceived(Address("10.0.77.7", 4000), cell))
        self.host.pass_ms(40_000)
        self.host.work()
        assert self.host.disk[entry.id] == entry


TestHostilePeer = HostilePeer.TestCase
TestHostilePeer.settings = settings(
    max_examples=60, stateful_step_count=40, suppress_health_check=[HealthCheck.too_slow]
)
