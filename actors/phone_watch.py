"""Looks at the lines of other processes now and then, and finds those of dead ones."""

from __future__ import annotations

import logging
from time import monotonic
from typing import TYPE_CHECKING, Final

import gevent

from signalbox.actors.phone_farewells import Farewell
from signalbox.actors.phone_queue_messages import LinesChanged
from signalbox.actors.phone_rows import EXPIRED_MAX
from signalbox.domain import phone as domain
from signalbox.eventstore.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from signalbox.actors.phone_farewells import Farewells
    from signalbox.actors.phone_line import OnlineLine, Timing
    from signalbox.actors.phone_queues import PhoneQueues
    from signalbox.actors.phone_registry import Registry
    from signalbox.actors.phone_rows import PhoneRows

log = logging.getLogger(__name__)

STALL_S: Final = 1.0


class PhoneWatch:
    """Keeps the registry's view of other processes right, and has lost lines told."""

    def __init__(
        self,
        registry: Registry,
        rows: PhoneRows,
        farewells: Farewells,
        queues: PhoneQueues,
        timing: Timing,
    ) -> None:
        self._registry = registry
        self._rows = rows
        self._farewells = farewells
        self._queues = queues
        self._timing = timing
        self._looked_s = monotonic()
        self._sweep_at_s = self._looked_s + timing.renew_s
        self._greenlet = gevent.spawn(self._look_around)

    def close(self) -> None:
        """Stop looking."""
        self._greenlet.kill()

    def _look_around(self) -> None:
        while True:
            gevent.sleep(self._timing.look_s)
            try:
                self._look()
            except Unavailable as error:
                log.info("lines can't be read", extra={"error": error.reason})
            except Exception:
                log.exception("lines can't be read")

    def _look(self) -> None:
        """Keep the view of other processes' lines right, and store the end of lost ones."""
        self._look_at_others()
        expired = self._rows.expired() if monotonic() >= self._sweep_at_s else None
        before_s, self._looked_s = self._looked_s, monotonic()
        if self._looked_s - before_s > self._timing.look_s + STALL_S:
            # Others could renew nothing either while the store was away: they get the time.
            self._sweep_at_s = self._looked_s + self._timing.ttl_s
        elif expired is not None:
            is_all = len(expired) < EXPIRED_MAX
            self._sweep_at_s = self._looked_s + (self._timing.renew_s if is_all else 0)
            self._sweep(expired)

    def _look_at_others(self) -> None:
        owners = self._registry.owners()
        seen = self._rows.elsewhere(owners) if owners else []
        for owner in self._registry.see_all(owners, seen):
            self._queues.tell(owner, LinesChanged())

    def _sweep(self, expired: Iterable[OnlineLine]) -> None:
        for line in expired:
            if self._registry.line(*line.key) is None:
                stream_id = domain.stream_of(line.phone_id, line.connection / 1000)
                self._farewells.say(
                    Farewell(line.owner, line.key, stream_id, "lost", line.seen_at_s)
                )
