"""What finally became of messages, and the read model `outcomes`: how many in each minute.

A message is sent once the SMSC has accepted all its parts, failed when it has accepted none and
never will, partial when it has accepted some and never will the others. Until then nothing is
decided. A late answer or receipt can still turn a failure into a sent message, never the other way.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, LiteralString

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from signalbox.domain.message import Part
    from signalbox.projections.projection import Cursor

Outcome = Literal["sent", "failed", "partial"]

MINUTE_S: Final = 60
MINUTES_KEPT: Final = 75  # an hour for the dashboard, and more for whoever exports them late

TABLES: Final[LiteralString] = """
    CREATE TABLE outcomes (
        minute bigint PRIMARY KEY,
        sent integer NOT NULL,
        failed integer NOT NULL,
        partial integer NOT NULL
    );
"""
_ADD: Final[LiteralString] = """
    INSERT INTO outcomes (minute, sent, failed, partial)
    SELECT * FROM unnest(%b::bigint[], %b::int[], %b::int[], %b::int[])
    ON CONFLICT (minute) DO UPDATE SET sent = outcomes.sent + EXCLUDED.sent,
                                       failed = outcomes.failed + EXCLUDED.failed,
                                       partial = outcomes.partial + EXCLUDED.partial
"""
_PRUNE: Final[LiteralString] = """
    DELETE FROM outcomes WHERE minute <= (SELECT max(minute) FROM outcomes) - %s
"""
_FIND: Final[LiteralString] = """
    SELECT minute, sent, failed, partial FROM outcomes WHERE minute > %s AND minute <= %s
"""


@dataclass(frozen=True, slots=True)
class Settled:
    """A message of this application and campaign was decided, or decided anew, at `at_s`.

    `link_id` is the link that was asked for. `before` is None the first time.
    """

    app_id: int
    link_id: int
    campaign: str
    before: Outcome | None
    outcome: Outcome
    at_s: float


def outcome_of(parts: Sequence[Part]) -> Outcome | None:
    """Return what became of a message with these parts, None while nothing is decided."""
    accepted = sum(map(_was_accepted, parts))
    if accepted == len(parts):
        return "sent"
    failed = sum(part.status == "failed" for part in parts if not _was_accepted(part))
    if accepted + failed < len(parts):
        return None
    return "partial" if accepted else "failed"


def count(cursor: Cursor, settled: Iterable[Settled]) -> None:
    """Add each outcome to the minute in which it came about."""
    counted = Counter((int(one.at_s // MINUTE_S), one.outcome) for one in settled)
    minutes = sorted({minute for minute, _ in counted})
    columns: list[list[int]] = [
        [counted[minute, outcome] for minute in minutes] for outcome in _OUTCOMES
    ]
    cursor.execute(_ADD, (minutes, *columns))
    cursor.execute(_PRUNE, (MINUTES_KEPT,))


def find(cursor: Cursor, after: int, last: int) -> dict[int, tuple[int, int, int]]:
    """Return how many were sent, failed and were partial, by minute (of the Unix epoch)."""
    rows = cursor.execute(_FIND, (after, last))
    return {minute: (sent, failed, partial) for minute, sent, failed, partial in rows}


_OUTCOMES: Final[tuple[Outcome, ...]] = ("sent", "failed", "partial")
_NOT_ACCEPTED: Final = frozenset({"pending", "unknown", "failed"})


def _was_accepted(part: Part) -> bool:
    # A receipt proves it, too: the answer to the submit may have been lost.
    return part.status not in _NOT_ACCEPTED or bool(part.smsc_id or part.reported)
