"""Bytes as an interface counts them: what TCP or UDP, IP and Ethernet add to what a core sends."""

from __future__ import annotations

from simnet.network import Packet
from simnet.world import World

#: Ethernet 14 (an interface counts no checksum), IPv4 20, TCP 20 with 12 of timestamps (RFC 7323).
HEADERS_BYTES = 14 + 20 + 32
#: Of a datagram: its packet has IPv4 and UDP already.
DATAGRAM_HEADERS_BYTES = 14
#: Payload of a full segment at an MTU of 1500.
SEGMENT_BYTES = 1500 - 20 - 32
#: Linux acknowledges at once while a connection is young or idle, and at the latest after this; an
#: answer that goes earlier carries the acknowledgement (TCP_DELACK_MIN).
ACK_DELAY_US = 40_000


class WireMeter:
    """Counts, by host, frames and bytes of everything that is sent over the world's connections,
    and of datagrams.

    Attach before the run. Acknowledgements are modelled: a bare one for each direction that has
    been silent for :data:`ACK_DELAY_US` when something arrives on it.

    :ivar sent_bytes: by host number.
    :ivar cells: datagrams that all hosts have sent.
    """

    def __init__(self, world: World, hosts: int) -> None:
        self.sent_bytes = [0] * hosts
        self.cells = 0
        self._last_us: dict[tuple[int, int], int] = {}
        self._acked_us: dict[tuple[int, int], int] = {}
        world.network.observers.append(self._count)
        self._world = world

    def _count(self, packet: Packet) -> None:
        if packet.is_datagram:
            self.cells += 1
            self.sent_bytes[packet.source] += packet.bytes + DATAGRAM_HEADERS_BYTES
            return
        segments = -(-packet.bytes // SEGMENT_BYTES)
        self.sent_bytes[packet.source] += packet.bytes + segments * HEADERS_BYTES
        way, back = (packet.source, packet.destination), (packet.destination, packet.source)
        self._last_us[way] = packet.at_us

        def acknowledge() -> None:
            # Carried by an answer, or by the acknowledgement of another piece?
            since_us = max(self._last_us.get(back, -1), self._acked_us.get(back, -1))
            if since_us < packet.at_us:
                self._acked_us[back] = self._world.now_us
                self.sent_bytes[packet.destination] += HEADERS_BYTES

        self._world.after(ACK_DELAY_US, acknowledge)
