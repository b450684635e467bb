"""What became of the messages of campaigns."""

from collections.abc import Sequence
from datetime import timedelta

import pytest
from psycopg.rows import tuple_row
from support.histories import T0, accepted, receipt, record, rows_of

from signalbox.domain.message import (
    MessageSubmitted,
    Part,
    SubmitAttempted,
    SubmitOutcomeUnknown,
    SubmitRefused,
)
from signalbox.domain.names import Event
from signalbox.eventstore.log import EventLog
from signalbox.projections import campaigns
from signalbox.projections.building import build, rebuild
from signalbox.projections.campaigns import Campaign, Campaigns, TooFarBackError
from signalbox.projections.models import PROJECTIONS
from signalbox.projections.outcomes import Settled, outcome_of
from signalbox.projections.projection import use
from signalbox.projections.projector import Projector
from signalbox.projections.readers import ReadModels

FINAL = SubmitRefused(1, 0x0B, "ESME_RINVDSTADR (0x0B)", None)
FINAL_2 = SubmitRefused(2, 0x0B, "ESME_RINVDSTADR (0x0B)", None)
SUBMITTED, SUBMITTED_2 = MessageSubmitted(1, "id-1", 1), MessageSubmitted(2, "id-2", 1)
HELD = SubmitOutcomeUnknown(1, "connection lost", "hold")
GIVEN_UP = SubmitOutcomeUnknown(1, "connection lost", "fail")
ONE = (accepted(campaign="c"), SubmitAttempted(1, 1, 1))
TWO = (accepted(campaign="c", parts=2), SubmitAttempted(1, 1, 1), SubmitAttempted(2, 1, 1))


def campaign(**counts: int) -> Campaign:
    zero = {"sent": 0, "failed": 0, "partial": 0}
    return Campaign(3, 1, "c", **{**zero, **counts})


@pytest.mark.parametrize(
    ("history", "shown"),
    [
        (ONE, None),
        ((*ONE, SUBMITTED), campaign(sent=1)),
        ((*ONE, SUBMITTED, receipt("undeliverable")), campaign(sent=1)),
        ((*ONE, SubmitRefused(1, 0x58, "ESME_RTHROTTLED (0x58)", 1.0)), None),
        ((*ONE, FINAL), campaign(failed=1)),
        ((*ONE, GIVEN_UP), campaign(failed=1)),
        ((*ONE, GIVEN_UP, SUBMITTED), campaign(sent=1)),
        ((*ONE, GIVEN_UP, receipt("delivered")), campaign(sent=1)),
        ((*ONE, HELD), None),
        ((*ONE, HELD, receipt("unknown")), campaign(sent=1)),
        ((*ONE, HELD, SUBMITTED), campaign(sent=1)),
        ((*TWO, SUBMITTED), None),
        ((*TWO, SUBMITTED, SUBMITTED_2), campaign(sent=1)),
        ((*TWO, SUBMITTED, FINAL_2), campaign(partial=1)),
        ((*TWO, HELD, FINAL_2), None),
        ((*TWO, FINAL, FINAL_2), campaign(failed=1)),
        ((*TWO, GIVEN_UP, FINAL_2, SUBMITTED), campaign(partial=1)),
        ((*TWO, GIVEN_UP, FINAL_2, SUBMITTED, receipt("delivered", 2)), campaign(sent=1)),
    ],
)
@pytest.mark.parametrize("batch", [1, 100])
def test_a_message_counts_once_and_by_what_became_of_it_in_the_end(
    event_log: EventLog, history: Sequence[Event], shown: Campaign | None, batch: int
) -> None:
    record(event_log, "message-1", *history)
    rebuild(event_log, PROJECTIONS, batch_events_max=batch)
    found = ReadModels(event_log).campaigns(0, 10)
    assert found == (Campaigns((shown,), 1) if shown else Campaigns())


def test_a_message_without_parts_in_doubt_is_decided() -> None:
    assert outcome_of([Part("failed"), Part("expired"), Part("pending")]) is None
    assert outcome_of([Part("failed"), Part("expired")]) == "partial"
    assert outcome_of([Part("failed", smsc_id="late"), Part("delivered")]) == "sent"


def test_applications_and_links_have_campaigns_of_their_own(
    event_log: EventLog, projector: Projector, models: ReadModels
) -> None:
    owners = [(3, 1), (3, 2), (4, 1)]
    for number, (app_id, link_id) in enumerate(owners):
        event = accepted(campaign="c", app_id=app_id, link_id=link_id)
        record(event_log, f"message-{number}", event, *ONE[1:], SUBMITTED)
    build(projector)
    found = models.campaigns(0, 10)
    assert found.total == 3
    assert {(row.app_id, row.link_id) for row in found.rows} == set(owners)


