"""Read models `mails` and `mail_events`: each mail as it is, and what its client is told of it.

A mail has a row until it is deleted, or its tenant is. `settled_position` is 0 while it waits to be
sent; then it is where in the log the last thing happened that its client is told of. `mail_events`
holds those things: they are the mail's history and, behind the position that the client has
acknowledged, the queue of reports. An attempt alone changes nothing that is shown, so attempts are
not read.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal, LiteralString, assert_never

from signalbox.domain.mail import (
    MailBounced,
    MailDeferred,
    MailDeleted,
    MailFailed,
    MailInDoubt,
    MailPartlySent,
    MailQueued,
    MailRejected,
    MailReplaced,
    MailSent,
    PecAcceptanceMissed,
    PecReceipt,
    PecReceiptRecorded,
    is_good,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from signalbox.eventstore.mapper import Recorded
    from signalbox.projections.mail_counts import MailStatus, Place
    from signalbox.projections.projection import Cursor

Kind = Literal["sent", "error", "deferred", "bounce"] | PecReceipt
Pec = Literal["", "waits", "seen"]
"""Whether a mail is certified, and whether anything was heard of it."""

Beginning = MailQueued | MailReplaced | MailRejected
Change = (
    MailSent
    | MailPartlySent
    | MailDeferred
    | MailFailed
    | MailInDoubt
    | MailBounced
    | PecReceiptRecorded
    | PecAcceptanceMissed
    | MailDeleted
)

TABLES: Final[LiteralString] = """
    CREATE TABLE mails (
        stream_id text COLLATE "C" PRIMARY KEY,
        tenant_id text COLLATE "C" NOT NULL,
        client_id text COLLATE "C" NOT NULL,
        account_id text NOT NULL,
        priority smallint NOT NULL,
        batch_code text NOT NULL,
        pec text NOT NULL,
        status text NOT NULL,
        deferred_until_s double precision NOT NULL,
        sent_at_s double precision NOT NULL,
        error_at_s double precision NOT NULL,
        error text NOT NULL,
        retries integer NOT NULL,
        refused_recipients integer NOT NULL,
        created_at_s double precision NOT NULL,
        updated_at_s double precision NOT NULL,
        settled_position bigint NOT NULL
    ) WITH (fillfactor = 70);
    CREATE INDEX ON mails (tenant_id, settled_position);
    CREATE INDEX ON mails (client_id);
    CREATE INDEX ON mails (sent_at_s) WHERE pec = 'waits' AND status = 'sent';
    CREATE TABLE mail_events (
        tenant_id text COLLATE "C" NOT NULL,
        position bigint NOT NULL,
        stream_id text COLLATE "C" NOT NULL,
        kind text NOT NULL,
        at_s double precision NOT NULL,
        until_s double precision NOT NULL,
        code text NOT NULL,
        reason text NOT NULL,
        bounce text NOT NULL,
        refused_recipients integer NOT NULL,
        PRIMARY KEY (tenant_id, position)
    );
    CREATE INDEX ON mail_events (stream_id);
"""
_LOAD: Final[LiteralString] = """
    SELECT
        stream_id, tenant_id, client_id, account_id, priority, batch_code, pec, status,
        deferred_until_s, sent_at_s, error_at_s, error, retries, refused_recipients,
        created_at_s, updated_at_s, settled_position
    FROM mails WHERE stream_id = ANY(%s)
"""
_STORE: Final[LiteralString] = """
    INSERT INTO mails (
        stream_id, tenant_id, client_id, account_id, priority, batch_code, pec, status,
        deferred_until_s, sent_at_s, error_at_s, error, retries, refused_recipients,
        created_at_s, updated_at_s, settled_position)
    SELECT * FROM unnest(
        %b::text[], %b::text[], %b::text[], %b::text[], %b::int[], %b::text[], %b::text[],
        %b::text[], %b::float8[], %b::float8[], %b::float8[], %b::text[], %b::int[], %b::int[],
        %b::float8[], %b::float8[], %b::bigint[])
    ON CONFLICT (stream_id) DO UPDATE
    SET account_id = EXCLUDED.account_id, priority = EXCLUDED.priority,
        batch_code = EXCLUDED.batch_code, pec = EXCLUDED.pec, status = EXCLUDED.status,
        deferred_until_s = EXCLUDED.deferred_until_s, sent_at_s = EXCLUDED.sent_at_s,
        error_at_s = EXCLUDED.error_at_s, error = EXCLUDED.error, retries = EXCLUDED.retries,
        refused_recipients = EXCLUDED.refused_recipients, created_at_s = EXCLUDED.created_at_s,
        updated_at_s = EXCLUDED.updated_at_s, settled_position = EXCLUDED.settled_position
"""
_TELL: Final[LiteralString] = """
    INSERT INTO mail_events (
        tenant_id, position, stream_id, kind, at_s, until_s, code, reason, bounce,
        refused_recipients)
    SELECT * FROM unnest(
        %b::text[], %b::bigint[], %b::text[], %b::text[], %b::float8[], %b::float8[], %b::text[],
        %b::text[], %b::text[], %b::int[])
