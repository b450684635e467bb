"""Answers about accounts and their phones. Names, shapes and order are the API reference's.

Ours, beside the reference's keys: a `refresh_token` with a first token, and all about webhooks and
other keys.
Times are ISO 8601 in UTC; what is not known is null.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final, Literal, get_args

import msgspec
from msgspec import UNSET, Meta, UnsetType

from signalbox.http.moments import iso
from signalbox.http.signalhouse.wire import WebhookEvent

if TYPE_CHECKING:
    from collections.abc import Iterable

    from signalbox.actors.phone_accounts import Paired, Profile
    from signalbox.actors.phone_sessions import Session
    from signalbox.actors.phone_tokens import Access
    from signalbox.domain.phone_account import PairedPhone
    from signalbox.domain.webhook import Webhook
    from signalbox.http.signalhouse import ports

ACTIVE_S: Final = 30 * 86_400.0

Done = Annotated[bool, Meta(extra_json_schema={"const": True})]
Moment = Annotated[str, Meta(examples=["2026-04-20T14:30:00Z"])]
AccidentId = Annotated[str, Meta(description="of an internal error: its id in the log")]
Role = Literal["user", "admin"]


class Failed(msgspec.Struct, frozen=True):
    """Nothing was done, and why."""

    error: str
    id: AccidentId | UnsetType = UNSET


class Succeeded(msgspec.Struct, frozen=True):
    """It was done, and is stored."""

    success: Done = True


class LoggedIn(msgspec.Struct, frozen=True):
    """A token, and another one that fetches its successors."""

    access_token: str
    token_type: Literal["Bearer"]
    expires_in: int
    refresh_token: str


class Refreshed(msgspec.Struct, frozen=True):
    """A new token."""

    access_token: str
    expires_in: int


class Registered(msgspec.Struct, frozen=True):
    """An account was opened."""

    success: Done
    message: Literal["Account created"]
    user_id: str


class User(msgspec.Struct, frozen=True):
    """Whose account it is; `phone_number` is of the first phone that told one."""

    id: str
    email: str
    name: str
    phone_number: str | None
    role: str
    created_at: Moment


class QrCode(msgspec.Struct, frozen=True):
    """What the app on a phone scans; `qr_code` is a data URL of a PNG."""

    success: Done
    qr_code: Annotated[str, Meta(pattern="^data:image/png;base64,")]
    api_key: str


class NewKey(msgspec.Struct, frozen=True):
    """The account's key from now on."""

    api_key: str


class NewDevice(msgspec.Struct, frozen=True):
    """A phone was paired; its key is shown this once."""

    id: str
    name: str
    paired_at: Moment
    api_key: str


class Device(msgspec.Struct, frozen=True):
    """A phone; `is_active` when it was there or paired in the last 30 days."""

    id: str
    name: str
    model: str | None
    is_active: bool
    last_seen_at: Moment | None
    online: bool


class Devices(msgspec.Struct, frozen=True):
    """The phones of an account, in the order they were paired."""

    devices: list[Device]


class NewGateway(msgspec.Struct, frozen=True):
    """A phone was paired that uses the account's key."""

    id: str
    device_name: str
    registered_at: Moment


class WebhookShown(msgspec.Struct, frozen=True):
    """Where callbacks go. The secret that signs them is shown when it was made now."""

    url: str
    events: list[WebhookEvent]
    enabled: bool
    disabled_reason: str | None
    secret: str | UnsetType = UNSET


def logged_in(session: Session) -> LoggedIn:
    """Write the tokens of a session."""
    access = session.access
    return LoggedIn(access.token, "Bearer", access.expires_in_s, session.refresh_token)


def refreshed(access: Access) -> Refreshed:
    """Write a new token."""
    return Refreshed(access.token, access.expires_in_s)


def registered(account_id: str) -> Registered:
    """Write that an account was opened."""
    return Registered(success=True, message="Account created", user_id=account_id)


def qr_code(image: str, api_key: str) -> QrCode:
    """Write what a phone scans."""
    return QrCode(success=True, qr_code=image, api_key=api_key)


def user(profile: Profile, phones: Iterable[ports.PhoneRow]) -> User:
    """Write whose account it is."""
    return User(
        id=profile.account_id,
        email=profile.email,
        name=profile.name,
        phone_number=next((row.number for row in phones if row.number), None),
        role=profile.role,
        created_at=iso(profile.opened_at_s),
    )


def new_device(paired: Paired) -> NewDevice:
    """Write a phone that was paired, with its key."""
    phone = paired.phone
    return NewDevice(phone.phone_id, phone.name, iso(phone.paired_at_s), paired.key)


def new_gateway(paired: Paired) -> NewGateway:
    """Write a phone that was paired."""
    phone = paired.phone
    return NewGateway(phone.phone_id, phone.name, iso(phone.paired_at_s))


def device(
    phone: PairedPhone, last_seen_at_s: float | None, *, online: bool, now_s: float
) -> Device:
    """Write a phone; it counts as seen when it was paired, but nobody is told so."""
    newest_s = max(last_seen_at_s or 0.0, phone.paired_at_s)
    return Device(
        id=phone.phone_id,
        name=phone.name,
        model=phone.model or None,
        is_active=online or now_s - newest_s < ACTIVE_S,
        last_seen_at=iso_or_none(last_seen_at_s),
        online=online,
    )


def webhook(found: Webhook, secret: str = "") -> WebhookShown:
    """Write where callbacks go."""
    return WebhookShown(
        url=found.url,
        events=[kind for kind in get_args(WebhookEvent) if kind in found.kinds],
        enabled=found.enabled,
        disabled_reason=found.disabled_reason or None,
        secret=secret or UNSET,
    )


def iso_or_none(at_s: float | None) -> str | None:
    """Write a time that may not have come yet."""
    return None if at_s is None else iso(at_s)
