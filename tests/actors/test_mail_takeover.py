"""Mails when their relay dies, or leaves; and their limits, which nobody may pass meanwhile."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import gevent
import psycopg
import pytest
from gevent.event import Event as Flag
from support.dispatch import ACCOUNT, TENANT, Clock, Relay, Transport, new
from support.gateway import eventually, eventually_equal

from signalbox.actors.transports.smtp.job import SmtpJob, SmtpOutcome
from signalbox.domain import mail as domain
from signalbox.domain.tenant_config import InDoubt, TenantConfig
from signalbox.eventstore.log import EventLog

SECRET_KEY = "the secret both relays are given"
LEASE_S = 2.0
GONE = "the process that sent it ended"


@pytest.fixture
def logs(database_url: str) -> Iterator[tuple[EventLog, EventLog]]:
    logs = EventLog(database_url, SECRET_KEY), EventLog(database_url, SECRET_KEY)
    yield logs
    for log in logs:
        log.close()


def of(relay: Relay, client_id: str, kind: type) -> list[Any]:
    return [one for one in relay.events(client_id) if isinstance(one, kind)]


@pytest.mark.parametrize(("policy", "status"), [("resend", "sent"), ("hold", "error")])
def test_what_a_dead_relay_was_sending_is_resent_or_held_and_the_rest_is_sent_once(
    logs: tuple[EventLog, EventLog], policy: InDoubt, status: str
) -> None:
    first = Relay(logs[0], Transport(shut={ACCOUNT: Flag()}), lease_s=LEASE_S,
                  in_flight_per_account_max=2)  # fmt: skip
    first.tenants.put(TENANT, TenantConfig(in_doubt=policy), by="test")
    first.account()
    ids = [f"m-{n}" for n in range(6)]
    first.add(*map(new, ids))
    eventually_equal(lambda: first.transport.ids, ["m-0", "m-1"])
    first.crash()
    with Relay(logs[1], lease_s=LEASE_S) as second:
        eventually(lambda: second.waiting() == 0, timeout_s=10)
        for one in ids[:2]:
            assert of(second, one, domain.MailInDoubt) == [domain.MailInDoubt(1, policy, GONE)]
            assert second.status(one) == status
        resent = ids if policy == "resend" else ids[2:]
        assert sorted(second.transport.ids) == resent
        assert [second.status(one) for one in ids[2:]] == ["sent"] * 4


def test_an_answer_that_comes_after_the_lease_is_gone_changes_nothing(
    logs: tuple[EventLog, EventLog],
) -> None:
    door = Flag()
    first = Relay(logs[0], Transport(shut={ACCOUNT: door}), lease_s=LEASE_S)
    first.account()
    first.add(new("m-1"))
    eventually(lambda: first.transport.jobs)
    gevent.killall(first.keeper._greenlets)  # noqa: SLF001  cut off, and nobody tells it
    with Relay(logs[1], lease_s=LEASE_S) as second:
        eventually(lambda: second.status("m-1") == "sent", timeout_s=10)
        door.set()
        gevent.sleep(0.3)
        kinds = [type(one).__name__ for one in second.events("m-1")]
        assert kinds == ["MailQueued", "MailAttempted", "MailInDoubt", "MailAttempted", "MailSent"]
    first.crash()


def test_a_relay_that_leaves_finishes_what_it_sends(logs: tuple[EventLog, EventLog]) -> None:
    first = Relay(logs[0], Transport(delay_s=0.05))
    first.account()
    ids = [f"m-{n}" for n in range(60)]
    first.add(*map(new, ids))
    eventually(lambda: first.transport.jobs)
    first.close()
    with Relay(logs[1], first.transport) as second:
        eventually(lambda: second.waiting() == 0, timeout_s=10)
        assert Counter(first.transport.ids) == Counter(ids)
        assert {second.status(one) for one in ids} == {"sent"}


def test_two_relays_share_the_tenants_and_nothing_is_sent_twice(
    logs: tuple[EventLog, EventLog],
) -> None:
    transport = Transport(delay_s=0.002)
    with Relay(logs[0], transport) as first:
        tenants = [f"t-{n}" for n in range(8)]
        for tenant in tenants:
            first.account(tenant=tenant)
            first.add(*(new(f"{tenant}.{n}") for n in range(50)), tenant=tenant)
        with Relay(logs[1], transport) as second:
            eventually(lambda: second.waiting() == 0, timeout_s=20)
    assert set(Counter(transport.ids).values()) == {1}
    assert len(transport.ids) == 400


def test_a_limit_is_never_passed_however_much_is_sent_at_once(event_log: EventLog) -> None:
    clock = Clock()
    with Relay(event_log, Transport(delay_s=0.01), clock=clock) as relay:
        relay.account(limit_per_minute=20)
        ids = [f"m-{n:02}" for n in range(50)]
        relay.add(*map(new, ids))
        eventually(lambda: all(relay.status(one) in {"sent", "deferred"} for one in ids))
        assert relay.transport.ids == ids[:20]
        reasons = {of(relay, one, domain.MailDeferred)[0].reason for one in ids[20:]}
        assert reasons == {"rate limit exceeded"}
        for sent in (40, 50):
            clock.ahead_s += 60.5
            relay.dispatch.run_now(TENANT)
            eventually_equal(lambda: len(relay.transport.jobs), sent)
        assert all(len(of(relay, one, domain.MailDeferred)) == 1 for one in ids[20:])
        assert {len(of(relay, one, domain.MailAttempted)) for one in ids} == {1}


def test_a_window_frees_when_what_filled_it_is_that_old_and_not_with_the_clock(
    event_log: EventLog,
) -> None:
    clock = Clock()
    with Relay(event_log, clock=clock) as relay:
        relay.account(limit_per_hour=1)
        relay.add(new("m-1"), new("m-2"))
        eventually_equal(lambda: relay.status("m-2"), "deferred")
        attempted_s = clock().timestamp()
        (deferral,) = of(relay, "m-2", domain.MailDeferred)
        assert deferral.until_s == pytest.approx(attempted_s + 3600, abs=3)
        assert not deferral.retry
        clock.ahead_s += 3590
        relay.dispatch.run_now(TENANT)
        gevent.sleep(0.2)
        assert relay.transport.ids == ["m-1"]


def test_all_windows_count(event_log: EventLog) -> None:
    clock = Clock()
    with Relay(event_log, clock=clock) as relay:
        relay.account(limit_per_minute=2, limit_per_hour=3, limit_per_day=-1)
        relay.add(*(new(f"m-{n}") for n in range(4)))
        eventually_equal(lambda: len(relay.transport.jobs), 2)
        clock.ahead_s += 61
        relay.dispatch.run_now(TENANT)
        eventually_equal(lambda: len(relay.transport.jobs), 3)
        clock.ahead_s += 61
        relay.dispatch.run_now(TENANT)
        gevent.sleep(0.2)
        assert len(relay.transport.jobs) == 3


def test_what_is_too_much_fails_where_the_account_wants_that(event_log: EventLog) -> None:
    with Relay(event_log) as relay:
        relay.account(limit_per_day=1, limit_behavior="reject")
        relay.add(new("m-1"), new("m-2"))
        eventually_equal(lambda: relay.status("m-2"), "error")
        assert relay.events("m-2")[-1] == domain.MailFailed(0, "rate_limit_exceeded")


def test_the_same_account_id_of_another_tenant_has_limits_of_its_own(event_log: EventLog) -> None:
    with Relay(event_log) as relay:
        for tenant in ("acme", "beta"):
            relay.account(tenant=tenant, limit_per_day=1)
            relay.add(new(f"{tenant}-1"), new(f"{tenant}-2"), tenant=tenant)
        eventually(lambda: relay.status("acme-2") == relay.status("beta-2", "beta") == "deferred")
        assert sorted(relay.transport.ids) == ["acme-1", "beta-1"]


@pytest.mark.parametrize("crashes", [False, True])
def test_a_limit_holds_across_relays(logs: tuple[EventLog, EventLog], *, crashes: bool) -> None:
    clock, door = Clock(), Flag()
    first = Relay(logs[0], Transport(shut={ACCOUNT: door}), clock=clock, lease_s=LEASE_S)
    first.account(limit_per_hour=5)
    first.add(*(new(f"a-{n}") for n in range(3)))
    eventually_equal(lambda: len(first.transport.jobs), 3)
    if crashes:
        first.crash()
    else:
        door.set()
        first.close()
    with Relay(logs[1], clock=clock, lease_s=LEASE_S) as second:
        second.add(*(new(f"b-{n}") for n in range(5)))
        eventually(
            lambda: (
                all(second.status(f"b-{n}") in {"sent", "deferred"} for n in range(5))
                and second.status("a-0") in {"sent", "deferred"}
            ),
            timeout_s=10,
        )
        attempts = len(first.transport.jobs) + len(second.transport.jobs)
        assert attempts == 5
        clock.ahead_s += 3601
        second.dispatch.run_now(TENANT)
        wanted = 10 if crashes else 8  # What was in doubt is resent, and counts again.
        eventually_equal(
            lambda: len(first.transport.jobs) + len(second.transport.jobs), wanted, timeout_s=10
        )
        eventually_equal(second.waiting, 1 if crashes else 0)


def test_a_limit_holds_while_others_write_to_the_same_mails(event_log: EventLog) -> None:
    with Relay(event_log, Transport(delay_s=0.005), in_flight_per_account_max=3) as relay:
        relay.account(limit_per_hour=30)
        ids = [f"m-{n}" for n in range(60)]
        relay.add(*map(new, ids))
        for n in range(0, 60, 4):
            relay.mails.delete(TENANT, [f"m-{n}"], by="test")
        settled = {"sent", "deferred", "deleted"}
        eventually(lambda: all(relay.status(one) in settled for one in ids), timeout_s=10)
        gevent.sleep(0.2)
        assert 25 <= len(relay.transport.jobs) <= 30


def test_broken_connections_lose_nothing_and_send_nothing_twice(
    event_log: EventLog, database_url: str
) -> None:
    with Relay(event_log, Transport(delay_s=0.01), in_flight_per_account_max=5) as relay:
        relay.account(limit_per_hour=1_000)
        ids = [f"m-{n}" for n in range(300)]
        relay.add(*map(new, ids))
        for sent in (20, 100, 180):
            eventually(lambda sent=sent: len(relay.transport.jobs) >= sent)  # type: ignore[misc]
            with psycopg.connect(database_url, autocommit=True) as connection:
                connection.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )
        eventually(lambda: len(relay.transport.jobs) >= 300, timeout_s=20)
        eventually_equal(relay.waiting, 0)
        assert Counter(relay.transport.ids) == Counter(ids)


def test_a_tenant_that_is_deleted_while_its_mail_is_sent_leaves_nothing(
    event_log: EventLog,
) -> None:
    door = Flag()
    refused = {"c@example.test": (550, "no such user")}

    def answer(job: SmtpJob) -> SmtpOutcome:
        return SmtpOutcome(key=job.key, result="sent", code=250, reason="ok", refused=refused)

    with Relay(event_log, Transport(answer, shut={ACCOUNT: door})) as relay:
        relay.tenants.put(TENANT, TenantConfig(), by="test")
        relay.account()
        relay.add(new("m-1"))
        eventually(lambda: relay.transport.jobs)
        relay.tenants.delete(TENANT, by="test")
        door.set()
        eventually_equal(relay.waiting, 0)
        relay.account()
        assert relay.add(new("m-2")) == [""]
        eventually_equal(lambda: relay.status("m-2"), "sent")
