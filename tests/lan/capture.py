"""Write every packet on the interfaces of this namespace to a file, until terminated.

``python -m tests.lan.capture FILE``; run inside a namespace by :mod:`tests.lan.network`. Each
packet is a line of hexadecimal digits; what passes several ports is there several times.
"""

from __future__ import annotations

import signal
import socket
import sys

ALL_PROTOCOLS = 0x0003
PACKET_BYTES_MAX = 65536


def main(path: str) -> None:
    """Capture until SIGTERM."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with (
        socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ALL_PROTOCOLS)) as wire,
        open(path, "w", buffering=1) as file,
    ):
        wire.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 * 1024 * 1024)
        print("capturing", flush=True)
        while True:
            file.write(wire.recv(PACKET_BYTES_MAX).hex() + "\n")


if __name__ == "__main__":
    main(sys.argv[1])
