"""What is asked for behind the question mark; of a name that is there twice the last counts."""

from __future__ import annotations

import msgspec

from signalbox.http.mail_proxy.wire import NonNegative, TenantId  # noqa: TC001  msgspec reads it


class OfTenant(msgspec.Struct):
    """Whose it is to be."""

    tenant_id: TenantId


class Batch(OfTenant):
    """Which batch of whose mails; all of them without `batch_code`."""

    batch_code: str | None = None


class MessagesQuery(OfTenant):
    """Whose mails: only those that wait, if so wished, and with what became of them.

    `limit` and `offset`, ours, are for who has many; without a limit all of them come.
    """

    active_only: bool = False
    include_history: bool = False
    limit: NonNegative | None = None
    offset: NonNegative = 0


class TenantsQuery(msgspec.Struct):
    """Which tenants."""

    active_only: bool = False


class ExportQuery(msgspec.Struct):
    """Which commands, from and to a Unix time; `format` "json" is one object, not lines."""

    tenant_id: str | None = None
    since_ts: int | None = None
    until_ts: int | None = None
    format: str | None = None


class LogQuery(msgspec.Struct):
    """Which commands, from and to a Unix time; -1 is no limit but ours.

    `newest`, ours, is for the last of them instead of the first, in the same order.
    """

    tenant_id: str | None = None
    since_ts: int | None = None
    until_ts: int | None = None
    endpoint_filter: str | None = None
    limit: int = 100
    newest: bool = False
