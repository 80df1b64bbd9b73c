"""UDP for the driver, on real loopback sockets."""

from __future__ import annotations

import errno
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import pytest
import trio
import trio.testing

from p2pboard import datagrams as module
from p2pboard import transport
from p2pboard.datagrams import DATAGRAM_BYTES_MAX, Datagrams, open_port
from p2pboard.errors import Failure
from protocol.messages import Address

LOOPBACK = "127.0.0.1"


class End:
    """An open port, and what arrives there."""

    def __init__(self, datagrams: Datagrams, address: Address) -> None:
        self.datagrams = datagrams
        self.address = address
        self._send, self._receive = trio.open_memory_channel[tuple[Address, bytes]](100)

    def on_datagram(self, remote: Address, data: bytes) -> None:
        self._send.send_nowait((remote, data))

    async def next(self) -> tuple[Address, bytes]:
        with trio.fail_after(10):
            return await self._receive.receive()


@asynccontextmanager
async def open_end(host: str = LOOPBACK) -> AsyncIterator[End]:
    listeners, datagrams = await open_port(Address(host, 0))
    (listener,) = listeners
    async with listener, trio.open_nursery() as nursery:
        end = End(datagrams, Address(host, transport.port_of(listeners)))
        nursery.start_soon(datagrams.receive_forever, end.on_datagram)
        yield end
        nursery.cancel_scope.cancel()
    datagrams.close()


@contextmanager
def a_socket() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as opened:
        opened.bind((LOOPBACK, 0))
        opened.settimeout(10)
        yield opened


def has_ipv6_loopback() -> bool:
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as opened:
            opened.bind(("::1", 0))
    except OSError:
        return False
    return True


HOSTS = [LOOPBACK, *(["::1"] if has_ipv6_loopback() else [])]


# --- Sending and receiving ------------------------------------------------------------------------


@pytest.mark.parametrize("host", HOSTS)
async def test_a_datagram_comes_from_the_port_that_its_sender_listens_on(host: str) -> None:
    async with open_end(host) as one, open_end(host) as other:
        one.datagrams.send(other.address, b"cell")
        assert await other.next() == (one.address, b"cell")
        other.datagrams.send(one.address, b"")
        assert await one.next() == (other.address, b"")


async def test_the_longest_datagram_arrives_and_a_longer_one_does_not() -> None:
    async with open_end() as one, open_end() as other:
        one.datagrams.send(other.address, bytes(DATAGRAM_BYTES_MAX + 1))
        one.datagrams.send(other.address, bytes(30_000))
        one.datagrams.send(other.address, bytes(DATAGRAM_BYTES_MAX))
        assert await other.next() == (one.address, bytes(DATAGRAM_BYTES_MAX))


@pytest.mark.parametrize(
    "unreachable",
    [
        Address("no.number.example", 4000),
        Address("\ud800", 4000),
        Address("::1", 4000),  # another family
        Address(LOOPBACK, 0),
        Address("fe80::1%nosuchzone", 4000),
        Address("255.255.255.255", 4000),  # needs a permission that the socket has not
    ],
)
async def test_what_can_not_be_sent_is_dropped_and_what_follows_is_sent(
    unreachable: Address,
) -> None:
    async with open_end() as one, open_end() as other:
        one.datagrams.send(unreachable, b"lost")
        one.datagrams.send(other.address, bytes(65_508))  # longer than UDP can carry
        one.datagrams.send(other.address, b"sent")
        assert await other.next() == (one.address, b"sent")


async def test_who_listens_sends_from_its_port_or_not_at_all() -> None:
    async with open_end() as one:
        one.datagrams.send(Address("::1", 4000), b"of another family")
        assert [*one.datagrams._outgoing.values()] == one.datagrams._bound


async def test_no_name_server_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    flags: list[int] = []
    ask = socket.getaddrinfo

    def asking(*arguments: Any, **options: Any) -> Any:
        flags.append(options["flags"])
        return ask(*arguments, **options)

    async with open_end() as one:
        monkeypatch.setattr(socket, "getaddrinfo", asking)
        one.datagrams.send(Address("localhost", 4000), b"lost")
    assert flags and all(flag & socket.AI_NUMERICHOST for flag in flags)


async def test_a_full_buffer_drops_and_does_not_wait() -> None:
    class Full:
        family = socket.AF_INET
        tries = 0

        def sendto(self, *_: object) -> None:
            self.tries += 1
            raise BlockingIOError(errno.EAGAIN, "the buffer is full")

    full = Full()
    Datagrams([full]).send(Address(LOOPBACK, 4000), b"lost")  # type: ignore[list-item]
    assert full.tries == 1


