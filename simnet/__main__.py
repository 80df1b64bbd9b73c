"""``python -m simnet``: the simulator's command line.

A wrong use is one line on standard error and exit status 2; a scenario whose checks were violated
is exit status 1, with the command that shows it again.
"""

from __future__ import annotations

import json
import os
import shlex
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Never

import click
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, TextColumn
from rich.progress import Progress as Bar
from rich.table import Table
from rich.text import Text

from simnet.compare import Comparison, ResultError, Row, compare, read_result
from simnet.run import Progress, run_scenario
from simnet.scenario import (
    Scenario,
    ScenarioError,
    Setting,
    explain,
    gallery,
    load,
    with_strategy,
)
from simnet.trace import Line, TraceError, read_header, replay

PROGRAM = "python -m simnet"
DEBUG_VARIABLE = "SIMNET_DEBUG"
#: What shells give to a program that Ctrl-C ended (128 and the signal's number).
_INTERRUPTED = 130
_VIOLATIONS_SHOWN = 10
_USER_ERRORS = (ScenarioError, TraceError, ResultError)


class Program(click.Group):
    """The whole command line; the only place where errors end."""

    def main(self, args: Sequence[str] | None = None, *_: Any, **options: Any) -> Never:
        """Runs one command and ends the process with its exit status."""
        options |= {"standalone_mode": False, "prog_name": PROGRAM}
        sys.exit(_exit_status_of(partial(super().main, args, **options)))


def _exit_status_of(run: Callable[[], Any]) -> int:
    try:
        status = run()
    except SystemExit:
        raise
    except BaseException as error:  # noqa: BLE001 - the last line of defence against tracebacks
        return _complain(error)
    return status if isinstance(status, int) else 0


def _complain(error: BaseException) -> int:
    if isinstance(error, KeyboardInterrupt | click.Abort):
        return _INTERRUPTED
    if isinstance(error, BrokenPipeError):
        with suppress(OSError, ValueError):  # the interpreter's last flush must not fail
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    if os.environ.get(DEBUG_VARIABLE) == "1":
        traceback.print_exception(error)
    line, status = _line_and_status(error)
    click.echo(f"simnet: {' '.join(line.split())}", err=True)
    return status


def _line_and_status(error: BaseException) -> tuple[str, int]:
    if isinstance(error, _USER_ERRORS):
        return str(error), 2
    if isinstance(error, click.UsageError):
        path = error.ctx.command_path if error.ctx else PROGRAM
        return f"{error.format_message().rstrip('.')}; see '{path} --help'", 2
    if isinstance(error, click.ClickException):
        return error.format_message(), 2
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}", 2
    bug = f"this is a bug: {type(error).__name__}: {error}"
    return f"{bug}; please report it, with what {DEBUG_VARIABLE}=1 shows", 1


@click.group(cls=Program, context_settings={"help_option_names": ["-h", "--help"]})
def program() -> None:
    """A network of virtual laptops that run the real protocol, replayable to the byte.

    SCENARIO is a name that 'list' shows, or a path to a file.
    """