"""


@dataclass(slots=True)
class MailRow:
    """A mail while a batch goes through it; the first fields are the table's columns.

    `before` is where it was counted before the batch, None when it was not stored. `told` are new
    rows of `mail_events`; `purged` means that those which are stored are to go.
    """

    stream_id: str
    tenant_id: str
    client_id: str
    account_id: str = ""
    priority: int = 0
    batch_code: str = ""
    pec: Pec = ""
    status: MailStatus = "pending"
    deferred_until_s: float = 0.0
    sent_at_s: float = 0.0
    error_at_s: float = 0.0
    error: str = ""
    retries: int = 0
    refused_recipients: int = 0
    created_at_s: float = 0.0
    updated_at_s: float = 0.0
    settled_position: int = 0
    before: Place | None = None
    told: list[tuple[object, ...]] = field(default_factory=list)
    purged: bool = False
    deleted: bool = False

    @property
    def place(self) -> Place | None:
        """Where it is counted."""
        return None if self.deleted else (self.tenant_id, self.batch_code, self.status)


def load(cursor: Cursor, stream_ids: set[str]) -> dict[str, MailRow]:
    """Return the rows of mails that have one."""
    rows = {}
    if stream_ids:
        for row in cursor.execute(_LOAD, (list(stream_ids),), binary=True):
            found = rows[row[0]] = MailRow(*row)
            found.before = found.place
    return rows


def begun(row: MailRow | None, event: Beginning, recorded: Recorded) -> MailRow:
    """Return the row of a mail that begins, or begins anew: its history, if it has one, stays."""
    if row is None:
        row = MailRow(recorded.stream_id, event.tenant_id, event.client_id)
    if not (row.created_at_s and isinstance(event, MailReplaced)):
        row.created_at_s = recorded.at_s
    row.account_id, row.priority, row.batch_code = (
        event.account_id,
        event.priority,
        event.batch_code,
    )
    row.updated_at_s, row.deleted = recorded.at_s, False
    row.sent_at_s = row.error_at_s = row.deferred_until_s = 0.0
    row.error, row.retries, row.refused_recipients = "", 0, 0
    row.settled_position, row.pec = 0, ""
    if isinstance(event, MailRejected):
        _fail(row, event.reason, 0, recorded)
    else:
        row.pec = "waits" if event.is_pec else ""
        row.deferred_until_s = event.deferred_until_s
        row.status = "deferred" if event.deferred_until_s > recorded.at_s else "pending"
    return row


def advance(row: MailRow, event: Change, recorded: Recorded) -> None:
    """Apply what happened to a mail."""
    row.updated_at_s = recorded.at_s
    match event:
        case MailSent(code, response, refused_recipients=refused):
            row.status, row.sent_at_s, row.deferred_until_s = "sent", recorded.at_s, 0.0
            row.refused_recipients = refused
            # What was given up on for the last recipients tells why.
            _tell(row, "sent", recorded, code=code, reason="" if is_good(code) else response)
        case MailPartlySent(refused_recipients=refused):
            row.refused_recipients += refused
            row.retries = 0
        case MailFailed(code, reason):
            _fail(row, reason, code, recorded)
        case MailDeferred(until_s, reason, retry, code):
            row.status, row.deferred_until_s = "deferred", until_s
            row.retries += retry
            _tell(row, "deferred", recorded, until_s=until_s, reason=reason, code=code)
        case MailInDoubt():
            row.status, row.deferred_until_s = "pending", 0.0
        case MailBounced(kind, bounce_code, reason):
            _tell(row, "bounce", recorded, bounce=kind, code=bounce_code, reason=reason)
        case PecReceiptRecorded(receipt, details):
            row.pec = "seen" if row.pec else ""
            _tell(row, receipt, recorded, reason=details)
        case PecAcceptanceMissed():
            row.pec = ""
        case MailDeleted():
            row.deleted = row.purged = True
            row.told.clear()
        case _:
            assert_never(event)


def _fail(row: MailRow, reason: str, code: int, recorded: Recorded) -> None:
    row.status, row.error, row.error_at_s = "error", _storable(reason), recorded.at_s
    row.deferred_until_s = 0.0
    _tell(row, "error", recorded, code=code, reason=reason)


def _tell(  # noqa: PLR0913  each is a column
    row: MailRow,
    kind: Kind,
    recorded: Recorded,
    *,
    until_s: float = 0.0,
    code: int | str = 0,
    reason: str = "",
    bounce: str = "",
) -> None:
    """Note what the client is told."""
    told = (row.tenant_id, recorded.position, row.stream_id, kind, recorded.at_s, until_s)
    refused = row.refused_recipients if kind == "sent" else 0
    row.told.append((*told, _storable(str(code or "")), _storable(reason), bounce, refused))
    if row.status in {"sent", "error"}:
        row.settled_position = recorded.position


def store(cursor: Cursor, rows: Iterable[MailRow]) -> None:
    """Write rows and what is told of them; take away those that are gone."""
    changed = list(rows)
    if purged := [row for row in changed if row.purged]:
        streams = [row.stream_id for row in purged]
        cursor.execute("DELETE FROM mail_events WHERE stream_id = ANY(%s)", (streams,))
        gone = [row.stream_id for row in purged if row.deleted]
        cursor.execute("DELETE FROM mails WHERE stream_id = ANY(%s)", (gone,))
    if stored := [_values(row) for row in changed if not row.deleted]:
        cursor.execute(_STORE, _columns(stored))
    if told := [one for row in changed for one in row.told]:
        cursor.execute(_TELL, _columns(told))


def _values(row: MailRow) -> tuple[object, ...]:
    return (
        row.stream_id,
        row.tenant_id,
        row.client_id,
        row.account_id,
        row.priority,
        row.batch_code,
        row.pec,
        row.status,
        row.deferred_until_s,
        row.sent_at_s,
        row.error_at_s,
        row.error,
        row.retries,
        row.refused_recipients,
        row.created_at_s,
        row.updated_at_s,
        row.settled_position,
    )


def _columns(rows: Iterable[Sequence[object]]) -> list[list[object]]:
    return [list(column) for column in zip(*rows, strict=True)]


def _storable(words: str) -> str:
    """Return what a server said, as Postgres can hold it."""
    return words.replace("\0", "\N{REPLACEMENT CHARACTER}")
