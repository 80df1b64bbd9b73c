"""Finding nodes on the LAN by mDNS (RFC 6762, 6763), and being found.

What a node shows is random at each start: its instance name, its host name, a salt, and tags that
only members can tell boards by (SPEC.md, "Discovery"). Nothing of the machine, its user or its
boards is in any packet. zeroconf runs on a thread of its own; what it finds is bridged into trio.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from contextlib import suppress

import ifaddr
import trio
from zeroconf import (
    DNSQuestionType,
    Error,
    InterfaceChoice,
    IPVersion,
    ServiceBrowser,
    ServiceInfo,
    ServiceStateChange,
    Zeroconf,
)

from p2pboard.transport import plain_host
from protocol.directory import SALT_BYTES, TAG_BYTES, is_worth_telling
from protocol.inputs import Advertised
from protocol.messages import Address

SERVICE_TYPE = "_p2pboard._tcp.local."
TXT_VERSION = b"1"
#: Advertisements by hostile hosts are as long as they like; ours are some 100 bytes.
_TAGS_MAX = 64
_ADDRESSES_MAX = 8
_NAMES_QUEUED_MAX = 256
_RESOLVERS = 4
_RESOLVE_MS_MAX = 3_000
_ADDRESSES_POLL_SECONDS = 10.0
#: What goes wrong around zeroconf: its own errors, the system's (a network that is gone, a thread
#: that did not answer in time), and bytes of strangers that are not text.
TROUBLES = (Error, OSError, ValueError)

#: A salt and tags.
Shown = tuple[bytes, tuple[bytes, ...]]


def encode_text(salt: bytes, tags: tuple[bytes, ...]) -> dict[bytes, bytes | None]:
    """The TXT record. Two keys at most, each under 255 bytes: DNS-SD's limit for one string."""
    return {b"v": TXT_VERSION, b"s": salt, b"t": b"".join(tags)}


def decode_text(properties: dict[bytes, bytes | None]) -> Shown | None:
    """Salt and tags, or None where the record is not of this version or not well-formed."""
    salt, joined = properties.get(b"s") or b"", properties.get(b"t") or b""
    if properties.get(b"v") != TXT_VERSION or len(salt) != SALT_BYTES:
        return None
    if len(joined) % TAG_BYTES or len(joined) // TAG_BYTES > _TAGS_MAX:
        return None
    return salt, tuple(joined[i : i + TAG_BYTES] for i in range(0, len(joined), TAG_BYTES))


class Discovery:
    """One node's presence on the LAN, and its view of others'.

    :param port: where the node listens.
    :param on_found: called, on the trio thread, with each advertisement seen.
    :param on_trouble: called with one line where mDNS does not work (no network, say).
    """

    def __init__(
        self,
        port: int,
        on_found: Callable[[Advertised], None],
        on_trouble: Callable[[str], None],
    ) -> None:
        self._port = port
        self._on_found = on_found
        self._on_trouble = on_trouble
        self._instance = f"{secrets.token_hex(8)}.{SERVICE_TYPE}"
        self._host = f"{secrets.token_hex(8)}.local."
        self._wanted: Shown | None = None
        self._wake = trio.Event()
        self.is_working = False

    def show(self, salt: bytes, tags: tuple[bytes, ...]) -> None:
        """Show these tags from now on."""
        self._wanted = (salt, tags)
        self._wake.set()

    async def run(self) -> None:
        """Show and look until cancelled. A laptop that changes networks gets new sockets."""
        while True:
            addresses = own_addresses()
            zeroconf = await self._open()
            self.is_working = zeroconf is not None
            try:
                if zeroconf is None:
                    await self._until_addresses_differ(addresses)
                else:
                    await self._serve(zeroconf, addresses)
            finally:
                self.is_working = False
                if zeroconf is not None:
                    with trio.CancelScope(shield=True):
                        await trio.to_thread.run_sync(_close, zeroconf)

    async def _open(self) -> Zeroconf | None:
        for version in (IPVersion.All, IPVersion.V4Only):  # Often IPv6 alone is switched off.
            try:
                return await trio.to_thread.run_sync(Zeroconf, InterfaceChoice.All, False, version)
            except TROUBLES as error:
                why = _why(error)
        self._on_trouble(f"mDNS does not work here ({why}); use --peer HOST:PORT")
        return None

    async def _serve(self, zeroconf: Zeroconf, addresses: list[str]) -> None:
        names, to_resolve = trio.open_memory_channel[str](_NAMES_QUEUED_MAX)
        browser = _browse(zeroconf, names, self._instance)
        try:
            async with trio.open_nursery() as nursery:
                for _ in range(_RESOLVERS):
                    nursery.start_soon(self._resolve_each, zeroconf, to_resolve)
                await self._show_until_addresses_differ(zeroconf, addresses)
                nursery.cancel_scope.cancel()
        finally:
            with trio.CancelScope(shield=True):
                await trio.to_thread.run_sync(browser.cancel)

    async def _show_until_addresses_differ(self, zeroconf: Zeroconf, addresses: list[str]) -> None:
        shown: Shown | None = None
        while own_addresses() == addresses:
            self._wake = trio.Event()
            wanted = self._wanted
            if wanted is not None and wanted != shown:
                try:
                    await trio.to_thread.run_sync(self._register, zeroconf, wanted, addresses)
                    shown = wanted
                except TROUBLES as error:
                    self._on_trouble(f"others can't find this node by mDNS now ({_why(error)})")
            with trio.move_on_after(_ADDRESSES_POLL_SECONDS):
                await self._wake.wait()

    async def _until_addresses_differ(self, addresses: list[str]) -> None:
        # No system tells portably that an address has changed, so we look.
        while own_addresses() == addresses:  # noqa: ASYNC110
            await trio.sleep(_ADDRESSES_POLL_SECONDS)

    def _register(self, zeroconf: Zeroconf, shown: Shown, addresses: list[str]) -> None:
        info = ServiceInfo(
            SERVICE_TYPE,
            self._instance,
            port=self._port,
            properties=encode_text(*shown),
            server=self._host,
            parsed_addresses=addresses,
        )
        if zeroconf.registry.async_get_info_name(self._instance.lower()) is None:
            # The name is random, so nobody has it: no probing, which would take a second and more.
            zeroconf.register_service(info, cooperating_responders=True)
        else:
            zeroconf.update_service(info)

    async def _resolve_each(
        self, zeroconf: Zeroconf, to_resolve: trio.MemoryReceiveChannel[str]
    ) -> None:
        async for name in to_resolve:
            # Abandoned rather than waited for: the name of a node that is gone takes seconds.
            found = await trio.to_thread.run_sync(resolve, zeroconf, name, abandon_on_cancel=True)
            if found is not None:
                self._on_found(found)


