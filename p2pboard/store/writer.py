"""What changes the store.

A :class:`Writer` runs inside a transaction that the worker has opened, together with other jobs:
whatever it does is durable only when that is committed, and undone where the job raises.

Four rules are kept here, and nowhere else:

- An own entry waits in the outbox, and reaches ``entries`` only as everybody else's do: by
  :meth:`Writer.put_entries`, from the network, payload included. An outbox row leaves in that very
  transaction. Nothing that a peer can ask for depends on the outbox, or asking would tell who
  wrote what: so an own entry that comes back *without* its payload is stored without it, like
  anybody's, and waits on.
- A retraction counts if its persona is its target's, whichever of the two comes first.
- What is forgotten stays forgotten: a payload that comes again is not stored again. What a rule
  purged is wanted again once no rule purges it any more.
- What is erased leaves nothing (:mod:`p2pboard.store.schema`).
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from p2pboard.rules import Matcher, Rule, rule_id
from p2pboard.store.base import short
from p2pboard.store.database import Database
from p2pboard.store.own_writer import OwnWriter, PersonaMoved
from p2pboard.store.reader import StoredAddress, StoredRule
from p2pboard.store.schema import PayloadState
from p2pboard.store.sealing import (
    ADDRESS,
    BOARD,
    RULE,
    Slots,
    board_tag,
    seal_payload,
    unseal_payload,
)
from protocol.entry import Entry, Kind, payload_text

#: A board's remembered addresses; more would be dialled in vain mostly. Guess.
ADDRESSES_MAX = 64
#: Entries looked up and inserted in one go.
_ENTRIES_AT_ONCE = 512
_RECORDS_OF_A_BOARD = (
    "SELECT slot FROM boards WHERE board = ?",
    "SELECT slot FROM outbox WHERE board = ?",
    "SELECT slot FROM personas WHERE board = ?",
    "SELECT slot FROM rules WHERE board = ?",
    "SELECT slot FROM addresses WHERE board = ?",
)
#: Freed pages given back to the file system after an expiry: 16 MiB, some tens of milliseconds.
_VACUUM_PAGES = 2048


class _Known(NamedTuple):
    """What is stored of an entry that is offered again."""

    entry: int
    state: int


class Writer(OwnWriter):
    """The changes. All raise :class:`~p2pboard.store.reader.UnknownBoard` where the board is gone.

    :param connection: one that may write.
    :param random_bytes: cryptographic randomness, for the secrets that seal.
    """

    def __init__(
        self,
        connection: Database,
        random_bytes: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        super().__init__(connection, random_bytes)
        self._slots = Slots(connection, connection.root, random_bytes)
        self._purging_of: dict[int, Matcher] = {}

    @property
    def has_erased(self) -> bool:
        """See :class:`~p2pboard.store.sealing.Slots`."""
        return self._slots.has_erased or self._record_slots.has_erased

    @has_erased.setter
    def has_erased(self, has_erased: bool) -> None:
        self._slots.has_erased = self._record_slots.has_erased = has_erased

    def rolled_back(self) -> None:
        """The transaction was undone, in part or in whole: what is remembered may be wrong."""
        self._purging_of.clear()

    # --- Boards -----------------------------------------------------------------------------------

    def add_board(
        self, descriptor_raw: bytes, board_id: bytes, addresses: Iterable[str] = ()
    ) -> None:
        """Add a board; one that is there already only gets the addresses.

        :param addresses: an invite's, ``HOST:PORT``; those that are not of this form are left out.
        """
        if self._board_or_none(board_id) is None:
            slot, sealed = self._sealed(BOARD, [board_id, descriptor_raw])
            self._db.execute(
                "INSERT INTO boards (tag, slot, sealed) VALUES (?, ?, ?)",
                (board_tag(self._db.root, board_id), slot, sealed),
            )
        for address in addresses:
            host, _, port = address.rpartition(":")
            if host and port.isascii() and port.isdigit() and 0 < int(port) < 65536:
                self.remember_address(board_id, host.strip("[]"), int(port), 0)

    def remove_board(self, board_id: bytes) -> None:
        """Delete a board with all that belongs to it."""
        board = self._board(board_id)
        self._slots.free_selected(
            "SELECT slot FROM payloads JOIN entries USING (entry) WHERE board = ?", (board,)
        )
        for sql in _RECORDS_OF_A_BOARD:
            self._record_slots.free_selected(sql, (board,))
        self._db.execute("DELETE FROM boards WHERE board = ?", (board,))
        self._purging_of.clear()
        self._slots.has_erased = True
        self._give_space_back()

    def remember_address(self, board_id: bytes, host: str, port: int, day: int) -> None:
        """A member was met there on ``day`` (since 1970). Over the bound, the oldest go."""
        board = self._board(board_id)
        known = [met for met in self._addresses(board) if (met.host, met.port) == (host, port)]
        if any(met.day >= day for met in known):
            return
        for met in known:
            self._delete_address(met)
        slot, sealed = self._sealed(ADDRESS, [host, port, day])
        self._db.execute(
            "INSERT INTO addresses (board, slot, sealed) VALUES (?, ?, ?)", (board, slot, sealed)
        )
        for surplus in self._addresses(board)[ADDRESSES_MAX:]:
            self._delete_address(surplus)

    def _delete_address(self, met: StoredAddress) -> None:
        self._record_slots.free([met.slot])
        self._db.execute("DELETE FROM addresses WHERE address = ?", (met.row,))

    def put_setting(self, name: str, value: Any) -> None:
        """Set a setting of this node to any JSON value; None unsets it."""
        if value is None:
            self._db.execute("DELETE FROM settings WHERE name = ?", (name,))
        else:
            self._db.execute(
                "INSERT OR REPLACE INTO settings VALUES (?, ?)", (name, json.dumps(value))
            )

    # --- Entries from the network -----------------------------------------------------------------

    def put_entries(self, board_id: bytes, entries: Sequence[Entry]) -> list[bytes]:
        """Store entries that were found valid; those already there get a payload they lacked.

        :return: ids among them whose payload is wanted and still missing.
        """
        board = self._board(board_id)
        lacking: list[bytes] = []
        for start in range(0, len(entries), _ENTRIES_AT_ONCE):
            lacking += self._put_some(board, entries[start : start + _ENTRIES_AT_ONCE])
        return lacking

    def _put_some(self, board: int, entries: Sequence[Entry]) -> list[bytes]:
        offered = {entry.id: entry for entry in entries}
        if len(offered) < len(entries):  # offered twice: the one that says more counts
            offered |= {entry.id: entry for entry in entries if entry.payload is not None}
        known = self._known(board, offered)
        fresh = [entry for entry in offered.values() if entry.id not in known]
        states = self._states(board, fresh)
        self._insert(board, fresh, states)
        lacking = self._fill_in(board, offered, known)
        lacking += [e.id for e, s in zip(fresh, states, strict=True) if s == PayloadState.LACKING]
        self._carry_out(board, [entry for entry in fresh if entry.header.kind == Kind.RETRACT])
        self._leave_outbox(board, offered, lacking)
        return lacking

    def _known(self, board: int, ids: Iterable[bytes]) -> dict[bytes, _Known]:
        rows = self._select_in(
            "SELECT id, entry, payload_state FROM entries INDEXED BY entries_by_id"
            " WHERE board = ? AND substr(id, 1, 8) IN (...)",
            [short(identifier) for identifier in ids],
            (board,),
        )
        return {identifier: _Known(entry, state) for identifier, entry, state in rows}

    def _states(self, board: int, fresh: Sequence[Entry]) -> list[int]:
        """The payload state of each, once it is stored."""
        retracted = self._retracted(fresh)
        purging = self._purging(board)
        if not retracted and not purging:
            return [_state_as_offered(entry) for entry in fresh]
        return [
            PayloadState.FORGOTTEN
            if entry.id in retracted
            else PayloadState.PURGED
            if _is_purged(purging, entry)
            else _state_as_offered(entry)
            for entry in fresh
        ]

    def _retracted(self, fresh: Sequence[Entry]) -> set[bytes]:
        """Ids among ``fresh`` whose retraction is stored, or comes with them."""
        pairs = {(e.header.parent, e.header.persona) for e in fresh if e.header.kind == 1}
        pairs |= set(
            self._select_in(
                "SELECT parent, persona FROM entries INDEXED BY retractions_by_target"
                " WHERE kind = 1 AND parent IN (...)",
                [entry.id for entry in fresh],
            )
        )
        posts = (entry for entry in fresh if entry.header.kind == Kind.POST)
        return {entry.id for entry in posts if (entry.id, entry.header.persona) in pairs}

    def _insert(self, board: int, fresh: Sequence[Entry], states: Sequence[int]) -> None:
        first = int(self._db.execute("SELECT max(entry) FROM entries").fetchone()[0] or 0) + 1
        rows = []
        payloads = []
        for number, (entry, state) in enumerate(zip(fresh, states, strict=True), first):
            identifier, header, raw, signature, payload = entry
            rows.append(
                (
                    *(number, board, header.bucket, identifier, header.persona, header.seq),
                    *(header.kind, header.thread or identifier, header.parent),
                    *(raw, signature, int(state)),
                )
            )
            if payload and state == PayloadState.HAVE:
                payloads.append((number, payload))
        self._db.executemany("INSERT INTO entries VALUES (?,?,?,?,?,?,?,?,?,?,?,?)", rows)
        self._insert_payloads(payloads)

    def _insert_payloads(self, payloads: Sequence[tuple[int, bytes]]) -> None:
        slots = self._slots.take(len(payloads))
        self._db.executemany(
            "INSERT INTO payloads VALUES (?, ?, ?)",
            [
                (entry, slot, seal_payload(secret, payload))
                for (entry, payload), (slot, secret) in zip(payloads, slots, strict=True)
            ],
        )

    def _fill_in(
        self, board: int, offered: dict[bytes, Entry], known: dict[bytes, _Known]
    ) -> list[bytes]:
        """Give stored entries the payloads that they lacked; the ids of those that still do."""
        purging = self._purging(board)
        lacking = []
        filled = []
        for identifier, (number, state) in known.items():
            entry = offered.get(identifier)
            if entry is None or state != PayloadState.LACKING:
                continue
            if entry.payload is None:
                lacking.append(identifier)
            elif _is_purged(purging, entry):
                self._forget([number], PayloadState.PURGED)
            else:
                filled.append((number, entry.payload))
        self._set_states([number for number, _ in filled], PayloadState.HAVE)
        self._insert_payloads(filled)
        return lacking

    def _carry_out(self, board: int, retractions: Sequence[Entry]) -> None:
        """Forget the stored payloads that fresh retractions are for."""
        targets: list[int] = []
        for retraction in retractions:
            header = retraction.header
            assert header.parent is not None
            targets += [
                number
                for (number,) in self._db.execute(
                    "SELECT entry FROM entries INDEXED BY entries_by_id"
                    " WHERE board = ? AND substr(id, 1, 8) = ?"
                    " AND id = ? AND persona = ? AND kind = 0",
                    (board, short(header.parent), header.parent, header.persona),
                )
            ]
        self._forget(targets, PayloadState.FORGOTTEN)

    def expire(self, board_id: bytes, before_bucket: int) -> int:
        """Delete all entries before a bucket, those of the outbox too, and the personas (with their
        keys) whose thread is gone with them; how many entries that were."""
        board = self._board(board_id)
        old = (board, before_bucket)
        self._slots.free_selected(
            "SELECT slot FROM entries JOIN payloads USING (entry) WHERE board = ? AND bucket < ?",
            old,
        )
        deleted = self._db.execute(
            "DELETE FROM entries WHERE board = ? AND bucket < ?", old
        ).rowcount
        for item in self._outbox_items(board):
            if item.entry.header.bucket < before_bucket:
                self._delete_outbox_item(item.item, item.slot)
                deleted += 1
        self._delete_personas_without_thread(board)
        if deleted:
            self._slots.has_erased = True
            self._give_space_back()
        return deleted

    def _give_space_back(self) -> None:
        free = self._db.execute("PRAGMA freelist_count").fetchone()[0]
        # The pragma frees one page a step, and sqlite3 takes one step of what has no columns.
        for _ in range(min(free, _VACUUM_PAGES)):
            self._db.execute("PRAGMA incremental_vacuum(1)")

    # --- Forgetting -------------------------------------------------------------------------------

    def forget(self, board_id: bytes, entry_id: bytes) -> bool:
        """Erase what an entry says, and refuse it from now on; whether there was anything to erase.

        An entry in the outbox is taken out of it. It comes again, payload and all, if it was on its
        way already.
        """
        board = self._board(board_id)
        waiting = [item for item in self._outbox_items(board) if item.entry.id == entry_id]
        for item in waiting:
            self._delete_outbox_item(item.item, item.slot)
        stored = self._db.execute(
            "SELECT entry FROM entries INDEXED BY entries_by_id"
            " WHERE board = ? AND substr(id, 1, 8) = ? AND id = ?"
            " AND kind = 0 AND payload_state <> ?",
            (board, short(entry_id), entry_id, int(PayloadState.FORGOTTEN)),
        ).fetchall()
        self._forget([number for (number,) in stored], PayloadState.FORGOTTEN)
        return bool(waiting or stored)

    def _forget(self, numbers: Sequence[int], state: PayloadState) -> None:
        """Erase the payloads of ``numbers`` (rows of entries), where they are."""
        for number in numbers:
            self._slots.free_selected("SELECT slot FROM payloads WHERE entry = ?", (number,))
        self._db.executemany("DELETE FROM payloads WHERE entry = ?", [(n,) for n in numbers])
        self._set_states(numbers, state)

    def _set_states(self, numbers: Sequence[int], state: PayloadState) -> None:
        self._db.executemany(
            "UPDATE entries SET payload_state = ? WHERE entry = ?",
            [(int(state), number) for number in numbers],
        )

    # --- Rules ------------------------------------------------------------------------------------

    def add_rule(self, board_id: bytes, rule: Rule) -> str:
        """Add a rule, in place of one on the same thing; purges at once what it is to purge.

        :return: its id: the rule's own, or a new one where that is "".
        """
        board = self._board(board_id)
        identifier = rule.id or self._free_rule_id(board, rule)
        self._delete_rule(board, identifier)
        fields = [identifier, rule.kind, rule.value, rule.action, rule.reason, rule.created]
        slot, sealed = self._sealed(RULE, fields)
        self._db.execute(
            "INSERT INTO rules (board, slot, sealed) VALUES (?, ?, ?)", (board, slot, sealed)
        )
        if rule.action == "purge":
            self._purge(board, Matcher([rule]))
        return identifier

    def _free_rule_id(self, board: int, rule: Rule) -> str:
        """The shortest name that no rule on anything else has."""
        rules = (stored.rule for stored in self._rules(board))
        others = {other.id for other in rules if rule_id(other, 64) != rule_id(rule, 64)}
        return next(
            name for length in range(6, 65) if (name := rule_id(rule, length)) not in others
        )

    def remove_rule(self, board_id: bytes, identifier: str) -> bool:
        """Remove a rule; whether there was one. What only it had purged is wanted again."""
        return self._delete_rule(self._board(board_id), identifier)

    def _delete_rule(self, board: int, identifier: str) -> bool:
        stored = self._rule_named(board, identifier)
        self._purging_of.pop(board, None)
        if stored is None:
            return False
        self._record_slots.free([stored.slot])
        self._db.execute("DELETE FROM rules WHERE rule = ?", (stored.row,))
        if stored.rule.action == "purge":
            self._want_again(board)
        return True

    def _rule_named(self, board: int, identifier: str) -> StoredRule | None:
        return next((s for s in self._rules(board) if s.rule.id == identifier), None)

    def _purging(self, board: int) -> Matcher:
        if board not in self._purging_of:
            rules = (stored.rule for stored in self._rules(board))
            self._purging_of[board] = Matcher(rule for rule in rules if rule.action == "purge")
        return self._purging_of[board]

    def _purge(self, board: int, purging: Matcher) -> None:
        """Forget the posts that fall under ``purging``. Costs a look at all of a board's entries,
        and a rule on a word at all their texts: some seconds for a million."""
        rows = self._db.execute(
            "SELECT entry, id, persona, thread, sealed, secret FROM entries"
            " LEFT JOIN payloads USING (entry) LEFT JOIN secrets USING (slot)"
            " WHERE board = ? AND kind = 0 AND payload_state < ?",
            (board, int(PayloadState.FORGOTTEN)),
        )
        matching = []
        for number, identifier, persona, thread, sealed, wrapped in rows:
            text = None
            if sealed is not None and purging.has_words:
                text = payload_text(unseal_payload(self._secret(wrapped), sealed))
            if purging.match(persona, identifier, thread, text) is not None:
                matching.append(number)
        self._forget(matching, PayloadState.PURGED)

    def _want_again(self, board: int) -> None:
        """Whatever was purged, and falls under no other rule that can be told without its text, is
        wanted again; a rule on a word purges it again when it comes."""
        purging = self._purging(board)
        rows = self._db.execute(
            "SELECT entry, id, persona, thread FROM entries"
            " WHERE board = ? AND payload_state = ? AND payload_state > 0",
            (board, int(PayloadState.PURGED)),
        ).fetchall()
        wanted = [row[0] for row in rows if purging.match(row[2], row[1], row[3], None) is None]
        self._set_states(wanted, PayloadState.LACKING)


def _state_as_offered(entry: Entry) -> int:
    is_lacking = entry.payload is None and entry.header.kind == Kind.POST
    return PayloadState.LACKING if is_lacking else PayloadState.HAVE


def _is_purged(purging: Matcher, entry: Entry) -> bool:
    if not purging or entry.header.kind != Kind.POST:
        return False
    text = None if entry.payload is None else payload_text(entry.payload)
    return purging.match(entry.header.persona, entry.id, entry.thread, text) is not None


__all__ = ["ADDRESSES_MAX", "PersonaMoved", "Writer"]
