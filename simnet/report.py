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

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Any

from simnet.findings import (
    Finding,
    Result,
    Verdict,
    as_bytes,
    as_count,
    as_seconds,
    as_share,
    attacks_of,
    findings_of,
    flattened,
    labels_of,
    name_of,
    setting_of,
    story_of,
    title_of,
    troubles_of,
)

if TYPE_CHECKING:
    from simnet.pictures import Picture

#: Of many results, only the first have maps and timelines of their own.
SIDE_BY_SIDE_MAX = 6
VIOLATIONS_SHOWN_MAX = 25

_NARROW, _DARK = "(max-width: 40rem)", "(prefers-color-scheme: dark)"
#: Widths of pictures for phones, in inches.
_MAP_NARROW, _TIMELINE_NARROW = 4.2, 4.4
_CLASS = {Verdict.GOOD: "good", Verdict.FAIR: "fair", Verdict.BAD: "bad"}
_SIGN = {Verdict.GOOD: "✓", Verdict.FAIR: "~", Verdict.BAD: "✗"}


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
        _summary(results, labels),
        _spreading(results, labels),
        _delivery(results, labels),
        _load(results, labels),
        _traffic(results, labels),
        _attacks(compared, labels_of(compared)),
        _timelines(results, labels),
        _checks(results, labels),
        _repeating(results, labels),
    ]
    template = files("simnet").joinpath("report_template.html").read_text(encoding="utf-8")
    return Template(template).substitute(
        title=escape(_title(results)),
        lead=_lead(results),
        body="\n".join(section for section in sections if section),
        footer=_footer(),
    )


# --- Pieces of HTML -------------------------------------------------------------------------------


def _section(title: str, hint: str, *content: str) -> str:
    """A section, unless there is nothing in it."""
    inside = "\n".join(part for part in content if part)
    if not inside:
        return ""
    hint = f'<p class="hint">{hint}</p>' if hint else ""
    return f"<section>\n<h2>{title}</h2>\n{hint}\n{inside}\n</section>"


def _figure(
    picture: Picture, caption: str = "", title: str = "", narrow: Picture | None = None
) -> str:
    """A picture on its paper.

    :param narrow: the same for phones, where a wide one would be too small to read.
    """
    width, height = picture.size
    heading = f"<h3>{escape(title)}</h3>" if title else ""
    below = f"<figcaption>{escape(caption)}</figcaption>" if caption else ""
    sources = [(f"{_NARROW} and {_DARK}", narrow.dark), (_NARROW, narrow.light)] if narrow else []
    sources.append((_DARK, picture.dark))
    return (
        f"<figure>{heading}<picture>"
        + "".join(f'<source media="{media}" srcset="{uri}">' for media, uri in sources)
        + f'<img src="{picture.light}" alt="{escape(picture.alt)}" '
        f'width="{width}" height="{height}" style="max-width:{width * 5 // 4}px"></picture>'
        f"{below}</figure>"
    )


def _pictures(figures: Iterable[str], kind: str = "") -> str:
    inside = "\n".join(figures)
    return f'<div class="pictures {kind}">\n{inside}\n</div>' if inside else ""


def _table(head: Sequence[str], rows: Iterable[Sequence[str]], kind: str = "figures") -> str:
    """A table that scrolls by itself where it is too wide; cells are HTML.

    :param kind: "figures" stand to the right, "words" to the left.
    """
    top = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in head)
    body = "\n".join(f"<tr><td>{'</td><td>'.join(row)}</td></tr>" for row in rows)
    if not body:
        return ""
    return (
        f'<div class="scroll" tabindex="0"><table class="{kind}"><thead><tr>{top}</tr></thead>\n'
        f"<tbody>\n{body}\n</tbody></table></div>"
    )


def _folded(summary: str, content: str) -> str:
    return f"<details><summary>{summary}</summary>{content}</details>" if content else ""


# --- The top --------------------------------------------------------------------------------------


