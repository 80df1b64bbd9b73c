"""The simulator's command line: what it prints, and how it ends."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from simnet.cli.program import program
from simnet.cli.wording import clock as as_clock
from simnet.compare import compare, read_result
from simnet.scenario import gallery

SCENARIO = """
[scenario]
title = "A small office"
seconds = 40

[hosts]
count = 4
ciphers = "cheap"

[workload]
posts_per_hour = 600
first_s = 15
quiet_s = 5
"""


@pytest.fixture
def scenario(tmp_path: Path) -> str:
    path = tmp_path / "small.toml"
    path.write_text(SCENARIO)
    return str(path)


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Any:
    def called(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            program(list(arguments))
        said = capsys.readouterr()
        return int(ended.value.code or 0), said.out, said.err

    return called


def test_alone_it_prints_its_help(call: Any) -> None:
    status, out, err = call()
    assert (status, err) == (0, "")
    assert "Commands:\n" in out and "explain" in out


def test_list_names_the_gallery(call: Any) -> None:
    status, out, _ = call("list")
    assert status == 0
    assert all(name in out for name in gallery())


@pytest.mark.parametrize("name", gallery())
def test_explain_tells_all_settings_and_what_they_mean(call: Any, name: str) -> None:
    status, out, err = call("explain", name)
    assert (status, err) == (0, "")
    for words in ("[network]", "[workload]", "posts_per_hour", "Of the whole board", "seconds"):
        assert words in out


def test_run_prints_a_summary_and_writes_the_result(
    call: Any, scenario: str, tmp_path: Path
) -> None:
    file = tmp_path / "result.json"
    status, out, err = call("run", scenario, "--seed", "3", "--json", str(file))
    assert (status, err) == (0, "")
    result = json.loads(file.read_text())
    assert result["seed"] == 3
    for words in ("A small office: 4 hosts", "cheap ciphers", "delivery", result["trace_hash"]):
        assert words in out


def test_set_changes_a_setting(call: Any, scenario: str) -> None:
    status, out, _ = call("run", scenario, "--set", "hosts.count=3", "--strategy", "gossip")
    assert status == 0
    assert "3 hosts" in out and "gossip" in out


def test_a_violation_is_exit_status_1_with_the_command_that_shows_it_again(
    call: Any, scenario: str
) -> None:
    # Nobody can converge with nobody in no time: the last post is on its way.
    changes = [
        "workload.posts_per_hour=36000",
        "workload.quiet_s=0",
        "network.inside.latency_ms=900",
        "checks.converge_within_s=0.5",
    ]
    options = [word for change in changes for word in ("--set", change)]
    status, _, err = call("run", scenario, "--seed", "2", *options)
    assert status == 1
    assert "violated: " in err and "not-converged" in err
    again = next(line for line in err.splitlines() if line.startswith("again: "))
    assert again.startswith(f"again: python -m simnet run {scenario} --seed 2 --set workload.")


@pytest.mark.parametrize(
    "arguments",
    [
        ["run"],
        ["run", "no-such-scenario"],
        ["run", "office-20", "--seed", "-1"],
        ["run", "office-20", "--set", "hosts.count=0"],
        ["run", "office-20", "--strategy", "shout"],
        ["run", "office-20", "--json", "/no/such/folder/result.json"],
        ["run", "office-20", "--no-such-option"],
        ["explain", "office-21"],
        ["compare", "a.json", "b.json"],
        ["replay", __file__, "--until", "3", "--node", "0"],
        ["replay", __file__, "--node", "0"],
        ["sweep", "office-20", "--vary", "hosts.count"],
        ["sweep", "office-20", "--vary", "hosts.count=20,none"],
        ["no-such-command"],
    ],
)
def test_a_wrong_use_is_one_line_and_exit_status_2(call: Any, arguments: list[str]) -> None:
    status, out, err = call(*arguments)
    assert (status, out) == (2, "")
    assert err.startswith("simnet: ") and err.count("\n") == 1


def test_compare_sets_two_results_side_by_side(call: Any, scenario: str, tmp_path: Path) -> None:
    files = [str(tmp_path / f"{name}.json") for name in "abc"]
    for file, seed, count in zip(files, ("1", "1", "2"), ("4", "4", "3"), strict=True):
        call("run", scenario, "--seed", seed, "--set", f"hosts.count={count}", "--json", file)
    status, out, _ = call("compare", files[0], files[1])
    assert status == 0 and "the same run" in out
    status, out, _ = call("compare", files[0], files[2])
    assert status == 0 and "the same run" not in out
    for words in ("settings that differ", "hosts.count", "a.json", "c.json", "-25.0 %", "events"):
        assert words in out
    comparison = compare(*(read_result(Path(file)) for file in (files[0], files[2])))
    assert [row.name for row in comparison.settings] == ["seed", "hosts.count"]


def test_replay_tells_what_a_node_saw(call: Any, scenario: str, tmp_path: Path) -> None:
    trace = str(tmp_path / "trace")
    assert call("run", scenario, "--trace", trace)[0] == 0
    status, out, _ = call("replay", trace, "--until", "12", "--node", "1")
    assert status == 0
    assert "advertises itself" in out and "is up" in out


def test_an_interrupt_is_no_bug(call: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("simnet.cli.run.run_scenario", interrupted)
    status, out, err = call("run", "office-20")
    assert (status, out, err.strip()) == (130, "", "")


def test_it_is_a_program() -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "simnet", "--help"], capture_output=True, text=True, check=True
    )
    for command in ("run", "list", "explain", "compare", "replay", "sweep", "emulate"):
        assert f"\n  {command} " in ran.stdout


@pytest.mark.parametrize(
    ("seconds", "clock"), [(0, "0:00"), (61.9, "1:01"), (3600, "1:00:00"), (37230, "10:20:30")]
)
def test_times_are_as_people_write_them(seconds: float, clock: str) -> None:
    assert as_clock(seconds) == clock
