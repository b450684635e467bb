"""Following the log: LISTEN for the signal, then read from one's own position.

A notification carries only the names of the events of a commit, so that a follower of other names
sleeps on. A poll every second covers a lost one. Ids have gaps and mean nothing; only their order
does.
"""

from __future__ import annotations

import logging
from time import monotonic
from typing import TYPE_CHECKING, Final

import gevent
from gevent.event import Event
from psycopg import sql

from signalbox.eventstore.errors import Unavailable
from signalbox.eventstore.postgres import Broken
from signalbox.eventstore.recorder import CHANNEL, words_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import psycopg
    from psycopg.rows import TupleRow

    from signalbox.eventstore.log import EventLog

log = logging.getLogger(__name__)

POLL_S: Final = 1.0
RETRY_S: Final = 0.2
BATCH_EVENTS_MAX: Final = 1000


class Follower:
    """Hands every new event of some names to `handle`, in the order of the log, at least once each.

    `handle` gets rows (position, stream id, version, name, state) and decodes what it wants
    (`EventLog.decode_row`); it must not block. Rows come again when it finds the store away; rows
    it fails on otherwise are logged and left behind, so that one event can't stop all others.
    `signal` gets the words of each commit: names of events, wanted or not, and `@actor` for news in
    an actor's inbox; no words mean that anything may have happened.
    """

    def __init__(
        self,
        log_: EventLog,
        topics: Sequence[str],
        handle: Callable[[list[TupleRow]], None],
        signal: Callable[[frozenset[str]], None] = lambda _: None,
    ) -> None:
        self._log = log_
        self._topics = list(topics)
        self._wanted = frozenset(topics)
        self._handle = handle
        self._signal = signal
        self._own = log_.own_connection("follower")
        self.position = log_.head()
        self.listening = Event()
        self._is_lost = False
        self._greenlet = gevent.spawn(self._run)

    def close(self) -> None:
        """Stop following."""
        self._greenlet.kill()
        self._own.discard()

    def _run(self) -> None:
        while True:
            try:
                self._follow(self._own.get())
            except (*Broken, Unavailable) as error:
                log.warning("follower lost its connection", extra={"error": str(error)})
                self._is_lost = True
                self._own.discard()
                gevent.sleep(RETRY_S)

    def _follow(self, connection: psycopg.Connection[TupleRow]) -> None:
        connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(CHANNEL)))
        self._catch_up(connection)
        self._signal(frozenset())  # Whatever was committed while nobody listened.
        self.listening.set()
        if self._is_lost:
            log.info("follower is connected again")
            self._is_lost = False
        looked_s = monotonic()
        while True:
            topics = _next_topics(connection)
            if not topics or topics & self._wanted or monotonic() - looked_s >= POLL_S:
                self._catch_up(connection)
                looked_s = monotonic()
            self._signal(topics)

    def _catch_up(self, connection: psycopg.Connection[TupleRow]) -> None:
        while True:
            rows, seen = self._log.scan(connection, self.position, BATCH_EVENTS_MAX, self._topics)
            if rows:
                self._hand_over(rows)
            self.position = seen
            if len(rows) < BATCH_EVENTS_MAX:
                return

    def _hand_over(self, rows: list[TupleRow]) -> None:
        try:
            self._handle(rows)
        except (*Broken, Unavailable):
            raise
        except Exception:
            log.exception("events left behind", extra={"first": rows[0][0], "last": rows[-1][0]})


def _next_topics(connection: psycopg.Connection[TupleRow]) -> frozenset[str]:
    """Wait for the next commits; their words, none when the poll is due or a signal has none."""
    signals = [notice.payload for notice in connection.notifies(timeout=POLL_S, stop_after=1)]
    signals += [notice.payload for notice in connection.notifies(timeout=0)]
    if not all(signals):
        return frozenset()
    return frozenset(word for signal in signals for word in words_of(signal))
