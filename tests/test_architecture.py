"""The arrows between packages and modules, and what the core may not touch."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import protocol

ROOT = Path(__file__).parent.parent
CORE = sorted((ROOT / "protocol").glob("*.py"))
#: All that the core uses: of the standard library, what computes and nothing else.
CORE_MAY_IMPORT = {
    *("__future__", "collections", "dataclasses", "enum", "typing"),
    *("base64", "binascii", "hashlib", "hmac", "ipaddress", "re", "struct", "unicodedata"),
    *("bisect", "functools", "heapq", "io", "itertools", "math", "operator"),
    *("cbor2", "nacl", "protocol"),
}
#: Of these, only that much: io for bytes in memory, PyNaCl without its own randomness.
CORE_MAY_IMPORT_ONLY = {
    "io": {"BytesIO"},
    "nacl": {"nacl.bindings", "nacl.exceptions"},
}
#: What reaches outside, or answers otherwise in each process (hash of a string, id).
CORE_MAY_NOT_CALL = {
    *("open", "print", "input", "eval", "exec", "compile", "__import__", "breakpoint"),
    *("hash", "id", "globals", "vars"),
}


def layers() -> list[str]:
    """The modules in the order of the table in the core's docstring."""
    rows = re.findall(r"^    ((?:\w+ ?)+)$", protocol.__doc__ or "", re.MULTILINE)
    return [name for row in rows for name in row.split()]


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), str(path))


def imports(path: Path) -> Iterator[tuple[str, str | None]]:
    """(module, name imported from it or None), also those inside of functions."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from ((alias.name, None) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import hides where it leads"
            assert node.module is not None
            yield from ((node.module, alias.name) for alias in node.names)


def core_imports(path: Path) -> set[str]:
    """The modules of the core that one of them imports."""
    found = set()
    for module, name in imports(path):
        if module == "protocol":
            found.add(str(name))
        elif module.startswith("protocol."):
            found.add(module.split(".")[1])
    return found


def packages_imported(package: str) -> dict[str, Path]:
    """Each top-level package that a package imports, and a file that does."""
    return {
        module.split(".")[0]: path
        for path in sorted((ROOT / package).rglob("*.py"))
        for module, _ in imports(path)
    }


def test_the_table_of_layers_names_each_module_once() -> None:
    modules = [path.stem for path in CORE if path.stem != "__init__"]
    assert sorted(layers()) == sorted(modules)


@pytest.mark.parametrize("path", CORE, ids=lambda path: path.stem)
def test_a_module_of_the_core_imports_only_what_stands_before_it(path: Path) -> None:
    order = layers()
    before = order[: order.index(path.stem)] if path.stem in order else []
    assert core_imports(path) <= set(before)


@pytest.mark.parametrize("path", CORE, ids=lambda path: path.stem)
def test_the_core_reads_no_clock_and_draws_no_chance_of_its_own(path: Path) -> None:
    for module, name in imports(path):
        package = module.split(".")[0]
        assert package in CORE_MAY_IMPORT, f"{path.stem} imports {module}"
        allowed = CORE_MAY_IMPORT_ONLY.get(package)
        assert allowed is None or {module, name} & allowed, f"{path.stem}: {module}.{name}"


@pytest.mark.parametrize("path", CORE, ids=lambda path: path.stem)
def test_the_core_does_no_input_and_no_output(path: Path) -> None:
    called = {
        node.func.id
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    assert not called & CORE_MAY_NOT_CALL


@pytest.mark.parametrize("path", CORE, ids=lambda path: path.stem)
def test_the_core_waits_for_nothing(path: Path) -> None:
    waiting = (ast.AsyncFunctionDef, ast.AsyncFor, ast.AsyncWith, ast.Await, ast.Global)
    assert not [node.lineno for node in ast.walk(tree(path)) if isinstance(node, waiting)]


@pytest.mark.parametrize("path", CORE, ids=lambda path: path.stem)
def test_the_core_judges_outside_input_by_no_assertion(path: Path) -> None:
    assert not [node.lineno for node in ast.walk(tree(path)) if isinstance(node, ast.Assert)]


def test_the_core_randomness_is_never_libsodiums() -> None:
    for path in CORE:
        assert "randombytes" not in path.read_text(), path


@pytest.mark.parametrize(
    ("package", "forbidden"),
    [
        ("protocol", {"p2pboard", "simnet", "bench", "tests"}),
        ("simnet", {"p2pboard", "bench", "tests"}),
        ("p2pboard", {"simnet", "bench", "tests"}),
    ],
)
def test_node_and_simulator_stand_on_the_core_and_not_on_each_other(
    package: str, forbidden: set[str]
) -> None:
    found = packages_imported(package)
    assert not {name: str(path) for name, path in found.items() if name in forbidden}


def test_one_module_of_each_driver_calls_the_core() -> None:
    callers = {
        str(path.relative_to(ROOT))
        for package in ("p2pboard", "simnet")
        for path in (ROOT / package).rglob("*.py")
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Attribute) and ast.unparse(node).endswith("node.handle")
    }
    assert callers == {"p2pboard/driver.py", "simnet/host.py"}
