"""A persona writes one log in one thread, and readers see a name that says nothing else."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.board import Board
from protocol.crypto import signing_public_key
from protocol.entry import Kind, check_signature, decode_entry, payload_text
from protocol.errors import Misuse
from protocol.persona import Persona, draft_post, draft_retraction, persona_name
from protocol.words import ANIMALS, COLOURS
from protocol.work import work_of
from tests.protocol.wired import BOARD, WALL_S, seeded, written

COSTLY = Board.of(replace(BOARD.descriptor, work_bits=8))


def writer(name: str = "writer") -> Persona:
    return Persona.fresh(seeded(name))


@given(st.text(max_size=200))
def test_what_is_written_is_valid_and_reads_as_written(text: str) -> None:
    entry = written(text)
    decoded = decode_entry(BOARD, entry.raw, entry.signature, entry.payload, WALL_S)
    check_signature(decoded)
    assert decoded == entry and entry.payload is not None
    assert payload_text(entry.payload) == text


def test_each_persona_has_its_own_key() -> None:
    random_bytes = seeded("two")
    first, second = Persona.fresh(random_bytes), Persona.fresh(random_bytes)
    assert first.public_key != second.public_key
    assert first.public_key == signing_public_key(first.seed)


def test_entries_of_a_persona_form_a_log_in_one_thread() -> None:
    """P-1, P-2."""
    persona = writer()
    opening = written("first", persona=persona)
    persona = persona.after(opening)
    answer = written("second", persona=persona, parent=opening.id)
    persona = persona.after(answer)
    retraction = draft_retraction(BOARD, persona, answer.id, WALL_S).sign(persona, bytes(8))
    log = [opening.header, answer.header, retraction.header]
    assert [header.seq for header in log] == [0, 1, 2]
    assert [header.prev for header in log] == [None, opening.id, answer.id]
    assert {opening.thread, answer.thread, retraction.thread} == {opening.id}
    assert retraction.header.kind == Kind.RETRACT and retraction.header.parent == answer.id


def test_the_work_is_found_in_slices_and_is_in_the_id() -> None:
    persona = writer()
    draft = draft_post(COSTLY, persona, "worked", None, WALL_S, seeded("draft"))
    nonce, start = None, 0
    while nonce is None:
        nonce = draft.mine(start, 16)
        start += 16
    entry = draft.sign(persona, nonce)
    assert work_of(entry.id) >= 8
    decode_entry(COSTLY, entry.raw, entry.signature, entry.payload, WALL_S)
    assert draft.mine(int.from_bytes(nonce, "big"), 1) == nonce


def test_looking_for_work_wraps_around_at_the_last_nonce() -> None:
    draft = draft_post(COSTLY, writer(), "worked", None, WALL_S, seeded("draft"))
    nonce = draft.mine(2**64 - 1, 1 << 14)
    assert nonce is not None and len(nonce) == 8


def test_no_work_is_done_for_a_board_that_wants_none() -> None:
    draft = draft_post(BOARD, writer(), "free", None, WALL_S, seeded("draft"))
    assert draft.mine(7, 1) == (7).to_bytes(8, "big")


def test_thread_and_parent_go_together() -> None:
    """P-1."""
    with pytest.raises(Misuse):
        draft_post(BOARD, writer(), "answer", bytes(32), WALL_S, seeded("draft"))
    with pytest.raises(Misuse):
        draft_post(
            BOARD, replace(writer(), thread=bytes(32)), "no parent", None, WALL_S, seeded("draft")
        )


def test_who_has_written_nothing_has_nothing_to_retract() -> None:
    with pytest.raises(Misuse):
        draft_retraction(BOARD, writer(), bytes(32), WALL_S)
    with pytest.raises(Misuse):
        draft_retraction(BOARD, replace(writer(), thread=bytes(32)), bytes(32), WALL_S)


def test_a_draft_is_signed_by_the_persona_that_it_was_made_for() -> None:
    draft = draft_post(BOARD, writer(), "mine", None, WALL_S, seeded("draft"))
    with pytest.raises(Misuse):
        draft.sign(writer("another"), bytes(8))


def test_the_time_of_an_entry_is_no_finer_than_ten_minutes() -> None:
    early, late = (
        draft_post(BOARD, writer(), "when", None, WALL_S + s, seeded("draft")) for s in (0, 599)
    )
    assert early.header == late.header


def test_a_name_is_a_colour_and_an_animal_of_key_and_thread() -> None:
    """P-3."""
    key, thread = bytes(32), bytes(range(32))
    colour, animal = persona_name(key, thread).split(" ")
    assert colour in COLOURS and animal in ANIMALS
    assert persona_name(key, thread) == persona_name(key, thread)
    others = {persona_name(key, bytes([number]) * 32) for number in range(50)}
    assert len(others) > 40


def test_the_words_are_64_and_64_and_all_different() -> None:
    """P-4."""
    for words in (COLOURS, ANIMALS):
        assert len(set(words)) == len(words) == 64
        assert all(word.isascii() and word.islower() for word in words)
