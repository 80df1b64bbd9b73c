"""Writes the project's own vectors: ``python -m tests.vectors.generate``.

One file, one fault. A vector says what it is about, which rule of SPEC.md it holds, and what must
come of it: ``"valid"`` with all that can be read from it, or the slug of the reason it must be
refused with. A faulty one names its *twin*: the valid vector that it would be but for that one
fault; work and signature are right for the faulty bytes, so that no later check can stand in for
the one that is meant. Byte strings are in hex. Nothing here is random: the same files come out
every time, and a test checks that they are the ones in the folder.
"""

from __future__ import annotations

import json
from pathlib import Path

from protocol.board import (
    LOBBY,
    Board,
    encode_descriptor,
)
from protocol.crypto import signing_public_key
from protocol.directory import presence_tag
from protocol.persona import persona_name
from protocol.words import ANIMALS, COLOURS
from tests.vectors.make_boards import boards, invites
from tests.vectors.make_cells import cells
from tests.vectors.make_entries import entries
from tests.vectors.make_links import links
from tests.vectors.shared import BOARD, OTHER_BOARD, SEED, Vector, Vectors, fixed

FOLDER = Path(__file__).parent
#: The folders that are ours to write; what else lies here came from others.
OWN_FOLDERS = ("entries", "boards", "invites", "links", "cells")
#: An id of a thread, for names.
THREAD = fixed("thread")


def presence() -> Vector:
    cases = [
        {
            "board": encode_descriptor(board.descriptor).hex(),
            "salt": salt.hex(),
            "tag": presence_tag(board, salt).hex(),
        }
        for board in (BOARD, OTHER_BOARD, Board.of(LOBBY))
        for salt in (bytes(16), fixed("presence", 16))
    ]
    return {
        "about": "The tag that a node with this salt shows for a board.",
        "rule": "D-2",
        "cases": cases,
    }


def names() -> Vector:
    cases = [
        {"persona": persona.hex(), "thread": thread.hex(), "name": persona_name(persona, thread)}
        for persona in (bytes(32), signing_public_key(SEED), fixed("another persona"))
        for thread in (bytes(32), THREAD, fixed("another thread"))
    ]
    return {
        "about": "What readers see in place of a persona's key in a thread, and the words for it.",
        "rule": "P-3",
        "cases": cases,
        "colours": list(COLOURS),
        "animals": list(ANIMALS),
    }


def all_vectors() -> Vectors:
    """Every file, by its path in this folder."""
    folders = {
        "entries": entries(),
        "boards": boards(),
        "invites": invites(),
        "links": links(),
        "cells": cells(),
    }
    files = {
        f"{folder}/{name}.json": vector
        for folder, vectors in folders.items()
        for name, vector in vectors.items()
    }
    return {**files, "presence.json": presence(), "names.json": names()}


def text_of(vector: Vector) -> str:
    """A vector as its file holds it."""
    return json.dumps(vector, indent=1, ensure_ascii=True) + "\n"


def own_files() -> set[str]:
    """The files that are there, in the folders that are ours."""
    return {
        str(path.relative_to(FOLDER)) for name in OWN_FOLDERS for path in (FOLDER / name).glob("*")
    } | {"presence.json", "names.json"}


def main() -> None:
    vectors = all_vectors()
    for path, vector in vectors.items():
        (FOLDER / path).parent.mkdir(exist_ok=True)
        (FOLDER / path).write_text(text_of(vector), encoding="ascii")
    for path in own_files() - set(vectors):
        (FOLDER / path).unlink()
    print(f"{len(vectors)} files written")


if __name__ == "__main__":
    main()
