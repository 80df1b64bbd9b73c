"""What can be read without asking a node: functions of a :class:`~p2pboard.store.reader.Reader`.

Commands call them on a database that they open themselves, the actions inside of a node's store.
What people type is understood here, too: the name of a board, the beginning of an id or a key.

A board's whole id is a secret: the keys of its links are derived from it. So what is shown is its
beginning, which names it well enough.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from p2pboard.crowd import CROWD_LEAST_DEFAULT, CROWD_SETTING, crowd_of_note
from p2pboard.errors import UserError
from p2pboard.rules import Rule
from p2pboard.store.own_reader import DatedPersona
from p2pboard.store.reader import Ambiguous, NotFound, Reader
from p2pboard.view import Shown, show
from protocol.board import Board, Invite, encode_invite
from protocol.entry import BUCKET_SECONDS, Entry
from protocol.errors import Refused
from protocol.persona import persona_name

#: What JSON can say: str to str, int, bool, None, or lists and records of these.
Record = dict[str, Any]

#: So much of a board's id is shown: enough to name it, far from enough to derive its keys.
BOARD_ID_DIGITS = 16
DAY_SECONDS = 86400
#: Candidates that are named where a prefix can be any of them.
_CANDIDATES_MAX = 8
#: The work on an entry leaves zeros at the beginning of its id; fewer digits would often not do.
_CANDIDATE_DIGITS_LEAST = 12

# --- Boards ---------------------------------------------------------------------------------------


def find_board(reader: Reader, text: str) -> Board:
    """The board that ``text`` names: by its name, or by the beginning of its id.

    :raises UserError: where there is none, or more than one.
    """
    boards = [Board.of(row.descriptor) for row in reader.boards()]
    named = [board for board in boards if board.descriptor.name == text]
    found = named or [board for board in boards if text and board.id.hex().startswith(text.lower())]
    if not found:
        names = ", ".join(sorted(board.descriptor.name for board in boards)) or "none"
        raise UserError(f"there is no board {text!r} here (there is: {names}): create or join it")
    if len(found) > 1:
        candidates = ", ".join(f"{b.id.hex()[:8]} ({b.descriptor.name})" for b in found)
        raise UserError(f"{text!r} can be any of {candidates}: give the beginning of the id")
    return found[0]


def list_boards(reader: Reader) -> list[Record]:
    """All boards, in the order of their names."""
    records = [board_record(reader, Board.of(row.descriptor)) for row in reader.boards()]
    return sorted(records, key=lambda record: (record["name"], record["board_id"]))


def one_board(reader: Reader, board: str) -> Record:
    """The board that ``board`` names."""
    return board_record(reader, find_board(reader, board))


def board_record(reader: Reader, board: Board) -> Record:
    """A board with its policy and how much is on it."""
    return {
        "name": board.descriptor.name,
        "board_id": shown_board_id(board.id),
        "open": board.descriptor.is_open,
        "entries": reader.count(board.id),
        "outbox": len(reader.outbox(board.id)),
        "retention_days": board.descriptor.retention_days,
        "work_bits": board.descriptor.work_bits,
        "payload_bytes_max": board.descriptor.payload_bytes_max,
    }


def shown_board_id(board_id: bytes) -> str:
    """What is shown of a board's id."""
    return board_id.hex()[:BOARD_ID_DIGITS]


def invite_to(reader: Reader, board: str, addresses: tuple[str, ...] = ()) -> Record:
    """The link that lets others in.

    :param addresses: where members listen, ``HOST:PORT``.
    :raises UserError: where there are too many of them.
    """
    return invite_record(find_board(reader, board), addresses)


def invite_record(board: Board, addresses: tuple[str, ...] = ()) -> Record:
    """A board with its link; raises as :func:`invite_to`."""
    try:
        link = encode_invite(Invite(board.descriptor, addresses))
    except Refused as refused:
        raise UserError(f"no such invite: {refused.detail}") from None
    return {
        "name": board.descriptor.name,
        "board_id": shown_board_id(board.id),
        "open": board.descriptor.is_open,
        "link": link,
    }


