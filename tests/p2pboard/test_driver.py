"""The driver: nodes in one process over loopback, and a core that is none for what is rare."""

from __future__ import annotations

import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

from p2pboard import driver as module
from p2pboard.driver import Driver, Missed, open_driver
from p2pboard.errors import Failure, StoreError
from p2pboard.mining import find_nonce
from p2pboard.rules import Rule
from p2pboard.store.reader import Reader, UnknownBoard
from p2pboard.store.worker import StoreWorker, open_store
from p2pboard.store.writer import Writer
from protocol import effects, inputs
from protocol.board import Board, encode_descriptor
from protocol.crypto import keyed_hash
from protocol.effects import CameBack, EntriesArrived, LinkDown, LinkUp
from protocol.entry import Entry
from protocol.errors import Reason
from protocol.inputs import Input, Now
from protocol.messages import Address
from protocol.work import Work, work_of
from tests.p2pboard.making import (
    Author,
    add_board,
    make_board,
    make_posts,
    open_writer,
    without_payload,
)

BOARD = make_board()
LOOPBACK = Address("127.0.0.1", 0)
NOW_S = int(time.time())


class Running:
    """A node on loopback with a store of its own, and what it says."""

    def __init__(self, store: StoreWorker, driver: Driver, said: list[str]) -> None:
        self.store = store
        self.driver = driver
        self.said = said

    @property
    def address(self) -> Address:
        assert self.driver._listening is not None
        return self.driver._listening

    async def publish(self, author: Author, entry: Entry) -> None:
        """As the actions do."""
        await self.store.write(Writer.put_own, BOARD.id, author.persona, False, entry)
        self.driver.publish(BOARD.id, entry)


@asynccontextmanager
async def running(path: Path, *peers: Address, board: Board = BOARD) -> AsyncIterator[Running]:
    said: list[str] = []
    async with open_store(path) as store:
        await store.write(add_board, board)
        async with open_driver(store, LOOPBACK, peers, mdns=False, log=said.append) as driver:
            yield Running(store, driver, said)


async def told(events: trio.MemoryReceiveChannel[Any], kind: type) -> Any:
    """The next event of that kind."""
    with trio.fail_after(20):
        async for event in events:
            if isinstance(event, kind):
                return event
    raise AssertionError("the events ended")


# --- Two nodes ------------------------------------------------------------------------------------


async def test_two_nodes_share_an_entry_which_comes_back_to_its_author(tmp_path: Path) -> None:
    author = Author(BOARD, wall_s=NOW_S)
    entry = author.post("words")
    async with (
        running(tmp_path / "a") as one,
        running(tmp_path / "b", one.address) as two,
    ):
        with one.driver.subscribe() as at_one, two.driver.subscribe() as at_two:
            await one.publish(author, entry)
            assert (await told(at_two, EntriesArrived)).entries == (entry,)
            assert (await told(at_one, CameBack)).id == entry.id
        assert await two.store.read(Reader.load_entries, BOARD.id, [entry.id], 1) == (1, [entry])
        assert await one.store.read(Reader.outbox, BOARD.id) == []
        (status,) = one.driver.status()["boards"]
        assert (status["entries"], status["peers"], status["outbox"]) == (1, 1, 0)
        (peer,) = two.driver.peers()
        assert (peer["address"], peer["inbound"]) == (str(one.address), False)
        assert one.said == two.said == []


@pytest.mark.parametrize("is_dialler", [True, False])
async def test_a_node_that_ends_tells_its_peers_at_once(tmp_path: Path, is_dialler: bool) -> None:
    done, address = trio.Event(), trio.Event()
    there: list[Address] = []

    async def leave_later(*peers: Address) -> None:
        async with running(tmp_path / "leaving", *peers) as leaving:
            there.append(leaving.address)
            address.set()
            await done.wait()

    async with trio.open_nursery() as nursery:
        if not is_dialler:
            nursery.start_soon(leave_later)
            await address.wait()
        async with running(tmp_path / "staying", *there) as staying:
            with staying.driver.subscribe() as events:
                if is_dialler:
                    nursery.start_soon(leave_later, staying.address)
                up = await told(events, LinkUp)
                done.set()
                down = await told(events, LinkDown)
            assert (down.link, down.reason) == (up.link, Reason.LINK_LEAVING)
            assert staying.driver.peers() == []


