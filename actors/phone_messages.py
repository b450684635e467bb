"""Messages of phones: taken on, received, reported on; in any process, stored on return.

    queue ──▶ OutboundQueued, a row in the owner's inbox ──▶ whichever process has a phone for it
    receive ──▶ InboundReceived
    report, expire, archive ──▶ decided by the newest state (actors/streams.py)

Of several who ask for the same at once, or for the same number, one is first; the others find what
became of it, or take the next number.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from time import monotonic
from typing import TYPE_CHECKING, Final

from gevent.event import Event as Flag

from signalbox.actors.audience import Audience
from signalbox.actors.numbering import Numbering
from signalbox.actors.phone_intake import Guard, InboundRequest, Intake, OutboundRequest
from signalbox.actors.phone_pending import Pending
from signalbox.actors.streams import Asked, Streams, until_stored
from signalbox.domain import phone_message as domain
from signalbox.domain.errors import IdempotencyConflict, UnknownPhoneMessage
from signalbox.domain.names import names_of
from signalbox.domain.numbering import STREAM_NUMBERS, NumberTaken
from signalbox.domain.once import OnceDone
from signalbox.eventstore.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence

    from signalbox.domain.names import Event
    from signalbox.domain.phone_message import PhoneMessage, ReportStatus
    from signalbox.domain.phone_rules import PhoneRules
    from signalbox.eventstore.journal import Journal
    from signalbox.eventstore.log import EventLog
    from signalbox.eventstore.mapper import Recorded

__all__ = ["InboundRequest", "OutboundRequest", "PhoneMessages", "Received"]

PHONE_MESSAGE_EVENTS: Final = names_of(
    domain.OutboundPushed,
    domain.StatusReported,
    domain.OutboundExpired,
    domain.OutboundGivenUp,
    NumberTaken,
)
BY: Final = "gateway"
_PUSHED: Final = names_of(domain.OutboundPushed)
_DONE: Final = names_of(OnceDone)
_NUMBER: Final = re.compile(r"[1-9][0-9]{0,17}")
_ID: Final = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class Received:
    """The message that a text became, now or when it came before."""

    key: str
    is_new: bool


class PhoneMessages:
    """The messages of all owners. Its methods raise `Unavailable`."""

    def __init__(
        self,
        log: EventLog,
        journal: Journal,
        rules_of: Callable[[str], PhoneRules],
        *,
        stream_numbers: int = STREAM_NUMBERS,
    ) -> None:
        self._log = log
        self._journal = journal
        self._rules_of = rules_of
        self._numbering = Numbering(log, journal, stream_numbers=stream_numbers)
        self._intake = Intake(log, journal, self._numbering)
        self._pending = Pending(log)
        self._audience = Audience()
        self._streams: Streams[PhoneMessage | None] = Streams(
            log, journal, None, _evolve_bare, is_open=_is_open
        )

    def queue(
        self,
        owner: str,
        requests: Sequence[OutboundRequest],
        *,
        by: str,
        request_id: str = "",
        idempotency_key: str = "",
    ) -> list[str]:
        """Take texts on, all or none; return their keys, in order.

        What was asked for before under the same key, in its window, is answered as it was then.

        Raises: `QueueFull`, `IdempotencyConflict`, `TenantErased`.
        """
        asked, rules = Asked(owner, by, request_id), self._rules_of(owner)

        def attempt() -> list[str]:
            guard = None
            if idempotency_key:
                stream_id, fingerprint = self._intake.request_guard(
                    owner, idempotency_key, requests
                )
                version, earlier = self._earlier(stream_id, fingerprint, rules)
                if earlier is not None:
                    return earlier
                guard = Guard(stream_id, version, fingerprint)
            with self._pending.room(owner, len(requests), rules.pending_max):
                return self._intake.queue(asked, requests, rules, guard)

        return until_stored(attempt, f"the queue of {owner}")

    def receive(
        self, owner: str, inbound: Sequence[InboundRequest], *, by: str, request_id: str = ""
    ) -> list[Received]:
        """Take texts that a phone got; return what each became, in order.

        Raises: `TenantErased`.
        """
        asked, rules = Asked(owner, by, request_id), self._rules_of(owner)
        guards = [self._intake.inbound_guard(owner, one) for one in inbound]

        def attempt() -> tuple[dict[str, str], dict[str, str]]:
            known = self._known(guards)
            new: dict[str, InboundRequest] = {}
            for guard, one in zip(guards, inbound, strict=True):
                if guard not in known:
                    new.setdefault(guard, one)
            keys = self._intake.receive(asked, new, rules) if new else []
            return known, dict(zip(new, keys, strict=True))

        known, stored = until_stored(attempt, f"what comes in for {owner}")
        return list(_received(guards, known, stored))

    def report(
        self, owner: str, key: str, report: ReportStatus, *, by: str, request_id: str = ""
    ) -> None:
        """Take what a phone says of a message; stored on return, also when it changes nothing.

        Raises: `UnknownPhoneMessage`, `NotPushedToPhone`.
        """
        self._change(self._stream(owner, key), report, Asked(owner, by, request_id))

    def archive(self, owner: str, key: str, *, by: str, request_id: str = "") -> None:
        """Put a message aside. Raises: `UnknownPhoneMessage`."""
        self._change(self._stream(owner, key), domain.Archive(), Asked(owner, by, request_id))

    def expire(self, stream_id: str) -> bool:
        """Give up a message whose time is over; tell whether it was.

        Raises: `UnknownPhoneMessage`.
        """
        asked = Asked(domain.owner_of(stream_id), BY, "")
        return bool(self._change(stream_id, domain.ExpireOutbound(), asked))

    def find(self, owner: str, key: str) -> PhoneMessage | None:
        """Return a message as the log has it; None when there is none, or `key` can't be a key."""
        stream_id = self._stream(owner, key)
        if not stream_id:
            return None
        message: PhoneMessage | None = None
        with self._log.turns:
            recorded = self._log.read(stream_id)
        for one in recorded:
            message = _evolve(message, one.event, one.at_s)
        return message

    def wait_pushed(self, owner: str, keys: Collection[str], timeout_s: float) -> set[str]:
        """Return which messages were handed to a phone by now, or are within the time.

        It never raises: who asks has its messages stored, whatever becomes of the store.
        """
        streams = {domain.stream_of(owner, key): key for key in keys}
        pushed: set[str] = set()
        news = Flag()
        deadline_s = monotonic() + timeout_s

        def tell(recorded: Recorded) -> None:
            if isinstance(recorded.event, domain.OutboundPushed):
                pushed.add(recorded.stream_id)
                news.set()

        with self._audience.listening(streams, tell):
            pushed |= self._pushed(streams)
            while len(pushed) < len(streams) and news.wait(max(0.0, deadline_s - monotonic())):
                news.clear()
        return {streams[stream_id] for stream_id in pushed}

    def follow(self, recorded: Recorded) -> None:
        """Take what the log has of `PHONE_MESSAGE_EVENTS`."""
        if isinstance(recorded.event, NumberTaken):
            self._numbering.follow(recorded.stream_id, recorded.version)
        else:
            self._audience.tell(recorded)

    def _stream(self, owner: str, key: str) -> str:
        """Return the stream of a message, "" when no message can have that key."""
        form = _NUMBER if self._rules_of(owner).numbered else _ID
        return domain.stream_of(owner, key) if form.fullmatch(key) else ""

    def _change(self, stream_id: str, command: domain.Command, asked: Asked) -> Sequence[Event]:
        if not stream_id:
            raise UnknownPhoneMessage
        return self._streams.change(
            stream_id,
            lambda message, now_s: domain.decide(message, command, now_s),
            tenant_id=asked.tenant_id,
            by=asked.by,
            request_id=asked.request_id,
        )

    def _earlier(
        self, stream_id: str, fingerprint: str, rules: PhoneRules
    ) -> tuple[int, list[str] | None]:
        """Return the version a request may take, and what it became if it came in the window."""
        with self._log.turns:
            recorded = self._log.read(stream_id)
        if not recorded:
            return 1, None
        last = recorded[-1]
        assert isinstance(last.event, OnceDone), last
        if self._journal.now().timestamp() - last.at_s > rules.idempotency_window_s:
            return last.version + 1, None
        if last.event.fingerprint != fingerprint:
            raise IdempotencyConflict
        return last.version, list(last.event.message_ids)

    def _known(self, guards: Sequence[str]) -> dict[str, str]:
        """Return the keys of those that came before, by the streams that guard them."""
        with self._log.turns:
            recorded = self._log.read_many(guards, _DONE)
        return {
            one.stream_id: one.event.message_ids[0]
            for one in recorded
            if isinstance(one.event, OnceDone)
        }

    def _pushed(self, streams: Iterable[str]) -> set[str]:
        try:
            with self._log.turns:
                return {one.stream_id for one in self._log.read_many([*streams], _PUSHED)}
        except Unavailable:
            return set()


def _received(
    guards: Iterable[str], known: dict[str, str], stored: dict[str, str]
) -> Iterable[Received]:
    told = set(known)
    for guard in guards:
        yield Received(known.get(guard) or stored[guard], guard not in told)
        told.add(guard)


def _evolve(message: PhoneMessage | None, event: Event, at_s: float) -> PhoneMessage:
    assert isinstance(event, domain.Event), event
    return domain.evolve(message, event, at_s)


def _evolve_bare(message: PhoneMessage | None, event: Event, at_s: float) -> PhoneMessage:
    """Evolve without what is personal: no decision needs it, and states stay in mind for long."""
    return replace(_evolve(message, event, at_s), peer="", text="")


def _is_open(message: PhoneMessage | None) -> bool:
    return message is not None and message.is_open