def resting_status(reader: Reader) -> Record:
    """What :meth:`p2pboard.actions.Actions.status` answers where no node runs."""
    keys = ("name", "board_id", "entries", "outbox")
    boards = [{key: record[key] for key in keys} for record in list_boards(reader)]
    return {"running": False, "listening": None, "mdns": False, "boards": boards}


def resting_crowd(reader: Reader) -> Record:
    """What :meth:`p2pboard.actions.Actions.crowd` answers where no node runs."""
    return {"least": crowd_least(reader), "running": False, "boards": []}


# --- Entries --------------------------------------------------------------------------------------


def find_entry(reader: Reader, board: Board, prefix: str) -> bytes:
    """The id that begins with ``prefix`` (hex).

    :raises UserError: where there is none, or more than one.
    """
    try:
        return reader.resolve(board.id, _hex_prefix(prefix, "an entry's id"))
    except NotFound:
        raise UserError(
            f"there is no entry {prefix!r} on {board.descriptor.name}:"
            f" 'p2pboard read {board.descriptor.name}' shows the ids"
        ) from None
    except Ambiguous as error:
        raise _ambiguous(prefix, [identifier.hex() for identifier in error.candidates]) from None


def load_entry(reader: Reader, board: Board, prefix: str) -> Entry:
    """The entry, of the store or the outbox, that ``prefix`` names; raises as
    :func:`find_entry`."""
    identifier = find_entry(reader, board, prefix)
    for entry in reader.outbox(board.id):
        if entry.id == identifier:
            return entry
    _, entries = reader.load_entries(board.id, (identifier,), 1)
    return entries[0]


def find_thread(reader: Reader, board: Board, prefix: str) -> bytes:
    """The thread of the entry that ``prefix`` names; raises as :func:`find_entry`."""
    return load_entry(reader, board, prefix).thread


def read_entries(
    reader: Reader, board: str, thread: str | None = None, limit: int | None = None
) -> list[Shown]:
    """What is to be shown of a board, or of one of its threads: the newest ``limit``, oldest first.

    :param thread: the beginning of the id of any entry in it.
    """
    found = find_board(reader, board)
    thread_id = None if thread is None else find_thread(reader, found, thread)
    return shown_entries(reader, found.id, thread_id, limit)


def read_records(
    reader: Reader, board: str, thread: str | None = None, limit: int | None = None
) -> list[Record]:
    """As :func:`read_entries`, in what JSON can say: each with ``why`` it is hidden, the ``rule``
    and its ``reason``, or None."""
    return [
        shown.as_json() | {"why": shown.why and {"rule": shown.why.id, "reason": shown.why.reason}}
        for shown in read_entries(reader, board, thread, limit)
    ]


def shown_entries(
    reader: Reader, board_id: bytes, thread: bytes | None = None, limit: int | None = None
) -> list[Shown]:
    """As :func:`read_entries`, for who knows the whole ids."""
    rows = reader.rows(board_id, thread, limit)
    return show(rows, reader.rules(board_id), reader.crowds(board_id))


def newest_entries(reader: Reader, limit: int) -> list[Record]:
    """The newest posts of all boards together, oldest first, each with its ``board``'s name."""
    records = [
        shown.as_json() | {"board": row.descriptor.name}
        for row in reader.boards()
        for shown in shown_entries(reader, row.board_id, None, limit)
        if shown.kind == "post"
    ]
    return sorted(records, key=lambda record: record["time"])[-limit:]


# --- Own personas ---------------------------------------------------------------------------------


def list_personas(reader: Reader, board: str) -> list[Record]:
    """The own personas on a board whose keys are kept, the one that wrote last first."""
    found = find_board(reader, board)
    return [persona_record(dated) for dated in reader.own_personas(found.id)]


def persona_record(dated: DatedPersona) -> Record:
    """An own persona; ``last_used`` is by day, both times are seconds since 1970."""
    persona = dated.own.persona
    assert persona.thread is not None  # it has written
    used_s = dated.own.kept.used * BUCKET_SECONDS
    return {
        "id": persona.public_key.hex(),
        "name": persona_name(persona.public_key, persona.thread),
        "thread": persona.thread.hex(),
        "fresh": dated.own.is_fresh,
        "posts": persona.seq,
        "crowd": crowd_of_note(dated.own.kept.crowd or None),
        "outbox": len(dated.waiting),
        "last_used": used_s - used_s % DAY_SECONDS,
        "thrown_away": dated.due * BUCKET_SECONDS,
    }


