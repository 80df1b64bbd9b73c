"""Figures as people read them, and verdicts that follow from figures."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simnet.findings import (
    Finding,
    Trouble,
    Verdict,
    as_bytes,
    as_seconds,
    as_share,
    findings_of,
    labels_of,
    setting_of,
    troubles_of,
)
from tests.simnet.results import a_result, an_attack, nothing_happened


def plain(text: str) -> str:
    return text.replace("\N{NO-BREAK SPACE}", " ")


def finding(result: dict[str, Any], title: str) -> Finding:
    return next(found for found in findings_of(result) if found.title.startswith(title))


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (0.0034, "3.4 ms"),
        (0.053, "53 ms"),
        (1, "1 s"),
        (1.84, "1.8 s"),
        (95, "95 s"),
        (720, "12 min"),
        (5400, "90 min"),
        (10_800, "3 h"),
        (259_200, "3 days"),
        (None, "never"),
    ],
)
def test_durations_read_well(seconds: float | None, text: str) -> None:
    assert plain(as_seconds(seconds)) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (999, "999 B"), (1234, "1.2 kB"), (45_600, "46 kB"), (3e6, "3 MB"), (5e9, "5 GB")],
)
def test_sizes_read_well(count: float, text: str) -> None:
    assert plain(as_bytes(count)) == text


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (1.0, "100 %"),
        (0.99999, "99.99 %"),
        (0.9973, "99.7 %"),
        (0.5, "50 %"),
        (0.034, "3.4 %"),
        (0.00001, "0.1 %"),
        (0.0, "0 %"),
        (None, "–"),
    ],
)
def test_shares_read_well(share: float | None, text: str) -> None:
    assert plain(as_share(share)) == text


@given(st.floats(0, 1, exclude_min=True, exclude_max=True))
def test_only_all_is_called_all_and_only_nothing_nothing(share: float) -> None:
    assert plain(as_share(share)) not in ("100 %", "0 %")


def test_a_calm_world_is_good_in_every_respect() -> None:
    result = a_result(attacks=[an_attack(0.06)], observer={"auc": 0.51})
    found = findings_of(result)
    assert len(found) == 6
    assert {finding.verdict for finding in found} == {Verdict.GOOD}


@pytest.mark.parametrize(
    ("named", "verdict"),
    [(0.05, Verdict.GOOD), (0.12, Verdict.GOOD), (0.19, Verdict.FAIR), (0.21, Verdict.BAD)],
)
def test_naming_authors_is_judged_between_blind_guess_and_share_of_spies(
    named: float, verdict: Verdict
) -> None:
    result = a_result(attacks=[an_attack(0.05), an_attack(named, estimator="timing")])
    assert finding(result, "Can insiders").verdict is verdict


def test_an_estimator_that_had_nothing_to_name_proves_nothing() -> None:
    result = a_result(attacks=[{**an_attack(0.0), "entries": 0}])
    assert not any(found.title.startswith("Can insiders") for found in findings_of(result))


@pytest.mark.parametrize(
    ("auc", "verdict"),
    [(0.5, Verdict.GOOD), (0.6, Verdict.FAIR), (0.97, Verdict.BAD), (0.03, Verdict.BAD)],
)
def test_an_observer_is_worth_what_differs_from_a_coin(auc: float, verdict: Verdict) -> None:
    assert finding(a_result(observer={"auc": auc}), "Can the network").verdict is verdict


def test_a_broken_rule_is_bad_and_named() -> None:
    violation = {"at_s": 1.0, "host": 2, "rule": "own-early", "detail": ""}
    checks = {"violations": [violation], "converged": True, "converged_after_s": 1.0}
    found = finding(a_result(checks=checks), "Were all rules")
    assert found.verdict is Verdict.BAD and "own-early" in found.text


def test_no_agreement_at_the_end_is_bad() -> None:
    checks = {"violations": [], "converged": False, "converged_after_s": None}
    assert finding(a_result(checks=checks), "Were all rules").verdict is Verdict.BAD


def test_where_nothing_was_checked_nothing_is_claimed() -> None:
    checks = {"violations": [], "converged": None, "converged_after_s": None}
    scenario = {"scenario": {"name": "x"}, "checks": {"invariants": False}}
    titles = [found.title for found in findings_of(a_result(checks=checks, scenario=scenario))]
    assert "Were all rules kept?" not in titles


def test_lost_posts_are_bad_unless_laptops_were_closed() -> None:
    lost = a_result()
    lost["delivery"] |= {"delivered_share": 0.8, "on_share": 0.8}
    assert finding(lost, "Did posts").verdict is Verdict.BAD
    closed = a_result()
    closed["delivery"] |= {"delivered_share": 0.8, "on_share": 1.0}
    assert finding(closed, "Did posts").verdict is Verdict.GOOD
    assert "closed" in finding(closed, "Did posts").text


def test_what_was_simulated_is_told_with_its_adversaries() -> None:
    text = plain(setting_of(a_result()))
    assert text.startswith("14 laptops on 2 networks")
    assert "2 nodes of kind “spy”" in text and "6 posts were written" in text


def test_nobody_and_nothing_can_be_told_too() -> None:
    result = nothing_happened()
    assert "0 posts were" in plain(setting_of(result))
    assert [found.title for found in findings_of(result)] == ["Were all rules kept?"]


def test_troubles_join_each_beginning_with_its_end() -> None:
    faults = [
        {"at_s": 1, "what": "partition", "hosts": [1, 2]},
        {"at_s": 2, "what": "crash", "hosts": [3]},
        {"at_s": 3, "what": "crash", "hosts": [4]},
        {"at_s": 4, "what": "healed", "hosts": [1, 2]},
        {"at_s": 5, "what": "restart", "hosts": [3]},
        {"at_s": 6, "what": "clock -31 s", "hosts": [5]},
        {"at_s": 7, "what": "disk full", "hosts": [6]},
        {"at_s": 8, "what": "disk full over", "hosts": [6]},
        {"at_s": 9, "what": "crash", "hosts": [3]},
    ]
    assert troubles_of(a_result(faults=faults)) == [
        Trouble("partition", 1, 4),
        Trouble("crash", 2, 5),
        Trouble("crash", 3, None),
        Trouble("clock set wrong", 6, None),
        Trouble("disk full", 7, 8),
        Trouble("crash", 9, None),
    ]


def test_results_are_named_by_what_differs() -> None:
    assert labels_of([a_result()]) == ["ours"]
    assert labels_of([a_result(), a_result(strategy="gossip")]) == ["ours", "gossip"]
    assert labels_of([a_result(), a_result(seed=2)]) == ["seed 1", "seed 2"]
    assert labels_of([a_result(), a_result()]) == ["ours (1)", "ours (2)"]
    other = a_result()
    other["scenario"]["hosts"]["count"] = 32
    assert labels_of([a_result(), other]) == ["count 16", "count 32"]
