"""The mix: what leaves a node says nothing of what the node has to say, and what comes is passed
on after memoryless delays.

All chance is seeded, so that a bound of four or five standard deviations fails for a change of the
code and for nothing else.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from math import exp, log
from statistics import fmean, stdev

import pytest

from protocol import limits
from protocol.cells import Forward, Last, build_cell, seal_cell, unwrap_cell
from protocol.chance import Chance
from protocol.crypto import Group
from protocol.inputs import Now
from protocol.messages import Address, WireEntry
from protocol.mix import Mix, OwnKey
from protocol.pieces import Loop, Piece, cover_body, cut, decode_body, loop_body
from protocol.relays import Record, Relays, decode_record, epoch_of
from simnet import cheap
from tests.protocol.test_relays import CHI_SQUARE_MOST, chi_square
from tests.protocol.wired import BOARD, WALL_S, raw_record, seeded, wire, written

GROUP: Group = cheap.GROUP
START_MS = 1_000_000
EMIT_MS, DELAY_MS = (
    pace[BOARD.descriptor.pace] for pace in (limits.PACE_EMIT_MS, limits.PACE_DELAY_MS)
)
ENTRY = wire(written("an entry"))
#: Of three pieces.
LONG_ENTRY = WireEntry(b"header", bytes(64), bytes(2500))
ID = bytes(32)


def now_at(mono_ms: int) -> Now:
    return Now(mono_ms, WALL_S + (mono_ms - START_MS) // 1000)


class Station:
    """A mix with what it needs, and a key of its own.

    :ivar sent: what left, with time and address.
    :ivar is_heard: whether its loops come home, at once.
    """

    def __init__(self, number: int, name: str = "", has_key: bool = True) -> None:
        self.secret = seeded(f"station {number}")(32)
        self.address = Address(f"10.2.0.{number}", 4000)
        raw = raw_record(*self.address, key=GROUP.public_key(self.secret))
        self.record = decode_record(BOARD, raw, GROUP)
        chance = Chance(seeded(f"station {number} {name}"))
        self.relays = Relays(BOARD, chance, GROUP)
        self.sent: list[tuple[int, Address, bytes]] = []
        self.gone: list[tuple[int, bytes]] = []
        self.arrived: list[tuple[int, WireEntry]] = []
        self.mono_ms = START_MS
        self.is_heard = False
        self.mix = Mix(
            BOARD,
            self.relays,
            chance,
            GROUP,
            self.send,
            lambda identifier, now: self.gone.append((now.mono_ms, identifier)),
            lambda entry, now: self.arrived.append((now.mono_ms, entry)),
        )
        if has_key:
            self.relays.add_own(self.record)
            epochs = epoch_of(WALL_S) + 2
            self.mix.add_key(OwnKey(self.record, self.secret, epochs * limits.RELAY_EPOCH_S))
            self.mix.homes = [self.record]

    @property
    def now(self) -> Now:
        return now_at(self.mono_ms)

    def send(self, address: Address, cell: bytes) -> None:
        self.sent.append((self.mono_ms, address, cell))
        if self.is_heard and address in BY_ADDRESS:
            *_, (host, cell, _) = hops(address, cell, self)
            if host == self.address.host:
                self.receive(cell)

    def learn(self, others: Sequence[Record], is_alive: bool = True) -> None:
        for record in others:
            if record.id != self.record.id:
                self.relays.add(record, WALL_S, self.mono_ms)
                if is_alive:
                    self.relays.on_link(1, record.id, record.address)

    def run(self) -> None:
        self.mix.run(self.now)

    def run_for(self, span_ms: int) -> None:
        """Let time pass, with a run whenever something is due."""
        end_ms = self.mono_ms + span_ms
        self.run()
        while (due_ms := self.mix.next_ms()) is not None and due_ms <= end_ms:
            self.mono_ms = due_ms
            self.run()
        self.mono_ms = end_ms

    def take(self) -> list[tuple[int, Address, bytes]]:
        sent, self.sent = self.sent, []
        return sent

    def receive(self, cell: bytes, host: str = "10.9.0.1") -> None:
        self.mix.receive(Address(host, 5000), cell, self.now)


OTHERS = [Station(number) for number in range(1, 11)]
BY_ADDRESS = {station.address: station for station in OTHERS}


def alone(name: str = "", knows: int = 10, has_key: bool = True) -> Station:
    """The node of a test, which knows some relays, all of them alive."""
    station = Station(100, name, has_key)
    station.learn([other.record for other in OTHERS[:knows]])
    return station


def hops(
    address: Address, cell: bytes, home: Station | None = None
) -> list[tuple[str, bytes, Forward | Last]]:
    """Each host by whose hands a cell goes, the cell as it gets it, and what it makes of it."""
    stations = {**BY_ADDRESS, **({home.address: home} if home else {})}
    by_id = {station.record.id: station for station in stations.values()}
    station, found = stations[address], []
    while True:
        assert len(cell) == 1232
        opened = unwrap_cell(cell, station.secret, station.record.key, GROUP)
        assert opened is not None
        found.append((station.address.host, cell, opened))
        if isinstance(opened, Last):
            return found
        station = by_id[opened.next_id]
        cell = seal_cell(BOARD, opened.cell)


def followed(address: Address, cell: bytes, home: Station | None = None) -> tuple[list[str], bytes]:
    """The hosts by whose hands a cell goes, and the body that the last one finds."""
    found = hops(address, cell, home)
    last = found[-1][2]
    assert isinstance(last, Last)
    return [host for host, _, _ in found], last.body


def cell_for(path: Sequence[Station], body: bytes, name: str = "cell") -> bytes:
    hops = [station.record.hop for station in path]
    return build_cell(BOARD, hops, body, seeded(name), GROUP)


def gaps_of(times_ms: Sequence[int]) -> list[int]:
    return [later - sooner for sooner, later in pairwise(times_ms)]


def check_exponential(spans_ms: Sequence[int], mean_ms: int) -> None:
    """Mean, spread and shape (Kolmogorov and Smirnov, at one in a thousand)."""
    count = len(spans_ms)
    assert abs(fmean(spans_ms) - mean_ms) < 4 * mean_ms / count**0.5
    assert abs(stdev(spans_ms) / mean_ms - 1) < 6 / count**0.5
    ordered = sorted(spans_ms)
    distance = max(
        abs((at + 0.5) / count - (1 - exp(-span / mean_ms))) for at, span in enumerate(ordered)
    )
    assert distance < 1.95 / count**0.5


# --- Emissions ------------------------------------------------------------------------------------


class Busy:
    """A node that always has the next piece of something to say, or never has."""

    def __init__(self, name: str, is_busy: bool) -> None:
        self.station = alone(name)
        self.station.is_heard = True
        self.is_busy = is_busy
        span_ms, self.ms = 3000 * EMIT_MS, START_MS
        while self.station.mono_ms < START_MS + span_ms:
            if is_busy and self.station.mix.queued < 3:
                self.station.mix.queue(ID, LONG_ENTRY, self.station.now)
            self.station.run_for(10 * EMIT_MS // 7)
        self.sent = self.station.take()
        self.gaps_ms = gaps_of([at_ms for at_ms, _, _ in self.sent])
        self.paths: list[list[str]] = []
        self.bodies: list[Piece | Loop | None] = []
        for _, address, cell in self.sent:
            path, body = followed(address, cell, self.station)
            self.paths.append(path)
            self.bodies.append(decode_body(body))


@pytest.fixture(scope="module")
def busy() -> Busy:
    return Busy("busy", is_busy=True)


@pytest.fixture(scope="module")
def idle() -> Busy:
    return Busy("idle", is_busy=False)


def test_emissions_are_a_poisson_process_with_the_boards_mean(busy: Busy, idle: Busy) -> None:
    """X-1."""
    for node in (busy, idle):
        check_exponential(node.gaps_ms, EMIT_MS)
        # No gap says anything of the next.
        mean = fmean(node.gaps_ms)
        products = [(one - mean) * (other - mean) for one, other in pairwise(node.gaps_ms)]
        assert abs(fmean(products)) / mean**2 < 4 / len(products) ** 0.5


def test_the_fixtures_are_what_they_say(busy: Busy, idle: Busy) -> None:
    """Or the comparisons of the two would prove nothing."""
    assert not any(isinstance(said, Piece) for said in idle.bodies)
    counts = Counter(map(type, busy.bodies))
    assert counts[Piece] > 2000 and counts[type(None)] < 50


def test_who_has_something_to_say_emits_at_times_that_are_distributed_alike(
    busy: Busy, idle: Busy
) -> None:
    """X-1, X-3: Kolmogorov and Smirnov for two samples, at one in a thousand."""
    one, other = sorted(busy.gaps_ms), sorted(idle.gaps_ms)
    distance = max(
        abs(sum(g <= at for g in one) / len(one) - sum(g <= at for g in other) / len(other))
        for at in range(0, 6 * EMIT_MS, EMIT_MS // 10)
    )
    assert distance < 1.95 * (1 / len(one) + 1 / len(other)) ** 0.5


@pytest.mark.parametrize("place", [0, 1, 2])
def test_each_place_of_a_path_is_any_relay_as_likely_whatever_the_cell_says(
    busy: Busy, idle: Busy, place: int
) -> None:
    """X-3: the last relay of cover as that of a piece."""
    for node in (busy, idle):
        paths = [
            path
            for path, said in zip(node.paths, node.bodies, strict=True)
            if not isinstance(said, Loop)
        ]
        counts = Counter(path[place] for path in paths)
        assert len(counts) == 10
        # All pieces of an entry meet at one relay: three times the variance there.
        times = 3 if place == 2 and node.is_busy else 1
        assert chi_square(counts, len(paths) / 10) < times * CHI_SQUARE_MOST


def test_first_relays_of_all_cells_are_uniform_too(busy: Busy, idle: Busy) -> None:
    """X-2, X-3: loops included, as who is next to the node sees them."""
    for node in (busy, idle):
        counts = Counter(address.host for _, address, _ in node.sent)
        assert len(counts) == 10
        assert chi_square(counts, len(node.sent) / 10) < CHI_SQUARE_MOST


def test_one_in_six_is_a_loop_whatever_else_there_is_to_say(busy: Busy, idle: Busy) -> None:
    """X-2."""
    for node in (busy, idle):
        is_loop = [isinstance(said, Loop) for said in node.bodies]
        deviation = (1 / 6 * 5 / 6 / len(is_loop)) ** 0.5
        assert abs(fmean(is_loop) - 1 / limits.LOOP_ONE_IN) < 4 * deviation
        twice = fmean(one and other for one, other in pairwise(is_loop))
        assert abs(twice - 1 / 36) < 4 * (1 / 36 / len(is_loop)) ** 0.5


def test_all_cells_have_one_size_and_paths_of_five_hosts(busy: Busy, idle: Busy) -> None:
    """X-2, X-3."""
    for node in (busy, idle):
        assert {len(cell) for _, _, cell in node.sent} == {limits.CELL_BYTES}
        for path, said in zip(node.paths, node.bodies, strict=True):
            assert len(path) == len(set(path)) == limits.PATH_RELAYS == 5
            assert (path[-1] == node.station.address.host) is isinstance(said, Loop)


def test_loops_have_tokens_of_their_own(busy: Busy) -> None:
    """X-2."""
    tokens = [said.token for said in busy.bodies if isinstance(said, Loop)]
    assert len(set(tokens)) == len(tokens) > 500


def test_writing_changes_no_time_that_is_set() -> None:
    """X-1, O-5."""
    station = alone()
    station.run()
    before_ms = station.mix.next_ms()
    assert station.mix.queue(ID, LONG_ENTRY, station.now) and station.mix.queued == 3
    station.run()
    assert station.mix.next_ms() == before_ms and station.sent == []
    station.mix.withdraw(ID)
    assert station.mix.next_ms() == before_ms


def test_a_node_that_slept_does_not_make_up_for_it() -> None:
    """X-1."""
    station = alone()
    station.run_for(10 * EMIT_MS)
    station.take()
    station.mono_ms += 10_000 * EMIT_MS
    for _ in range(5):
        station.run()
    assert len(station.sent) == 1
    next_ms = station.mix.next_ms()
    assert next_ms is not None and next_ms > station.mono_ms


def test_nothing_leaves_while_no_relay_is_known_and_the_process_goes_on() -> None:
    """X-1."""
    station = alone(knows=0)
    station.run_for(100 * EMIT_MS)
    assert station.sent == [] and not station.mix.queue(ID, ENTRY, station.now)
    station.learn([OTHERS[0].record])
    station.run_for(100 * EMIT_MS)
    assert 60 < len(station.sent) < 140


@pytest.mark.parametrize("knows", [1, 2, 3, 5])
def test_with_fewer_addresses_paths_are_shorter(knows: int) -> None:
    """X-3."""
    station = alone(knows=knows)
    station.is_heard = True
    station.mix.queue(ID, LONG_ENTRY, station.now)
    station.run_for(60 * EMIT_MS)
    kinds = set()
    for _, address, cell in station.sent:
        path, body = followed(address, cell, station)
        said = decode_body(body)
        kinds.add(type(said))
        loop_relays = min(knows, limits.PATH_RELAYS - 1) + 1
        assert len(path) == len(set(path)) == (loop_relays if type(said) is Loop else knows)
    assert kinds == {Piece, Loop, type(None)}


def test_a_node_that_is_no_relay_sends_no_loops_and_everything_else() -> None:
    """X-2."""
    station = alone(has_key=False)
    station.mix.queue(ID, LONG_ENTRY, station.now)
    station.run_for(200 * EMIT_MS)
    said = Counter(type(decode_body(followed(a, cell)[1])) for _, a, cell in station.sent)
    assert said[Piece] == 3 and said[Loop] == 0 and said[type(None)] > 120


# --- Own entries ----------------------------------------------------------------------------------


def test_pieces_of_an_entry_meet_at_one_relay_by_paths_of_their_own() -> None:
    """X-3."""
    station = alone()
    station.mix.queue(ID, LONG_ENTRY, station.now)
    station.run_for(60 * EMIT_MS)
    found = [followed(address, cell, station) for _, address, cell in station.sent]
    pieces = [(path, said) for path, body in found if isinstance(said := decode_body(body), Piece)]
    assert [said.place for _, said in pieces] == [0, 1, 2]
    assert len({said.transfer for _, said in pieces}) == 1
    assert len({path[-1] for path, _ in pieces}) == 1
    assert len({tuple(path) for path, _ in pieces}) > 1


def test_it_is_told_once_when_the_last_piece_has_left() -> None:
    """O-2."""
    station = alone()
    station.mix.queue(ID, LONG_ENTRY, station.now)
    while station.mix.queued:
        assert station.gone == []
        station.run_for(EMIT_MS // 10)
    station.run_for(30 * EMIT_MS)
    times = [
        at_ms
        for at_ms, address, cell in station.sent
        if isinstance(decode_body(followed(address, cell, station)[1]), Piece)
    ]
    assert station.gone == [(times[-1], ID)]


def test_each_time_that_it_goes_it_has_another_transfer() -> None:
    """O-2."""
    transfers = set()
    station = alone()
    for _ in range(5):
        station.mix.queue(ID, ENTRY, station.now)
        station.run_for(30 * EMIT_MS)
    for _, address, cell in station.sent:
        said = decode_body(followed(address, cell, station)[1])
        transfers |= {said.transfer} if isinstance(said, Piece) else set()
    assert len(transfers) == 5


def test_what_is_withdrawn_sends_no_more_pieces_and_others_do() -> None:
    """O-3."""
    station = alone()
    other = bytes([1]) * 32
    station.mix.queue(ID, LONG_ENTRY, station.now)
    station.mix.queue(other, ENTRY, station.now)
    while station.mix.queued == 4:
        station.run_for(EMIT_MS // 10)
    station.mix.withdraw(ID)
    station.run_for(40 * EMIT_MS)
    assert station.mix.queued == 0
    assert [identifier for _, identifier in station.gone] == [other]
    said = [decode_body(followed(a, cell, station)[1]) for _, a, cell in station.sent]
    assert sum(isinstance(each, Piece) for each in said) == 2


# --- Relaying -------------------------------------------------------------------------------------


def relay() -> Station:
    """A relay that is told of the first other, and emits nothing by itself."""
    station = Station(50)
    station.learn([OTHERS[0].record])
    return station


MARK = Loop(b"passed on".ljust(16))
MARKED = loop_body(MARK.token)


def passed_on(station: Station) -> list[tuple[int, Address, bytes]]:
    """What left that it did not emit itself."""
    return [sent for sent in station.take() if decode_body(said_by(sent)) == MARK]


def said_by(sent: tuple[int, Address, bytes]) -> bytes:
    _, address, cell = sent
    opened = unwrap_cell(cell, OTHERS[0].secret, OTHERS[0].record.key, GROUP)
    assert address == OTHERS[0].address
    return opened.body if isinstance(opened, Last) else cover_body()


def marked_cells(station: Station, count: int, name: str = "marked") -> list[bytes]:
    """Cells that it is to pass on, told from its own by their body."""
    random_bytes = seeded(name)
    path = [station.record.hop, OTHERS[0].record.hop]
    return [build_cell(BOARD, path, MARKED, random_bytes, GROUP) for _ in range(count)]


def test_a_cell_goes_on_to_the_next_relay_after_an_exponential_delay() -> None:
    """K-5, X-4."""
    station = relay()
    delays_ms = []
    for cell in marked_cells(station, 1500):
        station.receive(cell)
        came_ms = station.mono_ms
        while not (sent := passed_on(station)):
            due_ms = station.mix.next_ms()
            assert due_ms is not None
            station.mono_ms = max(due_ms, station.mono_ms)
            station.run()
        [(at_ms, _, _)] = sent
        delays_ms.append(at_ms - came_ms)
    check_exponential(delays_ms, DELAY_MS)


def test_cells_leave_in_an_order_of_their_own() -> None:
    """X-4."""
    station = relay()
    cells = marked_cells(station, 40)
    for cell in cells:
        station.receive(cell)
    station.run_for(20 * DELAY_MS)
    sent = [cell for _, _, cell in passed_on(station)]
    inside = [unwrap_cell(c, station.secret, station.record.key, GROUP) for c in cells]
    expected = [seal_cell(BOARD, opened.cell) for opened in inside if isinstance(opened, Forward)]
    assert len(sent) == 40 and set(sent) == set(expected) and sent != expected


def test_pieces_that_have_arrived_wait_as_well() -> None:
    """X-4, K-10."""
    station = relay()
    waits_ms = []
    for number in range(400):
        [body] = cut(ENTRY, number.to_bytes(16, "big"))
        station.receive(cell_for([station], body, f"piece {number}"))
        came_ms = station.mono_ms
        while len(station.arrived) == number:
            due_ms = station.mix.next_ms()
            assert due_ms is not None
            station.mono_ms = max(due_ms, station.mono_ms)
            station.run()
        waits_ms.append(station.arrived[-1][0] - came_ms)
    assert {entry for _, entry in station.arrived} == {ENTRY}
    check_exponential(waits_ms, DELAY_MS)


def test_an_entry_in_pieces_arrives_once() -> None:
    """K-10."""
    station = relay()
    bodies = cut(LONG_ENTRY, bytes(16))
    for number, body in enumerate([*bodies, bodies[0]]):
        station.receive(cell_for([station], body, f"piece {number}"))
    station.run_for(30 * DELAY_MS)
    assert [entry for _, entry in station.arrived] == [LONG_ENTRY]


def held(station: Station) -> int:
    return len(station.mix._held)


def test_cover_and_foreign_loops_end_at_the_last_relay() -> None:
    station = relay()
    for number, body in enumerate((cover_body(), loop_body(bytes(16)), b"\xff" * 1003)):
        station.receive(cell_for([station], body, f"cover {number}"))
    assert held(station) == 0


def test_a_cell_that_was_here_before_is_dropped() -> None:
    """K-3."""
    station = relay()
    one, other = marked_cells(station, 2)
    for _ in range(3):
        station.receive(one)
        station.receive(seal_cell(BOARD, one[16:]))
    assert held(station) == 1
    station.run_for(30 * DELAY_MS)
    station.receive(one)
    assert held(station) == 0
    station.receive(other)
    assert held(station) == 1


def test_a_piece_that_was_here_before_is_dropped() -> None:
    """K-3."""
    station = relay()
    [body] = cut(ENTRY, bytes(16))
    for _ in range(3):
        station.receive(cell_for([station], body))
        station.run_for(30 * DELAY_MS)
    assert len(station.arrived) == 1


def test_who_has_no_room_to_remember_passes_nothing_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """K-3."""
    assert limits.CELLS_REMEMBERED_MAX == 360_000
    monkeypatch.setattr(limits, "CELLS_REMEMBERED_MAX", 3)
    station = relay()
    for cell in marked_cells(station, 5):
        station.receive(cell)
    assert held(station) == 3


def test_cells_for_others_changed_cells_and_unknown_next_relays_are_dropped() -> None:
    """K-2, K-5."""
    station = relay()
    right = marked_cells(station, 1)[0]
    changed = seal_cell(BOARD, right[16:-1] + bytes([right[-1] ^ 1]))
    for cell in (cell_for([OTHERS[0]], MARKED), changed, cell_for([station, OTHERS[5]], MARKED)):
        station.receive(cell)
    assert held(station) == 0
    station.receive(right)
    assert held(station) == 1


def test_a_relay_takes_cells_under_each_of_its_keys_until_the_key_is_gone() -> None:
    """K-2, Y-3."""
    station, before = relay(), Station(51)
    station.mix.add_key(OwnKey(before.record, before.secret, WALL_S + 60))
    assert station.mix.own == [before.record, station.record]
    first, second = marked_cells(before, 2)
    station.mix.drop_keys(WALL_S + 59)
    station.receive(first)
    assert held(station) == 1
    station.mix.drop_keys(WALL_S + 60)
    station.receive(second)
    assert held(station) == 1 and station.mix.own == [station.record]
    station.receive(marked_cells(station, 1)[0])
    assert held(station) == 2


def test_so_many_cells_are_held_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """X-4."""
    assert limits.CELLS_HELD_MAX == 4096
    monkeypatch.setattr(limits, "CELLS_HELD_MAX", 20)
    station = relay()
    cells = marked_cells(station, 30)
    for cell in cells:
        station.receive(cell)
    assert held(station) == 20
    station.run_for(30 * DELAY_MS)
    station.receive(cells[-1])  # it was not opened, so it is no copy
    assert held(station) == 1


# --- Floods ---------------------------------------------------------------------------------------


def taken(station: Station, cells: Sequence[bytes], host: str = "10.9.0.1") -> int:
    before = held(station)
    for cell in cells:
        station.receive(cell, host)
    return held(station) - before


def test_one_address_gets_so_many_cells_at_once_and_does_not_take_the_place_of_others() -> None:
    """X-5."""
    station = relay()
    cells = marked_cells(station, 700)
    assert taken(station, cells[:500]) == limits.CELLS_PER_HOST_BURST == 200
    assert taken(station, cells[500:600], "10.9.0.2") == 100
    station.mono_ms += 1000
    assert taken(station, cells[600:]) == limits.CELLS_PER_HOST_PER_S == 50


@pytest.mark.parametrize("gap_ms", [1, 7, 10, 19, 20, 25])
def test_who_sends_faster_than_the_rate_gets_the_rate_and_not_less(gap_ms: int) -> None:
    """X-5: or whoever sends in another's name would silence it."""
    station = relay()
    cells = marked_cells(station, 5000 // gap_ms + limits.CELLS_PER_HOST_BURST)
    taken(station, cells[: limits.CELLS_PER_HOST_BURST])
    count = 0
    for cell in cells[limits.CELLS_PER_HOST_BURST :]:
        station.mono_ms += gap_ms
        count += taken(station, [cell])
    expected = min(5 * limits.CELLS_PER_HOST_PER_S, 5000 // gap_ms)
    assert abs(count - expected) <= 5


def test_addresses_that_are_counted_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "CELL_HOSTS_MAX", 10)
    station = relay()
    for number, cell in enumerate(marked_cells(station, 30)):
        station.receive(cell, f"10.9.0.{number}")
    assert len(station.mix._buckets) == 10


# --- Loops ----------------------------------------------------------------------------------------


class World:
    """Stations that send each other cells without delay, on one clock."""

    def __init__(self, count: int, knows_all: bool = True) -> None:
        self.stations = [Station(number + 1, "world") for number in range(count)]
        self.dropping: set[str] = set()
        records = [station.record for station in self.stations]
        for station in self.stations:
            station.learn(records, is_alive=knows_all)

    def run_for(self, span_ms: int) -> None:
        by_address = {station.address: station for station in self.stations}
        end_ms = self.stations[0].mono_ms + span_ms
        for station in self.stations:
            station.run()
        while True:
            at_ms = min(station.mix.next_ms() or end_ms for station in self.stations)
            for station in self.stations:
                station.mono_ms = min(at_ms, end_ms)
            if at_ms >= end_ms:
                return
            for station in self.stations:
                due_ms = station.mix.next_ms()
                if due_ms is not None and due_ms <= at_ms:
                    station.run()
                    for _, address, cell in station.take():
                        if address in by_address and address.host not in self.dropping:
                            to = by_address[address]
                            to.mix.receive(station.address, cell, to.now)


def test_loops_come_home_and_are_counted() -> None:
    """X-6."""
    world = World(5)
    world.run_for(200 * EMIT_MS)
    for station in world.stations:
        home, sent = station.mix.loops()
        assert home == sent and sent > 20


def test_one_that_drops_cells_is_doubted_and_the_others_are_not_for_long() -> None:
    """X-6, Y-6: a loop that is lost puts all on it in doubt; who answers for itself is in again."""
    world = World(9)
    *honest, dropping = world.stations
    world.dropping.add(dropping.address.host)
    lost = 0
    for _ in range(8):
        world.run_for(50 * EMIT_MS)
        for station in honest:
            home, sent = station.mix.loops()
            lost += sent - home
    for station in honest:
        others = [other.record.id for other in honest if other is not station]
        assert not station.relays.is_alive(dropping.record.id, station.mono_ms)
        assert sum(station.relays.is_alive(each, station.mono_ms) for each in others) >= 4
        assert station.mix.loops()[1] > 20
    assert lost > 0


def test_a_loop_counts_as_lost_after_its_patience_and_no_sooner() -> None:
    """X-6."""
    station = alone()
    station.run_for((limits.LOOP_PATIENCE_DELAYS * DELAY_MS) - 2)
    assert station.sent and station.mix.loops() == (0, 0)
    station.run_for(20 * EMIT_MS)
    home, sent = station.mix.loops()
    assert home == 0 and sent > 0


def test_a_relay_that_nobody_has_answered_for_is_alive_when_a_loop_has_come_home() -> None:
    """X-2, Y-6."""
    world = World(4, knows_all=False)
    first = world.stations[0]
    others = [station.record.id for station in world.stations[1:]]
    assert not any(first.relays.is_alive(i, first.mono_ms) for i in others)
    world.run_for(150 * EMIT_MS)
    assert all(first.relays.is_alive(i, first.mono_ms) for i in others)


def test_an_invented_relay_is_tried_never_alive_and_its_loops_say_nothing() -> None:
    """X-2, X-6: a record with somebody else's address, and a key that nobody has."""
    world = World(4)
    first = world.stations[0]
    false = Station(99).record._replace(address=world.stations[1].address)
    first.learn([false], is_alive=False)
    is_tried = False
    for _ in range(300):
        world.run_for(EMIT_MS)
        is_tried |= any(false.id in loop.through for loop in first.mix._loops.values())
        assert not first.relays.is_alive(false.id, first.mono_ms)
    home, sent = first.mix.loops()
    assert is_tried and home == sent


def test_every_second_loop_goes_through_one_that_is_in_doubt_and_home() -> None:
    """X-2."""
    station = alone()
    station.is_heard = True
    doubtful = [Station(number).record for number in range(60, 65)]
    station.learn(doubtful, is_alive=False)
    hosts = {record.address.host for record in doubtful}
    station.run_for(1600 * EMIT_MS)
    loops, through = 0, Counter[str]()
    for _, address, cell in station.sent:
        if address.host in hosts:
            through[address.host] += 1
        else:
            path, body = followed(address, cell, station)
            assert len(path) == limits.PATH_RELAYS and not hosts & set(path)
            loops += isinstance(decode_body(body), Loop)
    assert len(through) == 5 and 0.4 < loops / (loops + through.total()) < 0.6


def test_a_token_that_is_not_ours_brings_nobody_to_life() -> None:
    station = alone()
    station.run_for(50 * EMIT_MS)
    station.receive(cell_for([station], loop_body(bytes(16)), "foreign"))
    assert station.mix.loops()[0] == 0


def test_a_loop_comes_home_once() -> None:
    """X-6."""
    station = alone()
    while not station.mix._loops:
        station.run_for(EMIT_MS)
    bodies = [followed(address, cell, station)[1] for _, address, cell in station.sent]
    body = next(body for body in bodies if isinstance(decode_body(body), Loop))
    for name in ("home", "again"):
        station.receive(cell_for([station], body, name))
        assert station.mix.loops()[0] == 1


def test_loops_on_their_way_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "LOOPS_REMEMBERED_MAX", 3)
    station = alone()
    station.run_for(20 * EMIT_MS)
    assert len(station.mix._loops) == 3


# --- A mean for each pace -------------------------------------------------------------------------


def test_the_mean_of_what_is_drawn_is_the_mean_that_is_asked_for() -> None:
    chance = Chance(seeded("exponential"))
    drawn = [chance.exponential(1000) for _ in range(5000)]
    check_exponential(drawn, 1000)
    assert abs(sum(span < 1000 * log(2) for span in drawn) / 5000 - 0.5) < 0.03
