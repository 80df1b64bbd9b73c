"""Virtual connections: ordered streams of bytes that take time, queue, are cut anew, and may break;
and datagrams, which may be lost, overtaken and doubled.

What a way is like comes from the topology, what goes wrong from the world's faults. A piece of a
stream that is lost is sent again, so loss shows as delay, of it and of all behind it; where no
way is left for some seconds, the connection breaks. A datagram that is lost is lost.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, NamedTuple

from protocol.inputs import Advertised
from protocol.messages import Address
from simnet.topology import Down, LinkClass

if TYPE_CHECKING:
    from simnet.host import Host
    from simnet.world import World

#: After this long without a way through, a program gives up on a connection that TCP would hold.
CUT_NOTICED_US = 5_000_000
#: A lost piece is sent again after this; Linux's least is 200 ms.
RESEND_US = 200_000
#: What a receiver that does not read takes in all the same, for each connection: the buffers of
#: both systems. Guess (Linux's begin at some 85 KB and grow).
UNREAD_BYTES_MAX = 128 * 1024
#: Datagrams that wait for a receiver that does not read; more are lost. Linux has 212,992 bytes for
#: a socket (net.core.rmem_default), and counts some 2.3 KB for a datagram of a full frame.
UNREAD_DATAGRAMS_MAX = 90
#: What IPv4 and UDP add to a datagram (RFC 791, RFC 768).
DATAGRAM_HEADERS_BYTES = 20 + 8
#: The port that dials come from; one for all, because nobody tells connections apart by it.
DIALLING_PORT = 50_000
#: Where a datagram goes to whose address nobody listens at.
NOBODY = -1
#: A dial that meets silence fails after this.
DIAL_SILENCE_US = 8_000_000


class Packet(NamedTuple):
    """What somebody sees who sees every packet: when, from whom, to whom, how long. Not what.

    :ivar destination: :data:`NOBODY` for a datagram that nobody listens for.
    :ivar bytes: of a stream, its own alone; of a datagram, with the headers of IP and UDP.
    """

    at_us: int
    source: int
    destination: int
    bytes: int
    is_datagram: bool = False


class Datagram(NamedTuple):
    """What a recorder is told in the place of a connection.

    :ivar receiver: None where nobody listens.
    :ivar source: the address that it says it comes from.
    """

    sender: Host
    receiver: Host | None
    source: Address
    destination: Address


_NO_LISTENER = (None, 0)

Observer = Callable[[Packet], None]
#: What somebody gets who records packets whole: the connection, the sending side, the bytes; or the
#: datagram's addresses, 0, and its bytes without headers.
Recording = Callable[["Connection | Datagram", int, bytes], None]


class Connection:
    """Two ends; ``ends[0]`` dialled.

    :ivar ways: what the bytes of each end travel over: those of the dialler, those of the listener.
    """

    __slots__ = ("arrives_us", "boots", "ends", "is_open", "number", "ways")

    def __init__(
        self, number: int, ends: tuple[Host, Host], ways: tuple[LinkClass, LinkClass]
    ) -> None:
        self.number = number
        self.ends = ends
        self.ways = ways
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
    """Carries bytes between hosts, unless they are apart.

    :ivar observers: told of each packet as it is sent.
    :ivar wiretaps: given each piece of bytes, and each datagram, as it is sent.
    :ivar sent_bytes: by host number, what each has sent.
    :ivar received_bytes: by host number, what has reached each.
    :ivar pieces: pieces of streams carried in all.
    :ivar datagrams: datagrams carried in all.
    """

    def __init__(self, world: World) -> None:
        self.observers: list[Observer] = []
        self.wiretaps: list[Recording] = []
        self.sent_bytes: dict[int, int] = {}
        self.received_bytes: dict[int, int] = {}
        self.pieces = 0
        self.datagrams = 0
        self._world = world
        self._random = world.random("network")
        self._listeners: dict[Address, tuple[Host | None, int]] = {}
        self._groups: dict[int, int] = {}
        self._blocked: set[tuple[int, int]] = set()
        self._connections: dict[int, Connection] = {}
        self._of_host: dict[int, dict[int, Connection]] = {}
        self._numbers = count(1)
        self._uplink_free_us: dict[int, int] = {}
        self._downlink_free_us: dict[int, int] = {}
        self._unread: dict[int, list[tuple[Connection, int, bytes, bool]]] = {}
        self._unread_bytes: dict[int, int] = {}
        self._unread_datagrams: dict[int, list[tuple[Host, Address, bytes]]] = {}

    @property
    def carried_bytes(self) -> int:
        """Bytes sent in all."""
        return sum(self.sent_bytes.values())

    def pairs(self) -> list[tuple[int, int]]:
        """The open connections: the numbers of the host that dialled and of the one that was
        dialled."""
        return [(c.ends[0].number, c.ends[1].number) for c in self._connections.values()]

    # --- Partitions -------------------------------------------------------------------------------

    def split(self, *groups: list[Host]) -> None:
        """Only hosts of one group reach each other; those in no group are one group too."""
        self._groups = {host.number: i + 1 for i, group in enumerate(groups) for host in group}
        self._break_what_is_cut()

    def isolate(self, host: Host) -> None:
        """Nobody reaches this host, nor it anybody."""
        self._groups[host.number] = -1 - host.number
        self._break_what_is_cut()

    def block(self, source: Host, destination: Host) -> None:
        """What ``source`` sends does not reach ``destination``; the other way does."""
        self._blocked.add((source.number, destination.number))
        self._break_what_is_cut()

    def heal(self) -> None:
        """Everybody reaches everybody, as far as the topology goes."""
        self._groups = {}
        self._blocked = set()

    def rejoin(self, host: Host) -> None:
        """Undo :meth:`isolate`."""
        self._groups.pop(host.number, None)

    def unblock(self, source: Host, destination: Host) -> None:
        """Undo :meth:`block`."""
        self._blocked.discard((source.number, destination.number))

    def _break_what_is_cut(self) -> None:
        for connection in list(self._connections.values()):
            one, other = connection.ends
            if not (self._passes(one, other) and self._passes(other, one)):
                self._break_later(connection, CUT_NOTICED_US)

    def _passes(self, source: Host, destination: Host) -> bool:
        groups = self._groups
        if not groups and not self._blocked:
            return True
        if groups and groups.get(source.number, 0) != groups.get(destination.number, 0):
            return False
        return (source.number, destination.number) not in self._blocked

    # --- Connections ------------------------------------------------------------------------------

    def listen(self, host: Host) -> None:
        """The host accepts connections at its addresses."""
        for segment, address in host.addresses.items():
            self._listeners[address] = (host, segment)

    def unlisten(self, host: Host) -> None:
        """It does not any more."""
        for address in host.addresses.values():
            self._listeners.pop(address, None)

    def dial(self, caller: Host, address: Address, board_id: bytes) -> None:
        """Connect, or let the caller know that nobody answers."""
        boot = caller.boot
        callee, segment = self._listeners.get(address, _NO_LISTENER)
        if callee is caller:
            # A host on two segments may be told its own other address. A connection here has one
            # number for both ends, so there is none to oneself: nobody answers.
            callee = None
        ways = self._ways(caller, callee, segment)
        if callee is caller:
            # A host can't be both ends of one connection here; how the core notices that it has
            # dialled itself is tested without a network.
            callee = None
        if callee is None or ways is None or self._random.random() < self._world.faults.dial:
            is_refused = callee is None and self._random.random() < 0.5
            wait_us = 2_000 if is_refused else DIAL_SILENCE_US
            self._world.after(wait_us, caller.dial_failed, board_id, address, boot)
            return
        callee_boot = callee.boot

        def arrive() -> None:
            if caller.boot != boot or not caller.is_on:
                return
            if callee.boot != callee_boot or not callee.is_on:
                caller.dial_failed(board_id, address, boot)
                return
            connection = Connection(next(self._numbers), (caller, callee), ways)
            self._connections[connection.number] = connection
            for end in connection.ends:
                self._of_host.setdefault(end.number, {})[connection.number] = connection
            self._world.note("open", connection.number, caller.number, callee.number)
            source = Address(caller.address_on(segment).host, DIALLING_PORT)
            callee.accepted(connection, source, address)
            caller.dialled(connection, address, source, board_id)

        self._world.after(self._round_trip_us(ways), arrive)

    def _ways(
        self, caller: Host, callee: Host | None, segment: int
    ) -> tuple[LinkClass, LinkClass] | None:
        if callee is None or not (self._passes(caller, callee) and self._passes(callee, caller)):
            return None
        return self._world.topology.ways(caller.number, callee.number, segment)

    def send(self, connection: Connection, sender: Host, data: bytes) -> None:
        """Deliver to the other end, in order, later."""
        world = self._world
        side = connection.side_of(sender)
        receiver = connection.ends[1 - side]
        size = len(data)
        self.sent_bytes[sender.number] = self.sent_bytes.get(sender.number, 0) + size
        if self.observers:
            packet = Packet(world.now_us, sender.number, receiver.number, size)
            for observer in self.observers:
                observer(packet)
        for record in self.wiretaps:
            record(connection, side, data)
        way = connection.ways[side]
        left_us = self._leaves_us(sender, way, size)
        for piece in self._rechunked(data):
            if world.faults.break_ and self._random.random() < world.faults.break_:
                self._break_later(connection, self._delay_us(way))
                return
            arrives_us = left_us + self._delay_us(way)
            if way.loses(self._random):
                arrives_us += RESEND_US
            # A stream keeps its order: nothing overtakes what was sent before.
            arrives_us = max(arrives_us, connection.arrives_us[side])
            connection.arrives_us[side] = arrives_us
            in_us = arrives_us - world.now_us
            if way.down.bandwidth_mbit:
                deliver = partial(self._deliver, connection, side, piece)
                world.after(in_us, self._come_in, receiver, way.down, len(piece), deliver)
            else:
                world.after(in_us, self._deliver, connection, side, piece)
            if world.faults.repeat and self._random.random() < world.faults.repeat:
                world.after(arrives_us - world.now_us, self._repeat, connection, side, piece)

    def _leaves_us(self, sender: Host, way: LinkClass, size: int) -> int:
        """When the last byte is on the wire: after what the host has queued before it."""
        now_us, computed_us = self._world.now_us, sender.computed_us
        begins_us = now_us if now_us > computed_us else computed_us
        if not way.bandwidth_mbit:
            return begins_us
        free_us = self._uplink_free_us.get(sender.number, 0)
        left_us = (begins_us if begins_us > free_us else free_us) + int(
            size * 8 / way.bandwidth_mbit
        )
        self._uplink_free_us[sender.number] = left_us
        return left_us

    def _come_in(self, receiver: Host, line: Down, size: int, deliver: Callable[[], None]) -> None:
        """Wait for a limited line in, from when the bytes are there; then deliver."""
        now_us = self._world.now_us
        begins_us = max(now_us, self._downlink_free_us.get(receiver.number, 0))
        is_in_us = begins_us + int(size * 8 / line.bandwidth_mbit)
        self._downlink_free_us[receiver.number] = is_in_us
        self._world.after(is_in_us - now_us, deliver)

    def _deliver(self, connection: Connection, side: int, piece: bytes) -> None:
        if not connection.is_current():
            return
        sender, receiver = connection.ends[side], connection.ends[1 - side]
        if not self._passes(sender, receiver):
            return  # held up by the cut; the break that is coming ends the connection
        size = len(piece)
        self.pieces += 1
        self.received_bytes[receiver.number] = self.received_bytes.get(receiver.number, 0) + size
        if receiver.number in self._unread:
            self._leave_unread(connection, side, piece)
            return
        self._world.note("bytes", connection.number, side, size)
        receiver.received(connection, piece)
        sender.sent(connection, size)

    def _repeat(self, connection: Connection, side: int, piece: bytes) -> None:
        """A broken middlebox: the receiver gets a piece once more, which nobody sent."""
        if connection.is_current() and connection.ends[1 - side].number not in self._unread:
            self._world.note("repeat", connection.number, side, len(piece))
            connection.ends[1 - side].received(connection, piece)

    def number_at(self, address: Address) -> int:
        """The number of the host that listens at an address; :data:`NOBODY` for none."""
        host, _ = self._listeners.get(address, _NO_LISTENER)
        return NOBODY if host is None else host.number

    # --- Datagrams --------------------------------------------------------------------------------

    def send_datagram(
        self, sender: Host, source: Address | None, destination: Address, data: bytes
    ) -> None:
        """Deliver once, later, or never: nothing is sent again, and nothing keeps an order.

        :param source: where it says that it comes from; None: from where the sender listens.
        """
        world, topology = self._world, self._world.topology
        receiver, segment = self._listeners.get(destination, _NO_LISTENER)
        if receiver is sender:  # which is on no wire
            world.after(0, partial(sender.got_datagram, destination, data))
            return
        way: LinkClass | None = topology.line(sender.number)
        if receiver is not None:
            way = topology.datagram_way(sender.number, receiver.number, segment)
        if way is None:
            return  # the sender's system knows no way there
        source = source or sender.address_on(segment)
        size = len(data) + DATAGRAM_HEADERS_BYTES
        self.sent_bytes[sender.number] = self.sent_bytes.get(sender.number, 0) + size
        if self.observers:
            number = NOBODY if receiver is None else receiver.number
            packet = Packet(world.now_us, sender.number, number, size, True)
            for observer in self.observers:
                observer(packet)
        for record in self.wiretaps:
            record(Datagram(sender, receiver, source, destination), 0, data)
        left_us = self._leaves_us(sender, way, size)
        if receiver is None or not self._passes(sender, receiver):
            return
        if way.loses(self._random):
            return
        deliver = partial(self._deliver_datagram, sender, receiver, source, destination, data)
        if way.down.bandwidth_mbit:
            deliver = partial(self._come_in, receiver, way.down, size, deliver)
        repeat = world.faults.repeat
        for _ in range(2 if repeat and self._random.random() < repeat else 1):
            world.after(left_us + self._delay_us(way) - world.now_us, deliver)

    def _deliver_datagram(
        self, sender: Host, receiver: Host, source: Address, destination: Address, data: bytes
    ) -> None:
        number = receiver.number
        listener, _ = self._listeners.get(destination, _NO_LISTENER)
        if listener is not receiver or not self._passes(sender, receiver):
            return  # gone, or cut off, while it was on the way
        self.datagrams += 1
        self.received_bytes[number] = (
            self.received_bytes.get(number, 0) + len(data) + DATAGRAM_HEADERS_BYTES
        )
        if number in self._unread:
            waiting = self._unread_datagrams.setdefault(number, [])
            if len(waiting) < UNREAD_DATAGRAMS_MAX:
                waiting.append((sender, source, data))
            return
        self._world.note("datagram", sender.number, number, len(data))
        receiver.got_datagram(source, data)

    # --- Slow readers -----------------------------------------------------------------------------

    def stop_reading(self, host: Host) -> None:
        """The host takes no bytes until :meth:`read_on`: what arrives waits, in order. Once the
        buffers are full its senders' bytes do not leave any more."""
        self._unread.setdefault(host.number, [])

    def read_on(self, host: Host) -> None:
        """It takes what has waited."""
        for connection, side, piece, has_left in self._unread.pop(host.number, []):
            self._unread_bytes.pop(connection.number, None)
            if connection.is_current():
                self._world.note("bytes", connection.number, side, len(piece))
                host.received(connection, piece)
                if not has_left:
                    connection.ends[side].sent(connection, len(piece))
        for sender, source, data in self._unread_datagrams.pop(host.number, []):
            self._world.note("datagram", sender.number, host.number, len(data))
            host.got_datagram(source, data)

    def _leave_unread(self, connection: Connection, side: int, piece: bytes) -> None:
        waiting = self._unread_bytes.get(connection.number, 0) + len(piece)
        self._unread_bytes[connection.number] = waiting
        has_left = waiting <= UNREAD_BYTES_MAX
        self._unread[connection.ends[1 - side].number].append((connection, side, piece, has_left))
        if has_left:
            connection.ends[side].sent(connection, len(piece))

    def close(self, connection: Connection, closer: Host) -> None:
        """One end closes; the other learns of it after what is still on the way."""
        side = connection.side_of(closer)
        wait_us = connection.arrives_us[side] - self._world.now_us
        delay_us = max(self._delay_us(connection.ways[side]), wait_us)

        def arrive() -> None:
            queued_us = self._queued_us(connection, side)
            if queued_us:
                self._world.after(queued_us, drop)
            else:
                drop()

        def drop() -> None:
            if connection.number in self._connections:
                self._drop(connection)
                connection.ends[1 - side].closed(connection)

        self._world.after(delay_us, arrive)

    def _queued_us(self, connection: Connection, side: int) -> int:
        """How long what has come to the receiver's line is still on it."""
        if not connection.ways[side].down.bandwidth_mbit:
            return 0
        free_us = self._downlink_free_us.get(connection.ends[1 - side].number, 0)
        return max(0, free_us - self._world.now_us)

    def host_died(self, host: Host) -> None:
        """Its sockets go with it."""
        self.unlisten(host)
        self._unread_datagrams.pop(host.number, None)
        for connection in list(self._of_host.get(host.number, {}).values()):
            way = connection.ways[connection.side_of(host)]
            self._break_later(connection, self._delay_us(way))

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
        for end in connection.ends:
            # Two programs on one machine may be linked, too.
            self._of_host[end.number].pop(connection.number, None)
        self._world.note("closed", connection.number)

    # --- Advertisements ---------------------------------------------------------------------------

    def advertise(self, sender: Host, salt: bytes, tags: tuple[bytes, ...]) -> None:
        """Multicast on the sender's segments: some miss it, some get it twice."""
        for segment, address in sender.addresses.items():
            advertised = Advertised((address,), salt, tags)
            for host in self._world.on_segment(segment):
                if host is not sender and self._passes(sender, host):
                    self._multicast(sender, host, segment, advertised)

    def ask(self, asker: Host) -> None:
        """The question of a host that has just started: everybody there answers it alone (mDNS's
        question for a unicast response, RFC 6762, section 5.4)."""
        for segment in asker.addresses:
            for host in self._world.on_segment(segment):
                shown = host.shown
                if host is asker or shown is None or not host.is_running:
                    continue
                if self._passes(asker, host) and self._passes(host, asker):
                    advertised = Advertised((host.addresses[segment],), shown.salt, shown.tags)
                    self._multicast(host, asker, segment, advertised)

    def _multicast(self, sender: Host, host: Host, segment: int, advertised: Advertised) -> None:
        faults, topology = self._world.faults, self._world.topology
        way = topology.way(sender.number, host.number, segment) or topology.inside
        copies = 1
        if faults.advert_loss or faults.advert_copy:
            copies += self._random.random() < faults.advert_copy
            if self._random.random() < faults.advert_loss:
                copies = 0
        for _ in range(copies):
            self._world.after(self._delay_us(way), host.saw, advertised)

    # --- Chance -----------------------------------------------------------------------------------

    def _delay_us(self, way: LinkClass) -> int:
        low, high = self._world.faults.delay_ms
        extra_us = int(1000 * self._random.uniform(low, high)) if high else 0
        return way.delay_us(self._random) + extra_us

    def _round_trip_us(self, ways: tuple[LinkClass, LinkClass]) -> int:
        forth, back = ways
        if forth is back:
            return 2 * self._delay_us(forth)
        return self._delay_us(forth) + self._delay_us(back)

    def _rechunked(self, data: bytes) -> list[bytes]:
        chance = self._world.faults.rechunk
        if not chance or len(data) < 2 or self._random.random() >= chance:
            return [data]
        cut = self._random.randrange(1, len(data))
        return [data[:cut], data[cut:]]
