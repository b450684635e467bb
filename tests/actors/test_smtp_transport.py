"""The transport: every mail handed over has one outcome, and no account waits for another."""

from __future__ import annotations

import ssl
import time
from typing import TYPE_CHECKING, Any

import gevent
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from gevent.event import Event
from support.gateway import eventually
from support.mail_sink import MailSink
from support.smtp_script import HANG, ScriptedServer

from signalbox.actors.transports.smtp.connecting import Means
from signalbox.actors.transports.smtp.job import SmtpJob, SmtpOutcome
from signalbox.actors.transports.smtp.message import File
from signalbox.actors.transports.smtp.sessions import Sessions
from signalbox.actors.transports.smtp.transport import SmtpTransport, Unattached
from signalbox.domain.mail_account import MailAccount
from signalbox.domain.mail_content import Attachment, MailContent

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

PATCHED = Attachment(filename="a.txt", storage_path="somewhere")


class Files:
    """Attaches what it is told to, when it is told to."""

    def __init__(self) -> None:
        self.trouble: Exception | None = None
        self.go = Event()
        self.go.set()

    def attached(self, tenant_id: str, mail: MailContent) -> tuple[MailContent, Sequence[File]]:
        self.go.wait()
        if self.trouble is not None:
            raise self.trouble
        return mail, [File(one.filename, tenant_id.encode()) for one in mail.attachments]

    def close(self) -> None:
        pass


@pytest.fixture(scope="module")
def sink() -> Iterator[MailSink]:
    with MailSink() as sink:
        yield sink


@pytest.fixture
def files() -> Files:
    return Files()


@pytest.fixture
def transport(files: Files) -> Iterator[SmtpTransport]:
    transport = made(files)
    yield transport
    transport.close(0)


def made(files: Files, **limits: int) -> SmtpTransport:
    means = Means(tls=ssl.create_default_context(), our_name="gateway.test")
    sessions = Sessions(means)
    return SmtpTransport(sessions, files, **limits)


def job(port: int, key: object = "k", **changes: Any) -> SmtpJob:  # noqa: ANN401
    account = MailAccount(
        account_id=changes.pop("account_id", "a"),
        host="127.0.0.1",
        port=port,
        user=changes.pop("user", ""),
        **changes.pop("account", {}),
    )
    mail: dict[str, Any] = {"sender": "me@acme.test", "to": ("you@x.test",), "subject": "Hi"}
    content = MailContent(**{**mail, **changes.pop("mail", {})})
    given: dict[str, Any] = {"tenant_id": "acme", "password": "", "client_id": "m", "pk": "pk"}
    return SmtpJob(key=key, account=account, mail=content, **{**given, **changes})


def outcome(transport: SmtpTransport, wanted: SmtpJob) -> SmtpOutcome:
    told: list[SmtpOutcome] = []
    transport.send(wanted, told.append)
    assert not told, "sending blocked"
    eventually(lambda: told)
    return told[0]


def test_a_mail_that_is_taken_is_sent(transport: SmtpTransport, sink: MailSink) -> None:
    to = ("you@x.test", "refuse-550@x.test")
    found = outcome(transport, job(sink.port, key=7, mail={"to": to}))
    assert found == SmtpOutcome(
        key=7,
        result="sent",
        code=250,
        reason=f"kept as {sink.count}",
        refused={"refuse-550@x.test": (550, "refused here")},
        reached_mail_from=True,
    )


def test_recipients_that_may_follow_are_told_by_their_places_and_get_the_mail_alone(
    transport: SmtpTransport, sink: MailSink
) -> None:
    to = ("junk address", "refuse-550@x.test", "you@x.test", "greylist-9@x.test, you@x.test")
    first = outcome(transport, job(sink.port, mail={"to": to}))
    assert (first.result, first.remaining, len(first.refused)) == ("sent", (2,), 3)
    assert sink.mails[-1].recipients == ["you@x.test"]
    rest = outcome(transport, job(sink.port, mail={"to": to}, remaining=first.remaining))
    assert (rest.result, rest.remaining, rest.refused) == ("sent", (), {})
    assert sink.mails[-1].recipients == ["greylist-9@x.test"]
    assert b"you@x.test" in sink.mails[-1].data, "the mail itself says who else has it"


def test_a_mail_that_is_refused_is_not(transport: SmtpTransport, sink: MailSink) -> None:
    found = outcome(transport, job(sink.port, mail={"to": ("refuse-550@x.test",)}))
    assert (found.result, found.code, found.reached_mail_from) == ("permanent", 550, True)
    assert found.refused == {"refuse-550@x.test": (550, "refused here")}
    assert found.reason == "(550, 'refused here') (SMTP 550)"


def test_a_mail_leaves_from_where_it_is_told_else_where_its_account_says(
    transport: SmtpTransport, sink: MailSink
) -> None:
    for told, peer in (("127.0.0.8", "127.0.0.8"), ("", "127.0.0.9")):
        outcome(transport, job(sink.port, source_ip=told, account={"source_ip": "127.0.0.9"}))
        assert sink.mails[-1].peer == peer


def test_a_server_that_is_not_there_has_seen_nothing(transport: SmtpTransport) -> None:
    found = outcome(transport, job(1))
    assert (found.result, found.code, found.reached_mail_from) == ("temporary", 0, False)


@pytest.mark.parametrize("evil", [{"subject": "a\r\nBcc: x@y.test"}, {"to": ("junk address",)}])
def test_what_can_never_be_sent_fails_at_once(
    transport: SmtpTransport, sink: MailSink, evil: dict[str, Any]
) -> None:
    before = sink.count
    found = outcome(transport, job(sink.port, mail=evil))
    assert (found.result, found.reached_mail_from) == ("permanent", False)
    assert sink.count == before