def _title(results: Sequence[Result]) -> str:
    titles = list(dict.fromkeys(title_of(result) for result in results))
    if len(results) == 1:
        return titles[0]
    return f"{titles[0]}: {len(results)} runs" if len(titles) == 1 else f"{len(results)} runs"


def _lead(results: Sequence[Result]) -> str:
    story = story_of(results[0]) if len({title_of(result) for result in results}) == 1 else ""
    parts = [f'<p class="story">{escape(story)}</p>'] if story else []
    settings = list(dict.fromkeys(setting_of(result) for result in results))
    parts += [f"<p>{escape(setting)}</p>" for setting in settings[:3]]
    if len(settings) > 3:
        parts.append(f"<p>And {len(settings) - 3} more settings like these.</p>")
    return "\n".join(parts)


def _summary(results: Sequence[Result], labels: Sequence[str]) -> str:
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
    return _section("What came out", hint, _table(["Run", *titles], rows))


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


# --- Sections with pictures -----------------------------------------------------------------------


def _spreading(results: Sequence[Result], labels: Sequence[str]) -> str:
    from simnet import pictures

    hint = (
        "One post, followed over the whole network. The star wrote it; each dot is a node, each "
        "line says who gave it to whom, and the colour says how early. Discs are networks: what is "
        "in one disc hears each other's multicast; dots between discs are on both."
    )
    if len(results) == 1:
        whole = pictures.spread_map(results[0])
        if whole is None:
            return ""
        moments = [
            _figure(picture, caption) for caption, picture in pictures.spread_moments(results[0])
        ]
        return _section(
            "How a post spreads",
            hint,
            _figure(whole, narrow=pictures.spread_map(results[0], _MAP_NARROW)),
            _pictures(moments, "moments"),
        )
    maps = [pictures.spread_map(result, _MAP_NARROW) for result in results[:SIDE_BY_SIDE_MAX]]
    figures = [
        _figure(picture, title=label)
        for picture, label in zip(maps, labels, strict=False)
        if picture is not None
    ]
    return _section("How a post spreads", hint, _pictures(figures), _left_out(results))


def _left_out(results: Sequence[Result]) -> str:
    left = len(results) - SIDE_BY_SIDE_MAX
    return f'<p class="muted">Of {as_count(left, "more run")} no picture.</p>' if left > 0 else ""


def _delivery(results: Sequence[Result], labels: Sequence[str]) -> str:
    from simnet import pictures

    head = ["Run", "posts", "delivered", "half", "95 %", "99 %", "slowest node", "back at author"]
    rows = []
    for result, label in zip(results, labels, strict=True):
        delivery = result["delivery"]
        keys = ("p50_s", "p95_s", "p99_s", "last_node_p50_s", "came_back_p50_s")
        rows.append(
            [
                escape(label),
                f"{delivery['posts']:,}",
                as_share(delivery["delivered_share"]),
                *(_duration(delivery.get(key)) for key in keys),
            ]
        )
    curve = pictures.latency(results, labels)
    hint = (
        "From the moment when a post was kept by its author's node until another node had it on "
        "disk; only nodes that were on at that moment count. “Slowest node” is the typical post's "
        "last arrival, “back at author” is when the author's own page shows it as published."
    )
    figures = [_figure(curve)] if curve else []
    return _section("How fast posts arrive", hint, *figures, _table(head, rows), _later(results))


def _duration(seconds: float | None) -> str:
    return "–" if seconds is None else as_seconds(seconds)


def _later(results: Sequence[Result]) -> str:
    later = results[0]["delivery"].get("later") or {}
    if len(results) > 1 or not later.get("deliveries"):
        return ""
    return (
        f"<p>{as_count(later['deliveries'], 'time')} a node was off or asleep when a post was "
        f"written and got it later; half of those within {as_seconds(later['p50_s'])} of its "
        "writing.</p>"
    )


