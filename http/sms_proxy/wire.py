"""Bodies of this surface, read and written. Names and shapes are the API reference's."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Final, Generic, Literal, TypeVar

import msgspec
from msgspec import Meta

from signalbox.actors.sending import SendRequest
from signalbox.domain.errors import InvalidField
from signalbox.http.body import INTEGER_MAX

if TYPE_CHECKING:
    from collections.abc import Sequence

    from signalbox.actors.accounts import Identity
    from signalbox.actors.sending import Sent
    from signalbox.domain.link import Link
    from signalbox.http.context import Request
    from signalbox.projections.dashboard import Figures
    from signalbox.projections.links import LinkRow
    from signalbox.projections.messages import MessageInfo

Id = Annotated[int, Meta(ge=1, le=INTEGER_MAX)]
Short = Annotated[str, Meta(max_length=64)]
Filled = Annotated[str, Meta(min_length=1, max_length=255)]

Succeeded = Annotated[bool, Meta(extra_json_schema={"const": True})]
T = TypeVar("T")

# E.164 gives 15 digits at most; an alphanumeric sender has 11 characters (3GPP TS 23.040, 9.1.2.5).
_DESTINATION: Final = re.compile(r"\+?[0-9]{3,15}")
_SOURCE: Final = re.compile(r"\+?[0-9]{1,15}|[A-Za-z0-9](?:[A-Za-z0-9 ._&-]{0,9}[A-Za-z0-9._&-])?")
_DIGITS_MAX: Final = len(str(INTEGER_MAX))
IDEMPOTENCY_KEY: Final = re.compile(r"[\x21-\x7e]{1,128}")

# Told in the schema only: a refusal must come after the keys that go along with it are known.
Source = Annotated[
    str,
    Meta(examples=["+123456789"], extra_json_schema={"pattern": f"^(?:{_SOURCE.pattern})$"}),
]
Destination = Annotated[
    str,
    Meta(examples=["+987654321"], extra_json_schema={"pattern": f"^{_DESTINATION.pattern}$"}),
]
Text = Annotated[str, Meta(examples=["Hello world"], extra_json_schema={"minLength": 1})]


class Send(msgspec.Struct):
    """`POST /api/v1/sms/send`."""

    esme: Id
    source: Source
    destination: Destination
    message: Text
    transaction_id: Short = ""
    campaign: Short = ""


class Esme(msgspec.Struct):
    """`POST /api/v1/sms/check-esme`."""

    esme: Id


class Info(msgspec.Struct):
    """`POST /api/v1/sms/info`."""

    esme: Id
    message_id: Filled


class Toggle(msgspec.Struct):
    """`PUT /api/v1/smpp/{id}/toggle`."""

    enabled: bool
    reason: Annotated[str, Meta(max_length=255)] = ""


class Data(msgspec.Struct, Generic[T], frozen=True):
    """The frame of what operators are told."""

    success: Succeeded
    data: T


class SendAnswer(msgspec.Struct, frozen=True):
    """What became of a send."""

    success: bool
    error: str
    esme: int
    transaction_id: str
    message_id: str
    status: Literal["submitted", "queued", "failed"]
    sms_ids: list[str]
    task_id: int


class EsmeAnswer(msgspec.Struct, frozen=True):
    """Whether a link is bound, and if not, why."""

    persist: bool
    system_id: str
    error: str


class PartDetail(msgspec.Struct, frozen=True):
    """What the SMSC said of one part."""

    smsc_id: str
    error: str


class InfoAnswer(msgspec.Struct, frozen=True):
    """What is known of a message; times are Unix seconds, 0 before they come.

    Ours, beside the reference's keys: the link that carries it, how long texts were split, and what
    the SMSC said of each part.
    """

    message_id: str
    mode: str
    parts: dict[str, str]
    delivered_count: int
    sent_at: int
    updated_at: int
    transaction_id: str
    task_id: int
    status: str
    error: str
    carrier: int
    long_mode: str
    part_details: dict[str, PartDetail]


class SmppLink(msgspec.Struct, frozen=True):
    """A link as operators see it."""

    id: int
    name: str
    status: str
    current_tps: int
    limit_tps: int
    enabled: bool
    bind_state: str


class LinkSwitch(msgspec.Struct, frozen=True):
    """A link's switch."""

    id: int
    name: str
    enabled: bool


class Totals(msgspec.Struct, frozen=True):
    """A company is an application, a connection a bound link."""

    total_messages: int
    total_companies: int
    active_connections: int


