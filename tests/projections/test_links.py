"""Links as operators see them."""

from datetime import timedelta

import pytest
from support.histories import CONFIGURED, DELIVERED, T0, T0_S, record, record_messages, rows_of

from signalbox.domain.link import LinkRemoved, LinkToggled
from signalbox.domain.names import Event
from signalbox.domain.session import (
    BindRefused,
    LinkBound,
    LinkClaimed,
    LinkLost,
    LinkThrottled,
)
from signalbox.eventstore.log import EventLog
from signalbox.projections.building import build
from signalbox.projections.links import LinkRow
from signalbox.projections.projector import Projector
from signalbox.projections.readers import ReadModels

CLAIMED = LinkClaimed("relay-1", 1)
BOUND = LinkBound("smsc")


@pytest.mark.parametrize(
    ("session", "status", "reason"),
    [
        ((), "DOWN", ""),
        ((CLAIMED,), "CONNECTING", ""),
        ((CLAIMED, BOUND), "LOADED", ""),
        ((CLAIMED, BOUND, LinkThrottled(5.0, 0.5)), "THROTTLED", ""),
        ((CLAIMED, BOUND, LinkThrottled(1.0, 0.5)), "LOADED", ""),
        ((CLAIMED, BOUND, LinkLost("cut", 2.0)), "CONNECTING", "cut"),
        ((CLAIMED, BOUND, LinkLost("stopped", 0.0)), "DOWN", "stopped"),
        ((CLAIMED, BindRefused("ESME_RBINDFAIL", 9.0)), "CONNECTING", "ESME_RBINDFAIL"),
    ],
)
def test_a_link_has_one_word_for_its_state(
    event_log: EventLog,
    projector: Projector,
    models: ReadModels,
    session: tuple[Event, ...],
    status: str,
    reason: str,
) -> None:
    record(event_log, "link-1", CONFIGURED)
    if session:
        record(event_log, "link-1-2026-11-21", *session)
    build(projector)
    (link,) = models.links()
    assert (link.status, link.reason) == (status, reason)


def test_a_link_that_is_switched_off_is_disabled_whatever_its_session(
    event_log: EventLog, projector: Projector, models: ReadModels
) -> None:
    record(event_log, "link-1", CONFIGURED)
    record(event_log, "link-1-2026-11-21", CLAIMED, BOUND)
    record(event_log, "link-1", LinkToggled(enabled=False), first_version=2)
    build(projector)
    (link,) = models.links()
    assert (link.status, link.bind_state, link.enabled) == ("DISABLED", "bound", False)


def test_a_link_that_was_removed_is_not_shown_until_it_comes_back(
    event_log: EventLog, projector: Projector, models: ReadModels
) -> None:
    record(event_log, "link-1", CONFIGURED, LinkToggled(enabled=False), LinkRemoved())
    build(projector)
    assert models.links() == []
    record(event_log, "link-1", CONFIGURED, first_version=4)
    projector.advance()
    (link,) = models.links()
    assert (link.name, link.status, link.enabled) == ("north", "DOWN", True)


def test_links_are_shown_as_configured_by_number(
    event_log: EventLog, projector: Projector, models: ReadModels
) -> None:
    record(event_log, "link-10", CONFIGURED)
    record(event_log, "link-2", CONFIGURED)
    build(projector)
    assert models.links()[0] == LinkRow(
        id=2,
        name="north",
        host="smsc.example",
        port=2775,
        system_id="box",
        system_type="",
        response_timeout_s=5,
        enabled=True,
        bind_state="down",
        status="DOWN",
        reason="",
        current_tps=0,
        limit_tps=50,
    )
    assert [link.id for link in models.links()] == [2, 10]


def test_the_rate_is_that_of_the_last_full_second(
    event_log: EventLog, projector: Projector
) -> None:
    record(event_log, "link-1", CONFIGURED)
    record_messages(event_log, 25)  # ten a second
    build(projector)

    def rate(now_s: float) -> int:
        return ReadModels(event_log, now_s=lambda: now_s).links()[0].current_tps

    assert [rate(T0_S + second + 0.9) for second in range(5)] == [0, 10, 10, 5, 0]


def test_seconds_older_than_a_minute_are_forgotten(
    event_log: EventLog, projector: Projector
) -> None:
    for second in (0, 1, 61):
        at = T0 + timedelta(seconds=second)
        record(event_log, f"message-{second}", *DELIVERED, at=at)
    build(projector)
    kept = [f"(1,{T0_S + second},1)" for second in (1, 61)]
    assert rows_of(event_log)["link_seconds"] == [(row,) for row in kept]
