"""`signalbox audit timeline` of mails: how they are named, and what is said of them."""

from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console
from support.histories import DELIVERED, T0_S, record
from support.mail_histories import created, queued

from signalbox.actors.mail_intake import stream_named
from signalbox.domain.mail import (
    MailAttempted,
    MailBounced,
    MailDeferred,
    MailDeleted,
    MailFailed,
    MailInDoubt,
    MailPartlySent,
    MailRejected,
    MailReplaced,
    MailSent,
    PecAcceptanceMissed,
    PecReceiptRecorded,
    pk_of,
)
from signalbox.domain.names import Event
from signalbox.domain.tenant import TenantDeleted, data_key_of, stream_of
from signalbox.eventstore.log import EventLog
from signalbox.ops import audit
from signalbox.ops.settings import Settings, SettingsError

SECRET_KEY = "a secret key for tests, long enough"
MAIL = {"client_id": "m-1", "account_id": "smtp1", "content": "to bob@example.org"}


def shown(log: EventLog, name: str, tenant_id: str | None = None) -> str:
    console = Console(file=StringIO(), width=160)
    assert audit.print_timeline(log, name, console, tenant_id)
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


def tell(
    log: EventLog, *events: Event, of: str = "acme", client_id: str = "m-1", generation: int = 1
) -> str:
    """Record a mail of a tenant that exists already; return its stream."""
    stream = stream_named(log.secrets, data_key_of(of, generation), client_id)
    record(log, stream, *events)
    return stream


def one(of: str = "acme", client_id: str = "m-1") -> Event:
    return queued(tenant_id=of, client_id=client_id)


@pytest.mark.parametrize("name", ["pk", "stream", "m-1", "acme/m-1"])
def test_a_mail_is_found_by_its_pk_its_stream_and_its_clients_id(
    event_log: EventLog, name: str
) -> None:
    record(event_log, stream_of("acme"), *created())
    stream = tell(event_log, one(), MailAttempted(1, "10.0.0.1"))
    names = {"pk": pk_of(stream), "stream": stream}
    assert "attempt 1, from 10.0.0.1" in shown(event_log, names.get(name, name))


def test_a_mail_that_was_deleted_is_found_too(event_log: EventLog) -> None:
    record(event_log, stream_of("acme"), *created())
    tell(event_log, one(), MailDeleted("cleanup"))
    assert "cleanup" in shown(event_log, "m-1")


def test_an_id_with_a_slash_is_an_id_first(event_log: EventLog) -> None:
    record(event_log, stream_of("acme"), *created())
    tell(event_log, one(client_id="a/b"), client_id="a/b")
    for name in ("a/b", "acme/a/b"):
        assert "acme/a/b, account smtp1" in shown(event_log, name)


def test_of_several_tenants_with_an_id_one_is_to_be_named(event_log: EventLog) -> None:
    for tenant_id in ("beta", "acme"):
        record(event_log, stream_of(tenant_id), *created())
        tell(event_log, one(of=tenant_id), of=tenant_id)
    complaint = "^several tenants have a mail 'm-1': acme/m-1, beta/m-1$"
    with pytest.raises(SettingsError, match=complaint):
        audit.print_timeline(event_log, "m-1", Console(file=StringIO()))
    assert "beta/m-1" in shown(event_log, "m-1", "beta")
    assert "acme/m-1" in shown(event_log, "acme/m-1")


def test_of_a_tenant_that_came_back_it_is_the_newest_mail(event_log: EventLog) -> None:
    record(event_log, stream_of("acme"), *created(), TenantDeleted(1), *created(2))
    tell(event_log, one(), MailAttempted(1, "10.0.0.1"))
    assert "10.0.0.1" in shown(event_log, "m-1")
    tell(event_log, one(), MailAttempted(1, "10.0.0.2"), generation=2)
    assert "10.0.0.2" in shown(event_log, "m-1")


def test_what_is_no_mail_is_found_as_before(event_log: EventLog) -> None:
    record(event_log, "message-m", *DELIVERED)
    for name in ("m", "message-m"):
        assert "MessageSubmitted" in shown(event_log, name)


@pytest.mark.parametrize(
    ("tenant_id", "said"),
    [(None, "no message 'm-2'"), ("acme", "no message 'm-2' of tenant 'acme'")],
)
def test_a_mail_that_nobody_knows_is_one_line_of_error(
    database_url: str,
    event_log: EventLog,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    tenant_id: str | None,
    said: str,
) -> None:
    record(event_log, stream_of("acme"), *created())
    tell(event_log, one())
    settings = Settings(home=tmp_path, secret_key=SECRET_KEY).with_database_url(database_url)
    assert audit.timeline(settings, "m-2", tenant_id) == 1
    assert capsys.readouterr() == ("", f"signalbox: {said}\n")


@pytest.mark.parametrize(("event", "said"), [
    (queued(tenant_id="acme", client_id="m-1", priority=1, batch_code="B1", is_pec=True,
            deferred_until_s=T0_S),
     "acme/m-1, account smtp1, priority 1, batch B1, certified, not before 2026-11-21 14:30:00"),
    (MailReplaced(tenant_id="acme", **MAIL), "acme/m-1, account smtp1, priority 2"),
    (MailRejected(tenant_id="acme", reason="missing to", **MAIL), "acme/m-1, missing to"),
    (MailAttempted(2), "attempt 2"),
    (MailSent(250, "ok"), "250 ok"),
    (MailSent(250, "2.0.0 queued as 250", 2, '{"bob@example.org": "no"}'),
     "2.0.0 queued as 250, refused recipients: 2"),
    (MailPartlySent(250, "ok", (1, 4), 1, '{"bob@example.org": "later"}'),
     "250 ok, remaining recipients: 2, refused recipients: 1"),
    (MailDeferred(T0_S, "connection refused", retry=True),
     "connection refused, again at 2026-11-21 14:30:00.000Z"),
    (MailDeferred(T0_S, "busy", retry=True, code=451), "451 busy, again at 2026-11-21 14:30:00"),
    (MailDeferred(T0_S, "rate limit"), "rate limit, not before 2026-11-21 14:30:00"),
    (MailFailed(550, "(550, 'no') (SMTP 550)"), "(550, 'no') (SMTP 550)"),
    (MailInDoubt(1, "hold", "cut"), "attempt 1, cut, hold"),
    (MailBounced("hard", "5.1.1", "<bob@example.org>: unknown"),
     "hard, 5.1.1, <…@example.org>: unknown"),
    (PecReceiptRecorded("pec_delivery", "bob@example.org"), "pec_delivery, …@example.org"),
    (PecReceiptRecorded("pec_acceptance"), "pec_acceptance"),
    (PecAcceptanceMissed(), "no receipt in time, so it was no certified mail"),
    (MailDeleted("asked"), "asked"),
])  # fmt: skip
def test_a_timeline_explains_every_event_without_an_address(
    event_log: EventLog, event: Event, said: str
) -> None:
    record(event_log, "mail-p", event)
    (line,) = [line for line in shown(event_log, "p").splitlines() if "Z  " in line]
    assert f"{type(event).__name__}  " in line
    assert said in line
    assert "bob" not in line
