"""Bodies of what operators are told about warm-ups; names and shapes are ours.

A day is a local date. Recipients are counted, each once per message and day.
"""

from __future__ import annotations

from datetime import date  # noqa: TC003  msgspec looks these three up
from typing import TYPE_CHECKING, Annotated, Final, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from signalbox.domain import ramp
from signalbox.domain.gate import Reason  # noqa: TC001
from signalbox.domain.warmup_status import WarmupStatus  # noqa: TC001
from signalbox.http.sms_proxy.wire import data
from signalbox.http.warmup.wire import ScheduledDay
from signalbox.projections import warmup_views as views

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from signalbox.domain.ramp import Schedule
    from signalbox.http.sms_proxy.wire import Data
    from signalbox.projections.warmup import DayRow, IpRow

FACTOR_DIGITS: Final = 5

Date = Annotated[str, Meta(extra_json_schema={"format": "date"})]


class GroupingToday(msgspec.Struct, frozen=True, kw_only=True):
    """A ramp today. Of `cap`, which is null without a limit, `granted` is taken.

    `day` 0 is before the start, `target` null when there is no ramp on this date. `reason` is why
    nothing may go now; the limit of the last 60 minutes is not looked at. The hourly share is
    divided by `slowdown`, 1 at full pace.
    """

    grouping: str
    status: WarmupStatus
    date: date
    day: int
    days: int
    target: int | None
    cap: int | None
    granted: int
    remaining: int | None
    attempted: int
    delivered: int
    reason: Reason | None
    slowdown: int


class IpToday(msgspec.Struct, frozen=True):
    """An address today."""

    ip: str
    groupings: list[GroupingToday]


class HistoryQuery(msgspec.Struct, rename={"since": "from", "until": "to"}):
    """Which days, both included: the last 30 unless it is said, 366 at most."""

    since: Date | UnsetType = UNSET
    until: Date | UnsetType = UNSET


class HistoryDay(msgspec.Struct, frozen=True, kw_only=True):
    """What a day brought; today's may yet change. Nine tenths of the target are enough."""

    date: date
    target: int
    attempted: int
    delivered: int
    deferred: int
    bounced: int
    met: bool


class GroupingHistory(msgspec.Struct, frozen=True):
    """The days of a grouping, oldest first."""

    grouping: str
    days: list[HistoryDay]


class IpHistory(msgspec.Struct, frozen=True):
    """The days of an address."""

    ip: str
    groupings: list[GroupingHistory]


class SteepDay(msgspec.Struct, frozen=True):
    """A day for which more is planned than senders are advised to send."""

    day: int
    date: date
    messages: int
    messages_max: int


class Preview(msgspec.Struct, frozen=True, kw_only=True):
    """What a configuration would mean; `daily_factor` is the mean one."""

    grouping: str
    mode: Literal["AUTO", "MANUAL"]
    days: list[ScheduledDay]
    total: int
    daily_factor: float
    warnings: list[SteepDay]


class SteepRamp(msgspec.Struct, frozen=True):
    """A ramp that is steeper than advised on some days."""

    ip: str
    grouping: str
    warnings: list[SteepDay]


def today(statuses: Iterable[views.IpStatus]) -> Data[list[IpToday]]:
    """Return what may go today and what went."""
    return data([IpToday(one.ip, [_today(of) for of in one.groupings]) for one in statuses])


def history(found: views.IpHistory) -> Data[IpHistory]:
    """Return what went."""
    groupings = [
        GroupingHistory(grouping, [_day(day) for day in days])
        for grouping, days in found.groupings.items()
    ]
    return data(IpHistory(found.ip, groupings))


def preview(schedule: Schedule) -> Data[Preview]:
    """Return what a ramp would be."""
    return data(
        Preview(
            grouping=schedule.grouping,
            mode=schedule.mode,
            days=[ScheduledDay(on, day, messages) for day, on, messages in schedule.days()],
            total=sum(schedule.messages),
            daily_factor=round(_daily_factor(schedule.messages), FACTOR_DIGITS),
            warnings=_steep_days(schedule),
        )
    )


def warnings(rows: Iterable[IpRow]) -> Data[list[SteepRamp]]:
    """Return the ramps that are steeper than advised."""
    return data(
        [
            SteepRamp(row.ip, schedule.grouping, steep)
            for row in rows
            for schedule in row.schedules
            if (steep := _steep_days(schedule))
        ]
    )


def _today(one: views.GroupingStatus) -> GroupingToday:
    outcome = one.today.outcome
    return GroupingToday(
        grouping=one.schedule.grouping,
        status=one.status,
        date=one.today.date,
        day=one.current_day,
        days=len(one.schedule.messages),
        target=one.target,
        cap=one.cap,
        granted=one.today.used,
        remaining=one.remaining,
        attempted=outcome.attempted,
        delivered=outcome.delivered,
        reason=one.reason,
        slowdown=one.slowdown,
    )


def _day(day: DayRow) -> HistoryDay:
    outcome = day.outcome
    return HistoryDay(
        date=day.date,
        target=day.target,
        attempted=outcome.attempted,
        delivered=outcome.delivered,
        deferred=outcome.deferred,
        bounced=outcome.bounced,
        met=views.met(day),
    )


def _steep_days(schedule: Schedule) -> list[SteepDay]:
    dates = {day: on for day, on, _ in schedule.days()}
    return [
        SteepDay(one.day, dates[one.day], one.messages, one.messages_max)
        for one in ramp.steep_days(schedule.messages)
    ]


def _daily_factor(messages: Sequence[int]) -> float:
    steps = len(messages) - 1
    return float((messages[-1] / messages[0]) ** (1 / steps)) if steps else 1.0
