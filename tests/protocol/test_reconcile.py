"""Reconciliation, against transcripts of two other implementations, sets, and hostile peers."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from protocol import limits
from protocol.errors import Misuse, Reason, Refused
from protocol.index import EMPTY_FINGERPRINT, EntryIndex, encode_key, encode_varint
from protocol.reconcile import INFINITY, Bound, Initiator, Range, _Reader, respond

Item = tuple[int, bytes]

VECTORS = Path(__file__).parent.parent / "vectors" / "negentropy-v1.json"
CASES: list[dict[str, Any]] = json.loads(VECTORS.read_text())["cases"]
all_cases = pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])

DOCUMENTED = {
    Reason.RECONCILE_VERSION,
    Reason.RECONCILE_TRUNCATED,
    Reason.RECONCILE_VARINT,
    Reason.RECONCILE_BOUND_ORDER,
    Reason.RECONCILE_BOUND_SIZE,
    Reason.RECONCILE_MODE,
    Reason.RECONCILE_COUNT,
}
SKIP, FINGERPRINT, ID_LIST = 0, 1, 2
SMALLEST_FRAME = 4096


def index_of(items: list[Item] | set[Item]) -> EntryIndex:
    return EntryIndex.from_keys(encode_key(*item) for item in sorted(items))


def random_items(seed: int, count: int, timestamp_max: int) -> list[Item]:
    rng = random.Random(seed)
    return [(rng.randint(0, timestamp_max), rng.randbytes(32)) for _ in range(count)]


def case_items(case: dict[str, Any]) -> list[Item]:
    first, step, many = (
        case[key] for key in ("first_timestamp", "timestamp_step", "items_per_timestamp")
    )
    return [
        (first + step * (i // many), sha256(f"{case['name']}/{i}".encode()).digest())
        for i in range(case["count"])
    ]


def case_index(case: dict[str, Any], missing: str) -> EntryIndex:
    left_out = set(case[missing])
    return index_of([item for i, item in enumerate(case_items(case)) if i not in left_out])


def encode_ranges(ranges: list[Range]) -> bytes:
    message, last = b"\x61", 0
    for (timestamp, prefix), mode, payload in ranges:
        message += encode_varint(0 if timestamp == INFINITY else timestamp - last + 1)
        message += encode_varint(len(prefix)) + prefix + encode_varint(mode)
        message += encode_varint(len(payload) // 32) if mode == ID_LIST else b""
        message += payload
        last = timestamp
    return message


def exchange(
    initiator: Initiator,
    responder: EntryIndex,
    frame_bytes_max: int = 0,
    rounds_max: int = 20,
    between: Callable[[int], None] = lambda round_: None,
) -> tuple[list[bytes], list[bytes]]:
    """Run to the end; (have, need). Nothing of ours is reported twice, nor are rounds many."""
    have: list[bytes] = []
    need: list[bytes] = []
    message: bytes | None = initiator.start()
    for round_ in range(rounds_max):
        assert message is not None
        answer = respond(responder, message, frame_bytes_max)
        assert not frame_bytes_max or len(answer) <= frame_bytes_max
        step = initiator.receive(answer)
        have += [entry_id for _, entry_id in step.have]
        need += step.need
        message = step.reply
        if message is None:
            assert len(set(have)) == len(have)
            return have, list(dict.fromkeys(need))
        assert not initiator.frame_bytes_max or len(message) <= initiator.frame_bytes_max
        between(round_)
    raise AssertionError(f"not reconciled after {rounds_max} rounds")


def ids_of(items: set[Item]) -> set[bytes]:
    return {entry_id for _, entry_id in items}


def refusal(message: bytes, index: EntryIndex | None = None) -> Reason:
    """Why the responder refuses; the initiator must give the same reason."""
    index = index or index_of(random_items(1, 100, 50))
    with pytest.raises(Refused) as by_initiator:
        Initiator(index).receive(message)
    with pytest.raises(Refused) as by_responder:
        respond(index, message)
    assert by_initiator.value.reason is by_responder.value.reason
    return by_responder.value.reason


# --- Vectors --------------------------------------------------------------------------------------


@all_cases
def test_the_responder_sends_the_transcript_to_the_byte(case: dict[str, Any]) -> None:
    """R-4, R-7, R-8, R-9, R-10."""
    index = case_index(case, "missing_at_responder")
    for asked, answered in zip(case["messages"][::2], case["messages"][1::2], strict=True):
        assert respond(index, bytes.fromhex(asked), case["frame_size_limit"]).hex() == answered


@all_cases
def test_the_initiator_sends_the_transcript_and_learns_the_lists(case: dict[str, Any]) -> None:
    """R-7, R-8, R-9, R-10."""
    index = case_index(case, "missing_at_initiator")
    initiator = Initiator(index, case["frame_size_limit"])
    sent, have, need = [initiator.start().hex()], [], []
    for answer in case["messages"][1::2]:
        step = initiator.receive(bytes.fromhex(answer))
        have += [entry_id for _, entry_id in step.have]
        need += step.need
        sent.append(step.reply.hex() if step.reply is not None else None)
    assert sent == [*case["messages"][::2], None]
    numbers = {entry_id: i for i, (_, entry_id) in enumerate(case_items(case))}
    assert sorted(numbers[entry_id] for entry_id in have) == sorted(case["have"])
    assert sorted(numbers[entry_id] for entry_id in need) == sorted(case["need"])


@pytest.mark.parametrize(("count", "modes"), [(31, [ID_LIST]), (32, [FINGERPRINT] * 16)])
def test_fewer_than_32_entries_are_listed_instead_of_split(count: int, modes: list[int]) -> None:
    """R-7."""
    message = Initiator(index_of(random_items(8, count, 9))).start()
    assert [mode for _, mode, _ in _Reader(message, 1).ranges()] == modes


# --- Any two sets ---------------------------------------------------------------------------------


@st.composite
def two_sets(draw: st.DrawFn, count_max: int) -> tuple[set[Item], set[Item]]:
    """Common items and items of one side, at few or many times, in one place or scattered."""
    rng = random.Random(draw(st.integers(0, 2**32)))
    counts = st.integers(0, 3) | st.integers(0, count_max)
    timestamp_max = draw(st.sampled_from([0, 3, 1000, 2**64 - 2]))

    def some(count: int, low: int) -> set[Item]:
        return {(rng.randint(low, timestamp_max), rng.randbytes(32)) for _ in range(count)}

    low = draw(st.sampled_from([0, timestamp_max // 10 * 9]))
    common = some(draw(counts), 0)
    return common | some(draw(counts), low), common | some(draw(counts), low)


frame_limits = st.sampled_from([0, SMALLEST_FRAME, 5000, limits.RECONCILE_BYTES_MAX])


@settings(max_examples=100, deadline=None)
@given(two_sets(400))
def test_without_limits_a_few_rounds_find_exactly_the_differences(
    sets: tuple[set[Item], set[Item]],
) -> None:
    ours, theirs = sets
    have, need = exchange(Initiator(index_of(ours)), index_of(theirs), rounds_max=5)
    assert set(have) == ids_of(ours - theirs)
    assert set(need) == ids_of(theirs - ours)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(two_sets(600), frame_limits, frame_limits)
def test_with_frame_limits_on_either_side_too(
    sets: tuple[set[Item], set[Item]], our_limit: int, their_limit: int
) -> None:
    ours, theirs = sets
    rounds_max = 8 + (len(ours) + len(theirs)) // 8
    initiator = Initiator(index_of(ours), our_limit)
    have, need = exchange(initiator, index_of(theirs), their_limit, rounds_max)
    assert set(have) == ids_of(ours - theirs)
    assert set(need) == ids_of(theirs - ours)


@pytest.mark.parametrize("our_count", [0, 3000])
@pytest.mark.parametrize("their_count", [0, 3000])
def test_disjoint_sets_larger_than_any_frame(our_count: int, their_count: int) -> None:
    limit = limits.RECONCILE_BYTES_MAX
    ours, theirs = set(random_items(2, our_count, 999)), set(random_items(3, their_count, 999))
    have, need = exchange(Initiator(index_of(ours), limit), index_of(theirs), limit)
    assert set(have) == ids_of(ours) and set(need) == ids_of(theirs)


@settings(max_examples=40, deadline=None)
@given(two_sets(200), st.sampled_from([0, SMALLEST_FRAME]), st.integers(0, 2**32))
def test_entries_that_come_during_the_exchange_disturb_nothing_else(
    sets: tuple[set[Item], set[Item]], limit: int, seed: int
) -> None:
    ours, theirs = sets
    our_index, their_index = index_of(ours), index_of(theirs)
    rng = random.Random(seed)
    came: set[bytes] = set()
    wanted = sorted(theirs - ours)

    def between(round_: int) -> None:
        for index in (our_index, their_index) if round_ < 20 else ():
            came.add(entry_id := rng.randbytes(32))
            index.insert(rng.choice([0, 3, 500, 2**63]), entry_id)
        if wanted:  # another peer may give us what this one has
            our_index.insert(*(item := wanted.pop()))
            came.add(item[1])

    rounds_max = 40 + (len(ours) + len(theirs)) // 8
    initiator = Initiator(our_index, limit)
    have, need = exchange(initiator, their_index, limit, rounds_max, between)
    assert set(have) - came == ids_of(ours - theirs) - came
    assert set(need) - came == ids_of(theirs - ours) - came


def test_a_range_left_out_of_a_full_answer_is_not_forgotten() -> None:
    """Early ids fill the frame; then comes a range that the initiator says is empty and that
    isn't here. The answer's last fingerprint must not match the initiator's nothing (R-11)."""
    late = [(1000 + i, bytes([i]) * 32) for i in range(10)]
    early = random_items(4, 120, 499)
    asked = encode_ranges(
        [
            Range(Bound(500, b""), ID_LIST, b""),
            Range(Bound(600, b""), FINGERPRINT, EMPTY_FINGERPRINT),
            Range(Bound(INFINITY, b""), FINGERPRINT, EMPTY_FINGERPRINT),
        ]
    )
    answer = respond(index_of(early + late), asked, SMALLEST_FRAME)
    listed, skipped, last = _Reader(answer, 1).ranges()
    assert (listed.mode, len(listed.payload)) == (ID_LIST, 120 * 32)
    assert skipped == Range(Bound(600, b""), SKIP, b"")
    assert last == Range(Bound(INFINITY, b""), FINGERPRINT, index_of(late).fingerprint())
    initiator = Initiator(EntryIndex(), SMALLEST_FRAME)
    first = initiator.receive(answer)
    assert first.reply is not None
    second = initiator.receive(respond(index_of(early + late), first.reply, SMALLEST_FRAME))
    assert second.reply is None
    assert first.need + second.need == [entry_id for _, entry_id in sorted(early) + late]


