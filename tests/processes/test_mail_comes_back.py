"""Mails that come back, and receipts of certified mail, from real mailboxes to tenants' servers."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Final

import pytest
from support.bounces import ACCEPTED, PK, POSTFIX
from support.dovecot import DOVECOT, MISSING, PASSWORD, running_dovecot
from support.gateway import eventually
from support.mail_sink import MailSink
from support.mail_tenants import ENVIRONMENT, Admin, Tenant, TenantServer
from support.processes import Installation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.postgres import Databases

pytestmark = [
    pytest.mark.processes,
    pytest.mark.timeout(120),
    pytest.mark.skipif(DOVECOT is None, reason=MISSING),
]

SETTLE_S: Final = 20.0
LOOK_S: Final = 0.2
CONFIG: Final = """\
[mail]
allowed_networks = ["127.0.0.0/8"]
pec_poll_interval_s = 0.5
"""


class Place:
    """The gateway, a mail server, mailboxes, and one tenant."""

    def __init__(self, stack: ExitStack, database_url: str) -> None:
        self.gateway = stack.enter_context(
            Installation(database_url, [], extra=CONFIG, environment=ENVIRONMENT)
        )
        self.server = stack.enter_context(TenantServer())
        self.sink = stack.enter_context(MailSink())
        self.mailboxes = stack.enter_context(running_dovecot())
        self.gateway.start_all()
        self.admin = Admin(self.gateway.port)
        self.tenant = Tenant(self.gateway.port, "acme", self.server.url)

    def told(self, client_id: str, key: str) -> list[dict[str, Any]]:
        """Return the reports of a mail that have this key."""
        return [report for report in self.server.told[client_id] if key in report]

    def send(self, client_id: str, account_id: str) -> str:
        """Send a mail, and return its pk as it is on the wire."""
        self.tenant.add([self.tenant.mail(client_id, account_id)])
        eventually(lambda: self.told(client_id, "sent_ts"), SETTLE_S, LOOK_S)
        message = self.sink.mails[-1].message
        assert message["X-Genro-Mail-ID"] == client_id
        return str(message["X-Signalbox-Mail-ID"])


@pytest.fixture
def place(databases: Databases) -> Iterator[Place]:
    url = databases.make()
    with ExitStack() as stack:
        yield Place(stack, url)
    databases.drop(url)


def test_whoever_sent_a_mail_is_told_that_it_came_back(place: Place) -> None:
    inbox = place.mailboxes.inbox()
    place.tenant.add_account("smtp1", place.sink.port)
    place.admin.call(
        "PUT",
        "/instance",
        {
            "bounce_enabled": True,
            "bounce_imap_host": "127.0.0.1",
            "bounce_imap_port": inbox.port,
            "bounce_imap_user": inbox.user,
            "bounce_imap_password": PASSWORD,
            "bounce_imap_ssl": False,
            "bounce_poll_interval": 1,
            "bounce_return_path": "bounces+{pk}@example.net",
        },
    )
    pk = place.send("m1", "smtp1")
    assert place.sink.mails[-1].sender == f"bounces+{pk}@example.net"
    inbox.deliver(POSTFIX.replace(PK, pk).replace("ann@example.org", "m1@example.net"))
    eventually(lambda: place.told("m1", "bounce_ts"), SETTLE_S, LOOK_S)
    (bounce,) = place.told("m1", "bounce_ts")
    assert (bounce["bounce_type"], bounce["bounce_code"]) == ("hard", "511")
    assert bounce["recipient_email"] == "m1@example.net"
    (shown,) = place.tenant.messages(history=True)
    assert [event["event_type"] for event in shown["history"]] == ["sent", "bounce"]


def test_whoever_sent_certified_mail_is_told_that_it_was_accepted(place: Place) -> None:
    inbox = place.mailboxes.inbox()
    place.tenant.add_account(
        "pec",
        place.sink.port,
        is_pec_account=True,
        imap_host="127.0.0.1",
        imap_port=inbox.port,
        imap_user=inbox.user,
        imap_password=PASSWORD,
        imap_ssl=False,
    )
    pk = place.send("m1", "pec")
    inbox.deliver(ACCEPTED.replace(PK, pk))
    eventually(lambda: place.told("m1", "pec_ts"), SETTLE_S, LOOK_S)
    assert place.told("m1", "pec_ts")[0]["pec_event"] == "pec_acceptance"
