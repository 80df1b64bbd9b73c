"""What nodes show on the LAN, and what they make of what strangers show."""

from __future__ import annotations

from typing import Any

import ifaddr
import pytest
import trio
import trio.testing
import zeroconf
from hypothesis import given
from hypothesis import strategies as st

from p2pboard import discovery
from p2pboard.discovery import (
    SERVICE_TYPE,
    Discovery,
    decode_text,
    encode_text,
    own_addresses,
    read_service,
    resolve,
)
from protocol.directory import SALT_BYTES, TAG_BYTES
from protocol.inputs import Advertised
from protocol.messages import Address

SALT = bytes(range(SALT_BYTES))
TAGS = (bytes(TAG_BYTES), b"\xff" * TAG_BYTES)
GOOD = encode_text(SALT, TAGS)

# --- The record -----------------------------------------------------------------------------------


@given(
    st.binary(min_size=SALT_BYTES, max_size=SALT_BYTES),
    st.lists(st.binary(min_size=TAG_BYTES, max_size=TAG_BYTES), max_size=24).map(tuple),
)
def test_text_records_round_trip(salt: bytes, tags: tuple[bytes, ...]) -> None:
    text = encode_text(salt, tags)
    assert decode_text(text) == (salt, tags)
    assert all(len(key) + 1 + len(value or b"") <= 255 for key, value in text.items())


@pytest.mark.parametrize(
    "spoilt",
    [
        {},
        {b"v": None},
        {b"v": b"2"},
        {b"v": b""},
        {b"s": None},
        {b"s": SALT[:-1]},
        {b"s": SALT + b"x"},
        {b"t": bytes(TAG_BYTES - 1)},
        {b"t": bytes(TAG_BYTES * 65)},
    ],
)
def test_malformed_text_records_are_refused(spoilt: dict[bytes, bytes | None]) -> None:
    assert decode_text(GOOD | spoilt if spoilt else {}) is None


@given(
    st.dictionaries(
        st.sampled_from([b"v", b"s", b"t", b"x"]),
        st.one_of(st.none(), st.just(b"1"), st.just(SALT), st.binary(max_size=300)),
    )
)
def test_any_text_record_is_read_or_refused(text: dict[bytes, bytes | None]) -> None:
    read = decode_text(text)
    if read is not None:
        salt, tags = read
        assert len(salt) == SALT_BYTES
        assert all(len(tag) == TAG_BYTES for tag in tags)


def service(
    addresses: list[str], port: int = 4000, text: dict[bytes, bytes | None] = GOOD
) -> zeroconf.ServiceInfo:
    return zeroconf.ServiceInfo(
        SERVICE_TYPE,
        f"x.{SERVICE_TYPE}",
        port=port,
        properties=text,
        server="x.local.",
        parsed_addresses=addresses,
    )


def test_a_service_is_read_with_ipv4_first() -> None:
    read = read_service(service(["fd00::1", "10.0.0.1"]))
    assert read == Advertised((Address("10.0.0.1", 4000), Address("fd00::1", 4000)), SALT, TAGS)


def test_of_a_strangers_addresses_only_a_few_are_taken() -> None:
    read = read_service(service([f"10.0.0.{n}" for n in range(200)]))
    assert read is not None
    assert 0 < len(read.addresses) <= 8


def test_a_service_without_a_port_or_with_another_programs_record_is_nothing() -> None:
    assert read_service(service(["10.0.0.1"], port=0)) is None
    assert read_service(service(["10.0.0.1"], text={b"path": b"/"})) is None


class NoAnswer:
    """A zeroconf that no question gets as far as."""

    def __getattr__(self, name: str) -> Any:
        raise zeroconf.NotRunningException


@pytest.mark.parametrize(
    "name",
    [
        "someone._http._tcp.local.",
        f"{'x' * 70}.{SERVICE_TYPE}",
        f"\x01.{SERVICE_TYPE}",
        "..",
        ".",
        "",
        f"right.{SERVICE_TYPE}",
    ],
)
def test_a_name_that_a_stranger_made_up_is_nothing(name: str) -> None:
    assert resolve(NoAnswer(), name) is None  # type: ignore[arg-type]


