"""What changes what is this node's own: its personas, with their keys, and its outbox.

A persona's key is what joins its entries to this node, so it does not stay: some time after its
last use it is thrown away, or at once where its user wants that. Its slot is overwritten then, as
that of everything that is erased (:mod:`p2pboard.store.schema`), and nothing in the store says any
more that the persona was ours.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

from p2pboard.errors import StoreError
from p2pboard.store.database import Database
from p2pboard.store.own_reader import OwnPersona
from p2pboard.store.reader import Reader
from p2pboard.store.sealing import (
    Kept,
    Slots,
    seal_outbox,
    seal_persona,
    seal_record,
)
from protocol.entry import Entry
from protocol.errors import Misuse
from protocol.persona import Persona


class PersonaMoved(StoreError):
    """Another entry of this persona was written in between, or its key was thrown away: draft
    again, or its log would fork, or the key would be back."""


class OwnWriter(Reader):
    """The changes; they raise as :class:`~p2pboard.store.writer.Writer`'s."""

    def __init__(self, connection: Database, random_bytes: Callable[[int], bytes]) -> None:
        super().__init__(connection)
        self._record_slots = Slots(connection, connection.root, random_bytes, "records")

    def _sealed(self, label: bytes, fields: Sequence[Any]) -> tuple[int, bytes]:
        """A slot, and ``fields`` sealed with what is in it."""
        ((slot, secret),) = self._record_slots.take(1)
        return slot, seal_record(secret, label, fields)

    # --- Writing ----------------------------------------------------------------------------------

    def put_own(
        self,
        board_id: bytes,
        persona: Persona,
        is_fresh: bool,
        entry: Entry,
        crowd_least: int = 0,
    ) -> None:
        """Keep an own entry in the outbox, and the persona as it is after it.

        :param persona: ``Persona.after(entry)``, with its key.
        :param is_fresh: whether it was made for this entry only.
        :param crowd_least: how many nodes must be there before it leaves.
        :raises PersonaMoved: where the log has gone on since the entry was drafted.
        """
        if persona.public_key != entry.header.persona or persona.prev != entry.id:
            raise Misuse("the persona must be the entry's, as it is after it")
        board = self._board(board_id)
        before = self._own_persona_row(board, persona.public_key)
        crowd = b""
        if before is not None:
            if (before.persona.seq, before.persona.prev) != (entry.header.seq, entry.header.prev):
                raise PersonaMoved("you wrote in this thread meanwhile: send the text again")
            crowd = before.kept.crowd
            self._delete_persona(before)
        elif entry.header.seq:
            raise PersonaMoved(
                "the persona that you wrote with in this thread was thrown away meanwhile:"
                " try again, and a new one writes"
            )
        self._insert_persona(board, Kept(persona, is_fresh, entry.header.bucket, crowd))
        ((slot, secret),) = self._record_slots.take(1)
        self._db.execute(
            "INSERT INTO outbox (board, slot, sealed) VALUES (?, ?, ?)",
            (board, slot, seal_outbox(secret, entry, crowd_least)),
        )

    def note_crowd(self, board_id: bytes, public_key: bytes, crowd: bytes) -> bool:
        """Note, with an own persona, among which nodes it wrote; in place of what was noted before.

        :param crowd: at most :data:`~p2pboard.store.sealing.CROWD_BYTES_MAX`.
        :return: whether there is such a persona; without one there is nothing to seal it with.
        """
        board = self._board(board_id)
        own = self._own_persona_row(board, public_key)
        if own is None:
            return False
        self._delete_persona(own)
        self._insert_persona(board, own.kept._replace(crowd=crowd))
        return True

    def _insert_persona(self, board: int, kept: Kept) -> None:
        ((slot, secret),) = self._record_slots.take(1)
        self._db.execute(
            "INSERT INTO personas (board, slot, sealed) VALUES (?, ?, ?)",
            (board, slot, seal_persona(secret, kept)),
        )

    # --- Throwing away ----------------------------------------------------------------------------

    def throw_away_due(self, now_bucket: int) -> int:
        """Throw away the keys, on all boards, whose time has come; how many."""
        due = [
            dated.own
            for number, row in self._numbered_boards()
            for dated in self._dated(number, row)
            if dated.due <= now_bucket
        ]
        for own in due:
            self._delete_persona(own)
        return len(due)

    def throw_away(
        self, board_id: bytes, public_keys: Collection[bytes], withdraw: bool = False
    ) -> list[Entry]:
        """Throw away keys of own personas.

        :param withdraw: whether their entries leave the outbox, too; being signed, they need no key
            to go out.
        :return: what waits in the outbox under them, or did.
        """
        board = self._board(board_id)
        for own in self._personas(board):
            if own.persona.public_key in public_keys:
                self._delete_persona(own)
        items = self._outbox_items(board)
        waiting = [item for item in items if item.entry.header.persona in public_keys]
        for item in waiting if withdraw else ():
            self._delete_outbox_item(item.item, item.slot)
        return [item.entry for item in waiting]

    def _delete_persona(self, own: OwnPersona) -> None:
        self._record_slots.free([own.slot])
        self._db.execute("DELETE FROM personas WHERE persona = ?", (own.row,))

    def _delete_personas_without_thread(self, board: int) -> None:
        waiting = {item.entry.thread for item in self._outbox_items(board)}
        for own in self._personas(board):
            thread = own.persona.thread
            if thread is None or not (thread in waiting or self._last_bucket(board, thread)):
                self._delete_persona(own)

    # --- The outbox -------------------------------------------------------------------------------

    def _leave_outbox(
        self, board: int, offered: dict[bytes, Entry], lacking: Sequence[bytes]
    ) -> None:
        for item in self._outbox_items(board):
            if item.entry.id in offered and item.entry.id not in lacking:
                self._delete_outbox_item(item.item, item.slot)

    def _delete_outbox_item(self, item: int, slot: int) -> None:
        self._record_slots.free([slot])
        self._db.execute("DELETE FROM outbox WHERE item = ?", (item,))
