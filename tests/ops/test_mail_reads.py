"""Mails as a process reads them: what it wrote itself is there, and what is over goes."""

from collections.abc import Iterator
from contextlib import closing

import gevent
import pytest
from support.histories import dead_letters
from support.mail_histories import URL

from signalbox.actors.mail_retention import MailRetention
from signalbox.actors.mails import Mails, NewMail
from signalbox.actors.tenants import Tenants
from signalbox.domain.mail_account import MailAccount
from signalbox.domain.mail_content import MailContent
from signalbox.domain.tenant_config import TenantConfig
from signalbox.eventstore.journal import Journal
from signalbox.eventstore.log import EventLog
from signalbox.ops.mail_reads import MailReads
from signalbox.projections.command_log import CommandQuery
from signalbox.projections.mail_readers import MailModels
from signalbox.projections.models import PROJECTIONS
from signalbox.projections.projector import Projector

CONTENT = MailContent(sender="a@example.com", to=("b@example.com",), subject="Hello")


@pytest.fixture
def _projected(event_log: EventLog) -> Iterator[None]:
    """Have the log projected all the time."""

    def project() -> None:
        while True:
            projector.advance()
            gevent.sleep(0.01)

    with closing(Projector(event_log, PROJECTIONS)) as projector:
        projector.prepare()
        running = gevent.spawn(project)
        yield
        running.kill()


@pytest.fixture
def reads(event_log: EventLog, journal: Journal, _projected: None) -> MailReads:
    return MailReads(MailModels(event_log), lambda: journal.last_position, 5.0)


@pytest.fixture
def tenants(event_log: EventLog, journal: Journal) -> Tenants:
    tenants = Tenants(event_log, journal)
    tenants.put("acme", TenantConfig(name="ACME", client_base_url=URL), by="admin")
    account = MailAccount(account_id="smtp1", host="mail.example.com", port=25)
    tenants.put_account("acme", account, by="admin")
    return tenants


@pytest.fixture
def mails(event_log: EventLog, journal: Journal, tenants: Tenants) -> Mails:
    return Mails(event_log, journal, tenants)


def new(client_id: str, account_id: str = "smtp1", **fields: str) -> NewMail:
    return NewMail(client_id=client_id, account_id=account_id, content=CONTENT, **fields)  # type: ignore[arg-type]


def test_a_process_reads_its_own_writes(mails: Mails, reads: MailReads) -> None:
    mails.add("acme", [new("1", batch_code="b"), new("2")], by="acme", request_id="r")
    first, second = reads.messages("acme", active_only=True, include_history=True)
    assert (first.client_id, second.client_id, first.content) == ("1", "2", CONTENT)
    assert (reads.pending("acme"), reads.pending("acme", "b"), reads.pending()) == (2, 1, 2)
    assert reads.counts("acme")["pending"] == reads.counts()["pending"] == 2
    assert reads.contents([first.pk]) == {first.pk: CONTENT}
    assert reads.with_client_id("1") == [("acme", first.pk)]
    assert (reads.report_events("acme", 0), reads.acknowledged("acme")) == ([], 0)
    assert (reads.owing(), reads.unacknowledged("acme")) == ([], 0)
    assert reads.pec_overdue(2**40) == []
    assert reads.due_cleanup("acme", 0) == reads.expired(0) == []


def test_mails_that_can_t_be_are_told_of_as_failed(mails: Mails, reads: MailReads) -> None:
    refused = [new("1", refused="missing to"), new("2", account_id="nowhere")]
    added = mails.add("acme", refused, by="acme", request_id="r")
    assert [one.reason for one in added] == ["missing to", "account not found for tenant"]
    events = reads.report_events("acme", 0)
    assert [(one.client_id, one.kind, one.reason) for one in events] == [
        (one.client_id, "error", one.reason) for one in added
    ]
    assert (reads.owing(), reads.unacknowledged("acme")) == (["acme"], 2)
    assert [row.accepted for row in reads.command_log(CommandQuery(name_part="Mess"))] == [False]


def test_a_call_with_many_mails_is_one_command(mails: Mails, reads: MailReads) -> None:
    mails.add("acme", [new(str(number)) for number in range(250)], by="acme", request_id="r")
    names = [row.command for row in reads.command_log(CommandQuery())]
    assert names == ["addTenant", "addAccount", "addMessages"]
    (row,) = reads.command_log(CommandQuery(name_part="addMess"))
    messages = row.payload["messages"]
    assert isinstance(messages, list)
    assert sorted(int(one["client_id"]) for one in messages) == list(range(250))


def test_what_is_over_is_forgotten(
    mails: Mails, tenants: Tenants, reads: MailReads, event_log: EventLog
) -> None:
    tenants.put("acme", TenantConfig(), by="admin")  # There is no server to be told any more.
    mails.add("acme", [new("1", refused="missing to"), new("2")], by="acme", request_id="r")

    def forget(tenant_id: str, pks: object) -> int:
        return mails.cleanup(tenant_id, pks, by="gateway")  # type: ignore[arg-type]

    retention = MailRetention(lambda limit: reads.expired(0, limit), forget, look_s=60)
    retention.close()
    assert retention.look() == 1
    assert [view.client_id for view in reads.messages("acme")] == ["2"]
    assert "cleanupMessages" not in {row.command for row in reads.command_log(CommandQuery())}
    assert dead_letters(event_log) == []


def test_a_deleted_tenant_is_gone_with_its_mails(
    mails: Mails, tenants: Tenants, reads: MailReads, event_log: EventLog
) -> None:
    mails.add("acme", [new("1")], by="acme", request_id="r")
    assert (reads.tenant_ids(), [one.name for one in reads.sync_status()]) == (["acme"], ["ACME"])
    tenants.delete("acme", by="admin")
    assert (reads.tenant_ids(), reads.sync_status(), reads.messages("acme")) == ([], [], [])
    tenants.put("acme", TenantConfig(active=False), by="admin")
    tenants.put_account("acme", MailAccount(account_id="smtp1", host="h", port=25), by="admin")
    mails.add("acme", [new("1")], by="acme", request_id="s")
    assert [view.client_id for view in reads.messages("acme")] == ["1"]
    assert (reads.tenant_ids(), reads.tenant_ids(active_only=True)) == (["acme"], [])
    commands = [row.command for row in reads.command_log(CommandQuery())]
    assert commands == ["deleteTenant", "addTenant", "addAccount", "addMessages"]
    assert dead_letters(event_log) == []
