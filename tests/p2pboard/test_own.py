"""Own personas in the store: how long their keys stay, and what is left of them afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from p2pboard.store.own_reader import KEEP_S_DEFAULT, KEEP_SETTING
from p2pboard.store.reader import UnknownBoard
from p2pboard.store.schema import open_database
from p2pboard.store.sealing import CROWD_BYTES_MAX, is_erased
from p2pboard.store.writer import PersonaMoved, Writer
from protocol.board import Board
from protocol.entry import Entry, bucket_of
from protocol.errors import Misuse
from tests.p2pboard.making import (
    WALL_S,
    Author,
    add_board,
    bytes_of_files,
    make_board,
    make_posts,
    open_writer,
    without_payload,
    write_own,
)

BOARD = make_board()
NOW = bucket_of(WALL_S)
DAY = 144
KEEP = KEEP_S_DEFAULT // 600
#: Columns that hold what is random, or encrypted under it.
NOISE = ("sealed", "secret", "tag", "wrapped")
RETENTION = BOARD.descriptor.retention_days * DAY


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "board.sqlite3"


@pytest.fixture
def writer(path: Path) -> Iterator[Writer]:
    with open_writer(path, BOARD) as writer:
        yield writer


def kept(writer: Writer, board: Board = BOARD) -> set[bytes]:
    return {dated.own.persona.public_key for dated in writer.own_personas(board.id)}


def wrapped_secrets(writer: Writer, table: str = "record_secrets") -> set[bytes]:
    rows = writer._db.execute("SELECT secret FROM $".replace("$", table)).fetchall()
    return {raw for (raw,) in rows if not is_erased(raw)}


# --- The timer ------------------------------------------------------------------------------------


def test_a_key_is_thrown_away_three_days_after_its_last_use_and_not_before(writer: Writer) -> None:
    """S-7."""
    author = Author(BOARD)
    write_own(writer, author)
    assert [dated.due for dated in writer.own_personas(BOARD.id)] == [NOW + 3 * DAY]
    assert writer.throw_away_due(NOW + 3 * DAY - 1) == 0
    assert kept(writer) == {author.key}
    assert writer.throw_away_due(NOW + 3 * DAY) == 1
    assert kept(writer) == set()
    assert writer.own_persona_by_key(BOARD.id, author.key) is None


def test_each_use_puts_it_off(writer: Writer) -> None:
    author = Author(BOARD)
    write_own(writer, author)
    author.wall_s += 2 * 86400
    write_own(writer, author, "more")
    assert writer.throw_away_due(NOW + KEEP) == 0
    assert writer.throw_away_due(NOW + KEEP + 2 * DAY) == 1


def test_what_others_write_and_what_comes_back_puts_nothing_off(writer: Writer) -> None:
    author = Author(BOARD)
    opener = write_own(writer, author)
    later = Author(BOARD, 2, WALL_S + 86400).post(parent=opener)
    writer.put_entries(BOARD.id, [opener, later])
    writer.note_crowd(BOARD.id, author.key, b"whom")
    assert writer.throw_away_due(NOW + KEEP) == 1


@pytest.mark.parametrize("keep_days", [1, 10, 3650])
def test_the_setting_says_how_long_but_never_beyond_the_thread(
    writer: Writer, keep_days: int
) -> None:
    """S-7."""
    writer.put_setting(KEEP_SETTING, keep_days * 86400)
    author = Author(BOARD)
    writer.put_entries(BOARD.id, [write_own(writer, author)])
    due = NOW + min(keep_days * DAY, RETENTION + 1)
    assert writer.throw_away_due(due - 1) == 0
    assert writer.throw_away_due(due) == 1


def test_a_thread_lives_for_as_long_as_its_last_entry(writer: Writer) -> None:
    writer.put_setting(KEEP_SETTING, 3650 * 86400)
    author = Author(BOARD)
    opener = write_own(writer, author)
    answer = Author(BOARD, 2, WALL_S + 5 * 86400).post(parent=opener)
    writer.put_entries(BOARD.id, [opener, answer])
    (dated,) = writer.own_personas(BOARD.id)
    assert dated.due == NOW + 5 * DAY + RETENTION + 1


def test_the_key_goes_with_its_thread_at_the_expiry_that_the_list_says(writer: Writer) -> None:
    writer.put_setting(KEEP_SETTING, 3650 * 86400)
    author = Author(BOARD)
    writer.put_entries(BOARD.id, [write_own(writer, author)])
    (dated,) = writer.own_personas(BOARD.id)
    writer.expire(BOARD.id, dated.due - 1 - RETENTION)
    assert kept(writer) == {author.key}
    writer.expire(BOARD.id, dated.due - RETENTION)
    assert kept(writer) == set()


def test_an_own_thread_of_which_nothing_is_left_keeps_no_key_for_ever(writer: Writer) -> None:
    writer.put_setting(KEEP_SETTING, 3650 * 86400)
    entry = write_own(writer, Author(BOARD))
    writer.forget(BOARD.id, entry.id)
    assert writer.throw_away_due(NOW + RETENTION + 1) == 1


def test_keys_of_all_boards_are_looked_through(writer: Writer) -> None:
    other = make_board("other", 2)
    add_board(writer, other)
    write_own(writer, Author(BOARD))
    write_own(writer, Author(other))
    later = Author(other, 3, WALL_S + 86400)
    write_own(writer, later)
    assert writer.throw_away_due(NOW + KEEP) == 2
    assert kept(writer) | kept(writer, other) == {later.key}


def test_what_waits_in_the_outbox_outlives_its_key(writer: Writer) -> None:
    entry = write_own(writer, Author(BOARD))
    writer.throw_away_due(NOW + KEEP)
    assert writer.outbox(BOARD.id) == [entry]
    writer.put_entries(BOARD.id, [entry])
    assert writer.outbox(BOARD.id) == []


# --- Throwing away --------------------------------------------------------------------------------


def test_only_the_keys_that_are_named_go(writer: Writer) -> None:
    one, two = Author(BOARD, 1), Author(BOARD, 2)
    first, _ = write_own(writer, one), write_own(writer, two)
    assert writer.throw_away(BOARD.id, [one.key, bytes(32)]) == [first]
    assert kept(writer) == {two.key}
    assert len(writer.outbox(BOARD.id)) == 2


def test_what_is_withdrawn_leaves_the_outbox_with_its_key(writer: Writer) -> None:
    one, two = Author(BOARD, 1), Author(BOARD, 2)
    first, second = write_own(writer, one), write_own(writer, two)
    assert writer.throw_away(BOARD.id, [one.key], withdraw=True) == [first]
    assert writer.outbox(BOARD.id) == [second]


def test_a_key_that_was_thrown_away_while_its_next_entry_was_made_does_not_come_back(
    writer: Writer,
) -> None:
    author = Author(BOARD)
    write_own(writer, author)
    writer.throw_away(BOARD.id, [author.key])
    with pytest.raises(PersonaMoved, match="thrown away"):
        write_own(writer, author, "more")
    assert kept(writer) == set()


@pytest.mark.parametrize("how", ["drop", "time"])
@pytest.mark.parametrize("is_back", [True, False])
def test_of_a_thrown_away_key_nothing_is_in_any_file(path: Path, how: str, is_back: bool) -> None:
    """S-3, S-7."""
    author = Author(BOARD)
    with open_writer(path, BOARD) as writer:
        before = wrapped_secrets(writer)
        write_own(writer, author)
        write_own(writer, author, "and more")
        writer.note_crowd(BOARD.id, author.key, b"among whom I wrote")
        entries = writer.outbox(BOARD.id)
        if is_back:
            writer.put_entries(BOARD.id, entries)
        ((sealed,),) = writer._db.execute("SELECT sealed FROM personas").fetchall()
        gone = wrapped_secrets(writer) - before
    assert len(gone) == 1 if is_back else 3
    assert sealed in bytes_of_files(path)
    with open_writer(path) as writer:
        if how == "drop":
            writer.throw_away(BOARD.id, [author.key], withdraw=True)
        else:
            writer.throw_away_due(NOW + KEEP)
            writer.throw_away(BOARD.id, [author.key], withdraw=True)
        assert writer.has_erased
        assert wrapped_secrets(writer) == before
    found = bytes_of_files(path)
    assert not [raw for raw in gone if raw in found]
    assert sealed not in found
    assert author.persona.seed not in found


def test_however_the_tables_were_churned_no_secret_of_a_thrown_away_key_survives(
    path: Path,
) -> None:
    random = Random(11)
    erased: set[bytes] = set()
    with open_writer(path, BOARD) as writer:
        for round_ in range(40):
            for number in range(random.randint(1, 12)):
                author = Author(BOARD, 100 * round_ + number)
                write_own(writer, author, "x" * random.choice([10, 400, 6000]))
                if random.random() < 0.3:
                    writer.note_crowd(
                        BOARD.id, author.key, random.randbytes(random.randrange(8000))
                    )
            before = wrapped_secrets(writer)
            waiting = writer.outbox(BOARD.id)
            writer.put_entries(BOARD.id, random.sample(waiting, len(waiting) // 2))
            writer.throw_away(BOARD.id, random.sample(sorted(kept(writer)), len(kept(writer)) // 2))
            erased |= before - wrapped_secrets(writer)
        alive = wrapped_secrets(writer)
    assert len(erased) > 200
    found = bytes_of_files(path)
    assert not [raw for raw in erased if raw in found]
    assert all(raw in found for raw in alive)


# --- The crowd ------------------------------------------------------------------------------------


def test_a_note_on_the_crowd_stays_with_its_persona(writer: Writer) -> None:
    author = Author(BOARD)
    write_own(writer, author)
    assert writer.crowd_of(BOARD.id, author.key) == b""
    assert writer.note_crowd(BOARD.id, author.key, b"whom")
    assert writer.own_persona(BOARD.id, author.thread or author.persona.thread) == author.persona
    write_own(writer, author, "more")
    assert writer.crowd_of(BOARD.id, author.key) == b"whom"
    assert writer.note_crowd(BOARD.id, author.key, bytes(CROWD_BYTES_MAX))
    assert writer.crowd_of(BOARD.id, author.key) == bytes(CROWD_BYTES_MAX)
    assert writer.outbox(BOARD.id)[-1].header.seq == 1


def test_nothing_is_noted_of_who_is_none_of_ours(writer: Writer) -> None:
    assert not writer.note_crowd(BOARD.id, bytes(32), b"whom")
    assert writer.crowd_of(BOARD.id, bytes(32)) is None
    with pytest.raises(UnknownBoard):
        writer.note_crowd(bytes(32), bytes(32), b"whom")


def test_a_note_that_is_too_long_is_a_bug(writer: Writer) -> None:
    author = Author(BOARD)
    write_own(writer, author)
    with pytest.raises(Misuse):
        writer.note_crowd(BOARD.id, author.key, bytes(CROWD_BYTES_MAX + 1))


def test_a_note_and_what_it_takes_the_place_of_are_in_no_file_in_clear(path: Path) -> None:
    author = Author(BOARD)
    with open_writer(path, BOARD) as writer:
        write_own(writer, author)
        first = wrapped_secrets(writer)
        writer.note_crowd(BOARD.id, author.key, b"10.0.0.1 and 10.0.0.2")
        overwritten = first - wrapped_secrets(writer)
    found = bytes_of_files(path)
    assert len(overwritten) == 1
    assert not [raw for raw in overwritten if raw in found]
    assert b"10.0.0." not in found


# --- Own and others' entries ----------------------------------------------------------------------


def noiseless(value: object, column: str) -> object:
    """A stored value, of noise only how much there is of it."""
    return len(value) if isinstance(value, bytes) and column in NOISE else value


def everything(path: Path) -> dict[str, list[tuple[object, ...]]]:
    """All rows of all tables, in the order in which they are stored."""
    connection = open_database(path, read_only=True)
    names = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
    tables = {}
    for (name,) in names:
        sql = "SELECT * FROM $" if name == "settings" else "SELECT rowid, * FROM $"
        rows = connection.execute(sql.replace("$", name))
        columns = [column for column, *_ in rows.description]
        tables[name] = [
            tuple(noiseless(value, column) for value, column in zip(row, columns, strict=True))
            for row in rows
        ]
    connection.close()
    return tables


def some_life(writer: Writer, is_ours: bool, keep_keys: bool) -> None:
    """The same entries in the same order; of two personas among them, the node is the author or
    one that received theirs."""
    one, two = Author(BOARD, 1), Author(BOARD, 2)
    writer.put_entries(BOARD.id, make_posts(BOARD, 5, first_seed=100))
    question = make_posts(BOARD, 1, first_seed=200)[0]
    writer.put_entries(BOARD.id, [question])

    def own(author: Author, entry: Entry) -> Entry:
        if is_ours:
            writer.put_own(BOARD.id, author.persona, False, entry)
        return entry

    first = own(one, one.post("mine"))
    answer = own(two, two.post("mine, too", question))
    writer.put_entries(BOARD.id, make_posts(BOARD, 5, first_seed=300))
    writer.put_entries(BOARD.id, [without_payload(first)])
    more = own(one, one.post("more of mine"))
    writer.put_entries(BOARD.id, make_posts(BOARD, 5, first_seed=400))
    writer.put_entries(BOARD.id, [first, answer])
    writer.forget(BOARD.id, question.id)
    writer.put_entries(BOARD.id, [*make_posts(BOARD, 5, first_seed=500), more])
    retraction = own(one, one.retract(first))
    writer.put_entries(BOARD.id, make_posts(BOARD, 5, first_seed=600))
    writer.put_entries(BOARD.id, [retraction])
    writer.put_entries(BOARD.id, make_posts(BOARD, 5, first_seed=700))
    if is_ours and not keep_keys:
        writer.throw_away(BOARD.id, [one.key, two.key])


@pytest.mark.parametrize("keep_keys", [True, False])
def test_what_own_entries_leave_once_they_are_back_is_what_received_ones_leave(
    tmp_path: Path, keep_keys: bool
) -> None:
    """S-2. Column by column, row by row, number by number: which slots were free when a payload
    came would tell as much as a mark on it."""
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    for path in (ours, theirs):
        with open_writer(path, BOARD) as writer:
            some_life(writer, path is ours, keep_keys)
    with_own, without = everything(ours), everything(theirs)
    of_own = {"personas", "record_secrets", "free_record_slots"}
    assert {name for name in with_own if with_own[name] != without[name]} == (
        of_own if keep_keys else of_own - {"personas"}
    )
    assert len(with_own["entries"]) == 35
    assert with_own["outbox"] == []
    assert len(with_own["personas"]) == (2 if keep_keys else 0)


def test_once_the_keys_are_thrown_away_no_file_names_the_personas_more_often(
    tmp_path: Path,
) -> None:
    """S-2."""
    keys = [Author(BOARD, seed).key for seed in (1, 2)]
    seeds = [Author(BOARD, seed).persona.seed for seed in (1, 2)]
    counts = []
    for is_ours in (True, False):
        path = tmp_path / str(is_ours)
        with open_writer(path, BOARD) as writer:
            some_life(writer, is_ours, keep_keys=False)
        found = bytes_of_files(path)
        assert not any(seed in found for seed in seeds)
        counts.append([found.count(key) for key in keys])
    assert counts[0] == counts[1]


def test_rows_of_own_things_have_one_size(writer: Writer) -> None:
    """The length of an outbox row would tell which of the entries it has become."""
    for seed, text in enumerate(("a", "b" * 90, "c" * 550)):
        write_own(writer, Author(BOARD, seed), text)
    for table in ("personas", "outbox"):
        rows = writer._db.execute("SELECT length(sealed) FROM $".replace("$", table))
        assert len({size for (size,) in rows}) == 1


# --- Own posts ------------------------------------------------------------------------------------


def test_own_posts_are_those_of_own_personas_on_all_boards_the_latest_first(writer: Writer) -> None:
    other = make_board("other", 2)
    add_board(writer, other)
    mine, elsewhere = Author(BOARD, 1), Author(other, 2, WALL_S + 600)
    first = write_own(writer, mine, "first")
    answer = Author(BOARD, 3).post("not mine", parent=first)
    second = write_own(writer, mine, "second", answer)
    writer.put_entries(BOARD.id, [first, answer, second])
    third = write_own(writer, elsewhere, "third")
    writer.put_entries(other.id, [third])
    waiting = Author(BOARD, 4)
    fourth = write_own(writer, waiting, "fourth")
    later = Author(BOARD, 5, WALL_S + 1200)
    fifth = write_own(writer, later, "fifth")
    posts = writer.own_posts(10)
    assert [post.text for post in posts] == ["fifth", "fourth", "third", "second", "first"]
    assert [post.id for post in posts] == [e.id for e in (fifth, fourth, third, second, first)]
    authors = [later, waiting, elsewhere, mine, mine]
    assert [post.persona for post in posts] == [author.key for author in authors]
    for newest in range(6):
        assert writer.own_posts(newest) == posts[:newest]


def test_what_is_forgotten_or_takes_back_is_no_own_post(writer: Writer) -> None:
    author = Author(BOARD)
    forgotten, kept = write_own(writer, author, "forgotten"), write_own(writer, author, "kept")
    writer.put_entries(BOARD.id, [forgotten, kept])
    writer.forget(BOARD.id, forgotten.id)
    retraction = author.retract(forgotten)
    writer.put_own(BOARD.id, author.persona, False, retraction)
    assert [post.text for post in writer.own_posts(10)] == ["kept"]


def test_whose_key_was_thrown_away_has_no_own_posts(writer: Writer) -> None:
    author = Author(BOARD)
    writer.put_entries(BOARD.id, [write_own(writer, author), *make_posts(BOARD, 3)])
    assert len(writer.own_posts(10)) == 1
    writer.throw_away(BOARD.id, [author.key], False)
    assert writer.own_posts(10) == []
