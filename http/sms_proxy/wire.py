"""Bodies of this surface, read and written. Names and shapes are the API reference's."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any, Final

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
Email = Annotated[str, Meta(min_length=1, max_length=254)]

Answer = dict[str, Any]

# E.164 gives 15 digits at most; an alphanumeric sender has 11 characters (3GPP TS 23.040, 9.1.2.5).
_DESTINATION: Final = re.compile(r"\+?[0-9]{3,15}")
_SOURCE: Final = re.compile(r"\+?[0-9]{1,15}|[A-Za-z0-9](?:[A-Za-z0-9 ._&-]{0,9}[A-Za-z0-9._&-])?")
_DIGITS_MAX: Final = len(str(INTEGER_MAX))
_IDEMPOTENCY_KEY: Final = re.compile(r"[\x21-\x7e]{1,128}")


class LogIn(msgspec.Struct):
    """`POST /api/v1/user/login`."""

    email: Email
    password: str
    app_id: Id


class Register(msgspec.Struct):
    """`POST /api/v1/admin/proxy-users/register`."""

    email: Email
    password: str
    app_name: Filled
    app_secret: Filled


class Send(msgspec.Struct):
    """`POST /api/v1/sms/send`."""

    esme: Id
    source: str
    destination: str
    message: str
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
    )


def sent(send: Send, sent: Sent) -> Answer:
    """Return the answer to a send, whatever became of it."""
    return {
        "success": sent.status != "failed",
        "error": sent.error,
        "esme": send.esme,
        "transaction_id": sent.transaction_id,
        "message_id": sent.message_id,
        "status": sent.status,
        "sms_ids": [f"{sent.message_id}-{part}" for part in range(1, sent.parts + 1)],
        "task_id": sent.task_id,
    }


def not_sent(send: Send) -> Answer:
    """Return what the answer to a refused send has besides its error."""
    return {
        "success": False,
        "esme": send.esme,
        "transaction_id": send.transaction_id,
        "status": "failed",
    }


def esme(row: LinkRow | None) -> Answer:
    """Return whether a link is bound, and if not, why."""
    if row is None:
        return {"persist": False, "system_id": "", "error": "unknown esme"}
    if row.bind_state == "bound":
        return {"persist": True, "system_id": row.system_id, "error": ""}
    error = (row.reason or "not connected") if row.enabled else "link disabled"
    return {"persist": False, "system_id": row.system_id, "error": error}


def info(found: MessageInfo) -> Answer:
    """Return what is known of a message; `part_details` is ours, beside the reference's keys."""
    parts = list(enumerate(found.parts, start=1))
    return {
        "message_id": found.message_id,
        "mode": found.mode,
        "parts": {str(number): part.status for number, part in parts},
        "delivered_count": found.delivered_count,
        "sent_at": found.sent_at_s,
        "updated_at": found.updated_at_s,
        "transaction_id": found.transaction_id,
        "task_id": found.task_id,
        "status": found.status,
        "error": found.error,
        "part_details": {
            str(number): {"smsc_id": part.smsc_id, "error": part.error} for number, part in parts
        },
    }


def links(rows: Sequence[LinkRow]) -> Answer:
    """Return all links as operators see them."""
    return _data([_link(row) for row in rows])


def toggled(link: Link) -> Answer:
    """Return a link's switch."""
    assert link.spec is not None, link
    return _data({"id": link.link_id, "name": link.spec.name, "enabled": link.enabled})


def metrics(figures: Figures, rows: Sequence[LinkRow]) -> Answer:
    """Return the dashboard's totals; a company is an application, a connection a bound link."""
    return _data(
        {
            "total_messages": figures.accepted,
            "total_companies": figures.applications,
            "active_connections": sum(row.bind_state == "bound" for row in rows),
        }
    )


def registered(user_id: int, app_id: int) -> Answer:
    """Return the new numbers; `app_id` is ours: without it nobody could log in."""
    return _data({"user_id": user_id, "app_id": app_id})


def _data(data: object) -> Answer:
    return {"success": True, "data": data}


def _link(row: LinkRow) -> Answer:
    return {
        "id": row.id,
        "name": row.name,
        "status": row.status,
        "current_tps": row.current_tps,
        "limit_tps": int(row.limit_tps),
        "enabled": row.enabled,
        "bind_state": row.bind_state,
    }


def _idempotency_key(req: Request) -> str:
    key: str | None = req.env.get("HTTP_IDEMPOTENCY_KEY")
    if key is None:
        return ""
    if not _IDEMPOTENCY_KEY.fullmatch(key):
        raise InvalidField("Idempotency-Key", "expected 1 to 128 visible ASCII characters")
    return key
