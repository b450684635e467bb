"""The gateway below the mail proxy's HTTP surface: the domain's decisions, kept in memory."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import msgspec
from support.described import DescribedClient

from signalbox.actors.mails import Added, NewMail, Removed
from signalbox.domain import mail as mails
from signalbox.domain import mail_instance as instances
from signalbox.domain import tenant as tenants
from signalbox.domain.mail_account import Sealed, require_id
from signalbox.domain.mail_instance import BouncePolled, Instance
from signalbox.eventstore.errors import Unavailable
from signalbox.http.app import create_app
from signalbox.http.body import BodyReader
from signalbox.http.mail_proxy.openapi import document
from signalbox.http.mail_proxy.routes import MailProxy
from signalbox.projections.mail_views import MailEvent, MailView, SyncStatus

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    import falcon
    import falcon.testing

    from signalbox.domain.mail import Mail
    from signalbox.domain.mail_account import MailAccount
    from signalbox.domain.mail_content import MailContent
    from signalbox.domain.mail_instance import InstanceChanges
    from signalbox.domain.tenant import Tenant
    from signalbox.domain.tenant_config import TenantChanges, TenantConfig
    from signalbox.http.limits import AllRequests
    from signalbox.projections.command_log import CommandQuery, CommandRow

ADMIN_TOKEN: Final = "the admin's token with ümlaut"
ADMIN: Final = {"X-API-Token": ADMIN_TOKEN.encode().decode("latin-1")}
BODY_OCTETS_MAX: Final = 1_048_576
NOW_S: Final = 1_795_220_355.25
UNSAID: Final = "UNSAID"
"""What every secret of the tests contains, so that no answer may."""


class Store:
    """Tells what is asked of it; `away` when the store is."""

    def __init__(self) -> None:
        self.away = False
        self.asked_by: list[str] = []
        self.now_s = NOW_S

    def require(self, by: str = "", request_id: str = "-") -> None:
        assert request_id
        if self.away:
            raise Unavailable("host 10.0.0.1 is down", retry_after_s=3)
        if by:
            self.asked_by.append(by)


class FakeTenants:
    """Tenants by id, and their keys."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.states: dict[str, Tenant] = {}
        self.owners: dict[str, str] = {}

    def owner_of_key(self, token: str) -> str | None:
        self._store.require()
        tenant_id = self.owners.get(_digest(token))
        known = tenant_id is not None and self.newest(tenant_id).key_sha256 == _digest(token)
        return tenant_id if known else None

    def put(self, tenant_id: str, config: TenantConfig, *, by: str, request_id: str) -> str:
        key = self._key(tenant_id)
        existed = self.newest(tenant_id).exists
        self._do(tenant_id, tenants.PutTenant(config, _digest(key)), by, request_id)
        return "" if existed else key

    def update(self, tenant_id: str, changes: TenantChanges, *, by: str, request_id: str) -> None:
        self._do(tenant_id, tenants.UpdateTenant(changes), by, request_id)

    def delete(self, tenant_id: str, *, by: str, request_id: str) -> None:
        self._do(tenant_id, tenants.DeleteTenant(), by, request_id)

    def issue_key(self, tenant_id: str, *, by: str, request_id: str) -> str:
        key = self._key(tenant_id)
        self._do(tenant_id, tenants.IssueTenantKey(_digest(key)), by, request_id)
        return key

    def revoke_key(self, tenant_id: str, *, by: str, request_id: str) -> None:
        self._do(tenant_id, tenants.RevokeTenantKey(), by, request_id)

    def suspend(
        self, tenant_id: str, batch_code: str, *, by: str, request_id: str
    ) -> frozenset[str]:
        return self._do(tenant_id, tenants.SuspendDispatch(batch_code), by, request_id).suspended

    def activate(
        self, tenant_id: str, batch_code: str, *, by: str, request_id: str
    ) -> frozenset[str]:
        return self._do(tenant_id, tenants.ActivateDispatch(batch_code), by, request_id).suspended

    def put_account(
        self, tenant_id: str, account: MailAccount, *, by: str, request_id: str
    ) -> None:
        self._do(tenant_id, tenants.SetMailAccount(account), by, request_id)

    def remove_account(self, tenant_id: str, account_id: str, *, by: str, request_id: str) -> None:
        self._do(tenant_id, tenants.RemoveMailAccount(account_id), by, request_id)

    def newest(self, tenant_id: str) -> Tenant:
        self._store.require()
        return self.states.get(tenant_id, tenants.Tenant(tenant_id=tenant_id))

    def seal(self, secret: str) -> Sealed:
        return Sealed(f"sealed {secret}" if secret else "")

    def _key(self, tenant_id: str) -> str:
        key = secrets.token_urlsafe(32)
        self.owners[_digest(key)] = tenant_id
        return key

    def _do(self, tenant_id: str, command: tenants.Command, by: str, request_id: str) -> Tenant:
        self._store.require(by, request_id)
        require_id("tenant_id", tenant_id)
        state, at_s = self.newest(tenant_id), self._store.now_s
        for event in tenants.decide(state, command, at_s):
            state = tenants.evolve(state, event, at_s)
        self.states[tenant_id] = state
        return state


