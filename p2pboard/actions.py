"""What a user can do: the one table of actions behind the command line and the loopback interface.

Every action takes and gives values that JSON can say, and works with or without a running node
(``driver`` is None then): what changes the store is durable when an action returns, and where a
node runs it is told afterwards.

The reading half are plain functions of a :class:`~p2pboard.store.reader.Reader`
(:func:`list_boards`, :func:`read_entries` ...), so that commands can also read without asking
anybody.

A board's whole id is a secret: the keys of its links are derived from it. So what is shown is its
beginning, which names it well enough.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractContextManager, asynccontextmanager
from functools import partial
from typing import Any, Protocol, cast
from weakref import WeakValueDictionary

import trio

from p2pboard.errors import Failure, UserError
from p2pboard.home import Home
from p2pboard.rules import Rule, RuleKind
from p2pboard.store.reader import Ambiguous, NotFound, Reader
from p2pboard.store.worker import StoreWorker, open_store
from p2pboard.store.writer import Writer
from p2pboard.view import Shown, show
from protocol.board import (
    LOBBY,
    Board,
    Descriptor,
    Invite,
    decode_invite,
    encode_descriptor,
    encode_invite,
    private_descriptor,
)
from protocol.crypto import RandomBytes
from protocol.effects import EntriesArrived, Event
from protocol.entry import SALT_BYTES, Entry, Kind, bucket_of
from protocol.errors import Reason, Refused
from protocol.persona import Draft, Persona, draft_post, draft_retraction

Record = dict[str, Any]

#: So much of a board's id is shown: enough to name it, far from enough to derive its keys.
BOARD_ID_DIGITS = 16
_BEGUN = "begun"
#: A slice of the work loop: some tens of milliseconds, so that cancelling is prompt.
_TRIES_A_SLICE = 50_000
#: More threads than this touched at once (a first sync): one read of everything is cheaper. Guess.
_THREADS_READ_SINGLY_MAX = 32
#: More entries than this touched while a follower does not look: it looks at everything. Guess.
_TOUCHED_MAX = 10_000
#: A reader is told of changes at most so often: a burst is one read. Guess.
_FOLLOW_PAUSE_S = 0.1
#: Entries whose state a follower is remembered to have been told; the oldest go first.
_TOLD_MAX = 200_000


class Driver(Protocol):
    """What the actions ask of a running node (:class:`p2pboard.driver.Driver`)."""

    async def open_board(self, board_id: bytes) -> None: ...

    async def close_board(self, board_id: bytes) -> None: ...

    def publish(self, board_id: bytes, entry: Entry) -> None: ...

    def withdraw(self, board_id: bytes, entry_id: bytes) -> None: ...

    async def want_payloads(self, board_id: bytes) -> None: ...

    def peers(self) -> list[Record]: ...

    def status(self) -> Record: ...

    def subscribe(self) -> AbstractContextManager[trio.MemoryReceiveChannel[Any]]: ...


@asynccontextmanager
async def open_home_store(home: Home) -> AsyncIterator[StoreWorker]:
    """The store of a home whose lock is held; a new one begins with the board ``lobby``."""
    async with open_store(home.database) as store:
        if await store.read(Reader.setting, _BEGUN) is None:
            await store.write(_begin)
        yield store


def _begin(writer: Writer) -> None:
    _add_board(writer, LOBBY, ())
    # So that a lobby that was left does not come back at the next start.
    writer.put_setting(_BEGUN, True)


def _add_board(writer: Writer, descriptor: Descriptor, addresses: tuple[str, ...]) -> Board:
    board = Board.of(descriptor)
    writer.add_board(encode_descriptor(descriptor), board.id, addresses)
    return board


# --- Reading --------------------------------------------------------------------------------------


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


def _ambiguous(prefix: str, candidates: Sequence[str]) -> UserError:
    candidates = candidates[:8]
    is_told_apart = (len({c[:n] for c in candidates}) == len(candidates) for n in range(12, 65))
    digits = 12 + [*is_told_apart].index(True)
    some = ", ".join(candidate[:digits] for candidate in candidates)
    return UserError(f"{prefix!r} can be any of {some}: give more digits")


def _hex_prefix(text: str, what: str) -> str:
    digits = text.strip().lower()
    if not digits or len(digits) > 64 or digits.strip("0123456789abcdef"):
        raise UserError(f"{text!r} is not {what}: it has 1 to 64 digits of 0-9 and a-f")
    return digits


def list_boards(reader: Reader) -> list[Record]:
    """All boards, in the order of their names."""
    records = [_board_record(reader, Board.of(row.descriptor)) for row in reader.boards()]
    return sorted(records, key=lambda record: (record["name"], record["board_id"]))


def _board_record(reader: Reader, board: Board) -> Record:
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
    """The link that lets others in."""
    found = find_board(reader, board)
    return _invite_record(found, addresses)


def _invite_record(board: Board, addresses: tuple[str, ...] = ()) -> Record:
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


def read_entries(
    reader: Reader, board: str, thread: str | None = None, limit: int | None = None
) -> list[Shown]:
    """What is to be shown of a board, or of one of its threads: the newest ``limit``, oldest first.

    :param thread: the beginning of the id of any entry in it.
    """
    found = find_board(reader, board)
    thread_id = None if thread is None else find_thread(reader, found, thread)
    return _shown(reader, found.id, thread_id, limit)


def find_thread(reader: Reader, board: Board, prefix: str) -> bytes:
    """The thread of the entry that ``prefix`` names."""
    return _entry(reader, board, prefix).thread


def _entry(reader: Reader, board: Board, prefix: str) -> Entry:
    identifier = find_entry(reader, board, prefix)
    for entry in reader.outbox(board.id):
        if entry.id == identifier:
            return entry
    _, entries = reader.load_entries(board.id, (identifier,), 1)
    return entries[0]


def _shown(
    reader: Reader, board_id: bytes, thread: bytes | None = None, limit: int | None = None
) -> list[Shown]:
    return show(reader.rows(board_id, thread, limit), reader.rules(board_id))


def newest_entries(reader: Reader, limit: int) -> list[Record]:
    """The newest posts of all boards together, oldest first, each with its ``board``'s name."""
    records = [
        shown.as_json() | {"board": row.descriptor.name}
        for row in reader.boards()
        for shown in _shown(reader, row.board_id, None, limit)
        if shown.kind == "post"
    ]
    return sorted(records, key=lambda record: record["time"])[-limit:]


