"""Messages of phones: stored before anybody is answered, once, whole, and in one state for all."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import gevent
import pytest
from support.chaos_proxy import ChaosProxy
from support.history import rows, stored, transactions

from signalbox.actors import phone_pending
from signalbox.actors.phone_messages import (
    PHONE_MESSAGE_EVENTS,
    InboundRequest,
    OutboundRequest,
    PhoneMessages,
    Received,
)
from signalbox.domain import phone_message as domain
from signalbox.domain.errors import (
    IdempotencyConflict,
    NotPushedToPhone,
    QueueFull,
    Refused,
    TenantErased,
    UnknownPhoneMessage,
)
from signalbox.domain.once import OnceDone
from signalbox.domain.personal import ERASED
from signalbox.domain.phone_message import OutboundPushed, PhoneMessage, Reported, ReportStatus
from signalbox.domain.phone_rules import PhoneRules
from signalbox.eventstore.errors import Unavailable
from signalbox.eventstore.follower import Follower
from signalbox.eventstore.journal import Append, Journal, Write
from signalbox.eventstore.log import EventLog

SECRET_KEY: Final = "a secret key for tests, long enough"
USER: Final = "usr_0000000000000000000000000a"
ORG: Final = "org_acme"
PHONE: Final = "dev_1"
NOON: Final = datetime(2026, 12, 5, 12, 0, tzinfo=UTC)
NOON_S: Final = NOON.timestamp()
HOUR_S: Final = 3600.0
PENDING_MAX: Final = 30
NOBODY: Final = "0" * 32
HELLO: Final = OutboundRequest(to="+15551234567", text="hello")


@dataclass
class Clock:
    """Noon, until somebody moves it."""

    at: datetime = NOON

    def __call__(self) -> datetime:
        return self.at


def rules_of(owner: str) -> PhoneRules:
    return PhoneRules(ttl_s=HOUR_S, pending_max=PENDING_MAX, numbered=owner.startswith("org_"))


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def journal(event_log: EventLog, clock: Clock) -> Iterator[Journal]:
    journal = Journal(event_log, now=clock)
    yield journal
    journal.close()


@pytest.fixture
def messages(event_log: EventLog, journal: Journal) -> PhoneMessages:
    return PhoneMessages(event_log, journal, rules_of)


@pytest.fixture
def elsewhere(database_url: str) -> Iterator[PhoneMessages]:
    """Another process."""
    log = EventLog(database_url, SECRET_KEY)
    journal = Journal(log, now=Clock())
    yield PhoneMessages(log, journal, rules_of)
    journal.close()
    log.close()


def inbound(text: str = "hi", *same: str, at_s: float = NOON_S - 5) -> InboundRequest:
    return InboundRequest(
        sender="+15559876543",
        text=text,
        phone_id=PHONE,
        received_at_s=at_s,
        same=(PHONE, text, *same),
    )


def queue(messages: PhoneMessages, *texts: str, owner: str = USER, **more: str) -> list[str]:
    requests = [OutboundRequest(to="+15551234567", text=text) for text in texts or ("hello",)]
    return messages.queue(owner, requests, by="live-key", **more)


def waiting(url: str) -> list[tuple[str, str, str]]:
    return rows(url, "SELECT actor_id, kind, stream_id FROM signalbox.inbox ORDER BY seq")


def find(messages: PhoneMessages, key: str, owner: str = USER) -> PhoneMessage:
    found = messages.find(owner, key)
    assert found is not None
    return found


def push(journal: Journal, key: str, phone_id: str = PHONE, owner: str = USER) -> None:
    pushed = OutboundPushed(phone_id=phone_id, connection=1, attempt=1)
    journal.write(Append(writes=[Write(domain.stream_of(owner, key), 2, [pushed], owner)]))


def said(status: Reported, phone_id: str = PHONE, at_s: float = NOON_S) -> ReportStatus:
    return ReportStatus(status=status, phone_id=phone_id, at_s=at_s)


def at_once(*calls: Callable[[], Any]) -> list[Any]:
    """Call at the same moment; return what each returned or raised."""

    def caught(call: Callable[[], Any]) -> object:
        try:
            return call()
        except (Refused, Unavailable) as error:
            return error

    running = [gevent.spawn(caught, call) for call in calls]
    gevent.joinall(running, timeout=20, raise_error=True)
    return [one.value for one in running]


# what is taken on


def test_a_text_is_stored_and_waits_for_a_phone(
    messages: PhoneMessages, event_log: EventLog, database_url: str
) -> None:
    (key,) = messages.queue(USER, [HELLO], by="live-key", request_id="r-1")
    stream = f"sms-{USER}-{key}"
    (first,) = event_log.read(stream)
    assert (first.tenant_id, first.by, first.request_id) == (USER, "live-key", "r-1")
    assert first.event == domain.OutboundQueued(
        owner=USER,
        to="+15551234567",
        text="hello",
        segments=1,
        expires_at_s=NOON_S + HOUR_S,
        peer_digest=event_log.secrets.digest("peer", USER, "+15551234567"),
    )
    assert waiting(database_url) == [(f"phones-{USER}", "push", stream)]
    assert len(key) == 32
    assert find(messages, key).status == "queued"


def test_ids_are_for_some_and_numbers_for_others(messages: PhoneMessages) -> None:
    first, second = queue(messages, "a", "b")
    assert first != second
    assert queue(messages, "a", "b", owner=ORG) == ["1", "2"]
    assert queue(messages, "c", owner=ORG) == ["3"]
    assert [find(messages, key, ORG).number for key in ("1", "2", "3")] == [1, 2, 3]
    assert find(messages, "2", ORG).text == "b"


def test_many_texts_are_one_transaction(messages: PhoneMessages, database_url: str) -> None:
    texts = [f"text {number}" for number in range(PENDING_MAX)]
    keys = queue(messages, *texts, owner=ORG, idempotency_key="k")
    assert [find(messages, key, ORG).text for key in keys] == texts
    assert transactions(database_url) == 1
    assert len(stored(database_url)) == 2 * PENDING_MAX + 1


def test_neither_text_nor_number_can_be_read_in_the_store(
    messages: PhoneMessages, database_url: str
) -> None:
    queue(messages, "a secret", idempotency_key="k")
    messages.receive(USER, [inbound("a secret")], by="test")
    whole_log = "SELECT string_agg(state::text, ' ') FROM signalbox.log"
    ((everything,),) = rows(database_url, whole_log)
    assert "sealed" in everything
    for secret in ("secret", "5551234567", "9876543"):
        assert secret not in everything


def test_what_was_erased_is_gone_at_once(messages: PhoneMessages, event_log: EventLog) -> None:
    (key,) = queue(messages)
    messages.report(USER, key, said("sent", phone_id=""), by=PHONE)
    assert find(messages, key).text == "hello"
    event_log.tenant_keys.destroy(USER)
    message = find(messages, key)
    assert (message.peer, message.text, message.status) == (ERASED, ERASED, "sent")
    messages.report(USER, key, said("delivered", phone_id=""), by=PHONE)
    assert find(messages, key).status == "delivered"


@pytest.mark.parametrize(("text", "segments"), [
    ("x" * 160, 1), ("x" * 161, 2), ("€" * 80, 1), ("€" * 81, 2), ("ж" * 70, 1), ("ж" * 71, 2),
])  # fmt: skip
def test_segments_are_counted(text: str, segments: int, messages: PhoneMessages) -> None:
    (key,) = queue(messages, text)
    assert find(messages, key).segments == segments


def test_one_peer_has_one_digest_however_it_is_written(messages: PhoneMessages) -> None:
    spelled = [OutboundRequest(to=to, text="x") for to in ("+1 (555) 123-4567", "+15551234567")]
    digests = {find(messages, key).peer_digest for key in messages.queue(USER, spelled, by="")}
    (foreign,) = messages.queue("usr_b", spelled[1:], by="")
    assert len(digests) == 1
    assert find(messages, foreign, "usr_b").peer_digest not in digests


def test_a_sim_is_kept_as_it_was_named(messages: PhoneMessages) -> None:
    sims = (0, "+15550001111", None)
    requests = [OutboundRequest(to="+15551234567", text="x", sim=sim) for sim in sims]
    keys = messages.queue(USER, requests, by="")
    assert tuple(find(messages, key).sim for key in keys) == sims


# the same request again


def test_a_request_that_came_before_is_answered_as_it_was_then(
    messages: PhoneMessages, elsewhere: PhoneMessages, database_url: str
) -> None:
    for owner in (USER, ORG):
        keys = queue(messages, "a", "b", owner=owner, idempotency_key="k")
        assert queue(messages, "a", "b", owner=owner, idempotency_key="k") == keys
        assert queue(elsewhere, "a", "b", owner=owner, idempotency_key="k") == keys
    assert len(waiting(database_url)) == 4


@pytest.mark.parametrize("other", [
    [OutboundRequest(to="+15551234567", text="other")],
    [OutboundRequest(to="+15551234568", text="hello")],
    [OutboundRequest(to="+15551234567", text="hello", sim=1)],
    [HELLO, HELLO],
])  # fmt: skip
def test_another_request_with_a_used_key_is_refused(
    other: Sequence[OutboundRequest], messages: PhoneMessages, database_url: str
) -> None:
    messages.queue(USER, [HELLO], by="", idempotency_key="k")
    with pytest.raises(IdempotencyConflict):
        messages.queue(USER, other, by="", idempotency_key="k")
    assert len(waiting(database_url)) == 1


def test_owners_do_not_share_keys_and_a_request_without_one_is_new(
    messages: PhoneMessages, database_url: str
) -> None:
    queue(messages, idempotency_key="k")
    queue(messages, "another text", owner="usr_b", idempotency_key="k")
    queue(messages)
    queue(messages)
    assert len(waiting(database_url)) == 4


def test_a_key_may_be_used_anew_after_its_window(messages: PhoneMessages, clock: Clock) -> None:
    first = queue(messages, idempotency_key="k")
    clock.at += timedelta(days=1)
    assert queue(messages, idempotency_key="k") == first
    clock.at += timedelta(seconds=1)
    second = queue(messages, "another text", idempotency_key="k")
    assert second != first
    assert queue(messages, "another text", idempotency_key="k") == second
    with pytest.raises(IdempotencyConflict):
        queue(messages, idempotency_key="k")


@pytest.mark.parametrize("owner", [USER, ORG])
def test_of_requests_with_one_key_at_the_same_moment_one_is_carried_out(
    owner: str, messages: PhoneMessages, elsewhere: PhoneMessages, database_url: str
) -> None:
    answers = at_once(*[
        lambda process=process: queue(process, "a", "b", owner=owner, idempotency_key="k")
        for process in (messages, elsewhere) * 6
    ])  # fmt: skip
    assert answers == [answers[0]] * 12
    assert len(waiting(database_url)) == 2


def test_of_different_requests_with_one_key_at_the_same_moment_one_is_carried_out(
    messages: PhoneMessages, elsewhere: PhoneMessages, database_url: str
) -> None:
    answers = at_once(
        lambda: queue(messages, "a", idempotency_key="k"),
        lambda: queue(elsewhere, "b", idempotency_key="k"),
    )
    assert sum(isinstance(answer, IdempotencyConflict) for answer in answers) == 1
    assert len(waiting(database_url)) == 1


# how much may wait


def test_no_more_wait_than_may(messages: PhoneMessages, database_url: str) -> None:
    queue(messages, *["x"] * (PENDING_MAX - 1))
    with pytest.raises(QueueFull):
        queue(messages, "a", "b")
    queue(messages, "a")
    with pytest.raises(QueueFull) as refused:
        queue(messages, "b")
    assert refused.value.pending_max == PENDING_MAX == len(waiting(database_url))
    queue(messages, owner="usr_b")


@pytest.mark.parametrize("counted_s", [phone_pending.COUNTED_S, 0.0])
def test_no_more_wait_than_may_when_many_are_queued_at_once(
    messages: PhoneMessages,
    database_url: str,
    monkeypatch: pytest.MonkeyPatch,
    counted_s: float,
) -> None:
    monkeypatch.setattr(phone_pending, "COUNTED_S", counted_s)
    answers = at_once(*[lambda: queue(messages)] * 3 * PENDING_MAX)
    stored = sum(isinstance(answer, list) for answer in answers)
    assert 0 < stored == len(waiting(database_url)) <= PENDING_MAX


def test_what_others_queued_counts(messages: PhoneMessages, elsewhere: PhoneMessages) -> None:
    queue(elsewhere, *["x"] * PENDING_MAX)
    with pytest.raises(QueueFull):
        queue(messages)


def test_there_is_room_again_once_a_phone_sent(
    messages: PhoneMessages, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(phone_pending, "COUNTED_S", 0.0)
    key, *_ = queue(messages, *["x"] * PENDING_MAX)
    push(journal, key)
    messages.report(USER, key, said("sent"), by=PHONE)
    queue(messages)
    with pytest.raises(QueueFull):
        queue(messages)


def test_a_repeated_request_is_answered_when_the_queue_is_full(messages: PhoneMessages) -> None:
    keys = queue(messages, *["x"] * PENDING_MAX, idempotency_key="k")
    assert queue(messages, *["x"] * PENDING_MAX, idempotency_key="k") == keys


def test_what_could_not_be_stored_takes_no_room(
    messages: PhoneMessages, event_log: EventLog
) -> None:
    queue(messages)
    event_log.tenant_keys.destroy(USER)
    for _ in range(3):
        with pytest.raises(TenantErased):
            queue(messages, *["x"] * (PENDING_MAX - 1))


# what comes in


def test_a_text_that_comes_in_is_stored_once(
    messages: PhoneMessages, elsewhere: PhoneMessages, event_log: EventLog, database_url: str
) -> None:
    (first,) = messages.receive(USER, [inbound()], by=PHONE, request_id="r-1")
    assert first.is_new
    again = Received(first.key, is_new=False)
    assert messages.receive(USER, [inbound()], by=PHONE) == [again]
    assert elsewhere.receive(USER, [inbound()], by=PHONE) == [again]
    (recorded,) = event_log.read(f"sms-{USER}-{first.key}")
    assert (recorded.tenant_id, recorded.by, recorded.request_id) == (USER, PHONE, "r-1")
    assert len(stored(database_url)) == 2
    assert waiting(database_url) == []
    message = find(messages, first.key)
    assert (message.direction, message.status, message.peer, message.text) == (
        "inbound", "received", "+15559876543", "hi",
    )  # fmt: skip


def test_what_a_phone_tells_of_a_text_is_kept(messages: PhoneMessages) -> None:
    told = InboundRequest(
        sender="SUPPORT",
        text="",
        phone_id=PHONE,
        received_at_s=NOON_S - 60,
        same=("x",),
        device_ts_ms=1796464801000,
        sim_slot=1,
        sim_number="+15550001111",
    )
    (one,) = messages.receive(ORG, [told], by=PHONE)
    message = find(messages, one.key, ORG)
    assert (message.number, message.peer, message.text) == (1, "SUPPORT", "")
    assert (message.phone_id, message.received_at_s) == (PHONE, NOON_S - 60)
    assert (message.device_ts_ms, message.sim_slot) == (1796464801000, 1)
    assert message.sim_number == "+15550001111"


def test_a_phone_ahead_of_its_time_is_not_believed(messages: PhoneMessages) -> None:
    (one,) = messages.receive(USER, [inbound(at_s=NOON_S + 900)], by=PHONE)
    assert find(messages, one.key).received_at_s == NOON_S


def test_one_batch_may_have_a_text_twice_and_some_that_came_before(
    messages: PhoneMessages, database_url: str
) -> None:
    messages.receive(ORG, [inbound("b")], by=PHONE)
    texts = ["a", "b", "a", "c", "c"]
    received = messages.receive(ORG, [inbound(text) for text in texts], by=PHONE)
    assert received == [
        Received("2", is_new=True),
        Received("1", is_new=False),
        Received("2", is_new=False),
        Received("3", is_new=True),
        Received("3", is_new=False),
    ]
    assert transactions(database_url) == 2


def test_a_large_batch_is_one_transaction_in_its_order(
    messages: PhoneMessages, database_url: str
) -> None:
    received = messages.receive(ORG, [inbound(f"text {n}") for n in range(500)], by=PHONE)
    assert [one.key for one in received] == [str(number) for number in range(1, 501)]
    assert transactions(database_url) == 1
    assert messages.receive(ORG, [], by=PHONE) == []


@pytest.mark.parametrize("owner", [USER, ORG])
def test_texts_that_come_in_over_two_ways_at_once_are_stored_once(
    owner: str, messages: PhoneMessages, elsewhere: PhoneMessages
) -> None:
    batches = [[inbound(str(number)) for number in range(start, start + 6)] for start in range(6)]
    answers = at_once(*[
        lambda process=process, batch=batch: process.receive(owner, batch, by=PHONE)
        for process in (messages, elsewhere)
        for batch in batches
    ])  # fmt: skip
    received = [one for answer in answers for one in answer]
    assert len({one.key for one in received}) == sum(one.is_new for one in received) == 11


# what phones report


def test_reports_move_a_message_on_and_take_it_from_the_inbox(
    messages: PhoneMessages, journal: Journal, database_url: str
) -> None:
    (key,) = queue(messages)
    push(journal, key)
    messages.report(USER, key, said("sent", at_s=NOON_S), by=PHONE, request_id="r-2")
    assert find(messages, key).status == "sent"
    assert waiting(database_url) == []
    messages.report(USER, key, said("delivered"), by=PHONE)
    messages.report(USER, key, said("sent"), by=PHONE)
    assert find(messages, key).status == "delivered"
    names = "SELECT topic FROM signalbox.stored_events ORDER BY notification_id"
    assert rows(database_url, names) == [
        ("sms.queued.1",),
        ("sms.pushed.1",),
        ("sms.status_reported.1",),
        ("sms.status_reported.1",),
        ("sms.status_report_ignored.1",),
    ]


def test_whatever_a_report_stores_is_its_owners(
    messages: PhoneMessages, event_log: EventLog
) -> None:
    (key,) = queue(messages)
    messages.report(USER, key, said("sent", phone_id=""), by=PHONE, request_id="r-2")
    told = event_log.read(f"sms-{USER}-{key}")[-1]
    assert (told.tenant_id, told.by, told.request_id) == (USER, PHONE, "r-2")


def test_a_failure_takes_a_message_from_the_inbox_too(
    messages: PhoneMessages, database_url: str
) -> None:
    (key,) = queue(messages, owner=ORG)
    messages.report(ORG, key, said("failed", phone_id=""), by=PHONE)
    assert find(messages, key, ORG).status == "failed"
    assert waiting(database_url) == []


@pytest.mark.parametrize("key", ["", "7", NOBODY, "g" * 32, "A" * 32, "0" * 31, "../x", "\u0661"])
def test_a_key_that_no_message_has_is_unknown(key: str, messages: PhoneMessages) -> None:
    assert messages.find(USER, key) is None
    for change in (
        lambda: messages.report(USER, key, said("sent"), by=PHONE),
        lambda: messages.archive(USER, key, by=""),
    ):
        with pytest.raises(UnknownPhoneMessage):
            change()


@pytest.mark.parametrize("key", ["", "0", "01", "2", NOBODY, "9" * 30, "-1", "\u0661", "1\n"])
def test_a_number_that_no_message_has_is_unknown(key: str, messages: PhoneMessages) -> None:
    queue(messages, owner=ORG)
    assert messages.find(ORG, key) is None
    with pytest.raises(UnknownPhoneMessage):
        messages.report(ORG, key, said("sent", phone_id=""), by=PHONE)


def test_others_messages_are_unknown(messages: PhoneMessages) -> None:
    (key,) = queue(messages)
    assert messages.find("usr_b", key) is None
    with pytest.raises(UnknownPhoneMessage):
        messages.report("usr_b", key, said("sent", phone_id=""), by=PHONE)


def test_nothing_can_be_reported_of_what_came_in(messages: PhoneMessages) -> None:
    (one,) = messages.receive(USER, [inbound()], by=PHONE)
    with pytest.raises(UnknownPhoneMessage):
        messages.report(USER, one.key, said("sent", phone_id=""), by=PHONE)


def test_a_phone_has_no_say_in_what_another_one_got(
    messages: PhoneMessages, journal: Journal
) -> None:
    (key,) = queue(messages)
    push(journal, key)
    with pytest.raises(NotPushedToPhone):
        messages.report(USER, key, said("sent", phone_id="dev_2"), by=PHONE)
    assert find(messages, key).status == "sending"


def test_reports_that_race_end_as_if_one_came_after_the_other(
    messages: PhoneMessages, elsewhere: PhoneMessages, journal: Journal, event_log: EventLog
) -> None:
    (key,) = queue(messages)
    push(journal, key)
    words: tuple[Reported, ...] = ("sent", "delivered", "failed", "sent", "delivered", "delivered")
    at_once(*[
        lambda process=process, word=word: process.report(USER, key, said(word), by=PHONE)
        for word in words
        for process in (messages, elsewhere)
    ])  # fmt: skip
    recorded = event_log.read(f"sms-{USER}-{key}")
    assert [one.version for one in recorded] == list(range(1, len(recorded) + 1))
    message: PhoneMessage | None = None
    for one in recorded:
        assert isinstance(one.event, domain.Event)
        message = domain.evolve(message, one.event, one.at_s)
    assert message == find(messages, key) == find(elsewhere, key)
    assert message.status == "delivered"


def test_a_message_is_put_aside_once(
    messages: PhoneMessages, event_log: EventLog, database_url: str
) -> None:
    (key,) = queue(messages)
    messages.archive(USER, key, by="live-key", request_id="r-3")
    messages.archive(USER, key, by="live-key")
    last = event_log.read(f"sms-{USER}-{key}")[-1]
    assert (last.version, last.request_id, last.tenant_id) == (2, "r-3", USER)
    assert len(waiting(database_url)) == 1, "it is still to be sent"


# what nobody sent in time


def test_a_message_is_given_up_when_its_time_is_over_and_not_before(
    messages: PhoneMessages, clock: Clock, database_url: str
) -> None:
    (key,) = queue(messages)
    stream = f"sms-{USER}-{key}"
    clock.at += timedelta(seconds=HOUR_S - 1)
    assert messages.expire(stream) is False
    clock.at += timedelta(seconds=1)
    assert messages.expire(stream) is True
    assert messages.expire(stream) is False
    message = find(messages, key)
    assert (message.status, message.error) == ("failed", "expired")
    assert waiting(database_url) == []


# who waits for a push


@pytest.fixture
def followed(messages: PhoneMessages, event_log: EventLog) -> Iterator[PhoneMessages]:
    def take(found: list[Any]) -> None:
        for row in found:
            messages.follow(event_log.decode_row(row))

    follower = Follower(event_log, PHONE_MESSAGE_EVENTS, take)
    assert follower.listening.wait(5)
    yield messages
    follower.close()


def test_who_waits_learns_what_was_pushed_before_and_meanwhile(
    followed: PhoneMessages, journal: Journal
) -> None:
    first, second, third = queue(followed, "a", "b", "c")
    push(journal, first)
    asking = gevent.spawn(followed.wait_pushed, USER, [first, second, third], 2.0)
    gevent.sleep(0.05)
    push(journal, second)
    push(journal, third)
    assert asking.get(timeout=1) == {first, second, third}


def test_who_waits_is_answered_in_time(followed: PhoneMessages, journal: Journal) -> None:
    first, second = queue(followed, "a", "b", owner=ORG)
    push(journal, second, owner=ORG)
    with gevent.Timeout(2):
        assert followed.wait_pushed(ORG, [first, second], 0.1) == {second}
        assert followed.wait_pushed(ORG, [first], 0.0) == set()
        assert followed.wait_pushed(ORG, [], 5.0) == set()


# the store


@pytest.fixture
def proxy(database_url: str) -> Iterator[ChaosProxy]:
    with ChaosProxy(database_url) as proxy:
        yield proxy


@pytest.fixture
def far(proxy: ChaosProxy) -> Iterator[PhoneMessages]:
    log = EventLog(proxy.url, SECRET_KEY)
    with closing(log), closing(Journal(log, wait_s_max=0.5)) as journal:
        yield PhoneMessages(log, journal, rules_of)


@pytest.mark.parametrize("owner", [USER, ORG])
def test_without_a_store_nothing_is_acknowledged_or_stored_later(
    owner: str, far: PhoneMessages, proxy: ChaosProxy, database_url: str
) -> None:
    queue(far, owner=owner)
    before = stored(database_url)
    proxy.go_away()
    with gevent.Timeout(10):
        answers = at_once(
            lambda: queue(far, owner=owner),
            lambda: queue(far, owner=owner, idempotency_key="k"),
            lambda: far.receive(owner, [inbound()], by=PHONE),
            lambda: far.find(owner, "1" if owner == ORG else NOBODY),
            lambda: far.wait_pushed(owner, ["1"], 0.0),
        )
    assert [type(answer) for answer in answers] == [Unavailable] * 4 + [set]
    proxy.come_back()
    gevent.sleep(0.5)
    assert stored(database_url) == before


@pytest.mark.parametrize("owner", [USER, ORG])
def test_an_answer_of_the_store_that_is_lost_doubles_nothing(
    owner: str, far: PhoneMessages, proxy: ChaosProxy, database_url: str
) -> None:
    for number in range(2):
        proxy.commits_to_cut = 1
        queue(far, owner=owner, idempotency_key=f"k{number}")
        proxy.commits_to_cut = 1
        assert far.receive(owner, [inbound(str(number))], by=PHONE)[0].is_new
    assert len(waiting(database_url)) == 2
    done = "SELECT count(*) FROM signalbox.stored_events WHERE topic = 'once.done.1'"
    assert rows(database_url, done) == [(4,)]


def test_what_was_done_once_names_its_messages(
    messages: PhoneMessages, event_log: EventLog
) -> None:
    keys = queue(messages, "a", "b", idempotency_key="k")
    done = [r.event for b in event_log.everything() for r in b if isinstance(r.event, OnceDone)]
    assert [one.message_ids for one in done] == [tuple(keys)]
