"""The whole page: its sections in their order, in the template."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template

from simnet.findings import Result, labels_of
from simnet.report.attacks import attacks_section
from simnet.report.costs import load_section, traffic_section
from simnet.report.happenings import checks_section, timelines_section
from simnet.report.repeating import repeating_section
from simnet.report.spreading import delivery_section, spreading_section
from simnet.report.top import lead, summary_section, title_of_page


class MissingExtra(Exception):
    """Pictures need an extra that is not installed; the message is one line that says how to get
    it."""


def write_report(
    results: Result | Sequence[Result], path: str | Path, baselines: Sequence[Result] = ()
) -> None:
    """Write the page.

    :param results: one result, or several to be set side by side.
    :param baselines: results of other publishing strategies in the same world, of which only what
        attackers could make of them is shown.
    :raises MissingExtra: matplotlib is not installed.
    :raises OSError: the file cannot be written.
    """
    page = render_report([results] if isinstance(results, Mapping) else results, baselines)
    Path(path).write_text(page, encoding="utf-8")


def render_report(results: Sequence[Result], baselines: Sequence[Result] = ()) -> str:
    """The page's text; see :func:`write_report`.

    :raises ValueError: there is no result.
    """
    if not results:
        raise ValueError("a report needs a result")
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        raise MissingExtra(
            "The report needs matplotlib for its pictures: pip install 'p2pboard[sim]'"
        ) from None
    labels = labels_of(results)
    compared = [*results, *baselines]
    sections = [
        summary_section(results, labels),
        spreading_section(results, labels),
        delivery_section(results, labels),
        load_section(results, labels),
        traffic_section(results, labels),
        attacks_section(compared, labels_of(compared)),
        timelines_section(results, labels),
        checks_section(results, labels),
        repeating_section(results, labels),
    ]
    template = files("simnet.report").joinpath("template.html").read_text(encoding="utf-8")
    return Template(template).substitute(
        title=escape(title_of_page(results)),
        lead=lead(results),
        body="\n".join(section for section in sections if section),
        footer=_footer(),
    )


def _footer() -> str:
    return "Everything here was measured in a simulation that runs the real protocol code."
