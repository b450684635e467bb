"""What the gateway reads from its read models.

A caller that must see its own writes waits, for a moment, until the projector has passed the last
position its process committed; after that it reads what there is. A stale read is not an error.
"""

from __future__ import annotations

from contextlib import contextmanager
from time import monotonic, time
from typing import TYPE_CHECKING, Final

import gevent
from psycopg import errors
from psycopg.rows import tuple_row

from signalbox.eventstore.errors import Unavailable
from signalbox.eventstore.mapper import read_envelope
from signalbox.eventstore.postgres import Broken
from signalbox.projections import dashboard, links, messages
from signalbox.projections.projection import SCHEMA, use

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from signalbox.eventstore.log import EventLog
    from signalbox.projections.dashboard import Figures
    from signalbox.projections.links import LinkRow
    from signalbox.projections.messages import MessageInfo
    from signalbox.projections.projection import Cursor

LOOK_S: Final = 0.01  # how often the projector's position is looked at, however many wait for it


class ReadModels:
    """The read models of one log. Every method raises `Unavailable` when they can't be read."""

    def __init__(
        self, log_: EventLog, schema: str = SCHEMA, now_s: Callable[[], float] = time
    ) -> None:
        self._log = log_
        self._schema = schema
        self._now_s = now_s
        self._passed = 0
        self._look_again_s = 0.0

    def wait_for(self, position: int, timeout_s: float = 1.0) -> bool:
        """Wait until the read models show the event at `position`; False if that takes too long."""
        deadline_s = monotonic() + timeout_s
        while self._passed < position:
            now_s = monotonic()
            if now_s > deadline_s:
                return False
            if now_s < self._look_again_s:
                gevent.sleep(self._look_again_s - now_s)
            else:
                self._look_again_s = now_s + LOOK_S
                self._passed = max(self._passed, self._position())
        return True

    def message(self, message_id: str, *, app_id: int, link_id: int) -> MessageInfo | None:
        """Return a message of this application on this link; None when there is no such message."""
        with self._reading() as cursor:
            return messages.find(cursor, message_id, app_id=app_id, link_id=link_id)

    def links(self) -> list[LinkRow]:
        """Return the configured links as they are now, by id."""
        with self._reading() as cursor:
            return links.find_all(cursor, self._now_s())

    def figures(self) -> Figures:
        """Return the dashboard's figures."""
        with self._reading() as cursor:
            return dashboard.find(cursor, self._now_s())

    def lag_s(self) -> float:
        """Return the age of the oldest event that is not projected yet, 0.0 when there is none."""
        with self._reading() as cursor:
            row = cursor.execute(
                "SELECT state FROM signalbox.stored_events"
                " WHERE notification_id > (SELECT position FROM tracking)"
                " ORDER BY notification_id LIMIT 1"
            ).fetchone()
        return max(0.0, self._now_s() - read_envelope(row[0]).at.timestamp()) if row else 0.0

    def _position(self) -> int:
        with self._reading() as cursor:
            row = cursor.execute("SELECT position FROM tracking").fetchone()
        return row[0] if row else 0

    @contextmanager
    def _reading(self) -> Iterator[Cursor]:
        try:
            with (
                self._log.pool.connection() as connection,
                connection.transaction(),
                connection.cursor(row_factory=tuple_row) as cursor,
            ):
                use(cursor, self._schema)
                yield cursor
        except Broken as error:
            raise Unavailable("store does not answer") from error
        except errors.UndefinedTable as error:
            raise Unavailable("read models are not built yet") from error
