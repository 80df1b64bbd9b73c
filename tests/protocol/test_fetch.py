"""Every id that is wanted has one place, and goes on to another peer when one fails."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol import limits
from protocol.errors import Reason, Refused
from protocol.fetch import Fetcher


def ids(*numbers: int) -> list[bytes]:
    return [number.to_bytes(32, "big") for number in numbers]


def fetcher(*links: int) -> Fetcher:
    made = Fetcher()
    for link in links:
        made.add_link(link)
    return made


def test_each_id_is_asked_of_the_first_who_offers_it() -> None:
    """T-2."""
    both = fetcher(1, 2)
    both.offer(1, ids(1, 2))
    both.offer(2, ids(2, 3))
    assert both.next_request(1, 0) == (1, ids(1, 2))
    assert both.next_request(2, 0) == (2, ids(3))
    assert both.next_request(1, 0) is None and both.wanted == 3


def test_a_request_holds_at_most_its_number_of_ids_and_a_link_at_most_its_number_of_requests() -> (
    None
):
    """T-2."""
    one = fetcher(1)
    one.offer(1, ids(*range(5000)))
    sizes = []
    while (request := one.next_request(1, 0)) is not None:
        sizes.append(len(request[1]))
    assert sizes == [limits.REQUEST_IDS] * limits.REQUESTS_PER_LINK_MAX


def test_an_entry_that_was_not_asked_for_is_refused() -> None:
    """T-5."""
    one = fetcher(1)
    one.offer(1, ids(1))
    request = one.next_request(1, 0)
    assert request is not None
    for wrong in ids(2):
        with pytest.raises(Refused) as refused:
            one.on_entry(1, request[0], wrong, 0)
        assert refused.value.reason is Reason.LINK_MESSAGE_UNEXPECTED
    one.on_entry(1, request[0], ids(1)[0], 0)
    with pytest.raises(Refused):
        one.on_entry(1, request[0], ids(1)[0], 0)


def test_an_answer_to_no_request_is_refused() -> None:
    with pytest.raises(Refused) as refused:
        fetcher(1).check_request(1, 7)
    assert refused.value.reason is Reason.LINK_MESSAGE_UNEXPECTED


def test_what_is_arriving_is_not_asked_for_again() -> None:
    both = fetcher(1, 2)
    both.offer(1, ids(1))
    request = both.next_request(1, 0)
    assert request is not None
    both.on_entry(1, request[0], ids(1)[0], 0)
    both.offer(2, ids(1))
    assert both.next_request(2, 0) is None
    both.landed(ids(1)[0])
    both.offer(2, ids(1))
    assert both.next_request(2, 0) is not None


def test_what_an_answer_left_out_is_asked_of_another_holder() -> None:
    both = fetcher(1, 2)
    both.offer(1, ids(1, 2))
    both.offer(2, ids(1))
    request = both.next_request(1, 0)
    assert request is not None
    assert both.on_part(1, request[0], False) == []
    assert both.on_part(1, request[0], True) == [2]
    assert both.next_request(2, 0) == (2, ids(1))
    assert both.wanted == 1  # nobody else has the other one


def test_what_a_lost_link_was_asked_for_is_asked_of_another_holder() -> None:
    """T-8."""
    both = fetcher(1, 2)
    both.offer(1, ids(*range(300)))
    both.offer(2, ids(*range(300)))
    both.next_request(1, 0)
    assert both.drop_link(1) == [2]
    first, second = both.next_request(2, 0), both.next_request(2, 0)
    assert first is not None and second is not None
    assert sorted(first[1] + second[1]) == ids(*range(300))


def test_a_holder_that_is_gone_is_not_asked() -> None:
    three = fetcher(1, 2, 3)
    for link in (1, 2, 3):
        three.offer(link, ids(1))
    three.next_request(1, 0)
    three.drop_link(2)
    assert three.drop_link(1) == [3]


def test_a_link_that_lost_its_turn_with_an_id_does_not_pass_it_on() -> None:
    both = fetcher(1, 2)
    both.offer(1, ids(1))
    request = both.next_request(1, 0)
    assert request is not None
    both.unwanted(ids(1)[0])
    both.offer(2, ids(1))
    assert both.on_part(1, request[0], True) == []
    assert both.drop_link(1) == [] and both.next_request(2, 0) == (2, ids(1))


def test_an_id_is_asked_once_of_a_link_that_offered_it_again_after_it_came_by_another_way() -> None:
    one = fetcher(1)
    one.offer(1, ids(1))
    one.unwanted(ids(1)[0])
    one.offer(1, ids(1))
    assert one.next_request(1, 0) == (1, ids(1))


def test_only_entries_put_the_deadline_of_a_request_off() -> None:
    """T-8."""
    one = fetcher(1)
    one.offer(1, ids(1, 2))
    request = one.next_request(1, 0)
    assert request is not None
    one.on_part(1, request[0], False)
    assert one.next_deadline_ms(1) == limits.REQUEST_MS_MAX
    one.on_entry(1, request[0], ids(1)[0], 5_000)
    one.on_part(1, request[0], False)
    assert one.next_deadline_ms(1) == 5_000 + limits.REQUEST_MS_MAX


def test_what_is_wanted_is_bounded_and_remembers_that_something_was_dropped() -> None:
    one = fetcher(1)
    one.offer(1, ids(*range(limits.WANTED_MAX)))
    assert not one.has_dropped
    one.offer(1, ids(limits.WANTED_MAX))
    assert one.has_dropped and one.wanted == limits.WANTED_MAX == one.queued(1)


def test_the_way_to_the_disk_is_bounded() -> None:
    one = fetcher(1)
    one.arriving.update(ids(*range(10_000, 10_000 + limits.ARRIVING_MAX)))
    one.offer(1, ids(1))
    assert one.next_request(1, 0) is None
    one.landed(ids(10_000)[0])
    assert one.next_request(1, 0) == (1, ids(1))


def test_holders_are_bounded() -> None:
    links = range(limits.HOLDERS_MAX + 3)
    crowd = fetcher(*links)
    for link in links:
        crowd.offer(link, ids(1))
    asked = []
    for _ in links:
        for link in links:
            request = crowd.next_request(link, 0)
            if request is not None:
                asked.append(link)
                crowd.on_part(link, request[0], True)
    assert asked == list(range(limits.HOLDERS_MAX))


def test_everybody_is_a_holder_of_a_payload_that_is_lacking() -> None:
    links = range(limits.HOLDERS_MAX + 3)
    crowd = fetcher(*links)
    for link in links:
        crowd.offer(link, ids(1), is_for_payload=True)
    for link in links:
        number, _ = crowd.next_request(link, 0) or (0, [])
        others = crowd.on_part(link, number, True)
        assert others == [link + 1] * (link + 1 in links)


@settings(max_examples=100)
@given(st.data())
def test_whatever_peers_do_every_id_offered_is_queued_asked_or_arriving(
    data: st.DataObject,
) -> None:
    links = [1, 2, 3]
    machine = fetcher(*links)
    landed: set[bytes] = set()
    for _ in range(data.draw(st.integers(1, 40))):
        link = data.draw(st.sampled_from(links))
        act = data.draw(st.sampled_from(["offer", "ask", "answer", "leave", "land"]))
        requests = machine._sources[link].requests
        if act == "offer":
            wanted = data.draw(st.lists(st.integers(0, 9), max_size=5))
            machine.offer(link, [i for i in ids(*wanted) if i not in landed])
        elif act == "ask":
            machine.next_request(link, 0)
        elif act == "answer" and requests:
            number = min(requests)
            for identifier in list(requests[number].ids):
                if data.draw(st.booleans()):
                    machine.on_entry(link, number, identifier, 0)
            machine.on_part(link, number, data.draw(st.booleans()))
        elif act == "leave":
            machine.drop_link(link)
            machine.add_link(link)
        elif act == "land" and machine.arriving:
            identifier = min(machine.arriving)
            machine.landed(identifier)
            landed.add(identifier)
        for identifier, holders in machine._holders.items():
            source = machine._sources[holders[0]]
            asked = [i for request in source.requests.values() for i in request.ids]
            assert identifier in [*source.queue, *asked]
            assert identifier not in machine.arriving


def test_what_is_asked_for_counts_against_the_way_to_the_disk() -> None:
    fetcher = Fetcher(arriving_max=300)
    for link in range(3):
        fetcher.add_link(link)
        fetcher.offer(link, [bytes([link]) + i.to_bytes(31, "big") for i in range(400)])
    sizes = []
    for link in (0, 0, 1, 1, 2, 2):
        request = fetcher.next_request(link, 0)
        sizes.append(len(request[1]) if request else 0)
    # The first takes nearly all; each other has its one small request, and no second.
    assert sizes == [
        limits.REQUEST_IDS,
        300 - limits.REQUEST_IDS,
        limits.REQUEST_IDS_LEAST,
        0,
        limits.REQUEST_IDS_LEAST,
        0,
    ]
    fetcher.drop_link(0)
    assert fetcher.next_request(1, 0) is not None


def test_room_comes_back_with_every_way_that_a_request_ends() -> None:
    fetcher = Fetcher(arriving_max=64)
    fetcher.add_link(1)
    for round_ in range(20):
        fetcher.offer(1, [bytes([round_]) + i.to_bytes(31, "big") for i in range(64)])
        request = fetcher.next_request(1, 0)
        assert request is not None and len(request[1]) == 64
        number, ids = request
        for identifier in ids[:32]:
            fetcher.on_entry(1, number, identifier, 0)
            fetcher.landed(identifier)
        fetcher.on_part(1, number, True)
