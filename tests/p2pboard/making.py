"""Small factories for tests: boards without work, authors, threads. The same each time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from p2pboard.store.schema import open_database
from p2pboard.store.writer import Writer
from protocol.board import Board, Descriptor, encode_descriptor
from protocol.entry import Entry
from protocol.persona import Draft, Persona, draft_post, draft_retraction

#: 2023-11-14, in the middle of a bucket.
WALL_S = 1_700_000_123


def make_board(name: str = "canteen", seed: int = 1) -> Board:
    """A private board that asks for no work."""
    return Board.of(
        Descriptor(name=name, secret=Random(f"board {seed}").randbytes(32), work_bits=0)
    )


@dataclass
class Author:
    """Somebody who writes in one thread, at a clock that only the test moves."""

    board: Board
    seed: int = 1
    wall_s: int = WALL_S
    thread: bytes | None = None
    persona: Persona = field(init=False)

    def __post_init__(self) -> None:
        self._random = Random(f"author {self.seed}")
        self.persona = Persona.fresh(self._random.randbytes, self.thread)

    @property
    def key(self) -> bytes:
        return self.persona.public_key

    def post(self, text: str = "hello", parent: Entry | None = None) -> Entry:
        """An entry: it opens the thread, or answers ``parent`` (else the author's last one)."""
        parent_id = self.persona.prev if parent is None else parent.id
        if parent is not None and self.persona.thread is None:
            self.persona = Persona(self.persona.seed, self.key, parent.thread)
        return self._sign(
            draft_post(
                self.board, self.persona, text, parent_id, self.wall_s, self._random.randbytes
            )
        )

    def retract(self, target: Entry) -> Entry:
        """A retraction of any entry, whoever wrote it."""
        return self._sign(draft_retraction(self.board, self.persona, target.id, self.wall_s))

    def _sign(self, draft: Draft) -> Entry:
        nonce = draft.mine(0, 1)
        assert nonce is not None
        entry = draft.sign(self.persona, nonce)
        self.persona = self.persona.after(entry)
        return entry


def make_posts(
    board: Board, count: int, text_bytes: int = 40, first_seed: int = 1000, wall_s: int = WALL_S
) -> list[Entry]:
    """So many threads of one entry each."""
    return [
        Author(board, first_seed + i, wall_s).post("x" * text_bytes + str(i)) for i in range(count)
    ]


def write_own(
    writer: Writer, author: Author, text: str = "hello", parent: Entry | None = None
) -> Entry:
    """An entry of the node's own, in its outbox: ``author``'s next."""
    entry = author.post(text, parent)
    writer.put_own(author.board.id, author.persona, False, entry)
    return entry


def without_payload(entry: Entry) -> Entry:
    """The entry as somebody sends it who has forgotten what it says."""
    return entry._replace(payload=None)


def add_board(writer: Writer, board: Board) -> None:
    """The board, as joining it stores it."""
    writer.add_board(encode_descriptor(board.descriptor), board.id)


@contextmanager
def open_writer(path: Path, *boards: Board) -> Iterator[Writer]:
    """A writer on a database of its own, in a transaction that is committed at the end."""
    connection = open_database(path)
    try:
        connection.execute("BEGIN")
        writer = Writer(connection)
        for board in boards:
            add_board(writer, board)
        yield writer
        connection.execute("COMMIT")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    finally:
        connection.close()


def bytes_of_files(path: Path) -> bytes:
    """All that the database's files hold: the file itself, and what SQLite puts beside it."""
    return b"".join(file.read_bytes() for file in sorted(path.parent.glob(path.name + "*")))
