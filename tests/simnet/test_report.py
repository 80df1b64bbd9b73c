"""The report: one file that holds all it shows, and hides nothing bad."""

from __future__ import annotations

import re
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

from simnet.report import (
    SIDE_BY_SIDE_MAX,
    VIOLATIONS_SHOWN_MAX,
    MissingExtra,
    render_report,
    write_report,
)
from tests.simnet.results import a_result, an_attack, nothing_happened

_VOID = {"meta", "img", "source", "br"}


class Page(HTMLParser):
    """Checks that tags close in order, and gathers what tests ask for."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in _VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, text: str) -> None:
        if not self.open or self.open[-1] != "style":
            self.text += text.replace("\N{NO-BREAK SPACE}", " ")

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


pytest.importorskip("matplotlib")


@pytest.fixture(autouse=True)
def blank(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawing takes seconds; what is around the pictures can be looked at without."""
    if "for_real" not in request.node.name:
        monkeypatch.setattr("simnet.pictures.paper._render", lambda *_: b"#26303a")


def test_a_report_tells_what_was_simulated_what_came_out_and_how_to_repeat_it() -> None:
    page = Page(render_report([a_result()]))
    for words in (
        "Two floors, one bridge.",
        "14 laptops on 2 networks",
        "Did posts arrive?",
        "How a post spreads",
        "How fast posts arrive",
        "What each node has to do",
        "What goes over the wire",
        "What happened when",
        "python -m simnet run two-floors --seed 1 --strategy ours",
        str(a_result()["trace_hash"]),
    ):
        assert words in page.text
    assert "Can anybody find out" not in page.text, "nobody tried"
    assert "Rules that were broken" not in page.text


def test_a_report_drawn_for_real_asks_nobody_for_anything() -> None:
    rendered = render_report([a_result(attacks=[an_attack(0.1)])])
    page = Page(rendered)
    for _, attributes in page.tags:
        for name in ("src", "srcset", "href", "data", "action"):
            assert (attributes.get(name) or "data:").startswith("data:")
    assert not page.all("script") and not page.all("link") and "@import" not in rendered
    assert not re.search(r"url\(", rendered)
    policy = [meta["content"] for meta in page.all("meta") if meta.get("http-equiv")]
    assert policy and str(policy[0]).startswith("default-src 'none'")


def test_every_picture_has_words_and_a_dark_side() -> None:
    page = Page(render_report([a_result(attacks=[an_attack(0.1)], observer={"auc": 0.6})]))
    images, sources = page.all("img"), page.all("source")
    assert len(images) >= 11
    assert all(len(image["alt"] or "") > 15 for image in images)
    assert sum(source["media"] == "(prefers-color-scheme: dark)" for source in sources) == len(
        images
    )


def test_what_a_scenario_says_is_text_never_markup() -> None:
    evil = "<script>alert(1)</script>"
    result = a_result(strategy=evil, attacks=[an_attack(0.1, estimator=evil)])
    result["scenario"]["scenario"] |= {"title": evil, "story": evil, "name": evil}
    result["scenario"][evil] = {evil: [evil]}
    result["faults"] = [{"at_s": 1.0, "what": evil, "hosts": [0]}]
    result["checks"]["violations"] = [{"at_s": 1.0, "host": 0, "rule": evil, "detail": evil}]
    result["hosts"][0]["role"] = evil
    assert not Page(render_report([result, a_result()])).all("script")
    assert not Page(render_report([result])).all("script")


def test_broken_rules_are_listed_up_to_a_bound() -> None:
    violations = [
        {"at_s": float(i), "host": i, "rule": "bound", "detail": f"detail {i}."} for i in range(40)
    ]
    checks = {"violations": violations, "converged": True, "converged_after_s": 0.0}
    page = Page(render_report([a_result(checks=checks)]))
    assert "40 violations" in page.text and "✗ bad" in page.text
    assert f"detail {VIOLATIONS_SHOWN_MAX - 1}." in page.text
    assert f"detail {VIOLATIONS_SHOWN_MAX}." not in page.text
    assert f"And {40 - VIOLATIONS_SHOWN_MAX} more." in page.text


def test_cheap_ciphers_are_confessed() -> None:
    assert "cheap stand-ins" in Page(render_report([a_result(ciphers="cheap")])).text
    assert "cheap stand-ins" not in Page(render_report([a_result()])).text


def test_several_results_stand_side_by_side() -> None:
    attacks = [an_attack(0.08)], [an_attack(0.45)]
    results = [
        a_result(strategy=name, attacks=rows)
        for name, rows in zip(("ours", "gossip"), attacks, strict=True)
    ]
    page = Page(render_report(results))
    assert "Two floors: 2 runs" in page.text
    assert "✓ 8.0 %" in page.text and "✗ 45 %" in page.text
    maps = [image for image in page.all("img") if str(image["alt"]).startswith("Map of")]
    assert len(maps) == 2


def test_of_a_long_sweep_only_some_have_maps_but_all_have_rows() -> None:
    results = [a_result(seed=seed) for seed in range(SIDE_BY_SIDE_MAX + 2)]
    page = Page(render_report(results))
    maps = [image for image in page.all("img") if str(image["alt"]).startswith("Map of")]
    assert len(maps) == SIDE_BY_SIDE_MAX and "Of 2 more runs no picture" in page.text
    assert f"seed {SIDE_BY_SIDE_MAX + 1}" in page.text


def test_baselines_are_seen_in_the_attack_alone() -> None:
    ours = a_result(attacks=[an_attack(0.08)])
    page = Page(render_report([ours], [a_result(strategy="gossip", attacks=[an_attack(0.45)])]))
    assert page.text.count("gossip") == 1, "in the attacks' table"
    assert "Two floors: " not in page.text


def test_a_run_without_a_post_can_be_reported() -> None:
    page = Page(render_report([nothing_happened()]))
    assert "0 posts were written" in page.text and "How a post spreads" not in page.text


def test_one_result_drawn_for_real_gives_one_page_to_the_byte(tmp_path: Path) -> None:
    write_report(a_result(), tmp_path / "one.html")
    write_report([a_result()], str(tmp_path / "two.html"))
    assert (tmp_path / "one.html").read_bytes() == (tmp_path / "two.html").read_bytes()


def test_a_report_of_nothing_is_misuse() -> None:
    with pytest.raises(ValueError, match="needs a result"):
        render_report([])


def test_without_matplotlib_one_line_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingExtra) as caught:
        write_report(a_result(), tmp_path / "report.html")
    assert "pip install 'p2pboard[sim]'" in str(caught.value) and "\n" not in str(caught.value)
    assert not (tmp_path / "report.html").exists()