class FakeInstance:
    """The installation."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.state = Instance()
        self.events: list[instances.Event] = []
        self.poll: BouncePolled | None = None

    def get(self) -> Instance:
        self._store.require()
        return self.state

    def update(self, changes: InstanceChanges, *, by: str, request_id: str) -> None:
        self._do(instances.UpdateInstance(changes), by, request_id)

    def reload_bounce(self, *, by: str, request_id: str) -> None:
        self._do(instances.ReloadBounces(), by, request_id)

    def last_poll(self) -> BouncePolled | None:
        return self.poll

    def seal(self, secret: str) -> Sealed:
        return Sealed(f"sealed {secret}" if secret else "")

    def _do(self, command: instances.Command, by: str, request_id: str) -> None:
        self._store.require(by, request_id)
        for event in instances.decide(self.state, command, self._store.now_s):
            self.state = instances.evolve(self.state, event)
            self.events.append(event)


class FakeMails:
    """Mails and their read models at once."""

    def __init__(self, store: Store, tenants: FakeTenants) -> None:
        self._store = store
        self._tenants = tenants
        self.states: dict[tuple[str, str], Mail] = {}
        self.held: dict[str, MailContent] = {}
        self.at_once: list[int] = []
        self.histories: dict[tuple[str, str], list[MailEvent]] = {}
        self.synced: dict[str, float] = {}
        self.commands: list[CommandRow] = []
        self.queries: list[CommandQuery] = []
        self.run: list[str | None] = []

    def add(
        self, tenant_id: str, mails: Sequence[NewMail], *, by: str, request_id: str
    ) -> Sequence[Added]:
        self._store.require(by, request_id)
        return [self._add(tenant_id, one) for one in mails]

    def delete(
        self, tenant_id: str, client_ids: Sequence[str], *, by: str, request_id: str
    ) -> Removed:
        self._store.require(by, request_id)
        gone = [one for one in client_ids if self.states.pop((tenant_id, one), None)]
        return Removed(len(gone), tuple(one for one in client_ids if one not in gone))

    def cleanup(self, tenant_id: str, pks: Iterable[str], *, by: str, request_id: str) -> int:
        self._store.require(by, request_id)
        gone = [key for key in self.states if key[0] == tenant_id and _pk(key) in set(pks)]
        return len([self.states.pop(key) for key in gone])

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
        assert not with_contents
        self._store.require()
        views = [
            self._view(key, mail, include_history=include_history)
            for key, mail in self.states.items()
            if key[0] == tenant_id and (mail.is_open or not active_only)
        ]
        end = None if limit is None else offset + limit
        return sorted(views, key=lambda view: view.priority)[offset:end]

    def contents(self, pks: Sequence[str]) -> Mapping[str, MailContent]:
        self._store.require()
        self.at_once.append(len(pks))
        return {pk: self.held[pk] for pk in pks if pk in self.held}

    def tenant_ids(self, *, active_only: bool) -> Sequence[str]:
        self._store.require()
        found = self._tenants.states.values()
        there = [one for one in found if one.exists and (one.active or not active_only)]
        return sorted(one.tenant_id for one in there)

    def sync_status(self) -> Sequence[SyncStatus]:
        return [self._sync(tenant_id) for tenant_id in self.tenant_ids(active_only=False)]

    def pending(self, tenant_id: str, batch_code: str | None) -> int:
        self._store.require()
        return sum(
            mail.is_open and batch_code in {None, mail.batch_code}
            for key, mail in self.states.items()
            if key[0] == tenant_id
        )

    def due_cleanup(self, tenant_id: str, older_than_s: float) -> Sequence[str]:
        self._store.require()
        before_s = self._store.now_s - older_than_s
        return [
            _pk(key)
            for key, mail in self.states.items()
            if key[0] == tenant_id and 0 < mail.sent_at_s + mail.error_at_s < before_s
        ]

    def command_log(self, query: CommandQuery) -> Sequence[CommandRow]:
        self._store.require()
        self.queries.append(query)
        behind = [row for row in self.commands if row.id > query.after_id]
        return behind[: query.limit]

    def older_command(self, query: CommandQuery) -> int:
        self._store.require()
        assert query.limit
        return next((row.id for row in self.commands[: -query.limit][::-1]), 0)

    def run_now(self, tenant_id: str | None) -> None:
        """Send everything that waits and is not suspended, and report it."""
        self.run.append(tenant_id)
        for key, mail in list(self.states.items()):
            if mail.is_open and not self._tenants.newest(key[0]).is_suspended(mail.batch_code):
                self.happen(key, mails.AttemptMail())
                self.happen(key, mails.RecordDelivery(code=250, response="OK"))
            self.synced[key[0]] = self._store.now_s

    def happen(self, key: tuple[str, str], command: mails.Command) -> None:
        """Let something happen to a mail."""
        at_s = self._store.now_s
        for event in mails.decide(self.states.get(key), command, at_s):
            self.states[key] = mails.evolve(self.states.get(key), event, at_s)
            if isinstance(event, mails.MailSent):
                self.note(key, kind="sent", code=str(event.code), reported_at_s=at_s)

    def note(self, key: tuple[str, str], **told: Any) -> None:  # noqa: ANN401  fields of an event
        """Have something in a mail's history."""
        event = MailEvent(
            **{
                "position": 12, "kind": "sent", "at_s": self._store.now_s, "until_s": 0.0,
                "code": "", "reason": "", "bounce": "", "refused_recipients": 0, **told,
            }
        )  # fmt: skip
        self.histories.setdefault(key, []).append(event)

    def _add(self, tenant_id: str, one: NewMail) -> Added:
        key, content = (tenant_id, one.client_id), msgspec.json.encode(one.content).decode()
        known = one.account_id in self._tenants.newest(tenant_id).accounts
        reason = one.refused or ("" if known else "account not found for tenant")
        mail = self.states.get(key)
        if mail is not None and not mail.may_come_again:
            return Added(one.client_id, "already sent")
        if reason:
            command: mails.Command = mails.RejectMail(
                tenant_id=tenant_id, client_id=one.client_id, account_id=one.account_id,
                content=content, reason=reason, priority=one.priority,
            )  # fmt: skip
        else:
            command = mails.QueueMail(
                tenant_id=tenant_id, client_id=one.client_id, account_id=one.account_id,
                content=content, priority=one.priority, batch_code=one.batch_code,
                deferred_until_s=one.deferred_until_s,
            )  # fmt: skip
        if one.client_id:
            self.happen(key, command)
            self.held[_pk(key)] = one.content
        return Added(one.client_id, reason)

    def _view(self, key: tuple[str, str], mail: Mail, *, include_history: bool) -> MailView:
        history = tuple(self.histories.get(key, ())) if include_history else ()
        status = "error" if mail.status == "deleted" else mail.status
        return MailView(
            pk=_pk(key), tenant_id=key[0], client_id=key[1], account_id=mail.account_id,
            priority=mail.priority, batch_code=mail.batch_code, status=status,
            deferred_until_s=mail.deferred_until_s, sent_at_s=mail.sent_at_s,
            error_at_s=mail.error_at_s, error=mail.error, retries=mail.retries,
            refused_recipients=mail.refused_recipients, is_pec=mail.is_pec,
            created_at_s=mail.queued_at_s, updated_at_s=mail.queued_at_s,
            history=history,
        )  # fmt: skip

    def _sync(self, tenant_id: str) -> SyncStatus:
        one = self._tenants.newest(tenant_id)
        return SyncStatus(
            tenant_id=tenant_id, name=one.name, active=one.active,
            client_base_url=one.client_base_url, last_sync_s=self.synced.get(tenant_id, 0.0),
        )  # fmt: skip


