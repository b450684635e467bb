"""Histories of phones and their messages, for the read models, and what is seen of them."""

from datetime import datetime, timedelta
from typing import Any, Final

from support.histories import T0, T0_S, record

from signalbox.domain.names import Event
from signalbox.domain.phone_message import (
    InboundReceived,
    OutboundPushed,
    OutboundQueued,
    StatusReported,
    stream_of,
)
from signalbox.eventstore.log import EventLog
from signalbox.projections.building import build
from signalbox.projections.phone_views import MessageQuery, NumberQuery, PhoneMessageView
from signalbox.projections.projector import Projector
from signalbox.projections.readers import ReadModels

OWNER: Final = "org_a-b"  # a hyphen is no separator
PHONE: Final = "dev_1"
ALL_MESSAGES: Final = MessageQuery(limit=50, archived=None)


def queued(**fields: Any) -> OutboundQueued:  # noqa: ANN401  whatever the event has
    whole: dict[str, Any] = {
        "owner": OWNER,
        "to": "+4915112345001",
        "text": "a secret text",
        "segments": 1,
        "expires_at_s": T0_S + 3_600.0,
        "peer_digest": "digest-1",
    }
    return OutboundQueued(**{**whole, **fields})


def received(**fields: Any) -> InboundReceived:  # noqa: ANN401  whatever the event has
    whole: dict[str, Any] = {
        "owner": OWNER,
        "sender": "+4915112345001",
        "text": "a secret answer",
        "phone_id": PHONE,
        "received_at_s": T0_S - 5.0,
        "peer_digest": "digest-1",
    }
    return InboundReceived(**{**whole, **fields})


PUSHED: Final = OutboundPushed(phone_id=PHONE, connection=1, attempt=1)
SENT: Final = StatusReported(status="sent", at_s=T0_S + 1.0, phone_id=PHONE)
DELIVERED: Final = StatusReported(status="delivered", at_s=T0_S + 2.0, phone_id=PHONE)
FAILED: Final = StatusReported(status="failed", at_s=T0_S + 3.0, error="no credit")


def tell(log: EventLog, key: str, *events: Event, at: datetime = T0, owner: str = OWNER) -> int:
    """Record the first events of a message, a second apart; return the last one's position."""
    position = 0
    for version, event in enumerate(events, start=1):
        moment = at + timedelta(seconds=version - 1)
        position = record(log, stream_of(owner, key), event, at=moment, first_version=version)
    return position


class Seen:
    """What an owner sees of the messages that are told."""

    def __init__(self, log: EventLog, projector: Projector, models: ReadModels) -> None:
        self._log, self._projector, self._models = log, projector, models

    def message(self, *events: Event) -> PhoneMessageView:
        """Record the events of one message, a second apart, and return the message."""
        tell(self._log, "m", *events)
        (found,), has_more = self.page(ALL_MESSAGES)
        assert not has_more
        return found

    def page(self, query: MessageQuery, owner: str = OWNER) -> tuple[list[PhoneMessageView], bool]:
        build(self._projector)
        return self._models.phone_messages(owner, query)

    def keys(self, limit: int = 50, **fields: Any) -> str:  # noqa: ANN401
        """Return the keys of a page, in their order; with "+" when there is more."""
        found, has_more = self.page(MessageQuery(limit=limit, **fields))
        return " ".join(view.key for view in found) + "+" * has_more

    def numbers(self, limit: int = 50, **fields: Any) -> list[int]:  # noqa: ANN401
        """Return the numbers of a page of numbered messages, in their order."""
        build(self._projector)
        found = self._models.numbered_messages(OWNER, NumberQuery(limit=limit, **fields))
        return [view.number for view in found]
