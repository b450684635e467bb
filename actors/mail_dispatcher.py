"""The actor that sends a tenant's mails: it runs in the one process that holds the tenant's lease.

    inbox ─ MailFeeder ─▶ Page ─▶ lanes ─ limits, warm-up, slots ─▶ MailAttempted ─ commit ─▶ job
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

from signalbox.actors.mail_changes import Flight, MailChanges, show_account, tell_operators
from signalbox.actors.mail_feeder import MailFeeder, Page
from signalbox.actors.mail_hand import Hand
from signalbox.actors.mail_held import release_held
from signalbox.actors.mail_messages import (
    Changed,
    Judged,
    News,
    Pump,
    Recorded,
    Stop,
    Stored,
    Told,
    Withdrawn,
)
from signalbox.actors.mail_outcomes import command_of, record
from signalbox.actors.mail_takeoff import Takeoff
from signalbox.actors.mail_usages import UsageRead, Usages
from signalbox.actors.mail_warmth import Cold, Warm
from signalbox.actors.runtime import Actor
from signalbox.domain import mail as mails
from signalbox.domain import tenant as tenants
from signalbox.domain.errors import TenantErased
from signalbox.eventstore import metrics
from signalbox.eventstore.errors import Conflict, FenceLost, Unavailable
from signalbox.eventstore.journal import Append

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gevent.event import AsyncResult
    from gevent.event import Event as Flag

    from signalbox.actors.mail_feeder import Tracked
    from signalbox.actors.mail_hand import Lane
    from signalbox.actors.mail_messages import Parts, Tenure
    from signalbox.actors.transports.smtp.job import SmtpOutcome
    from signalbox.domain.mail_account import MailAccount

log = logging.getLogger(__name__)

CHANGES_MAX: Final = 100  # in one append
RETRY_S: Final = 0.5
HELD_S: Final = 1.0  # when to ask the gate again that changed its mind
GONE: Final = "the process that sent it ended"
TOO_MANY: Final = "rate_limit_exceeded"


class MailDispatcher(Actor):
    """See the module. One for each tenant with work, and lease."""

    def __init__(self, tenant_id: str, parts: Parts, tenure: Tenure) -> None:
        super().__init__(tenants.stream_of(tenant_id), parts.log.pool)
        self._tenant_id = tenant_id
        self._parts = parts
        self._tenure = tenure
        self._abroad: dict[str, Flight] = {}
        self._changes = MailChanges()
        self._feeder: MailFeeder | None = None
        self._usages: Usages | None = None
        self._takeoff = Takeoff(parts, tenure, self._tell_self)
        self._done: Flag | None = None
        self._releasing: gevent.Greenlet | None = None

    # life

    @override
    def restore(self) -> None:
        """Begin anew with what the inbox has; what is being sent goes on."""
        self._close_helpers()
        self._feeder = MailFeeder(self._parts.log, self.name, self._tell_self)
        self._usages = Usages(
            self._parts.log, self._tenant_id, self._parts.journal.now, self._tell_self
        )
        self._hand = Hand(self._parts.limits.page_mails)
        self._pump_at_s = 0.0
        self._is_idle: bool | None = None  # not known
        self._wants_release = True
        self._tenant = self._parts.tenants.known(self._tenant_id)
        self._hand.know(self._tenant.accounts)
        for flight in self._abroad.values():
            self._lane(flight).busy += flight.has_slot
        for account_id in self._tenant.accounts:
            show_account(self._tenant, account_id)
        self._tell_self(Pump())

    @override
    def on_stop(self) -> None:
        super().on_stop()
        self._close_helpers()
        self._parts.slots.give(sum(flight.has_slot for flight in self._abroad.values()))
        self._abroad.clear()

    @override
    def receive(self, message: object) -> None:  # noqa: C901  the table of messages
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
            case Withdrawn(flight):
                self._over(flight, mails.DeferMail(self._now_s() + HELD_S, "warmup: held"))
            case Recorded(flight):
                self._land(flight)
            case UsageRead():
                self._used(message)
            case Changed(event):
                self._changed(event)
            case Stop(done):
                self._done = done
            case Pump():
                self._pump_at_s = 0.0
        if self.actor_inbox.empty() or len(self._changes) >= CHANGES_MAX:
            self._pump()

    def _close_helpers(self) -> None:
        for helper in (self._feeder, self._usages):
            if helper is not None:
                helper.close()
        if self._releasing is not None:
            self._releasing.kill(block=False)
            self._releasing = None

    # what comes in

    def _take(self, page: Page) -> None:
        self._hand.take(page)
        self._changes.taken += page.spent
        now_s = self._now_s()
        for tracked in page.mails:
            if tracked.stream_id in self._abroad:
                continue
            if tracked.mail.in_flight:
                self._doubt(tracked, now_s)
            else:
                self._hand.put(tracked)
        if page.kinds is not None and self._wants_release:
            self._release(page.kinds)
        if page.want.discover:
            self._is_idle = page.newest is None

    def _doubt(self, tracked: Tracked, now_s: float) -> None:
        """Nobody here made the attempt that the log has of it."""
        if not self._is_ours(tracked):
            self._changes.taken.append(tracked.seq)
            return
        warm = Warm(tracked.mail.source_ip, tracked.mail.shares)
        command = mails.RecordDoubt(in_doubt=self._tenant.in_doubt, reason=GONE)
        flight = Flight(tracked, command=command)
        self._decide(flight, command, now_s)
        self._takeoff.settle(warm, None)

    def _changed(self, event: tenants.Event) -> None:
        self._tenant = self._parts.tenants.known(self._tenant_id)
        match event:
            case tenants.DispatchActivated():
                self._wants_release = True
                self._hand.rediscover()
            case tenants.MailAccountSet(account):
                self._hand.know([account.account_id])
                show_account(self._tenant, account.account_id)
            case _:
                self._hand.rediscover()

    def _used(self, read: UsageRead) -> None:
        assert self._usages is not None
        self._usages.take(read)
        for (
            flight
        ) in self._abroad.values():  # What it did not see, or saw: better twice than never.
            tracked = flight.tracked
            is_its = tracked.mail.account_id == read.account_id and flight.stage != "over"
            if is_its and tracked.counted_at_s:
                read.usage.take(1, tracked.counted_at_s)
        self._hand.lane(read.account_id).waits = False

    # what goes out

    def _pump(self) -> None:
        """Attempt what may go; store what was decided; ask for more; come back in time."""
        if not self._tenure.holds():
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
        parts, now_s = self._parts, self._now_s()
        while not self._tenant.is_suspended() and len(self._changes) < CHANGES_MAX:
            if not parts.slots.take():
                parts.slots.want(self._slot_is_free)
                return
            tracked = self._hand.next_mail(parts.limits.in_flight_per_account_max)
            if tracked is None:
                parts.slots.give()
                return
            if not self._board(tracked, now_s):
                parts.slots.give()

    def _board(self, tracked: Tracked, now_s: float) -> bool:
        """See whether a mail may leave; tell whether it takes the slot."""
        mail = tracked.mail
        if not self._is_ours(tracked):
            self._changes.taken.append(tracked.seq)
            return False
        flight = self._abroad[tracked.stream_id] = Flight(tracked)
        if self._tenant.is_suspended(mail.batch_code):
            flight.is_held = True
            self._changes.hold(flight)
            return False
        flight.account = self._account(mail.account_id)
        if flight.account is None:
            return self._put_off(flight, mails.DeleteMail("account"), now_s)
        if flight.account.limits and not self._has_room(flight, flight.account, now_s):
            return False
        flight.has_slot = True
        self._lane(flight).busy += 1
        if self._parts.warmth and (flight.account.source_ip or flight.account.ip_pool):
            flight.stage = "asking"
            self._takeoff.ask(flight)
        else:
            self._attempt(flight, Warm(flight.account.source_ip), now_s)
        return True

    def _put_off(self, flight: Flight, command: mails.Command, now_s: float) -> bool:
        self._decide(flight, command, now_s)
        return False

    def _has_room(self, flight: Flight, account: MailAccount, now_s: float) -> bool:
        """Count a mail if the account's limits let it through; else put it off, or back."""
        assert self._usages is not None
        usage = self._usages.get(account.account_id)
        if usage is None:
            self._lane(flight).waits = True
            del self._abroad[flight.tracked.stream_id]
            self._hand.put(flight.tracked)
            return False
        if usage.room(account.limits, now_s):
            usage.take(1, now_s)
            flight.tracked.counted_at_s = now_s
            return True
        self._count_limited(account.account_id)
        if account.rejects_over_limit:
            return self._put_off(flight, mails.FailMail(0, TOO_MANY), now_s)
        until_s = usage.plan(account.limits, now_s)
        return self._put_off(flight, mails.DeferMail(until_s, "rate limit exceeded"), now_s)

    def _attempt(self, flight: Flight, warm: Warm, now_s: float) -> None:
        flight.stage, flight.warm = "storing", warm
        command = mails.AttemptMail(source_ip=warm.source_ip, shares=warm.shares)
        self._decide(flight, command, now_s)
        if flight.tracked.counted_at_s:
            self._changes.usage[flight.tracked.mail.account_id] += 1

    def _judged(self, flight: Flight, answer: Warm | Cold | None) -> None:
        if self._abroad.get(flight.tracked.stream_id) is not flight:
            return
        if isinstance(answer, Warm) and self._done is None:
            self._attempt(flight, answer, self._now_s())
            return
        self._uncount(flight)
        if isinstance(answer, Warm):
            self._takeoff.release(answer)
            self._over(flight, mails.DeferMail(self._now_s(), "warmup: handed over"))
            return
        if answer is None:
            self._over(flight, mails.DeferMail(self._now_s() + HELD_S, "warmup: not known"))
        elif answer.until_s is None:
            self._over(flight, mails.FailMail(0, f"warmup: {answer.reason}"))
        else:
            self._over(flight, mails.DeferMail(answer.until_s, f"warmup: {answer.reason}"))

    def _told(self, outcome: SmtpOutcome) -> None:
        flight = outcome.key
        assert isinstance(flight, Flight), outcome
        if self._abroad.get(flight.tracked.stream_id) is not flight or flight.stage != "flying":
            return
        if flight.warm is not None:
            self._takeoff.settle(flight.warm, outcome)
        delays_s, in_doubt = self._parts.limits.retry_delays_s, self._tenant.in_doubt
        self._over(flight, command_of(outcome, delays_s, in_doubt))

    def _over(self, flight: Flight, command: mails.Command) -> None:
        """Make room for the next, and decide what it came to."""
        self._free(flight)
        flight.stage, flight.command = "over", command
        self._decide(flight, command, self._now_s())

    def _decide(self, flight: Flight, command: mails.Command, now_s: float) -> None:
        self._abroad[flight.tracked.stream_id] = flight
        events = self._changes.decide(flight, command, now_s)
        tell_operators(self._tenant, flight.tracked, events)
        if not events:
            self._land(flight)

    # what is stored

    def _flush(self) -> None:
        if not len(self._changes):
            return
        changes, self._changes = self._changes, MailChanges()
        assert self._usages is not None
        usage = [self._usages.write(name, count) for name, count in changes.usage.items()]
        self._append(changes, changes.append(self._tenure.fence, usage))

    def _append(self, changes: MailChanges, append: Append) -> None:
        try:
            result = self._parts.journal.append(append)
        except TenantErased:
            rows = [flight.tracked.seq for flight in changes.flights]
            gone = Append(writes=(), fence=append.fence, taken=[*changes.taken, *rows])
            result = self._parts.journal.append(gone)
        except Unavailable as error:
            log.warning("mails wait for the store", extra={"error": error.reason})
            gevent.spawn_later(RETRY_S, self._append, changes, append)
            return
        result.rawlink(lambda done: self._tell_self(Stored(changes, done)))

    def _stored(self, changes: MailChanges, result: AsyncResult) -> None:
        error = result.exception
        self._is_idle = None
        if error is None:
            for flight in changes.flights:
                self._go_on(flight)
            return
        if isinstance(error, FenceLost):
            log.error("lease lost", extra={"tenant": self._tenant_id})
            self.stop()
        elif isinstance(error, Conflict):
            self._read_again(changes)
        else:
            raise error

    def _go_on(self, flight: Flight) -> None:
        if self._abroad.get(flight.tracked.stream_id) is not flight:
            return
        if flight.stage == "storing":
            flight.stage = "flying"
            self._takeoff.send(flight, self._tenant)
        else:
            self._land(flight)

    def _land(self, flight: Flight) -> None:
        """A mail's row is where it belongs; one that is to be sent again at once is lined up."""
        tracked = flight.tracked
        if self._abroad.get(tracked.stream_id) is not flight:
            return
        self._free(flight)
        del self._abroad[tracked.stream_id]
        if tracked.mail.status == "deferred":
            self._hand.due_at(tracked.mail.deferred_until_s)
        elif isinstance(flight.command, mails.RecordDoubt) and tracked.mail.is_open:
            self._hand.put(tracked)
        elif flight.is_held and not self._tenant.is_suspended(tracked.mail.batch_code):
            self._wants_release = True  # It was activated while the row was on its way.
            self._hand.rediscover()

    def _read_again(self, changes: MailChanges) -> None:
        """Somebody else wrote first: what was sent is recorded all the same, the rest read anew."""
        log.info("stale mails", extra={"tenant": self._tenant_id, "mails": len(changes.flights)})
        assert self._usages is not None
        for account_id in changes.usage:
            self._usages.forget(account_id)
        again: list[Tracked] = []
        for flight in changes.flights:
            if flight.stage == "over" and flight.command is not None:
                self._record(flight)
            else:
                self._takeoff.release(flight.warm)
                self._free(flight)
                self._abroad.pop(flight.tracked.stream_id, None)
                again.append(flight.tracked)
        self._hand.again(again)
        if changes.taken:
            self._hand.rediscover()

    def _record(self, flight: Flight) -> None:
        def run() -> None:
            record(self._parts, self._tenure.fence, flight)
            self._tell_self(Recorded(flight))

        gevent.spawn(run)

    # the rest

    def _fetch(self) -> None:
        assert self._feeder is not None
        if self._feeder.is_busy:
            return
        busy = [one for one, f in self._abroad.items() if not f.tracked.kind.startswith("mail")]
        want = self._hand.want(self._now_s(), busy)
        if want is not None:
            self._feeder.want(want)
        elif not (self._abroad or len(self._changes) or len(self._hand)):
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
        due_s = self._hand.next_due_s
        if due_s < float("inf") and (not self._pump_at_s or due_s < self._pump_at_s):
            self._pump_at_s = due_s
            self.tell_later(max(due_s - self._now_s(), 0.001), Pump())

    def _leave(self, done: Flag) -> None:
        """Once nothing is being sent any more, and all that is to be stored is."""
        if self._abroad or len(self._changes):
            return
        last = Append(writes=())
        self._parts.journal.append(last).rawlink(lambda _: done.set())

    def _release(self, kinds: Iterable[str]) -> None:
        """Have mails that wait for a batch lined up, where nothing holds the batch any more."""
        self._wants_release = False
        if self._releasing is not None:
            self._releasing.kill(block=False)
        assert self._feeder is not None
        self._releasing = gevent.spawn(
            release_held, self._parts, self._tenure, self._feeder, self._tenant_id, kinds
        )

    def _account(self, account_id: str) -> MailAccount | None:
        """Return an account; the log alone can say that there is none."""
        account = self._tenant.accounts.get(account_id)
        if account is None:
            self._tenant = self._parts.tenants.newest(self._tenant_id)
            account = self._tenant.accounts.get(account_id)
        return account

    def _is_ours(self, tracked: Tracked) -> bool:
        """True unless the mail is of a tenant of the same id that was deleted."""
        return tracked.data_key == self._tenant.data_key

    def _free(self, flight: Flight) -> None:
        if flight.has_slot:
            flight.has_slot = False
            lane = self._lane(flight)
            lane.busy = max(0, lane.busy - 1)
            self._parts.slots.give()

    def _now_s(self) -> float:
        return self._parts.journal.now().timestamp()

    def _slot_is_free(self) -> None:
        self._tell_self(Pump())

    def _lane(self, flight: Flight) -> Lane:
        return self._hand.lane(flight.tracked.mail.account_id)

    def _uncount(self, flight: Flight) -> None:
        assert self._usages is not None
        tracked, usage = flight.tracked, self._usages.get(flight.tracked.mail.account_id)
        if tracked.counted_at_s and usage is not None:
            usage.give_back(tracked.counted_at_s)
        tracked.counted_at_s = 0.0

    def _count_limited(self, account_id: str) -> None:
        tenant = self._tenant
        labels = (tenant.tenant_id, tenant.name or tenant.tenant_id, account_id, account_id)
        metrics.MAIL_RATE_LIMITED.labels(*labels).inc()
