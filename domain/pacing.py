"""How fast a link may send, and how patiently it returns: three small machines without a clock.

Every time is seconds of one monotonic clock the caller reads; random numbers are the caller's too.
"""

from typing import Final

_SLACK_TOKENS: Final = 1e-3  # what float rounding may owe after waiting `wait_s`

_PAUSE_S_MIN: Final = 1.0
_PAUSE_S_MAX: Final = 30.0
_FACTOR_MIN: Final = 0.05
_FACTOR_CUT: Final = 0.75
_FACTOR_STEP: Final = 0.05
_FACTOR_STEP_S: Final = 10.0


class TokenBucket:
    """Lets `rate_per_s` tokens a second pass, up to `burst` at once; a rate of 0 sets no limit.

    Taking more than the burst waits for a full bucket and leaves a debt, so the rate still holds.
    """

    __slots__ = ("_burst", "_rate_per_s", "_tokens", "_updated_s")

    def __init__(self, rate_per_s: float, burst: float) -> None:
        self._rate_per_s = rate_per_s
        self._burst = burst
        self._tokens = burst
        self._updated_s = 0.0

    def take(self, now_s: float, tokens: float = 1) -> bool:
        """Take the tokens if they are there; tell whether they were."""
        if self.wait_s(now_s, tokens) > 0:
            return False
        if self._rate_per_s:
            self._tokens -= tokens
        return True

    def wait_s(self, now_s: float, tokens: float = 1) -> float:
        """Return the seconds until `take` of as many would succeed; 0 if it would now."""
        if not self._rate_per_s:
            return 0.0
        self._refill(now_s)
        missing = min(tokens, self._burst) - self._tokens
        return missing / self._rate_per_s if missing > _SLACK_TOKENS else 0.0

    def available(self, now_s: float) -> float:
        """Return how many tokens could be taken now; infinitely many without a limit."""
        if not self._rate_per_s:
            return float("inf")
        self._refill(now_s)
        return max(0.0, self._tokens)

    def set_rate(self, rate_per_s: float, now_s: float) -> None:
        """Change the rate from now on; what has gathered so far stays."""
        self._refill(now_s)
        self._rate_per_s = rate_per_s

    def _refill(self, now_s: float) -> None:
        elapsed_s = max(0.0, now_s - self._updated_s)
        self._tokens = min(self._burst, self._tokens + elapsed_s * self._rate_per_s)
        self._updated_s = max(self._updated_s, now_s)


class Throttle:
    """Answers "throttled" with a pause and a lower rate, and wins the rate back step by step.

    Additive increase, multiplicative decrease. What arrives during a pause was sent before it and
    tells nothing new.
    """

    __slots__ = ("_next_pause_s", "_raised_s", "factor", "paused_until_s")

    def __init__(self) -> None:
        self.factor = 1.0
        """The share of the link's rate to use now."""
        self.paused_until_s = 0.0
        self._next_pause_s = _PAUSE_S_MIN
        self._raised_s = 0.0

    def on_throttled(self, now_s: float) -> None:
        """Pause, each time twice as long, and send more slowly afterwards."""
        if now_s < self.paused_until_s:
            return
        self.paused_until_s = self._raised_s = now_s + self._next_pause_s
        self._next_pause_s = min(_PAUSE_S_MAX, 2 * self._next_pause_s)
        self.factor = max(_FACTOR_MIN, self.factor * _FACTOR_CUT)

    def on_accepted(self, now_s: float) -> None:
        """Forget how long the pauses had become; raise the rate if it is time."""
        if now_s < self.paused_until_s:
            return
        self._next_pause_s = _PAUSE_S_MIN
        steps = (now_s - self._raised_s) // _FACTOR_STEP_S
        self.factor = min(1.0, self.factor + steps * _FACTOR_STEP)
        self._raised_s += steps * _FACTOR_STEP_S


class Backoff:
    """Doubles the wait between attempts to connect, until a bind has lasted `reset_after_s`."""

    __slots__ = ("_bound_s", "_initial_s", "_jitter", "_max_s", "_next_s", "_reset_after_s")

    def __init__(
        self,
        initial_s: float = 1.0,
        max_s: float = 60.0,
        jitter: float = 0.2,
        reset_after_s: float = 60.0,
    ) -> None:
        self._initial_s = initial_s
        self._max_s = max_s
        self._jitter = jitter
        self._reset_after_s = reset_after_s
        self._next_s = initial_s
        self._bound_s: float | None = None

    def next_s(self, random: float) -> float:
        """Return the seconds to wait, spread by `random` (0 to 1) so that links spread out too."""
        wait_s = self._next_s
        self._next_s = min(self._max_s, 2 * wait_s)
        return wait_s * (1 + self._jitter * (2 * random - 1))

    def bound(self, now_s: float) -> None:
        """Note that the link is bound."""
        self._bound_s = now_s

    def lost(self, now_s: float) -> None:
        """Note that the link is gone; start over if it had held long enough."""
        if self._bound_s is not None and now_s - self._bound_s >= self._reset_after_s:
            self._next_s = self._initial_s
        self._bound_s = None
