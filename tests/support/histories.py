"""Histories for the read models: events written at times of the test's choosing."""

from datetime import UTC, datetime, timedelta
from typing import Any, Final

from psycopg import sql
from psycopg.rows import tuple_row

from signalbox.domain.link import LinkConfigured, LinkSpec
from signalbox.domain.message import (
    MessageAccepted,
    MessageSubmitted,
    ReceiptRecorded,
    SubmitAttempted,
)
from signalbox.domain.names import Event
from signalbox.domain.receipts import PartStatus
from signalbox.eventstore.log import EventLog
from signalbox.eventstore.mapper import Recorded
from signalbox.projections.projection import SCHEMA

T0: Final = datetime(2026, 11, 21, 14, 30, tzinfo=UTC)
T0_S: Final = int(T0.timestamp())

CONFIGURED: Final = LinkConfigured(
    LinkSpec(name="north", host="smsc.example", port=2775, system_id="box", tps=50)
)


def accepted(
    *,
    parts: int = 1,
    transaction_id: str = "tx-1",
    task_id: int = 7,
    **fields: Any,  # noqa: ANN401  whatever the event has
) -> MessageAccepted:
    whole: dict[str, Any] = {
        "link_id": 1,
        "app_id": 3,
        "task_id": task_id,
        "source": "Signalbox",
        "destination": "4915112345001",
        "text": "a secret text",
        "encoding": "gsm7",
        "long_mode": "udh8",
        "parts": parts,
        "transaction_id": transaction_id,
    }
    return MessageAccepted(**{**whole, **fields})


def receipt(status: PartStatus, part: int = 1) -> ReceiptRecorded:
    return ReceiptRecorded(part, f"id-{part}", status, status.upper(), "000", "2611211430")


DELIVERED: Final = (
    accepted(),
    SubmitAttempted(1, 1, 1),
    MessageSubmitted(1, "id-1", 1),
    receipt("delivered"),
)


def record(
    log: EventLog, stream: str, *events: Event, at: datetime = T0, first_version: int = 1
) -> int:
    """Write events that happened `at` a time; return the position of the last one."""
    stored = [
        log.codec.to_stored_event(
            Recorded(
                stream_id=stream,
                version=version,
                event=event,
                at=at,
                tenant_id="app-3",
                by="app-3",
            )
        )
        for version, event in enumerate(events, start=first_version)
    ]
    positions = log.journal_recorder.insert_events(stored)
    assert positions
    return positions[-1]


def record_messages(log: EventLog, count: int, first: int = 0) -> int:
    """Write delivered messages, one each 100 ms; return the position of the last event."""
    position = 0
    for number in range(first, first + count):
        at = T0 + timedelta(milliseconds=100 * number)
        position = record(log, f"message-{number:04}", *DELIVERED, at=at)
    return position


def rows_of(log: EventLog, schema: str = SCHEMA) -> dict[str, list[tuple[Any, ...]]]:
    """Return all rows of all read models, the position aside."""
    with log.pool.connection() as connection, connection.cursor(row_factory=tuple_row) as cursor:
        names = cursor.execute(
            "SELECT tablename FROM pg_tables WHERE schemaname = %s AND tablename <> 'tracking'"
            " ORDER BY tablename",
            (schema,),
        ).fetchall()
        select = sql.SQL("SELECT t::text FROM {} AS t ORDER BY 1")
        return {
            name: cursor.execute(select.format(sql.Identifier(schema, name))).fetchall()
            for (name,) in names
        }


def dead_letters(log: EventLog) -> list[tuple[str, int]]:
    """Return who set which position aside."""
    with log.pool.connection() as connection, connection.cursor(row_factory=tuple_row) as cursor:
        cursor.execute("SELECT reader, subject::bigint FROM signalbox.dead_letters ORDER BY 1, 2")
        return cursor.fetchall()
