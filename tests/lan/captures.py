"""``make captures``: can posting be seen in the packets of real nodes?

``python -m tests.lan.captures [--minutes 30] [--json FILE] [--doc FILE] [--keep FOLDER]``. Two sets
of six nodes run at the same time, each in network namespaces on a bridge of its own, finding each
other by mDNS; in one of them a script posts at random times. All packets of both are captured and
compared (:mod:`tests.lan.comparison`). Ends with status 1 where something tells the poster, or
where a name, a text or a key is in a packet. ``--again FOLDER`` compares what was kept.

Needs Linux, root and iproute2, like the tests between hosts.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tests.conftest import why_no_lan
from tests.lan.comparison import MINUTE_S, Comparison, compare
from tests.lan.packets import carried, words_in_clear
from tests.lan.recording import Recording, Settings, read, record_two
from tests.lan.sightings import STREAMS, Sightings, bytes_per_s

#: Draws for each test of each host that is none; enough to see that the tests are fair.
CONTROL_ROUNDS = 20_000
_BEGIN, _END = "<!-- captures: begin -->", "<!-- captures: end -->"
_SHOWN_P = 0.1


@dataclass
class Run:
    """A recording and what was seen in it.

    :ivar rates: by host, bytes a second out and in at the level of IP, of everything.
    :ivar in_clear: what was found in packets and must not be there.
    """

    recording: Recording
    sightings: Sightings
    rates: list[tuple[float, float]]
    in_clear: list[str | bytes]
    packets: int

    @classmethod
    def of(cls, folder: Path) -> Run:
        """As it lies in a folder."""
        recording, packets = read(folder)
        whole = (recording.addresses, recording.begin_s, recording.end_s)
        return cls(
            recording,
            recording.sightings(packets),
            bytes_per_s(carried(packets), *whole),
            words_in_clear(packets, recording.all_words()),
            len(packets),
        )

    def hosts(self) -> list[dict[str, Any]]:
        """Figures of each host: shares, bytes and packets a second, sizes."""
        seconds = self.sightings.seconds
        return [
            {
                "posts": len(self.recording.posts) if number == self.recording.poster else 0,
                "processor_share": self.recording.spent_s[number] / seconds,
                "bytes_out_per_s": self.rates[number][0],
                "bytes_in_per_s": self.rates[number][1],
                **{f"{name} per s": len(host[name].at_s) / seconds for name in STREAMS},
                "cell_ip_bytes": sorted({int(size) for size in host["cells out"].ip_bytes}),
            }
            for number, host in enumerate(self.sightings.hosts)
        ]


@dataclass
class Result:
    """Both runs and what sets them apart."""

    posting: Run
    idle: Run
    comparison: Comparison

    @property
    def is_well(self) -> bool:
        """Nothing was told apart and nothing was in clear."""
        in_clear = self.posting.in_clear or self.idle.in_clear
        return not self.comparison.told_apart() and not in_clear

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        return {
            "is_well": self.is_well,
            "seconds": self.posting.sightings.seconds,
            "posts": len(self.posting.recording.posts),
            "texts_read_by_each_host": self.posting.recording.texts,
            "posting": self.posting.hosts(),
            "idle": self.idle.hosts(),
            "in_clear": [str(word) for word in (*self.posting.in_clear, *self.idle.in_clear)],
            "loads": self.idle.recording.loads,
            **asdict(self.comparison),
        }


def analyse(folder: Path) -> Result:
    """Compare what :func:`tests.lan.recording.record_two` has left in a folder."""
    posting, idle = (Run.of(folder / name) for name in ("posting", "idle"))
    comparison = compare(posting.sightings, idle.sightings, control_rounds=CONTROL_ROUNDS)
    return Result(posting, idle, comparison)


# --- For people -----------------------------------------------------------------------------------


def report(result: Result) -> str:
    """All of it in Markdown."""
    return "\n".join(
        [
            *_head(result),
            "",
            *_hosts_table(result),
            "",
            *_verdicts_table(result.comparison),
            "",
            *_auc_table(result.comparison),
        ]
    )


def _head(result: Result) -> Iterator[str]:
    posting, idle = result.posting, result.idle
    minutes = posting.sightings.seconds / MINUTE_S
    loads = idle.recording.loads
    yield (
        f"{len(posting.rates)} nodes for {minutes:.0f} minutes with {len(posting.recording.posts)}"
        f" posts of one of them, and {len(idle.rates)} for as long without, at the same time;"
        f" {posting.packets + idle.packets:,} packets. Load of the machine in that time:"
        f" {np.mean(loads):.1f} ({min(loads):.1f} to {max(loads):.1f})."
    )
    yield ""
    yield (
        f"Texts that each host could read in the end: {_listed(posting.recording.texts)}."
        f" Names, texts, ids and keys found in packets:"
        f" {len(posting.in_clear) + len(idle.in_clear)} of"
        f" {len(posting.recording.all_words()) + len(idle.recording.all_words())}."
    )
    shares = [host["processor_share"] for host in idle.hosts()]
    out, into = zip(*idle.rates, strict=True)
    yield ""
    yield (
        f"An idle node takes {100 * float(np.median(shares)):.1f} % of a core (most:"
        f" {100 * max(shares):.1f} %; aim: at most 2 %), sends {np.median(out) / 1000:.2f} kB/s"
        f" and receives {np.median(into) / 1000:.2f} kB/s at the level of IP (most:"
        f" {max(out) / 1000:.2f} and {max(into) / 1000:.2f}; aim: at most 6)."
    )


def _hosts_table(result: Result) -> Iterator[str]:
    yield (
        "| run | host | cells out/s | cells in/s | bytes of a cell | TCP out/s | TCP in/s"
        " | kB/s out | kB/s in | processor |"
    )
    yield "|---|---|---:|---:|---:|---:|---:|---:|---:|---:|"
    for name, run in (("posting", result.posting), ("idle", result.idle)):
        for number, host in enumerate(run.hosts()):
            who = f"{number + 1}, the poster" if host["posts"] else f"{number + 1}"
            rates = [f"{host[f'{stream} per s']:.3f}" for stream in STREAMS]
            sizes = _listed(host["cell_ip_bytes"])
            yield (
                f"| {name} | {who} | {rates[0]} | {rates[1]} | {sizes} | {rates[2]} | {rates[3]}"
                f" | {host['bytes_out_per_s'] / 1000:.2f} | {host['bytes_in_per_s'] / 1000:.2f}"
                f" | {100 * host['processor_share']:.2f} % |"
            )


def _verdicts_table(comparison: Comparison) -> Iterator[str]:
    verdicts = comparison.verdicts
    told = comparison.told_apart()
    shown = [verdict for verdict in verdicts if verdict.p < _SHOWN_P]
    yield (
        f"Of {len(verdicts)} comparisons, {len(told)} tell the poster at p < 0.001 after correction"
        f" (Holm). {len(shown)} have p < {_SHOWN_P:g} by themselves, where chance alone makes"
        f" {_SHOWN_P * len(verdicts):.0f} of as many:"
    )
    if comparison.control_p is not None:
        yield (
            f"(Each of the other hosts in the poster's place, corrected for the number of hosts as"
            f" well: least p {_p(comparison.control_p)}.)"
        )
    yield ""
    yield "| packets | compared with | difference | p | corrected |"
    yield "|---|---|---:|---:|---:|"
    for verdict in sorted(shown, key=lambda verdict: verdict.p):
        yield (
            f"| {verdict.what} | {verdict.against} | {verdict.difference:+.3f} | {_p(verdict.p)}"
            f" | {_p(verdict.p_corrected)} |"
        )


def _auc_table(comparison: Comparison) -> Iterator[str]:
    yield "| what is to be told apart | AUC | 95 % interval | by chance alone |"
    yield "|---|---:|---:|---:|"
    for auc in comparison.aucs:
        yield (
            f"| {auc.what} ({auc.some_count} against {auc.others_count}) | {auc.auc:.2f}"
            f" | {auc.low:.2f} – {auc.high:.2f} | {auc.chance_low:.2f} – {auc.chance_high:.2f} |"
        )


def _p(p: float) -> str:
    return f"{p:.3f}" if p >= 0.001 else f"{p:.1e}"


def _listed(values: Sequence[int]) -> str:
    return ", ".join(map(str, values)) or "–"


def write_into(document: Path, text: str) -> None:
    """Between the marks of a document, in place of what is there."""
    before, _, rest = document.read_text().partition(_BEGIN)
    after = rest.partition(_END)[2]
    document.write_text(f"{before}{_BEGIN}\n{text}\n{_END}{after}")


# --- The program ----------------------------------------------------------------------------------


def main(arguments: Sequence[str] | None = None) -> int:
    """1 where posting shows; 2 where this machine can't tell."""
    parser = argparse.ArgumentParser(prog="python -m tests.lan.captures", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0, help="how long (30)")
    parser.add_argument("--settle", type=float, default=60.0, help="seconds before that (60)")
    parser.add_argument("--nodes", type=int, default=6, help="of each set (6)")
    parser.add_argument("--gap", type=float, default=40.0, help="seconds between two posts (40)")
    parser.add_argument("--json", type=Path, help="write the result to a file")
    parser.add_argument("--doc", type=Path, help="put the tables between the marks of a document")
    parser.add_argument("--keep", type=Path, help="keep the captures in this (new) folder")
    parser.add_argument("--again", type=Path, help="compare what was kept in a folder")
    options = parser.parse_args(arguments)
    if options.again:
        result = analyse(options.again)
    else:
        missing = why_no_lan()
        if missing is not None:
            print(f"can't capture: {missing}", file=sys.stderr)
            return 2
        settings = Settings(
            hosts=options.nodes,
            settle_s=options.settle,
            seconds=60 * options.minutes,
            gap_s=options.gap,
        )
        result = _record_and_analyse(settings, options.keep)
    text = report(result)
    print(text)
    if options.json:
        options.json.write_text(json.dumps(result.as_json(), indent=1) + "\n")
    if options.doc:
        write_into(options.doc, text)
    return 0 if result.is_well else 1


def _record_and_analyse(settings: Settings, keep: Path | None) -> Result:
    def say(line: str) -> None:
        print(f"{time.strftime('%H:%M:%S')} {line}", file=sys.stderr, flush=True)

    with tempfile.TemporaryDirectory(prefix="p2pboard-captures-") as temporary:
        folder = keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        record_two(folder, settings, say)
        say("comparing")
        return analyse(folder)


if __name__ == "__main__":
    sys.exit(main())