# --- Options of the initiator ---------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(two_sets(200), st.sampled_from([1, 2, 500, 900, 2**64 - 2]), frame_limits)
def test_since_leaves_older_entries_alone(
    sets: tuple[set[Item], set[Item]], since: int, limit: int
) -> None:
    ours, theirs = sets
    rounds_max = 8 + (len(ours) + len(theirs)) // 8
    initiator = Initiator(index_of(ours), limit, since=since)
    have, need = exchange(initiator, index_of(theirs), limit, rounds_max)
    assert set(have) == ids_of({item for item in ours - theirs if item[0] >= since})
    assert set(need) == ids_of({item for item in theirs - ours if item[0] >= since})


@settings(max_examples=60, deadline=None)
@given(two_sets(60), st.integers(0, 2**32))
def test_what_is_remembered_is_forgotten_with_each_change(
    sets: tuple[set[Item], set[Item]], seed: int
) -> None:
    first, question = (Initiator(index_of(items)).start() for items in sets)
    index, now = index_of(sets[0]), set(sets[0])
    assert Initiator(index).start() == Initiator(index).start() == first
    rng = random.Random(seed)
    for item in rng.sample(sorted(sets[0] | sets[1]), min(10, len(sets[0] | sets[1]))):
        if item in now:
            index.remove(*item)
        else:
            index.insert(*item)
        now ^= {item}
        as_new = index_of(now)
        assert Initiator(index).start() == Initiator(as_new).start()
        assert respond(index, question) == respond(index, question) == respond(as_new, question)
    index.remove_before(INFINITY)
    assert Initiator(index).start() == Initiator(EntryIndex()).start()
    assert respond(index, question) == respond(EntryIndex(), question)


