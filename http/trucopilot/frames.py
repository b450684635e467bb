"""What goes through a phone's WebSocket, in text frames of JSON.

──▶ auth                        who it is, as the first frame, unless the request told
◀── connected                   always the first of ours
──▶ sims,        ◀── sims_ack
──▶ inbound,     ◀── inbound_ack    in the order of the frames, after it is stored
◀── send_sms,    ──▶ send_result
──▶ ping,        ◀── pong
◀── error                       ours: what is wrong with the last frame
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, Final, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from signalbox.domain.phone import SIMS_MAX, SimCard
from signalbox.domain.phone_message import ReportStatus
from signalbox.http import body
from signalbox.http.context import encode
from signalbox.http.moments import moment
from signalbox.http.trucopilot import wire
from signalbox.http.trucopilot.problems import each, wrong

if TYPE_CHECKING:
    from collections.abc import Mapping

    from signalbox.actors.phone_line import PushedSms
    from signalbox.actors.phone_messages import InboundRequest

ERROR_CHARS_MAX: Final = 200
NAME_CHARS_MAX: Final = 64

PONG: Final = encode({"type": "pong"})

SimName = Annotated[str, Meta(max_length=NAME_CHARS_MAX)]


class Auth(msgspec.Struct, tag_field="type", tag="auth"):
    """Who it is; `device_id`, ours, tells this phone from the organisation's others."""

    org_id: wire.OrgId
    secret_key: wire.SecretKey
    device_id: str | None = None


class Ping(msgspec.Struct, tag_field="type", tag="ping"):
    """Whether anybody is there."""


class SimReport(msgspec.Struct):
    """A SIM as the phone has it; many phones can't read its number."""

    slot: wire.Slot
    number: wire.SimNumber | None = None
    label: SimName | None = None
    carrier: SimName | None = None

    @property
    def card(self) -> SimCard:
        """Return the SIM as the gateway knows it."""
        return SimCard(self.slot, self.number or "", self.label or "", self.carrier or "")


class Sims(msgspec.Struct, tag_field="type", tag="sims"):
    """The SIMs in the phone, in place of what it told before."""

    sims: list[object]

    @property
    def cards(self) -> tuple[SimCard, ...]:
        """Return those that can be taken."""
        reports, _ = each(self.sims, lambda one: body.members(one, SimReport))
        return tuple(one.card for one in reports[:SIMS_MAX])


class Inbound(msgspec.Struct, tag_field="type", tag="inbound"):
    """A text that the phone got."""

    message: object = None

    def inbound(self, phone_id: str, numbers: Mapping[int, str]) -> InboundRequest:
        """Return what the gateway is to take; `numbers` are those of the SIMs, by slot.

        Raises: `Failure` 422.
        """
        message: wire.InboundMessage = body.members(self.message, wire.InboundMessage)
        if not message.sim_number and message.sim_slot is not None:
            message.sim_number = numbers.get(message.sim_slot)
        return message.inbound(phone_id)


class SendResult(msgspec.Struct, tag_field="type", tag="send_result"):
    """What became of a text; `error` and `sent_at` (ISO 8601, or ms since 1970) are ours."""

    id: int | Annotated[str, Meta(max_length=19)]
    success: bool
    error: str | None = None
    sent_at: str | int | None = None

    @property
    def key(self) -> str:
        """The message's key."""
        return str(self.id)

    def report(self) -> ReportStatus:
        """Return what the phone says, of now unless it gives a time. Raises: `Failure` 422."""
        if self.success:
            return ReportStatus(status="sent", at_s=self._at_s(), overrides_failure=True)
        error = (self.error or "")[:ERROR_CHARS_MAX]
        return ReportStatus(status="failed", at_s=time.time(), error=error, keeps_success=True)

    def _at_s(self) -> float:
        match self.sent_at:
            case None:
                return time.time()
            case int(at_ms):
                return wire.date_ms(at_ms) / 1_000
            case str(text):
                try:
                    return moment(text)
                except ValueError as error:
                    raise wrong(f"sent_at: {error}") from None


Frame = Auth | Ping | Sims | Inbound | SendResult


class Connected(msgspec.Struct, frozen=True, tag_field="type", tag="connected"):
    """The phone counts as connected."""

    org_id: str


class SendSms(msgspec.Struct, frozen=True, tag_field="type", tag="send_sms"):
    """A text that the phone is to send; it may come twice, under the same `id`."""

    id: int
    to: str
    body: str
    sim: int | str | UnsetType = UNSET


class SimsAck(msgspec.Struct, frozen=True, tag_field="type", tag="sims_ack"):
    """So many SIMs were taken."""

    count: int


class InboundAck(msgspec.Struct, frozen=True, tag_field="type", tag="inbound_ack"):
    """A text is stored; 0 when it was before, or can't be: then `error`, ours, tells why."""

    stored: Literal[0, 1]
    error: str | UnsetType = UNSET


class Pong(msgspec.Struct, frozen=True, tag_field="type", tag="pong"):
    """Somebody is."""


class Error(msgspec.Struct, frozen=True, tag_field="type", tag="error"):
    """What is wrong with a frame."""

    error: str


FROM_PHONE: Final = (Auth, Sims, Inbound, SendResult, Ping)
TO_PHONE: Final = (Connected, SendSms, SimsAck, InboundAck, Pong, Error)


def read(text: str) -> Frame:
    """Return what a frame says. Raises: `Failure`."""
    # A lone surrogate can't come as such: it is no UTF-8.
    frame: Frame = body.fields(text.encode(), Frame, mend=True)
    return frame


def send_sms(sms: PushedSms) -> bytes:
    """Write a text that is to be sent; the SIM as whoever sends it named it."""
    sim = UNSET if sms.sim is None else sms.sim
    return encode(SendSms(sms.number, sms.to, sms.text, sim))
