"""The loopback interface: answers its own user's commands, and nobody else with a single byte."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

from p2pboard import local
from p2pboard.errors import Failure, UserError
from p2pboard.home import Home, Token


class Callee:
    """Answers calls as the actions would."""

    def __init__(self) -> None:
        self.cancelled = trio.Event()

    async def perform(self, name: str, arguments: dict[str, Any]) -> Any:
        match name:
            case "echo":
                return arguments
            case "wrong":
                raise UserError("do it in another way")
            case "fail":
                raise Failure("the disk is full")
            case "bug":
                raise ZeroDivisionError("secret words")
        try:
            await trio.sleep_forever()
        finally:
            self.cancelled.set()

    async def follow(self, send: local.Send, **arguments: Any) -> None:
        for number in range(3):
            await send({"number": number} | arguments)
        if arguments.get("is_endless"):
            await self.perform("wait", {})


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


@pytest.fixture
def callee() -> Callee:
    return Callee()


@contextlib.asynccontextmanager
async def served(home: Home, callee: Callee) -> AsyncIterator[Token]:
    async with trio.open_nursery() as nursery:
        yield await nursery.start(local.serve, home, callee)
        nursery.cancel_scope.cancel()


async def everything_sent_back(port: int, sent: bytes) -> bytes:
    stream = await trio.open_tcp_stream("127.0.0.1", port)
    received = b""
    async with stream:
        # A reset is a hang-up too: it is what TCP says where bytes were left unread.
        with contextlib.suppress(trio.BrokenResourceError), trio.fail_after(10):
            await stream.send_all(sent)
            while chunk := await stream.receive_some():
                received += chunk
    return received


async def test_a_call_is_answered(home: Home, callee: Callee) -> None:
    async with served(home, callee):
        arguments = {"text": "grün 綠 \n\x1b", "limit": None}
        assert await local.call(home, "echo", arguments) == arguments


async def test_the_longest_post_fits(home: Home, callee: Callee) -> None:
    async with served(home, callee):
        text = "\x01" * 65536
        assert (await local.call(home, "echo", {"text": text}))["text"] == text


async def test_errors_keep_their_kind_and_their_line(home: Home, callee: Callee) -> None:
    async with served(home, callee):
        with pytest.raises(UserError, match=r"^do it in another way$"):
            await local.call(home, "wrong", {})
        with pytest.raises(Failure, match=r"^the disk is full$"):
            await local.call(home, "fail", {})


async def test_a_bug_in_a_call_stops_neither_node_nor_tells_secrets(
    home: Home, callee: Callee
) -> None:
    async with served(home, callee):
        with pytest.raises(Failure, match=r"bug in the node: ZeroDivisionError$"):
            await local.call(home, "bug", {})
        assert await local.call(home, "echo", {}) == {}


async def test_followed_entries_come_one_by_one(home: Home, callee: Callee) -> None:
    received: list[Any] = []
    async with served(home, callee):
        await local.follow(home, {"board": "lobby"}, received.append)
    assert received == [{"number": n, "board": "lobby"} for n in range(3)]


async def test_a_command_that_goes_away_ends_its_call(home: Home, callee: Callee) -> None:
    async with served(home, callee):
        with trio.move_on_after(0.05):
            await local.call(home, "wait", {})
        with trio.fail_after(10):
            await callee.cancelled.wait()


async def test_a_follower_that_goes_away_is_followed_no_more(home: Home, callee: Callee) -> None:
    async with served(home, callee):
        with trio.CancelScope() as scope:
            await local.follow(
                home, {"is_endless": True}, lambda record: record["number"] == 2 and scope.cancel()
            )
        with trio.fail_after(10):
            await callee.cancelled.wait()


async def test_the_token_file_is_there_for_as_long_as_the_node(home: Home, callee: Callee) -> None:
    async with served(home, callee) as token:
        assert home.read_token() == token
    assert home.read_token() is None
    with pytest.raises(local.NoNode):
        await local.call(home, "echo", {})


async def test_two_starts_have_two_tokens(home: Home, callee: Callee) -> None:
    async with served(home, callee) as first:
        pass
    async with served(home, callee) as second:
        assert first.secret != second.secret


@pytest.mark.parametrize(
    "sent",
    [
        b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
        b'POST / HTTP/1.1\r\n\r\n{"call": "boards"}\n',
        b"\n",
        b"[]\n",
        b"{}\n",
        b"null\n",
        b'{"nonce": 1, "proof": []}\n',
        b'{"nonce": "zz", "proof": "zz"}\n',
        b'{"call": "boards", "arguments": {}}\n',
        b'{"nonce": "%s", "proof": "%s"}\n' % (b"00" * 16, b"00" * 32),
        b"[" * 100_000 + b"\n",
        b"x" * 1_000_000,
        b"\xff\xfe\n",
    ],
)
async def test_who_can_not_prove_the_token_gets_no_byte(
    home: Home, callee: Callee, sent: bytes
) -> None:
    async with served(home, callee) as token:
        assert await everything_sent_back(token.port, sent) == b""
        assert await local.call(home, "echo", {}) == {}


async def test_a_proof_under_another_token_gets_no_byte(home: Home, callee: Callee) -> None:
    async with served(home, callee) as token:
        other = Token(token.port, bytes(32))
        home.write_token(other)
        with pytest.raises(local.NoNode):
            await local.call(home, "echo", {})


async def test_who_says_nothing_is_hung_up_on(
    home: Home, callee: Callee, autojump_clock: trio.testing.MockClock
) -> None:
    del autojump_clock  # three seconds pass at once
    connections = local._Connections(Token(1, bytes(32)), callee)
    ours, theirs = trio.testing.memory_stream_pair()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(connections.answer, theirs)
        assert await ours.receive_some() == b""
    assert trio.current_time() >= local.PROOF_S_MAX


async def test_connections_are_bounded(home: Home, callee: Callee) -> None:
    connections = local._Connections(Token(1, bytes(32)), callee)
    async with trio.open_nursery() as nursery:
        for _ in range(local.CONNECTIONS_MAX):
            _, theirs = trio.testing.memory_stream_pair()
            nursery.start_soon(connections.answer, theirs)
        await trio.testing.wait_all_tasks_blocked()
        ours, theirs = trio.testing.memory_stream_pair()
        nursery.start_soon(connections.answer, theirs)
        assert await ours.receive_some() == b""
        nursery.cancel_scope.cancel()


async def test_a_stale_token_file_is_no_node(home: Home, callee: Callee) -> None:
    async with served(home, callee) as token:
        pass
    home.write_token(token)
    with pytest.raises(local.NoNode):
        await local.call(home, "echo", {})


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b'{"proof": "%s"}\n' % (b"00" * 32),
        b'{"proof": 7}\n',
        b"{}\n",
        b"x" * 1000,
    ],
)
async def test_a_stranger_on_the_old_port_is_no_node_and_learns_nothing(
    home: Home, answer: bytes
) -> None:
    heard = bytearray()

    async def stranger(stream: trio.SocketStream) -> None:
        with contextlib.suppress(trio.BrokenResourceError):
            await stream.send_all(answer)
            await stream.send_eof()
            while chunk := await stream.receive_some():
                heard.extend(chunk)

    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(trio.serve_tcp, stranger, 0)
        home.write_token(Token(listeners[0].socket.getsockname()[1], b"t" * 32))
        with pytest.raises(local.NoNode):
            await local.call(home, "post", {"text": "secret words"})
        await trio.testing.wait_all_tasks_blocked(0.01)
        nursery.cancel_scope.cancel()
    assert b"secret" not in heard
    assert (b"t" * 32).hex().encode() not in heard


async def test_a_node_that_dies_before_its_answer_is_a_failure(home: Home, callee: Callee) -> None:
    async def ask_and_see() -> None:
        with pytest.raises(Failure, match="p2pboard read"):
            await local.call(home, "wait", {})

    async with trio.open_nursery() as asking, trio.open_nursery() as node:
        await node.start(local.serve, home, callee)
        asking.start_soon(ask_and_see)
        await trio.testing.wait_all_tasks_blocked(0.05)
        node.cancel_scope.cancel()


def test_the_lines_are_ascii() -> None:
    sent: list[bytes] = []

    class Stream:
        async def send_all(self, data: bytes) -> None:
            sent.append(data)

    trio.run(local._Lines(Stream()).send, {"text": "綠\n"})  # type: ignore[arg-type]
    assert sent == [json.dumps({"text": "綠\n"}).encode("ascii") + b"\n"]
