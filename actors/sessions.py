"""The link sessions of a relay: each starts and ends with the lease of its link's partition."""

from __future__ import annotations

import logging
from collections import defaultdict
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Final

import gevent
from gevent.event import Event
from gevent.lock import Semaphore

from signalbox.actors.feeder import actors_with_work
from signalbox.actors.link_messages import LinkChanged, LinkPlan, Stop, Tenure, WorkWaits
from signalbox.actors.link_session import LinkSession
from signalbox.actors.loads import Vitals, queued_messages
from signalbox.actors.relief import Relief
from signalbox.domain import link as domain
from signalbox.domain.errors import UnknownLink
from signalbox.eventstore.errors import Unavailable
from signalbox.eventstore.leases import LeaseKeeper, partition_of

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Mapping, Sequence

    import pykka

    from signalbox.actors.links import Links
    from signalbox.actors.routing import Routes
    from signalbox.eventstore.journal import Journal
    from signalbox.eventstore.log import EventLog
    from signalbox.eventstore.quota import Quota
    from signalbox.eventstore.recorder import Fence

log = logging.getLogger(__name__)

HANDOVER_S: Final = 10.0
UNBIND_SLACK_S: Final = 1.0


class Sessions:
    """Keeps a `LinkSession` for every configured link whose partition this process holds."""

    def __init__(  # noqa: PLR0913  its parts, and what the licence allows
        self,
        log_: EventLog,
        journal: Journal,
        links: Links,
        plans: Mapping[int, LinkPlan],
        partitions: int,
        routes: Routes | None = None,
        *,
        licensed: Container[int] | None = None,
        pace: Quota | None = None,
    ) -> None:
        self._log = log_
        self._journal = journal
        self._links = links
        self._plans = dict(plans)
        self._routes = routes
        self._licensed = licensed
        self._pace = pace
        self._vitals: dict[int, Vitals] = {}
        self._partitions = partitions
        self._by_partition: dict[int, list[int]] = {}
        self._place(plans)
        self._running: dict[int, pykka.ActorRef[LinkSession]] = {}
        self._ran_with: dict[int, LinkPlan] = {}
        self._settling: defaultdict[int, Semaphore] = defaultdict(Semaphore)
        self._stopping = False
        self.keeper: LeaseKeeper | None = None
        self._look = Event()
        self._lookout = gevent.spawn(self._look_through)

    def gained(self, fence: Fence) -> None:
        """Start the links of a partition."""
        for link_id in self._by_partition.get(fence.partition, ()):
            if self._wanted(link_id) is not None:
                self._begin(link_id, fence)

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
        """Tell a session what the log has of its link; end it with the link, begin it anew."""
        if link.spec is None or link.link_id not in self._running:
            gevent.spawn(self._settle, link.link_id)
        else:
            self._tell(link.link_id, LinkChanged(link))

    def reconfigure(self, plans: Mapping[int, LinkPlan]) -> None:
        """Go by other plans, once the log has the links they are for; a link without one ends.

        Sessions whose plan is another now drain, unbind, and begin anew, all at the same time. It
        returns when that is done.
        """
        before, self._plans = self._plans, dict(plans)
        self._place(plans)
        link_ids = before.keys() | plans.keys()
        gevent.joinall([gevent.spawn(self._settle, i) for i in link_ids], raise_error=True)

    def tell_waiting(self, link_id: int) -> None:
        """Say how many messages are left in the queue of a link that is gone."""
        try:
            messages = queued_messages(self._log.pool, link_id)
        except Unavailable as error:
            log.warning("queue can't be counted", extra={"link": link_id, "error": error.reason})
            return
        if messages:
            left = {"link": link_id, "messages": messages}
            log.warning("messages wait for a link that was removed", extra=left)

    def work_waits(self, words: frozenset[str]) -> None:
        """Tell sessions to look into their inboxes: those a commit's signal names.

        Without words all inboxes are looked through here, at once: a thousand sessions that look
        for themselves would take all connections, second by second.
        """
        if not words:
            self._look.set()
        for link_id in list(self._running):
            if f"@{domain.stream_of(link_id)}" in words:
                self._tell(link_id, WorkWaits())

    def vitals(self) -> Mapping[int, Vitals]:
        """Return what the sessions of links in a pool say of themselves."""
        routes = self._routes
        if routes is None:
            return {}
        return {i: vitals for i, vitals in self._vitals.items() if routes.pool(i)}

    def drain(self, timeout_s: float) -> None:
        """Let every session finish what is on the wire and unbind, all at once, within the time."""
        self._stopping = True
        self._drain(list(self._running), timeout_s)
        for ref in self._running.values():
            ref.stop(block=False)
        self._lookout.kill()

    def _look_through(self) -> None:
        while True:
            self._look.wait()
            self._look.clear()
            by_name = {domain.stream_of(link_id): link_id for link_id in self._running}
            try:
                names = actors_with_work(self._log, by_name)
            except Unavailable as error:
                log.info("inboxes can't be read", extra={"error": error.reason})
                continue  # The follower gives no words every second.
            for name in names:
                self._tell(by_name[name], WorkWaits())

    def _drain(self, link_ids: Sequence[int], timeout_s: float) -> None:
        waits = []
        for link_id in link_ids:
            ref = self._running.get(link_id)
            if ref is not None and ref.is_alive():
                done = Event()
                self._tell(link_id, Stop(done))
                waits.append(gevent.spawn(done.wait))
        gevent.joinall(waits, timeout=timeout_s)

    def _place(self, plans: Iterable[int]) -> None:
        """Note which partitions these links belong to; a link that goes keeps its place."""
        for link_id in plans:
            partition = partition_of(domain.stream_of(link_id), self._partitions)
            placed = self._by_partition.setdefault(partition, [])
            if link_id not in placed:
                placed.append(link_id)

    def _wanted(self, link_id: int) -> LinkPlan | None:
        """Return the plan a link is to run by, None when it is configured no longer."""
        try:
            self._links.link(link_id)
        except UnknownLink:
            return None
        return self._plans.get(link_id)

    def _settle(self, link_id: int) -> None:
        """Make a link's session what plan, log and lease want; one at a time for each link."""
        with self._settling[link_id]:
            plan = self._wanted(link_id)
            ref = self._running.get(link_id)
            if ref is not None and plan != self._ran_with[link_id]:
                self._end(link_id, ref)
                if plan is None:
                    self.tell_waiting(link_id)
            fence = None if self._stopping else self._fence(link_id)
            if plan is not None and fence is not None and link_id not in self._running:
                self._begin(link_id, fence)

    def _end(self, link_id: int, ref: pykka.ActorRef[LinkSession]) -> None:
        """Drain and unbind, within the response timeouts of both, then stop."""
        response_timeout_s = self._ran_with[link_id].endpoint.response_timeout_s
        self._drain([link_id], 2 * response_timeout_s + UNBIND_SLACK_S)
        ref.stop()
        if self._running.get(link_id) is ref:  # Meanwhile the lease may have gone and come back.
            del self._running[link_id]
            self._vitals.pop(link_id, None)
            log.info("link ended", extra={"link": link_id})

    def _begin(self, link_id: int, fence: Fence) -> None:
        log.info("link taken over", extra={"link": link_id, "epoch": fence.epoch})
        self._ran_with[link_id] = self._plans[link_id]
        self._running[link_id] = self._start(link_id, fence)
        # Whoever switched it while the actor was being started could tell nobody.
        with suppress(UnknownLink):  # Its removal is told by itself.
            self.changed(self._links.link(link_id))

    def _fence(self, link_id: int) -> Fence | None:
        partition = partition_of(domain.stream_of(link_id), self._partitions)
        return self.keeper.fence(partition) if self.keeper else None

    def _start(self, link_id: int, fence: Fence) -> pykka.ActorRef[LinkSession]:
        keeper = self.keeper
        assert keeper is not None
        return LinkSession.start(
            self._links.link(link_id),
            self._plans[link_id],
            self._log,
            self._journal,
            self._tenure(keeper, link_id, fence),
            self._relief(link_id),
        )

    def _tenure(self, keeper: LeaseKeeper, link_id: int, fence: Fence) -> Tenure:
        licensed = self._licensed
        return Tenure(
            keeper.process_id,
            fence,
            lambda: keeper.fence(fence.partition) == fence,
            lambda: licensed is None or link_id in licensed,
            self._pace,
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
