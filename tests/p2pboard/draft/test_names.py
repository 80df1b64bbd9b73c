"""Own names, dressed up in all the ways that people write them in."""

from __future__ import annotations

import unicodedata
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2pboard.draft import Identity, review_draft
from p2pboard.draft.harmless import ACCOUNTS, DOMAINS, HOSTS, NETWORKS, WORDS
from tests.p2pboard.draft.people import ANNA, found_in
from tests.p2pboard.draft.test_folding import ANY_TEXT


@pytest.mark.parametrize(
    ("text", "found"),
    [
        # The full name and its parts
        ("by Anna-Lena Müller, floor 3", [("full-name", "Anna-Lena Müller")]),
        ("ANNA LENA MUELLER", [("full-name", "ANNA LENA MUELLER")]),
        ("anna.muller", [("full-name", "anna.muller")]),
        ("Müller, Anna-Lena", [("full-name", "Müller, Anna-Lena")]),
        ("Anna\nMüller", [("full-name", "Anna\nMüller")]),
        ("ask Anna", [("full-name", "Anna")]),
        ("Lena's cup", [("full-name", "Lena")]),
        ("Annas Tasse", [("full-name", "Annas")]),
        ("Anna2000", [("full-name", "Anna")]),
        ("xXannalenamuellerXx", [("full-name", "annalenamueller")]),
        ("A. Müller", [("full-name", "A. Müller")]),
        ("amueller", [("full-name", "amueller")]),
        ("a_muller", [("full-name", "a_muller")]),
        ("mullera", [("full-name", "mullera")]),
        ("Mu\u0308ller", [("full-name", "Mu\u0308ller")]),
        ("ＭÜＬＬＥＲ", [("full-name", "ＭÜＬＬＥＲ")]),
        ("An\u200bna", [("full-name", "An\u200bna")]),
        # Words that only begin or end like them
        ("Hannah and Annabel", []),
        ("the Müllerin", []),
        ("Anna Lena Müllerin", [("full-name", "Anna Lena")]),
        ("Lenas", [("full-name", "Lenas")]),
        ("lenax", []),
        ("madrilena", []),
        # The account
        ("AMUSTER", [("user-name", "AMUSTER")]),
        ("amuster@pc", [("user-name", "amuster")]),
        ("anna1985", [("user-name", "anna1985")]),
        ("anna1986", [("full-name", "anna")]),
        ("lena_work", [("user-name", "lena_work")]),
        # The machine and its networks
        ("on PC0142 again", [("host-name", "PC0142")]),
        ("pc01423", []),
        ("zebra laptop", [("host-name", "zebra laptop")]),
        ("my laptop", []),
        ("www.berlin.acme.example", [("domain", "berlin.acme.example")]),
        ("acme staff 5g is slow", [("network", "acme staff 5g")]),
        ("", []),
    ],
)
def test_own_names_are_found_however_they_are_written(
    text: str, found: list[tuple[str, str]]
) -> None:
    assert found_in(text) == found


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("Jörg Groß", "joerg gross"),
        ("Joerg Gross", "Jörg Groß"),
        ("Søren Ærø", "soeren aeroe"),
        ("Łukasz Żak", "lukasz zak"),
        ("O'Neill Shaun", "oneill shaun"),
        ("Zoë van der Berg", "zoe van der berg"),
        ("王小明", "王小明"),
        ("王 小明", "王小明"),
        ("김민수", "\u1100\u1175\u11b7민수"),
        ("Иван Петров", "ПЕТРОВ ИВАН"),
    ],
)
def test_a_name_is_found_whole_in_other_spellings(name: str, text: str) -> None:
    found = review_draft(f"({text})", Identity(full_names=(name,)))
    assert [(f.start, f.end) for f in found] == [(1, 1 + len(text))]


def test_a_number_at_the_end_of_a_user_name_makes_no_other_name_of_it() -> None:
    found = found_in("schulze and Schulze17", Identity(users=("schulze17",)))
    assert found == [("user-name", "schulze"), ("user-name", "Schulze17")]


def test_the_given_part_of_an_unspaced_name_is_found_inside_of_a_sentence() -> None:
    assert found_in("问一下小明吧", Identity(full_names=("王小明",))) == [("full-name", "小明")]


@pytest.mark.parametrize("text", ["he will do", "Will", "a cook", "the cook, a nice man", "cooks"])
def test_names_that_are_everyday_words_do_not_warn_alone(text: str) -> None:
    assert found_in(text, Identity(users=("will",), full_names=("Will Cook",))) == []


@pytest.mark.parametrize("text", ["Will Cook", "w.cook", "wcook", "cook, w.", "Cook Will"])
def test_names_that_are_everyday_words_warn_together(text: str) -> None:
    found = found_in(f"by {text}", Identity(full_names=("Will Cook",)))
    assert [kind for kind, _ in found] == ["full-name"]


@pytest.mark.parametrize("name", sorted(ACCOUNTS))
def test_an_account_that_thousands_have_does_not_warn(name: str) -> None:
    assert found_in(f"the {name}, {name}1", Identity(users=(name, f"{name}1"))) == []


@pytest.mark.parametrize(
    ("identity", "text"),
    [
        (Identity(hosts=tuple(HOSTS)), " ".join(HOSTS)),
        (Identity(domains=tuple(DOMAINS)), " ".join(DOMAINS)),
        (Identity(networks=(*NETWORKS, "Wired connection 1")), "my wired connection 1, guest"),
        (Identity(full_names=tuple(WORDS)), " ".join(WORDS)),
        (Identity(users=("jo", "x1", "42", "1234567"), hosts=("vm",)), "jo x1 42 1234567 vm"),
        (Identity(full_names=("", " ", "-", "...")), "- ... nothing"),
    ],
)
def test_what_says_nothing_does_not_warn(identity: Identity, text: str) -> None:
    assert found_in(text, identity) == []


@given(st.sampled_from(["amuster", "annalena", "mueller", "pc0142"]), st.data())
def test_a_disguise_hides_no_name(name: str, data: st.DataObject) -> None:
    """Case, full width, unseen characters, accents."""
    disguised = "".join(
        data.draw(st.sampled_from([c, c.upper(), chr(ord(c) + 0xFEE0), f"{c}\u200b", f"{c}\u2060"]))
        for c in name
    )
    disguised = disguised.replace("ue", data.draw(st.sampled_from(["ue", "ü", "u\u0308", "u"])))
    disguised = unicodedata.normalize(data.draw(st.sampled_from(["NFC", "NFD"])), disguised)
    found = review_draft(f"who is {disguised}?", ANNA)
    seen_end = 7 + len(disguised.rstrip("\u200b\u2060"))
    assert any(f.start <= 7 and f.end >= seen_end for f in found)


@given(st.builds(lambda *parts: " ".join(parts), ANY_TEXT, ANY_TEXT), ANY_TEXT)
def test_any_name_can_be_looked_for_in_any_text(name: str, text: str) -> None:
    identity = replace(
        ANNA, full_names=(name,), users=(name,), hosts=(name,), domains=(name,), networks=(name,)
    )
    for finding in review_draft(f"{text} {name} {text}", identity):
        assert 0 <= finding.start < finding.end <= len(f"{text} {name} {text}")
