"""Messages as their senders see them."""

from dataclasses import replace
from datetime import timedelta

import pytest
from support.histories import DELIVERED, T0, T0_S, accepted, receipt, record, rows_of

from signalbox.domain.message import (
    MessageSubmitted,
    SubmitAttempted,
    SubmitOutcomeUnknown,
    SubmitRefused,
)
from signalbox.domain.names import Event
from signalbox.eventstore.log import EventLog
from signalbox.projections.building import build
from signalbox.projections.messages import MessageInfo
from signalbox.projections.projector import Projector
from signalbox.projections.readers import ReadModels

ATTEMPTED = SubmitAttempted(1, 1, 1)
SUBMITTED = MessageSubmitted(1, "id-1", 1)


@pytest.fixture
def told(event_log: EventLog, projector: Projector, models: ReadModels) -> "Told":
    return Told(event_log, projector, models)


class Told:
    """Tells a message's story and returns what the read model makes of it."""

    def __init__(self, log: EventLog, projector: Projector, models: ReadModels) -> None:
        self._log, self._projector, self._models = log, projector, models

    def __call__(self, *events: Event) -> MessageInfo:
        """Record the events, ten seconds apart, and return the message."""
        for version, event in enumerate(events, start=1):
            at = T0 + timedelta(seconds=10 * version)
            record(self._log, "message-m", event, at=at, first_version=version)
        build(self._projector)
        found = self._models.message("m", app_id=3, link_id=1)
        assert found is not None
        return found


def test_a_delivered_message_tells_its_whole_life(told: Told) -> None:
    message = told(*DELIVERED)
    assert (message.status, message.delivered_count) == ("delivered", 1)
    assert (message.accepted_at_s, message.sent_at_s, message.updated_at_s) == (
        T0_S + 10,
        T0_S + 30,
        T0_S + 40,
    )
    assert (message.task_id, message.transaction_id, message.mode) == (7, "tx-1", "submit_sm")
    assert [(part.status, part.smsc_id) for part in message.parts] == [("delivered", "id-1")]


def test_a_message_that_waits_was_not_sent(told: Told) -> None:
    message = told(accepted())
    assert (message.status, message.sent_at_s, message.error) == ("queued", 0, "")


def test_each_part_has_its_own_fate(told: Told) -> None:
    refused = SubmitRefused(2, 0x0B, "ESME_RINVDSTADR (0x0B)", None)
    message = told(
        accepted(parts=2),
        ATTEMPTED,
        SUBMITTED,
        SubmitAttempted(2, 1, 1),
        refused,
        receipt("delivered"),
    )
    assert [part.status for part in message.parts] == ["delivered", "failed"]
    assert message.status == "partially_delivered"
    assert message.error == "ESME_RINVDSTADR (0x0B)"


def test_a_refusal_that_is_retried_is_no_error_of_the_message(told: Told) -> None:
    message = told(accepted(), ATTEMPTED, SubmitRefused(1, 0x58, "ESME_RTHROTTLED (0x58)", 5.0))
    assert (message.status, message.error) == ("queued", "")


def test_a_part_in_doubt_says_why(told: Told) -> None:
    message = told(accepted(), ATTEMPTED, SubmitOutcomeUnknown(1, "connection lost", "hold"))
    assert (message.status, message.error) == ("unknown", "connection lost")


def test_the_carrying_link_is_the_last_that_tried(told: Told) -> None:
    message = told(accepted(), ATTEMPTED, replace(ATTEMPTED, attempt=2, link_id=2))
    assert (message.link_id, message.carrier_id) == (1, 2)


@pytest.mark.parametrize(("app_id", "link_id"), [(4, 1), (3, 2)])
def test_a_message_of_another_application_or_link_does_not_exist(
    told: Told, models: ReadModels, app_id: int, link_id: int
) -> None:
    told(*DELIVERED)
    assert models.message("m", app_id=app_id, link_id=link_id) is None


def test_no_personal_content_gets_into_the_read_models(told: Told, event_log: EventLog) -> None:
    told(*DELIVERED)
    everything = str(rows_of(event_log))
    assert "tx-1" in everything
    assert "a secret text" not in everything
    assert "4915112345001" not in everything
