"""What operators are told of mails that did not leave, and of servers that take no reports."""

import logging

import pytest
from support.dispatch import TENANT, Relay, new
from support.gateway import eventually
from support.mail_relay import MailRelay
from support.receiver import Receiver

from signalbox.actors.mail_trouble import kind_of, server_of
from signalbox.actors.transports.smtp.job import Result, SmtpJob, SmtpOutcome
from signalbox.domain.mail import MailSent
from signalbox.domain.mail_account import MailAccount
from signalbox.eventstore.log import EventLog


@pytest.mark.parametrize(
    ("code", "reason", "kind"),
    [
        (550, "(550, 'no such user ann@example.org, timeout') (SMTP 550)", "refused by the server"),
        (0, "[Errno 111] Connection refused", "connection refused"),
        (0, "Max retries (5) exceeded: timeout: no answer in time", "no answer in time"),
        (0, "[Errno 104] Connection reset by peer", "connection lost"),
        (0, "Connection unexpectedly closed", "connection lost"),
        (0, "host not found: [Errno -2] Name or service not known", "host not found"),
        (0, "[Errno 113] No route to host", "host unreachable"),
        (0, "address not allowed", "address not allowed"),
        (0, "server does not offer STARTTLS", "TLS"),
        (0, "server offers no AUTH that is known here", "login"),
        (0, "no valid recipient", "recipient"),
        (0, "invalid sender", "sender"),
        (0, "header Subject has a line break or NUL in it", "header"),
        (0, "Attachment fetch failed for ann@example.org: timed out", "attachment"),
        (0, "rate_limit_exceeded", "limit"),
        (0, "ann@example.org", "other"),
    ],
)
def test_a_reason_is_told_by_its_class(code: int, reason: str, kind: str) -> None:
    assert kind_of(code, reason) == kind


def test_a_host_that_can_be_none_is_not_told() -> None:
    assert server_of(MailAccount(account_id="a", host="smtp.test", port=25)) == "smtp.test:25"
    assert server_of(MailAccount(account_id="a", host="ann@example.org", port=25)) == ""
    assert server_of(None) == ""


@pytest.mark.parametrize(
    ("result", "code", "reason", "line"),
    [
        ("temporary", 0, "[Errno 111] Connection refused", "mail deferred"),
        ("permanent", 550, "(550, 'no ann@example.org') (SMTP 550)", "mail failed"),
    ],
)
def test_a_mail_that_did_not_leave_is_one_line_without_the_servers_words(
    event_log: EventLog,
    caplog: pytest.LogCaptureFixture,
    result: Result,
    code: int,
    reason: str,
    line: str,
) -> None:
    caplog.set_level(logging.INFO)

    def answer(job: SmtpJob) -> SmtpOutcome:
        return SmtpOutcome(key=job.key, result=result, code=code, reason=reason)

    def logged() -> list[logging.LogRecord]:
        return [one for one in caplog.records if one.getMessage() == line]

    with Relay(event_log) as relay:
        relay.transport.answer = answer
        relay.account()
        relay.add(new("m-1"))
        eventually(logged)
    (record,) = logged()
    said = vars(record)
    assert (said["code"], said["why"]) == (code, kind_of(code, reason))
    assert (said["tenant"], said["server"]) == ("acme", "smtp.test:25")
    assert "ann@" not in repr(said)


def test_a_report_server_that_takes_nothing_is_warned_of_once_a_minute(
    event_log: EventLog, caplog: pytest.LogCaptureFixture
) -> None:
    with Receiver() as server:
        server.answer = (500, {}, ())
        relay = MailRelay(event_log)
        try:
            relay.tenant("acme", server.url.removesuffix("/hook"))
            relay.mail("acme", "m1", MailSent(250, "OK"))
            eventually(lambda: len(server.calls) >= 3)
        finally:
            relay.close()
    (warned,) = [one for one in caplog.records if "report server" in one.getMessage()]
    assert (warned.levelname, vars(warned)["error"]) == ("WARNING", "status 500")


def test_recipients_who_never_got_a_mail_are_one_line(
    event_log: EventLog, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)

    def partly(job: SmtpJob) -> SmtpOutcome:
        refused = {"b@example.test": (451, "later")}
        return SmtpOutcome(key=job.key, result="sent", code=250, refused=refused, remaining=(1,))

    with Relay(event_log) as relay:
        relay.transport.answer = partly
        relay.account()
        relay.add(new("m-1"))
        eventually(lambda: relay.status("m-1") == "deferred")
        relay.transport.answer = lambda job: SmtpOutcome(key=job.key, result="permanent", code=550)
        relay.clock.ahead_s += 61
        relay.dispatch.run_now(TENANT)
        eventually(lambda: relay.status("m-1") == "sent")
    (line,) = [one for one in caplog.records if one.getMessage() == "mail not sent to all"]
    assert line.__dict__["why"] == "refused by the server"
