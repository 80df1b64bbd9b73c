"""People who are none: writers with habits, made from seeds, to measure what tells texts apart.

A :class:`Writer` has habits of wording (of each set of synonyms one that they like best), of
spelling and of punctuation, and says with them what anybody could say on one of a few topics, whose
words are made of syllables. So two posts can share a writer, a topic, both or neither, and it can
be measured which of these a comparison of texts answers to.

They are far simpler than people: their habits never change and are drawn independently, all have
one grammar, and nobody quotes, jokes or makes an effort to write otherwise.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

TOPICS = 8
#: A habit is followed so often; else anything that means the same is said.
_FAITH = 0.7

#: What can be said in several ways.
_WAYS: dict[str, tuple[str, ...]] = {
    "hedge": ("I think", "I guess", "honestly,", "to be fair,", "if you ask me,", "imho"),
    "and": ("and", "and then", "so", "which is why", "while", "just as"),
    "but": ("but", "however", "still", "then again", "on the other hand", "though", "only"),
    "because": ("because", "since", "as", "given that", "seeing that", "for"),
    "people": ("people", "folks", "everybody", "the colleagues", "most of us", "the whole team"),
    "bosses": ("management", "the bosses", "those upstairs", "our leaders", "the directors"),
    "must": ("should", "ought to", "had better", "need to", "really must", "could for once"),
    "very": ("very", "really", "so", "extremely", "pretty", "rather", "quite"),
    "always": ("always", "every time", "all the time", "constantly", "again and again", "as ever"),
    "nobody": ("nobody", "no one", "not one person", "none of them", "hardly anybody"),
    "when": ("last week", "the other day", "on Tuesday", "a few days ago", "recently", "in May"),
    "maybe": ("maybe", "perhaps", "possibly", "it may be that", "could be that", "I wonder if"),
    "about": ("about", "concerning", "as to", "on", "regarding", "when it comes to"),
}
#: Sentences; a capital letter stands for a word of the topic or of everyday speech.
_SENTENCES = (
    "{hedge} the N that V the A N is {very} A",
    "{when} {bosses} Ved a N {because} the N was {always} A",
    "{people} {must} V the N {about} our A N, {but} {nobody} Vs it",
    "{maybe} {people} V more A Ns than the N can V",
    "why is the N of the A N {very} A {always}",
    "the N Ved {when}, {and} {bosses} V the N",
    "{nobody} V a N as A as this one, {but} the N Vs",
    "{bosses} {must} V {about} the N {and} V some A N",
    "if the A N Vs, {people} {must} V its N",
    "every N here Vs, {but} {hedge} a N is not {very} A",
    "there was a A N {when} {and} {people} Ved it without a N",
    "my N Ved, {because} the Ns are A {and} A",
)
_ENDS = (".", ".", ".", "...", "!", " .", "!!")
_SPELLINGS: tuple[tuple[tuple[str, str], ...], ...] = (
    (),
    (),
    (("because", "cause"), ("really", "realy"), ("people", "ppl")),
    (("I ", "i "), ("is not", "isnt")),
    (("and", "&"), ("are", "r"), ("without", "w/o")),
    (("the ", "teh "), ("is not", "ain't")),
)
_OPENINGS = ("", "", "", "hi all, ", "Hey, ", "Dear all,\n", "ok so ", "Hm. ", "well, ")
_CLOSINGS = ("", "", "", "", " :)", " ;-)", "\nthanks", "\nJust my opinion.", " lol", " Cheers")

_SYLLABLES = "ba be bo ca co da de do fa fi ga go ka ki la le li lo ma me mi mo na ne no pa pe po"
_ENDINGS = "n r st l ck nd rt ng m t sh p le er on et in as ow ance ment ity ing ure ist age"
_KINDS = "NVA"


def _lexicon(name: str, size: int) -> tuple[str, ...]:
    random = Random(name)
    syllables, endings = _SYLLABLES.split(), _ENDINGS.split()
    return tuple(
        "".join(random.choices(syllables, k=random.choice((1, 1, 2, 2, 3))))
        + random.choice(endings)
        for _ in range(size)
    )


_EVERYDAY = {kind: _lexicon(f"everyday {kind}", 150) for kind in _KINDS}
_OF_TOPIC = {
    (topic, kind): _lexicon(f"topic {topic} {kind}", 40)
    for topic in range(TOPICS)
    for kind in _KINDS
}


@dataclass(frozen=True)
class Writer:
    """Somebody with habits: whoever has the same seed has the same ones."""

    seed: int

    def post(self, topic: int, characters: int, random: Random) -> str:
        """A text on a topic (0..TOPICS-1), longer than ``characters`` by a sentence at the most."""
        sentences: list[str] = []
        while sum(map(len, sentences)) < characters:
            sentences.append(self._sentence(topic, random))
        opening, closing = self._liked("opening", _OPENINGS), self._liked("closing", _CLOSINGS)
        return f"{opening}{' '.join(sentences)}{closing}"

    def _liked(self, what: str, ways: Sequence[str]) -> str:
        return Random(f"{self.seed} {what}").choice(ways)

    def _said(self, what: str, ways: Sequence[str], random: Random) -> str:
        return self._liked(what, ways) if random.random() < _FAITH else random.choice(ways)

    def _sentence(self, topic: int, random: Random) -> str:
        form = random.choice(_SENTENCES)
        form = re.sub(r"\b[NVA](?=s?\b|ed\b)", lambda kind: _word(topic, kind[0], random), form)
        text = form.format(**{what: self._said(what, w, random) for what, w in _WAYS.items()})
        if Random(f"{self.seed} case").random() < 0.7:
            text = text[0].upper() + text[1:]
        for usual, own in Random(f"{self.seed} spelling").choice(_SPELLINGS):
            text = text.replace(usual, own)
        return text + self._liked("end", _ENDS)


def _word(topic: int, kind: str, random: Random) -> str:
    """Half of what people say is of the topic; a few words are said often and most seldom."""
    words = _EVERYDAY[kind] if random.random() < 0.5 else _OF_TOPIC[topic, kind]
    return words[int(len(words) * random.random() ** 2)]


def reworked(text: str, share: float, random: Random) -> str:
    """``text`` as somebody says it anew who has it before them: its sentences in another order,
    and of its words so many taken out, and so many replaced."""
    sentences = re.split(r"(?<=[.!?]) ", text)
    random.shuffle(sentences)
    words = []
    for word in " ".join(sentences).split():
        drawn = random.random()
        if drawn >= share:
            words.append(
                _word(random.randrange(TOPICS), "N", random) if drawn < 2 * share else word
            )
    return " ".join(words)
