"""Mails taken on, replaced, refused and deleted, on a real log."""

from collections.abc import Iterator
from dataclasses import replace

import gevent
import pytest
from support.dispatch import ACCOUNT, TENANT, content, new

from signalbox.actors import mail_streams
from signalbox.actors.mails import ADDRESS_CHARACTERS_MAX, Added, Mails, Removed
from signalbox.actors.tenants import Tenants
from signalbox.domain import mail as domain
from signalbox.domain.errors import InvalidField
from signalbox.domain.mail_account import MailAccount
from signalbox.domain.tenant_config import TenantConfig
from signalbox.eventstore.journal import Append, Journal, Write
from signalbox.eventstore.log import EventLog


class Client:
    """Whoever hands mails over, in a process of its own."""

    def __init__(self, log: EventLog, journal: Journal) -> None:
        self.log = log
        self.journal = journal
        self.tenants = Tenants(log, journal)
        self.mails = Mails(log, journal, self.tenants)
        account = MailAccount(account_id=ACCOUNT, host="smtp.test", port=25)
        self.tenants.put_account(TENANT, account, by="test")

    def add(self, *mails: object, tenant: str = TENANT) -> list[str]:
        return [one.reason for one in self.mails.add(tenant, mails, by="test")]  # type: ignore[arg-type]

    def stream(self, client_id: str) -> str:
        return domain.stream_of(self.mails.pk_of(TENANT, client_id))

    def events(self, client_id: str) -> list[str]:
        return [type(one.event).__name__ for one in self.log.read(self.stream(client_id))]

    def becomes(self, client_id: str, *events: domain.Event) -> None:
        """Store what happened to a mail, as a relay does."""
        stream_id = self.stream(client_id)
        version = self.log.last_version(stream_id) + 1
        key = self.tenants.known(TENANT).data_key
        self.journal.write(Append(writes=[Write(stream_id, version, events, key)]))

    def rows(self) -> list[tuple[str, str, float]]:
        with self.log.pool.connection() as connection:
            rows = connection.execute(
                "SELECT kind, stream_id, due_s FROM signalbox.inbox"
                " WHERE actor_id = 'tenant-acme' ORDER BY seq"
            ).fetchall()
        return [tuple(row.values()) for row in rows]


@pytest.fixture
def client(event_log: EventLog, journal: Journal) -> Iterator[Client]:
    return Client(event_log, journal)


def test_a_mail_is_stored_with_its_place_in_the_queue(client: Client) -> None:
    assert client.mails.add(TENANT, [new("m-1", priority=0)], by="test") == [Added("m-1")]
    assert client.events("m-1") == ["MailQueued"]
    assert client.rows() == [("mail0/smtp1", client.stream("m-1"), 0.0)]
    pk = client.mails.pk_of(TENANT, "m-1")
    assert len(pk) == 22
    assert client.mails.content(pk) == content()


def test_a_mail_for_later_waits_for_its_time(client: Client) -> None:
    now_s = client.journal.now().timestamp()
    client.add(new("m-1", deferred_until_s=now_s + 100), new("m-2", deferred_until_s=1.0))
    later, at_once = client.rows()
    assert later == ("later/smtp1", client.stream("m-1"), now_s + 100)
    assert at_once[0] == "mail2/smtp1"


def test_nothing_of_what_is_in_a_mail_can_be_read_in_the_log(client: Client) -> None:
    client.add(new("m-1", content=content("secret@example.test", "Secret subject")))
    with client.log.pool.connection() as connection:
        rows = connection.execute("SELECT state FROM signalbox.stored_events").fetchall()
    assert all(b"ecret" not in bytes(row["state"]) for row in rows)


def test_the_same_id_again_replaces_what_waits(client: Client) -> None:
    client.add(new("m-1"), new("m-2"))
    assert client.add(new("m-1", content=content(subject="newer"), priority=1)) == [""]
    assert client.events("m-1") == ["MailQueued", "MailReplaced"]
    assert [kind for kind, *_ in client.rows()] == ["mail2/smtp1", "mail1/smtp1"]
    found = client.mails.content(client.mails.pk_of(TENANT, "m-1"))
    assert found is not None
    assert found.subject == "newer"


def test_an_id_twice_in_one_call_counts_twice_and_is_one_mail(client: Client) -> None:
    assert client.add(new("m-1"), new("m-2"), new("m-1")) == ["", "", ""]
    assert client.events("m-1") == ["MailQueued", "MailReplaced"]
    assert len(client.rows()) == 2