def list_rules(reader: Reader, board: str) -> list[Record]:
    """What is blocked on a board, oldest first."""
    return [_rule_record(rule) for rule in reader.rules(find_board(reader, board).id)]


def _rule_record(rule: Rule) -> Record:
    return {
        "rule": rule.id,
        "kind": rule.kind,
        "value": rule.value,
        "action": rule.action,
        "reason": rule.reason,
    }


def resting_status(reader: Reader) -> Record:
    """What :meth:`Actions.status` answers where no node runs."""
    keys = ("name", "board_id", "entries", "outbox")
    boards = [{key: record[key] for key in keys} for record in list_boards(reader)]
    return {"running": False, "listening": None, "mdns": False, "boards": boards}


# --- Acting ---------------------------------------------------------------------------------------


class Actions:
    """The actions on one home.

    :param driver: the running node, or None.
    :param random_bytes: cryptographic randomness.
    :param wall_s: the clock, seconds since 1970.
    """

    def __init__(
        self,
        store: StoreWorker,
        driver: Driver | None = None,
        *,
        random_bytes: RandomBytes = secrets.token_bytes,
        wall_s: Callable[[], float] = time.time,
    ) -> None:
        self.store = store
        self.driver = driver
        self._random_bytes = random_bytes
        self._wall_s = wall_s
        #: One writer at a time in each thread: two posts there have one persona, and its log must
        #: not get two entries with one number. Others don't wait for each other's work.
        self._locks: WeakValueDictionary[tuple[bytes, bytes], trio.Lock] = WeakValueDictionary()
        self._changes: set[_Changes] = set()

    async def perform(self, name: str, arguments: Record) -> Any:
        """The result of the action ``name``.

        :raises UserError: also where there is no such action, or it takes other arguments.
        """
        action = ACTIONS.get(name)
        if action is None:
            raise UserError(f"no such action: {name}; the node may be of another version")
        try:
            begun = action(self, **arguments)
        except TypeError:
            raise UserError(
                f"wrong arguments for {name}; the node may be of another version"
            ) from None
        return await begun

    # Boards

    async def create(
        self,
        name: str,
        is_open: bool = False,
        retention_days: int | None = None,
        work_bits: int | None = None,
    ) -> Record:
        """Makes a board and answers its invite."""
        policy = {"retention_days": retention_days, "work_bits": work_bits}
        given = {key: value for key, value in policy.items() if value is not None}
        try:
            descriptor = (
                Descriptor(name, **given)  # type: ignore[arg-type]
                if is_open
                else private_descriptor(name, self._random_bytes, **given)
            )
        except Refused as refused:
            raise UserError(f"no board can be like that: {refused.detail}") from None
        if any(record["name"] == name for record in await self.boards()):
            raise UserError(f"there is a board {name!r} here already: choose another name")
        return _invite_record(await self._open(descriptor, ()))

    async def join(self, link: str) -> Record:
        """Takes part in the board that an invite is for."""
        try:
            invite = decode_invite(link)
        except Refused as refused:
            raise UserError(_why_no_invite(refused)) from None
        name, board_id = invite.descriptor.name, Board.of(invite.descriptor).id
        if any(record["board_id"] == shown_board_id(board_id) for record in await self.boards()):
            raise UserError(f"the board {name!r} of this link is here already: read or post on it")
        board = await self._open(invite.descriptor, invite.addresses)
        return await self.store.read(_board_record, board)

    async def _open(self, descriptor: Descriptor, addresses: tuple[str, ...]) -> Board:
        with trio.CancelScope(shield=True):
            board = await self.store.write(_add_board, descriptor, addresses)
            if self.driver is not None:
                await self.driver.open_board(board.id)
        return board

    async def leave(self, board: str) -> Record:
        """Deletes a board with everything on it from this home."""
        found = await self.store.read(find_board, board)
        with trio.CancelScope(shield=True):
            if self.driver is not None:
                await self.driver.close_board(found.id)
            await self.store.write(Writer.remove_board, found.id)
        self._touch(found.id)
        return {"name": found.descriptor.name, "board_id": shown_board_id(found.id)}

    async def boards(self) -> list[Record]:
        """All boards."""
        return await self.store.read(list_boards)

    async def invite(self, board: str, addresses: list[str] | None = None) -> Record:
        """The link that lets others in."""
        return await self.store.read(invite_to, board, tuple(addresses or ()))

    # Posts

    async def post(
        self, board: str, text: str, reply: str | None = None, fresh: bool = False
    ) -> Record:
        """Writes an entry and leaves it to the outbox.

        :param reply: the beginning of the id of what it answers; None opens a thread.
        :param fresh: under a persona of its own, in a thread where there is one already.
        """
        found = await self.store.read(find_board, board)
        check_text(text, found)
        parent = None if reply is None else await self.store.read(_post_to_answer, found, reply)
        thread = None if parent is None else parent.thread
        async with self._writing_in(found.id, thread):
            persona = await self._persona_for(found, thread, fresh)
            draft = draft_post(
                found,
                persona,
                text,
                None if parent is None else parent.id,
                int(self._wall_s()),
                self._random_bytes,
            )
            entry = await self._publish(draft, persona, fresh)
        return {
            "id": entry.id.hex(),
            "thread": entry.thread.hex(),
            "persona": entry.header.persona.hex(),
            "state": "outbox",
        }

    def _writing_in(self, board_id: bytes, thread: bytes | None) -> trio.Lock:
        if thread is None:
            return trio.Lock()  # a new thread is nobody else's
        return self._locks.setdefault((board_id, thread), trio.Lock())

    async def _persona_for(self, board: Board, thread: bytes | None, fresh: bool) -> Persona:
        if thread is not None and not fresh:
            own = await self.store.read(Reader.own_persona, board.id, thread)
            if own is not None:
                return own
        return Persona.fresh(self._random_bytes, thread)

    async def _publish(self, draft: Draft, persona: Persona, is_fresh: bool) -> Entry:
        nonce = await _mine(draft, int.from_bytes(self._random_bytes(8), "big"))
        entry = draft.sign(persona, nonce)
        board_id = draft.board.id
        # From here on the entry exists: whoever gives up waiting must not keep it from the node.
        with trio.CancelScope(shield=True):
            await self.store.write(Writer.put_own, board_id, persona.after(entry), is_fresh, entry)
            if self.driver is not None:
                self.driver.publish(board_id, entry)
        self._touch(board_id, entry)
        return entry

    async def read(
        self, board: str, thread: str | None = None, limit: int | None = None
    ) -> list[Record]:
        """What is to be shown of a board, or of one of its threads."""
        shown = await self.store.read(read_entries, board, thread, limit)
        return [record.as_json() for record in shown]

    async def retract(self, board: str, entry: str) -> Record:
        """Takes back an own entry, everywhere."""
        found = await self.store.read(find_board, board)
        target = await self.store.read(_entry, found, entry)
        async with self._writing_in(found.id, target.thread):
            persona = await self.store.read(_author, found, target)
            draft = draft_retraction(found, persona, target.id, int(self._wall_s()))
            retraction = await self._publish(draft, persona, await self._is_fresh(found, persona))
        # What is already out stays until the retraction has come back, like at every other node:
        # refusing to serve it a moment sooner would say who took it back.
        if any(own.id == target.id for own in await self.store.read(Reader.outbox, found.id)):
            await self._forget(found, target.id)
        self._touch(found.id, target)
        return {"id": target.id.hex(), "retraction": retraction.id.hex(), "state": "retracted"}

    async def _is_fresh(self, board: Board, persona: Persona) -> bool:
        """Whether the persona writes one entry only: then it is not the thread's own."""
        assert persona.thread is not None
        own = await self.store.read(Reader.own_persona, board.id, persona.thread)
        return own is None or own.public_key != persona.public_key

    async def forget(self, board: str, entry: str) -> Record:
        """Deletes what an entry says from this home, for good."""
        found = await self.store.read(find_board, board)
        target = await self.store.read(_entry, found, entry)
        await self._forget(found, target.id)
        self._touch(found.id, target)
        return {"id": target.id.hex(), "state": "forgotten"}

    async def _forget(self, board: Board, entry_id: bytes) -> None:
        await self.store.write(Writer.forget, board.id, entry_id)
        if self.driver is not None:
            self.driver.withdraw(board.id, entry_id)

    # Blocks

    async def block_add(
        self, board: str, kind: str, value: str, purge: bool = False, reason: str = ""
    ) -> Record:
        """Blocks a persona, an entry, a thread or a word on this node.

        :param value: the beginning of a key or an id, or the word.
        """
        found = await self.store.read(find_board, board)
        rule = Rule(
            id="",
            kind=cast(RuleKind, kind),  # checked by the rule
            value=await self.store.read(_blocked_value, found, kind, value),
            action="purge" if purge else "hide",
            reason=reason,
            created=bucket_of(int(self._wall_s())),
        )
        rule_id = await self.store.write(Writer.add_rule, found.id, rule)
        self._touch(found.id)
        return _rule_record(rule) | {"rule": rule_id}

    async def block_list(self, board: str) -> list[Record]:
        """What is blocked."""
        return await self.store.read(list_rules, board)

    async def block_remove(self, board: str, rule: str) -> Record:
        """Blocks it no more; what was purged is taken in again if others still have it."""
        found = await self.store.read(find_board, board)
        if not await self.store.write(Writer.remove_rule, found.id, rule):
            name = found.descriptor.name
            raise UserError(f"there is no rule {rule!r}: 'p2pboard block list {name}' shows them")
        if self.driver is not None:
            await self.driver.want_payloads(found.id)
        self._touch(found.id)
        return {"rule": rule}

    # The node

    async def peers(self) -> list[Record]:
        """Whom the node is linked with."""
        if self.driver is None:
            raise Failure("no node runs here, so it has no peers: start one with 'p2pboard run'")
        return [_without_secret(record) for record in self.driver.peers()]

    async def status(self) -> Record:
        """How the node is."""
        if self.driver is None:
            return await self.store.read(resting_status)
        status = self.driver.status()
        boards = [_without_secret(record) for record in status["boards"]]
        return {"running": True} | status | {"boards": boards}

    # Following

    async def follow(
        self,
        send: Callable[[Record], Awaitable[None]],
        board: str,
        thread: str | None = None,
        limit: int | None = None,
    ) -> None:
        """Sends what there is and then, until cancelled, each entry that is new or whose state has
        changed.

        :param limit: of what there is, only the newest.
        """
        found = await self.store.read(find_board, board)
        thread_id = None if thread is None else await self.store.read(find_thread, found, thread)
        changes = _Changes(found.id)
        self._changes.add(changes)
        try:
            async with trio.open_nursery() as nursery:
                if self.driver is not None:
                    await nursery.start(_watch, self.driver, changes)
                shown = await self.store.read(_shown, found.id, thread_id, limit)
                told = _Told(shown, is_cut=len(shown) == limit)
                touched: dict[bytes, bytes] | None = None
                while True:
                    for record in told.news_among(shown, touched):
                        await send(record)
                    await trio.sleep(_FOLLOW_PAUSE_S)
                    touched = await changes.take()
                    shown = await self.store.read(_shown_of, found.id, thread_id, touched)
        finally:
            self._changes.discard(changes)

    def _touch(self, board_id: bytes, entry: Entry | None = None) -> None:
        for changes in self._changes:
            if changes.board_id == board_id:
                changes.touch(entry)


