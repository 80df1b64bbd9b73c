"""Write every packet on this namespace's bridge to a pcap file, each once, until terminated.

``python -m tests.lan.capture FILE``; run inside a namespace by :mod:`tests.lan.network`. Times are
the kernel's, in nanoseconds of wall time: a busy machine does not blur them. Wireshark and tcpdump
open the file.
"""

from __future__ import annotations

import signal
import socket
import struct
import sys

from tests.lan.packets import PCAP_HEADER, pcap_record

ALL_PROTOCOLS = 0x0003
PACKET_BYTES_MAX = 65536
#: <linux/if_packet.h>, <asm-generic/socket.h>
_SOL_PACKET, _ADD_MEMBERSHIP, _PROMISCUOUS = 263, 1, 1
_SO_TIMESTAMPNS = 35
_TIME_BYTES = 16


def main(path: str) -> None:
    """Capture until SIGTERM."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with (
        socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ALL_PROTOCOLS)) as wire,
        open(path, "wb", buffering=0) as file,
    ):
        wire.bind(("br0", ALL_PROTOCOLS))
        # A bridge hands on to its own interface what it carries between ports only while that
        # listens to everything.
        request = struct.pack("@iHH8s", socket.if_nametoindex("br0"), _PROMISCUOUS, 0, b"")
        wire.setsockopt(_SOL_PACKET, _ADD_MEMBERSHIP, request)
        wire.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 * 1024 * 1024)
        wire.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        file.write(PCAP_HEADER)
        print("capturing", flush=True)
        while True:
            frame, told, _, _ = wire.recvmsg(PACKET_BYTES_MAX, socket.CMSG_SPACE(_TIME_BYTES))
            for level, kind, value in told:
                if (level, kind) == (socket.SOL_SOCKET, _SO_TIMESTAMPNS):
                    # In one write, so that a reader meanwhile finds whole records.
                    file.write(pcap_record(*struct.unpack("@qq", value), frame))


if __name__ == "__main__":
    main(sys.argv[1])