def _load(results: Sequence[Result], labels: Sequence[str]) -> str:
    from simnet import pictures

    hint = (
        "Each node does the same kind of work; these show how evenly it is spread. A flat row is "
        "fair; a tall first bar is a node that others lean on."
    )
    if len(results) == 1 and len(results[0]["hosts"]) <= pictures.BARS_MAX:
        roles = {host["role"] != "honest" for host in results[0]["hosts"]}
        if any(len(host["segments"]) > 1 for host in results[0]["hosts"]):
            hint += " Ochre bars are nodes on two networks."
        if True in roles:
            hint += " Red bars are adversaries."
    figures = [_figure(picture) for picture in pictures.load(results, labels)]
    return _section("What each node has to do", hint, _pictures(figures))


def _traffic(results: Sequence[Result], labels: Sequence[str]) -> str:
    from simnet import pictures

    head = ["Run", "a node, median", "a node, busiest", "for each post", "messages", "copies"]
    rows = []
    for result, label in zip(results, labels, strict=True):
        traffic, redundancy = result["traffic"], result["redundancy"]
        rate = traffic["bytes_per_node_per_s"]
        rows.append(
            [
                escape(label),
                f"{as_bytes(rate['p50'])}/s",
                f"{as_bytes(rate['max'])}/s",
                as_bytes(traffic["bytes_per_post"]),
                _plain(traffic["messages_per_post"]),
                _plain(redundancy["payload_copies_per_delivery"], 2),
            ]
        )
    kinds = pictures.message_kinds(results, labels)
    hint = (
        "All bytes that nodes sent, once each, encryption and padding included; keeping links up "
        "and comparing what each has costs something even where nobody writes. “Messages” are for "
        "each post, over the whole network; “copies” is how often a node was sent what one post "
        "says (1 is the least)."
    )
    figure = _figure(kinds) if kinds else ""
    return _section("What goes over the wire", hint, _table(head, rows), figure)


def _plain(value: float | None, digits: int = 0) -> str:
    return "–" if value is None else f"{value:,.{digits}f}"


def _attacks(results: Sequence[Result], labels: Sequence[str]) -> str:
    from simnet import pictures

    figures = [
        _figure(picture, title=f"Insiders: {name}")
        for name, picture in pictures.attacks(results, labels)
    ]
    seen = pictures.observer(results, labels)
    if seen is not None:
        figures.append(
            _figure(
                seen,
                "How well somebody who sees every packet (not its content) tells a node that posts "
                "from one that does not. At 0.5 the traffic says nothing.",
                title="The network's owner",
            )
        )
    hint = (
        "Some members spy: they log what they receive, from which address and when, put their logs "
        "together, and name an author for each post. A bar is how often that name is right. It "
        "should stay near the red line, a blind guess among all, and far below the dashed line, "
        "the share of spies: under that, not even Dandelion++ promises to stay."
    )
    return _section(
        "Can anybody find out who wrote it?",
        hint,
        _pictures(figures, "large"),
        _folded("The same in figures", _attack_table(results, labels)),
    )


def _attack_table(results: Sequence[Result], labels: Sequence[str]) -> str:
    head = ["Run", "estimator", "spies", "named rightly", "blind guess", "precision", "recall"]
    return _table(
        head,
        (
            [
                escape(label),
                escape(str(row["estimator"])),
                f"{row['spies']} ({as_share(row['share'])})",
                as_share(row["named"]),
                as_share(row["blind"]),
                as_share(row.get("precision")),
                as_share(row.get("recall")),
            ]
            for result, label in zip(results, labels, strict=True)
            for row in attacks_of(result)
        ),
    )


def _timelines(results: Sequence[Result], labels: Sequence[str]) -> str:
    from simnet import pictures

    figures = []
    for result, label in zip(results[:SIDE_BY_SIDE_MAX], labels, strict=False):
        is_alone = len(results) == 1
        picture = pictures.timeline(result, 7.2 if is_alone else 5.2)
        if picture is not None:
            narrow = pictures.timeline(result, _TIMELINE_NARROW) if is_alone else None
            figures.append(_figure(picture, title="" if is_alone else label, narrow=narrow))
    has_trouble = any(troubles_of(result) for result in results)
    hint = (
        "Simulated time runs from left to right. Marks in the first row are posts; red is what was "
        "broken on purpose, a bar as long as it lasted."
        if has_trouble
        else "Simulated time runs from left to right. Nothing was broken on purpose."
    )
    return _section(
        "What happened when",
        hint,
        _pictures(figures, "large") if len(figures) > 1 else "".join(figures),
    )


