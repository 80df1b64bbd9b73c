"""Equivocators: members whose logs fork.

One sees what any member sees. It uses one state of a persona several times: entries with the same
key, sequence number and predecessor that say different things, each offered to another peer, so
that each peer sees another log at first. It goes on from a branch at random, so that forks grow
deep.

What is promised: validity is local to an entry, so all branches reach everybody and every honest
node ends with the same set, whichever it saw first; a fork is a fact that readers are shown.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Annotated

from protocol import inputs
from protocol.board import Board
from protocol.entry import Entry
from protocol.messages import WireEntry
from protocol.persona import Persona, draft_post
from simnet.adversaries import Kind, MakeHost
from simnet.adversaries.offering import Offering
from simnet.host import Host

if TYPE_CHECKING:
    from simnet.world import World

_PERSONAS_MAX = 16


@dataclass(frozen=True, slots=True)
class EquivocatorOptions:
    """:ivar forks_per_s: how often it forks a log.
    :ivar branches: into how many.
    """

    forks_per_s: Annotated[float, (0.0001, 100.0)] = 0.2
    branches: Annotated[int, (2, 32)] = 2


class Equivocator(Host):
    """A host with forked logs.

    :ivar forks: the branches of each fork.
    """

    role = "equivocator"
    make_board = Offering

    def __init__(
        self, world: World, number: int, boards: Sequence[Board], options: EquivocatorOptions
    ) -> None:
        super().__init__(world, number, boards)
        self.options = options
        self.forks: list[list[Entry]] = []
        self._personas: list[Persona] = []
        self._fork_random = world.random(f"equivocator {number}")

    def start(self) -> None:
        """Switch on, and fork from now on."""
        super().start()
        self._fork_later(self.boot)

    def _fork_later(self, boot: int) -> None:
        def fork() -> None:
            if boot == self.boot and self.is_on:
                if not self.is_asleep:
                    self.fork()
                self._fork_later(boot)

        wait_us = int(1e6 * self._fork_random.expovariate(self.options.forks_per_s))
        self.world.after(wait_us, fork)

    def fork(self) -> None:
        """Offer each peer one branch; with nobody there, leave it."""
        gossip = self.node.boards[self.board.id]
        links = list(gossip.links.values())
        if not links or not isinstance(gossip, Offering):
            return
        persona = self._some_persona()
        branches = [
            self._branch(persona, f"branch {branch}") for branch in range(self.options.branches)
        ]
        self.forks.append(branches)
        self._fork_random.shuffle(links)
        for order, link in enumerate(links):
            entry = branches[order % len(branches)]
            wire = WireEntry(entry.raw, entry.signature, entry.payload)
            link.send(gossip.offer(entry.header.bucket, wire))
        self.feed(inputs.Tick())
        if len(self._personas) < _PERSONAS_MAX:
            self._personas.append(persona.after(self._fork_random.choice(branches)))

    def _some_persona(self) -> Persona:
        if self._personas and self._fork_random.random() < 0.7:
            return self._personas.pop(self._fork_random.randrange(len(self._personas)))
        return Persona.fresh(self._fork_random.randbytes)

    def _branch(self, persona: Persona, text: str) -> Entry:
        parent = persona.prev if persona.thread else None
        draft = draft_post(
            self.board, persona, text, parent, self.now().wall_s, self._fork_random.randbytes
        )
        return self.finish(draft, persona)


def make(options: EquivocatorOptions) -> MakeHost:
    """Equivocators, for :meth:`simnet.world.World.add_hosts`."""
    return partial(Equivocator, options=options)


KIND = Kind("equivocator", "forks its logs, another branch to each peer", EquivocatorOptions, make)
