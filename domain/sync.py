"""When a tenant's server is called: with reports, or only to hear whether it has something to send.

    it owes nothing ──▶ every `interval_s`, or soon when it said that it has more
    reports wait    ──▶ at once
    no proper answer ──▶ after a pause that grows
    asked for       ──▶ at once, whatever the rest says

A server may ask to be left alone until some moment: then it is as if it was called at that moment.
Times are Unix seconds.
"""

from dataclasses import dataclass, replace
from typing import Final

FIRST_PAUSE_S: Final = 1.0
JITTER: Final = 0.25  # the longest lengthening of a pause, as a share of it
REST_S_MAX: Final = 366 * 86_400.0
"""How long a server may want to be left alone: what is further off is a mistake."""


@dataclass(frozen=True, slots=True)
class Rhythm:
    """How often a server is called: without need, when it has more, after failures.

    No two calls begin within `gap_s`.
    """

    interval_s: float = 300.0
    soon_s: float = 1.0
    gap_s: float = 0.2
    pause_s_max: float = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Reached:
    """The server took what it was told; it has more to send, or wants to rest until then."""

    has_more: bool = False
    rest_until_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class NotReached:
    """It did not; `wait_s` is what it asked for, `jitter` (0 to 1) lengthens the pause."""

    wait_s: float = 0.0
    jitter: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Sync:
    """How it stands with one server: when it was last reached, and for when it was put off.

    `synced_at_s` is in the future while the server rests, 0 if it was never reached.
    """

    synced_at_s: float = 0.0
    called_at_s: float = 0.0
    not_before_s: float = 0.0
    failures: int = 0
    has_more: bool = False


def begun(sync: Sync, at_s: float) -> Sync:
    """Return how it stands when the server is called at `at_s`."""
    return replace(sync, called_at_s=at_s)


def answered(sync: Sync, outcome: Reached | NotReached, at_s: float, rhythm: Rhythm) -> Sync:
    """Return how it stands when the call has come to something at `at_s`."""
    match outcome:
        case Reached(has_more=has_more, rest_until_s=rest_until_s):
            synced_at_s = max(at_s, min(rest_until_s, at_s + REST_S_MAX))
            more = has_more and synced_at_s == at_s
            return Sync(synced_at_s=synced_at_s, called_at_s=sync.called_at_s, has_more=more)
        case NotReached(wait_s=wait_s, jitter=jitter):
            pause_s = FIRST_PAUSE_S * 2.0 ** min(sync.failures, 30)
            pause_s = min(max(pause_s, wait_s), rhythm.pause_s_max) * (1 + JITTER * jitter)
            return replace(sync, failures=sync.failures + 1, not_before_s=at_s + pause_s)


def due_at_s(
    sync: Sync, rhythm: Rhythm, *, owes: bool, asked: bool, calls_idle: bool, rests: bool
) -> float | None:
    """Return when the server is to be called next; None: not before something happens.

    `owes` says that reports wait, `asked` that somebody wants a call now, `calls_idle` that the
    server is called without need at all, `rests` that its rest goes before reports too.
    """
    soonest_s = sync.called_at_s + rhythm.gap_s
    if asked:
        return soonest_s
    if owes:
        return max(soonest_s, sync.not_before_s, sync.synced_at_s if rests else 0.0)
    if not calls_idle:
        return None
    pause_s = rhythm.soon_s if sync.has_more else rhythm.interval_s
    return max(soonest_s, sync.not_before_s, sync.synced_at_s + pause_s)
