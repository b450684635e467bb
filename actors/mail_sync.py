"""Tells one tenant's server what became of the tenant's mails, and hears whether it has more.

    reports behind the acknowledged position ──▶ posted ──▶ any 2xx: ReportsAcknowledged
                                                   └──▶ anything else: again, ever more seldom

What was posted and not recorded, because the process ended in between, is posted again: at least
once. While a server is called nothing is held that it could need itself: it may hand over mails in
the middle of its answer.
"""

from __future__ import annotations

import logging
import random
from dataclasses import dataclass, replace
from time import monotonic
from typing import TYPE_CHECKING, Final, Protocol

import gevent
from gevent.event import Event

from signalbox.actors.callback_inbox import TROUBLE
from signalbox.domain import reports as domain
from signalbox.domain import sync as syncs
from signalbox.domain import tenant as tenants
from signalbox.eventstore import metrics
from signalbox.eventstore.errors import Conflict, FenceLost, Unavailable
from signalbox.eventstore.journal import Append, Write

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gevent.lock import Semaphore

    from signalbox.actors.mail_calls import ClientCalls, Said
    from signalbox.actors.tenants import Tenants
    from signalbox.actors.tenures import Tenure
    from signalbox.domain.tenant import Tenant
    from signalbox.eventstore.journal import Journal
    from signalbox.eventstore.log import EventLog
    from signalbox.projections.mail_views import ReportEvent

log = logging.getLogger(__name__)

BY: Final = "gateway"
RETRY_S: Final = 0.5
SHOWN_S: Final = 1.0  # how long the read models may take to show what is new
WARN_S: Final = 60.0
LOOK_S: Final = 3_600.0  # a server that is never called is thought about so often


class Reports(Protocol):
    """What is to be told, as the read models have it. Its methods raise `Unavailable`."""

    def report_events(
        self, tenant_id: str, after_position: int, limit: int = ...
    ) -> Sequence[ReportEvent]:
        """Return what happened to a tenant's mails behind a position, in order."""

    def acknowledged(self, tenant_id: str) -> int:
        """Return the position up to which the tenant's server knows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Syncing:
    """What all syncs of a process go by; `slots` are the calls it may have open at once.

    `shown` waits until the read models show a position, for at most so many seconds.
    """

    log: EventLog
    journal: Journal
    tenants: Tenants
    reports: Reports
    shown: Callable[[int, float], bool]
    calls: ClientCalls
    slots: Semaphore
    rhythm: syncs.Rhythm
    reports_per_call_max: int = 1_000

    def now_s(self) -> float:
        """Return the time by the journal's clock, Unix seconds."""
        return self.journal.now().timestamp()


