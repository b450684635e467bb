"""What is configured of a tenant of the mail proxy: where its server is, and what it wishes."""

import json
from dataclasses import dataclass, field, fields, replace
from typing import Final, Literal

from signalbox.domain.errors import InvalidField
from signalbox.domain.mail_account import (
    TEXT_CHARACTERS_MAX,
    UNSEALED,
    PrivateSecret,
    require_value,
)
from signalbox.domain.personal import Private

REPORT_FORMATS: Final = frozenset({"", "reports", "delivery_report"})

InDoubt = Literal["resend", "hold"]
RateLimits = dict[str, int | float | str | bool | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientAuth:
    """How the tenant's own server knows us: `method` is bearer or basic, any other means not.

    The secret is the bearer token, or the password of `user`.
    """

    method: str = ""
    user: Private = ""
    secret_sealed: PrivateSecret = field(default=UNSEALED, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class LargeFiles:
    """What becomes of large attachments: `action` is warn, reject or rewrite."""

    enabled: bool = False
    max_size_mb: float = 10.0
    action: str = "warn"
    storage_url: Private = ""
    public_base_url: Private = ""
    file_ttl_days: int = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class TenantConfig:
    """What is configured of a tenant; a text that is empty is not configured.

    `rate_limits` is kept as it came. `retention_days` None and `report_format` "" mean: as this
    installation has it. `in_doubt` says what becomes of a mail of which nobody knows whether it was
    sent. `active` is whether its server is called without need; a tenant that isn't still sends.
    """

    name: Private = ""
    client_auth: ClientAuth = ClientAuth()
    client_base_url: Private = ""
    client_sync_path: Private = ""
    client_attachment_path: Private = ""
    rate_limits: RateLimits | None = None
    large_files: LargeFiles = LargeFiles()
    retention_days: int | None = None
    report_format: str = ""
    in_doubt: InDoubt = "resend"
    active: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class TenantChanges:
    """What is to be configured anew; None stays as it is."""

    name: str | None = None
    client_auth: ClientAuth | None = None
    client_base_url: str | None = None
    client_sync_path: str | None = None
    client_attachment_path: str | None = None
    rate_limits: RateLimits | None = None
    large_files: LargeFiles | None = None
    retention_days: int | None = None
    report_format: str | None = None
    in_doubt: InDoubt | None = None
    active: bool | None = None


def changed(config: TenantConfig, changes: TenantChanges) -> TenantConfig:
    """Return a configuration with what was given anew."""
    given = {one.name: getattr(changes, one.name) for one in fields(changes)}
    return replace(config, **{name: value for name, value in given.items() if value is not None})


def require_valid(config: TenantConfig) -> None:
    """Refuse what no store can hold, and words nobody would understand. Raises: `InvalidField`."""
    for part in (config, config.client_auth, config.large_files):
        for one in fields(part):
            require_value(one.name, getattr(part, one.name))
    if len(json.dumps(config.rate_limits)) > TEXT_CHARACTERS_MAX:
        raise InvalidField("rate_limits", "not that much is possible")
    if config.report_format not in REPORT_FORMATS:
        raise InvalidField("report_format", "expected reports or delivery_report")
    if config.in_doubt not in {"resend", "hold"}:
        raise InvalidField("in_doubt", "expected resend or hold")
    if config.retention_days is not None and config.retention_days < 0:
        raise InvalidField("retention_days", "expected 0 or more")