def crowd_least(reader: Reader) -> int:
    """How many nodes must be there before an entry leaves unasked."""
    least = reader.setting(CROWD_SETTING)
    return CROWD_LEAST_DEFAULT if least is None else int(least)


def persona_keep(reader: Reader) -> Record:
    """How long keys of own personas are kept after their last use."""
    return {"keep_s": reader.keep_s()}


def find_own_personas(reader: Reader, board: Board, prefix: str | None) -> list[DatedPersona]:
    """The own persona whose key begins with ``prefix``; all of them where that is None.

    :raises UserError: where there is none of that key, or more than one.
    """
    own = reader.own_personas(board.id)
    if prefix is None:
        return own
    digits = _hex_prefix(prefix, "a persona's key")
    found = [dated for dated in own if dated.own.persona.public_key.hex().startswith(digits)]
    if not found:
        name = board.descriptor.name
        raise UserError(
            f"no persona {prefix!r} of yours is kept here: 'p2pboard persona list {name}' shows"
            " those that are"
        )
    if len(found) > 1:
        raise _ambiguous(prefix, sorted(d.own.persona.public_key.hex() for d in found))
    return found


# --- Rules ----------------------------------------------------------------------------------------


def list_rules(reader: Reader, board: str) -> list[Record]:
    """What is blocked on a board, oldest first."""
    return [rule_record(rule) for rule in reader.rules(find_board(reader, board).id)]


def rule_record(rule: Rule) -> Record:
    """A block rule."""
    return {
        "rule": rule.id,
        "kind": rule.kind,
        "value": rule.value,
        "action": rule.action,
        "reason": rule.reason,
    }


def find_blocked(reader: Reader, board: Board, kind: str, text: str) -> str:
    """What a rule names, whole: a word as it is, a key or an id from its beginning.

    :raises UserError: where there is no such kind of rule, none that ``text`` begins, or several.
    """
    match kind:
        case "word":
            return text
        case "entry":
            return find_entry(reader, board, text).hex()
        case "thread":
            return find_thread(reader, board, text).hex()
        case "persona":
            return _find_persona(reader, board, text)
    raise UserError(f"{kind!r} can't be blocked: block a persona, an entry, a thread or a word")


def _find_persona(reader: Reader, board: Board, prefix: str) -> str:
    digits = _hex_prefix(prefix, "a persona's key")
    if len(digits) == 64:
        return digits
    personas = {entry.persona for entry in shown_entries(reader, board.id)}
    found = sorted(persona for persona in personas if persona.startswith(digits))
    if not found:
        raise UserError(f"no persona {prefix!r} wrote on {board.descriptor.name}: see its entries")
    if len(found) > 1:
        raise _ambiguous(prefix, found)
    return found[0]


# --- Prefixes -------------------------------------------------------------------------------------


def _hex_prefix(text: str, what: str) -> str:
    digits = text.strip().lower()
    if not digits or len(digits) > 64 or digits.strip("0123456789abcdef"):
        raise UserError(f"{text!r} is not {what}: it has 1 to 64 digits of 0-9 and a-f")
    return digits


def _ambiguous(prefix: str, candidates: Sequence[str]) -> UserError:
    candidates = candidates[:_CANDIDATES_MAX]
    lengths = range(_CANDIDATE_DIGITS_LEAST, 65)
    digits = next(n for n in lengths if len({c[:n] for c in candidates}) == len(candidates))
    some = ", ".join(candidate[:digits] for candidate in candidates)
    return UserError(f"{prefix!r} can be any of {some}: give more digits")


#: The actions that only read, by their names (:data:`p2pboard.actions.ACTIONS`), for who has the
#: store open and asks no node.
READINGS: dict[str, Callable[..., Any]] = {
    "boards": list_boards,
    "board": one_board,
    "invite": invite_to,
    "read": read_records,
    "block_list": list_rules,
    "persona_list": list_personas,
    "persona_keep": persona_keep,
    "crowd": resting_crowd,
    "status": resting_status,
}
