"""The draft check: what in a text could tell its readers who wrote it.

A post carries no name, but its words can: a name, the machine's address, a link that was made for
one person, a passage that its writer has posted before. :func:`review_draft` looks for these and
says where they are and why they matter. It warns; the writer decides.

Nothing of it leaves the machine or is written to disk. It reads the operating system and the
node's own posts and makes no look-up in the network, not even of the machine's own name.

The modules, the left importing nothing from its right:

    folding findings | harmless identity | names contact documents links places likeness | review

**Folding.** What is looked for comes dressed up: full-width letters, accents written in other ways,
characters that nobody sees. So it is looked for in a *folded* text, which remembers for each of its
characters where it came from (:mod:`~p2pboard.draft.folding`); spans are the draft's own.

docs/draft.md says what is found and what is not, with the error rates.
"""

from p2pboard.draft.findings import Finding
from p2pboard.draft.identity import Identity, read_identity
from p2pboard.draft.likeness import OwnText
from p2pboard.draft.review import review_draft

__all__ = ["Finding", "Identity", "OwnText", "read_identity", "review_draft"]
