"""A tenant of the mail proxy: its configuration, its key, its mail accounts, what it has suspended.

    PutTenant ──▶ TenantCreated ──▶ TenantUpdated, TenantKeyIssued, TenantKeyRevoked,
                       ▲                DispatchSuspended, DispatchActivated
                       │                          │ DeleteTenant
                       └────── TenantDeleted ◀────┘
    SetMailAccount ──▶ MailAccountSet ──▶ MailAccountRemoved

The stream is `tenant-<id>`. Mail accounts may be there before their tenant is. Deleting ends a
generation: whoever is created under the same id later starts from nothing, with a data key of its
own. A key is random and long, so a plain SHA-256 of it can stand in the log, and names the stream
`tenant_key-<sha256>`, by which its tenant is found.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Final, assert_never

from signalbox.domain.errors import (
    CannotActivateBatch,
    TenantHasTooMuch,
    UnknownMailAccount,
    UnknownTenant,
)
from signalbox.domain.mail_account import MailAccount, require_id, require_storable
from signalbox.domain.tenant_config import TenantChanges, TenantConfig, changed, require_valid

EVERYTHING: Final = "*"
STREAM_PREFIX: Final = "tenant-"
ACCOUNTS_MAX: Final = 1_000
SUSPENDED_MAX: Final = 1_000


@dataclass(frozen=True, slots=True)
class PutTenant:
    """A tenant is to be like this; a new one gets the key of this hash."""

    config: TenantConfig
    key_sha256: str


@dataclass(frozen=True, slots=True)
class UpdateTenant:
    """Some of the configuration changes."""

    changes: TenantChanges


@dataclass(frozen=True, slots=True)
class DeleteTenant:
    """The tenant goes, with all it has."""


@dataclass(frozen=True, slots=True)
class IssueTenantKey:
    """The tenant gets another key, known by its hash."""

    key_sha256: str


@dataclass(frozen=True, slots=True)
class RevokeTenantKey:
    """The tenant's key is worth nothing from now on."""


@dataclass(frozen=True, slots=True)
class SuspendDispatch:
    """Nothing of this batch is sent any more; nothing at all if it is empty or `EVERYTHING`."""

    batch_code: str = ""


@dataclass(frozen=True, slots=True)
class ActivateDispatch:
    """This batch is sent again; everything is if it is empty or `EVERYTHING`."""

    batch_code: str = ""


@dataclass(frozen=True, slots=True)
class SetMailAccount:
    """A mail account is to be like this; its times are set when it is."""

    account: MailAccount


@dataclass(frozen=True, slots=True)
class RemoveMailAccount:
    """A mail account goes."""

    account_id: str


Change = (
    UpdateTenant
    | DeleteTenant
    | IssueTenantKey
    | RevokeTenantKey
    | SuspendDispatch
    | ActivateDispatch
)
"""What can only be done to a tenant that exists."""

Command = PutTenant | Change | SetMailAccount | RemoveMailAccount


@dataclass(frozen=True, slots=True)
class TenantCreated:
    """There is a tenant; the first of its id is of generation 1."""

    generation: int
    config: TenantConfig


@dataclass(frozen=True, slots=True)
class TenantUpdated:
    """The tenant is configured like this from now on."""

    config: TenantConfig


@dataclass(frozen=True, slots=True)
class TenantDeleted:
    """The tenant is gone, with its key, its accounts and its mails."""

    generation: int


@dataclass(frozen=True, slots=True)
class TenantKeyIssued:
    """A key was given out; the one before is worth nothing."""

    sha256: str


@dataclass(frozen=True, slots=True)
class TenantKeyRevoked:
    """The tenant has no key any more."""


@dataclass(frozen=True, slots=True)
class DispatchSuspended:
    """A batch stays where it is; everything does if `batch_code` is empty."""

    batch_code: str = ""


@dataclass(frozen=True, slots=True)
class DispatchActivated:
    """A batch is sent again; everything is if `batch_code` is empty."""

    batch_code: str = ""


@dataclass(frozen=True, slots=True)
class MailAccountSet:
    """Mails of this account leave like this from now on."""

    account: MailAccount


@dataclass(frozen=True, slots=True)
class MailAccountRemoved:
    """The account is gone."""

    account_id: str


@dataclass(frozen=True, slots=True)
class TenantKeyOwner:
    """The key that names the stream was given to this tenant; it may have got another since."""

    tenant_id: str


_Touching = (
    TenantUpdated | TenantKeyIssued | TenantKeyRevoked | DispatchSuspended | DispatchActivated
)

Event = TenantCreated | TenantDeleted | MailAccountSet | MailAccountRemoved | _Touching


@dataclass(frozen=True, slots=True, kw_only=True)
class Tenant(TenantConfig):
    """A tenant, or only the accounts of one that doesn't exist yet; times are Unix seconds.

    `suspended` holds batch codes, or `EVERYTHING` alone.
    """

    tenant_id: str = ""
    generation: int = 1
    exists: bool = False
    suspended: frozenset[str] = frozenset()
    accounts: Mapping[str, MailAccount] = field(default_factory=dict)
    key_sha256: str = field(default="", repr=False)
    created_at_s: float = 0.0
    updated_at_s: float = 0.0

    @property
    def data_key(self) -> str:
        """Whose personal content it is, for the event store; no two generations share it."""
        return data_key_of(self.tenant_id, self.generation)

    def is_suspended(self, batch_code: str = "") -> bool:
        """True when mails of a batch, or of none, stay where they are."""
        return EVERYTHING in self.suspended or bool(batch_code and batch_code in self.suspended)


