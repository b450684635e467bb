"""The callbacks that wait, as the inbox and their streams have them."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final

from eventsourcing.persistence import PersistenceError

from signalbox.actors.runtime import park
from signalbox.actors.webhooks import BY
from signalbox.domain import callback as callbacks
from signalbox.domain import webhook as webhooks
from signalbox.eventstore import metrics
from signalbox.eventstore.errors import Unavailable
from signalbox.eventstore.postgres import Broken, borrowed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from signalbox.eventstore.log import EventLog

log = logging.getLogger(__name__)

KIND: Final = "callback"
TROUBLE: Final = (*Broken, PersistenceError, Unavailable)
"""What passes when the store is there again."""

_FETCH: Final = """
    SELECT i.seq, e.notification_id, e.originator_id, e.originator_version, e.topic, e.state
    FROM (SELECT seq, stream_id FROM signalbox.inbox
          WHERE actor_id = %(actor)s AND kind = %(kind)s AND seq > %(after)s
          ORDER BY seq LIMIT %(limit)s) AS i
    JOIN signalbox.stored_events AS e ON e.originator_id = i.stream_id
    ORDER BY i.seq, e.originator_version
"""
# From one actor to the next along the partial index: as many steps as owners, whatever waits.
_OWNERS: Final = """
    WITH RECURSIVE waiting AS (
        (SELECT actor_id FROM signalbox.inbox WHERE kind = 'callback' ORDER BY actor_id LIMIT 1)
        UNION ALL
        SELECT (SELECT i.actor_id FROM signalbox.inbox AS i
                WHERE i.kind = 'callback' AND i.actor_id > w.actor_id
                ORDER BY i.actor_id LIMIT 1)
        FROM waiting AS w WHERE w.actor_id IS NOT NULL)
    SELECT w.actor_id, (SELECT max(i.seq) FROM signalbox.inbox AS i
                        WHERE i.actor_id = w.actor_id AND i.kind = 'callback') AS seq
    FROM waiting AS w WHERE w.actor_id IS NOT NULL
"""


@dataclass(slots=True, eq=False)
class Waiting:
    """A callback that is neither taken nor given up, and the version its stream has."""

    stream_id: str
    version: int
    callback: callbacks.Callback

    @property
    def callback_id(self) -> str:
        """What the receiver knows it by."""
        return callbacks.id_of(self.stream_id)

    def take(self, events: Sequence[callbacks.Event], at_s: float) -> None:
        """Apply events that were stored as the next versions."""
        for event in events:
            self.callback = callbacks.evolve(self.callback, event, at_s)
            self.version += 1

    def read(self, event_log: EventLog) -> None:
        """Take what the log has behind the version known here. Raises: `Unavailable`."""
        for recorded in event_log.read(self.stream_id, after=self.version):
            assert isinstance(recorded.event, callbacks.Event), recorded
            self.take((recorded.event,), recorded.at_s)


@dataclass(frozen=True, slots=True)
class Batch:
    """The next that wait, oldest first; how far that goes, and how many can't be read."""

    waiting: list[Waiting]
    last_seq: int
    is_full: bool
    unreadable: int


def owners_waiting(event_log: EventLog) -> dict[str, int]:
    """Return the newest row of every owner that has callbacks waiting. Raises: `Unavailable`."""
    with borrowed(event_log.pool) as connection:
        rows = connection.execute(_OWNERS).fetchall()
    return {
        webhooks.owner_of(row["actor_id"]): row["seq"] for row in rows if row["seq"] is not None
    }


def fetch(event_log: EventLog, owner: str, after: int, limit: int) -> Batch:
    """Return what waits for an owner behind row `after`. Raises: one of `TROUBLE`."""
    wanted = {"actor": webhooks.stream_of(owner), "kind": KIND, "after": after, "limit": limit}
    with event_log.turns, event_log.pool.connection() as connection:
        rows = connection.execute(_FETCH, wanted, binary=True).fetchall()
    groups = [(seq, list(group)) for seq, group in groupby(rows, lambda row: row["seq"])]
    found = [_read(event_log, group) for _, group in groups]
    waiting = [one for one in found if one is not None]
    last_seq = groups[-1][0] if groups else after
    return Batch(waiting, last_seq, len(groups) == limit, len(found) - len(waiting))


def _read(event_log: EventLog, rows: Sequence[dict[str, Any]]) -> Waiting | None:
    """Return a callback; None, parked, when its stream can't be read: others must not wait."""
    stream_id = rows[0]["originator_id"]
    try:
        return _fold(event_log, rows)
    except TROUBLE:
        raise
    except Exception as error:
        log.exception("callback can't be read", extra={"stream": stream_id})
        metrics.DEAD_LETTERS.labels("CallbackSender").inc()
        park(event_log.pool, BY, stream_id, error)
        return None


def _fold(event_log: EventLog, rows: Sequence[dict[str, Any]]) -> Waiting:
    callback: callbacks.Callback | None = None
    for row in rows:
        recorded = event_log.decode_row(tuple(row.values())[1:])
        assert isinstance(recorded.event, callbacks.Event), recorded
        callback = callbacks.evolve(callback, recorded.event, recorded.at_s)
    assert callback is not None, rows
    return Waiting(rows[0]["originator_id"], len(rows), callback)
