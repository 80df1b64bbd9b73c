"""Own personas in whatever order things happen: a model, and the bytes on the disk."""

from __future__ import annotations

import tempfile
from pathlib import Path
from secrets import token_bytes

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule
from nacl.pwhash import argon2id

from p2pboard.store import root
from p2pboard.store.own_reader import KEEP_S_DEFAULT, KEEP_SETTING
from p2pboard.store.relock import relock
from p2pboard.store.schema import open_database
from p2pboard.store.writer import PersonaMoved, Writer
from protocol.entry import Entry, bucket_of
from tests.p2pboard.making import WALL_S, Author, add_board, bytes_of_files, make_board, write_own

BOARD = make_board()
_IN_USE = """SELECT secret FROM record_secrets WHERE slot IN
    (SELECT slot FROM boards UNION SELECT slot FROM personas UNION SELECT slot FROM outbox)"""


class Own:
    """What the model knows of a persona."""

    def __init__(self, author: Author) -> None:
        self.author = author
        self.is_kept = True
        self.used = 0
        self.crowd = b""


class OwnPersonas(RuleBasedStateMachine):
    """A node writes, throws keys away, sets passphrases; time goes on."""

    personas = Bundle("personas")

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "board.sqlite3"
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(root, "PASSES", argon2id.OPSLIMIT_MIN)
        self.patch.setattr(root, "MEMORY_KIB", argon2id.MEMLIMIT_MIN // 1024)
        self.passphrase: str | None = None
        self.wall_s = WALL_S
        self.keep_s = KEEP_S_DEFAULT
        self.made: list[Own] = []
        self.waiting: list[Entry] = []
        self.known: set[bytes] = set()

    @initialize()
    def begin(self) -> None:
        self.open()
        add_board(self.writer, BOARD)

    def open(self) -> None:
        self.db = open_database(self.path, passphrase=self.passphrase)
        self.db.execute("PRAGMA synchronous = OFF")  # bytes count here, not power cuts
        self.writer = Writer(self.db)

    def teardown(self) -> None:
        self.db.close()
        self.patch.undo()
        self.folder.cleanup()

    # --- What happens -----------------------------------------------------------------------------

    @rule(target=personas)
    def write_under_a_new_persona(self) -> Own:
        own = Own(Author(BOARD, len(self.made), self.wall_s))
        self.made.append(own)
        self.write(own)
        return own

    def write(self, own: Own) -> None:
        own.author.wall_s = self.wall_s
        self.waiting.append(write_own(self.writer, own.author, "x" * 20))
        own.used = bucket_of(self.wall_s)

    @rule(own=personas)
    def write_again(self, own: Own) -> None:
        if own.is_kept:
            self.write(own)
        else:
            before = own.author.persona
            with pytest.raises(PersonaMoved):
                self.write(own)
            own.author.persona = before

    @rule(count=st.integers(1, 3))
    def something_comes_back(self, count: int) -> None:
        self.writer.put_entries(BOARD.id, self.waiting[:count])
        del self.waiting[:count]

    @rule(own=personas, size=st.sampled_from([0, 3, 900, 8192]))
    def note_a_crowd(self, own: Own, size: int) -> None:
        crowd = token_bytes(size)
        assert self.writer.note_crowd(BOARD.id, own.author.key, crowd) == own.is_kept
        own.crowd = crowd

    @rule(own=personas, withdraw=st.booleans())
    def throw_away(self, own: Own, withdraw: bool) -> None:
        self.writer.throw_away(BOARD.id, [own.author.key], withdraw)
        own.is_kept = False
        if withdraw:
            theirs = [e for e in self.waiting if e.header.persona == own.author.key]
            self.waiting = [e for e in self.waiting if e not in theirs]

    @rule(hours=st.sampled_from([1, 24, 70]))
    def time_goes_on(self, hours: int) -> None:
        self.wall_s += hours * 3600

    @rule()
    def keys_are_looked_through(self) -> None:
        now = bucket_of(self.wall_s)
        self.writer.throw_away_due(now)
        for own in self.made:
            own.is_kept = own.is_kept and own.used + self.keep_s // 600 > now

    @rule(hours=st.sampled_from([1, 72, 100]))
    def the_setting_is_changed(self, hours: int) -> None:
        self.keep_s = hours * 3600
        self.writer.put_setting(KEEP_SETTING, self.keep_s)

    @rule(passphrase=st.sampled_from([None, "tea without a kettle"]))
    def the_passphrase_is_set_changed_or_removed(self, passphrase: str | None) -> None:
        self.db.close()
        relock(self.path, self.passphrase, passphrase)
        self.passphrase = passphrase
        self.open()

    # --- What is true -----------------------------------------------------------------------------

    @invariant()
    def what_is_kept_is_as_it_was_written(self) -> None:
        kept = {d.own.persona.public_key: d.own.kept for d in self.writer.own_personas(BOARD.id)}
        expected = {own.author.key: own for own in self.made if own.is_kept}
        assert kept.keys() == expected.keys()
        for key, own in expected.items():
            assert kept[key].persona == own.author.persona
            assert (kept[key].used, kept[key].crowd) == (own.used, own.crowd)

    @invariant()
    def the_outbox_does_not_care_for_keys(self) -> None:
        assert {e.id for e in self.writer.outbox(BOARD.id)} == {e.id for e in self.waiting}

    @invariant()
    def nothing_that_was_erased_is_on_the_disk(self) -> None:
        """S-3, S-7."""
        alive = {raw for (raw,) in self.db.execute(_IN_USE)}
        self.known |= alive
        self.db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        found = bytes_of_files(self.path)
        assert all(raw in found for raw in alive)
        assert not [raw for raw in self.known - alive if raw in found]
        assert not [own for own in self.made if own.author.persona.seed in found]


OwnPersonas.TestCase.settings = settings(
    max_examples=25,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
TestOwnPersonas = OwnPersonas.TestCase
