"""What is asked of a record's fields and their annotations."""

from __future__ import annotations

import inspect
from dataclasses import MISSING, Field
from typing import Annotated, Any, get_args, get_origin


def key_of(one: Field[Any]) -> str:
    """A field's key; ``break_`` is ``break``."""
    return one.name.rstrip("_")


def default_of(one: Field[Any]) -> Any:
    """A field's default; ``MISSING`` where it has none."""
    return one.default_factory() if one.default_factory is not MISSING else one.default


def is_named_tuple(hint: Any) -> bool:
    """Whether an annotation is a NamedTuple."""
    return inspect.isclass(hint) and issubclass(hint, tuple) and hasattr(hint, "_fields")


def bare(hint: Any) -> Any:
    """An annotation without its bounds."""
    return get_args(hint)[0] if get_origin(hint) is Annotated else hint


def is_range(hints: tuple[Any, ...]) -> bool:
    """Whether parts of a tuple are two numbers, from low to high."""
    return len(hints) == 2 and all(bare(hint) is float for hint in hints)
