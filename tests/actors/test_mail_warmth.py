"""Mails from addresses that warm up: the gate is asked before they leave, and told what became."""

from datetime import UTC, date
from typing import Any

import gevent
import pytest
from gevent.event import Event as Flag
from support.dispatch import TENANT, Clock, Relay, Transport, new, ok
from support.gateway import eventually, eventually_equal

from signalbox.actors.mail_warmth import Warmth
from signalbox.actors.mx import Found, Groupings
from signalbox.actors.sending_days import DayOf, SendingDays
from signalbox.actors.sending_ips import SendingIps
from signalbox.actors.transports.smtp.job import SmtpJob, SmtpOutcome
from signalbox.actors.warmup_gate import WarmupGate
from signalbox.domain import mail as domain
from signalbox.domain.ip_pool import IpPool
from signalbox.domain.mail_content import MailContent
from signalbox.domain.ramp import Schedule
from signalbox.domain.sending_day import Outcome
from signalbox.eventstore.errors import Unavailable
from signalbox.eventstore.log import EventLog

IP = "192.0.2.1"
OTHER = "192.0.2.2"
POOL = IpPool(name="main", ips=(IP, OTHER))
STRICT = IpPool(name="strict", ips=(IP,), policy="fail")


class Warming:
    """A relay, and the gate of its process."""

    def __init__(self, log: EventLog, transport: Transport | None = None) -> None:
        clock = Clock()
        now = clock()
        clock.ahead_s = (now.replace(hour=12, minute=0, second=0) - now).total_seconds()
        self.relay = Relay(log, transport, clock=clock, warmth=self._make)

    def _make(self, relay: Relay) -> Warmth:
        self.ips = SendingIps(relay.log, relay.journal)
        self.days = SendingDays(relay.log, relay.journal)
        self.gate = WarmupGate(self.ips, self.days, [POOL, STRICT], zone=UTC, now=relay.clock)
        groupings = Groupings(look_up=lambda _: Found((), 300))
        return Warmth(self.gate, groupings, relay.clock)

    def warm_up(self, ip: str, grouping: str, *messages: int) -> None:
        schedule = Schedule(
            grouping=grouping, mode="MANUAL", start_date=self.today, messages=messages
        )
        self.ips.add(ip, (schedule,), by="test")

    @property
    def today(self) -> date:
        return self.relay.clock().astimezone(UTC).date()

    def outcome(self, ip: str, grouping: str) -> Outcome:
        return self.days.newest(DayOf(ip, grouping, self.today)).totals

    def used(self, ip: str, grouping: str) -> int:
        return self.days.newest(DayOf(ip, grouping, self.today)).used


@pytest.fixture
def warming(event_log: EventLog) -> Any:  # noqa: ANN401
    warming = Warming(event_log)
    with warming.relay:
        yield warming


def to(*addresses: str) -> MailContent:
    return MailContent(sender="a@acme.test", to=addresses, subject="S", body="B")


def test_a_mail_leaves_from_its_address_and_the_gate_is_told(warming: Warming) -> None:
    relay = warming.relay
    warming.warm_up(IP, "&gmail", 2400)
    relay.account(source_ip=IP)
    relay.add(new("m-1", content=to("b@gmail.com, c@gmail.com")))
    eventually_equal(lambda: relay.status("m-1"), "sent")
    assert [job.source_ip for job in relay.transport.jobs] == [IP]
    eventually_equal(lambda: warming.outcome(IP, "&gmail"), Outcome(attempted=2, delivered=2))
    attempted = relay.events("m-1")[1]
    assert isinstance(attempted, domain.MailAttempted)
    assert attempted.source_ip == IP
    assert [(one.grouping, one.recipients) for one in attempted.shares] == [("&gmail", 2)]


def test_a_denial_puts_a_mail_off_and_costs_no_retry(warming: Warming) -> None:
    relay = warming.relay
    warming.warm_up(IP, "&gmail", 8)
    relay.account(source_ip=IP)
    relay.add(new("m-1", content=to("b@gmail.com")))
    eventually_equal(lambda: relay.status("m-1"), "sent")
    relay.add(new("m-2", content=to("b@gmail.com")))
    eventually_equal(lambda: relay.status("m-2"), "deferred")
    deferral = relay.events("m-2")[-1]
    assert isinstance(deferral, domain.MailDeferred)
    assert deferral.reason in {"warmup: HOURLY", "warmup: PACE"}
    assert not deferral.retry
    assert deferral.until_s > relay.clock().timestamp()
    mail = relay.mails.find(relay.mails.pk_of(TENANT, "m-2"))
    assert mail is not None
    assert (mail.attempts, mail.retries) == (0, 0)
    assert relay.transport.ids == ["m-1"]


