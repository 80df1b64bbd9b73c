"""``make soak``: random worlds until one fails, or until stopped.

``python -m tests.simnet.soak [--seeds N] [--from SEED]``; a failure prints the seed and the command
that replays it.
"""

from __future__ import annotations

import argparse
import secrets
import sys
import time

from tests.simnet.test_convergence import check_world


def main() -> int:
    """Run worlds; 1 where one failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.simnet.soak", description=__doc__)
    parser.add_argument("--seeds", type=int, default=0, help="how many; 0: until stopped")
    parser.add_argument("--from", dest="first", type=int, help="the first seed, else a random one")
    options = parser.parse_args()
    seed = secrets.randbelow(2**32) if options.first is None else options.first
    begun, done = time.monotonic(), 0
    try:
        while not options.seeds or done < options.seeds:
            try:
                check_world(seed)
            except Exception as error:  # noqa: BLE001 - whatever it is, its seed is what counts
                print(f"\nseed {seed}: {type(error).__name__}: {error}")
                print(f"replay: python -m tests.simnet.soak --seeds 1 --from {seed}")
                return 1
            seed, done = seed + 1, done + 1
            rate = done / (time.monotonic() - begun)
            if sys.stdout.isatty():
                print(f"\r{done} worlds, {rate:.1f}/s, at seed {seed}", end="", flush=True)
    except KeyboardInterrupt:
        pass
    print(f"\n{done} worlds converged")
    return 0


if __name__ == "__main__":
    sys.exit(main())
