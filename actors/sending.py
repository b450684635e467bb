"""Sending one message for a caller who waits: accept, durably, then listen for what the SMSC says.

The wait ends with the fate of every part or after `send_wait_s`; the message goes on either way. A
request that came before (same Idempotency-Key, or same transaction, destination and text within the
window) finds the message it made: the id is computed from the key, so the log itself is the guard.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

import gevent
from gevent.event import AsyncResult, Event

from signalbox.actors.audience import Audience
from signalbox.actors.filters import Filters
from signalbox.actors.ids import Numbers, uuid7
from signalbox.actors.link import Accept
from signalbox.actors.rejecting import Doorman
from signalbox.domain import message as domain
from signalbox.domain.errors import IdempotencyConflict, Refused
from signalbox.domain.names import names_of
from signalbox.eventstore import tracing
from signalbox.eventstore.errors import Conflict, Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from psycopg.rows import TupleRow

    from signalbox.actors.links import Links
    from signalbox.eventstore.journal import Journal
    from signalbox.eventstore.log import EventLog
    from signalbox.eventstore.mapper import Recorded

OUTCOME_EVENTS: Final = names_of(
    domain.MessageSubmitted, domain.SubmitRefused, domain.SubmitOutcomeUnknown
)
GENERATIONS_MAX: Final = 10_000  # how often one key may be used anew, a window apart each time


@dataclass(frozen=True, slots=True, kw_only=True)
class SendRequest:
    """What an application asks for, checked by the surface it came through."""

    link_id: int
    app_id: int
    source: str
    destination: str
    text: str
    transaction_id: str = ""
    campaign: str = ""
    idempotency_key: str = ""
    by: str = ""
    request_id: str = ""
    traceparent: str = ""

    @property
    def is_repeatable(self) -> bool:
        """True when asking again finds the message of the first time."""
        return bool(self.idempotency_key or self.transaction_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """What is known when the caller is answered."""

    message_id: str
    task_id: int
    transaction_id: str
    parts: int
    status: Literal["submitted", "queued", "failed"]
    error: str = ""


class Waiter:
    """One caller who waits for the fate of one message."""

    def __init__(self) -> None:
        self._news = Event()
        self._recorded: list[Recorded] = []

    def tell(self, recorded: Recorded) -> None:
        """Take an event of the message."""
        self._recorded.append(recorded)
        self._news.set()

    def wait(self, message: domain.Message, version: int, wait_s: float) -> domain.Message:
        """Return the message once every part has its first outcome, or as it is when time is up.

        `message` has everything up to `version` in it.
        """
        with gevent.Timeout(wait_s, exception=False):
            while message.needs_work:
                self._news.wait()
                self._news.clear()
                news, self._recorded = self._recorded, []
                message = _fold(message, [one for one in news if one.version > version])
        return message


class Outcomes:
    """Who waits for which message; fed by the follower."""

    def __init__(self, log: EventLog) -> None:
        self._log = log
        self._audience = Audience()

    @contextmanager
    def expected(self, stream_id: str) -> Iterator[Waiter]:
        """Collect what is told of a message while the caller is in here."""
        waiter = Waiter()
        with self._audience.listening((stream_id,), waiter.tell):
            yield waiter

    def handle(self, row: TupleRow) -> None:
        """Take one row of the log."""
        if row[1] in self._audience:
            self._audience.tell(self._log.decode_row(row))


class Sending:
    """Accepts messages for the callers of this process."""

    def __init__(  # noqa: PLR0913  its parts and its two limits
        self,
        log: EventLog,
        journal: Journal,
        links: Links,
        carrier: Callable[[int], int],
        outcomes: Outcomes,
        *,
        send_wait_s: float,
        parts_max: int,
        window_s: float,
        filters: Filters | None = None,
        require_license: Callable[[], None] = lambda: None,
    ) -> None:
        self._log = log
        self._journal = journal
        self._links = links
        self._carrier = carrier
        self._outcomes = outcomes
        self._doorman = Doorman(log, journal, filters or Filters())
        self._require_license = require_license
        self._send_wait_s = send_wait_s
        self._parts_max = parts_max
        self._window_s = window_s
        self._task_ids = Numbers(lambda: log.next_number("task_ids"))

    def send(self, request: SendRequest) -> Sent:
        """Accept and wait for the outcome.

        Raises:
            Refused: `UnknownLink`, `LinkIsDisabled`, `LicenseExpired`, `LicenseRequired`,
                `RejectedByFilter`, `TextTooLong`, `InvalidField`, `IdempotencyConflict`.
            Unavailable: the store did not take it in time; it may be asked for again.
        """
        for generation in range(GENERATIONS_MAX):
            message_id = self._message_id(request, generation)
            stream_id = domain.stream_of(message_id)
            with self._outcomes.expected(stream_id) as waiter:
                try:
                    return self._send_as(message_id, request, waiter)
                except Conflict:
                    earlier = self._earlier(message_id, request, waiter)
                except Refused:
                    # What was accepted while link, licence and filters allowed it keeps its result.
                    if not (request.is_repeatable and self._log.read(stream_id)):
                        raise
                    earlier = self._earlier(message_id, request, waiter)
                if earlier is not None:
                    return earlier
        raise IdempotencyConflict

    def _send_as(self, message_id: str, request: SendRequest, waiter: Waiter) -> Sent:
        carrier_id = self._carrier(request.link_id)
        stream_id = domain.stream_of(message_id)
        self._require_license()
        self._doorman.admit(request, stream_id)
        command = domain.AcceptMessage(
            requested_link_id=request.link_id,
            app_id=request.app_id,
            task_id=self._task_ids.take(),
            source=request.source,
            destination=request.destination,
            text=request.text,
            transaction_id=request.transaction_id,
            campaign=request.campaign,
            request_digest=self._digest(request) if request.idempotency_key else "",
            parts_max=self._parts_max,
        )
        ask = Accept(stream_id, command, request.by, request.request_id, AsyncResult())
        with tracing.span("accept", request.traceparent, link=carrier_id) as span:
            ask.traceparent = span.traceparent
            self._links.accept(carrier_id, ask)
            try:
                ask.reply.get(timeout=self._journal.wait_s_max + 1)
            except gevent.Timeout:
                raise Unavailable("store does not answer") from None
        assert ask.accepted is not None, ask
        message = domain.evolve(None, ask.accepted, 0.0)
        message = waiter.wait(message, 1, self._send_wait_s)
        return _sent(message_id, command.task_id, command.transaction_id, message)

    def _message_id(self, request: SendRequest, generation: int) -> str:
        app, number = str(request.app_id), str(generation)
        box = self._log.secrets
        if request.idempotency_key:
            return str(box.uuid("idempotency key", app, request.idempotency_key, number))
        if request.transaction_id:
            return str(
                box.uuid(
                    "transaction",
                    app,
                    request.transaction_id,
                    request.destination,
                    request.text,
                    number,
                )
            )
        return str(uuid7())

    def _digest(self, request: SendRequest) -> str:
        return self._log.secrets.digest(
            str(request.link_id),
            request.source,
            request.destination,
            request.text,
            request.transaction_id,
        )

    def _earlier(self, message_id: str, request: SendRequest, waiter: Waiter) -> Sent | None:
        """Return what became of an earlier request with this key; None when its window is over.

        Raises: `IdempotencyConflict` when it asked for something else.
        """
        recorded = self._log.read(domain.stream_of(message_id))
        first = recorded[0]
        assert isinstance(first.event, domain.MessageAccepted), first
        if (self._journal.now() - first.at).total_seconds() > self._window_s:
            return None
        if request.idempotency_key and first.event.request_digest != self._digest(request):
            raise IdempotencyConflict
        message = domain.evolve(None, first.event, first.at_s)
        message = _fold(message, recorded[1:])
        message = waiter.wait(message, recorded[-1].version, self._send_wait_s)
        return _sent(message_id, first.event.task_id, first.event.transaction_id, message)


def _fold(message: domain.Message, recorded: Iterable[Recorded]) -> domain.Message:
    for one in recorded:
        assert isinstance(one.event, domain.Event), one
        message = domain.evolve(message, one.event, one.at_s)
    return message


def _sent(message_id: str, task_id: int, transaction_id: str, message: domain.Message) -> Sent:
    failed = [part.error for part in message.parts if part.status == "failed"]
    status: Literal["submitted", "queued", "failed"] = "submitted"
    if failed:
        status = "failed"
    elif any(part.status in {"pending", "unknown"} for part in message.parts):
        status = "queued"
    return Sent(
        message_id=message_id,
        task_id=task_id,
        transaction_id=transaction_id,
        parts=len(message.parts),
        status=status,
        error=failed[0] if failed else "",
    )
