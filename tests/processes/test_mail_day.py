"""A day in the life of the mail proxy: all that can go wrong does, and a relay is killed besides.

Servers greylist, reject and hang, one account is limited, a tenant's server is away for a while.
Every mail ends sent or failed, and its tenant's server is told so; none is lost, and none leaves
twice unless the log says that nobody knew whether it had left.
"""

from __future__ import annotations

from collections import Counter
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Final

import gevent
import pytest
from support.gateway import eventually, eventually_equal
from support.mail_sink import MailSink
from support.mail_tenants import ENVIRONMENT, Admin, Tenant, TenantServer
from support.processes import SECRET_KEY, Installation, kill

from signalbox.domain import mail as domain
from signalbox.eventstore.log import EventLog

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.postgres import Databases

pytestmark = [pytest.mark.processes, pytest.mark.timeout(120)]

BATCH: Final = 100
LIMIT: Final = 20
KILLED_AFTER: Final = 300  # mails of the account that is fine
SETTLE_S: Final = 60.0
LOOK_S: Final = 0.5
CONFIG: Final = """\
[leases]
ttl_s = 2.0
renew_s = 0.5
safety_s = 0.5
[mail]
allowed_networks = ["127.0.0.0/8"]
retry_delays_s = [0.5, 1.0]
reply_timeout_s = 1.0
accept_timeout_s = 1.0
[limits]
requests_per_s = 10_000
requests_burst = 10_000
"""
# Whose account it is, how many mails go through it, and to whom: that tells its server what to do.
ACCOUNTS: Final = {
    "fine": ("acme", 1_000, ("{0}@example.net",)),
    "greylists": ("acme", 400, ("{0}@example.net", "greylist-{0}@example.net")),
    "rejects": ("bolt", 300, ("refuse-550@{0}.example.net",)),
    "hangs": ("bolt", 40, ("hang@{0}.example.net",)),
    "limited": ("cove", 260, ("{0}@example.net",)),
}
DOUBTFUL: Final = ("later-hang@{0}.example.net",)  # every other mail of the server that hangs


class Day:
    """The gateway between three tenants and their mail servers."""

    def __init__(self, stack: ExitStack, database_url: str) -> None:
        self.gateway = stack.enter_context(
            Installation(database_url, [], extra=CONFIG, environment=ENVIRONMENT)
        )
        self.log = EventLog(database_url, SECRET_KEY)
        stack.callback(self.log.close)
        names = {tenant for tenant, _, _ in ACCOUNTS.values()}
        self.servers = {name: stack.enter_context(TenantServer()) for name in sorted(names)}
        self.sinks = {account: stack.enter_context(MailSink()) for account in ACCOUNTS}
        self.tenants: dict[str, Tenant] = {}
        self.account_of: dict[str, str] = {}
        self.recipients: dict[str, list[str]] = {}

    def open(self) -> None:
        """Have the tenants and their accounts."""
        for name, server in self.servers.items():
            in_doubt = "hold" if name == "bolt" else "resend"
            self.tenants[name] = Tenant(self.gateway.port, name, server.url, in_doubt=in_doubt)
        limit = {"limit_per_minute": LIMIT, "limit_behavior": "reject"}
        for account, (tenant, _, _) in ACCOUNTS.items():
            fields = limit if account == "limited" else {}
            self.tenants[tenant].add_account(account, self.sinks[account].port, **fields)

    def send_all(self) -> None:
        """Queue all mails, those of the accounts at the same time."""
        sending = [gevent.spawn(self._send, account) for account in ACCOUNTS]
        gevent.joinall(sending, timeout=SETTLE_S, raise_error=True)

    def _send(self, account: str) -> None:
        name, count, to = ACCOUNTS[account]
        tenant = self.tenants[name]
        for first in range(0, count, BATCH):
            mails = []
            for number in range(first, min(first + BATCH, count)):
                client_id = f"{account}-{number}"
                addresses = DOUBTFUL if account == "hangs" and number % 2 else to
                whom = [address.format(client_id) for address in addresses]
                self.account_of[client_id] = account
                self.recipients[client_id] = whom
                mails.append(tenant.mail(client_id, account, to=whom))
            assert tenant.add(mails) == {"ok": True, "queued": len(mails), "rejected": []}

    def messages(self) -> dict[str, dict[str, Any]]:
        """Return all mails as they are shown, by the ids their clients gave them."""
        shown = [tenant.messages(history=True) for tenant in self.tenants.values()]
        return {one["id"]: one for many in shown for one in many}

    def unsettled(self) -> int:
        """Return how many mails are neither sent nor failed."""
        shown = self.messages().values()
        settled = sum("sent_ts" in one or "error_ts" in one for one in shown)
        return len(self.account_of) - settled

    def untold(self) -> int:
        """Return how much of what became of mails nobody has acknowledged."""
        return sum(
            "reported_ts" not in event
            for one in self.messages().values()
            for event in one["history"]
        )

    def copies(self) -> Counter[str]:
        """Count how often recipients got their mail."""
        return Counter(
            to for sink in self.sinks.values() for mail in sink.mails for to in mail.recipients
        )

    def history(self, pk: str) -> list[domain.Event]:
        """Return what the log has of a mail."""
        events = [recorded.event for recorded in self.log.read(domain.stream_of(pk))]
        return [event for event in events if isinstance(event, domain.Event)]