# --- The end --------------------------------------------------------------------------------------


def _checks(results: Sequence[Result], labels: Sequence[str]) -> str:
    rows = [
        [
            escape(label),
            as_seconds(violation["at_s"]),
            f"{violation['host']}",
            escape(str(violation["rule"])),
            escape(str(violation["detail"])),
        ]
        for result, label in zip(results, labels, strict=True)
        for violation in result["checks"]["violations"]
    ]
    if not rows:
        return ""
    more = len(rows) - VIOLATIONS_SHOWN_MAX
    return _section(
        "Rules that were broken",
        "Rules that must hold whatever the network does. Each line is a bug, or an attack that "
        "worked.",
        _table(["Run", "at", "node", "rule", "what"], rows[:VIOLATIONS_SHOWN_MAX], "words"),
        f'<p class="muted">And {more:,} more.</p>' if more > 0 else "",
    )


def _repeating(results: Sequence[Result], labels: Sequence[str]) -> str:
    commands = "\n".join(escape(_command(result)) for result in results)
    head = ["Run", "seed", "ciphers", "events", "trace hash", "took"]
    rows = [
        [
            escape(label),
            str(result["seed"]),
            escape(str(result["ciphers"])),
            f"{result['events']:,}",
            f"<code>{escape(str(result['trace_hash']))}</code>",
            _duration((result.get("host") or {}).get("wall_s")),
        ]
        for result, label in zip(results, labels, strict=True)
    ]
    hint = (
        "One seed decides everything that happens: the same command gives the same trace hash on "
        "every machine."
    )
    if any(result["ciphers"] != "real" for result in results):
        hint += (
            " Ciphers were cheap stand-ins with the same sizes and the same failures: figures "
            "about bytes and time are as with real ones, but nothing was hidden from anybody."
        )
    return _section(
        "How to repeat it",
        hint,
        f"<pre><code>{commands}</code></pre>",
        _table(head, rows),
        _settings(results[0]),
        _WORDS,
    )


def _command(result: Result) -> str:
    return (
        f"python -m simnet run {name_of(result)} --seed {result['seed']}"
        f" --strategy {result['strategy']}"
    )


def _settings(result: Result) -> str:
    leaves = [
        leaf for key, value in result["scenario"].items() for leaf in flattened(value, str(key))
    ]
    rows = [[f"<code>{escape(key)}</code>", escape(_setting(value))] for key, value in leaves]
    table = _table(["Setting", "value"], rows, "words")
    return _folded("All settings", table)


def _setting(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


_WORDS = """<details><summary>Words</summary><dl>
<dt>Node</dt><dd>The program on one laptop. Nodes find each other on the network they share;
there is no server.</dd>
<dt>Link</dt><dd>An encrypted connection between two nodes of one board.</dd>
<dt>Post</dt><dd>A text signed with a throwaway key. Every node keeps all posts of its board.</dd>
<dt>Spies</dt><dd>Members that take part like all others, and log and share what they see.</dd>
<dt>Blind guess</dt><dd>Naming any honest node at random, without having seen anything.</dd>
<dt>Precision, recall</dt><dd>Of the posts pinned on a node, how many it wrote; of the posts that
it wrote, how many were pinned on it; both averaged over nodes.</dd>
<dt>AUC</dt><dd>Shown one node that posts and one that does not, how often an observer tells which
is which. 50 % is a coin, 100 % is certainty.</dd>
</dl></details>"""


def _footer() -> str:
    return "Everything here was measured in a simulation that runs the real protocol code."
