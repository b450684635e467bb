"""Answers about messages. Names, shapes and order are the API reference's.

Ours, beside the reference's keys: `error` and `attempts` in the status of a message, `by_status` in
the statistics. What is not known is null.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, cast, get_args

import msgspec

from signalbox.domain.phone_message import Direction  # noqa: TC001  msgspec reads it
from signalbox.http.moments import iso
from signalbox.http.signalhouse.ids import message_id
from signalbox.http.signalhouse.wire_answers import Done, Moment, iso_or_none

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from signalbox.domain.phone_message import PhoneMessage
    from signalbox.http.signalhouse import ports
    from signalbox.projections.phone_views import PhoneMessageView

OutboundStatus = Literal["queued", "sending", "sent", "delivered", "failed"]


class Sent(msgspec.Struct, frozen=True):
    """A message waits for a phone."""

    status: Literal["queued"]
    message_id: str
    to: str


class Message(msgspec.Struct, frozen=True, rename={"sender": "from"}):
    """A message in a list; our own phone's number is null when nobody knows it."""

    id: str
    sender: str | None
    to: str | None
    message: str
    direction: Direction
    received_at: Moment
    thread_id: None
    archived: bool


class Messages(msgspec.Struct, frozen=True):
    """Messages, the newest first; `count` are here, and `has_more` tells of more behind them."""

    messages: list[Message]
    count: int
    has_more: bool


class MessageDetail(msgspec.Struct, frozen=True, rename={"sender": "from"}):
    """A message."""

    id: str
    sender: str | None
    to: str | None
    message: str
    direction: Direction
    received_at: Moment
    ai_processed: Literal[False]
    archived: bool
    processing_status: Literal["unprocessed"]


class SendStatus(msgspec.Struct, frozen=True):
    """What became of a message, and how often it was handed to a phone."""

    id: str
    to: str
    status: OutboundStatus
    sent_at: Moment | None
    delivered_at: Moment | None
    error: str | None
    attempts: int


class Traffic(msgspec.Struct, frozen=True):
    """How many messages came and went in some time."""

    received: int
    sent: int


class Stats(msgspec.Struct, frozen=True):
    """How many messages there are; `total_sent` are those that were accepted."""

    total_received: int
    total_sent: int
    last_24h: Traffic
    last_7d: Traffic
    by_status: dict[OutboundStatus, int]


class Archived(msgspec.Struct, frozen=True):
    """A message was put aside."""

    success: Done
    id: str
    archived: Done


class Received(msgspec.Struct, frozen=True):
    """A text is stored, now or since it came before."""

    status: Literal["received"]
    message_id: str


def sent(key: str, to: str) -> Sent:
    """Write that a message waits."""
    return Sent(status="queued", message_id=message_id(key), to=to)


def received(key: str) -> Received:
    """Write that a text is stored."""
    return Received(status="received", message_id=message_id(key))


def archived(key: str) -> Archived:
    """Write that a message was put aside."""
    return Archived(success=True, id=message_id(key), archived=True)


def messages(
    rows: Sequence[PhoneMessageView], numbers: Mapping[str, str], *, has_more: bool
) -> Messages:
    """Write a page; `numbers` are those of the phones that told one."""
    return Messages([_listed(row, numbers) for row in rows], len(rows), has_more)


def message(key: str, found: ports.Message, numbers: Mapping[str, str]) -> MessageDetail:
    """Write one message."""
    sender, to = _ends(found, numbers)
    return MessageDetail(
        id=message_id(key),
        sender=sender,
        to=to,
        message=found.text,
        direction=found.direction,
        received_at=_received_at(found),
        ai_processed=False,
        archived=found.archived,
        processing_status="unprocessed",
    )


def send_status(key: str, found: PhoneMessage) -> SendStatus:
    """Write what became of a message."""
    return SendStatus(
        id=message_id(key),
        to=found.peer,
        status=cast("OutboundStatus", found.status),
        sent_at=iso_or_none(found.sent_at_s),
        delivered_at=iso_or_none(found.delivered_at_s),
        error=found.error or None,
        attempts=found.attempts,
    )


def stats(found: ports.Stats) -> Stats:
    """Write how many messages there are."""
    counts: Mapping[str, int] = found.by_status
    return Stats(
        total_received=found.total_received,
        total_sent=found.total_sent,
        last_24h=_traffic(found.last_24h),
        last_7d=_traffic(found.last_7d),
        by_status={status: counts.get(status, 0) for status in get_args(OutboundStatus)},
    )


def _listed(row: PhoneMessageView, numbers: Mapping[str, str]) -> Message:
    sender, to = _ends(row, numbers)
    return Message(
        id=message_id(row.key),
        sender=sender,
        to=to,
        message=row.text,
        direction=row.direction,
        received_at=_received_at(row),
        thread_id=None,
        archived=row.archived,
    )


def _ends(found: ports.Message, numbers: Mapping[str, str]) -> tuple[str | None, str | None]:
    """Return who sent it and who it is for."""
    ours = found.sim_number or numbers.get(found.phone_id) or None
    return (found.peer, ours) if found.direction == "inbound" else (ours, found.peer)


def _received_at(found: ports.Message) -> str:
    return iso(found.received_at_s if found.direction == "inbound" else found.accepted_at_s)


def _traffic(found: ports.Traffic) -> Traffic:
    return Traffic(received=found.received, sent=found.sent)
