"""One recipient grouping's ramp on one address: what holds now, and what the gate has to know."""

from dataclasses import dataclass, field, replace
from typing import Self

from signalbox.domain import slowdown as slowdowns
from signalbox.domain.gate import Allowance
from signalbox.domain.ramp import Schedule
from signalbox.domain.warmup_status import History, LocalDay


@dataclass(frozen=True, slots=True)
class Warming:
    """A ramp, since when it is as it is, and what slows it down."""

    schedule: Schedule
    history: History
    slowdown: slowdowns.Slowdown = field(default_factory=slowdowns.Slowdown)
    finished: bool = False

    @classmethod
    def begun(cls, schedule: Schedule, at_s: float) -> Self:
        """Return the ramp as it begins, paused or running."""
        history = History(at_s)
        return cls(schedule, history.paused(at_s) if schedule.paused else history)

    @property
    def grouping(self) -> str:
        """Whose mail it is for."""
        return self.schedule.grouping

    def allowance(self, day: LocalDay, now_s: float) -> Allowance:
        """Return what the gate has to know at this moment of this day."""
        free = Allowance(
            target=self.schedule.cap_on(day.date),
            elapsed_s=day.elapsed_s,
            length_s=day.length_s,
            slowdown=self.slowdown.divisor(now_s),
        )
        if self.schedule.paused:
            return replace(free, hold="PAUSED")
        if day.date < self.schedule.start_date:
            return replace(free, hold="NOTSTARTED")
        if self.slowdown.is_suspended(now_s):
            return replace(free, hold="SUSPENDED", hold_s=self.slowdown.rest_s(now_s))
        return free

    def switched(self, at_s: float, *, paused: bool) -> Self:
        """Return it paused or running."""
        return self.replaced(replace(self.schedule, paused=paused), at_s)

    def replaced(self, schedule: Schedule, at_s: float) -> Self:
        """Return it with another configuration; only another plan makes it another ramp."""
        history = self.history.switched(
            at_s, was_paused=self.schedule.paused, is_paused=schedule.paused
        )
        if schedule.plan == self.schedule.plan:
            return replace(self, schedule=schedule, history=history)
        history = replace(history, configured_at_s=at_s)
        return replace(self, schedule=schedule, history=history, finished=False)

    def slowed(self, event: slowdowns.Event, at_s: float) -> Self:
        """Return it after an event of its slow-down."""
        return replace(self, slowdown=slowdowns.evolve(self.slowdown, event, at_s))
