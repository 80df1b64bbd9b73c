"""Scenario files: TOML into frozen records, with every mistake told in one line.

A section of the file is a dataclass: its fields are the keys, their annotations say what is
allowed, their defaults are the defaults, and their ``:ivar`` lines say what they mean. The records
of other modules (faults, churn, workload, trouble, the options of adversaries) are sections as they
are, so a new field there is a new key here.

What an annotation can be: bool, int, float, str, a Literal of choices, ``Annotated[number, (least,
most)]``, a tuple of these (two numbers are a range, from low to high), a NamedTuple (an array with
its fields), or another dataclass (a table inside). Numbers without bounds are 0 or more. A
dataclass that raises ValueError from ``__post_init__`` refuses a combination.
"""

from __future__ import annotations

import difflib
import inspect
import math
import re
import tomllib
import types
import typing
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields, is_dataclass, replace
from pathlib import Path
from random import Random
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin

from protocol import limits
from protocol.board import Descriptor
from protocol.errors import Refused
from simnet import churn, topology, trouble, workload
from simnet.adversaries import ADVERSARIES
from simnet.faults import Faults
from simnet.strategies import STRATEGIES
from simnet.topology import HOME, LAN, ROUTED, LinkClass, Route, Topology

GALLERY = Path(__file__).parent / "scenarios"
STRATEGY_DEFAULT = "ours"
#: The one adversary that is no host.
OBSERVER = "observer"

Share = Annotated[float, (0.0, 1.0)]
Factor = Annotated[float, (0.01, 1000.0)]
Skew = Annotated[float, (-86_400.0, 86_400.0)]
Drift = Annotated[float, (-0.01, 0.01)]
Count = Annotated[int, (1, 100_000)]


class ScenarioError(Exception):
    """One line: the file, the key, what is wrong and what is allowed."""


# --- The sections ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class About:
    """What it is called and how long it lasts.

    :ivar name: one word, for tables and files.
    :ivar title: one line for people.
    :ivar story: what it shows and why one would run it.
    :ivar seconds: of simulated time, before the healing and the check of convergence.
    """

    name: str = ""
    title: str = ""
    story: str = ""
    seconds: Annotated[float, (1.0, 2_678_400.0)] = 600.0


@dataclass(frozen=True, slots=True)
class BoardOptions:
    """The board that all hosts are members of.

    :ivar name: of the board.
    :ivar work_bits: leading zero bits of each entry's id: what a post costs.
    :ivar retention_days: entries older than this are deleted everywhere.
    :ivar payload_bytes_max: the largest payload.
    """

    name: str = "simulated"
    work_bits: Annotated[int, (0, 20)] = 4
    retention_days: Annotated[int, (1, limits.RETENTION_DAYS_MAX)] = limits.RETENTION_DAYS_DEFAULT
    payload_bytes_max: Annotated[int, (limits.PAYLOAD_BYTES_LEAST, limits.PAYLOAD_BYTES_MOST)] = (
        limits.PAYLOAD_BYTES_DEFAULT
    )

    def __post_init__(self) -> None:
        try:
            self.descriptor()
        except Refused as refused:
            raise ValueError(f"name: {refused.detail}") from None

    def descriptor(self) -> Descriptor:
        """The board's descriptor."""
        return Descriptor(
            self.name,
            work_bits=self.work_bits,
            retention_days=self.retention_days,
            payload_bytes_max=self.payload_bytes_max,
        )


@dataclass(frozen=True, slots=True)
class NetworkOptions:
    """Who can reach whom, over what kind of link.

    :ivar topology: "lan": one segment; "subnets": segments joined by hosts that are on two;
        "campus": segments behind routers; "random-regular", "small-world" and "explicit": graphs
        without multicast, where nobody reaches anybody but their neighbours.
    :ivar segment_sizes: of subnets: hosts on each segment alone.
    :ivar bridges: of subnets: hosts on both of each two neighbouring segments.
    :ivar segment_hosts: of a campus: hosts on one segment.
    :ivar degree: of random-regular: everybody's neighbours.
    :ivar near: of small-world: neighbours on each side of the ring.
    :ivar rewired: of small-world: the share of edges that lead anywhere.
    :ivar edges: of explicit: pairs of hosts; the first dials.
    :ivar inside: links within a segment, or along an edge.
    :ivar between: of a campus: ways through the router.
    :ivar remote_share: of the hosts, those whose line is another one than the rest's.
    :ivar remote: that line: what they send, and as ``down`` what they get.
    """

    topology: Literal["lan", "subnets", "campus", "random-regular", "small-world", "explicit"] = (
        "lan"
    )
    segment_sizes: tuple[Count, ...] = ()
    bridges: Count = 1
    segment_hosts: Count = 25
    degree: Annotated[int, (1, 1000)] = 8
    near: Annotated[int, (1, 1000)] = 4
    rewired: Share = 0.1
    edges: tuple[tuple[int, int], ...] = ()
    inside: LinkClass = LAN
    between: Route = ROUTED
    remote_share: Share = 0.0
    remote: LinkClass = HOME


