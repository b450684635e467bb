"""What an account has sent lately: windows that slide, and are never overfull."""

from hypothesis import given
from hypothesis import strategies as st

from signalbox.domain.mail_usage import Usage

NOW = 1_000_000.0
MINUTE = ((60, 2),)


def taken(*times_s: float) -> Usage:
    usage = Usage()
    for at_s in times_s:
        usage.take(1, at_s)
    return usage


def test_without_limits_there_is_room_for_all() -> None:
    assert taken(NOW, NOW).room((), NOW) is None


def test_what_was_taken_frees_a_window_later() -> None:
    usage = taken(NOW, NOW + 30)
    assert usage.room(MINUTE, NOW + 30) == 0
    assert usage.room(MINUTE, NOW + 59.9) == 0
    assert usage.room(MINUTE, NOW + 60) == 1
    assert usage.room(MINUTE, NOW + 90) == 2


def test_the_fullest_window_counts() -> None:
    usage = taken(NOW - 1000, NOW - 900, NOW)
    assert usage.room(((60, 2), (3600, 3)), NOW) == 0
    assert usage.room(((60, 2), (3600, 4)), NOW) == 1


def test_what_waits_is_planned_one_behind_the_other() -> None:
    usage = taken(NOW, NOW)
    assert [usage.plan(MINUTE, NOW + 1) for _ in range(5)] == [
        *[NOW + 60] * 2, *[NOW + 120] * 2, NOW + 180
    ]  # fmt: skip


def test_what_is_given_back_leaves_room() -> None:
    usage = taken(NOW, NOW + 1)
    usage.give_back(NOW + 1)
    assert usage.room(MINUTE, NOW + 2) == 1
    usage.give_back(NOW + 7)  # Nothing was taken then.
    assert usage.room(MINUTE, NOW + 2) == 1


def test_what_no_window_reaches_is_forgotten_and_changes_nothing() -> None:
    usage = taken(NOW - 90_000, NOW)
    usage.forget_before(NOW - 86_400)
    assert usage.room(((86_400, 5),), NOW) == 4


@given(
    steps=st.lists(st.tuples(st.floats(0, 40), st.integers(1, 4)), max_size=60),
    most=st.integers(1, 5),
    hourly=st.integers(1, 20),
)
def test_no_window_ever_holds_more_than_its_limit(
    steps: list[tuple[float, int]], most: int, hourly: int
) -> None:
    limits, usage, now_s = ((60, most), (3600, hourly)), Usage(), NOW
    sent: list[float] = []
    for later_s, wanted in steps:
        now_s += later_s
        for _ in range(wanted):
            if usage.room(limits, now_s):
                usage.take(1, now_s)
                sent.append(now_s)
    for window_s, limit in limits:
        for end_s in sent:
            assert sum(end_s - window_s < at_s <= end_s for at_s in sent) <= limit


@given(waiting=st.integers(1, 30), most=st.integers(1, 5), before=st.integers(0, 5))
def test_whoever_comes_when_it_is_planned_finds_room(waiting: int, most: int, before: int) -> None:
    limits = ((60, most), (3600, most * 3))
    usage = Usage()
    for _ in range(min(before, most)):
        usage.take(1, NOW)
    planned = [usage.plan(limits, NOW + 1) for _ in range(waiting)]
    assert planned == sorted(planned)
    for at_s in planned:
        assert usage.room(limits, at_s), (planned, at_s)
        usage.take(1, at_s)
