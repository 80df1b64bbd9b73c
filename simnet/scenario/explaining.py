"""What a scenario is, setting by setting, for people."""

from __future__ import annotations

import inspect
import re
import typing
from dataclasses import fields, is_dataclass
from typing import Any, NamedTuple

from simnet.adversaries import ADVERSARIES
from simnet.scenario.annotations import default_of, key_of
from simnet.scenario.sections import KEYS_OF_TOPOLOGY, ObserverOptions
from simnet.scenario.whole import OBSERVER, Scenario, section_types
from simnet.scenario.wording import describe


def _describe_adversary(name: str) -> str:
    if name == OBSERVER:
        return _first_sentence(ObserverOptions)
    text = ADVERSARIES[name].description
    return f"{text[:1].upper()}{text[1:]}."


class Setting(NamedTuple):
    """A setting for people: its key, its value, whether it is the default, what it means, and
    what is allowed."""

    key: str
    value: Any
    is_default: bool
    meaning: str
    allowed: str


def explain(made: Scenario) -> list[tuple[str, str, list[Setting]]]:
    """Each section: its name, what it is about, and its settings."""
    explained = []
    for name in section_types():
        record = getattr(made, name)
        explained.append((name, _first_sentence(type(record)), _settings_of(record)))
    for adversary in made.adversaries:
        count = Setting("count", adversary.count, False, "How many of the hosts are.", "")
        own = [count] if adversary.count else []
        own += _settings_of(adversary.options)
        about = _describe_adversary(adversary.name)
        explained.append((f"adversaries.{adversary.name}", about, own))
    only = made.network.topology
    return [
        (
            name,
            about,
            [
                setting
                for setting in settings
                if name != "network"
                or KEYS_OF_TOPOLOGY.get(setting.key.split(".")[0], only) == only
            ],
        )
        for name, about, settings in explained
    ]


def _settings_of(record: Any, prefix: str = "") -> list[Setting]:
    kind = type(record)
    hints = typing.get_type_hints(kind, include_extras=True)
    meanings = _meanings(kind)
    found = []
    for one in fields(kind):
        value, key = getattr(record, one.name), prefix + key_of(one)
        if is_dataclass(value) and not isinstance(value, type):
            found += _settings_of(value, f"{key}.")
            continue
        allowed = describe(hints[one.name], key_of(one))
        meaning = meanings.get(one.name, "")
        found.append(Setting(key, value, value == default_of(one), meaning, allowed))
    return found


def _first_sentence(kind: type[Any]) -> str:
    text = " ".join((inspect.getdoc(kind) or "").split(":ivar")[0].split())
    text = text.split(":param")[0].strip()
    return "" if text.startswith(f"{kind.__name__}(") else text


def _meanings(kind: type[Any]) -> dict[str, str]:
    """What the docstring's ``:ivar NAME:`` (or ``:param NAME:``) say, by name; its bases' too."""
    found = {}
    for base in reversed(kind.__mro__):
        text = inspect.cleandoc(base.__doc__ or "")
        said = re.finditer(r":(?:ivar|param) (\w+):(.*?)(?=\n\s*:\w+|;? :ivar|\Z)", text, re.S)
        for match in said:
            meaning = " ".join(match[2].split())
            found[match[1]] = meaning[:1].upper() + meaning[1:]
    return found
