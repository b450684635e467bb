"""Where mails come back to."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import pytest

from signalbox.actors.mail_instance import MailInstance
from signalbox.actors.mail_return_path import ComingBack
from signalbox.actors.transports.smtp.job import SmtpJob
from signalbox.domain.mail_account import MailAccount
from signalbox.domain.mail_content import MailContent
from signalbox.domain.mail_instance import InstanceChanges

if TYPE_CHECKING:
    from collections.abc import Callable

    from signalbox.eventstore.journal import Journal
    from signalbox.eventstore.log import EventLog

JOB: Final = SmtpJob(
    key="k",
    tenant_id="acme",
    account=MailAccount(account_id="smtp1", host="mail.example.com", port=25),
    password="",
    mail=MailContent(sender="shop@example.com", to=("ann@example.org",)),
    client_id="m1",
    pk="Z0Guq3x5TVqV0dHq1hEabA",
)


class Sent:
    """A transport that only notes what it was handed."""

    def __init__(self) -> None:
        self.return_paths: list[str] = []

    def send(self, job: SmtpJob, tell: Callable[[Any], None]) -> None:
        assert tell is print
        self.return_paths.append(job.mail.return_path)


@pytest.fixture
def instance(event_log: EventLog, journal: Journal) -> MailInstance:
    return MailInstance(event_log, journal)


def return_path(instance: MailInstance, job: SmtpJob, configured: str, *, enabled: bool) -> str:
    changes = InstanceChanges(bounce_return_path=configured, bounce_enabled=enabled)
    instance.update(changes, by="admin")
    sent = Sent()
    ComingBack(sent, instance).send(job, print)
    return sent.return_paths[0]


@pytest.mark.parametrize(
    ("configured", "enabled", "expected"),
    [
        ("bounces@example.net", True, "bounces@example.net"),
        ("b+{pk}@example.net", True, "b+Z0Guq3x5TVqV0dHq1hEabA@example.net"),
        ("bounces@example.net", False, ""),
        ("", True, ""),
    ],
)
def test_mails_come_back_to_what_is_configured(
    instance: MailInstance, configured: str, *, enabled: bool, expected: str
) -> None:
    assert return_path(instance, JOB, configured, enabled=enabled) == expected


def test_a_mail_keeps_a_return_path_of_its_own(instance: MailInstance) -> None:
    own = replace(JOB, mail=replace(JOB.mail, return_path="own@example.com"))
    assert return_path(instance, own, "bounces@example.net", enabled=True) == "own@example.com"


def test_certified_mail_comes_back_to_its_sender(instance: MailInstance) -> None:
    certified = replace(JOB, account=replace(JOB.account, is_pec=True))
    assert return_path(instance, certified, "bounces@example.net", enabled=True) == ""
