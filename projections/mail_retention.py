"""Which mails may be forgotten: those that are settled, and of which their clients were told.

A mail was told of when its last event was: the client acknowledges the log up to a position, so the
newest position that was acknowledged before some moment says it for all mails at once. Where there
is no server to be told, the age of what happened last counts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, LiteralString

from signalbox.domain.mail import pk_of

if TYPE_CHECKING:
    from signalbox.projections.projection import Cursor

_FIND_OLD: Final[LiteralString] = """
    SELECT m.tenant_id, m.stream_id
    FROM (
        SELECT tenant_id, client_base_url,
               coalesce(%(before_s)s, %(now_s)s - 86400.0 * coalesce(retention_days, %(days)s))
                   AS before_s
        FROM mail_tenants WHERE %(tenant)s::text IS NULL OR tenant_id = %(tenant)s
    ) AS t,
    LATERAL (
        SELECT coalesce(max(position), 0) AS position FROM mail_acknowledgements
        WHERE tenant_id = t.tenant_id AND at_s < t.before_s
    ) AS told,
    LATERAL (
        SELECT tenant_id, stream_id FROM mails
        WHERE tenant_id = t.tenant_id AND t.client_base_url <> ''
          AND settled_position BETWEEN 1 AND told.position
        UNION ALL
        SELECT tenant_id, stream_id FROM mails
        WHERE tenant_id = t.tenant_id AND t.client_base_url = ''
          AND settled_position > 0 AND updated_at_s < t.before_s
    ) AS m
    LIMIT %(limit)s
"""


def find_due(cursor: Cursor, tenant_id: str, before_s: float, limit: int) -> list[str]:
    """Return a tenant's mails that may go: settled, and told of before then.

    Where nobody is told, because there is no server, it is enough that it happened before then.
    """
    values = {"tenant": tenant_id, "before_s": before_s, "now_s": 0.0, "days": 0, "limit": limit}
    return [pk_of(stream_id) for _, stream_id in cursor.execute(_FIND_OLD, values)]


def find_expired(
    cursor: Cursor, now_s: float, default_days: int, limit: int
) -> list[tuple[str, str]]:
    """Return tenant and pk of mails that may go because their tenants want them kept no longer."""
    values = {
        "tenant": None,
        "before_s": None,
        "now_s": now_s,
        "days": default_days,
        "limit": limit,
    }
    return [(tenant_id, pk_of(one)) for tenant_id, one in cursor.execute(_FIND_OLD, values)]
