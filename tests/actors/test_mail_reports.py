"""Tenants' servers are told what became of their mails, each by itself, until they took it."""

from __future__ import annotations

import base64
import json
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, Protocol

import gevent
import pytest
from gevent.event import Event
from support.gateway import eventually, eventually_equal
from support.mail_relay import ACCOUNT, PARTITIONS, MailRelay
from support.receiver import Receiver

from signalbox.actors.mail_nudges import MailNudges
from signalbox.actors.mails import NewMail
from signalbox.domain.mail import (
    MailBounced,
    MailDeferred,
    MailFailed,
    MailPartlySent,
    MailSent,
    PecReceiptRecorded,
)
from signalbox.domain.mail_content import MailContent
from signalbox.domain.reports import ReportsAcknowledged, SyncPostponed
from signalbox.domain.sync import Rhythm
from signalbox.domain.tenant import stream_of
from signalbox.domain.tenant_config import ClientAuth, TenantChanges
from signalbox.eventstore.errors import Unavailable
from signalbox.eventstore.leases import partition_of
from signalbox.http.mail_proxy.reports import ORIGINAL, SyncWording
from signalbox.ops.mail_reads import MailReads

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.receiver import Call

    from signalbox.eventstore.log import EventLog

SENT: Final = MailSent(250, "OK")
FAILED: Final = MailFailed(550, "(550, 'no such user') (SMTP 550)")
OK: Final = (200, {}, (b'{"ok": true}',))
CALM: Final = Rhythm()


class StartRelay(Protocol):
    """Starts a relay on the test's log; it is closed when the test ends."""

    def __call__(self, **changes: Any) -> MailRelay: ...  # noqa: ANN401


@pytest.fixture
def start_relay(event_log: EventLog) -> Iterator[StartRelay]:
    relays: list[MailRelay] = []

    def start(**changes: Any) -> MailRelay:  # noqa: ANN401
        relays.append(MailRelay(event_log, **changes))
        return relays[-1]

    yield start
    for relay in relays:
        relay.close()


@pytest.fixture
def server() -> Iterator[Receiver]:
    with Receiver() as receiver:
        receiver.answer = OK
        yield receiver


def base(server: Receiver) -> str:
    """Return where a server is, without a path."""
    return server.url.removesuffix("/hook")


def reports(server: Receiver) -> list[dict[str, Any]]:
    """Return all that a server was told, in order."""
    return [entry for call in server.calls for entry in call.json["reports"]]


def ids(server: Receiver) -> list[str]:
    return [entry["id"] for entry in reports(server)]


def acknowledged(log: EventLog) -> list[int]:
    """Return how many reports each acknowledged call had."""
    events = [one.event for batch in log.everything() for one in batch]
    return [event.count for event in events if isinstance(event, ReportsAcknowledged)]


def test_what_became_of_a_mail_is_told_in_the_documented_words(
    start_relay: StartRelay, server: Receiver
) -> None:
    relay = start_relay()
    relay.tenant("acme", base(server))
    pk = relay.mail("acme", "m1", SENT)
    relay.mail("acme", "m2", FAILED)
    eventually(lambda: len(reports(server)) == 2)
    sent, failed = reports(server)
    assert sent == {
        "tenant_id": "acme",
        "id": "m1",
        "pk": pk,
        "sent_ts": sent["sent_ts"],
        "recipient_email": "ann@example.org",
    }
    assert isinstance(sent["sent_ts"], float)
    assert failed["error"] == FAILED.reason
    assert failed["recipient_email"] == "ann@example.org"
    assert {call.target for call in server.calls} == {"/mail-proxy/sync"}
    assert {call.headers["Content-Type"] for call in server.calls} == {"application/json"}
    assert all("Authorization" not in call.headers for call in server.calls)


