"""The tenants of the mail proxy: put, changed and deleted in any process, recognised by their keys.

put ──▶ TenantCreated, TenantKeyIssued, and the key, shown this once; or TenantUpdated
delete ──▶ TenantDeleted and a row in an inbox ──▶ the data key is destroyed ──▶ the row goes

A tenant is gone as soon as the event is stored. The row stays until its data key is destroyed, so
that what a crash leaves behind is finished by `finish_deletions`.
"""

from __future__ import annotations

import hashlib
import logging
import re
import secrets
from dataclasses import replace
from typing import TYPE_CHECKING, Final, get_args

from signalbox.actors.mail_secrets import MailSecrets
from signalbox.actors.memory import Memory
from signalbox.actors.streams import REMEMBERED_MAX, Beside, Streams
from signalbox.domain import tenant as domain
from signalbox.domain.mail_account import can_be_id, require_id
from signalbox.domain.names import names_of
from signalbox.eventstore.errors import Unavailable
from signalbox.eventstore.journal import Append, Write
from signalbox.eventstore.postgres import Broken, borrowed
from signalbox.eventstore.recorder import InboxRow

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from signalbox.domain.mail_account import MailAccount
    from signalbox.domain.names import Event
    from signalbox.domain.tenant import Tenant
    from signalbox.domain.tenant_config import TenantChanges, TenantConfig
    from signalbox.eventstore.journal import Journal
    from signalbox.eventstore.log import EventLog
    from signalbox.eventstore.mapper import Recorded

log = logging.getLogger(__name__)

TENANT_EVENTS: Final = names_of(*get_args(domain.Event))
KEY_OCTETS: Final = 32
KEY: Final = re.compile(r"[A-Za-z0-9_-]{43}")
DELETIONS: Final = "tenant_deletions"  # the inbox of data keys that are to be destroyed
DELETION: Final = "deletion"
DELETIONS_MAX: Final = 1_000
ABSENCE_S: Final = 1.0  # how long a key that nobody has is believed to be nobody's

NOBODY: Final = domain.Tenant()


