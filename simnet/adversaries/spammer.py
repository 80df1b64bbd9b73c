"""Spammers: members that write as fast as their machine can, each entry with a new key.

One sees what any member sees. Blocking its keys is no use, there is a new one each time; the texts
are all different, all the same, or one text with small changes. All that slows it is the board's
work, which is charged here by the machine's rate of hashing (what the simulation spends on finding
the nonce is not in virtual time). It does not wait for a mix: entries go straight onto its disk and
are announced to every peer.

What is promised: no honest node loses anything, no table grows over its bound, and other people's
posts come through; the entries are valid and spread. Not seeing them is up to the reader's rules.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Annotated, Literal

from protocol import inputs
from protocol.board import Board
from protocol.entry import Entry
from protocol.gossip import Gossip
from protocol.inputs import Now
from protocol.persona import Persona, draft_post
from simnet.adversaries import Kind, MakeHost
from simnet.host import Host

if TYPE_CHECKING:
    from simnet.world import World

_WORDS = [
    "buy",
    "cheap",
    "now",
    "best",
    "offer",
    "click",
    "here",
    "win",
    "free",
    "money",
    "fast",
    "your",
    "last",
    "chance",
]


@dataclass(frozen=True, slots=True)
class SpamOptions:
    """:ivar entries_per_s: how many it would like to write.
    :ivar hashes_per_s: what its machine can do: an entry costs 2 to the board's work bits.
    :ivar texts: "fresh" (all different), "copies" (all the same) or "near" (one text, a few
        characters changed each time).
    :ivar text_bytes: how long each is.
    :ivar from_s: when it begins, seconds after it is switched on.
    :ivar for_s: how long it goes on.
    """

    entries_per_s: Annotated[float, (0.001, 10_000.0)] = 2.0
    hashes_per_s: Annotated[float, (1.0, 1e12)] = 2e6
    texts: Literal["fresh", "copies", "near"] = "fresh"
    text_bytes: Annotated[int, (1, 60_000)] = 200
    from_s: Annotated[float, (0.0, 1e6)] = 10.0
    for_s: Annotated[float, (0.0, 1e6)] = 3600.0


class Shouting(Gossip):
    """A board's machine that announces what is its own to everybody at once."""

    def shout(self, entry: Entry, now: Now) -> None:
        """It is on the disk."""
        if self.index.insert(entry.timestamp, entry.id):
            for link in self.links.values():
                self._announce_to(link, entry, now)


class Spammer(Host):
    """A host that spams its first board.

    :ivar spam: what it has written.
    """

    role = "spammer"
    make_board = Shouting

    def __init__(
        self, world: World, number: int, boards: Sequence[Board], options: SpamOptions
    ) -> None:
        super().__init__(world, number, boards)
        self.options = options
        self.spam: list[Entry] = []
        self._spam_random = world.random(f"spam {number}")

    @property
    def every_us(self) -> float:
        """What an entry takes it."""
        work_s = 2.0**self.board.descriptor.work_bits / self.options.hashes_per_s
        return 1e6 * max(1.0 / self.options.entries_per_s, work_s)

    def start(self) -> None:
        """Switch on, and begin after a while."""
        super().start()
        until_us = self.world.now_us + int(1e6 * (self.options.from_s + self.options.for_s))
        self.world.after(
            int(1e6 * self.options.from_s), partial(self._write_again, self.boot, until_us)
        )

    def _write_again(self, boot: int, until_us: int) -> None:
        if boot != self.boot or not self.is_on or self.world.now_us >= until_us:
            return
        if not self.is_asleep:
            self._shout(self._spam_text())
        # Finding a nonce takes as long as it takes: the waiting times are exponential.
        self.world.after(
            int(self._spam_random.expovariate(1.0 / self.every_us)),
            partial(self._write_again, boot, until_us),
        )

    def _shout(self, text: str) -> None:
        persona = Persona.fresh(self._spam_random.randbytes)
        now = self.now()
        draft = draft_post(self.board, persona, text, None, now.wall_s, self._spam_random.randbytes)
        entry = self.finish(draft, persona)
        self.disk().put(entry)
        self.spam.append(entry)
        gossip = self.node.boards[self.board.id]
        if isinstance(gossip, Shouting):
            gossip.shout(entry, now)
            self.feed(inputs.Tick())

    def _spam_text(self) -> str:
        size = self.options.text_bytes
        random = self._spam_random
        if self.options.texts == "fresh":
            return " ".join(random.choices(_WORDS, k=size // 5 + 1))[:size]
        text = (" ".join(_WORDS) + " ") * (size // 60 + 1)
        if self.options.texts == "near":
            for _ in range(3):
                at = random.randrange(size)
                text = text[:at] + random.choice("abcdefghijklmnop") + text[at + 1 :]
        return text[:size]


def make(options: SpamOptions) -> MakeHost:
    """Spammers, for :meth:`simnet.world.World.add_hosts`."""
    return partial(Spammer, options=options)


KIND = Kind("spammer", "writes as fast as its machine can, with new keys", SpamOptions, make)
