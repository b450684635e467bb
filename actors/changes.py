"""What one append of a link session will hold, applied to the messages in hand already."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from signalbox.domain import message as messages
from signalbox.domain.command_status import describe
from signalbox.eventstore import metrics
from signalbox.eventstore.journal import Write

if TYPE_CHECKING:
    from collections.abc import Sequence

    from signalbox.actors.work import Tracked
    from signalbox.eventstore.recorder import InboxRow, SubmittedPart

log = logging.getLogger(__name__)


class Changes:
    """Collects events by message, and the rows that are written with them."""

    def __init__(self, label: str) -> None:
        self._label = label
        self.writes: list[Write] = []
        self.done: list[str] = []
        self.inbox: list[InboxRow] = []
        self.submitted: list[SubmittedPart] = []

    @property
    def stream_ids(self) -> list[str]:
        """The streams that will be written."""
        return [write.stream_id for write in self.writes]

    def decide(
        self, tracked: Tracked, command: messages.Command, now_s: float
    ) -> tuple[messages.Event, ...]:
        """Decide, apply, and keep what is to be stored; nothing when nothing changes."""
        events = messages.decide(tracked.message, command, now_s)
        if events:
            self._keep(Write(tracked.stream_id, tracked.version + 1, events, tracked.tenant_id))
            tracked.evolve(events, now_s)
            self._tell_operators(tracked, events)
        return events

    def _keep(self, write: Write) -> None:
        """Parts of one message come one after the other: they become one entry."""
        last = self.writes[-1] if self.writes else None
        if last is not None and last.stream_id == write.stream_id:
            events = (*last.events, *write.events)
            write = Write(last.stream_id, last.first_version, events, last.tenant_id)
            self.writes.pop()
        self.writes.append(write)

    def _tell_operators(self, tracked: Tracked, events: Sequence[messages.Event]) -> None:
        """Count what became of a submit; log what went wrong, by the message's id alone."""
        for event in events:
            match event:
                case messages.MessageSubmitted():
                    metrics.SUBMITTED.labels(self._label).inc()
                case messages.SubmitRefused(part, command_status, error, retry_in_s):
                    metrics.REFUSED.labels(self._label, describe(command_status)).inc()
                    if retry_in_s is None:
                        metrics.FAILED.labels(self._label).inc()
                        failure = {"part": part, "error": error}
                        log.warning("part failed", extra=self._about(tracked, failure))
                case messages.SubmitOutcomeUnknown(part, reason, resolution):
                    metrics.IN_DOUBT.labels(self._label).inc()
                    doubt = {"part": part, "reason": reason, "resolution": resolution}
                    log.warning("submit in doubt", extra=self._about(tracked, doubt))
                case messages.ReceiptRecorded(status=status):
                    metrics.RECEIPTS.labels(self._label, status).inc()
                case _:
                    pass

    def _about(self, tracked: Tracked, what: dict[str, object]) -> dict[str, object]:
        message_id = messages.id_of(tracked.stream_id)
        return {"link": int(self._label), "message_id": message_id, **what}
