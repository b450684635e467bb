"""What this surface needs of the gateway; the composition root of the web process provides it.

Times are Unix seconds. Whatever changes something is stored on return; `by` is who wants it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from signalbox.actors.mails import Added, NewMail, Removed
    from signalbox.domain.mail_account import MailAccount, Sealed
    from signalbox.domain.mail_content import MailContent
    from signalbox.domain.mail_instance import BouncePolled, Instance, InstanceChanges
    from signalbox.domain.tenant import Tenant
    from signalbox.domain.tenant_config import TenantChanges, TenantConfig
    from signalbox.projections.command_log import CommandQuery, CommandRow
    from signalbox.projections.mail_views import MailView, SyncStatus


class Keys(Protocol):
    """Knows tenants by their keys."""

    def owner_of_key(self, token: str) -> str | None:
        """Return the tenant whose key this is now; None for any other text."""


class Tenants(Keys, Protocol):
    """The tenants. The methods are those of signalbox.actors.tenants."""

    def put(self, tenant_id: str, config: TenantConfig, *, by: str, request_id: str) -> str:
        """Create or configure all anew; return the key of a new one. Raises: `InvalidField`."""

    def update(self, tenant_id: str, changes: TenantChanges, *, by: str, request_id: str) -> None:
        """Configure some anew. Raises: `UnknownTenant`, `InvalidField`."""

    def delete(self, tenant_id: str, *, by: str, request_id: str) -> None:
        """Delete it with all it has. Raises: `UnknownTenant`."""

    def issue_key(self, tenant_id: str, *, by: str, request_id: str) -> str:
        """Return another key; the one before is worthless now. Raises: `UnknownTenant`."""

    def revoke_key(self, tenant_id: str, *, by: str, request_id: str) -> None:
        """Make its key worthless. Raises: `UnknownTenant`."""

    def suspend(
        self, tenant_id: str, batch_code: str, *, by: str, request_id: str
    ) -> frozenset[str]:
        """Hold a batch or, "", everything; return what is held. Raises: `UnknownTenant`, …."""

    def activate(
        self, tenant_id: str, batch_code: str, *, by: str, request_id: str
    ) -> frozenset[str]:
        """Let a batch or, "", everything go on. Raises: `UnknownTenant`, `CannotActivateBatch`."""

    def put_account(
        self, tenant_id: str, account: MailAccount, *, by: str, request_id: str
    ) -> None:
        """Set a mail account. Raises: `InvalidField`, `TenantHasTooMuch`."""

    def remove_account(self, tenant_id: str, account_id: str, *, by: str, request_id: str) -> None:
        """Remove a mail account. Raises: `UnknownMailAccount`."""

    def newest(self, tenant_id: str) -> Tenant:
        """Return a tenant as the log has it, one that doesn't exist too."""

    def seal(self, secret: str) -> Sealed:
        """Return a secret as it may be stored; "" stays ""."""


class Mails(Protocol):
    """The mails. The methods are those of signalbox.actors.mails."""

    def add(
        self, tenant_id: str, mails: Sequence[NewMail], *, by: str, request_id: str
    ) -> Sequence[Added]:
        """Queue mails; return what became of each, in order. Raises: `InvalidField`."""

    def delete(
        self, tenant_id: str, client_ids: Sequence[str], *, by: str, request_id: str
    ) -> Removed:
        """Forget mails, those that were sent too."""

    def cleanup(self, tenant_id: str, pks: Iterable[str], *, by: str, request_id: str) -> int:
        """Forget mails of which nobody expects anything more; return how many there were."""


class MailInstance(Protocol):
    """The installation. The methods are those of signalbox.actors.mail_instance."""

    def get(self) -> Instance:
        """Return the configuration as the log has it."""

    def update(self, changes: InstanceChanges, *, by: str, request_id: str) -> None:
        """Configure some of it anew. Raises: `InvalidField`."""

    def reload_bounce(self, *, by: str, request_id: str) -> None:
        """Have whoever looks for bounces begin anew. Raises: `BounceHostMissing`."""

    def last_poll(self) -> BouncePolled | None:
        """Return how far the mailbox of bounces was read."""

    def seal(self, secret: str) -> Sealed:
        """Return a secret as it may be stored; "" stays ""."""


class RunNow(Protocol):
    """Has mails sent and reports made at once; None: of all tenants."""

    def __call__(self, tenant_id: str | None) -> None:
        """Tell whoever does it; nothing is awaited."""


class MailReads(Protocol):
    """The read models; they have everything that was acknowledged in this process before.

    The methods are those of signalbox.ops.mail_reads.
    """

    def messages(
        self,
        tenant_id: str,
        *,
        active_only: bool,
        include_history: bool,
        limit: int | None,
        offset: int,
        with_contents: bool,
    ) -> Sequence[MailView]:
        """Return a tenant's mails by priority and age; `active_only`: those that wait."""

    def contents(self, pks: Sequence[str]) -> Mapping[str, MailContent]:
        """Return what mails hold, by pk; nothing for those that are gone."""

    def tenant_ids(self, *, active_only: bool) -> Sequence[str]:
        """Return all tenants, sorted."""

    def sync_status(self) -> Sequence[SyncStatus]:
        """Return all tenants, sorted, with when their servers were told."""

    def pending(self, tenant_id: str, batch_code: str | None) -> int:
        """Return how many mails of a batch wait, or None of all."""

    def due_cleanup(self, tenant_id: str, older_than_s: float) -> Sequence[str]:
        """Return mails of which all was reported longer ago than that; read again until empty."""

    def command_log(self, query: CommandQuery) -> Sequence[CommandRow]:
        """Return commands, oldest first."""

    def older_command(self, query: CommandQuery) -> int:
        """Return the id behind which there are the newest `limit` commands only; 0: all are."""
