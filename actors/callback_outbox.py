"""Notes for every event that an owner wants to be told of that a callback is due.

    log ──▶ events of the topics ──▶ owner's webhook wants it? ──▶ CallbackQueued, and an inbox row
              ▲ from a durable cursor                                      │ committed
              └────────────────────────── the cursor moves ◀───────────────┘

One relay does it, that with the lease of this name's partition. The id of a callback depends on its
event alone, so an event that is seen twice is noted once.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

import gevent
import msgspec
from gevent.event import Event

from signalbox.actors.callback_inbox import KIND, TROUBLE
from signalbox.actors.runtime import park
from signalbox.actors.webhooks import BY, WEBHOOK_EVENTS
from signalbox.domain import callback as callbacks
from signalbox.domain import webhook as webhook_streams
from signalbox.domain.names import names_of
from signalbox.eventstore import metrics
from signalbox.eventstore.errors import Conflict, FenceLost
from signalbox.eventstore.journal import Append, Write
from signalbox.eventstore.postgres import borrowed
from signalbox.eventstore.recorder import InboxRow

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from gevent.event import AsyncResult
    from psycopg.rows import TupleRow

    from signalbox.actors.callback_topics import Topic
    from signalbox.actors.webhooks import Webhooks
    from signalbox.domain import names
    from signalbox.eventstore.journal import Journal
    from signalbox.eventstore.log import EventLog
    from signalbox.eventstore.mapper import Recorded
    from signalbox.eventstore.recorder import Fence

log = logging.getLogger(__name__)

NAME: Final = "callback-outbox"
BATCH_EVENTS_MAX: Final = 500
IDLE_EVENTS_MAX: Final = 10_000  # positions passed without anything to do before that is stored
RETRY_S: Final = 0.5

_BEGIN: Final = """
    INSERT INTO signalbox.cursors (name, position) VALUES (%s, %s)
    ON CONFLICT (name) DO UPDATE SET name = excluded.name RETURNING position
"""
_QUEUED: Final = """
    SELECT originator_id FROM signalbox.stored_events
    WHERE originator_id = ANY(%s) AND originator_version = 1
"""
_MOVE: Final = """
    UPDATE signalbox.cursors SET position = %(to)s WHERE name = %(name)s AND position < %(to)s
