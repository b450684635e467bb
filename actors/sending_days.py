"""The days of addresses that are warmed up: volume reserved, settled, and closed, in any process.

A day is one small stream. Whoever reserves reads its new end, decides, and appends with the version
that follows; of several who do so at once one is first and the others decide again. So however many
processes there are, the sum of their grants is what a single one would grant.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Final

from signalbox.actors.streams import Streams
from signalbox.domain import sending_day as domain
from signalbox.domain.names import names_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from signalbox.domain.gate import Allowance
    from signalbox.domain.names import Event
    from signalbox.domain.sending_day import Denied, Granted, Outcome, SendingDay
    from signalbox.eventstore.journal import Journal
    from signalbox.eventstore.log import EventLog

DAYS_BACK: Final = 35  # a day that nobody looked after for so long stays open

_RESERVED: Final = names_of(domain.VolumeReserved)
_CLOSED: Final = names_of(domain.WarmupDayClosed)


@dataclass(frozen=True, slots=True)
class DayOf:
    """Whose day: a canonical address, a grouping, a local date."""

    ip: str
    grouping: str
    date: date

    @property
    def stream_id(self) -> str:
        """Its stream."""
        return domain.stream_of(self.ip, self.grouping, self.date)

    def before(self, days: int = 1) -> DayOf:
        """Return an earlier one."""
        return DayOf(self.ip, self.grouping, self.date - timedelta(days=days))


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """So many recipients of a day, and so many that were counted on this day before."""

    reservation_id: str
    recipients: int
    repeats: int = 0


class SendingDays:
    """Every day of every address and grouping. Its methods raise `Unavailable`."""

    def __init__(self, log: EventLog, journal: Journal) -> None:
        self._log = log
        self._streams: Streams[SendingDay] = Streams(log, journal, domain.SendingDay(), _evolve)

    def remembered(self, day: DayOf) -> SendingDay:
        """Return a day as this process last saw it."""
        return self._streams.remembered(day.stream_id)

    def newest(self, day: DayOf) -> SendingDay:
        """Return a day as the log has it."""
        return self._streams.newest(day.stream_id)

    def reserve(
        self, day: DayOf, wanted: Wanted, allowance: Callable[[float], Allowance]
    ) -> Granted | Denied:
        """Take what there is room for; what is granted is stored.

        `allowance` is asked at the time of each decision (Unix seconds).
        """
        answers: list[Granted | Denied] = []

        def decide(state: SendingDay, now_s: float) -> tuple[Event, ...]:
            command = domain.ReserveVolume(
                reservation_id=wanted.reservation_id,
                recipients=wanted.recipients,
                repeats=wanted.repeats,
                allowance=allowance(now_s),
            )
            answers.append(domain.admit(state, command, now_s))
            return domain.decide(state, command, now_s)

        self._streams.change(day.stream_id, decide)
        return answers[-1]

    def settle(self, day: DayOf, reservation_id: str, outcome: Outcome, released: int) -> None:
        """Write down what became of a reservation, once."""
        command = domain.SettleVolume(
            reservation_id=reservation_id, outcome=outcome, released=released
        )
        self._streams.change(
            day.stream_id, lambda state, now_s: domain.decide(state, command, now_s)
        )

    def close_before(self, day: DayOf, target_on: Callable[[date], int | None]) -> None:
        """Close the days before this one that had traffic, oldest first, each once."""
        for left in self._open_before(day):
            self._close(left, domain.CloseDay(target_on(left.date)))

    def _close(self, day: DayOf, command: domain.CloseDay) -> None:
        self._streams.change(
            day.stream_id, lambda state, now_s: domain.decide(state, command, now_s)
        )

    def _open_before(self, day: DayOf) -> list[DayOf]:
        """Return the days with traffic behind the last one that was closed, oldest first."""
        days = [day.before(back) for back in range(DAYS_BACK, 0, -1)]
        closed = self._with_any(days, _CLOSED)
        last = max((one.date for one in closed), default=date.min)
        return self._with_any([one for one in days if one.date > last], _RESERVED)

    def _with_any(self, days: list[DayOf], topics: tuple[str, ...]) -> list[DayOf]:
        with self._log.turns:
            found = self._log.read_many([one.stream_id for one in days], topics)
        streams = {recorded.stream_id for recorded in found}
        return [one for one in days if one.stream_id in streams]


def _evolve(state: SendingDay, event: Event, at_s: float) -> SendingDay:
    assert isinstance(event, domain.Event), event
    return domain.evolve(state, event, at_s)
