"""Settings as tables, as TOML and JSON have them: changed, and back from a scenario."""

from __future__ import annotations

import tomllib
from dataclasses import fields, is_dataclass
from typing import Any

from simnet.scenario.annotations import key_of
from simnet.scenario.errors import ScenarioError
from simnet.scenario.sections import KEYS_OF_TOPOLOGY
from simnet.scenario.whole import OBSERVER, Scenario, section_types


def change_setting(settings: dict[str, Any], change: str) -> None:
    """Apply ``section.key=value`` to the tables of a file.

    :raises ScenarioError: where it is not of that form.
    """
    key, equals, text = change.partition("=")
    parts = key.strip().split(".")
    if not equals or len(parts) < 2 or not all(parts):
        raise ScenarioError(f"{change!r} is not SECTION.KEY=VALUE, like hosts.count=50")
    table = settings
    for part in parts[:-1]:
        table = table.setdefault(part, {})
        if not isinstance(table, dict):
            raise ScenarioError(f"{key}: {part} is a setting and not a section")
    table[parts[-1]] = _toml_value(text.strip())


def _toml_value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text  # a word without quotation marks


def to_settings(made: Scenario) -> dict[str, Any]:
    """All settings as JSON and TOML have them; :func:`of_settings` makes the same scenario again.
    Nothing in it depends on the machine."""
    settings = {name: _plain(getattr(made, name)) for name in section_types()}
    for key, only in KEYS_OF_TOPOLOGY.items():
        if made.network.topology != only:
            del settings["network"][key]
    settings["adversaries"] = {
        adversary.name: _plain(adversary.options)
        | ({} if adversary.name == OBSERVER else {"count": adversary.count})
        for adversary in made.adversaries
    }
    return settings


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return {key_of(one): _plain(getattr(value, one.name)) for one in fields(value)}
    if isinstance(value, tuple | list):
        return [_plain(part) for part in value]
    return value
