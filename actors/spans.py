"""The spans of a link session: each submit from its PDU to its answer, each receipt it records.

All of them are children of the message's acceptance; without a traced acceptance there are none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from signalbox.domain import message as messages
from signalbox.domain.command_status import describe
from signalbox.eventstore import tracing

if TYPE_CHECKING:
    from gevent.event import AsyncResult

    from signalbox.actors.work import Slot, Tracked
    from signalbox.domain.receipts import PartStatus


class Submits:
    """The submits of a link that wait for their answer and are traced; the window bounds them."""

    def __init__(self, link_id: int) -> None:
        self._link_id = link_id
        self._open: dict[Slot, tracing.Span] = {}

    def sent(self, slot: Slot, tracked: Tracked) -> None:
        """A part goes on the wire."""
        if tracked.traceparent and tracing.is_on():
            span = tracing.span("submit_sm", tracked.traceparent, "client")
            span.note(**_place(self._link_id, tracked, slot.part))
            self._open[slot] = span

    def answered(self, slot: Slot, command_status: int) -> None:
        """The SMSC answered."""
        span = self._open.pop(slot, None)
        if span is not None:
            span.note(command_status=command_status)
            span.end(describe(command_status) if command_status else "")

    def lost(self, slot: Slot, reason: str) -> None:
        """No answer came, or the connection ended first."""
        span = self._open.pop(slot, None)
        if span is not None:
            span.end(reason)


class Receipts:
    """The spans of receipts that are stored together."""

    def __init__(self, link_id: int) -> None:
        self._link_id = link_id
        self._open: list[tracing.Span] = []

    def begin(self, tracked: Tracked, part: int, status: PartStatus) -> None:
        """A receipt is about to be stored."""
        if tracked.traceparent and tracing.is_on():
            self._open.append(receipt_span(self._link_id, tracked, part, status))

    def end_with(self, result: AsyncResult) -> None:
        """End them when they are stored, or could not be."""
        if self._open:
            result.rawlink(self._end)

    def _end(self, result: AsyncResult) -> None:
        for span in self._open:
            span.end("" if result.successful() else "not stored")


def receipt_span(link_id: int, tracked: Tracked, part: int, status: PartStatus) -> tracing.Span:
    """Begin the span of a receipt; it ends once that is stored."""
    span = tracing.span("receipt", tracked.traceparent, "consumer")
    span.note(status=status, **_place(link_id, tracked, part))
    return span


def _place(link_id: int, tracked: Tracked, part: int) -> dict[str, str | int]:
    message_id = messages.id_of(tracked.stream_id)
    return {"link": link_id, "message_id": message_id, "part": part}
