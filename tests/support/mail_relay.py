"""The parts of a relay that call tenants' servers and read mailboxes, on a real database.

Mails are not sent here: what becomes of them is written into the log as the dispatcher does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Self

import gevent
import gevent.lock
from gevent.event import Event as Flag

from signalbox.actors.mail_calls import ClientCalls
from signalbox.actors.mail_instance import INSTANCE_EVENTS, MailInstance
from signalbox.actors.mail_reports import REPORTED_EVENTS, MailReports
from signalbox.actors.mail_sync import Syncing
from signalbox.actors.mails import Mails, NewMail
from signalbox.actors.tenants import TENANT_EVENTS, Tenants
from signalbox.actors.transports.callbacks import Poster
from signalbox.actors.transports.outside import Outside
from signalbox.domain.mail import MailAttempted, stream_of
from signalbox.domain.mail_account import MailAccount
from signalbox.domain.mail_content import MailContent
from signalbox.domain.sync import Rhythm
from signalbox.domain.tenant_config import TenantConfig
from signalbox.eventstore.follower import Follower
from signalbox.eventstore.journal import Append, Journal, Write
from signalbox.eventstore.leases import LeaseKeeper
from signalbox.http.mail_proxy.reports import DOCUMENTED, SyncWording
from signalbox.ops.holders import Holders
from signalbox.ops.mail_reads import MailReads
from signalbox.projections.mail_readers import MailModels
from signalbox.projections.models import PROJECTIONS
from signalbox.projections.projector import Projector

if TYPE_CHECKING:
    from collections.abc import Callable

    from psycopg.rows import TupleRow

    from signalbox.domain.names import Event
    from signalbox.eventstore.log import EventLog
    from signalbox.ops.holders import Holder

PARTITIONS: Final = 32
LOOPBACK: Final = ("127.0.0.0/8",)
ACCOUNT: Final = MailAccount(account_id="smtp1", host="mail.example.com", port=25)
HASTY: Final = Rhythm(interval_s=300.0, soon_s=0.1, gap_s=0.01, pause_s_max=0.2)
LOOK_S: Final = 0.02


class MailRelay:
    """A relay without a dispatcher, with a projector beside it that works while `shows_news`."""

    def __init__(  # noqa: PLR0913  whatever a test may want otherwise
        self,
        log: EventLog,
        *,
        rhythm: Rhythm = HASTY,
        default_format: str = DOCUMENTED,
        in_flight_max: int = 16,
        per_call_max: int = 1_000,
        timeout_s: float = 5.0,
        lease_s: float = 3.0,
        holders: Callable[[MailRelay], tuple[Holder, ...]] = lambda _: (),
    ) -> None:
        self.log = log
        self.journal = Journal(log)
        self.tenants = Tenants(log, self.journal)
        self.instance = MailInstance(log, self.journal)
        self.mails = Mails(log, self.journal, self.tenants)
        self._projector = Projector(log, PROJECTIONS, batch_events_max=500)
        self._ending = False
        self.shows_news = Flag()
        self.shows_news.set()
        assert self._projector.prepare()
        self._projecting = gevent.spawn(self._project)
        models = MailModels(log)
        self.reads = MailReads(models, lambda: 0, 1.0)
        poster = Poster(Outside(LOOPBACK), timeout_s=timeout_s, answer_octets_max=100_000)
        wording = SyncWording(self.reads, default_format)
        syncing = Syncing(
            log=log,
            journal=self.journal,
            tenants=self.tenants,
            reports=self.reads,
            shown=models.wait_for,
            calls=ClientCalls(self.tenants, wording, poster.post),
            slots=gevent.lock.Semaphore(in_flight_max),
            rhythm=rhythm,
            reports_per_call_max=per_call_max,
        )
        self.reports = MailReports(syncing, self.reads, PARTITIONS)
        self.tenants.on_change(self.reports.changed)
        topics = (*TENANT_EVENTS, *INSTANCE_EVENTS, *REPORTED_EVENTS)
        self.follower = Follower(log, topics, self._follow, self.reports.work_waits)
        assert self.follower.listening.wait(5)
        held = Holders(self.reports, *holders(self))
        self.keeper = LeaseKeeper(
            log, held.gained, held.lost, held.leaving, partitions=PARTITIONS,
            ttl_s=lease_s, renew_s=lease_s / 6, safety_s=lease_s / 3,
        )  # fmt: skip
        self.reports.tenures.keeper = self.keeper
        self._closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop politely; a second call does nothing."""
        if not self._closed:
            self._closed = True
            self.reports.close(1.0)
            self.keeper.close()
            self._end()
            self.journal.close()

    def crash(self) -> None:
        """Stop as a killed process does: nothing more is written, leases stay taken."""
        self._closed = True
        gevent.killall(self.keeper._greenlets)  # noqa: SLF001  no release
        self.journal.close(timeout_s=0)
        self._end()
        for partition in range(PARTITIONS):
            self.reports.lost(partition)

    def tenant(self, tenant_id: str, url: str, **config: Any) -> None:  # noqa: ANN401
        """Put a tenant with one account, whose server is there."""
        self.tenants.put(tenant_id, TenantConfig(client_base_url=url, **config), by="admin")
        self.tenants.put_account(tenant_id, ACCOUNT, by="admin")

    def mail(self, tenant_id: str, client_id: str, *events: Event, more_to: str = "") -> str:
        """Queue a mail, let it be attempted, and these things happen to it; return its pk."""
        to = ("Ann <ann@example.org>", more_to) if more_to else ("Ann <ann@example.org>",)
        content = MailContent(sender="shop@example.com", to=to, subject="Your order")
        new = NewMail(client_id=client_id, account_id=ACCOUNT.account_id, content=content)
        (added,) = self.mails.add(tenant_id, [new], by="client")
        assert not added.reason, added
        pk = self.mails.pk_of(tenant_id, client_id)
        self.happen(pk, MailAttempted(1), *events)
        return pk

    def happen(self, pk: str, *events: Event) -> None:
        """Let something happen to a mail."""
        mail = self.mails.find(pk)
        assert mail is not None, pk
        version = self.log.last_version(stream_of(pk)) + 1
        data_key = self.tenants.known(mail.tenant_id).data_key
        self.journal.write(Append(writes=[Write(stream_of(pk), version, events, data_key)]))

    def _follow(self, rows: list[TupleRow]) -> None:
        for row in rows:
            if row[3] in TENANT_EVENTS:
                self.tenants.follow(self.log.decode_row(row))
            elif row[3] in INSTANCE_EVENTS:
                self.instance.follow(self.log.decode_row(row))
            else:
                self.reports.news(row)

    def _project(self) -> None:
        while not self._ending:
            self.shows_news.wait()
            if self._projector.advance().caught_up:
                gevent.sleep(LOOK_S)

    def _end(self) -> None:
        self.follower.close()
        self._ending = True
        self.shows_news.set()
        self._projecting.join()
        self._projector.release()
        self._projector.close()