def test_long_questions_and_answers_are_not_kept() -> None:
    ours, theirs = (index_of(random_items(seed, 3000, 999)) for seed in (4, 5))
    long = respond(ours, Initiator(theirs).start())
    respond(theirs, long)
    assert len(long) > 5000
    assert "respond" not in ours.derived and "respond" not in theirs.derived
    respond(ours, Initiator(ours).start())
    assert "respond" in ours.derived


def test_since_is_a_skip_in_front() -> None:
    index = index_of([(t, bytes([t]) * 32) for t in range(40, 50)])
    plain = Initiator(index).start()
    assert Initiator(index, since=0).start() == plain
    skip, rest = _Reader(Initiator(index, since=40).start(), 1).ranges()
    assert skip == Range(Bound(40, b""), SKIP, b"")
    assert [rest] == list(_Reader(plain, 1).ranges())


def test_a_responder_cannot_draw_out_what_is_older_than_since() -> None:
    index = index_of([(t, bytes([t]) * 32) for t in range(20)])
    nothing_here = encode_ranges([Range(Bound(INFINITY, b""), ID_LIST, b"")])
    step = Initiator(index, since=15).receive(nothing_here)
    assert step.have == [(t, bytes([t]) * 32) for t in range(15, 20)]


def test_what_we_have_is_not_reported_again() -> None:
    index = index_of([(1, b"a" * 32), (2, b"b" * 32)])
    theirs = encode_ranges([Range(Bound(INFINITY, b""), ID_LIST, b"b" * 32 + b"c" * 32)])
    initiator = Initiator(index)
    assert initiator.receive(theirs) == (None, [(1, b"a" * 32)], [b"c" * 32])
    index.insert(3, b"d" * 32)
    assert initiator.receive(theirs) == (None, [(3, b"d" * 32)], [b"c" * 32])