@pytest.mark.parametrize(
    "outcome", [domain.MailSent(250, "ok"), domain.MailFailed(550, "no such user")]
)
def test_what_was_sent_or_failed_is_not_taken_again(client: Client, outcome: domain.Event) -> None:
    client.add(new("m-1"))
    client.becomes("m-1", domain.MailAttempted(1), outcome)
    assert client.add(new("m-1"), new("m-2")) == ["already sent", ""]


def test_a_mail_that_waits_for_another_try_is_replaced_and_begins_anew(client: Client) -> None:
    client.add(new("m-1"))
    put_off = domain.MailDeferred(2e9, "busy", retry=True, code=451)
    client.becomes("m-1", domain.MailAttempted(1), put_off)
    assert client.add(new("m-1")) == [""]
    mail = client.mails.find(client.mails.pk_of(TENANT, "m-1"))
    assert mail is not None
    assert (mail.status, mail.retries) == ("pending", 0)


def test_an_unknown_account_touches_nothing_that_waits(client: Client) -> None:
    client.add(new("m-1"))
    assert client.add(new("m-1", account_id="ghost")) == ["account not found for tenant"]
    assert client.events("m-1") == ["MailQueued"]
    assert [kind for kind, *_ in client.rows()] == ["mail2/smtp1"]


