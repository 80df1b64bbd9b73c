"""What came out of a run, in words: for people who have read neither the code nor the scenario.

Figures become sentences here, and sentences get a verdict. The bounds of the verdicts are
opinions about a board in an office, each with its reason; the figures stand beside them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any, NamedTuple

Result = Mapping[str, Any]


class Verdict(Enum):
    """How good a figure is."""

    GOOD = "good"
    FAIR = "so-so"
    BAD = "bad"


class Finding(NamedTuple):
    """:ivar title: the question, in a few words.
    :ivar figure: the answer's main figure.
    :ivar text: the answer, a sentence or two.
    """

    title: str
    verdict: Verdict
    figure: str
    text: str


#: A person who posts and sees the page of a colleague looks again after some seconds. Guess.
PROMPT_S, PATIENT_S = 10.0, 60.0
#: A laptop on a phone's hotspot still bears the first, a home line the second. Guess.
QUIET_BYTES_PER_S, BUSY_BYTES_PER_S = 10_000, 100_000
#: Nine in ten thousand may be laptops that were just closing; one in twenty is a loss.
COMPLETE, MOSTLY = 0.999, 0.95
#: How far from 0.5 the observer's AUC may be by chance in a run of ordinary length. Guess.
AUC_CHANCE, AUC_LEAK = 0.05, 0.15


#: Between a figure and its unit no line is broken.
_GAP = "\N{NO-BREAK SPACE}"

# --- Figures as people read them ------------------------------------------------------------------


def as_seconds(seconds: float | None) -> str:
    """A duration: "53 ms", "1.8 s", "12 min", "3.5 h"."""
    if seconds is None:
        return "never"
    if seconds < 0.9995:
        return f"{_short(seconds * 1000)}{_GAP}ms" if seconds else f"0{_GAP}s"
    for size, unit, most in ((1, "s", 119.5), (60, "min", 7_170), (3600, "h", 172_800)):
        if seconds < most:
            return f"{_short(seconds / size)}{_GAP}{unit}"
    return f"{_short(seconds / 86_400)}{_GAP}days"


def _short(value: float) -> str:
    """Two digits and no empty fraction."""
    return f"{value:.1f}".removesuffix(".0") if value < 9.95 else f"{value:.0f}"


def as_bytes(count: float | None) -> str:
    """A size: "812 B", "1.3 kB", "24 MB"."""
    if count is None:
        return "–"
    for size, unit in ((1, "B"), (1e3, "kB"), (1e6, "MB")):
        if count < 999.5 * size:
            return f"{count:.0f}{_GAP}B" if size == 1 else f"{_short(count / size)}{_GAP}{unit}"
    return f"{_short(count / 1e9)}{_GAP}GB"


def as_share(share: float | None) -> str:
    """A share of 0..1: "100 %", "99.7 %", "3 %"; never rounded up to all or down to nothing."""
    if share is None:
        return "–"
    return f"{_percent(100 * share)}{_GAP}%"


def _percent(percent: float) -> str:
    if percent <= 0 or percent >= 100:
        return f"{percent:.0f}"
    if percent > 99:
        return f"{min(percent, 99.99):.2f}" if percent > 99.9 else f"{percent:.1f}"
    return f"{percent:.0f}" if percent >= 9.95 else f"{max(percent, 0.1):.1f}"


def as_count(count: int, one: str, many: str = "") -> str:
    """ "1 node", "12 nodes"."""
    return f"{count:,}{_GAP}{one if count == 1 else many or one + 's'}"


# --- Which result is which ------------------------------------------------------------------------


def labels_of(results: Sequence[Result]) -> list[str]:
    """A short name for each: what differs between them, numbered where nothing does."""
    settings = [_identity(result) for result in results]
    differing = [
        key
        for key in dict.fromkeys(key for one in settings for key in one)
        if len({str(one.get(key)) for one in settings}) > 1
    ]
    # The name says it alone; settings that go with it would only repeat it.
    for key in ("strategy", "scenario"):
        if key in differing and len({one.get(key) for one in settings}) == len(settings):
            differing = [key]
    labels = [
        ", ".join(_named(key, one.get(key)) for key in differing) or str(one["strategy"])
        for one in settings
    ]
    counts = Counter(labels)
    return [f"{label} ({i + 1})" if counts[label] > 1 else label for i, label in enumerate(labels)]


def _identity(result: Result) -> dict[str, Any]:
    flat = {"strategy": result["strategy"], "scenario": name_of(result)}
    for section, value in result["scenario"].items():
        if section not in ("scenario", "publishing"):
            flat |= dict(flattened(value, section))
    flat["seed"] = result["seed"]
    return flat


def flattened(value: Any, prefix: str) -> list[tuple[str, Any]]:
    """The leaves of nested settings, each with its dotted key."""
    if isinstance(value, Mapping):
        return [leaf for key, v in value.items() for leaf in flattened(v, f"{prefix}.{key}")]
    return [(prefix, value)]


def _named(key: str, value: Any) -> str:
    name = key.rpartition(".")[2].replace("_", " ")
    return str(value) if key in ("strategy", "scenario") else f"{name} {value}"


def name_of(result: Result) -> str:
    """The scenario's name."""
    return str(_about(result).get("name") or "scenario")


