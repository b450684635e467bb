"""What is done when servers push back, for how long, and when it is over."""

from collections.abc import Sequence
from math import inf
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signalbox.domain.slowdown import (
    Event,
    Reason,
    Results,
    Slowdown,
    WarmupBackoffEnded,
    WarmupBackoffStarted,
    WarmupSuspended,
    WarmupSuspensionLifted,
    evolve,
    judge,
)

HOUR_S: Final = 3600
NOW_S: Final = 1_800_000_000.0
CALM: Final = Results(attempted=1000, delivered_24h=10_000)
DEFERRED: Final = Results(attempted=100, deferred=20)
BLOCKED: Final = Results(attempted=3, blocked=3)
BOUNCED: Final = Results(attempted=100, bounced=5)
COMPLAINED: Final = Results(delivered_24h=1000, complaints_24h=3)
ENDED: Final = WarmupBackoffEnded("&g")
LIFTED: Final = WarmupSuspensionLifted("&g")


def backoff(
    hours: int, reason: Reason = "DEFERRED", sample: int = 100, hits: int = 20
) -> WarmupBackoffStarted:
    return WarmupBackoffStarted(
        grouping="&g", reason=reason, lasts_s=hours * HOUR_S, sample=sample, hits=hits, divisor=4
    )


def suspension(hours: int | None, reason: Reason, sample: int, hits: int) -> WarmupSuspended:
    lasts_s = None if hours is None else hours * HOUR_S
    return WarmupSuspended(grouping="&g", reason=reason, lasts_s=lasts_s, sample=sample, hits=hits)


FOR_BOUNCES: Final = suspension(2, "BOUNCED", 100, 5)
FOR_COMPLAINTS: Final = suspension(None, "COMPLAINED", 1000, 3)


def replay(history: Sequence[tuple[Event, float]]) -> Slowdown:
    slowdown = Slowdown()
    for event, hours in history:
        slowdown = evolve(slowdown, event, NOW_S + hours * HOUR_S)
    return slowdown


def when(
    results: Results, given: Sequence[tuple[Event, float]] = (), hours: float = 0.0
) -> tuple[Event, ...]:
    return judge("&g", replay(given), results, NOW_S + hours * HOUR_S)


@pytest.mark.parametrize(("results", "event"), [
    (DEFERRED, backoff(1)),
    (Results(attempted=50, deferred=10), backoff(1, sample=50, hits=10)),
    (BLOCKED, backoff(1, "BLOCKED", 3, 3)),
    (Results(attempted=100, deferred=20, blocked=4), backoff(1, "BLOCKED", 100, 4)),
    (BOUNCED, FOR_BOUNCES),
    (COMPLAINED, FOR_COMPLAINTS),
    (Results(delivered_24h=500, complaints_24h=2), suspension(None, "COMPLAINED", 500, 2)),
])  # fmt: skip
def test_trouble_has_an_answer(results: Results, event: Event) -> None:
    assert when(results) == (event,)


@pytest.mark.parametrize("results", [
    CALM,
    Results(),
    Results(attempted=1000, deferred=199),
    Results(attempted=49, deferred=49),
    Results(attempted=1000, blocked=2),
    Results(attempted=1000, bounced=49),
    Results(attempted=49, bounced=49),
    Results(delivered_24h=1001, complaints_24h=3),
    Results(delivered_24h=499, complaints_24h=499),
])  # fmt: skip
def test_little_trouble_or_few_results_change_nothing(results: Results) -> None:
    assert when(results) == ()


def test_the_strongest_answer_is_given_alone() -> None:
    all_at_once = Results(
        attempted=100, deferred=20, blocked=3, bounced=5, delivered_24h=1000, complaints_24h=3
    )
    assert when(all_at_once) == (FOR_COMPLAINTS,)
    assert when(Results(attempted=100, deferred=20, blocked=3, bounced=5)) == (FOR_BOUNCES,)


def test_a_backoff_leaves_a_quarter_until_it_is_over() -> None:
    slowdown = replay([(backoff(1), 0)])
    assert slowdown.divisor(NOW_S + HOUR_S - 1) == 4
    assert slowdown.divisor(NOW_S + HOUR_S) == 1
    assert not slowdown.is_suspended(NOW_S)


def test_a_backoff_in_force_is_not_started_again() -> None:
    assert when(DEFERRED, [(backoff(1), 0)], hours=0.9) == ()


def test_the_end_of_a_backoff_is_told_once() -> None:
    given = [(backoff(1), 0.0)]
    assert when(CALM, given, hours=0.9) == ()
    assert when(CALM, given, hours=1) == (ENDED,)
    assert when(CALM, [*given, (ENDED, 1.0)], hours=2) == ()


