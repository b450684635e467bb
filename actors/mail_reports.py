"""The syncs of a relay: one for every tenant whose lease it has, none waiting for another."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final, Protocol

import gevent
from gevent.event import Event

from signalbox.actors import mail_nudges
from signalbox.actors.callback_inbox import TROUBLE
from signalbox.actors.mail_sync import TenantSync
from signalbox.actors.tenures import Tenures
from signalbox.domain import mail, tenant
from signalbox.domain.names import names_of
from signalbox.eventstore.mapper import read_envelope

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from psycopg.rows import TupleRow

    from signalbox.actors.mail_sync import Syncing
    from signalbox.eventstore.recorder import Fence

log = logging.getLogger(__name__)

REPORTED_EVENTS: Final = names_of(
    mail.MailRejected,
    mail.MailSent,
    mail.MailDeferred,
    mail.MailFailed,
    mail.MailBounced,
    mail.PecReceiptRecorded,
)
RETRY_S: Final = 0.5
SHOWN_S: Final = 2.0
DRAIN_S: Final = 10.0  # what has no answer by then is told again by whoever is next


class Status(Protocol):
    """When a tenant's server was last called, or until when it rests; 0 if it never was."""

    @property
    def tenant_id(self) -> str:
        """Whose server."""

    @property
    def last_sync_s(self) -> float:
        """Unix seconds."""


class ReportReads(Protocol):
    """What is known of all tenants' servers. Its methods raise `Unavailable`."""

    def sync_status(self) -> Sequence[Status]:
        """Return every tenant that exists."""

    def owing(self) -> Sequence[str]:
        """Return the tenants of whose mails something is not acknowledged yet."""


class MailReports:
    """Starts syncs with the leases of their tenants, and ends them."""

    def __init__(self, syncing: Syncing, reads: ReportReads, partitions: int) -> None:
        self._syncing = syncing
        self._reads = reads
        self.tenures = Tenures(partitions)
        self._running: dict[str, TenantSync] = {}
        self._fresh: set[Fence] = set()
        self._heard: dict[str, int] = {}
        self._closing = False
        self._wake = Event()
        self._starter = gevent.spawn(self._start_fresh)

    def gained(self, fence: Fence) -> None:
        """Begin to call the servers of a partition's tenants."""
        self.tenures.gained(fence)
        self._fresh.add(fence)
        self._wake.set()

    def leaving(self, partition: int) -> None:
        """Begin no more calls, and let the answers to open ones come in."""
        self.tenures.leaving(partition)
        self._drain(self._of(partition), DRAIN_S)

    def lost(self, partition: int) -> None:
        """Stop at once; somebody else may call these servers already."""
        self.tenures.lost(partition)
        self._fresh = {fence for fence in self._fresh if fence.partition != partition}
        for tenant_id in self._of(partition):
            self._running.pop(tenant_id).kill()

    def news(self, row: TupleRow) -> None:
        """Take a row of the log with one of `REPORTED_EVENTS`; nothing of it is decrypted."""
        position, *_, state = row
        tenant_id = tenant.id_of(read_envelope(bytes(state)).tenant).rpartition("/")[0]
        sync = self._running.get(tenant_id)
        if sync is not None:
            sync.news(position)
        elif self._fresh:
            self._heard[tenant_id] = position

    def changed(self, tenant_id: str, event: tenant.Event) -> None:
        """Take what became of a tenant."""
        match event:
            case tenant.TenantCreated() | tenant.TenantUpdated() if tenant_id in self._running:
                self._running[tenant_id].reconsider()  # The read models may be ahead of this.
            case tenant.TenantCreated():
                self._begin(tenant_id, 0.0)
            case tenant.TenantDeleted() if tenant_id in self._running:
                self._running.pop(tenant_id).kill()
            case _:
                return

    def work_waits(self, words: frozenset[str]) -> None:
        """Call those servers that somebody wants called now."""
        if mail_nudges.EVERYBODY in words:
            self.run_now()
        for tenant_id in mail_nudges.asked_for(words):
            self.run_now(tenant_id)

    def run_now(self, tenant_id: str | None = None) -> None:
        """Call a tenant's server at once; without a tenant, all that are owed reports."""
        if tenant_id is None:
            for sync in self._running.values():
                sync.ask_if_owing()
        elif tenant_id in self._running:
            self._running[tenant_id].ask()

    def close(self, timeout_s: float = DRAIN_S) -> None:
        """Let all answers come in, within the time, then stop."""
        self._closing = True
        self._starter.kill()
        self._drain(list(self._running), timeout_s)

    def _start_fresh(self) -> None:
        while True:
            self._wake.wait()
            self._wake.clear()
            try:
                self._start(set(self._fresh))
            except TROUBLE as error:
                log.warning("reports can't be begun", extra={"error": str(error)})
                gevent.sleep(RETRY_S)
                self._wake.set()

    def _start(self, fresh: set[Fence]) -> None:
        """Begin with all tenants of some partitions, once the read models are up to date.

        What the holder before stored is in the log by then: a fence keeps out what comes later.
        """
        if not fresh:
            return
        self._heard.clear()
        if not self._syncing.shown(self._syncing.log.head(), SHOWN_S):
            log.info("read models are behind: reports wait")
            self._wake.set()
            return
        owing = set(self._reads.owing())
        for status in self._reads.sync_status():
            tenant_id = status.tenant_id
            tenure = self.tenures.of(tenant.stream_of(tenant_id))
            if tenure is not None and tenure.fence in fresh:
                self._begin(tenant_id, status.last_sync_s, owes=tenant_id in owing)
        self._fresh -= fresh  # One that went and came back meanwhile has another fence.

    def _begin(self, tenant_id: str, synced_at_s: float, *, owes: bool = False) -> None:
        if tenant_id in self._running or self._closing:
            return
        tenure = self.tenures.of(tenant.stream_of(tenant_id))
        if tenure is None:
            return
        sync = TenantSync(tenant_id, self._syncing, tenure, synced_at_s, owes=owes)
        self._running[tenant_id] = sync
        if tenant_id in self._heard:  # The read models may not show that yet.
            sync.news(self._heard[tenant_id])

    def _drain(self, tenant_ids: Iterable[str], timeout_s: float) -> None:
        running = [self._running[tenant_id] for tenant_id in tenant_ids]
        gevent.joinall([gevent.spawn(sync.drain, timeout_s) for sync in running])

    def _of(self, partition: int) -> list[str]:
        return [one for one in self._running if self._partition_of(one) == partition]

    def _partition_of(self, tenant_id: str) -> int:
        return self.tenures.partition_of(tenant.stream_of(tenant_id))
