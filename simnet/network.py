"""Virtual connections: ordered streams of bytes that are delayed, cut anew, and may break."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING

from protocol.inputs import Advertised
from protocol.messages import Address

if TYPE_CHECKING:
    from simnet.host import Host
    from simnet.world import World

#: After this long without a way through, TCP would have given up on bytes in flight.
CUT_NOTICED_US = 5_000_000


class Connection:
    """Two ends; ``ends[0]`` dialled."""

    def __init__(self, number: int, ends: tuple[Host, Host]) -> None:
        self.number = number
        self.ends = ends
        self.boots = (ends[0].boot, ends[1].boot)
        self.is_open = True
        self.arrives_us = [0, 0]

    def side_of(self, host: Host) -> int:
        """0 for the dialler, 1 for the listener."""
        return 0 if host is self.ends[0] else 1

    def is_current(self) -> bool:
        """Whether both hosts still run the program that opened it."""
        return self.is_open and self.boots == (self.ends[0].boot, self.ends[1].boot)


class Network:
    """Carries bytes between hosts, unless they are apart."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._random = world.random("network")
        self._groups: dict[int, int] = {}
        self._connections: dict[int, Connection] = {}
        self._numbers = count(1)
        self.carried_bytes = 0

    # --- Partitions -------------------------------------------------------------------------------

    def split(self, *groups: list[Host]) -> None:
        """Only hosts of one group reach each other; those in no group are one group too."""
        self._groups = {host.number: i + 1 for i, group in enumerate(groups) for host in group}
        for connection in list(self._connections.values()):
            if not self._reaches(*connection.ends):
                self._break_later(connection, CUT_NOTICED_US)

    def heal(self) -> None:
        """Everybody reaches everybody."""
        self._groups = {}

    def _reaches(self, one: Host, other: Host) -> bool:
        return self._groups.get(one.number, 0) == self._groups.get(other.number, 0)

    # --- Connections ------------------------------------------------------------------------------

    def dial(self, caller: Host, address: Address, board_id: bytes) -> None:
        """Connect, or let the caller know that nobody answers."""
        boot = caller.boot

        def arrive() -> None:
            callee = next((h for h in self._world.hosts if h.address == address), None)
            if caller.boot != boot or not caller.is_on:
                return
            if (
                callee is None
                or not callee.is_on
                or not self._reaches(caller, callee)
                or self._random.random() < self._world.faults.dial
            ):
                caller.dial_failed(board_id, address)
                return
            connection = Connection(next(self._numbers), (caller, callee))
            self._connections[connection.number] = connection
            self._world.note("open", connection.number, caller.number, callee.number)
            callee.accepted(connection, caller.source_address())
            caller.dialled(connection, address, board_id)

        self._world.after(2 * self._latency_us(), arrive)

    def send(self, connection: Connection, sender: Host, data: bytes) -> None:
        """Deliver to the other end, in order, later."""
        side = connection.side_of(sender)
        self.carried_bytes += len(data)
        for piece in self._rechunked(data):
            if self._random.random() < self._world.faults.break_:
                self._break_later(connection, self._latency_us())
                return
            arrives_us = self._world.now_us + self._latency_us()
            # A stream keeps its order: nothing overtakes what was sent before.
            arrives_us = max(arrives_us, connection.arrives_us[side])
            connection.arrives_us[side] = arrives_us
            self._world.after(
                arrives_us - self._world.now_us,
                lambda piece=piece: self._deliver(connection, sender, piece),  # type: ignore[misc]
            )

    def _deliver(self, connection: Connection, sender: Host, piece: bytes) -> None:
        if not connection.is_current():
            return
        if not self._reaches(*connection.ends):
            return  # held up by the cut; the break that is coming ends the connection
        side = connection.side_of(sender)
        self._world.note("bytes", connection.number, side, len(piece))
        connection.ends[1 - side].received(connection, piece)
        sender.sent(connection, len(piece))

    def close(self, connection: Connection, closer: Host) -> None:
        """One end closes; the other learns of it after what is still on the way."""
        side = connection.side_of(closer)
        delay_us = max(self._latency_us(), connection.arrives_us[side] - self._world.now_us)

        def arrive() -> None:
            if connection.number in self._connections:
                self._drop(connection)
                connection.ends[1 - side].closed(connection)

        self._world.after(delay_us, arrive)

    def host_died(self, host: Host) -> None:
        """Its sockets go with it."""
        for connection in list(self._connections.values()):
            if host in connection.ends:
                self._break_later(connection, self._latency_us())

    def _break_later(self, connection: Connection, delay_us: int) -> None:
        def break_() -> None:
            if connection.number in self._connections:
                self._drop(connection)
                for end in connection.ends:
                    end.closed(connection)

        self._world.after(delay_us, break_)

    def _drop(self, connection: Connection) -> None:
        connection.is_open = False
        del self._connections[connection.number]
        self._world.note("closed", connection.number)

    # --- Advertisements ---------------------------------------------------------------------------

    def advertise(self, sender: Host, advertised: Advertised) -> None:
        """Multicast on the segment: some miss it, some get it twice."""
        for host in self._world.hosts:
            if host is sender or not self._reaches(sender, host):
                continue
            faults = self._world.faults
            copies = 1 + (self._random.random() < faults.advert_copy)
            if self._random.random() < faults.advert_loss:
                copies = 0
            for _ in range(copies):
                self._world.after(
                    self._latency_us(),
                    lambda host=host: host.saw(advertised),  # type: ignore[misc]
                )

    # --- Chance -----------------------------------------------------------------------------------

    def _latency_us(self) -> int:
        return int(1000 * self._random.uniform(*self._world.faults.latency_ms))

    def _rechunked(self, data: bytes) -> list[bytes]:
        if len(data) < 2 or self._random.random() >= self._world.faults.rechunk:
            return [data]
        cut = self._random.randrange(1, len(data))
        return [data[:cut], data[cut:]]
