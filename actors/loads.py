"""How busy the links of the pools are, as every process knows it.

    LinkSession ─▶ Vitals ─▶ LoadReports ─▶ table link_loads ─▶ Loads, in every process

These are readings, not events: nobody will ever ask what a queue's length was, and who reads one
that is half a second old sends a message to a link that is a little busier than it seemed. What was
not reported for `FRESH_S` is not believed: the relay that wrote it has gone.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, LiteralString

import gevent
from psycopg.rows import tuple_row

from signalbox.domain import link as links
from signalbox.eventstore.postgres import Broken, borrowed

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from signalbox.eventstore.postgres import Pool

log = logging.getLogger(__name__)

REPORT_S: Final = 0.5
FRESH_S: Final = 3.0
COUNTED_MAX: Final = 10_000  # a longer queue is not measured any more: it is too long anyway

_WAITING: Final[LiteralString] = """
    SELECT actor_id, (
        SELECT count(*) FROM (
            SELECT FROM signalbox.inbox AS i
            WHERE i.actor_id = a.actor_id AND i.kind = 'submit' LIMIT %s) AS counted)
    FROM unnest(%s::text[]) AS a (actor_id)
"""
_WRITE: Final[LiteralString] = """
    INSERT INTO signalbox.link_loads (link_id, bound, wait_s, rate_per_s, free_parts)
    SELECT * FROM unnest(%s::int[], %s::bool[], %s::float8[], %s::float8[], %s::int[])
    ON CONFLICT (link_id) DO UPDATE
    SET bound = excluded.bound, wait_s = excluded.wait_s, rate_per_s = excluded.rate_per_s,
        free_parts = excluded.free_parts, seen_at = clock_timestamp()
"""
_READ: Final[LiteralString] = """
    SELECT link_id, bound, wait_s, rate_per_s, free_parts FROM signalbox.link_loads
    WHERE link_id = ANY(%s) AND seen_at > clock_timestamp() - make_interval(secs => %s)
"""


@dataclass(slots=True)
class Vitals:
    """What a session says of itself. `wait_s` is told back: how long a new part would wait.

    `attempted` counts parts since the session began; `rate_per_s` is how many a second may leave
    now, 0 for no limit; `held_up_s` how long parts wait already, or will, without any leaving.
    """

    bound: bool = False
    in_use: int = 0
    free_parts: int = 0
    attempted: int = 0
    rate_per_s: float = 0.0
    held_up_s: float = 0.0
    wait_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Load:
    """A link as it was reported."""

    link_id: int
    bound: bool
    wait_s: float
    rate_per_s: float
    free_parts: int

    def with_part(self) -> Load:
        """Return the load with one part more."""
        longer_s = 1 / self.rate_per_s if self.free_parts <= 0 else 0.0
        return replace(self, free_parts=self.free_parts - 1, wait_s=self.wait_s + longer_s)


def queued_messages(pool: Pool, link_id: int) -> int:
    """Return how many messages wait for a link, COUNTED_MAX at most. Raises: `Unavailable`."""
    with borrowed(pool) as connection:
        row = connection.execute(_WAITING, (COUNTED_MAX, [links.stream_of(link_id)])).fetchone()
    assert row is not None
    return int(row["count"])


class Loads:
    """The newest readings of the links that `wanted` names."""

    def __init__(self, pool: Pool, wanted: Callable[[], Collection[int]]) -> None:
        self._pool = pool
        self._wanted = wanted
        self._loads: dict[int, Load] = {}
        self._greenlet = gevent.spawn(self._run)

    def of(self, link_id: int) -> Load | None:
        """Return the load of a link, None when nobody runs it or it is in no pool."""
        return self._loads.get(link_id)

    def add_part(self, link_id: int) -> None:
        """Reckon with a part of ours that the next reading will show."""
        load = self._loads.get(link_id)
        if load is not None:
            self._loads[link_id] = load.with_part()

    def close(self) -> None:
        """Stop reading."""
        self._greenlet.kill()

    def _run(self) -> None:
        while True:
            link_ids = self._wanted()
            if link_ids:
                try:
                    self._loads = self._read(link_ids)
                except Broken as error:
                    log.info("loads can't be read", extra={"error": str(error)})
            gevent.sleep(REPORT_S)

    def _read(self, link_ids: Collection[int]) -> dict[int, Load]:
        with self._pool.connection() as connection:
            cursor = connection.cursor(row_factory=tuple_row)
            rows = cursor.execute(_READ, (list(link_ids), FRESH_S)).fetchall()
        return {row[0]: Load(*row) for row in rows}


class LoadReports:
    """Writes the loads of the sessions of this process, as long as they are in a pool."""

    def __init__(self, pool: Pool, sessions: Callable[[], Mapping[int, Vitals]]) -> None:
        self._pool = pool
        self._sessions = sessions
        self._attempted: dict[int, int] = {}
        self._greenlet = gevent.spawn(self._run)

    def close(self) -> None:
        """Stop reporting."""
        self._greenlet.kill()

    def _run(self) -> None:
        while True:
            vitals = self._sessions()
            if vitals:
                try:
                    self._report(vitals)
                except Broken as error:
                    log.info("loads can't be written", extra={"error": str(error)})
            gevent.sleep(REPORT_S)

    def _report(self, vitals: Mapping[int, Vitals]) -> None:
        actors = {links.stream_of(link_id): link_id for link_id in vitals}
        with self._pool.connection() as connection:
            cursor = connection.cursor(row_factory=tuple_row)
            counted = cursor.execute(_WAITING, (COUNTED_MAX, list(actors))).fetchall()
            waiting: dict[str, int] = dict(counted)
            loads = [
                self._load(link_id, vitals[link_id], waiting[actor])
                for actor, link_id in actors.items()
            ]
            columns = zip(*((x.link_id, x.bound, x.wait_s, x.rate_per_s, x.free_parts)
                            for x in loads), strict=True)  # fmt: skip
            cursor.execute(_WRITE, [list(column) for column in columns])
        self._attempted = {link_id: one.attempted for link_id, one in vitals.items()}

    def _load(self, link_id: int, vitals: Vitals, messages: int) -> Load:
        attempted = vitals.attempted - self._attempted.get(link_id, vitals.attempted)
        rate_per_s = vitals.rate_per_s or max(attempted / REPORT_S, 1.0)
        queued_s = max(0, messages - vitals.in_use) / rate_per_s
        vitals.wait_s = max(queued_s, vitals.held_up_s)
        return Load(link_id, vitals.bound, vitals.wait_s, rate_per_s, vitals.free_parts)