def title_of(result: Result) -> str:
    """The scenario's title, for people."""
    return str(_about(result).get("title") or name_of(result))


def story_of(result: Result) -> str:
    """What the scenario is for, if it says so."""
    return " ".join(str(_about(result).get("story") or "").split())


def _about(result: Result) -> Mapping[str, Any]:
    about = result["scenario"].get("scenario", result["scenario"])
    return about if isinstance(about, Mapping) else {"name": about}


# --- What was simulated ---------------------------------------------------------------------------


def setting_of(result: Result) -> str:
    """What was simulated: two or three sentences."""
    roles = Counter(host["role"] for host in result["hosts"])
    honest = roles.pop("honest", 0)
    segments = {segment for host in result["hosts"] for segment in host["segments"]}
    is_graph = len(segments) == len(result["hosts"])
    where = "" if is_graph else f" on {as_count(len(segments), 'network')}"
    nodes = f"{as_count(honest, 'laptop')}{where}, each running a node of the board"
    company = ""
    if roles:
        kinds = [f"{as_count(count, 'node')} of kind “{role}”" for role, count in roles.items()]
        company = f" With them: {', '.join(kinds)}."
    wrote = as_count(result["delivery"]["posts"], "post was", "posts were")
    faults = len(troubles_of(result))
    trouble = f"{as_count(faults, 'time')} something was broken on purpose" if faults else ""
    return (
        f"{nodes}.{company} In {as_seconds(result['simulated_s'])} of simulated time {wrote} "
        f"written{', and ' + trouble if trouble else ''}."
    )


class Trouble(NamedTuple):
    """Something that went wrong, and lasted until ``end_s`` if that is known."""

    kind: str
    begin_s: float
    end_s: float | None


def troubles_of(result: Result) -> list[Trouble]:
    """The faults of a result, each beginning joined with its end."""
    joined: list[Trouble] = []
    open_: dict[tuple[str, str], int] = {}
    for fault in result.get("faults") or []:
        what, hosts = fault["what"], str(fault.get("hosts"))
        began = open_.pop((_BEGINNINGS.get(what, what.removesuffix(" over")), hosts), None)
        if what == "healed":
            began = next((open_.pop(key) for key in list(open_) if key[0] in _CUTS), None)
        if began is not None:
            joined[began] = joined[began]._replace(end_s=fault["at_s"])
        else:
            kind = "clock set wrong" if what.startswith("clock") else what
            open_[kind, hosts] = len(joined)
            joined.append(Trouble(kind, fault["at_s"], None))
    return joined


#: What ends something under another name than "... over".
_BEGINNINGS = {"restart": "crash"}
_CUTS = ("partition", "isolated", "one way")


# --- What came out --------------------------------------------------------------------------------


def findings_of(result: Result) -> list[Finding]:
    """The answers, in the order in which people ask."""
    found: list[Finding | None] = [
        _arrival(result),
        _promptness(result),
        _traffic(result),
        _rules(result),
    ]
    found += [_anonymity(result), _observation(result)]
    return [finding for finding in found if finding is not None]


def _grade(value: float | None, good: float, fair: float) -> Verdict:
    """Less is better; nothing at all is bad."""
    if value is None or value > fair:
        return Verdict.BAD
    return Verdict.GOOD if value <= good else Verdict.FAIR


