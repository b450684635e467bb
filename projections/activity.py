"""Read models `minutes`, `link_minutes` and `seconds`: what happened lately, and how much of it.

They count events, so a part that is submitted again counts again, and a message of five parts is
accepted once and submitted five times. What became of whole messages in each minute is added from
`outcomes`.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, LiteralString

from signalbox.domain.message import MessageAccepted, MessageSubmitted, ReceiptRecorded
from signalbox.domain.receipts import FINAL
from signalbox.domain.rejection import MessageRejected
from signalbox.projections import outcomes
from signalbox.projections.outcomes import MINUTE_S, MINUTES_KEPT
from signalbox.projections.projection import Projection

if TYPE_CHECKING:
    from collections.abc import Sequence

    from signalbox.domain.names import Event
    from signalbox.eventstore.mapper import Recorded
    from signalbox.projections.projection import Cursor

SECONDS_KEPT: Final = 120

TABLES: Final[LiteralString] = """
    CREATE TABLE minutes (
        minute bigint PRIMARY KEY,
        accepted integer NOT NULL,
        rejected integer NOT NULL,
        submitted integer NOT NULL,
        delivered integer NOT NULL,
        undelivered integer NOT NULL
    );
    CREATE TABLE link_minutes (
        minute bigint NOT NULL,
        link_id integer NOT NULL,
        submitted integer NOT NULL,
        PRIMARY KEY (minute, link_id)
    );
    CREATE TABLE seconds (
        second bigint PRIMARY KEY,
        requests integer NOT NULL
    );
"""
_ADD_MINUTES: Final[LiteralString] = """
    INSERT INTO minutes (minute, accepted, rejected, submitted, delivered, undelivered)
    SELECT * FROM unnest(%b::bigint[], %b::int[], %b::int[], %b::int[], %b::int[], %b::int[])
    ON CONFLICT (minute) DO UPDATE
    SET accepted = minutes.accepted + EXCLUDED.accepted,
        rejected = minutes.rejected + EXCLUDED.rejected,
        submitted = minutes.submitted + EXCLUDED.submitted,
        delivered = minutes.delivered + EXCLUDED.delivered,
        undelivered = minutes.undelivered + EXCLUDED.undelivered
"""
_PRUNE_MINUTES: Final[LiteralString] = """
    DELETE FROM minutes WHERE minute <= (SELECT max(minute) FROM minutes) - %s
"""
_ADD_LINK_MINUTES: Final[LiteralString] = """
    INSERT INTO link_minutes (minute, link_id, submitted)
    SELECT * FROM unnest(%b::bigint[], %b::int[], %b::int[])
    ON CONFLICT (minute, link_id) DO UPDATE
    SET submitted = link_minutes.submitted + EXCLUDED.submitted
"""
_PRUNE_LINK_MINUTES: Final[LiteralString] = """
    DELETE FROM link_minutes WHERE minute <= (SELECT max(minute) FROM link_minutes) - %s
"""
_ADD_SECONDS: Final[LiteralString] = """
    INSERT INTO seconds (second, requests) SELECT * FROM unnest(%b::bigint[], %b::int[])
    ON CONFLICT (second) DO UPDATE SET requests = seconds.requests + EXCLUDED.requests
"""
_PRUNE_SECONDS: Final[LiteralString] = """
    DELETE FROM seconds WHERE second <= (SELECT max(second) FROM seconds) - %s
"""
_FIND_MINUTES: Final[LiteralString] = """
    SELECT minute, accepted, rejected, submitted, delivered, undelivered FROM minutes
    WHERE minute > %s AND minute <= %s
"""
_FIND_LINK_MINUTES: Final[LiteralString] = """
    SELECT minute, link_id, submitted FROM link_minutes
    WHERE minute > %s AND minute <= %s ORDER BY minute, link_id
"""
_SUM_SECONDS: Final[LiteralString] = """
    SELECT coalesce(sum(requests), 0)::bigint FROM seconds WHERE second >= %s AND second < %s
