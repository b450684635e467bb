"""Rates, pauses and waits."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from signalbox.domain.pacing import Backoff, Throttle, TokenBucket

MIDDLE = 0.5  # the random number that adds no jitter
fast = settings(deadline=None)


def passed_within(bucket: TokenBucket, start_s: float, duration_s: float) -> int:
    """Count what passes when somebody waits exactly as long as told, each time."""
    count, now_s = 0, start_s
    while now_s < start_s + duration_s:
        now_s += bucket.wait_s(now_s)
        count += bucket.take(now_s)
    return count


def test_a_bucket_lets_a_burst_pass_and_then_its_rate() -> None:
    bucket = TokenBucket(rate_per_s=10, burst=5)

    assert [bucket.take(100.0) for _ in range(6)] == [True] * 5 + [False]
    assert bucket.wait_s(100.0) == pytest.approx(0.1)
    assert bucket.take(100.1)
    assert not bucket.take(100.1)


@given(st.floats(0.1, 10_000), st.integers(1, 1000), st.floats(0, 1e6), st.integers(1, 300))
@fast
def test_after_the_wait_the_token_is_there(
    rate_per_s: float, burst: int, now_s: float, tokens: int
) -> None:
    bucket = TokenBucket(rate_per_s, burst)
    bucket.take(now_s, burst)

    wait_s = bucket.wait_s(now_s, tokens)

    assert wait_s > 0
    assert bucket.take(now_s + wait_s, tokens)


@given(st.integers(1, 200), st.integers(1, 50), st.floats(0, 1e6))
@fast
def test_no_more_passes_than_burst_and_rate_allow(
    rate_per_s: int, burst: int, start_s: float
) -> None:
    count = passed_within(TokenBucket(rate_per_s, burst), start_s, duration_s=2)

    assert abs(count - (burst + 2 * rate_per_s)) <= 1


def test_a_message_of_more_parts_than_the_burst_passes_and_is_paid_for_later() -> None:
    bucket = TokenBucket(rate_per_s=1, burst=2)

    assert bucket.take(0.0, tokens=5)
    assert bucket.wait_s(0.0) == pytest.approx(4)


def test_a_rate_of_zero_sets_no_limit() -> None:
    bucket = TokenBucket(rate_per_s=0, burst=1)

    assert all(bucket.take(0.0, 100) for _ in range(10))
    assert bucket.wait_s(0.0, 100) == 0


def test_a_new_rate_counts_from_its_moment_on() -> None:
    bucket = TokenBucket(rate_per_s=10, burst=10)
    bucket.take(0.0, 10)

    bucket.set_rate(1, 0.5)

    assert bucket.take(0.5, 5)
    assert bucket.wait_s(0.5) == pytest.approx(1)


def test_a_clock_that_steps_back_gives_no_tokens_away() -> None:
    bucket = TokenBucket(rate_per_s=1, burst=2)
    bucket.take(100.0, 2)

    assert not bucket.take(50.0)
    assert not bucket.take(100.5)
    assert bucket.take(101.0)


def test_pauses_double_up_to_thirty_seconds() -> None:
    throttle, now_s, pauses_s = Throttle(), 1000.0, []
    for _ in range(7):
        throttle.on_throttled(now_s)
        pauses_s.append(throttle.paused_until_s - now_s)
        now_s = throttle.paused_until_s

    assert pauses_s == [1, 2, 4, 8, 16, 30, 30]


def test_answers_to_one_window_count_once() -> None:
    throttle = Throttle()

    for _ in range(50):
        throttle.on_throttled(1000.0)
        throttle.on_accepted(1000.5)

    assert (throttle.paused_until_s, throttle.factor) == (1001.0, 0.75)
    throttle.on_throttled(1001.0)
    assert throttle.paused_until_s == 1003.0


def test_an_accepted_part_makes_the_next_pause_short_again() -> None:
    throttle = Throttle()
    throttle.on_throttled(0.0)
    throttle.on_throttled(1.0)

    throttle.on_accepted(3.0)
    throttle.on_throttled(4.0)

    assert throttle.paused_until_s == 5.0


def test_the_rate_never_falls_below_a_twentieth() -> None:
    throttle = Throttle()

    for _ in range(30):
        throttle.on_throttled(throttle.paused_until_s)

    assert throttle.factor == 0.05


def test_the_rate_returns_in_steps_of_ten_seconds() -> None:
    throttle = Throttle()
    throttle.on_throttled(0.0)
    factors = []
    for now_s in (1.0, 10.9, 11.0, 20.9, 21.0, 31.0, 41.0, 51.0, 61.0):
        throttle.on_accepted(now_s)
        factors.append(round(throttle.factor, 2))

    assert factors == [0.75, 0.75, 0.8, 0.8, 0.85, 0.9, 0.95, 1.0, 1.0]


def test_waits_double_up_to_a_minute() -> None:
    backoff = Backoff()

    assert [backoff.next_s(MIDDLE) for _ in range(8)] == [1, 2, 4, 8, 16, 32, 60, 60]


@given(st.floats(0, 1))
def test_jitter_stays_within_a_fifth(random: float) -> None:
    assert 0.8 <= Backoff().next_s(random) <= 1.2


@pytest.mark.parametrize(("bound_for_s", "next_s"), [(59.9, 4), (60.0, 1)])
def test_only_a_bind_that_lasted_starts_the_waits_over(bound_for_s: float, next_s: float) -> None:
    backoff = Backoff()
    backoff.next_s(MIDDLE)
    backoff.next_s(MIDDLE)

    backoff.bound(100.0)
    backoff.lost(100.0 + bound_for_s)

    assert backoff.next_s(MIDDLE) == next_s


def test_losing_a_link_that_was_never_bound_changes_nothing() -> None:
    backoff = Backoff()
    backoff.next_s(MIDDLE)

    backoff.lost(1000.0)

    assert backoff.next_s(MIDDLE) == 2
