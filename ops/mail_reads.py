"""The read models of mail as a process must see them: with all that it has committed or seen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from signalbox.projections.mail_views import MailQuery

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from signalbox.domain.mail_content import MailContent
    from signalbox.projections.command_log import CommandQuery, CommandRow
    from signalbox.projections.mail_counts import MailStatus
    from signalbox.projections.mail_readers import MailModels
    from signalbox.projections.mail_views import MailView, ReportEvent, SyncStatus

REPORTS_MAX: Final = 10_000
MAILS_MAX: Final = 10_000


class MailReads:
    """Waits up to `wait_s` for the projector to pass `position`, then reads what there is.

    What reads raises `Unavailable`. Times are Unix seconds.
    """

    def __init__(self, models: MailModels, position: Callable[[], int], wait_s: float) -> None:
        self._models = models
        self._position = position
        self._wait_s = wait_s

    def messages(
        self,
        tenant_id: str,
        *,
        active_only: bool = False,
        include_history: bool = False,
        limit: int | None = None,
        offset: int = 0,
        with_contents: bool = True,
    ) -> list[MailView]:
        """Return a tenant's mails by priority, age and id; those that wait, or all.

        Contents may be large: `contents` has them for whoever wants some at a time.
        """
        query = MailQuery(
            active_only=active_only, include_history=include_history, limit=limit, offset=offset
        )
        return self._caught_up().mails(tenant_id, query, with_contents=with_contents)

    def tenant_ids(self, *, active_only: bool = False) -> list[str]:
        """Return the tenants that exist, by id."""
        return self._caught_up().mail_tenants(active_only=active_only)

    def sync_status(self) -> list[SyncStatus]:
        """Return when the tenants' servers were called, by tenant."""
        return self._caught_up().mail_syncs()

    def pending(self, tenant_id: str | None = None, batch_code: str | None = None) -> int:
        """Return how many mails wait to be sent, of a tenant and a batch; None for all."""
        totals = self._caught_up().mail_totals(tenant_id, batch_code)
        return totals["pending"] + totals["deferred"]

    def counts(self, tenant_id: str | None = None) -> Mapping[MailStatus, int]:
        """Return how many mails are in which status, of a tenant or of all."""
        return self._caught_up().mail_totals(tenant_id, None)

    def report_events(
        self, tenant_id: str, after_position: int, limit: int = REPORTS_MAX
    ) -> list[ReportEvent]:
        """Return what a tenant's server is to be told of behind a position in the log."""
        return self._caught_up().mail_reports(tenant_id, after_position, limit)

    def acknowledged(self, tenant_id: str) -> int:
        """Return the position in the log up to which a tenant's server was told, 0 if never."""
        return self._caught_up().mail_acknowledged(tenant_id)

    def unacknowledged(self, tenant_id: str) -> int:
        """Return how many events a tenant's server is yet to be told of."""
        return self._caught_up().mail_unacknowledged(tenant_id)

    def owing(self) -> list[str]:
        """Return the tenants, with a server or without, that are yet to be told of something."""
        return self._caught_up().mail_owing()

    def contents(self, pks: Sequence[str]) -> Mapping[str, MailContent]:
        """Return what mails hold, by pk; nothing for those that never were."""
        return self._models.mail_contents(pks)

    def concerned(self, pks: Sequence[str]) -> Mapping[int, str | int]:
        """Return whom what became of mails concerns, unless all, by position in the log."""
        return self._models.mail_concerned(pks)

    def with_client_id(self, client_id: str, limit: int = 2) -> list[tuple[str, str]]:
        """Return tenant and pk of the mails that any client calls so, the newest first."""
        return self._caught_up().mails_with_client_id(client_id, limit)

    def pec_overdue(self, before_s: float, limit: int = MAILS_MAX) -> list[str]:
        """Return certified mails sent before then of which nothing was heard, by pk."""
        return self._caught_up().pec_overdue(before_s, limit)

    def due_cleanup(self, tenant_id: str, older_than_s: float, limit: int = MAILS_MAX) -> list[str]:
        """Return a tenant's settled mails of which its server was told longer ago than that.

        By pk. Where there is no server, they were settled longer ago.
        """
        return self._caught_up().mails_due(tenant_id, older_than_s, limit)

    def expired(self, default_days: int, limit: int = MAILS_MAX) -> list[tuple[str, str]]:
        """Return tenant and pk of such mails, by how long each tenant wants its own kept."""
        return self._caught_up().mails_expired(default_days, limit)

    def command_log(self, query: CommandQuery) -> list[CommandRow]:
        """Return commands, the oldest first."""
        return self._caught_up().commands(query)

    def older_command(self, query: CommandQuery) -> int:
        """Return the id behind which there are the newest `limit` commands only; 0: all are."""
        return self._caught_up().older_command(query)

    def _caught_up(self) -> MailModels:
        self._models.wait_for(self._position(), self._wait_s)
        return self._models
