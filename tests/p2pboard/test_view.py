"""What is shown, and in which order."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from p2pboard.rules import Rule
from p2pboard.store.reader import EntryRow
from p2pboard.store.schema import PayloadState
from p2pboard.store.writer import Writer
from p2pboard.view import Shown, in_reading_order, show
from protocol.entry import SALT_BYTES, Entry, bucket_of
from protocol.persona import persona_name
from tests.p2pboard.making import WALL_S, Author, make_board, open_writer, without_payload

BOARD = make_board()
BUCKET = bucket_of(WALL_S)


def key(number: int) -> bytes:
    return number.to_bytes(32, "big")


def row(
    number: int,
    *,
    persona: int = 1,
    seq: int = 0,
    parent: int | None = None,
    bucket: int = BUCKET,
    kind: int = 0,
    state: int = PayloadState.HAVE,
    text: str = "hello",
    **facts: bool,
) -> EntryRow:
    return EntryRow(
        id=key(number),
        persona=key(persona),
        seq=seq,
        kind=kind,
        thread=key(1),
        parent=None if parent is None else key(parent),
        bucket=bucket,
        payload=bytes(SALT_BYTES) + text.encode() if state == PayloadState.HAVE else None,
        payload_state=state,
        opener=key(1),
        is_retracted=facts.get("is_retracted", False),
        is_outbox=facts.get("is_outbox", False),
    )


def one(row: EntryRow, *rules: Rule) -> Shown:
    (shown,) = show([row], rules)
    return shown


def order(*rows: EntryRow) -> list[int]:
    return [int.from_bytes(row.id, "big") for row in in_reading_order(rows)]


HIDE = Rule("a", "persona", key(1).hex(), "hide", "tired of it")
WORD = Rule("b", "word", "hello", "hide")


# --- States ---------------------------------------------------------------------------------------


def test_the_record_says_what_the_entry_is() -> None:
    shown = one(row(5, persona=2, seq=3, parent=4, text="good morning"))
    assert shown.as_json() == {
        "id": key(5).hex(),
        "thread": key(1).hex(),
        "parent": key(4).hex(),
        "persona": key(2).hex(),
        "name": persona_name(key(2), key(1)),
        "op": False,
        "seq": 3,
        "time": BUCKET * 600,
        "kind": "post",
        "text": "good morning",
        "state": "shown",
        "crowd": None,
    }


def test_the_opening_entry_has_no_parent_and_its_persona_is_marked() -> None:
    shown = one(row(1, persona=1))
    assert shown.parent is None and shown.op


@pytest.mark.parametrize(
    ("entry", "rules", "state", "why"),
    [
        (row(1), [], "shown", None),
        (row(1, is_outbox=True), [], "outbox", None),
        (row(1), [HIDE], "hidden", HIDE),
        (row(1), [WORD], "hidden", WORD),
        (row(1, is_outbox=True), [HIDE], "hidden", HIDE),
        (row(1, state=PayloadState.LACKING), [], "forgotten", None),
        (row(1, state=PayloadState.FORGOTTEN), [], "forgotten", None),
        (row(1, state=PayloadState.PURGED), [HIDE], "forgotten", HIDE),
        (row(1, state=PayloadState.LACKING), [WORD], "forgotten", None),
        (row(1, is_retracted=True), [], "retracted", None),
        (row(1, is_retracted=True), [HIDE], "retracted", HIDE),
        (row(1, is_retracted=True, state=PayloadState.FORGOTTEN), [], "retracted", None),
        (row(2, kind=1, parent=1), [], "shown", None),
        (row(2, kind=1, parent=1), [HIDE], "hidden", HIDE),
        (row(2, kind=1, parent=1, is_outbox=True), [], "outbox", None),
    ],
)
def test_every_state(entry: EntryRow, rules: list[Rule], state: str, why: Rule | None) -> None:
    """E-25."""
    shown = one(entry, *rules)
    assert (shown.state, shown.why) == (state, why)
    is_readable = state in ("shown", "outbox") and entry.kind == 0
    assert shown.text == ("hello" if is_readable else None)
    assert shown.kind == ("retract" if entry.kind else "post")
    assert "why" not in shown.as_json()


def test_an_own_retraction_counts_here_while_it_waits() -> None:
    post = row(1, is_outbox=True)
    retraction = row(2, kind=1, seq=1, parent=1, is_outbox=True)
    assert [shown.state for shown in show([post, retraction], [])] == ["retracted", "outbox"]


def test_somebody_elses_retraction_does_not_count() -> None:
    """E-25."""
    shown = show([row(1), row(2, kind=1, persona=2, seq=1, parent=1)], [])
    assert [record.state for record in shown] == ["shown", "shown"]


def test_bytes_that_are_no_text_are_shown_as_such() -> None:
    """E-3."""
    broken = row(1)._replace(payload=bytes(SALT_BYTES) + b"a\xffb")
    assert one(broken).text == "a\ufffdb"


# --- Order ----------------------------------------------------------------------------------------


def test_entries_are_in_the_order_of_their_times() -> None:
    rows = [row(n, persona=n, bucket=BUCKET + n) for n in (3, 1, 2)]
    assert order(*rows) == [1, 2, 3]


def test_a_parent_stands_before_its_answers_even_if_it_claims_to_be_later() -> None:
    assert order(row(1, persona=2, parent=9), row(9, bucket=BUCKET + 2)) == [9, 1]
    assert order(row(1, persona=2, parent=9), row(9, seq=5)) == [9, 1]


def test_a_log_is_in_its_own_order_even_if_a_clock_went_back() -> None:
    assert order(row(1, seq=2, bucket=BUCKET - 5), row(2, seq=1), row(3, seq=0)) == [3, 2, 1]


def test_a_gap_in_a_log_does_not_matter() -> None:
    """E-27."""
    late_parent = row(9, persona=2, seq=7)
    assert order(row(1, seq=9), row(2, seq=3, parent=9), late_parent) == [9, 2, 1]


def test_the_branches_of_a_fork_stand_side_by_side() -> None:
    """E-27."""
    rows = [row(4, seq=2), row(2, seq=1), row(3, seq=1), row(1, seq=0)]
    assert order(*rows) == [1, 2, 3, 4]
    assert order(row(2, seq=1, parent=3), row(3, seq=1), row(1, seq=0)) == [1, 3, 2]


def test_an_answer_to_what_is_not_here_is_shown_where_its_time_is() -> None:
    assert order(row(2, persona=2, parent=77), row(1)) == [1, 2]


def test_a_hostile_circle_loses_nothing() -> None:
    rows = [row(1, seq=0, parent=2), row(2, seq=1), row(3, persona=2, parent=1)]
    assert order(*rows) == [1, 3, 2]


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_any_rows_are_all_shown_once_and_in_the_same_order_however_they_come(
    data: st.DataObject,
) -> None:
    count = data.draw(st.integers(0, 12))
    numbers = st.integers(0, count)
    rows = [
        row(
            n,
            persona=data.draw(st.integers(0, 3)),
            seq=data.draw(st.integers(0, 3)),
            parent=data.draw(st.none() | numbers),
            bucket=BUCKET + data.draw(st.integers(0, 2)),
        )
        for n in range(count)
    ]
    first = order(*rows)
    assert sorted(first) == list(range(count))
    assert order(*data.draw(st.permutations(rows))) == first


@settings(max_examples=50, deadline=None)
@given(st.randoms(use_true_random=False))
def test_honest_threads_have_parents_and_logs_in_order(random: Random) -> None:
    rows = [row(1)]
    next_seq = {1: 1}
    for number in range(2, 20):
        parent = random.choice(rows)
        persona = random.randint(1, 4)
        seq = next_seq.get(persona, 0)
        next_seq[persona] = seq + 1
        bucket = BUCKET + random.randint(-1, 1)
        parent_number = int.from_bytes(parent.id, "big")
        rows.append(row(number, persona=persona, seq=seq, parent=parent_number, bucket=bucket))
    random.shuffle(rows)
    ordered = in_reading_order(rows)
    place = {row.id: place for place, row in enumerate(ordered)}
    assert all(place[r.parent] < place[r.id] for r in ordered if r.parent is not None)
    for persona in {r.persona for r in ordered}:
        seqs = [r.seq for r in ordered if r.persona == persona]
        assert seqs == sorted(seqs)


# --- With the store -------------------------------------------------------------------------------


def history() -> tuple[Author, Author, list[Entry]]:
    one, two = Author(BOARD, 1), Author(BOARD, 2)
    opener = one.post("who else is cold?")
    answer = two.post("me", parent=opener)
    return one, two, [opener, answer, one.post("call them"), two.post("no"), two.retract(answer)]


def test_a_thread_reads_the_same_whatever_came_first(tmp_path: Path) -> None:
    one, _, entries = history()
    readings = set()
    for name, arrived in (("a", entries), ("b", entries[::-1])):
        with open_writer(tmp_path / name, BOARD) as writer:
            for entry in arrived:
                writer.put_entries(BOARD.id, [entry])
            shown = show(writer.rows(BOARD.id), writer.rules(BOARD.id))
            readings.add(tuple((s.text, s.state, s.op, s.kind) for s in shown))
    (reading,) = readings
    assert reading[0] == ("who else is cold?", "shown", True, "post")
    assert ("call them", "shown", True, "post") in reading
    assert (None, "retracted", False, "post") in reading
    assert (None, "shown", False, "retract") in reading
    assert one.key


def test_a_gap_and_a_fork_from_the_network_are_shown(tmp_path: Path) -> None:
    """E-27."""
    author = Author(BOARD)
    opener = author.post("opener")
    forked = author.persona
    left = author.post("left")
    author.persona = forked
    right = author.post("right")
    author.post("missing")
    last = author.post("last")
    with open_writer(tmp_path / "a", BOARD) as writer:
        writer.put_entries(BOARD.id, [last, right, left, opener])
        texts = [shown.text for shown in show(writer.rows(BOARD.id), [])]
    assert texts[0] == "opener" and texts[-1] == "last"
    assert set(texts) == {"opener", "left", "right", "last"}


def test_blocked_texts_do_not_come_back_through_the_outbox_or_a_refill(tmp_path: Path) -> None:
    author = Author(BOARD)
    entry = author.post("cold soup")
    with open_writer(tmp_path / "a", BOARD) as writer:
        writer.add_rule(BOARD.id, Rule("", "word", "SOUP", "purge", "enough"))
        writer.put_own(BOARD.id, author.persona, False, entry)
        assert states(writer) == [("hidden", None)]
        writer.put_entries(BOARD.id, [without_payload(entry)])
        writer.put_entries(BOARD.id, [entry])
        assert states(writer) == [("forgotten", None)]


def states(writer: Writer) -> list[tuple[str, str | None]]:
    shown = show(writer.rows(BOARD.id), writer.rules(BOARD.id))
    return [(record.state, record.text) for record in shown]
