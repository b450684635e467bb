"""Callbacks in the relay: what queues them and what sends them, as its leases come and go."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gevent.lock import Semaphore

from signalbox.actors.callback_outbox import NAME, CallbackOutbox
from signalbox.actors.callback_parts import Sending
from signalbox.actors.callback_senders import CallbackSenders
from signalbox.actors.transports.callbacks import Poster
from signalbox.actors.transports.outside import Outside
from signalbox.actors.transports.trust import trusting
from signalbox.actors.webhooks import WEBHOOK_EVENTS, Webhooks
from signalbox.domain.callback import Patience
from signalbox.domain.webhook import owner_of
from signalbox.eventstore.leases import partition_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from signalbox.actors.callback_topics import Topic
    from signalbox.domain import names
    from signalbox.eventstore.journal import Journal
    from signalbox.eventstore.leases import LeaseKeeper
    from signalbox.eventstore.log import EventLog
    from signalbox.eventstore.mapper import Recorded
    from signalbox.eventstore.recorder import Fence
    from signalbox.ops.holders import Told
    from signalbox.ops.settings import Settings


def webhooks_of(settings: Settings, event_log: EventLog, journal: Journal) -> Webhooks:
    """Return the webhooks of all owners, for any process."""
    return Webhooks(event_log, journal, Outside(settings.callbacks.allowed_networks))


class Callbacks:
    """Everything about callbacks in one relay."""

    def __init__(
        self,
        settings: Settings,
        event_log: EventLog,
        journal: Journal,
        topics: Mapping[type[names.Event], Topic],
    ) -> None:
        partitions, limits = settings.leases.partitions, settings.callbacks
        self._log = event_log
        self._timeout_s = limits.timeout_s
        self._partition = partition_of(NAME, partitions)
        self._webhooks = webhooks_of(settings, event_log, journal)
        self._outbox = CallbackOutbox(event_log, journal, self._webhooks, topics)
        poster = Poster(
            Outside(limits.allowed_networks),
            connect_timeout_s=limits.connect_timeout_s,
            timeout_s=limits.timeout_s,
            tls=trusting(limits.tls_ca_file),
        )
        sending = Sending(
            log=event_log,
            journal=journal,
            webhooks=self._webhooks,
            topics=topics,
            post=poster.post,
            slots=Semaphore(limits.in_flight_max),
            patience=Patience(limits.age_s_max, limits.refusals_max),
            in_flight_max=limits.in_flight_per_owner_max,
            failures_max=limits.failures_max,
        )
        self._senders = CallbackSenders(sending, partitions)

    def use(self, keeper: LeaseKeeper) -> None:
        """Act under this keeper's leases."""
        self._senders.tenures.keeper = keeper

    def gained(self, fence: Fence) -> None:
        """Start what belongs to a partition."""
        if fence.partition == self._partition:
            self._outbox.begin(fence)
        self._senders.gained(fence)

    def leaving(self, partition: int) -> None:
        """Let what was posted be answered before somebody else gets the partition."""
        self._senders.leaving(partition, self._timeout_s)

    def lost(self, partition: int) -> None:
        """Stop what belongs to a partition."""
        if partition == self._partition:
            self._outbox.end()
        self._senders.lost(partition)

    def work_waits(self, words: frozenset[str]) -> None:
        """Look where the words of a commit say that there is something to do."""
        self._outbox.work_waits(words)
        self._senders.work_waits(words)

    @property
    def told(self) -> Told:
        """Who takes which events."""
        return dict.fromkeys(WEBHOOK_EVENTS, lambda row: self.follow(self._log.decode_row(row)))

    def follow(self, recorded: Recorded) -> None:
        """Take what the log has of a webhook."""
        self._webhooks.follow(recorded)
        self._senders.reconsider(owner_of(recorded.stream_id))

    def configure(self, settings: Settings) -> None:
        """Take a configuration that was read again: it has nothing for us."""

    def drain(self) -> None:
        """Let what was posted be answered, then stop; the leases are still held."""
        self._outbox.end()
        self._senders.close(self._timeout_s)
