"""What goes through a device's WebSocket, in text frames of JSON.

◀── send_sms                what the phone is to send
──▶ sms_status              what became of it
──▶ auth                    who it is, as the first frame, unless the request told
──▶ ping, ◀── pong          ours
◀── error                   ours: what is wrong with the last frame
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final, Literal

import msgspec
from msgspec import Meta

from signalbox.domain.phone import SIMS_MAX, SimCard
from signalbox.http import body
from signalbox.http.context import encode
from signalbox.http.errors import Failure
from signalbox.http.moments import iso
from signalbox.http.signalhouse import wire
from signalbox.http.signalhouse.ids import message_id

if TYPE_CHECKING:
    from signalbox.actors.phone_line import PushedSms

NAME_CHARS_MAX: Final = 64
PONG: Final = encode({"type": "pong"})

Name = Annotated[str, Meta(max_length=NAME_CHARS_MAX)]


class Auth(msgspec.Struct, tag_field="type", tag="auth"):
    """Who it is."""

    api_key: wire.Filled


class Ping(msgspec.Struct, tag_field="type", tag="ping"):
    """Whether anybody is there."""


class SmsStatus(wire.SmsStatus, tag_field="type", tag="sms_status"):
    """What became of a text."""


class Sim(msgspec.Struct):
    """A SIM; many phones can't read its number."""

    slot: Annotated[int, Meta(ge=0, lt=SIMS_MAX)]
    number: Name | None = None
    label: Name | None = None
    carrier: Name | None = None

    @property
    def card(self) -> SimCard:
        """The SIM as the gateway knows it."""
        return SimCard(self.slot, self.number or "", self.label or "", self.carrier or "")


class Sims(msgspec.Struct, tag_field="type", tag="sims"):
    """The SIMs in the phone, in place of what it told before."""

    sims: Annotated[list[Sim], Meta(max_length=SIMS_MAX)]


class SendSms(msgspec.Struct, frozen=True):
    """A text that the phone is to send; it may come twice, under the same `sms_id`."""

    type: Literal["send_sms"]
    sms_id: str
    to: str
    message: str
    timestamp: str


class SimsAck(msgspec.Struct, frozen=True):
    """So many SIMs are known now."""

    type: Literal["sims_ack"]
    count: int


class Error(msgspec.Struct, frozen=True):
    """What is wrong with a frame."""

    type: Literal["error"]
    error: str


Frame = Auth | Ping | SmsStatus | Sims


def read(text: str) -> Frame:
    """Return what a frame says. Raises: `Failure`."""
    # A lone surrogate can't come: it is no UTF-8.
    frame: Frame = body.fields(text.encode(), Frame, mend=True)
    return frame


def key_in(text: str) -> str:
    """Return the key that an `auth` frame shows, "" for any other frame."""
    try:
        frame = read(text)
    except Failure:
        return ""
    return frame.api_key if isinstance(frame, Auth) else ""


def send_sms(sms: PushedSms) -> bytes:
    """Write a text that is to be sent."""
    frame = SendSms(
        type="send_sms",
        sms_id=message_id(sms.key),
        to=sms.to,
        message=sms.text,
        timestamp=iso(sms.queued_at_s),
    )
    return encode(frame)


def sims_ack(count: int) -> bytes:
    """Write how many SIMs are known."""
    return encode(SimsAck(type="sims_ack", count=count))


def error(sentence: str) -> bytes:
    """Write what is wrong."""
    return encode(Error(type="error", error=sentence))