def test_all_groupings_of_a_mail_must_have_room_or_nothing_is_taken(warming: Warming) -> None:
    relay = warming.relay
    warming.warm_up(IP, "&gmail", 2400)
    relay.account(source_ip=IP)
    relay.add(new("m-1", content=to("b@gmail.com", "c@example.org")))  # no ramp for the second
    eventually_equal(lambda: relay.status("m-1"), "deferred")
    assert relay.events("m-1")[-1].reason == "warmup: EXCLUDED"  # type: ignore[union-attr]
    eventually_equal(lambda: warming.used(IP, "&gmail"), 0)


def test_an_address_of_a_pool_is_chosen(warming: Warming) -> None:
    relay = warming.relay
    warming.warm_up(IP, "&gmail", 8)
    relay.account(ip_pool="main")
    for name in ("m-1", "m-2"):
        relay.add(new(name, content=to("b@gmail.com")))
        eventually_equal(lambda name=name: relay.status(name), "sent")
    assert [job.source_ip for job in relay.transport.jobs] == [IP, OTHER]


def test_a_retry_on_the_same_day_counts_nobody_twice(warming: Warming) -> None:
    relay = warming.relay
    busy = lambda job: SmtpOutcome(  # noqa: E731
        key=job.key, result="temporary", code=451, reason="busy", reached_mail_from=True
    )
    relay.transport.answer = busy
    warming.warm_up(IP, "&gmail", 2400)
    relay.account(source_ip=IP)
    relay.add(new("m-1", content=to("b@gmail.com")))
    eventually_equal(lambda: relay.status("m-1"), "deferred")
    relay.clock.ahead_s += 61
    relay.dispatch.run_now(TENANT)
    eventually_equal(lambda: len(relay.transport.jobs), 2)
    eventually_equal(lambda: warming.outcome(IP, "&gmail"), Outcome(attempted=2, deferred=2))
    assert warming.used(IP, "&gmail") == 1


def test_what_reached_no_server_is_given_back(warming: Warming) -> None:
    relay = warming.relay

    def unreachable(job: SmtpJob) -> SmtpOutcome:
        return SmtpOutcome(key=job.key, result="temporary", reason="connection refused")

    relay.transport.answer = unreachable
    warming.warm_up(IP, "&gmail", 2400)
    relay.account(source_ip=IP)
    relay.add(new("m-1", content=to("b@gmail.com")))
    eventually_equal(lambda: relay.status("m-1"), "deferred")
    eventually_equal(lambda: warming.used(IP, "&gmail"), 0)
    mail = relay.mails.find(relay.mails.pk_of(TENANT, "m-1"))
    assert mail is not None
    assert (mail.retries, mail.counted) == (1, {})


def test_a_pause_stops_a_mail_that_was_granted_before_it_left(warming: Warming) -> None:
    relay = warming.relay
    warming.warm_up(IP, "&gmail", 2400)
    relay.account(source_ip=IP)
    allows = warming.gate.still_allowed
    warming.gate.still_allowed = lambda _: False  # type: ignore[method-assign]
    relay.add(new("m-1", content=to("b@gmail.com")))
    eventually(lambda: any(isinstance(one, domain.MailDeferred) for one in relay.events("m-1")))
    assert relay.transport.ids == []
    warming.gate.still_allowed = allows  # type: ignore[method-assign]
    eventually_equal(lambda: relay.status("m-1"), "sent")
    eventually_equal(lambda: warming.used(IP, "&gmail"), 1)


def test_the_limits_of_an_account_and_its_warm_up_both_count(warming: Warming) -> None:
    relay = warming.relay
    warming.warm_up(IP, "&gmail", 2400)
    relay.account(source_ip=IP, limit_per_hour=2)
    relay.add(*(new(f"m-{n}", content=to("b@gmail.com")) for n in range(4)))
    eventually(lambda: all(relay.status(f"m-{n}") in {"sent", "deferred"} for n in range(4)))
    assert len(relay.transport.jobs) == 2