async def test_strangers_do_not_hold_up_a_node_that_ends(tmp_path: Path) -> None:
    async with AsyncExitStack() as leaving:
        one = await leaving.enter_async_context(running(tmp_path / "a"))
        stranger = await trio.open_tcp_stream(*one.address)
        async with stranger:
            await settled(lambda: one.driver._connections)
            began = trio.current_time()
            await leaving.aclose()
            assert trio.current_time() - began < module._FAREWELL_SECONDS_MAX
            assert await stranger.receive_some() == b""


async def settled(is_so: Callable[[], Any]) -> None:
    with trio.fail_after(20):
        while not is_so():
            await trio.testing.wait_all_tasks_blocked(0.001)


async def test_a_board_that_is_left_ends_its_links_and_can_be_opened_again(tmp_path: Path) -> None:
    async with (
        running(tmp_path / "a") as one,
        running(tmp_path / "b", one.address) as two,
    ):
        with two.driver.subscribe() as events:
            await told(events, LinkUp)
            await one.driver.close_board(BOARD.id)
            await one.driver.close_board(BOARD.id)
            assert (await told(events, LinkDown)).reason == Reason.LINK_LEAVING
            assert one.driver.status()["boards"] == []
            await one.driver.open_board(BOARD.id)
            await one.driver.open_board(BOARD.id)
            await told(events, LinkUp)


async def test_a_board_that_is_not_stored_is_not_opened(tmp_path: Path) -> None:
    async with running(tmp_path / "a") as one:
        with pytest.raises(UnknownBoard):
            await one.driver.open_board(make_board("other", 2).id)


async def test_what_is_not_open_is_told_nothing(tmp_path: Path) -> None:
    unknown = make_board("other", 2).id
    async with running(tmp_path / "a") as one:
        one.driver.publish(unknown, Author(BOARD).post())
        one.driver.withdraw(unknown, bytes(32))
        await one.driver.want_payloads(unknown)
        await one.driver.close_board(unknown)


async def test_what_a_rule_had_purged_comes_again_from_a_peer(tmp_path: Path) -> None:
    entry = Author(BOARD, wall_s=NOW_S).post("words")
    rule = Rule("", "entry", entry.id.hex(), "purge")
    with open_writer(tmp_path / "a", BOARD) as writer:
        writer.put_entries(BOARD.id, [entry])
    with open_writer(tmp_path / "b", BOARD) as writer:
        rule_id = writer.add_rule(BOARD.id, rule)
        writer.put_entries(BOARD.id, [entry])
    async with (
        running(tmp_path / "a") as one,
        running(tmp_path / "b", one.address) as two,
    ):
        with two.driver.subscribe() as events:
            await told(events, LinkUp)
        assert await two.store.read(Reader.load_entries, BOARD.id, [entry.id], 1) == (
            1,
            [without_payload(entry)],
        )
        await two.store.write(Writer.remove_rule, BOARD.id, rule_id)
        await two.driver.want_payloads(BOARD.id)
        assert await two.store.read(Reader.lacking, BOARD.id, 10), "nothing is asked for at once"
        reconcile_now(two.driver)
        with trio.fail_after(20):
            while await two.store.read(Reader.lacking, BOARD.id, 10):
                await trio.testing.wait_all_tasks_blocked(0.001)
        assert await two.store.read(Reader.load_entries, BOARD.id, [entry.id], 1) == (1, [entry])


def reconcile_now(driver: Driver) -> None:
    """As when the time for it has come."""
    gossip = driver._node.boards[BOARD.id]
    for link in gossip.links.values():
        gossip.reconcile(link)
    driver.feed(inputs.Tick())


# --- Beginning ------------------------------------------------------------------------------------


