"""UDP for the driver, on the port where TCP listens. Knows nothing of what the bytes mean."""

from __future__ import annotations

import errno
import socket
import sys
from collections.abc import Callable, Iterable
from contextlib import ExitStack, suppress
from typing import Any

import trio

from p2pboard import transport
from p2pboard.errors import Failure
from protocol.messages import Address

#: Longer datagrams are dropped unread. None that a node sends is longer than one Ethernet frame.
DATAGRAM_BYTES_MAX = 2048
#: What UDP can carry: into a buffer of this size no system complains that a datagram does not fit.
_BUFFER_BYTES = 65_536
#: Ports tried until one is free for both; the other programs on a machine have few. Guess.
_PORTS_TRIED_MAX = 16

#: What a socket may be told on receiving, by an ICMP message about a datagram that it has sent.
_TOLD_BY_ICMP = {
    *(errno.ECONNREFUSED, errno.ECONNRESET, errno.ENETRESET),
    *(errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EHOSTDOWN, errno.ENETDOWN),
}

OnDatagram = Callable[[Address, bytes], None]


class Datagrams:
    """A node's UDP sockets.

    :param bound: on the port that the node listens on. Without any it does not listen: it sends
        from ports that the system chooses, and receives nothing.
    """

    def __init__(self, bound: Iterable[socket.socket] = ()) -> None:
        self._bound = list(bound)
        self._outgoing: dict[int, socket.socket] = {}
        for one in self._bound:
            self._outgoing.setdefault(one.family, one)

    def send(self, address: Address, data: bytes) -> None:
        """Send now or never: what finds no way, no room in the system's buffer or no socket of its
        family is dropped, as the network would drop it."""
        with suppress(OSError, ValueError):  # ValueError: it can't be an address
            family, where = _numeric(address)
            outgoing = self._outgoing.get(family)
            if outgoing is None and not self._bound:
                outgoing = self._outgoing[family] = _open_unbound(family)
            if outgoing is not None:
                outgoing.sendto(data, where)

    async def receive_forever(self, on_datagram: OnDatagram) -> None:
        """Tell what arrives on any of the sockets."""
        async with trio.open_nursery() as nursery:
            for one in self._bound:
                receiving = trio.socket.from_stdlib_socket(one)
                nursery.start_soon(_receive_forever, receiving, on_datagram)

    def close(self) -> None:
        """Close all; nobody may be receiving any more."""
        for one in {*self._bound, *self._outgoing.values()}:
            one.close()


async def open_port(address: Address | None) -> tuple[list[trio.SocketListener], Datagrams]:
    """Listeners as :func:`p2pboard.transport.open_listeners` opens them, and UDP sockets on the
    same hosts and the same port.

    :raises Failure: one line, where the port is taken for either or the host is not this machine's.
    """
    is_chosen = address is not None and address.port != 0
    why = ""
    for _ in range(1 if is_chosen else _PORTS_TRIED_MAX):
        listeners = await transport.open_listeners(address)
        try:
            return listeners, Datagrams(_bind_beside(listeners))
        except OSError as error:
            why = error.strerror or str(error)
            for listener in listeners:
                await listener.aclose()
    if is_chosen:
        raise Failure(
            f"can't receive UDP on {address}: {why}; a node needs its port for TCP and UDP: "
            "choose another address with --listen HOST:PORT, or leave it out"
        )
    raise Failure(
        f"found no port that is free for both TCP and UDP ({why}); give one with --listen HOST:PORT"
    )


def _bind_beside(listeners: Iterable[trio.SocketListener]) -> list[socket.socket]:
    with ExitStack() as undoing:
        bound = []
        for listener in listeners:
            beside = listener.socket
            one = undoing.enter_context(_open_unbound(beside.family))
            if sys.platform == "win32":  # where another program could take the port over
                one.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
            if beside.family == socket.AF_INET6:  # IPv4 has a socket of its own
                one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            one.bind(beside.getsockname())
            bound.append(one)
        undoing.pop_all()
        return bound


def _open_unbound(family: int) -> socket.socket:
    opened = socket.socket(family, socket.SOCK_DGRAM)
    opened.setblocking(False)
    return opened


def _numeric(address: Address) -> tuple[int, Any]:
    """Family and socket address; never asks a name server."""
    flags = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
    found = socket.getaddrinfo(*address, type=socket.SOCK_DGRAM, flags=flags)
    family, _, _, _, where = found[0]
    return family, where


async def _receive_forever(receiving: trio.socket.SocketType, on_datagram: OnDatagram) -> None:
    buffer = bytearray(_BUFFER_BYTES)
    while True:
        try:
            size, where = await receiving.recvfrom_into(buffer)
        except OSError as error:
            if error.errno not in _TOLD_BY_ICMP:
                raise
            continue
        if size <= DATAGRAM_BYTES_MAX:
            on_datagram(transport.address_of(where), bytes(buffer[:size]))
