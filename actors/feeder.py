"""Fetches a link's work from its inbox: reading blocks, so it is a greenlet that tells the session.

A row stays in the inbox until every part of its message was accepted by the SMSC or failed. So the
same query that feeds a running session also recovers a crashed one's.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final

import gevent
from eventsourcing.persistence import PersistenceError
from gevent.event import Event

from signalbox.actors.runtime import park
from signalbox.actors.work import Tracked
from signalbox.domain import message as messages
from signalbox.eventstore import metrics
from signalbox.eventstore.errors import Unavailable
from signalbox.eventstore.postgres import Broken, borrowed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from signalbox.eventstore.log import EventLog
    from signalbox.eventstore.mapper import Recorded

log = logging.getLogger(__name__)

RETRY_S: Final = 0.5
_QUERY: Final = """
    SELECT i.seq, e.originator_id, e.originator_version, e.topic, e.state
    FROM (SELECT seq, stream_id FROM signalbox.inbox
          WHERE actor_id = %(actor)s AND kind = 'submit'
            AND (seq > %(after)s OR stream_id = ANY(%(again)s)) ORDER BY seq LIMIT %(limit)s) AS i
    JOIN signalbox.stored_events AS e ON e.originator_id = i.stream_id
    ORDER BY i.seq, e.originator_version
"""
_WAITING: Final = """
    SELECT a.actor_id FROM unnest(%s::text[]) AS a (actor_id)
    WHERE EXISTS (SELECT FROM signalbox.inbox AS i
                  WHERE i.actor_id = a.actor_id AND i.kind = 'submit')
"""


@dataclass(frozen=True, slots=True)
class Work:
    """Messages that wait, oldest first; `more` when the inbox has others behind them."""

    messages: list[Tracked]
    more: bool


def actors_with_work(log_: EventLog, actor_ids: Iterable[str]) -> list[str]:
    """Return those actors whose inboxes are not empty, in one query. Raises: `Unavailable`."""
    with borrowed(log_.pool) as connection:
        rows = connection.execute(_WAITING, (list(actor_ids),)).fetchall()
    return [row["actor_id"] for row in rows]


class Feeder:
    """Answers every `want` with one `Work`."""

    def __init__(self, log_: EventLog, actor_id: str, tell: Callable[[object], None]) -> None:
        self._log = log_
        self._actor_id = actor_id
        self._tell = tell
        self._after = 0
        self._wanted = 0
        self._again: set[str] = set()
        self._wake = Event()
        self._greenlet = gevent.spawn(self._run)

    def want(self, messages_max: int) -> None:
        """Ask for the next messages."""
        self._wanted = messages_max
        self._wake.set()

    def want_again(self, stream_ids: Iterable[str]) -> None:
        """Ask for messages anew whose state turned out to be stale."""
        self._again.update(stream_ids)
        self._wanted = max(self._wanted, len(self._again))
        self._wake.set()

    def close(self) -> None:
        """Stop fetching."""
        self._greenlet.kill(block=False)

    def _run(self) -> None:
        while True:
            self._wake.wait()
            self._wake.clear()
            again, self._again = self._again, set()
            try:
                work, last_seq = self._fetch(self._wanted, again)
                self._tell(work)
            except (*Broken, PersistenceError, Unavailable) as error:
                log.warning("inbox can't be read", extra={"error": str(error)})
                gevent.sleep(RETRY_S)
                self._again |= again
                self._wake.set()
                continue
            self._after = max(self._after, last_seq)

    def _fetch(self, messages_max: int, again: set[str]) -> tuple[Work, int]:
        """Return the next messages, and how far the inbox was looked through."""
        wanted = {
            "actor": self._actor_id,
            "after": self._after,
            "again": list(again),
            "limit": messages_max,
        }
        with self._log.turns, self._log.pool.connection() as connection:
            rows = connection.execute(_QUERY, wanted, binary=True).fetchall()
        groups = [(seq, list(group)) for seq, group in groupby(rows, lambda row: row["seq"])]
        found = [self._tracked(seq, group) for seq, group in groups]
        work = Work([one for one in found if one], more=len(groups) == messages_max)
        return work, groups[-1][0] if groups else 0

    def _tracked(self, seq: int, rows: list[dict[str, Any]]) -> Tracked | None:
        """Return a message; None, parked, when its stream can't be read: others must not wait."""
        stream_id = rows[0]["originator_id"]
        read = self._log.codec.read
        try:
            return track(
                seq,
                [
                    read(stream_id, row["originator_version"], row["topic"], row["state"])
                    for row in rows
                ],
            )
        except (*Broken, PersistenceError, Unavailable):
            raise
        except Exception as error:
            log.exception("message can't be read", extra={"actor": self._actor_id})
            metrics.DEAD_LETTERS.labels("Feeder").inc()
            park(self._log.pool, self._actor_id, stream_id, error)
            return None


def track(seq: int, recorded: Iterable[Recorded]) -> Tracked:
    """Build a message from its whole stream."""
    first, *rest = recorded
    assert isinstance(first.event, messages.MessageAccepted), first
    message = messages.evolve(None, first.event, first.at_s)
    for one in rest:
        assert isinstance(one.event, messages.Event), one
        message = messages.evolve(message, one.event, one.at_s)
    version = rest[-1].version if rest else first.version
    return Tracked(
        first.stream_id,
        seq,
        first.event,
        message,
        version,
        first.tenant_id,
        traceparent=first.traceparent,
    )
