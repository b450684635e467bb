"""What is asked of the mails: lists, and what their clients are to be told.

Contents are in no read model; they come from the log itself, a thousand mails in one query. Times
are Unix seconds, 0.0 where there is none.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, LiteralString, get_args

import msgspec

from signalbox.domain.mail import MailBounced, MailDeferred, MailPartlySent, pk_of, stream_of
from signalbox.domain.mail_content import MailContent
from signalbox.domain.names import names_of
from signalbox.domain.personal import ERASED
from signalbox.projections.mail_rows import Beginning

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Literal

    from psycopg.rows import TupleRow

    from signalbox.domain.mail import BounceKind
    from signalbox.eventstore.log import EventLog
    from signalbox.projections.mail_counts import MailStatus
    from signalbox.projections.mail_rows import Kind
    from signalbox.projections.projection import Cursor

CONTENTS_AT_ONCE: Final = 1_000
CONCERNING: Final = names_of(MailBounced, MailDeferred, MailPartlySent)
NO_CONTENT: Final = MailContent(sender=ERASED, to=(ERASED,), subject=ERASED, body=ERASED)
"""What a mail holds whose tenant's data key is destroyed."""

_FIND: Final[LiteralString] = """
    SELECT stream_id, tenant_id, client_id, account_id, priority, batch_code, status,
           deferred_until_s, sent_at_s, error_at_s, error, retries, refused_recipients, pec <> '',
           created_at_s, updated_at_s
    FROM mails
    WHERE tenant_id = %(tenant)s AND settled_position <= %(settled)s
    ORDER BY priority, created_at_s, client_id, stream_id OFFSET %(offset)s LIMIT %(limit)s
"""
_FIND_HISTORY: Final[LiteralString] = """
    SELECT e.stream_id, e.position, e.kind, e.at_s, e.until_s, e.code, e.reason, e.bounce,
           e.refused_recipients, coalesce(a.at_s, 0.0)
    FROM mail_events AS e LEFT JOIN LATERAL (
        SELECT at_s FROM mail_acknowledgements
        WHERE tenant_id = e.tenant_id AND position >= e.position ORDER BY position LIMIT 1
    ) AS a ON true
    WHERE e.stream_id = ANY(%s) ORDER BY e.position
"""
_FIND_REPORTS: Final[LiteralString] = """
    SELECT e.position, e.kind, e.at_s, e.until_s, e.code, e.reason, e.bounce,
           e.refused_recipients, e.tenant_id, e.stream_id, m.client_id
    FROM mail_events AS e JOIN mails AS m USING (stream_id)
    WHERE e.tenant_id = %s AND e.position > %s ORDER BY e.position LIMIT %s
"""
_COUNT_REPORTS: Final[LiteralString] = """
    SELECT count(*) FROM mail_events AS e JOIN mail_tenants AS t USING (tenant_id)
    WHERE tenant_id = %s AND e.position > t.acknowledged
"""
_FIND_OWING: Final[LiteralString] = """
    SELECT t.tenant_id FROM mail_tenants AS t
    WHERE EXISTS (
        SELECT FROM mail_events
        WHERE tenant_id = t.tenant_id AND position > t.acknowledged
    )
    ORDER BY t.tenant_id
"""
_FIND_BY_CLIENT_ID: Final[LiteralString] = """
    SELECT tenant_id, stream_id FROM mails WHERE client_id = %s
    ORDER BY created_at_s DESC, stream_id LIMIT %s
"""
_FIND_PEC: Final[LiteralString] = """
    SELECT stream_id FROM mails WHERE pec = 'waits' AND status = 'sent' AND sent_at_s < %s
    ORDER BY sent_at_s LIMIT %s
"""
_FIND_SYNCS: Final[LiteralString] = """
    SELECT tenant_id, name, active, client_base_url, last_sync_s
    FROM mail_tenants WHERE is_there ORDER BY tenant_id
"""
OPEN: Final = 0
ANY_POSITION: Final = 2**63 - 1

_decode: Final = msgspec.json.Decoder(MailContent).decode