def test_a_pool_gives_the_address_that_takes_all_groupings_of_a_mail(warming: Warming) -> None:
    relay = warming.relay
    warming.warm_up(IP, "&gmail", 2400)  # It takes gmail first, and nothing else.
    relay.account(ip_pool="main")
    relay.add(new("m-1", content=to("b@gmail.com", "c@gmail.com", "d@example.org")))
    eventually_equal(lambda: relay.status("m-1"), "sent")
    assert [job.source_ip for job in relay.transport.jobs] == [OTHER]
    eventually_equal(lambda: warming.used(IP, "&gmail"), 0)


def test_a_mail_for_more_than_there_is_room_for_waits_whole(warming: Warming) -> None:
    relay = warming.relay
    warming.warm_up(IP, "&gmail", 24)
    relay.account("one", source_ip=IP)
    relay.account("pool", ip_pool="main")
    many = to(*(f"b{n}@gmail.com" for n in range(20)))
    relay.add(new("m-1", account_id="one", content=many))
    eventually_equal(lambda: relay.status("m-1"), "deferred")
    assert relay.events("m-1")[-1].reason == "warmup: no room for all of &gmail"  # type: ignore[union-attr]
    relay.add(new("m-2", account_id="pool", content=many))
    eventually_equal(lambda: relay.status("m-2"), "sent")
    assert [job.source_ip for job in relay.transport.jobs] == [OTHER]
    assert warming.used(IP, "&gmail") == 0


@pytest.mark.parametrize(
    ("pool", "reason"),
    [("strict", "warmup: NO_IPS"), ("ghost", "warmup: no pool of addresses ghost")],
)
def test_a_mail_that_no_address_will_ever_take_fails(
    warming: Warming, pool: str, reason: str
) -> None:
    relay = warming.relay
    warming.warm_up(IP, "&gmail", 2400)
    relay.account(ip_pool=pool)
    relay.add(new("m-1", content=to("c@example.org")))
    eventually_equal(lambda: relay.status("m-1"), "error")
    assert relay.events("m-1")[-1] == domain.MailFailed(0, reason)


@pytest.mark.parametrize("entry", ["(" * 1_200, "b:@gmail.com"])
def test_what_is_no_address_counts_for_nothing(warming: Warming, entry: str) -> None:
    relay = warming.relay
    relay.transport.answer = lambda job: SmtpOutcome(
        key=job.key,
        result="sent",
        code=250,
        reason="ok",
        refused={entry: (553, "invalid address")},
        reached_mail_from=True,
    )
    warming.warm_up(IP, "&gmail", 2400)
    relay.account(source_ip=IP)
    relay.add(new("m-1", content=to(entry, "c@gmail.com")))
    told = Outcome(attempted=1, delivered=1)
    eventually_equal(lambda: warming.outcome(IP, "&gmail"), told)


def test_a_mail_the_gate_fails_at_fails(event_log: EventLog) -> None:
    class Gate:
        def ask(self, *_: object) -> None:
            raise KeyError("of its own")

    with Relay(event_log, warmth=lambda _: Gate()) as relay:  # type: ignore[arg-type, return-value]
        relay.account(source_ip=IP)
        relay.add(new("m-1"))
        eventually_equal(lambda: relay.status("m-1"), "error")
        assert relay.events("m-1")[-1] == domain.MailFailed(0, "warmup: gate failed: KeyError")


def test_a_gate_that_can_not_be_asked_is_asked_again(warming: Warming) -> None:
    relay = warming.relay
    reserve = warming.gate.reserve

    def away(*_: Any, **__: Any) -> Any:  # noqa: ANN401
        warming.gate.reserve = reserve  # type: ignore[method-assign]
        raise Unavailable("store is away")

    warming.gate.reserve = away  # type: ignore[method-assign]
    warming.warm_up(IP, "&gmail", 2400)
    relay.account(source_ip=IP, limit_per_hour=1)
    relay.add(new("m-1", content=to("b@gmail.com")))
    eventually_equal(lambda: relay.status("m-1"), "sent")
    deferrals = [one for one in relay.events("m-1") if isinstance(one, domain.MailDeferred)]
    assert [one.reason for one in deferrals] == ["warmup: not known"]
    assert not deferrals[0].retry


