"""Mails on their way out: what leaves, in which order, how much at once, and what comes of it."""

from collections.abc import Iterator
from typing import Any

import gevent
import pykka
import pytest
from gevent.event import Event as Flag
from prometheus_client import REGISTRY
from support.dispatch import ACCOUNT, TENANT, Clock, Relay, Transport, content, new, ok
from support.gateway import eventually, eventually_equal

from signalbox.actors import mail_hand, mail_held
from signalbox.actors.mail_dispatcher import MailDispatcher
from signalbox.actors.mail_feeder import MailFeeder
from signalbox.actors.mails import Mails
from signalbox.actors.tenants import Tenants
from signalbox.actors.transports.smtp.job import SmtpJob, SmtpOutcome
from signalbox.domain import mail as domain
from signalbox.domain.mail_account import MailAccount
from signalbox.domain.mail_content import MailContent
from signalbox.domain.tenant_config import InDoubt, TenantConfig
from signalbox.eventstore.journal import Journal
from signalbox.eventstore.log import EventLog

LABELS = ("tenant_id", "tenant_name", "account_id", "account_name")
BUSY = "(451, 'try again later') (SMTP 451)"
GONE = "(550, 'no such user') (SMTP 550)"


@pytest.fixture
def relay(event_log: EventLog) -> Iterator[Relay]:
    with Relay(event_log) as relay:
        relay.account()
        yield relay


def suspended(relay: Relay, batch_code: str = "") -> None:
    relay.tenants.put(TENANT, TenantConfig(), by="test")
    relay.tenants.suspend(TENANT, batch_code, by="test")


def activate(relay: Relay, batch_code: str = "") -> None:
    relay.tenants.activate(TENANT, batch_code, by="test")


def later(relay: Relay, seconds: float) -> None:
    """Let time pass."""
    relay.clock.ahead_s += seconds
    relay.dispatch.run_now(TENANT)


def answering(result: Any, code: int, reason: str, **more: Any) -> Any:  # noqa: ANN401
    def answer(job: SmtpJob) -> SmtpOutcome:
        given = {"reached_mail_from": True, **more}
        return SmtpOutcome(key=job.key, result=result, code=code, reason=reason, **given)

    return answer


def kinds(relay: Relay, client_id: str) -> list[str]:
    return [type(one).__name__ for one in relay.events(client_id)]


def deferrals(relay: Relay, client_id: str) -> list[domain.MailDeferred]:
    return [one for one in relay.events(client_id) if isinstance(one, domain.MailDeferred)]


def test_a_mail_is_sent_once_and_leaves_the_inbox(relay: Relay) -> None:
    assert relay.add(new("m-1")) == [""]
    eventually_equal(lambda: relay.status("m-1"), "sent")
    assert relay.transport.ids == ["m-1"]
    assert relay.transport.jobs[0].mail == content()
    assert kinds(relay, "m-1") == ["MailQueued", "MailAttempted", "MailSent"]
    eventually_equal(relay.waiting, 0)


def test_a_dispatcher_with_nothing_to_do_ends_and_another_begins(relay: Relay) -> None:
    relay.add(new("m-1"))
    eventually(lambda: relay.status("m-1") == "sent" and not relay.dispatch.running)
    relay.add(new("m-2"))
    eventually_equal(lambda: relay.status("m-2"), "sent")


def test_whoever_wakes_a_tenant_at_the_same_time_starts_one_dispatcher(relay: Relay) -> None:
    suspended(relay)
    eventually(lambda: relay.keeper.held)
    calls = [gevent.spawn(relay.dispatch.run_now, TENANT) for _ in range(10)]
    gevent.joinall(calls, raise_error=True)
    assert len(pykka.ActorRegistry.get_by_class(MailDispatcher)) == 1


def test_the_attempt_is_stored_before_the_transport_gets_the_mail(relay: Relay) -> None:
    seen: list[list[str]] = []

    def answer(job: SmtpJob) -> SmtpOutcome:
        seen.append(kinds(relay, job.client_id))
        return ok(job)

    relay.transport.answer = answer
    relay.add(new("m-1"))
    eventually(lambda: seen)
    assert seen == [["MailQueued", "MailAttempted"]]


