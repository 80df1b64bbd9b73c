"""``python -m p2pboard``, and the ``p2pboard`` command."""

from __future__ import annotations

import sys

from p2pboard.cli.program import program


def main() -> None:
    """Runs the command that the arguments name, and ends the process."""
    for stream in (sys.stdout, sys.stderr):
        # What a terminal can't show is replaced; that must not end a command.
        stream.reconfigure(errors="replace")  # type: ignore[union-attr]
    program()


if __name__ == "__main__":
    main()
