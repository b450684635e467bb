"""Callbacks: to whoever wants them, at least once each, until they are taken or given up."""

from collections.abc import Iterator
from typing import Any, Protocol

import gevent
import pytest
from support.callbacks import (
    OWNER,
    PARTITIONS,
    TOPICS,
    Relay,
    events_of,
    switch,
    texts,
    told,
)
from support.gateway import eventually, eventually_equal
from support.history import rows
from support.receiver import Call, Receiver

from signalbox.actors import callbacks
from signalbox.actors.callback_outbox import NAME
from signalbox.actors.callback_topics import Told, Topic
from signalbox.actors.transports.outside import NoThread, Outside
from signalbox.domain import callback as domain
from signalbox.domain.callback import CallbackAbandoned, CallbackDelivered, CallbackFailed
from signalbox.domain.errors import InvalidField
from signalbox.domain.inbound import MoReceived
from signalbox.domain.webhook import CallbackMissed, CallbacksTakenAgain, WebhookDisabled, stream_of
from signalbox.eventstore.journal import Append, Journal, Write
from signalbox.eventstore.leases import partition_of
from signalbox.eventstore.log import EventLog

INBOX = "SELECT actor_id, stream_id FROM signalbox.inbox"
CURSOR = "SELECT position FROM signalbox.cursors WHERE name = 'callback-outbox'"


class StartRelay(Protocol):
    """Starts a relay on the test's log; it is closed when the test ends."""

    def __call__(self, **changes: Any) -> Relay: ...  # noqa: ANN401