def test_the_urgent_go_first_and_the_oldest_of_them(event_log: EventLog) -> None:
    with Relay(event_log, in_flight_per_account_max=1) as relay:
        relay.account()
        suspended(relay)
        for number, priority in enumerate((3, 2, 0, 2, 1, 3, 0)):
            relay.add(new(f"{priority}-{number}", priority=priority))
        gevent.sleep(0.3)
        assert relay.transport.ids == []
        activate(relay)
        eventually_equal(lambda: len(relay.transport.jobs), 7)
        assert relay.transport.ids == ["0-2", "0-6", "1-4", "2-1", "2-3", "3-0", "3-5"]


def test_an_immediate_mail_overtakes_a_queue_that_is_being_sent(event_log: EventLog) -> None:
    transport = Transport(delay_s=0.005)
    with Relay(event_log, transport, in_flight_per_account_max=1) as relay:
        relay.account()
        relay.add(*(new(f"m-{n}") for n in range(500)))
        eventually(lambda: transport.jobs)
        relay.add(new("now", priority=0))
        eventually(lambda: "now" in transport.ids)
        assert len(transport.jobs) < 400


def test_a_mail_waits_until_its_time(event_log: EventLog) -> None:
    clock = Clock()
    with Relay(event_log, clock=clock) as relay:
        relay.account()
        now_s = clock().timestamp()
        relay.add(
            new("in 2 h", deferred_until_s=now_s + 7200),
            new("in 1 h", deferred_until_s=now_s + 3600),
            new("past", deferred_until_s=now_s - 10),
        )
        eventually_equal(lambda: relay.status("past"), "sent")
        assert relay.status("in 1 h") == "deferred"
        later(relay, 3601)
        eventually_equal(lambda: relay.transport.ids, ["past", "in 1 h"])
        later(relay, 3600)
        eventually_equal(lambda: relay.transport.ids, ["past", "in 1 h", "in 2 h"])


def test_a_mail_that_is_due_in_a_moment_leaves_by_itself(relay: Relay) -> None:
    relay.add(new("soon", deferred_until_s=relay.clock().timestamp() + 0.4))
    assert relay.transport.ids == []
    eventually_equal(lambda: relay.status("soon"), "sent")


def test_a_suspended_batch_stays_and_goes_when_it_is_activated(relay: Relay) -> None:
    suspended(relay, "may")
    relay.add(
        *(new(f"held-{n}", batch_code="may") for n in range(3)),
        new("other"),
        new("june", batch_code="june"),
    )
    eventually(lambda: {relay.status("other"), relay.status("june")} == {"sent"})
    gevent.sleep(0.2)
    assert sorted(relay.transport.ids) == ["june", "other"]
    activate(relay, "may")
    eventually(lambda: all(relay.status(f"held-{n}") == "sent" for n in range(3)))
    assert sorted(relay.transport.ids) == ["held-0", "held-1", "held-2", "june", "other"]


