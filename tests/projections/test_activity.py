"""What happened lately: minutes, seconds, and each link's share."""

from datetime import timedelta

from support.histories import DELIVERED, T0, T0_S, accepted, record, rows_of

from signalbox.domain.message import MessageSubmitted, SubmitAttempted, SubmitOutcomeUnknown
from signalbox.domain.rejection import MessageRejected
from signalbox.eventstore.log import EventLog
from signalbox.projections.activity import LinkMinute, Minute
from signalbox.projections.building import build
from signalbox.projections.projector import Projector
from signalbox.projections.readers import ReadModels

MINUTE = timedelta(minutes=1)
REJECTED = MessageRejected(filter="f", app_id=3, link_id=1, source="1", destination="2")
ATTEMPTED = SubmitAttempted(1, 1, 1)
GIVEN_UP = SubmitOutcomeUnknown(1, "connection lost", "fail")


def seen_at(log: EventLog, after_s: float) -> ReadModels:
    return ReadModels(log, now_s=lambda: T0_S + after_s)


def test_the_hour_has_sixty_minutes_also_when_nothing_happened(
    event_log: EventLog, projector: Projector
) -> None:
    build(projector)
    minutes = seen_at(event_log, 30).statistics().minutes
    assert minutes == tuple(Minute(T0_S - 60 * ago) for ago in range(59, -1, -1))


def test_a_minute_counts_what_happened_in_it(event_log: EventLog, projector: Projector) -> None:
    record(event_log, "message-1", *DELIVERED)
    record(event_log, "message-2", accepted(), ATTEMPTED, GIVEN_UP)
    record(event_log, "rejection-1", REJECTED, at=T0 + MINUTE)
    record(event_log, "message-2", MessageSubmitted(1, "late", 2), at=T0 + MINUTE, first_version=4)
    build(projector)
    *_, first, second = seen_at(event_log, 90).statistics().minutes
    assert first == Minute(T0_S, accepted=2, submitted=1, delivered=1, sent=1, failed=1)
    assert second == Minute(T0_S + 60, rejected=1, submitted=1, sent=1)
    assert (first.requests, first.errors) == (2, 1)
    assert (second.requests, second.errors) == (1, 1)


def test_a_message_is_an_error_once(event_log: EventLog, projector: Projector) -> None:
    attempts = [SubmitAttempted(part, 1, 1) for part in (1, 2, 3)]
    failures = [SubmitOutcomeUnknown(part, "connection lost", "fail") for part in (1, 2, 3)]
    record(event_log, "message-1", accepted(parts=3), *attempts, *failures)
    build(projector)
    assert seen_at(event_log, 1).statistics().minutes[-1].errors == 1


def test_the_present_is_the_last_ten_full_seconds(
    event_log: EventLog, projector: Projector
) -> None:
    for second in (0, 9.999, 10, 10.5, 19.9, 20):
        at = T0 + timedelta(seconds=second)
        record(event_log, f"message-{second}", accepted(), at=at)
    record(event_log, "rejection-1", REJECTED, at=T0 + timedelta(seconds=12))
    build(projector)
    assert seen_at(event_log, 20.7).statistics().current_requests == 4


def test_each_link_has_its_share(event_log: EventLog, projector: Projector) -> None:
    for number, link_id in enumerate([1, 2, 2]):
        submitted = MessageSubmitted(1, f"id-{number}", link_id)
        record(event_log, f"message-{number}", accepted(), ATTEMPTED, submitted)
    build(projector)
    minutes, links = seen_at(event_log, 60).finished_minutes()
    assert links == (LinkMinute(T0_S, 1, 1), LinkMinute(T0_S, 2, 2))
    assert minutes[-1] == Minute(T0_S, accepted=3, submitted=3, sent=3)
    assert len(minutes) == 74


def test_a_running_minute_is_not_finished(event_log: EventLog, projector: Projector) -> None:
    record(event_log, "message-1", *DELIVERED)
    build(projector)
    minutes, links = seen_at(event_log, 59.9).finished_minutes()
    assert minutes[-1] == Minute(T0_S - 60)
    assert links == ()


def test_nothing_is_kept_for_ever(event_log: EventLog, projector: Projector) -> None:
    for minute in range(80):
        told = (accepted(), ATTEMPTED, MessageSubmitted(1, "id", 1))
        record(event_log, f"message-{minute}", *told, at=T0 + minute * MINUTE)
    build(projector)
    kept = {name: len(rows) for name, rows in rows_of(event_log).items()}
    assert (kept["minutes"], kept["link_minutes"], kept["outcomes"], kept["seconds"]) == (
        75, 75, 75, 2,
    )  # fmt: skip