#: What the loopback interface serves; ``follow`` apart, which sends more than one answer.
ACTIONS: dict[str, Callable[..., Awaitable[Any]]] = {
    action.__name__: action
    for action in (
        Actions.create,
        Actions.join,
        Actions.leave,
        Actions.boards,
        Actions.invite,
        Actions.post,
        Actions.read,
        Actions.retract,
        Actions.forget,
        Actions.block_add,
        Actions.block_list,
        Actions.block_remove,
        Actions.peers,
        Actions.status,
    )
}


def check_text(text: str, board: Board) -> None:
    """Whether ``text`` can be a post on ``board``.

    :raises UserError: where it is empty, too long, or not text.
    """
    if not text.strip():
        raise UserError("the text is empty: write something after the board's name")
    bytes_max = board.descriptor.payload_bytes_max - SALT_BYTES
    try:
        size = len(text.encode("utf-8"))
    except UnicodeEncodeError:
        raise UserError("the text is not valid UTF-8: save it as UTF-8 first") from None
    if size > bytes_max:
        name = board.descriptor.name
        raise UserError(
            f"the text has {size} bytes, and {name} allows {bytes_max}: shorten it, or split it"
        )


def _why_no_invite(refused: Refused) -> str:
    again = "copy the whole link again"
    reasons = {
        Reason.INVITE_NOT_A_LINK: f"this is no invite, which begins with p2pboard: {again}",
        Reason.INVITE_TRUNCATED: f"the end of the link is missing: {again}",
        Reason.INVITE_MISTYPED: f"a character of the link is wrong: {again}",
        Reason.INVITE_VERSION: "the link was made by a newer p2pboard: install the newest version",
        Reason.BOARD_VERSION: "the board was made by a newer p2pboard: install the newest version",
    }
    broken = "the link is not what p2pboard makes: ask for a new one"
    return reasons.get(refused.reason, f"{broken} ({refused.reason.slug})")


