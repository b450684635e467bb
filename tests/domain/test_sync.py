"""When a tenant's server is called."""

import pytest

from signalbox.domain.sync import (
    NotReached,
    Reached,
    Rhythm,
    Sync,
    answered,
    begun,
    due_at_s,
)

NOW_S = 1_000_000.0
RHYTHM = Rhythm()


def due(
    sync: Sync,
    *,
    owes: bool = False,
    asked: bool = False,
    calls_idle: bool = True,
    rests: bool = False,
) -> float | None:
    return due_at_s(sync, RHYTHM, owes=owes, asked=asked, calls_idle=calls_idle, rests=rests)


def called(outcome: Reached | NotReached, sync: Sync | None = None) -> Sync:
    """Return how it stands after a call at `NOW_S` that came to this."""
    return answered(begun(sync or Sync(), NOW_S), outcome, NOW_S, RHYTHM)


def test_a_server_that_was_never_called_is_called_at_once() -> None:
    at_s = due(Sync())
    assert at_s is not None
    assert at_s < NOW_S


def test_without_need_it_is_called_every_interval() -> None:
    assert due(called(Reached())) == NOW_S + 300


def test_one_that_is_not_active_is_only_told_of_reports() -> None:
    sync = called(Reached())
    assert due(sync, calls_idle=False) is None
    assert due(sync, calls_idle=False, owes=True) == NOW_S + RHYTHM.gap_s


def test_one_that_has_more_is_called_soon_but_not_in_a_storm() -> None:
    assert due(called(Reached(has_more=True))) == NOW_S + 1.0


def test_one_that_rests_is_called_without_need_an_interval_after_its_rest() -> None:
    sync = called(Reached(rest_until_s=NOW_S + 1_000))
    assert due(sync) == NOW_S + 1_300
    assert due(sync, owes=True) == NOW_S + RHYTHM.gap_s


def test_a_rest_that_goes_first_keeps_reports_back() -> None:
    sync = called(Reached(rest_until_s=NOW_S + 1_000))
    assert due(sync, owes=True, rests=True) == NOW_S + 1_000


def test_one_that_rests_has_nothing_more_for_now() -> None:
    sync = called(Reached(has_more=True, rest_until_s=NOW_S + 1_000))
    assert due(sync) == NOW_S + 1_300


def test_a_rest_in_the_past_is_none() -> None:
    assert due(called(Reached(rest_until_s=NOW_S - 5_000))) == NOW_S + 300


def test_nobody_rests_for_more_than_a_year() -> None:
    assert called(Reached(rest_until_s=1e11)).synced_at_s == NOW_S + 366 * 86_400


def test_who_is_asked_for_is_called_whatever_the_rest_says() -> None:
    rest = called(Reached(rest_until_s=NOW_S + 1_000))
    assert due(rest, asked=True, rests=True) == NOW_S + RHYTHM.gap_s
    trouble = called(NotReached(), Sync(failures=9))
    assert due(trouble, asked=True, calls_idle=False) == NOW_S + RHYTHM.gap_s


def test_pauses_after_failures_grow_to_the_interval_and_no_further() -> None:
    sync, pauses = Sync(), []
    for _ in range(12):
        sync = called(NotReached(), sync)
        pauses.append(sync.not_before_s - NOW_S)
    assert pauses[:5] == [1, 2, 4, 8, 16]
    assert pauses[-1] == 300
    assert due(sync, owes=True) == NOW_S + 300


@pytest.mark.parametrize(("wait_s", "pause_s"), [(20, 20), (86_400, 300)])
def test_a_server_may_say_how_long_the_pause_is(wait_s: float, pause_s: float) -> None:
    assert called(NotReached(wait_s=wait_s)).not_before_s == NOW_S + pause_s


def test_one_answer_ends_all_trouble() -> None:
    sync = called(Reached(), called(NotReached(), Sync(failures=5)))
    assert sync.failures == 0
    assert due(sync, owes=True) == NOW_S + RHYTHM.gap_s