# --- Own addresses --------------------------------------------------------------------------------


class Adapter:
    def __init__(self, *hosts: str) -> None:
        self.ips = [
            ifaddr.IP((host, 0, 0) if ":" in host else host, 64 if ":" in host else 24, "eth")
            for host in hosts
        ]


@pytest.mark.parametrize(
    ("hosts", "own"),
    [
        (["127.0.0.1", "192.168.1.20", "::1", "fe80::1", "fd00::1"], ["192.168.1.20", "fd00::1"]),
        (["127.0.0.1", "169.254.7.7"], ["169.254.7.7"]),
        (["127.0.0.1", "FE80::1"], ["FE80::1"]),
        (["127.0.0.1", "::1"], ["127.0.0.1"]),
        ([], ["127.0.0.1"]),
    ],
)
def test_own_addresses_are_the_best_there_are(
    monkeypatch: pytest.MonkeyPatch, hosts: list[str], own: list[str]
) -> None:
    monkeypatch.setattr(ifaddr, "get_adapters", lambda: [Adapter(*hosts)])
    assert own_addresses() == own


def test_own_addresses_are_few_and_in_a_fixed_order(monkeypatch: pytest.MonkeyPatch) -> None:
    hosts = [f"10.0.0.{n}" for n in range(50)]
    monkeypatch.setattr(ifaddr, "get_adapters", lambda: [Adapter(*hosts[:25]), Adapter(*hosts)])
    assert own_addresses() == sorted(hosts)[:8]


# --- Showing and looking --------------------------------------------------------------------------


class FakeZeroconf:
    """Notes what it is told; fails as often as it is told to."""

    failures = 0

    def __init__(self, *_: Any) -> None:
        self.registry = self
        self.shown: list[zeroconf.ServiceInfo] = []
        self.is_closed = False

    def async_get_info_name(self, _: str) -> Any:
        return self.shown[-1] if self.shown else None

    def register_service(
        self, info: zeroconf.ServiceInfo, cooperating_responders: bool = False
    ) -> None:
        if FakeZeroconf.failures:
            FakeZeroconf.failures -= 1
            raise zeroconf.EventLoopBlocked
        self.shown.append(info)

    def update_service(self, info: zeroconf.ServiceInfo) -> None:
        self.shown.append(info)

    def unregister_all_services(self) -> None:
        raise OSError("no network to say goodbye on")

    def close(self) -> None:
        self.is_closed = True


class FakeBrowser:
    def __init__(self, *_: Any, handlers: list[Any], **__: Any) -> None:
        self.tell = handlers[0]
        browsers.append(self)

    def cancel(self) -> None:
        browsers.remove(self)


browsers: list[FakeBrowser] = []


@pytest.fixture
def fakes(monkeypatch: pytest.MonkeyPatch) -> list[FakeZeroconf]:
    made: list[FakeZeroconf] = []

    def make(*arguments: Any) -> FakeZeroconf:
        made.append(FakeZeroconf(*arguments))
        return made[-1]

    monkeypatch.setattr(discovery, "Zeroconf", make)
    monkeypatch.setattr(discovery, "ServiceBrowser", FakeBrowser)
    monkeypatch.setattr(FakeZeroconf, "failures", 0)
    browsers.clear()
    return made


async def settled(is_so: Any) -> None:
    with trio.fail_after(60):
        while not is_so():
            await trio.testing.wait_all_tasks_blocked(0.001)


async def test_what_is_shown_is_random_and_says_nothing_of_the_machine(
    fakes: list[FakeZeroconf],
) -> None:
    names = set()
    for count in (1, 2):
        discovered = Discovery(4000, lambda _: None, lambda _: None)
        discovered.show(SALT, TAGS)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(discovered.run)
            await settled(lambda count=count: len(fakes) == count and fakes[-1].shown)
            assert discovered.is_working
            nursery.cancel_scope.cancel()
        (info,) = fakes[-1].shown
        names |= {info.name, info.server}
        assert decode_text(info.properties) == (SALT, TAGS)
        assert (info.port, fakes[-1].is_closed, browsers) == (4000, True, [])
        assert not discovered.is_working
    assert len(names) == 4


