"""TCP for the driver: listen, dial, read, write. Knows nothing of what the bytes mean."""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any

import trio

from p2pboard.errors import Failure
from protocol.messages import Address

#: Read in pieces of the largest frame: fewer hops through the core on a bulk transfer, and the same
#: latency for a small one.
READ_BYTES = 65536
#: A dial that is not answered in this time has failed; the kernel would take two minutes.
DIAL_SECONDS_MAX = 8.0
BACKLOG = 64


async def open_listeners(address: Address | None) -> list[trio.SocketListener]:
    """Listeners on ``address``, or on a free port of every interface, IPv6 and IPv4.

    :raises Failure: one line, where the port is taken or the host is not this machine's.
    """
    if address is None:
        return await _open_everywhere()
    try:
        return await trio.open_tcp_listeners(address.port, host=address.host, backlog=BACKLOG)
    except (OSError, ValueError) as error:  # ValueError: it can't be a host's name
        why = getattr(error, "strerror", None) or "there can be no such host"
        raise Failure(
            f"can't listen on {address}: {why}; "
            "choose another address with --listen HOST:PORT, or leave it out"
        ) from None


async def _open_everywhere() -> list[trio.SocketListener]:
    # One port for both families, because an advertisement has room for one. The port is new at each
    # start: nothing about a node should last.
    for _ in range(16):
        listeners = await trio.open_tcp_listeners(0, host="0.0.0.0", backlog=BACKLOG)
        if not socket.has_ipv6:
            return listeners
        try:
            port = port_of(listeners)
            return [*listeners, *await trio.open_tcp_listeners(port, host="::", backlog=BACKLOG)]
        except OSError as error:
            if error.errno in _NO_IPV6:
                return listeners
            for listener in listeners:
                await listener.aclose()
    raise Failure("found no free port to listen on; give one with --listen HOST:PORT")


#: The machine has no IPv6, or has it switched off.
_NO_IPV6 = (
    getattr(socket, "EAI_ADDRFAMILY", -9),
    97,  # EAFNOSUPPORT, Linux
    47,  # EAFNOSUPPORT, macOS
    99,  # EADDRNOTAVAIL, Linux
    49,  # EADDRNOTAVAIL, macOS
    10047,  # WSAEAFNOSUPPORT
    10049,  # WSAEADDRNOTAVAIL
)


def port_of(listeners: list[trio.SocketListener]) -> int:
    """The port that the listeners share."""
    return int(listeners[0].socket.getsockname()[1])


async def dial(address: Address) -> trio.SocketStream | None:
    """A connection to ``address``, or None where nobody answers."""
    try:
        with trio.fail_after(DIAL_SECONDS_MAX):
            return await trio.open_tcp_stream(address.host, address.port)
    except (OSError, ValueError, trio.TooSlowError):  # ValueError: it can't be a host's name
        return None


async def resolve(host: str, port: int) -> list[Address]:
    """The addresses that a host's name stands for, as numbers.

    :raises OSError: where there are none now; maybe later, on another network.
    :raises ValueError: where it can't be a name at all.
    """
    found = await trio.socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(address_of(where) for *_, where in found))


def is_numeric(host: str) -> bool:
    """Whether ``host`` is an address and no name."""
    try:
        socket.getaddrinfo(host, None, flags=socket.AI_NUMERICHOST)
    except (OSError, ValueError):
        return False
    return True


def ends_of(stream: trio.SocketStream) -> tuple[Address, Address]:
    """The remote and the local address of a connection.

    :raises OSError: where it is gone already.
    """
    return address_of(stream.socket.getpeername()), address_of(stream.socket.getsockname())


def address_of(where: Sequence[Any]) -> Address:
    """The address that a socket names as (host, port), for IPv6 with flow and zone; the zone is
    part of a link-local host, which means nothing without it."""
    host, port, *more = where
    zone = more[1] if len(more) > 1 and "%" not in host else 0
    return Address(f"{host}%{zone}" if zone else plain_host(host), port)


def plain_host(host: str) -> str:
    """An IPv4 address that came through an IPv6 socket is IPv4 again."""
    return host.removeprefix("::ffff:") if "." in host else host


class Writer:
    """The outgoing side of one connection: a queue, so that the core never waits.

    The core bounds the queue: it is told what has left, and hangs up on a peer that does not read.
    """

    def __init__(self, stream: trio.SocketStream) -> None:
        self._stream = stream
        self._queued: list[bytes] = []
        self._wake = trio.Event()
        self._is_closing = False

    def send(self, data: bytes) -> None:
        """Queue bytes."""
        self._queued.append(data)
        self._wake.set()

    def close_soon(self) -> None:
        """Close once the queue is empty."""
        self._is_closing = True
        self._wake.set()

    async def run(self, on_sent: Callable[[int], None]) -> None:
        """Write until told to close; returns also where the connection breaks."""
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            while True:
                if not self._queued:
                    if self._is_closing:
                        return
                    self._wake = trio.Event()
                    await self._wake.wait()
                    continue
                queued, self._queued = self._queued, []
                for data in queued:
                    await self._stream.send_all(data)
                    on_sent(len(data))


Accept = Callable[[trio.SocketStream], Awaitable[None]]


async def accept_forever(listener: trio.SocketListener, accept: Accept) -> None:
    """Serve a listener; running out of file descriptors pauses it and nothing else."""
    await trio.serve_listeners(accept, [listener])