def test_another_link_of_the_pool_does_not_change_the_campaign(
    event_log: EventLog, projector: Projector, models: ReadModels
) -> None:
    record(event_log, "message-1", accepted(campaign="c", carrier_id=2), *ONE[1:], SUBMITTED)
    build(projector)
    assert models.campaigns(0, 10).rows == (campaign(sent=1),)


def test_pages_follow_the_last_change_then_the_name(
    event_log: EventLog, projector: Projector, models: ReadModels
) -> None:
    for number, name in enumerate(["a", "d", "c", "b", "e", "a"]):
        at = T0 + timedelta(minutes=number if name not in {"b", "c", "d"} else 2)
        told = (accepted(campaign=name), *ONE[1:], SUBMITTED)
        record(event_log, f"message-{number}", *told, at=at)
    build(projector)
    names = [row.name for row in models.campaigns(0, 10).rows]
    assert names == ["a", "e", "b", "c", "d"]
    pages = [models.campaigns(offset, 2) for offset in (0, 2, 4, 6, 10**18)]
    assert [[row.name for row in page.rows] for page in pages] == [
        ["a", "e"],
        ["b", "c"],
        ["d"],
        [],
        [],
    ]
    assert {page.total for page in pages} == {5}


def test_receipts_and_waiting_messages_do_not_move_a_campaign_forward(
    event_log: EventLog, projector: Projector, models: ReadModels
) -> None:
    late = T0 + timedelta(hours=1)
    later = late + timedelta(hours=1)
    record(event_log, "message-1", accepted(campaign="old"), *ONE[1:], SUBMITTED)
    record(event_log, "message-2", accepted(campaign="new"), *ONE[1:], SUBMITTED, at=late)
    record(event_log, "message-1", receipt("delivered"), at=later, first_version=4)
    record(event_log, "message-3", accepted(campaign="old"), at=later)
    build(projector)
    assert [row.name for row in models.campaigns(0, 10).rows] == ["new", "old"]


def test_the_number_of_campaigns_is_the_number_of_rows(
    event_log: EventLog, projector: Projector, models: ReadModels
) -> None:
    for number in range(40):
        told = (accepted(campaign=f"c{number % 17}"), *ONE[1:], GIVEN_UP, SUBMITTED)
        record(event_log, f"message-{number}", *told)
    build(projector)
    assert models.campaigns(0, 1).total == len(rows_of(event_log)["campaigns"]) == 17


def test_the_top_are_the_biggest_and_of_the_single_ones_the_newest(
    event_log: EventLog, projector: Projector, models: ReadModels
) -> None:
    for number in range(25):
        name = {0: "big", 1: "big", 2: "big", 3: "less", 4: "less"}.get(number, f"one-{number}")
        at = T0 + timedelta(seconds=number)
        record(event_log, f"message-{number}", accepted(campaign=name), *ONE[1:], SUBMITTED, at=at)
    record(event_log, "message-p", *TWO, SUBMITTED, FINAL_2, at=T0 + timedelta(hours=1))
    build(projector)
    top = models.statistics().top
    assert [(one.name, one.total) for one in top] == [
        ("big", 3),
        ("less", 2),
        *((f"one-{number}", 1) for number in range(24, 16, -1)),
    ]


def test_no_page_goes_through_millions(event_log: EventLog, projector: Projector) -> None:
    build(projector)
    with event_log.pool.connection() as connection:
        connection.execute("INSERT INTO signalbox_read.campaigns_count VALUES (1, 5000000)")
    models = ReadModels(event_log)
    assert models.campaigns(campaigns.OFFSET_MAX, 100).rows == ()
    with pytest.raises(TooFarBackError):
        models.campaigns(campaigns.OFFSET_MAX + 1, 100)


def test_neither_list_reads_the_whole_table(event_log: EventLog, projector: Projector) -> None:
    build(projector)
    settled = [
        Settled(3, 1, f"c{number % 4000}" if number < 400 else f"c{number}", None, "sent", number)
        for number in range(20_000)
    ]
    with event_log.pool.connection() as connection, connection.cursor(row_factory=tuple_row) as at:
        with connection.transaction():
            use(at, "signalbox_read")
            campaigns.count(at, [*settled, *settled[:300]])
        at.execute("ANALYZE signalbox_read.campaigns")
        for query, values in [
            (campaigns._PAGE, (1000, 50)),  # noqa: SLF001
            (campaigns._BIGGEST, (10,)),  # noqa: SLF001
            (campaigns._NEWEST_SINGLE, (10,)),  # noqa: SLF001
        ]:
            with connection.transaction():
                use(at, "signalbox_read")
                plan = str(at.execute(f"EXPLAIN {query}".encode(), values).fetchall())
            assert "Seq Scan" not in plan, plan
