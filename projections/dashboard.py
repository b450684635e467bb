"""Read model `totals`, what happened so far; and what the dashboard shows of this and others.

The totals count events, so a part that is submitted again counts again, and a message of five parts
is accepted once and submitted five times.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, LiteralString

from signalbox.domain.account import AppRegistered
from signalbox.domain.inbound import MoReceived
from signalbox.domain.message import (
    MessageAccepted,
    MessageSubmitted,
    ReceiptRecorded,
    SubmitOutcomeUnknown,
    SubmitRefused,
)
from signalbox.domain.receipts import FINAL
from signalbox.domain.rejection import MessageRejected
from signalbox.projections import activity, campaigns
from signalbox.projections.outcomes import MINUTE_S
from signalbox.projections.projection import Projection

if TYPE_CHECKING:
    from collections.abc import Sequence

    from signalbox.domain.names import Event
    from signalbox.eventstore.mapper import Recorded
    from signalbox.projections.activity import Minute
    from signalbox.projections.campaigns import Campaign
    from signalbox.projections.projection import Cursor

MINUTES_SHOWN: Final = 60
CURRENT_S: Final = 10  # full seconds that are the present
TOP_CAMPAIGNS: Final = 10

TABLES: Final[LiteralString] = """
    CREATE TABLE totals (
        name text PRIMARY KEY,
        total bigint NOT NULL
    );
"""
_ADD: Final[LiteralString] = """
    INSERT INTO totals (name, total) SELECT * FROM unnest(%b::text[], %b::bigint[])
    ON CONFLICT (name) DO UPDATE SET total = totals.total + EXCLUDED.total
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """Totals since the first event, and the minutes of the last hour that had any.

    `failed` are parts the SMSC refused for good or that were given up; what receipts said is
    `delivered` and `undelivered`. `rejected` are messages a filter turned away.
    """

    accepted: int = 0
    rejected: int = 0
    submitted: int = 0
    delivered: int = 0
    undelivered: int = 0
    failed: int = 0
    in_doubt: int = 0
    receipts: int = 0
    mo: int = 0
    applications: int = 0
    minutes: tuple[Minute, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Statistics:
    """The last hour at `now_s` (Unix seconds): every minute, oldest first; the last is running.

    `current_requests` are those of the last `CURRENT_S` full seconds, `top` the campaigns with the
    most messages.
    """

    now_s: float
    minutes: tuple[Minute, ...]
    current_requests: int = 0
    top: tuple[Campaign, ...] = ()


def find(cursor: Cursor, now_s: float) -> Figures:
    """Return the figures with the minutes of the hour before `now_s` (Unix seconds)."""
    totals: dict[str, int] = dict(cursor.execute("SELECT name, total FROM totals").fetchall())
    hour = activity.find_minutes(cursor, int(now_s // MINUTE_S), MINUTES_SHOWN)
    return Figures(**totals, minutes=tuple(m for m in hour if m != activity.Minute(m.start_s)))


def find_statistics(cursor: Cursor, now_s: float) -> Statistics:
    """Return the last hour at `now_s` (Unix seconds)."""
    return Statistics(
        now_s=now_s,
        minutes=activity.find_minutes(cursor, int(now_s // MINUTE_S), MINUTES_SHOWN),
        current_requests=activity.count_requests(cursor, int(now_s), CURRENT_S),
        top=campaigns.find_top(cursor, TOP_CAMPAIGNS),
    )


def _apply(cursor: Cursor, batch: Sequence[Recorded]) -> None:
    totals = Counter(name for recorded in batch for name in _counted(recorded.event))
    cursor.execute(_ADD, (list(totals), list(totals.values())))


def _counted(event: Event) -> tuple[str, ...]:
    """Return the totals an event adds to."""
    names: tuple[str, ...] = ()
    match event:
        case MessageAccepted():
            names = ("accepted",)
        case MessageRejected():
            names = ("rejected",)
        case MessageSubmitted():
            names = ("submitted",)
        case SubmitRefused(retry_in_s=None):
            names = ("failed",)
        case SubmitOutcomeUnknown(resolution=resolution):
            names = ("in_doubt", "failed") if resolution == "fail" else ("in_doubt",)
        case ReceiptRecorded(status="delivered"):
            names = ("receipts", "delivered")
        case ReceiptRecorded(status=status):
            names = ("receipts", "undelivered") if status in FINAL else ("receipts",)
        case MoReceived():
            names = ("mo",)
        case AppRegistered():
            names = ("applications",)
    return names


PROJECTION: Final = Projection(
    "dashboard",
    (
        MessageAccepted,
        MessageRejected,
        MessageSubmitted,
        SubmitRefused,
        SubmitOutcomeUnknown,
        ReceiptRecorded,
        MoReceived,
        AppRegistered,
    ),
    TABLES,
    _apply,
    version=2,
)
