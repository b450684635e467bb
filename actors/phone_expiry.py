"""Gives up the messages that no phone sent in time.

Any number of processes may look: what is due is decided by each message's newest state, and of
several who do so at once one is first.
"""

from __future__ import annotations

import logging
from time import time
from typing import TYPE_CHECKING, Final

import gevent
from gevent.pool import Pool

from signalbox.eventstore.errors import Unavailable
from signalbox.eventstore.postgres import Broken

if TYPE_CHECKING:
    from collections.abc import Callable

log = logging.getLogger(__name__)

LOOK_S: Final = 10.0
MESSAGES_MAX: Final = 500  # how many are asked for at a time
AT_ONCE: Final = 20  # how many share a commit


class PhoneExpiry:
    """Looks every `look_s` seconds.

    `due(now_s, limit)` returns the streams of messages that may be over, by a view that may lag;
    `expire` (`PhoneMessages.expire`) tells whether one was. `now_s` is the clock (Unix seconds).
    """

    def __init__(
        self,
        due: Callable[[float, int], list[str]],
        expire: Callable[[str], bool],
        *,
        look_s: float = LOOK_S,
        messages_max: int = MESSAGES_MAX,
        now_s: Callable[[], float] = time,
    ) -> None:
        self._due = due
        self._expire = expire
        self._look_s = look_s
        self._messages_max = messages_max
        self._now_s = now_s
        self._greenlet = gevent.spawn(self._run)

    def close(self) -> None:
        """Stop looking."""
        self._greenlet.kill()

    def look(self) -> int:
        """Give up what is due; return how many messages that were.

        Raises: `Unavailable`, and psycopg's errors of a broken connection.
        """
        given_up = 0
        while True:
            due = self._due(self._now_s(), self._messages_max)
            now = list(Pool(AT_ONCE).imap_unordered(self._give_up, due)).count(True)
            given_up += now
            if len(due) < self._messages_max or not now:  # Else the view has still to catch up.
                return given_up

    def _run(self) -> None:
        while True:
            try:
                self.look()
            except (*Broken, Unavailable) as error:
                log.warning("expired messages can't be read", extra={"error": str(error)})
            except Exception:
                log.exception("expired messages can't be read")
            gevent.sleep(self._look_s)

    def _give_up(self, stream_id: str) -> bool:
        try:
            return self._expire(stream_id)
        except (*Broken, Unavailable) as error:
            log.warning("message can't be given up", extra={"error": str(error)})
        except Exception:
            log.exception("message can't be given up", extra={"stream": stream_id})
        return False