def test_held_mails_are_read_as_many_as_fit_and_one_nobody_can_read_holds_up_no_other(
    relay: Relay, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, held = [], MailFeeder.held

    def spied(*args: Any) -> Any:  # noqa: ANN401
        found = held(*args)
        read.append(len(found[0]))
        return found

    suspended(relay, "may")
    relay.add(*(new(f"held-{n}", batch_code="may") for n in range(4)))
    eventually(lambda: held_rows(relay) == 4)
    with relay.log.pool.connection() as connection:
        stream_id = domain.stream_of(relay.mails.pk_of(TENANT, "held-1"))
        connection.execute(
            "UPDATE signalbox.stored_events SET state = '' WHERE originator_id = %s", (stream_id,)
        )
    monkeypatch.setattr(mail_held, "BATCH_OCTETS_MAX", 1)
    monkeypatch.setattr(MailFeeder, "held", spied)
    activate(relay, "may")
    eventually(lambda: sorted(relay.transport.ids) == ["held-0", "held-2", "held-3"])
    assert max(read) == 1


def held_rows(relay: Relay) -> int:
    with relay.log.pool.connection() as connection:
        row = connection.execute(
            "SELECT count(*) AS n FROM signalbox.inbox WHERE kind LIKE 'held/%'"
        ).fetchone()
    assert row is not None
    return int(row["n"])


def test_a_mail_that_is_due_stays_with_its_suspended_batch(relay: Relay) -> None:
    suspended(relay, "may")
    relay.add(new("m-1", batch_code="may", deferred_until_s=relay.clock().timestamp() + 0.2))
    gevent.sleep(0.6)
    assert relay.transport.ids == []
    activate(relay)
    eventually_equal(lambda: relay.status("m-1"), "sent")


def test_a_held_mail_that_is_replaced_without_its_batch_goes(relay: Relay) -> None:
    suspended(relay, "may")
    relay.add(new("m-1", batch_code="may"))
    gevent.sleep(0.2)
    assert relay.add(new("m-1", content=content(subject="again"))) == [""]
    eventually_equal(lambda: relay.status("m-1"), "sent")
    assert [job.mail.subject for job in relay.transport.jobs] == ["again"]


def test_what_was_activated_while_no_relay_ran_goes(event_log: EventLog) -> None:
    with Relay(event_log) as first:
        first.account()
        suspended(first, "may")
        first.add(new("m-1", batch_code="may"), new("m-2"))
        eventually_equal(lambda: first.status("m-2"), "sent")
    with Relay(event_log) as second:
        second.keeper.close()
        activate(second, "may")
    with Relay(event_log) as third:
        eventually_equal(lambda: third.status("m-1"), "sent")


def test_a_slow_account_keeps_no_other_waiting(event_log: EventLog) -> None:
    transport = Transport(shut={"slow": Flag()})
    with Relay(event_log, transport, page_mails=100) as relay:
        relay.account("slow")
        relay.account("quick")
        relay.add(*(new(f"slow-{n}", account_id="slow") for n in range(600)))
        relay.add(*(new(f"quick-{n}", account_id="quick") for n in range(20)))
        eventually(lambda: all(relay.status(f"quick-{n}") == "sent" for n in range(20)))
        assert transport.most["slow"] == 10
        transport.shut["slow"].set()
        eventually(lambda: len(transport.jobs) == 620, timeout_s=20)


def test_large_mails_are_fetched_a_few_at_a_time(event_log: EventLog, monkeypatch: Any) -> None:  # noqa: ANN401
    monkeypatch.setattr(mail_hand, "PAGE_OCTETS_MAX", 50_000)
    monkeypatch.setattr(mail_hand, "OCTETS_MAX", 100_000)
    door = Flag()
    with Relay(event_log, Transport(shut={ACCOUNT: door}), in_flight_per_account_max=1) as relay:
        relay.account()
        large = MailContent(sender="a@acme.test", to=("b@example.test",), body="x" * 20_000)
        ids = [f"m-{n:02}" for n in range(20)]
        relay.add(*(new(one, content=large) for one in ids))
        eventually(lambda: relay.transport.jobs)
        gevent.sleep(0.3)
        door.set()
        eventually_equal(lambda: relay.transport.ids, ids)


def test_what_found_no_room_beside_large_mails_is_fetched_after_them(
    event_log: EventLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mail_hand, "PAGE_OCTETS_MAX", 3_000)
    with Relay(event_log) as relay:
        relay.account()
        relay.account("other")
        suspended(relay)
        relay.add(*(new(f"urgent-{n}", priority=1) for n in range(10)))
        relay.add(new("low", priority=3), new("other", account_id="other"))
        activate(relay)
        eventually_equal(lambda: len(relay.transport.jobs), 12, timeout_s=10)


def test_mails_that_can_not_be_read_stop_no_other(relay: Relay) -> None:
    relay.add(new("m-1", deferred_until_s=relay.clock().timestamp() + 3_600))  # to be read then
    stream = domain.stream_of(relay.mails.pk_of(TENANT, "m-1"))
    with relay.log.pool.connection() as connection:
        connection.execute(
            "UPDATE signalbox.stored_events SET state = 'broken' WHERE originator_id = %s",
            (stream,),
        )
    relay.add(new("m-2"))
    later(relay, 3_601)
    eventually_equal(lambda: relay.status("m-2"), "sent")
    eventually_equal(lambda: dead_letters(relay), [stream])
    relay.add(new("m-3"))
    eventually_equal(lambda: relay.status("m-3"), "sent")


def dead_letters(relay: Relay) -> list[str]:
    with relay.log.pool.connection() as connection:
        letters = connection.execute("SELECT subject FROM signalbox.dead_letters").fetchall()
    return [letter["subject"] for letter in letters]


def test_no_more_is_sent_at_once_than_account_and_process_may(event_log: EventLog) -> None:
    transport = Transport(delay_s=0.02)
    with Relay(event_log, transport, in_flight_per_account_max=3, in_flight_max=5) as relay:
        for tenant in ("acme", "beta"):
            relay.account(tenant=tenant)
            relay.add(*(new(f"{tenant}-{n}") for n in range(40)), tenant=tenant)
        relay.account("other")
        relay.add(*(new(f"other-{n}", account_id="other") for n in range(40)))
        eventually(lambda: len(transport.jobs) == 120, timeout_s=15)
        assert transport.most[""] == 5
        assert transport.most["other"] == 3


def test_an_account_may_want_less_at_once(event_log: EventLog) -> None:
    transport = Transport(delay_s=0.01)
    with Relay(event_log, transport) as relay:
        relay.account(batch_size=2)
        relay.add(*(new(f"m-{n}") for n in range(20)))
        eventually_equal(lambda: len(transport.jobs), 20)
        assert transport.most[ACCOUNT] == 2


def test_a_temporary_failure_is_tried_again_five_times(event_log: EventLog) -> None:
    transport = Transport(answering("temporary", 451, BUSY))
    with Relay(event_log, transport) as relay:
        relay.account()
        relay.add(new("m-1"))
        for attempts, delay_s in enumerate((60, 300, 900, 3600, 7200), start=1):
            eventually_equal(lambda: len(deferrals(relay, "m-1")), attempts)
            now_s = relay.clock().timestamp()
            last = deferrals(relay, "m-1")[-1]
            assert (last.retry, last.code, last.reason) == (True, 451, BUSY)
            assert last.until_s == pytest.approx(now_s + delay_s, abs=3)
            later(relay, delay_s + 1)
        eventually_equal(lambda: relay.status("m-1"), "error")
        last_event = relay.events("m-1")[-1]
        assert last_event == domain.MailFailed(451, f"Max retries (5) exceeded: {BUSY}")
        assert len(transport.jobs) == 6
        eventually_equal(relay.waiting, 0)


def test_a_permanent_failure_is_the_end(relay: Relay) -> None:
    relay.transport.answer = answering("permanent", 550, GONE)
    relay.add(new("m-1"))
    eventually_equal(lambda: relay.status("m-1"), "error")
    assert relay.events("m-1")[-1] == domain.MailFailed(550, GONE)


def test_refused_recipients_are_written_down_beside_those_that_were_taken(relay: Relay) -> None:
    refused = {"c@example.test": (550, "no such user")}
    relay.transport.answer = answering("sent", 250, "ok", refused=refused)
    relay.add(new("m-1"))
    eventually_equal(lambda: relay.status("m-1"), "sent")
    refusals = '{"c@example.test":[550,"no such user"]}'
    assert relay.events("m-1")[-1] == domain.MailSent(250, "ok", 1, refusals)


def test_recipients_that_are_refused_for_now_are_tried_again_alone(relay: Relay) -> None:
    refused = {"b@example.test": (450, "later"), "c@example.test": (550, "no such user")}
    relay.transport.answer = answering("sent", 250, "ok", refused=refused, remaining=(1,))
    relay.add(new("m-1"))
    eventually_equal(lambda: relay.status("m-1"), "deferred")
    partly, waits = relay.events("m-1")[-2:]
    refusals = '{"b@example.test":[450,"later"],"c@example.test":[550,"no such user"]}'
    assert partly == domain.MailPartlySent(250, "ok", (1,), 1, refusals)
    assert isinstance(waits, domain.MailDeferred)
    assert (waits.code, waits.reason) == (450, "(450, 'later') (SMTP 450)")
    relay.transport.answer = ok
    later(relay, 61)
    eventually_equal(lambda: relay.status("m-1"), "sent")
    assert [job.remaining for job in relay.transport.jobs] == [(), (1,)]
    assert relay.events("m-1")[-1] == domain.MailSent(250, "ok", 1)


@pytest.mark.parametrize(("policy", "status"), [("resend", "deferred"), ("hold", "error")])
def test_what_nobody_knows_of_is_resent_or_held_as_the_tenant_wants(
    relay: Relay, policy: InDoubt, status: str
) -> None:
    relay.tenants.put(TENANT, TenantConfig(in_doubt=policy), by="test")
    eventually(lambda: relay.tenants.known(TENANT).in_doubt == policy)
    relay.transport.answer = answering("in_doubt", 0, "connection lost")
    relay.add(new("m-1"))
    eventually_equal(lambda: relay.status("m-1"), status)
    assert domain.MailInDoubt(1, policy, "connection lost") in relay.events("m-1")
    relay.transport.answer = ok
    later(relay, 61)
    if policy == "resend":
        eventually_equal(lambda: relay.status("m-1"), "sent")


def test_doubt_has_an_end(event_log: EventLog) -> None:
    transport = Transport(answering("in_doubt", 0, "connection lost"))
    with Relay(event_log, transport) as relay:
        relay.account()
        relay.add(new("m-1"))
        for attempts in range(1, 7):
            eventually_equal(lambda: kinds(relay, "m-1").count("MailInDoubt"), attempts)
            later(relay, 61)
        assert relay.status("m-1") == "error"


def test_a_mail_that_is_deleted_while_it_is_sent_stays_deleted(event_log: EventLog) -> None:
    door = Flag()
    with Relay(event_log, Transport(shut={ACCOUNT: door})) as relay:
        relay.account()
        relay.add(new("m-1"), new("m-2"))
        eventually_equal(lambda: len(relay.transport.jobs), 2)
        assert relay.mails.delete(TENANT, ["m-1"], by="test").count == 1
        door.set()
        eventually_equal(lambda: relay.status("m-2"), "sent")
        assert relay.status("m-1") == "deleted"
        relay.add(new("m-3"))
        eventually_equal(lambda: relay.status("m-3"), "sent")
        eventually_equal(relay.waiting, 0)


def test_a_mail_that_is_being_sent_is_not_replaced(event_log: EventLog) -> None:
    door = Flag()
    with Relay(event_log, Transport(shut={ACCOUNT: door})) as relay:
        relay.account()
        relay.add(new("m-1"))
        eventually(lambda: relay.transport.jobs)
        assert relay.add(new("m-1")) == ["already sent"]
        door.set()
        eventually_equal(lambda: relay.status("m-1"), "sent")


WAITING = ("now", "later", "held")
"""Mails that wait to leave, for their time, and for their batch."""


def add_waiting(relay: Relay) -> None:
    later_s = relay.clock().timestamp() + 3_600
    relay.add(
        new("now"), new("later", deferred_until_s=later_s), new("held", batch_code="may"),
        new("other", account_id="other"),
    )  # fmt: skip


@pytest.mark.parametrize("batch_code", ["", "may"])
def test_what_waits_for_a_removed_account_fails_and_nothing_else(
    relay: Relay, batch_code: str
) -> None:
    relay.transport.shut[ACCOUNT] = Flag()
    suspended(relay, batch_code)
    relay.account("other")
    relay.account(tenant="beta")
    add_waiting(relay)
    if batch_code:
        eventually_equal(lambda: (held_rows(relay), len(relay.transport.jobs)), (1, 2))
    relay.tenants.remove_account(TENANT, ACCOUNT, by="test")
    eventually_equal(lambda: relay.status("later"), "error")
    eventually_equal(lambda: relay.status("held"), "error")
    gone = domain.MailFailed(0, "account not found for tenant")
    assert relay.events("later")[-1] == relay.events("held")[-1] == gone
    relay.transport.shut[ACCOUNT].set()  # What is on its way is what becomes of it.
    eventually_equal(lambda: relay.status("now"), "sent" if batch_code else "error")
    activate(relay)
    eventually_equal(lambda: relay.status("other"), "sent")
    eventually_equal(relay.waiting, 0)
    relay.add(new("m-1"), tenant="beta")
    eventually_equal(lambda: relay.status("m-1", "beta"), "sent")


def test_what_waits_for_an_account_that_was_removed_while_no_relay_ran_fails(
    event_log: EventLog,
) -> None:
    with Relay(event_log) as first:
        suspended(first)
        first.account()
        first.account("other")
        add_waiting(first)
        first.keeper.close()
        first.tenants.remove_account(TENANT, ACCOUNT, by="test")
        assert [first.status(one) for one in WAITING] == ["pending", "deferred", "pending"]
    with Relay(event_log) as second:
        for one in WAITING:
            eventually_equal(lambda one=one: second.status(one), "error")  # type: ignore[misc]
        assert second.status("other") == "pending"


def test_nothing_of_a_deleted_tenant_is_sent(relay: Relay) -> None:
    suspended(relay)
    relay.add(*(new(f"m-{n}") for n in range(5)))
    relay.tenants.delete(TENANT, by="test")
    eventually_equal(relay.waiting, 0)
    assert relay.transport.ids == []
    relay.account()
    assert relay.add(new("m-1")) == [""]  # Another tenant of the same id has ids of its own.
    eventually_equal(lambda: relay.status("m-1"), "sent")


def test_a_tenant_that_comes_again_unheard_loses_no_mail(event_log: EventLog) -> None:
    with Relay(event_log) as relay:
        relay.account()
        relay.add(new("m-0"))
        eventually_equal(lambda: relay.status("m-0"), "sent")
        relay.follower.close()  # What follows is news that this relay is not told.
        other = Journal(event_log)
        tenants = Tenants(event_log, other)
        tenants.put(TENANT, TenantConfig(), by="test")
        tenants.delete(TENANT, by="test")
        account = MailAccount(account_id=ACCOUNT, host="smtp.test", port=25)
        tenants.put_account(TENANT, account, by="test")
        Mails(event_log, other, tenants).add(TENANT, [new("m-1")], by="test")
        relay.dispatch.run_now(TENANT)
        eventually_equal(lambda: relay.transport.ids, ["m-0", "m-1"])
        other.close()


def test_the_counters_tell_what_became_of_mails(relay: Relay) -> None:
    def value(name: str, account: str = ACCOUNT) -> float:
        labels = dict(zip(LABELS, (TENANT, "ACME", account, account), strict=True))
        return REGISTRY.get_sample_value(name, labels) or 0.0

    names = ("gmp_sent_total", "gmp_errors_total", "gmp_deferred_total", "gmp_rate_limited_total")
    zero = dict.fromkeys(LABELS, "default")
    assert [REGISTRY.get_sample_value(name, zero) for name in names] == [0.0] * 4
    relay.tenants.put(TENANT, TenantConfig(name="ACME"), by="test")
    relay.account("limited", limit_per_minute=1, limit_behavior="reject")
    eventually(lambda: relay.tenants.known(TENANT).name == "ACME")
    before = [value(name) for name in names]
    answers = {
        "ok": ok,
        "no": answering("permanent", 550, GONE),
        "busy": answering("temporary", 451, BUSY),
    }
    relay.transport.answer = lambda job: answers[job.client_id](job)
    relay.add(*(new(name) for name in answers))
    eventually(lambda: [relay.status(name) for name in answers] == ["sent", "error", "deferred"])
    assert [value(name) - was for name, was in zip(names, before, strict=True)] == [1, 1, 1, 0]
    relay.transport.answer = ok
    limited = value(names[3], "limited")
    relay.add(new("l-1", account_id="limited"), new("l-2", account_id="limited"))
    eventually_equal(lambda: value(names[3], "limited") - limited, 1)
