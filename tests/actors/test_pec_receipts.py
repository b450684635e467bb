"""Certified mail: its receipts come from the accounts' own mailboxes, on a real IMAP server."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import gevent
import pytest
from support.bounces import ACCEPTED, ANSWER, DELIVERED, NOT_DELIVERED, PK
from support.dovecot import DOVECOT, MISSING, PASSWORD, give_one_uidvalidity
from support.gateway import eventually, eventually_equal
from support.history import rows
from support.mail_relay import ACCOUNT, PARTITIONS, MailRelay

from signalbox.actors.pec_receipts import PecParts, PecReceipts
from signalbox.actors.transports.imap import ANYWHERE, Access
from signalbox.actors.transports.outside import Outside
from signalbox.domain import pec
from signalbox.domain.mail import MailSent, PecAcceptanceMissed, PecReceiptRecorded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from support.dovecot import Dovecot, Inbox

    from signalbox.domain.mail import Mail
    from signalbox.eventstore.log import EventLog

SENT: Final = MailSent(250, "OK")

pytestmark = pytest.mark.skipif(DOVECOT is None, reason=MISSING)


class Certified:
    """A relay that reads receipts, and a tenant with an account for certified mail."""

    def __init__(
        self, log: EventLog, inbox: Inbox, *, access: Access = ANYWHERE, acceptance_s: float = 60
    ) -> None:
        self._given = {"access": access, "acceptance_s": acceptance_s}
        self.relay = MailRelay(log, holders=self._holders)
        self.relay.tenant("acme", "")
        self.configure(inbox.port, inbox.user)

    def _holders(self, relay: MailRelay) -> tuple[PecReceipts]:
        given: Any = self._given
        parts = PecParts(
            log=relay.log, journal=relay.journal, tenants=relay.tenants, mails=relay.mails,
            reads=relay.reads, poll_interval_s=0.1, **given,
        )  # fmt: skip
        self.receipts = PecReceipts(parts, PARTITIONS)
        return (self.receipts,)

    def configure(self, port: int, user: str, tenant_id: str = "acme") -> None:
        account = replace(
            ACCOUNT,
            is_pec=True,
            imap_host="127.0.0.1",
            imap_port=port,
            imap_user=user,
            imap_password_sealed=self.relay.tenants.seal(PASSWORD),
            imap_ssl=False,
        )
        self.relay.tenants.put_account(tenant_id, account, by="admin")

    def mail(self, pk: str) -> Mail:
        found = self.relay.mails.find(pk)
        assert found is not None
        return found


@pytest.fixture
def start(event_log: EventLog) -> Iterator[Callable[..., Certified]]:
    started: list[Certified] = []

    def begin(inbox: Inbox, **given: Any) -> Certified:  # noqa: ANN401
        started.append(Certified(event_log, inbox, **given))
        return started[-1]

    yield begin
    for one in started:
        one.receipts.close()
        one.relay.close()


def test_receipts_are_recorded_with_their_mail(
    event_log: EventLog, start: Callable[..., Certified], mailbox: Inbox
) -> None:
    certified = start(mailbox)
    pk = certified.relay.mail("acme", "m1", SENT)
    assert certified.mail(pk).is_pec
    mailbox.deliver(ANSWER, ACCEPTED.replace(PK, pk))
    eventually_equal(lambda: certified.mail(pk).pec, {"pec_acceptance"})
    mailbox.deliver(DELIVERED.replace(PK, pk), ACCEPTED.replace(PK, pk))
    eventually_equal(lambda: certified.mail(pk).pec, {"pec_acceptance", "pec_delivery"})
    events = [one.event for batch in event_log.everything() for one in batch]
    assert len([one for one in events if isinstance(one, PecReceiptRecorded)]) == 2
    assert mailbox.unread() == 4


def test_a_mail_that_was_not_delivered_says_why(
    event_log: EventLog, start: Callable[..., Certified], mailbox: Inbox
) -> None:
    certified = start(mailbox)
    pk = certified.relay.mail("acme", "m1", SENT)
    mailbox.deliver(NOT_DELIVERED.replace(PK, pk))
    eventually_equal(lambda: certified.mail(pk).pec, {"pec_error"})
    events = [one.event for batch in event_log.everything() for one in batch]
    (receipt,) = [one for one in events if isinstance(one, PecReceiptRecorded)]
    assert receipt.details == "5.1.1 - indirizzo non valido"


def test_a_receipt_counts_only_in_the_mailbox_of_its_own_account(
    start: Callable[..., Certified], mailbox: Inbox
) -> None:
    certified = start(mailbox)
    certified.configure(1, mailbox.user)  # There is no mailbox of acme's.
    pk = certified.relay.mail("acme", "m1", SENT)
    certified.relay.tenant("beta", "")
    certified.configure(mailbox.port, mailbox.user, "beta")
    other = certified.relay.mail("beta", "m1", SENT)
    mailbox.deliver(ACCEPTED.replace(PK, pk), ACCEPTED.replace(PK, other))
    eventually_equal(lambda: certified.mail(other).pec, {"pec_acceptance"})
    assert certified.mail(pk).pec == frozenset()


def test_a_restart_reads_nothing_again(
    database_url: str,
    start: Callable[..., Certified],
    mailbox: Inbox,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    read_to = "SELECT position FROM signalbox.cursors WHERE name LIKE 'pec/acme/%'"
    certified = start(mailbox)
    pk = certified.relay.mail("acme", "m1", SENT)
    mailbox.deliver(ACCEPTED.replace(PK, pk))
    eventually_equal(lambda: rows(database_url, read_to), [(1,)])
    certified.receipts.close()
    certified.relay.close()
    seen: list[bytes] = []
    read = pec.read
    monkeypatch.setattr(pec, "read", lambda raw: (seen.append(raw), read(raw))[1])
    mailbox.deliver(DELIVERED.replace(PK, pk))
    second = start(mailbox)
    eventually_equal(lambda: rows(database_url, read_to), [(2,)])
    assert second.mail(pk).pec == {"pec_acceptance", "pec_delivery"}
    assert len(seen) == 1


def test_another_mailbox_is_read_from_its_beginning_though_its_uids_are_as_valid(
    database_url: str,
    start: Callable[..., Certified],
    mailbox: Inbox,
    imap_server: Dovecot,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    give_one_uidvalidity(monkeypatch, 7)
    read_to = "SELECT position FROM signalbox.cursors WHERE name LIKE 'pec/acme/%'"
    certified = start(mailbox)
    pk = certified.relay.mail("acme", "m1", SENT)
    mailbox.deliver(ANSWER, ANSWER)
    eventually_equal(lambda: rows(database_url, read_to), [(2,)])
    another = imap_server.inbox()
    another.deliver(ACCEPTED.replace(PK, pk))
    certified.configure(another.port, another.user)
    eventually_equal(lambda: certified.mail(pk).pec, {"pec_acceptance"})


def test_without_any_receipt_in_time_it_went_as_an_ordinary_mail(
    event_log: EventLog, start: Callable[..., Certified], mailbox: Inbox
) -> None:
    certified = start(mailbox, acceptance_s=0.5)
    pk = certified.relay.mail("acme", "m1", SENT)
    eventually(lambda: not certified.mail(pk).is_pec)
    gevent.sleep(0.5)
    events = [one.event for batch in event_log.everything() for one in batch]
    assert len([one for one in events if isinstance(one, PecAcceptanceMissed)]) == 1


def test_a_mailbox_inside_is_not_read_for_a_tenant_where_that_is_forbidden(
    start: Callable[..., Certified], mailbox: Inbox, caplog: pytest.LogCaptureFixture
) -> None:
    certified = start(mailbox, access=Access(outside=Outside()))
    certified.relay.mail("acme", "m1", SENT)
    eventually(lambda: "mailbox of receipts can't be read" in caplog.text)
    assert PASSWORD not in caplog.text
