"""Read models `totals` and `minutes`: what happened so far, and in each minute of the newest hour.

They count events, so a part that is submitted again counts again, and a message of five parts is
accepted once and submitted five times.
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
from signalbox.projections.projection import Projection

if TYPE_CHECKING:
    from collections.abc import Sequence

    from signalbox.domain.names import Event
    from signalbox.eventstore.mapper import Recorded
    from signalbox.projections.projection import Cursor

MINUTES_KEPT: Final = 60
MINUTE_S: Final = 60

TABLES: Final[LiteralString] = """
    CREATE TABLE totals (
        name text PRIMARY KEY,
        total bigint NOT NULL
    );
    CREATE TABLE minutes (
        minute bigint PRIMARY KEY,
        accepted integer NOT NULL,
        errors integer NOT NULL
    );
"""
_ADD: Final[LiteralString] = """
    INSERT INTO totals (name, total) SELECT * FROM unnest(%b::text[], %b::bigint[])
    ON CONFLICT (name) DO UPDATE SET total = totals.total + EXCLUDED.total
"""
_ADD_MINUTES: Final[LiteralString] = """
    INSERT INTO minutes (minute, accepted, errors)
    SELECT * FROM unnest(%b::bigint[], %b::int[], %b::int[])
    ON CONFLICT (minute) DO UPDATE SET accepted = minutes.accepted + EXCLUDED.accepted,
                                       errors = minutes.errors + EXCLUDED.errors
"""
_PRUNE: Final[LiteralString] = """
    DELETE FROM minutes WHERE minute <= (SELECT max(minute) FROM minutes) - %s
"""


@dataclass(frozen=True, slots=True)
class Minute:
    """The messages accepted and the parts failed in a minute that began at `start_s`."""

    start_s: int
    accepted: int
    errors: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What the dashboard shows: totals since the first event, and the minutes that had any.

    `failed` are parts the SMSC refused for good or that were given up; what receipts said is
    `delivered` and `undelivered`.
    """

    accepted: int = 0
    submitted: int = 0
    delivered: int = 0
    undelivered: int = 0
    failed: int = 0
    in_doubt: int = 0
    receipts: int = 0
    mo: int = 0
    applications: int = 0
    minutes: tuple[Minute, ...] = ()


def find(cursor: Cursor, now_s: float) -> Figures:
    """Return the figures with the minutes of the hour before `now_s` (Unix seconds)."""
    totals: dict[str, int] = dict(cursor.execute("SELECT name, total FROM totals").fetchall())
    minutes = cursor.execute(
        "SELECT minute * %s, accepted, errors FROM minutes WHERE minute > %s ORDER BY minute",
        (MINUTE_S, now_s // MINUTE_S - MINUTES_KEPT),
    ).fetchall()
    return Figures(**totals, minutes=tuple(Minute(*row) for row in minutes))


def _apply(cursor: Cursor, batch: Sequence[Recorded]) -> None:
    totals: Counter[str] = Counter()
    minutes: Counter[tuple[int, str]] = Counter()
    for recorded in batch:
        for name in _counted(recorded.event):
            totals[name] += 1
            minutes[int(recorded.at_s // MINUTE_S), name] += 1
    cursor.execute(_ADD, (list(totals), list(totals.values())))
    starts = sorted({minute for minute, name in minutes if name in {"accepted", "failed"}})
    if starts:
        accepted = [minutes[start, "accepted"] for start in starts]
        failed = [minutes[start, "failed"] for start in starts]
        cursor.execute(_ADD_MINUTES, (starts, accepted, failed))
        cursor.execute(_PRUNE, (MINUTES_KEPT,))


def _counted(event: Event) -> tuple[str, ...]:
    """Return the totals an event adds to."""
    names: tuple[str, ...] = ()
    match event:
        case MessageAccepted():
            names = ("accepted",)
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
        MessageSubmitted,
        SubmitRefused,
        SubmitOutcomeUnknown,
        ReceiptRecorded,
        MoReceived,
        AppRegistered,
    ),
    TABLES,
    _apply,
)
