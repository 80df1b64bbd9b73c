"""The node: everything of p2pboard that touches the world.

It runs the sans-I/O core (:mod:`protocol`) under trio, keeps what the core wants kept
(:mod:`p2pboard.store`), decides what its user is shown (:mod:`p2pboard.rules`,
:mod:`p2pboard.view`), and offers it on the command line and on the loopback interface.
"""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("p2pboard")
except PackageNotFoundError:  # run from a source tree that was never installed
    __version__ = "0+unknown"
