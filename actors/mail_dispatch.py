"""The mail dispatchers of a relay: one for each tenant with mails waiting, under its lease."""

from __future__ import annotations

import logging
from time import monotonic
from typing import TYPE_CHECKING, Final

import gevent
from gevent.event import Event as Flag
from gevent.lock import BoundedSemaphore

from signalbox.actors.mail_dispatcher import MailDispatcher
from signalbox.actors.mail_feeder import RETRY_S, TROUBLE
from signalbox.actors.mail_messages import Changed, DispatchLimits, News, Parts, Stop
from signalbox.actors.mail_series import MailSeries
from signalbox.actors.mail_slots import Slots
from signalbox.actors.tenures import Tenures
from signalbox.domain import tenant as tenants
from signalbox.eventstore import metrics
from signalbox.eventstore.errors import Unavailable
from signalbox.eventstore.postgres import borrowed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import pykka

    from signalbox.actors.mail_warmth import Warmth
    from signalbox.actors.tenants import Tenants
    from signalbox.actors.transports.smtp.job import MailTransport
    from signalbox.eventstore.journal import Journal
    from signalbox.eventstore.log import EventLog
    from signalbox.eventstore.recorder import Fence

__all__ = ["DispatchLimits", "MailDispatchers"]

log = logging.getLogger(__name__)

HANDOVER_S: Final = 15.0
COUNT_S: Final = 15.0
_MARK: Final = "@" + tenants.stream_of("")  # how a commit's words name a tenant's inbox
# From one tenant to the next along the partial index: as many steps as tenants, whatever waits.
_WAITING: Final = """
    WITH RECURSIVE waiting AS (
        (SELECT actor_id FROM signalbox.inbox
         WHERE actor_id LIKE 'tenant-%' ORDER BY actor_id LIMIT 1)
        UNION ALL
        SELECT (SELECT i.actor_id FROM signalbox.inbox AS i
                WHERE i.actor_id LIKE 'tenant-%' AND i.actor_id > w.actor_id
                ORDER BY i.actor_id LIMIT 1)
        FROM waiting AS w WHERE w.actor_id IS NOT NULL)
    SELECT w.actor_id, (SELECT max(i.seq) FROM signalbox.inbox AS i
                        WHERE i.actor_id = w.actor_id AND i.actor_id LIKE 'tenant-%') AS seq
    FROM waiting AS w WHERE w.actor_id IS NOT NULL
"""
_COUNT: Final = "SELECT count(*) AS mails FROM signalbox.inbox WHERE actor_id LIKE 'tenant-%'"


