"""What it costs: work and bytes."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from simnet.findings import Result, as_bytes
from simnet.report.html import figure_of, section_of, side_by_side, table_of


def load_section(results: Sequence[Result], labels: Sequence[str]) -> str:
    """What each node has to do."""
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
    figures = [figure_of(picture) for picture in pictures.load(results, labels)]
    return section_of("What each node has to do", hint, side_by_side(figures))


def traffic_section(results: Sequence[Result], labels: Sequence[str]) -> str:
    """What goes over the wire."""
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
    figure = figure_of(kinds) if kinds else ""
    return section_of("What goes over the wire", hint, table_of(head, rows), figure)


def _plain(value: float | None, digits: int = 0) -> str:
    return "–" if value is None else f"{value:,.{digits}f}"
