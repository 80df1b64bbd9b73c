"""Record all packets of some real nodes on a LAN, one of which posts or does not."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from random import SystemRandom
from threading import Barrier
from typing import Any

from protocol.board import Board, decode_invite
from tests.lan.network import LanHost, lan, until
from tests.lan.packets import Packet, carried, read_packets
from tests.lan.sightings import Posted, Sightings, sight

USER = "marie-sklodowska"
BOARD = "salary talk"
#: In each text, to be looked for in packets.
MARK = "they pay me far too little"
LINKS_SECONDS_MAX = 120.0
#: More nodes at a time start no sooner on a laptop's processor.
_STARTING_AT_ONCE = 2
#: Everybody waits for the slowest set of nodes.
_MEETING_SECONDS_MAX = 600.0
#: The last posts are given so long to arrive; some tries at the normal pace.
_LAST_SECONDS_MAX = 90.0
_RANDOM = SystemRandom()


@dataclass(frozen=True)
class Settings:
    """What is recorded.

    :ivar settle_s: from when all are linked until the recording counts.
    :ivar gap_s: from one post to the next, in the mean; half of it at random.
    """

    hosts: int = 6
    pace: str = "normal"
    work_bits: int = 14
    settle_s: float = 60.0
    seconds: float = 1800.0
    gap_s: float = 40.0


@dataclass
class Recording:
    """A run.

    :ivar begin_s: from when on, :ivar end_s: and before when it counts; wall time. The capture
        has what was before as well.
    :ivar ethernet: by host, its address in hex.
    :ivar spent_s: by host, processor time of its node in that time.
    :ivar texts: how many texts each host could read in the end.
    :ivar secrets: bytes in hex that must not be in any packet; :ivar words: likewise.
    :ivar loads: the machine's load each minute.
    """

    begin_s: float = 0.0
    end_s: float = 0.0
    poster: int = 0
    ethernet: list[str] = field(default_factory=list)
    spent_s: list[float] = field(default_factory=list)
    posts: list[tuple[float, float]] = field(default_factory=list)
    texts: list[int] = field(default_factory=list)
    secrets: list[str] = field(default_factory=list)
    words: list[str] = field(default_factory=list)
    loads: list[float] = field(default_factory=list)

    @property
    def addresses(self) -> list[bytes]:
        """Of the hosts' Ethernet interfaces."""
        return [bytes.fromhex(address) for address in self.ethernet]

    def sightings(self, packets: list[Packet]) -> Sightings:
        """What the capture shows of each host."""
        posts = [Posted(*times) for times in self.posts]
        whole = (self.addresses, self.begin_s, self.end_s)
        return sight(carried(packets), *whole, self.poster, posts)

    def all_words(self) -> list[str | bytes]:
        """What must not be in any packet."""
        return [*self.words, *(bytes.fromhex(secret) for secret in self.secrets)]


def save(folder: Path, recording: Recording) -> None:
    """Write it beside its capture."""
    (folder / "recording.json").write_text(json.dumps(asdict(recording), indent=1))


def read(folder: Path) -> tuple[Recording, list[Packet]]:
    """A recording and its packets."""
    said = json.loads((folder / "recording.json").read_text())
    return Recording(**said), read_packets(folder / "capture.pcap")


def record(
    folder: Path,
    settings: Settings,
    is_posting: bool,
    together: Barrier,
    say: Callable[[str], None],
) -> None:
    """Run nodes, capture, and write ``capture.pcap`` and ``recording.json`` into a folder.

    :param together: where runs that are to be compared wait for each other before they count.
    """
    try:
        with lan(folder, {"USER": USER, "LOGNAME": USER}) as net, net.capture():
            hosts = [net.host(f"h{number}") for number in range(settings.hosts)]
            recording = Recording(
                poster=_RANDOM.randrange(settings.hosts),
                ethernet=[host.ethernet().hex() for host in hosts],
                words=[USER, net.machine_name, net.prefix, BOARD, MARK],
            )
            _start(hosts, settings, recording)
            say("all linked")
            time.sleep(settings.settle_s)  # real processes in real time
            together.wait(_MEETING_SECONDS_MAX)
            _count(hosts, settings, is_posting, recording, say)
            recording.texts = _read_all(hosts, len(recording.posts))
        save(folder, recording)
    except BaseException:
        together.abort()
        raise