@dataclass(frozen=True, slots=True, kw_only=True)
class MailEvent:
    """Something that a mail's client is told of; `position` is its place in the log.

    `until_s` is when a deferred mail is tried again. `code` is a server's, or a bounce's status;
    `reported_at_s` is when the client took it.
    """

    position: int
    kind: Kind
    at_s: float
    until_s: float
    code: str
    reason: str
    bounce: BounceKind | Literal[""]
    refused_recipients: int
    reported_at_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportEvent:
    """An event with what its mail is called. Its fields are those of `MailEvent`."""

    tenant_id: str
    pk: str
    client_id: str
    position: int
    kind: Kind
    at_s: float
    until_s: float
    code: str
    reason: str
    bounce: BounceKind | Literal[""]
    refused_recipients: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MailView:
    """A mail as its client sees it. Its history is the oldest first, empty unless asked for."""

    pk: str
    tenant_id: str
    client_id: str
    account_id: str
    priority: int
    batch_code: str
    status: MailStatus
    deferred_until_s: float
    sent_at_s: float
    error_at_s: float
    error: str
    retries: int
    refused_recipients: int
    is_pec: bool
    created_at_s: float
    updated_at_s: float
    content: MailContent = NO_CONTENT
    history: tuple[MailEvent, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncStatus:
    """When a tenant's server was called; 0.0 if never, a time to come if it wants to be left."""

    tenant_id: str
    name: str
    active: bool
    client_base_url: str
    last_sync_s: float

    def is_due(self, now_s: float, interval_s: float) -> bool:
        """True when it is called even if there is nothing to tell."""
        return now_s - self.last_sync_s >= interval_s

    def rests(self, now_s: float) -> bool:
        """True while it does not want to be called."""
        return self.last_sync_s > now_s


@dataclass(frozen=True, slots=True, kw_only=True)
class MailQuery:
    """A tenant's mails by priority, age and id; `limit` None: all of them."""

    active_only: bool = False
    include_history: bool = False
    limit: int | None = None
    offset: int = 0


def find(cursor: Cursor, tenant_id: str, query: MailQuery) -> list[MailView]:
    """Return mails without their contents."""
    values = {
        "tenant": tenant_id,
        "settled": OPEN if query.active_only else ANY_POSITION,
        "offset": query.offset,
        "limit": query.limit,
    }
    views = [_view(row) for row in cursor.execute(_FIND, values, binary=True)]
    return _with_history(cursor, views) if query.include_history else views


def with_contents(log_: EventLog, views: Sequence[MailView]) -> list[MailView]:
    """Return mails with their contents. Raises: `Unavailable`."""
    contents = find_contents(log_, [view.pk for view in views])
    return [replace(view, content=contents.get(view.pk, NO_CONTENT)) for view in views]


def find_contents(log_: EventLog, pks: Sequence[str]) -> dict[str, MailContent]:
    """Return what mails hold, each as it was handed over last. Raises: `Unavailable`."""
    names = names_of(*get_args(Beginning))
    found = {}
    for first in range(0, len(pks), CONTENTS_AT_ONCE):
        streams = [stream_of(pk) for pk in pks[first : first + CONTENTS_AT_ONCE]]
        for recorded in log_.read_many(streams, names):
            assert isinstance(recorded.event, Beginning), recorded
            found[pk_of(recorded.stream_id)] = recorded.event.content
    return {pk: _read(content) for pk, content in found.items()}


def find_concerned(log_: EventLog, pks: Sequence[str]) -> dict[int, str | int]:
    """Return whom bounces and retries concern that don't concern all, by position in the log.

    That is an address, or a place in the envelope. Raises: `Unavailable`.
    """
    found: dict[int, str | int] = {}
    waits: tuple[str, int] | None = None
    for recorded in log_.read_many(list(map(stream_of, pks)), CONCERNING):
        match recorded.event:
            case MailBounced(recipient=recipient) if recipient:
                found[recorded.position] = recipient
            case MailPartlySent(remaining=remaining):
                waits = recorded.stream_id, remaining[0]
            case MailDeferred() if waits and waits[0] == recorded.stream_id:
                found[recorded.position] = waits[1]
            case _:
                pass
    return found


def find_reports(
    cursor: Cursor, tenant_id: str, after_position: int, limit: int
) -> list[ReportEvent]:
    """Return what happened to a tenant's mails behind a position, in the order of the log."""
    rows = cursor.execute(_FIND_REPORTS, (tenant_id, after_position, limit), binary=True)
    return [_report(row) for row in rows]


def count_reports(cursor: Cursor, tenant_id: str) -> int:
    """Return how many events a tenant's server is yet to be told of."""
    row = cursor.execute(_COUNT_REPORTS, (tenant_id,)).fetchone()
    assert row is not None
    return int(row[0])


def find_owing(cursor: Cursor) -> list[str]:
    """Return the tenants whose servers are yet to be told of something."""
    return [tenant_id for (tenant_id,) in cursor.execute(_FIND_OWING)]


def find_syncs(cursor: Cursor) -> list[SyncStatus]:
    """Return when the servers of the tenants that exist were called, by id."""
    names = SyncStatus.__slots__
    rows = cursor.execute(_FIND_SYNCS)
    return [SyncStatus(**dict(zip(names, row, strict=True))) for row in rows]


def find_by_client_id(cursor: Cursor, client_id: str, limit: int) -> list[tuple[str, str]]:
    """Return tenant and pk of the mails of any tenant with this id, the newest first."""
    rows = cursor.execute(_FIND_BY_CLIENT_ID, (client_id, limit))
    return [(tenant_id, pk_of(stream_id)) for tenant_id, stream_id in rows]


def find_pec_overdue(cursor: Cursor, before_s: float, limit: int) -> list[str]:
    """Return certified mails sent before then of which nothing was heard, the oldest first."""
    return [pk_of(stream_id) for (stream_id,) in cursor.execute(_FIND_PEC, (before_s, limit))]


def _with_history(cursor: Cursor, views: Sequence[MailView]) -> list[MailView]:
    histories: Mapping[str, list[MailEvent]] = defaultdict(list)
    streams = [stream_of(view.pk) for view in views]
    for stream_id, *columns in cursor.execute(_FIND_HISTORY, (streams,), binary=True):
        histories[pk_of(stream_id)].append(_event(columns))
    return [replace(view, history=tuple(histories[view.pk])) for view in views]


def _view(row: TupleRow) -> MailView:
    names = MailView.__slots__
    values = dict(zip(names, row, strict=False))
    return MailView(**{**values, "pk": pk_of(values["pk"])})


def _event(columns: Sequence[Any]) -> MailEvent:
    names = MailEvent.__slots__
    return MailEvent(**dict(zip(names, columns, strict=True)))


def _report(row: TupleRow) -> ReportEvent:
    *columns, tenant_id, stream_id, client_id = row
    names = MailEvent.__slots__
    told = dict(zip(names, columns, strict=False))
    return ReportEvent(tenant_id=tenant_id, pk=pk_of(stream_id), client_id=client_id, **told)


def _read(content: str) -> MailContent:
    return NO_CONTENT if content == ERASED else _decode(content)
