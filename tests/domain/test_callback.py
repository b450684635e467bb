"""One callback: tried ever more seldom for a day, and never after it was settled."""

from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signalbox.domain.callback import (
    DELAYS_S,
    AbandonCallback,
    Callback,
    CallbackAbandoned,
    CallbackDelivered,
    CallbackFailed,
    CallbackQueued,
    Command,
    Event,
    Patience,
    QueueCallback,
    RecordAnswer,
    decide,
    delay_s,
    evolve,
    id_of,
    stream_of,
)

NOW_S: Final = 1_795_255_200.0
DAY_S: Final = 86_400.0
QUEUE: Final = QueueCallback(owner="usr_1", kind="inbound", about="sms-usr_1-7", cause_version=1)
QUEUED: Final = CallbackQueued(owner="usr_1", kind="inbound", about="sms-usr_1-7", cause_version=1)
TAKEN: Final = RecordAnswer(status=204)
BROKEN: Final = RecordAnswer(status=503)


def after(*events: Event, at_s: float = NOW_S) -> Callback | None:
    callback: Callback | None = None
    for event in events:
        callback = evolve(callback, event, at_s)
    return callback


def when(command: Command, *given: Event, at_s: float = NOW_S) -> tuple[Event, ...]:
    return decide(after(*given), command, at_s)


def failed(attempt: int, status: int = 503) -> CallbackFailed:
    return CallbackFailed(
        attempt=attempt, status=status, reason="", next_at_s=NOW_S + delay_s(attempt, 0)
    )


def test_a_callback_is_queued_once() -> None:
    assert when(QUEUE) == (QUEUED,)
    assert when(QUEUE, QUEUED) == ()


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_any_2xx_means_that_it_was_taken(status: int) -> None:
    taken = CallbackDelivered(attempt=2, status=status)
    assert when(RecordAnswer(status=status), QUEUED, failed(1)) == (taken,)


@pytest.mark.parametrize("status", [0, 100, 301, 302, 307, 404, 408, 425, 429, 500, 503, 599])
def test_anything_else_is_tried_again(status: int) -> None:
    assert when(RecordAnswer(status=status), QUEUED) == (failed(1, status),)


def test_the_reason_of_no_answer_is_kept() -> None:
    (event,) = when(RecordAnswer(status=0, reason="no connection"), QUEUED)
    assert event == CallbackFailed(
        attempt=1, status=0, reason="no connection", next_at_s=NOW_S + 10
    )


def test_the_pauses_grow_as_documented_and_then_stay() -> None:
    pauses = [delay_s(failures, 0) for failures in range(1, 12)]
    assert pauses == [10, 30, 120, 600, 1_800, 3_600, 7_200, 14_400, 28_800, 28_800, 28_800]


def test_gone_is_given_up_at_once() -> None:
    gone = CallbackAbandoned(reason="gone", attempts=1, status=410)
    assert when(RecordAnswer(status=410), QUEUED) == (gone,)


@pytest.mark.parametrize("status", [400, 401, 404, 422])
def test_the_third_refusal_is_the_last(status: int) -> None:
    history = (QUEUED, failed(1, status), failed(2, 503), failed(3, status))
    last = CallbackAbandoned(reason="refused", attempts=4, status=status)
    assert when(RecordAnswer(status=status), *history) == (last,)
    assert when(RecordAnswer(status=503), *history) == (failed(4, 503),)


@pytest.mark.parametrize("status", [408, 425, 429])
def test_refusals_that_pass_are_not_counted(status: int) -> None:
    history = (QUEUED, failed(1, 404), failed(2, 404))
    assert when(RecordAnswer(status=status), *history) == (failed(3, status),)


def test_what_would_be_tried_after_a_day_is_given_up() -> None:
    history = (QUEUED, *(failed(attempt) for attempt in range(1, 10)))
    last = CallbackAbandoned(reason="too old", attempts=10, status=503)
    latest_s = NOW_S + DAY_S - DELAYS_S[-1]
    assert when(BROKEN, *history, at_s=latest_s + 1) == (last,)
    (again,) = when(BROKEN, *history, at_s=latest_s)
    assert again == CallbackFailed(attempt=10, status=503, reason="", next_at_s=NOW_S + DAY_S)


def test_nothing_follows_once_it_is_settled() -> None:
    for end in (CallbackDelivered(attempt=1, status=200), CallbackAbandoned(reason="too old")):
        for command in (TAKEN, BROKEN, QUEUE, AbandonCallback("webhook disabled")):
            assert when(command, QUEUED, end) == ()


def test_it_can_be_abandoned_with_the_webhook() -> None:
    abandoned = CallbackAbandoned(reason="webhook disabled", attempts=1)
    assert when(AbandonCallback("webhook disabled"), QUEUED, failed(1)) == (abandoned,)


def test_a_stream_tells_its_callback() -> None:
    assert id_of(stream_of("5b0c-1")) == "5b0c-1"


jitters = st.floats(0, 1)
statuses = st.sampled_from([0, 302, 404, 408, 410, 429, 500, 503])


@given(st.integers(1, 40), jitters)
def test_pauses_never_shrink_and_never_fall_below_their_base(failures: int, jitter: float) -> None:
    base_s = DELAYS_S[min(failures, len(DELAYS_S)) - 1]
    assert base_s <= delay_s(failures, jitter) <= delay_s(failures + 1, jitter)
    assert delay_s(failures, jitter) <= 1.1 * base_s + 1e-9


@given(st.lists(st.tuples(statuses, jitters), min_size=40, max_size=40))
def test_no_attempt_comes_before_its_time_or_after_a_day(
    answers: list[tuple[int, float]],
) -> None:
    at_s, callback = NOW_S, after(QUEUED)
    for status, jitter in answers:
        assert callback is not None
        (event,) = decide(callback, RecordAnswer(status=status, jitter=jitter), at_s)
        callback = evolve(callback, event, at_s)
        if isinstance(event, CallbackAbandoned):
            break
        assert isinstance(event, CallbackFailed)
        assert at_s + 10 <= event.next_at_s <= NOW_S + DAY_S
        at_s = event.next_at_s
    assert callback is not None
    assert callback.settled


@given(st.floats(0, 2 * DAY_S))
def test_patience_is_configurable(age_s_max: float) -> None:
    answer = RecordAnswer(status=500, patience=Patience(age_s_max, 1))
    (event,) = when(answer, QUEUED)
    assert isinstance(event, CallbackFailed) == (age_s_max >= DELAYS_S[0])
    (refused,) = when(RecordAnswer(status=404, patience=Patience(age_s_max, 1)), QUEUED)
    assert isinstance(refused, CallbackAbandoned)
