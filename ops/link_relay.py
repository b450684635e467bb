"""The links of a relay: their sessions, and all that these go by."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import gevent

from signalbox.actors.licenses import LICENSE_EVENTS, LicensedLinks, licensed_pace
from signalbox.actors.links import LINK_EVENTS, Links
from signalbox.actors.loads import LoadReports, Loads
from signalbox.actors.routing import Pools, Routes
from signalbox.actors.sessions import Sessions
from signalbox.ops import links as configured
from signalbox.ops.licensing import licenses_of
from signalbox.ops.reload import BY, remove_forgotten
from signalbox.projections.readers import ReadModels

if TYPE_CHECKING:
    from signalbox.eventstore.journal import Journal
    from signalbox.eventstore.leases import LeaseKeeper
    from signalbox.eventstore.log import EventLog
    from signalbox.eventstore.recorder import Fence
    from signalbox.ops.holders import Told
    from signalbox.ops.settings import Settings

DRAIN_S: Final = 20.0
LEAVE_S: Final = 11.0  # a link that must go: the answers it waits for, then its unbind's, 5 s each


class LinkRelay:
    """See the module."""

    def __init__(self, settings: Settings, event_log: EventLog, journal: Journal) -> None:
        self._log = event_log
        self.links = Links(event_log, journal, configured.specs(settings))
        self._pools = Pools(configured.pools(settings))
        self._loads = Loads(event_log.pool, self._pools.link_ids)
        self._licenses = licenses_of(settings, event_log, journal)
        licensed = LicensedLinks(self.links, self._licenses, leave_s=LEAVE_S)
        self._pace = licensed_pace(event_log, self._licenses)
        self._sessions = Sessions(
            event_log,
            journal,
            self.links,
            configured.plans(settings),
            settings.leases.partitions,
            Routes(self.links, self._pools, self._loads),
            licensed=licensed,
            pace=self._pace,
        )
        self._reports = LoadReports(event_log.pool, self._sessions.vitals)
        self.links.watch(self._sessions.changed)
        self._forgetting: gevent.Greenlet | None = None

    @property
    def told(self) -> Told:
        """Who takes which events."""
        decode = self._log.decode_row
        return {
            **dict.fromkeys(LINK_EVENTS, lambda row: self.links.follow(decode(row))),
            **dict.fromkeys(LICENSE_EVENTS, lambda row: self._licenses.follow(decode(row))),
        }

    def use(self, keeper: LeaseKeeper) -> None:
        """Act under this keeper's leases."""
        self._sessions.keeper = keeper

    def begin(self) -> None:
        """Configure the links, as soon as somebody follows the log."""
        self._licenses.restore()
        self.links.configure(by=BY)
        self._forgetting = gevent.spawn(self._forget)

    def gained(self, fence: Fence) -> None:
        """Start what belongs to a partition."""
        self._sessions.gained(fence)

    def leaving(self, partition: int) -> None:
        """Come to rest, still under the lease."""
        self._sessions.leaving(partition)

    def lost(self, partition: int) -> None:
        """Stop what belongs to a partition."""
        self._sessions.lost(partition)

    def work_waits(self, words: frozenset[str]) -> None:
        """Look where the words of a commit say that there is something to do."""
        self._sessions.work_waits(words)

    def configure(self, settings: Settings) -> None:
        """Take a configuration that was read again."""
        self.links.reconfigure(configured.specs(settings), by=BY)
        self._pools.configure(configured.pools(settings))
        self._sessions.reconfigure(configured.plans(settings))

    def drain(self) -> None:
        """Finish what is on the wire, and unbind; the leases are still held."""
        if self._forgetting is not None:
            self._forgetting.kill()
        self._reports.close()
        self._loads.close()
        self._sessions.drain(DRAIN_S)

    def close(self) -> None:
        """Give up what is shared with other processes."""
        self._pace.close()

    def _forget(self) -> None:
        """Remove the links that are configured no longer, once the read models show them."""
        read_models = ReadModels(self._log)
        for link_id in remove_forgotten(self.links, read_models, self._log.head()):
            self._sessions.tell_waiting(link_id)
