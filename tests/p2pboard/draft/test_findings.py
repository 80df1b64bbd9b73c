"""What of all findings is told."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

from hypothesis import given
from hypothesis import strategies as st

from p2pboard.draft.findings import Finding, Kind, settle

GUIDE = Path(__file__).parents[3] / "docs" / "draft.md"
FINDINGS = st.builds(
    lambda kind, start, size: Finding(kind, start, start + size, "because"),
    st.sampled_from(get_args(Kind)),
    st.integers(0, 12),
    st.integers(1, 6),
)
LIKENESS = ("repeats", "resembles")


def test_the_guide_explains_each_kind_once() -> None:
    first_columns = re.findall(r"^\| ((?:`[a-z-]+`(?:, )?)+) \|", GUIDE.read_text("utf-8"), re.M)
    explained = [kind for column in first_columns for kind in re.findall(r"`(.+?)`", column)]
    assert sorted(explained) == sorted(get_args(Kind))


def test_what_is_inside_of_another_is_not_told() -> None:
    email, name = Finding("email", 0, 20, ""), Finding("full-name", 0, 4, "")
    assert settle([name, email]) == [email]


def test_what_only_overlaps_is_told() -> None:
    left, right = Finding("link", 0, 5, ""), Finding("email", 3, 8, "")
    assert settle([right, left]) == [left, right]


def test_a_name_in_a_passage_that_was_posted_before_is_told_too() -> None:
    passage, name = Finding("repeats", 0, 40, ""), Finding("full-name", 3, 7, "")
    assert settle([passage, name]) == [passage, name]


def test_of_two_on_one_place_the_first_kind_is_told() -> None:
    assert settle([Finding("phone", 0, 9, ""), Finding("id-number", 0, 9, "")]) == [
        Finding("id-number", 0, 9, "")
    ]


@given(st.lists(FINDINGS))
def test_all_that_is_found_is_told_or_inside_of_what_is(findings: list[Finding]) -> None:
    told = settle(findings)
    assert told == sorted(told, key=lambda finding: (finding.start, finding.end))
    assert set(told) <= set(findings)
    for finding in findings:
        assert any(
            other.start <= finding.start
            and finding.end <= other.end
            and (other.kind not in LIKENESS or finding.kind in LIKENESS)
            for other in told
        )