async def test_a_taken_port_is_a_failure_and_leaves_no_listener(tmp_path: Path) -> None:
    async with running(tmp_path / "a") as one, open_store(tmp_path / "b") as store:
        with pytest.raises(Failure, match="--listen"):
            async with open_driver(store, one.address, mdns=False):
                pass


async def test_an_invite_with_impossible_hosts_does_not_keep_the_node_from_starting(
    tmp_path: Path,
) -> None:
    impossible = ("a..b:4000", f"{'x' * 64}:4001")
    said: list[str] = []
    async with open_store(tmp_path / "a") as store:
        raw = encode_descriptor(BOARD.descriptor)
        await store.write(Writer.add_board, raw, BOARD.id, impossible)
        async with open_driver(store, LOOPBACK, mdns=False, log=said.append):
            await settled(lambda: len(said) == 2)
    assert sorted(said) == [
        f"the host of a peer with port {port} can't be a name; leaving it out"
        for port in (4000, 4001)
    ]


# --- With a core that is none ---------------------------------------------------------------------


class FakeCore:
    """Notes what it is fed, and answers what a test put into ``answers``."""

    def __init__(self, *_: Any) -> None:
        self.fed: list[Input] = []
        self.answers: list[list[effects.Effect]] = []
        self.boards: dict[bytes, Any] = {}
        self.links: dict[int, Any] = {}
        self.deadline_ms: int | None = None

    def handle(self, happened: Input, now: Now) -> list[effects.Effect]:
        self.fed.append(happened)
        return self.answers.pop(0) if self.answers else []

    def next_deadline(self) -> int | None:
        deadline_ms, self.deadline_ms = self.deadline_ms, None
        return deadline_ms

    def fed_of(self, kind: type) -> list[Any]:
        return [happened for happened in self.fed if isinstance(happened, kind)]


class FakeStore:
    """Fails as it is told to."""

    failure: Exception | None = None

    def write_soon(self, *_: Any, then: Callable[[Any], None]) -> None:
        then(self.failure or [])

    async def read(self, *_: Any) -> Any:
        await trio.lowlevel.checkpoint()
        raise self.failure or StoreError("the disk is gone: look for it")


class Bench:
    """A driver on both."""

    def __init__(self, nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch) -> None:
        self.core, self.store = FakeCore(), FakeStore()
        self.said: list[str] = []
        monkeypatch.setattr(module, "Node", lambda _: self.core)
        self.driver = Driver(self.store, nursery, log=self.said.append)  # type: ignore[arg-type]

    def ask(self, *asked: effects.Effect) -> None:
        """The core asks for these."""
        self.core.answers.append([*asked])
        self.driver.feed(inputs.Tick())


@pytest.fixture
async def bench(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Bench]:
    async with trio.open_nursery() as nursery:
        yield Bench(nursery, monkeypatch)
        nursery.cancel_scope.cancel()


async def test_what_happens_while_effects_are_carried_out_is_fed_after_them(bench: Bench) -> None:
    """A store that answers at once, in the middle of the effects."""
    bench.core.answers += [
        [effects.Store(1, BOARD.id, ()), effects.Store(2, BOARD.id, ())],
        [effects.Store(3, BOARD.id, ())],
    ]
    bench.driver.feed(inputs.Tick())
    assert [one.token for one in bench.core.fed_of(inputs.Stored)] == [1, 2, 3]


async def test_a_dial_that_nobody_answers_is_fed(bench: Bench) -> None:
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    closed = Address("127.0.0.1", listener.socket.getsockname()[1])
    await listener.aclose()
    bench.ask(effects.Dial(BOARD.id, closed))
    await settled(lambda: bench.core.fed_of(inputs.DialFailed))
    assert bench.core.fed_of(inputs.DialFailed) == [inputs.DialFailed(BOARD.id, closed)]