async def test_new_tags_take_the_place_of_old_ones_under_one_name(
    fakes: list[FakeZeroconf],
) -> None:
    discovered = Discovery(4000, lambda _: None, lambda _: None)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(discovered.run)
        for count, salt in enumerate((SALT, SALT[::-1]), 1):
            discovered.show(salt, TAGS)
            await settled(lambda count=count: fakes and len(fakes[0].shown) == count)
        nursery.cancel_scope.cancel()
    first, second = fakes[0].shown
    assert first.name == second.name
    assert decode_text(second.properties) == (SALT[::-1], TAGS)


async def test_a_record_that_could_not_be_shown_is_tried_again_and_said_in_one_line(
    fakes: list[FakeZeroconf], monkeypatch: pytest.MonkeyPatch
) -> None:
    FakeZeroconf.failures = 2
    monkeypatch.setattr(discovery, "_ADDRESSES_POLL_SECONDS", 0.02)
    said: list[str] = []
    discovered = Discovery(4000, lambda _: None, said.append)
    discovered.show(SALT, TAGS)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(discovered.run)
        await settled(lambda: fakes and fakes[0].shown)
        nursery.cancel_scope.cancel()
    assert said == ["others can't find this node by mDNS now (EventLoopBlocked)"] * 2


async def test_a_laptop_that_changes_networks_gets_new_sockets(
    fakes: list[FakeZeroconf], monkeypatch: pytest.MonkeyPatch
) -> None:
    here = ["10.0.0.1"]
    monkeypatch.setattr(discovery, "own_addresses", lambda: list(here))
    monkeypatch.setattr(discovery, "_ADDRESSES_POLL_SECONDS", 0.02)
    discovered = Discovery(4000, lambda _: None, lambda _: None)
    discovered.show(SALT, TAGS)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(discovered.run)
        await settled(lambda: fakes and fakes[0].shown)
        here[:] = ["10.9.9.9"]
        await settled(lambda: len(fakes) == 2 and fakes[1].shown)
        nursery.cancel_scope.cancel()
    assert fakes[0].is_closed
    assert fakes[1].shown[0].parsed_addresses() == ["10.9.9.9"]


async def test_where_there_is_no_multicast_it_says_so_and_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(*_: Any) -> Any:
        raise OSError(19, "No such device")

    monkeypatch.setattr(discovery, "Zeroconf", broken)
    said: list[str] = []
    discovered = Discovery(4000, lambda _: None, said.append)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(discovered.run)
        await settled(lambda: said)
        assert not discovered.is_working
        nursery.cancel_scope.cancel()
    assert said == ["mDNS does not work here (No such device); use --peer HOST:PORT"]


async def test_strangers_names_end_nothing_and_good_ones_are_found(
    fakes: list[FakeZeroconf], monkeypatch: pytest.MonkeyPatch
) -> None:
    made_up = ["x" * 80, "someone._http._tcp.local.", "."]
    good = f"good.{SERVICE_TYPE}"
    found: list[Advertised] = []
    asked: list[str] = []
    answered = Advertised((), SALT, TAGS)

    class Answered(zeroconf.ServiceInfo):
        def request(self, *_: Any) -> bool:
            asked.append(self.name)
            return True

    monkeypatch.setattr(discovery, "ServiceInfo", Answered)
    monkeypatch.setattr(discovery, "read_service", lambda _: answered)
    discovered = Discovery(4000, found.append, lambda _: None)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(discovered.run)
        await settled(lambda: browsers)
        added, removed = zeroconf.ServiceStateChange.Added, zeroconf.ServiceStateChange.Removed
        for name in made_up:
            browsers[0].tell(None, SERVICE_TYPE, name, added)
        browsers[0].tell(None, SERVICE_TYPE, discovered._instance, added)
        browsers[0].tell(None, SERVICE_TYPE, f"gone.{SERVICE_TYPE}", removed)
        browsers[0].tell(None, SERVICE_TYPE, good, added)
        await settled(lambda: found)
        nursery.cancel_scope.cancel()
    assert found == [answered]
    assert asked == [good]