def test_many_mails_are_read_a_few_at_a_time(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, read_few = [], mail_streams._read_few  # noqa: SLF001  memory is hard to look at

    def spied(log: EventLog, stream_ids: list[str]) -> object:
        read.append(len(stream_ids))
        return read_few(log, stream_ids)

    monkeypatch.setattr(mail_streams, "_read_few", spied)
    ids = [f"m-{n}" for n in range(125)]
    client.add(*map(new, ids))
    assert client.mails.delete(TENANT, [*ids, "ghost"], by="test") == Removed(125, ("ghost",))
    assert read == [*[10] * 12, 6]


def test_a_mail_with_more_addresses_than_anybody_reads_is_refused(client: Client) -> None:
    most = ADDRESS_CHARACTERS_MAX - len("a@acme.test") - 3
    fits = new("fits", content=replace(content(), to=("b" * (most - 1),)))
    one = new("one", content=replace(content(), to=("b" * most,)))
    many = new("many", content=replace(content(), bcc=("b@c.test",) * 40_000))
    reason = f"addresses longer than {ADDRESS_CHARACTERS_MAX} characters"
    assert client.add(fits, one, many) == ["", reason, reason]
    assert client.events("many") == ["MailRejected"]


def test_what_can_not_be_a_mail_is_kept_as_one_that_failed(client: Client) -> None:
    refused = [new("m-1", account_id="ghost"), new("m-2", refused="missing from"), new("")]
    assert client.add(*refused) == ["account not found for tenant", "missing from", "missing id"]
    assert client.events("m-1") == client.events("m-2") == ["MailRejected"]
    assert client.rows() == []
    mail = client.mails.find(client.mails.pk_of(TENANT, "m-2"))
    assert mail is not None
    assert mail.status == "error"
    (rejected,) = [one.event for one in client.log.read(client.stream("m-2"))]
    assert isinstance(rejected, domain.MailRejected)
    assert rejected.reason == "missing from"


def test_what_was_refused_may_come_again_once_it_is_right(client: Client) -> None:
    client.add(new("m-1", refused="missing from"))
    assert client.add(new("m-1")) == [""]
    assert client.events("m-1") == ["MailRejected", "MailQueued"]


def test_ids_are_unique_in_a_tenant_only(client: Client) -> None:
    account = MailAccount(account_id=ACCOUNT, host="smtp.test", port=25)
    client.tenants.put_account("beta", account, by="test")
    assert client.add(new("m-1")) == client.add(new("m-1"), tenant="beta") == [""]
    assert client.mails.pk_of(TENANT, "m-1") != client.mails.pk_of("beta", "m-1")


def test_a_thousand_mails_come_in_order_whatever_some_of_them_are(client: Client) -> None:
    client.add(*(new(f"m-{n}") for n in range(0, 1000, 7)))
    client.becomes("m-700", domain.MailAttempted(1), domain.MailSent(250, "ok"))
    reasons = client.add(*(new(f"m-{n}") for n in range(1000)))
    assert [n for n, reason in enumerate(reasons) if reason] == [700]
    assert len(client.rows()) == 1000


def test_whoever_comes_at_the_same_time_queues_one_mail(event_log: EventLog) -> None:
    journals = [Journal(event_log), Journal(event_log)]
    clients = [Client(event_log, journal) for journal in journals]
    calls = [gevent.spawn(one.add, *(new(f"m-{n}") for n in range(50))) for one in clients]
    gevent.joinall(calls, raise_error=True)
    assert [call.value for call in calls] == [[""] * 50] * 2
    assert len(clients[0].rows()) == 50
    for journal in journals:
        journal.close()


def test_what_no_store_can_hold_is_refused(client: Client) -> None:
    for bad in (new("m\0"), new("\ud800"), new("m-1", content=content(subject="\ud800"))):
        with pytest.raises(InvalidField):
            client.add(bad)
    assert client.rows() == []


def test_deleting_takes_mails_out_of_the_queue_and_names_those_that_are_not_there(
    client: Client,
) -> None:
    client.add(new("m-1"), new("m-2"), new("m-3"))
    client.becomes("m-2", domain.MailAttempted(1), domain.MailSent(250, "ok"))
    removed = client.mails.delete(TENANT, ["m-1", "m-2", "ghost"], by="test")
    assert removed == Removed(2, ("ghost",))
    assert client.events("m-1")[-1] == client.events("m-2")[-1] == "MailDeleted"
    assert [stream for _, stream, _ in client.rows()] == [client.stream("m-3")]
    assert client.mails.delete(TENANT, ["m-1"], by="test") == Removed(0, ("m-1",))
    assert client.add(new("m-1")) == [""]  # It is as if it never was there.


def test_no_tenant_deletes_the_mails_of_another(client: Client) -> None:
    client.add(new("m-1"))
    assert client.mails.delete("beta", ["m-1"], by="test") == Removed(0, ("m-1",))
    assert client.events("m-1") == ["MailQueued"]


def test_cleaning_up_leaves_what_waits(client: Client) -> None:
    client.add(new("m-1"), new("m-2"))
    client.becomes("m-1", domain.MailAttempted(1), domain.MailSent(250, "ok"))
    pks = [client.mails.pk_of(TENANT, one) for one in ("m-1", "m-2", "ghost")]
    assert client.mails.cleanup(TENANT, pks, by="test") == 1
    assert client.events("m-1")[-1] == "MailDeleted"


def test_a_mail_comes_back_once_and_only_if_it_left(client: Client) -> None:
    client.add(new("m-1"), new("m-2"))
    client.becomes("m-1", domain.MailAttempted(1), domain.MailSent(250, "ok"))
    pk = client.mails.pk_of(TENANT, "m-1")
    bounce = domain.RecordBounce(kind="hard", code="511", reason="no such user")
    assert client.mails.bounced(pk, bounce)
    assert not client.mails.bounced(pk, bounce)
    assert not client.mails.bounced(client.mails.pk_of(TENANT, "m-2"), bounce)
    assert not client.mails.bounced("ghost", bounce)
    last = client.log.read(client.stream("m-1"))[-1]
    assert last.tenant_id == client.tenants.known(TENANT).data_key


def test_receipts_of_certified_mail_are_noted_once_each(client: Client) -> None:
    account = MailAccount(account_id="pec", host="smtp.test", port=25, is_pec=True)
    client.tenants.put_account(TENANT, account, by="test")
    client.add(new("m-1", account_id="pec"), new("m-2", account_id="pec"))
    pk, other = (client.mails.pk_of(TENANT, one) for one in ("m-1", "m-2"))
    assert client.mails.pec(pk, "pec_acceptance", "accepted")
    assert not client.mails.pec(pk, "pec_acceptance", "accepted")
    assert client.mails.pec(pk, "pec_delivery")
    assert not client.mails.pec_missed(pk)
    assert client.mails.pec_missed(other)
    found = client.mails.find(other)
    assert found is not None
    assert not found.is_pec


def test_a_tenant_that_was_deleted_elsewhere_begins_anew(
    event_log: EventLog, journal: Journal
) -> None:
    here, there = Client(event_log, journal), Client(event_log, journal)
    here.tenants.put(TENANT, TenantConfig(), by="test")
    assert here.add(new("m-1")) == [""]
    there.tenants.delete(TENANT, by="test")
    event_log.tenant_keys.forget()
    assert here.add(new("m-1")) == ["account not found for tenant"]
