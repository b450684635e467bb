"""What the gateway reads of mails, their tenants and the log of commands."""

from __future__ import annotations

from typing import TYPE_CHECKING

from signalbox.projections import (
    command_log,
    mail_counts,
    mail_retention,
    mail_tenants,
    mail_views,
)
from signalbox.projections.readers import ReadModels

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from signalbox.domain.mail_content import MailContent
    from signalbox.projections.command_log import CommandQuery, CommandRow
    from signalbox.projections.mail_counts import MailStatus
    from signalbox.projections.mail_views import MailQuery, MailView, ReportEvent, SyncStatus


class MailModels(ReadModels):
    """The read models of mail. Every method raises `Unavailable` when they can't be read."""

    def mails(
        self, tenant_id: str, query: MailQuery, *, with_contents: bool = True
    ) -> list[MailView]:
        """Return mails of a tenant."""
        with self._reading() as cursor:
            views = mail_views.find(cursor, tenant_id, query)
        return mail_views.with_contents(self._log, views) if with_contents else views

    def mail_contents(self, pks: Sequence[str]) -> Mapping[str, MailContent]:
        """Return what mails hold, by pk; nothing for those that never were."""
        return mail_views.find_contents(self._log, pks)

    def mail_concerned(self, pks: Sequence[str]) -> Mapping[int, str | int]:
        """Return whom what became of mails concerns, unless all; see `find_concerned`."""
        return mail_views.find_concerned(self._log, pks)

    def mail_tenants(self, *, active_only: bool) -> list[str]:
        """Return the tenants that exist, by id."""
        with self._reading() as cursor:
            return mail_tenants.find_ids(cursor, active_only=active_only)

    def mail_syncs(self) -> list[SyncStatus]:
        """Return when the tenants' servers were called, by tenant."""
        with self._reading() as cursor:
            return mail_views.find_syncs(cursor)

    def mail_totals(
        self, tenant_id: str | None, batch_code: str | None
    ) -> Mapping[MailStatus, int]:
        """Return how many mails are in which status, of a tenant and a batch; None for all."""
        with self._reading() as cursor:
            return mail_counts.find_totals(cursor, tenant_id, batch_code)

    def mail_totals_by_tenant(self) -> Mapping[str, Mapping[MailStatus, int]]:
        """Return how many mails of each tenant that has any are in which status."""
        with self._reading() as cursor:
            return mail_counts.find_by_tenant(cursor)

    def mail_reports(self, tenant_id: str, after_position: int, limit: int) -> list[ReportEvent]:
        """Return what a tenant's server is to be told of behind a position in the log."""
        with self._reading() as cursor:
            return mail_views.find_reports(cursor, tenant_id, after_position, limit)

    def mail_acknowledged(self, tenant_id: str) -> int:
        """Return the position up to which a tenant's server was told."""
        with self._reading() as cursor:
            return mail_tenants.find_acknowledged(cursor, tenant_id)

    def mail_unacknowledged(self, tenant_id: str) -> int:
        """Return how many events a tenant's server is yet to be told of."""
        with self._reading() as cursor:
            return mail_views.count_reports(cursor, tenant_id)

    def mail_owing(self) -> list[str]:
        """Return the tenants whose servers are yet to be told of something."""
        with self._reading() as cursor:
            return mail_views.find_owing(cursor)

    def mails_with_client_id(self, client_id: str, limit: int) -> list[tuple[str, str]]:
        """Return tenant and pk of the mails that any client calls so, the newest first."""
        with self._reading() as cursor:
            return mail_views.find_by_client_id(cursor, client_id, limit)

    def pec_overdue(self, before_s: float, limit: int) -> list[str]:
        """Return certified mails sent before then of which nothing was heard."""
        with self._reading() as cursor:
            return mail_views.find_pec_overdue(cursor, before_s, limit)

    def mails_due(self, tenant_id: str, older_than_s: float, limit: int) -> list[str]:
        """Return a tenant's mails whose clients were told the last of them so long ago."""
        before_s = self._now_s() - max(0.0, older_than_s)
        with self._reading() as cursor:
            return mail_retention.find_due(cursor, tenant_id, before_s, limit)

    def mails_expired(self, default_days: int, limit: int) -> list[tuple[str, str]]:
        """Return tenant and pk of the mails that were kept as long as their tenants wish."""
        with self._reading() as cursor:
            return mail_retention.find_expired(cursor, self._now_s(), default_days, limit)

    def commands(self, query: CommandQuery) -> list[CommandRow]:
        """Return commands, the oldest first."""
        with self._reading() as cursor:
            return command_log.find(cursor, query)

    def older_command(self, query: CommandQuery) -> int:
        """Return the id behind which there are the newest `limit` commands only; 0: all are."""
        with self._reading() as cursor:
            return command_log.find_older(cursor, query)
