"""What is read without a node, and how what people type is understood."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from p2pboard import reading
from p2pboard.errors import UserError
from p2pboard.store.writer import Writer
from tests.p2pboard.making import WALL_S, Author, make_board, make_posts, open_writer

BOARD = make_board()
OTHER = make_board("office", 2)
AUTHOR = Author(BOARD)
OPENER = AUTHOR.post("opens")
ANSWER = AUTHOR.post("answers")
NEWER = Author(OTHER, 7, WALL_S + 600).post("newer")


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Writer]:
    with open_writer(tmp_path / "a", BOARD, OTHER) as writer:
        writer.put_entries(BOARD.id, [OPENER, ANSWER])
        writer.put_entries(OTHER.id, [NEWER])
        yield writer


def test_a_boards_shown_id_is_a_beginning() -> None:
    assert reading.shown_board_id(bytes(range(32))) == "0001020304050607"


@pytest.mark.parametrize("text", ["canteen", BOARD.id.hex()[:6], BOARD.id.hex().upper()])
def test_a_board_is_found_by_its_name_or_the_beginning_of_its_id(reader: Writer, text: str) -> None:
    assert reading.find_board(reader, text) == BOARD


@pytest.mark.parametrize("text", ["", "cant", "zz"])
def test_an_unknown_board_gets_the_names_of_those_there_are(reader: Writer, text: str) -> None:
    with pytest.raises(UserError, match="there is: canteen, office"):
        reading.find_board(reader, text)


def test_a_name_goes_before_the_beginning_of_an_id(tmp_path: Path) -> None:
    named = make_board(BOARD.id.hex()[:6], 3)
    with open_writer(tmp_path / "a", BOARD, named) as writer:
        assert reading.find_board(writer, named.descriptor.name) == named


def test_a_thread_is_found_by_any_of_its_entries(reader: Writer) -> None:
    for entry in (OPENER, ANSWER):
        assert reading.find_thread(reader, BOARD, entry.id.hex()[:20]) == OPENER.id


def test_an_entry_is_loaded_whole_from_the_store_or_the_outbox(reader: Writer) -> None:
    author = Author(BOARD, 3)
    waiting = author.post("waits")
    reader.put_own(BOARD.id, author.persona, False, waiting)
    for entry in (OPENER, waiting):
        assert reading.load_entry(reader, BOARD, entry.id.hex()) == entry


@pytest.mark.parametrize("prefix", ["", "xyz", "0" * 65])
def test_what_is_no_id_is_told_from_an_id_that_is_not_there(reader: Writer, prefix: str) -> None:
    with pytest.raises(UserError, match="0-9 and a-f"):
        reading.find_entry(reader, BOARD, prefix)
    with pytest.raises(UserError, match="'p2pboard read canteen'"):
        reading.find_entry(reader, BOARD, "0" * 64)


def test_candidates_are_given_with_enough_digits_to_tell_them_apart(reader: Writer) -> None:
    reader.put_entries(BOARD.id, make_posts(BOARD, 40))
    with pytest.raises(UserError, match="give more digits") as caught:
        for digit in "0123456789abcdef":
            reading.find_entry(reader, BOARD, digit)
    named = str(caught.value).split(" of ")[1].split(":")[0].split(", ")
    assert 2 <= len(named) <= 8
    assert all(reading.find_entry(reader, BOARD, candidate) for candidate in named)


def test_the_newest_of_all_boards_come_oldest_first_and_name_their_board(reader: Writer) -> None:
    newest = reading.newest_entries(reader, 10)
    assert [record["board"] for record in newest] == ["canteen", "canteen", "office"]
    assert [record["text"] for record in reading.newest_entries(reader, 1)] == ["newer"]


def test_without_a_node_the_status_has_the_boards_and_no_peers(reader: Writer) -> None:
    status = reading.resting_status(reader)
    assert (status["running"], status["listening"], status["mdns"]) == (False, None, False)
    assert [(b["name"], b["entries"], b["outbox"]) for b in status["boards"]] == [
        ("canteen", 2, 0),
        ("office", 1, 0),
    ]


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        ("word", "Casino", "Casino"),
        ("entry", ANSWER.id.hex()[:20], ANSWER.id.hex()),
        ("thread", ANSWER.id.hex()[:20], OPENER.id.hex()),
        ("persona", AUTHOR.key.hex()[:9], AUTHOR.key.hex()),
        ("persona", "ab" * 32, "ab" * 32),
    ],
)
def test_what_a_rule_names_is_made_whole(reader: Writer, kind: str, text: str, value: str) -> None:
    assert reading.find_blocked(reader, BOARD, kind, text) == value


def test_more_addresses_than_an_invite_has_room_for_are_a_wrong_use(reader: Writer) -> None:
    assert reading.invite_to(reader, "office", ("10.0.0.1:4000",))["name"] == "office"
    with pytest.raises(UserError, match="no such invite"):
        reading.invite_to(reader, "office", ("10.0.0.1:4000",) * 9)
