"""What is asked of this surface: read leniently where phones write, strictly where people do.

A text that came in is there only once, in a phone that tries again until we take it: one that can't
be taken must not keep the others back, and signs we can't store are replaced. One that goes out is
refused as it is.
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Final, Literal, get_args

import msgspec
from msgspec import UNSET, Meta, UnsetType

from signalbox.actors.phone_messages import InboundRequest, OutboundRequest
from signalbox.domain.org import ORG_ID, SECRET
from signalbox.domain.phone_routing import digits
from signalbox.domain.webhook import URL_CHARS_MAX
from signalbox.http.body import members
from signalbox.http.trucopilot.problems import each, wrong

if TYPE_CHECKING:
    from signalbox.domain.phone_message import Sim
    from signalbox.http.trucopilot.problems import Fault

BATCH_MAX: Final = 500
TEXT_CHARS_MAX: Final = 1_600
INBOUND_CHARS_MAX: Final = 10_000
ADDRESS_CHARS_MAX: Final = 64
SIM_CHARS_MAX: Final = 32
INBOUND_SLOT_MAX: Final = 7
SLOT_MAX: Final = 99
SECONDS_MAX: Final = 10**11  # a smaller date is one in seconds, not in ms
DATE_MS_MAX: Final = 253_402_300_799_999  # the end of the year 9999

_SEPARATORS: Final = re.compile(r"[ ().-]")
_RECIPIENT: Final = re.compile(r"\+?[0-9*#]{3,20}")
_DATE: Final = re.compile(r"[0-9]{1,16}")

# Told in the schema only: a refusal says more than that a pattern was not met. Empty is not given.
OrgId = Annotated[
    str,
    Meta(
        description="3 to 64 letters, digits, hyphens and underscores",
        extra_json_schema={"pattern": f"^({ORG_ID.pattern})?$"},
        examples=["myorg"],
    ),
]
SecretKey = Annotated[
    str,
    Meta(
        description="12 to 50 printable ASCII characters",
        extra_json_schema={"pattern": f"^({SECRET.pattern})?$"},
        examples=["my-secret-key-123"],
    ),
]
Slot = Annotated[int, Meta(ge=0, le=INBOUND_SLOT_MAX)]
SimNumber = Annotated[str, Meta(max_length=SIM_CHARS_MAX, examples=["+15550001111"])]
SimChoice = Annotated[
    Annotated[int, Meta(ge=0, le=SLOT_MAX)] | SimNumber,
    Meta(description="the index of a slot, or a SIM's own number"),
]
Recipient = Annotated[
    str,
    Meta(
        description="digits, `*` and `#`; spaces, brackets, dots and hyphens are left out",
        examples=["+15553334444"],
        extra_json_schema={"minLength": 3},
    ),
]
Text = Annotated[
    str,
    Meta(
        examples=["sent from API"],
        extra_json_schema={"minLength": 1, "maxLength": TEXT_CHARS_MAX, "pattern": r"\S"},
    ),
]
WebhookUrl = Annotated[
    str, Meta(max_length=URL_CHARS_MAX, examples=["https://example.com/hooks/sms"])
]
WebhookEvent = Literal["inbound", "status", "presence"]


class Credentials(msgspec.Struct):
    """Who it is, unless headers or the path tell."""

    org_id: OrgId | None = None
    secret_key: SecretKey | None = None


class OrgHeaders(msgspec.Struct):
    """Which organisation it is, unless the body or the query tells."""

    org_id: OrgId | UnsetType = msgspec.field(name="X-Org-Id", default=UNSET)


class InboundMessage(msgspec.Struct):
    """A text as the phone got it; `date` in ms since 1970 (or s), `id` the phone's own."""

    address: Annotated[str, Meta(min_length=1, max_length=ADDRESS_CHARS_MAX)]
    body: Annotated[str, Meta(max_length=INBOUND_CHARS_MAX)]
    date: Annotated[int | float | str, Meta(examples=[1700000000000])]
    sim_slot: Slot | None = None
    sim_number: SimNumber | None = None
    id: str | int | None = None

    def inbound(self, phone_id: str) -> InboundRequest:
        """Return what the gateway is to take. Raises: `Failure` 422."""
        at_ms = date_ms(self.date)
        sender = "".join(c if c.isprintable() else "\ufffd" for c in self.address)
        return InboundRequest(
            sender=sender,
            text=self.body,
            phone_id=phone_id,
            received_at_s=at_ms / 1_000,
            same=(sender, str(at_ms), self.body),
            device_ts_ms=at_ms,
            sim_slot=self.sim_slot,
            sim_number=self.sim_number or "",
        )


