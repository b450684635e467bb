"""Ends of lines on their way into the log: nobody waits for them, and each gets there.

The store may be away for as long as it likes; a line's row in `phone_lines` outlives this process
until its end is stored.
"""

from __future__ import annotations

import logging
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import gevent
from gevent.event import Event

from signalbox.eventstore.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable

    from signalbox.actors.phone_line import LineKey
    from signalbox.domain.phone import Lost

log = logging.getLogger(__name__)

WORKERS_MAX: Final = 16  # they share commits
RETRY_S: Final = 0.5


@dataclass(frozen=True, slots=True)
class Farewell:
    """A line that ended, and the stream that is to tell; its phone was heard until then (Unix)."""

    owner: str
    line: LineKey
    stream_id: str
    reason: Lost
    heard_at_s: float


class Farewells:
    """Stores each farewell with `store`, which raises `Unavailable`, as soon as that works."""

    def __init__(self, store: Callable[[Farewell], None]) -> None:
        self._store = store
        self._waiting: deque[Farewell] = deque()
        self._open: set[LineKey] = set()
        self._workers: set[gevent.Greenlet] = set()
        self._idle = Event()
        self._idle.set()

    def say(self, farewell: Farewell) -> None:
        """Store one, unless that is under way."""
        if farewell.line in self._open:
            return
        self._open.add(farewell.line)
        self._waiting.append(farewell)
        self._idle.clear()
        if len(self._workers) < WORKERS_MAX:
            self._workers.add(gevent.spawn(self._work))

    def close(self, timeout_s: float) -> None:
        """Wait until all is stored, but not for longer than that."""
        self._idle.wait(timeout_s)
        gevent.killall(list(self._workers), block=False)

    def _work(self) -> None:
        while self._waiting:
            farewell = self._waiting.popleft()
            try:
                self._store(farewell)
            except Unavailable as error:
                log.info("end of a line waits", extra={"error": error.reason})
                self._waiting.append(farewell)
                gevent.sleep(RETRY_S)
                continue
            except Exception:
                log.exception("end of a line is lost", extra={"phone": farewell.line[0]})
            self._open.discard(farewell.line)
        # At once, so that whoever says another one now doesn't take it for one that goes on.
        self._workers.discard(gevent.getcurrent())
        if not self._open:
            self._idle.set()
