"""When recipients' servers push back, a warm-up goes slower or stops for a while by itself.

    deferred ≥ 20 % or 3 blocks ──▶ BACKOFF  a quarter of the hourly share for 1, 2, 4, 8 hours
    hard bounces ≥ 5 %          ──▶ SUSPEND  for 2 hours
    complaints ≥ 0.3 % (24 h)   ──▶ SUSPEND  until an operator resumes

Shares are of at least 50 results in 60 minutes (500 deliveries in 24 hours for complaints); a block
is a server's own word and needs no sample. Nothing here touches a plan or its pauses: it only
lowers grants, so the status falls behind by itself.
"""

from dataclasses import dataclass, replace
from math import ceil, inf
from typing import Final, Literal, assert_never

from signalbox.domain.gate import HOUR_S

WINDOW_S: Final = HOUR_S
FEEDBACK_WINDOW_S: Final = 86_400
RESULTS_MIN: Final = 50
BLOCKS_MIN: Final = 3
DEFERRED_PER_MILLE: Final = 200
BOUNCED_PER_MILLE: Final = 50
DELIVERED_MIN: Final = 500
COMPLAINTS_PER_MILLE: Final = 3

BACKOFF_S: Final = HOUR_S
BACKOFF_S_MAX: Final = 8 * HOUR_S
BACKOFF_DIVISOR: Final = 4
SUSPENSION_S: Final = 2 * HOUR_S
FORGOTTEN_AFTER_S: Final = 86_400  # a day without trouble, and the next backoff is short again

