"""How many messages on which day, to the integer, and which days are too steep."""

from datetime import date, datetime, timedelta, timezone
from fractions import Fraction
from time import process_time
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.warmup_vectors import VECTORS, schedule_of

from signalbox.domain.ramp import (
    DAYS_MAX,
    VOLUME_MAX,
    Point,
    Schedule,
    SteepDay,
    auto_ramp,
    is_met,
    steep_days,
)

FIRST: Final = date(2025, 8, 1)
SCHEDULE: Final = Schedule(
    grouping="&g", mode="MANUAL", start_date=FIRST, messages=(500, 600, 30_000)
)


@pytest.mark.parametrize("vector", VECTORS["auto_ramp"], ids=lambda vector: vector["note"])
def test_a_ramp_is_the_golden_one(vector: dict[str, Any]) -> None:
    ramp = auto_ramp(vector["start"]["volume"], vector["end"]["volume"], vector["days"])
    assert list(ramp) == vector["messages"]


@pytest.mark.parametrize("vector", VECTORS["auto_ramp"], ids=lambda vector: vector["note"])
def test_the_days_of_a_ramp_are_those_between_its_dates_both_included(
    vector: dict[str, Any],
) -> None:
    start, end = (
        Point(date.fromisoformat(vector[key]["date"]), vector[key]["volume"])
        for key in ("start", "end")
    )
    schedule = Schedule.auto("&g", start, end)
    assert (schedule.start, schedule.end) == (start, end)
    assert schedule.messages == tuple(vector["messages"])


@pytest.mark.parametrize("vector", VECTORS["cap"], ids=lambda vector: vector["name"])
def test_a_cap_is_the_golden_one(vector: dict[str, Any]) -> None:
    zone = timezone(timedelta(seconds=vector["timezone_offset"]))
    now = datetime.fromisoformat(vector["now"]).astimezone(zone)
    assert schedule_of(vector["config"]).cap_on(now.date()) == vector["expect_cap"]


def test_one_day_brings_the_volume_of_the_end() -> None:
    assert auto_ramp(7, 9, 1) == (9,)


def test_two_days_are_the_two_ends() -> None:
    assert auto_ramp(7, 900, 2) == (7, 900)


@pytest.mark.parametrize(("start", "end", "days"), [
    (0, 1, 2), (2, 1, 2), (1, 1_000_000_001, 2), (1, 2, 0), (1, 2, 1001),
])  # fmt: skip
def test_what_no_ramp_can_be_is_our_own_fault(start: int, end: int, days: int) -> None:
    with pytest.raises(AssertionError):
        auto_ramp(start, end, days)


def test_the_longest_ramp_takes_a_moment() -> None:
    before = process_time()
    ramp = auto_ramp(1, 1_000_000_000, 1000)
    assert process_time() - before < 1.0
    assert len(ramp) == 1000


@pytest.mark.parametrize("low", [3, 10**4 + 1, 10**7 + 7, 10**9 - 1])
def test_a_volume_a_hair_below_the_middle_of_two_integers_is_rounded_down(low: int) -> None:
    # The middle day of low, …, low + 1 is the root of low · (low + 1), just below low + 1/2.
    assert auto_ramp(low, low + 1, 3)[1] == low


@pytest.mark.parametrize("root", [2, 1_000, 30_000])
def test_a_volume_a_hair_above_the_middle_is_rounded_up(root: int) -> None:
    # (k - r + 1) · (k + r + 1) = k² + k + 1 for k = r²: its root is just above k + 1/2.
    middle = root**2
    assert auto_ramp(middle - root + 1, middle + root + 1, 3)[1] == middle + 1


VOLUMES: Final = st.integers(1, VOLUME_MAX) | st.integers(1, 1000)


@given(st.tuples(VOLUMES, VOLUMES), st.integers(2, DAYS_MAX))
@settings(deadline=None)
def test_a_ramp_never_falls_and_has_exact_ends(ends: tuple[int, int], days: int) -> None:
    start, end = sorted(ends)
    ramp = auto_ramp(start, end, days)
    assert (ramp[0], ramp[-1], len(ramp)) == (start, end, days)
    assert list(ramp) == sorted(ramp)


@given(st.tuples(VOLUMES, VOLUMES), st.integers(3, 60))
@settings(deadline=None)
def test_every_day_is_the_nearest_integer_to_the_curve(ends: tuple[int, int], days: int) -> None:
    start, end = sorted(ends)
    steps = days - 1
    for step, messages in enumerate(auto_ramp(start, end, days)):
        power = start ** (steps - step) * end**step
        assert Fraction(2 * messages - 1, 2) ** steps <= power
        assert Fraction(2 * messages + 1, 2) ** steps > power


# the calendar


@pytest.mark.parametrize(("days_later", "day", "cap"), [
    (-100, 0, 0), (-1, 0, 0), (0, 1, 500), (1, 2, 600), (2, 3, 30_000), (3, 3, None),
    (100, 3, None),
])  # fmt: skip
def test_the_day_is_0_before_the_start_and_the_last_one_after_the_end(
    days_later: int, day: int, cap: int | None
) -> None:
    today = FIRST + timedelta(days=days_later)
    assert SCHEDULE.current_day(today) == day
    assert SCHEDULE.cap_on(today) == cap


def test_the_days_are_told_with_their_dates() -> None:
    assert list(SCHEDULE.days()) == [
        (1, date(2025, 8, 1), 500),
        (2, date(2025, 8, 2), 600),
        (3, date(2025, 8, 3), 30_000),
    ]
    assert SCHEDULE.start == Point(date(2025, 8, 1), 500)
    assert SCHEDULE.end == Point(date(2025, 8, 3), 30_000)


@pytest.mark.parametrize("day", [0, 4])
def test_no_other_day_has_a_target(day: int) -> None:
    with pytest.raises(AssertionError):
        SCHEDULE.target_of(day)


@pytest.mark.parametrize(("delivered", "met"), [(449, False), (450, True), (900, True)])
def test_nine_tenths_of_a_target_are_enough(delivered: int, met: bool) -> None:  # noqa: FBT001
    assert is_met(delivered, 500) is met


# what is too steep


@pytest.mark.parametrize(("before", "advised"), [
    (1, 2), (1000, 2000), (49_999, 99_998), (50_000, 75_000), (99_999, 149_998),
    (100_000, 120_000), (249_999, 299_998), (250_000, 275_000), (10_000_000, 11_000_000),
])  # fmt: skip
def test_the_advice_is_less_the_more_there_is(before: int, advised: int) -> None:
    assert steep_days((before, advised)) == ()
    assert steep_days((before, advised + 1)) == (SteepDay(2, advised + 1, advised),)


def test_coming_back_from_a_quiet_weekend_is_not_steep() -> None:
    assert steep_days((4000, 5000, 100, 100, 6000)) == ()
    assert steep_days((4000, 5000, 100, 100, 10_001)) == (SteepDay(5, 10_001, 10_000),)


def test_the_documented_examples_are_as_advised_but_the_manual_one() -> None:
    for vector in VECTORS["auto_ramp"]:
        assert steep_days(tuple(vector["messages"])) == ()
    assert steep_days(SCHEDULE.messages) == (SteepDay(3, 30_000, 1200),)


def test_one_day_is_never_steep() -> None:
    assert steep_days((VOLUME_MAX,)) == ()
