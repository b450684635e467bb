"""Answers of this surface. Names, shapes and order are the API reference's.

Ours, beside the reference's keys: `duplicates` and `rejected` where there are any, `sent_at` and
`error` of every message, `last_seen` of a SIM, and all about webhooks and failures. Times are ISO
8601 in UTC; what is not known is null.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal, get_args

import msgspec
from msgspec import UNSET, Meta, UnsetType

from signalbox.domain.phone_routing import slot_of
from signalbox.http.moments import iso
from signalbox.http.trucopilot.problems import Fault  # noqa: TC001  msgspec reads it
from signalbox.http.trucopilot.wire import WebhookEvent

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from signalbox.actors.phone_messages import OutboundRequest, Received
    from signalbox.domain.phone import SimCard
    from signalbox.domain.webhook import Webhook
    from signalbox.http.trucopilot import ports
    from signalbox.projections.phone_views import PhoneMessageView

Yes = Annotated[bool, Meta(extra_json_schema={"const": True})]
No = Annotated[bool, Meta(extra_json_schema={"const": False})]
Id = Annotated[int, Meta(ge=1)]
Moment = Annotated[str, Meta(examples=["2026-04-20T14:30:00Z"])]
AccidentId = Annotated[str, Meta(description="of an internal error: its id in the log")]
Status = Literal["queued", "sending", "sent", "failed", "received"]


class Failed(msgspec.Struct, frozen=True, kw_only=True):
    """Nothing was done, and why; `code` is for programs."""

    ok: No
    error: str
    code: str
    detail: str
    errors: list[Fault] | UnsetType = UNSET
    id: AccidentId | UnsetType = UNSET


class Alive(msgspec.Struct, frozen=True):
    """The gateway runs."""

    status: Literal["ok"] = "ok"


class Stored(msgspec.Struct, frozen=True, kw_only=True):
    """So many texts are new; what came before is not stored again, what is wrong not at all."""

    ok: Yes = True
    org_id: str
    stored: int
    duplicates: Id | UnsetType = UNSET
    rejected: list[Fault] | UnsetType = UNSET


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """A text; `device_ts` is the phone's own time in ms, `sim_…` of one sent what was asked for."""

    id: Id
    direction: Literal["in", "out"]
    address: str
    body: str
    sim_slot: int | None
    sim_number: str | None
    status: Status
    device_ts: int | None
    created_at: Moment
    sent_at: Moment | None
    error: str | None


class Messages(msgspec.Struct, frozen=True):
    """Texts in both directions by their ids; `count` are here."""

    org_id: str
    count: int
    messages: list[Message]


class Ticket(msgspec.Struct, frozen=True):
    """A text that was taken on: `sending` when a phone has it already."""

    id: Id
    to: str
    status: Literal["queued", "sending"]


class Sent(msgspec.Struct, frozen=True, kw_only=True):
    """Texts were taken on; `device_online` tells whether a phone is there that can send them."""

    ok: Yes = True
    device_online: bool
    queued: int
    results: list[Ticket]


class Sim(msgspec.Struct, frozen=True):
    """A SIM; many phones can't read their own number."""

    slot: int | None
    number: str | None
    label: str
    carrier: str


class KnownSim(Sim, frozen=True):
    """A SIM that a phone told of, or had a message by, at some time."""

    last_seen: Moment


class Sims(msgspec.Struct, frozen=True):
    """The phones that are connected, their SIMs, and all SIMs there ever were."""

    online_devices: int
    live_sims: list[Sim]
    known_sims: list[KnownSim]


class WebhookShown(msgspec.Struct, frozen=True, kw_only=True):
    """Where callbacks go. The secret that signs them is shown when it was made now."""

    ok: Yes = True
    url: str
    events: list[WebhookEvent]
    enabled: bool
    disabled_reason: str | None
    secret: str | UnsetType = UNSET


class Done(msgspec.Struct, frozen=True):
    """It was done, and is stored."""

    ok: Yes = True


def stored(org_id: str, received: Sequence[Received], rejected: list[Fault]) -> Stored:
    """Write what became of the texts of a phone."""
    new = sum(one.is_new for one in received)
    return Stored(
        org_id=org_id,
        stored=new,
        duplicates=len(received) - new or UNSET,
        rejected=rejected or UNSET,
    )


def messages(org_id: str, rows: Sequence[PhoneMessageView]) -> Messages:
    """Write a page."""
    return Messages(org_id, len(rows), [_message(row) for row in rows])


def sent(
    keys: Iterable[str],
    requests: Iterable[OutboundRequest],
    pushed: Collection[str],
    *,
    device_online: bool,
) -> Sent:
    """Write the tickets of texts, in the order in which they were given."""
    results = [
        Ticket(int(key), one.to, "sending" if key in pushed else "queued")
        for key, one in zip(keys, requests, strict=True)
    ]
    return Sent(device_online=device_online, queued=len(results), results=results)


def sims(found: ports.SimsView) -> Sims:
    """Write the SIMs of an organisation."""
    return Sims(
        found.online_lines,
        [Sim(*_sim(card)) for card in found.live],
        [KnownSim(*_sim(card), iso(seen_s)) for card, seen_s in found.known],
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


def _message(row: PhoneMessageView) -> Message:
    slot, number = _sim_of(row)
    return Message(
        id=row.number,
        direction="in" if row.direction == "inbound" else "out",
        address=row.peer,
        body=row.text,
        sim_slot=slot,
        sim_number=number,
        status=_status(row),
        device_ts=row.device_ts_ms,
        created_at=iso(row.accepted_at_s),
        sent_at=None if row.sent_at_s is None else iso(row.sent_at_s),
        error=row.error or None,
    )


def _status(row: PhoneMessageView) -> Status:
    """Return the word for a status; there is none for having been delivered."""
    return "sent" if row.status == "delivered" else row.status


def _sim_of(row: PhoneMessageView) -> tuple[int | None, str | None]:
    if row.direction == "inbound" or row.sim is None:
        return row.sim_slot, row.sim_number or None
    slot = slot_of(row.sim)
    return (None, str(row.sim)) if slot is None else (slot, None)


def _sim(card: SimCard) -> tuple[int | None, str | None, str, str]:
    return card.slot if card.slot >= 0 else None, card.number or None, card.label, card.carrier
