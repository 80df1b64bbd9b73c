"""What can be asked of what is this node's own: its personas, with their keys, and its outbox.

Nothing else in the store says of an entry that it was written here. All of it is sealed, each row
by itself: what a row is about can be told only by opening it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from p2pboard.store.base import Base, BoardRow, in_log_order, short
from p2pboard.store.sealing import Kept, unseal_outbox, unseal_payload, unseal_persona
from protocol.entry import BUCKET_SECONDS, Entry, Kind, payload_text
from protocol.persona import Persona

#: A persona's key is kept for so long after it last wrote. Long enough to go on with a talk over a
#: weekend and to take back what one regrets; guess.
KEEP_S_DEFAULT = 3 * 86400
#: The least and the most that can be set: keys are looked through every ten minutes, and no board
#: keeps entries for longer.
KEEP_S_RANGE = (3600, 3650 * 86400)
#: The setting with these seconds.
KEEP_SETTING = "persona_keep_s"
_BUCKETS_A_DAY = 86400 // BUCKET_SECONDS


class OutboxItem(NamedTuple):
    """A row of the outbox, opened.

    :ivar crowd_least: how many nodes must be there before the entry leaves.
    """

    item: int
    slot: int
    entry: Entry
    crowd_least: int


class OwnPersona(NamedTuple):
    """A row of the personas, opened."""

    row: int
    slot: int
    kept: Kept

    @property
    def persona(self) -> Persona:
        """The persona, with its key."""
        return self.kept.persona

    @property
    def is_fresh(self) -> bool:
        """Whether it was made for one entry only."""
        return self.kept.is_fresh


class OwnPost(NamedTuple):
    """What somebody here has written, and may be read still."""

    id: bytes
    persona: bytes
    text: str


class DatedPersona(NamedTuple):
    """An own persona and what becomes of its key.

    :ivar waiting: ids of its entries in the outbox.
    :ivar due: the bucket at whose beginning its key is thrown away.
    """

    own: OwnPersona
    waiting: tuple[bytes, ...]
    due: int


def _own_post(identifier: bytes, persona: bytes, payload: bytes | None) -> OwnPost:
    return OwnPost(identifier, persona, (payload and payload_text(payload)) or "")


class OwnReader(Base):
    """The questions; they raise as :class:`~p2pboard.store.reader.Reader`'s."""

    # --- The outbox -------------------------------------------------------------------------------

    def outbox(self, board_id: bytes) -> list[Entry]:
        """Own entries that have not come back from the network, in log order."""
        items = self._outbox_items(self._board(board_id))
        return in_log_order(item.entry for item in items)

    def held(self, board_id: bytes) -> dict[bytes, int]:
        """Of the outbox, the ids that wait until some number of nodes is there, and that number."""
        items = self._outbox_items(self._board(board_id))
        return {item.entry.id: item.crowd_least for item in items if item.crowd_least}

    def _outbox_items(self, board: int) -> list[OutboxItem]:
        rows = self._db.execute(
            "SELECT item, slot, sealed, secret FROM outbox JOIN record_secrets USING (slot)"
            " WHERE board = ?",
            (board,),
        )
        return [
            OutboxItem(item, slot, *unseal_outbox(self._secret(wrapped), sealed))
            for item, slot, sealed, wrapped in rows
        ]

    # --- Personas ---------------------------------------------------------------------------------

    def own_persona(self, board_id: bytes, thread: bytes) -> Persona | None:
        """The persona that this node writes with in ``thread``, its key included; None where it
        has none. Those made fresh for one entry don't count."""
        own = [
            row.persona
            for row in self._personas(self._board(board_id))
            if row.persona.thread == thread and not row.is_fresh
        ]
        return max(own, key=lambda persona: persona.seq, default=None)

    def own_persona_by_key(self, board_id: bytes, public_key: bytes) -> Persona | None:
        """The own persona, fresh or not, of that key; None where it is somebody else's, or its key
        was thrown away."""
        row = self._own_persona_row(self._board(board_id), public_key)
        return None if row is None else row.persona

    def crowd_of(self, board_id: bytes, public_key: bytes) -> bytes | None:
        """What was noted of the nodes among which an own persona wrote, b"" at first; None where
        it is none of ours."""
        row = self._own_persona_row(self._board(board_id), public_key)
        return None if row is None else row.kept.crowd

    def crowds(self, board_id: bytes) -> dict[bytes, bytes]:
        """What is noted with each own persona on a board, by its key; b"" at first."""
        personas = self._personas(self._board(board_id))
        return {row.persona.public_key: row.kept.crowd for row in personas}

    def own_personas(self, board_id: bytes) -> list[DatedPersona]:
        """All own personas on a board, the one that wrote last first."""
        number = self._board(board_id)
        row = next(row for row in self.boards() if row.board_id == board_id)
        dated = self._dated(number, row)
        return sorted(dated, key=lambda one: (-one.own.kept.used, one.own.persona.public_key))

    def own_posts(self, newest: int) -> list[OwnPost]:
        """What own personas whose keys are kept have written, on all boards, the latest first:
        about the ``newest`` posts, for a persona is as new as its last one. What was forgotten is
        not among them."""
        boards = self._db.execute("SELECT board FROM boards").fetchall()
        waiting = [item.entry for (board,) in boards for item in self._outbox_items(board)]
        posts = [
            _own_post(entry.id, entry.header.persona, entry.payload)
            for entry in reversed(in_log_order(waiting))
            if entry.header.kind == Kind.POST
        ]
        own = [(board, row.kept) for (board,) in boards for row in self._personas(board)]
        for board, kept in sorted(own, key=lambda pair: pair[1].used, reverse=True):
            if len(posts) >= newest:
                break
            posts += self._posts_of(board, kept.persona, newest)
        return posts[:newest]

    def _posts_of(self, board: int, persona: Persona, newest: int) -> list[OwnPost]:
        if persona.thread is None:
            return []
        rows = self._db.execute(
            "SELECT id, sealed, secret FROM entries INDEXED BY entries_by_thread"
            " JOIN payloads USING (entry) JOIN secrets USING (slot)"
            " WHERE board = ? AND substr(thread, 1, 8) = ? AND thread = ? AND persona = ?"
            " AND kind = ? ORDER BY bucket DESC, seq DESC LIMIT ?",
            (board, short(persona.thread), persona.thread, persona.public_key, Kind.POST, newest),
        )
        return [
            _own_post(identifier, persona.public_key, unseal_payload(self._secret(wrapped), sealed))
            for identifier, sealed, wrapped in rows
        ]

    def keep_s(self) -> int:
        """How long a persona's key is kept after its last use."""
        set_s = self.setting(KEEP_SETTING)
        return KEEP_S_DEFAULT if set_s is None else int(set_s)

    def _own_persona_row(self, board: int, public_key: bytes) -> OwnPersona | None:
        rows = self._personas(board)
        return next((row for row in rows if row.persona.public_key == public_key), None)

    def _personas(self, board: int) -> list[OwnPersona]:
        rows = self._db.execute(
            "SELECT persona, slot, sealed, secret FROM personas JOIN record_secrets USING (slot)"
            " WHERE board = ?",
            (board,),
        )
        return [
            OwnPersona(number, slot, unseal_persona(self._secret(wrapped), sealed))
            for number, slot, sealed, wrapped in rows
        ]

    def _dated(self, board: int, row: BoardRow) -> list[DatedPersona]:
        personas = self._personas(board)
        entries = [item.entry for item in self._outbox_items(board)] if personas else []
        return [
            DatedPersona(
                own,
                tuple(e.id for e in entries if e.header.persona == own.persona.public_key),
                self._due(board, own.kept, row.descriptor.retention_days, entries),
            )
            for own in personas
        ]

    def _due(self, board: int, kept: Kept, retention_days: int, waiting: Sequence[Entry]) -> int:
        """When a key is thrown away: some time after its last use, and at the latest with the last
        entry of its thread."""
        due = kept.used + -(-self.keep_s() // BUCKET_SECONDS)
        buckets = [e.header.bucket for e in waiting if e.thread == kept.persona.thread]
        last = max([*buckets, self._last_bucket(board, kept.persona.thread)])
        # A thread of which nothing is there (any more) counts from the persona's own last entry.
        return min(due, (last or kept.used) + retention_days * _BUCKETS_A_DAY + 1)

    def _last_bucket(self, board: int, thread: bytes | None) -> int:
        if thread is None:
            return 0
        row = self._db.execute(
            "SELECT max(bucket) FROM entries INDEXED BY entries_by_thread"
            " WHERE board = ? AND substr(thread, 1, 8) = ? AND thread = ?",
            (board, short(thread), thread),
        ).fetchone()
        return int(row[0] or 0)
