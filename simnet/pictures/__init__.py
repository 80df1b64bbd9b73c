"""The pictures of a report, drawn by matplotlib: each for light paper and for dark.

Every function here takes results (:mod:`simnet.report` says what they look like) and gives
:class:`Picture` objects, ready to be put into a page. They are the same, byte for byte, for the
same results and the same matplotlib. ``paper`` makes pictures and knows the colours, ``maps`` draws
the network, ``charts`` what was measured, ``timeline`` what happened when, ``attacks`` what
adversaries could make of it.

matplotlib is an extra: only :func:`simnet.report.write_report` imports this package, when it is
called.
"""

from simnet.pictures.attacks import attacks, observer
from simnet.pictures.charts import BARS_MAX, latency, load, message_kinds
from simnet.pictures.maps import SVG_HOSTS_MAX, places, spread_map, spread_moments
from simnet.pictures.paper import Picture
from simnet.pictures.timeline import timeline

__all__ = [
    "BARS_MAX",
    "SVG_HOSTS_MAX",
    "Picture",
    "attacks",
    "latency",
    "load",
    "message_kinds",
    "observer",
    "places",
    "spread_map",
    "spread_moments",
    "timeline",
]
