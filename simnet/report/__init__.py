"""One HTML file about a run, or several side by side, for people who know nothing of the code.

    write_report(result, "report.html")
    write_report([ours, gossip, dandelion], "strategies.html")

A result is what :func:`simnet.run.run_scenario` returns. The page begins with what was simulated
and what came out, in words with a verdict (:mod:`simnet.findings`); pictures follow
(:mod:`simnet.pictures`), then everything that is needed to repeat it. It holds all that it shows:
no script, no request to anywhere, light or dark as the reader's machine is.

A section is a function from results to HTML; an empty string leaves it out. Whatever comes from a
result goes through :func:`html.escape`: a scenario file can be anybody's.
"""

from simnet.report.happenings import VIOLATIONS_SHOWN_MAX
from simnet.report.page import MissingExtra, render_report, write_report
from simnet.report.spreading import SIDE_BY_SIDE_MAX

__all__ = [
    "SIDE_BY_SIDE_MAX",
    "VIOLATIONS_SHOWN_MAX",
    "MissingExtra",
    "render_report",
    "write_report",
]
