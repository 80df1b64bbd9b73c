"""What goes wrong in a world, and when: drawn from its seed under one record of options.

:mod:`simnet.faults` says how bad ways and disks are all the time; this is about what happens at a
moment and lasts for a while: cuts, crashes, wrong clocks, full disks. Each kind of trouble comes at
random (a Poisson process) at its own rate, for the whole world; each has a generator of its own, so
that a change of one rate leaves the others where they were. All of it has passed by the time given,
but what is healed is only what was done here.

Cuts of the network are one at a time (a partition, an isolated host, a way that works in one
direction only, a host whose cable is loose): one that would begin during another is let pass.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from functools import partial
from random import Random
from typing import TYPE_CHECKING, Annotated, Any

from protocol.messages import Address
from simnet.faults import CALM
from simnet.host import Costs, Host
from simnet.network import Connection, Datagram

if TYPE_CHECKING:
    from simnet.world import World

#: A Poisson rate: so many an hour, in the whole world.
PerHour = Annotated[float, (0.0, 36_000.0)]
Seconds = Annotated[float, (0.0, 86_400.0)]
#: A quarter of the retention of the shortest board.
ClockSeconds = Annotated[float, (0.0, 21_600.0)]

_HOUR_S = 3600.0
#: An outsider records so much of a connection; the handshake is what counts.
_RECORDED_BYTES_MAX = 64 * 1024
_RECORDINGS_MAX = 32


@dataclass(frozen=True, slots=True)
class Options:
    """How often what happens, each a rate for each simulated hour, and how long it lasts.

    :ivar partitions: the hosts fall into two groups at random that don't reach each other.
    :ivar isolate: one host is cut off from all others.
    :ivar asymmetric: what one host sends to another does not arrive; the other way does.
    :ivar flapping: one host's cable is loose: off and on, some seconds each.
    :ivar crashes: power off without notice, and on again.
    :ivar clock_steps: a wall clock jumps to somewhere else within ``clock_s_max``.
    :ivar replays: an outsider dials with the recorded bytes of an earlier connection, to the same
        listener or to another.
    :ivar slow_readers: a host stops reading from its connections.
    :ivar full_disks: writes fail.
    :ivar slow_disks: writes take a hundred times as long.
    :ivar lasts_s_max: how long each lasts at most (a second at least).
    :ivar clock_s_max: how far a clock is off at most. Further than ten minutes, and two hosts may
        refuse each other's entries for a while; an hour, and they don't link.
    """

    partitions: PerHour = 0.0
    isolate: PerHour = 0.0
    asymmetric: PerHour = 0.0
    flapping: PerHour = 0.0
    crashes: PerHour = 0.0
    clock_steps: PerHour = 0.0
    replays: PerHour = 0.0
    slow_readers: PerHour = 0.0
    full_disks: PerHour = 0.0
    slow_disks: PerHour = 0.0
    lasts_s_max: Seconds = 30.0
    clock_s_max: ClockSeconds = 600.0


KINDS = tuple(
    option.name for option in fields(Options) if option.name not in ("lasts_s_max", "clock_s_max")
)

Happening = dict[str, Any]


def schedule(
    world: World, hosts: Sequence[Host], options: Options, until_s: float
) -> list[Happening]:
    """Let trouble come over ``hosts`` until ``until_s`` (virtual seconds since the world's start).

    :returns: a list that fills as things happen: ``{"at_s", "what", "hosts"}``, the end of each
        included.
    """
    return _Trouble(world, hosts, options, until_s).happened


def heal(world: World, hosts: Sequence[Host]) -> None:
    """Everything right again for these hosts: on, awake, reading, with a true clock and a good
    disk; nobody cut off; all ways calm. May be called again and again."""
    world.network.heal()
    world.faults = CALM
    for host in hosts:
        world.network.read_on(host)
        host.is_disk_full = False
        host.skew_s = host.drift = 0.0
        host.costs = replace(host.costs, disk_slowness=1.0)
        if not host.is_on:
            host.start()
        elif host.is_asleep:
            host.wake()


class _Trouble:
    def __init__(
        self, world: World, hosts: Sequence[Host], options: Options, until_s: float
    ) -> None:
        self.happened: list[Happening] = []
        self._world = world
        self._hosts = list(hosts)
        self._options = options
        self._until_us = int(until_s * 1_000_000)
        self._is_cut = False
        self._busy: set[tuple[str, int]] = set()
        self._recorder = _Recorder(world) if options.replays else None
        for kind in KINDS:
            rate = getattr(options, kind)
            if rate and self._hosts:
                self._next(kind, rate / _HOUR_S, world.random(f"trouble {kind}"))

    def _next(self, kind: str, rate: float, random: Random) -> None:
        def come() -> None:
            if self._world.now_us < self._until_us:
                begin: Callable[[Random], None] = getattr(self, f"_begin_{kind}")
                begin(random)
                self._next(kind, rate, random)

        self._world.after(int(1_000_000 * random.expovariate(rate)), come)

    def _note(self, what: str, *hosts: Host) -> None:
        numbers = [host.number for host in hosts]
        self.happened.append({"at_s": self._world.now_us / 1e6, "what": what, "hosts": numbers})
        self._world.note(f"trouble {what}", *numbers)

    def _later(self, random: Random, end: Callable[[], None]) -> None:
        """When it has lasted for its time, or at the end of all trouble."""
        lasts_us = int(1_000_000 * random.uniform(1.0, max(1.0, self._options.lasts_s_max)))
        self._world.after(min(lasts_us, max(0, self._until_us - self._world.now_us)), end)

    def _lasting(
        self,
        kind: str,
        host: Host,
        random: Random,
        begin: Callable[[], None],
        end: Callable[[], None],
    ) -> None:
        """One at a time for each host and kind."""
        if (kind, host.number) in self._busy:
            return

        def over() -> None:
            self._busy.discard((kind, host.number))
            self._note(f"{kind} over", host)
            end()

        self._busy.add((kind, host.number))
        self._note(kind, host)
        begin()
        self._later(random, over)

    # --- Cuts -------------------------------------------------------------------------------------

    def _cut(
        self, random: Random, what: str, hosts: Sequence[Host], cut: Callable[[], None]
    ) -> None:
        if self._is_cut or len(self._hosts) < 2:
            return
        self._is_cut = True
        self._note(what, *hosts)
        cut()
        self._later(random, partial(self._heal_cut, hosts))

    def _heal_cut(self, hosts: Sequence[Host]) -> None:
        self._is_cut = False
        self._world.network.heal()
        self._note("healed", *hosts)

    def _begin_partitions(self, random: Random) -> None:
        # Over everybody: adversaries are on one side or the other as well.
        everybody = self._world.hosts
        group = random.sample(everybody, random.randint(1, max(1, len(everybody) - 1)))
        self._cut(random, "partition", group, lambda: self._world.network.split(group))

    def _begin_isolate(self, random: Random) -> None:
        host = random.choice(self._hosts)
        self._cut(random, "isolated", [host], lambda: self._world.network.isolate(host))

    def _begin_asymmetric(self, random: Random) -> None:
        if len(self._hosts) > 1:
            one, other = random.sample(self._hosts, 2)
            self._cut(
                random, "one way", [one, other], lambda: self._world.network.block(one, other)
            )

    def _begin_flapping(self, random: Random) -> None:
        host = random.choice(self._hosts)
        network = self._world.network
        turns = random.randint(3, 8)

        def flap(turn: int) -> None:
            is_over = turn >= turns or self._world.now_us >= self._until_us
            if is_over or turn % 2:
                network.rejoin(host)
            else:
                network.isolate(host)
            if is_over:
                self._is_cut = False
                self._note("flapping over", host)
            else:
                left_us = max(0, self._until_us - self._world.now_us)
                wait_us = min(random.randint(500_000, 4_000_000), left_us)
                self._world.after(wait_us, partial(flap, turn + 1))

        if not self._is_cut:
            self._is_cut = True
            self._note("flapping", host)
            flap(0)

    # --- Hosts ------------------------------------------------------------------------------------

    def _begin_crashes(self, random: Random) -> None:
        running = [host for host in self._hosts if host.is_running]
        if running:
            host = random.choice(running)
            self._note("crash", host)
            host.crash()
            self._later(random, partial(self._restart, host, host.boot))

    def _restart(self, host: Host, boot: int) -> None:
        if not host.is_on and host.boot == boot:
            self._note("restart", host)
            host.start()

    def _begin_clock_steps(self, random: Random) -> None:
        host = random.choice(self._hosts)
        most_s = self._options.clock_s_max
        host.skew_s = random.uniform(-most_s, most_s)
        self._note(f"clock {host.skew_s:+.0f} s", host)

    def _begin_slow_readers(self, random: Random) -> None:
        host = random.choice(self._hosts)
        network = self._world.network
        self._lasting(
            "not reading",
            host,
            random,
            lambda: network.stop_reading(host),
            lambda: network.read_on(host),
        )

    def _begin_full_disks(self, random: Random) -> None:
        host = random.choice(self._hosts)

        def fill(is_full: bool) -> None:
            host.is_disk_full = is_full

        self._lasting("disk full", host, random, lambda: fill(True), lambda: fill(False))

    def _begin_slow_disks(self, random: Random) -> None:
        host = random.choice(self._hosts)

        def slow(factor: float) -> None:
            host.costs = replace(host.costs, disk_slowness=factor)

        usual = Costs().disk_slowness
        self._lasting("disk slow", host, random, lambda: slow(100.0), lambda: slow(usual))

    # --- Replays ----------------------------------------------------------------------------------

    def _begin_replays(self, random: Random) -> None:
        if self._recorder is None or not self._recorder.recordings:
            return
        recording = random.choice(self._recorder.recordings)
        listening = [host for host in self._hosts if host.is_running]
        is_same = random.random() < 0.5 and recording.listener.is_running
        if not is_same and not listening:
            return
        target = recording.listener if is_same else random.choice(listening)
        address = random.choice(list(target.addresses.values()))
        stranger = Stranger(self._world, recording.dialler, bytes(recording.sent))
        self._note("replay", target)
        stranger.call(address)


@dataclass(slots=True)
class _Recording:
    """What the dialler of a connection sent."""

    dialler: Host
    listener: Host
    sent: bytearray


class _Recorder:
    """Keeps the beginnings of the latest connections."""

    def __init__(self, world: World) -> None:
        self._open: dict[int, _Recording] = {}
        world.network.wiretaps.append(self._record)

    @property
    def recordings(self) -> list[_Recording]:
        return list(self._open.values())

    def _record(self, connection: Connection | Datagram, side: int, piece: bytes) -> None:
        if isinstance(connection, Datagram) or side or isinstance(connection.ends[0], Stranger):
            return
        if connection.number not in self._open:
            if len(self._open) >= _RECORDINGS_MAX:
                del self._open[next(iter(self._open))]
            self._open[connection.number] = _Recording(*connection.ends, bytearray())
        sent = self._open[connection.number].sent
        if len(sent) < _RECORDED_BYTES_MAX:
            sent += piece


class Stranger(Host):
    """Somebody on the network without the invite, at the place of another host: dials, says some
    bytes, and listens to what comes back.

    :ivar answered_bytes: what came back. To a stranger that is nothing, ever.
    :ivar is_closed: whether the other end has hung up.
    """

    role = "stranger"

    def __init__(self, world: World, place: Host, says: bytes) -> None:
        super().__init__(world, place.number, ())
        self.addresses = dict(place.addresses) or self._own_addresses()
        self.is_on = True
        self.answered_bytes = 0
        self.is_closed = False
        self._says = says

    def call(self, address: Address) -> None:
        """Dial, and say it."""
        self.world.network.dial(self, address, b"")

    def dialled(
        self, connection: Connection, address: Address, local: Address, board_id: bytes
    ) -> None:
        self.world.network.send(connection, self, self._says)

    def dial_failed(self, board_id: bytes, address: Address, boot: int) -> None:
        self.is_closed = True

    def received(self, connection: Connection, piece: bytes) -> None:
        self.answered_bytes += len(piece)

    def sent(self, connection: Connection, count: int) -> None:
        """It does not count."""

    def closed(self, connection: Connection) -> None:
        self.is_closed = True