@pytest.mark.parametrize(
    ("failure", "line"),
    [
        (StoreError("the disk is full: free some"), "the disk is full: free some"),
        (ValueError("words of an entry"), "ValueError"),
    ],
)
async def test_a_store_that_fails_is_fed_and_logged_without_content(
    bench: Bench, failure: Exception, line: str
) -> None:
    bench.store.failure = failure
    bench.ask(effects.Store(7, BOARD.id, (Author(BOARD).post("secret"),)))
    bench.ask(effects.RememberAddress(BOARD.id, Address("10.9.8.7", 4000)))
    assert bench.core.fed_of(inputs.StoreFailed) == [inputs.StoreFailed(7)]
    assert bench.said == [f"could not store entries: {line}", f"could not write: {line}"]


@pytest.mark.parametrize(
    ("failure", "said"),
    [
        (StoreError("gone"), ["could not read entries: gone"]),
        (UnknownBoard("left meanwhile"), []),
    ],
)
async def test_a_load_that_fails_is_answered_as_if_there_were_none(
    bench: Bench, failure: Exception, said: list[str]
) -> None:
    bench.store.failure = failure
    bench.ask(effects.Load(5, BOARD.id, (bytes(32), bytes(32)), 100))
    await settled(lambda: bench.core.fed_of(inputs.Loaded))
    assert bench.core.fed_of(inputs.Loaded) == [inputs.Loaded(5, 2, ())]
    assert bench.said == said


async def test_signatures_are_checked_in_order(bench: Bench) -> None:
    good = make_posts(BOARD, 3)
    bad = good[1]._replace(signature=bytes(64))
    bench.ask(effects.Verify(4, (good[0], bad, good[2])))
    await settled(lambda: bench.core.fed_of(inputs.Verified))
    assert bench.core.fed_of(inputs.Verified) == [inputs.Verified(4, (True, False, True))]


LABEL = b"p2pb test"


async def test_work_is_found_and_answered(bench: Bench) -> None:
    bench.ask(effects.FindWork(6, Work(LABEL, bytes(32), b"prefix", 8)))
    await settled(lambda: bench.core.fed_of(inputs.WorkFound))
    (found,) = bench.core.fed_of(inputs.WorkFound)
    assert found.token == 6
    assert work_of(keyed_hash(LABEL, bytes(32), b"prefix" + found.nonce)) >= 8


