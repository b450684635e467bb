"""Mails as clients hand them over. Names are the reference's."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from signalbox.domain.mail import PRIORITY_DEFAULT
from signalbox.domain.mail_content import Attachment, AttachmentAuth, MailContent
from signalbox.http.mail_proxy.wire import Id, TenantId  # noqa: TC001  msgspec reads them

if TYPE_CHECKING:
    from collections.abc import Mapping

BATCH_MAX: Final = 1_000
PRIORITY_MAX: Final = 3

Label = Literal["immediate", "high", "medium", "low"]
Priority = int | Label
LABELS: Final[Mapping[str, int]] = {"immediate": 0, "high": 1, "medium": 2, "low": 3}

Addresses = Annotated[
    list[str] | str, Meta(description="a list, or one text with commas between addresses")
]


class FetchMode(Enum):
    """Where an attachment comes from."""

    ENDPOINT = "endpoint"
    HTTP_URL = "http_url"
    BASE64 = "base64"
    FILESYSTEM = "filesystem"


class AuthMethod(Enum):
    """How the host of an attachment knows us."""

    NONE = "none"
    BEARER = "bearer"
    BASIC = "basic"


class AttachmentAuthBody(msgspec.Struct, forbid_unknown_fields=True):
    """What the host of an attachment wants to see."""

    method: AuthMethod = AuthMethod.NONE
    token: str | None = None
    user: str | None = None
    password: str | None = None

    def auth(self) -> AttachmentAuth:
        """Return it as the core has it."""
        return AttachmentAuth(
            method="" if self.method is AuthMethod.NONE else self.method.value,
            token=self.token or "",
            user=self.user or "",
            password=self.password or "",
        )


class AttachmentBody(msgspec.Struct, forbid_unknown_fields=True):
    """A file that goes with a mail."""

    filename: Annotated[str, Meta(min_length=1, max_length=255)]
    storage_path: Annotated[str, Meta(min_length=1, examples=["doc_id=7"])]
    mime_type: str | None = None
    fetch_mode: FetchMode | None = None
    content_md5: Annotated[str, Meta(pattern="^[a-fA-F0-9]{32}$")] | None = None
    auth: AttachmentAuthBody | None = None

    def attachment(self) -> Attachment:
        """Return it as the core has it."""
        return Attachment(
            filename=self.filename,
            storage_path=self.storage_path,
            mime_type=self.mime_type or "",
            fetch_mode=self.fetch_mode.value if self.fetch_mode else "",
            content_md5=self.content_md5 or "",
            auth=self.auth.auth() if self.auth else None,
        )


class MessageBody(msgspec.Struct, kw_only=True):
    """A mail. `deferred_ts`: not before that Unix time. Of `headers` those that are null don't go.

    `content_type` "html" makes it HTML, anything else is plain text.
    """

    id: Id
    tenant_id: TenantId
    account_id: str
    sender: str = msgspec.field(name="from")
    to: Addresses
    cc: Addresses | None = None
    bcc: Addresses | None = None
    reply_to: str | None = None
    return_path: str | None = None
    subject: Annotated[str, Meta(min_length=1)]
    body: str = ""
    content_type: str | None = "plain"
    headers: dict[str, Any] | None = None
    message_id: str | None = None
    attachments: list[AttachmentBody] | None = None
    priority: Priority | None = None
    deferred_ts: int | None = None
    batch_code: Annotated[str, Meta(max_length=64)] | None = None

    def content(self) -> MailContent:
        """Return what is in it."""
        lists = {"to": self.to, "cc": self.cc, "bcc": self.bcc}
        return MailContent(
            sender=self.sender,
            to=_addresses(self.to),
            cc=_addresses(self.cc),
            bcc=_addresses(self.bcc),
            texts=tuple(name for name, given in lists.items() if isinstance(given, str)),
            reply_to=self.reply_to or "",
            return_path=self.return_path or "",
            message_id=self.message_id or "",
            subject=self.subject,
            body=self.body,
            content_type=self.content_type or "plain",
            headers=self.headers or {},
            attachments=tuple(one.attachment() for one in self.attachments or ()),
            not_before_s=self.deferred_ts or 0,
        )

    @property
    def refused(self) -> str:
        """Why it can't be a mail, though nothing is wrong with its form; empty if it can."""
        if not self.id:
            return "missing id"
        if not self.sender:
            return "missing from"
        return "" if any(map(_names_somebody, _addresses(self.to))) else "missing to"


class AddMessages(msgspec.Struct):
    """`POST /commands/add-messages`: mails, 1000 at most; their priority unless they have one."""

    messages: list[MessageBody]
    default_priority: Priority | None = None


class DeleteMessages(msgspec.Struct):
    """`POST /commands/delete-messages`."""

    ids: list[str] = []


class CleanupMessages(msgspec.Struct):
    """`POST /commands/cleanup-messages`: those that were reported 7 days ago, if not said."""

    older_than_seconds: int | None = None


def level(priority: Priority | None, default: Priority | None) -> int:
    """Return a priority as a number: 0 is immediate, 3 is low.

    >>> level("high", None), level(9, None), level(None, "low"), level(None, None)
    (1, 3, 3, 2)
    """
    given = default if priority is None else priority
    if given is None:
        return PRIORITY_DEFAULT
    number = LABELS[given] if isinstance(given, str) else given
    return min(max(number, 0), PRIORITY_MAX)


def with_sender(value: object) -> object:
    """Return the JSON of a call with `from` where a mail has `from_addr`, its other name."""
    if isinstance(value, dict) and isinstance(value.get("messages"), list):
        value["messages"] = [_with_sender(one) for one in value["messages"]]
    return value


def _with_sender(message: object) -> object:
    if isinstance(message, dict) and "from" not in message and "from_addr" in message:
        message["from"] = message["from_addr"]
    return message


def _addresses(given: list[str] | str | None) -> tuple[str, ...]:
    if given is None or given == "":
        return ()
    return (given,) if isinstance(given, str) else tuple(given)


def _names_somebody(entry: str) -> bool:
    return any(part.strip() for part in entry.split(","))
