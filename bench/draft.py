"""The draft check: how often it takes texts for one writer's, and how long it takes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from random import Random

from bench.record import Record
from bench.writers import TOPICS, Writer, reworked
from p2pboard.draft import Identity, OwnText, review_draft
from p2pboard.draft.folding import fold_bare
from p2pboard.draft.likeness import find_likeness

#: Characters of a post: two lines, five, and a page.
LENGTHS = (150, 300, 600)
#: Pairs of texts, and the share of them that should be told, in percent.
AIMS = {
    "another writer, another topic": "≤ 2",
    "another writer, same topic": "≤ 3",
    "same writer, another topic": "",
    "same writer, same topic": "",
    "reworked, 3 words of 10": "≥ 95",
    "reworked, 6 words of 10": "≥ 60",
}

_DRAFT_CHARACTERS = 8 * 1024
_OWN_POSTS = 200
_OWN_CHARACTERS = 500
_ROUNDS = 5


def run(pairs: int) -> list[Record]:
    """The shares of pairs that are told, by what they have in common, and the times.

    :param pairs: of each kind and length.
    """
    return [*_errors(pairs), *_times()]


def error_rates(characters: int, pairs: int) -> dict[str, float]:
    """For each kind of pair of :data:`AIMS`, the share in which the one is told to be like the
    other, 0 to 1."""
    random = Random(characters)
    told = dict.fromkeys(AIMS, 0)
    for _ in range(pairs):
        draft, others = _draft_and_others(characters, random)
        bare = fold_bare(draft)
        for kind, other in others.items():
            told[kind] += any(True for _ in find_likeness(bare, [OwnText("0", other)]))
    return {kind: count / pairs for kind, count in told.items()}


def _draft_and_others(characters: int, random: Random) -> tuple[str, dict[str, str]]:
    one, other = Writer(random.getrandbits(32)), Writer(random.getrandbits(32))
    topic, another = random.sample(range(TOPICS), 2)
    draft = one.post(topic, characters, random)
    texts = (
        other.post(another, characters, random),
        other.post(topic, characters, random),
        one.post(another, characters, random),
        one.post(topic, characters, random),
        reworked(draft, 0.15, random),
        reworked(draft, 0.3, random),
    )
    return draft, dict(zip(AIMS, texts, strict=True))


def _errors(pairs: int) -> Iterator[Record]:
    for characters in LENGTHS:
        for kind, rate in error_rates(characters, pairs).items():
            name = f"draft/told alike: {kind}, {characters} characters"
            yield Record(name, 100 * rate, "%", AIMS[kind])


def _times() -> Iterator[Record]:
    random = Random(0)
    writer = Writer(0)
    draft = writer.post(0, _DRAFT_CHARACTERS, random)[:_DRAFT_CHARACTERS]
    identity = Identity(
        users=("aschmidt",),
        full_names=("Anna Maria Schmidt",),
        hosts=("pc0142", "pc0142.acme.example"),
        domains=("acme.example",),
    )
    posts = {
        f"{_OWN_POSTS} own posts of {size} characters": [
            OwnText(f"{n:012x}", Writer(n).post(n % TOPICS, size, random)[:size])
            for n in range(_OWN_POSTS)
        ]
        for size in (_OWN_CHARACTERS, _DRAFT_CHARACTERS)
    }
    for name, own in posts.items():
        aim = "< 100" if len(own[0].text) == _OWN_CHARACTERS else ""
        yield Record(f"draft/8 KB against {name}", _fastest_ms(draft, identity, own), "ms", aim)
    yield Record("draft/8 KB alone", _fastest_ms(draft, identity, []), "ms")


def _fastest_ms(draft: str, identity: Identity, own: list[OwnText]) -> float:
    times_s = []
    for _ in range(_ROUNDS):
        begun_s = time.thread_time()
        review_draft(draft, identity, own)
        times_s.append(time.thread_time() - begun_s)
    return 1000 * min(times_s)
