"""``make soak``: random worlds until one fails, or until stopped.

``python -m tests.simnet.soak [--seeds N] [--from SEED]``. A seed is a mixed world
(:mod:`tests.simnet.test_seeds`: any topology, trouble, adversaries, all checkers on); a failure
prints what was broken, what had happened, and the one command that replays it.
"""

from __future__ import annotations

import argparse
import secrets
import sys
import time
import traceback

from tests.simnet.test_seeds import MixedWorld

_HAPPENED_SHOWN = 12


def check(seed: int) -> bool:
    """Run one world; whether all is well. What is not is printed."""
    mixed = None
    try:
        mixed = MixedWorld(seed)
        mixed.check()
    except AssertionError as error:
        print(f"\nseed {seed}: {error}")
    except Exception:  # noqa: BLE001 - whatever it is, its seed is what counts
        print(f"\nseed {seed}: {traceback.format_exc()}")
        print(f"replay: python -m tests.simnet.soak --seeds 1 --from {seed}")
    else:
        return True
    if mixed is not None:
        roles = [host.role for host in mixed.world.hosts]
        print(f"hosts: {', '.join(roles)}; the last of the trouble:")
        for happening in mixed.happened[-_HAPPENED_SHOWN:]:
            print(f"  {happening['at_s']:8.3f} s  {happening['what']}  {happening['hosts']}")
    return False


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
            if not check(seed):
                return 1
            seed, done = seed + 1, done + 1
            rate = done / (time.monotonic() - begun)
            if sys.stdout.isatty():
                print(f"\r{done} worlds, {rate:.1f}/s, at seed {seed}", end="", flush=True)
    except KeyboardInterrupt:
        pass
    print(f"\n{done} worlds kept all rules and converged")
    return 0


if __name__ == "__main__":
    sys.exit(main())
