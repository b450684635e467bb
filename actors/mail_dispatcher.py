"""The actor that sends a tenant's mails: it runs in the one process that holds the tenant's lease.

    inbox ─ MailFeeder ─▶ Page ─▶ lanes ─ Boarding, slots ─▶ MailAttempted ─ commit ─▶ job
    job ─ MailTransport ─▶ SmtpOutcome ─▶ MailSent, MailDeferred, MailFailed … ─ commit

Nothing waits for the slowest: each account has a lane, and each outcome makes room for one more.
Decisions are made on the state as it will be when the appends before are stored. If an append
fails, its mails are read anew; what was sent already is decided again by what the log has. An
attempt that the log has and nobody here made is in doubt: its process is gone.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

import gevent
from typing_extensions import override

from signalbox.actors.mail_boarding import ASK_AGAIN_S, CHANGES_MAX, Boarding
from signalbox.actors.mail_changes import Flight
from signalbox.actors.mail_feeder import MailFeeder, Page
from signalbox.actors.mail_flights import Flights
from signalbox.actors.mail_hand import Hand
from signalbox.actors.mail_held import look_through
from signalbox.actors.mail_messages import (
    Changed,
    Judged,
    News,
    Pump,
    Recorded,
    Stale,
    Stop,
    Stored,
    Told,
    Withdrawn,
)
from signalbox.actors.mail_outcomes import command_of, record
from signalbox.actors.mail_takeoff import Takeoff
from signalbox.actors.mail_usages import UsageRead, Usages
from signalbox.actors.mail_warmth import Warm
from signalbox.actors.runtime import Actor
from signalbox.domain import mail as mails
from signalbox.domain import tenant as tenants
from signalbox.domain.errors import TenantErased
from signalbox.eventstore.errors import Conflict, FenceLost, Unavailable
from signalbox.eventstore.journal import Append

if TYPE_CHECKING:
    from collections.abc import Collection

    from gevent.event import AsyncResult
    from gevent.event import Event as Flag

    from signalbox.actors.mail_changes import MailChanges
    from signalbox.actors.mail_feeder import Tracked
    from signalbox.actors.mail_messages import Parts
    from signalbox.actors.mail_warmth import Cold
    from signalbox.actors.tenures import Tenure
    from signalbox.actors.transports.smtp.job import SmtpOutcome

log = logging.getLogger(__name__)

RETRY_S: Final = 0.5


class MailDispatcher(Actor):
    """See the module. One for each tenant with work, and lease."""

    def __init__(self, tenant_id: str, parts: Parts, tenure: Tenure) -> None:
        super().__init__(tenants.stream_of(tenant_id), parts.log.pool)
        self._tenant_id = tenant_id
        self._parts = parts
        self._tenure = tenure
        self._hand = Hand(parts.limits.page_mails)
        self._flights = Flights(self._hand, parts.slots)
        self._takeoff = Takeoff(parts, tenure, self._tell_self)
        self._usages = Usages(parts.log, tenant_id, parts.journal.now, self._tell_self)
        self._feeder = MailFeeder(parts.log, self.name, self._tell_self)
        self._boarding: Boarding | None = None
        self._done: Flag | None = None
        self._releasing: gevent.Greenlet | None = None

    # life

    @override
    def restore(self) -> None:
        """Begin anew with what the inbox has; what is being sent goes on."""
        self._close_helpers()
        self._feeder = MailFeeder(self._parts.log, self.name, self._tell_self)
        self._hand = Hand(self._parts.limits.page_mails)
        self._flights.restart(self._hand)
        self._boarding = Boarding(
            self._tenant_id,
            self._parts,
            self._hand,
            self._flights,
            self._takeoff,
            self._usages,
            self._slot_is_free,
        )
        self._pump_at_s = 0.0
        self._is_idle: bool | None = None  # not known
        self._wants_release = True
        self._tell_self(Pump())

    @override
    def on_stop(self) -> None:
        super().on_stop()
        self._close_helpers()
        self._usages.close()
        self._flights.clear()

    @override
    def receive(self, message: object) -> None:  # noqa: C901, PLR0912  the table of messages
        match message:
            case News(seq):
                self._hand.news(seq)
            case Page():
                self._take(message)
            case Stored(changes, result):
                self._stored(changes, result)
            case Told(outcome):
                self._told(outcome)
            case Judged(flight, answer):
                self._judged(flight, answer)
            case Stale(changes):
                self._read_again(changes)
            case Withdrawn(flight, reason) if self._flights.is_current(flight):
                self._takeoff.release(flight.warm)
                self._over(flight, mails.DeferMail(self._now_s() + ASK_AGAIN_S, reason))
            case Recorded(flight):
                self._recorded(flight)
            case UsageRead():
                self._board.used(message)
            case Changed(event):
                self._changed(event)
            case Stop(done):
                self._done = done
            case Pump():
                self._pump_at_s = 0.0
        if self.actor_inbox.empty() or len(self._flights.changes) >= CHANGES_MAX:
            self._pump()

    @property
    def _board(self) -> Boarding:
        assert self._boarding is not None, self.name
        return self._boarding

    def _close_helpers(self) -> None:
        self._feeder.close()
        if self._releasing is not None:
            self._releasing.kill(block=False)
            self._releasing = None

    # what comes in

    def _take(self, page: Page) -> None:
        self._hand.take(page)
        self._flights.drop_rows(page.spent)
        now_s = self._now_s()
        for tracked in page.mails:
            if self._flights.has_left(tracked):
                continue
            if tracked.mail.in_flight:
                self._board.doubt(tracked, now_s)
            else:
                self._hand.put(tracked)
        if page.kinds is not None and self._wants_release:
            self._release(page.kinds)
        if page.want.discover:
            self._is_idle = page.newest is None

    def _changed(self, event: tenants.Event) -> None:
        self._board.changed()
        match event:
            case tenants.DispatchActivated() | tenants.MailAccountRemoved():
                self._wants_release = True
                self._hand.rediscover()
            case tenants.MailAccountSet(account):
                self._board.open(account)
            case _:
                self._hand.rediscover()

    def _judged(self, flight: Flight, answer: Warm | Cold | None) -> None:
        if not self._flights.is_current(flight):
            return
        if isinstance(answer, Warm) and self._done is not None:
            self._board.stay(flight, answer, self._now_s())
        else:
            self._board.judged(flight, answer, self._now_s())

    def _told(self, outcome: SmtpOutcome) -> None:
        flight = outcome.key
        assert isinstance(flight, Flight), outcome
        if not self._flights.is_current(flight) or flight.stage != "flying":
            return
        if flight.warm is not None:
            self._takeoff.settle(flight.warm, outcome)
        delays_s, in_doubt = self._parts.limits.retry_delays_s, self._board.tenant.in_doubt
        self._over(flight, command_of(outcome, delays_s, in_doubt))

    def _over(self, flight: Flight, command: mails.Command) -> None:
        self._flights.over(flight, command, self._board.tenant, self._now_s())

    # what goes out

    def _pump(self) -> None:
        """Attempt what may go; store what was decided; ask for more; come back in time."""
        if not self._tenure.holds():
            self._come_back(self._now_s() + RETRY_S)
            return
        if self._done is None:
            self._admit()
        self._flush()
        if self._done is not None:
            self._leave(self._done)
            return
        self._fetch()
        self._schedule()

    def _admit(self) -> None:
        try:
            self._board.admit(self._now_s())
        except Unavailable as error:
            log.warning("mails wait for the store", extra={"error": error.reason})
            self._come_back(self._now_s() + RETRY_S)

    def _flush(self) -> None:
        if len(self._flights.changes):
            changes = self._flights.take_changes()
            usage = self._board.usage(changes.usage)
            self._append(changes, changes.append(self._tenure.fence, usage))

    def _append(self, changes: MailChanges, append: Append) -> None:
        try:
            result = self._parts.journal.append(append)
        except TenantErased as error:
            gone, others = changes.without(error.tenant_id)
            self._append(gone, gone.append(self._tenure.fence, []))
            self._tell_self(Stale(others))
            return
        except Unavailable as error:
            log.warning("mails wait for the store", extra={"error": error.reason})
            gevent.spawn_later(RETRY_S, self._append, changes, append)
            return
        result.rawlink(lambda done: self._tell_self(Stored(changes, done)))

    # what is stored

    def _stored(self, changes: MailChanges, result: AsyncResult) -> None:
        error = result.exception
        self._is_idle = None
        if error is None:
            for flight in changes.flights:
                self._go_on(flight)
        elif isinstance(error, FenceLost):
            log.error("lease lost", extra={"tenant": self._tenant_id})
            self.stop()
        elif isinstance(error, Conflict):
            self._read_again(changes)
        else:
            log.error("mails can't be stored", extra={"error": str(error)})
            gevent.spawn_later(RETRY_S, self._tell_self, Stale(changes))

    def _go_on(self, flight: Flight) -> None:
        if not self._flights.is_current(flight):
            return
        if flight.stage == "storing":
            flight.stage = "flying"
            self._takeoff.send(flight, self._board.tenant)
        else:
            self._land(flight)

    def _land(self, flight: Flight) -> None:
        """A mail's row is where it belongs; one that is to be sent again at once is lined up."""
        if not self._flights.is_current(flight):
            return
        self._flights.end(flight)
        tracked = flight.tracked
        if tracked.mail.status == "deferred":
            self._hand.due_at(tracked.mail.deferred_until_s)
        elif isinstance(flight.command, mails.RecordDoubt) and tracked.mail.is_open:
            self._hand.put(tracked)
        if flight.is_held and not self._board.tenant.is_suspended(tracked.mail.batch_code):
            self._wants_release = True  # It was activated while the row was on its way.
            self._hand.rediscover()

    def _recorded(self, flight: Flight) -> None:
        """What it came to is stored, or was not what it came to: the inbox knows."""
        self._flights.end(flight)
        self._hand.again([flight.tracked])
        self._hand.due_at(0.0)

    def _read_again(self, changes: MailChanges) -> None:
        """Somebody else wrote first: what was sent is recorded all the same, the rest read anew."""
        log.info("stale mails", extra={"tenant": self._tenant_id, "mails": len(changes.flights)})
        self._flush()  # What was counted since is written while it is known after what.
        self._board.unsure(changes.usage)
        again: list[Tracked] = []
        for flight in changes.flights:
            if flight.stage == "over" and flight.command is not None:
                gevent.spawn(self._record, flight)
            else:
                self._takeoff.release(flight.warm)
                self._flights.end(flight)
                again.append(flight.tracked)
        self._hand.again(again)

    def _record(self, flight: Flight) -> None:
        record(self._parts, self._tenure.fence, flight)
        self._tell_self(Recorded(flight))

    # the rest

    def _fetch(self) -> None:
        if self._feeder.is_busy:
            return
        want = self._hand.want(self._now_s(), self._flights.not_fresh)
        if want is not None:
            self._feeder.want(want)
        elif not (len(self._flights) or len(self._flights.changes) or len(self._hand)):
            self._rest()

    def _rest(self) -> None:
        """There is nothing to do: look once more whether the inbox is empty, then end."""
        if self._is_idle is None:
            self._is_idle = False
            self._hand.rediscover()
            self._fetch()
        elif self._is_idle:
            self._parts.ended(self._tenant_id)
            self.stop()

    def _schedule(self) -> None:
        """Come back when a row is due."""
        if self._hand.next_due_s < float("inf"):
            self._come_back(self._hand.next_due_s)

    def _come_back(self, at_s: float) -> None:
        if not self._pump_at_s or at_s < self._pump_at_s:
            self._pump_at_s = at_s
            self.tell_later(max(at_s - self._now_s(), 0.001), Pump())

    def _leave(self, done: Flag) -> None:
        """Once nothing is being sent any more, and all that is to be stored is."""
        if not len(self._flights) and not len(self._flights.changes):
            last = self._parts.journal.append(Append(writes=()))
            last.rawlink(lambda _: done.set())

    def _release(self, kinds: Collection[str]) -> None:
        """Have mails looked through that wait for what may be otherwise now."""
        self._wants_release = False
        if self._releasing is not None:
            self._releasing.kill(block=False)
        self._releasing = gevent.spawn(
            look_through, self._parts, self._tenure, self._feeder, self._tenant_id, kinds
        )

    def _now_s(self) -> float:
        return self._parts.journal.now().timestamp()

    def _slot_is_free(self) -> None:
        self._tell_self(Pump())
