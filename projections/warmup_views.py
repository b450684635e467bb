"""How warm-ups stand at a moment, and how they went: views of the rows of `warmup`.

All that depends on the clock is told here, from the rows and the moment alone; reading changes
nothing. Dates are local ones of the zone that is asked for.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from signalbox.domain import gate
from signalbox.domain.ramp import is_met
from signalbox.domain.warmup_status import LocalDay, WarmupStatus, facts_of, local_day, status_of
from signalbox.projections import warmup as warmups
from signalbox.projections.warmup import DayRow

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import date, tzinfo

    from signalbox.domain.ramp import Schedule
    from signalbox.domain.warming import Warming
    from signalbox.projections.projection import Cursor

DAY: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupingStatus:
    """How a ramp stands.

    `cap` is what may go on its `today.date`, None without a limit. `reason` is why nothing may go
    at the moment, None when something may as far as the day's volume and pace are concerned; the
    volume of the last 60 minutes, a limit of its own, is known to the gate only. `slowdown` divides
    the hourly share.
    """

    schedule: Schedule
    status: WarmupStatus
    current_day: int
    cap: int | None
    reason: gate.Reason | None
    slowdown: int
    today: DayRow

    @property
    def target(self) -> int | None:
        """What is planned for today, paused or not; None before the start and after the end."""
        if self.schedule.start_date <= self.today.date <= self.schedule.end_date:
            return self.schedule.target_of(self.current_day)
        return None

    @property
    def remaining(self) -> int | None:
        """What may go yet today, None without a limit; used up when the cap was cut below it."""
        return None if self.cap is None else max(0, self.cap - self.today.used)


@dataclass(frozen=True, slots=True)
class IpStatus:
    """An address, its ramps in the order they were given, and the clock's seconds east of UTC."""

    ip: str
    offset_s: int
    groupings: tuple[GroupingStatus, ...]


@dataclass(frozen=True, slots=True)
class IpHistory:
    """The days of each grouping of an address, oldest first; those without a ramp come last."""

    ip: str
    groupings: Mapping[str, Sequence[DayRow]]


def find_status(
    cursor: Cursor, now_s: float, zone: tzinfo, ip: str | None = None
) -> list[IpStatus]:
    """Return how the addresses, or the one (canonical), stand at `now_s` (Unix seconds)."""
    now = datetime.fromtimestamp(now_s, UTC)
    today = local_day(now, zone)
    days = warmups.find_days(cursor, today.date - DAY, today.date, ip)
    return [
        IpStatus(
            row.ip,
            today.offset_s,
            tuple(
                _stands(warming, days.get((row.ip, warming.grouping), ()), now, today, zone)
                for warming in row.warmings
            ),
        )
        for row in warmups.find_ips(cursor, ip)
    ]


def find_history(
    cursor: Cursor, now_s: float, zone: tzinfo, ip: str, since: date, until: date
) -> IpHistory | None:
    """Return what went from an address on the dates from `since` to `until`, both included.

    A day of a ramp without traffic is there too, since the ramp was configured as it is now. Days
    to come are not. None when nothing is known of the address.
    """
    until = min(until, datetime.fromtimestamp(now_s, zone).date())
    rows = warmups.find_ips(cursor, ip)
    if not rows and not warmups.has_days(cursor, ip):
        return None
    days = warmups.find_days(cursor, since, until, ip)
    groupings: dict[str, Sequence[DayRow]] = {}
    for warming in (warming for row in rows for warming in row.warmings):
        with_traffic = days.get((ip, warming.grouping), ())
        groupings[warming.grouping] = _days(warming, with_traffic, zone, since, until)
    return IpHistory(ip, groupings | {g: d for (_, g), d in days.items() if g not in groupings})


def met(day: DayRow) -> bool:
    """Tell whether a day reached its target, so far."""
    return is_met(day.outcome.delivered, day.target)


def _stands(
    warming: Warming, days: Sequence[DayRow], now: datetime, today: LocalDay, zone: tzinfo
) -> GroupingStatus:
    schedule = warming.schedule
    delivered = {day.date: day.outcome.delivered for day in days}
    facts = facts_of(warming.history, delivered, now, zone)
    counted = next((day for day in days if day.date == today.date), DayRow(date=today.date))
    allowance = warming.allowance(today, now.timestamp())
    answer = gate.admit(allowance, gate.Use(counted.used), 1)
    return GroupingStatus(
        schedule=schedule,
        status=status_of(schedule, facts, today.date),
        current_day=schedule.current_day(today.date),
        cap=allowance.target,
        reason=answer.reason if isinstance(answer, gate.Denial) else None,
        slowdown=allowance.slowdown,
        today=counted,
    )


def _days(
    warming: Warming, with_traffic: Sequence[DayRow], zone: tzinfo, since: date, until: date
) -> list[DayRow]:
    planned = {day.date: day for day in _planned(warming, zone, since, until)}
    counted = {day.date: _as_planned(day, planned.get(day.date)) for day in with_traffic}
    return [day for _, day in sorted((planned | counted).items())]


def _planned(warming: Warming, zone: tzinfo, since: date, until: date) -> Iterator[DayRow]:
    """Yield the days of a ramp since it is as it is, as if there had been no traffic."""
    configured = datetime.fromtimestamp(warming.history.configured_at_s, zone).date()
    for _, on, messages in warming.schedule.days():
        if max(since, configured) <= on <= until:
            yield DayRow(date=on, target=messages)


def _as_planned(day: DayRow, planned: DayRow | None) -> DayRow:
    """Return a day that is not closed with the target it has now."""
    if planned is None or day.closed:
        return day
    return DayRow(date=day.date, target=planned.target, used=day.used, outcome=day.outcome)
