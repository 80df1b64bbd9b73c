"""The figures that ``run`` prints."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rich.markup import escape
from rich.text import Text

from simnet.cli.wording import clock, console, number, share, table_of
from simnet.scenario import Scenario


def print_summary(made: Scenario, result: dict[str, Any]) -> None:
    """The most important figures, as a person reads them."""
    out, rows = console(), table_of("", "")
    rows.show_header = False
    for name, value in _summary(result):
        rows.add_row(name, escape(value))
    title = f"{made.title or made.name}: {made.hosts.count} hosts, {clock(made.seconds)}"
    ciphers = f"{result['ciphers']} ciphers"
    out.print(
        Text(f"{title}, seed {result['seed']}, {result['strategy']}, {ciphers}", style="bold")
    )
    out.print(rows)


def _summary(result: dict[str, Any]) -> Iterator[tuple[str, str]]:
    delivery, traffic, load = result["delivery"], result["traffic"], result["load"]
    per_s = traffic["bytes_per_node_per_s"]
    yield "posts", f"{number(delivery['posts'])}, {share(delivery['delivered_share'])} delivered"
    yield (
        "delivery",
        f"p50 {number(delivery['p50_s'])} s, p95 {number(delivery['p95_s'])} s, "
        f"p99 {number(delivery['p99_s'])} s",
    )
    yield (
        "last node",
        f"p50 {number(delivery['last_node_p50_s'])} s, p95 {number(delivery['last_node_p95_s'])} s",
    )
    copies = result["redundancy"]
    yield (
        "redundancy",
        f"{number(copies['payload_copies_per_delivery'])} payloads and "
        f"{number(copies['announcements_per_delivery'])} announcements for each delivery",
    )
    yield (
        "bytes per node",
        f"{number(per_s['p50'])}/s (p95 {number(per_s['p95'])}, most {number(per_s['max'])})",
    )
    yield (
        "per post",
        f"{number(traffic['bytes_per_post'])} bytes, {number(traffic['messages_per_post'])}"
        " messages, all hosts together",
    )
    yield "signatures per node", number(load["signatures_per_node"]["p50"])
    for attack in result["attacks"]:
        yield f"attack: {attack['estimator']}", _attack(attack)
    if result["observer"]:
        yield "observer", f"AUC {number(result['observer']['auc'])} (0.5 is a blind guess)"
    yield "faults", str(len(result["faults"]))
    yield "checks", _checks(result["checks"])
    yield "trace hash", result["trace_hash"]
    host = result["host"]
    memory = "" if host["rss_mb_max"] is None else f", {number(host['rss_mb_max'])} MB"
    yield (
        "this machine",
        f"{host['wall_s']:.1f} s, {host['events_per_s']:,} events/s{memory}",
    )


def _attack(attack: dict[str, Any]) -> str:
    return (
        f"names the author of {share(attack['named'])} of posts (blind: {share(attack['blind'])});"
        f" precision {number(attack['precision'])}, recall {number(attack['recall'])}"
    )


def _checks(checks: dict[str, Any]) -> str:
    found = f"{len(checks['violations'])} violations"
    if checks["converged"] is None:
        return found
    if not checks["converged"]:
        return f"{found}, not converged"
    return f"{found}, converged {number(checks['converged_after_s'])} s after healing"