def test_no_more_of_ours_is_reported_than_asked_for() -> None:
    ours = set(random_items(5, 500, 100))
    theirs = set(random_items(6, 20, 100))
    initiator = Initiator(index_of(ours), have_max=7)
    have, need = exchange(initiator, index_of(theirs))
    assert len(have) == 7 and set(have) < ids_of(ours)
    assert set(need) == ids_of(theirs)


def test_impossible_options_are_misuse() -> None:
    index = EntryIndex()
    for wrong in (
        lambda: Initiator(index, SMALLEST_FRAME - 1),
        lambda: Initiator(index, since=-1),
        lambda: Initiator(index, since=2**64),
        lambda: respond(index, b"\x61", 100),
    ):
        with pytest.raises(Misuse):
            wrong()


# --- Versions -------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", [0x60, 0x62, 0x6F])
def test_another_version_is_answered_with_ours_and_ends_the_initiator(version: int) -> None:
    """R-6."""
    message = bytes([version]) + b"whatever"
    assert respond(EntryIndex(), message) == b"\x61"
    with pytest.raises(Refused) as refused:
        Initiator(EntryIndex()).receive(message)
    assert refused.value.reason is Reason.RECONCILE_VERSION


@pytest.mark.parametrize("first", [0x00, 0x5F, 0x70, 0xFF])
def test_what_is_no_version_is_refused(first: int) -> None:
    """R-5."""
    assert refusal(bytes([first])) is Reason.RECONCILE_VERSION


def test_an_answer_without_ranges_ends_the_exchange() -> None:
    """R-9."""
    assert Initiator(EntryIndex()).receive(b"\x61") == (None, [], [])


# --- Decoding, and hostile messages ---------------------------------------------------------------

bounds = st.builds(Bound, st.integers(0, 40) | st.integers(0, INFINITY), st.binary(max_size=32))
payloads = st.one_of(
    st.just((SKIP, b"")),
    st.tuples(st.just(FINGERPRINT), st.binary(min_size=16, max_size=16)),
    st.tuples(
        st.just(ID_LIST),
        st.lists(st.binary(min_size=32, max_size=32), max_size=4).map(b"".join),
    ),
)


