"""Applies the log to the read models: a batch, all tables and the position in one transaction.

    lock, position ──▶ scan the log from there ──▶ each projection in a savepoint ──▶ new position

So a batch counts once or not at all, whoever is killed when. A batch that a projection can't take
is halved until the event at fault stands alone; that one is tried three times and then set aside in
`signalbox.dead_letters`. The other events and the other projections go on.
"""

from __future__ import annotations

import logging
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from psycopg import sql

from signalbox.eventstore import metrics
from signalbox.eventstore.postgres import Broken
from signalbox.projections import tracking
from signalbox.projections.projection import SCHEMA, Projection, fingerprint, topics_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    import psycopg
    from psycopg.rows import TupleRow

    from signalbox.eventstore.log import EventLog
    from signalbox.eventstore.mapper import Recorded
    from signalbox.projections.projection import Cursor

log = logging.getLogger(__name__)

TRIES_MAX: Final = 3
DECODING: Final = "decoding"  # the reader's name on dead letters that no projection has seen


@dataclass(frozen=True, slots=True)
class Progress:
    """What one step did. `at_s` is when its last event happened, Unix seconds, 0.0 without events.

    `mine` is False when another process has the turn; nothing was done then.
    """

    events: int = 0
    at_s: float = 0.0
    caught_up: bool = True
    mine: bool = True


class Projector:
    """Takes one schema of read models through the log, on a connection of its own.

    `until` is the last position it applies. Without `dead_letters` it leaves no trace outside of
    the schema: what can't be applied is only logged.
    """

    def __init__(
        self,
        log_: EventLog,
        projections: Sequence[Projection],
        schema: str = SCHEMA,
        *,
        batch_events_max: int = 1000,
        until: int | None = None,
        dead_letters: bool = True,
    ) -> None:
        self._log = log_
        self._projections = projections
        self._topics = topics_of(projections)
        self._fingerprint = fingerprint(projections)
        self._schema = schema
        self._batch_events_max = batch_events_max
        self._until = until
        self._dead_letters = dead_letters
        self._holder = uuid.uuid4().hex
        self._own = log_.own_connection("projector")

    def prepare(self) -> bool:
        """Make the tables if there are none; False when those that are there need a rebuild."""
        with self._own.get().transaction(), self._own.get().cursor() as cursor:
            tracking.lock(cursor, self._schema)
            found = tracking.find_fingerprint(cursor, self._schema)
            if found is None:
                self._create(cursor)
            return found in {None, self._fingerprint}

    def advance(self) -> Progress:
        """Apply the next batch.

        Raises:
            psycopg.OperationalError, psycopg.InterfaceError: the store is away; nothing was done.
        """
        connection = self._own.get()
        try:
            with connection.transaction():
                return self._step(connection, connection.cursor())
        except Broken:
            self._own.discard()
            raise

    def release(self) -> None:
        """Let another process go on at once."""
        try:
            with self._own.get().transaction(), self._own.get().cursor() as cursor:
                if tracking.begin(cursor, self._schema):
                    tracking.release(cursor, self._holder)
        except Broken as error:
            log.warning("projector's turn was left to expire", extra={"error": str(error)})

    def close(self) -> None:
        """Close the connection."""
        self._own.discard()

    def _create(self, cursor: Cursor) -> None:
        schema = sql.Identifier(self._schema)
        cursor.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(schema))
        tracking.create(cursor, self._fingerprint)
        for projection in self._projections:
            cursor.execute(projection.tables)

    def _step(self, connection: psycopg.Connection[TupleRow], cursor: Cursor) -> Progress:
        if not tracking.begin(cursor, self._schema):
            return Progress(mine=False)
        position = tracking.find_position(cursor, self._holder, self._fingerprint)
        if position is None:
            return Progress(mine=False)
        rows, seen = self._log.scan(connection, position, self._batch_events_max, self._topics)
        caught_up = len(rows) < self._batch_events_max
        if self._until is not None and seen >= self._until:
            rows, seen, caught_up = [r for r in rows if r[0] <= self._until], self._until, True
        batch = self._decode(cursor, rows)
        for projection in self._projections:
            if wanted := projection.wanted(batch):
                self._apply(connection, projection, wanted)
        tracking.move(cursor, max(position, seen), self._holder)
        return Progress(len(rows), batch[-1].at_s if batch else 0.0, caught_up)

    def _decode(self, cursor: Cursor, rows: Sequence[TupleRow]) -> list[Recorded]:
        batch = []
        self._log.fetch_keys(cursor.connection, rows)
        for row in rows:
            try:
                batch.append(self._log.decode_for_models(row))
            except Broken:
                raise
            except Exception as error:  # noqa: BLE001  whatever a stored state can do
                self._set_aside(cursor, DECODING, row[0], error)
        return batch

    def _apply(
        self,
        connection: psycopg.Connection[TupleRow],
        projection: Projection,
        batch: Sequence[Recorded],
        tries: int = 1,
    ) -> None:
        error = _attempt(connection, projection, batch)
        if error is None:
            return
        if len(batch) > 1:
            middle = len(batch) // 2
            self._apply(connection, projection, batch[:middle])
            self._apply(connection, projection, batch[middle:])
        elif tries < TRIES_MAX:
            self._apply(connection, projection, batch, tries + 1)
        else:
            self._set_aside(connection.cursor(), projection.name, batch[0].position, error)

    def _set_aside(self, cursor: Cursor, reader: str, position: int, error: Exception) -> None:
        log.error(
            "event can't be projected",
            extra={"projection": reader, "position": position, "error": type(error).__name__},
            exc_info=error,
        )
        metrics.DEAD_LETTERS.labels(reader).inc()
        if self._dead_letters:
            cursor.execute(
                "INSERT INTO signalbox.dead_letters (reader, subject, error) VALUES (%s, %s, %s)"
                " ON CONFLICT (reader, subject) DO UPDATE"
                " SET error = EXCLUDED.error, recorded_at = clock_timestamp()",
                (reader, str(position), f"{type(error).__name__}: {error}".replace("\0", "")),
            )


def _attempt(
    connection: psycopg.Connection[TupleRow], projection: Projection, batch: Sequence[Recorded]
) -> Exception | None:
    try:
        with connection.transaction():
            projection.apply(connection.cursor(), batch)
    except Broken:
        raise  # The store's trouble, not the event's.
    except Exception as error:  # noqa: BLE001  whatever it is, it must not stop the others
        return error
    return None
