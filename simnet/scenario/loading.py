"""Scenarios from files: those of the gallery and people's own."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

from simnet import workload
from simnet.scenario.checking import check_whole
from simnet.scenario.errors import ScenarioError
from simnet.scenario.reading import Reader
from simnet.scenario.sections import PublishingOptions, Share
from simnet.scenario.settings import change_setting
from simnet.scenario.whole import OBSERVER, Adversary, Scenario, adversary_kinds, section_types
from simnet.strategies import STRATEGIES

GALLERY = Path(__file__).parents[1] / "scenarios"


def gallery() -> list[str]:
    """The names of the scenarios that come with the simulator."""
    return sorted(path.stem for path in GALLERY.glob("*.toml"))


def load(path_or_name: str | Path, changes: Iterable[str] = ()) -> Scenario:
    """A scenario of the gallery, by name, or a file, by path.

    :param changes: settings to change, each ``section.key=value`` with the value as in TOML.
    :raises ScenarioError: what is wrong, in one line.
    """
    path = _find(str(path_or_name))
    try:
        with path.open("rb") as file:
            settings = tomllib.load(file)
    except OSError as error:
        raise ScenarioError(f"{path}: {error.strerror or error}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ScenarioError(f"{path.name}: not TOML: {error}") from None
    for change in changes:
        change_setting(settings, change)
    return of_settings(settings, path.name, path)


def _find(path_or_name: str) -> Path:
    if path_or_name in gallery():
        return GALLERY / f"{path_or_name}.toml"
    path = Path(path_or_name)
    if not path.is_file():
        raise ScenarioError(
            f"{path_or_name}: neither a file nor in the gallery; there are {', '.join(gallery())}"
        )
    return path


def of_settings(
    settings: Mapping[str, Any], origin: str = "settings", path: Path | None = None
) -> Scenario:
    """The scenario that tables describe: those of a file, or those of :func:`to_settings`.

    :param origin: the file's name in messages.
    :param path: the file, where there is one.
    :raises ScenarioError: what is wrong, in one line.
    """
    reader = Reader(origin)
    sections = section_types()
    reader.check_keys(settings, [*sections, "adversaries"], "")
    read: dict[str, Any] = {}
    for name, section in sections.items():
        read[name] = reader.record(section, settings.get(name, {}), name)
    made = Scenario(**read)
    adversaries = read_adversaries(reader, settings.get("adversaries", {}), made.hosts.count)
    made = replace(made, adversaries=adversaries)
    if path is not None:
        made = complete(made, path, reader)
    check_whole(made, settings, reader)
    return made


def with_strategy(made: Scenario, strategy: str) -> Scenario:
    """The same scenario with another way of publishing.

    :raises ScenarioError: where there is none of that name.
    """
    if strategy not in STRATEGIES:
        raise ScenarioError(f"{strategy}: no such strategy; allowed: {', '.join(STRATEGIES)}")
    return replace(made, publishing=PublishingOptions(strategy))


def read_adversaries(reader: Reader, tables: Any, hosts: int) -> tuple[Adversary, ...]:
    """The adversaries that the tables describe."""
    if not isinstance(tables, Mapping):
        reader.fail("adversaries", "must be tables, like [adversaries.spies]")
    kinds = adversary_kinds()
    reader.check_keys(tables, list(kinds), "adversaries")
    found = []
    for name, table in tables.items():
        where = f"adversaries.{name}"
        also = () if name == OBSERVER else ("count", "share")
        if not isinstance(table, Mapping):
            reader.fail(where, "must be a table")
        rest = {key: value for key, value in table.items() if key not in also}
        options = reader.record(kinds[name], rest, where, also)
        found.append(Adversary(name, _read_count(reader, table, where, hosts), options))
    return tuple(found)


def _read_count(reader: Reader, table: Mapping[str, Any], where: str, hosts: int) -> int:
    if where == f"adversaries.{OBSERVER}":
        return 0
    if "count" in table and "share" in table:
        reader.fail(where, "has both count and share; allowed: one of them")
    if "share" in table:
        share = reader.value(Share, table["share"], f"{where}.share")
        return int(share * hosts + 0.5)
    count = reader.value(Annotated[int, (0, hosts)], table.get("count", 1), f"{where}.count")
    return int(count)


def complete(made: Scenario, path: Path, reader: Reader) -> Scenario:
    """Fill in what the file's name and the files that it names say."""
    if not made.scenario.name:
        made = replace(made, scenario=replace(made.scenario, name=path.stem))
    if made.workload.trace and not made.workload.posts:
        try:
            posts = workload.load_posts(path.parent / made.workload.trace, made.hosts.count)
        except (OSError, ValueError) as error:
            reader.fail("workload.trace", str(error))
        made = replace(made, workload=replace(made.workload, posts=posts))
    return made