"""


@dataclass(frozen=True, slots=True)
class Minute:
    """What happened in a minute that began at `start_s`.

    Messages were accepted, rejected by a filter, and had their outcome: sent, failed, or partial.
    Parts were submitted, and receipts said that they were delivered or that they weren't.
    """

    start_s: int
    accepted: int = 0
    rejected: int = 0
    submitted: int = 0
    delivered: int = 0
    undelivered: int = 0
    sent: int = 0
    failed: int = 0
    partial: int = 0

    @property
    def requests(self) -> int:
        """How many messages somebody wanted to send."""
        return self.accepted + self.rejected

    @property
    def errors(self) -> int:
        """How many messages failed or were rejected, each once."""
        return self.failed + self.rejected


@dataclass(frozen=True, slots=True)
class LinkMinute:
    """The parts the SMSC accepted from a link in a minute that began at `start_s`."""

    start_s: int
    link_id: int
    submitted: int


def find_minutes(cursor: Cursor, last: int, count: int) -> tuple[Minute, ...]:
    """Return `count` minutes up to the number `last`, oldest first, empty ones too."""
    events = {row[0]: row[1:] for row in cursor.execute(_FIND_MINUTES, (last - count, last))}
    ends = outcomes.find(cursor, last - count, last)
    numbers = range(last - count + 1, last + 1)
    return tuple(
        Minute(number * MINUTE_S, *(*events.get(number, (0,) * 5), *ends.get(number, (0,) * 3)))
        for number in numbers
    )


def find_link_minutes(cursor: Cursor, last: int, count: int) -> tuple[LinkMinute, ...]:
    """Return what each link submitted in those minutes, where it was anything."""
    rows = cursor.execute(_FIND_LINK_MINUTES, (last - count, last))
    return tuple(LinkMinute(minute * MINUTE_S, link_id, parts) for minute, link_id, parts in rows)


def count_requests(cursor: Cursor, until_s: int, seconds: int) -> int:
    """Return how many messages somebody wanted to send in the seconds before `until_s`."""
    row = cursor.execute(_SUM_SECONDS, (until_s - seconds, until_s)).fetchone()
    assert row is not None
    return int(row[0])


def _apply(cursor: Cursor, batch: Sequence[Recorded]) -> None:
    minutes: Counter[tuple[int, str]] = Counter()
    link_minutes: Counter[tuple[int, int]] = Counter()
    seconds: Counter[int] = Counter()
    for recorded in batch:
        minute = int(recorded.at_s // MINUTE_S)
        minutes[minute, _column(recorded.event)] += 1
        match recorded.event:
            case MessageSubmitted(link_id=link_id):
                link_minutes[minute, link_id] += 1
            case MessageAccepted() | MessageRejected():
                seconds[int(recorded.at_s)] += 1
    _add_minutes(cursor, minutes)
    if link_minutes:
        starts, links = zip(*link_minutes, strict=True)
        cursor.execute(_ADD_LINK_MINUTES, ([*starts], [*links], [*link_minutes.values()]))
        cursor.execute(_PRUNE_LINK_MINUTES, (MINUTES_KEPT,))
    if seconds:
        cursor.execute(_ADD_SECONDS, ([*seconds], [*seconds.values()]))
        cursor.execute(_PRUNE_SECONDS, (SECONDS_KEPT,))


def _add_minutes(cursor: Cursor, counted: Counter[tuple[int, str]]) -> None:
    starts = sorted({start for start, name in counted if name})
    if starts:
        columns = [[counted[start, name] for start in starts] for name in _COLUMNS]
        cursor.execute(_ADD_MINUTES, (starts, *columns))
        cursor.execute(_PRUNE_MINUTES, (MINUTES_KEPT,))


_COLUMNS: Final = ("accepted", "rejected", "submitted", "delivered", "undelivered")


def _column(event: Event) -> str:
    """Return the column that counts an event, nothing for a receipt that is not final."""
    match event:
        case MessageAccepted():
            return "accepted"
        case MessageRejected():
            return "rejected"
        case MessageSubmitted():
            return "submitted"
        case ReceiptRecorded(status="delivered"):
            return "delivered"
        case ReceiptRecorded(status=status) if status in FINAL:
            return "undelivered"
    return ""


PROJECTION: Final = Projection(
    "activity",
    (MessageAccepted, MessageRejected, MessageSubmitted, ReceiptRecorded),
    TABLES,
    _apply,
)