Reason = Literal["DEFERRED", "BLOCKED", "BOUNCED", "COMPLAINED"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Results:
    """What became of recipients: 60 minutes of attempts, 24 hours of deliveries and complaints."""

    attempted: int = 0
    deferred: int = 0
    blocked: int = 0
    bounced: int = 0
    delivered_24h: int = 0
    complaints_24h: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class WarmupBackoffStarted:
    """A grouping goes slower for `lasts_s`: `hits` of `sample` results were too many.

    The hourly share is divided by `divisor`.
    """

    grouping: str
    reason: Reason
    lasts_s: int
    sample: int
    hits: int
    divisor: int


@dataclass(frozen=True, slots=True)
class WarmupBackoffEnded:
    """A grouping goes at its full pace again. Told late: it did from the announced end on."""

    grouping: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WarmupSuspended:
    """A grouping was stopped for `lasts_s`, or until an operator resumes it (None)."""

    grouping: str
    reason: Reason
    lasts_s: int | None
    sample: int
    hits: int


@dataclass(frozen=True, slots=True)
class WarmupSuspensionLifted:
    """A grouping goes on, because the time was over or an operator said so."""

    grouping: str


Event = WarmupBackoffStarted | WarmupBackoffEnded | WarmupSuspended | WarmupSuspensionLifted


@dataclass(frozen=True, slots=True, kw_only=True)
class Slowdown:
    """What is in force. Times are Unix seconds; `suspended_until_s` is infinite without an end.

    `lifted_at_s` is when an operator last let it go on: nothing before counts against it again.
    """

    backoff_s: int = 0
    backoff_divisor: int = 1
    backoff_until_s: float = 0.0
    backoff_open: bool = False
    suspended_until_s: float = 0.0
    suspension_open: bool = False
    lifted_at_s: float = 0.0

    def divisor(self, now_s: float) -> int:
        """Return by how much the hourly share is divided."""
        return self.backoff_divisor if now_s < self.backoff_until_s else 1

    def is_slowed(self, now_s: float) -> bool:
        """Tell whether it goes slower already, or not at all."""
        return now_s < max(self.backoff_until_s, self.suspended_until_s)

    def is_suspended(self, now_s: float) -> bool:
        """Tell whether nothing may go."""
        return now_s < self.suspended_until_s

    def rest_s(self, now_s: float) -> int | None:
        """Return the seconds a suspension lasts yet; None without an end."""
        return None if self.suspended_until_s == inf else ceil(self.suspended_until_s - now_s)

    def counts_from_s(self, now_s: float, window_s: int = WINDOW_S) -> float:
        """Return from when on results count now."""
        return max(now_s - window_s, self.lifted_at_s)


def judge(grouping: str, slowdown: Slowdown, results: Results, now_s: float) -> tuple[Event, ...]:
    """Return what is over and what is done about the results; nothing while all goes well."""
    events: list[Event] = []
    if slowdown.backoff_open and now_s >= slowdown.backoff_until_s:
        events.append(WarmupBackoffEnded(grouping))
    if slowdown.suspension_open and not slowdown.is_suspended(now_s):
        events.append(WarmupSuspensionLifted(grouping))
    trouble: Event | None = _suspension(grouping, slowdown, results, now_s)
    trouble = trouble or _backoff(grouping, slowdown, results, now_s)
    return (*events, trouble) if trouble else tuple(events)


def evolve(slowdown: Slowdown, event: Event, at_s: float) -> Slowdown:
    """Apply one event that happened at `at_s` (Unix seconds)."""
    match event:
        case WarmupBackoffStarted():
            return replace(
                slowdown,
                backoff_s=event.lasts_s,
                backoff_divisor=event.divisor,
                backoff_until_s=at_s + event.lasts_s,
                backoff_open=True,
            )
        case WarmupBackoffEnded():
            return replace(slowdown, backoff_open=False)
        case WarmupSuspended():
            until_s = inf if event.lasts_s is None else at_s + event.lasts_s
            return replace(slowdown, suspended_until_s=until_s, suspension_open=True)
        case WarmupSuspensionLifted():
            early = slowdown.is_suspended(at_s)
            lifted_at_s = at_s if early else slowdown.lifted_at_s
            return replace(
                slowdown, suspended_until_s=0.0, suspension_open=False, lifted_at_s=lifted_at_s
            )
        case _:
            assert_never(event)


def _suspension(
    grouping: str, slowdown: Slowdown, results: Results, now_s: float
) -> WarmupSuspended | None:
    """Return a suspension stronger than the one in force."""
    complained = _exceeds(
        results.complaints_24h, results.delivered_24h, COMPLAINTS_PER_MILLE, DELIVERED_MIN
    )
    if complained and slowdown.suspended_until_s < inf:
        return WarmupSuspended(
            grouping=grouping,
            reason="COMPLAINED",
            lasts_s=None,
            sample=results.delivered_24h,
            hits=results.complaints_24h,
        )
    bounced = _exceeds(results.bounced, results.attempted, BOUNCED_PER_MILLE, RESULTS_MIN)
    if bounced and not slowdown.is_suspended(now_s):
        return WarmupSuspended(
            grouping=grouping,
            reason="BOUNCED",
            lasts_s=SUSPENSION_S,
            sample=results.attempted,
            hits=results.bounced,
        )
    return None


def _backoff(
    grouping: str, slowdown: Slowdown, results: Results, now_s: float
) -> WarmupBackoffStarted | None:
    if slowdown.is_slowed(now_s):
        return None
    blocked = results.blocked >= BLOCKS_MIN
    deferred = _exceeds(results.deferred, results.attempted, DEFERRED_PER_MILLE, RESULTS_MIN)
    if not blocked and not deferred:
        return None
    again = slowdown.backoff_s and now_s < slowdown.backoff_until_s + FORGOTTEN_AFTER_S
    return WarmupBackoffStarted(
        grouping=grouping,
        reason="BLOCKED" if blocked else "DEFERRED",
        lasts_s=min(BACKOFF_S_MAX, 2 * slowdown.backoff_s) if again else BACKOFF_S,
        sample=results.attempted,
        hits=results.blocked if blocked else results.deferred,
        divisor=BACKOFF_DIVISOR,
    )


def _exceeds(hits: int, sample: int, per_mille: int, sample_min: int) -> bool:
    return sample >= sample_min and hits * 1000 >= sample * per_mille