#: Keys that only one topology has.
_KEYS_OF_TOPOLOGY = {
    "segment_sizes": "subnets",
    "bridges": "subnets",
    "segment_hosts": "campus",
    "between": "campus",
    "degree": "random-regular",
    "near": "small-world",
    "rewired": "small-world",
    "edges": "explicit",
}


@dataclass(frozen=True, slots=True)
class HostsOptions:
    """The laptops. Ranges are drawn from uniformly, host by host.

    :ivar count: of all hosts, adversaries included.
    :ivar ciphers: "real", or "cheap": stand-ins for ciphers and signatures of the same sizes and
        failures, for large worlds.
    :ivar slowness: a factor on the time that a host's work takes.
    :ivar clock_skew_s: how far a host's wall clock is off.
    :ivar clock_drift: seconds that it gains each second.
    """

    count: Count = 20
    ciphers: Literal["real", "cheap"] = "real"
    slowness: tuple[Factor, Factor] = (1.0, 1.0)
    clock_skew_s: tuple[Skew, Skew] = (0.0, 0.0)
    clock_drift: tuple[Drift, Drift] = (0.0, 0.0)


@dataclass(frozen=True, slots=True)
class PublishingOptions:
    """How own entries leave a node.

    :ivar strategy: a name in simnet.strategies: "ours" is what the protocol does, the others are
        there to be compared with.
    """

    strategy: str = STRATEGY_DEFAULT


@dataclass(frozen=True, slots=True)
class ChecksOptions:
    """What must hold.

    :ivar invariants: whether every host is watched all the time; costs some speed.
    :ivar converge_within_s: once all is healed, every honest host has the same entries within so
        many simulated seconds; 0: not looked at.
    """

    invariants: bool = True
    converge_within_s: Annotated[float, (0.0, 86_400.0)] = 300.0


@dataclass(frozen=True, slots=True)
class ObserverOptions:
    """Sees when each packet is sent, by whom, to whom, and how long it is. It is no host, and there
    is one of it at most."""


@dataclass(frozen=True, slots=True)
class Adversary:
    """A kind of adversary and how many of them there are.

    :ivar name: in simnet.adversaries.
    :ivar count: how many hosts; 0 of the observer, which is none.
    :ivar options: of its own.
    """

    name: str
    count: int
    options: Any


@dataclass(frozen=True, slots=True)
class Scenario:
    """A whole file, every section with its defaults filled in."""

    scenario: About = field(default_factory=About)
    board: BoardOptions = field(default_factory=BoardOptions)
    network: NetworkOptions = field(default_factory=NetworkOptions)
    hosts: HostsOptions = field(default_factory=HostsOptions)
    churn: churn.Options = field(default_factory=churn.Options)
    workload: workload.Options = field(default_factory=workload.Options)
    faults: Faults = field(default_factory=Faults)
    trouble: trouble.Options = field(default_factory=trouble.Options)
    publishing: PublishingOptions = field(default_factory=PublishingOptions)
    checks: ChecksOptions = field(default_factory=ChecksOptions)
    adversaries: tuple[Adversary, ...] = ()

    @property
    def name(self) -> str:
        """One word."""
        return self.scenario.name

    @property
    def title(self) -> str:
        """One line."""
        return self.scenario.title

    @property
    def seconds(self) -> float:
        """Of simulated time."""
        return self.scenario.seconds

    @property
    def adversaries_count(self) -> int:
        """How many of the hosts are adversaries."""
        return sum(adversary.count for adversary in self.adversaries)

    def make_topology(self, random: Random) -> Topology:
        """The places of its hosts.

        :raises ValueError: where no such graph exists.
        """
        network, made = self.network, self._make_places(random)
        if not network.remote_share:
            return made
        return topology.with_remotes(made, network.remote, network.remote_share, random)

    def _make_places(self, random: Random) -> Topology:
        network, count = self.network, self.hosts.count
        match network.topology:
            case "lan":
                return topology.lan(count, network.inside)
            case "subnets":
                sizes = list(network.segment_sizes)
                return topology.subnets(sizes, network.bridges, network.inside)
            case "campus":
                return topology.campus(
                    count, network.segment_hosts, random, network.inside, network.between
                )
            case "random-regular":
                return topology.random_regular(count, network.degree, random, network.inside)
            case "small-world":
                return topology.small_world(
                    count, network.near, network.rewired, random, network.inside
                )
            case _:
                return topology.explicit(count, list(network.edges), network.inside)