def test_mails_that_are_asked_for_while_the_relay_leaves_stay(warming: Warming) -> None:
    relay, door = warming.relay, Flag()
    reserve = warming.gate.reserve

    def slowly(*args: Any, **more: Any) -> Any:  # noqa: ANN401
        door.wait()
        return reserve(*args, **more)

    warming.gate.reserve = slowly  # type: ignore[method-assign]
    warming.warm_up(IP, "&gmail", 2400)
    relay.account(source_ip=IP)
    relay.add(new("m-1", content=to("b@gmail.com")))
    eventually(lambda: relay.dispatch.running)
    gevent.sleep(0.2)
    closing = gevent.spawn(relay.dispatch.close, 5.0)
    gevent.sleep(0.1)
    door.set()
    closing.join()
    assert relay.transport.ids == []
    assert relay.status("m-1") == "deferred"
    eventually_equal(lambda: warming.used(IP, "&gmail"), 0)


def test_what_was_refused_because_of_the_address_is_told_as_such(warming: Warming) -> None:
    relay = warming.relay
    relay.transport.answer = lambda job: SmtpOutcome(
        key=job.key,
        result="permanent",
        code=550,
        reason="(550, '5.7.1 blocked') (SMTP 550)",
        reached_mail_from=True,
    )
    warming.warm_up(IP, "&gmail", 2400)
    relay.account(source_ip=IP)
    relay.add(new("m-1", content=to("b@gmail.com")))
    told = Outcome(attempted=1, bounced=1, blocked=1)
    eventually_equal(lambda: warming.outcome(IP, "&gmail"), told)


def test_recipients_that_were_refused_among_others_bounced(warming: Warming) -> None:
    relay = warming.relay
    relay.transport.answer = lambda job: SmtpOutcome(
        key=job.key,
        result="sent",
        code=250,
        reason="ok",
        refused={"c@gmail.com": (550, "no such user")},
        reached_mail_from=True,
    )
    warming.warm_up(IP, "&gmail", 2400)
    relay.account(source_ip=IP)
    relay.add(new("m-1", content=to("b@gmail.com", "c@gmail.com")))
    told = Outcome(attempted=2, delivered=1, bounced=1)
    eventually_equal(lambda: warming.outcome(IP, "&gmail"), told)


def test_recipients_that_may_follow_are_deferred_and_asked_for_alone(warming: Warming) -> None:
    relay = warming.relay
    relay.transport.answer = lambda job: SmtpOutcome(
        key=job.key,
        result="sent",
        code=250,
        reason="ok",
        refused={"c@gmail.com": (451, "later"), "d@gmail.com": (550, "no such user")},
        remaining=(1,),
        reached_mail_from=True,
    )
    warming.warm_up(IP, "&gmail", 2400)
    relay.account(source_ip=IP)
    relay.add(new("m-1", content=to("b@gmail.com", "c@gmail.com", "d@gmail.com")))
    told = Outcome(attempted=3, delivered=1, deferred=1, bounced=1)
    eventually_equal(lambda: warming.outcome(IP, "&gmail"), told)
    relay.transport.answer = ok
    relay.clock.ahead_s += 61
    relay.dispatch.run_now(TENANT)
    eventually_equal(lambda: relay.status("m-1"), "sent")
    told = Outcome(attempted=4, delivered=2, deferred=1, bounced=1)
    eventually_equal(lambda: warming.outcome(IP, "&gmail"), told)


def test_a_mail_nobody_knows_of_counts_as_attempted(warming: Warming) -> None:
    relay = warming.relay
    relay.transport.answer = lambda job: SmtpOutcome(
        key=job.key, result="in_doubt", reason="connection lost", reached_mail_from=True
    )
    warming.warm_up(IP, "&gmail", 2400)
    relay.account(source_ip=IP)
    relay.add(new("m-1", content=to("b@gmail.com")))
    eventually_equal(lambda: warming.outcome(IP, "&gmail"), Outcome(attempted=1))
    assert relay.status("m-1") == "deferred"