def test_attachments_are_fetched_and_sent(transport: SmtpTransport, sink: MailSink) -> None:
    found = outcome(transport, job(sink.port, mail={"attachments": (PATCHED,)}))
    assert found.result == "sent"
    part = next(iter(sink.mails[-1].message.iter_attachments()))
    assert (part.get_filename(), part.get_payload(decode=True)) == ("a.txt", b"acme")


@pytest.mark.parametrize(
    ("trouble", "result"),
    [
        (Unattached("not there"), "permanent"),
        (Unattached("not now", temporary=True), "temporary"),
        (RuntimeError("nobody thought of it"), "temporary"),
    ],
)
def test_what_cannot_be_attached_decides(
    transport: SmtpTransport, files: Files, sink: MailSink, trouble: Exception, result: str
) -> None:
    files.trouble = trouble
    found = outcome(transport, job(sink.port, mail={"attachments": (PATCHED,)}))
    assert (found.result, found.reached_mail_from) == (result, False)


def test_an_account_that_hangs_delays_no_other(files: Files, sink: MailSink) -> None:
    transport = made(files, per_account_max=2, mails_max=3)
    told: list[SmtpOutcome] = []
    with ScriptedServer({"RCPT": HANG}) as slow:
        for key in range(10):
            transport.send(job(slow.port, key, account_id="slow"), told.append)
        eventually(lambda: slow.verbs.count("RCPT") == 2)
        for key in range(20):
            transport.send(job(sink.port, key), told.append)
        eventually(lambda: len(told) == 20)
        assert slow.connections == 2
        transport.close(0)
    assert {found.result for found in told[20:]} == {"temporary"}
    assert len(told) == 30


def test_accounts_of_one_name_have_places_of_their_own(files: Files) -> None:
    transport = made(files, per_account_max=1)
    with ScriptedServer({"RCPT": HANG}) as slow:
        for tenant_id in ("acme", "acme", "beta"):
            transport.send(job(slow.port, tenant_id=tenant_id), lambda _: None)
        eventually(lambda: slow.verbs.count("RCPT") == 2)
        gevent.sleep(0.02)
        assert slow.connections == 2
        transport.close(0)


def test_slow_attachments_take_no_place_from_other_mails(files: Files, sink: MailSink) -> None:
    transport = made(files, per_account_max=1, mails_max=1)
    files.go.clear()
    told: list[SmtpOutcome] = []
    transport.send(job(sink.port, "slow", mail={"attachments": (PATCHED,)}), told.append)
    assert outcome(transport, job(sink.port, "quick")).key == "quick"
    assert not told
    files.go.set()
    eventually(lambda: told)
    transport.close(1)


def test_outcomes_nobody_takes_stop_nothing(transport: SmtpTransport, sink: MailSink) -> None:
    def fails(_: SmtpOutcome) -> None:
        raise RuntimeError("nobody is there")

    transport.send(job(sink.port), fails)
    assert outcome(transport, job(sink.port)).result == "sent"


def test_whoever_closes_waits_for_what_is_on_its_way(files: Files) -> None:
    transport = made(files, per_account_max=1)
    told: list[SmtpOutcome] = []
    with ScriptedServer() as server:
        server.script["DOT"] = "250 taken"
        for key in range(3):
            transport.send(job(server.port, key), told.append)
        eventually(lambda: "MAIL" in server.verbs or told)
        transport.close(5)
        transport.send(job(server.port, 3), told.append)
        eventually(lambda: len(told) == 4)
    by_key = {found.key: found for found in told}
    assert by_key[0].result == "sent"
    assert (by_key[3].result, by_key[3].reason) == ("temporary", "stopped")
    assert not by_key[3].reached_mail_from
    assert transport.busy == 0


@pytest.mark.parametrize(("step", "result"), [("RCPT", "temporary"), ("DOT", "in_doubt")])
def test_what_does_not_end_in_time_is_cut_and_told(files: Files, step: str, result: str) -> None:
    transport = made(files)
    told: list[SmtpOutcome] = []
    with ScriptedServer({step: HANG}) as server:
        transport.send(job(server.port), told.append)
        eventually(lambda: server.contents or (step == "RCPT" and "RCPT" in server.verbs))
        began_s = time.monotonic()
        transport.close(0.05)
        assert time.monotonic() - began_s < 2
    assert [found.result for found in told] == [result]


def test_a_mail_is_signed_where_the_account_says_so(
    transport: SmtpTransport, sink: MailSink
) -> None:
    key = rsa.generate_private_key(65_537, 2_048)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode("ascii")
    dkim = {"dkim_domain": "acme.test", "dkim_selector": "mail"}
    found = outcome(transport, job(sink.port, account=dkim, dkim_private_key=pem))
    assert found.result == "sent"
    assert "d=acme.test; s=mail;" in sink.mails[-1].message["DKIM-Signature"]
    found = outcome(transport, job(sink.port, account=dkim, dkim_private_key="nonsense"))
    assert (found.result, found.reason) == ("permanent", "DKIM: the key can't be read")


def test_a_thousand_mails_take_a_few_seconds(transport: SmtpTransport) -> None:
    told: list[SmtpOutcome] = []
    with MailSink(keep=False) as sink:
        began_s = time.monotonic()
        for key in range(1_000):
            transport.send(job(sink.port, key, client_id=f"m{key}"), told.append)
        eventually(lambda: len(told) == 1_000, timeout_s=10)
        assert sink.count == 1_000
        assert 1_000 / (time.monotonic() - began_s) > 200
    assert {found.result for found in told} == {"sent"}
    assert len({found.key for found in told}) == 1_000
