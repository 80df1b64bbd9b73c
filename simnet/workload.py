"""What people write: posts and replies, a few threads and authors with most of them.

Posts come at random (a Poisson process), the more of them from people who write much: authors have
ranks, and the one of rank *k* writes in proportion to *k* to the power of minus an exponent (Zipf).
A thread gets its attraction when it is opened, drawn from a Pareto law, and replies go to threads
in proportion to it, so thread sizes have a heavy tail. Nobody answers what has not reached them.
In a burst everybody writes in one thread for some minutes. Texts have log-normal lengths.

Or the posts are those of a recorded trace: JSON lines with ``at_s``, ``author`` (a host's number),
``thread`` (any label; its first line opens it) and ``bytes`` of text. The ``.truth`` file that
``run --trace`` writes is one.
"""

from __future__ import annotations

import json
import math
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import accumulate
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Annotated, NamedTuple

from protocol.entry import SALT_BYTES, Entry
from protocol.persona import Persona

if TYPE_CHECKING:
    from simnet.host import Host
    from simnet.world import World

Share = Annotated[float, (0.0, 1.0)]
Exponent = Annotated[float, (0.0, 10.0)]

#: So often another author or thread is drawn before a post is left unwritten or opens a thread.
_DRAWS_MAX = 16
_PHRASES = (
    "who else has tried the new coffee machine it is broken again and nobody said a word "
    "about the heating in our meeting why do we still need a form for that does anybody know"
)
_WORDS = _PHRASES.split()


class Post(NamedTuple):
    """A line of a recorded trace."""

    at_s: float
    author: int
    thread: str
    bytes: int


@dataclass(frozen=True, slots=True)
class Options:
    """Who writes what when.

    :ivar posts_per_hour: of the whole board, replies included.
    :ivar first_s: nobody writes before.
    :ivar quiet_s: nobody writes in the last so many seconds, so that what was written can arrive.
    :ivar replies_share: the share of posts that answer another.
    :ivar thread_exponent: of the Pareto law of the attraction of threads; the smaller, the more
        goes to a few.
    :ivar author_exponent: how much the busiest authors write; 0: all the same.
    :ivar same_persona_share: how often an author goes on in a thread under the persona from before.
    :ivar bursts_per_hour: how often a thread catches fire.
    :ivar burst_posts: how many posts a burst has.
    :ivar burst_s: how long it lasts.
    :ivar text_bytes_median: of a text's length.
    :ivar text_bytes_sigma: the spread: the median times e to a normal of this deviation.
    :ivar trace: a file of recorded posts (JSON lines), which replaces all of the above.
    :ivar posts: the posts of that file.
    """

    posts_per_hour: float = 60.0
    first_s: float = 10.0
    quiet_s: float = 30.0
    replies_share: Share = 0.7
    thread_exponent: Exponent = 1.2
    author_exponent: Exponent = 0.8
    same_persona_share: Share = 0.7
    bursts_per_hour: float = 0.0
    burst_posts: Annotated[int, (1, 100_000)] = 20
    burst_s: float = 300.0
    text_bytes_median: Annotated[float, (1.0, 65_536.0)] = 120.0
    text_bytes_sigma: Exponent = 1.0
    trace: str = ""
    posts: tuple[Post, ...] = ()


def schedule(
    world: World, hosts: Sequence[Host], options: Options, until_s: float | None = None
) -> None:
    """Let people write.

    :param hosts: the honest ones; in a recorded trace, author *n* is the *n*-th of all of the
        world's hosts.
    :param until_s: the end; nobody writes in the last ``quiet_s`` before it.
    """
    writing = _Writing(world, hosts, options, until_s)
    if options.trace or options.posts:
        writing.play(options.posts)
    else:
        writing.begin()


@dataclass(slots=True)
class _Thread:
    entries: list[Entry]
    personas: dict[int, Persona] = field(default_factory=dict)


