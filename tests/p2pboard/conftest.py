"""What tests of the node share."""

from __future__ import annotations

import pytest
from nacl.pwhash import argon2id

from p2pboard.store import root


@pytest.fixture
def cheap_passphrases(monkeypatch: pytest.MonkeyPatch) -> None:
    """Passphrases that cost next to nothing, and protect as little."""
    monkeypatch.setattr(root, "PASSES", argon2id.OPSLIMIT_MIN)
    monkeypatch.setattr(root, "MEMORY_KIB", argon2id.MEMLIMIT_MIN // 1024)
