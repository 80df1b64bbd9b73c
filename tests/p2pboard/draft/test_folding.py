"""Folded texts: alike where people read them alike, and each character knows where it is from."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2pboard.draft.folding import Folded, bare_text, fold_bare, fold_plain

#: All of Unicode, lone surrogates included, which a record in JSON can bring.
ANY_TEXT = st.text(st.characters())


@pytest.mark.parametrize(
    ("text", "plain", "bare"),
    [
        ("Anna", "Anna", "anna"),
        ("ＡＮＮＡ １２", "ANNA 12", "anna 12"),
        ("ﬁne", "fine", "fine"),
        ("A\u200bn\u00adna", "Anna", "anna"),
        ("Müller", "Müller", "muller"),
        ("Mu\u0308ller", "Müller", "muller"),
        ("Mu\u200d\u0308ller", "Müller", "muller"),
        ("STRASSE straße", "STRASSE straße", "strasse strasse"),
        ("Łukasz Sørensen", "Łukasz Sørensen", "lukasz sorensen"),
        ("İstanbul", "İstanbul", "istanbul"),
        ("王小明", "王小明", "王小明"),
        ("\u1112\u1161\u11ab", "한", "한"),
        ("", "", ""),
    ],
)
def test_what_reads_alike_is_folded_alike(text: str, plain: str, bare: str) -> None:
    assert (fold_plain(text).text, fold_bare(text).text) == (plain, bare)


@given(ANY_TEXT)
def test_each_character_comes_from_a_place_in_the_text(text: str) -> None:
    for folded in (fold_plain(text), fold_bare(text)):
        assert len(folded.text) == len(folded.starts) == len(folded.ends)
        assert folded.starts == sorted(folded.starts)
        assert folded.ends == sorted(folded.ends)
        assert all(
            0 <= start < end <= len(text)
            for start, end in zip(folded.starts, folded.ends, strict=True)
        )


@given(ANY_TEXT, st.data(), st.sampled_from("\u200b\u200d\u00ad\u2060\ufe0f\u202e\u3164"))
def test_what_can_not_be_seen_changes_nothing(text: str, data: st.DataObject, unseen: str) -> None:
    place = data.draw(st.integers(0, len(text)))
    with_it = text[:place] + unseen + text[place:]
    assert fold_plain(with_it).text == fold_plain(text).text
    assert fold_bare(with_it).text == fold_bare(text).text


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_composed_and_decomposed_texts_are_alike(text: str) -> None:
    composed, apart = (unicodedata.normalize(form, text) for form in ("NFC", "NFD"))
    assert bare_text(composed) == bare_text(apart)


@given(st.text(st.characters(max_codepoint=127)))
def test_ascii_stays_as_it_is_but_for_its_case(text: str) -> None:
    places = list(range(len(text)))
    after = [place + 1 for place in places]
    assert fold_plain(text) == Folded(text, places, after)
    assert fold_bare(text) == Folded(text.lower(), places, after)
    assert bare_text(text) == text.lower()


@given(ANY_TEXT, st.data())
def test_the_span_of_a_part_folds_to_at_least_that_part(text: str, data: st.DataObject) -> None:
    folded = fold_plain(text)
    if folded.text:
        start = data.draw(st.integers(0, len(folded.text) - 1))
        end = data.draw(st.integers(start + 1, len(folded.text)))
        first, last = folded.span(start, end)
        assert folded.text[start:end] in fold_plain(text[first:last]).text
