"""Mails to which two things happen at once, in an order that chance seldom gives."""

from collections.abc import Callable
from typing import Any

import gevent
import pytest
from eventsourcing.persistence import PersistenceError
from gevent.event import Event as Flag
from support.dispatch import ACCOUNT, TENANT, Relay, Transport, new, ok
from support.gateway import eventually, eventually_equal

from signalbox.actors import mail_dispatch
from signalbox.actors.mail_dispatcher import MailDispatcher
from signalbox.actors.mail_feeder import Page
from signalbox.actors.mail_messages import Judged, Stored, Told
from signalbox.actors.mail_warmth import Warm
from signalbox.domain import mail as domain
from signalbox.domain.tenant import Tenant
from signalbox.domain.tenant_config import TenantConfig
from signalbox.eventstore import metrics
from signalbox.eventstore.errors import Unavailable
from signalbox.eventstore.log import EventLog

IP = "192.0.2.1"


class Gate:
    """A warm-up gate that lets everything leave, once the mail's door is open."""

    def __init__(self, *shut: str) -> None:
        self.asked: list[str] = []
        self.doors = {client_id: Flag() for client_id in shut}

    def ask(self, _account: object, mail: domain.Mail, _content: object) -> Warm:
        self.asked.append(mail.client_id)
        door = self.doors.get(mail.client_id)
        if door is not None:
            door.wait()
        return Warm(IP)


def around(
    monkeypatch: pytest.MonkeyPatch,
    is_it: Callable[[Any], bool],
    *,
    before: Callable[[MailDispatcher], object] = lambda _: None,
    after: Callable[[MailDispatcher], object] = lambda _: None,
) -> None:
    """Tell a dispatcher what else there is, right before or after what is meant, once."""
    tell_self, met = MailDispatcher._tell_self, []  # noqa: SLF001

    def tell(dispatcher: MailDispatcher, message: object) -> None:
        is_first = not met and is_it(message)
        if is_first:
            met.append(message)
        for one in (before(dispatcher), message, after(dispatcher)) if is_first else (message,):
            if one is not None:
                tell_self(dispatcher, one)

    monkeypatch.setattr(MailDispatcher, "_tell_self", tell)


def is_conflict(message: object) -> bool:
    return isinstance(message, Stored) and message.result.exception is not None


def free_slots(relay: Relay) -> int:
    return relay.dispatch._parts.slots._free  # noqa: SLF001


def attempts(relay: Relay, client_id: str) -> int:
    return sum(isinstance(one, domain.MailAttempted) for one in relay.events(client_id))


def test_a_mail_that_comes_more_urgent_while_the_gate_is_asked_leaves(event_log: EventLog) -> None:
    gate = Gate("m-1")
    with Relay(event_log, warmth=lambda _: gate) as relay:  # type: ignore[arg-type,return-value]
        relay.account(source_ip=IP)
        relay.add(new("m-1", priority=2), new("m-2", priority=1))
        eventually_equal(lambda: relay.status("m-2"), "sent")
        relay.add(new("m-1", priority=1), new("m-3", priority=1))
        eventually_equal(lambda: relay.status("m-3"), "sent")  # So the row of m-1 was read too.
        gate.doors["m-1"].set()
        eventually_equal(lambda: relay.status("m-1"), "sent", timeout_s=10)
        assert relay.transport.ids == ["m-2", "m-3", "m-1"]


@pytest.mark.parametrize("is_first", [True, False])
def test_a_mail_the_gate_lets_go_around_a_conflict_is_counted_and_leaves(
    event_log: EventLog, monkeypatch: pytest.MonkeyPatch, *, is_first: bool
) -> None:
    gate = Gate("m-1", "m-2")

    def answer(dispatcher: MailDispatcher) -> Judged:
        gate.doors.clear()
        flights = dispatcher._flights  # noqa: SLF001
        [flight] = [f for f in flights if f.tracked.mail.client_id == "m-2"]
        return Judged(flight, Warm(IP))

    around(monkeypatch, is_conflict, **{"before" if is_first else "after": answer})
    with Relay(event_log, warmth=lambda _: gate) as relay:  # type: ignore[arg-type,return-value]
        relay.account(source_ip=IP, limit_per_hour=3)
        relay.add(new("m-1"), new("m-2"))
        eventually_equal(lambda: len(gate.asked), 2)
        relay.add(new("m-1"))
        gate.doors["m-1"].set()  # Its attempt meets a conflict: another one is in its place.
        eventually(lambda: {relay.status("m-1"), relay.status("m-2")} == {"sent"}, timeout_s=10)
        eventually_equal(lambda: free_slots(relay), 100, timeout_s=5)
        relay.add(new("m-3"), new("m-4"))
        eventually(lambda: {relay.status("m-3"), relay.status("m-4")} == {"sent", "deferred"})


