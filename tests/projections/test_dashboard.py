"""The dashboard's figures."""

from datetime import timedelta

from support.histories import DELIVERED, T0, T0_S, accepted, receipt, record, rows_of

from signalbox.domain.account import AppRegistered
from signalbox.domain.inbound import MoPartReceived, MoReceived
from signalbox.domain.message import (
    MessageSubmitted,
    SubmitAttempted,
    SubmitOutcomeUnknown,
    SubmitRefused,
)
from signalbox.eventstore.log import EventLog
from signalbox.projections.activity import Minute
from signalbox.projections.building import build
from signalbox.projections.dashboard import Figures
from signalbox.projections.projector import Projector
from signalbox.projections.readers import ReadModels

MO_PART = MoPartReceived(link_id=1, source="1", destination="2", text="3", number=1, total=1)
MO = MoReceived(link_id=1, source="1", destination="2", text="3", parts=1)
REFUSED = SubmitRefused(1, 0x0B, "ESME_RINVDSTADR (0x0B)", None)


def test_an_empty_log_has_no_figures(projector: Projector, models: ReadModels) -> None:
    build(projector)
    assert models.figures() == Figures()


def test_every_figure_counts_its_events(
    event_log: EventLog, projector: Projector, models: ReadModels
) -> None:
    attempted = SubmitAttempted(1, 1, 1)
    record(event_log, "app-3", AppRegistered(name="a", secret_sealed="", secret_fingerprint=""))
    record(event_log, "message-1", *DELIVERED)
    record(event_log, "message-2", accepted(), attempted, REFUSED)
    record(
        event_log,
        "message-3",
        accepted(),
        attempted,
        SubmitRefused(1, 0x58, "ESME_RTHROTTLED (0x58)", 1.0),
        SubmitOutcomeUnknown(1, "connection lost", "resend"),
        SubmitOutcomeUnknown(1, "connection lost", "fail"),
        MessageSubmitted(1, "id", 1),
        receipt("enroute"),
        receipt("undeliverable"),
    )
    record(event_log, "mo-1", MO_PART, MO)
    build(projector)
    assert models.figures() == Figures(
        accepted=3,
        submitted=2,
        delivered=1,
        undelivered=1,
        failed=2,
        in_doubt=2,
        receipts=3,
        mo=1,
        applications=1,
        minutes=(
            Minute(T0_S, accepted=3, submitted=2, delivered=1, undelivered=1, sent=2, failed=2),
        ),
    )


def test_the_minutes_of_an_hour_are_shown_and_some_more_kept(
    event_log: EventLog, projector: Projector
) -> None:
    for minute in range(80):
        at = T0 + timedelta(minutes=minute)
        record(event_log, f"message-{minute}", accepted(), at=at)
    build(projector)
    assert len(rows_of(event_log)["minutes"]) == 75
    models = ReadModels(event_log, now_s=lambda: T0_S + 79 * 60 + 59)
    minutes = models.figures().minutes
    assert minutes[0] == Minute(T0_S + 20 * 60, accepted=1)
    assert minutes[-1] == Minute(T0_S + 79 * 60, accepted=1)
    assert len(minutes) == 60


def test_an_hour_without_events_shows_no_minutes(event_log: EventLog, projector: Projector) -> None:
    record(event_log, "message-1", accepted())
    build(projector)
    models = ReadModels(event_log, now_s=lambda: T0_S + 3600)
    assert models.figures() == Figures(accepted=1)
