"""What was simulated and what came out, in words."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from simnet.findings import Finding, Result, Verdict, findings_of, setting_of, story_of, title_of
from simnet.report.html import section_of, table_of

_CLASS = {Verdict.GOOD: "good", Verdict.FAIR: "fair", Verdict.BAD: "bad"}
_SIGN = {Verdict.GOOD: "✓", Verdict.FAIR: "~", Verdict.BAD: "✗"}


def title_of_page(results: Sequence[Result]) -> str:
    """One line, as text."""
    titles = list(dict.fromkeys(title_of(result) for result in results))
    if len(results) == 1:
        return titles[0]
    return f"{titles[0]}: {len(results)} runs" if len(titles) == 1 else f"{len(results)} runs"


def lead(results: Sequence[Result]) -> str:
    """What it shows and by which settings."""
    story = story_of(results[0]) if len({title_of(result) for result in results}) == 1 else ""
    parts = [f'<p class="story">{escape(story)}</p>'] if story else []
    settings = list(dict.fromkeys(setting_of(result) for result in results))
    parts += [f"<p>{escape(setting)}</p>" for setting in settings[:3]]
    if len(settings) > 3:
        parts.append(f"<p>And {len(settings) - 3} more settings like these.</p>")
    return "\n".join(parts)


def summary_section(results: Sequence[Result], labels: Sequence[str]) -> str:
    """A card for each finding; of several runs, a table of verdicts."""
    if len(results) == 1:
        cards = "\n".join(_card(finding) for finding in findings_of(results[0]))
        return (
            f'<section aria-label="What came out">\n<div class="verdicts">{cards}</div></section>'
        )
    found = [{f.title: f for f in findings_of(result)} for result in results]
    titles = list(dict.fromkeys(title for one in found for title in one))
    rows = [
        [escape(label), *(_mark(one.get(title)) for title in titles)]
        for label, one in zip(labels, found, strict=True)
    ]
    hint = "Each row is one run. ✓ is good, ~ is so-so, ✗ is bad, by bounds that suit an office."
    return section_of("What came out", hint, table_of(["Run", *titles], rows))


def _card(finding: Finding) -> str:
    return (
        f'<div class="card"><span class="verdict {_CLASS[finding.verdict]}">'
        f"{_SIGN[finding.verdict]} {finding.verdict.value}</span>"
        f"<h3>{escape(finding.title)}</h3>"
        f'<p class="figure">{escape(finding.figure)}</p><p>{escape(finding.text)}</p></div>'
    )


def _mark(finding: Finding | None) -> str:
    if finding is None:
        return "–"
    return (
        f'<span class="mark {_CLASS[finding.verdict]}" title="{escape(finding.text)}">'
        f"{_SIGN[finding.verdict]} {escape(finding.figure)}</span>"
    )
