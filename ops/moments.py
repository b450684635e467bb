"""A place in the log as an operator names it: a position, or a time.

Positions have gaps, times are those of the processes that wrote: both only find the events before
and after. A time finds its position by bisection, so that a long log is not read for it.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from signalbox.eventstore.mapper import read_envelope
from signalbox.ops.settings import SettingsError

if TYPE_CHECKING:
    from signalbox.eventstore.log import EventLog


def parse(option: str, text: str) -> int | datetime:
    """Read a position or an ISO 8601 time, UTC unless it says otherwise.

    >>> parse("--until", "2026-11-21T14:30Z")
    datetime.datetime(2026, 11, 21, 14, 30, tzinfo=datetime.timezone.utc)

    Raises:
        SettingsError: it is neither.
    """
    if text.isascii() and text.isdigit():
        return int(text)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise SettingsError(
            f"{option}: expected a position or a time like 2026-11-21T14:30:00Z, got {text!r}"
        ) from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def last_position(log: EventLog, until: int | datetime) -> int:
    """Return the last position of what happened up to and including `until`, 0 for nothing."""
    return until if isinstance(until, int) else _bisect(log, until, including=True)


def last_position_before(log: EventLog, since: int | datetime) -> int:
    """Return the last position of what happened before `since`, 0 for nothing."""
    return since - 1 if isinstance(since, int) else _bisect(log, since, including=False)


def time_of(log: EventLog, position: int) -> datetime:
    """Return when the newest event up to `position` happened; 1970 when there is none."""
    found, at = _newest_up_to(log, position)
    return at if found else datetime.fromtimestamp(0, UTC)


def _bisect(log: EventLog, moment: datetime, *, including: bool) -> int:
    before, after = 0, log.head() + 1
    while after - before > 1:
        middle = (before + after) // 2
        position, at = _newest_up_to(log, middle)
        gap = position <= before
        if gap or at < moment or (including and at == moment):
            before = middle
        else:
            after = position
    return before


def _newest_up_to(log: EventLog, position: int) -> tuple[int, datetime]:
    with log.pool.connection() as connection:
        row = connection.execute(
            "SELECT notification_id, state FROM signalbox.stored_events"
            " WHERE notification_id <= %s ORDER BY notification_id DESC LIMIT 1",
            (position,),
        ).fetchone()
    if row is None:
        return 0, datetime.min.replace(tzinfo=UTC)
    return row["notification_id"], read_envelope(bytes(row["state"])).at
