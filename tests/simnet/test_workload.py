"""People write as much as the options say, and nobody answers what has not reached them."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from protocol.board import Descriptor
from protocol.entry import Entry
from protocol.persona import Persona
from simnet import workload
from simnet.host import Host
from simnet.workload import Options, Post
from simnet.world import World

BOARD = Descriptor("test", work_bits=0)


class Writer(Host):
    """A host without a network: what it posts is on every disk at once."""

    def start(self) -> None:
        self.is_on = True

    def post(self, text, answering=None, persona=None, board=None) -> tuple[Entry, Persona]:  # type: ignore[no-untyped-def]
        if answering is not None:
            assert answering.id in self.disk().entries
        self.is_disk_full = True  # the outbox would go to the network, which is not there
        entry, persona = super().post(text, answering, persona, board)
        self.is_disk_full = False
        written.append((self.number, entry, text))
        for host in self.world.hosts:
            if host.number != isolated:
                host.disk().put(entry)
        return entry, persona


written: list[tuple[int, Entry, str]] = []
isolated = -1


def office(
    options: Options, seconds: float = 3600.0, count: int = 20, seed: int = 1, apart: int = -1
) -> list[tuple[int, Entry, str]]:
    global isolated
    isolated = apart
    written.clear()
    world = World(seed)
    hosts = world.add_hosts(count, BOARD, make_host=Writer)
    workload.schedule(world, hosts, options, seconds)
    world.run(seconds)
    return list(written)


def test_so_many_posts_an_hour() -> None:
    assert 250 < len(office(Options(posts_per_hour=300))) < 350


def test_nobody_writes_before_the_beginning_or_in_the_quiet_at_the_end() -> None:
    times: list[float] = []

    class Clocked(Writer):
        def post(self, *arguments, **options):  # type: ignore[no-untyped-def]
            times.append(self.world.now_us / 1e6)
            return super().post(*arguments, **options)

    written.clear()
    world = World(1)
    hosts = world.add_hosts(5, BOARD, make_host=Clocked)
    options = Options(posts_per_hour=36_000, bursts_per_hour=3600, first_s=10, quiet_s=20)
    workload.schedule(world, hosts, options, 60)
    world.run(100)
    assert times and min(times) >= 10 and max(times) < 40


def test_the_share_of_replies_is_what_was_asked_for() -> None:
    posts = office(Options(posts_per_hour=600, replies_share=0.5))
    replies = sum(entry.header.thread is not None for _, entry, _ in posts)
    assert 0.4 < replies / len(posts) < 0.6


def test_a_few_threads_and_authors_have_most() -> None:
    posts = office(Options(posts_per_hour=1000, thread_exponent=0.5, author_exponent=2.0))
    authors = Counter(author for author, _, _ in posts)
    threads = Counter(entry.thread for _, entry, _ in posts)
    assert authors.most_common(1)[0][1] > len(posts) / 3
    assert threads.most_common(1)[0][1] > len(posts) / 10


def test_without_an_exponent_everybody_writes_as_much() -> None:
    posts = office(Options(posts_per_hour=2000, author_exponent=0.0), count=4)
    authors = Counter(author for author, _, _ in posts)
    assert max(authors.values()) < 1.3 * min(authors.values())


def test_who_is_cut_off_answers_only_own_threads() -> None:
    for author, entry, _ in office(Options(posts_per_hour=1000), count=3, apart=0):
        if author == 0:
            assert entry.header.thread is None


def test_an_author_goes_on_under_the_same_persona_in_one_thread_only() -> None:
    threads_of: dict[bytes, set[bytes]] = {}
    reused = 0
    for _, entry, _ in office(Options(posts_per_hour=1000, same_persona_share=0.9), count=3):
        threads_of.setdefault(entry.header.persona, set()).add(entry.thread)
        reused += entry.header.seq > 0
    assert reused > 50
    assert all(len(threads) == 1 for threads in threads_of.values())


def test_a_burst_is_many_posts_in_one_thread() -> None:
    posts = office(Options(posts_per_hour=0, bursts_per_hour=5, burst_posts=30))
    threads = Counter(entry.thread for _, entry, _ in posts)
    assert set(threads.values()) <= set(range(1, 31))
    assert threads.most_common(1)[0][1] == 30


def test_texts_have_the_lengths_that_were_asked_for() -> None:
    options = Options(posts_per_hour=2000, text_bytes_median=200, text_bytes_sigma=1.5)
    lengths = sorted(len(text) for _, _, text in office(options))
    assert 150 < lengths[len(lengths) // 2] < 260
    assert lengths[-1] <= BOARD.payload_bytes_max - 16
    assert lengths[0] >= 1


def test_hosts_that_are_off_write_nothing() -> None:
    written.clear()
    world = World(1)
    hosts = world.add_hosts(4, BOARD, make_host=Writer, is_on=False)
    hosts[2].start()
    workload.schedule(world, hosts, Options(posts_per_hour=1000), 3600)
    world.run(3600)
    assert {author for author, _, _ in written} == {2}


def test_one_seed_is_one_workload() -> None:
    def ids(seed: int) -> list[bytes]:
        return [entry.id for _, entry, _ in office(Options(bursts_per_hour=2), seed=seed)]

    assert ids(1) == ids(1) != ids(2)


def test_a_recorded_trace_is_played_as_it_was() -> None:
    posts = (Post(5.0, 1, "a", 50), Post(9.0, 2, "a", 20), Post(12.0, 0, "b", 7))
    played = office(Options(posts_per_hour=9999, trace="x", posts=posts), seconds=60)
    assert [author for author, _, _ in played] == [1, 2, 0]
    assert [len(text) for _, _, text in played] == [50, 20, 7]
    assert played[1][1].thread == played[0][1].id != played[2][1].thread


def record(**changes: object) -> str:
    return json.dumps({"at_s": 1, "author": 0, "thread": "t", "bytes": 10} | changes)


def test_posts_are_loaded_in_the_order_of_their_times(tmp_path: Path) -> None:
    path = tmp_path / "posts.jsonl"
    path.write_text(f"{record(at_s=7.5)}\n\n{record(at_s=2, author=1)}\n")
    assert workload.load_posts(path, 2) == (Post(2.0, 1, "t", 10), Post(7.5, 0, "t", 10))


@pytest.mark.parametrize(
    "line",
    [
        "{",
        "3",
        "{}",
        record(author=2),
        record(author=-1),
        record(bytes=0),
        record(at_s=-1),
        record(at_s="soon"),
        record(at_s=float("nan")),
    ],
)
def test_a_line_that_is_no_post_is_told_by_its_number(tmp_path: Path, line: str) -> None:
    path = tmp_path / "posts.jsonl"
    path.write_text(f"{record()}\n{line}\n")
    with pytest.raises(ValueError, match=r"posts\.jsonl, line 2: "):
        workload.load_posts(path, 2)
