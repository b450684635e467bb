"""How much of a day's volume may go now: a pure gate in integers.

    CAP     used today        <  T
    PACE    used today        <  R(t) = min(T, ceil(T · min(t + 3600, L) / L))
    HOURLY  used in 60 min    <  H    = max(1, ceil(T / 8)), a part of it while slowed down

T is the day's target, t the seconds since local midnight, L the day's length (23 to 25 hours). So
volume is released evenly, one hour ahead: no burst at midnight, and a quiet morning can be made up
at three times the even rate. What counts is recipients.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

HOUR_S: Final = 3_600
HOURS_OF_A_TARGET: Final = 8  # a day's target can go in eight hours, not faster

Hold = Literal["PAUSED", "NOTSTARTED", "SUSPENDED"]
Limit = Literal["CAP", "PACE", "HOURLY"]
Reason = Hold | Limit | Literal["CLOSED"]

LeavingS = int
Recipients = int


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowance:
    """What a grouping may get from an address, as things stand at this second of its day.

    `target` None sets no limit. A `hold` stops everything, for at least `hold_s` when that is
    known. `slowdown` divides the hourly share.
    """

    target: int | None
    elapsed_s: int
    length_s: int
    hold: Hold | None = None
    hold_s: int | None = None
    slowdown: int = 1

    @property
    def rest_s(self) -> int:
        """The seconds until the next local midnight."""
        return self.length_s - self.elapsed_s


@dataclass(frozen=True, slots=True)
class Use:
    """What has gone already: today, and within the last hour with the seconds until it is over."""

    day: int = 0
    hour: Sequence[tuple[LeavingS, Recipients]] = ()

    @property
    def last_hour(self) -> int:
        """The recipients of the last 60 minutes."""
        return sum(recipients for _, recipients in self.hour)


@dataclass(frozen=True, slots=True)
class Grant:
    """So many may go."""

    recipients: int


@dataclass(frozen=True, slots=True)
class Denial:
    """None may go: why, and after how many seconds one may, or else the day is over."""

    reason: Reason
    retry_in_s: int


def admit(allowance: Allowance, use: Use, wanted: int) -> Grant | Denial:
    """Grant as many of the wanted recipients as every limit lets through, at least one."""
    target = allowance.target
    if allowance.hold is not None:
        rest_s = allowance.rest_s
        return Denial(allowance.hold, min(rest_s, allowance.hold_s or rest_s))
    if target is None:
        return Grant(wanted)
    rooms: dict[Limit, int] = {
        "CAP": target - use.day,
        "PACE": released(target, allowance.elapsed_s, allowance.length_s) - use.day,
        "HOURLY": hourly_max(target, allowance.slowdown) - use.last_hour,
    }
    for limit, room in rooms.items():
        if room <= 0:
            return Denial(limit, _retry_in_s(limit, target, allowance, use))
    return Grant(min(wanted, *rooms.values()))


def released(target: int, elapsed_s: int, length_s: int) -> int:
    """Return how much of the target may have gone by now."""
    return min(target, _ceil(target * min(elapsed_s + HOUR_S, length_s), length_s))


def hourly_max(target: int, slowdown: int = 1) -> int:
    """Return how much may go within 60 minutes, at least one."""
    return max(1, _ceil(target, HOURS_OF_A_TARGET) // slowdown)


def _retry_in_s(limit: Limit, target: int, allowance: Allowance, use: Use) -> int:
    """Return the seconds until all limits leave room for one; the rest of the day at most."""
    if limit == "CAP":
        return allowance.rest_s
    paced_in_s = use.day * allowance.length_s // target + 1 - HOUR_S - allowance.elapsed_s
    hourly_in_s = _hourly_in_s(hourly_max(target, allowance.slowdown), use.hour)
    return min(allowance.rest_s, max(paced_in_s, hourly_in_s))


def _hourly_in_s(share: int, hour: Sequence[tuple[LeavingS, Recipients]]) -> int:
    left = sum(recipients for _, recipients in hour)
    wait_s = 0
    for leaving_s, recipients in sorted(hour):
        if left < share:
            break
        left -= recipients
        wait_s = leaving_s
    return wait_s


def _ceil(dividend: int, divisor: int) -> int:
    return -(-dividend // divisor)
