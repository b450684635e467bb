"""What callers configure: tenants, mail accounts, the installation. Names are the reference's.

Ours, beside those: a tenant's `retention_days`, `report_format` and `in_doubt`, an account's
`source_ip`, `ip_pool` and `dkim_…`. A text that is empty is not given.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from signalbox.domain.mail_account import IMAPS_PORT, MailAccount, Sealed
from signalbox.domain.mail_instance import InstanceChanges
from signalbox.domain.tenant_config import (
    ClientAuth,
    LargeFiles,
    RateLimits,
    TenantChanges,
    TenantConfig,
)

Seal = Callable[[str], Sealed]
"""How a secret is sealed before it goes anywhere."""

Id = Annotated[str, Meta(max_length=512)]
TenantId = Annotated[Id, Meta(examples=["acme"])]
NonNegative = Annotated[int, Meta(ge=0)]


class Auth(msgspec.Struct):
    """How the tenant's server knows us: "bearer" with `token`, "basic" with `user`, `password`.

    Any other method means: not at all.
    """

    method: str | None = None
    token: str | None = None
    user: str | None = None
    password: str | None = None

    def client_auth(self, seal: Seal) -> ClientAuth:
        """Return it with its secret sealed."""
        method = self.method or ""
        secret = self.password if method == "basic" else self.token
        return ClientAuth(method=method, user=self.user or "", secret_sealed=seal(secret or ""))


class LargeFileConfig(msgspec.Struct):
    """What becomes of attachments beyond `max_size_mb`: `action` is warn, reject or rewrite."""

    enabled: bool = False
    max_size_mb: float = 10.0
    action: str = "warn"
    storage_url: str | None = None
    public_base_url: str | None = None
    file_ttl_days: int = 30

    def large_files(self) -> LargeFiles:
        """Return it as the core has it."""
        return LargeFiles(
            enabled=self.enabled,
            max_size_mb=self.max_size_mb,
            action=self.action,
            storage_url=self.storage_url or "",
            public_base_url=self.public_base_url or "",
            file_ttl_days=self.file_ttl_days,
        )


class _TenantBase(msgspec.Struct, kw_only=True):
    """What creating and changing a tenant have in common. Null is not given."""

    name: str | None = None
    client_auth: Auth | None = None
    client_base_url: Annotated[str, Meta(examples=["https://app.example.com"])] | None = None
    client_sync_path: str | None = None
    client_attachment_path: str | None = None
    rate_limits: RateLimits | None = None
    large_file_config: LargeFileConfig | None = None
    retention_days: NonNegative | None = None
    report_format: Literal["reports", "delivery_report"] | None = None
    in_doubt: Literal["resend", "hold"] | None = None

    def _auth(self, seal: Seal) -> ClientAuth | None:
        return None if self.client_auth is None else self.client_auth.client_auth(seal)

    def _files(self) -> LargeFiles | None:
        return None if self.large_file_config is None else self.large_file_config.large_files()


class TenantBody(_TenantBase, kw_only=True):
    """`POST /tenant`: a tenant, new or all anew; what is not given is as it is by default."""

    id: TenantId
    active: bool = True

    def config(self, seal: Seal) -> TenantConfig:
        """Return the whole configuration."""
        return TenantConfig(
            name=self.name or "",
            client_auth=self._auth(seal) or ClientAuth(),
            client_base_url=self.client_base_url or "",
            client_sync_path=self.client_sync_path or "",
            client_attachment_path=self.client_attachment_path or "",
            rate_limits=self.rate_limits,
            large_files=self._files() or LargeFiles(),
            retention_days=self.retention_days,
            report_format=self.report_format or "",
            in_doubt=self.in_doubt or "resend",
            active=self.active,
        )


class TenantChange(_TenantBase, kw_only=True):
    """`PUT /tenant/{tenant_id}`: some of a tenant; what is not given stays as it is."""

    active: bool | None = None

    def changes(self, seal: Seal) -> TenantChanges:
        """Return what is to change."""
        return TenantChanges(
            name=self.name,
            client_auth=self._auth(seal),
            client_base_url=self.client_base_url,
            client_sync_path=self.client_sync_path,
            client_attachment_path=self.client_attachment_path,
            rate_limits=self.rate_limits,
            large_files=self._files(),
            retention_days=self.retention_days,
            report_format=self.report_format,
            in_doubt=self.in_doubt,
            active=self.active,
        )


class AccountBody(msgspec.Struct, kw_only=True):
    """`POST /account`: an SMTP server that a tenant sends through, new or all anew.

    `use_tls` null: what the port says. A limit that is null, zero or less is none. Over a limit
    mail waits, unless `limit_behavior` is "reject".
    """

    id: Id
    tenant_id: TenantId
    host: Annotated[str, Meta(examples=["smtp.example.com"])]
    port: Annotated[int, Meta(examples=[587])]
    user: str | None = None
    password: str | None = None
    ttl: int = 300
    limit_per_minute: int | None = None
    limit_per_hour: int | None = None
    limit_per_day: int | None = None
    limit_behavior: str | None = "defer"
    use_tls: bool | None = None
    batch_size: int | None = None
    is_pec_account: bool | None = None
    imap_host: str | None = None
    imap_port: int | None = None
    imap_user: str | None = None
    imap_password: str | None = None
    imap_ssl: bool | None = None
    source_ip: str | None = None
    ip_pool: str | None = None
    dkim_domain: str | None = None
    dkim_selector: str | None = None
    dkim_private_key: str | None = None

    def account(self, seal: Seal) -> MailAccount:
        """Return the account with its secrets sealed."""
        return MailAccount(
            account_id=self.id,
            host=self.host,
            port=self.port,
            user=self.user or "",
            password_sealed=seal(self.password or ""),
            ttl_s=self.ttl,
            limit_per_minute=self.limit_per_minute,
            limit_per_hour=self.limit_per_hour,
            limit_per_day=self.limit_per_day,
            limit_behavior=self.limit_behavior or "defer",
            use_tls=self.use_tls,
            batch_size=self.batch_size,
            is_pec=bool(self.is_pec_account),
            imap_host=self.imap_host or "",
            imap_port=IMAPS_PORT if self.imap_port is None else self.imap_port,
            imap_user=self.imap_user or "",
            imap_password_sealed=seal(self.imap_password or ""),
            imap_ssl=self.imap_ssl is not False,
            source_ip=self.source_ip or "",
            ip_pool=self.ip_pool or "",
            dkim_domain=self.dkim_domain or "",
            dkim_selector=self.dkim_selector or "",
            dkim_private_key_sealed=seal(self.dkim_private_key or ""),
        )


class InstanceBody(msgspec.Struct, kw_only=True):
    """`PUT /instance`: some of the installation; `api_token` is read and has no effect."""

    name: str | None = None
    api_token: str | None = None
    bounce_enabled: bool | None = None
    bounce_imap_host: str | None = None
    bounce_imap_port: int | None = None
    bounce_imap_user: str | None = None
    bounce_imap_password: str | None = None
    bounce_imap_folder: str | None = None
    bounce_imap_ssl: bool | None = None
    bounce_poll_interval: int | None = None
    bounce_return_path: str | None = None

    def changes(self, seal: Seal) -> InstanceChanges:
        """Return what is to change."""
        password = self.bounce_imap_password
        return InstanceChanges(
            name=self.name,
            bounce_enabled=self.bounce_enabled,
            bounce_imap_host=self.bounce_imap_host,
            bounce_imap_port=self.bounce_imap_port,
            bounce_imap_user=self.bounce_imap_user,
            bounce_imap_password_sealed=None if password is None else seal(password),
            bounce_imap_folder=self.bounce_imap_folder,
            bounce_imap_ssl=self.bounce_imap_ssl,
            bounce_poll_interval_s=self.bounce_poll_interval,
            bounce_return_path=self.bounce_return_path,
        )