@pytest.mark.parametrize("number", sorted(module._TOLD_BY_ICMP))
async def test_what_icmp_says_is_passed_over_and_what_else_fails_is_not(number: int) -> None:
    errors = [OSError(number, "said by ICMP"), OSError(errno.EBADF, "a bug")]

    class Failing:
        async def recvfrom_into(self, _: bytearray) -> None:
            raise errors.pop(0)

    with pytest.raises(OSError, match="a bug"):
        await module._receive_forever(Failing(), lambda *_: None)  # type: ignore[arg-type]


async def test_the_zone_of_a_link_local_sender_is_part_of_its_address() -> None:
    got: list[Address] = []

    class LinkLocal:
        async def recvfrom_into(self, buffer: bytearray) -> tuple[int, tuple[object, ...]]:
            if got:
                raise OSError(errno.EBADF, "enough")
            buffer[:4] = b"cell"
            return 4, ("fe80::1", 4000, 0, 3)

    with pytest.raises(OSError, match="enough"):
        await module._receive_forever(LinkLocal(), lambda remote, _: got.append(remote))  # type: ignore[arg-type]
    assert got == [Address("fe80::1%3", 4000)]
    assert module._numeric(Address("fe80::1%3", 4000))[1] == ("fe80::1", 4000, 0, 3)


async def test_who_does_not_listen_sends_and_receives_nothing() -> None:
    silent = Datagrams()
    assert not silent._outgoing
    async with open_end() as other:
        for data in (b"one", b"two"):
            silent.send(other.address, data)
            remote, received = await other.next()
            assert received == data
            assert remote.host == LOOPBACK and remote != other.address
    with trio.fail_after(10):
        await silent.receive_forever(lambda *_: None)
    silent.close()


# --- One port for TCP and UDP ---------------------------------------------------------------------


def names_of(bound: list[Any]) -> set[tuple[int, Any]]:
    return {(one.family, one.getsockname()) for one in bound}


async def test_everywhere_is_the_same_hosts_and_the_same_port_for_udp() -> None:
    listeners, datagrams = await open_port(None)
    ours = names_of([listener.socket for listener in listeners])
    assert names_of(datagrams._bound) == ours
    for listener in listeners:
        await listener.aclose()
    datagrams.close()


async def test_a_port_that_udp_has_not_is_given_up_for_one_that_both_have(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tried: list[list[trio.SocketListener]] = []
    open_listeners = transport.open_listeners

    async def opening(address: Address | None) -> list[trio.SocketListener]:
        listeners = await open_listeners(address)
        tried.append(listeners)
        if len(tried) <= 2:
            taken[len(tried) - 1].bind(listeners[0].socket.getsockname())
        return listeners

    taken = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2)]
    monkeypatch.setattr(transport, "open_listeners", opening)
    listeners, datagrams = await open_port(Address(LOOPBACK, 0))
    assert len(tried) == 3
    assert listeners is tried[2]
    assert all(one.socket.fileno() == -1 for given_up in tried[:2] for one in given_up)
    assert names_of(datagrams._bound) == names_of([listeners[0].socket])
    for opened in (*taken, datagrams):
        opened.close()
    await listeners[0].aclose()


async def test_a_port_that_is_taken_for_udp_only_is_a_failure_of_one_line() -> None:
    with a_socket() as taken:
        address = Address(*taken.getsockname())
        with pytest.raises(Failure) as caught:
            await open_port(address)
        said = str(caught.value)
        assert "\n" not in said
        assert "UDP" in said and str(address) in said and "--listen HOST:PORT" in said
        (listener,) = await transport.open_listeners(address)  # nothing was left open
        await listener.aclose()


async def test_where_no_port_has_udp_it_is_a_failure_of_one_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def bind_beside(_: object) -> list[socket.socket]:
        raise OSError(errno.EPERM, "not permitted")

    monkeypatch.setattr(module, "_bind_beside", bind_beside)
    with pytest.raises(Failure, match="not permitted") as caught:
        await open_port(None)
    assert "\n" not in str(caught.value)


async def test_what_was_bound_before_one_that_fails_is_closed() -> None:
    first, second = [(await transport.open_listeners(Address(LOOPBACK, 0)))[0] for _ in range(2)]
    async with first, second:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
            taken.bind(second.socket.getsockname())
            with pytest.raises(OSError):
                module._bind_beside([first, second])
        for one in module._bind_beside([first, second]):
            one.close()