class Webhook(Credentials, kw_only=True):
    """`POST /webhook`: texts of a phone; none at all is fine, too."""

    messages: Annotated[list[InboundMessage], Meta(max_length=BATCH_MAX)]


class Batch(msgspec.Struct):
    """The texts of a body, not yet looked at one by one."""

    messages: Annotated[list[object], Meta(max_length=BATCH_MAX)]

    def inbound(self, phone_id: str) -> tuple[list[InboundRequest], list[Fault]]:
        """Return what the gateway is to take, and what is wrong with the rest.

        Texts alike with ids of their own are several. The first is as it is without an id: so it
        stays the same when it comes again, by whichever way.
        """
        ids: defaultdict[tuple[str, ...], dict[str, int]] = defaultdict(dict)

        def take(value: object) -> InboundRequest:
            message: InboundMessage = members(value, InboundMessage)
            request = message.inbound(phone_id)
            if message.id in {None, ""}:
                return request
            alike = ids[request.same]
            nth = alike.setdefault(str(message.id), len(alike) + 1)
            return request if nth == 1 else replace(request, same=(*request.same, str(nth)))

        return each(self.messages, take)


class OutgoingMessage(msgspec.Struct):
    """A text for somebody."""

    to: Recipient
    body: Text

    def outbound(self, sim: Sim | None) -> OutboundRequest:
        """Return what the gateway is asked for. Raises: `Failure` 422."""
        to = _SEPARATORS.sub("", self.to)
        if _RECIPIENT.fullmatch(to) is None:
            raise wrong("to: expected 3 to 20 digits")
        if not self.body.strip():
            raise wrong("body: expected some text")
        if len(self.body) > TEXT_CHARS_MAX:
            raise wrong(f"body: expected {TEXT_CHARS_MAX} characters at most")
        return OutboundRequest(to=to, text=self.body, sim=sim)


class SendBody(Credentials, kw_only=True):
    """`POST /send/{org_id}`: one text, `to` and `body`, or several, all of them or none.

    They go through any phone, or through one that has the SIM.
    """

    sim: SimChoice | None = None
    to: Recipient | UnsetType = UNSET
    body: Text | UnsetType = UNSET
    messages: (
        Annotated[list[OutgoingMessage], Meta(min_length=1, max_length=BATCH_MAX)] | UnsetType
    ) = UNSET


class Send(msgspec.Struct):
    """The body of one text or of several, not yet looked at one by one."""

    sim: SimChoice | None = None
    to: object = UNSET
    body: object = UNSET
    messages: Annotated[list[object], Meta(min_length=1, max_length=BATCH_MAX)] | UnsetType = UNSET

    def outbound(self) -> list[OutboundRequest]:
        """Return what the gateway is asked for, in order. Raises: `Failure` 422."""
        is_single = self.to is not UNSET or self.body is not UNSET
        if self.messages is UNSET:
            given = {"to": self.to, "body": self.body}
            one = {name: value for name, value in given.items() if value is not UNSET}
            return [_outbound(one, self._sim())]
        if is_single:
            raise wrong("expected either to and body, or messages")
        sim = self._sim()
        taken, faults = each(self.messages, lambda one: _outbound(one, sim))
        if faults:
            raise wrong(f"messages[{faults[0].index}].{faults[0].error}", errors=faults)
        return taken

    def _sim(self) -> Sim | None:
        if isinstance(self.sim, int):
            return self.sim
        sim = (self.sim or "").strip()
        if sim and not digits(sim):
            raise wrong("sim: expected the index of a slot, or a number")
        return sim or None


class SendHeaders(msgspec.Struct):
    """A key under which a repeated request finds the tickets of the first, for 24 hours."""

    idempotency_key: str | UnsetType = msgspec.field(name="Idempotency-Key", default=UNSET)


class PutWebhook(Credentials, kw_only=True):
    """`PUT /webhooks/{org_id}`; with `new_secret` callbacks are signed with another one."""

    url: WebhookUrl
    events: Annotated[list[WebhookEvent], Meta(min_length=1)] = msgspec.field(
        default_factory=lambda: [*get_args(WebhookEvent)]
    )
    new_secret: bool = False


def date_ms(date: float | str) -> int:
    """Return a phone's time in ms. Raises: `Failure` 422."""
    error = wrong("date: expected a time in ms since 1970")
    if isinstance(date, str):
        if _DATE.fullmatch(date) is None:
            raise error
        date = int(date)
    at_ms = int(date * 1_000 if date < SECONDS_MAX else date)
    if not 0 <= at_ms <= DATE_MS_MAX:
        raise error
    return at_ms


def _outbound(value: object, sim: Sim | None) -> OutboundRequest:
    message: OutgoingMessage = members(value, OutgoingMessage)
    return message.outbound(sim)
