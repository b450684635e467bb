"""How a warm-up stands on a local date, and what a local date is where clocks change."""

from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from typing import Any, Final
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.warmup_vectors import VECTORS, schedule_of

from signalbox.domain.ramp import Schedule
from signalbox.domain.warmup_status import (
    PAUSES_KEPT_S,
    Facts,
    History,
    LocalDay,
    Pause,
    WarmupStatus,
    facts_of,
    is_judged,
    local_day,
    midnight_s,
    status_of,
)

DAY_S: Final = 86_400
FIRST: Final = date(2025, 8, 1)
SECOND: Final = date(2025, 8, 2)
SCHEDULE: Final = Schedule(
    grouping="&g", mode="MANUAL", start_date=FIRST, messages=(500, 600, 30_000)
)
BERLIN: Final = ZoneInfo("Europe/Berlin")
LONG_AGO: Final = History(0.0)


# the golden vectors


@pytest.mark.parametrize("vector", VECTORS["status"], ids=lambda vector: vector["name"])
def test_a_status_is_the_golden_one(vector: dict[str, Any]) -> None:
    zone = timezone(timedelta(seconds=vector["timezone_offset"]))
    now = datetime.fromisoformat(vector["now"])
    schedule, expected = schedule_of(vector["config"]), vector["expect"]
    day = local_day(now, zone)
    delivered = {date.fromisoformat(on): sent for on, sent in vector["sent"].items()}
    facts = facts_of(history_of(vector, zone), delivered, now, zone)

    assert status_of(schedule, facts, day.date) == expected["status"]
    assert schedule.current_day(day.date) == expected["current_day"]
    assert day.offset_s == vector["timezone_offset"]
    for key, point in (("start", schedule.start), ("end", schedule.end)):
        assert expected[key] == {"date": point.date.isoformat(), "volume": point.volume}
    assert expected["schedule"] == [
        {"date": on.isoformat(), "day": number, "messages": messages}
        for number, on, messages in schedule.days()
    ]


def history_of(vector: dict[str, Any], zone: tzinfo) -> History:
    """Read the vectors' dates as the noons of them."""
    noon_s = {
        on: midnight_s(date.fromisoformat(on), zone) + DAY_S // 2
        for on in [*vector["paused_on"], *filter(None, [vector["configured_on"]])]
    }
    pauses = tuple(Pause(noon_s[on], noon_s[on] + 60) for on in vector["paused_on"])
    return History(noon_s.get(vector["configured_on"], 0.0), pauses)


# the words


def judged(yesterday: int, today: int) -> Facts:
    return Facts(delivered_yesterday=yesterday, delivered_today=today, yesterday_judged=True)


@pytest.mark.parametrize(("days_later", "status"), [
    (-1, "NOTSTARTED"), (0, "ONSCHEDULE"), (1, "BEHIND"), (2, "BEHIND"), (3, "FINISHED"),
])  # fmt: skip
def test_without_any_delivery_it_falls_behind_on_the_second_day(
    days_later: int, status: str
) -> None:
    assert status_of(SCHEDULE, judged(0, 0), FIRST + timedelta(days=days_later)) == status


@pytest.mark.parametrize("days_later", [-1, 0, 1, 3])
def test_a_hold_is_never_hidden_by_the_calendar(days_later: int) -> None:
    paused = replace(SCHEDULE, paused=True)
    assert status_of(paused, judged(0, 0), FIRST + timedelta(days=days_later)) == "PAUSED"


@pytest.mark.parametrize(("yesterday", "today", "status"), [
    (449, 539, "BEHIND"), (450, 0, "ONSCHEDULE"), (0, 540, "ONSCHEDULE"), (9000, 0, "ONSCHEDULE"),
])  # fmt: skip
def test_it_is_behind_while_neither_yesterday_nor_today_reached_nine_tenths(
    yesterday: int, today: int, status: str
) -> None:
    assert status_of(SCHEDULE, judged(yesterday, today), SECOND) == status


