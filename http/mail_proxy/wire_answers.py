"""Answers of this surface. Names and order are the reference's; what there is not is left out.

Secrets are in no answer but a key in the one that makes it. Dates are ISO 8601 in UTC without
saying so, `…_ts` are Unix seconds.
"""

from __future__ import annotations

from datetime import UTC, datetime
from math import floor
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import msgspec
from msgspec import UNSET, Meta, UnsetType

from signalbox.http.mail_proxy.faults import Fault  # noqa: TC001  msgspec reads it
from signalbox.http.mail_proxy.wire_commands import payload_of

if TYPE_CHECKING:
    from signalbox.domain.mail_instance import BouncePolled, Instance
    from signalbox.projections.command_log import CommandRow

V = TypeVar("V")

Yes = Annotated[bool, Meta(extra_json_schema={"const": True})]
Date = Annotated[str, Meta(examples=["2026-11-21T00:19:15"])]
Text = str | UnsetType
Count = Annotated[int, Meta(ge=0)]


class Failed(msgspec.Struct, frozen=True, kw_only=True):
    """Nothing was done, and why; `id` of an internal error is its id in the log."""

    detail: str
    id: Text = UNSET


class Invalid(msgspec.Struct, frozen=True):
    """Nothing was done: what is wrong with the request, one by one."""

    detail: list[Fault]


class Done(msgspec.Struct, frozen=True):
    """It was done, and is stored."""

    ok: Yes = True


class Healthy(msgspec.Struct, frozen=True):
    """The process runs."""

    status: str = "ok"
    ok: Yes = True


class Status(msgspec.Struct, frozen=True):
    """Mail is sent, unless a tenant's is suspended."""

    ok: Yes = True
    active: bool = True


class Key(msgspec.Struct, frozen=True, kw_only=True):
    """It was done; a new key is shown this once."""

    ok: Yes = True
    api_key: Text = UNSET


class NewKey(msgspec.Struct, frozen=True, kw_only=True):
    """A key, shown this once; the one before is worthless."""

    ok: Yes = True
    api_key: str


class Reloaded(msgspec.Struct, frozen=True):
    """Whoever looks for bounces begins anew."""

    ok: Yes = True
    error: None = None


class Suspended(msgspec.Struct, frozen=True, kw_only=True):
    """Which batches are suspended now, "*" for all, and how many mails wait."""

    ok: Yes = True
    tenant_id: str
    batch_code: Text = UNSET
    suspended_batches: list[str]
    pending_messages: Count


class InstanceShown(msgspec.Struct, frozen=True, kw_only=True):
    """The installation, but for its secrets."""

    id: int = 1
    name: str
    bounce_enabled: bool
    bounce_imap_host: Text = UNSET
    bounce_imap_port: int
    bounce_imap_user: Text = UNSET
    bounce_imap_folder: str
    bounce_imap_ssl: bool
    bounce_poll_interval: int
    bounce_return_path: Text = UNSET
    bounce_last_uid: int | UnsetType = UNSET
    bounce_uidvalidity: int | UnsetType = UNSET
    created_at: Date | UnsetType = UNSET
    updated_at: Date | UnsetType = UNSET


class Command(msgspec.Struct, frozen=True, kw_only=True):
    """A command that was carried out; secrets and what is in mails are left out."""

    id: int
    command_ts: int
    endpoint: str
    tenant_id: Text = UNSET
    payload: dict[str, Any]
    response_status: int


class Commands(msgspec.Struct, frozen=True, kw_only=True):
    """Commands, oldest first; `total` are here."""

    ok: Yes = True
    commands: list[Command]
    total: int


class ExportedCommand(msgspec.Struct, frozen=True, kw_only=True):
    """A command, as it is exported."""

    endpoint: str
    tenant_id: Text = UNSET
    payload: dict[str, Any]
    command_ts: int


class Exported(msgspec.Struct, frozen=True, kw_only=True):
    """Commands, oldest first."""

    ok: Yes = True
    commands: list[ExportedCommand]


def instance(found: Instance, polled: BouncePolled | None) -> InstanceShown:
    """Write the installation, and how far its mailbox of bounces was read."""
    return InstanceShown(
        name=found.name,
        bounce_enabled=found.bounce_enabled,
        bounce_imap_host=found.bounce_imap_host or UNSET,
        bounce_imap_port=found.bounce_imap_port,
        bounce_imap_user=found.bounce_imap_user or UNSET,
        bounce_imap_folder=found.bounce_imap_folder,
        bounce_imap_ssl=found.bounce_imap_ssl,
        bounce_poll_interval=found.bounce_poll_interval_s,
        bounce_return_path=found.bounce_return_path or UNSET,
        bounce_last_uid=polled.uid if polled else UNSET,
        bounce_uidvalidity=polled.uidvalidity if polled else UNSET,
        created_at=date(found.created_at_s) if found.created_at_s else UNSET,
        updated_at=date(found.updated_at_s) if found.updated_at_s else UNSET,
    )


def command(row: CommandRow) -> Command:
    """Write a command."""
    return Command(
        id=row.id,
        command_ts=floor(row.at_s),
        endpoint=row.command,
        tenant_id=row.tenant_id or UNSET,
        payload=payload_of(row),
        response_status=200 if row.accepted else 400,
    )


def exported(row: CommandRow) -> ExportedCommand:
    """Write a command for export."""
    return ExportedCommand(
        endpoint=row.command,
        tenant_id=row.tenant_id or UNSET,
        payload=payload_of(row),
        command_ts=floor(row.at_s),
    )


def date(at_s: float) -> str:
    """Return a Unix time as `2026-11-21T00:19:15`; parts of a second are cut off.

    >>> date(1795220355.9)
    '2026-11-21T00:19:15'
    """
    return f"{datetime.fromtimestamp(floor(at_s), UTC):%Y-%m-%dT%H:%M:%S}"


def given(value: V | None) -> V | UnsetType:
    """Return a value; nothing at all for None, which an answer leaves out."""
    return UNSET if value is None else value