def test_a_report_names_the_recipient_it_is_about(
    start_relay: StartRelay, server: Receiver
) -> None:
    relay = start_relay()
    relay.tenant("acme", base(server))
    waits = MailDeferred(time.time() + 60, "(451, 'later') (SMTP 451)", retry=True)
    bounced = MailBounced("hard", "511", "no such user", "bob@example.org")
    partly = MailPartlySent(250, "ok", (1,))
    relay.mail("acme", "m1", waits, partly, waits, SENT, bounced, more_to="bob@example.org")
    eventually(lambda: len(reports(server)) == 4)
    first, second, sent, bounce = reports(server)
    assert first["recipient_email"] == sent["recipient_email"] == "ann@example.org"
    assert second["recipient_email"] == bounce["recipient_email"] == "bob@example.org"


def test_every_kind_of_report_in_the_words_of_the_original(
    start_relay: StartRelay, server: Receiver
) -> None:
    relay = start_relay()
    relay.tenant("acme", base(server), report_format=ORIGINAL, client_sync_path="/proxy_sync")
    until_s = time.time() + 3_600
    relay.mail("acme", "m1", MailDeferred(until_s, "(451, 'later') (SMTP 451)", retry=True))
    relay.mail("acme", "m2", SENT, MailBounced("hard", "511", "no such user"))
    relay.mail("acme", "m3", SENT, PecReceiptRecorded("pec_acceptance"))
    relay.mail("acme", "m4", FAILED)

    def told() -> list[dict[str, Any]]:
        return [entry for call in server.calls for entry in call.json["delivery_report"]]

    eventually(lambda: len(told()) == 6)
    assert [list(entry) for entry in told()] == [
        ["id", "deferred_ts", "deferred_reason"],
        ["id", "sent_ts"],
        ["id", "bounce_ts", "bounce_type", "bounce_code", "bounce_reason"],
        ["id", "sent_ts"],
        ["id", "pec_event", "pec_ts"],
        ["id", "error_ts", "error"],
    ]
    assert told()[0]["deferred_ts"] == int(until_s)
    assert told()[2]["bounce_code"] == "511"
    assert told()[4]["pec_event"] == "pec_acceptance"
    times = [value for entry in told() for name, value in entry.items() if name.endswith("_ts")]
    assert all(type(one) is int for one in times)
    assert {call.target for call in server.calls} == {"/proxy_sync"}


def test_a_mail_that_was_refused_when_it_came_is_told_as_an_error(
    start_relay: StartRelay, server: Receiver
) -> None:
    relay = start_relay()
    relay.tenant("acme", base(server))
    refused = NewMail(
        client_id="m1",
        account_id=ACCOUNT.account_id,
        content=MailContent(sender="", to=()),
        refused="missing from",
    )
    relay.mails.add("acme", [refused], by="client")
    eventually(lambda: ids(server) == ["m1"])
    assert reports(server)[0]["error"] == "missing from"
    assert "recipient_email" not in reports(server)[0]


@pytest.mark.parametrize(
    ("method", "user", "expected"),
    [
        ("bearer", "", "Bearer s3crét"),
        ("basic", "ann", "Basic " + base64.b64encode("ann:s3crét".encode()).decode()),
        ("none", "", None),
    ],
)
def test_a_server_is_shown_what_its_tenant_configured(
    start_relay: StartRelay, server: Receiver, method: str, user: str, expected: str | None
) -> None:
    relay = start_relay()
    auth = ClientAuth(method=method, user=user, secret_sealed=relay.tenants.seal("s3crét"))
    relay.tenant("acme", base(server) + "/app/", client_auth=auth)
    eventually(lambda: server.calls)
    shown = server.calls[0].headers.get("Authorization")
    assert (shown and shown.encode("latin-1").decode()) == expected
    assert server.calls[0].target == "/app/mail-proxy/sync"


def test_any_2xx_takes_everything_whatever_it_says(
    event_log: EventLog, start_relay: StartRelay, server: Receiver
) -> None:
    said = b'{"sent": 1, "error": 1, "deferred": 0, "not_found": ["m1"]}'
    answers = iter([(200, {}, (said,)), 204, (299, {}, (b"<p>thanks",)), OK])
    server.answer = lambda _: next(answers, OK)
    relay = start_relay()
    relay.tenant("acme", base(server))
    for number in range(1, 4):
        relay.mail("acme", f"m{number}", SENT)
        eventually(lambda number=number: len(ids(server)) == number)
    eventually(lambda: sum(acknowledged(event_log)) == 3)
    gevent.sleep(0.1)
    assert ids(server) == ["m1", "m2", "m3"]
    assert relay.reads.unacknowledged("acme") == 0


