"""What an event says of the command it came from, for the log of commands.

What changed nothing, or was refused, has no event; and what the gateway did by itself, such as
cleaning up, was no command. The payload holds what was given, under the fields' own names, without
secrets and without anything personal.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

import msgspec

from signalbox.domain.mail import MailDeleted, MailQueued, MailRejected, MailReplaced
from signalbox.domain.tenant import (
    DispatchActivated,
    DispatchSuspended,
    MailAccountRemoved,
    MailAccountSet,
    TenantCreated,
    TenantDeleted,
    TenantKeyIssued,
    TenantKeyRevoked,
    TenantUpdated,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from signalbox.domain.mail_instance import InstanceUpdated
    from signalbox.eventstore.mapper import Recorded

CommandName = Literal[
    "addMessages",
    "deleteMessages",
    "cleanupMessages",
    "addAccount",
    "deleteAccount",
    "addTenant",
    "updateTenant",
    "deleteTenant",
    "suspend",
    "activate",
    "createApiKey",
    "revokeApiKey",
    "updateInstance",
]
SEALED: Final = "_sealed"
CREDENTIALS: Final = re.compile(r"(?<=://)[^/?#@\s]*@")
TIMES: Final = frozenset({"created_at_s", "updated_at_s"})
NOTHING: Final[tuple[object, ...]] = (None, "", {})
LISTS: Final[Mapping[CommandName, str]] = {
    "addMessages": "messages",
    "deleteMessages": "ids",
    "cleanupMessages": "ids",
}
"""What the payload calls the things that a call was about, where they are many."""


@dataclass(frozen=True, slots=True)
class Command:
    """What one event says of a command; `item` is what a list in its payload gets by it."""

    recorded: Recorded
    name: CommandName
    tenant_id: str
    payload: Mapping[str, object]
    item: object = None
    accepted: bool = True

    @property
    def call(self) -> str:
        """What the events of one call share; empty for what is a call of its own."""
        request_id = self.recorded.request_id
        is_one_of_many = request_id and self.name in LISTS
        return f"{self.name} {request_id} {self.tenant_id}" if is_one_of_many else ""


def of_mail(recorded: Recorded, tenant_id: str, client_id: str) -> Iterator[Command]:
    """Yield the command behind what happened to a mail, if there is one."""
    given = {"tenant_id": tenant_id}
    match recorded.event:
        case MailQueued() | MailReplaced() as event:
            yield Command(recorded, "addMessages", tenant_id, {}, _given(event))
        case MailRejected(reason=reason) as event:
            item = {**_given(event), "reason": reason}
            yield Command(recorded, "addMessages", tenant_id, {}, item, accepted=False)
        case MailDeleted("asked"):
            yield Command(recorded, "deleteMessages", tenant_id, given, client_id)
        case MailDeleted("cleanup") if recorded.request_id:
            yield Command(recorded, "cleanupMessages", tenant_id, given, client_id)
        case _:
            pass


def of_tenant(recorded: Recorded, tenant_id: str) -> Iterator[Command]:
    """Yield the command behind what happened to a tenant or its accounts, if there is one."""
    match recorded.event:
        case MailAccountSet(account):
            payload = {"tenant_id": tenant_id, **_clear(account)}
            yield Command(recorded, "addAccount", tenant_id, payload)
        case MailAccountRemoved(account_id):
            payload = {"tenant_id": tenant_id, "account_id": account_id}
            yield Command(recorded, "deleteAccount", tenant_id, payload)
        case DispatchSuspended(batch_code):
            yield Command(recorded, "suspend", tenant_id, _batch(tenant_id, batch_code))
        case DispatchActivated(batch_code):
            yield Command(recorded, "activate", tenant_id, _batch(tenant_id, batch_code))
        case TenantCreated(config=config):
            payload = {"tenant_id": tenant_id, **_clear(config)}
            yield Command(recorded, "addTenant", tenant_id, payload)
        case TenantUpdated(config):
            payload = {"tenant_id": tenant_id, **_clear(config)}
            yield Command(recorded, "updateTenant", tenant_id, payload)
        case TenantDeleted():
            yield Command(recorded, "deleteTenant", tenant_id, {"tenant_id": tenant_id})
        case TenantKeyIssued():
            yield Command(recorded, "createApiKey", tenant_id, {"tenant_id": tenant_id})
        case TenantKeyRevoked():
            yield Command(recorded, "revokeApiKey", tenant_id, {"tenant_id": tenant_id})
        case _:
            pass


def of_instance(recorded: Recorded, event: InstanceUpdated) -> Command:
    """Return the command behind a change of the installation."""
    return Command(recorded, "updateInstance", "", _clear(event.instance))


def _given(event: MailQueued | MailReplaced | MailRejected) -> dict[str, object]:
    """Return what a mail was queued with, but for its content."""
    given: dict[str, object] = {
        "tenant_id": event.tenant_id,
        "client_id": event.client_id,
        "account_id": event.account_id,
        "priority": event.priority,
    }
    if event.batch_code:
        given["batch_code"] = event.batch_code
    if not isinstance(event, MailRejected) and event.deferred_until_s:
        given["deferred_until_s"] = event.deferred_until_s
    return given


def _batch(tenant_id: str, batch_code: str) -> dict[str, object]:
    return {"tenant_id": tenant_id, **({"batch_code": batch_code} if batch_code else {})}


def _clear(record: object) -> dict[str, object]:
    """Return the fields that were given, without secrets."""
    cleared = _cleared(msgspec.to_builtins(record))
    assert isinstance(cleared, dict), record
    return cleared


def _cleared(value: object) -> object:
    if isinstance(value, dict):
        shown = {name: _cleared(one) for name, one in value.items() if not _is_hidden(name)}
        return {name: one for name, one in shown.items() if one not in NOTHING}
    return CREDENTIALS.sub("", value) if isinstance(value, str) else value


def _is_hidden(name: str) -> bool:
    return name.endswith(SEALED) or name in TIMES
