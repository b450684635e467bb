"""Bodies and queries that this surface reads. Names are the API reference's."""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import TYPE_CHECKING, Annotated, Final, Literal, cast, get_args

import msgspec
from msgspec import UNSET, Meta, UnsetType

from signalbox.actors.phone_intake import InboundRequest, OutboundRequest
from signalbox.domain.phone_message import Direction, Reported, ReportStatus
from signalbox.domain.webhook import URL_CHARS_MAX
from signalbox.http import moments
from signalbox.http.body import INTEGER_MAX
from signalbox.http.errors import Failure

if TYPE_CHECKING:
    from collections.abc import Sequence

    from signalbox.http.context import Request

LIMIT: Final = 50
LIMIT_MAX: Final = 200
OFFSET_MAX: Final = 1_000_000
TEXT_CHARS_MAX: Final = 1_600
INBOUND_CHARS_MAX: Final = 10_000
SENDER_CHARS_MAX: Final = 64
ERROR_CHARS_MAX: Final = 200
SHOWN: Final = {"false": False, "true": True, "all": None}

_E164: Final = re.compile(r"\+[1-9][0-9]{1,14}")
_KEY: Final = re.compile(r"[\x21-\x7e]{1,128}")
_NUMBER: Final = re.compile(r"[0-9]{1,19}")
_REPORTED: Final = get_args(Reported)

Moment = Annotated[str, Meta(max_length=64, extra_json_schema={"format": "date-time"})]
Filled = Annotated[str, Meta(min_length=1, max_length=255)]

# Told in the schema only: a refusal says more than that a pattern was not met.
Recipient = Annotated[
    str,
    Meta(examples=["+15551234567"], extra_json_schema={"pattern": rf"^{_E164.pattern}$"}),
]
Text = Annotated[
    str,
    Meta(
        examples=["Hello from Signalhouse"],
        extra_json_schema={"minLength": 1, "maxLength": TEXT_CHARS_MAX, "pattern": r"\S"},
    ),
]
Sender = Annotated[str, Meta(min_length=1, max_length=SENDER_CHARS_MAX)]
InboundText = Annotated[str, Meta(max_length=INBOUND_CHARS_MAX)]
StatusWord = Annotated[str, Meta(extra_json_schema={"enum": list(_REPORTED)})]
WebhookUrl = Annotated[
    str, Meta(max_length=URL_CHARS_MAX, examples=["https://example.com/hooks/sms"])
]
WebhookEvent = Literal["inbound", "status", "presence"]


class LogIn(msgspec.Struct):
    """`POST /api/v1/auth/token`."""

    email: str
    password: str


class Register(msgspec.Struct):
    """`POST /api/v1/auth/register`."""

    email: str
    password: str
    name: str
    invite_code: Filled


class Refresh(msgspec.Struct):
    """`POST /api/v1/auth/refresh`."""

    refresh_token: str


class Send(msgspec.Struct):
    """`POST /api/v1/sms/send`."""

    to: Recipient
    message: Text

    def outbound(self) -> OutboundRequest:
        """Return what the gateway is asked for. Raises: `Failure` 422."""
        if _E164.fullmatch(self.to) is None:
            raise _wrong("to: expected a number in E.164 format like +15551234567")
        if not self.message.strip():
            raise _wrong("message: expected some text")
        if len(self.message) > TEXT_CHARS_MAX:
            raise _wrong(f"message: expected {TEXT_CHARS_MAX} characters at most")
        return OutboundRequest(to=self.to, text=self.message)


class SendHeaders(msgspec.Struct):
    """A key under which a repeated request finds the message of the first, for 24 hours."""

    idempotency_key: (
        Annotated[str, Meta(extra_json_schema={"pattern": f"^{_KEY.pattern}$"})] | UnsetType
    ) = msgspec.field(name="Idempotency-Key", default=UNSET)


class MessagesQuery(msgspec.Struct):
    """Which messages; more than 200 are not told at a time, archived ones only when asked for."""

    limit: Annotated[int, Meta(ge=1)] | UnsetType = UNSET
    offset: Annotated[int, Meta(ge=0, le=OFFSET_MAX)] | UnsetType = UNSET
    direction: Direction | UnsetType = UNSET
    since: Moment | UnsetType = UNSET
    archived: Literal["false", "true", "all"] | UnsetType = UNSET


class RegisterDevice(msgspec.Struct):
    """`POST /api/v1/device/register`."""

    name: str
    model: str | None = None
    os_version: str | None = None


