"""What a user can do: the one table of actions behind the command line and the loopback interface.

Every action takes and gives values that JSON can say, and works with or without a running node
(``driver`` is None then): what changes the store is durable when an action returns, and where a
node runs it is told afterwards.

**Giving up.** A command can be gone at any moment (Ctrl-C), and its action is cancelled then. Up
to the first write it leaves nothing behind; from there on it is shielded, or the node would not be
told of what is in the store: it would go on sending what was forgotten.

Reading is in :mod:`p2pboard.reading`, following in :mod:`p2pboard.following`.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Awaitable, Callable
from typing import Any, Protocol, cast
from weakref import WeakValueDictionary

import trio

from p2pboard.crowd import CROWD_LEAST_MAX, CROWD_SETTING, Crowd, crowd_after
from p2pboard.draft import OwnText, read_identity, review_draft
from p2pboard.errors import Failure, UserError
from p2pboard.following import Followers, Send, Source
from p2pboard.home_store import add_board
from p2pboard.mining import find_nonce
from p2pboard.reading import (
    BOARD_ID_DIGITS,
    Record,
    board_record,
    crowd_least,
    find_blocked,
    find_board,
    find_own_personas,
    find_thread,
    invite_record,
    invite_to,
    list_boards,
    list_personas,
    list_rules,
    load_entry,
    one_board,
    persona_keep,
    read_records,
    resting_crowd,
    resting_status,
    rule_record,
    shown_board_id,
)
from p2pboard.rules import Rule, RuleKind
from p2pboard.store.own_reader import KEEP_S_RANGE, KEEP_SETTING
from p2pboard.store.reader import Reader
from p2pboard.store.worker import StoreWorker
from p2pboard.store.writer import Writer
from protocol.board import (
    Board,
    Descriptor,
    Pace,
    decode_invite,
    private_descriptor,
)
from protocol.crypto import RandomBytes
from protocol.entry import SALT_BYTES, Entry, Kind, bucket_of
from protocol.errors import Reason, Refused
from protocol.persona import Draft, Persona, draft_post, draft_retraction

#: Own posts that a draft is compared with: as many as people may remember. Guess.
_OWN_POSTS_MAX = 200


class Driver(Source, Protocol):
    """What the actions ask of a running node (:class:`p2pboard.driver.Driver`)."""

    async def open_board(self, board_id: bytes) -> None: ...

    async def close_board(self, board_id: bytes) -> None: ...

    def publish(self, board_id: bytes, entry: Entry, crowd_least: int = 0) -> None: ...

    def crowd(self, board_id: bytes) -> list[str] | None: ...

    def withdraw(self, board_id: bytes, entry_id: bytes) -> None: ...

    async def want_payloads(self, board_id: bytes) -> None: ...

    def peers(self) -> list[Record]: ...

    def status(self) -> Record: ...


def _pace(name: str) -> Pace:
    try:
        return Pace[name.upper()]
    except KeyError:
        known = ", ".join(pace.name.lower() for pace in Pace)
        raise UserError(f"no such pace: {name}; there are {known}") from None


class Actions:
    """The actions on one home.

    :param driver: the running node, or None.
    :param stop: ends that node at once.
    :param random_bytes: cryptographic randomness.
    :param wall_s: the clock, seconds since 1970.
    """

    def __init__(
        self,
        store: StoreWorker,
        driver: Driver | None = None,
        *,
        stop: Callable[[], None] | None = None,
        random_bytes: RandomBytes = secrets.token_bytes,
        wall_s: Callable[[], float] = time.time,
    ) -> None:
        self.store = store
        self.driver = driver
        self._stop = stop
        self._random_bytes = random_bytes
        self._wall_s = wall_s
        #: One writer at a time in each thread: two posts there have one persona, and its log must
        #: not get two entries with one number. Others don't wait for each other's work.
        self._locks: WeakValueDictionary[tuple[bytes, bytes], trio.Lock] = WeakValueDictionary()
        #: Boards come and go one at a time: a name must not be taken twice, nor a board be left
        #: while it is opened.
        self._boards_change = trio.Lock()
        self._followers = Followers()

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
        pace: str | None = None,
    ) -> Record:
        """Makes a board and answers its invite."""
        policy = {
            "retention_days": retention_days,
            "work_bits": work_bits,
            "pace": _pace(pace) if pace else None,
        }
        given = {key: value for key, value in policy.items() if value is not None}
        try:
            descriptor = (
                Descriptor(name, **given)  # type: ignore[arg-type]
                if is_open
                else private_descriptor(name, self._random_bytes, **given)
            )
        except Refused as refused:
            raise UserError(f"no board can be like that: {refused.detail}") from None
        async with self._boards_change:
            if any(record["name"] == name for record in await self.boards()):
                raise UserError(f"there is a board {name!r} here already: choose another name")
            return invite_record(await self._open(descriptor, ()))

    async def join(self, link: str) -> Record:
        """Takes part in the board that an invite is for."""
        try:
            invite = decode_invite(link)
        except Refused as refused:
            raise UserError(_why_no_invite(refused)) from None
        name, shown_id = invite.descriptor.name, shown_board_id(Board.of(invite.descriptor).id)
        async with self._boards_change:
            if any(record["board_id"] == shown_id for record in await self.boards()):
                raise UserError(
                    f"the board {name!r} of this link is here already: read or post on it"
                )
            board = await self._open(invite.descriptor, invite.addresses)
            return await self.store.read(board_record, board)

    async def _open(self, descriptor: Descriptor, addresses: tuple[str, ...]) -> Board:
        with trio.CancelScope(shield=True):
            board = await self.store.write(add_board, descriptor, addresses)
            if self.driver is not None:
                await self.driver.open_board(board.id)
        return board

    async def leave(self, board: str) -> Record:
        """Deletes a board with everything on it from this home."""
        async with self._boards_change:
            found = await self.store.read(find_board, board)
            with trio.CancelScope(shield=True):
                if self.driver is not None:
                    await self.driver.close_board(found.id)
                await self.store.write(Writer.remove_board, found.id)
        self._followers.touch(found.id)
        return {"name": found.descriptor.name, "board_id": shown_board_id(found.id)}

    async def boards(self) -> list[Record]:
        """All boards."""
        return await self.store.read(list_boards)

    async def board(self, board: str) -> Record:
        """One of them."""
        return await self.store.read(one_board, board)

    async def invite(self, board: str, addresses: list[str] | None = None) -> Record:
        """The link that lets others in."""
        return await self.store.read(invite_to, board, tuple(addresses or ()))

    # Posts

    async def review(
        self, board: str, text: str, reply: str | None = None, fresh: bool = False
    ) -> Record:
        """What in a text could tell who wrote it, were it posted (:mod:`p2pboard.draft`), and how
        many could have written it (:mod:`p2pboard.crowd`).

        Takes what :meth:`post` takes, and refuses what that refuses. Nothing is stored or sent.
        """
        found = await self.store.read(find_board, board)
        check_text(text, found)
        parent = None if reply is None else await self.store.read(_post_to_answer, found, reply)
        thread = None if parent is None or fresh else parent.thread
        own = await self.store.read(_own_texts, found.id, thread)
        findings = await trio.to_thread.run_sync(lambda: review_draft(text, read_identity(), own))
        crowd = await self._crowd_for(found, thread)
        return {
            "warnings": [finding.as_json() for finding in findings],
            "crowd": crowd.as_json(),
        }

    async def _crowd_for(self, board: Board, thread: bytes | None) -> Crowd:
        """Who could write on a board now; with the persona that goes on in ``thread``, if one
        does."""
        hosts = None if self.driver is None else self.driver.crowd(board.id)
        least, note = await self.store.read(_crowd_noted, board.id, thread)
        if hosts is None:
            return Crowd(None, None, least)
        return Crowd(1 + len(hosts), crowd_after(note, hosts) if note else None, least)

    async def crowd(self, least: int | None = None) -> Record:
        """How many nodes could write, board by board.

        :param least: from now on, how many there must be before an entry leaves unasked.
        """
        if least is not None:
            if not 1 <= least <= CROWD_LEAST_MAX:
                raise UserError(f"a crowd has 1 to {CROWD_LEAST_MAX} nodes, not {least}")
            await self.store.write(Writer.put_setting, CROWD_SETTING, least)
        if self.driver is None:
            return await self.store.read(resting_crowd)
        keys = ("name", "board_id", "crowd", "loops_home", "loops_sent")
        return {
            "least": await self.store.read(crowd_least),
            "running": True,
            "boards": [{key: on[key] for key in keys} for on in self.driver.status()["boards"]],
        }

    async def post(
        self,
        board: str,
        text: str,
        reply: str | None = None,
        fresh: bool = False,
        crowd_least: int = 0,
    ) -> Record:
        """Writes an entry and leaves it to the outbox.

        :param reply: the beginning of the id of what it answers; None opens a thread.
        :param fresh: under a persona of its own, in a thread where there is one already.
        :param crowd_least: it stays there until so many nodes could have written it.
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
            entry = await self._sign(draft, persona)
            with trio.CancelScope(shield=True):
                await self._publish(found, persona, fresh, entry, crowd_least)
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

    async def _sign(self, draft: Draft, persona: Persona) -> Entry:
        nonce = await find_nonce(draft.work, int.from_bytes(self._random_bytes(8), "big"))
        return draft.sign(persona, nonce)

    async def _publish(
        self,
        board: Board,
        persona: Persona,
        is_fresh: bool,
        entry: Entry,
        crowd_least: int = 0,
    ) -> None:
        """Leaves an own entry to the outbox. To be shielded: from here on it exists, and whoever
        gives up waiting must not keep it from the node."""
        after = persona.after(entry)
        await self.store.write(Writer.put_own, board.id, after, is_fresh, entry, crowd_least)
        if self.driver is not None:
            self.driver.publish(board.id, entry, crowd_least)
        self._followers.touch(board.id, entry)

    async def read(
        self, board: str, thread: str | None = None, limit: int | None = None
    ) -> list[Record]:
        """What is to be shown of a board, or of one of its threads."""
        return await self.store.read(read_records, board, thread, limit)

    async def retract(self, board: str, entry: str) -> Record:
        """Takes back an own entry, everywhere: what is out by a retraction that follows it, what
        still waits in the outbox also by not sending it."""
        found = await self.store.read(find_board, board)
        target = await self.store.read(load_entry, found, entry)
        async with self._writing_in(found.id, target.thread):
            persona = await self.store.read(_author, found, target)
            draft = draft_retraction(found, persona, target.id, int(self._wall_s()))
            is_fresh = await self._is_fresh(found, persona)
            retraction = await self._sign(draft, persona)
            with trio.CancelScope(shield=True):
                await self._publish(found, persona, is_fresh, retraction)
                # What is already out stays until the retraction has come back, like at every other
                # node: refusing to serve it a moment sooner would say who took it back.
                if any(e.id == target.id for e in await self.store.read(Reader.outbox, found.id)):
                    await self._forget(found, target)
                self._followers.touch(found.id, target)
        return {"id": target.id.hex(), "retraction": retraction.id.hex(), "state": "retracted"}

    async def _is_fresh(self, board: Board, persona: Persona) -> bool:
        """Whether the persona writes one entry only: then it is not the thread's own."""
        assert persona.thread is not None
        own = await self.store.read(Reader.own_persona, board.id, persona.thread)
        return own is None or own.public_key != persona.public_key

    async def forget(self, board: str, entry: str) -> Record:
        """Deletes what an entry says from this home, for good; what still waits in the outbox is
        not sent."""
        found = await self.store.read(find_board, board)
        target = await self.store.read(load_entry, found, entry)
        with trio.CancelScope(shield=True):
            await self._forget(found, target)
        return {"id": target.id.hex(), "state": "forgotten"}

    async def _forget(self, board: Board, target: Entry) -> None:
        await self.store.write(Writer.forget, board.id, target.id)
        if self.driver is not None:
            self.driver.withdraw(board.id, target.id)
        self._followers.touch(board.id, target)

    # Own personas

    async def persona_list(self, board: str) -> list[Record]:
        """The own personas whose keys are kept."""
        return await self.store.read(list_personas, board)

    async def persona_drop(
        self, board: str, persona: str | None = None, withdraw: bool = False
    ) -> Record:
        """Throws away the key of an own persona: from then on nothing here says that it was ours,
        but for entries that wait in the outbox until they have come back.

        :param persona: the beginning of its key; None throws away all of the board's.
        :param withdraw: whether what waits under it is taken out of the outbox and not sent.
        """
        found = await self.store.read(find_board, board)
        personas = await self.store.read(find_own_personas, found, persona)
        keys = [dated.own.persona.public_key for dated in personas]
        with trio.CancelScope(shield=True):
            waiting = await self.store.write(Writer.throw_away, found.id, keys, withdraw)
            for entry in waiting if withdraw else ():
                if self.driver is not None:
                    self.driver.withdraw(found.id, entry.id)
                self._followers.touch(found.id, entry)
        return {"personas": [k.hex() for k in keys], "outbox": [e.id.hex() for e in waiting]}

    async def persona_keep(self, keep_s: int | None = None) -> Record:
        """How long keys are kept after their last use, in seconds; sets it where it is given."""
        if keep_s is not None:
            least, most = KEEP_S_RANGE
            if not least <= keep_s <= most:
                raise UserError(
                    f"keys can be kept for {least // 3600} hour to {most // 86400} days: choose one"
                    " of these"
                )
            now_bucket = bucket_of(int(self._wall_s()))
            with trio.CancelScope(shield=True):
                await self.store.write(Writer.put_setting, KEEP_SETTING, keep_s)
                await self.store.write(Writer.throw_away_due, now_bucket)
        return await self.store.read(persona_keep)

    # Blocks

    async def block_add(
        self, board: str, kind: str, value: str, purge: bool = False, reason: str = ""
    ) -> Record:
        """Blocks a persona, an entry, a thread or a word on this node.

        :param value: the beginning of a key or an id, or the word.
        :param purge: delete what falls under it too, for as long as the rule is there.
        """
        found = await self.store.read(find_board, board)
        rule = Rule(
            id="",
            kind=cast(RuleKind, kind),  # checked by the rule
            value=await self.store.read(find_blocked, found, kind, value),
            action="purge" if purge else "hide",
            reason=reason,
            created=bucket_of(int(self._wall_s())),
        )
        with trio.CancelScope(shield=True):
            rule_id, purged = await self.store.write(_add_rule, found.id, rule)
            await self._rules_changed(found, purged)
        return rule_record(rule) | {"rule": rule_id}

    async def block_list(self, board: str) -> list[Record]:
        """What is blocked."""
        return await self.store.read(list_rules, board)

    async def block_remove(self, board: str, rule: str) -> Record:
        """Blocks it no more; what was purged is taken in again if others still have it."""
        found = await self.store.read(find_board, board)
        with trio.CancelScope(shield=True):
            is_there, purged = await self.store.write(_remove_rule, found.id, rule)
            if not is_there:
                name = found.descriptor.name
                raise UserError(
                    f"there is no rule {rule!r}: 'p2pboard block list {name}' shows them"
                )
            await self._rules_changed(found, purged)
        return {"rule": rule}

    async def _rules_changed(self, board: Board, has_purged: bool) -> None:
        # Only what a rule that is gone had purged: to ask peers for more would tell them of rules.
        if has_purged and self.driver is not None:
            await self.driver.want_payloads(board.id)
        self._followers.touch(board.id)

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

    async def stop(self) -> Record:
        """Ends the node, at once and without a word to its peers. The answer may not arrive."""
        if self._stop is None:
            raise Failure("no node runs here, so there is none to stop")
        self._stop()
        return {}

    # Following

    async def follow(
        self, send: Send, board: str, thread: str | None = None, limit: int | None = None
    ) -> None:
        """Sends what there is and then, until cancelled, each entry that is new or whose state has
        changed.

        :param limit: of what there is, only the newest.
        """
        found = await self.store.read(find_board, board)
        thread_id = None if thread is None else await self.store.read(find_thread, found, thread)
        await self._followers.follow(send, self.store, self.driver, found.id, thread_id, limit)