def test_a_yesterday_that_may_not_be_judged_leaves_it_on_schedule() -> None:
    facts = replace(judged(0, 0), yesterday_judged=False)
    assert status_of(SCHEDULE, facts, SECOND) == "ONSCHEDULE"


def test_there_are_five_words() -> None:
    assert {str(word) for word in WarmupStatus} == {
        "PAUSED", "NOTSTARTED", "FINISHED", "BEHIND", "ONSCHEDULE",
    }  # fmt: skip


# what may be judged


@pytest.mark.parametrize(("history", "is_fair"), [
    (History(999.0), True),
    (History(1000.0), False),  # configured in the day's first second
    (History(0.0, (Pause(0.0, 1000.0),)), True),
    (History(0.0, (Pause(0.0, 1000.1),)), False),
    (History(0.0, (Pause(0.0, None),)), False),
    (History(0.0, (Pause(1500.0, 1500.5),)), False),
    (History(0.0, (Pause(1999.9, None),)), False),
    (History(0.0, (Pause(2000.0, None),)), True),
    (History(0.0, (Pause(100.0, 200.0), Pause(1500.0, 1600.0))), False),
])  # fmt: skip
def test_a_day_is_judged_when_the_ramp_ran_through_all_of_it(
    history: History,
    is_fair: bool,  # noqa: FBT001
) -> None:
    assert is_judged(history, 1000, 2000) is is_fair


def test_only_changes_of_the_flag_are_history() -> None:
    history = LONG_AGO.switched(10.0, was_paused=False, is_paused=False)
    assert history == LONG_AGO
    history = history.switched(20.0, was_paused=False, is_paused=True)
    assert history == History(0.0, (Pause(20.0),))
    assert history.switched(25.0, was_paused=True, is_paused=True) == history
    history = history.switched(30.0, was_paused=True, is_paused=False)
    assert history == History(0.0, (Pause(20.0, 30.0),))
    assert history.paused(40.0).resumed(50.0).pauses == (Pause(20.0, 30.0), Pause(40.0, 50.0))


def test_pauses_that_no_yesterday_can_meet_are_forgotten() -> None:
    history = LONG_AGO.paused(0.0).resumed(100.0)
    assert len(history.paused(100.0 + PAUSES_KEPT_S).pauses) == 2
    assert len(history.paused(100.1 + PAUSES_KEPT_S).pauses) == 1


def test_yesterday_and_today_are_local() -> None:
    now = datetime(2025, 8, 2, 22, 30, tzinfo=UTC)  # in Berlin it is the 3rd
    delivered = {FIRST: 1, SECOND: 2, date(2025, 8, 3): 3}
    assert facts_of(LONG_AGO, delivered, now, UTC) == judged(1, 2)
    assert facts_of(LONG_AGO, delivered, now, BERLIN) == judged(2, 3)
    assert facts_of(LONG_AGO, {}, now, BERLIN) == judged(0, 0)
    in_utc_of_the_second = History(datetime(2025, 8, 1, 23, tzinfo=UTC).timestamp())
    assert facts_of(in_utc_of_the_second, {}, now, UTC).yesterday_judged is False


