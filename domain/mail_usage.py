"""How many mails an account has sent lately: counted when an attempt is stored, and with it.

    UsageTaken ──▶ UsageTaken ──▶ …      a stream for each account and day, "mail_usage-<key>-<day>"

Only accounts with limits have such streams. The windows slide: what was taken leaves a window of
60 seconds 60 seconds later, not with the minute.
"""

from bisect import bisect_right, insort
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

STREAM_PREFIX: Final = "mail_usage-"
LATE_S: Final = 10.0  # a mail that has not come by then to what was planned for it won't come

Limits = Sequence[tuple[int, int]]
"""(seconds, mails that may be sent in them), as `MailAccount.limits` has them."""


@dataclass(frozen=True, slots=True)
class UsageTaken:
    """So many mails of an account were attempted at once."""

    count: int


def stream_of(key: str, day: str) -> str:
    """Return the stream of an account, by a digest that stands for it, on a day ("yyyy-mm-dd")."""
    return f"{STREAM_PREFIX}{key}-{day}"


@dataclass(slots=True)
class Usage:
    """What an account took lately, and what is planned for it; times are Unix seconds.

    It is a tally that one dispatcher keeps, rebuilt from the streams; so it changes in place.
    """

    _taken: list[float] = field(default_factory=list)
    _planned: list[float] = field(default_factory=list)

    def take(self, count: int, at_s: float) -> None:
        """Count mails that were attempted at a time, in any order."""
        insort(self._taken, at_s)
        self._taken.extend([at_s] * (count - 1))
        if count > 1:
            self._taken.sort()
        del self._planned[: min(count, bisect_right(self._planned, at_s))]

    def give_back(self, at_s: float) -> None:
        """Take back one that was counted at that time: it was no attempt after all."""
        place = bisect_right(self._taken, at_s) - 1
        if place >= 0 and self._taken[place] == at_s:
            del self._taken[place]

    def room(self, limits: Limits, now_s: float) -> int | None:
        """Return how many may be sent now; None when there is no limit."""
        rooms = [most - self._used(window_s, now_s) for window_s, most in limits]
        return max(0, min(rooms)) if rooms else None

    def plan(self, limits: Limits, now_s: float) -> float:
        """Return when one more may be sent, behind all that were taken or planned before."""
        del self._planned[: bisect_right(self._planned, now_s - LATE_S)]
        at_s = max([now_s, *(self._freed_s(window_s, most) for window_s, most in limits)])
        insort(self._planned, at_s)
        return at_s

    def forget_before(self, at_s: float) -> None:
        """Let go of what no window reaches back to."""
        del self._taken[: bisect_right(self._taken, at_s)]

    def _used(self, window_s: int, now_s: float) -> int:
        return len(self._taken) - bisect_right(self._taken, now_s - window_s)

    def _freed_s(self, window_s: int, most: int) -> float:
        """Return when the window has room behind what was planned last."""
        behind = most - len(self._planned)
        if behind <= 0:
            return self._planned[-most] + window_s
        return self._taken[-behind] + window_s if behind <= len(self._taken) else 0.0
