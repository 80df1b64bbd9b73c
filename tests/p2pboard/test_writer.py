"""What the store keeps, forgets and erases."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from p2pboard.rules import Rule
from p2pboard.store.database import Database
from p2pboard.store.reader import UnknownBoard
from p2pboard.store.schema import MIGRATIONS, PayloadState, migrate, open_database
from p2pboard.store.sealing import is_erased
from p2pboard.store.writer import ADDRESSES_MAX, PersonaMoved, Writer
from protocol.board import Board
from protocol.entry import Entry, bucket_of
from protocol.errors import Misuse
from protocol.persona import Persona
from tests.p2pboard.making import (
    WALL_S,
    Author,
    add_board,
    bytes_of_files,
    make_board,
    make_posts,
    open_writer,
    without_payload,
)

BOARD = make_board()
DAY_S = 86400


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "board.sqlite3"


@pytest.fixture
def writer(path: Path) -> Iterator[Writer]:
    with open_writer(path, BOARD) as writer:
        yield writer


def states(writer: Writer, board: Board = BOARD) -> dict[bytes, PayloadState]:
    return {row.id: PayloadState(row.payload_state) for row in writer.rows(board.id)}


def load(writer: Writer, *entries: Entry) -> list[Entry]:
    return writer.load_entries(BOARD.id, [entry.id for entry in entries], 10**9)[1]


def own(author: Author, entry: Entry) -> tuple[Persona, bool, Entry]:
    return author.persona, False, entry


# --- Entries --------------------------------------------------------------------------------------


def test_what_is_stored_comes_back_byte_for_byte(writer: Writer) -> None:
    author = Author(BOARD)
    entries = [author.post("one"), author.post("two"), author.post("three")]
    assert writer.put_entries(BOARD.id, entries) == []
    assert load(writer, *entries) == entries


def test_a_batch_of_any_length_is_stored(writer: Writer) -> None:
    entries = make_posts(BOARD, 1100)
    writer.put_entries(BOARD.id, entries)
    assert writer.count(BOARD.id) == 1100
    assert set(load(writer, *entries)) == set(entries)


def test_an_entry_offered_again_changes_nothing(writer: Writer) -> None:
    entry = Author(BOARD).post()
    writer.put_entries(BOARD.id, [entry, entry])
    assert writer.put_entries(BOARD.id, [without_payload(entry)]) == []
    assert load(writer, entry) == [entry]


def test_an_entry_offered_twice_in_a_batch_is_taken_with_its_payload(writer: Writer) -> None:
    entry = Author(BOARD).post()
    assert writer.put_entries(BOARD.id, [entry, without_payload(entry)]) == []
    assert load(writer, entry) == [entry]


def test_a_missing_payload_is_wanted_and_filled_in_later(writer: Writer) -> None:
    entry = Author(BOARD).post()
    bare = without_payload(entry)
    assert writer.put_entries(BOARD.id, [bare]) == [entry.id]
    assert writer.put_entries(BOARD.id, [bare]) == [entry.id]
    assert writer.lacking(BOARD.id, 10) == [entry.id]
    assert load(writer, entry) == [bare]
    assert writer.put_entries(BOARD.id, [entry]) == []
    assert load(writer, entry) == [entry]
    assert writer.lacking(BOARD.id, 10) == []


def test_a_retraction_lacks_nothing_even_where_its_empty_payload_was_left_out(
    writer: Writer,
) -> None:
    author = Author(BOARD)
    retraction = author.retract(author.post())
    assert writer.put_entries(BOARD.id, [without_payload(retraction)]) == []
    assert load(writer, retraction) == [retraction]


def test_a_forgotten_payload_is_not_filled_in(writer: Writer) -> None:
    """S-4."""
    kept, lacked = Author(BOARD, 1).post(), Author(BOARD, 2).post()
    writer.put_entries(BOARD.id, [kept, without_payload(lacked)])
    assert writer.forget(BOARD.id, kept.id)
    assert writer.forget(BOARD.id, lacked.id)
    assert writer.put_entries(BOARD.id, [kept, lacked]) == []
    assert writer.put_entries(BOARD.id, [without_payload(kept)]) == []
    assert {entry.payload for entry in load(writer, kept, lacked)} == {None}
    assert writer.lacking(BOARD.id, 10) == []


def test_forgetting_says_whether_there_was_anything_to_forget(writer: Writer) -> None:
    author = Author(BOARD)
    post = author.post()
    retraction = author.retract(post)
    assert not writer.forget(BOARD.id, post.id)
    writer.put_entries(BOARD.id, [post])
    assert writer.forget(BOARD.id, post.id)
    assert not writer.forget(BOARD.id, post.id)
    writer.put_entries(BOARD.id, [retraction])
    assert not writer.forget(BOARD.id, retraction.id)


# --- Retractions ----------------------------------------------------------------------------------


@pytest.mark.parametrize("order", ["post first", "retraction first", "together", "together, late"])
def test_a_retraction_by_its_author_counts_in_every_order(writer: Writer, order: str) -> None:
    """E-25, E-26."""
    author = Author(BOARD)
    post = author.post("never mind")
    retraction = author.retract(post)
    batches = {
        "post first": [[post], [retraction]],
        "retraction first": [[retraction], [post]],
        "together": [[post, retraction]],
        "together, late": [[without_payload(post)], [retraction, post]],
    }
    lacking = [writer.put_entries(BOARD.id, batch) for batch in batches[order]][-1]
    assert lacking == []
    assert states(writer)[post.id] == PayloadState.FORGOTTEN
    assert load(writer, post) == [without_payload(post)]
    assert writer.put_entries(BOARD.id, [post]) == []
    assert load(writer, post) == [without_payload(post)]


@pytest.mark.parametrize("is_retraction_first", [False, True])
def test_a_retraction_by_somebody_else_does_not_count(
    writer: Writer, is_retraction_first: bool
) -> None:
    """E-25."""
    post = Author(BOARD, 1).post("stays")
    stranger = Author(BOARD, 2)
    stranger.post(parent=post)
    entries = [post, stranger.retract(post)]
    for entry in reversed(entries) if is_retraction_first else entries:
        writer.put_entries(BOARD.id, [entry])
    assert load(writer, post) == [post]
    assert not any(row.is_retracted for row in writer.rows(BOARD.id))


# --- Own entries ----------------------------------------------------------------------------------


def test_an_own_entry_waits_in_the_outbox_and_nowhere_else(writer: Writer) -> None:
    """O-1."""
    author = Author(BOARD)
    entry = author.post()
    writer.put_own(BOARD.id, *own(author, entry))
    assert writer.outbox(BOARD.id) == [entry]
    assert writer.count(BOARD.id) == 0
    assert writer.index_keys(BOARD.id) == b""
    assert load(writer, entry) == []


def test_what_waits_for_company_is_held_until_it_is_back(writer: Writer) -> None:
    author = Author(BOARD)
    entry = author.post()
    persona, is_fresh, _ = own(author, entry)
    writer.put_own(BOARD.id, persona, is_fresh, entry, 5)
    assert writer.held(BOARD.id) == {entry.id: 5}
    writer.put_entries(BOARD.id, [entry])
    assert writer.held(BOARD.id) == {}


def test_an_own_entry_leaves_the_outbox_in_the_transaction_that_stores_it(path: Path) -> None:
    """S-6."""
    author = Author(BOARD)
    entry = author.post()
    with open_writer(path, BOARD) as writer:
        writer.put_own(BOARD.id, *own(author, entry))
    connection = open_database(path)
    writer = Writer(connection)
    connection.execute("BEGIN")
    writer.put_entries(BOARD.id, [entry])
    assert writer.outbox(BOARD.id) == []
    connection.execute("ROLLBACK")
    assert writer.outbox(BOARD.id) == [entry]
    assert writer.count(BOARD.id) == 0
    connection.close()


def test_own_entries_look_like_all_others_once_they_are_back(tmp_path: Path) -> None:
    """S-2."""
    author = Author(BOARD)
    entries = [author.post("mine"), author.post("mine, too")]
    theirs, ours = tmp_path / "theirs", tmp_path / "ours"
    with open_writer(theirs, BOARD) as writer:
        writer.put_entries(BOARD.id, entries)
    with open_writer(ours, BOARD) as writer:
        for entry, seq in zip(entries, (1, 2), strict=True):
            persona = Persona(author.persona.seed, author.key, author.persona.thread, seq, entry.id)
            writer.put_own(BOARD.id, persona, False, entry)
        writer.put_entries(BOARD.id, entries)
    tables = []
    for path in (theirs, ours):
        connection = open_database(path, read_only=True)
        tables.append(connection.execute("SELECT * FROM entries ORDER BY entry").fetchall())
        connection.close()
    assert tables[0] == tables[1]
    # Nor does any other table name the persona, whoever reads the file: its row is sealed.
    assert bytes_of_files(ours).count(author.key) == bytes_of_files(theirs).count(author.key)
    assert author.persona.seed not in bytes_of_files(ours)


def test_an_own_entry_that_comes_back_bare_is_stored_bare_and_waits_on(writer: Writer) -> None:
    """A peer that withholds the payload must not learn from our answers that we have it."""
    author = Author(BOARD)
    entry = author.post()
    writer.put_own(BOARD.id, *own(author, entry))
    assert writer.put_entries(BOARD.id, [without_payload(entry)]) == [entry.id]
    assert load(writer, entry) == [without_payload(entry)]
    assert writer.outbox(BOARD.id) == [entry]
    assert [row.is_outbox for row in writer.rows(BOARD.id)] == [True]
    writer.put_entries(BOARD.id, [entry])
    assert writer.outbox(BOARD.id) == []
    assert load(writer, entry) == [entry]


def test_an_own_retraction_forgets_nothing_before_it_is_back(writer: Writer) -> None:
    author = Author(BOARD)
    post = author.post()
    writer.put_own(BOARD.id, *own(author, post))
    writer.put_entries(BOARD.id, [post])
    retraction = author.retract(post)
    writer.put_own(BOARD.id, *own(author, retraction))
    assert load(writer, post) == [post]
    writer.put_entries(BOARD.id, [retraction])
    assert load(writer, post) == [without_payload(post)]


def test_personas_are_found_by_thread_unless_fresh_and_by_key_always(writer: Writer) -> None:
    author, fresh = Author(BOARD, 1), Author(BOARD, 2)
    post = author.post()
    answer = fresh.post(parent=post)
    writer.put_own(BOARD.id, author.persona, False, post)
    writer.put_own(BOARD.id, fresh.persona, True, answer)
    assert writer.own_persona(BOARD.id, post.thread) == author.persona
    assert writer.own_persona_by_key(BOARD.id, fresh.key) == fresh.persona
    assert writer.own_persona_by_key(BOARD.id, bytes(32)) is None
    assert writer.own_persona(BOARD.id, bytes(32)) is None


def test_two_entries_drafted_from_the_same_place_do_not_fork_the_log(writer: Writer) -> None:
    author = Author(BOARD)
    writer.put_own(BOARD.id, *own(author, author.post()))
    before = author.persona
    writer.put_own(BOARD.id, *own(author, author.post("first")))
    author.persona = before
    with pytest.raises(PersonaMoved):
        writer.put_own(BOARD.id, *own(author, author.post("second")))


def test_a_persona_that_does_not_fit_its_entry_is_a_bug(writer: Writer) -> None:
    author = Author(BOARD)
    before = author.persona
    entry = author.post()
    with pytest.raises(Misuse):
        writer.put_own(BOARD.id, before, False, entry)


def test_forgetting_takes_an_entry_out_of_the_outbox(writer: Writer) -> None:
    author = Author(BOARD)
    entry = author.post()
    writer.put_own(BOARD.id, *own(author, entry))
    assert writer.forget(BOARD.id, entry.id)
    assert writer.outbox(BOARD.id) == []


# --- Erasing --------------------------------------------------------------------------------------


def secrets_of(writer: Writer, table: str = "secrets") -> set[bytes]:
    rows = writer._db.execute("SELECT secret FROM $".replace("$", table)).fetchall()
    return {secret for (secret,) in rows if not is_erased(secret)}


def test_no_text_and_no_key_is_in_clear_in_any_file(path: Path) -> None:
    author = Author(BOARD)
    entry = author.post("the canteen's soup is cold")
    with open_writer(path, BOARD) as writer:
        writer.put_own(BOARD.id, *own(author, entry))
        writer.put_entries(BOARD.id, make_posts(BOARD, 50))
        found_meanwhile = bytes_of_files(path)
    for found in (found_meanwhile, bytes_of_files(path)):
        assert b"soup" not in found
        assert author.persona.seed not in found
        assert entry.id not in found


@pytest.mark.parametrize("how", ["forget", "retract", "purge", "expire", "remove"])
def test_what_is_erased_is_in_no_file_byte_for_byte(path: Path, how: str) -> None:
    """S-3."""
    author = Author(BOARD)
    entry = author.post("the canteen's soup is cold")
    with open_writer(path, BOARD) as writer:
        writer.put_entries(BOARD.id, [entry])
        (secret,) = secrets_of(writer)
    assert secret in bytes_of_files(path)
    with open_writer(path) as writer:
        match how:
            case "forget":
                writer.forget(BOARD.id, entry.id)
            case "retract":
                writer.put_entries(BOARD.id, [author.retract(entry)])
            case "purge":
                writer.add_rule(BOARD.id, Rule("", "word", "Soup", "purge"))
            case "expire":
                writer.expire(BOARD.id, bucket_of(WALL_S) + 1)
            case _:
                writer.remove_board(BOARD.id)
        assert writer.has_erased
    found = bytes_of_files(path)
    assert secret not in found
    assert b"soup" not in found
    assert (entry.id in found) == (how in ("forget", "retract", "purge"))


def test_a_persona_and_its_outbox_are_erased_with_their_thread(path: Path) -> None:
    """S-3."""
    author = Author(BOARD)
    with open_writer(path, BOARD) as writer:
        of_the_board = secrets_of(writer, "record_secrets")
        writer.put_own(BOARD.id, *own(author, author.post()))
        sealed = secrets_of(writer, "record_secrets") - of_the_board
    with open_writer(path) as writer:
        assert writer.expire(BOARD.id, bucket_of(WALL_S) + 1) == 1
        assert writer.own_persona_by_key(BOARD.id, author.key) is None
        assert writer.outbox(BOARD.id) == []
    found = bytes_of_files(path)
    assert len(sealed) == 2
    assert not [secret for secret in sealed if secret in found]


def test_places_of_erased_secrets_are_used_again(writer: Writer) -> None:
    first, second = make_posts(BOARD, 20), make_posts(BOARD, 20, first_seed=5000)
    writer.put_entries(BOARD.id, first)
    for entry in first:
        writer.forget(BOARD.id, entry.id)
    writer.put_entries(BOARD.id, second)
    assert writer._db.execute("SELECT count(*) FROM secrets").fetchone() == (20,)
    assert set(load(writer, *second)) == set(second)
    assert len(secrets_of(writer)) == 20


# --- Expiry and boards ----------------------------------------------------------------------------


def test_expiry_deletes_what_is_before_the_bucket_and_nothing_else(writer: Writer) -> None:
    """E-23."""
    old = make_posts(BOARD, 30, wall_s=WALL_S - DAY_S)
    new = make_posts(BOARD, 30, first_seed=9000)
    writer.put_entries(BOARD.id, old + new)
    assert writer.expire(BOARD.id, bucket_of(WALL_S)) == 30
    assert set(load(writer, *old, *new)) == set(new)
    assert writer.expire(BOARD.id, bucket_of(WALL_S)) == 0


def test_a_persona_lives_for_as_long_as_its_thread(writer: Writer) -> None:
    author = Author(BOARD, wall_s=WALL_S - DAY_S)
    opener = author.post()
    writer.put_own(BOARD.id, *own(author, opener))
    stranger = Author(BOARD, 2)
    answer = stranger.post(parent=opener)
    writer.put_entries(BOARD.id, [opener, answer])
    writer.expire(BOARD.id, bucket_of(WALL_S))
    assert writer.own_persona(BOARD.id, opener.thread) == author.persona
    writer.expire(BOARD.id, bucket_of(WALL_S) + 1)
    assert writer.own_persona(BOARD.id, opener.thread) is None


def test_expiry_gives_the_space_back(path: Path) -> None:
    with open_writer(path, BOARD) as writer:
        writer.put_entries(BOARD.id, make_posts(BOARD, 400, text_bytes=4000))
    full = path.stat().st_size
    with open_writer(path) as writer:
        writer.expire(BOARD.id, bucket_of(WALL_S) + 1)
    assert path.stat().st_size < full / 4


def count_rows(writer: Writer, table: str) -> int:
    return len(writer._db.execute("SELECT 1 FROM $".replace("$", table)).fetchall())


def test_a_removed_board_is_gone_with_all_that_is_its_own(writer: Writer) -> None:
    other = make_board("other", 2)
    add_board(writer, other)
    author = Author(BOARD)
    kept = Author(other).post()
    writer.put_own(BOARD.id, *own(author, author.post()))
    writer.put_entries(BOARD.id, make_posts(BOARD, 5))
    writer.put_entries(other.id, [kept])
    writer.remember_address(BOARD.id, "10.0.0.1", 4000, 1)
    writer.add_rule(BOARD.id, Rule("", "word", "spam"))
    writer.remove_board(BOARD.id)
    assert [row.board_id for row in writer.boards()] == [other.id]
    assert writer.count(other.id) == 1
    for table in ("entries", "payloads", "personas", "outbox", "addresses", "rules"):
        rows = count_rows(writer, table)
        assert rows == (1 if table in ("entries", "payloads") else 0), table
    with pytest.raises(UnknownBoard):
        writer.put_entries(BOARD.id, [kept])


def test_a_board_added_again_keeps_what_it_has(writer: Writer) -> None:
    writer.put_entries(BOARD.id, make_posts(BOARD, 3))
    add_board(writer, BOARD)
    assert writer.count(BOARD.id) == 3


def test_an_invites_addresses_are_remembered_and_nonsense_is_left_out(writer: Writer) -> None:
    """I-1."""
    addresses = ("10.0.0.1:4000", "[fe80::1]:5", "name.lan:80", "nothing", ":1", "a:0", "a:x")
    writer.add_board(b"", BOARD.id, addresses)
    assert set(writer.addresses(BOARD.id)) == {
        ("10.0.0.1", 4000),
        ("fe80::1", 5),
        ("name.lan", 80),
    }


def test_addresses_are_bounded_and_the_oldest_go(writer: Writer) -> None:
    for day in range(ADDRESSES_MAX + 10):
        writer.remember_address(BOARD.id, "10.0.0.1", 1000 + day, day)
    ports = [port for _, port in writer.addresses(BOARD.id)]
    assert ports == [1000 + day for day in range(ADDRESSES_MAX + 9, 9, -1)]


def test_an_address_met_again_is_as_new_as_its_last_meeting(writer: Writer) -> None:
    for port, day in ((1, 5), (2, 6), (1, 7), (1, 3)):
        writer.remember_address(BOARD.id, "10.0.0.1", port, day)
    assert writer.addresses(BOARD.id) == [("10.0.0.1", 1), ("10.0.0.1", 2)]


def test_settings_are_any_json(writer: Writer) -> None:
    writer.put_setting("mdns", False)
    writer.put_setting("names", ["a", {"b": 1}])
    assert writer.setting("mdns") is False
    assert writer.setting("names") == ["a", {"b": 1}]
    writer.put_setting("mdns", None)
    assert writer.setting("mdns") is None


# --- Rules ----------------------------------------------------------------------------------------


def rule_on(kind: str, entry: Entry, action: str = "purge") -> Rule:
    values = {
        "persona": entry.header.persona.hex(),
        "entry": entry.id.hex(),
        "thread": entry.thread.hex(),
        "word": "cold soup",
    }
    return Rule("", kind, values[kind], action)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["persona", "entry", "thread", "word"])
@pytest.mark.parametrize("is_rule_first", [False, True])
def test_purging_bites_on_what_is_stored_and_on_what_comes(
    writer: Writer, kind: str, is_rule_first: bool
) -> None:
    """S-1."""
    bad = Author(BOARD, 1).post("cold SOUP!")
    good = Author(BOARD, 2).post("warm soup")
    if is_rule_first:
        writer.add_rule(BOARD.id, rule_on(kind, bad))
    assert writer.put_entries(BOARD.id, [bad, good]) == []
    if not is_rule_first:
        writer.add_rule(BOARD.id, rule_on(kind, bad))
    assert states(writer) == {bad.id: PayloadState.PURGED, good.id: PayloadState.HAVE}
    assert writer.put_entries(BOARD.id, [bad]) == []
    assert load(writer, bad) == [without_payload(bad)]


def test_a_blocked_word_is_purged_when_the_missing_payload_comes(writer: Writer) -> None:
    bad = Author(BOARD).post("cold soup")
    writer.add_rule(BOARD.id, rule_on("word", bad))
    assert writer.put_entries(BOARD.id, [without_payload(bad)]) == [bad.id]
    assert writer.put_entries(BOARD.id, [bad]) == []
    assert states(writer) == {bad.id: PayloadState.PURGED}


def test_hiding_keeps_the_payload(writer: Writer) -> None:
    entry = Author(BOARD).post("cold soup")
    writer.add_rule(BOARD.id, rule_on("persona", entry, "hide"))
    writer.put_entries(BOARD.id, [entry])
    assert load(writer, entry) == [entry]


def test_a_removed_purge_wants_again_what_nothing_else_purges(writer: Writer) -> None:
    one, two, gone = (Author(BOARD, seed).post("cold soup") for seed in (1, 2, 3))
    writer.put_entries(BOARD.id, [one, two, gone])
    writer.forget(BOARD.id, gone.id)
    word = writer.add_rule(BOARD.id, rule_on("word", one))
    writer.add_rule(BOARD.id, rule_on("persona", two))
    assert writer.remove_rule(BOARD.id, word)
    assert not writer.remove_rule(BOARD.id, word)
    assert writer.lacking(BOARD.id, 10) == [one.id]
    writer.put_entries(BOARD.id, [one, two, gone])
    assert load(writer, one) == [one]
    assert states(writer)[two.id] == PayloadState.PURGED
    assert states(writer)[gone.id] == PayloadState.FORGOTTEN


def test_a_rule_on_the_same_thing_takes_the_place_of_the_first(writer: Writer) -> None:
    entry = Author(BOARD).post()
    writer.put_entries(BOARD.id, [entry])
    first = writer.add_rule(BOARD.id, rule_on("persona", entry, "purge"))
    second = writer.add_rule(BOARD.id, rule_on("persona", entry, "hide"))
    assert first == second
    assert [rule.action for rule in writer.rules(BOARD.id)] == ["hide"]
    assert writer.lacking(BOARD.id, 10) == [entry.id]


def test_an_undone_rule_is_not_remembered(path: Path) -> None:
    entry = Author(BOARD).post("cold soup")
    with open_writer(path, BOARD) as writer:
        writer._db.execute("SAVEPOINT rule")
        writer.add_rule(BOARD.id, rule_on("word", entry))
        writer.put_entries(BOARD.id, [])
        writer._db.execute("ROLLBACK TO rule")
        writer.rolled_back()
        writer.put_entries(BOARD.id, [entry])
        assert load(writer, entry) == [entry]


# --- In any order ---------------------------------------------------------------------------------


def some_history() -> list[Entry]:
    one, two = Author(BOARD, 1), Author(BOARD, 2)
    opener = one.post("a")
    answer = two.post("b", parent=opener)
    again = one.post("c")
    return [
        opener,
        answer,
        again,
        one.retract(opener),
        two.retract(again),
        two.retract(answer),
        without_payload(again),
        without_payload(opener),
    ]


HISTORY = some_history()


@settings(max_examples=40, deadline=None)
@given(st.permutations(range(len(HISTORY))), st.integers(1, 4))
def test_the_outcome_does_not_depend_on_the_order_of_arrival(order: list[int], size: int) -> None:
    connection = open_database_in_memory()
    writer = Writer(connection, Random(1).randbytes)
    add_board(writer, BOARD)
    entries = [HISTORY[i] for i in order]
    for start in range(0, len(entries), size):
        writer.put_entries(BOARD.id, entries[start : start + size])
    opener, answer, again = (entry.id for entry in HISTORY[:3])
    outcome = states(writer)
    assert outcome[opener] == outcome[answer] == PayloadState.FORGOTTEN
    assert outcome[again] == PayloadState.HAVE
    assert writer.count(BOARD.id) == 6
    connection.close()


def open_database_in_memory() -> Database:
    connection = sqlite3.connect(":memory:", isolation_level=None, factory=Database)
    connection.execute("PRAGMA foreign_keys = ON")
    migrate(connection, MIGRATIONS)
    return connection