def test_a_server_in_trouble_is_told_again_and_everything_new_with_it(
    event_log: EventLog, start_relay: StartRelay, server: Receiver
) -> None:
    server.answer = 503
    relay = start_relay()
    relay.tenant("acme", base(server))
    relay.mail("acme", "m1", SENT)
    eventually(lambda: ids(server).count("m1") >= 3)
    relay.mail("acme", "m2", SENT)
    assert acknowledged(event_log) == []
    server.answer = OK
    eventually_equal(lambda: sum(acknowledged(event_log)), 2)
    assert ids(server)[-2:] in (["m1", "m2"], ["m1", "m1"], ["m1"])
    before = len(server.calls)
    gevent.sleep(0.3)
    assert len(server.calls) == before


def test_a_server_that_says_when_to_come_again_is_left_alone_until_then(
    start_relay: StartRelay, server: Receiver
) -> None:
    server.answer = (503, {"Retry-After": "30"}, ())
    relay = start_relay(rhythm=Rhythm(pause_s_max=300.0))
    relay.tenant("acme", base(server))
    eventually(lambda: server.calls)
    gevent.sleep(1.5)  # The first pause without it would be one second.
    assert len(server.calls) == 1


def test_a_server_that_is_down_costs_nobody_else_anything(
    event_log: EventLog, start_relay: StartRelay, server: Receiver
) -> None:
    relay = start_relay()
    relay.tenant("down", "http://127.0.0.1:1")
    relay.tenant("nowhere", "not an address")
    relay.tenant("inside", "http://10.0.0.1:80")
    relay.tenant("acme", base(server))
    for tenant_id in ("down", "nowhere", "inside", "acme"):
        relay.mail(tenant_id, "m1", SENT)
    eventually(lambda: ids(server) == ["m1"])
    eventually(lambda: acknowledged(event_log) and sum(acknowledged(event_log)) == 1)
    assert relay.reads.unacknowledged("down") == 1


def test_a_slow_server_delays_nobody(start_relay: StartRelay, server: Receiver) -> None:
    relay = start_relay()
    with Receiver() as slow:
        slow.hanging = True
        relay.tenant("slow", base(slow))
        relay.tenant("acme", base(server))
        relay.mail("slow", "m1", SENT)
        eventually(lambda: slow.calls)
        begun_s = time.monotonic()
        relay.mail("acme", "m1", SENT)
        eventually(lambda: ids(server) == ["m1"], timeout_s=2.0)
        assert time.monotonic() - begun_s < 2.0
        assert len(slow.calls) == 1


def test_a_server_that_never_answers_is_given_up_and_called_again(
    start_relay: StartRelay, server: Receiver
) -> None:
    server.hanging = True
    relay = start_relay(timeout_s=0.2)
    relay.tenant("acme", base(server))
    relay.mail("acme", "m1", SENT)
    eventually(lambda: len(server.calls) >= 3)


def test_a_server_may_hand_over_mails_in_the_middle_of_its_answer(
    event_log: EventLog, start_relay: StartRelay, server: Receiver
) -> None:
    relay = start_relay(in_flight_max=1)
    relay.tenant("acme", base(server))
    eventually_equal(lambda: acknowledged(event_log), [0])
    queued: list[str] = []
    hub = gevent.get_hub()
    asked, done = hub.loop.async_(), gevent.event.Event()

    def hand_over() -> None:
        queued.append(relay.mail("acme", "from-inside", SENT))
        done.set()

    asked.start(lambda: gevent.spawn(hand_over))

    def answer(call: Call) -> Any:  # noqa: ANN401  whatever the receiver takes
        """Answer, in the server's own thread, only after our side has stored its mail."""
        if "m1" in call.body.decode() and not queued:
            asked.send()
            deadline_s = time.monotonic() + 4.0
            while not queued and time.monotonic() < deadline_s:
                time.sleep(0.01)
        return (200, {}, (json.dumps({"ok": True, "queued": 1}).encode(),))

    server.answer = answer
    relay.mail("acme", "m1", SENT)
    assert done.wait(4.0)
    eventually(lambda: "from-inside" in ids(server))
    asked.stop()
    asked.close()


