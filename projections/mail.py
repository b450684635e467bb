"""The read model of mail: tenants, their mails, what they are told, and who commanded what.

    a batch of the log ──▶ steps, each with at most one deleted tenant, as its first event
        ──▶ mail_tenants, mail_rows, mail_counts, command_log

The parts share one read model because they belong together: a tenant that is deleted disappears
from all of them at the same moment, and a deleted mail's row says in whose name that was commanded.
No personal content; that comes from the log (`mail_views`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, LiteralString, get_args

from signalbox.domain import reports, tenant
from signalbox.domain.mail_instance import InstanceUpdated
from signalbox.domain.tenant import TenantDeleted
from signalbox.projections import command_log, commands, mail_counts, mail_rows, mail_tenants
from signalbox.projections.projection import Projection

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from signalbox.eventstore.mapper import Recorded
    from signalbox.projections.commands import Command
    from signalbox.projections.mail_rows import MailRow
    from signalbox.projections.mail_tenants import TenantRow
    from signalbox.projections.projection import Cursor

_OF_A_TENANT: Final[tuple[LiteralString, ...]] = (
    "DELETE FROM mails WHERE tenant_id = %s",
    "DELETE FROM mail_events WHERE tenant_id = %s",
    "DELETE FROM mail_totals WHERE tenant_id = %s",
    "DELETE FROM mail_acknowledgements WHERE tenant_id = %s",
    "DELETE FROM command_log WHERE tenant_id = %s",
)


def _apply(cursor: Cursor, batch: Sequence[Recorded]) -> None:
    for step in _steps(batch):
        if isinstance(step[0].event, TenantDeleted):
            _forget_tenant(cursor, tenant.id_of(step[0].stream_id))
        _apply_step(cursor, step)


def _steps(batch: Sequence[Recorded]) -> Iterator[Sequence[Recorded]]:
    """Yield the parts of a batch, each but the first beginning with a deleted tenant."""
    ends = [
        i for i, recorded in enumerate(batch) if i and isinstance(recorded.event, TenantDeleted)
    ]
    for first, end in zip([0, *ends], [*ends, len(batch)], strict=True):
        yield batch[first:end]


def _apply_step(cursor: Cursor, step: Sequence[Recorded]) -> None:
    mails = [recorded for recorded in step if isinstance(recorded.event, MAIL_EVENTS)]
    others = [recorded for recorded in step if not isinstance(recorded.event, MAIL_EVENTS)]
    tenants = mail_tenants.load(cursor, _tenants_of(step))
    rows = mail_rows.load(cursor, {recorded.stream_id for recorded in mails})
    noted = [*_fold_others(tenants, others), *_fold_mails(rows, tenants, mails)]
    mail_tenants.store(cursor, tenants.values())
    mail_rows.store(cursor, rows.values())
    mail_counts.count(cursor, ((row.before, row.place) for row in rows.values()))
    command_log.store(cursor, noted)
    acknowledged = {row.tenant_id for row in tenants.values() if row.acknowledgements}
    if shrunk := acknowledged | {row.tenant_id for row in rows.values() if row.purged}:
        mail_tenants.prune(cursor, shrunk)


def _tenants_of(step: Sequence[Recorded]) -> set[str]:
    """Return the tenants whose rows are needed."""
    found = set()
    for recorded in step:
        if isinstance(recorded.event, mail_rows.Beginning):
            found.add(recorded.event.tenant_id)
        elif isinstance(recorded.event, TENANT_EVENTS):
            found.add(mail_tenants.tenant_of(recorded))
    return found


def _fold_others(tenants: dict[str, TenantRow], batch: Sequence[Recorded]) -> Iterator[Command]:
    for recorded in batch:
        if isinstance(recorded.event, InstanceUpdated):
            yield commands.of_instance(recorded, recorded.event)
            continue
        tenant_id = mail_tenants.tenant_of(recorded)
        row = tenants[tenant_id] = mail_tenants.fold(tenants[tenant_id], recorded)
        if not row.began_with(recorded):
            yield from commands.of_tenant(recorded, tenant_id)


def _fold_mails(
    rows: dict[str, MailRow], tenants: dict[str, TenantRow], batch: Sequence[Recorded]
) -> Iterator[Command]:
    for recorded in batch:
        row = rows.get(recorded.stream_id)
        event = recorded.event
        if isinstance(event, mail_rows.Beginning):
            if recorded.tenant_id != tenants[event.tenant_id].data_key:
                continue  # It was on its way when its tenant was deleted.
            row = rows[recorded.stream_id] = mail_rows.begun(row, event, recorded)
        elif row is None or row.deleted:
            continue  # So is what is told of a mail that is gone.
        else:
            assert isinstance(event, mail_rows.Change), recorded
            mail_rows.advance(row, event, recorded)
        yield from commands.of_mail(recorded, row.tenant_id, row.client_id)


def _forget_tenant(cursor: Cursor, tenant_id: str) -> None:
    """Delete all rows of a tenant, however long that takes."""
    cursor.execute("SET LOCAL statement_timeout = 0")
    for statement in _OF_A_TENANT:
        cursor.execute(statement, (tenant_id,))
    cursor.execute("SET LOCAL statement_timeout TO DEFAULT")


MAIL_EVENTS: Final = get_args(mail_rows.Beginning | mail_rows.Change)
TENANT_EVENTS: Final = (*get_args(tenant.Event), *get_args(reports.Event))

PROJECTION: Final = Projection(
    "mail",
    (*MAIL_EVENTS, *TENANT_EVENTS, InstanceUpdated),
    mail_tenants.TABLES + mail_rows.TABLES + mail_counts.TABLES + command_log.TABLES,
    _apply,
)