def test_what_was_sent_is_recorded_though_the_store_refuses_it_for_a_while(
    event_log: EventLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    door = Flag()
    with Relay(event_log, Transport(shut={ACCOUNT: door}), in_flight_per_account_max=1) as relay:
        relay.account()
        relay.add(new("m-1"), new("m-2"))
        eventually(lambda: relay.transport.jobs)
        refused: list[object] = []

        def refuse(*_: object, **__: object) -> None:
            refused.append("")
            raise PersistenceError("not now")

        with monkeypatch.context() as refusing:
            refusing.setattr(event_log.journal_recorder, "insert_events", refuse)
            door.set()
            eventually(lambda: len(refused) > 2)
        eventually_equal(lambda: relay.status("m-1"), "sent", timeout_s=10)
        eventually_equal(lambda: relay.status("m-2"), "sent", timeout_s=10)
        assert relay.transport.ids == ["m-1", "m-2"]
        eventually_equal(lambda: free_slots(relay), 100, timeout_s=5)


def test_a_tenant_that_comes_again_while_its_old_mail_is_sent_loses_no_mail(
    event_log: EventLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    transport = Transport(shut={"old": Flag()})

    def has_new(message: object) -> bool:
        return isinstance(message, Page) and any(
            one.mail.client_id in {"m-1", "held"} for one in message.mails
        )

    around(monkeypatch, has_new, before=lambda _: Told(ok(transport.jobs[0])))
    with Relay(event_log, transport) as relay:
        relay.tenants.put(TENANT, TenantConfig(), by="test")
        relay.account("old")
        relay.add(new("m-0", account_id="old"))
        eventually(lambda: transport.jobs)
        relay.tenants.delete(TENANT, by="test")
        relay.tenants.put(TENANT, TenantConfig(), by="test")
        relay.tenants.suspend(TENANT, "may", by="test")
        relay.account()
        relay.add(new("m-1"), new("held", batch_code="may"))
        eventually_equal(lambda: relay.status("m-1"), "sent", timeout_s=10)
        eventually_equal(relay.waiting, 1)
        relay.tenants.activate(TENANT, "may", by="test")
        eventually_equal(lambda: relay.status("held"), "sent", timeout_s=10)


def test_a_mail_waits_while_the_log_can_not_be_asked_of_its_account(
    event_log: EventLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Relay(event_log) as relay:
        relay.tenants.put(TENANT, TenantConfig(), by="test")
        relay.account()
        relay.account("gone")
        relay.tenants.suspend(TENANT, by="test")
        relay.add(new("m-1", account_id="gone"), new("m-2"))
        eventually(lambda: relay.dispatch.running)
        asked = []

        def away(tenant_id: str) -> Tenant:
            asked.append(tenant_id)
            raise Unavailable("away")

        with monkeypatch.context() as patched:
            patched.setattr(relay.tenants, "newest", away)
            relay.tenants.remove_account(TENANT, "gone", by="test")
            with pytest.raises(Unavailable):
                relay.tenants.activate(TENANT, by="test")  # It is stored all the same.
            eventually(lambda: len(asked) > 3)
            assert relay.status("m-1") == "pending"
        eventually_equal(lambda: relay.status("m-1"), "error", timeout_s=10)
        eventually_equal(lambda: relay.status("m-2"), "sent", timeout_s=10)
        eventually_equal(lambda: free_slots(relay), 100, timeout_s=5)


def test_a_mail_is_tried_again_when_the_lease_was_uncertain_for_a_moment(
    event_log: EventLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    uncertain: list[bool] = []

    def doubt(_: object) -> None:
        uncertain.append(True)
        gevent.spawn_later(0.2, uncertain.clear)

    around(monkeypatch, lambda message: isinstance(message, Stored), before=doubt)
    with Relay(event_log) as relay:
        fence = relay.keeper.fence
        monkeypatch.setattr(relay.keeper, "fence", lambda p: None if uncertain else fence(p))
        relay.account()
        relay.add(new("m-1"))
        eventually_equal(lambda: relay.status("m-1"), "sent", timeout_s=10)
        assert (relay.transport.ids, attempts(relay, "m-1")) == (["m-1"], 2)
        eventually_equal(lambda: free_slots(relay), 100, timeout_s=5)


def test_a_dispatcher_goes_on_by_itself_once_the_lease_is_certain_again(
    event_log: EventLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    uncertain: list[bool] = []
    with Relay(event_log, Transport(shut={"slow": Flag()})) as relay:
        fence = relay.keeper.fence
        monkeypatch.setattr(relay.keeper, "fence", lambda p: None if uncertain else fence(p))
        relay.account("slow")
        relay.account()
        relay.add(new("m-1", account_id="slow"))  # It keeps the dispatcher from ending.
        eventually(lambda: relay.transport.jobs)
        uncertain.append(True)
        relay.add(new("m-2"))
        gevent.sleep(0.2)
        relay.follower.close()  # Nobody tells it of anything any more.
        gevent.sleep(0.2)
        uncertain.clear()
        eventually_equal(lambda: relay.status("m-2"), "sent", timeout_s=10)
        relay.transport.shut["slow"].set()


def test_mails_are_looked_for_now_and_then_whatever_is_not_heard(
    event_log: EventLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[float] = []
    monkeypatch.setattr(metrics.MAIL_PENDING, "set", shown.append)
    monkeypatch.setattr(mail_dispatch, "COUNT_S", 0.2)
    with Relay(event_log) as relay:
        relay.tenants.put(TENANT, TenantConfig(), by="test")
        relay.account()
        relay.tenants.suspend(TENANT, "may", by="test")
        eventually(lambda: relay.keeper.held)
        relay.follower.close()
        relay.add(new("m-1"), *(new(f"held-{n}", batch_code="may") for n in range(3)))
        eventually_equal(lambda: relay.status("m-1"), "sent", timeout_s=10)
        eventually(lambda: shown[-1:] == [3.0], timeout_s=10)
