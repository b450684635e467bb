"""Read model `mail_totals`: how many mails of a tenant and a batch are in which status."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Final, Literal, LiteralString, get_args

if TYPE_CHECKING:
    from collections.abc import Iterable

    from signalbox.projections.projection import Cursor

MailStatus = Literal["pending", "deferred", "sent", "error"]
"""What a mail that is not deleted is; the columns of `mail_totals` are in the same order."""

Place = tuple[str, str, MailStatus]
"""Where a mail is counted: tenant, batch code ("" for none), status."""

STATUSES: Final[tuple[MailStatus, ...]] = get_args(MailStatus)

TABLES: Final[LiteralString] = """
    CREATE TABLE mail_totals (
        tenant_id text COLLATE "C" NOT NULL,
        batch_code text COLLATE "C" NOT NULL,
        pending bigint NOT NULL,
        deferred bigint NOT NULL,
        sent bigint NOT NULL,
        error bigint NOT NULL,
        PRIMARY KEY (tenant_id, batch_code)
    ) WITH (fillfactor = 70);
"""
_ADD: Final[LiteralString] = """
    INSERT INTO mail_totals AS t (tenant_id, batch_code, pending, deferred, sent, error)
    VALUES (%s, %s, %s, %s, %s, %s)
    ON CONFLICT (tenant_id, batch_code) DO UPDATE
    SET pending = t.pending + EXCLUDED.pending, deferred = t.deferred + EXCLUDED.deferred,
        sent = t.sent + EXCLUDED.sent, error = t.error + EXCLUDED.error
"""
_PRUNE: Final[LiteralString] = """
    DELETE FROM mail_totals
    WHERE tenant_id = ANY(%s) AND pending = 0 AND deferred = 0 AND sent = 0 AND error = 0
"""
_SUM: Final[LiteralString] = """
    SELECT coalesce(sum(pending), 0)::bigint, coalesce(sum(deferred), 0)::bigint,
           coalesce(sum(sent), 0)::bigint, coalesce(sum(error), 0)::bigint
    FROM mail_totals
    WHERE (%(tenant)s::text IS NULL OR tenant_id = %(tenant)s)
      AND (%(batch)s::text IS NULL OR batch_code = %(batch)s)
"""
_SUM_BY_TENANT: Final[LiteralString] = """
    SELECT tenant_id, sum(pending)::bigint, sum(deferred)::bigint, sum(sent)::bigint,
           sum(error)::bigint
    FROM mail_totals GROUP BY tenant_id ORDER BY tenant_id
"""


def count(cursor: Cursor, moves: Iterable[tuple[Place | None, Place | None]]) -> None:
    """Count mails that went from a place to another; from or to None if they came or went."""
    totals: dict[tuple[str, str], Counter[MailStatus]] = defaultdict(Counter)
    shrunk = set()
    for before, after in moves:
        if before is not None:
            totals[before[:2]][before[2]] -= 1
            if after is None or after[:2] != before[:2]:
                shrunk.add(before[0])
        if after is not None:
            totals[after[:2]][after[2]] += 1
    rows = [
        (*of, *(one[status] for status in STATUSES))
        for of, one in totals.items()
        if any(one.values())
    ]
    cursor.executemany(_ADD, rows)
    if shrunk:
        cursor.execute(_PRUNE, (list(shrunk),))


def find_totals(
    cursor: Cursor, tenant_id: str | None = None, batch_code: str | None = None
) -> dict[MailStatus, int]:
    """Return how many mails are in which status: of a tenant and a batch, None for all of them."""
    row = cursor.execute(_SUM, {"tenant": tenant_id, "batch": batch_code}).fetchone()
    assert row is not None
    return dict(zip(STATUSES, row, strict=True))


def find_by_tenant(cursor: Cursor) -> dict[str, dict[MailStatus, int]]:
    """Return how many mails of each tenant that has any are in which status, by tenant."""
    rows = cursor.execute(_SUM_BY_TENANT)
    return {tenant_id: dict(zip(STATUSES, row, strict=True)) for tenant_id, *row in rows}