class _Writing:
    def __init__(
        self, world: World, hosts: Sequence[Host], options: Options, until_s: float | None
    ) -> None:
        self._world = world
        self._options = options
        self._random = world.random("workload")
        self._end_us = None if until_s is None else int((until_s - options.quiet_s) * 1_000_000)
        # Ranks are drawn: the busiest author may sit anywhere.
        self._hosts = self._random.sample(hosts, len(hosts))
        weights = ((rank + 1) ** -options.author_exponent for rank in range(len(hosts)))
        self._authors = list(accumulate(weights))
        self._threads: list[_Thread] = []
        self._attraction: list[float] = []
        self._recorded: dict[str, _Thread] = {}

    # --- Drawn posts ------------------------------------------------------------------------------

    def begin(self) -> None:
        first_us = int(self._options.first_s * 1_000_000)
        self._repeat(first_us, self._options.posts_per_hour, self._write)
        self._repeat(first_us, self._options.bursts_per_hour, self._burst)

    def _repeat(self, from_us: int, per_hour: float, act: Callable[[], object]) -> None:
        """A Poisson process; one event of it is on the heap at a time."""
        if per_hour <= 0 or not self._hosts:
            return

        def happen() -> None:
            act()
            self._at(self._world.now_us + self._gap_us(per_hour), happen)

        self._at(from_us + self._gap_us(per_hour), happen)

    def _gap_us(self, per_hour: float) -> int:
        return int(self._random.expovariate(per_hour / 3600) * 1_000_000)

    def _at(self, at_us: int, act: Callable[[], None]) -> None:
        if self._end_us is None or at_us < self._end_us:
            self._world.after(at_us - self._world.now_us, act)

    def _write(self, thread: _Thread | None = None) -> None:
        author = self._draw_author()
        if author is None:
            return  # nobody is there to write
        if thread is None and self._random.random() < self._options.replies_share:
            thread = self._draw_thread(author)
        size = _text_bytes(self._options, self._random, author)
        self._post(author, thread, size)

    def _burst(self) -> None:
        """A new thread, and everybody has something to say in it."""
        author = self._draw_author()
        if author is None:
            return
        thread = self._post(author, None, _text_bytes(self._options, self._random, author))
        for _ in range(self._options.burst_posts - 1):
            wait_us = int(self._random.uniform(1.0, max(1.0, self._options.burst_s)) * 1_000_000)
            self._at(self._world.now_us + wait_us, partial(self._write, thread))

    def _draw_author(self) -> Host | None:
        for _ in range(_DRAWS_MAX):
            point = self._random.random() * self._authors[-1]
            host = self._hosts[min(bisect_left(self._authors, point), len(self._hosts) - 1)]
            if host.is_running and not host.is_disk_full:
                return host
        return None

    def _draw_thread(self, author: Host) -> _Thread | None:
        """A thread that has reached the author; None where none of those drawn has."""
        if not self._threads:
            return None
        known = author.disk().entries
        for _ in range(_DRAWS_MAX):
            point = self._random.random() * self._attraction[-1]
            index = min(bisect_left(self._attraction, point), len(self._threads) - 1)
            if self._threads[index].entries[0].id in known:
                return self._threads[index]
        return None

    # --- Recorded posts ---------------------------------------------------------------------------

    def play(self, posts: Sequence[Post]) -> None:
        for post in posts:
            self._at(int(post.at_s * 1_000_000), partial(self._play, post))

    def _play(self, post: Post) -> None:
        author = self._world.hosts[post.author]
        if author.is_running:
            self._recorded[post.thread] = self._post(
                author, self._recorded.get(post.thread), post.bytes
            )

    # --- Both -------------------------------------------------------------------------------------

    def _post(self, author: Host, thread: _Thread | None, size: int) -> _Thread:
        """Write; in a thread that the author has nothing of yet, a new thread is opened."""
        answering = self._draw_answered(author, thread)
        persona = None
        if thread is not None and answering is not None:
            persona = thread.personas.get(author.number)
            if self._random.random() >= self._options.same_persona_share:
                persona = None
        entry, persona = author.post(_text(size, self._random), answering, persona)
        if thread is None or answering is None:
            thread = self._open_thread(entry)
        else:
            thread.entries.append(entry)
        thread.personas[author.number] = persona
        return thread

    def _open_thread(self, entry: Entry) -> _Thread:
        thread = _Thread([entry])
        self._threads.append(thread)
        attraction = self._random.paretovariate(max(0.01, self._options.thread_exponent))
        self._attraction.append((self._attraction[-1] if self._attraction else 0.0) + attraction)
        return thread

    def _draw_answered(self, author: Host, thread: _Thread | None) -> Entry | None:
        """The newest entries are answered most; of those only what the author has."""
        if thread is None:
            return None
        known = author.disk().entries
        candidates = [entry for entry in thread.entries[-_DRAWS_MAX:] if entry.id in known]
        if candidates:
            return self._random.choice(candidates)
        return thread.entries[0] if thread.entries[0].id in known else None


def _text_bytes(options: Options, random: Random, author: Host) -> int:
    most = author.board.descriptor.payload_bytes_max - SALT_BYTES
    drawn = options.text_bytes_median * math.exp(random.gauss(0.0, options.text_bytes_sigma))
    return max(1, min(most, int(drawn)))


def _text(size: int, random: Random) -> str:
    """So many bytes of something that looks like a text."""
    words = random.choices(_WORDS, k=size // 3 + 1)
    return " ".join(words)[:size].strip().ljust(size, ".")


# --- Recorded traces ------------------------------------------------------------------------------


def load_posts(path: Path, hosts: int) -> tuple[Post, ...]:
    """The posts of a recorded trace, in the order of their times.

    :param hosts: how many there are; authors are numbered below.
    :raises ValueError: one line that says which line is wrong and why.
    :raises OSError: the file can't be read.
    """
    posts = []
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            if line.strip():
                posts.append(_decode_post(line, hosts, f"{path.name}, line {number}"))
    return tuple(sorted(posts, key=lambda post: post.at_s))


def _decode_post(line: str, hosts: int, where: str) -> Post:
    try:
        record = json.loads(line)
        post = Post(
            float(record["at_s"]),
            int(record["author"]),
            str(record["thread"]),
            int(record["bytes"]),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{where}: must have at_s, author, thread and bytes ({error})") from None
    if not (post.at_s >= 0 and 0 <= post.author < hosts and 0 < post.bytes <= 65_536):
        raise ValueError(f"{where}: at_s from 0, author below {hosts}, bytes 1 to 65536")
    return post
