"""The warm-up of addresses, put together: the gate, its surface, and what operators look at."""

from __future__ import annotations

from typing import TYPE_CHECKING

from signalbox.actors.mx import Groupings
from signalbox.actors.sending_days import SendingDays
from signalbox.actors.sending_ips import SendingIps
from signalbox.actors.warmup_gate import WarmupGate
from signalbox.domain.groupings import Row, published_with
from signalbox.domain.ip_pool import IpPool
from signalbox.http.warmup.admin import WarmupAdmin
from signalbox.http.warmup.routes import WarmupSurface
from signalbox.ops.reads import WarmupReads
from signalbox.ops.zones import zone_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from signalbox.domain.groupings import Tables
    from signalbox.eventstore.journal import Journal
    from signalbox.eventstore.log import EventLog
    from signalbox.http.body import BodyReader
    from signalbox.ops.settings import Settings
    from signalbox.projections.readers import ReadModels


class Warmups:
    """What a process needs to warm addresses up; `gate` is for whatever sends mail."""

    def __init__(self, settings: Settings, event_log: EventLog, journal: Journal) -> None:
        self._settings = settings
        self._zone = zone_of(settings.warmup.timezone)
        self.ips = SendingIps(event_log, journal)
        self.groupings = Groupings(tables=grouping_tables(settings))
        days, pools = SendingDays(event_log, journal), ip_pools(settings)
        self.gate = WarmupGate(self.ips, days, pools, zone=self._zone, now=journal.now)

    def configure(self, settings: Settings) -> None:
        """Take the pools and groupings of a configuration that was read again."""
        self.gate.configure(ip_pools(settings))
        self.groupings.configure(grouping_tables(settings))

    def surfaces(
        self, read_models: ReadModels, position: Callable[[], int], body: BodyReader
    ) -> tuple[WarmupSurface, WarmupAdmin]:
        """Return the reference's surface, and ours for operators."""
        wait_s = self._settings.projector.read_wait_s
        reads = WarmupReads(read_models, position, wait_s, self._zone)
        given = self._settings.warmup
        surface = WarmupSurface(
            warmup=self.ips,
            reads=reads,
            body=body,
            api_keys=given.api_keys,
            strict_doc_shapes=given.strict_doc_shapes,
            status_words=given.status_words,
        )
        key = self._settings.admin_api_key
        return surface, WarmupAdmin(reads=reads, body=body, admin_api_key=key)


def ip_pools(settings: Settings) -> list[IpPool]:
    """Return the configured pools of addresses."""
    return [
        IpPool(
            name=pool.name,
            ips=pool.canonical_ips,
            weights=pool.weights,
            overflow=pool.overflow,
            policy=pool.policy,
        )
        for pool in settings.ip_pools
    ]


def grouping_tables(settings: Settings) -> Tables:
    """Return whose domains and mail servers are whose, as configured."""
    return published_with({one.name: Row(one.domains, one.mx) for one in settings.groupings})
