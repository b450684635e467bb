"""Histories of tenants and their mails, for the read models, and what is seen of them."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec
from support.histories import T0, T0_S

from signalbox.domain import mail, reports, tenant
from signalbox.domain.mail import MailDeleted, MailFailed, MailQueued, MailRejected, MailSent
from signalbox.domain.mail_content import MailContent
from signalbox.domain.names import Event
from signalbox.domain.reports import ReportsAcknowledged, SyncPostponed
from signalbox.domain.tenant import TenantCreated, TenantDeleted, TenantKeyIssued
from signalbox.domain.tenant_config import TenantConfig
from signalbox.eventstore.log import EventLog
from signalbox.eventstore.mapper import Recorded
from signalbox.projections.building import build
from signalbox.projections.command_log import CommandQuery, CommandRow
from signalbox.projections.mail_readers import MailModels
from signalbox.projections.mail_views import MailQuery, MailView
from signalbox.projections.projector import Projector

ACME: Final = "acme-2026-11-21"  # a date is no separator
URL: Final = "https://app.example.com"
CONTENT: Final = MailContent(sender="a@example.com", to=("b@example.com",), subject="Secret")
SENT: Final = MailSent(250, "ok")
FAILED: Final = MailFailed(550, "(550, 'no') (SMTP 550)")
DELETED: Final = MailDeleted()


def queued(**fields: Any) -> MailQueued:  # noqa: ANN401  whatever the event has
    return MailQueued(**_mail(fields))


def rejected(reason: str = "missing to", **fields: Any) -> MailRejected:  # noqa: ANN401
    return MailRejected(**_mail(fields), reason=reason)


def created(generation: int = 1, **config: Any) -> tuple[Event, ...]:  # noqa: ANN401
    """Return what begins a tenant."""
    whole = {"name": "ACME", "client_base_url": URL, **config}
    return TenantCreated(generation, TenantConfig(**whole)), TenantKeyIssued("0" * 64)


class Told:
    """Writes what happens to tenants and mails, and shows what is seen of it.

    Time goes on by a second with each call, unless told otherwise.
    """

    def __init__(self, log: EventLog, projector: Projector, models: MailModels) -> None:
        self._log, self._projector, self._models = log, projector, models
        self._versions: dict[str, int] = {}
        self._calls = 0
        self.position = 0

    def tenant(self, *events: Event, of: str = ACME, **envelope: Any) -> int:  # noqa: ANN401
        """Record events of a tenant; return the last one's position."""
        return self._record(tenant.stream_of(of), events, tenant_id=of, **envelope)

    def mail(
        self,
        pk: str,
        *events: Event,
        of: str = ACME,
        generation: int = 1,
        **envelope: Any,  # noqa: ANN401
    ) -> int:
        """Record events of one mail; return the last one's position."""
        key = tenant.data_key_of(of, generation)
        return self._record(mail.stream_of(pk), events, tenant_id=key, **envelope)

    def acknowledged(self, position: int, count: int = 1, *, of: str = ACME, at: int = 0) -> int:
        """Record that a tenant's server took everything up to a position, `at` seconds from T0."""
        return self._report(ReportsAcknowledged(position, count), of, at)

    def postponed(self, until_s: float, *, of: str = ACME) -> int:
        return self._report(SyncPostponed(until_s), of, 0)

    def other(self, stream: str, *events: Event, **envelope: Any) -> int:  # noqa: ANN401
        return self._record(stream, events, **envelope)

    def deleted(self, *, of: str = ACME, generation: int = 1) -> int:
        """Record that a tenant is gone; what was sealed with its data key may still come."""
        return self.tenant(TenantDeleted(generation), of=of)

    @property
    def models(self) -> MailModels:
        """The read models, with all that was told."""
        build(self._projector)
        return self._models

    def mails(self, of: str = ACME, **query: Any) -> list[MailView]:  # noqa: ANN401
        return self.models.mails(of, MailQuery(**query))

    def one(self, of: str = ACME) -> MailView:
        (found,) = self.mails(of, include_history=True)
        return found

    def pks(self, of: str = ACME, **query: Any) -> str:  # noqa: ANN401
        """Return the pks of a list, in its order."""
        return " ".join(view.pk for view in self.mails(of, **query))

    def history(self, of: str = ACME) -> list[str]:
        return [event.kind for event in self.one(of).history]

    def reports(self, after: int = 0, limit: int = 100, of: str = ACME) -> list[tuple[str, str]]:
        """Return which mails' reports are behind a position."""
        events = self.models.mail_reports(of, after, limit)
        return [(event.client_id, event.kind) for event in events]

    def totals(self, of: str | None = ACME, batch: str | None = None) -> Mapping[str, int]:
        """Return how many mails are in which status, but for those that none is in."""
        found = self.models.mail_totals(of, batch)
        return {status: count for status, count in found.items() if count}

    def commands(self, **query: Any) -> list[CommandRow]:  # noqa: ANN401
        return self.models.commands(CommandQuery(**query))

    def names(self, **query: Any) -> str:  # noqa: ANN401
        """Return the names of commands, in their order."""
        return " ".join(row.command for row in self.commands(**query))

    def _report(self, event: Event, of: str, at: int) -> int:
        day = (T0 + timedelta(seconds=at)).date()
        stream = reports.stream_of(of, day)
        return self._record(stream, (event,), tenant_id=tenant.stream_of(of), at=at)

    def _record(
        self,
        stream: str,
        events: tuple[Event, ...],
        at: int | None = None,
        **envelope: Any,  # noqa: ANN401
    ) -> int:
        self._calls += 1
        moment = datetime.fromtimestamp(T0_S + (self._calls if at is None else at), UTC)
        rows = []
        for event in events:
            version = self._versions[stream] = self._versions.get(stream, 0) + 1
            row = Recorded(stream_id=stream, version=version, event=event, at=moment, **envelope)
            rows.append(self._log.codec.to_stored_event(row))
        positions = self._log.journal_recorder.insert_events(rows)
        assert positions
        self.position = positions[-1]
        return self.position


def _mail(fields: dict[str, Any]) -> dict[str, Any]:
    whole: dict[str, Any] = {
        "tenant_id": ACME,
        "client_id": "m-1",
        "account_id": "smtp1",
        "content": msgspec.json.encode(CONTENT).decode(),
    }
    return {**whole, **fields}
