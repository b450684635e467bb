"""Token buckets that all processes share: together they spend at most `burst + rate_per_s * t`.

    take, acquire ──▶ tokens in hand ──(none left)──▶ one UPSERT by the database's clock ──▶ a grant

A bucket is a row of an UNLOGGED table: after a crash of Postgres it is full again, no more than
that. A process takes what it needs for `GRANT_S` seconds at most and spends it without asking; what
it has not spent after `HELD_S` seconds is void. While the store is away each process keeps a bucket
of its own: whoever is let in by that meets the absent store anyway.
"""

from __future__ import annotations

import logging
from collections import deque
from math import ceil
from time import monotonic
from typing import TYPE_CHECKING, Final, LiteralString

import gevent
import psycopg
from gevent.event import Event
from psycopg.rows import tuple_row

from signalbox.domain.pacing import TokenBucket
from signalbox.eventstore.errors import Unavailable
from signalbox.eventstore.postgres import borrowed

if TYPE_CHECKING:
    from collections.abc import Callable

    from signalbox.eventstore.postgres import Pool

log = logging.getLogger(__name__)

GRANT_S: Final = 0.05  # a grant is for so long at the full rate, or for one token
HELD_S: Final = 1.0
PAUSE_S: Final = 0.02  # an empty bucket is asked no sooner, however high its rate
ANSWER_S: Final = 0.5  # a store that takes longer is away
AWAY_S: Final = 1.0  # how often it is asked then whether it is back

# `excluded.updated_at` is one reading of the clock, so what is granted is what has passed. It is
# older than the row's when this statement has waited for another one.
_TAKE: Final[LiteralString] = """
    INSERT INTO signalbox.rate_buckets AS b (key, granted, tokens, updated_at)
    VALUES (%(key)s, least(%(wanted)s, floor(%(burst)s)),
            %(burst)s - least(%(wanted)s, floor(%(burst)s)), clock_timestamp())
    ON CONFLICT (key) DO UPDATE SET (granted, tokens, updated_at) = (
        SELECT least(%(wanted)s, floor(filled)), filled - least(%(wanted)s, floor(filled)),
               greatest(b.updated_at, excluded.updated_at)
        FROM (SELECT least(%(burst)s, b.tokens + %(rate)s * greatest(
                0, extract(epoch FROM excluded.updated_at - b.updated_at)))) AS bucket (filled))
    RETURNING granted::int, greatest(0, 1 - tokens) / %(rate)s
"""


class Quota:
    """One bucket as this process sees it. A rate of 0 sets no limit and asks nobody.

    `burst`, at least 1, is what a bucket nobody has used for a while lets through at once.
    """

    def __init__(self, pool: Pool, key: str, rate_per_s: float, burst: float) -> None:
        self._pool = pool
        self._key = key
        self._wanting: deque[Callable[[], None]] = deque()
        self._greenlets: dict[str, gevent.Greenlet] = {}
        self._answered = Event()
        self._grant_size = 0
        self._is_away = False
        self.set_rate(rate_per_s, burst)

    def set_rate(self, rate_per_s: float, burst: float) -> None:
        """Change the limit from now on; what is in hand is void."""
        self._rate_per_s = rate_per_s
        self._burst = max(burst, 1.0)
        self._own = TokenBucket(rate_per_s, self._burst)
        self._tokens = 0
        self._void_at_s = self._empty_until_s = 0.0

    def take(self) -> bool:
        """Take one of the tokens in hand; never waits."""
        if not self._rate_per_s:
            return True
        now_s = monotonic()
        if self._tokens and now_s < self._void_at_s:
            self._tokens -= 1
            return True
        return self._is_away and self._own.take(now_s)

    def acquire(self) -> float:
        """Take one token, from the store when none is in hand.

        Return 0.0 when it is taken, else the seconds until one is due: until then the store is not
        asked again, so that a flood costs it nothing.
        """
        while not self.take():
            wait_s = self._wait_s()
            if wait_s > 0:
                return wait_s
            self._ask_and_wait()
        return 0.0

    def want(self, call: Callable[[], None]) -> None:
        """Call when tokens are in hand for `take`: one caller at a time, first come first served.

        A caller that is waiting already keeps its place.
        """
        if call not in self._wanting:
            self._wanting.append(call)
        self._start("serving", self._serve)

    def close(self) -> None:
        """Stop asking; nobody who still waits is called."""
        self._wanting.clear()
        gevent.killall(list(self._greenlets.values()), block=False)

    def _wait_s(self) -> float:
        """Return how long there will be nothing to take, whoever is asked."""
        now_s = monotonic()
        return self._own.wait_s(now_s) if self._is_away else self._empty_until_s - now_s

    def _serve(self) -> None:
        while self._wanting:
            if self._has_tokens():
                self._wanting.popleft()()
                gevent.sleep(0)  # The one who was called takes what it needs, then it's the next's.
            elif (wait_s := self._wait_s()) > 0:
                gevent.sleep(wait_s)
            else:
                self._ask_and_wait()

    def _has_tokens(self) -> bool:
        now_s = monotonic()
        if not self._rate_per_s or (self._tokens and now_s < self._void_at_s):
            return True
        return self._is_away and self._own.available(now_s) >= 1

    def _ask_and_wait(self) -> None:
        """Ask, all who wait at the same time together; a store that does not answer is away."""
        self._start("asking", self._ask)
        if not self._answered.wait(ANSWER_S):
            self._do_without("no answer")

    def _start(self, name: str, run: Callable[[], None]) -> None:
        greenlet = self._greenlets.get(name)
        if greenlet is None or greenlet.ready():
            if name == "asking":
                self._answered.clear()
            self._greenlets[name] = gevent.spawn(run)

    def _ask(self) -> None:
        asked_s = monotonic()
        wanted, limit = self._wanted(), (self._rate_per_s, self._burst)
        try:
            granted, wait_s = self._grant(wanted)
        except (Unavailable, psycopg.Error) as error:
            self._do_without(str(error))
        else:
            self._is_away = False
            if limit == (self._rate_per_s, self._burst):
                self._tokens, self._void_at_s = granted, asked_s + HELD_S
                if granted < wanted:
                    self._empty_until_s = monotonic() + max(wait_s, PAUSE_S)
        finally:
            self._answered.set()

    def _wanted(self) -> int:
        """Double what is asked for while it gets spent; what this process leaves others can use."""
        grew = self._grant_size * 2 if not self._tokens else self._grant_size // 2
        largest = min(self._rate_per_s * GRANT_S, self._burst)
        self._grant_size = max(1, min(grew, ceil(largest)))
        return self._grant_size

    def _grant(self, wanted: int) -> tuple[int, float]:
        bucket = {"key": self._key, "wanted": wanted, "burst": float(self._burst),
                  "rate": float(self._rate_per_s)}  # fmt: skip
        with borrowed(self._pool) as connection:
            row = connection.cursor(row_factory=tuple_row).execute(_TAKE, bucket).fetchone()
        assert row is not None
        return int(row[0]), float(row[1])

    def _do_without(self, reason: str) -> None:
        """Let this process's own bucket decide, and nobody wait, until the store answers again."""
        if not self._is_away:
            log.warning("quota without its store", extra={"quota": self._key, "reason": reason})
        self._is_away = True
        self._start("returning", self._return)

    def _return(self) -> None:
        while self._is_away:
            gevent.sleep(AWAY_S)
            self._ask()
