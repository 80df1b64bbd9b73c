"""Bugs put in on purpose, to see that the checkers find them: variants of the core and its driver
by subclassing, and for each the rule that it breaks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from protocol import inputs
from protocol.board import Board
from protocol.effects import Store
from protocol.entry import Entry
from protocol.gossip import Batch, Gossip
from protocol.inputs import Now
from protocol.outbox import Outbox
from protocol.publishing import Publishing
from simnet.disk import Disk
from simnet.host import Host
from simnet.world import World


class AnnouncesEarly(Gossip):
    """Announces what is verified, before it is on the disk."""

    def on_verified(self, batch: Batch, is_valid: Sequence[bool], now: Now) -> None:
        for entry, valid in zip(batch.entries, is_valid, strict=True):
            if valid:
                for link in self.links.values():
                    self._announce_to(link, entry, now)
        super().on_verified(batch, is_valid, now)


class DropsLastOfBatch(Gossip):
    """Leaves the last entry out of each batch that it serves."""

    def on_loaded(self, batch: Batch, covered: int, entries: Sequence[Entry]) -> None:
        super().on_loaded(batch, covered, entries[:-1])


class _TellsOfOwn(Gossip):
    """Does something about an own entry as soon as it is written."""

    def _make_publishing(self, port: int) -> Publishing:
        publishing = super()._make_publishing(port)
        honest = publishing.publish

        def publish(entry: Entry, crowd_least: int, now: Now) -> None:
            self.on_written(entry, now)
            honest(entry, crowd_least, now)

        publishing.publish = publish  # type: ignore[method-assign]
        return publishing

    def on_written(self, entry: Entry, now: Now) -> None:
        raise NotImplementedError


class ServesOwnEarly(_TellsOfOwn):
    """Counts an own entry as the board's as soon as it is written."""

    def on_written(self, entry: Entry, now: Now) -> None:
        self.index.insert(entry.timestamp, entry.id)


class AnnouncesOwnEarly(_TellsOfOwn):
    """Announces an own entry itself."""

    def on_written(self, entry: Entry, now: Now) -> None:
        for link in self.links.values():
            self._announce_to(link, entry, now)


class TrustsEverybody(Gossip):
    """Stores what is not signed, and hangs up on nobody for it."""

    def on_verified(self, batch: Batch, is_valid: Sequence[bool], now: Now) -> None:
        super().on_verified(batch, [True] * len(is_valid), now)


class ForgetsAfterStoring(Gossip):
    """Does not note in the index what is durable."""

    def on_stored(self, batch: Batch, lacking: Sequence[bytes], now: Now) -> None:
        super().on_stored(batch, lacking, now)
        for entry in batch.entries[:1]:
            self.index.remove(entry.timestamp, entry.id)


class _EndlessOutbox(Outbox):
    """Takes any number."""

    def add(self, entry: Entry, now_ms: int, crowd_least: int = 0) -> None:
        kept, self._waiting = self._waiting, {}
        super().add(entry, now_ms, crowd_least)
        self._waiting = {**kept, **self._waiting}


class ForgetsBound(Gossip):
    """Its outbox has no bound."""

    def _make_publishing(self, port: int) -> Publishing:
        publishing = super()._make_publishing(port)
        publishing.outbox = _EndlessOutbox(self._core.chance, 1_000)
        return publishing


class LosesOutbox(Host):
    """Does not write its outbox down."""

    def crash(self) -> None:
        super().crash()
        for disk in self.disks.values():
            disk.outbox.clear()


class AnswersBeforeDurable(Host):
    """Says that entries are stored when their write has only begun."""

    def __init__(self, world: World, number: int, boards: Sequence[Board]) -> None:
        super().__init__(world, number, boards)
        self._unsynced: list[tuple[Disk, Entry]] = []

    def _store(self, effect: Store) -> None:
        disk = self.disks[effect.board_id]
        written = [(disk, entry) for entry in effect.entries if entry.id not in disk.entries]

        def answer() -> None:
            lacking = tuple(entry.id for entry in effect.entries if disk.put(entry))
            self._unsynced += written
            self.feed(inputs.Stored(effect.token, lacking))

        def durable() -> None:
            self._unsynced = [kept for kept in self._unsynced if kept not in written]

        self._at(self.world.now_us, answer)
        self._write(durable)

    def crash(self) -> None:
        super().crash()
        for disk, entry in self._unsynced:
            disk.entries.pop(entry.id, None)
        self._unsynced = []


class Planted(NamedTuple):
    """:ivar rule: what it breaks first.
    :ivar store_ms: how long writes take, where the bug shows while one is under way.
    """

    name: str
    rule: str
    make_board: type[Gossip] = Gossip
    make_host: type[Host] = Host
    store_ms: tuple[float, float] | None = None


PLANTED = (
    Planted("announces before it is durable", "announced-not-durable", AnnouncesEarly),
    Planted("drops the last entry of a batch", "answer-incomplete", DropsLastOfBatch),
    Planted("counts own entries too early", "own-early", ServesOwnEarly),
    Planted("announces own entries too early", "own-early", AnnouncesOwnEarly),
    Planted("stores what is not signed", "invalid-shown", TrustsEverybody),
    Planted("forgets what it has stored", "index-disk", ForgetsAfterStoring),
    Planted("loses its outbox in a crash", "acknowledged-lost", make_host=LosesOutbox),
    Planted(
        *("says stored before it is", "told-lost"),
        make_host=AnswersBeforeDurable,
        store_ms=(300.0, 1500.0),
    ),
)
