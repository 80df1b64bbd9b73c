"""What can be asked of the store."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from p2pboard.errors import StoreError
from p2pboard.rules import Rule
from p2pboard.store.reader import Ambiguous, NotFound, Reader, UnknownBoard
from p2pboard.store.schema import open_database
from p2pboard.store.writer import Writer
from protocol.board import encode_descriptor
from protocol.entry import Entry
from protocol.index import EntryIndex, encode_key
from tests.p2pboard.making import (
    WALL_S,
    Author,
    add_board,
    make_board,
    make_posts,
    open_writer,
    without_payload,
)

BOARD = make_board()


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[Writer]:
    with open_writer(tmp_path / "board.sqlite3", BOARD) as writer:
        yield writer


def test_boards_are_listed_as_they_were_added(writer: Writer) -> None:
    other = make_board("other", 2)
    add_board(writer, other)
    rows = writer.boards()
    assert [row.board_id for row in rows] == [BOARD.id, other.id]
    assert rows[1].descriptor == other.descriptor
    assert rows[1].descriptor_raw == encode_descriptor(other.descriptor)


def test_everything_survives_closing_and_opening(tmp_path: Path) -> None:
    author = Author(BOARD)
    waiting, *stored = author.post("waiting"), *make_posts(BOARD, 5)
    rule = Rule("", "word", "spam", reason="tired of it", created=7)
    with open_writer(tmp_path / "a", BOARD) as writer:
        writer.put_own(BOARD.id, author.persona, False, waiting)
        writer.put_entries(BOARD.id, stored)
        rule_id = writer.add_rule(BOARD.id, rule)
    reader = Reader(open_database(tmp_path / "a", read_only=True))
    assert reader.outbox(BOARD.id) == [waiting]
    assert reader.own_persona(BOARD.id, waiting.thread) == author.persona
    assert set(reader.load_entries(BOARD.id, [e.id for e in stored], 10**6)[1]) == set(stored)
    assert reader.rules(BOARD.id) == [Rule(rule_id, "word", "spam", reason=rule.reason, created=7)]


@pytest.mark.parametrize(
    "ask",
    [
        lambda reader: reader.index_keys(bytes(32)),
        lambda reader: reader.rows(bytes(32)),
        lambda reader: reader.outbox(bytes(32)),
        lambda reader: reader.load_entries(bytes(32), [], 1),
        lambda reader: reader.rules(bytes(32)),
        lambda reader: reader.own_persona(bytes(32), bytes(32)),
    ],
)
def test_a_board_that_is_not_here_is_said_so(writer: Writer, ask: object) -> None:
    with pytest.raises(UnknownBoard, match="join it again"):
        ask(writer)  # type: ignore[operator]


# --- What the core needs --------------------------------------------------------------------------


def spread_posts(count: int) -> list[Entry]:
    return [Author(BOARD, 100 + i, WALL_S - i % 7 * 6000).post(str(i)) for i in range(count)]


def test_index_keys_are_those_of_the_stored_entries_sorted(writer: Writer) -> None:
    entries = spread_posts(300)
    writer.put_entries(
        BOARD.id, [without_payload(e) if i % 3 else e for i, e in enumerate(entries)]
    )
    author = Author(BOARD)
    waiting = author.post()
    writer.put_own(BOARD.id, author.persona, False, waiting)
    keys = writer.index_keys(BOARD.id)
    assert keys == b"".join(sorted(encode_key(e.timestamp, e.id) for e in entries))
    one_by_one = [keys[start : start + 40] for start in range(0, len(keys), 40)]
    assert len(EntryIndex.from_keys(one_by_one)) == len(entries)


def test_keys_are_of_one_board_only(writer: Writer) -> None:
    other = make_board("other", 2)
    add_board(writer, other)
    writer.put_entries(other.id, make_posts(other, 3))
    assert writer.index_keys(BOARD.id) == b""
    assert len(writer.index_keys(other.id)) == 120


def test_loading_gives_what_there_is_in_log_order(writer: Writer) -> None:
    author = Author(BOARD)
    log = [author.post(str(i)) for i in range(5)]
    earlier = Author(BOARD, 2, WALL_S - 6000).post()
    writer.put_entries(BOARD.id, [*log, earlier])
    ids = [log[4].id, bytes(32), log[0].id, earlier.id, log[2].id]
    covered, entries = writer.load_entries(BOARD.id, ids, 10**6)
    assert covered == 5
    assert entries == [earlier, log[0], log[2], log[4]]


def test_loading_stops_after_the_entry_that_exceeds_the_bound(writer: Writer) -> None:
    entries = make_posts(BOARD, 200, text_bytes=100)
    writer.put_entries(BOARD.id, entries)
    ids = [entry.id for entry in entries]
    sizes = [entry.wire_bytes for entry in entries]
    for wanted in (1, 64, 65, 199):
        covered, loaded = writer.load_entries(BOARD.id, ids, sum(sizes[:wanted]) - 1)
        assert covered == wanted
        assert set(loaded) == set(entries[:wanted])
    assert writer.load_entries(BOARD.id, ids, sum(sizes))[0] == 200


def test_the_outbox_is_in_log_order(writer: Writer) -> None:
    author = Author(BOARD)
    log = []
    for text in "abc":
        log.append(author.post(text))
        writer.put_own(BOARD.id, author.persona, False, log[-1])
    assert writer.outbox(BOARD.id) == log


def test_lacking_is_bounded(writer: Writer) -> None:
    writer.put_entries(BOARD.id, [without_payload(entry) for entry in make_posts(BOARD, 20)])
    assert len(writer.lacking(BOARD.id, 7)) == 7
    assert len(writer.lacking(BOARD.id, 70)) == 20


def test_a_damaged_payload_is_one_line(writer: Writer) -> None:
    entry = Author(BOARD).post()
    writer.put_entries(BOARD.id, [entry])
    writer._db.execute("UPDATE payloads SET sealed = zeroblob(length(sealed))")
    with pytest.raises(StoreError, match="damaged"):
        writer.load_entries(BOARD.id, [entry.id], 10**6)


# --- What people read -----------------------------------------------------------------------------


def test_rows_know_the_opener_and_the_retraction_even_where_those_are_not_among_them(
    writer: Writer,
) -> None:
    one, two = Author(BOARD, 1, WALL_S - 6000), Author(BOARD, 2)
    opener = one.post()
    answer = two.post(parent=opener)
    retraction = two.retract(answer)._replace(payload=b"")
    writer.put_entries(BOARD.id, [opener, answer, retraction])
    row = writer.entry_row(BOARD.id, answer.id)
    assert row is not None
    assert row.opener == one.key
    assert row.is_retracted
    assert row.payload is None
    assert writer.entry_row(BOARD.id, bytes(32)) is None


def test_an_answer_that_calls_an_answer_its_thread_has_no_opener(writer: Writer) -> None:
    one, two = Author(BOARD, 1), Author(BOARD, 2)
    one.post()
    middle = one.post()
    two.thread = middle.id
    two.__post_init__()
    stray = two.post(parent=middle)
    writer.put_entries(BOARD.id, [middle, stray])
    row = writer.entry_row(BOARD.id, stray.id)
    assert row is not None and row.thread == middle.id and row.opener is None


def test_rows_of_a_thread_are_all_of_it_and_nothing_else(writer: Writer) -> None:
    one, two = Author(BOARD, 1), Author(BOARD, 2)
    opener = one.post()
    writer.put_own(BOARD.id, one.persona, False, opener)
    answer = two.post(parent=opener)
    waiting = one.post("waiting")
    writer.put_entries(BOARD.id, [opener, answer, *make_posts(BOARD, 10)])
    writer.put_own(BOARD.id, one.persona, False, waiting)
    rows = writer.rows(BOARD.id, thread=opener.id)
    assert {row.id for row in rows} == {opener.id, answer.id, waiting.id}
    assert [row.is_outbox for row in rows if row.id == waiting.id] == [True]
    assert {row.opener for row in rows} == {one.key}


def test_the_newest_rows_are_the_latest_with_the_outbox_counted(writer: Writer) -> None:
    entries = [Author(BOARD, 100 + i, WALL_S - i * 600).post() for i in range(10)]
    author = Author(BOARD)
    waiting = author.post()
    writer.put_entries(BOARD.id, entries)
    writer.put_own(BOARD.id, author.persona, False, waiting)
    rows = writer.rows(BOARD.id, newest=4)
    assert {row.id for row in rows} == {waiting.id, *(entry.id for entry in entries[:3])}


def test_an_id_is_found_by_any_beginning_that_only_it_has(writer: Writer) -> None:
    author = Author(BOARD)
    waiting, *stored = author.post(), *make_posts(BOARD, 40)
    writer.put_entries(BOARD.id, stored)
    writer.put_own(BOARD.id, author.persona, False, waiting)
    for entry in (waiting, stored[0], stored[39]):
        for length in (7, 16, 17, 33, 64):
            assert writer.resolve(BOARD.id, entry.id.hex()[:length]) == entry.id
        assert writer.resolve(BOARD.id, entry.id.hex().upper()) == entry.id


def test_a_beginning_that_several_have_is_ambiguous_and_names_some(writer: Writer) -> None:
    entries = make_posts(BOARD, 40)
    writer.put_entries(BOARD.id, entries)
    digits = [entry.id.hex()[0] for entry in entries]
    digit = max(set(digits), key=digits.count)
    with pytest.raises(Ambiguous, match="more digits") as caught:
        writer.resolve(BOARD.id, digit)
    assert set(caught.value.candidates) <= {e.id for e in entries if e.id.hex()[0] == digit}
    assert len(caught.value.candidates) > 1


@pytest.mark.parametrize("prefix", ["", "xyz", "00" * 33, "0" * 20, " 12"])
def test_what_is_no_beginning_of_an_id_is_not_found(writer: Writer, prefix: str) -> None:
    writer.put_entries(BOARD.id, make_posts(BOARD, 4))
    with pytest.raises(NotFound):
        writer.resolve(BOARD.id, prefix)


def test_ids_of_other_boards_are_not_found(writer: Writer) -> None:
    other = make_board("other", 2)
    add_board(writer, other)
    entry = Author(other).post()
    writer.put_entries(other.id, [entry])
    with pytest.raises(NotFound):
        writer.resolve(BOARD.id, entry.id.hex())
    assert writer.load_entries(BOARD.id, [entry.id], 10**6) == (1, [])
