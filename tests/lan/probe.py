"""Connect to a node as a stranger does, send something, and print what comes back.

``python -m tests.lan.probe HOST PORT SECONDS HEX``; prints one line: how many bytes came back in
that time, and whether the other end closed.
"""

from __future__ import annotations

import socket
import sys


def main(host: str, port: int, seconds: float, sent: bytes) -> None:
    """One probe."""
    with socket.create_connection((host, port), timeout=5) as stranger:
        stranger.sendall(sent)
        stranger.settimeout(seconds)
        try:
            answer = stranger.recv(65536)
        except TimeoutError:
            print("0 open")
            return
        print(f"{len(answer)} {'open' if answer else 'closed'}")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), bytes.fromhex(sys.argv[4]))
