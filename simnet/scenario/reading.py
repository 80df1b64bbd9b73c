"""Tables into records, with every mistake told in one line.

What an annotation can be: bool, int, float, str, a Literal of choices, ``Annotated[number, (least,
most)]``, a tuple of these (two numbers are a range, from low to high), a NamedTuple (an array with
its fields), or another dataclass (a table inside). Numbers without bounds are 0 or more. A
dataclass that raises ValueError from ``__post_init__`` refuses a combination.
"""

from __future__ import annotations

import math
import types
import typing
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from simnet.scenario.annotations import default_of, is_named_tuple, is_range, key_of
from simnet.scenario.errors import ScenarioError
from simnet.scenario.wording import describe, hint_for, shown


class Reader:
    """Turns tables into records, and says where a value is wrong."""

    def __init__(self, origin: str) -> None:
        self._origin = origin

    def fail(self, where: str, what: str) -> typing.NoReturn:
        """:raises ScenarioError: with the file and the key."""
        raise ScenarioError(f"{self._origin}: {where}: {what}")

    def check_keys(self, table: Mapping[str, Any], known: list[str], where: str) -> None:
        """:raises ScenarioError: the table has a key that is not known; it says what was meant."""
        for key in table:
            if key not in known:
                at = f"{where}.{key}" if where else f"[{key}]"
                what = "section" if not where else "key"
                allowed = ", ".join(sorted(known)) or "nothing"
                self.fail(at, f"no such {what}{hint_for(key, known)}; allowed: {allowed}")

    def record(
        self,
        kind: type[Any],
        table: Any,
        where: str,
        also: tuple[str, ...] = (),
        base: Any = MISSING,
    ) -> Any:
        """An instance of a dataclass from a table.

        :param also: keys that are read elsewhere, for the message.
        :param base: has the values of keys that the table lacks; else the defaults of the class.
        """
        if not isinstance(table, Mapping):
            self.fail(where, "must be a table of settings")
        hints = typing.get_type_hints(kind, include_extras=True)
        by_key = {key_of(one): one for one in fields(kind) if one.init}
        self.check_keys(table, [*by_key, *also], where)
        arguments: dict[str, Any] = {}
        for key, one in by_key.items():
            default = default_of(one) if base is MISSING else getattr(base, one.name)
            if key in table:
                at = f"{where}.{key}"
                arguments[one.name] = self.value(hints[one.name], table[key], at, default)
            elif default is MISSING:
                self.fail(where, f"{key} is missing; allowed: {describe(hints[one.name], key)}")
            else:
                arguments[one.name] = default
        try:
            return kind(**arguments)
        except ValueError as error:
            self.fail(where, str(error))

    def value(self, hint: Any, value: Any, where: str, base: Any = MISSING) -> Any:
        """A value that fits an annotation."""
        if is_dataclass(hint):
            return self.record(typing.cast("type[Any]", hint), value, where, base=base)
        fits, made = self._fit(hint, value, where)
        if not fits:
            key = where.rpartition(".")[2]
            self.fail(where, f"{shown(value)} does not do; allowed: {describe(hint, key)}")
        return made

    def _fit(self, hint: Any, value: Any, where: str) -> tuple[bool, Any]:
        """Whether the value fits, and the value as it is used."""
        origin = get_origin(hint)
        if origin is Annotated:
            base, (least, most) = get_args(hint)[:2]
            fits, made = _fit_number(base, value)
            return fits and least <= made <= most, made
        if origin is Literal:
            return value in get_args(hint), value
        if origin in (Union, types.UnionType):
            return self._fit_union(get_args(hint), value, where)
        if origin is tuple:
            return self._fit_tuple(get_args(hint), value, where)
        if is_named_tuple(hint):
            parts = tuple(typing.get_type_hints(hint, include_extras=True).values())
            fits, made = self._fit_tuple(parts, value, where)
            return fits, hint(*made) if fits else None
        if hint in (int, float):
            fits, made = _fit_number(hint, value)
            return fits and made >= 0, made
        return type(value) is hint, value

    def _fit_union(self, hints: tuple[Any, ...], value: Any, where: str) -> tuple[bool, Any]:
        if value is None:
            return type(None) in hints, None
        for hint in hints:
            if is_dataclass(hint) and isinstance(value, Mapping):
                return True, self.record(typing.cast("type[Any]", hint), value, where)
            if not is_dataclass(hint) and hint is not type(None):
                fits, made = self._fit(hint, value, where)
                if fits:
                    return True, made
        return False, None

    def _fit_tuple(self, hints: tuple[Any, ...], value: Any, where: str) -> tuple[bool, Any]:
        if not isinstance(value, list | tuple):
            return False, None
        if len(hints) == 2 and hints[1] is Ellipsis:
            hints = (hints[0],) * len(value)
        if len(value) != len(hints):
            return False, None
        parts = [self._fit(hint, part, where) for hint, part in zip(hints, value, strict=True)]
        made = tuple(part for _, part in parts)
        if not all(fits for fits, _ in parts):
            return False, None
        return not is_range(hints) or made[0] <= made[1], made


def _fit_number(base: Any, value: Any) -> tuple[bool, Any]:
    if base is float and type(value) in (int, float) and math.isfinite(value):
        return True, float(value)
    return base is int and type(value) is int, value
