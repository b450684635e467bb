"""Forgets mails once they were kept as long as their tenants wish.

Any number of processes may look: what is over is decided by each mail's newest state, and of
several who do so at once one is first. What is forgotten is in no read model any more; its events
stay in the log, sealed, until their tenant is deleted.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from typing import TYPE_CHECKING, Final

import gevent

from signalbox.eventstore.errors import Unavailable
from signalbox.eventstore.postgres import Broken

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

log = logging.getLogger(__name__)

LOOK_S: Final = 300.0
MAILS_MAX: Final = 5_000  # how many are asked for at a time


class MailRetention:
    """Looks every `look_s` seconds.

    `expired(limit)` returns tenant and pk of mails that may go, by a view that may lag; `forget`
    deletes those of a tenant that still may, and tells how many they were.
    """

    def __init__(
        self,
        expired: Callable[[int], Sequence[tuple[str, str]]],
        forget: Callable[[str, Sequence[str]], int],
        *,
        look_s: float = LOOK_S,
        mails_max: int = MAILS_MAX,
    ) -> None:
        self._expired = expired
        self._forget = forget
        self._look_s = look_s
        self._mails_max = mails_max
        self._greenlet = gevent.spawn(self._run)

    def close(self) -> None:
        """Stop looking."""
        self._greenlet.kill()

    def look(self) -> int:
        """Forget what is over; return how many mails that were. Raises: `Unavailable`."""
        forgotten = 0
        while True:
            pks = defaultdict(list)
            found = self._expired(self._mails_max)
            for tenant_id, pk in found:
                pks[tenant_id].append(pk)
            now = sum(self._forget(tenant_id, of_tenant) for tenant_id, of_tenant in pks.items())
            forgotten += now
            if len(found) < self._mails_max or not now:  # Else the view has still to catch up.
                return forgotten

    def _run(self) -> None:
        while True:
            try:
                if forgotten := self.look():
                    log.info("mails forgotten", extra={"mails": forgotten})
            except (*Broken, Unavailable) as error:
                log.warning("mails can't be forgotten", extra={"error": str(error)})
            except Exception:
                log.exception("mails can't be forgotten")
            gevent.sleep(self._look_s)
