"""Short histories for tests of the log: appends to make, and what Postgres says of them after."""

from collections.abc import Sequence
from typing import Any

import psycopg

from signalbox.domain.inbound import MoReceived
from signalbox.domain.link import LinkToggled
from signalbox.domain.names import Event
from signalbox.eventstore.journal import Append, Write

ON, OFF = LinkToggled(enabled=True), LinkToggled(enabled=False)


def append(
    stream_id: str,
    version: int = 1,
    events: Sequence[Event] = (ON,),
    **beside: Any,  # noqa: ANN401  whatever an Append takes
) -> Append:
    """Return an append of events to one stream."""
    return Append(writes=[Write(stream_id, version, events)], **beside)


def text_from_handset(text: str) -> MoReceived:
    """Return an event with personal content."""
    return MoReceived(
        link_id=1, source="491700000001", destination="4915112345", text=text, parts=1
    )


def rows(url: str, query: str, *values: object) -> list[tuple[Any, ...]]:
    """Run a query on a connection of its own."""
    with psycopg.connect(url, autocommit=True) as connection:
        return connection.execute(query.encode(), values or None).fetchall()


def stored(url: str) -> list[tuple[str, int]]:
    """Return stream and version of every stored event, in the order of the log."""
    query = "SELECT originator_id, originator_version FROM signalbox.stored_events"
    return rows(url, f"{query} ORDER BY notification_id")


def transactions(url: str) -> int:
    """Return how many transactions wrote what is in the log."""
    ((number,),) = rows(url, "SELECT count(DISTINCT xmin::text) FROM signalbox.stored_events")
    return int(number)


def backend_of(url: str, purpose: str) -> int:
    """Return the process id of the server process behind `signalbox <purpose>`."""
    ((pid,),) = rows(
        url,
        "SELECT pid FROM pg_stat_activity"
        " WHERE datname = current_database() AND application_name = %s",
        f"signalbox {purpose}",
    )
    return int(pid)
