"""Everything that is needed to run it again."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

from simnet.findings import Result, flattened, name_of
from simnet.report.html import duration, folded, section_of, table_of


def repeating_section(results: Sequence[Result], labels: Sequence[str]) -> str:
    """Commands, hashes, all settings, and the words of this page."""
    commands = "\n".join(escape(_command(result)) for result in results)
    head = ["Run", "seed", "ciphers", "events", "trace hash", "took"]
    rows = [
        [
            escape(label),
            str(result["seed"]),
            escape(str(result["ciphers"])),
            f"{result['events']:,}",
            f"<code>{escape(str(result['trace_hash']))}</code>",
            duration((result.get("host") or {}).get("wall_s")),
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
    return section_of(
        "How to repeat it",
        hint,
        f"<pre><code>{commands}</code></pre>",
        table_of(head, rows),
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
    table = table_of(["Setting", "value"], rows, "words")
    return folded("All settings", table)


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
