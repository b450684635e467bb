"""Counters of mail accounts, at zero before anything is counted: else their first rise is lost.

    the first lease ──▶ all tenants ──┐
    what becomes of a tenant ─────────┴──▶ its accounts are shown

They are shown by every relay, whoever has the tenant's lease: it may come, and sums stay right.
"""

from __future__ import annotations

import logging
from itertools import product
from typing import TYPE_CHECKING, Final

import gevent
from gevent.event import Event as Flag

from signalbox.actors.mail_feeder import TROUBLE
from signalbox.domain.tenant import MailAccountSet, TenantCreated, TenantUpdated
from signalbox.eventstore import metrics

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from signalbox.actors.tenants import Tenants
    from signalbox.domain.tenant import Event, Tenant

log = logging.getLogger(__name__)

RETRY_S: Final = 2.0
_NAMED_IN: Final = (TenantCreated, TenantUpdated, MailAccountSet)  # what is in the labels
_COUNTERS: Final = (
    metrics.MAIL_SENT,
    metrics.MAIL_ERRORS,
    metrics.MAIL_DEFERRED,
    metrics.MAIL_RATE_LIMITED,
)


class MailSeries:
    """See the module. `tenant_ids` tells who there is; it raises `Unavailable`."""

    def __init__(self, tenants: Tenants, tenant_ids: Callable[[], Iterable[str]]) -> None:
        self._tenants = tenants
        self._tenant_ids = tenant_ids
        self._all_are_due = True
        self._due: set[str] = set()
        self._wake = Flag()
        self._showing = gevent.spawn(self._show)
        for counter in _COUNTERS:
            counter.labels(*["default"] * len(metrics.MAIL_LABELS))
        metrics.MAIL_PENDING.set(0)

    def begin(self) -> None:
        """Show all accounts, once; of changes from now on `changed` is told."""
        self._wake.set()

    def changed(self, tenant_id: str, event: Event) -> None:
        """Show the accounts of a tenant that are new, or called something else."""
        if isinstance(event, _NAMED_IN):
            self._due.add(tenant_id)
            self._wake.set()

    def close(self) -> None:
        """Show nothing more."""
        self._showing.kill()

    def _show(self) -> None:
        while True:
            self._wake.wait()
            self._wake.clear()
            try:
                self._show_due()
            except TROUBLE as error:
                log.info("mail accounts can't be shown", extra={"error": str(error)})
                gevent.sleep(RETRY_S)
                self._wake.set()

    def _show_due(self) -> None:
        if self._all_are_due:
            self._due.update(self._tenant_ids())
            self._all_are_due = False
        while self._due:
            tenant_id = self._due.pop()
            try:
                tenant = self._tenants.known(tenant_id)
            except TROUBLE:
                self._due.add(tenant_id)
                raise
            for account_id, counter in product(tenant.accounts, _COUNTERS):
                counter.labels(*labels_of(tenant, account_id))


def labels_of(tenant: Tenant, account_id: str) -> tuple[str, str, str, str]:
    """Return the values of `metrics.MAIL_LABELS` of an account; accounts have no names."""
    return tenant.tenant_id, tenant.name or tenant.tenant_id, account_id, account_id
