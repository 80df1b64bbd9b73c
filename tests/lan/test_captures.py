"""What an observer sees of real nodes, of which one posts; ``make captures`` looks longer."""

from __future__ import annotations

from collections.abc import Iterator
from math import exp, lgamma, log

import pytest

from protocol.board import Pace
from protocol.limits import (
    CELL_BYTES,
    FRAME_WIRE_BYTES,
    HANDSHAKE_MESSAGE_BYTES,
    LOOP_ONE_IN,
    PACE_EMIT_MS,
    PATH_RELAYS,
)
from tests.lan.packets import Packet, carried, tcp_streams, words_in_clear
from tests.lan.recording import MARK, Recording, Settings, read, record_two
from tests.lan.sightings import kind_of

pytestmark = pytest.mark.timeout(300)

#: The quick pace makes many cells in little time.
SETTINGS = Settings(hosts=4, pace="brisk", work_bits=4, settle_s=8.0, seconds=40.0, gap_s=2.5)
#: By chance alone, a count is out of its bounds less often than this.
CHANCE = 1e-6
#: An emission comes later than it was drawn by what a busy machine takes to wake a node up.
LATENESS = 0.95
#: What a post made leave would have left so long after its answer.
AT_ONCE_S = 0.03

Run = tuple[Recording, list[Packet]]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Run]:
    """With posts, and without."""
    posting, idle = record_two(tmp_path_factory.mktemp("captures"), SETTINGS, lambda line: None)
    return read(posting), read(idle)


def cells_of(run: Run, way: str) -> list[int]:
    """By host, how many it has sent ("out") or received ("in")."""
    recording, packets = run
    return [len(host[f"cells {way}"].at_s) for host in recording.sightings(packets).hosts]


# --- What is seen ---------------------------------------------------------------------------------


@pytest.mark.lan
def test_posts_arrive_and_idle_boards_stay_empty(runs: tuple[Run, Run]) -> None:
    posting, idle = (recording for recording, _ in runs)
    assert posting.texts == [len(posting.posts)] * SETTINGS.hosts
    assert len(posting.posts) == 16
    assert idle.texts == [0] * SETTINGS.hosts


@pytest.mark.lan
def test_all_cells_have_one_size(runs: tuple[Run, Run]) -> None:
    for _, packets in runs:
        sizes = {len(one.data) for one in carried(packets) if kind_of(one) == "cells"}
        assert sizes == {CELL_BYTES}


@pytest.mark.lan
def test_streams_are_a_handshake_and_frames_of_the_four_sizes(runs: tuple[Run, Run]) -> None:
    for _, packets in runs:
        streams = tcp_streams(packets)
        assert len(streams) >= SETTINGS.hosts * (SETTINGS.hosts - 1)  # both ends of each link
        assert all(set(frame_sizes(stream)) <= set(FRAME_WIRE_BYTES) for stream in streams)
        assert sum(len(list(frame_sizes(stream))) for stream in streams) > len(streams)


def frame_sizes(stream: bytes) -> Iterator[int]:
    """Of what follows the handshake, up to where the capture ends or the stream makes no sense."""
    at = HANDSHAKE_MESSAGE_BYTES
    while at + 2 <= len(stream):
        size = 2 + int.from_bytes(stream[at : at + 2], "big")
        yield size
        at += size


@pytest.mark.lan
def test_no_name_text_or_key_is_in_a_packet(runs: tuple[Run, Run]) -> None:
    for recording, packets in runs:
        assert MARK in recording.words and len(recording.secrets) >= 2
        assert words_in_clear(packets, ["_p2pboard"]), "the capture missed the advertisements"
        assert not words_in_clear(packets, recording.all_words())


@pytest.mark.lan
def test_nodes_send_cells_as_a_poisson_process_of_the_boards_mean(runs: tuple[Run, Run]) -> None:
    for run in runs:
        for way in ("out", "in"):
            for count in cells_of(run, way):
                check_is_poisson(count, *cells_expected())


