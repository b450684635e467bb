"""The gate of IP warm-up: what a sender of mail asks before anything leaves.

    grouping = groupings.of("example.com")               actors/mx.py
    answer = gate.choose("pool", grouping, recipients)   an address of a pool, or
    answer = gate.reserve("192.0.2.1", grouping, n)      this one
        Denied: leave the mail until `retry_at`; that is no attempt, and nothing is counted
        Grant:  for `recipients` of it, often fewer than asked: ask again for the others
    gate.still_allowed(grant)                            just before sending, if that is later
    gate.settle(grant, Outcome(attempted=…, …), released=…)

Rules for the caller:

- A recipient counts once per message, address and local day: pass those that were counted on this
  day before as `repeats` (`reserve` with the address they were counted for). They take nothing, but
  a pause holds them too.
- A grant is for one attempt. Settle it when that is over: `attempted` got as far as MAIL FROM,
  `released` never reached a server. Settling again changes nothing, so after `Unavailable` just
  settle again. Keep the grant beside the message: any process may settle it, after any restart.
- What is never settled stays counted until midnight.
- When `still_allowed` says no, settle with everything released and ask again.
- An address that is not warmed up has no limits here. One that is takes only mail of the groupings
  it has ramps for.
- Complaints come by themselves, not with a settlement: `report_complaints`.

A slow-down is decided with each settlement. It is off for a grouping whose `properties` have
`"slowdown": "off"`. Grants never pass the day's target, whatever the number of processes; a change
of the configuration in another process is known here some milliseconds later.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from signalbox.actors.grants import Denied, Grant, Mail, grant_of, held_by, midnight_after, time_of
from signalbox.actors.sending_days import DayOf
from signalbox.actors.upkeep import Upkeep
from signalbox.domain.ip_pool import Member, order
from signalbox.domain.sending_day import Denied as DayDenied
from signalbox.domain.sending_day import Granted
from signalbox.domain.sending_ip import canonical_ip
from signalbox.domain.slowdown import FEEDBACK_WINDOW_S, Results, Slowdown
from signalbox.domain.warmup_status import LocalDay, local_day
from signalbox.eventstore import metrics

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
    from datetime import datetime, tzinfo

    from signalbox.actors.sending_days import SendingDays
    from signalbox.actors.sending_ips import SendingIps
    from signalbox.domain.gate import Allowance
    from signalbox.domain.ip_pool import IpPool
    from signalbox.domain.sending_day import Outcome
    from signalbox.domain.warming import Warming

__all__ = ["Denied", "Grant", "WarmupGate"]

CLOCKS_APART_S_MAX: Final = 60  # a day that another process closed sooner is not over for us
NOBODY_RETRY: Final = timedelta(
    minutes=15
)  # SendGrid's pause when there is no address to send from


class WarmupGate:
    """Who may send how much now. `zone` is where days begin; times are UTC.

    Its methods raise `Unavailable`, and `InvalidField` for what is no address.
    """

    def __init__(
        self,
        ips: SendingIps,
        days: SendingDays,
        pools: Iterable[IpPool],
        *,
        zone: tzinfo,
        now: Callable[[], datetime],
    ) -> None:
        self._ips = ips
        self._days = days
        self._zone = zone
        self._now = now
        self._upkeep = Upkeep(ips, days, zone, now)
        self._turns: Counter[str] = Counter()
        self.configure(pools)

    def configure(self, pools: Iterable[IpPool]) -> None:
        """Take other pools."""
        self._pools: Mapping[str, IpPool] = {pool.name: pool for pool in pools}

    def reserve(
        self, ip: str, grouping: str, recipients: int, *, repeats: int = 0
    ) -> Grant | Denied:
        """Ask for one address."""
        mail = Mail(grouping=grouping, recipients=recipients, repeats=repeats)
        return _noted(self._ask(canonical_ip(ip), mail))

    def choose(
        self,
        pool: str,
        grouping: str,
        recipients: int,
        *,
        urgent: bool = False,
        without: Collection[str] = (),
    ) -> Grant | Denied:
        """Ask the addresses of a pool, then of its overflow pool, except those in `without`.

        Repeats need no choice: they are free at the address where they were counted, only there.
        Urgent mail asks warm addresses first, and goes over a target rather than wait.

        Raises: `KeyError` when there is no such pool.
        """
        mail = Mail(grouping=grouping, recipients=recipients)
        chosen = self._pools[pool]
        overflow = self._pools.get(chosen.overflow)
        denials: list[Denied] = []
        members: list[Member] = []
        for one in (chosen, overflow) if overflow else (chosen,):
            asked = self._members(one, grouping, set(without), denials)
            members += order(one, asked, self._turn(one), urgent=urgent)
        for member in members:
            answer = self._ask(member.ip, mail)
            if isinstance(answer, Grant):
                return answer
            denials.append(answer)
        if members and (urgent or chosen.policy == "exceed"):
            return _noted(self._ask(members[0].ip, replace(mail, over_target=True)))
        return _noted(self._refusal(chosen, denials))

    def still_allowed(self, grant: Grant) -> bool:
        """Tell whether mail that was planned may leave now.

        It may not once its ramp is held, its day over, or the target cut so that others use it up.
        """
        day = self._today()
        ramp = self._ramp(grant.ip, grant.grouping, day)
        if ramp is None or isinstance(ramp, Denied):
            return ramp is None
        allowance = ramp.allowance(day, self._now_s())
        if allowance.hold is not None or allowance.target is None:
            return allowance.hold is None
        if grant.date != day.date:
            return False
        return self._days.newest(grant.day).fits(grant.reservation_id, allowance.target)

    def settle(self, grant: Grant, outcome: Outcome, released: int = 0) -> None:
        """Say what became of a grant's recipients; a slow-down may follow from it."""
        if not grant.reservation_id:
            return
        if grant.over_target:
            released = 0  # It took nothing from the day.
        self._days.settle(grant.day, grant.reservation_id, outcome, released)
        self._upkeep.judge(grant.ip, grant.grouping)
        self._show(grant.day)

    def feedback_since(self, ip: str, grouping: str) -> datetime:
        """Return since when complaints and deliveries count that `report_complaints` is told."""
        now_s = self._now_s()
        ramp = self._upkeep.ramp(canonical_ip(ip), grouping)
        slowdown = ramp.slowdown if ramp else Slowdown()
        return time_of(slowdown.counts_from_s(now_s, FEEDBACK_WINDOW_S))

    def report_complaints(self, ip: str, grouping: str, complaints: int, delivered: int) -> None:
        """Say how many of those that got mail since `feedback_since` complained."""
        results = Results(complaints_24h=complaints, delivered_24h=delivered)
        self._upkeep.judge(canonical_ip(ip), grouping, results)

    def _ask(self, ip: str, mail: Mail) -> Grant | Denied:
        day = self._today()
        answer = self._admit(ip, mail, day)
        if not isinstance(answer, Denied) or answer.reason != "CLOSED":
            return answer
        midnight = midnight_after(day)
        if day.length_s - day.elapsed_s > CLOCKS_APART_S_MAX:
            return Denied("CLOSED", midnight)
        return self._admit(ip, mail, local_day(midnight, self._zone))

    def _admit(self, ip: str, mail: Mail, day: LocalDay) -> Grant | Denied:
        whose = DayOf(ip, mail.grouping, day.date)
        ramp = self._ramp(ip, mail.grouping, day)
        if isinstance(ramp, Denied):
            return ramp
        if ramp is None:
            return grant_of(whose, mail, Granted(mail.recipients, mail.repeats))
        self._upkeep.begin(whose, ramp)
        return self._reserve(whose, ramp, mail, day)

    def _reserve(self, whose: DayOf, ramp: Warming, mail: Mail, day: LocalDay) -> Grant | Denied:
        allowance = ramp.allowance(day, self._now_s())
        if allowance.hold is not None:
            return held_by(allowance, day)
        if allowance.target is None:
            return grant_of(whose, mail, Granted(mail.recipients, mail.repeats))
        wanted = mail.wanted

        def allowance_at(now_s: float) -> Allowance:
            latest = self._upkeep.ramp(whose.ip, whose.grouping) or ramp
            return latest.allowance(day, now_s)

        answer = self._days.reserve(whose, wanted, allowance_at)
        self._show(whose)
        if isinstance(answer, DayDenied):
            return Denied(answer.reason, time_of(answer.retry_at_s))
        return grant_of(whose, mail, answer, wanted.reservation_id)

    def _members(
        self, pool: IpPool, grouping: str, without: set[str], denials: list[Denied]
    ) -> Iterator[Member]:
        """Yield who may be asked; why the others may not goes to the denials."""
        day = self._today()
        for ip in pool.ips:
            ramp = self._ramp(ip, grouping, day)
            if ip in without:
                continue
            if isinstance(ramp, Denied):
                denials.append(ramp)
            elif ramp is None:
                yield Member(ip=ip)
            elif (allowance := ramp.allowance(day, self._now_s())).hold is not None:
                denials.append(held_by(allowance, day))
            else:
                used = self._days.remembered(DayOf(ip, grouping, day.date)).used
                yield Member(ip=ip, target=allowance.target, used=used)

    def _ramp(self, ip: str, grouping: str, day: LocalDay) -> Warming | Denied | None:
        """Return the ramp a grouping has on an address; None when it needs none."""
        known = self._ips.find(ip)
        if known is not None and known.excludes(grouping, day.date):
            return Denied("EXCLUDED", midnight_after(day))
        return self._upkeep.ramp(ip, grouping)

    def _refusal(self, pool: IpPool, denials: list[Denied]) -> Denied:
        """Return the denial that is over first, or the pool's own."""
        if pool.policy == "fail":
            return Denied("NO_IPS", None)
        if not denials:
            return Denied("NO_IPS", self._now() + NOBODY_RETRY)
        return min(denials, key=lambda one: one.retry_at or self._now())

    def _show(self, day: DayOf) -> None:
        if day.date != self._today().date:
            return
        labels, state = (day.ip, day.grouping), self._days.remembered(day)
        metrics.WARMUP_TARGET.labels(*labels).set(state.target)
        metrics.WARMUP_USED.labels(*labels).set(state.used)
        metrics.WARMUP_DELIVERED.labels(*labels).set(state.totals.delivered)

    def _turn(self, pool: IpPool) -> int:
        self._turns[pool.name] += 1
        return self._turns[pool.name]

    def _today(self) -> LocalDay:
        return local_day(self._now(), self._zone)

    def _now_s(self) -> float:
        return self._now().timestamp()


def _noted(answer: Grant | Denied) -> Grant | Denied:
    if isinstance(answer, Denied):
        metrics.WARMUP_DENIED.labels(answer.reason).inc()
    return answer
