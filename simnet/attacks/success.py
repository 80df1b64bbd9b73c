"""How well authors were named.

*Precision* and *recall* are those of the papers on Dandelion (Bojja Venkatakrishnan, Fanti,
Viswanath: "Dandelion: Redesigning the Bitcoin Network for Anonymity", SIGMETRICS 2017, section 2),
averaged over the honest authors v: the share of v's own among the entries that are assigned to v
(0 where none is), and the share of v's entries that are assigned to v. An entry that no spy saw is
assigned to nobody. *Named* is the probability that the best guess is right, averaged over entries;
an entry that no spy saw is guessed blindly.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

#: Guesses: of each entry, the host named.
Guesses = Mapping[bytes, int]


@dataclass(frozen=True, slots=True)
class Success:
    """How well authors were named (see above)."""

    precision: float
    recall: float
    named: float


def measure(guesses: Guesses, truth: Mapping[bytes, int], candidates: int) -> Success:
    """Hold guesses against the truth.

    :param candidates: how many hosts may be authors; a blind guess is one of them.
    """
    written = Counter(truth.values())
    assigned = Counter(guesses[identifier] for identifier in truth if identifier in guesses)
    right = Counter(author for e, author in truth.items() if guesses.get(e) == author)
    blind = sum(identifier not in guesses for identifier in truth) / max(candidates, 1)
    authors = max(len(written), 1)
    return Success(
        precision=sum(right[v] / assigned[v] for v in written if assigned[v]) / authors,
        recall=sum(right[v] / written[v] for v in written) / authors,
        named=(right.total() + blind) / max(len(truth), 1),
    )
