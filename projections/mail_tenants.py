"""Read model `mail_tenants`: who may send mail, and how far each one's server was told of it.

A tenant has a row as soon as anything is known of it, so that whatever goes over all of them needs
no other table. Of one that was deleted only its id and the next generation are left, by which mails
that come late are known to be nobody's. `mail_acknowledgements` tells when a server took what is in
the log up to a position: an event was reported with the first one at or behind it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, LiteralString

from signalbox.domain import reports, tenant
from signalbox.domain.reports import ReportsAcknowledged, SyncPostponed
from signalbox.domain.tenant import TenantCreated, TenantDeleted, TenantKeyIssued, TenantUpdated

if TYPE_CHECKING:
    from collections.abc import Iterable

    from signalbox.domain.tenant_config import TenantConfig
    from signalbox.eventstore.mapper import Recorded
    from signalbox.projections.projection import Cursor

TABLES: Final[LiteralString] = """
    CREATE TABLE mail_tenants (
        tenant_id text COLLATE "C" PRIMARY KEY,
        generation integer NOT NULL,
        is_there boolean NOT NULL,
        created_version bigint NOT NULL,
        name text NOT NULL,
        active boolean NOT NULL,
        client_base_url text NOT NULL,
        retention_days integer,
        acknowledged bigint NOT NULL,
        last_sync_s double precision NOT NULL
    ) WITH (fillfactor = 70);
    CREATE TABLE mail_acknowledgements (
        tenant_id text COLLATE "C" NOT NULL,
        position bigint NOT NULL,
        at_s double precision NOT NULL,
        PRIMARY KEY (tenant_id, position)
    );
"""
_LOAD: Final[LiteralString] = """
    SELECT
        tenant_id, generation, is_there, created_version, name, active, client_base_url,
        retention_days, acknowledged, last_sync_s
    FROM mail_tenants WHERE tenant_id = ANY(%s)
"""
_STORE: Final[LiteralString] = """
    INSERT INTO mail_tenants (
        tenant_id, generation, is_there, created_version, name, active, client_base_url,
        retention_days, acknowledged, last_sync_s)
    VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
    ON CONFLICT (tenant_id) DO UPDATE
    SET generation = EXCLUDED.generation, is_there = EXCLUDED.is_there,
        created_version = EXCLUDED.created_version, name = EXCLUDED.name,
        active = EXCLUDED.active, client_base_url = EXCLUDED.client_base_url,
        retention_days = EXCLUDED.retention_days, acknowledged = EXCLUDED.acknowledged,
        last_sync_s = EXCLUDED.last_sync_s
"""
_ACKNOWLEDGE: Final[LiteralString] = """
    INSERT INTO mail_acknowledgements (tenant_id, position, at_s) VALUES (%s, %s, %s)
    ON CONFLICT (tenant_id, position) DO NOTHING
"""
_PRUNE: Final[LiteralString] = """
    DELETE FROM mail_acknowledgements AS a
    USING unnest(%s::text[]) AS t (tenant_id)
    WHERE a.tenant_id = t.tenant_id AND a.position < coalesce(
        (SELECT min(position) FROM mail_events WHERE tenant_id = t.tenant_id), a.position + 1)
"""
_FIND_IDS: Final[LiteralString] = """
    SELECT tenant_id FROM mail_tenants WHERE is_there AND (active OR NOT %s) ORDER BY tenant_id
"""
_FIND_ACKNOWLEDGED: Final[LiteralString] = """
    SELECT acknowledged FROM mail_tenants WHERE tenant_id = %s
