"""Relays that dispatch mails over a transport that only says it does; several on one log."""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, Self

import gevent
from gevent.event import Event as Flag

from signalbox.actors.mail_dispatch import DispatchLimits, MailDispatchers
from signalbox.actors.mails import Mails, NewMail
from signalbox.actors.tenants import TENANT_EVENTS, Tenants
from signalbox.actors.transports.smtp.job import SmtpJob, SmtpOutcome
from signalbox.domain import mail as domain
from signalbox.domain.mail_account import MailAccount
from signalbox.domain.mail_content import MailContent
from signalbox.eventstore.follower import Follower
from signalbox.eventstore.journal import Journal
from signalbox.eventstore.leases import LeaseKeeper
from signalbox.eventstore.log import EventLog
from signalbox.eventstore.mapper import utc_now

if TYPE_CHECKING:
    from signalbox.actors.mail_warmth import Warmth

PARTITIONS: Final = 32
TENANT: Final = "acme"
ACCOUNT: Final = "smtp1"

Answer = Callable[[SmtpJob], SmtpOutcome]


def content(to: str = "b@example.test", subject: str = "Hello", **more: Any) -> MailContent:  # noqa: ANN401
    return MailContent(sender="a@acme.test", to=(to,), subject=subject, body="Hi", **more)


def new(client_id: str, **more: Any) -> NewMail:  # noqa: ANN401
    more = {"account_id": ACCOUNT, "content": content(), **more}
    return NewMail(client_id=client_id, **more)


def ok(job: SmtpJob) -> SmtpOutcome:
    return SmtpOutcome(key=job.key, result="sent", code=250, reason="ok", reached_mail_from=True)


@dataclass
class Transport:
    """Answers each job, once its account's door is open, after a while."""

    answer: Answer = ok
    delay_s: float = 0.0
    jobs: list[SmtpJob] = field(default_factory=list)
    at_once: Counter[str] = field(default_factory=Counter)
    most: Counter[str] = field(default_factory=Counter)
    shut: dict[str, Flag] = field(default_factory=dict)

    def send(self, job: SmtpJob, tell: Callable[[SmtpOutcome], None]) -> None:
        self.jobs.append(job)
        gevent.spawn(self._run, job, tell)

    def _run(self, job: SmtpJob, tell: Callable[[SmtpOutcome], None]) -> None:
        for key in ("", job.account.account_id):
            self.at_once[key] += 1
            self.most[key] = max(self.most[key], self.at_once[key])
        door = self.shut.get(job.account.account_id)
        if door is not None:
            door.wait()
        gevent.sleep(self.delay_s)
        for key in ("", job.account.account_id):
            self.at_once[key] -= 1
        tell(self.answer(job))

    @property
    def ids(self) -> list[str]:
        return [job.client_id for job in self.jobs]


class Clock:
    """Real time, and whatever is added to it."""

    def __init__(self) -> None:
        self.ahead_s = 0.0

    def __call__(self) -> datetime:
        return utc_now() + timedelta(seconds=self.ahead_s)


class Relay:
    """One process of a gateway: it takes mails on and dispatches them."""

    def __init__(  # noqa: PLR0913  what differs between tests
        self,
        log: EventLog,
        transport: Transport | None = None,
        *,
        clock: Clock | None = None,
        lease_s: float = 10.0,
        warmth: "Callable[[Relay], Warmth] | None" = None,
        follows: dict[str, Callable[[Any], None]] | None = None,
        tenant_ids: Callable[[], Iterable[str]] = tuple,
        **limits: Any,  # noqa: ANN401
    ) -> None:
        self.log = log
        self.clock = clock or Clock()
        self.transport = transport or Transport()
        self.journal = Journal(log, now=self.clock)
        self.tenants = Tenants(log, self.journal)
        self.mails = Mails(log, self.journal, self.tenants)
        self.dispatch = MailDispatchers(
            log,
            self.journal,
            self.tenants,
            self.transport,
            warmth(self) if warmth else None,
            DispatchLimits(**limits),
            PARTITIONS,
            tenant_ids,
        )
        self.tenants.on_change(self.dispatch.changed)
        told = {**dict.fromkeys(TENANT_EVENTS, self.tenants.follow), **(follows or {})}

        def follow(rows: list[Any]) -> None:
            for row in rows:
                told[row[3]](log.decode_row(row))

        self.follower = Follower(log, tuple(told), follow, self.dispatch.work_waits)
        self.keeper = LeaseKeeper(
            log,
            self.dispatch.gained,
            self.dispatch.lost,
            self.dispatch.leaving,
            partitions=PARTITIONS,
            ttl_s=lease_s,
            renew_s=lease_s / 4,
            safety_s=lease_s / 4,
        )
        self.dispatch.tenures.keeper = self.keeper

    def account(self, account_id: str = ACCOUNT, tenant: str = TENANT, **more: Any) -> None:  # noqa: ANN401
        one = MailAccount(account_id=account_id, host="smtp.test", port=25, **more)
        self.tenants.put_account(tenant, one, by="test")

    def add(self, *mails: NewMail, tenant: str = TENANT) -> list[str]:
        return [one.reason for one in self.mails.add(tenant, mails, by="test")]

    def events(self, client_id: str, tenant: str = TENANT) -> list[domain.Event]:
        stream = domain.stream_of(self.mails.pk_of(tenant, client_id))
        return [one.event for one in self.log.read(stream)]  # type: ignore[misc]

    def status(self, client_id: str, tenant: str = TENANT) -> str:
        mail = self.mails.find(self.mails.pk_of(tenant, client_id))
        return mail.status if mail else ""

    def waiting(self) -> int:
        """How many rows the inboxes of tenants have."""
        with self.log.pool.connection() as connection:
            row = connection.execute(
                "SELECT count(*) AS n FROM signalbox.inbox WHERE actor_id LIKE 'tenant-%'"
            ).fetchone()
        assert row is not None
        return int(row["n"])

    def crash(self) -> None:
        """End as SIGKILL ends it: nothing more is written, the leases run out."""
        gevent.killall(self.keeper._greenlets)  # noqa: SLF001
        self.follower.close()
        self.dispatch._lookout.kill()  # noqa: SLF001
        self.dispatch._series.close()  # noqa: SLF001
        self.journal._writer.kill()  # noqa: SLF001
        for partition in range(PARTITIONS):
            self.dispatch.lost(partition)

    def close(self) -> None:
        self.dispatch.close(5.0)
        self.keeper.close()
        self.follower.close()
        self.journal.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