#: What the loopback interface serves; ``follow`` apart, which sends more than one answer.
ACTIONS: dict[str, Callable[..., Awaitable[Any]]] = {
    action.__name__: action
    for action in (
        Actions.create,
        Actions.join,
        Actions.leave,
        Actions.boards,
        Actions.board,
        Actions.invite,
        Actions.review,
        Actions.crowd,
        Actions.post,
        Actions.read,
        Actions.retract,
        Actions.forget,
        Actions.persona_list,
        Actions.persona_drop,
        Actions.persona_keep,
        Actions.block_add,
        Actions.block_list,
        Actions.block_remove,
        Actions.peers,
        Actions.status,
        Actions.stop,
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


def _post_to_answer(reader: Reader, board: Board, prefix: str) -> Entry:
    entry = load_entry(reader, board, prefix)
    if entry.header.kind == Kind.RETRACT:
        raise UserError(f"{prefix!r} is a retraction: answer another entry of its thread")
    return entry


def _crowd_noted(reader: Reader, board_id: bytes, thread: bytes | None) -> tuple[int, bytes | None]:
    """The least crowd that the user wants, and what is noted of the persona that goes on."""
    own = None if thread is None else reader.own_persona(board_id, thread)
    note = None if own is None else reader.crowd_of(board_id, own.public_key)
    return crowd_least(reader), note or None


def _own_texts(reader: Reader, board_id: bytes, thread: bytes | None) -> list[OwnText]:
    """What this node has posted, but for the persona that goes on writing in ``thread``: readers
    know already that it is one."""
    going_on = None if thread is None else reader.own_persona(board_id, thread)
    return [
        OwnText(post.id.hex(), post.text)
        for post in reader.own_posts(_OWN_POSTS_MAX)
        if going_on is None or post.persona != going_on.public_key
    ]


def _author(reader: Reader, board: Board, target: Entry) -> Persona:
    if target.header.kind == Kind.RETRACT:
        raise UserError("a retraction can't be retracted: post again what you took back")
    persona = reader.own_persona_by_key(board.id, target.header.persona)
    if persona is None:
        raise UserError(
            "only its author can retract an entry, and it was not written here, or the key of its"
            " persona was thrown away: 'p2pboard forget' deletes it from this node, 'p2pboard block"
            " add' keeps it away"
        )
    return persona


def _without_secret(record: Record) -> Record:
    return record | {"board_id": record["board_id"][:BOARD_ID_DIGITS]}


def _add_rule(writer: Writer, board_id: bytes, rule: Rule) -> tuple[str, bool]:
    """The rule's id, and whether it took the place of one that purged."""
    before = _purging(writer, board_id)
    rule_id = writer.add_rule(board_id, rule)
    return rule_id, rule_id in before


def _remove_rule(writer: Writer, board_id: bytes, rule_id: str) -> tuple[bool, bool]:
    """Whether there was one, and whether it purged."""
    before = _purging(writer, board_id)
    return writer.remove_rule(board_id, rule_id), rule_id in before


def _purging(reader: Reader, board_id: bytes) -> set[str]:
    return {rule.id for rule in reader.rules(board_id) if rule.action == "purge"}