class RegisterGateway(msgspec.Struct):
    """`POST /api/v1/sms/gateway/devices`; the key may be in the Authorization header instead."""

    device_name: str
    api_key: Filled | None = None


class ReceiveSms(msgspec.Struct):
    """`POST …/receive-sms`: a text as the phone got it, whoever it names as its sender."""

    sender: Sender = msgspec.field(name="from")
    message: InboundText
    timestamp: Moment
    device_id: Filled | None = None

    def inbound(self, phone_id: str) -> InboundRequest:
        """Return what the gateway is to take. Raises: `Failure` 422."""
        at_s = _moment("timestamp", self.timestamp)
        device_ts_ms = round(at_s * 1_000)
        sender = "".join(c if c.isprintable() else "\ufffd" for c in self.sender)
        return InboundRequest(
            sender=sender,
            text=self.message,
            phone_id=phone_id,
            received_at_s=max(at_s, 0.0),
            same=(phone_id, sender, self.message, str(device_ts_ms)),
            device_ts_ms=device_ts_ms,
        )


class SmsStatus(msgspec.Struct):
    """`PATCH …/sms-status`: what became of a text; in capital letters, too."""

    sms_id: Filled
    status: StatusWord
    delivered_at: Moment | None = None
    error: str | None = None

    def report(self, phone_id: str, now_s: float) -> ReportStatus:
        """Return what the phone says at `now_s`, unless it gives a time. Raises: `Failure` 422."""
        status = self.status.lower()
        if status not in _REPORTED:
            raise _wrong(f"status: expected {', '.join(_REPORTED)}")
        told_s = _moment("delivered_at", self.delivered_at) if self.delivered_at else now_s
        return ReportStatus(
            status=cast("Reported", status),
            at_s=told_s,
            phone_id=phone_id,
            error=(self.error or "")[:ERROR_CHARS_MAX] if status == "failed" else "",
        )


class PutWebhook(msgspec.Struct):
    """`PUT /api/v1/account/webhook`; with `new_secret` callbacks are signed with another one."""

    url: WebhookUrl
    events: Annotated[list[WebhookEvent], Meta(min_length=1)] = msgspec.field(
        default_factory=lambda: [*get_args(WebhookEvent)]
    )
    new_secret: bool = False


class Page(msgspec.Struct, frozen=True):
    """What a query asks for."""

    limit: int
    offset: int
    direction: Direction | None
    since_s: float | None
    archived: bool | None


def page(req: Request) -> Page:
    """Return what is asked for. Raises: `Failure` 400."""
    limit, offset = _number(req, "limit", LIMIT), _number(req, "offset", 0)
    if limit < 1:
        raise _bad("limit: expected 1 or more")
    if offset > OFFSET_MAX:
        raise _bad(f"offset: expected {OFFSET_MAX} at most")
    direction = _one_of(req, "direction", get_args(Direction))
    since: str | None = req.get_param("since")
    archived = _one_of(req, "archived", [*SHOWN]) or "false"
    return Page(
        limit=min(limit, LIMIT_MAX),
        offset=offset,
        direction=cast("Direction | None", direction),
        since_s=None if since is None else _moment("since", since, HTTPStatus.BAD_REQUEST),
        archived=SHOWN[archived],
    )


def idempotency_key(req: Request) -> str:
    """Return the request's key, "" when it has none. Raises: `Failure` 400."""
    key: str | None = req.env.get("HTTP_IDEMPOTENCY_KEY")
    if key is None:
        return ""
    if not _KEY.fullmatch(key):
        raise _bad("Idempotency-Key: expected 1 to 128 visible ASCII characters")
    return key


def _number(req: Request, name: str, default: int) -> int:
    text: str | None = req.get_param(name)
    if text is None:
        return default
    if _NUMBER.fullmatch(text) is None:
        raise _bad(f"{name}: expected a whole number without a sign")
    return min(int(text), INTEGER_MAX)


def _one_of(req: Request, name: str, allowed: Sequence[str]) -> str | None:
    text: str | None = req.get_param(name)
    if text is not None and text not in allowed:
        raise _bad(f"{name}: expected {' or '.join(allowed)}")
    return text


def _moment(name: str, text: str, status: HTTPStatus = HTTPStatus.UNPROCESSABLE_ENTITY) -> float:
    try:
        return moments.moment(text)
    except ValueError as error:
        raise Failure(status, f"{name}: {error}") from None


def _wrong(error: str) -> Failure:
    return Failure(HTTPStatus.UNPROCESSABLE_ENTITY, error)


def _bad(error: str) -> Failure:
    return Failure(HTTPStatus.BAD_REQUEST, error)