@pytest.fixture
def day(databases: Databases) -> Iterator[Day]:
    url = databases.make()
    with ExitStack() as stack:
        yield Day(stack, url)
    databases.drop(url)


def test_every_mail_ends_and_is_told_of_and_none_leaves_twice_without_a_reason(day: Day) -> None:
    relay = [day.gateway.start(command) for command in ("web", "projector", "relay")][-1]
    day.gateway.wait_until_ready()
    day.open()
    away = day.servers["bolt"]
    away.down = True

    def replace_relay() -> None:
        eventually(lambda: day.sinks["fine"].count >= KILLED_AFTER, timeout_s=SETTLE_S)
        kill(relay)
        day.gateway.start("relay")

    death = gevent.spawn(replace_relay)
    day.send_all()
    death.get(timeout=SETTLE_S)
    eventually_equal(day.unsettled, 0, SETTLE_S, LOOK_S)
    eventually(lambda: away.refused, timeout_s=SETTLE_S)
    away.down = False
    Admin(day.gateway.port, day.tenants["bolt"].key).call("POST", "/commands/run-now")
    eventually_equal(day.untold, 0, SETTLE_S, LOOK_S)
    shown = day.messages()
    assert len(shown) == len(day.account_of) == sum(count for _, count, _ in ACCOUNTS.values())
    judge_ends(day, shown)
    judge_reports(day, shown)
    judge_copies(day, shown)


def judge_ends(day: Day, shown: dict[str, dict[str, Any]]) -> None:
    """See that each account's mails ended as its server is."""
    ends: dict[str, Counter[str]] = {account: Counter() for account in ACCOUNTS}
    for client_id, account in day.account_of.items():
        ends[account][shown[client_id].get("error", "sent")] += 1
    assert ends["fine"] == {"sent": 1_000}
    assert ends["greylists"] == {"sent": 400}
    assert "sent" not in ends["rejects"] + ends["hangs"]
    assert sum(n for error, n in ends["rejects"].items() if "550" in error) > 250, ends["rejects"]
    assert sum(n for error, n in ends["hangs"].items() if "Max retries" in error) > 0, ends["hangs"]
    assert set(ends["limited"]) == {"sent", "rate_limit_exceeded"}, ends["limited"]


def judge_reports(day: Day, shown: dict[str, dict[str, Any]]) -> None:
    """See that each tenant's server was told all that became of its mails."""
    deferred = 0
    for client_id, account in day.account_of.items():
        told = day.servers[ACCOUNTS[account][0]].told[client_id]
        happened = Counter(f"{one['event_type']}_ts" for one in shown[client_id]["history"])
        for kind, times in happened.items():
            assert sum(kind in report for report in told) >= times, (client_id, kind, told)
        assert happened["error_ts" if "error" in shown[client_id] else "sent_ts"] == 1, client_id
        deferred += account == "greylists" and happened["deferred_ts"] > 0
    assert deferred > 300, deferred


def judge_copies(day: Day, shown: dict[str, dict[str, Any]]) -> None:
    """Hold the log against the servers, recipient by recipient."""
    copies, doubts = day.copies(), Counter[str]()
    for client_id, account in day.account_of.items():
        events = day.history(shown[client_id]["pk"])
        judge_attempts(events)
        doubted = sum(isinstance(event, domain.MailInDoubt) for event in events)
        doubts[account] += doubted
        fewest = "error" not in shown[client_id]
        for recipient in day.recipients[client_id]:
            assert fewest <= copies[recipient] <= 1 + doubted, (recipient, events)
    assert doubts["fine"] + doubts["greylists"] > 0, "the relay was killed for nothing"
    assert doubts["hangs"] >= 20, doubts
    limited = day.sinks["limited"].count
    assert LIMIT - doubts["limited"] <= limited <= LIMIT, (limited, doubts)


def judge_attempts(events: list[domain.Event]) -> None:
    """See that between two attempts there is what became of the first."""
    is_open = False
    for event in events:
        match event:
            case domain.MailAttempted():
                assert not is_open, events
                is_open = True
            case domain.MailPartlySent():
                assert is_open, events
            case domain.MailSent() | domain.MailFailed() | domain.MailInDoubt():
                is_open = False
            case domain.MailDeferred(retry=True):
                is_open = False
            case _:
                continue
    assert not is_open, events
