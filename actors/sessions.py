"""The link sessions of a relay: each starts and ends with the lease of its link's partition."""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING, Final

import gevent
from gevent.event import Event

from signalbox.actors.link_messages import LinkChanged, LinkPlan, Stop, Tenure, WorkWaits
from signalbox.actors.link_session import LinkSession
from signalbox.actors.loads import Vitals
from signalbox.actors.relief import Relief
from signalbox.domain import link as domain
from signalbox.eventstore.errors import Unavailable
from signalbox.eventstore.leases import LeaseKeeper, partition_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pykka

    from signalbox.actors.links import Links
    from signalbox.actors.routing import Routes
    from signalbox.eventstore.journal import Journal
    from signalbox.eventstore.log import EventLog
    from signalbox.eventstore.recorder import Fence

log = logging.getLogger(__name__)

HANDOVER_S: Final = 10.0


class Sessions:
    """Keeps a `LinkSession` for every configured link whose partition this process holds."""

    def __init__(
        self,
        log_: EventLog,
        journal: Journal,
        links: Links,
        plans: Mapping[int, LinkPlan],
        partitions: int,
        routes: Routes | None = None,
    ) -> None:
        self._log = log_
        self._journal = journal
        self._links = links
        self._plans = plans
        self._routes = routes
        self._vitals: dict[int, Vitals] = {}
        self._by_partition: dict[int, list[int]] = {}
        for link_id in plans:
            partition = partition_of(domain.stream_of(link_id), partitions)
            self._by_partition.setdefault(partition, []).append(link_id)
        self._running: dict[int, pykka.ActorRef[LinkSession]] = {}
        self.keeper: LeaseKeeper | None = None

    def gained(self, fence: Fence) -> None:
        """Start the links of a partition."""
        for link_id in self._by_partition.get(fence.partition, ()):
            log.info("link taken over", extra={"link": link_id, "epoch": fence.epoch})
            self._running[link_id] = self._start(link_id, fence)
            # Whoever switched it while the actor was being started could tell nobody.
            self.changed(self._links.link(link_id))

    def leaving(self, partition: int) -> None:
        """Let the links of a partition finish what is on the wire, for the next owner's sake."""
        self._drain(self._by_partition.get(partition, ()), HANDOVER_S)

    def lost(self, partition: int) -> None:
        """Stop the links of a partition at once; somebody else may act for them already."""
        for link_id in self._by_partition.get(partition, ()):
            ref = self._running.pop(link_id, None)
            self._vitals.pop(link_id, None)
            if ref is not None:
                log.info("link given up", extra={"link": link_id})
                ref.stop(block=False)

    def changed(self, link: domain.Link) -> None:
        """Tell a session what the log has of its link."""
        self._tell(link.link_id, LinkChanged(link))

    def work_waits(self, words: frozenset[str]) -> None:
        """Tell sessions to look into their inboxes: those a commit's signal names, else all."""
        for link_id in list(self._running):
            if not words or f"@{domain.stream_of(link_id)}" in words:
                self._tell(link_id, WorkWaits())

    def vitals(self) -> Mapping[int, Vitals]:
        """Return what the sessions of links in a pool say of themselves."""
        routes = self._routes
        if routes is None:
            return {}
        return {i: vitals for i, vitals in self._vitals.items() if routes.pool(i)}

    def drain(self, timeout_s: float) -> None:
        """Let every session finish what is on the wire and unbind, all at once, within the time."""
        self._drain(list(self._running), timeout_s)
        for ref in self._running.values():
            ref.stop(block=False)

    def _drain(self, link_ids: Sequence[int], timeout_s: float) -> None:
        waits = []
        for link_id in link_ids:
            ref = self._running.get(link_id)
            if ref is not None and ref.is_alive():
                done = Event()
                self._tell(link_id, Stop(done))
                waits.append(gevent.spawn(done.wait))
        gevent.joinall(waits, timeout=timeout_s)

    def _start(self, link_id: int, fence: Fence) -> pykka.ActorRef[LinkSession]:
        keeper = self.keeper
        assert keeper is not None
        return LinkSession.start(
            self._links.link(link_id),
            self._plans[link_id],
            self._log,
            self._journal,
            Tenure(keeper.process_id, fence, lambda: keeper.fence(fence.partition) == fence),
            self._relief(link_id),
        )

    def _relief(self, link_id: int) -> Relief | None:
        routes = self._routes
        if routes is None:
            return None
        vitals = self._vitals[link_id] = Vitals()
        return Relief(vitals, partial(routes.pool, link_id), partial(routes.elsewhere, link_id))

    def _tell(self, link_id: int, message: object) -> None:
        ref = self._running.get(link_id)
        if ref is None or not ref.is_alive():
            return
        try:
            ref.tell(message)
        except Unavailable:
            # A session that busy looks into its inbox anyway, and ticks bring it the rest.
            log.warning("session is busy", extra={"link": link_id})