def _browse(
    zeroconf: Zeroconf, names: trio.MemorySendChannel[str], own_instance: str
) -> ServiceBrowser:
    token = trio.lowlevel.current_trio_token()

    def queue(name: str) -> None:
        # A flood of names drops names; the browser repeats itself.
        with suppress(trio.WouldBlock, trio.BrokenResourceError, trio.ClosedResourceError):
            names.send_nowait(name)

    def on_change(
        zeroconf: Zeroconf, service_type: str, name: str, state_change: ServiceStateChange
    ) -> None:
        # Runs on zeroconf's thread, for whatever anybody on the LAN sends.
        if state_change is not ServiceStateChange.Removed and name != own_instance:
            with suppress(trio.RunFinishedError):
                token.run_sync_soon(queue, name)

    # Multicast questions with multicast answers: a unicast answer would reach only one of several
    # programs that share port 5353.
    return ServiceBrowser(
        zeroconf, SERVICE_TYPE, handlers=[on_change], question_type=DNSQuestionType.QM
    )


def resolve(zeroconf: Zeroconf, name: str) -> Advertised | None:
    """What the service of that name says, asking the LAN for it; None where it says nothing, or
    the name can't be one of ours: anybody may claim any name to be a service of our type."""
    try:
        info = ServiceInfo(SERVICE_TYPE, name)
        return read_service(info) if info.request(zeroconf, _RESOLVE_MS_MAX) else None
    except TROUBLES:
        return None


def read_service(info: ServiceInfo) -> Advertised | None:
    """What a resolved service says, or None where it is not one of ours or not well-formed."""
    text = decode_text(info.properties)
    if text is None or not info.port:
        return None
    hosts = [plain_host(host) for host in info.parsed_scoped_addresses()][:_ADDRESSES_MAX]
    # IPv4 first: on office networks IPv6 between clients is the more often filtered of the two.
    hosts.sort(key=lambda host: ":" in host)
    return Advertised(tuple(Address(host, info.port) for host in hosts), *text)


def own_addresses() -> list[str]:
    """This machine's addresses that other hosts may reach, sorted; loopback only where there is
    nothing else (two nodes on a laptop without a network)."""
    hosts = set()
    for adapter in ifaddr.get_adapters():
        for ip in adapter.ips:
            hosts.add(ip.ip if isinstance(ip.ip, str) else ip.ip[0])
    usable = [host for host in hosts if is_worth_telling(Address(host, 0))]
    linklocal = [host for host in hosts if host.lower().startswith(("fe80:", "169.254."))]
    return sorted(usable or linklocal or ["127.0.0.1"])[:_ADDRESSES_MAX]


def _close(zeroconf: Zeroconf) -> None:
    with suppress(*TROUBLES):  # no network to say goodbye on, say
        zeroconf.unregister_all_services()
    zeroconf.close()


def _why(error: Exception) -> str:
    return getattr(error, "strerror", None) or type(error).__name__
