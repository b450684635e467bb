"""Read models `phone_totals` and `phone_hours`: how many messages an owner's phones carried.

Totals tell in which status an owner's messages are, ever since its first. Hours count messages by
when they were accepted, so that a window of days is a sum of few rows and, where it begins within
an hour, of the messages of that hour's rest.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, LiteralString, NamedTuple, get_args

from signalbox.domain.phone_message import Status

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from signalbox.domain.phone_message import PhoneMessage
    from signalbox.projections.projection import Cursor

HOUR_S: Final = 3_600
DAY_S: Final = 24 * HOUR_S
WEEK_S: Final = 7 * DAY_S
HOURS_KEPT: Final = WEEK_S // HOUR_S + 24  # more than any window needs

STATUSES: Final[tuple[Status, ...]] = get_args(Status)
"""The columns of `phone_totals` are in the same order."""

TABLES: Final[LiteralString] = """
    CREATE TABLE phone_totals (
        owner text COLLATE "C" PRIMARY KEY,
        queued bigint NOT NULL,
        sending bigint NOT NULL,
        sent bigint NOT NULL,
        delivered bigint NOT NULL,
        failed bigint NOT NULL,
        received bigint NOT NULL
    );
    CREATE TABLE phone_hours (
        owner text COLLATE "C" NOT NULL,
        hour bigint NOT NULL,
        received bigint NOT NULL,
        sent bigint NOT NULL,
        PRIMARY KEY (owner, hour)
    );
    CREATE INDEX ON phone_hours (hour);
"""
_ADD_TOTALS: Final[LiteralString] = """
    INSERT INTO phone_totals AS t (owner, queued, sending, sent, delivered, failed, received)
    VALUES (%s, %s, %s, %s, %s, %s, %s)
    ON CONFLICT (owner) DO UPDATE
    SET queued = t.queued + EXCLUDED.queued, sending = t.sending + EXCLUDED.sending,
        sent = t.sent + EXCLUDED.sent, delivered = t.delivered + EXCLUDED.delivered,
        failed = t.failed + EXCLUDED.failed, received = t.received + EXCLUDED.received
"""
_ADD_HOURS: Final[LiteralString] = """
    INSERT INTO phone_hours AS h (owner, hour, received, sent) VALUES (%s, %s, %s, %s)
    ON CONFLICT (owner, hour) DO UPDATE
    SET received = h.received + EXCLUDED.received, sent = h.sent + EXCLUDED.sent
"""
_PRUNE: Final[LiteralString] = """
    DELETE FROM phone_hours WHERE hour < (SELECT max(hour) FROM phone_hours) - %s
"""
_FIND_TOTALS: Final[LiteralString] = """
    SELECT queued, sending, sent, delivered, failed, received FROM phone_totals WHERE owner = %s
"""
_SUM_TOTALS: Final[LiteralString] = """
    SELECT coalesce(sum(queued), 0)::bigint, coalesce(sum(sending), 0)::bigint,
           coalesce(sum(sent), 0)::bigint, coalesce(sum(delivered), 0)::bigint,
           coalesce(sum(failed), 0)::bigint, coalesce(sum(received), 0)::bigint
    FROM phone_totals
"""
_FIND_WINDOW: Final[LiteralString] = """
    SELECT coalesce(sum(received), 0)::bigint, coalesce(sum(sent), 0)::bigint FROM (
        SELECT received, sent FROM phone_hours WHERE owner = %(owner)s AND hour >= %(hour)s
        UNION ALL
        SELECT count(*) FILTER (WHERE direction = 'inbound'),
               count(*) FILTER (WHERE direction = 'outbound')
        FROM phone_messages
        WHERE owner = %(owner)s AND direction IN ('inbound', 'outbound')
          AND archived IN (false, true)
          AND accepted_at_s > %(since_s)s AND accepted_at_s < %(hour)s * 3600.0
    ) AS counted
"""


class Traffic(NamedTuple):
    """Messages that came from handsets, and that were accepted to be sent to them."""

    received: int
    sent: int


@dataclass(frozen=True, slots=True)
class PhoneStats:
    """What an owner's phones carried; the windows end now and roll with the clock.

    `total_sent` counts all that was accepted to be sent; `by_status` is what became of those, with
    every status of an outbound message.
    """

    total_received: int
    total_sent: int
    by_status: Mapping[str, int]
    last_24h: Traffic
    last_7d: Traffic


def count_states(cursor: Cursor, moves: Iterable[tuple[str, Status | None, Status | None]]) -> None:
    """Count messages that went from a status to another: of an owner, from None when it is new."""
    totals: dict[str, Counter[Status | None]] = defaultdict(Counter)
    for owner, before, after in moves:
        if before != after:
            totals[owner][before] -= 1
            totals[owner][after] += 1
    rows = [(owner, *(one[status] for status in STATUSES)) for owner, one in totals.items()]
    cursor.executemany(_ADD_TOTALS, rows)


def count_accepted(cursor: Cursor, messages: Iterable[PhoneMessage]) -> None:
    """Count new messages to the hours in which they were accepted."""
    counts = Counter((one.owner, _hour(one.accepted_at_s), one.direction) for one in messages)
    hours = {(owner, hour) for owner, hour, _ in counts}
    rows = [(*of, counts[*of, "inbound"], counts[*of, "outbound"]) for of in hours]
    if rows:
        cursor.executemany(_ADD_HOURS, rows)
        cursor.execute(_PRUNE, (HOURS_KEPT,))


def find_stats(cursor: Cursor, owner: str, now_s: float) -> PhoneStats:
    """Return what an owner's phones carried until `now_s` (Unix seconds)."""
    row = cursor.execute(_FIND_TOTALS, (owner,)).fetchone() or (0,) * len(STATUSES)
    by_status = dict(zip(STATUSES, row, strict=True))
    received = by_status.pop("received")
    return PhoneStats(
        total_received=received,
        total_sent=sum(by_status.values()),
        by_status={str(status): count for status, count in by_status.items()},
        last_24h=_window(cursor, owner, now_s - DAY_S),
        last_7d=_window(cursor, owner, now_s - WEEK_S),
    )


def find_totals(cursor: Cursor) -> dict[Status, int]:
    """Return how many messages of all owners are in which status."""
    row = cursor.execute(_SUM_TOTALS).fetchone()
    assert row is not None
    return dict(zip(STATUSES, row, strict=True))


def _window(cursor: Cursor, owner: str, since_s: float) -> Traffic:
    """Count what was accepted after a moment: the rest of its hour, and the hours behind that."""
    values = {"owner": owner, "since_s": since_s, "hour": _hour(since_s) + 1}
    row = cursor.execute(_FIND_WINDOW, values).fetchone()
    assert row is not None
    return Traffic(*row)


def _hour(at_s: float) -> int:
    return int(at_s // HOUR_S)
