"""How often something failed lately, counted in the database: all processes share the count.

A window begins with its first failure. Failed log-ins are no events: nobody decides on them later,
and whoever guesses passwords must not be able to grow the log.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from signalbox.domain.errors import TooManyAttempts

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from signalbox.eventstore.postgres import Pool

_COUNT: Final = """
    INSERT INTO signalbox.login_failures AS f (key, failures, window_ends_at)
    SELECT key, 1, clock_timestamp() + make_interval(secs => %(window_s)s)
    FROM unnest(%(keys)s::text[]) AS key
    ON CONFLICT (key) DO UPDATE SET
        failures = CASE WHEN f.window_ends_at > clock_timestamp() THEN f.failures + 1 ELSE 1 END,
        window_ends_at = CASE WHEN f.window_ends_at > clock_timestamp()
            THEN f.window_ends_at ELSE excluded.window_ends_at END
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


class Attempts:
    """Failures per key and window of `window_s` seconds."""

    def __init__(self, pool: Pool, window_s: float) -> None:
        self._pool = pool
        self._window_s = window_s

    def refuse_beyond(self, failures_max: Mapping[str, int]) -> None:
        """Raise `TooManyAttempts` when one of the keys has reached its number of failures."""
        with self._pool.connection() as connection:
            rows = connection.execute(_RECENT, (list(failures_max),)).fetchall()
        full = [row["ends_in_s"] for row in rows if row["failures"] >= failures_max[row["key"]]]
        if full:
            raise TooManyAttempts(max(full))

    def count(self, keys: Iterable[str]) -> None:
        """Count one failure for each of the keys."""
        # In one order for everybody: two that count the same keys never wait for each other.
        ordered = {"keys": sorted(keys), "window_s": self._window_s}
        with self._pool.connection() as connection:
            connection.execute(_PRUNE)
            connection.execute(_COUNT, ordered)

    def clear(self, key: str) -> None:
        """Forget the failures of a key."""
        with self._pool.connection() as connection:
            connection.execute("DELETE FROM signalbox.login_failures WHERE key = %s", (key,))
