"""Two results side by side: which settings differ, and what came out of it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

FORMAT = 1
#: What is measured, in the order of telling; lists of hosts, entries and arrivals are no figures.
_MEASURED = ("simulated_s", "events", "delivery", "redundancy", "traffic", "load", "checks")
_LISTS = frozenset({"curve", "over_time", "violations"})


class ResultError(Exception):
    """A file that holds no result of a run; one line."""


class Row(NamedTuple):
    """One figure of both.

    :ivar a, b: None where one of them lacks it.
    :ivar change: b against a, as a share of a; None where that says nothing.
    """

    name: str
    a: Any
    b: Any
    change: float | None

    @property
    def is_different(self) -> bool:
        """Whether the two are not the same."""
        return bool(self.a != self.b)


class Comparison(NamedTuple):
    """:ivar settings: those that differ.
    :ivar figures: all that were measured.
    :ivar machine: what depends on the machine.
    :ivar is_same_run: whether both are the same run, to the byte.
    """

    settings: list[Row]
    figures: list[Row]
    machine: list[Row]
    is_same_run: bool


def read_result(path: Path) -> dict[str, Any]:
    """The result that ``run --json`` wrote.

    :raises ResultError: where the file holds none.
    """
    try:
        result = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ResultError(f"{path}: {error.strerror or error}") from None
    except ValueError:
        result = None
    if not isinstance(result, dict) or "scenario" not in result or "delivery" not in result:
        raise ResultError(f"{path}: not a result of 'run --json'")
    if result.get("format") != FORMAT:
        raise ResultError(f"{path}: a result of another version; this one reads format {FORMAT}")
    return result


def compare(a: Mapping[str, Any], b: Mapping[str, Any]) -> Comparison:
    """Set two results side by side."""
    settings = _rows(dict(_settings(a)), dict(_settings(b)))
    without_machine = [{k: v for k, v in result.items() if k != "host"} for result in (a, b)]
    return Comparison(
        [row for row in settings if row.is_different],
        _rows(dict(figures(a)), dict(figures(b))),
        _rows(dict(_flat("host", a.get("host", {}))), dict(_flat("host", b.get("host", {})))),
        without_machine[0] == without_machine[1],
    )


def figures(result: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Every figure of a result by its name, like ``delivery.p50_s``."""
    for key in _MEASURED:
        yield from _flat(key, result.get(key))
    yield "checks.violations", len(result.get("checks", {}).get("violations", ()))
    yield "faults", len(result.get("faults", ()))
    for attack in result.get("attacks") or ():
        for key, value in attack.items():
            if key != "estimator":
                yield from _flat(f"attack {attack.get('estimator')}.{key}", value)
    yield from _flat("observer", result.get("observer") or {})


def _settings(result: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    yield "seed", result.get("seed")
    for section, settings in result["scenario"].items():
        yield from _flat(section, settings)


def _flat(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for key, part in value.items():
            if key not in _LISTS:
                yield from _flat(f"{name}.{key}", part)
    else:
        yield name, value


def _rows(a: Mapping[str, Any], b: Mapping[str, Any]) -> list[Row]:
    names = [*a, *(name for name in b if name not in a)]
    return [
        Row(name, a.get(name), b.get(name), _change(a.get(name), b.get(name))) for name in names
    ]


def _change(a: Any, b: Any) -> float | None:
    if not (_is_number(a) and _is_number(b)) or not a:
        return None
    return float((b - a) / a)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
