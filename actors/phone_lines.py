"""The lines of phones: live connections, each of one phone, in whichever process has its socket.

    connect ──▶ PhoneConnected, row in phone_lines ──▶ PhoneQueue of the owner
    SIMs    ──▶ SimsReported        end, by whomever ──▶ PhoneDisconnected ──▶ row gone

Of two connections of a phone the newer one counts: the older ends when its process hears of the
newer, and its end takes nobody offline. A process that dies leaves rows nobody renews; whoever
finds them stores that those lines are lost.
"""

from __future__ import annotations

import logging
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Final, get_args

from signalbox.actors.phone_admission import Admission
from signalbox.actors.phone_farewells import Farewell, Farewells
from signalbox.actors.phone_line import (
    LOST_BY,
    HeldLine,
    Line,
    LineEnd,
    OnlineLine,
    PushedSms,
    Timing,
)
from signalbox.actors.phone_live_line import LiveLine
from signalbox.actors.phone_queue_messages import Followed, LinesChanged
from signalbox.actors.phone_queues import PhoneQueues
from signalbox.actors.phone_registry import Registry
from signalbox.actors.phone_rows import PhoneRows
from signalbox.actors.phone_watch import PhoneWatch
from signalbox.actors.streams import Streams
from signalbox.domain import phone as domain
from signalbox.domain import phone_message as messages
from signalbox.domain.names import names_of
from signalbox.eventstore import metrics
from signalbox.eventstore.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from signalbox.actors.phone_feeder import LastPhone
    from signalbox.domain.names import Event
    from signalbox.domain.phone import Lost, SimCard
    from signalbox.domain.phone_rules import PhoneRules
    from signalbox.eventstore.journal import Journal
    from signalbox.eventstore.log import EventLog
    from signalbox.eventstore.mapper import Recorded

__all__ = ["Line", "LineEnd", "LiveLine", "OnlineLine", "PhoneLines", "PushedSms", "Timing"]

log = logging.getLogger(__name__)

PHONE_EVENTS: Final = names_of(*get_args(domain.Event))


