"""A virtual host's disk keeps and gives up what the real store does."""

from __future__ import annotations

from simnet.disk import Disk
from tests.protocol.wired import written

ENTRY = written("a thought")
HEADLESS = ENTRY._replace(payload=None)


def test_an_own_entry_waits_until_it_is_back_with_its_payload() -> None:
    disk = Disk(outbox={ENTRY.id: ENTRY})
    assert disk.put(HEADLESS) and disk.outbox and disk.lacking() == (ENTRY.id,)
    assert not disk.put(ENTRY) and not disk.outbox and disk.lacking() == ()


def test_an_own_entry_that_its_writer_forgets_is_not_waited_for() -> None:
    """Found by soaking: its header alone was back, nobody asked for the payload any more, and it
    stood in the outbox for good; the real store takes it out."""
    disk = Disk(outbox={ENTRY.id: ENTRY})
    disk.put(HEADLESS)
    disk.forget(ENTRY.id)
    assert not disk.outbox and disk.lacking() == ()


def test_what_was_forgotten_is_not_stored_again() -> None:
    disk = Disk()
    disk.put(ENTRY)
    disk.forget(ENTRY.id)
    assert not disk.put(ENTRY)
    assert disk.entries == {ENTRY.id: HEADLESS} and disk.texts() == []
