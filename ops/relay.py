"""The relay process: leases, what acts under them, a follower that tells what others decided."""

from __future__ import annotations

import logging
import signal
from typing import TYPE_CHECKING, Protocol

import gevent
from gevent.event import Event

from signalbox.actors.runtime import Actor
from signalbox.eventstore import tracing
from signalbox.eventstore.follower import Follower
from signalbox.eventstore.housekeeping import keep_house
from signalbox.eventstore.leases import LeaseKeeper
from signalbox.http.callbacks import TOPICS
from signalbox.ops.callbacks import Callbacks
from signalbox.ops.holders import Holder, Holders
from signalbox.ops.link_relay import LinkRelay
from signalbox.ops.mail_relay import MailRelay
from signalbox.ops.phones import expiry
from signalbox.ops.reload import Reload
from signalbox.ops.store import open_journal, open_log
from signalbox.ops.traces import start_tracing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from psycopg.rows import TupleRow

    from signalbox.eventstore.log import EventLog
    from signalbox.ops.holders import Told
    from signalbox.ops.sections import Leases
    from signalbox.ops.settings import Settings

log = logging.getLogger(__name__)


class Part(Holder, Protocol):
    """One kind of work that a relay does."""

    @property
    def told(self) -> Told:
        """Who takes which events."""

    def use(self, keeper: LeaseKeeper) -> None:
        """Act under this keeper's leases."""

    def work_waits(self, words: frozenset[str]) -> None:
        """Look where the words of a commit say that there is something to do."""

    def configure(self, settings: Settings) -> None:
        """Take a configuration that was read again."""

    def drain(self) -> None:
        """Finish what is under way, then stop; the leases are still held."""


def run(settings: Settings) -> int:
    """Act under the leases that this process gets, until SIGTERM or SIGINT."""
    Actor.inbox_messages_max = settings.actors.inbox_messages_max
    Actor.restarts_max = settings.actors.restarts_max
    reload = Reload(settings)
    start_tracing(settings)
    event_log = open_log(settings)
    journal = open_journal(settings, event_log)
    links = LinkRelay(settings, event_log, journal)
    callbacks = Callbacks(settings, event_log, journal, TOPICS)
    parts: Sequence[Part] = (links, callbacks, MailRelay(settings, event_log, journal))
    follower = _follow(event_log, parts)
    links.begin()
    keeper = _keep_leases(event_log, settings.leases, Holders(*parts))
    for part in parts:
        part.use(keeper)
    expiring = expiry(settings, event_log, journal)
    house = gevent.spawn(keep_house, event_log.pool, settings.sms.receipt_match_days)

    def apply(fresh: Settings) -> None:
        for part in parts:
            part.configure(fresh)

    reload.start(apply)
    log.info("relay is up", extra={"relay": keeper.process_id, "links": len(links.links.ids)})
    _wait_for_signal()
    log.info("relay stops")
    house.kill()
    expiring.close()
    reload.close()
    gevent.joinall([gevent.spawn(part.drain) for part in parts])
    keeper.close()
    follower.close()
    links.close()
    journal.close()
    event_log.close()
    tracing.stop()
    return 0


def _follow(event_log: EventLog, parts: Sequence[Part]) -> Follower:
    """Hand each event to whoever takes its name, and the words of each commit to all."""
    told: Told = {}
    for part in parts:
        told |= part.told

    def handle(rows: list[TupleRow]) -> None:
        for row in rows:
            told[row[3]](row)

    def signal_all(words: frozenset[str]) -> None:
        for part in parts:
            part.work_waits(words)

    return Follower(event_log, tuple(told), handle, signal_all)


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
