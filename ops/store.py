"""Opening log and journal as the settings say; the same in every process."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from signalbox.eventstore.journal import Journal
from signalbox.eventstore.log import EventLog

if TYPE_CHECKING:
    from signalbox.ops.settings import Settings

ANSWER_SLACK_S: Final = 2.0


def open_log(settings: Settings) -> EventLog:
    """Connect, migrate where needed. Raises: `psycopg.OperationalError` when the store is away."""
    database = settings.database
    return EventLog(
        database.url,
        settings.secret_key,
        pool_connections_max=database.pool_connections_max,
        lock_timeout_s=database.lock_timeout_s,
        statement_timeout_s=database.statement_timeout_s,
    )


def open_journal(settings: Settings, log: EventLog) -> Journal:
    """Start the process's only writer."""
    journal = settings.journal
    return Journal(
        log,
        batch_events_max=journal.batch_events_max,
        waiting_appends_max=journal.waiting_appends_max,
        wait_s_max=journal.wait_s_max,
        # The server gives up first; only one that hangs as a whole is cut off.
        answer_s_max=settings.database.statement_timeout_s + ANSWER_SLACK_S,
    )