class PhoneLines:
    """The lines whose sockets this process has, and what it knows of the others."""

    def __init__(
        self,
        log_: EventLog,
        journal: Journal,
        rules_of: Callable[[str], PhoneRules],
        process_id: str,
        last_phone: LastPhone = lambda _owner, _digests: {},
        *,
        timing: Timing | None = None,
    ) -> None:
        self._journal = journal
        self._process_id = process_id
        self._timing = timing or Timing()
        self._is_closing = False
        self._days = Streams(log_, journal, domain.DayOfPhone(), _evolve)
        self._registry = Registry()
        self._rows = PhoneRows(
            log_,
            process_id,
            self._registry.own,
            ttl_s=self._timing.ttl_s,
            renew_s=self._timing.renew_s,
        )
        self._farewells = Farewells(self._store_end)
        self._admission = Admission(self._registry, self._rows, rules_of, self._end_silent)
        self._queues = PhoneQueues(
            log_,
            journal,
            self._registry,
            rules_of,
            last_phone,
            partial(self._end, reason=LineEnd.OVERLOAD),
            self._timing,
        )
        self._watch = PhoneWatch(
            self._registry, self._rows, self._farewells, self._queues, self._timing
        )

    def connect(
        self,
        owner: str,
        phone_id: str,
        line: Line,
        *,
        anonymous: bool = False,
        by: str = "",
        request_id: str = "",
    ) -> LiveLine:
        """Take a phone's new connection; stored on return. An older one of it ends.

        An `anonymous` phone has an id for this connection alone, and is known again by its SIMs.

        Raises: `TooManyLines`, `Unavailable`.
        """
        if self._is_closing:
            raise Unavailable("the gateway is closing")
        with self._admission.of(owner, phone_id, anonymous=anonymous) as others:
            at_s = self.now_s()  # One moment for the day and the number, also around midnight.
            stream_id = domain.stream_of(phone_id, at_s)
            command = domain.Connect(owner, phone_id, self._process_id)
            (connected,) = self._days.change(
                stream_id,
                lambda day, _: domain.decide(day, command, at_s),
                tenant_id=owner,
                by=by,
                request_id=request_id,
                beside=partial(self._rows.beside, anonymous=anonymous, seen_at_s=at_s),
            )
            assert isinstance(connected, domain.PhoneConnected), connected
            held = HeldLine(
                owner=owner,
                phone_id=phone_id,
                connection=connected.connection,
                stream_id=stream_id,
                line=line,
                anonymous=anonymous,
                connected_s=monotonic(),
            )
            self._add(held, others)
        return LiveLine(self, held)

    def online(self, owner: str) -> list[OnlineLine]:
        """Return an owner's lines in all processes, oldest first. Raises: `Unavailable`."""
        lines = {line.phone_id: line for line in self._rows.elsewhere([owner])}
        for held in self._registry.own(owner):
            lines[held.phone_id] = held.online
        return sorted(lines.values(), key=lambda line: line.connection)

    def end_phone(self, owner: str, phone_id: str | None, reason: LineEnd) -> None:
        """End a phone's line, or all of an owner (None), as far as this process has them."""
        for held in self._registry.own(owner):
            if phone_id in {None, held.phone_id}:
                self._end(held, reason)

    def follow(self, recorded: Recorded) -> None:
        """Take what the log has of `PHONE_EVENTS` and of messages of phones."""
        match recorded.event:
            case domain.PhoneConnected():
                self._days.follow(recorded)
                self._follow_connected(recorded.event)
            case domain.SimsReported():
                self._days.follow(recorded)
                self._follow_sims(recorded.event)
            case domain.PhoneDisconnected():
                self._days.follow(recorded)
                self._follow_disconnected(recorded.event)
            case event if isinstance(event, messages.Event):
                self._queues.tell(messages.owner_of(recorded.stream_id), Followed(recorded))

    def work_waits(self, words: frozenset[str]) -> None:
        """Tell queues of new messages: those a commit's signal names; without words, look."""
        self._queues.work_waits(words)

    def close(self) -> None:
        """End all lines, and store that within a few seconds."""
        self._is_closing = True
        self._watch.close()
        for held in self._registry.own():
            self._end(held, LineEnd.SHUTDOWN)
        self._queues.close()
        self._farewells.close(self._timing.close_s)
        self._rows.close()

    # for LiveLine

    def now_s(self) -> float:
        """The gateway's clock, Unix seconds."""
        return self._journal.now().timestamp()

    def begin(self, held: HeldLine) -> None:
        """Let a line have pushes."""
        held.is_ready = True
        self._queues.tell(held.owner, LinesChanged())

    def take_sims(self, held: HeldLine, sims: tuple[SimCard, ...]) -> None:
        """Store a line's SIMs. Raises: `Unavailable`."""
        if held.is_over:
            return
        command = domain.ReportSims(held.connection, sims)
        self._days.change(
            held.stream_id,
            lambda day, at_s: domain.decide(day, command, at_s),
            tenant_id=held.owner,
            by=held.phone_id,
        )
        self._has_sims(held, sims)

    def leave(self, held: HeldLine, reason: Lost) -> None:
        """Take a line away and have its end stored."""
        if held.is_over:
            return
        held.is_over = True
        self._registry.remove(held)
        metrics.PHONE_LINES.set(len(self._registry))
        self._farewells.say(Farewell(held.owner, held.key, held.stream_id, reason, held.seen_at_s))
        if self._registry.own(held.owner):
            self._queues.tell(held.owner, LinesChanged())
        else:
            self._queues.stop(held.owner)

    # lines

    def _add(self, held: HeldLine, others: Iterable[OnlineLine]) -> None:
        outdated = self._registry.add(held, others)
        metrics.PHONE_LINES.set(len(self._registry))
        if outdated is not None:
            self._end(outdated, LineEnd.REPLACED)
        if outdated is not held:
            self._queues.start(held.owner)
        if self._is_closing:
            self._end(held, LineEnd.SHUTDOWN)
        if not self._registry.own(held.owner):  # It may have ended while the queue was started.
            self._queues.stop(held.owner)

    def _has_sims(self, held: HeldLine, sims: tuple[SimCard, ...]) -> None:
        if held.is_over:
            return
        held.sims = sims
        self._rows.touch(held)
        self._end_same_phones(held.owner, held.key, sims)
        if self._registry.is_outdated(held):
            self._end(held, LineEnd.REPLACED)
        self._queues.tell(held.owner, LinesChanged())

    def _end(self, held: HeldLine, reason: LineEnd) -> None:
        if not held.is_over:
            self.leave(held, LOST_BY[reason])
            held.line.end(reason)

    def _end_silent(self, held: HeldLine) -> None:
        """End a line for want of room; a phone that is there after all may come back."""
        self.leave(held, "silent")
        held.line.end(LineEnd.OVERLOAD)

    def _end_same_phones(self, owner: str, newer: tuple[str, int], sims: Sequence[SimCard]) -> None:
        for held in self._registry.same_phones(owner, newer, sims):
            self._end(held, LineEnd.REPLACED)

    def _store_end(self, farewell: Farewell) -> None:
        command = domain.Disconnect(farewell.line[1], farewell.reason, farewell.heard_at_s)
        self._days.change(
            farewell.stream_id,
            lambda day, at_s: domain.decide(day, command, at_s),
            tenant_id=farewell.owner,
            by="gateway",
        )
        self._rows.remove(farewell.line)

    # what others did

    def _follow_connected(self, event: domain.PhoneConnected) -> None:
        self._registry.note_newest(event.phone_id, event.connection)
        held = self._registry.line(event.phone_id)
        if held is not None and held.connection < event.connection:
            self._end(held, LineEnd.REPLACED)
        if event.process != self._process_id:
            self._see(event.owner, event.phone_id, event.connection, None)

    def _follow_sims(self, event: domain.SimsReported) -> None:
        if self._registry.line(event.phone_id, event.connection) is None:
            self._see(event.owner, event.phone_id, event.connection, event.sims)
        self._end_same_phones(event.owner, (event.phone_id, event.connection), event.sims)

    def _follow_disconnected(self, event: domain.PhoneDisconnected) -> None:
        held = self._registry.line(event.phone_id, event.connection)
        if held is not None:  # It was taken for dead; the phone has to say that it is not.
            self._end(held, LineEnd.OVERLOAD)
        if self._registry.unsee(event.owner, (event.phone_id, event.connection)):
            self._queues.tell(event.owner, LinesChanged())

    def _see(
        self, owner: str, phone_id: str, connection: int, sims: tuple[SimCard, ...] | None
    ) -> None:
        line = OnlineLine(
            owner=owner,
            phone_id=phone_id,
            connection=connection,
            sims=sims,
            seen_at_s=self.now_s(),
        )
        if self._registry.see(line):
            self._queues.tell(owner, LinesChanged())


def _evolve(day: domain.DayOfPhone, event: Event, _at_s: float) -> domain.DayOfPhone:
    assert isinstance(event, domain.Event), event
    return domain.evolve(day, event)
