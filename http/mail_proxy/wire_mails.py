"""Mails as they are shown to their tenants. Names and order are the reference's.

Ours: a mail that failed has no `sent_ts`, and what would let us into an attachment's host is left
out.
"""

from __future__ import annotations

from math import floor
from typing import TYPE_CHECKING, Any, Literal

import msgspec
from msgspec import UNSET, UnsetType

from signalbox.http.mail_proxy.wire_answers import (
    Count,
    Date,
    Text,
    Yes,
    date,
)

if TYPE_CHECKING:
    from signalbox.domain.mail_content import Attachment, AttachmentAuth, MailContent
    from signalbox.projections.mail_views import MailEvent, MailView

Time = int | UnsetType
Addresses = list[str] | str


class RejectedMail(msgspec.Struct, frozen=True):
    """A mail that was not queued, and why."""

    id: str
    reason: str


class AddedMails(msgspec.Struct, frozen=True, kw_only=True):
    """So many mails wait to be sent; what was not taken is told one by one."""

    ok: Yes = True
    queued: Count
    rejected: list[RejectedMail]


class Refusal(msgspec.Struct, frozen=True):
    """Why no mail of a call was taken."""

    error: str | None
    rejected: list[RejectedMail]


class NoneAdded(msgspec.Struct, frozen=True):
    """No mail was taken."""

    detail: Refusal


class Deleted(msgspec.Struct, frozen=True, kw_only=True):
    """So many are forgotten; those in `unauthorized` are not the tenant's, or not there at all."""

    ok: Yes = True
    removed: Count
    not_found: list[str] = []
    unauthorized: list[str]


class CleanedUp(msgspec.Struct, frozen=True, kw_only=True):
    """So many are forgotten."""

    ok: Yes = True
    removed: Count


class AttachmentAuthShown(msgspec.Struct, frozen=True, kw_only=True):
    """How the host of an attachment knows us, but for the secret."""

    method: str
    user: Text = UNSET


class AttachmentShown(msgspec.Struct, frozen=True, kw_only=True):
    """A file that goes with a mail."""

    filename: str
    storage_path: str
    mime_type: Text = UNSET
    fetch_mode: Text = UNSET
    content_md5: Text = UNSET
    auth: AttachmentAuthShown | UnsetType = UNSET


class Payload(msgspec.Struct, frozen=True, kw_only=True):
    """A mail as it was handed over, with how often it was tried again."""

    id: str
    tenant_id: str
    account_id: str
    sender: str = msgspec.field(name="from")
    to: Addresses
    cc: Addresses | UnsetType = UNSET
    bcc: Addresses | UnsetType = UNSET
    reply_to: Text = UNSET
    return_path: Text = UNSET
    subject: str
    body: str
    content_type: str
    headers: dict[str, Any] | UnsetType = UNSET
    message_id: Text = UNSET
    attachments: list[AttachmentShown] | UnsetType = UNSET
    priority: int
    deferred_ts: Time = UNSET
    batch_code: Text = UNSET
    retry_count: Time = UNSET


class Happened(msgspec.Struct, frozen=True, kw_only=True):
    """Something that became of a mail; `reported_ts` is when its client took the report."""

    event_id: int
    event_type: str
    event_ts: int
    description: Text = UNSET
    metadata: dict[str, str | int] | UnsetType = UNSET
    reported_ts: Time = UNSET


class Mail(msgspec.Struct, frozen=True, kw_only=True):
    """A mail: it failed if it has an `error_ts`, else it was sent if it has a `sent_ts`.

    Else it waits, until `deferred_ts` if it has one.
    """

    pk: str
    id: str
    tenant_id: str
    tenant_name: Text = UNSET
    account_id: str
    priority: int
    batch_code: Text = UNSET
    deferred_ts: Time = UNSET
    sent_ts: Time = UNSET
    error_ts: Time = UNSET
    error: Text = UNSET
    created_at: Date
    updated_at: Date
    message: Payload
    is_pec: bool
    history: list[Happened] | UnsetType = UNSET


class Mails(msgspec.Struct, frozen=True, kw_only=True):
    """A tenant's mails, by priority and age."""

    ok: Yes = True
    messages: list[Mail]


def mail(row: MailView, tenant_name: str, *, with_history: bool) -> Mail:
    """Write a mail."""
    return Mail(
        pk=row.pk,
        id=row.client_id,
        tenant_id=row.tenant_id,
        tenant_name=tenant_name or UNSET,
        account_id=row.account_id,
        priority=row.priority,
        batch_code=row.batch_code or UNSET,
        deferred_ts=_time(row.deferred_until_s),
        sent_ts=_time(row.sent_at_s),
        error_ts=_time(row.error_at_s),
        error=row.error or UNSET,
        created_at=date(row.created_at_s),
        updated_at=date(row.updated_at_s),
        message=_payload(row, row.content),
        is_pec=row.is_pec,
        history=[_happened(one) for one in row.history] if with_history else UNSET,
    )


def _payload(row: MailView, content: MailContent) -> Payload:
    return Payload(
        id=row.client_id,
        tenant_id=row.tenant_id,
        account_id=row.account_id,
        sender=content.sender,
        to=_addresses(content, "to"),
        cc=_addresses(content, "cc") or UNSET,
        bcc=_addresses(content, "bcc") or UNSET,
        reply_to=content.reply_to or UNSET,
        return_path=content.return_path or UNSET,
        subject=content.subject,
        body=content.body,
        content_type=content.content_type,
        headers=dict(content.headers) or UNSET,
        message_id=content.message_id or UNSET,
        attachments=[_attachment(one) for one in content.attachments] or UNSET,
        priority=row.priority,
        deferred_ts=content.not_before_s or UNSET,
        batch_code=row.batch_code or UNSET,
        retry_count=row.retries or UNSET,
    )


def _attachment(one: Attachment) -> AttachmentShown:
    return AttachmentShown(
        filename=one.filename,
        storage_path=one.storage_path,
        mime_type=one.mime_type or UNSET,
        fetch_mode=one.fetch_mode or UNSET,
        content_md5=one.content_md5 or UNSET,
        auth=_auth(one.auth) if one.auth else UNSET,
    )


def _auth(auth: AttachmentAuth) -> AttachmentAuthShown:
    return AttachmentAuthShown(method=auth.method or "none", user=auth.user or UNSET)


def _addresses(content: MailContent, name: Literal["to", "cc", "bcc"]) -> Addresses:
    """Return addresses as they were given: one text, or a list."""
    given: tuple[str, ...] = getattr(content, name)
    return "".join(given) if name in content.texts else [*given]


def _happened(one: MailEvent) -> Happened:
    metadata: dict[str, str | int] = {}
    if one.kind == "deferred" and one.until_s:
        metadata["deferred_ts"] = floor(one.until_s)
    if one.bounce:
        metadata["bounce_type"] = one.bounce
    if one.code and (one.kind != "sent" or one.reason):
        metadata["code"] = one.code
    if one.refused_recipients:
        metadata["refused_recipients"] = one.refused_recipients
    return Happened(
        event_id=one.position,
        event_type=one.kind,
        event_ts=floor(one.at_s),
        description=one.reason or UNSET,
        metadata=metadata or UNSET,
        reported_ts=_time(one.reported_at_s),
    )


def _time(at_s: float) -> Time:
    return floor(at_s) if at_s else UNSET
