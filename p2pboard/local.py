"""The loopback interface: how a command talks to the node that runs in its home.

TCP on 127.0.0.1, one JSON object a line, one call a connection:

    command  {"nonce": 32 hex digits, "proof": 64 hex digits}
    node     {"proof": 64 hex digits}
    command  {"call": "post", "arguments": {"board": "lobby", "text": "..."}}
    node     {"result": ...}   or   {"error": {"kind": "user", "message": "..."}}

and for ``follow``, before the result, any number of ``{"entry": {...}}``.

Both proofs are made of the token in the home's 0600 file and of the nonce. So neither side gives
the token away to a stranger that has got hold of the port of a node that was killed, and a command
says nothing before it knows that it speaks to its node.

Who fails to prove it is hung up on without a byte of answer. That covers a web page in the user's
browser, which can reach this port but only with an HTTP request, whose first line is not JSON.
Every wait before the proof, every line and the number of connections have a bound.
"""

from __future__ import annotations

import json
import logging
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from hashlib import blake2b
from hmac import compare_digest
from typing import Any, Protocol

import trio

from p2pboard.errors import Failure, UserError
from p2pboard.home import SECRET_BYTES, Home, Token

#: A proof and a nonce with their names take 130.
FIRST_LINE_BYTES_MAX = 256
#: A post at the largest payload limit, each byte of it escaped, with room.
CALL_BYTES_MAX = 512 * 1024
#: A board read whole, which commands do from the store; guess.
ANSWER_BYTES_MAX = 256 * 1024 * 1024
#: Commands of one user at one time; guess.
CONNECTIONS_MAX = 32
#: Loopback answers in less than a millisecond; a loaded laptop wakes up in less than this. Guess.
PROOF_S_MAX = 3
_NONCE_BYTES = 16

_log = logging.getLogger(__name__)

Arguments = dict[str, Any]
Send = Callable[[Any], Awaitable[None]]


class NoNode(Exception):
    """No node runs in this home."""


class Callee(Protocol):
    """What answers the calls: :class:`p2pboard.actions.Actions`."""

    async def perform(self, name: str, arguments: Arguments) -> Any:
        """The result of one call."""

    async def follow(self, send: Send, **arguments: Any) -> None:
        """Sends entries until it is cancelled."""


class _LineError(Exception):
    """The other end broke the form: a line without end, or not an object."""


class _Lines:
    """JSON objects, one a line, over a stream."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self.stream = stream
        self._received = bytearray()

    async def receive(self, bytes_max: int) -> Arguments:
        """The next object.

        :raises _LineError: where the other end closes, goes on for too long, or sends no object.
        """
        searched = 0
        while (end := self._received.find(b"\n", searched)) < 0:
            searched = len(self._received)
            if searched > bytes_max:
                raise _LineError
            chunk = await self.stream.receive_some(65536)
            if not chunk:
                raise _LineError
            self._received += chunk
        line = bytes(self._received[:end])
        del self._received[: end + 1]
        return _decode_line(line, bytes_max)

    async def send(self, record: Arguments) -> None:
        """Sends one object."""
        await self.stream.send_all(json.dumps(record).encode("ascii") + b"\n")


def _decode_line(line: bytes, bytes_max: int) -> Arguments:
    if len(line) > bytes_max:
        raise _LineError
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        raise _LineError from None
    if not isinstance(record, dict):
        raise _LineError
    return record


def _proof(token: Token, side: bytes, nonce: bytes) -> str:
    return blake2b(
        nonce, key=token.secret, person=b"p2pb local " + side, digest_size=32
    ).hexdigest()


# --- The node's side ------------------------------------------------------------------------------


async def serve(
    home: Home,
    callee: Callee,
    *,
    task_status: trio.TaskStatus[Token] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Answers commands until cancelled; the token file is there for just as long."""
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listeners[0].socket.getsockname()[1]
    token = Token(port, secrets.token_bytes(SECRET_BYTES))
    connections = _Connections(token, callee)
    home.write_token(token)
    try:
        task_status.started(token)
        await trio.serve_listeners(connections.answer, listeners)
    finally:
        home.remove_token(token)


