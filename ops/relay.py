"""The relay process: leases, link sessions, and a follower that tells what others decided."""

from __future__ import annotations

import logging
import signal
from typing import TYPE_CHECKING, Final

import gevent
from gevent.event import Event

from signalbox.actors.licenses import LICENSE_EVENTS, LicensedLinks, licensed_pace
from signalbox.actors.links import LINK_EVENTS, Links
from signalbox.actors.loads import LoadReports, Loads
from signalbox.actors.routing import Pools, Routes
from signalbox.actors.runtime import Actor
from signalbox.actors.sessions import Sessions
from signalbox.actors.webhooks import WEBHOOK_EVENTS
from signalbox.eventstore import tracing
from signalbox.eventstore.follower import Follower
from signalbox.eventstore.housekeeping import keep_house
from signalbox.eventstore.leases import LeaseKeeper
from signalbox.http.callbacks import TOPICS
from signalbox.ops import links as configured
from signalbox.ops.callbacks import Callbacks
from signalbox.ops.holders import Holders
from signalbox.ops.licensing import licenses_of
from signalbox.ops.phones import expiry
from signalbox.ops.reload import BY, Reload, remove_forgotten
from signalbox.ops.store import open_journal, open_log
from signalbox.ops.traces import start_tracing
from signalbox.projections.readers import ReadModels

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from psycopg.rows import TupleRow

    from signalbox.eventstore.log import EventLog
    from signalbox.eventstore.mapper import Recorded
    from signalbox.ops.sections import Leases
    from signalbox.ops.settings import Settings

log = logging.getLogger(__name__)

DRAIN_S: Final = 20.0
LEAVE_S: Final = 11.0  # a link that must go: the answers it waits for, then its unbind's, 5 s each


def run(settings: Settings) -> int:
    """Act for the links whose leases this process gets, until SIGTERM or SIGINT."""
    Actor.inbox_messages_max = settings.actors.inbox_messages_max
    Actor.restarts_max = settings.actors.restarts_max
    reload = Reload(settings)
    start_tracing(settings)
    event_log = open_log(settings)
    journal = open_journal(settings, event_log)
    links = Links(event_log, journal, configured.specs(settings))
    pools = Pools(configured.pools(settings))
    loads = Loads(event_log.pool, pools.link_ids)
    licenses = licenses_of(settings, event_log, journal)
    licensed = LicensedLinks(links, licenses, leave_s=LEAVE_S)
    pace = licensed_pace(event_log, licenses)
    sessions = Sessions(
        event_log,
        journal,
        links,
        configured.plans(settings),
        settings.leases.partitions,
        Routes(links, pools, loads),
        licensed=licensed,
        pace=pace,
    )
    callbacks = Callbacks(settings, event_log, journal, TOPICS)
    reports = LoadReports(event_log.pool, sessions.vitals)
    links.watch(sessions.changed)
    follows = {
        **dict.fromkeys(LINK_EVENTS, links.follow),
        **dict.fromkeys(LICENSE_EVENTS, licenses.follow),
        **dict.fromkeys(WEBHOOK_EVENTS, callbacks.follow),
    }
    follower = _follow(event_log, follows, (sessions.work_waits, callbacks.work_waits))
    licenses.restore()
    links.configure(by=BY)
    keeper = _keep_leases(event_log, settings.leases, Holders(sessions, callbacks))
    sessions.keeper = keeper
    callbacks.use(keeper)
    expiring = expiry(settings, event_log, journal)
    house = gevent.spawn(keep_house, event_log.pool, settings.sms.receipt_match_days)

    def apply(fresh: Settings) -> None:
        links.reconfigure(configured.specs(fresh), by=BY)
        pools.configure(configured.pools(fresh))
        sessions.reconfigure(configured.plans(fresh))

    def forget() -> None:
        for link_id in remove_forgotten(links, ReadModels(event_log), event_log.head()):
            sessions.tell_waiting(link_id)

    reload.start(apply)
    forgetting = gevent.spawn(forget)
    log.info("relay is up", extra={"relay": keeper.process_id, "links": len(links.ids)})
    _wait_for_signal()
    log.info("relay stops")
    for end in (
        *(house.kill, expiring.close, reload.close, forgetting.kill),
        *(reports.close, loads.close),
    ):
        end()
    closing = gevent.spawn(callbacks.close)
    sessions.drain(DRAIN_S)
    closing.join()
    keeper.close()
    follower.close()
    pace.close()
    journal.close()
    event_log.close()
    tracing.stop()
    return 0


def _follow(
    event_log: EventLog,
    follows: Mapping[str, Callable[[Recorded], None]],
    signals: Iterable[Callable[[frozenset[str]], None]],
) -> Follower:
    """Hand each event to whoever follows its name, and the words of each commit to all."""

    def handle(rows: list[TupleRow]) -> None:
        for row in rows:
            follows[row[3]](event_log.decode_row(row))

    def signal_all(words: frozenset[str]) -> None:
        for one in signals:
            one(words)

    return Follower(event_log, tuple(follows), handle, signal_all)


def _keep_leases(event_log: EventLog, leases: Leases, holders: Holders) -> LeaseKeeper:
    return LeaseKeeper(
        event_log,
        holders.gained,
        holders.lost,
        holders.leaving,
        partitions=leases.partitions,
        ttl_s=leases.ttl_s,
        renew_s=leases.renew_s,
        safety_s=leases.safety_s,
    )


def _wait_for_signal() -> None:
    stop = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        gevent.signal_handler(number, stop.set)
    stop.wait()