# --- What other modules add -----------------------------------------------------------------------


def adversary_kinds() -> dict[str, type[Any]]:
    """Of each kind of adversary that a scenario can have, the record of its options."""
    return {name: kind.options for name, kind in ADVERSARIES.items()} | {OBSERVER: ObserverOptions}


def _describe_adversary(name: str) -> str:
    if name == OBSERVER:
        return _first_sentence(ObserverOptions)
    text = ADVERSARIES[name].description
    return f"{text[:1].upper()}{text[1:]}."


# --- Loading --------------------------------------------------------------------------------------


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


def of_settings(
    settings: Mapping[str, Any], origin: str = "settings", path: Path | None = None
) -> Scenario:
    """The scenario that tables describe: those of a file, or those of :func:`to_settings`.

    :param origin: the file's name in messages.
    :param path: the file, where there is one.
    :raises ScenarioError: what is wrong, in one line.
    """
    reader = _Reader(origin)
    sections = _section_types()
    reader.check_keys(settings, [*sections, "adversaries"], "")
    read: dict[str, Any] = {}
    for name, section in sections.items():
        read[name] = reader.record(section, settings.get(name, {}), name)
    made = Scenario(**read)
    adversaries = _read_adversaries(reader, settings.get("adversaries", {}), made.hosts.count)
    made = replace(made, adversaries=adversaries)
    if path is not None:
        made = _complete(made, path, reader)
    _check_whole(made, settings, reader)
    return made


def with_strategy(made: Scenario, strategy: str) -> Scenario:
    """The same scenario with another way of publishing.

    :raises ScenarioError: where there is none of that name.
    """
    if strategy not in STRATEGIES:
        raise ScenarioError(f"{strategy}: no such strategy; allowed: {', '.join(STRATEGIES)}")
    return replace(made, publishing=PublishingOptions(strategy))


def _section_types() -> dict[str, type[Any]]:
    return {
        "scenario": About,
        "board": BoardOptions,
        "network": NetworkOptions,
        "hosts": HostsOptions,
        "churn": churn.Options,
        "workload": workload.Options,
        "faults": Faults,
        "trouble": trouble.Options,
        "publishing": PublishingOptions,
        "checks": ChecksOptions,
    }


def _read_adversaries(reader: _Reader, tables: Any, hosts: int) -> tuple[Adversary, ...]:
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


def _read_count(reader: _Reader, table: Mapping[str, Any], where: str, hosts: int) -> int:
    if where == f"adversaries.{OBSERVER}":
        return 0
    if "count" in table and "share" in table:
        reader.fail(where, "has both count and share; allowed: one of them")
    if "share" in table:
        share = reader.value(Share, table["share"], f"{where}.share")
        return int(share * hosts + 0.5)
    count = reader.value(Annotated[int, (0, hosts)], table.get("count", 1), f"{where}.count")
    return int(count)


def _complete(made: Scenario, path: Path, reader: _Reader) -> Scenario:
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


def _check_whole(made: Scenario, settings: Mapping[str, Any], reader: _Reader) -> None:
    """What no section can see by itself."""
    for key in settings.get("network", {}):
        only = _KEYS_OF_TOPOLOGY.get(key)
        if only not in (None, made.network.topology):
            reader.fail(f"network.{key}", f'allowed only with topology = "{only}"')
    if "remote" in settings.get("network", {}) and "remote_share" not in settings["network"]:
        allowed = describe(Share, "remote_share")
        reader.fail("network.remote", f"whose line? remote_share is missing; allowed: {allowed}")
    if made.publishing.strategy not in STRATEGIES:
        names = ", ".join(f'"{name}"' for name in STRATEGIES)
        reader.fail("publishing.strategy", f"no such strategy; allowed: {names}")
    if made.adversaries_count >= made.hosts.count:
        reader.fail("adversaries", f"nobody honest is left among {made.hosts.count} hosts")
    if any(post.author >= made.hosts.count for post in made.workload.posts):
        reader.fail("workload.posts", f"authors must be below {made.hosts.count}")
    _check_places(made, reader)


