"""What this surface offers: the table that `openapi` and `llms` are made from.

The schemas are those of the structs that requests are read as and answers written from. So are the
examples, which can't become wrong without a type checker noticing.
"""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from spectree import SecurityScheme, SecuritySchemeData, Tag
from spectree.models import InType, SecureType

from signalbox.domain.org import ORG_ID
from signalbox.http.openapi import Answer, Operation
from signalbox.http.trucopilot import frames, wire
from signalbox.http.trucopilot import wire_answers as answers
from signalbox.http.trucopilot.auth import SECRET_HEADER
from signalbox.http.trucopilot.query import LIMIT, LIMIT_MAX, MessagesQuery, SocketQuery

if TYPE_CHECKING:
    from collections.abc import Mapping

    import msgspec

    from signalbox.http.openapi import Operations, Security

KEY: Final = SecurityScheme(
    "secret_key",
    SecuritySchemeData(
        SecureType.API_KEY, "The organisation's secret", SECRET_HEADER, InType.HEADER
    ),
)
MONITORING: Final = Tag("Health", "For probes.")
PHONE: Final = Tag(
    "Phone", "For the app on a phone. The frames of its WebSocket are listed in /llms.txt."
)
APPS: Final = Tag("Messages", "For whoever reads and sends.")
CALLBACKS: Final = Tag("Webhooks", "Where an organisation is told what happens; ours.")

PARAMETERS: Final[Mapping[str, Mapping[str, object]]] = {
    "org_id": {"type": "string", "pattern": f"^{ORG_ID.pattern}$"},
    "secret_key": {"type": "string", "minLength": 1},
}
RETRY: Final = {"Retry-After": "Seconds to wait."}
IN_HEADER: Final[Security] = ({KEY.name: []},)
ANYWHERE: Final[Security] = ({KEY.name: []}, {})
"""In the header, or in the body or the query."""

