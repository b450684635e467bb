"""What the gate of IP warm-up is asked for, and what it answers; see `warmup_gate`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Literal

from signalbox.actors.ids import uuid7
from signalbox.actors.sending_days import DayOf, Wanted
from signalbox.domain import gate

if TYPE_CHECKING:
    from signalbox.domain.gate import Allowance
    from signalbox.domain.sending_day import Granted
    from signalbox.domain.warmup_status import LocalDay

Reason = gate.Reason | Literal["EXCLUDED", "NO_IPS"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """So many recipients, and repeats, may be sent to from an address, now.

    `reservation_id` is empty where nothing is counted. `over_target` mail goes although the day has
    no room for it: its outcome is written down, its volume is not taken from the day.
    """

    ip: str
    grouping: str
    date: date
    recipients: int
    repeats: int = 0
    reservation_id: str = ""
    over_target: bool = False

    @property
    def day(self) -> DayOf:
        """The day it was taken from."""
        return DayOf(self.ip, self.grouping, self.date)


@dataclass(frozen=True, slots=True)
class Denied:
    """Nothing may be sent: why, and when to ask again; None: never."""

    reason: Reason
    retry_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Mail:
    """What somebody wants to send; `over_target` when it must not wait."""

    grouping: str
    recipients: int
    repeats: int = 0
    over_target: bool = False

    @property
    def wanted(self) -> Wanted:
        """What its reservation asks of the day."""
        new, again = self.recipients, self.repeats
        counted, free = (0, new + again) if self.over_target else (new, again)
        return Wanted(reservation_id=str(uuid7()), recipients=counted, repeats=free)


def grant_of(whose: DayOf, mail: Mail, granted: Granted, reservation_id: str = "") -> Grant:
    """Return the grant of a day's answer."""
    over = mail.over_target
    return Grant(
        ip=whose.ip,
        grouping=whose.grouping,
        date=whose.date,
        recipients=mail.recipients if over else granted.recipients,
        repeats=mail.repeats if over else granted.repeats,
        reservation_id=reservation_id,
        over_target=over,
    )


def held_by(allowance: Allowance, day: LocalDay) -> Denied:
    """Return the denial of an allowance that holds everything."""
    answer = gate.admit(allowance, gate.Use(), 1)
    assert isinstance(answer, gate.Denial), allowance
    return Denied(answer.reason, time_of(day.starts_s + day.elapsed_s + answer.retry_in_s))


def midnight_after(day: LocalDay) -> datetime:
    """Return when the next day begins."""
    return time_of(day.starts_s + day.length_s)


def time_of(at_s: float) -> datetime:
    """Return Unix seconds as a time."""
    return datetime.fromtimestamp(at_s, UTC)