def test_a_server_that_has_more_is_called_soon_again(
    start_relay: StartRelay, server: Receiver
) -> None:
    answers = iter([b'{"queued": 2}', b'{"queued": 1}', b'{"queued": 0}'])
    server.answer = lambda _: (200, {}, (next(answers, b"{}"),))
    relay = start_relay()
    relay.tenant("acme", base(server))
    eventually(lambda: len(server.calls) == 3)
    gevent.sleep(0.3)
    assert len(server.calls) == 3


def test_a_server_that_always_has_more_does_not_make_a_storm(
    start_relay: StartRelay, server: Receiver
) -> None:
    server.answer = (200, {}, (b'{"queued": 2, "next_sync_after": 1}',))
    relay = start_relay(rhythm=Rhythm(soon_s=0.2))
    relay.tenant("acme", base(server))
    eventually(lambda: server.calls)
    gevent.sleep(1.0)
    assert 3 <= len(server.calls) <= 7


def test_a_server_that_rests_is_left_alone_even_with_reports(
    event_log: EventLog, start_relay: StartRelay, server: Receiver
) -> None:
    rest = json.dumps({"ok": True, "next_sync_after": time.time() + 60}).encode()
    server.answer = (200, {}, (rest,))
    relay = start_relay()
    relay.tenant("acme", base(server))
    eventually_equal(lambda: acknowledged(event_log), [0])
    relay.mail("acme", "m1", SENT)
    gevent.sleep(0.4)
    assert len(server.calls) == 1
    (status,) = relay.reads.sync_status()
    assert status.rests(time.time())
    MailNudges(event_log).run_now(None)
    gevent.sleep(0.4)
    assert len(server.calls) == 1
    MailNudges(event_log).run_now("acme")  # The tenant itself may end its rest.
    eventually(lambda: ids(server) == ["m1"])


def test_a_server_that_expects_the_original_is_told_of_reports_while_it_rests(
    start_relay: StartRelay, server: Receiver
) -> None:
    rest = json.dumps({"next_sync_after": time.time() + 60}).encode()
    server.answer = (200, {}, (rest,))
    relay = start_relay(default_format=ORIGINAL)
    relay.tenant("acme", base(server))
    eventually(lambda: server.calls)
    relay.mail("acme", "m1", SENT)
    eventually(lambda: len(server.calls) == 2)
    assert server.calls[1].json["delivery_report"][0]["id"] == "m1"


def test_a_rest_outlives_the_process(
    event_log: EventLog, start_relay: StartRelay, server: Receiver
) -> None:
    rest = json.dumps({"next_sync_after": time.time() + 60}).encode()
    server.answer = (200, {}, (rest,))
    relay = start_relay(rhythm=CALM)
    relay.tenant("acme", base(server))
    eventually_equal(lambda: acknowledged(event_log), [0])
    relay.close()
    second = start_relay(rhythm=CALM)
    second.mail("acme", "m1", SENT)
    gevent.sleep(1.0)
    assert len(server.calls) == 1
    events = [one.event for batch in event_log.everything() for one in batch]
    assert sum(isinstance(event, SyncPostponed) for event in events) == 1


def test_what_was_acknowledged_is_not_told_after_a_restart(
    event_log: EventLog, start_relay: StartRelay, server: Receiver
) -> None:
    relay = start_relay(rhythm=CALM)
    relay.tenant("acme", base(server))
    relay.mail("acme", "m1", SENT)
    eventually_equal(lambda: sum(acknowledged(event_log)), 1)
    calls = len(server.calls)
    relay.close()
    second = start_relay(rhythm=CALM)
    second.mail("acme", "m2", SENT)
    eventually(lambda: ids(server)[-1:] == ["m2"])
    assert ids(server) == ["m1", "m2"]
    assert len(server.calls) == calls + 1  # It was called a moment ago: not without need.