def decide(tenant: Tenant, command: Command, at_s: float) -> tuple[Event, ...]:
    """Return the events of one command at `at_s` (Unix); none when nothing changes.

    Raises: `UnknownTenant`, `UnknownMailAccount`, `CannotActivateBatch`, `TenantHasTooMuch`,
    `InvalidField`.
    """
    match command:
        case PutTenant(config, key_sha256):
            return _put(tenant, config, key_sha256)
        case SetMailAccount(account):
            return (MailAccountSet(_dated(tenant, account, at_s)),)
        case RemoveMailAccount(account_id):
            if account_id not in tenant.accounts:
                raise UnknownMailAccount(account_id)
            return (MailAccountRemoved(account_id),)
        case _:
            if not tenant.exists:
                raise UnknownTenant(tenant.tenant_id)
            return _change(tenant, command)


def evolve(tenant: Tenant, event: Event, at_s: float) -> Tenant:
    """Apply one event that happened at `at_s` (Unix)."""
    match event:
        case TenantCreated(generation, config):
            there = replace(tenant, exists=True, generation=generation, created_at_s=at_s)
            return replace(_configured(there, config), updated_at_s=at_s)
        case TenantDeleted(generation):
            return Tenant(tenant_id=tenant.tenant_id, generation=generation + 1)
        case MailAccountSet(account):
            return replace(tenant, accounts={**tenant.accounts, account.account_id: account})
        case MailAccountRemoved(account_id):
            kept = {name: one for name, one in tenant.accounts.items() if name != account_id}
            return replace(tenant, accounts=kept)
        case _:
            return replace(_touched(tenant, event), updated_at_s=at_s)


def stream_of(tenant_id: str) -> str:
    """Return the stream of a tenant."""
    return f"{STREAM_PREFIX}{tenant_id}"


def id_of(stream_id: str) -> str:
    """Return the tenant of a stream."""
    return stream_id.removeprefix(STREAM_PREFIX)


def key_stream_of(sha256: str) -> str:
    """Return the stream of a key, by the SHA-256 of the key (64 hex digits)."""
    return f"tenant_key-{sha256}"


def data_key_of(tenant_id: str, generation: int) -> str:
    """Return the name of the key that seals what is personal of one generation of a tenant."""
    return f"{STREAM_PREFIX}{tenant_id}/{generation}"


def _put(tenant: Tenant, config: TenantConfig, key_sha256: str) -> tuple[Event, ...]:
    require_valid(config)
    if tenant.exists:
        return (TenantUpdated(config),)
    return TenantCreated(tenant.generation, config), TenantKeyIssued(key_sha256)


def _change(tenant: Tenant, command: Change) -> tuple[Event, ...]:
    match command:
        case UpdateTenant(changes):
            return _update(tenant, changes)
        case DeleteTenant():
            return (TenantDeleted(tenant.generation),)
        case IssueTenantKey(key_sha256):
            return (TenantKeyIssued(key_sha256),)
        case RevokeTenantKey():
            return (TenantKeyRevoked(),) if tenant.key_sha256 else ()
        case SuspendDispatch(batch_code):
            return _suspend(tenant, batch_code)
        case ActivateDispatch(batch_code):
            return _activate(tenant, batch_code)
        case _:
            assert_never(command)


def _update(tenant: Tenant, changes: TenantChanges) -> tuple[Event, ...]:
    before = _config_of(tenant)
    after = changed(before, changes)
    require_valid(after)
    return (TenantUpdated(after),) if after != before else ()


def _dated(tenant: Tenant, account: MailAccount, at_s: float) -> MailAccount:
    require_storable(account)
    before = tenant.accounts.get(account.account_id)
    if before is None and len(tenant.accounts) >= ACCOUNTS_MAX:
        raise TenantHasTooMuch("mail accounts", ACCOUNTS_MAX)
    created_at_s = at_s if before is None else before.created_at_s
    return replace(account, created_at_s=created_at_s, updated_at_s=at_s)


def _suspend(tenant: Tenant, batch_code: str) -> tuple[Event, ...]:
    if batch_code in {"", EVERYTHING}:
        return () if tenant.is_suspended() else (DispatchSuspended(),)
    if tenant.is_suspended(batch_code):
        return ()
    require_id("batch_code", batch_code)
    if len(tenant.suspended) >= SUSPENDED_MAX:
        raise TenantHasTooMuch("suspended batches", SUSPENDED_MAX)
    return (DispatchSuspended(batch_code),)


def _activate(tenant: Tenant, batch_code: str) -> tuple[Event, ...]:
    if batch_code in {"", EVERYTHING}:
        return (DispatchActivated(),) if tenant.suspended else ()
    if tenant.is_suspended():
        raise CannotActivateBatch
    return (DispatchActivated(batch_code),) if batch_code in tenant.suspended else ()


def _touched(tenant: Tenant, event: _Touching) -> Tenant:
    match event:
        case TenantUpdated(config):
            return _configured(tenant, config)
        case TenantKeyIssued(sha256):
            return replace(tenant, key_sha256=sha256)
        case TenantKeyRevoked():
            return replace(tenant, key_sha256="")
        case DispatchSuspended(batch_code):
            suspended = tenant.suspended | {batch_code} if batch_code else {EVERYTHING}
            return replace(tenant, suspended=frozenset(suspended))
        case DispatchActivated(batch_code):
            left = tenant.suspended - {batch_code} if batch_code else frozenset[str]()
            return replace(tenant, suspended=left)
        case _:
            assert_never(event)


def _configured(tenant: Tenant, config: TenantConfig) -> Tenant:
    return replace(tenant, **{one.name: getattr(config, one.name) for one in fields(TenantConfig)})


def _config_of(tenant: Tenant) -> TenantConfig:
    return TenantConfig(**{one.name: getattr(tenant, one.name) for one in fields(TenantConfig)})