def _start(hosts: list[LanHost], settings: Settings, recording: Recording) -> None:
    policy = ("--work-bits", str(settings.work_bits), "--pace", settings.pace)
    link = hosts[0].run("create", BOARD, *policy).split()[-1]
    descriptor = decode_invite(link).descriptor
    recording.secrets += [Board.of(descriptor).id.hex(), (descriptor.secret or b"").hex()]

    def start(host: LanHost) -> None:
        if host is not hosts[0]:
            host.run("join", link)
        # One board only: cells of another one would hide something.
        host.run("leave", "lobby")
        host.start()

    with ThreadPoolExecutor(_STARTING_AT_ONCE) as starting:
        list(starting.map(start, hosts))
    for host in hosts:
        until(lambda host=host: _links(host) == len(hosts) - 1, LINKS_SECONDS_MAX, host.log)


def _links(host: LanHost) -> int:
    (status,) = host.json("status")
    return sum(int(board["peers"]) for board in status["boards"])


def _read_all(hosts: list[LanHost], count: int) -> list[int]:
    """How many texts each host can read, once it is all of them or nothing more comes."""
    give_up_at = time.monotonic() + _LAST_SECONDS_MAX
    texts: list[int] = []
    while not texts or (min(texts) < count and time.monotonic() < give_up_at):
        texts = [len(host.texts(BOARD)) for host in hosts]
    return texts


def _count(
    hosts: list[LanHost],
    settings: Settings,
    is_posting: bool,
    recording: Recording,
    say: Callable[[str], None],
) -> None:
    spent_before = [host.spent_s() for host in hosts]
    recording.begin_s = time.time()
    recording.end_s = recording.begin_s + settings.seconds
    at_s = recording.begin_s
    with _poster(hosts[recording.poster]) as post:
        for slot in range(int(settings.seconds / settings.gap_s)):
            recording.loads.append(os.getloadavg()[0])
            at_s = recording.begin_s + settings.gap_s * (slot + _RANDOM.random() / 2)
            time.sleep(max(0.0, at_s - time.time()))
            if is_posting:
                said = post(_text())
                recording.posts.append((said["asked_s"], said["answered_s"]))
                recording.secrets.append(said["id"])
            say(f"{(recording.end_s - time.time()) / 60:.1f} minutes to go")
        time.sleep(max(0.0, recording.end_s - time.time()))
    spent = [host.spent_s() for host in hosts]
    recording.spent_s = [b - a for a, b in zip(spent_before, spent, strict=True)]


def _text() -> str:
    """Mostly a line; now and then what takes several cells."""
    characters = _RANDOM.choice([30, 80, 200, 200, 500, 1500, 4000])
    number = _RANDOM.getrandbits(40)
    return f"{MARK} {number:x} ".ljust(_RANDOM.randint(characters // 2, characters), "x")


@contextmanager
def _poster(host: LanHost) -> Iterator[Callable[[str], dict[str, Any]]]:
    """A way to post on a host."""
    command = host.python("-m", "tests.lan.poster", str(host.home), BOARD)
    posting = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert posting.stdin is not None and posting.stdout is not None
    stdin, stdout = posting.stdin, posting.stdout

    def post(text: str) -> dict[str, Any]:
        stdin.write(json.dumps(text) + "\n")
        stdin.flush()
        said: dict[str, Any] = json.loads(stdout.readline())
        return said

    try:
        assert stdout.readline() == '"ready"\n'
        yield post
    finally:
        stdin.close()
        posting.wait(10)
        stdout.close()


def record_two(folder: Path, settings: Settings, say: Callable[[str], None]) -> tuple[Path, Path]:
    """Two sets of nodes at the same time, one that posts and one that does not; their folders."""
    folders = folder / "posting", folder / "idle"
    together = Barrier(2)
    with ThreadPoolExecutor(2) as both:
        runs = []
        for each in folders:
            each.mkdir()
            name = each.name

            def say_whose(line: str, name: str = name) -> None:
                say(f"{name}: {line}")

            is_posting = each is folders[0]
            runs.append(both.submit(record, each, settings, is_posting, together, say_whose))
        for run in runs:
            run.result()
    return folders


__all__ = ["Recording", "Settings", "read", "record", "record_two", "save"]