class TenantSync:
    """Lives as long as its tenant's lease; without a URL to call it does nothing."""

    def __init__(
        self, tenant_id: str, syncing: Syncing, tenure: Tenure, synced_at_s: float, *, owes: bool
    ) -> None:
        self._tenant_id = tenant_id
        self._syncing = syncing
        self._tenure = tenure
        self._sync = syncs.Sync(synced_at_s=synced_at_s)
        self._owes = owes
        self._asked = False
        self._stopping = False
        self._newest = 0
        self._position: int | None = None
        self._stream: tuple[str, int] = "", 0
        self._calling = False
        self._warned_s = -WARN_S
        self._at_rest = Event()
        self._at_rest.set()
        self._wake = Event()
        self._greenlet = gevent.spawn(self._run)

    def news(self, position: int) -> None:
        """Something became of a mail, as the log has at this position."""
        self._newest = max(self._newest, position)
        self._owes = True
        self._nudge()

    def ask(self) -> None:
        """Call now, even if there is nothing to tell."""
        self._asked = True
        self._wake.set()

    def ask_if_owing(self) -> None:
        """Call now if there is something to tell, unless the server wants to rest."""
        if self._owes:
            self._sync = replace(self._sync, not_before_s=0.0)
        self._wake.set()

    def reconsider(self) -> None:
        """The tenant is configured otherwise: whatever was the matter may be over."""
        self._sync = replace(self._sync, failures=0, not_before_s=0.0)
        self._wake.set()

    def drain(self, timeout_s: float) -> None:
        """Call no more, and wait for the answer to an open call."""
        self._stopping = True
        self._at_rest.wait(timeout_s)
        self.kill()

    def kill(self) -> None:
        """Stop at once; who is next tells again what has no answer yet."""
        self._stopping = True
        self._greenlet.kill(block=False)

    def _nudge(self) -> None:
        if not self._calling:  # It looks again by itself after a call.
            self._wake.set()

    def _run(self) -> None:
        try:
            while not self._stopping:
                self._wake.clear()
                pause_s = self._step()
                if pause_s > 0:
                    self._wake.wait(pause_s)
        except FenceLost:
            log.info("tenant is told elsewhere", extra={"tenant": self._tenant_id})

    def _step(self) -> float:
        """Call if that is due; return for how long there is nothing else to do."""
        try:
            tenant = self._syncing.tenants.known(self._tenant_id)
            pause_s = self._pause_s(tenant)
            if pause_s <= 0:
                self._call(tenant)
        except TROUBLE as error:
            log.warning("reports can't be read", extra={"error": str(error)})
            return RETRY_S
        except FenceLost:
            raise
        except Exception:  # Of this one tenant: it is tried again, and others know nothing of it.
            log.exception("tenant can't be told", extra={"tenant": self._tenant_id})
            self._take(syncs.NotReached(jitter=1.0))
            return RETRY_S
        return max(pause_s, 0.0)

    def _pause_s(self, tenant: Tenant) -> float:
        if not tenant.exists or not tenant.client_base_url:
            self._asked = False
            return LOOK_S
        due_s = syncs.due_at_s(
            self._sync,
            self._syncing.rhythm,
            owes=self._owes,
            asked=self._asked,
            calls_idle=tenant.active,
            rests=self._syncing.calls.rest_goes_first(tenant),
        )
        return LOOK_S if due_s is None else min(due_s - self._syncing.now_s(), LOOK_S)

    def _call(self, tenant: Tenant) -> None:
        with self._syncing.slots:
            if self._stopping:
                return
            if not self._tenure.holds():  # It may be a moment late to be renewed.
                raise Unavailable("the lease is uncertain")
            self._calling = True
            self._at_rest.clear()
            try:
                self._tell(tenant)
            finally:
                self._calling = False
                self._at_rest.set()

    def _tell(self, tenant: Tenant) -> None:
        asked, self._asked = self._asked, False
        try:
            self._tell_news(tenant, asked=asked)
        except Exception:  # Nobody knows what of it was told.
            self._asked, self._owes = self._asked or asked, True
            raise

    def _tell_news(self, tenant: Tenant, *, asked: bool) -> None:
        reports = self._fetch()
        if not reports and not asked and self._is_early(tenant):
            return  # What it owed has been told, or went with its mail.
        self._sync = syncs.begun(self._sync, self._syncing.now_s())
        said = self._syncing.calls.tell(tenant, reports)
        metrics.MAIL_SYNCS.labels(said.outcome).inc()
        if said.was_taken:
            self._acknowledge(reports, said)
        else:
            self._owes = self._owes or bool(reports)
            self._tell_operators(said.reason)
            self._take(syncs.NotReached(wait_s=said.wait_s, jitter=random.random()))  # noqa: S311

    def _tell_operators(self, reason: str) -> None:
        """Warn of a server that takes no reports, but not each time it is called in vain."""
        now_s = monotonic()
        if now_s - self._warned_s >= WARN_S:
            self._warned_s = now_s
            about = {"tenant": self._tenant_id, "error": reason}
            log.warning("reports wait: the tenant's report server does not take them", extra=about)

    def _is_early(self, tenant: Tenant) -> bool:
        """True when a call without reports is not due."""
        return self._pause_s(tenant) > 0

    def _fetch(self) -> Sequence[ReportEvent]:
        """Return what is to be told next, as far as the read models show it."""
        syncing, newest = self._syncing, self._newest
        shown = syncing.shown(newest, SHOWN_S)
        if self._position is None:
            self._position = syncing.reports.acknowledged(self._tenant_id)
        limit = syncing.reports_per_call_max
        reports = syncing.reports.report_events(self._tenant_id, self._position, limit)
        self._owes = not shown or len(reports) >= limit or self._newest > newest
        return reports

    def _acknowledge(self, reports: Sequence[ReportEvent], said: Said) -> None:
        assert self._position is not None, "nothing was fetched"
        position = reports[-1].position if reports else self._position
        now_s = self._syncing.now_s()
        sync = self._take(syncs.Reached(has_more=said.has_more, rest_until_s=said.rest_until_s))
        events: list[domain.Event] = [domain.ReportsAcknowledged(position, len(reports))]
        if sync.synced_at_s > now_s and said.rest_until_s:
            events.append(domain.SyncPostponed(sync.synced_at_s))
        self._store(events)
        self._position = position

    def _take(self, outcome: syncs.Reached | syncs.NotReached) -> syncs.Sync:
        syncing = self._syncing
        self._sync = syncs.answered(self._sync, outcome, syncing.now_s(), syncing.rhythm)
        return self._sync

    def _store(self, events: Sequence[domain.Event]) -> None:
        """Store what was answered, however long that takes; a deleted tenant leaves no trace.

        Raises: `FenceLost`.
        """
        while self._syncing.tenants.known(self._tenant_id).exists:
            try:
                self._append(events)
            except Conflict:
                self._stream = "", 0
            except Unavailable as error:
                log.warning("answer can't be recorded yet", extra={"error": error.reason})
                gevent.sleep(RETRY_S)
            else:
                return

    def _append(self, events: Sequence[domain.Event]) -> None:
        syncing = self._syncing
        stream_id = domain.stream_of(self._tenant_id, syncing.journal.now().date())
        known, version = self._stream
        if known != stream_id:
            version = syncing.log.last_version(stream_id)
        owner = tenants.stream_of(self._tenant_id)
        write = Write(stream_id, version + 1, events, owner)
        syncing.journal.write(Append(writes=(write,), by=BY, fence=self._tenure.fence))
        self._stream = stream_id, version + len(events)
