"""The plan of one warm-up: how many messages on which day, and whether that is too steep.

    AUTO:   m(i) = round_half_up(s · (e/s)^((i-1)/(n-1))), i = 1 … n, first and last day exact
    MANUAL: the operator's own numbers

The curve is geometric as every published ramp is. Days are local dates; the calendar never shifts.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Context, Decimal, localcontext
from typing import Final, Literal, Self

DAYS_MAX: Final = 1_000
VOLUME_MAX: Final = 1_000_000_000
MET_PERCENT: Final = 90  # SparkPost's condition for the next stage

Mode = Literal["AUTO", "MANUAL"]

_EXACT: Final = Context(prec=50)  # digits, 40 of them behind the point: the same on any machine


@dataclass(frozen=True, slots=True)
class Point:
    """Where a ramp begins or ends."""

    date: date
    volume: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """What one recipient grouping may get from an address, `messages` on each day.

    The plan of an automatic ramp is stored as it was computed, so that it stays what it was.
    `properties` is handed on untouched, None when none were given.
    """

    grouping: str
    mode: Mode
    start_date: date
    messages: tuple[int, ...]
    paused: bool = False
    properties: dict[str, str] | None = None

    @classmethod
    def auto(cls, grouping: str, start: Point, end: Point) -> Self:
        """Plan a geometric ramp between two points, both days included."""
        days = (end.date - start.date).days + 1
        messages = auto_ramp(start.volume, end.volume, days)
        return cls(grouping=grouping, mode="AUTO", start_date=start.date, messages=messages)

    @property
    def start(self) -> Point:
        """The first day."""
        return Point(self.start_date, self.messages[0])

    @property
    def end(self) -> Point:
        """The last day."""
        return Point(self.end_date, self.messages[-1])

    @property
    def end_date(self) -> date:
        """The last day's date."""
        return self.start_date + timedelta(days=len(self.messages) - 1)

    @property
    def plan(self) -> tuple[Mode, date, tuple[int, ...]]:
        """What makes it another ramp when it changes."""
        return self.mode, self.start_date, self.messages

    def current_day(self, local_date: date) -> int:
        """Return the day's number: 0 before the start, 1 on the first day, the last one's after."""
        return max(0, min((local_date - self.start_date).days + 1, len(self.messages)))

    def target_of(self, day: int) -> int:
        """Return the messages of day `day` (1-based)."""
        assert 1 <= day <= len(self.messages), day
        return self.messages[day - 1]

    def cap_on(self, local_date: date) -> int | None:
        """Return what may be sent on a date: 0 while paused or not started, None without limit."""
        if self.paused or local_date < self.start_date:
            return 0
        if local_date > self.end_date:
            return None
        return self.target_of(self.current_day(local_date))

    def days(self) -> Iterator[tuple[int, date, int]]:
        """Yield each day's number, date and messages."""
        for index, messages in enumerate(self.messages):
            yield index + 1, self.start_date + timedelta(days=index), messages


@dataclass(frozen=True, slots=True)
class SteepDay:
    """A day above the published advice: `messages` are planned, `messages_max` are advised."""

    day: int
    messages: int
    messages_max: int


def auto_ramp(start_volume: int, end_volume: int, days: int) -> tuple[int, ...]:
    """Return the messages of each day of a geometric ramp."""
    assert 1 <= start_volume <= end_volume <= VOLUME_MAX, (start_volume, end_volume)
    assert 1 <= days <= DAYS_MAX, days
    if days == 1:
        return (end_volume,)
    middle: list[int] = []
    with localcontext(_EXACT):
        volume = Decimal(start_volume)
        daily_factor = ((Decimal(end_volume) / volume).ln() / (days - 1)).exp()
        for _ in range(days - 2):
            volume *= daily_factor
            middle.append(int(volume.to_integral_value(ROUND_HALF_UP)))
    return (start_volume, *middle, end_volume)


def is_met(delivered: int, target: int) -> bool:
    """Tell whether a day's volume counts as reached."""
    return delivered * 100 >= target * MET_PERCENT


def steep_days(messages: tuple[int, ...]) -> tuple[SteepDay, ...]:
    """Return the days that rise faster than advised; worth a warning, never refused.

    A day is compared with the most any day before it had: coming back from a quiet weekend is no
    rise. The advice is iPost's: double below 50,000 a day, half as much again up to 100,000, a
    fifth up to 250,000, then a tenth.
    """
    steep: list[SteepDay] = []
    reached = messages[0]
    for day, planned in enumerate(messages[1:], start=2):
        messages_max = reached * _advised_percent(reached) // 100
        if planned > messages_max:
            steep.append(SteepDay(day, planned, messages_max))
        reached = max(reached, planned)
    return tuple(steep)


_ADVISED_PERCENT: Final = ((50_000, 200), (100_000, 150), (250_000, 120))
_ADVISED_PERCENT_ABOVE: Final = 110


def _advised_percent(reached: int) -> int:
    percents = (percent for below, percent in _ADVISED_PERCENT if reached < below)
    return next(percents, _ADVISED_PERCENT_ABOVE)