@pytest.mark.lan
def test_the_poster_has_as_many_cells_as_others_and_as_where_nobody_posts(
    runs: tuple[Run, Run],
) -> None:
    posting, idle = runs
    poster = posting[0].poster
    for way in ("out", "in"):
        counts, idle_counts = cells_of(posting, way), cells_of(idle, way)
        check_is_share(counts[poster], sum(counts), 1 / SETTINGS.hosts)
        check_is_share(counts[poster], counts[poster] + idle_counts[poster], 1 / 2)


@pytest.mark.lan
def test_a_post_makes_no_cell_leave(runs: tuple[Run, Run]) -> None:
    posting, packets = runs[0]
    run = posting.sightings(packets)
    sent_s = run.hosts[run.poster]["cells out"].at_s
    spans = [(post.asked_s, post.answered_s + AT_ONCE_S) for post in run.posts]
    count = sum(int(((begin <= sent_s) & (sent_s < end)).sum()) for begin, end in spans)
    usual = cells_expected()[1] / SETTINGS.seconds * sum(end - begin for begin, end in spans)
    # One for each post would be too many.
    check_is_poisson(count, 0.0, usual)


# --- What is expected -----------------------------------------------------------------------------


def cells_expected() -> tuple[float, float]:
    """The least and the largest mean number that a host sends: each emission makes as many cells
    as its path has relays, and by symmetry a host sends as many as it starts. A test cell goes
    home through one relay or through as many as others (SPEC.md, X-2)."""
    others = SETTINGS.hosts - 1
    emissions = 1000 * SETTINGS.seconds / PACE_EMIT_MS[Pace[SETTINGS.pace.upper()]]
    ordinary = (1 - 1 / LOOP_ONE_IN) * min(PATH_RELAYS, others)
    loop = min(PATH_RELAYS - 1, others) + 1
    return (
        LATENESS * emissions * (ordinary + (loop + 2) / 2 / LOOP_ONE_IN),
        emissions * (ordinary + loop / LOOP_ONE_IN),
    )


def check_is_poisson(count: int, mean_least: float, mean_most: float) -> None:
    """The count may be that of a Poisson process with such a mean."""
    most = int(2 * mean_most + 100)
    assert sum(poisson(k, mean_most) for k in range(count, most)) > CHANCE, f"{count}: too many"
    if mean_least:
        assert sum(poisson(k, mean_least) for k in range(count + 1)) > CHANCE, f"{count}: too few"


def check_is_share(count: int, whole: int, share: float) -> None:
    """The count may be that of draws with such a probability."""
    assert sum(binomial(k, whole, share) for k in range(count, whole + 1)) > CHANCE, "too many"
    assert sum(binomial(k, whole, share) for k in range(count + 1)) > CHANCE, "too few"


def poisson(count: int, mean: float) -> float:
    return exp(count * log(mean) - mean - lgamma(count + 1))


def binomial(count: int, whole: int, share: float) -> float:
    ways = lgamma(whole + 1) - lgamma(count + 1) - lgamma(whole - count + 1)
    return exp(ways + count * log(share) + (whole - count) * log(1 - share))


@pytest.mark.parametrize("count", [130, 290])
def test_a_count_that_is_far_off_is_noticed(count: int) -> None:
    with pytest.raises(AssertionError, match="too"):
        check_is_poisson(count, 200.0, 200.0)
    with pytest.raises(AssertionError, match="too"):
        check_is_share(count, 840, 1 / 4)


def test_a_cell_for_each_post_would_be_noticed() -> None:
    usual = cells_expected()[1] / SETTINGS.seconds * 16 * (AT_ONCE_S + 0.01)
    with pytest.raises(AssertionError, match="too many"):
        check_is_poisson(round(usual) + 16, 0.0, usual)


def test_a_frame_of_another_size_is_noticed() -> None:
    stream = bytes(HANDSHAKE_MESSAGE_BYTES) + b"\x01\xfe" + bytes(510) + b"\x00\x10" + bytes(16)
    assert list(frame_sizes(stream)) == [512, 18]