@dataclass
class Surface:
    """The surface, and what is below it."""

    admin_token: str = ADMIN_TOKEN
    is_open: bool = False
    body_octets_max: int = BODY_OCTETS_MAX
    limit: AllRequests | None = None
    store: Store = field(default_factory=Store)

    def __post_init__(self) -> None:
        self.tenants = FakeTenants(self.store)
        self.mails = FakeMails(self.store, self.tenants)
        self.instance = FakeInstance(self.store)

    def surface(self, run_now: Callable[[str | None], None] | None = None) -> MailProxy:
        """Return the surface."""
        return MailProxy(
            tenants=self.tenants,
            mails=self.mails,
            instance=self.instance,
            reads=self.mails,
            run_now=run_now or self.mails.run_now,
            body=BodyReader(self.body_octets_max),
            admin_token=self.admin_token,
            is_open=self.is_open,
            now=lambda: self.store.now_s,
        )

    def app(self) -> falcon.App[Any, Any]:
        """Return the WSGI application of a port where the surface is alone."""
        surface = self.surface()
        guard = surface.guard(alone=True)
        return create_app(surface.routes(alone=True), {}, self.limit, [guard])

    def client(self) -> falcon.testing.TestClient:
        """Return a client of it; every answer must be the described one."""
        return DescribedClient(self.app(), document())

    def tenant(self, tenant_id: str, **config: Any) -> dict[str, str]:  # noqa: ANN401  JSON
        """Have a tenant with an account; return the headers with its key."""
        client = self.client()
        made = client.simulate_post("/tenant", json={"id": tenant_id, **config}, headers=ADMIN)
        account = {"id": "smtp1", "tenant_id": tenant_id, "host": "127.0.0.1", "port": 25}
        assert client.simulate_post("/account", json=account, headers=ADMIN).status_code == 200
        return {"X-API-Token": made.json["api_key"]}

    def grow_older(self, seconds: float) -> None:
        """Let time pass."""
        self.store.now_s += seconds


def message(client_id: str, tenant_id: str = "acme", **more: object) -> dict[str, object]:
    """Return a mail as clients write it."""
    return {
        "id": client_id,
        "tenant_id": tenant_id,
        "account_id": "smtp1",
        "from": "sender@acme.test",
        "to": ["rcpt@example.test"],
        "subject": f"S {client_id}",
        **more,
    }


def _pk(key: tuple[str, str]) -> str:
    return hashlib.sha256(repr(key).encode()).hexdigest()[:22]


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()