ALWAYS: Final = frozenset({429, 500, 503})
VISITED: Final = ALWAYS | {400, 401, 422}
WITH_BODY: Final = VISITED | {408, 413}


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One method of one path. `good` is its answer, None for one that is no body.

    `sent` and `told` are examples of a body and an answer.
    """

    route: tuple[str, str]
    tag: Tag
    summary: str
    description: str = ""
    security: Security = IN_HEADER
    good: type | None
    refusals: frozenset[int] = VISITED
    body: type | None = None
    query: type | None = None
    headers: type | None = None
    sent: tuple[msgspec.Struct, ...] = ()
    told: msgspec.Struct | None = None


ORG: Final = "ORG"
SECRET: Final = "SECRET"  # noqa: S105  an example
SIM: Final = answers.Sim(0, "+15550001111", "SIM1", "AT&T")
TICKET: Final = answers.Ticket(5, "+15553334444", "sending")
INBOUND: Final = wire.InboundMessage(
    "+15551234567", "hello", 1_700_000_000_000, 0, "+15550001111", "123"
)
MESSAGE: Final = answers.Message(
    id=4,
    direction="in",
    address="+15551234567",
    body="hello",
    sim_slot=0,
    sim_number="+15550001111",
    status="received",
    device_ts=1_700_000_000_000,
    created_at="2023-11-14T22:13:20Z",
    sent_at=None,
    error=None,
)
HOOK: Final = answers.WebhookShown(
    url="https://example.com/hooks/sms",
    events=["inbound", "status", "presence"],
    enabled=True,
    disabled_reason=None,
    secret="whsec_…",  # noqa: S106  an example
)

HEALTH: Final = Row(
    route=("GET", "/health"),
    tag=MONITORING,
    summary="Tell that the gateway runs",
    security=(),
    good=answers.Alive,
    refusals=frozenset(),
    told=answers.Alive(),
)
STORE: Final = Row(
    route=("POST", "/webhook"),
    tag=PHONE,
    summary="Store texts that a phone got",
    description=(
        "The first call claims the organisation; the headers X-Org-Id and X-Secret-Key may tell it "
        "instead of the body. 500 texts at most. The same text again (address, body and date) is "
        "not stored twice; those alike in one request are several if each has an `id` of its own. "
        "One that can't be taken does not keep the others back."
    ),
    security=ANYWHERE,
    good=answers.Stored,
    refusals=WITH_BODY | {403},
    body=wire.Webhook,
    headers=wire.OrgHeaders,
    sent=(wire.Webhook(org_id=ORG, secret_key=SECRET, messages=[INBOUND]),),
    told=answers.Stored(org_id=ORG, stored=1),
)
READ: Final = Row(
    route=("GET", "/messages/{org_id}"),
    tag=APPS,
    summary="List texts in both directions",
    description=(
        f"`limit` is {LIMIT} by default, with `ids` {LIMIT_MAX}, and never more than that; "
        "`direction` is in or out; `sim` is the index of a slot, or a SIM's own number. "
        "Ascending by id: `since_id` is the last one you have seen. Ids are given in the order in "
        "which they become visible; what becomes of a message does not change its id."
    ),
    security=ANYWHERE,
    good=answers.Messages,
    query=MessagesQuery,
    told=answers.Messages(ORG, 1, [MESSAGE]),
)
READ_BY_PATH: Final = Row(
    route=("GET", "/messages/{org_id}/{secret_key}"),
    tag=APPS,
    summary="List texts in both directions, with the secret in the path",
    description="A path is often logged on its way: better use the header.",
    security=(),
    good=answers.Messages,
    query=MessagesQuery,
)
SEND: Final = Row(
    route=("POST", "/send/{org_id}"),
    tag=APPS,
    summary="Send texts",
    description=(
        "Always taken on, as tickets that wait for a phone. 500 texts at most, all of them or "
        "none. `sim` is optional: the index of a slot, or a SIM's own number. Without it the phone "
        "that is connected longest sends."
    ),
    security=ANYWHERE,
    good=answers.Sent,
    refusals=WITH_BODY | {403, 409},
    body=wire.SendBody,
    headers=wire.SendHeaders,
    sent=(
        wire.SendBody(secret_key=SECRET, sim="+15550001111", to=TICKET.to, body="hi"),
        wire.SendBody(
            secret_key=SECRET,
            sim=0,
            messages=[
                wire.OutgoingMessage(TICKET.to, "a"),
                wire.OutgoingMessage("+15556667777", "b"),
            ],
        ),
    ),
    told=answers.Sent(device_online=True, queued=1, results=[TICKET]),
)
SIMS: Final = Row(
    route=("GET", "/sims/{org_id}"),
    tag=APPS,
    summary="List the SIMs of the phones",
    security=ANYWHERE,
    good=answers.Sims,
    told=answers.Sims(
        1, [SIM], [answers.KnownSim(0, "+15550001111", "SIM1", "AT&T", "2023-11-14T22:13:20Z")]
    ),
)
SIMS_BY_PATH: Final = Row(
    route=("GET", "/sims/{org_id}/{secret_key}"),
    tag=APPS,
    summary="List the SIMs of the phones, with the secret in the path",
    security=(),
    good=answers.Sims,
)
CONNECT: Final = Row(
    route=("GET", "/websocket"),
    tag=PHONE,
    summary="Connect a phone (WebSocket)",
    description=(
        "Without credentials in the request the first frame must be `auth`, within 10 seconds. "
        "The first connection claims the organisation."
    ),
    security=ANYWHERE,
    good=None,
    refusals=VISITED | {403, 426},
    query=SocketQuery,
    headers=wire.OrgHeaders,
)
HOOKS: Final = (
    Row(
        route=("GET", "/webhooks/{org_id}"),
        tag=CALLBACKS,
        summary="Tell where callbacks go",
        security=ANYWHERE,
        good=answers.WebhookShown,
        refusals=VISITED | {404},
    ),
    Row(
        route=("PUT", "/webhooks/{org_id}"),
        tag=CALLBACKS,
        summary="Have callbacks sent to a URL",
        description="The secret that signs them is shown when it is made, and never again.",
        security=ANYWHERE,
        good=answers.WebhookShown,
        refusals=WITH_BODY,
        body=wire.PutWebhook,
        sent=(wire.PutWebhook(secret_key=SECRET, url=HOOK.url),),
        told=HOOK,
    ),
    Row(
        route=("DELETE", "/webhooks/{org_id}"),
        tag=CALLBACKS,
        summary="Have no callbacks sent any more",
        security=ANYWHERE,
        good=answers.Done,
        told=answers.Done(),
    ),
)
ROWS: Final = (HEALTH, STORE, READ, READ_BY_PATH, SEND, SIMS, SIMS_BY_PATH, *HOOKS, CONNECT)

FROM_PHONE: Final[tuple[msgspec.Struct, ...]] = (
    frames.Sims([frames.SimReport(SIM.slot or 0, SIM.number, SIM.label, SIM.carrier)]),
    frames.Inbound(INBOUND),
    frames.SendResult(TICKET.id, success=True),
    frames.Ping(),
)
AUTH: Final = frames.Auth(ORG, SECRET)
TO_PHONE: Final[tuple[msgspec.Struct, ...]] = (
    frames.Connected(ORG),
    frames.SendSms(TICKET.id, TICKET.to, "hi", "+15550001111"),
    frames.SimsAck(1),
    frames.InboundAck(1),
    frames.Pong(),
    frames.Error("what is wrong with the last frame"),
)


def operations() -> Operations:
    """Return the table as operations."""
    return {
        row.route: Operation(
            summary=row.summary,
            description=row.description,
            tag=row.tag,
            security=row.security,
            parameters=PARAMETERS,
            body=row.body,
            query=row.query,
            headers=row.headers,
            answers=_answers(row),
        )
        for row in ROWS
    }


def _answers(row: Row) -> dict[HTTPStatus, Answer]:
    good = {101: Answer(())} if row.good is None else {200: Answer((row.good,))}
    refusals = {
        status: Answer((answers.Failed,), RETRY if status in {429, 503} else {})
        for status in sorted(row.refusals)
    }
    return {HTTPStatus(status): answer for status, answer in (good | refusals).items()}
