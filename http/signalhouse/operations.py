"""What this surface answers, path by path: the table its description is made from."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from spectree import Tag

from signalbox.http.openapi import Answer, Operation, Operations
from signalbox.http.signalhouse import wire
from signalbox.http.signalhouse import wire_answers as answers
from signalbox.http.signalhouse import wire_messages as messages

if TYPE_CHECKING:
    from collections.abc import Mapping

    from signalbox.http.openapi import Security

PREFIX: Final = "/api/v1"

AUTH: Final = Tag("Auth API", "Accounts, log-in and tokens.")
SMS: Final = Tag("SMS API", "Messages of an account.")
DEVICE: Final = Tag("Device API", "Phones of an account.")
GATEWAY: Final = Tag("Gateway API", "For the app on the phone.")
OWN: Final = Tag("Account API", "Another key, and callbacks about what happens.")

ANYBODY: Final[Security] = ()
ACCOUNT: Final[Security] = ({"account": []},)
PHONE: Final[Security] = ({"account": []}, {"device": []})
KEY_IN_BODY: Final[Security] = ({}, {"account": []})

PARAMETERS: Final[Mapping[str, Mapping[str, object]]] = {
    "message_id": {"type": "string", "minLength": 1, "examples": ["msg_" + "0" * 32]},
    "device_id": {"type": "string", "minLength": 1, "examples": ["dev_" + "0" * 26]},
}
RETRY: Final = {"Retry-After": "Seconds to wait."}


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One method of one path: its answer when all is well, and its own refusals.

    Statuses that follow from having a body, an id or a credential need no mention.
    """

    route: tuple[str, str]
    tag: Tag
    summary: str
    good: type
    status: int = 200
    security: Security = ACCOUNT
    refusals: tuple[int, ...] = ()
    body: type | None = None
    query: type | None = None
    headers: type | None = None

    def statuses(self) -> set[int]:
        """Return the statuses of its refusals."""
        statuses = {429, 500, 503, *self.refusals}
        if self.security:
            statuses |= {401, 403}
        if self.body:
            statuses |= {400, 408, 413, 422}
        if self.query:
            statuses.add(400)
        if "{" in self.route[1]:
            statuses.add(404)
        return statuses


AUTH_ROWS: Final = (
    Row(
        route=("POST", "/auth/token"),
        tag=AUTH,
        summary="Log in",
        good=answers.LoggedIn,
        security=ANYBODY,
        refusals=(401,),
        body=wire.LogIn,
    ),
    Row(
        route=("POST", "/auth/register"),
        tag=AUTH,
        summary="Open an account with an invite",
        good=answers.Registered,
        status=201,
        security=ANYBODY,
        refusals=(403, 409),
        body=wire.Register,
    ),
    Row(
        route=("GET", "/auth/user"),
        tag=AUTH,
        summary="Tell whose account it is",
        good=answers.User,
    ),
    Row(
        route=("POST", "/auth/refresh"),
        tag=AUTH,
        summary="Exchange a refresh token, or one that is still valid, for a new access token",
        good=answers.Refreshed,
        security=ANYBODY,
        refusals=(401,),
        body=wire.Refresh,
    ),
)

SMS_ROWS: Final = (
    Row(
        route=("POST", "/sms/send"),
        tag=SMS,
        summary="Have a phone send a message; it waits until one is online",
        good=messages.Sent,
        refusals=(409,),
        body=wire.Send,
        headers=wire.SendHeaders,
    ),
    Row(
        route=("GET", "/sms/messages"),
        tag=SMS,
        summary="List messages, the newest first",
        good=messages.Messages,
        query=wire.MessagesQuery,
    ),
    Row(
        route=("GET", "/sms/messages/{message_id}"),
        tag=SMS,
        summary="Tell a message",
        good=messages.MessageDetail,
    ),
    Row(
        route=("GET", "/sms/send/status/{message_id}"),
        tag=SMS,
        summary="Tell what became of a message that was sent",
        good=messages.SendStatus,
    ),
    Row(
        route=("GET", "/sms/stats"),
        tag=SMS,
        summary="Tell how many messages went and came",
        good=messages.Stats,
    ),
    Row(
        route=("POST", "/sms/archive/{message_id}"),
        tag=SMS,
        summary="Put a message aside",
        good=messages.Archived,
    ),
    Row(
        route=("GET", "/sms/qr-code"),
        tag=SMS,
        summary="Make the code that a phone scans to be paired",
        good=answers.QrCode,
    ),
)

DEVICE_ROWS: Final = (
    Row(
        route=("POST", "/device/register"),
        tag=DEVICE,
        summary="Pair a phone, which gets a key of its own",
        good=answers.NewDevice,
        status=201,
        body=wire.RegisterDevice,
    ),
    Row(
        route=("GET", "/device/list"),
        tag=DEVICE,
        summary="List the phones",
        good=answers.Devices,
    ),
    Row(
        route=("DELETE", "/device/{device_id}"),
        tag=DEVICE,
        summary="Part a phone from the account",
        good=answers.Succeeded,
    ),
)

GATEWAY_ROWS: Final = (
    Row(
        route=("POST", "/sms/gateway/devices"),
        tag=GATEWAY,
        summary="Pair the phone that scanned the account's key",
        good=answers.NewGateway,
        status=201,
        security=KEY_IN_BODY,
        body=wire.RegisterGateway,
    ),
    Row(
        route=("POST", "/sms/gateway/devices/{device_id}/receive-sms"),
        tag=GATEWAY,
        summary="Deliver a text that the phone got; told twice it is one",
        good=messages.Received,
        security=PHONE,
        body=wire.ReceiveSms,
    ),
    Row(
        route=("PATCH", "/sms/gateway/devices/{device_id}/sms-status"),
        tag=GATEWAY,
        summary="Tell what became of a text that the phone was to send",
        good=answers.Succeeded,
        security=PHONE,
        body=wire.SmsStatus,
    ),
)

ACCOUNT_ROWS: Final = (
    Row(
        route=("POST", "/account/key"),
        tag=OWN,
        summary="Replace the account's key; phones that use it have to be paired again",
        good=answers.NewKey,
    ),
    Row(
        route=("GET", "/account/webhook"),
        tag=OWN,
        summary="Tell where callbacks go",
        good=answers.WebhookShown,
        refusals=(404,),
    ),
    Row(
        route=("PUT", "/account/webhook"),
        tag=OWN,
        summary="Have callbacks sent to a URL; the secret that signs them is shown once",
        good=answers.WebhookShown,
        body=wire.PutWebhook,
    ),
    Row(
        route=("DELETE", "/account/webhook"),
        tag=OWN,
        summary="Have no callbacks sent any more",
        good=answers.Succeeded,
    ),
)


def operations() -> Operations:
    """Return the whole table."""
    rows = (*AUTH_ROWS, *SMS_ROWS, *DEVICE_ROWS, *GATEWAY_ROWS, *ACCOUNT_ROWS)
    return {(row.route[0], PREFIX + row.route[1]): _operation(row) for row in rows}


def _operation(row: Row) -> Operation:
    refusals = {
        HTTPStatus(status): Answer((answers.Failed,), RETRY if status in {429, 503} else {})
        for status in sorted(row.statuses())
    }
    return Operation(
        summary=row.summary,
        tag=row.tag,
        security=row.security,
        parameters=PARAMETERS,
        body=row.body,
        query=row.query,
        headers=row.headers,
        answers={HTTPStatus(row.status): Answer((row.good,)), **refusals},
    )