"""


@dataclass(slots=True)
class TenantRow:
    """A tenant while a batch goes through it. `created_version` is where in its stream it began.

    `acknowledged` is a position in the log; `last_sync_s` is when its server was last called, or
    the time until which it wants to be left alone.
    """

    tenant_id: str
    generation: int = 1
    is_there: bool = False
    created_version: int = 0
    name: str = ""
    active: bool = True
    client_base_url: str = ""
    retention_days: int | None = None
    acknowledged: int = 0
    last_sync_s: float = 0.0
    acknowledgements: list[tuple[int, float]] = field(default_factory=list)
    is_stored: bool = False

    def began_with(self, recorded: Recorded) -> bool:
        """True for the key that a tenant was created with: nobody asked for it apart."""
        is_key = isinstance(recorded.event, TenantKeyIssued)
        return is_key and self.is_there and recorded.version == self.created_version + 1

    @property
    def data_key(self) -> str:
        """The envelope's name for what is this tenant's and not that of one before it."""
        return tenant.data_key_of(self.tenant_id, self.generation)


def load(cursor: Cursor, tenant_ids: Iterable[str]) -> dict[str, TenantRow]:
    """Return the rows of tenants, new ones for those that are not known."""
    rows = {tenant_id: TenantRow(tenant_id) for tenant_id in tenant_ids}
    for row in cursor.execute(_LOAD, (list(rows),)):
        found = rows[row[0]] = TenantRow(*row)
        found.is_stored = True
    return rows


def fold(row: TenantRow, recorded: Recorded) -> TenantRow:
    """Return a tenant's row after one event, of the tenant or of its reports."""
    row.is_stored = False
    match recorded.event:
        case TenantCreated(generation, config):
            row.generation, row.is_there = generation, True
            row.created_version = recorded.version
            _configure(row, config)
        case TenantUpdated(config):
            _configure(row, config)
        case TenantDeleted(generation):
            return TenantRow(row.tenant_id, generation + 1)
        case ReportsAcknowledged(position, count):
            row.acknowledged = max(row.acknowledged, position)
            row.last_sync_s = recorded.at_s
            if count:
                row.acknowledgements.append((position, recorded.at_s))
        case SyncPostponed(next_sync_after_s):
            row.last_sync_s = next_sync_after_s
        case _:
            pass  # Keys, accounts and suspensions are in no row.
    return row


def store(cursor: Cursor, rows: Iterable[TenantRow]) -> None:
    """Write what changed, and when the servers took what."""
    changed = [row for row in rows if not row.is_stored]
    cursor.executemany(_STORE, [_values(row) for row in changed])
    taken = [(row.tenant_id, *one) for row in changed for one in row.acknowledgements]
    if taken:
        cursor.executemany(_ACKNOWLEDGE, taken)


def prune(cursor: Cursor, tenant_ids: Iterable[str]) -> None:
    """Forget when servers took what nobody knows any more."""
    cursor.execute(_PRUNE, (list(tenant_ids),))


def tenant_of(recorded: Recorded) -> str:
    """Return the tenant whose event, or whose reports' event, this is."""
    if isinstance(recorded.event, ReportsAcknowledged | SyncPostponed):
        return reports.tenant_of(recorded.stream_id)
    return tenant.id_of(recorded.stream_id)


def find_ids(cursor: Cursor, *, active_only: bool) -> list[str]:
    """Return the tenants that exist, by id."""
    return [tenant_id for (tenant_id,) in cursor.execute(_FIND_IDS, (active_only,))]


def find_acknowledged(cursor: Cursor, tenant_id: str) -> int:
    """Return up to where in the log a tenant's server was told; 0 if never."""
    row = cursor.execute(_FIND_ACKNOWLEDGED, (tenant_id,)).fetchone()
    return int(row[0]) if row else 0


def _configure(row: TenantRow, config: TenantConfig) -> None:
    row.name, row.active = config.name, config.active
    row.client_base_url = config.client_base_url
    row.retention_days = config.retention_days


def _values(row: TenantRow) -> tuple[object, ...]:
    return (
        row.tenant_id,
        row.generation,
        row.is_there,
        row.created_version,
        row.name,
        row.active,
        row.client_base_url,
        row.retention_days,
        row.acknowledged,
        row.last_sync_s,
    )
