"""Mail in a relay: what sends it, tells tenants what became of it, and forgets it in the end."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

import gevent
from gevent.lock import Semaphore

from signalbox.actors.bounce_rules import load_rules
from signalbox.actors.mail_bounces import BounceParts, MailBounces
from signalbox.actors.mail_calls import ClientCalls
from signalbox.actors.mail_dispatch import DispatchLimits, MailDispatchers
from signalbox.actors.mail_reports import REPORTED_EVENTS, MailReports
from signalbox.actors.mail_retention import MailRetention
from signalbox.actors.mail_return_path import ComingBack
from signalbox.actors.mail_sync import Syncing
from signalbox.actors.mail_warmth import Warmth
from signalbox.actors.pec_receipts import PecParts, PecReceipts
from signalbox.actors.sending_ips import SENDING_IP_EVENTS
from signalbox.actors.transports.callbacks import Poster
from signalbox.actors.transports.imap import Access
from signalbox.actors.transports.outside import Outside
from signalbox.actors.transports.trust import trusting
from signalbox.domain.sync import Rhythm
from signalbox.eventstore.errors import Unavailable
from signalbox.http.mail_proxy.reports import SyncWording
from signalbox.ops.mail import BY, Mail
from signalbox.ops.mail_reads import MailReads
from signalbox.ops.mail_transport import transport_of
from signalbox.ops.warmup import Warmups

if TYPE_CHECKING:
    from signalbox.eventstore.journal import Journal
    from signalbox.eventstore.leases import LeaseKeeper
    from signalbox.eventstore.log import EventLog
    from signalbox.eventstore.recorder import Fence
    from signalbox.ops.holders import Holder, Told
    from signalbox.ops.settings import Settings

log = logging.getLogger(__name__)

DRAIN_S: Final = 15.0
SHOWN_S: Final = 2.0
TIDY_S: Final = 60.0  # how often deletions that were cut short are finished


class MailRelay:
    """See the module."""

    def __init__(self, settings: Settings, event_log: EventLog, journal: Journal) -> None:
        given, partitions = settings.mail, settings.leases.partitions
        self._log = event_log
        self._mail = Mail(settings, event_log, journal)
        self._warmups = Warmups(settings, event_log, journal)
        tenants = self._mail.tenants
        reads = MailReads(
            self._mail.models, lambda: journal.last_position, settings.projector.read_wait_s
        )
        self._transport = transport_of(given, tenants, reads.tenant_ids)
        self._dispatchers = MailDispatchers(
            event_log,
            journal,
            tenants,
            ComingBack(self._transport, self._mail.instance),
            Warmth(self._warmups.gate, self._warmups.groupings),
            DispatchLimits(
                in_flight_per_account_max=given.in_flight_per_account_max,
                in_flight_max=given.in_flight_max,
                retry_delays_s=given.retry_delays_s,
            ),
            partitions,
            lambda: self._all_tenants(reads),
        )
        tls = trusting(given.tls_ca_file)
        poster = Poster(
            Outside(given.allowed_networks),
            connect_timeout_s=given.connect_timeout_s,
            timeout_s=given.sync_timeout_s,
            tls=tls,
            answer_octets_max=given.sync_answer_octets_max,
        )
        syncing = Syncing(
            log=event_log,
            journal=journal,
            tenants=tenants,
            reports=reads,
            shown=self._mail.models.wait_for,
            calls=ClientCalls(tenants, SyncWording(reads, given.report_format), poster.post),
            slots=Semaphore(given.sync_calls_max),
            rhythm=Rhythm(interval_s=float(given.sync_interval_s)),
        )
        self._reports = MailReports(syncing, reads, partitions)
        self._retention = MailRetention(
            lambda limit: reads.expired(given.retention_days, limit),
            lambda tenant_id, pks: self._mail.mails.cleanup(tenant_id, pks, by=BY),
        )
        bounces = BounceParts(
            self._mail.instance,
            self._mail.mails,
            reads,
            lambda: load_rules(given.bounce_rules),
            Access(tls=tls),
        )
        self._bounces = MailBounces(bounces, partitions)
        outside = None if given.mail_servers_inside else Outside(given.allowed_networks)
        receipts = PecParts(
            log=event_log,
            journal=journal,
            tenants=tenants,
            mails=self._mail.mails,
            reads=reads,
            access=Access(outside=outside, tls=tls),
            poll_interval_s=given.pec_poll_interval_s,
            acceptance_s=given.pec_acceptance_s,
        )
        self._receipts = PecReceipts(receipts, partitions)
        self._mail.instance.on_change(self._bounces.changed)
        tenants.on_change(self._dispatchers.changed)
        tenants.on_change(self._reports.changed)
        self._tidying = gevent.spawn(self._tidy)

    @property
    def told(self) -> Told:
        """Who takes which events."""
        decode, ips = self._log.decode_row, self._warmups.ips
        return {
            **{topic: tell for topics, tell in self._mail.told for topic in topics},
            **dict.fromkeys(SENDING_IP_EVENTS, lambda row: ips.follow(decode(row))),
            **dict.fromkeys(REPORTED_EVENTS, self._reports.news),
        }

    @property
    def _holders(self) -> tuple[Holder, ...]:
        return self._dispatchers, self._reports, self._bounces, self._receipts

    def use(self, keeper: LeaseKeeper) -> None:
        """Act under this keeper's leases."""
        self._dispatchers.tenures.keeper = self._reports.tenures.keeper = keeper

    def gained(self, fence: Fence) -> None:
        """Start what belongs to a partition."""
        for holder in self._holders:
            holder.gained(fence)

    def leaving(self, partition: int) -> None:
        """Come to rest, still under the lease."""
        gevent.joinall([gevent.spawn(one.leaving, partition) for one in self._holders])

    def lost(self, partition: int) -> None:
        """Stop what belongs to a partition."""
        for holder in self._holders:
            holder.lost(partition)

    def work_waits(self, words: frozenset[str]) -> None:
        """Look where the words of a commit say that there is something to do."""
        self._dispatchers.work_waits(words)
        self._reports.work_waits(words)

    def configure(self, settings: Settings) -> None:
        """Take a configuration that was read again."""
        self._warmups.configure(settings)

    def drain(self) -> None:
        """Finish what is under way; the leases are still held."""
        self._tidying.kill()
        self._retention.close()
        self._bounces.close()
        self._receipts.close()
        closing = (self._dispatchers.close, self._reports.close)
        gevent.joinall([gevent.spawn(close, DRAIN_S) for close in closing])
        self._transport.close(1.0)

    def _all_tenants(self, reads: MailReads) -> list[str]:
        """Return every tenant that the log has by now. Raises: `Unavailable`."""
        if not self._mail.models.wait_for(self._log.head(), SHOWN_S):
            raise Unavailable("read models are behind")
        return reads.tenant_ids()

    def _tidy(self) -> None:
        """Finish deletions of tenants that were cut short, for ever."""
        while True:
            try:
                finished = self._mail.tenants.finish_deletions()
            except Unavailable as error:
                log.warning("deletions wait", extra={"reason": error.reason})
            else:
                if finished:
                    log.info("deletions finished", extra={"tenants": finished})
            gevent.sleep(TIDY_S)
