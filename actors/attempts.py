"""How often something failed lately, counted in the database: all processes share the count.

A window begins with its first failure. Failed log-ins are no events: nobody decides on them later,
and whoever guesses passwords must not be able to grow the log.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeVar

from signalbox.actors.directory import store
from signalbox.domain.errors import TooManyAttempts, WrongCredentials

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from signalbox.eventstore.postgres import Pool

T = TypeVar("T")

_COUNT: Final = """
    INSERT INTO signalbox.login_failures AS f (key, failures, window_ends_at)
    SELECT key, 1, clock_timestamp() + make_interval(secs => %(window_s)s)
    FROM unnest(%(keys)s::text[]) AS key
    ON CONFLICT (key) DO UPDATE SET
        failures = CASE WHEN f.window_ends_at > clock_timestamp() THEN f.failures + 1 ELSE 1 END,
        window_ends_at = CASE WHEN f.window_ends_at > clock_timestamp()
            THEN f.window_ends_at ELSE excluded.window_ends_at END
"""
_COUNT_BELOW: Final = f"""{_COUNT}
    WHERE f.window_ends_at <= clock_timestamp() OR f.failures < %(max)s
    RETURNING failures
"""
_TAKE_BACK: Final = """
    UPDATE signalbox.login_failures SET failures = failures - 1
    WHERE key = %s AND failures > 0 AND window_ends_at > clock_timestamp()
"""
_PRUNE: Final = """
    DELETE FROM signalbox.login_failures WHERE key IN (
        SELECT key FROM signalbox.login_failures WHERE window_ends_at < clock_timestamp()
        FOR UPDATE SKIP LOCKED)
"""
_RECENT: Final = """
    SELECT key, failures,
        ceil(extract(epoch FROM window_ends_at - clock_timestamp()))::int AS ends_in_s
    FROM signalbox.login_failures WHERE key = ANY(%s) AND window_ends_at > clock_timestamp()
"""
_COUNT_ONE: Final = """
    INSERT INTO signalbox.login_failures AS f (key, failures, window_ends_at)
    VALUES (%(key)s, 1, clock_timestamp() + make_interval(
        secs => CASE WHEN %(max)s = 1 THEN %(lock_s)s ELSE %(window_s)s END))
    ON CONFLICT (key) DO UPDATE SET
        failures = CASE WHEN f.window_ends_at > clock_timestamp() THEN f.failures + 1 ELSE 1 END,
        window_ends_at = CASE
            WHEN f.window_ends_at <= clock_timestamp() THEN excluded.window_ends_at
            WHEN f.failures + 1 = %(max)s
                THEN clock_timestamp() + make_interval(secs => %(lock_s)s)
            ELSE f.window_ends_at END
    RETURNING failures
"""


@dataclass(frozen=True, slots=True)
class Failures:
    """How often a key failed in its window, and the whole seconds until that ends."""

    count: int = 0
    ends_in_s: int = 0


class Attempts:
    """Failures per key and window of `window_s` seconds. Its methods raise `Unavailable`."""

    def __init__(self, pool: Pool, window_s: float) -> None:
        self._pool = pool
        self._window_s = window_s

    def log_in(
        self, failures_max: Mapping[str, int], clears: str, check: Callable[[], T | None]
    ) -> T:
        """Return whom `check` recognised, and forget the failures of the key `clears`.

        Raises:
            TooManyAttempts: one of the keys has reached its number of failures.
            WrongCredentials: `check` found nobody, which counts for each of them.
        """
        self.refuse_beyond(failures_max)
        found = check()
        if found is None:
            self.count(failures_max)
            raise WrongCredentials
        # Guesses that ran at the same time as this one may have used up the attempts.
        self.refuse_beyond(failures_max)
        self.clear(clears, failures_max[clears])
        return found

    def refuse_beyond(self, failures_max: Mapping[str, int]) -> None:
        """Raise `TooManyAttempts` when one of the keys has reached its number of failures."""
        recent = self.recent(failures_max)
        full = [one.ends_in_s for key, one in recent.items() if one.count >= failures_max[key]]
        if full:
            raise TooManyAttempts(max(full))

    def recent(self, keys: Iterable[str]) -> dict[str, Failures]:
        """Return the failures of each key that has some, whoever counted them."""
        with store(), self._pool.connection() as connection:
            rows = connection.execute(_RECENT, (list(keys),)).fetchall()
        return {row["key"]: Failures(row["failures"], row["ends_in_s"]) for row in rows}

    def count(self, keys: Iterable[str]) -> None:
        """Count one failure for each of the keys."""
        # In one order for everybody: two that count the same keys never wait for each other.
        ordered = {"keys": sorted(keys), "window_s": self._window_s}
        with store(), self._pool.connection() as connection:
            connection.execute(_PRUNE)
            connection.execute(_COUNT, ordered)

    def count_until(self, failures_max: int, key: str, *, lock_s: float) -> bool:
        """Count one failure of a key; tell whether it was the one that is too many.

        From that one on the window lasts `lock_s` seconds, whatever follows.
        """
        counted = {"key": key, "max": failures_max, "lock_s": lock_s, "window_s": self._window_s}
        with store(), self._pool.connection() as connection:
            connection.execute(_PRUNE)
            row = connection.execute(_COUNT_ONE, counted).fetchone()
        assert row is not None, "RETURNING"
        return bool(row["failures"] == failures_max)

    def count_below(self, failures_max: int, key: str) -> None:
        """Count one of a key that has not reached that number.

        Raises: `TooManyAttempts` for one that has; it is not counted then.
        """
        counted = {"keys": [key], "max": failures_max, "window_s": self._window_s}
        with store(), self._pool.connection() as connection:
            connection.execute(_PRUNE)
            row = connection.execute(_COUNT_BELOW, counted).fetchone()
        if row is None:
            raise TooManyAttempts(self.recent([key]).get(key, Failures()).ends_in_s)

    def take_back(self, key: str) -> None:
        """Count one of a key less."""
        with store(), self._pool.connection() as connection:
            connection.execute(_TAKE_BACK, (key,))

    def clear(self, key: str, failures_max: int) -> None:
        """Forget the failures of a key, unless they have reached that number."""
        query = "DELETE FROM signalbox.login_failures WHERE key = %s AND failures < %s"
        with store(), self._pool.connection() as connection:
            connection.execute(query, (key, failures_max))
