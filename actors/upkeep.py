"""What is due by itself for an address that warms up, done by whoever comes by first.

    the first mail of a day ──▶ the days before are closed, a ramp that is over is finished
    a settlement ──▶ results are judged ──▶ slower, or stopped, or back to normal

No timers: an address that nobody sends from needs none of it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from signalbox.actors.sending_days import DayOf, SendingDays
from signalbox.domain.sending_ip import FinishGrouping, JudgeResults
from signalbox.domain.slowdown import Results, Slowdown
from signalbox.domain.warmup_status import LocalDay, local_day

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import date, datetime, tzinfo

    from signalbox.actors.sending_ips import SendingIps
    from signalbox.domain.ramp import Schedule
    from signalbox.domain.sending_day import Outcome
    from signalbox.domain.warming import Warming

SLOWDOWN_PROPERTY: Final = ("slowdown", "off")


class Upkeep:
    """Looks after every address; days begin in `zone`. Its methods raise `Unavailable`."""

    def __init__(
        self, ips: SendingIps, days: SendingDays, zone: tzinfo, now: Callable[[], datetime]
    ) -> None:
        self._ips = ips
        self._days = days
        self._zone = zone
        self._now = now
        self._touched: dict[tuple[str, str], date] = {}

    def ramp(self, ip: str, grouping: str) -> Warming | None:
        """Return a ramp; it is never slowed down where its configuration says so."""
        known = self._ips.find(ip)
        ramp = known.find(grouping) if known else None
        if ramp is None or not _never_slows(ramp.schedule):
            return ramp
        return replace(ramp, slowdown=Slowdown())

    def begin(self, whose: DayOf, ramp: Warming) -> None:
        """Do what is due: once with a new day, and when a slow-down is over."""
        key = (whose.ip, whose.grouping)
        if self._touched.get(key) != whose.date:
            self._days.close_before(whose, lambda day: _target_on(ramp.schedule, day))
            self._finish(whose, ramp)
            self._touched[key] = whose.date
        slowdown, now_s = ramp.slowdown, self._now_s()
        if (slowdown.backoff_open and now_s >= slowdown.backoff_until_s) or (
            slowdown.suspension_open and not slowdown.is_suspended(now_s)
        ):
            self.judge(whose.ip, whose.grouping)

    def _finish(self, whose: DayOf, ramp: Warming) -> None:
        end_date = ramp.schedule.end_date
        if ramp.finished or whose.date <= end_date:
            return
        last = self._days.newest(DayOf(whose.ip, whose.grouping, end_date))
        delivered = last.totals.delivered
        finished = FinishGrouping(whose.grouping, whose.date, delivered)
        self._ips.tell(whose.ip, finished)

    def judge(self, ip: str, grouping: str, feedback: Results | None = None) -> None:
        """Decide on the latest results, and on complaints as far as they are given."""
        ramp = self.ramp(ip, grouping)
        if ramp is None or _never_slows(ramp.schedule):
            return
        recent = self._recent(DayOf(ip, grouping, self._today().date), ramp)
        results = replace(
            feedback or Results(),
            attempted=recent.attempted,
            deferred=recent.deferred,
            blocked=recent.blocked,
            bounced=recent.bounced,
        )
        self._ips.tell(ip, JudgeResults(grouping, results))

    def _recent(self, today: DayOf, ramp: Warming) -> Outcome:
        """Sum up what counts for a slow-down now; shortly after midnight that began yesterday."""
        since_s = ramp.slowdown.counts_from_s(self._now_s())
        recent = self._days.newest(today).outcome_since(since_s)
        if since_s >= self._today().starts_s:
            return recent
        return recent + self._days.newest(today.before()).outcome_since(since_s)

    def _today(self) -> LocalDay:
        return local_day(self._now(), self._zone)

    def _now_s(self) -> float:
        return self._now().timestamp()


def _target_on(schedule: Schedule, day: date) -> int | None:
    if not schedule.start_date <= day <= schedule.end_date:
        return None
    return schedule.target_of(schedule.current_day(day))


def _never_slows(schedule: Schedule) -> bool:
    return SLOWDOWN_PROPERTY in (schedule.properties or {}).items()