class _Connections:
    def __init__(self, token: Token, callee: Callee) -> None:
        self._token = token
        self._callee = callee
        self._open = 0

    async def answer(self, stream: trio.SocketStream) -> None:
        """One connection, from its first line to its end; nothing of it gets out of here."""
        if self._open >= CONNECTIONS_MAX:
            await trio.aclose_forcefully(stream)
            return
        self._open += 1
        try:
            async with stream:
                await self._handle(_Lines(stream))
        except* (_LineError, trio.BrokenResourceError, trio.ClosedResourceError):
            pass
        finally:
            self._open -= 1

    async def _handle(self, lines: _Lines) -> None:
        with trio.move_on_after(PROOF_S_MAX) as patience:
            await self._check_proof(lines)
        if patience.cancelled_caught:
            return
        request = await lines.receive(CALL_BYTES_MAX)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_cancel_at_end, lines.stream, nursery.cancel_scope)
            await self._answer(lines, request)
            nursery.cancel_scope.cancel()

    async def _check_proof(self, lines: _Lines) -> None:
        record = await lines.receive(FIRST_LINE_BYTES_MAX)
        nonce, proof = _bytes_of(record.get("nonce")), _bytes_of(record.get("proof"))
        expected = bytes.fromhex(_proof(self._token, b"call", nonce))
        if len(nonce) != _NONCE_BYTES or not compare_digest(proof, expected):
            raise _LineError
        await lines.send({"proof": _proof(self._token, b"node", nonce)})

    async def _answer(self, lines: _Lines, request: Arguments) -> None:
        name, arguments = request.get("call"), request.get("arguments", {})
        if not isinstance(name, str) or not isinstance(arguments, dict):
            raise _LineError
        try:
            answer = {"result": await self._perform(lines, name, arguments)}
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            raise
        except UserError as error:
            answer = _error("user", str(error))
        except Failure as error:
            answer = _error("failure", str(error))
        except Exception as error:  # noqa: BLE001 - a bug in one call must not stop the node
            _log.exception("call %s", name)
            answer = _error("failure", f"this is a bug in the node: {type(error).__name__}")
        await lines.send(answer)

    async def _perform(self, lines: _Lines, name: str, arguments: Arguments) -> Any:
        if name != "follow":
            return await self._callee.perform(name, arguments)

        async def send(record: Any) -> None:
            await lines.send({"entry": record})

        await self._callee.follow(send, **arguments)
        return None


def _error(kind: str, message: str) -> Arguments:
    return {"error": {"kind": kind, "message": message}}


def _bytes_of(value: object) -> bytes:
    try:
        return bytes.fromhex(value) if isinstance(value, str) else b""
    except ValueError:
        return b""


async def _cancel_at_end(stream: trio.abc.Stream, scope: trio.CancelScope) -> None:
    """A command that is gone (or that breaks the form) needs no answer any more."""
    with suppress(trio.BrokenResourceError):
        await stream.receive_some(1)
    scope.cancel()


# --- The command's side ---------------------------------------------------------------------------


async def call(home: Home, name: str, arguments: Arguments) -> Any:
    """The result of a call to the node that runs in ``home``.

    :raises NoNode: where none runs; nothing has been said to anybody then.
    :raises UserError, Failure: what the node answers, or that it went away.
    """
    async with _connected(home) as lines:
        return await _ask(lines, name, arguments, _refuse_entry)


async def follow(home: Home, arguments: Arguments, receive: Callable[[Any], None]) -> None:
    """Gives ``receive`` each entry as the node tells it, until cancelled.

    :raises NoNode, UserError, Failure: as :func:`call`.
    """
    async with _connected(home) as lines:
        await _ask(lines, "follow", arguments, receive)


async def _ask(
    lines: _Lines, name: str, arguments: Arguments, receive: Callable[[Any], None]
) -> Any:
    try:
        await lines.send({"call": name, "arguments": arguments})
        while "entry" in (answer := await lines.receive(ANSWER_BYTES_MAX)):
            receive(answer["entry"])
    except (_LineError, trio.BrokenResourceError):
        raise Failure(
            "the node stopped before it answered: start it again with 'p2pboard run', and see"
            " with 'p2pboard read' whether it was done"
        ) from None
    if "error" in answer:
        kind, message = answer["error"]["kind"], answer["error"]["message"]
        raise UserError(message) if kind == "user" else Failure(message)
    return answer["result"]


def _refuse_entry(_: Any) -> None:
    raise _LineError


@asynccontextmanager
async def _connected(home: Home) -> AsyncIterator[_Lines]:
    """A connection to the node, which has proved that it knows the token."""
    token = home.read_token()
    if token is None:
        raise NoNode
    try:
        stream = await trio.open_tcp_stream("127.0.0.1", token.port)
    except OSError:
        raise NoNode from None
    async with stream:
        lines = _Lines(stream)
        await _prove(lines, token)
        yield lines


async def _prove(lines: _Lines, token: Token) -> None:
    nonce = secrets.token_bytes(_NONCE_BYTES)
    proved = False
    with trio.move_on_after(PROOF_S_MAX):
        try:
            await lines.send({"nonce": nonce.hex(), "proof": _proof(token, b"call", nonce)})
            answer = await lines.receive(FIRST_LINE_BYTES_MAX)
        except (_LineError, trio.BrokenResourceError):
            raise NoNode from None
        expected = bytes.fromhex(_proof(token, b"node", nonce))
        proved = compare_digest(_bytes_of(answer.get("proof")), expected)
    if not proved:
        raise NoNode