@given(st.lists(st.tuples(bounds, payloads), max_size=12))
def test_ranges_round_trip(drawn: list[tuple[Bound, tuple[int, bytes]]]) -> None:
    ends = sorted((end for end, _ in drawn), key=lambda end: (end[0], end[1].ljust(32, b"\0")))
    ranges = [Range(end, *payload) for end, (_, payload) in zip(ends, drawn, strict=True)]
    assert list(_Reader(encode_ranges(ranges), 1).ranges()) == ranges


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ("", Reason.RECONCILE_TRUNCATED),
        ("61 05", Reason.RECONCILE_TRUNCATED),
        ("61 81", Reason.RECONCILE_TRUNCATED),
        ("61 05 02 aa", Reason.RECONCILE_TRUNCATED),
        ("61 05 00", Reason.RECONCILE_TRUNCATED),
        ("61 05 00 01" + "00" * 15, Reason.RECONCILE_TRUNCATED),
        ("61 05 00 02", Reason.RECONCILE_TRUNCATED),
        ("61" + "81" * 10 + "00", Reason.RECONCILE_VARINT),
        ("61" + "ff" * 5000, Reason.RECONCILE_VARINT),
        ("61 82" + "80" * 8 + "00 00 00", Reason.RECONCILE_VARINT),
        ("61 80 05 00 00", Reason.RECONCILE_VARINT),
        ("61 05 00 02 ff" + "ff" * 9, Reason.RECONCILE_VARINT),
        ("61 05 02 aabb 00 01 02 aaba 00", Reason.RECONCILE_BOUND_ORDER),
        ("61 05 01 aa 00 01 00 00", Reason.RECONCILE_BOUND_ORDER),
        ("61 00 01 aa 00 05 00 00", Reason.RECONCILE_BOUND_ORDER),
        ("61 05 21" + "00" * 33 + "00", Reason.RECONCILE_BOUND_SIZE),
        ("61 05 ff7f", Reason.RECONCILE_BOUND_SIZE),
        ("61 05 00 03", Reason.RECONCILE_MODE),
        ("61 05 00 8101", Reason.RECONCILE_MODE),
        ("61 00 00 02 02" + "00" * 63, Reason.RECONCILE_COUNT),
        ("61 00 00 02 81ffffffffffffffff7f", Reason.RECONCILE_COUNT),
    ],
)
def test_each_broken_rule_has_its_reason(message: str, reason: Reason) -> None:
    """R-5."""
    assert refusal(bytes.fromhex(message)) is reason


@pytest.mark.parametrize(
    "message",
    [
        "61 05 01 aa 00 01 02 aa00 00 01 01 aa 00",  # equal once filled up with zeros
        "61 00 00 00 00 00 01" + EMPTY_FINGERPRINT.hex(),  # nothing after infinity
        "61 05 00 00 81ffffffffffffffff7f 00 00",  # a step beyond infinity
        "61 05 20" + "ff" * 32 + "00",  # the longest bound
    ],
)
def test_empty_ranges_and_the_farthest_bounds_are_in_order(message: str) -> None:
    """R-5."""
    index = index_of(random_items(7, 100, 50))
    assert respond(index, bytes.fromhex(message)) == b"\x61"
    assert Initiator(index).receive(bytes.fromhex(message)) == (None, [], [])


def check_only_documented(index: EntryIndex, message: bytes, limit: int) -> None:
    for receive in (
        lambda: respond(index, message, limit),
        lambda: Initiator(index, limit).receive(message),
    ):
        try:
            answer = receive()
        except Refused as refused:
            assert refused.reason in DOCUMENTED
        else:
            assert isinstance(answer, tuple) or not limit or len(answer) <= limit


SAMPLES = [
    (index, [bytes.fromhex(message) for message in case["messages"][:8]])
    for case in CASES
    if (index := case_index(case, "missing_at_responder")) and len(index) < 1600
]


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200), st.sampled_from([0, SMALLEST_FRAME]))
def test_arbitrary_bytes_raise_only_documented_reasons(noise: bytes, limit: int) -> None:
    index = SAMPLES[-1][0]
    check_only_documented(index, noise, limit)
    check_only_documented(index, b"\x61" + noise, limit)


@settings(max_examples=300, deadline=None)
@given(st.data(), st.sampled_from([0, SMALLEST_FRAME]))
def test_mutated_messages_raise_only_documented_reasons(data: st.DataObject, limit: int) -> None:
    index, messages = data.draw(st.sampled_from(SAMPLES))
    message = bytearray(data.draw(st.sampled_from(messages)))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(message)))
        replaced = data.draw(st.integers(0, 3) | st.just(len(message)))
        message[at : at + replaced] = data.draw(st.binary(max_size=3))
    check_only_documented(index, bytes(message), limit)


def test_a_limited_answer_stays_limited_however_much_is_asked() -> None:
    """R-10."""
    index = index_of([(t, sha256(b"%d" % t).digest()) for t in range(20_000)])
    limit = limits.RECONCILE_BYTES_MAX
    wrong = [Range(Bound(t, b""), FINGERPRINT, bytes(16)) for t in range(0, 20_000, 8)]
    everything = [Range(Bound(INFINITY, b""), ID_LIST, b"")]
    nothing = [Range(Bound(t // 20, b""), ID_LIST, b"") for t in range(20_000)]
    for ranges in (wrong, everything, nothing):
        answer = respond(index, encode_ranges(ranges), limit)
        assert len(answer) <= limit
        ends = [end.timestamp for end, _, _ in _Reader(answer, 1).ranges()]
        assert all(earlier <= later for earlier, later in pairwise(ends))
        assert ends[-1] == INFINITY
