"""Which mails of a tenant may leave: its batches, accounts, limits and warm-up decide.

lane ──▶ suspended? held   account gone? failed   over a limit? put off, or failed
     ──▶ warm-up asked ──▶ MailAttempted
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from signalbox.actors.mail_changes import tell_limited
from signalbox.actors.mail_warmth import Cold, Warm
from signalbox.domain import mail as mails
from signalbox.eventstore.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from signalbox.actors.mail_changes import Flight
    from signalbox.actors.mail_feeder import Tracked
    from signalbox.actors.mail_flights import Flights
    from signalbox.actors.mail_hand import Hand
    from signalbox.actors.mail_messages import Parts
    from signalbox.actors.mail_takeoff import Takeoff
    from signalbox.actors.mail_usages import UsageRead, Usages
    from signalbox.domain.mail_account import MailAccount
    from signalbox.domain.mail_usage import Usage
    from signalbox.eventstore.journal import Write

CHANGES_MAX: Final = 100  # in one append
ASK_AGAIN_S: Final = 1.0
GONE: Final = "the process that sent it ended"
TOO_MANY: Final = "rate_limit_exceeded"


class Boarding:
    """See the module; `slot_is_free` is called, once, when one is after there was none."""

    def __init__(  # noqa: PLR0913, PLR0917  its parts
        self,
        tenant_id: str,
        parts: Parts,
        hand: Hand,
        flights: Flights,
        takeoff: Takeoff,
        usages: Usages,
        slot_is_free: Callable[[], None],
    ) -> None:
        self._tenant_id = tenant_id
        self._parts = parts
        self._hand = hand
        self._flights = flights
        self._takeoff = takeoff
        self._slot_is_free = slot_is_free
        self._usages = usages
        self._absent: set[str] = set()
        self.tenant = parts.tenants.known(tenant_id)
        for account in self.tenant.accounts.values():
            self.open(account)

    def changed(self) -> None:
        """Take what this process was told of the tenant."""
        self.tenant = self._parts.tenants.known(self._tenant_id)
        self._absent.clear()

    def open(self, account: MailAccount) -> None:
        """Have a lane for an account, no wider than it wants."""
        widest = self._parts.limits.in_flight_per_account_max
        lane = self._hand.lane(account.account_id)
        lane.busy_max = min(widest, max(account.batch_size or widest, 1))

    def admit(self, now_s: float) -> None:
        """Let go what may, while there are slots.

        Raises: `Unavailable` when the log is to be asked; the mail is lined up again.
        """
        parts = self._parts
        while not self.tenant.is_suspended() and len(self._flights.changes) < CHANGES_MAX:
            if not parts.slots.take():
                parts.slots.want(self._slot_is_free)
                return
            tracked = self._hand.next_mail(parts.limits.in_flight_per_account_max)
            leaves = False
            try:
                leaves = tracked is not None and self._board(tracked, now_s)
            finally:
                if not leaves:
                    parts.slots.give()
            if tracked is None:
                return

    def judged(self, flight: Flight, answer: Warm | Cold | None, now_s: float) -> None:
        """Go by what the gate answered; None: it could not be asked."""
        if isinstance(answer, Warm):
            if flight.tracked.counted_at_s and self._usage_of(flight) is None:
                self._takeoff.release(answer)
                self._wait(flight)
            else:
                self._attempt(flight, answer, now_s)
            return
        self._uncount(flight)
        command: mails.Command
        if answer is None:
            command = mails.DeferMail(now_s + ASK_AGAIN_S, "warmup: not known")
        elif answer.until_s is None:
            command = mails.FailMail(0, f"warmup: {answer.reason}")
        else:
            command = mails.DeferMail(answer.until_s, f"warmup: {answer.reason}")
        self._flights.over(flight, command, self.tenant, now_s)

    def stay(self, flight: Flight, warm: Warm, now_s: float) -> None:
        """Keep a mail that may leave: whoever has the lease next asks for it again."""
        self._uncount(flight)
        self._takeoff.release(warm)
        command = mails.DeferMail(now_s, "warmup: handed over")
        self._flights.over(flight, command, self.tenant, now_s)

    def doubt(self, tracked: Tracked, now_s: float) -> None:
        """Decide on an attempt that the log has and nobody here made."""
        if not self._is_ours(tracked):
            self._flights.drop_rows([tracked.seq])
            return
        warm = Warm(tracked.mail.source_ip, tracked.mail.shares)
        command = mails.RecordDoubt(in_doubt=self.tenant.in_doubt, reason=GONE)
        self._flights.over(self._flights.begin(tracked), command, self.tenant, now_s)
        self._takeoff.settle(warm, None)

    def used(self, read: UsageRead) -> None:
        """Take what an account has sent; what is on its way may be in that: twice beats never."""
        self._usages.take(read)
        for flight in self._flights:
            tracked = flight.tracked
            is_its = tracked.mail.account_id == read.account_id and flight.stage != "over"
            if is_its and tracked.counted_at_s:
                read.usage.take(1, tracked.counted_at_s)
        self._hand.lane(read.account_id).waits = False

    def usage(self, counts: Mapping[str, int]) -> list[Write]:
        """Return what stores how much the accounts take with an append."""
        return [self._usages.write(account_id, count) for account_id, count in counts.items()]

    def unsure(self, account_ids: Iterable[str]) -> None:
        """Have it read anew how much these accounts have taken."""
        for account_id in account_ids:
            self._usages.forget(account_id)

    def _board(self, tracked: Tracked, now_s: float) -> bool:
        """See whether a mail may leave; tell whether it takes the slot."""
        try:
            is_ours = self._is_ours(tracked)
            account = self._account(tracked.mail.account_id)
        except Unavailable:
            self._hand.put(tracked)
            raise
        if not is_ours:
            self._flights.drop_rows([tracked.seq])
            return False
        flight = self._flights.begin(tracked)
        if self.tenant.is_suspended(tracked.mail.batch_code):
            flight.is_held = True
            self._flights.changes.hold(flight)
            return False
        flight.account = account
        if flight.account is None:
            return self._put_off(flight, mails.FailMail(0, mails.NO_ACCOUNT), now_s)
        if flight.account.limits and not self._has_room(flight, flight.account, now_s):
            return False
        self._flights.seat(flight)
        if self._parts.warmth and (flight.account.source_ip or flight.account.ip_pool):
            flight.stage = "asking"
            self._takeoff.ask(flight)
        else:
            self._attempt(flight, Warm(flight.account.source_ip), now_s)
        return True

    def _put_off(self, flight: Flight, command: mails.Command, now_s: float) -> bool:
        self._flights.decide(flight, command, self.tenant, now_s)
        return False

    def _attempt(self, flight: Flight, warm: Warm, now_s: float) -> None:
        flight.stage, flight.warm = "storing", warm
        command = mails.AttemptMail(source_ip=warm.source_ip, shares=warm.shares)
        self._flights.decide(flight, command, self.tenant, now_s)
        if flight.tracked.counted_at_s:
            self._flights.changes.usage[flight.tracked.mail.account_id] += 1

    def _has_room(self, flight: Flight, account: MailAccount, now_s: float) -> bool:
        """Count a mail if the account's limits let it through; else put it off, or back."""
        usage = self._usage_of(flight)
        if usage is None:
            self._wait(flight)
            return False
        if usage.room(account.limits, now_s):
            usage.take(1, now_s)
            flight.tracked.counted_at_s = now_s
            return True
        tell_limited(self.tenant, account.account_id)
        if account.rejects_over_limit:
            return self._put_off(flight, mails.FailMail(0, TOO_MANY), now_s)
        until_s = usage.plan(account.limits, now_s)
        return self._put_off(flight, mails.DeferMail(until_s, "rate limit exceeded"), now_s)

    def _wait(self, flight: Flight) -> None:
        """Line a mail up again until it is known how much its account has sent."""
        flight.tracked.counted_at_s = 0.0
        self._flights.lane(flight).waits = True
        self._flights.end(flight)
        self._hand.put(flight.tracked)

    def _uncount(self, flight: Flight) -> None:
        tracked = flight.tracked
        usage = self._usage_of(flight) if tracked.counted_at_s else None
        if usage is not None:
            usage.give_back(tracked.counted_at_s)
        tracked.counted_at_s = 0.0

    def _usage_of(self, flight: Flight) -> Usage | None:
        return self._usages.get(flight.tracked.mail.account_id)

    def _account(self, account_id: str) -> MailAccount | None:
        """Return an account; the log alone can say that there is none."""
        if account_id not in self.tenant.accounts:
            self._look_up(account_id)
        return self.tenant.accounts.get(account_id)

    def _is_ours(self, tracked: Tracked) -> bool:
        """True unless the mail is of a tenant of the same id that was deleted."""
        if tracked.data_key != self.tenant.data_key:
            self._look_up(tracked.data_key)
        return tracked.data_key == self.tenant.data_key

    def _look_up(self, what: str) -> None:
        """Ask the log for what this process was not told of, once until it is told of more."""
        if what not in self._absent:
            self.tenant = self._parts.tenants.newest(self._tenant_id)
            self._absent.add(what)