def data(content: T) -> Data[T]:
    """Return what operators are told."""
    return Data(success=True, data=content)


def number(text: str) -> int | None:
    """Return a number as it stands in a path or header, None for anything else."""
    if len(text) > _DIGITS_MAX or not (text.isascii() and text.isdigit()):
        return None
    value = int(text)
    return value if value <= INTEGER_MAX else None


def send_request(send: Send, identity: Identity, req: Request) -> SendRequest:
    """Return what the gateway is asked for. Raises: `InvalidField`."""
    if not _DESTINATION.fullmatch(send.destination):
        raise InvalidField("destination", "expected 3 to 15 digits, + before them or not")
    if not _SOURCE.fullmatch(send.source):
        raise InvalidField("source", "expected 1 to 15 digits or 1 to 11 letters and digits")
    return SendRequest(
        link_id=send.esme,
        app_id=identity.app_id,
        source=send.source,
        destination=send.destination,
        text=send.message,
        transaction_id=send.transaction_id,
        campaign=send.campaign or send.transaction_id or f"app-{identity.app_id}",
        idempotency_key=_idempotency_key(req),
        by=identity.by,
        request_id=req.context.request_id,
        traceparent=req.context.traceparent,
    )


def sent(send: Send, sent: Sent) -> SendAnswer:
    """Return the answer to a send, whatever became of it."""
    return SendAnswer(
        success=sent.status != "failed",
        error=sent.error,
        esme=send.esme,
        transaction_id=sent.transaction_id,
        message_id=sent.message_id,
        status=sent.status,
        sms_ids=[f"{sent.message_id}-{part}" for part in range(1, sent.parts + 1)],
        task_id=sent.task_id,
    )


def not_sent(send: Send) -> dict[str, object]:
    """Return what the answer to a refused send has besides its error."""
    return {
        "success": False,
        "esme": send.esme,
        "transaction_id": send.transaction_id,
        "status": "failed",
    }


def esme(row: LinkRow | None) -> EsmeAnswer:
    """Return whether a link is bound, and if not, why."""
    if row is None:
        return EsmeAnswer(persist=False, system_id="", error="unknown esme")
    if row.bind_state == "bound":
        return EsmeAnswer(persist=True, system_id=row.system_id, error="")
    error = (row.reason or "not connected") if row.enabled else "link disabled"
    return EsmeAnswer(persist=False, system_id=row.system_id, error=error)


def info(found: MessageInfo) -> InfoAnswer:
    """Return what is known of a message."""
    parts = {str(number): part for number, part in enumerate(found.parts, start=1)}
    return InfoAnswer(
        message_id=found.message_id,
        mode=found.mode,
        parts={number: part.status for number, part in parts.items()},
        delivered_count=found.delivered_count,
        sent_at=found.sent_at_s,
        updated_at=found.updated_at_s,
        transaction_id=found.transaction_id,
        task_id=found.task_id,
        status=found.status,
        error=found.error,
        carrier=found.carrier_id,
        long_mode=found.long_mode,
        part_details={n: PartDetail(part.smsc_id, part.error) for n, part in parts.items()},
    )


def links(rows: Sequence[LinkRow]) -> Data[list[SmppLink]]:
    """Return all links as operators see them."""
    return data([_link(row) for row in rows])


def toggled(link: Link) -> Data[LinkSwitch]:
    """Return a link's switch."""
    assert link.spec is not None, link
    return data(LinkSwitch(link.link_id, link.spec.name, link.enabled))


def metrics(figures: Figures, rows: Sequence[LinkRow]) -> Data[Totals]:
    """Return the dashboard's totals."""
    bound = sum(row.bind_state == "bound" for row in rows)
    return data(Totals(figures.accepted, figures.applications, bound))


def _link(row: LinkRow) -> SmppLink:
    return SmppLink(
        id=row.id,
        name=row.name,
        status=row.status,
        current_tps=row.current_tps,
        limit_tps=int(row.limit_tps),
        enabled=row.enabled,
        bind_state=row.bind_state,
    )


def _idempotency_key(req: Request) -> str:
    key: str | None = req.env.get("HTTP_IDEMPOTENCY_KEY")
    if key is None:
        return ""
    if not IDEMPOTENCY_KEY.fullmatch(key):
        raise InvalidField("Idempotency-Key", "expected 1 to 128 visible ASCII characters")
    return key
