"""What callbacks to tenants say: the same words for all owners, ids as each of them knows them.

    message.received    {"id", "from", "text", "received_at", "phone_id", "sim_slot", "sim_number"}
    message.status      {"id", "to", "status", "error", "sent_at", "delivered_at", "phone_id"}
    phone.connected, phone.disconnected
                        {"phone_id", "online", "reason", "sims": [{"slot", "number", …}]}

Times are ISO 8601 in UTC; what is not known is null.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import reduce
from typing import TYPE_CHECKING, Final

from signalbox.actors.callback_topics import Told, Topic
from signalbox.domain import phone, phone_message

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from signalbox.domain.names import Event
    from signalbox.domain.phone_message import PhoneMessage
    from signalbox.eventstore.mapper import Recorded

MESSAGE_PREFIX: Final = "msg_"
DAY_S: Final = 86_400


def message_received(stream: Sequence[Recorded], _version: int) -> Told:
    """Tell of a text that a phone got."""
    message = _message(stream)
    data = {
        "id": _id(message, stream),
        "from": message.peer,
        "text": message.text,
        "received_at": _time(message.received_at_s),
        "phone_id": message.phone_id or None,
        "sim_slot": message.sim_slot,
        "sim_number": message.sim_number or None,
    }
    return Told("message.received", data)


def message_status(stream: Sequence[Recorded], _version: int) -> Told:
    """Tell what became of a text that was sent."""
    message = _message(stream)
    data = {
        "id": _id(message, stream),
        "to": message.peer,
        "status": message.status,
        "error": message.error or None,
        "sent_at": _time(message.sent_at_s),
        "delivered_at": _time(message.delivered_at_s),
        "phone_id": message.phone_id or None,
    }
    return Told("message.status", data)


def phone_presence(stream: Sequence[Recorded], _version: int) -> Told:
    """Tell that a phone came or went; `online` is false when it has no newer connection.

    The stream begins with later days, if there were any when it went.
    """
    day = phone.DayOfPhone()
    for recorded in stream:
        assert isinstance(recorded.event, phone.Event), recorded
        day = phone.evolve(day, recorded.event)
    event = stream[-1].event
    gone = isinstance(event, phone.PhoneDisconnected)
    sims = day.sims.get(max(day.live, default=0), ())
    data = {
        "phone_id": day.phone_id,
        "online": bool(day.live),
        "reason": event.reason if isinstance(event, phone.PhoneDisconnected) else None,
        "sims": sims,
    }
    return Told("phone.disconnected" if gone else "phone.connected", data)


def _later_days(gone: Recorded) -> list[str]:
    """Name the streams that may have a newer connection of a phone, besides that of the one gone.

    Of two connections the older one does not last: the newer one is of this day or the last.
    """
    assert isinstance(gone.event, phone.PhoneDisconnected), gone
    phone_id = gone.event.phone_id
    days = {phone.stream_of(phone_id, gone.at_s - ago_s) for ago_s in (0, DAY_S)}
    return sorted(day for day in days if day > gone.stream_id)


TOPICS: Final[Mapping[type[Event], Topic]] = {
    phone_message.InboundReceived: Topic("inbound", message_received),
    phone_message.StatusReported: Topic("status", message_status),
    phone_message.OutboundExpired: Topic("status", message_status),
    phone_message.OutboundGivenUp: Topic("status", message_status),
    phone.PhoneConnected: Topic("presence", phone_presence),
    phone.PhoneDisconnected: Topic("presence", phone_presence, _later_days),
}


def _message(stream: Sequence[Recorded]) -> PhoneMessage:
    def apply(message: PhoneMessage | None, recorded: Recorded) -> PhoneMessage:
        assert isinstance(recorded.event, phone_message.Event), recorded
        return phone_message.evolve(message, recorded.event, recorded.at_s)

    message = reduce(apply, stream, None)
    assert message is not None, "a cause has a stream"
    return message


def _id(message: PhoneMessage, stream: Sequence[Recorded]) -> int | str:
    key = phone_message.key_of(stream[0].stream_id)
    return message.number or f"{MESSAGE_PREFIX}{key}"


def _time(at_s: float | None) -> str | None:
    return None if at_s is None else f"{datetime.fromtimestamp(at_s, UTC):%Y-%m-%dT%H:%M:%SZ}"