def _arrival(result: Result) -> Finding | None:
    delivery = result["delivery"]
    share = delivery["delivered_share"]
    if share is None:
        return None
    on_share = delivery.get("on_share")
    text = f"Of all pairs of a post and a laptop, {as_share(share)} met before the end."
    if on_share is not None and share < COMPLETE and on_share > share:
        text += (
            f" Laptops that were open when the post was written: {as_share(on_share)};"
            " a closed one gets it when it opens."
        )
    worth = max(share, on_share or 0)
    verdict = _grade(1 - worth, 1 - COMPLETE, 1 - MOSTLY)
    return Finding("Did posts arrive?", verdict, as_share(share), text)


def _promptness(result: Result) -> Finding | None:
    delivery = result["delivery"]
    if not delivery["posts"] or delivery["p50_s"] is None:
        return None
    text = (
        f"Half of the laptops had a post within {as_seconds(delivery['p50_s'])}, "
        f"95 of 100 within {as_seconds(delivery['p95_s'])}."
    )
    if delivery["last_node_p50_s"] is not None:
        text += f" The slowest one typically took {as_seconds(delivery['last_node_p50_s'])}."
    verdict = _grade(delivery["p95_s"], PROMPT_S, PATIENT_S)
    return Finding("How fast?", verdict, as_seconds(delivery["p50_s"]), text)


def _traffic(result: Result) -> Finding | None:
    rate = result["traffic"]["bytes_per_node_per_s"]
    if rate["p50"] is None:
        return None
    text = (
        f"A typical node sent {as_bytes(rate['p50'])} a second, the busiest "
        f"{as_bytes(rate['max'])}."
    )
    copies = result["redundancy"]["payload_copies_per_delivery"]
    if copies is not None:
        often = "once" if copies < 1.005 else f"{copies:.2f} times"
        text += f" What a post says was sent to each node {often}; once is the least."
    verdict = _grade(rate["p95"], QUIET_BYTES_PER_S, BUSY_BYTES_PER_S)
    return Finding("What does it cost?", verdict, f"{as_bytes(rate['p50'])}/s", text)


def _rules(result: Result) -> Finding | None:
    checks = result["checks"]
    violations = len(checks["violations"])
    title = "Were all rules kept?"
    if violations:
        kinds = sorted({violation["rule"] for violation in checks["violations"]})
        text = f"Broken: {', '.join(kinds)}. This is a bug, or an attack that worked."
        return Finding(title, Verdict.BAD, as_count(violations, "violation"), text)
    text = ""
    if result["scenario"].get("checks", {}).get("invariants", True):
        text = "Nothing that was confirmed got lost, nothing invalid was shown, every bound held. "
    if checks["converged"] is False:
        text += "At the end, left in peace, the nodes did not come to agree."
        return Finding(title, Verdict.BAD, "no agreement", text)
    if checks["converged"] and checks.get("converged_after_s") is not None:
        text += f"Left in peace, all nodes agreed after {as_seconds(checks['converged_after_s'])}."
    return Finding(title, Verdict.GOOD, "no violation", text.strip()) if text else None


def attacks_of(result: Result) -> list[Mapping[str, Any]]:
    """What estimators made of the spies' logs, where there was anything to be named."""
    return [
        row
        for row in result.get("attacks") or []
        if row["named"] is not None and row.get("entries") != 0
    ]


def _anonymity(result: Result) -> Finding | None:
    rows = attacks_of(result)
    if not rows:
        return None
    worst = max(rows, key=lambda row: row["named"] - row["blind"])
    text = (
        f"With {as_share(worst['share'])} of the nodes spying together, their best guess "
        f"({worst['estimator']}) named the author of {as_share(worst['named'])} of the posts. "
        f"Guessing blindly names {as_share(worst['blind'])}."
    )
    # Half way from a blind guess to the share of spies is what a mix should stay under.
    good = max(2 * worst["blind"], (worst["blind"] + worst["share"]) / 2)
    verdict = _grade(worst["named"], good, max(good, worst["share"]))
    return Finding("Can insiders name the author?", verdict, as_share(worst["named"]), text)


def _observation(result: Result) -> Finding | None:
    auc = (result.get("observer") or {}).get("auc")
    if auc is None:
        return None
    text = (
        "Somebody who sees time and size of every packet, asked which of two nodes has just "
        f"posted, is right {as_share(auc)} of the time. A coin is right 50 %."
    )
    verdict = _grade(abs(auc - 0.5), AUC_CHANCE, AUC_LEAK)
    return Finding("Can the network's owner tell who posts?", verdict, f"AUC {auc:.2f}", text)