def _arguments(*decorators: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def decorate(command: Any) -> Any:
        for decorator in reversed(decorators):
            command = decorator(command)
        return command

    return decorate


_scenario_argument = click.argument("scenario")
_out_file = click.Path(dir_okay=False, path_type=Path)
_in_file = click.Path(dir_okay=False, exists=True, path_type=Path)
_changes_option = click.option(
    "--set",
    "changes",
    multiple=True,
    metavar="KEY=VALUE",
    help="Change a setting, like hosts.count=50; can be repeated.",
)
_strategy_option = click.option(
    "--strategy", metavar="NAME", help="Another way of publishing than the scenario's."
)
_seed_option = click.option(
    "--seed", type=click.IntRange(min=0), default=1, show_default=True, help="Decides everything."
)


# --- run ------------------------------------------------------------------------------------------


@program.command()
@_arguments(_scenario_argument, _seed_option, _strategy_option, _changes_option)
@click.option("--json", "json_file", type=_out_file, metavar="FILE", help="Write the result.")
@click.option("--report", type=_out_file, metavar="FILE.html", help="Write a report for people.")
@click.option(
    "--trace",
    type=_out_file,
    metavar="FILE",
    help="Write what spies and observer see, and the truth to FILE.truth.",
)
def run(
    scenario: str,
    seed: int,
    strategy: str | None,
    changes: tuple[str, ...],
    json_file: Path | None,
    report: Path | None,
    trace: Path | None,
) -> int:
    """Run a scenario, and tell what came of it."""
    made = _load(scenario, changes, strategy)
    _check_writable(json_file, report, trace)
    if report is not None and find_spec("matplotlib") is None:
        raise click.UsageError("--report needs matplotlib: pip install 'p2pboard[sim]'")
    with progress_bar(made.name) as progress:
        result = run_scenario(made, seed, trace=trace, progress=progress)
    _write_json(json_file, result)
    if report is not None:
        from simnet.report import write_report

        write_report(result, report)
    print_summary(made, result)
    return _judge(result, _again("run", scenario, seed, strategy, changes))


def _load(scenario: str, changes: Sequence[str], strategy: str | None = None) -> Scenario:
    made = load(scenario, changes)
    return made if strategy is None else with_strategy(made, strategy)


def _check_writable(*files: Path | None) -> None:
    """Before an hour of simulation, not after it."""
    for file in files:
        if file is not None and not file.parent.is_dir():
            raise click.BadParameter(f"there is no folder {file.parent}")


def _again(
    command: str, scenario: str, seed: int, strategy: str | None, changes: Sequence[str]
) -> str:
    """The one command that shows the same again."""
    words = [command, scenario, "--seed", str(seed)]
    words += ["--strategy", strategy] if strategy else []
    for change in changes:
        words += ["--set", change]
    return f"{PROGRAM} {shlex.join(words)}"


def _judge(result: dict[str, Any], again: str) -> int:
    violations = result["checks"]["violations"]
    if not violations:
        return 0
    for violation in violations[:_VIOLATIONS_SHOWN]:
        where = f"{violation['at_s']:.3f} s, host {violation['host']}"
        click.echo(f"violated: {where}: {violation['rule']}: {violation['detail']}", err=True)
    if len(violations) > _VIOLATIONS_SHOWN:
        click.echo(f"... and {len(violations) - _VIOLATIONS_SHOWN} more", err=True)
    click.echo(f"again: {again}", err=True)
    return 1


@contextmanager
def progress_bar(name: str) -> Iterator[Callable[[Progress], None] | None]:
    """What to tell progress to; nothing where nobody would see it."""
    out = Console(stderr=True)
    if not out.is_terminal:
        yield None
        return
    columns = ("{task.description}", "{task.fields[now]}", "{task.fields[rate]}")
    texts = [TextColumn(column) for column in columns]
    with Bar(texts[0], BarColumn(), *texts[1:], console=out, transient=True) as bar:
        task = bar.add_task(name, total=1.0, now="", rate="")

        def tell(progress: Progress) -> None:
            bar.update(
                task,
                completed=progress.simulated_s / progress.seconds,
                now=f"{clock(progress.simulated_s)} of {clock(progress.seconds)} simulated",
                rate=_rate(progress),
            )

        yield tell


def _rate(progress: Progress) -> str:
    ahead = "" if progress.remaining_s is None else f", {clock(progress.remaining_s)} to go"
    return f"{progress.events_per_s:,.0f} events/s{ahead}"


def clock(seconds: float) -> str:
    """Seconds as people write them: 1:02:03."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


# --- What a run says ------------------------------------------------------------------------------


def _console() -> Console:
    return Console(highlight=False, emoji=False)


def _table(*headings: str) -> Table:
    made = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for heading in headings:
        made.add_column(heading.lstrip(">"), justify="right" if heading[:1] == ">" else "left")
    return made


def print_summary(made: Scenario, result: dict[str, Any]) -> None:
    """The most important figures, as a person reads them."""
    out, rows = _console(), _table("", "")
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


def number(value: float | int | None) -> str:
    """With as many digits as a person wants to read; a dash for nothing."""
    if value is None:
        return "–"
    if isinstance(value, int) or abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def share(value: float | None) -> str:
    """A share as a percentage."""
    return "–" if value is None else f"{100 * value:.4g} %"


# --- list, explain --------------------------------------------------------------------------------


@program.command("list")
def list_() -> None:
    """List the scenarios of the gallery."""
    rows = _table("scenario", ">hosts", ">simulated", "")
    for name in gallery():
        made = load(name)
        rows.add_row(name, str(made.hosts.count), clock(made.seconds), escape(made.title))
    _console().print(rows)


@program.command("explain")
@_arguments(_scenario_argument, _changes_option)
def explain_(scenario: str, changes: tuple[str, ...]) -> None:
    """Say what a scenario is, with all its settings and what they mean."""
    made, out = _load(scenario, changes), _console()
    out.print(Text(made.title or made.name, style="bold"))
    if made.scenario.story:
        out.print(Text(" ".join(made.scenario.story.split())))
    out.print(Text(in_words(made)))
    for section, about, settings in explain(made):
        if section != "scenario":
            out.print()
            out.print(Text(f"[{section}] ", style="bold cyan") + Text(about))
            _print_settings(out, settings)


def _print_settings(out: Console, settings: Sequence[Setting]) -> None:
    rows = _table("", "", "", "")
    rows.show_header = False
    for setting in settings:
        allowed = f" ({setting.allowed})" if setting.allowed else ""
        rows.add_row(
            Text(f"  {setting.key}"),
            Text(toml_value(setting.value), style="" if setting.is_default else "bold yellow"),
            Text(setting.meaning) + Text(allowed, style="dim"),
        )
    if settings:
        out.print(rows)


def toml_value(value: Any) -> str:
    """A value as a scenario file has it, shortened where it is long."""
    if isinstance(value, tuple):
        text = f"[{', '.join(map(toml_value, value))}]"
    elif isinstance(value, float):
        text = f"{value:g}"
    else:
        text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 40 else f"{text[:37]}..."


def _rate_of(mbit: float) -> str:
    return f"{mbit:g} Mbit/s" if mbit else "any rate"


def in_words(made: Scenario) -> str:
    """A scenario in a few sentences."""
    count, network = made.hosts.count, made.network
    said = [
        f"{count} hosts on a network of the kind {network.topology}, {made.hosts.ciphers} ciphers, "
        f"for {clock(made.seconds)} (and the healing)."
    ]
    if network.remote_share:
        out, into = network.remote.bandwidth_mbit, network.remote.down.bandwidth_mbit
        said.append(
            f"{share(network.remote_share)} of them have another line, of {_rate_of(out)} out and "
            f"{_rate_of(into)} in."
        )
    if made.workload.trace:
        said.append(f"They write the {len(made.workload.posts)} posts of {made.workload.trace}.")
    else:
        rate, replies = made.workload.posts_per_hour, made.workload.replies_share
        said.append(f"They write {rate:g} posts an hour, {share(replies)} of them replies.")
    if made.churn.rhythm == "daily":
        start = clock(made.churn.start_hour * 3600)
        said.append(f"Laptops open and close by the day, which begins at {start}.")
    for adversary in made.adversaries:
        said.append(
            f"{adversary.count} of the hosts are {adversary.name}."
            if adversary.count
            else "An observer sees all packets."
        )
    said.append(f'Publishing: "{made.publishing.strategy}".')
    return " ".join(said)


# --- compare --------------------------------------------------------------------------------------


@program.command("compare")
@click.argument("a", type=_in_file)
@click.argument("b", type=_in_file)
@click.option("--all", "shows_all", is_flag=True, help="Figures that are the same, too.")
def compare_(a: Path, b: Path, shows_all: bool) -> None:
    """Set two results (of 'run --json') side by side."""
    comparison, out = compare(read_result(a), read_result(b)), _console()
    if comparison.is_same_run:
        out.print("the same run: all but the machine is equal")
    _print_rows(out, "settings that differ", comparison.settings, a, b)
    shown = [row for row in comparison.figures if shows_all or row.is_different]
    _print_rows(out, "figures", shown, a, b)
    _print_rows(out, "machine", _machine(comparison), a, b)


def _machine(comparison: Comparison) -> list[Row]:
    return [row for row in comparison.machine if row.is_different]


def _print_rows(out: Console, heading: str, rows: Sequence[Row], a: Path, b: Path) -> None:
    if not rows:
        return
    shown = _table(heading, f">{a.name}", f">{b.name}", ">change")
    for row in rows:
        change = "" if row.change is None else f"{100 * row.change:+.1f} %"
        shown.add_row(escape(row.name), _cell(row.a), _cell(row.b), change)
    out.print(shown)
    out.print()


def _cell(value: Any) -> str:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return number(value) if value is None or is_number else escape(str(value))


# --- replay ---------------------------------------------------------------------------------------


@program.command("replay")
@click.argument("trace", type=_in_file)
@click.option("--until", type=click.FloatRange(min=0), required=True, metavar="T", help="Seconds.")
@click.option("--node", type=click.IntRange(min=0), required=True, metavar="N", help="Which host.")
@click.option("--from", "from_s", type=click.FloatRange(min=0), default=0.0, metavar="T")
def replay_(trace: Path, until: float, node: int, from_s: float) -> None:
    """Run the world of a trace again, and tell what one node saw and did."""
    with progress_bar(f"node {node}") as progress:
        replay(read_header(trace), until, node, _print_line, from_s, progress)


def _print_line(line: Line) -> None:
    click.echo(f"{line.at_s:12.6f}  {line.kind:<5}  {line.text}")


# --- sweep, emulate -------------------------------------------------------------------------------


@program.command("sweep")
@_arguments(_scenario_argument, _strategy_option, _changes_option)
@click.option("--seeds", type=click.IntRange(min=1), default=5, show_default=True, metavar="N")
@click.option("--from", "first", type=click.IntRange(min=0), default=1, help="The first seed.")
@click.option(
    "--vary",
    "varied",
    multiple=True,
    metavar="KEY=A,B,C",
    help="Run with each of these values; can be repeated, for all combinations.",
)
@click.option("--scheduler", metavar="ADDRESS", help="Of a Dask cluster; else local processes.")
@click.option("--json", "json_file", type=_out_file, metavar="FILE", help="Write all results.")
def sweep_(
    scenario: str,
    strategy: str | None,
    changes: tuple[str, ...],
    seeds: int,
    first: int,
    varied: tuple[str, ...],
    scheduler: str | None,
    json_file: Path | None,
) -> None:
    """Run a scenario under many seeds and settings, on all processors or a cluster."""
    vary = [_parse_vary(one) for one in varied]
    for key, values in vary:
        for value in values:
            _load(scenario, [*changes, f"{key}={value}"], strategy)
    _load(scenario, changes, strategy)
    _check_writable(json_file)
    from simnet.sweep import sweep, table

    result = sweep(
        scenario,
        seeds=range(first, first + seeds),
        vary=vary,
        changes=changes,
        strategy=strategy,
        scheduler=scheduler,
    )
    _write_json(json_file, result)
    click.echo(table(result))


def _parse_vary(text: str) -> tuple[str, list[str]]:
    key, equals, values = text.partition("=")
    if not equals or not key or not values:
        raise click.BadParameter(f"{text!r} is not KEY=A,B,C, like hosts.count=20,50")
    return key, [value.strip() for value in values.split(",")]


@program.command("emulate")
@_arguments(_scenario_argument, _seed_option, _changes_option)
@click.option("--json", "json_file", type=_out_file, metavar="FILE", help="Write the result.")
def emulate_(scenario: str, seed: int, changes: tuple[str, ...], json_file: Path | None) -> None:
    """Play a scenario with real nodes, too, and tell how far the simulation is from them.

    Needs Linux, root and iproute2: nodes run in network namespaces of their own.
    """
    from simnet.emulate import Unplayable, emulate, table

    made = _load(scenario, changes)
    _check_writable(json_file)
    try:
        result = emulate(made, seed)
    except Unplayable as error:
        raise ScenarioError(str(error)) from None
    _write_json(json_file, result)
    click.echo(table(result))


def _write_json(file: Path | None, result: dict[str, Any]) -> None:
    if file is not None:
        file.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


def main() -> None:
    """Runs the command that the arguments name, and ends the process."""
    for stream in (sys.stdout, sys.stderr):
        # What a terminal can't show is replaced; that must not end a command.
        stream.reconfigure(errors="replace")  # type: ignore[union-attr]
    program()


if __name__ == "__main__":
    main()
