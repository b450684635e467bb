"""Tenants and their mail accounts as they are shown. Names and order are the reference's.

Secrets are not: neither what a tenant's server wants to see nor what an account logs in with. Ours:
what is ours of either (`wire`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from msgspec import UNSET, UnsetType

from signalbox.domain.tenant_config import ClientAuth, LargeFiles, RateLimits
from signalbox.http.mail_proxy.wire_answers import Date, Text, Yes, date, given

if TYPE_CHECKING:
    from collections.abc import Iterable

    from signalbox.domain.mail_account import MailAccount
    from signalbox.domain.tenant import Tenant
    from signalbox.projections.mail_views import SyncStatus


class AuthShown(msgspec.Struct, frozen=True, kw_only=True):
    """How the tenant's server knows us, but for the secret."""

    method: str
    user: Text = UNSET


class LargeFilesShown(msgspec.Struct, frozen=True, kw_only=True):
    """What becomes of large attachments; what is as it is by default is left out."""

    enabled: bool
    max_size_mb: float | UnsetType = UNSET
    action: Text = UNSET
    storage_url: Text = UNSET
    public_base_url: Text = UNSET
    file_ttl_days: int | UnsetType = UNSET


class TenantShown(msgspec.Struct, frozen=True, kw_only=True):
    """A tenant."""

    id: str
    name: Text = UNSET
    client_auth: AuthShown | UnsetType = UNSET
    client_base_url: Text = UNSET
    client_sync_path: Text = UNSET
    client_attachment_path: Text = UNSET
    rate_limits: RateLimits | UnsetType = UNSET
    large_file_config: LargeFilesShown | UnsetType = UNSET
    active: bool
    created_at: Date
    updated_at: Date
    retention_days: int | UnsetType = UNSET
    report_format: Text = UNSET
    in_doubt: Text = UNSET


class Tenants(msgspec.Struct, frozen=True, kw_only=True):
    """All tenants."""

    ok: Yes = True
    tenants: list[TenantShown]


class TenantSync(msgspec.Struct, frozen=True, kw_only=True):
    """When a tenant's server was told last; in the future: until when it is left alone."""

    id: str
    name: Text = UNSET
    active: bool
    client_base_url: Text = UNSET
    last_sync_ts: float | UnsetType = UNSET
    next_sync_due: bool
    in_dnd: bool


class SyncStatuses(msgspec.Struct, frozen=True, kw_only=True):
    """How all tenants' servers are told."""

    ok: Yes = True
    tenants: list[TenantSync]
    sync_interval_seconds: int


class AccountShown(msgspec.Struct, frozen=True, kw_only=True):
    """A mail account, but for its secrets."""

    id: str
    tenant_id: str
    host: str
    port: int
    user: Text = UNSET
    ttl: int
    limit_per_minute: int | UnsetType = UNSET
    limit_per_hour: int | UnsetType = UNSET
    limit_per_day: int | UnsetType = UNSET
    limit_behavior: str
    use_tls: bool | UnsetType = UNSET
    batch_size: int | UnsetType = UNSET
    created_at: Date
    updated_at: Date
    is_pec_account: bool
    imap_host: Text = UNSET
    imap_port: int
    source_ip: Text = UNSET
    ip_pool: Text = UNSET
    dkim_domain: Text = UNSET
    dkim_selector: Text = UNSET


class Accounts(msgspec.Struct, frozen=True, kw_only=True):
    """A tenant's mail accounts."""

    ok: Yes = True
    accounts: list[AccountShown]


def tenant(found: Tenant) -> TenantShown:
    """Write a tenant."""
    return TenantShown(
        id=found.tenant_id,
        name=found.name or UNSET,
        client_auth=_auth(found.client_auth),
        client_base_url=found.client_base_url or UNSET,
        client_sync_path=found.client_sync_path or UNSET,
        client_attachment_path=found.client_attachment_path or UNSET,
        rate_limits=given(found.rate_limits),
        large_file_config=_large_files(found.large_files),
        active=found.active,
        created_at=date(found.created_at_s),
        updated_at=date(found.updated_at_s),
        retention_days=given(found.retention_days),
        report_format=found.report_format or UNSET,
        in_doubt=found.in_doubt if found.in_doubt != "resend" else UNSET,
    )


def sync_statuses(rows: Iterable[SyncStatus], now_s: float, interval_s: int) -> SyncStatuses:
    """Write how tenants' servers are told."""
    told = [
        TenantSync(
            id=row.tenant_id,
            name=row.name or UNSET,
            active=row.active,
            client_base_url=row.client_base_url or UNSET,
            last_sync_ts=row.last_sync_s or UNSET,
            next_sync_due=row.is_due(now_s, interval_s),
            in_dnd=row.rests(now_s),
        )
        for row in rows
    ]
    return SyncStatuses(tenants=told, sync_interval_seconds=interval_s)


def accounts(found: Tenant) -> Accounts:
    """Write a tenant's mail accounts, sorted."""
    sorted_ones = [found.accounts[name] for name in sorted(found.accounts)]
    return Accounts(accounts=[_account(found.tenant_id, one) for one in sorted_ones])


def _auth(auth: ClientAuth) -> AuthShown | UnsetType:
    if auth == ClientAuth():
        return UNSET
    return AuthShown(method=auth.method, user=auth.user or UNSET)


def _large_files(files: LargeFiles) -> LargeFilesShown | UnsetType:
    default = LargeFiles()
    if files == default:
        return UNSET
    return LargeFilesShown(
        enabled=files.enabled,
        max_size_mb=files.max_size_mb if files.max_size_mb != default.max_size_mb else UNSET,
        action=files.action if files.action != default.action else UNSET,
        storage_url=files.storage_url or UNSET,
        public_base_url=files.public_base_url or UNSET,
        file_ttl_days=(
            files.file_ttl_days if files.file_ttl_days != default.file_ttl_days else UNSET
        ),
    )


def _account(tenant_id: str, one: MailAccount) -> AccountShown:
    return AccountShown(
        id=one.account_id,
        tenant_id=tenant_id,
        host=one.host,
        port=one.port,
        user=one.user or UNSET,
        ttl=one.ttl_s,
        limit_per_minute=given(one.limit_per_minute),
        limit_per_hour=given(one.limit_per_hour),
        limit_per_day=given(one.limit_per_day),
        limit_behavior=one.limit_behavior,
        use_tls=given(one.use_tls),
        batch_size=given(one.batch_size),
        created_at=date(one.created_at_s),
        updated_at=date(one.updated_at_s),
        is_pec_account=one.is_pec,
        imap_host=one.imap_host or UNSET,
        imap_port=one.imap_port,
        source_ip=one.source_ip or UNSET,
        ip_pool=one.ip_pool or UNSET,
        dkim_domain=one.dkim_domain or UNSET,
        dkim_selector=one.dkim_selector or UNSET,
    )