def test_a_backoff_on_repeat_lasts_twice_as_long_up_to_eight_hours() -> None:
    given: list[tuple[Event, float]] = []
    now = 0.0
    for hours in (1, 2, 4, 8, 8):
        events = when(DEFERRED, given, now)
        assert events == ((backoff(hours),) if not given else (ENDED, backoff(hours)))
        given += [(event, now) for event in events]
        now += hours


def test_a_day_without_trouble_makes_the_next_backoff_short_again() -> None:
    given: list[tuple[Event, float]] = [(backoff(4), 0.0), (ENDED, 4.0)]
    assert when(DEFERRED, given, 27.9) == (backoff(8),)
    assert when(DEFERRED, given, 28) == (backoff(1),)


def test_a_suspension_stops_everything_for_two_hours() -> None:
    slowdown = replay([(FOR_BOUNCES, 0)])
    assert slowdown.is_suspended(NOW_S + 2 * HOUR_S - 1)
    assert slowdown.rest_s(NOW_S + HOUR_S + 0.5) == HOUR_S
    assert not slowdown.is_suspended(NOW_S + 2 * HOUR_S)


def test_while_suspended_only_complaints_make_it_worse() -> None:
    given = [(FOR_BOUNCES, 0.0)]
    assert when(BOUNCED, given, hours=1) == ()
    assert when(DEFERRED, given, hours=1) == ()
    assert when(COMPLAINED, given, hours=1) == (FOR_COMPLAINTS,)
    worse = [*given, (FOR_COMPLAINTS, 1.0)]
    assert when(COMPLAINED, worse, hours=100) == ()
    assert when(BOUNCED, worse, hours=100) == ()


def test_the_end_of_a_suspension_is_told_once_and_new_trouble_is_judged() -> None:
    given = [(FOR_BOUNCES, 0.0)]
    assert when(CALM, given, hours=2) == (LIFTED,)
    assert when(BOUNCED, given, hours=2) == (LIFTED, FOR_BOUNCES)
    assert when(CALM, [*given, (LIFTED, 2.0)], hours=3) == ()


def test_without_an_end_it_is_suspended_until_somebody_lifts_it() -> None:
    slowdown = replay([(FOR_COMPLAINTS, 0)])
    assert slowdown.is_suspended(NOW_S + 10_000 * HOUR_S)
    assert slowdown.suspended_until_s == inf
    assert slowdown.rest_s(NOW_S) is None
    assert not replay([(FOR_COMPLAINTS, 0), (LIFTED, 1)]).is_suspended(NOW_S + HOUR_S)


def test_what_was_before_an_operator_lifted_it_counts_no_more() -> None:
    by_hand = replay([(FOR_BOUNCES, 0), (LIFTED, 0.5)])
    assert by_hand.counts_from_s(NOW_S + HOUR_S) == NOW_S + HOUR_S / 2
    assert by_hand.counts_from_s(NOW_S + 2 * HOUR_S) == NOW_S + HOUR_S
    assert by_hand.counts_from_s(NOW_S + 2 * HOUR_S, 86_400) == NOW_S + HOUR_S / 2
    by_time = replay([(FOR_BOUNCES, 0), (LIFTED, 2.5)])
    assert by_time.counts_from_s(NOW_S + 2.5 * HOUR_S) == NOW_S + 1.5 * HOUR_S


RESULTS: Final = st.builds(
    Results,
    attempted=st.integers(0, 200),
    deferred=st.integers(0, 60),
    blocked=st.integers(0, 4),
    bounced=st.integers(0, 20),
    delivered_24h=st.integers(0, 2000),
    complaints_24h=st.integers(0, 10),
)


@given(st.lists(st.tuples(RESULTS, st.floats(0, 40))))
def test_whatever_comes_each_start_is_told_once_and_each_end_follows_a_start(
    course: list[tuple[Results, float]],
) -> None:
    slowdown, now_s = Slowdown(), NOW_S
    for results, hours in course:
        now_s += hours * HOUR_S
        events = judge("&g", slowdown, results, now_s)
        for event in events:
            was = slowdown
            slowdown = evolve(slowdown, event, now_s)
            if isinstance(event, WarmupBackoffEnded):
                assert was.backoff_open
            elif isinstance(event, WarmupSuspensionLifted):
                assert was.suspension_open
            elif isinstance(event, WarmupBackoffStarted):
                assert not was.is_slowed(now_s)
                assert HOUR_S <= event.lasts_s <= 8 * HOUR_S
        assert judge("&g", slowdown, results, now_s) == ()
