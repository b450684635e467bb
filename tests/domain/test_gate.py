"""How much of a day may go at which second, and when a denied one may try again."""

from dataclasses import replace
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.warmup_vectors import VECTORS

from signalbox.domain.gate import (
    HOUR_S,
    Allowance,
    Denial,
    Grant,
    Hold,
    Reason,
    Use,
    admit,
    hourly_max,
    released,
)

DAY_S: Final = 86_400
NOON: Final = Allowance(target=2400, elapsed_s=DAY_S // 2, length_s=DAY_S)


def at(elapsed_s: int, target: int | None = 2400) -> Allowance:
    return Allowance(target=target, elapsed_s=elapsed_s, length_s=DAY_S)


@pytest.mark.parametrize("vector", VECTORS["gate"])
def test_a_gate_is_the_golden_one(vector: dict[str, Any]) -> None:
    target, elapsed_s, expected = vector["target"], vector["elapsed_s"], vector["expect"]
    answer = admit(
        at(elapsed_s, target), Use(vector["used_day"], ((HOUR_S, vector["used_60m"]),)), 1
    )
    assert released(target, elapsed_s, DAY_S) == expected["released"]
    assert hourly_max(target) == expected["hourly_max"]
    assert isinstance(answer, Grant) == expected["grant"]
    assert getattr(answer, "reason", None) == expected["reason"]


@pytest.mark.parametrize(("use", "granted"), [
    (Use(), 300),  # an eighth an hour
    (Use(1100), 200),  # 1300 are released at noon
    (Use(1100, ((60, 150),)), 150),
    (Use(1100, ((60, 100), (90, 190))), 10),
    (Use(1299), 1),
])  # fmt: skip
def test_as_many_are_granted_as_every_limit_lets_through(use: Use, granted: int) -> None:
    assert admit(NOON, use, 1000) == Grant(granted)
    assert admit(NOON, use, granted) == Grant(granted)
    assert admit(NOON, use, 1) == Grant(1)


@pytest.mark.parametrize(("use", "elapsed_s", "reason", "retry_in_s"), [
    (Use(2400), 43_200, "CAP", 43_200),
    (Use(2500), 43_200, "CAP", 43_200),  # the target was lowered
    (Use(1300), 43_200, "PACE", 1),
    (Use(1310), 43_200, "PACE", 361),
    (Use(2399), 3_600, "PACE", 86_365 - 2 * 3_600),
    (Use(300, ((60, 300),)), 43_200, "HOURLY", 60),
    (Use(400, ((90, 150), (60, 100), (120, 150))), 43_200, "HOURLY", 90),
    (Use(400, ((60, 250), (90, 150))), 43_200, "HOURLY", 60),
    (Use(2000, ((3_600, 300),)), 85_000, "HOURLY", 1_400),  # the day ends before the hour
])  # fmt: skip
def test_a_denial_tells_the_first_limit_and_the_first_second_that_has_room(
    use: Use, elapsed_s: int, reason: Reason, retry_in_s: int
) -> None:
    assert admit(at(elapsed_s), use, 5) == Denial(reason, retry_in_s)


def test_where_pace_denies_the_hourly_share_may_hold_for_longer() -> None:
    use = Use(1300, ((600, 300),))
    assert admit(NOON, use, 1) == Denial("PACE", 600)


@pytest.mark.parametrize("target", [2400, None])
@pytest.mark.parametrize("hold", ["PAUSED", "NOTSTARTED", "SUSPENDED"])
def test_a_hold_stops_everything_until_midnight(hold: Hold, target: int | None) -> None:
    held = replace(NOON, target=target, hold=hold)
    assert admit(held, Use(), 1) == Denial(hold, 43_200)


def test_a_hold_with_an_end_lasts_as_long_but_not_beyond_the_day() -> None:
    short, long = (replace(NOON, hold="SUSPENDED", hold_s=hold_s) for hold_s in (7200, 90_000))
    assert admit(short, Use(), 1) == Denial("SUSPENDED", 7200)
    assert admit(long, Use(), 1) == Denial("SUSPENDED", 43_200)


def test_without_a_target_there_is_no_limit() -> None:
    assert admit(at(0, target=None), Use(10**9), 10**9) == Grant(10**9)


@pytest.mark.parametrize(("target", "slowdown", "share"), [
    (2400, 1, 300), (2400, 4, 75), (2401, 4, 75), (10, 1, 2), (10, 4, 1), (1, 1, 1), (1, 4, 1),
])  # fmt: skip
def test_a_slow_down_leaves_a_part_of_the_hourly_share_but_one_at_least(
    target: int, slowdown: int, share: int
) -> None:
    assert hourly_max(target, slowdown) == share
    day = replace(at(80_000, target), slowdown=slowdown)
    assert admit(day, Use(), 10_000) == Grant(share)


@pytest.mark.parametrize(("length_s", "at_noon"), [
    (82_800, 1357), (86_400, 1300), (90_000, 1248),
])  # fmt: skip
def test_the_pace_follows_the_length_of_the_day(length_s: int, at_noon: int) -> None:
    assert released(2400, 43_200, length_s) == at_noon
    assert released(2400, length_s - HOUR_S, length_s) == 2400
    assert released(2400, length_s - HOUR_S - 40, length_s) < 2400


TARGETS: Final = st.integers(1, 50) | st.integers(1, 10**9)
HOURS: Final = st.lists(st.tuples(st.integers(1, HOUR_S), st.integers(1, 500)), max_size=6)


@st.composite
def situations(draw: st.DrawFn) -> tuple[Allowance, Use]:
    length_s = draw(st.sampled_from([82_800, 86_400, 90_000]))
    allowance = Allowance(
        target=draw(TARGETS),
        elapsed_s=draw(st.integers(0, length_s - 1)),
        length_s=length_s,
        slowdown=draw(st.sampled_from([1, 4])),
    )
    hour = draw(HOURS)
    earlier = draw(st.integers(0, allowance.target or 0))
    return allowance, Use(earlier + sum(n for _, n in hour), tuple(hour))


def later(allowance: Allowance, use: Use, by_s: int) -> tuple[Allowance, Use]:
    hour = tuple((leaving_s - by_s, n) for leaving_s, n in use.hour if leaving_s > by_s)
    return replace(allowance, elapsed_s=allowance.elapsed_s + by_s), Use(use.day, hour)


@given(situations(), st.integers(1, 10**9))
def test_a_grant_never_passes_a_limit(situation: tuple[Allowance, Use], wanted: int) -> None:
    allowance, use = situation
    answer = admit(allowance, use, wanted)
    if isinstance(answer, Grant):
        assert allowance.target is not None
        assert 1 <= answer.recipients <= wanted
        assert use.day + answer.recipients <= allowance.target
        share = hourly_max(allowance.target, allowance.slowdown)
        assert use.last_hour + answer.recipients <= share


@given(situations())
def test_the_second_told_is_the_first_with_room_or_the_next_midnight(
    situation: tuple[Allowance, Use],
) -> None:
    allowance, use = situation
    answer = admit(allowance, use, 1)
    if isinstance(answer, Grant):
        return
    assert 1 <= answer.retry_in_s <= allowance.rest_s
    assert isinstance(admit(*later(allowance, use, answer.retry_in_s - 1), 1), Denial)
    if answer.retry_in_s < allowance.rest_s:
        assert admit(*later(allowance, use, answer.retry_in_s), 1) == Grant(1)


@given(TARGETS, st.sampled_from([82_800, 86_400, 90_000]), st.integers(0, 89_999))
def test_what_is_released_never_falls_and_ends_at_the_target(
    target: int, length_s: int, elapsed_s: int
) -> None:
    now, then = released(target, elapsed_s, length_s), released(target, elapsed_s + 1, length_s)
    assert 1 <= now <= then <= target
    assert released(target, length_s, length_s) == target
