"""``python -m simnet``: the simulator's command line.

A wrong use is one line on standard error and exit status 2; a scenario whose checks were violated
is exit status 1, with the command that shows it again.
"""

from __future__ import annotations

import sys

from simnet.cli.program import program


def main() -> None:
    """Runs the command that the arguments name, and ends the process."""
    for stream in (sys.stdout, sys.stderr):
        # What a terminal can't show is replaced; that must not end a command.
        stream.reconfigure(errors="replace")  # type: ignore[union-attr]
    program()


if __name__ == "__main__":
    main()
