"""The table of live lines: by it the processes know of each other's, and find those of dead ones.

    connect ─▶ beside ─▶ the event's transaction ──┐
    sims ─▶ touch ──────────┐                      ▼
    every `renew_s`, all ───┴▶ one statement ─▶ table phone_lines ─▶ elsewhere, expired

A row comes and goes with what the log has of its line: whoever dies in between, or never learns
that its line is stored, leaves it behind, and somebody stores the end. Times are the database's.
"""

from __future__ import annotations

import json
import logging
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, LiteralString

import gevent
import psycopg
from gevent.event import Event
from psycopg.rows import tuple_row

from signalbox.actors.phone_line import OnlineLine
from signalbox.actors.streams import Beside
from signalbox.domain.phone import PhoneConnected, SimCard
from signalbox.eventstore.errors import Unavailable
from signalbox.eventstore.postgres import borrowed
from signalbox.eventstore.recorder import LineRow

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from signalbox.actors.phone_line import HeldLine, LineKey
    from signalbox.domain import names
    from signalbox.eventstore.log import EventLog

log = logging.getLogger(__name__)

RETRY_S: Final = 0.5
EXPIRED_MAX: Final = 1_000

_WRITE: Final[LiteralString] = """
    INSERT INTO signalbox.phone_lines
        (phone_id, connection, owner, process, anonymous, sims, seen_at, expires_at)
    SELECT phone_id, connection, owner, %s, anonymous, sims::json, to_timestamp(seen_at_s),
           clock_timestamp() + make_interval(secs => %s)
    FROM unnest(%s::text[], %s::bigint[], %s::text[], %s::bool[], %s::text[], %s::float8[])
        AS l (phone_id, connection, owner, anonymous, sims, seen_at_s)
    ON CONFLICT (phone_id, connection) DO UPDATE
    SET sims = excluded.sims, seen_at = excluded.seen_at, expires_at = excluded.expires_at
"""
_REMOVE: Final[LiteralString] = """
    DELETE FROM signalbox.phone_lines AS l
    USING unnest(%s::text[], %s::bigint[]) AS gone (phone_id, connection)
    WHERE l.phone_id = gone.phone_id AND l.connection = gone.connection
"""
_COLUMNS: Final[LiteralString] = """
    SELECT owner, phone_id, connection, sims, extract(epoch FROM seen_at)::float8, anonymous
    FROM signalbox.phone_lines
"""
_ELSEWHERE: Final[LiteralString] = (
    _COLUMNS + " WHERE owner = ANY(%s) AND process <> %s AND expires_at > clock_timestamp()"
)
_EXPIRED: Final[LiteralString] = (
    _COLUMNS + " WHERE expires_at <= clock_timestamp() ORDER BY expires_at LIMIT %s"
)


class PhoneRows:
    """The rows of this process's lines, and what others wrote. What reads raises `Unavailable`."""

    def __init__(
        self,
        log_: EventLog,
        process: str,
        lines: Callable[[], Sequence[HeldLine]],
        *,
        ttl_s: float,
        renew_s: float,
    ) -> None:
        self._log = log_
        self._process = process
        self._lines = lines
        self._ttl_s = ttl_s
        self._renew_s = renew_s
        self._touched: set[HeldLine] = set()
        self._gone: set[LineKey] = set()
        self._wake = Event()
        self._greenlet = gevent.spawn(self._run)

    def beside(self, events: Sequence[names.Event], *, anonymous: bool, seen_at_s: float) -> Beside:
        """Return the rows that are stored with new connections, so that none is without one."""
        rows = tuple(
            LineRow(
                phone_id=event.phone_id,
                connection=event.connection,
                owner=event.owner,
                process=self._process,
                anonymous=anonymous,
                seen_at_s=seen_at_s,
                ttl_s=self._ttl_s,
            )
            for event in events
            if isinstance(event, PhoneConnected)
        )
        return Beside(lines=rows)

    def touch(self, held: HeldLine) -> None:
        """Write a line's row again soon."""
        self._touched.add(held)
        self._wake.set()

    def remove(self, line: LineKey) -> None:
        """Delete a row soon."""
        self._gone.add(line)
        self._wake.set()

    def elsewhere(self, owners: Sequence[str]) -> list[OnlineLine]:
        """Return the lines that other processes hold for these owners."""
        return self._read(_ELSEWHERE, (list(owners), self._process))

    def expired(self) -> list[OnlineLine]:
        """Return lines nobody renews any more, `EXPIRED_MAX` at most."""
        return self._read(_EXPIRED, (EXPIRED_MAX,))

    def close(self) -> None:
        """Stop writing; what was asked for by now is written if the store is there."""
        self._greenlet.kill()
        try:
            self._write_what_changed()
        except Unavailable as error:
            log.info("lines can't be written", extra={"error": error.reason})

    def _run(self) -> None:
        renewed_s = monotonic()
        while True:
            self._wake.wait(max(0.0, renewed_s + self._renew_s - monotonic()))
            self._wake.clear()
            if monotonic() >= renewed_s + self._renew_s:
                self._touched.update(self._lines())
                renewed_s = monotonic()
            try:
                self._write_what_changed()
            except Unavailable as error:
                log.warning("lines can't be written", extra={"error": error.reason})
            except psycopg.Error:
                log.exception("lines can't be written")
            else:
                continue
            self._wake.set()
            gevent.sleep(RETRY_S)

    def _write_what_changed(self) -> None:
        """Write, then delete: whatever is to go may have been on its way in."""
        touched, self._touched = self._touched, set()
        gone, self._gone = self._gone, set()
        if not touched and not gone:
            return
        try:
            with self._log.turns, borrowed(self._log.pool) as connection:
                connection.execute(_WRITE, (self._process, self._ttl_s, *_columns(touched)))
                phone_ids, connections = [key[0] for key in gone], [key[1] for key in gone]
                connection.execute(_REMOVE, (phone_ids, connections))
        except BaseException:
            self._touched |= touched
            self._gone |= gone
            raise

    def _read(self, query: LiteralString, values: Sequence[object]) -> list[OnlineLine]:
        with self._log.turns, borrowed(self._log.pool) as connection:
            rows = connection.cursor(row_factory=tuple_row).execute(query, values).fetchall()
        return [_line(*row) for row in rows]


def _columns(lines: Iterable[HeldLine]) -> list[list[Any]]:
    """Return the columns of the rows of lines; a line that is over is not written any more."""
    alive = [held for held in lines if not held.is_over]
    return [
        [held.phone_id for held in alive],
        [held.connection for held in alive],
        [held.owner for held in alive],
        [held.anonymous for held in alive],
        [_json(held.sims) for held in alive],
        [held.seen_at_s for held in alive],
    ]


def _json(sims: Sequence[SimCard] | None) -> str | None:
    if sims is None:
        return None
    return json.dumps([[card.slot, card.number, card.label, card.carrier] for card in sims])


def _line(
    owner: str,
    phone_id: str,
    connection: int,
    sims: list[list[Any]] | None,
    seen_at_s: float,
    anonymous: bool,  # noqa: FBT001  same
) -> OnlineLine:
    return OnlineLine(
        owner=owner,
        phone_id=phone_id,
        connection=connection,
        sims=None if sims is None else tuple(SimCard(*card) for card in sims),
        seen_at_s=seen_at_s,
        anonymous=anonymous,
    )