"""


class CallbackOutbox:
    """Runs from `begin` to `end`, which go with the lease. It starts with what happens next."""

    def __init__(
        self,
        event_log: EventLog,
        journal: Journal,
        webhooks: Webhooks,
        topics: Mapping[type[names.Event], Topic],
    ) -> None:
        self._log = event_log
        self._journal = journal
        self._webhooks = webhooks
        self._topics = topics
        self._names = [*names_of(*topics), *WEBHOOK_EVENTS]
        self._own = event_log.own_connection(NAME)
        self._wake = Event()
        self._stored_position = 0
        self._greenlet: gevent.Greenlet | None = None

    def begin(self, fence: Fence) -> None:
        """Start under a lease, if there is anything to tell of at all."""
        if self._topics:
            self._greenlet = gevent.spawn(self._run, fence)

    def end(self) -> None:
        """Stop; whoever is next goes on from the cursor."""
        if self._greenlet is not None:
            self._greenlet.kill(block=False)
            self._greenlet = None

    def work_waits(self, words: frozenset[str]) -> None:
        """Look into the log, unless none of a commit's words is of interest."""
        if not words or not words.isdisjoint(self._names):
            self._wake.set()

    def _run(self, fence: Fence) -> None:
        position = None
        try:
            while True:
                self._wake.clear()
                try:
                    position = self._begin() if position is None else position
                    position, more = self._copy(position, fence)
                except TROUBLE as error:
                    log.warning("callbacks can't be queued", extra={"error": str(error)})
                    self._own.discard()
                    gevent.sleep(RETRY_S)
                    continue
                if not more:
                    self._wake.wait()
        except FenceLost:
            log.info("callbacks are queued elsewhere")
        finally:
            self._own.discard()

    def _begin(self) -> int:
        """Return how far it came before; the very first time, to where the log ends now."""
        head = self._log.head()
        with borrowed(self._log.pool) as connection:
            row = connection.execute(_BEGIN, (NAME, head)).fetchone()
        assert row is not None
        self._stored_position = int(row["position"])
        return self._stored_position

    def _copy(self, position: int, fence: Fence) -> tuple[int, bool]:
        """Queue the next callbacks; return how far that goes, and whether there is more."""
        rows, seen = self._log.scan(self._own.get(), position, BATCH_EVENTS_MAX, self._names)
        wanted = {self._stream_of(event): (event, topic) for event, topic in self._wanted(rows)}
        for stream_id in self._queued(wanted):
            del wanted[stream_id]
        _wait_for([self._queue(stream_id, *cause, fence) for stream_id, cause in wanted.items()])
        if rows or seen - self._stored_position >= IDLE_EVENTS_MAX:
            self._move(seen)
        return seen, len(rows) == BATCH_EVENTS_MAX

    def _move(self, position: int) -> None:
        with borrowed(self._log.pool) as connection:
            connection.execute(_MOVE, {"name": NAME, "to": position})
        self._stored_position = position

    def _wanted(self, rows: Sequence[TupleRow]) -> Iterator[tuple[Recorded, Topic]]:
        """Yield the events whose owners want to know of them, without personal content."""
        for row in rows:
            recorded = self._decoded(row)
            if recorded is None:
                continue
            if row[3] in WEBHOOK_EVENTS:
                self._webhooks.follow(recorded)
                continue
            topic = self._topics[type(recorded.event)]
            webhook = self._webhooks.known(recorded.tenant_id)
            if webhook is not None and webhook.wants(topic.kind):
                yield recorded, topic

    def _decoded(self, row: TupleRow) -> Recorded | None:
        """Return an event; None, parked, when it can't be read: all others must not wait."""
        try:
            return self._log.decode_row(row, hidden="")
        except (LookupError, msgspec.MsgspecError) as error:  # an unknown name, a bad state
            log.exception("event can't be told of", extra={"position": row[0]})
            metrics.DEAD_LETTERS.labels("CallbackOutbox").inc()
            park(self._log.pool, NAME, f"{row[1]}/{row[2]}", error)
            return None

    def _stream_of(self, cause: Recorded) -> str:
        """Return the stream of the callback about an event: always the same one."""
        version = str(cause.version)
        return callbacks.stream_of(
            str(self._log.secrets.uuid("callback", cause.stream_id, version))
        )

    def _queued(self, stream_ids: Collection[str]) -> list[str]:
        """Return those that are queued already, by whoever did not come to move the cursor.

        Under the lease nobody else adds to them. To write them again would fail, and with it what
        the sender beside us writes of them at the same time.
        """
        if not stream_ids:
            return []
        with borrowed(self._log.pool) as connection:
            rows = connection.execute(_QUEUED, (list(stream_ids),)).fetchall()
        return [row["originator_id"] for row in rows]

    def _queue(self, stream_id: str, recorded: Recorded, topic: Topic, fence: Fence) -> AsyncResult:
        owner = recorded.tenant_id
        queue = callbacks.QueueCallback(
            owner=owner, kind=topic.kind, about=recorded.stream_id, cause_version=recorded.version
        )
        events = callbacks.decide(None, queue, self._journal.now().timestamp())
        return self._journal.append(
            Append(
                writes=(Write(stream_id, 1, events, owner),),
                by=BY,
                fence=fence,
                inbox=(InboxRow(webhook_streams.stream_of(owner), KIND, stream_id),),
                wait_s=self._journal.wait_s_max,
            )
        )


def _wait_for(results: Sequence[AsyncResult]) -> None:
    """Wait until all are stored. Raises: `FenceLost`, `Unavailable`."""
    for result in results:
        try:
            result.get()
        except Conflict:
            continue  # Queued by somebody whose commit was not known to have succeeded.
        metrics.CALLBACKS.labels("queued").inc()
