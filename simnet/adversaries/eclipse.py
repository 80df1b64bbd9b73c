"""An eclipse: hosts that want to be all that one victim ever sees.

They know where the victim is and dial nobody else. Each is a machine of several nodes, so that
there are enough to take every slot that the victim has; each tells the victim the addresses of the
others and of nobody else, withholds what the victim hands it, and has nothing to give. Towards
other nodes they are mute members.

What is promised: what peers tell a node never drives out of its table what it heard on its own LAN
or was given by a person, and links to honest hosts that it had before stay; so the posts of a
victim on a LAN with honest hosts come out and it gets theirs, later than others do. What is *not*
promised: a node that knows nobody but its attackers (the only address that it was given is theirs,
and no multicast reaches it), or that came when they had taken every slot, sees what they show it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Annotated

from protocol import inputs, limits
from protocol.board import Board
from protocol.inputs import Now
from protocol.link import Link
from protocol.messages import Address, Peers
from simnet.adversaries import Kind, MakeHost
from simnet.adversaries.sybils import GreedyWithholding, Identity, Machine

if TYPE_CHECKING:
    from simnet.world import World

#: How often they look where the victim is: it has another port after each start.
_LOOK_US = 3_000_000


@dataclass(frozen=True, slots=True)
class EclipseOptions:
    """:ivar victim: the number of the host that is to be cut off.
    :ivar identities: how many nodes each of the attackers' machines runs.
    """

    victim: Annotated[int, (0, 1_000_000)] = 0
    identities: Annotated[int, (1, 2000)] = 4


class Eclipsing(GreedyWithholding):
    """Tells peers of accomplices only.

    :ivar attacker: the machine that it is part of, once it is open.
    """

    attacker: Attacker | None = None

    def tell_peers(self, link: Link, now: Now) -> None:
        """Accomplices, at random, as many as fit."""
        super().tell_peers(link, now)
        if self.attacker is not None:
            told = self._core.chance.shuffled(self.attacker.accomplices())
            link.send(Peers(told[: limits.PEERS_ADDRESSES_MAX]))


class _Accomplice(Identity):
    def _open(self, board: Board, addresses: tuple[Address, ...] = ()) -> None:
        super()._open(board, addresses)
        gossip = self.node.boards[board.id]
        if isinstance(gossip, Eclipsing) and isinstance(self.machine, Attacker):
            gossip.attacker = self.machine


class Attacker(Machine):
    """One of the machines around a victim."""

    role = "eclipse"

    def __init__(
        self, world: World, number: int, boards: Sequence[Board], victim: int, identities: int
    ) -> None:
        super().__init__(world, number, boards, 0, True, Eclipsing)
        self.victim = victim
        self.identities = [_Accomplice(self, order, boards) for order in range(identities)]

    def start(self) -> None:
        """Switch on, and look for the victim from now on."""
        super().start()
        self._look(self.boot)

    def _look(self, boot: int) -> None:
        if boot != self.boot or not self.is_on:
            return
        if self.victim < len(self.world.hosts) and not self.is_asleep:
            for address in self.world.hosts[self.victim].addresses.values():
                for identity in self.identities:
                    identity.feed(inputs.AddressGiven(address))
        self.world.after(_LOOK_US, partial(self._look, boot))

    def accomplices(self) -> list[Address]:
        """The addresses of all attackers of this victim."""
        return [
            address
            for host in self.world.hosts
            if isinstance(host, Attacker) and host.victim == self.victim
            for address in host.own_addresses
        ]

    def wants(self, address: Address) -> bool:
        """The victim and nobody else."""
        if self.victim >= len(self.world.hosts):
            return False
        return address in self.world.hosts[self.victim].addresses.values()

    def saw(self, advertised: inputs.Advertised) -> None:
        """They know where the victim is."""


def make(options: EclipseOptions) -> MakeHost:
    """Attackers, for :meth:`simnet.world.World.add_hosts`."""
    return partial(Attacker, victim=options.victim, identities=options.identities)


KIND = Kind("eclipse", "hosts that try to be all that one victim sees", EclipseOptions, make)
