"""How a warm-up stands: its status word, and the local day that everything about it is told by.

Only yesterday and today count, and yesterday only when the ramp ran all day: a missed day can't be
made up, so a sum over all days would stay behind for ever.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from enum import StrEnum
from typing import Final

from signalbox.domain.ramp import Schedule, is_met

PAUSES_KEPT_S: Final = 4 * 86_400  # yesterday begins 50 hours ago at most; the rest is reserve

_DAY: Final = timedelta(days=1)


class WarmupStatus(StrEnum):
    """The five words."""

    PAUSED = "PAUSED"
    NOTSTARTED = "NOTSTARTED"
    FINISHED = "FINISHED"
    BEHIND = "BEHIND"
    ONSCHEDULE = "ONSCHEDULE"


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalDay:
    """A date somewhere, at one moment of it.

    `starts_s` is its midnight in Unix seconds, `length_s` 23 to 25 hours, `offset_s` the seconds
    east of UTC at the moment.
    """

    date: date
    starts_s: int
    elapsed_s: int
    length_s: int
    offset_s: int


@dataclass(frozen=True, slots=True)
class Pause:
    """A stretch of time (Unix seconds) in which nothing was sent; `to_s` None: it lasts."""

    from_s: float
    to_s: float | None = None


@dataclass(frozen=True, slots=True)
class History:
    """Since when a ramp is as it is, and its latest pauses, oldest first."""

    configured_at_s: float
    pauses: tuple[Pause, ...] = ()

    def paused(self, at_s: float) -> "History":
        """Return the history with a pause from now on, without those nobody asks for any more."""
        kept = (one for one in self.pauses if (one.to_s or at_s) >= at_s - PAUSES_KEPT_S)
        return replace(self, pauses=(*kept, Pause(at_s)))

    def resumed(self, at_s: float) -> "History":
        """Return the history with the last pause at its end."""
        *before, last = self.pauses
        return replace(self, pauses=(*before, replace(last, to_s=at_s)))

    def switched(self, at_s: float, *, was_paused: bool, is_paused: bool) -> "History":
        """Return the history after the flag was set, to what it was or anew."""
        if was_paused == is_paused:
            return self
        return self.paused(at_s) if is_paused else self.resumed(at_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """Recipients that got it, and whether yesterday may be judged."""

    delivered_yesterday: int = 0
    delivered_today: int = 0
    yesterday_judged: bool = False


def status_of(schedule: Schedule, facts: Facts, local_date: date) -> WarmupStatus:
    """Return the status word; the first that fits."""
    if schedule.paused:
        return WarmupStatus.PAUSED
    if local_date < schedule.start_date:
        return WarmupStatus.NOTSTARTED
    if local_date > schedule.end_date:
        return WarmupStatus.FINISHED
    if _is_behind(schedule, facts, local_date):
        return WarmupStatus.BEHIND
    return WarmupStatus.ONSCHEDULE


def facts_of(
    history: History, delivered: Mapping[date, int], now_utc: datetime, zone: tzinfo
) -> Facts:
    """Gather what `status_of` wants from the deliveries by local date."""
    today = now_utc.astimezone(zone).date()
    yesterday = today - _DAY
    return Facts(
        delivered_yesterday=delivered.get(yesterday, 0),
        delivered_today=delivered.get(today, 0),
        yesterday_judged=is_judged(history, midnight_s(yesterday, zone), midnight_s(today, zone)),
    )


def is_judged(history: History, starts_s: float, ends_s: float) -> bool:
    """Tell whether a ramp was there before a day began and ran through all of it."""
    if history.configured_at_s >= starts_s:
        return False
    return not any(
        pause.from_s < ends_s and (pause.to_s is None or pause.to_s > starts_s)
        for pause in history.pauses
    )


def local_day(now_utc: datetime, zone: tzinfo) -> LocalDay:
    """Return the local day a moment belongs to. The moment must be aware."""
    assert now_utc.tzinfo is not None, now_utc
    local = now_utc.astimezone(zone)
    offset = local.utcoffset()
    assert offset is not None, zone
    starts_s = midnight_s(local.date(), zone)
    length_s = midnight_s(local.date() + _DAY, zone) - starts_s
    return LocalDay(
        date=local.date(),
        starts_s=starts_s,
        # Where clocks go back over midnight, the last hour of a date comes twice.
        elapsed_s=min(int(now_utc.timestamp()) - starts_s, length_s - 1),
        length_s=length_s,
        offset_s=int(offset.total_seconds()),
    )


def midnight_s(day: date, zone: tzinfo) -> int:
    """Return when a local date begins, Unix seconds: the first midnight where it comes twice."""
    return int(datetime.combine(day, time(), zone).astimezone(UTC).timestamp())


def _is_behind(schedule: Schedule, facts: Facts, local_date: date) -> bool:
    day = schedule.current_day(local_date)
    if day == 1 or not facts.yesterday_judged:
        return False
    missed = not is_met(facts.delivered_yesterday, schedule.target_of(day - 1))
    return missed and not is_met(facts.delivered_today, schedule.target_of(day))