# local days


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(("zone", "now", "expected"), [
    (UTC, "2025-08-01T12:00:00.9", (FIRST, 43_200, 86_400, 0)),
    (timezone(timedelta(hours=-5)), "2025-08-02T04:59:59", (FIRST, 86_399, 86_400, -18_000)),
    (timezone(timedelta(hours=-5)), "2025-08-02T05:00:00", (SECOND, 0, 86_400, -18_000)),
    # clocks forward: 02:00 is 03:00
    (BERLIN, "2026-03-29T00:59:59", (date(2026, 3, 29), 7_199, 82_800, 3_600)),
    (BERLIN, "2026-03-29T01:00:00", (date(2026, 3, 29), 7_200, 82_800, 7_200)),
    (BERLIN, "2026-03-29T21:59:59", (date(2026, 3, 29), 82_799, 82_800, 7_200)),
    (BERLIN, "2026-03-29T22:00:00", (date(2026, 3, 30), 0, 86_400, 7_200)),
    # clocks back: 03:00 is 02:00
    (BERLIN, "2026-10-25T00:30:00", (date(2026, 10, 25), 9_000, 90_000, 7_200)),
    (BERLIN, "2026-10-25T01:30:00", (date(2026, 10, 25), 12_600, 90_000, 3_600)),
    (BERLIN, "2026-10-25T22:59:59", (date(2026, 10, 25), 89_999, 90_000, 3_600)),
    # there was no midnight: 00:00 was 01:00
    (ZoneInfo("America/Sao_Paulo"), "2018-11-04T02:59:59",
     (date(2018, 11, 3), 86_399, 86_400, -10_800)),
    (ZoneInfo("America/Sao_Paulo"), "2018-11-04T03:00:00",
     (date(2018, 11, 4), 0, 82_800, -7_200)),
    # midnight came twice: 01:00 was 00:00
    (ZoneInfo("Atlantic/Azores"), "2026-10-25T00:59:59",
     (date(2026, 10, 25), 3_599, 90_000, 0)),
    (ZoneInfo("Atlantic/Azores"), "2026-10-25T01:00:00",
     (date(2026, 10, 25), 3_600, 90_000, -3_600)),
    # the day before came again: 00:01 was 23:01
    (ZoneInfo("America/St_Johns"), "2010-11-07T02:30:30", (date(2010, 11, 7), 30, 90_000, -9_000)),
    (ZoneInfo("America/St_Johns"), "2010-11-07T02:31:30",
     (date(2010, 11, 6), 86_399, 86_400, -12_600)),
    (ZoneInfo("America/St_Johns"), "2010-11-07T03:30:00",
     (date(2010, 11, 7), 3_600, 90_000, -12_600)),
])  # fmt: skip
def test_a_local_day_is_as_long_as_it_is(
    zone: tzinfo, now: str, expected: tuple[date, int, int, int]
) -> None:
    day = local_day(utc(now), zone)
    assert (day.date, day.elapsed_s, day.length_s, day.offset_s) == expected


def test_a_moment_without_a_zone_is_our_own_fault() -> None:
    with pytest.raises(AssertionError):
        local_day(datetime(2025, 8, 1), UTC)  # noqa: DTZ001


def test_midnight_is_told_in_unix_seconds() -> None:
    assert midnight_s(date(1970, 1, 2), UTC) == DAY_S
    assert midnight_s(date(1970, 1, 2), BERLIN) == DAY_S - 3600
    assert local_day(utc("1970-01-02T12:00:00"), BERLIN) == LocalDay(
        date=date(1970, 1, 2),
        starts_s=DAY_S - 3600,
        elapsed_s=46_800,
        length_s=DAY_S,
        offset_s=3600,
    )


ZONES: Final = st.sampled_from(
    [UTC, BERLIN, ZoneInfo("America/New_York"), ZoneInfo("Australia/Lord_Howe"),
     ZoneInfo("Asia/Kathmandu"), timezone(timedelta(hours=14))],
)  # fmt: skip


@given(st.datetimes(datetime(2024, 1, 1), datetime(2028, 1, 1)), ZONES)  # noqa: DTZ001
def test_days_follow_each_other_without_a_gap(now: datetime, zone: tzinfo) -> None:
    now = now.replace(tzinfo=UTC)
    day = local_day(now, zone)
    assert day.starts_s + day.elapsed_s == int(now.timestamp())
    assert 0 <= day.elapsed_s < day.length_s
    assert day.length_s in {82_800, 84_600, 86_400, 88_200, 90_000}
    next_day = local_day(datetime.fromtimestamp(day.starts_s + day.length_s, UTC), zone)
    assert (next_day.date, next_day.elapsed_s) == (day.date + timedelta(days=1), 0)
    assert datetime.fromtimestamp(day.starts_s, zone).time() == time()
