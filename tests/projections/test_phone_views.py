"""Pages of messages through phones, as they are asked for."""

from datetime import timedelta
from typing import Any, Final

import pytest
from support.histories import T0, T0_S
from support.phone_histories import ALL_MESSAGES, OWNER, PUSHED, SENT, Seen, queued, received, tell

from signalbox.domain.phone_message import Direction, PhoneMessageArchived, Sim
from signalbox.eventstore.log import EventLog
from signalbox.projections.readers import ReadModels

ARCHIVED: Final = PhoneMessageArchived()
SECOND: Final = timedelta(seconds=1)


def test_the_newest_come_first_and_of_one_moment_the_last_stored(
    event_log: EventLog, seen: Seen
) -> None:
    tell(event_log, "late", received(), at=T0 + SECOND)
    for key in ("a", "c"):
        tell(event_log, key, queued())
    tell(event_log, "b", received())
    tell(event_log, "early", queued(), at=T0 - SECOND)
    assert seen.keys() == "late b c a early"


def test_pages_have_no_gap_and_no_double_where_times_are_the_same(
    event_log: EventLog, seen: Seen
) -> None:
    for key in "abcdefg":
        tell(event_log, key, queued() if key in "adg" else received())
    pages = [seen.keys(limit=3, offset=offset) for offset in (0, 3, 6, 9)]
    assert pages == ["g f e+", "d c b+", "a", ""]
    assert seen.keys(limit=7) == "g f e d c b a"
    assert seen.keys(limit=1, direction="inbound") == "f+"


def test_since_means_accepted_later_than_that(event_log: EventLog, seen: Seen) -> None:
    for key, after in (("a", 0), ("b", 1), ("c", 1), ("d", 2)):
        tell(event_log, key, received(received_at_s=1.0), at=T0 + after * SECOND)
    assert seen.keys(since_s=T0_S) == "d c b"
    assert seen.keys(since_s=T0_S + 1) == "d"
    assert seen.keys(since_s=T0_S + 2) == ""
    assert seen.keys(since_s=T0_S - 0.001, limit=2) == "d c+"


def test_messages_are_shown_by_direction_and_by_whether_they_were_put_aside(
    event_log: EventLog, seen: Seen
) -> None:
    tell(event_log, "out", queued())
    tell(event_log, "in", received())
    tell(event_log, "outold", queued(), ARCHIVED)
    tell(event_log, "inold", received(), ARCHIVED)
    shown_: dict[tuple[Direction | None, bool | None], str] = {
        (None, False): "in out",
        (None, True): "inold outold",
        (None, None): "inold outold in out",
        ("inbound", False): "in",
        ("inbound", None): "inold in",
        ("outbound", True): "outold",
        ("outbound", None): "outold out",
    }
    for (direction, archived), keys in shown_.items():
        assert seen.keys(direction=direction, archived=archived) == keys


def test_nobody_sees_what_is_anothers(event_log: EventLog, seen: Seen) -> None:
    other = "org_a"  # OWNER begins with it
    tell(event_log, "b-m", queued())
    assert seen.page(ALL_MESSAGES, owner=other) == ([], False)
    tell(event_log, "1", received(owner=other, number=1), owner=other)
    assert (seen.keys(), seen.numbers()) == ("m", [])


def test_numbered_messages_come_by_number_from_a_number_on(event_log: EventLog, seen: Seen) -> None:
    for number in (3, 1, 2, 10):
        message = received(number=number) if number % 2 else queued(number=number)
        tell(event_log, str(number), message, at=T0 - number * SECOND)
    tell(event_log, "without", received())
    assert seen.numbers() == [1, 2, 3, 10]
    assert seen.numbers(since_number=1, limit=2) == [2, 3]
    assert seen.numbers(newest_first=True, limit=3) == [10, 3, 2]
    assert seen.numbers(newest_first=True, since_number=2) == [10, 3]
    assert seen.numbers(direction="inbound") == [1, 3]
    assert seen.numbers(direction="outbound", newest_first=True) == [10, 2]
    assert seen.numbers(numbers=(10, 2, 4)) == [2, 10]
    assert seen.numbers(numbers=(10, 2), since_number=2) == [10]


def test_a_sim_is_a_slot_or_a_number_compared_by_its_digits(
    event_log: EventLog, seen: Seen
) -> None:
    tell(event_log, "1", received(number=1, sim_slot=0))
    tell(event_log, "2", received(number=2, sim_slot=1, sim_number="+491511"))
    tell(event_log, "3", received(number=3, sim_number="49-1511"))
    tell(event_log, "4", queued(number=4, sim="0"))
    tell(event_log, "5", queued(number=5, sim="+49 1511"))
    tell(event_log, "6", queued(number=6))
    found: dict[Sim, list[int]] = {
        0: [1, 4],
        "0": [1, 4],
        "00": [1, 4],
        1: [2],
        7: [],
        "+49 (151) 1": [2, 3, 5],
        "491511": [2, 3, 5],
        "49151": [],
        "": [],
        "abc": [],
    }
    for sim, numbers in found.items():
        assert seen.numbers(sim=sim) == numbers
        assert seen.numbers(sim=sim, direction="outbound") == [n for n in numbers if n > 3]


def test_what_changed_at_a_time_or_later_is_shown(event_log: EventLog, seen: Seen) -> None:
    tell(event_log, "1", queued(number=1), PUSHED, SENT)
    tell(event_log, "2", received(number=2))
    tell(event_log, "3", queued(number=3), PUSHED, at=T0 + 5 * SECOND)
    assert seen.numbers(updated_since_s=T0_S) == [1, 2, 3]
    assert seen.numbers(updated_since_s=T0_S + 2) == [1, 3]
    assert seen.numbers(updated_since_s=T0_S + 6, direction="outbound") == [3]
    assert seen.numbers(updated_since_s=T0_S + 6.1) == []


def test_a_page_takes_few_queries_however_long_it_is(
    event_log: EventLog, seen: Seen, models: ReadModels, monkeypatch: pytest.MonkeyPatch
) -> None:
    for place in range(30):
        tell(event_log, f"m{place}", received())
    seen.page(ALL_MESSAGES)
    event_log.tenant_keys.forget()
    taken: list[int] = []
    take = event_log.pool.connection

    def counted(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        taken.append(1)
        return take(*args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(event_log.pool, "connection", counted)
        assert len(models.phone_messages(OWNER, ALL_MESSAGES)[0]) == 30
    assert len(taken) <= 3