class Tenants(MailSecrets):
    """Every tenant of the mail proxy. One per process; its methods raise `Unavailable`.

    Whatever changes something is stored on return; `by` is who wants it.
    """

    def __init__(self, event_log: EventLog, journal: Journal) -> None:
        super().__init__(event_log.secrets)
        self._log = event_log
        self._journal = journal
        self._streams: Streams[Tenant] = Streams(event_log, journal, NOBODY, _evolve)
        self._keys: Memory[str, str] = Memory(REMEMBERED_MAX, ABSENCE_S)
        self._watchers: list[Callable[[str, domain.Event], None]] = []

    def put(self, tenant_id: str, config: TenantConfig, *, by: str, request_id: str = "") -> str:
        """Create a tenant, or configure it all anew; return the key of a new one, else "".

        Raises: `InvalidField`.
        """
        key, given = _new_key(tenant_id)
        command = domain.PutTenant(config, _digest(key))

        def beside(events: Sequence[Event]) -> Beside:
            return given if _creates(events) else Beside()

        events = self._change(tenant_id, command, by, request_id, beside)
        return key if _creates(events) else ""

    def update(
        self, tenant_id: str, changes: TenantChanges, *, by: str, request_id: str = ""
    ) -> None:
        """Configure some of a tenant anew. Raises: `UnknownTenant`, `InvalidField`."""
        self._change(tenant_id, domain.UpdateTenant(changes), by, request_id)

    def delete(self, tenant_id: str, *, by: str, request_id: str = "") -> None:
        """Delete a tenant with all it has; nothing personal of it can be read any more.

        Raises: `UnknownTenant`.
        """

        def beside(events: Sequence[Event]) -> Beside:
            rows = [InboxRow(DELETIONS, DELETION, key) for key in _ended(tenant_id, events)]
            return Beside(inbox=tuple(rows))

        events = self._change(tenant_id, domain.DeleteTenant(), by, request_id, beside)
        for data_key in _ended(tenant_id, events):
            self._finish(data_key)

    def finish_deletions(self) -> int:
        """Destroy the data keys that are still there of deleted tenants; return how many."""
        with borrowed(self._log.pool) as connection:
            rows = connection.execute(
                "SELECT stream_id FROM signalbox.inbox WHERE actor_id = %s AND kind = %s"
                " ORDER BY seq LIMIT %s",
                (DELETIONS, DELETION, DELETIONS_MAX),
            ).fetchall()
        return sum(self._finish(row["stream_id"]) for row in rows)

    def issue_key(self, tenant_id: str, *, by: str, request_id: str = "") -> str:
        """Give a tenant another key and return it; the one before is worthless from then on.

        Raises: `UnknownTenant`.
        """
        key, given = _new_key(tenant_id)
        command = domain.IssueTenantKey(_digest(key))
        self._change(tenant_id, command, by, request_id, lambda _: given)
        return key

    def revoke_key(self, tenant_id: str, *, by: str, request_id: str = "") -> None:
        """Make a tenant's key worthless, if it has one. Raises: `UnknownTenant`."""
        self._change(tenant_id, domain.RevokeTenantKey(), by, request_id)

    def suspend(
        self, tenant_id: str, batch_code: str = "", *, by: str, request_id: str = ""
    ) -> frozenset[str]:
        """Keep a batch, or everything, from being sent; return what is suspended now.

        Raises: `UnknownTenant`, `TenantHasTooMuch`, `InvalidField`.
        """
        self._change(tenant_id, domain.SuspendDispatch(batch_code), by, request_id)
        return self.newest(tenant_id).suspended

    def activate(
        self, tenant_id: str, batch_code: str = "", *, by: str, request_id: str = ""
    ) -> frozenset[str]:
        """Have a batch, or everything, sent again; return what is suspended now.

        Raises: `UnknownTenant`, `CannotActivateBatch`.
        """
        self._change(tenant_id, domain.ActivateDispatch(batch_code), by, request_id)
        return self.newest(tenant_id).suspended

    def put_account(
        self, tenant_id: str, account: MailAccount, *, by: str, request_id: str = ""
    ) -> None:
        """Set one of a tenant's mail accounts; the tenant may come later.

        Raises: `InvalidField`, `TenantHasTooMuch`.
        """
        self._change(tenant_id, domain.SetMailAccount(account), by, request_id)

    def remove_account(
        self, tenant_id: str, account_id: str, *, by: str, request_id: str = ""
    ) -> None:
        """Remove a mail account. Raises: `UnknownMailAccount`."""
        self._change(tenant_id, domain.RemoveMailAccount(account_id), by, request_id)

    def known(self, tenant_id: str) -> Tenant:
        """Return a tenant as far as this process was told, one that doesn't exist too."""
        return self._named(tenant_id, self._streams.remembered)

    def newest(self, tenant_id: str) -> Tenant:
        """Return a tenant as the log has it, one that doesn't exist too."""
        return self._named(tenant_id, self._streams.newest)

    def find(self, tenant_id: str) -> Tenant | None:
        """Return a tenant; the log alone can say that there is none."""
        known = self.known(tenant_id)
        tenant = known if known.exists else self.newest(tenant_id)
        return tenant if tenant.exists else None

    def account(self, tenant_id: str, account_id: str) -> MailAccount | None:
        """Return a mail account; the log alone can say that there is none."""
        account = self.known(tenant_id).accounts.get(account_id)
        return account or self.newest(tenant_id).accounts.get(account_id)

    def owner_of_key(self, token: str) -> str | None:
        """Return the tenant whose key this is now; None for any other text."""
        if KEY.fullmatch(token) is None:
            return None
        sha256 = _digest(token)
        tenant_id = self._keys.get(sha256, lambda: self._given_to(sha256))
        if tenant_id is None:
            return None
        # A key that was given out a moment ago is known to the log before it is known here.
        known = self.known(tenant_id).key_sha256 == sha256
        return tenant_id if known or self.newest(tenant_id).key_sha256 == sha256 else None

    def on_change(self, watch: Callable[[str, domain.Event], None]) -> None:
        """Have `watch` called, by `follow`, with the tenant of every event; it must not block."""
        self._watchers.append(watch)

    def follow(self, recorded: Recorded) -> None:
        """Take what the log has of a tenant."""
        self._streams.follow(recorded)
        assert isinstance(recorded.event, domain.Event), recorded
        if isinstance(recorded.event, domain.TenantDeleted):
            self._log.tenant_keys.forget()  # Another process destroyed one of them.
        for watch in self._watchers:
            watch(domain.id_of(recorded.stream_id), recorded.event)

    def _change(
        self,
        tenant_id: str,
        command: domain.Command,
        by: str,
        request_id: str,
        beside: Callable[[Sequence[Event]], Beside] = lambda _: Beside(),
    ) -> Sequence[Event]:
        require_id("tenant_id", tenant_id)
        stream_id = domain.stream_of(tenant_id)
        return self._streams.change(
            stream_id,
            lambda tenant, at_s: domain.decide(_of(tenant_id, tenant), command, at_s),
            tenant_id=lambda tenant: _of(tenant_id, tenant).data_key,
            by=by,
            request_id=request_id,
            beside=beside,
        )

    def _named(self, tenant_id: str, look_up: Callable[[str], Tenant]) -> Tenant:
        if not can_be_id(tenant_id):
            return _of(tenant_id, NOBODY)
        return _of(tenant_id, look_up(domain.stream_of(tenant_id)))

    def _given_to(self, sha256: str) -> str | None:
        with self._log.turns:
            found = self._log.read(domain.key_stream_of(sha256))
        for recorded in found:
            assert isinstance(recorded.event, domain.TenantKeyOwner), recorded
            return recorded.event.tenant_id
        return None

    def _finish(self, data_key: str) -> bool:
        """Destroy a data key; when that can't be now, the row says that it is to be done."""
        try:
            self._log.tenant_keys.destroy(data_key)
            self._journal.append(Append(writes=(), done=(data_key,)))
        except (*Broken, Unavailable) as error:
            log.warning("deletion of a tenant not finished yet", extra={"error": str(error)})
            return False
        return True


def _of(tenant_id: str, tenant: Tenant) -> Tenant:
    """One state is what all streams begin with, so it is no tenant's in particular."""
    return replace(tenant, tenant_id=tenant_id)


def _new_key(tenant_id: str) -> tuple[str, Beside]:
    """Return a key, and the write by which its tenant is found."""
    key = secrets.token_urlsafe(KEY_OCTETS)
    stream_id = domain.stream_of(tenant_id)
    owner = domain.TenantKeyOwner(tenant_id)
    return key, Beside((Write(domain.key_stream_of(_digest(key)), 1, (owner,), stream_id),))


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


def _creates(events: Sequence[Event]) -> bool:
    return any(isinstance(event, domain.TenantCreated) for event in events)


def _ended(tenant_id: str, events: Sequence[Event]) -> list[str]:
    """Return the data keys of the generations that end with the events."""
    ended = [event for event in events if isinstance(event, domain.TenantDeleted)]
    return [domain.data_key_of(tenant_id, event.generation) for event in ended]


def _evolve(tenant: Tenant, event: Event, at_s: float) -> Tenant:
    assert isinstance(event, domain.Event), event
    return domain.evolve(tenant, event, at_s)