async def _mine(draft: Draft, start: int) -> bytes:
    while True:
        nonce = await trio.to_thread.run_sync(partial(draft.mine, start, _TRIES_A_SLICE))
        if nonce is not None:
            return nonce
        start += _TRIES_A_SLICE


def _post_to_answer(reader: Reader, board: Board, prefix: str) -> Entry:
    entry = _entry(reader, board, prefix)
    if entry.header.kind == Kind.RETRACT:
        raise UserError(f"{prefix!r} is a retraction: answer another entry of its thread")
    return entry


def _author(reader: Reader, board: Board, target: Entry) -> Persona:
    if target.header.kind == Kind.RETRACT:
        raise UserError("a retraction can't be retracted: post again what you took back")
    persona = reader.own_persona_by_key(board.id, target.header.persona)
    if persona is None:
        raise UserError(
            "only its author can retract an entry, and it was not written here:"
            " 'p2pboard forget' deletes it from this node, 'p2pboard block add' keeps it away"
        )
    return persona


def _without_secret(record: Record) -> Record:
    return record | {"board_id": record["board_id"][:BOARD_ID_DIGITS]}


def _blocked_value(reader: Reader, board: Board, kind: str, text: str) -> str:
    """What a rule names, whole: a word as it is, a key or an id from its beginning."""
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
    personas = {entry.persona for entry in _shown(reader, board.id)}
    found = sorted(persona for persona in personas if persona.startswith(digits))
    if not found:
        raise UserError(f"no persona {prefix!r} wrote on {board.descriptor.name}: see its entries")
    if len(found) > 1:
        raise _ambiguous(prefix, found)
    return found[0]


