"""Reading one's own writes, and not waiting for ever."""

from datetime import timedelta
from time import monotonic

import gevent
import pytest
from support.histories import T0, T0_S, accepted, record, record_messages

from signalbox.domain.account import PasswordRehashed
from signalbox.eventstore.errors import Unavailable
from signalbox.eventstore.log import EventLog
from signalbox.projections.building import build
from signalbox.projections.projector import Projector
from signalbox.projections.readers import ReadModels


def test_a_caller_reads_what_it_wrote(
    event_log: EventLog, projector: Projector, models: ReadModels
) -> None:
    position = record(event_log, "message-m", accepted())
    gevent.spawn_later(0.1, build, projector)
    assert models.wait_for(position)
    assert models.message("m", app_id=3, link_id=1)


def test_a_caller_does_not_wait_for_ever(
    event_log: EventLog, projector: Projector, models: ReadModels
) -> None:
    build(projector)
    position = record(event_log, "message-m", accepted())
    started_s = monotonic()
    assert not models.wait_for(position, timeout_s=0.1)
    assert 0.1 <= monotonic() - started_s < 3
    assert models.message("m", app_id=3, link_id=1) is None


def test_what_was_passed_once_needs_no_look(
    event_log: EventLog, projector: Projector, models: ReadModels
) -> None:
    position = record_messages(event_log, 1)
    build(projector)
    assert models.wait_for(position)
    event_log.pool.close()
    assert models.wait_for(position)


def test_many_who_wait_look_together(
    event_log: EventLog, projector: Projector, models: ReadModels, monkeypatch: pytest.MonkeyPatch
) -> None:
    build(projector)
    looks = []
    look = models._position  # noqa: SLF001

    def counted() -> int:
        looks.append(1)
        return look()

    monkeypatch.setattr(models, "_position", counted)
    position = record(event_log, "message-m", accepted())
    waiting = [gevent.spawn(models.wait_for, position, 0.2) for _ in range(200)]
    assert not any(greenlet.get() for greenlet in waiting)
    assert 2 <= len(looks) <= 25


def test_the_lag_is_the_age_of_the_oldest_event_that_waits(
    event_log: EventLog, projector: Projector
) -> None:
    models = ReadModels(event_log, now_s=lambda: T0_S + 60)
    record(event_log, "message-1", accepted(), at=T0 + timedelta(seconds=10))
    record(event_log, "message-2", accepted(), at=T0 + timedelta(seconds=20))
    assert models.lag_s() == 50
    build(projector)
    assert models.lag_s() == 0


def test_events_no_projection_needs_are_passed_too(
    event_log: EventLog, projector: Projector, models: ReadModels
) -> None:
    position = record(event_log, "user-1", PasswordRehashed(user_id=1, password_hash=""))
    build(projector)
    assert models.wait_for(position, timeout_s=0.1)


def test_before_the_first_projector_ran_nothing_can_be_read(event_log: EventLog) -> None:
    with pytest.raises(Unavailable, match="not built yet"):
        ReadModels(event_log).figures()