async def test_one_search_runs_at_a_time_and_the_others_wait(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[Work] = []
    go_on = trio.Event()

    async def find_nonce(work: Work, start: int) -> bytes:
        assert 0 <= start < 1 << 64
        begun.append(work)
        await go_on.wait()
        return bytes(8)

    monkeypatch.setattr(module, "find_nonce", find_nonce)
    works = [Work(LABEL, b"", bytes([n]), 8) for n in range(3)]
    bench.ask(*(effects.FindWork(n, work) for n, work in enumerate(works)))
    await trio.testing.wait_all_tasks_blocked()
    assert len(begun) == 1
    go_on.set()
    await settled(lambda: len(bench.core.fed_of(inputs.WorkFound)) == 3)
    assert len(begun) == 3


async def test_a_search_ends_with_the_node() -> None:
    with trio.fail_after(20), trio.move_on_after(0.05) as running:
        await find_nonce(Work(LABEL, b"", b"", 200), 0)  # will not be found
    assert running.cancelled_caught


# --- Datagrams ------------------------------------------------------------------------------------


async def test_datagrams_are_fed_and_sent_from_the_port_that_tcp_listens_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    core = FakeCore()
    monkeypatch.setattr(module, "Node", lambda _: core)
    with trio.socket.socket(trio.socket.AF_INET, trio.socket.SOCK_DGRAM) as other:
        await other.bind(("127.0.0.1", 0))
        address = Address(*other.getsockname())
        async with running(tmp_path / "a") as node:
            (told,) = core.fed_of(inputs.ListeningOn)
            assert told.port == node.address.port
            await other.sendto(b"question", node.address)
            await settled(lambda: core.fed_of(inputs.DatagramReceived))
            assert core.fed_of(inputs.DatagramReceived) == [
                inputs.DatagramReceived(address, b"question")
            ]
            core.answers.append([effects.SendDatagram(address, b"answer")])
            node.driver.feed(inputs.Tick())
            with trio.fail_after(10):
                assert await other.recvfrom(100) == (b"answer", tuple(node.address))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as again:
            again.bind(node.address)  # it has let go of the port


async def test_who_does_not_listen_sends_datagrams_all_the_same(bench: Bench) -> None:
    with trio.socket.socket(trio.socket.AF_INET, trio.socket.SOCK_DGRAM) as other:
        await other.bind(("127.0.0.1", 0))
        bench.ask(effects.SendDatagram(Address(*other.getsockname()), b"cell"))
        with trio.fail_after(10):
            assert (await other.recvfrom(100))[0] == b"cell"
    bench.driver.datagrams.close()


async def test_a_port_that_udp_has_not_is_a_failure(tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        address = Address(*taken.getsockname())
        async with open_store(tmp_path / "a") as store:
            with pytest.raises(Failure, match="UDP"):
                async with open_driver(store, address, mdns=False):
                    pass


# --- Time -----------------------------------------------------------------------------------------


async def test_a_tick_comes_when_it_is_due_and_sooner_if_that_has_become_sooner(
    bench: Bench, autojump_clock: trio.testing.MockClock
) -> None:
    ticked: list[float] = []
    began = trio.current_time()
    handle = bench.core.handle

    def handling(happened: Input, now: Now) -> list[effects.Effect]:
        if happened == inputs.Tick():
            ticked.append(round(trio.current_time() - began, 1))
        return handle(happened, now)

    bench.core.handle = handling  # type: ignore[method-assign]
    bench.core.deadline_ms = int((began + 60) * 1000)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(bench.driver.keep_time)
        await trio.sleep(10)
        bench.core.deadline_ms = int((began + 20) * 1000)
        bench.driver.feed(inputs.ListeningOn(1))
        bench.core.deadline_ms = int((began + 20) * 1000)
        await trio.sleep(100)
        nursery.cancel_scope.cancel()
    assert ticked == [20.0]


async def test_what_is_overdue_is_due_in_a_moment(autojump_clock: trio.testing.MockClock) -> None:
    now_ms = int(trio.current_time() * 1000)
    assert module.trio_seconds_until(None) == float("inf")
    assert 0 < module.trio_seconds_until(now_ms - 10_000) <= 0.001
    assert 5 < module.trio_seconds_until(now_ms + 5_000) <= 5.002


# --- Events ---------------------------------------------------------------------------------------


def arrived(number: int) -> CameBack:
    return CameBack(BOARD.id, number.to_bytes(32, "big"))


async def test_a_subscriber_that_is_too_slow_is_told_that_it_has_missed_some_and_others_are_not(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_EVENTS_QUEUED_MAX", 3)
    with bench.driver.subscribe() as slow, bench.driver.subscribe() as quick:
        got = []
        for number in range(6):
            bench.ask(effects.Tell(arrived(number)))
            got.append(quick.receive_nowait())
        assert got == [arrived(number) for number in range(6)]
        late = [slow.receive_nowait() for _ in range(4)]
        assert late[:3] == [arrived(0), arrived(1), arrived(2)]
        assert isinstance(late[3], Missed)
        with pytest.raises(trio.WouldBlock):
            slow.receive_nowait()
        bench.ask(effects.Tell(arrived(6)))
        assert slow.receive_nowait() == quick.receive_nowait() == arrived(6)


async def test_who_subscribes_no_more_is_told_no_more(bench: Bench) -> None:
    with bench.driver.subscribe() as events:
        pass
    bench.ask(effects.Tell(arrived(0)))
    with pytest.raises(trio.ClosedResourceError):
        events.receive_nowait()


# --- Names ----------------------------------------------------------------------------------------


async def test_the_addresses_of_a_name_are_given_to_the_core(bench: Bench) -> None:
    await bench.driver.resolve_peer("localhost", 4000)
    given = [happened.address for happened in bench.core.fed_of(inputs.AddressGiven)]
    assert given
    assert {address.port for address in given} == {4000}
    assert {address.host for address in given} <= {"127.0.0.1", "127.0.1.1", "::1"}


async def test_a_name_that_is_not_found_is_looked_for_again_and_complained_of_once(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock
) -> None:
    tries: list[str] = []

    async def resolve(host: str, port: int) -> list[Address]:
        tries.append(host)
        if len(tries) < 4:
            raise OSError("not found")
        return [Address("10.0.0.1", port)]

    monkeypatch.setattr(module.transport, "resolve", resolve)
    await bench.driver.resolve_peer("later.example", 4000)
    assert len(tries) == 4
    assert bench.core.fed_of(inputs.AddressGiven) == [
        inputs.AddressGiven(Address("10.0.0.1", 4000))
    ]
    assert bench.said == ["can't resolve the host of a peer with port 4000; trying again"]


# --- Leaving --------------------------------------------------------------------------------------


async def test_goodbye_does_not_wait_longer_than_its_bound_for_a_peer_that_does_not_read(
    bench: Bench, autojump_clock: trio.testing.MockClock
) -> None:
    near, far = await socket_pair()
    async with far:
        bench.core.boards[BOARD.id] = None
        async with trio.open_nursery() as nursery:
            nursery.start_soon(bench.driver.accept, near)
            await settled(lambda: bench.core.fed_of(inputs.LinkOpened))
            (opened,) = bench.core.fed_of(inputs.LinkOpened)
            bench.core.answers.append(
                [
                    effects.SendBytes(opened.link, bytes(64 * 1024 * 1024)),
                    effects.HangUp(opened.link, Reason.LINK_LEAVING),
                ]
            )
            began = trio.current_time()
            await bench.driver.say_goodbye()
            waited = trio.current_time() - began
        assert waited == pytest.approx(module._FAREWELL_SECONDS_MAX, abs=0.01)
        assert bench.core.fed_of(inputs.BoardClosed) == [inputs.BoardClosed(BOARD.id)]
        assert bench.core.fed_of(inputs.LinkClosed) == []


async def socket_pair() -> tuple[trio.SocketStream, trio.SocketStream]:
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with listener:
        far = await trio.open_tcp_stream("127.0.0.1", listener.socket.getsockname()[1])
        return await listener.accept(), far


async def test_who_comes_while_the_node_leaves_is_not_let_in(bench: Bench) -> None:
    await bench.driver.say_goodbye()
    near, far = await socket_pair()
    async with far:
        await bench.driver.accept(near)
        assert bench.core.fed_of(inputs.LinkOpened) == []
        assert await far.receive_some() == b""


async def test_what_is_read_is_fed_and_what_the_core_sends_is_written(bench: Bench) -> None:
    near, far = await socket_pair()
    async with far, trio.open_nursery() as nursery:
        nursery.start_soon(bench.driver.accept, near)
        await settled(lambda: bench.core.fed_of(inputs.LinkOpened))
        (opened,) = bench.core.fed_of(inputs.LinkOpened)
        assert opened.board_id is None
        await far.send_all(b"question")
        await settled(lambda: bench.core.fed_of(inputs.BytesReceived))
        assert bench.core.fed_of(inputs.BytesReceived) == [
            inputs.BytesReceived(opened.link, b"question")
        ]
        bench.ask(
            effects.SendBytes(opened.link, b"last "),
            effects.SendBytes(opened.link, b"words"),
            effects.HangUp(opened.link, Reason.LINK_LEAVING),
        )
        received = b""
        while data := await far.receive_some():
            received += data
    assert received == b"last words"
    assert bench.core.fed_of(inputs.BytesSent) == [
        inputs.BytesSent(opened.link, 5),
        inputs.BytesSent(opened.link, 5),
    ]
    assert bench.core.fed_of(inputs.LinkClosed) == []


async def test_a_peer_that_closes_is_fed_once(bench: Bench) -> None:
    near, far = await socket_pair()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(bench.driver.accept, near)
        await settled(lambda: bench.core.fed_of(inputs.LinkOpened))
        await far.aclose()
    assert bench.core.fed_of(inputs.LinkClosed) == [inputs.LinkClosed(1)]