def read_slowly(patch: pytest.MonkeyPatch) -> tuple[Event, Event]:
    """Keep whoever reads what servers are owed until the second event; the first tells of it."""
    reading, go_on, owing = Event(), Event(), MailReads.owing

    def slowly(reads: MailReads) -> list[str]:
        found = owing(reads)
        reading.set()
        go_on.wait()
        return found

    patch.setattr(MailReads, "owing", slowly)
    return reading, go_on


def test_what_happens_while_a_relay_begins_is_told_before_the_next_regular_call(
    start_relay: StartRelay, server: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = start_relay(rhythm=CALM)
    first.tenant("acme", base(server))
    eventually(lambda: server.calls)
    first.close()
    reading, go_on = read_slowly(monkeypatch)
    second = start_relay(rhythm=CALM)
    assert reading.wait(5)
    second.shows_news.clear()
    second.mail("acme", "m1", SENT)
    eventually(lambda: second.follower.position >= second.log.head())
    go_on.set()
    gevent.sleep(0.2)
    second.shows_news.set()
    eventually(lambda: ids(server) == ["m1"])


def test_what_happens_while_a_lease_is_away_is_told_when_it_is_back(
    start_relay: StartRelay, server: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    relay = start_relay(rhythm=CALM)
    relay.tenant("acme", base(server))
    eventually(lambda: server.calls)
    eventually(lambda: any(one.last_sync_s for one in relay.reads.sync_status()))
    partition = partition_of(stream_of("acme"), PARTITIONS)
    fence = relay.keeper.fence(partition)
    assert fence is not None
    reading, go_on = read_slowly(monkeypatch)
    relay.reports.lost(partition)
    relay.reports.gained(fence)
    assert reading.wait(5)
    relay.reports.lost(partition)
    relay.mail("acme", "m1", SENT)
    eventually(lambda: relay.reads.report_events("acme", 0))
    eventually(lambda: relay.follower.position >= relay.log.head())
    relay.reports.gained(replace(fence, epoch=fence.epoch + 1))
    go_on.set()
    monkeypatch.setattr(relay.keeper, "fence", lambda _: replace(fence, epoch=fence.epoch + 1))
    eventually(lambda: ids(server) == ["m1"], timeout_s=8.0)


@pytest.mark.parametrize(("owner", "name"), [(MailReads, "report_events"), (SyncWording, "body")])
def test_what_the_store_could_not_say_for_a_moment_is_told_after_it(
    start_relay: StartRelay,
    server: Receiver,
    monkeypatch: pytest.MonkeyPatch,
    owner: type,
    name: str,
) -> None:
    working, is_away = getattr(owner, name), Event()

    def away_once(*args: Any) -> Any:  # noqa: ANN401
        if is_away.is_set():
            is_away.clear()
            raise Unavailable("store is away")
        return working(*args)

    monkeypatch.setattr(owner, name, away_once)
    relay = start_relay()
    relay.tenant("acme", base(server))
    eventually(lambda: len(server.calls) == 1)
    is_away.set()
    MailNudges(relay.log).run_now("acme")
    eventually(lambda: len(server.calls) == 2)
    assert not is_away.is_set()
    is_away.set()
    relay.mail("acme", "m1", SENT)
    eventually(lambda: ids(server) == ["m1"])
    assert not is_away.is_set()


def test_what_was_told_to_a_process_that_died_is_told_again(
    start_relay: StartRelay, server: Receiver
) -> None:
    relay = start_relay(lease_s=1.5)
    relay.tenant("acme", base(server))
    eventually(lambda: server.calls)
    server.hanging = True
    relay.mail("acme", "m1", SENT)
    eventually(lambda: ids(server) == ["m1"])
    relay.crash()
    server.hanging = False
    start_relay(lease_s=1.5)
    eventually(lambda: ids(server) == ["m1", "m1"], timeout_s=10.0)


def test_two_relays_share_the_tenants(
    event_log: EventLog, start_relay: StartRelay, server: Receiver
) -> None:
    first = start_relay()
    second = start_relay()
    eventually(lambda: first.keeper.held and second.keeper.held)
    eventually(lambda: len(first.keeper.held) + len(second.keeper.held) == PARTITIONS)
    for number in range(12):
        first.tenant(f"tenant-{number}", base(server))
    for number in range(12):
        first.mail(f"tenant-{number}", f"m{number}", SENT)
    eventually_equal(lambda: sum(acknowledged(event_log)), 12)
    assert sorted(ids(server)) == sorted(f"m{number}" for number in range(12))
    owners = {partition_of(stream_of(f"tenant-{number}"), PARTITIONS) for number in range(12)}
    assert owners & first.keeper.held
    assert owners & second.keeper.held


def test_a_tenant_without_a_server_gathers_no_trouble(
    event_log: EventLog, start_relay: StartRelay, server: Receiver
) -> None:
    relay = start_relay()
    relay.tenant("acme", "")
    relay.mail("acme", "m1", SENT)
    MailNudges(event_log).run_now("acme")
    gevent.sleep(0.2)
    assert acknowledged(event_log) == []
    changes = TenantChanges(client_base_url=base(server))
    relay.tenants.update("acme", changes, by="admin")
    eventually(lambda: ids(server) == ["m1"])


def test_a_tenant_that_is_not_active_is_told_of_reports_and_not_called_without_need(
    start_relay: StartRelay, server: Receiver
) -> None:
    relay = start_relay()
    relay.tenant("acme", base(server), active=False)
    gevent.sleep(0.2)
    assert server.calls == []
    relay.mail("acme", "m1", SENT)
    eventually(lambda: ids(server) == ["m1"])


def test_a_tenant_may_have_itself_called_with_nothing_to_tell(
    event_log: EventLog, start_relay: StartRelay, server: Receiver
) -> None:
    relay = start_relay(rhythm=CALM)
    relay.tenant("acme, the second/é", base(server))
    eventually_equal(lambda: acknowledged(event_log), [0])
    MailNudges(event_log).run_now("acme, the second/é")
    eventually_equal(lambda: acknowledged(event_log), [0, 0])
    assert server.calls[1].json == {"reports": []}


def test_an_operator_has_only_those_called_that_are_owed_reports(
    event_log: EventLog, start_relay: StartRelay, server: Receiver
) -> None:
    server.answer = 503
    relay = start_relay(rhythm=CALM)
    relay.tenant("acme", base(server))
    relay.mail("acme", "m1", SENT)
    with Receiver() as other:
        relay.tenant("other", base(other))
        eventually(lambda: ids(server).count("m1") >= 2)
        eventually(lambda: other.calls)
        server.answer = OK
        MailNudges(event_log).run_now()
        eventually_equal(lambda: sum(acknowledged(event_log)), 1, timeout_s=1.5)
        assert len(other.calls) == 1


def test_many_reports_go_in_several_calls(
    event_log: EventLog, start_relay: StartRelay, server: Receiver
) -> None:
    server.answer = 503
    relay = start_relay(per_call_max=10)
    relay.tenant("acme", base(server))
    for number in range(25):
        relay.mail("acme", f"m{number}", SENT)
    server.calls.clear()
    server.answer = OK
    eventually_equal(lambda: sum(acknowledged(event_log)), 25)
    taken = list(dict.fromkeys(ids(server)))
    assert taken == [f"m{number}" for number in range(25)]
    assert max(len(call.json["reports"]) for call in server.calls) == 10


def test_a_tenant_that_is_deleted_is_told_nothing_more(
    event_log: EventLog, start_relay: StartRelay, server: Receiver
) -> None:
    server.answer = 503
    relay = start_relay()
    relay.tenant("acme", base(server))
    relay.mail("acme", "m1", SENT)
    eventually(lambda: ids(server))
    relay.tenants.delete("acme", by="admin")
    gevent.sleep(0.3)
    calls = len(server.calls)
    gevent.sleep(0.5)
    assert len(server.calls) == calls
    assert acknowledged(event_log) == []
