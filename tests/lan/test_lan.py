"""Real nodes on real hosts: network namespaces on a bridge, finding each other by mDNS only."""

from __future__ import annotations

import secrets
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from protocol.limits import HANDSHAKE_MESSAGE_BYTES
from tests.lan.network import LanHost, lan, until
from tests.lan.packets import Carried, Packet, read_packets, tcp_segments, words_in_clear

pytestmark = [pytest.mark.lan, pytest.mark.timeout(240)]

#: At the brisk pace a post is everywhere after some two seconds; it waits for an emission, which is
#: a matter of chance, and once in a hundred times for longer than this.
SHARED_SECONDS_USUAL = 5.0
SHARED_SECONDS_MAX = 15.0
#: The path may lead through the host whose cable was just pulled; then it takes another try.
TRIED_AGAIN_SECONDS_MAX = 30.0
CAUGHT_UP_SECONDS_MAX = 60.0


def create(host: LanHost, board: str) -> str:
    """A private board; its invite."""
    link = host.run("create", board, "--work-bits", "8", "--pace", "brisk").split()[-1]
    assert link.startswith("p2pboard:")
    return link


def shared(texts: set[str], board: str, hosts: list[LanHost], seconds_max: float) -> float:
    """Wait until all hosts can read exactly these texts."""
    return until(
        lambda: all(host.texts(board) == texts for host in hosts),
        seconds_max,
        lambda: "\n".join(f"{host.name}: {host.texts(board)}\n{host.log()}" for host in hosts),
    )


def test_hosts_that_know_nothing_but_mdns_share_a_board(tmp_path: Path) -> None:
    with lan(tmp_path) as net:
        first, second, third = hosts = [net.host(name) for name in ("a", "b", "c")]
        invite = create(first, "tea kitchen")
        for host in (second, third):
            host.run("join", invite)
        for host in hosts:
            host.start()

        (posted,) = first.json("post", "tea kitchen", "who took my cup?", "--anyway")
        assert posted["state"] == "outbox"
        first_s = shared({"who took my cup?"}, "tea kitchen", hosts, SHARED_SECONDS_MAX)

        (answer,) = second.json(
            *("post", "tea kitchen", "not me", "--anyway"), "--reply", posted["id"][:10]
        )
        assert answer["thread"] == posted["id"]
        texts = {"who took my cup?", "not me"}
        second_s = shared(texts, "tea kitchen", hosts, SHARED_SECONDS_MAX)
        assert min(first_s, second_s) < SHARED_SECONDS_USUAL

        third.cut()
        for number in range(3):
            first.run("post", "tea kitchen", f"missed {number}", "--anyway")
            texts.add(f"missed {number}")
        shared(texts, "tea kitchen", [first, second], TRIED_AGAIN_SECONDS_MAX)
        assert third.texts("tea kitchen") == {"who took my cup?", "not me"}
        third.join()
        shared(texts, "tea kitchen", hosts, CAUGHT_UP_SECONDS_MAX)

        fourth = net.host("d")
        fourth.run("join", invite)
        fourth.start()
        shared(texts, "tea kitchen", [*hosts, fourth], CAUGHT_UP_SECONDS_MAX)
        thread = fourth.json("read", "tea kitchen", "--thread", posted["id"][:10])
        assert {entry["text"] for entry in thread} == {"who took my cup?", "not me"}


def test_an_outsider_learns_nothing_of_a_private_board(tmp_path: Path) -> None:
    user = "marie-sklodowska"
    with lan(tmp_path, {"USER": user, "LOGNAME": user}) as net:
        first, second, outsider = (net.host(name) for name in ("a", "b", "o"))
        board, text = "salary talk", "they pay me far too little"
        with net.capture() as path:
            second.run("join", create(first, board))
            for host in (first, second, outsider):
                host.start()
            first.run("post", board, text, "--anyway")
            shared({text}, board, [first, second], SHARED_SECONDS_MAX)
            # The outsider is on the open board with them, and nowhere else.
            until(lambda: len(outsider.json("peers")) >= 2, 20, outsider.log)
            assert {peer["board"] for peer in outsider.json("peers")} == {"lobby"}
            packets = read_packets(path)
            check_no_answer(packets, outsider, [first, second])
        check_nothing_in_clear(read_packets(path), [board, text, "salary", user, net.machine_name])
        check_nothing_on_disk(outsider, [board, text])


def check_nothing_in_clear(packets: list[Packet], words: list[str]) -> None:
    """No packet has one of these."""
    assert words_in_clear(packets, ["_p2pboard"]), "the capture missed the advertisements"
    assert not words_in_clear(packets, words)


def check_nothing_on_disk(host: LanHost, words: list[str]) -> None:
    stored = b"".join(file.read_bytes() for file in host.home.rglob("*") if file.is_file())
    for word in words:
        assert word.encode() not in stored


def check_no_answer(packets: list[Packet], outsider: LanHost, members: list[LanHost]) -> None:
    """A stranger gets no byte: not for noise, nor other protocols, nor what members have sent."""
    recorded = first_messages(packets, members)
    assert recorded, "no handshake between the members was captured"
    probes = [
        secrets.token_bytes(HANDSHAKE_MESSAGE_BYTES),
        secrets.token_bytes(HANDSHAKE_MESSAGE_BYTES + 2000),
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        bytes.fromhex("160301020001"),
        *(segment.data for segment in recorded),
    ]
    ports = [(member, listening_port(member)) for member in members]
    probing = [
        subprocess.Popen(
            (
                *("ip", "netns", "exec", outsider.namespace, sys.executable, "-m"),
                *("tests.lan.probe", member.address, str(port), "4", probe.hex()),
            ),
            stdout=subprocess.PIPE,
            text=True,
        )
        for member, port in ports
        for probe in probes
    ]
    for process in probing:
        assert process.communicate(timeout=30)[0] == "0 open\n"


def first_messages(packets: list[Packet], members: list[LanHost]) -> list[Carried]:
    """What dialling members said first to each other, on boards that the outsider may know or not:
    none of it may be answered when somebody else says it."""
    addresses = {socket.inet_aton(member.address) for member in members}
    seen: dict[tuple[bytes, int], Carried] = {}
    for segment in tcp_segments(packets):
        seen.setdefault((segment.source + segment.destination, segment.source_port), segment)
    return [
        segment
        for segment in dict.fromkeys(seen.values())
        if {segment.source, segment.destination} <= addresses
        and len(segment.data) == HANDSHAKE_MESSAGE_BYTES
    ]


def listening_port(member: LanHost) -> int:
    """Where the member's node accepts connections."""
    (status,) = member.json("status")
    return int(status["listening"].rpartition(":")[2])