def _check_places(made: Scenario, reader: _Reader) -> None:
    network, count = made.network, made.hosts.count
    match network.topology:
        case "subnets":
            segments = len(network.segment_sizes)
            places = sum(network.segment_sizes) + network.bridges * max(0, segments - 1)
            if segments < 2 or places != count:
                reader.fail(
                    "network.segment_sizes",
                    f"two segments or more; their hosts and the bridges must be {count} "
                    f"(hosts.count), and are {places}",
                )
        case "random-regular":
            if count * network.degree % 2 or network.degree >= count:
                reader.fail("network.degree", "below hosts.count, and degree times count even")
        case "small-world":
            if 2 * network.near >= count:
                reader.fail("network.near", f"below half of hosts.count ({count})")
        case "explicit":
            if not network.edges or any(
                one == other or max(one, other) >= count for one, other in network.edges
            ):
                reader.fail("network.edges", f"pairs [a, b] of two hosts, from 0 to {count - 1}")


# --- Settings back from a scenario ----------------------------------------------------------------


def to_settings(made: Scenario) -> dict[str, Any]:
    """All settings as JSON and TOML have them; :func:`of_settings` makes the same scenario again.
    Nothing in it depends on the machine."""
    settings = {name: _plain(getattr(made, name)) for name in _section_types()}
    for key, only in _KEYS_OF_TOPOLOGY.items():
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
        return {_key(one): _plain(getattr(value, one.name)) for one in fields(value)}
    if isinstance(value, tuple | list):
        return [_plain(part) for part in value]
    return value


# --- Reading a record -----------------------------------------------------------------------------


def _key(one: Field[Any]) -> str:
    """A field's key; ``break_`` is ``break``."""
    return one.name.rstrip("_")


def _default(one: Field[Any]) -> Any:
    return one.default_factory() if one.default_factory is not MISSING else one.default


class _Reader:
    """Turns tables into records, and says where a value is wrong."""

    def __init__(self, origin: str) -> None:
        self._origin = origin

    def fail(self, where: str, what: str) -> typing.NoReturn:
        raise ScenarioError(f"{self._origin}: {where}: {what}")

    def check_keys(self, table: Mapping[str, Any], known: list[str], where: str) -> None:
        for key in table:
            if key not in known:
                at = f"{where}.{key}" if where else f"[{key}]"
                what = "section" if not where else "key"
                allowed = ", ".join(sorted(known)) or "nothing"
                self.fail(at, f"no such {what}{_hint(key, known)}; allowed: {allowed}")

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
        by_key = {_key(one): one for one in fields(kind) if one.init}
        self.check_keys(table, [*by_key, *also], where)
        arguments: dict[str, Any] = {}
        for key, one in by_key.items():
            default = _default(one) if base is MISSING else getattr(base, one.name)
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
            self.fail(where, f"{_show(value)} does not do; allowed: {describe(hint, key)}")
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
        if _is_named_tuple(hint):
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
        return not _is_range(hints) or made[0] <= made[1], made


def _fit_number(base: Any, value: Any) -> tuple[bool, Any]:
    if base is float and type(value) in (int, float) and math.isfinite(value):
        return True, float(value)
    return base is int and type(value) is int, value


def _is_named_tuple(hint: Any) -> bool:
    return inspect.isclass(hint) and issubclass(hint, tuple) and hasattr(hint, "_fields")


def _bare(hint: Any) -> Any:
    return get_args(hint)[0] if get_origin(hint) is Annotated else hint


def _is_range(hints: tuple[Any, ...]) -> bool:
    return len(hints) == 2 and all(_bare(hint) is float for hint in hints)


# --- What is allowed, in words --------------------------------------------------------------------

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


def _hint(key: str, known: Iterable[str]) -> str:
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
    if _is_named_tuple(hint):
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
    if _is_range(hints):
        return f"a range [low, high], each {_describe(hints[0])}"
    return f"[{', '.join(_describe(hint) for hint in hints)}]"


def _show(value: Any) -> str:
    text = repr(value) if not isinstance(value, bool) else str(value).lower()
    return text if len(text) <= 40 else f"{text[:37]}..."


# --- Explaining -----------------------------------------------------------------------------------


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
    for name in _section_types():
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
                or _KEYS_OF_TOPOLOGY.get(setting.key.split(".")[0], only) == only
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
        value, key = getattr(record, one.name), prefix + _key(one)
        if is_dataclass(value) and not isinstance(value, type):
            found += _settings_of(value, f"{key}.")
            continue
        allowed = describe(hints[one.name], _key(one))
        meaning = meanings.get(one.name, "")
        found.append(Setting(key, value, value == _default(one), meaning, allowed))
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