class MailDispatchers:
    """Starts dispatchers when mails wait, and ends them with the lease."""

    def __init__(  # noqa: PLR0913, PLR0917  its parts
        self,
        event_log: EventLog,
        journal: Journal,
        tenants_: Tenants,
        transport: MailTransport,
        warmth: Warmth | None,
        limits: DispatchLimits,
        partitions: int,
        tenant_ids: Callable[[], Iterable[str]],
    ) -> None:
        self._log = event_log
        self._parts = Parts(
            log=event_log,
            journal=journal,
            tenants=tenants_,
            transport=transport,
            warmth=warmth,
            limits=limits,
            slots=Slots(limits.in_flight_max),
            ended=self._ended,
        )
        self._running: dict[str, pykka.ActorRef[MailDispatcher]] = {}
        self._closing = False
        self._counted_s = -COUNT_S
        self.tenures = Tenures(partitions)
        self._starting = BoundedSemaphore()
        self._look = Flag()
        self._lookout = gevent.spawn(self._look_through)
        self._series = MailSeries(tenants_, tenant_ids)

    def gained(self, fence: Fence) -> None:
        """Look for what waits for the tenants of a partition."""
        self.tenures.gained(fence)
        self._look.set()
        self._series.begin()

    def leaving(self, partition: int) -> None:
        """Send no more, and let what is being sent come to an end, for the next one's sake."""
        self.tenures.leaving(partition)
        self._drain(self._of(partition), HANDOVER_S)

    def lost(self, partition: int) -> None:
        """Stop the dispatchers of a partition at once; somebody else may send already."""
        self.tenures.lost(partition)
        for tenant_id in self._of(partition):
            log.info("tenant given up", extra={"tenant": tenant_id})
            self._running.pop(tenant_id).stop(block=False)

    def work_waits(self, words: frozenset[str]) -> None:
        """Look into the inboxes a commit's signal names; without words, one query looks at all."""
        if not words:
            self._look.set()
        for word in words:
            if word.startswith(_MARK):
                self._wake(word.removeprefix(_MARK))

    def run_now(self, tenant_id: str | None = None) -> None:
        """Look for mails of a tenant, or of all, as if there were news."""
        if tenant_id is None:
            self._look.set()
        else:
            self._wake(tenant_id)

    @property
    def running(self) -> frozenset[str]:
        """The tenants that have a dispatcher here now."""
        return frozenset(self._running)

    def changed(self, tenant_id: str, event: tenants.Event) -> None:
        """Tell a dispatcher what is different about its tenant, and show its accounts."""
        self._series.changed(tenant_id, event)
        self._tell(tenant_id, Changed(event))

    def close(self, timeout_s: float) -> None:
        """Let what is being sent come to an end, within the time, then stop."""
        self._closing = True
        self._lookout.kill()
        self._series.close()
        self._drain(list(self._running), timeout_s)
        for ref in list(self._running.values()):
            ref.stop(block=False)

    def _of(self, partition: int) -> list[str]:
        return [one for one in self._running if self._partition_of(one) == partition]

    def _drain(self, tenant_ids: Iterable[str], timeout_s: float) -> None:
        waits = []
        for tenant_id in tenant_ids:
            done = Flag()
            if self._tell(tenant_id, Stop(done)):
                waits.append(gevent.spawn(done.wait))
        gevent.joinall(waits, timeout=timeout_s)

    def _look_through(self) -> None:
        while True:
            self._look.wait(COUNT_S)  # Whatever signal was lost, mails don't wait for long.
            self._look.clear()
            try:
                for tenant_id, seq in self._waiting().items():
                    self._wake(tenant_id, seq)
                self._count()
            except TROUBLE as error:
                log.info("mails can't be looked for", extra={"error": str(error)})
                gevent.sleep(RETRY_S)
                self._look.set()

    def _waiting(self) -> dict[str, int]:
        """Return the newest row of every tenant that has mails waiting."""
        with self._log.turns, borrowed(self._log.pool) as connection:
            rows = connection.execute(_WAITING).fetchall()
        return {tenants.id_of(row["actor_id"]): row["seq"] for row in rows}

    def _count(self) -> None:
        """Show how many mails wait in all, now and then."""
        if monotonic() - self._counted_s < COUNT_S or not self.tenures:
            return
        with self._log.turns, borrowed(self._log.pool) as connection:
            row = connection.execute(_COUNT).fetchone()
        assert row is not None
        metrics.MAIL_PENDING.set(row["mails"])
        self._counted_s = monotonic()

    def _wake(self, tenant_id: str, seq: int | None = None) -> None:
        if not self._tell(tenant_id, News(seq)):
            with self._starting:  # To start an actor lets others run: of two one would be lost.
                if not self._tell(tenant_id, News(seq)):
                    self._start(tenant_id)

    def _start(self, tenant_id: str) -> None:
        tenure = None if self._closing else self.tenures.of(tenants.stream_of(tenant_id))
        if tenure is None:
            return
        log.info("tenant taken over", extra={"tenant": tenant_id})
        ref = MailDispatcher.start(tenant_id, self._parts, tenure)
        if tenure.holds() and not self._closing:
            self._running[tenant_id] = ref
        else:
            ref.stop(block=False)  # The lease went while it was being started.

    def _tell(self, tenant_id: str, message: object) -> bool:
        """Tell a dispatcher, if there is one."""
        ref = self._running.get(tenant_id)
        if ref is None or not ref.is_alive():
            return False
        try:
            ref.tell(message)
        except Unavailable:
            # One that busy looks into its inbox anyway.
            log.warning("dispatcher is busy", extra={"tenant": tenant_id})
        return True

    def _partition_of(self, tenant_id: str) -> int:
        return self.tenures.partition_of(tenants.stream_of(tenant_id))

    def _ended(self, tenant_id: str) -> None:
        self._running.pop(tenant_id, None)