@pytest.fixture
def start_relay(event_log: EventLog, database_url: str) -> Iterator[StartRelay]:
    relays: list[Relay] = []

    def start(**changes: Any) -> Relay:  # noqa: ANN401
        relays.append(Relay(event_log, **changes))
        if len(relays) == 1:  # Before that nothing is told of what happens.
            eventually(lambda: rows(database_url, CURSOR))
        return relays[-1]

    yield start
    for relay in relays:
        relay.close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as receiver:
        yield receiver


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Try again at once: a day passes in a moment."""
    monkeypatch.setattr(domain, "DELAYS_S", (0.01, 0.02, 0.05))
    monkeypatch.setattr(callbacks, "PAUSE_S_MAX", 0.02)


def test_what_happened_is_told_to_whoever_wants_it(
    event_log: EventLog, start_relay: StartRelay, database_url: str, receiver: Receiver
) -> None:
    relay = start_relay()
    secret = relay.webhooks.configure(OWNER, receiver.url).secret
    texts(relay.journal, 1)
    eventually_equal(lambda: told(event_log), [["Queued", "Delivered"]])
    (call,) = receiver.calls
    assert call.is_signed_with(secret)
    assert call.json["id"] == call.event_id
    assert call.json["type"] == "message.received"
    assert call.json["data"] == {"from": "4917100", "text": "text 1"}
    assert call.json["created_at"].endswith("Z")
    eventually_equal(lambda: rows(database_url, INBOX), [])


def test_nothing_personal_is_kept_twice(
    database_url: str, start_relay: StartRelay, receiver: Receiver
) -> None:
    relay = start_relay()
    relay.webhooks.configure(OWNER, receiver.url)
    texts(relay.journal, 1)
    eventually(lambda: receiver.calls)
    query = "SELECT state FROM signalbox.stored_events WHERE originator_id LIKE 'callback-%'"
    states = b"".join(bytes(state) for (state,) in rows(database_url, query))
    assert states
    assert b"text 1" not in states
    assert b"4917100" not in states


def test_only_what_is_wanted_is_told(
    event_log: EventLog, start_relay: StartRelay, receiver: Receiver
) -> None:
    relay = start_relay()
    relay.webhooks.configure(OWNER, receiver.url, ["presence"])
    texts(relay.journal, 1)
    texts(relay.journal, 2, owner="usr_stranger")
    switch(relay.journal)
    eventually(lambda: receiver.calls)
    assert [call.json["type"] for call in receiver.calls] == ["phone.switched"]
    assert told(event_log, "usr_stranger") == []


def test_a_disabled_and_a_removed_webhook_are_told_nothing(
    event_log: EventLog, start_relay: StartRelay, receiver: Receiver
) -> None:
    relay = start_relay()
    relay.webhooks.configure(OWNER, receiver.url)
    relay.webhooks.disable(OWNER)
    texts(relay.journal, 1)
    relay.webhooks.configure("usr_2", receiver.url)
    relay.webhooks.remove("usr_2")
    texts(relay.journal, 2, owner="usr_2")
    relay.webhooks.configure("usr_3", receiver.url)
    texts(relay.journal, 3, owner="usr_3")  # Behind the others on the log: they were looked at.
    eventually(lambda: receiver.calls)
    assert told(event_log) == told(event_log, "usr_2") == []
    assert len(receiver.calls) == 1


def test_what_happened_before_the_first_start_is_not_told(
    journal: Journal, start_relay: StartRelay, receiver: Receiver
) -> None:
    texts(journal, 1)
    relay = start_relay()
    relay.webhooks.configure(OWNER, receiver.url)
    texts(relay.journal, 2)
    eventually(lambda: receiver.calls)
    assert [call.json["data"]["text"] for call in receiver.calls] == ["text 2"]


def test_what_happens_while_no_relay_runs_is_told_by_the_next(
    event_log: EventLog, journal: Journal, start_relay: StartRelay, receiver: Receiver
) -> None:
    relay = start_relay()
    relay.webhooks.configure(OWNER, receiver.url)
    relay.close()
    texts(journal, 1, 2)
    start_relay()
    eventually(lambda: len(receiver.calls) == 2)
    eventually_equal(lambda: told(event_log), [["Queued", "Delivered"]] * 2)


def test_what_was_seen_twice_is_told_once(
    event_log: EventLog, start_relay: StartRelay, database_url: str, receiver: Receiver
) -> None:
    relay = start_relay()
    relay.webhooks.configure(OWNER, receiver.url)
    texts(relay.journal, 1)
    eventually_equal(lambda: told(event_log), [["Queued", "Delivered"]])
    relay.close()
    rows(database_url, "UPDATE signalbox.cursors SET position = 0 RETURNING name")
    again = start_relay()
    texts(again.journal, 2)
    eventually(lambda: len(receiver.calls) == 2)
    assert [call.json["data"]["text"] for call in receiver.calls] == ["text 1", "text 2"]


@pytest.mark.usefixtures("hasty")
def test_who_takes_over_with_an_old_cursor_sends_what_waits_once(
    event_log: EventLog, start_relay: StartRelay, receiver: Receiver, database_url: str
) -> None:
    receiver.answer = 503
    relay = start_relay()
    relay.webhooks.configure(OWNER, receiver.url)
    texts(relay.journal, *range(10))
    eventually(lambda: len(told(event_log)) == 10)
    relay.close()
    rows(database_url, "UPDATE signalbox.cursors SET position = 0 RETURNING name")
    receiver.calls.clear()
    receiver.answer = 200
    start_relay()
    eventually(lambda: [one[-1] for one in told(event_log)] == ["Delivered"] * 10)
    assert len(receiver.calls) == 10


def test_what_somebody_else_recorded_is_taken_into_account(
    event_log: EventLog, start_relay: StartRelay, receiver: Receiver
) -> None:
    relay = start_relay()
    relay.webhooks.configure(OWNER, receiver.url)

    def record(call: Call) -> int:
        failed = CallbackFailed(attempt=1, status=500, reason="", next_at_s=0.0)
        write = Write(domain.stream_of(call.event_id), 2, [failed], OWNER)
        relay.journal.write(Append(writes=[write]))
        return 200

    receiver.answer = record
    texts(relay.journal, 1)
    eventually_equal(lambda: told(event_log), [["Queued", "Failed", "Delivered"]])
    assert events_of(event_log, CallbackDelivered) == [CallbackDelivered(attempt=2, status=200)]
    assert len(receiver.calls) == 1


def test_streams_that_can_not_be_read_are_put_aside_and_delay_nobody(
    start_relay: StartRelay, receiver: Receiver, database_url: str
) -> None:
    relay = start_relay()
    relay.webhooks.configure(OWNER, receiver.url)
    relay.close()
    for stream_id, name in (("callback-x", "callback.queued.1"), ("mo-x", "mo.received.1")):
        rows(
            database_url,
            "INSERT INTO signalbox.stored_events (originator_id, originator_version, topic, state)"
            " VALUES (%s, 1, %s, 'null') RETURNING 1",
            stream_id,
            name,
        )
    inbox = "INSERT INTO signalbox.inbox (actor_id, kind, stream_id) VALUES (%s, 'callback', %s)"
    rows(database_url, f"{inbox} RETURNING 1", stream_of(OWNER), "callback-x")
    again = start_relay()
    texts(again.journal, 1)
    eventually(lambda: receiver.calls)
    gevent.sleep(1.5)  # Time to stumble over them again.
    letters = "SELECT reader, subject FROM signalbox.dead_letters ORDER BY 1"
    parked = [("callback-outbox", "mo-x/1"), ("callbacks", "callback-x")]
    assert rows(database_url, letters) == parked
    assert len(receiver.calls) == 1


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize("status", [500, 503, 302, 429])
def test_a_failure_is_tried_again_under_the_same_id(
    event_log: EventLog, start_relay: StartRelay, receiver: Receiver, status: int
) -> None:
    receiver.answer = lambda _call: status if len(receiver.calls) < 3 else 200
    relay = start_relay()
    secret = relay.webhooks.configure(OWNER, receiver.url).secret
    texts(relay.journal, 1)
    eventually_equal(lambda: told(event_log), [["Queued", "Failed", "Failed", "Delivered"]])
    assert len(set(receiver.event_ids)) == 1
    assert len({call.body for call in receiver.calls}) == 1
    assert all(call.is_signed_with(secret) for call in receiver.calls)
    assert [one.status for one in events_of(event_log, CallbackFailed)] == [status, status]
    (delivered,) = events_of(event_log, CallbackDelivered)
    assert delivered == CallbackDelivered(attempt=3, status=200)


@pytest.mark.usefixtures("hasty")
def test_a_timeout_and_a_closed_port_are_failures_with_a_reason(
    event_log: EventLog, start_relay: StartRelay, receiver: Receiver
) -> None:
    relay = start_relay(timeout_s=0.2)
    with Receiver() as gone:
        url = gone.url
    relay.webhooks.configure(OWNER, url)
    texts(relay.journal, 1)
    eventually(lambda: events_of(event_log, CallbackFailed))
    receiver.hanging = True
    relay.webhooks.configure(OWNER, receiver.url)
    reasons: set[str] = set()
    eventually(
        lambda: (
            reasons.update(one.reason for one in events_of(event_log, CallbackFailed))
            or reasons == {"no connection", "no answer in time"}
        )
    )


def test_trouble_makes_it_ask_one_at_a_time(
    event_log: EventLog,
    start_relay: StartRelay,
    receiver: Receiver,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(callbacks, "PAUSE_S_MAX", 0.3)
    receiver.answer = 503
    relay = start_relay()
    relay.webhooks.configure(OWNER, receiver.url)
    texts(relay.journal, *range(20))
    eventually(lambda: len(told(event_log)) == 20)
    gevent.sleep(1.0)  # Time for 20 requests at once, and for four after each pause.
    assert 4 <= len(receiver.calls) <= 4 + 4
    assert len(set(receiver.event_ids)) == len(receiver.calls)  # The next ones, not the same.


def test_no_more_than_a_few_requests_are_open_for_one_owner(
    start_relay: StartRelay, receiver: Receiver
) -> None:
    receiver.hanging = True
    relay = start_relay(in_flight_per_owner_max=3, in_flight_max=5, timeout_s=1.0)
    relay.webhooks.configure(OWNER, receiver.url)
    texts(relay.journal, *range(8))
    eventually(lambda: len(receiver.calls) == 3)
    relay.webhooks.configure("usr_2", receiver.url)
    texts(relay.journal, *range(8), owner="usr_2")
    eventually(lambda: len(receiver.calls) == 5)
    gevent.sleep(0.2)
    assert len(receiver.calls) == 5


@pytest.mark.usefixtures("hasty")
def test_the_third_refusal_gives_up(
    event_log: EventLog, start_relay: StartRelay, receiver: Receiver
) -> None:
    receiver.answer = 404
    relay = start_relay()
    relay.webhooks.configure(OWNER, receiver.url)
    texts(relay.journal, 1)
    eventually_equal(lambda: told(event_log), [["Queued", "Failed", "Failed", "Abandoned"]])
    eventually(lambda: events_of(event_log, CallbackMissed))
    receiver.answer = 200
    texts(relay.journal, 2)
    eventually(lambda: events_of(event_log, CallbacksTakenAgain))
    webhook = relay.webhooks.show(OWNER)
    assert webhook is not None
    assert (webhook.enabled, webhook.failures) == (True, 0)


@pytest.mark.usefixtures("hasty")
def test_too_many_given_up_in_a_row_disable_the_webhook_and_end_the_rest(
    event_log: EventLog, start_relay: StartRelay, receiver: Receiver
) -> None:
    receiver.answer = 400
    relay = start_relay(failures_max=3, refusals_max=1, in_flight_per_owner_max=1)
    relay.webhooks.configure(OWNER, receiver.url)
    texts(relay.journal, *range(6))
    eventually(
        lambda: len(told(event_log)) == 6 and all("Abandoned" in one for one in told(event_log))
    )
    assert events_of(event_log, WebhookDisabled) == [WebhookDisabled(reason="failures", failures=3)]
    reasons = [one.reason for one in events_of(event_log, CallbackAbandoned)]
    assert sorted(reasons) == ["refused"] * 3 + ["webhook disabled"] * 3
    assert len(receiver.calls) == 3
    receiver.answer = 200
    relay.webhooks.configure(OWNER, receiver.url)
    texts(relay.journal, 7)
    eventually(lambda: len(receiver.calls) == 4)


def test_gone_disables_the_webhook_at_once(
    event_log: EventLog, start_relay: StartRelay, receiver: Receiver
) -> None:
    receiver.answer = 410
    relay = start_relay()
    relay.webhooks.configure(OWNER, receiver.url)
    texts(relay.journal, 1)
    eventually(lambda: events_of(event_log, WebhookDisabled))
    webhook = relay.webhooks.show(OWNER)
    assert webhook is not None
    assert (webhook.enabled, webhook.disabled_reason) == (False, "gone")
    assert told(event_log) == [["Queued", "Abandoned"]]


def test_what_is_too_old_is_given_up_without_a_request(
    event_log: EventLog, start_relay: StartRelay, receiver: Receiver
) -> None:
    relay = start_relay(age_s_max=0.5)
    relay.webhooks.configure(OWNER, receiver.url)
    receiver.answer = 503
    texts(relay.journal, 1)
    eventually_equal(lambda: told(event_log), [["Queued", "Abandoned"]])
    (abandoned,) = events_of(event_log, CallbackAbandoned)
    assert abandoned.reason == "too old"


def test_another_owners_trouble_is_nobodys_delay(
    start_relay: StartRelay, receiver: Receiver
) -> None:
    relay = start_relay()
    with Receiver() as stuck:
        stuck.hanging = True
        relay.webhooks.configure("usr_2", stuck.url)
        relay.webhooks.configure(OWNER, receiver.url)
        texts(relay.journal, *range(10), owner="usr_2")
        eventually(lambda: len(stuck.calls) == 4)
        texts(relay.journal, *range(10))
        eventually(lambda: len(receiver.calls) == 10)


def test_what_can_not_be_told_is_put_aside_and_delays_nobody(
    event_log: EventLog,
    start_relay: StartRelay,
    database_url: str,
    receiver: Receiver,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tell = TOPICS[MoReceived].tell

    def stumble(stream: Any, version: int) -> Told:  # noqa: ANN401
        if stream[0].event.text == "text 1":
            raise ZeroDivisionError
        return tell(stream, version)

    monkeypatch.setitem(TOPICS, MoReceived, Topic("inbound", stumble))
    relay = start_relay()
    relay.webhooks.configure(OWNER, receiver.url)
    texts(relay.journal, 1, 2)
    eventually(lambda: receiver.calls)
    eventually_equal(
        lambda: sorted(told(event_log)), [["Queued", "Abandoned"], ["Queued", "Delivered"]]
    )
    letters = "SELECT count(*) FROM signalbox.dead_letters WHERE reader = 'callbacks'"
    assert rows(database_url, letters) == [(1,)]


def test_two_relays_send_each_callback_once_while_leases_move(
    event_log: EventLog, start_relay: StartRelay, receiver: Receiver
) -> None:
    first = start_relay()
    owners = [f"usr_{n}" for n in range(12)]
    for owner in owners:
        first.webhooks.configure(owner, receiver.url)

    def happen() -> None:
        for number in range(10):
            for owner in owners:
                texts(first.journal, number, owner=owner)

    happening = gevent.spawn(happen)
    eventually(lambda: receiver.calls)
    second = start_relay()
    eventually(lambda: second.keeper.held and len(first.keeper.held) < PARTITIONS)
    happening.join()
    eventually(lambda: len(receiver.calls) >= 120, timeout_s=15)
    second.close()
    eventually(lambda: len(first.keeper.held) == PARTITIONS)
    gevent.sleep(0.3)
    assert len(receiver.calls) == len(set(receiver.event_ids)) == 120
    assert {tuple(one) for owner in owners for one in told(event_log, owner)} == {
        ("Queued", "Delivered")
    }


def test_who_is_killed_between_request_and_record_is_followed_by_the_same_id(
    event_log: EventLog, start_relay: StartRelay, receiver: Receiver
) -> None:
    relay = start_relay(lease_s=1.0)
    relay.webhooks.configure(OWNER, receiver.url)

    def crash(_call: Call) -> int:
        if len(receiver.calls) == 1:
            relay.crash()
        return 200

    receiver.answer = crash
    texts(relay.journal, 1)
    eventually(lambda: receiver.calls)
    start_relay(lease_s=1.0)
    eventually_equal(lambda: told(event_log), [["Queued", "Delivered"]])
    first, second = receiver.calls
    assert first.event_id == second.event_id
    assert first.body == second.body


def test_a_relay_that_stops_waits_for_the_answers_to_what_it_posted(
    event_log: EventLog, start_relay: StartRelay, receiver: Receiver
) -> None:
    relay = start_relay()
    relay.webhooks.configure(OWNER, receiver.url)

    def slowly(_call: Call) -> int:
        gevent.sleep(0.3)
        return 200

    receiver.answer = slowly
    texts(relay.journal, 1)
    eventually(lambda: receiver.calls)
    relay.close()
    assert told(event_log) == [["Queued", "Delivered"]]


def test_a_partition_that_is_being_handed_over_is_left_to_the_next_relay(
    start_relay: StartRelay, receiver: Receiver
) -> None:
    relay = start_relay()
    relay.webhooks.configure(OWNER, receiver.url)
    partition = partition_of(stream_of(OWNER), PARTITIONS)
    fence = relay.keeper.fence(partition)
    assert fence is not None
    relay.callbacks.leaving(partition)
    texts(relay.journal, 1)
    gevent.sleep(0.3)
    assert not receiver.calls
    relay.callbacks.lost(partition)
    relay.callbacks.gained(fence)
    eventually(lambda: receiver.calls)


def test_without_a_lease_nothing_is_queued(
    event_log: EventLog, journal: Journal, start_relay: StartRelay, receiver: Receiver
) -> None:
    relay = start_relay()
    relay.webhooks.configure(OWNER, receiver.url)
    fence = relay.keeper.fence(partition_of(NAME, PARTITIONS))
    assert fence is not None
    relay.callbacks.lost(fence.partition)
    texts(journal, 1)
    switch(journal)
    gevent.sleep(0.3)
    assert told(event_log) == []
    relay.callbacks.gained(fence)
    eventually(lambda: len(told(event_log)) == 2)


def test_a_name_that_turned_to_an_address_inside_is_not_called(
    event_log: EventLog, start_relay: StartRelay, receiver: Receiver
) -> None:
    relay = start_relay()
    relay.webhooks.configure(OWNER, receiver.url)
    relay.close()
    strict = start_relay(allowed_networks=())
    with pytest.raises(InvalidField, match="address not allowed"):
        strict.webhooks.configure(OWNER, receiver.url)
    texts(strict.journal, 1)
    eventually(lambda: events_of(event_log, CallbackFailed))
    assert events_of(event_log, CallbackFailed)[0].reason == "address not allowed"
    assert not receiver.calls


def test_it_is_no_failure_that_too_many_look_ups_of_others_hang(
    event_log: EventLog,
    start_relay: StartRelay,
    receiver: Receiver,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    relay = start_relay()
    relay.webhooks.configure(OWNER, receiver.url)
    look_up, hanging = Outside.addresses, [NoThread(), NoThread()]

    def addresses(outside: Outside, host: str, port: int) -> list[str]:
        if hanging:
            raise hanging.pop()
        return look_up(outside, host, port)

    monkeypatch.setattr(Outside, "addresses", addresses)
    texts(relay.journal, 1)
    eventually_equal(lambda: told(event_log), [["Queued", "Delivered"]])
    assert not hanging


def test_the_inbox_of_a_webhook_has_its_streams_name(
    database_url: str, start_relay: StartRelay, receiver: Receiver
) -> None:
    receiver.answer = 500
    relay = start_relay()
    relay.webhooks.configure(OWNER, receiver.url)
    texts(relay.journal, 1)
    eventually(lambda: receiver.calls)
    ((actor_id, stream_id),) = rows(database_url, INBOX)
    assert actor_id == stream_of(OWNER)
    assert stream_id == domain.stream_of(receiver.event_ids[0])
