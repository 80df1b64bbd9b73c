"""Sybils: one machine that pretends to be many nodes.

It has one place on the network, one way out and one invite, and runs as many nodes as it likes,
each with an instance, a port and, if it may (a LAN asks nobody), an address of its own. Each shows
itself on the LAN, and links with everybody that it hears of, not with eight like an honest node, to
take as many of their slots as there are. What they see is what that many members see.

What is promised: no table grows with their number, hosts that were linked before they came stay
linked, and one that comes later from a less crowded address or subnet is let in. What is *not*
promised: if they have addresses of the late host's own subnet, one each, they can keep it out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Annotated

from protocol import effects, inputs, limits
from protocol.board import Board
from protocol.effects import Dial
from protocol.gossip import Gossip
from protocol.inputs import Now
from protocol.messages import Address
from protocol.node import Node
from protocol.ports import Due
from simnet.adversaries import Kind, MakeHost
from simnet.adversaries.withholder import Withholding
from simnet.host import Host

if TYPE_CHECKING:
    from simnet.world import World


@dataclass(frozen=True, slots=True)
class SybilOptions:
    """:ivar identities: how many nodes the machine pretends to be.
    :ivar own_addresses: whether each has an IP address of its own; else only a port.
    :ivar gives: whether they pass on what they get, like honest nodes; else they withhold it.
    """

    identities: Annotated[int, (1, 2000)] = 16
    own_addresses: bool = True
    gives: bool = True


class Greedy(Gossip):
    """A board's machine that links with everybody it hears of."""

    def dial(self, now: Now) -> None:
        """Everybody who is due, a few at a time."""
        if self.is_leaving:
            return
        for address in self.directory.next_dials(limits.DIALS_AT_ONCE_MAX, now.mono_ms):
            self._core.emit(Dial(self.board.id, address))
        due_ms = self.directory.next_due_ms()
        if due_ms is not None:
            self._core.timers.set((Due.DIAL, self.board.id), max(due_ms, now.mono_ms + 100))


class GreedyWithholding(Withholding, Greedy):
    """One that passes nothing on besides."""


class Identity(Host):
    """One of a machine's nodes: its own core and address at the machine's place."""

    def __init__(self, machine: Machine, order: int, boards: Sequence[Board]) -> None:
        self.machine = machine
        self.order = order
        self.role = machine.role
        self.make_board = machine.board_machine
        super().__init__(machine.world, machine.number, boards)
        self._random = machine.world.random(f"work {machine.number}.{order}")
        self.keeps_events = False

    def _make_node(self) -> Node:
        purpose = f"host {self.number}.{self.order} boot {self.boot}"
        return self.world.make_node(purpose, self.make_board, self._tap)

    def _own_addresses(self) -> dict[int, Address]:
        place, order = self.number, self.order + 1
        own = {}
        for segment, address in super()._own_addresses().items():
            host = address.host
            if self.machine.has_own_addresses:
                # Beside those of the honest hosts: 10.<segment>.<place / 250>.<place % 250 + 1>.
                host = f"172.{16 + segment % 16}.{place % 256}.{order % 255}"
            own[segment] = Address(host, 40_000 + (self.boot * 7 + order * 31) % 20_000)
        return own

    def _introduce(self) -> None:
        """What the machine knows is told by the machine."""

    def _carry_out(self, effect: effects.Effect) -> None:
        if isinstance(effect, effects.Dial) and not self.machine.wants(effect.address):
            self.world.after(
                0, partial(self.dial_failed, effect.board_id, effect.address, self.boot)
            )
        else:
            super()._carry_out(effect)


class Machine(Host):
    """Many nodes on one host. It is on the network only through them.

    :ivar identities: the nodes.
    :ivar board_machine: what they run.
    :ivar has_own_addresses: whether each has an IP address of its own.
    """

    role = "sybils"
    board_machine: type[Gossip] = Greedy

    def __init__(
        self,
        world: World,
        number: int,
        boards: Sequence[Board],
        identities: int,
        own_addresses: bool,
        board_machine: type[Gossip],
    ) -> None:
        super().__init__(world, number, boards)
        self.board_machine = board_machine
        self.has_own_addresses = own_addresses
        self.identities = [Identity(self, order, boards) for order in range(identities)]

    @property
    def own_addresses(self) -> list[Address]:
        """Where all its nodes listen."""
        return [address for identity in self.identities for address in identity.addresses.values()]

    def wants(self, address: Address) -> bool:
        """Whether its nodes shall dial there: not each other."""
        return address not in self.own_addresses

    def start(self) -> None:
        """Switch all of them on."""
        for told in self.on_start:
            told(self)
        self.boot += 1
        self.is_on = True
        for identity in self.identities:
            # Whoever listens to the machine hears all that its nodes say.
            identity.listeners, identity.on_event = self.listeners, self.on_event
            identity.start()
        self.addresses = self.identities[0].addresses
        self._introduce()

    def _give_address(self, other: int) -> None:
        for identity in self.identities:
            identity._give_address(other)

    def crash(self) -> None:
        """All of them at once."""
        for identity in self.identities:
            identity.crash()
        super().crash()

    def sleep(self) -> None:
        """All of them at once."""
        for identity in self.identities:
            identity.sleep()
        super().sleep()

    def wake(self) -> None:
        """All of them at once."""
        for identity in self.identities:
            identity.wake()
        self.is_asleep = False

    def stop(self) -> None:
        """All of them at once."""
        for identity in self.identities:
            identity.stop()
        super().crash()

    def saw(self, advertised: inputs.Advertised) -> None:
        """All of them hear the LAN."""
        if self.wants(advertised.addresses[0]):
            for identity in self.identities:
                identity.saw(advertised)


def make(options: SybilOptions) -> MakeHost:
    """Machines full of sybils, for :meth:`simnet.world.World.add_hosts`."""
    return partial(
        Machine,
        identities=options.identities,
        own_addresses=options.own_addresses,
        board_machine=Greedy if options.gives else GreedyWithholding,
    )


KIND = Kind("sybils", "one machine that pretends to be many nodes", SybilOptions, make)