# --- Following ------------------------------------------------------------------------------------


class _Changes:
    """What a follower has not looked at yet: some entries of its board, or anything."""

    def __init__(self, board_id: bytes) -> None:
        self.board_id = board_id
        self._entries: dict[bytes, bytes] = {}
        self._is_anything = False
        self._wake = trio.Event()

    def touch(self, entry: Entry | None) -> None:
        """``entry`` is new or has changed; None: who knows what has."""
        if entry is None or len(self._entries) >= _TOUCHED_MAX:
            self._is_anything = True
        else:
            self._entries[entry.id] = entry.thread
        self._wake.set()

    async def take(self) -> dict[bytes, bytes] | None:
        """Waits for a change; then ids with their threads, or None for everything."""
        await self._wake.wait()
        taken = None if self._is_anything else self._entries
        self._entries, self._is_anything, self._wake = {}, False, trio.Event()
        return taken


class _Told:
    """What a follower has been told: the state of each entry, as far as it is remembered."""

    def __init__(self, shown: Sequence[Shown], is_cut: bool) -> None:
        self._states: dict[str, str] = {}
        #: Of entries that were cut off at the start, nothing is told.
        self._oldest = shown[0].time if is_cut and shown else 0

    def news_among(
        self, shown: Sequence[Shown], touched: dict[bytes, bytes] | None
    ) -> Iterator[Record]:
        """Those that are to be told, as JSON has them."""
        for entry in shown:
            record = entry.as_json()
            before = self._states.get(record["id"])
            is_due = touched is None or bytes.fromhex(record["id"]) in touched
            if before is None and not (is_due and record["time"] >= self._oldest):
                continue
            if before != record["state"]:
                self._states.pop(record["id"], None)
                self._states[record["id"]] = record["state"]
                yield record
        while len(self._states) > _TOLD_MAX:
            del self._states[next(iter(self._states))]


async def _watch(
    driver: Driver,
    changes: _Changes,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    with driver.subscribe() as events:
        task_status.started()
        async for event in events:
            if isinstance(event, EntriesArrived):
                if event.board_id == changes.board_id:
                    for entry in event.entries:
                        changes.touch(entry)
            elif not isinstance(event, Event):
                changes.touch(None)  # events were missed


def _shown_of(
    reader: Reader, board_id: bytes, thread: bytes | None, touched: dict[bytes, bytes] | None
) -> list[Shown]:
    """What is to be shown of the threads that were touched, of ``thread`` only if it is given."""
    threads = set() if touched is None else set(touched.values())
    if touched is None or len(threads) > _THREADS_READ_SINGLY_MAX:
        return _shown(reader, board_id, thread)
    wanted = [one for one in sorted(threads) if thread in (None, one)]
    return [shown for one in wanted for shown in _shown(reader, board_id, one)]
