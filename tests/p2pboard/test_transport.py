"""TCP for the driver, on real loopback sockets."""

from __future__ import annotations

import socket

import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from p2pboard import transport
from p2pboard.errors import Failure
from protocol.messages import Address

LOOPBACK = "127.0.0.1"


async def a_connection() -> tuple[trio.SocketStream, trio.SocketStream]:
    """Both ends."""
    (listener,) = await transport.open_listeners(Address(LOOPBACK, 0))
    async with listener:
        dialled = await transport.dial(Address(LOOPBACK, transport.port_of([listener])))
        assert dialled is not None
        return dialled, await listener.accept()


async def read_all(stream: trio.SocketStream) -> bytes:
    received = b""
    with trio.fail_after(10):
        while data := await stream.receive_some():
            received += data
    return received


# --- Addresses ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("host", "plain"),
    [
        ("::ffff:192.168.1.20", "192.168.1.20"),
        ("192.168.1.20", "192.168.1.20"),
        ("::ffff:c0a8:114", "::ffff:c0a8:114"),
        ("fe80::1", "fe80::1"),
        ("::", "::"),
    ],
)
def test_only_ipv4_in_ipv6s_dress_is_undressed(host: str, plain: str) -> None:
    assert transport.plain_host(host) == plain


@pytest.mark.parametrize(
    ("where", "address"),
    [
        ((LOOPBACK, 4000), Address(LOOPBACK, 4000)),
        (("::ffff:10.0.0.1", 4000, 0, 0), Address("10.0.0.1", 4000)),
        (("fd00::1", 4000, 0, 0), Address("fd00::1", 4000)),
        (("fe80::1", 4000, 0, 3), Address("fe80::1%3", 4000)),
        (("fe80::1%eth0", 4000, 0, 3), Address("fe80::1%eth0", 4000)),
    ],
)
def test_a_link_local_address_keeps_its_zone(where: tuple[object, ...], address: Address) -> None:
    assert transport.address_of(where) == address


async def test_a_name_is_resolved_to_different_numbers() -> None:
    found = await transport.resolve("localhost", 4000)
    assert found
    assert len(set(found)) == len(found)
    assert all(transport.is_numeric(host) and port == 4000 for host, port in found)
    assert all(host.startswith("127.") or host == "::1" for host, _ in found)


NO_NAMES = ["a..b", "x" * 64, "\ud800"]


@pytest.mark.parametrize("host", NO_NAMES)
async def test_what_can_not_be_a_name_is_told_from_one_that_is_not_found(host: str) -> None:
    assert not transport.is_numeric(host)
    with pytest.raises(ValueError):
        await transport.resolve(host, 4000)
    assert await transport.dial(Address(host, 4000)) is None
    with pytest.raises(Failure, match="no such host"):
        await transport.open_listeners(Address(host, 0))


@given(st.text(max_size=300))
def test_any_text_is_a_number_or_it_is_not(host: str) -> None:
    assert transport.is_numeric(host) in (True, False)


# --- Listening and dialling -----------------------------------------------------------------------


async def test_a_taken_port_is_a_failure_of_one_line_that_says_what_to_do() -> None:
    (taken,) = await transport.open_listeners(Address(LOOPBACK, 0))
    async with taken:
        with pytest.raises(Failure) as caught:
            await transport.open_listeners(Address(LOOPBACK, transport.port_of([taken])))
    said = str(caught.value)
    assert "\n" not in said
    assert "--listen HOST:PORT" in said


async def test_another_machines_address_is_a_failure() -> None:
    with pytest.raises(Failure, match=r"192\.0\.2\.1"):
        await transport.open_listeners(Address("192.0.2.1", 0))


async def test_everywhere_is_one_port_for_all_families() -> None:
    listeners = await transport.open_listeners(None)
    ports = {listener.socket.getsockname()[1] for listener in listeners}
    assert ports == {transport.port_of(listeners)}
    families = [listener.socket.family for listener in listeners]
    assert families[0] == socket.AF_INET
    assert len(set(families)) == len(families)
    for listener in listeners:
        await listener.aclose()


async def test_a_dial_to_a_closed_port_is_none() -> None:
    (listener,) = await transport.open_listeners(Address(LOOPBACK, 0))
    port = transport.port_of([listener])
    await listener.aclose()
    assert await transport.dial(Address(LOOPBACK, port)) is None


async def test_a_dial_that_nobody_answers_is_given_up(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock
) -> None:
    async def no_answer(*_: object) -> None:
        await trio.sleep_forever()

    monkeypatch.setattr(trio, "open_tcp_stream", no_answer)
    started = trio.current_time()
    assert await transport.dial(Address("192.0.2.1", 1)) is None
    assert trio.current_time() - started == pytest.approx(transport.DIAL_SECONDS_MAX)


async def test_both_ends_name_each_other() -> None:
    dialled, accepted = await a_connection()
    async with dialled, accepted:
        remote, local = transport.ends_of(accepted)
        assert transport.ends_of(dialled) == (local, remote)
        assert remote.host == local.host == LOOPBACK


async def test_the_ends_of_what_is_gone_are_an_os_error() -> None:
    dialled, accepted = await a_connection()
    await dialled.aclose()
    with pytest.raises(OSError):
        transport.ends_of(dialled)
    await accepted.aclose()


# --- The writer -----------------------------------------------------------------------------------


async def test_all_that_is_queued_goes_out_in_order_and_then_it_closes() -> None:
    dialled, accepted = await a_connection()
    sent: list[int] = []
    writer = transport.Writer(dialled)
    pieces = [bytes([n]) * (n + 1) for n in range(200)]
    async with accepted, trio.open_nursery() as nursery:

        async def write() -> None:
            async with dialled:
                await writer.run(sent.append)

        writer.send(pieces[0])
        nursery.start_soon(write)
        await trio.testing.wait_all_tasks_blocked()
        for piece in pieces[1:]:
            writer.send(piece)
        writer.close_soon()
        assert await read_all(accepted) == b"".join(pieces)
    assert sent == [len(piece) for piece in pieces]


async def test_what_has_left_is_told_piece_by_piece_and_not_before() -> None:
    dialled, accepted = await a_connection()
    sent: list[int] = []
    writer = transport.Writer(dialled)
    async with dialled, accepted, trio.open_nursery() as nursery:
        writer.send(b"small")
        writer.send(bytes(64 * 1024 * 1024))
        writer.send(b"behind")
        nursery.start_soon(writer.run, sent.append)
        await trio.testing.wait_all_tasks_blocked(0.05)
        assert sent == [5]
        nursery.cancel_scope.cancel()


async def test_a_connection_that_breaks_ends_the_writer_without_a_word() -> None:
    dialled, accepted = await a_connection()
    writer = transport.Writer(dialled)
    async with dialled:
        await trio.aclose_forcefully(accepted)
        for _ in range(3):
            writer.send(bytes(1024 * 1024))
        with trio.fail_after(10):
            await writer.run(lambda _: None)
