"""What an annotation allows, and what was meant by a wrong key, as a person would say it."""

from __future__ import annotations

import difflib
import types
from collections.abc import Iterable
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from simnet.scenario.annotations import is_named_tuple, is_range

_UNITS = {
    "_s": "seconds",
    "_ms": "milliseconds",
    "_us": "microseconds",
    "_mbit": "megabit a second",
    "_bytes": "bytes",
    "_days": "days",
    "_hour": "hours",
    "_hours": "hours",
    "_minutes": "minutes",
    "_share": "a share",
    "_bits": "bits",
}


def _unit(key: str) -> tuple[str, str]:
    """A key without its unit, and the unit's suffix ("" where it has none)."""
    if key.endswith("_per_s"):
        return key, ""
    for suffix in sorted(_UNITS, key=len, reverse=True):
        if key.endswith(suffix) and len(key) > len(suffix):
            return key.removesuffix(suffix), suffix
    return key, ""


def hint_for(key: str, known: Iterable[str]) -> str:
    """What the writer may have meant."""
    known = list(known)
    stem, _ = _unit(key)
    for other in known:
        other_stem, suffix = _unit(other)
        if other_stem == stem and suffix:
            return f" (in {_UNITS[suffix]}: {other})"
    close = difflib.get_close_matches(key, known, 1)
    return f" (did you mean {close[0]}?)" if close else ""


def describe(hint: Any, key: str = "") -> str:
    """What an annotation allows, as a person would say it."""
    suffix = _unit(key)[1]
    unit = f" ({_UNITS[suffix]})" if suffix and suffix != "_share" else ""
    return _describe(hint) + unit


def _describe(hint: Any) -> str:
    origin = get_origin(hint)
    if origin is Literal:
        return ", ".join(f'"{choice}"' for choice in get_args(hint))
    if origin in (Union, types.UnionType):
        return " or ".join(_describe(part) for part in get_args(hint) if part is not type(None))
    if origin is tuple:
        return _describe_tuple(get_args(hint))
    if origin is Annotated:
        base, (least, most) = get_args(hint)[:2]
        return f"{_WORDS[base]} from {least:g} to {most:,g}".replace(",", "")
    if is_named_tuple(hint):
        return f"an array of {', '.join(hint._fields)}"
    if hint in (int, float):
        return f"{_WORDS[hint]}, 0 or more"
    return _WORDS.get(hint, "a table")


_WORDS = {
    int: "a whole number",
    float: "a number",
    str: "a text",
    bool: "true or false",
}


def _describe_tuple(hints: tuple[Any, ...]) -> str:
    if len(hints) == 2 and hints[1] is Ellipsis:
        return f"a list, each {_describe(hints[0])}"
    if is_range(hints):
        return f"a range [low, high], each {_describe(hints[0])}"
    return f"[{', '.join(_describe(hint) for hint in hints)}]"


def shown(value: Any) -> str:
    """A wrong value, as it was written and not too long."""
    text = repr(value) if not isinstance(value, bool) else str(value).lower()
    return text if len(text) <= 40 else f"{text[:37]}..."
