"""Sending for a caller who waits: once per key, within bounds, and never without the log."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import gevent
import psycopg
import pytest
from psycopg import sql
from support.gateway import Gateway, StartGateway, eventually, eventually_equal, handset, request
from support.smsc import NodeSmsc

from signalbox.actors.sending import SendRequest
from signalbox.domain.errors import (
    IdempotencyConflict,
    InvalidField,
    LinkIsDisabled,
    TextTooLong,
    UnknownLink,
)
from signalbox.domain.message import MessageAccepted
from signalbox.eventstore.errors import Unavailable
from signalbox.eventstore.log import EventLog

DAY = timedelta(days=1)


@pytest.fixture(scope="module")
def smsc() -> Iterator[NodeSmsc]:
    with NodeSmsc(DLR_DELAY_MS=10) as smsc:
        yield smsc


@contextmanager
def away(database_url: str) -> Iterator[None]:
    """Cut every connection to a database and refuse new ones for a while."""
    name = urlsplit(database_url).path.removeprefix("/")
    server = urlunsplit(urlsplit(database_url)._replace(path="/postgres"))
    allow = sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS {}")
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(allow.format(sql.Identifier(name), sql.SQL("false")))
        try:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (name,)
            )
            yield
        finally:
            connection.execute(allow.format(sql.Identifier(name), sql.SQL("true")))


def accepted(log: EventLog) -> int:
    return sum(isinstance(r.event, MessageAccepted) for batch in log.everything() for r in batch)


# what is accepted


def test_a_caller_learns_that_the_smsc_took_every_part(
    smsc: NodeSmsc, start_gateway: StartGateway
) -> None:
    gateway = start_gateway(smsc.port)
    sent = gateway.send(handset(), "x" * 200, transaction_id="t-1")
    assert (sent.status, sent.error, sent.parts) == ("submitted", "", 2)
    assert sent.transaction_id == "t-1"
    assert gateway.names(sent.message_id)[0] == "MessageAccepted"


def test_job_numbers_grow(smsc: NodeSmsc, start_gateway: StartGateway) -> None:
    gateway = start_gateway(smsc.port)
    first, second = gateway.send(handset()), gateway.send(handset())
    assert 0 < first.task_id < second.task_id


@pytest.mark.parametrize(("changes", "refusal"), [
    ({"link_id": 9}, UnknownLink),
    ({"text": ""}, InvalidField),
    ({"text": "x" * 1531}, TextTooLong),
])  # fmt: skip
def test_what_the_rules_forbid_is_refused_and_leaves_no_trace(
    smsc: NodeSmsc,
    start_gateway: StartGateway,
    changes: dict[str, Any],
    refusal: type[Exception],
) -> None:
    gateway = start_gateway(smsc.port)
    with pytest.raises(refusal):
        gateway.send(handset(), **changes)
    assert accepted(gateway.log) == 0


def test_a_link_that_is_off_refuses_and_takes_messages_as_soon_as_it_is_on(
    smsc: NodeSmsc, start_gateway: StartGateway
) -> None:
    gateway = start_gateway(smsc.port)
    gateway.links.toggle(1, False, "maintenance", by="test")  # noqa: FBT003
    with pytest.raises(LinkIsDisabled):
        gateway.send(handset())
    gateway.links.toggle(1, True, "", by="test")  # noqa: FBT003
    assert gateway.send(handset()).status == "submitted"


def test_a_repeated_request_gets_its_result_though_the_link_is_off_by_now(
    smsc: NodeSmsc, start_gateway: StartGateway
) -> None:
    gateway = start_gateway(smsc.port)
    destination = handset()
    first = gateway.send(destination, transaction_id="t-1")
    gateway.links.toggle(1, enabled=False, reason="maintenance", by="test")
    assert gateway.send(destination, transaction_id="t-1") == first
    with pytest.raises(LinkIsDisabled):
        gateway.send(destination, transaction_id="t-2")


def test_while_the_link_is_down_a_message_waits_and_its_caller_only_so_long(
    start_gateway: StartGateway,
) -> None:
    gateway = start_gateway(1, send_wait_s=0.3)  # nobody listens on port 1
    begun_s = monotonic()
    sent = gateway.send(handset())
    assert sent.status == "queued"
    assert 0.3 <= monotonic() - begun_s < 5
    assert gateway.names(sent.message_id) == ["MessageAccepted"]


# the same request again


def test_a_key_used_again_gets_the_answer_of_the_first_time(
    smsc: NodeSmsc, start_gateway: StartGateway
) -> None:
    gateway = start_gateway(smsc.port)
    same = request(handset(), idempotency_key="k-1", transaction_id="t-1")
    first, second = gateway.sending.send(same), gateway.sending.send(same)
    assert first == second
    assert len(smsc.seen(same.destination)) == 1


def test_a_key_is_known_to_every_process(smsc: NodeSmsc, start_gateway: StartGateway) -> None:
    gateway = start_gateway(smsc.port)
    same = request(handset(), idempotency_key="k-1")
    first = gateway.sending.send(same)
    assert gateway.sending_anew().send(same) == first
    assert len(smsc.seen(same.destination)) == 1


def test_of_many_who_use_a_key_at_once_one_sends(
    smsc: NodeSmsc, start_gateway: StartGateway
) -> None:
    gateway = start_gateway(smsc.port)
    same = request(handset(), idempotency_key="k-1")
    ways = [gateway.sending, gateway.sending_anew()]
    sends = [gevent.spawn(way.send, same) for way in ways * 10]
    gevent.joinall(sends, raise_error=True)
    (sent,) = {send.value for send in sends}
    assert sent.status == "submitted"
    assert len(smsc.seen(same.destination)) == 1


@pytest.mark.parametrize("change", [
    {"text": "other"}, {"source": "Other"}, {"transaction_id": "t-2"}, {"link_id": 2},
])  # fmt: skip
def test_a_key_used_for_another_request_is_a_conflict(
    smsc: NodeSmsc, start_gateway: StartGateway, change: dict[str, Any]
) -> None:
    gateway = start_gateway(smsc.port, smsc.port)
    destination = handset()
    gateway.send(destination, idempotency_key="k-1")
    with pytest.raises(IdempotencyConflict):
        gateway.send(destination, idempotency_key="k-1", **change)
    assert len(smsc.seen(destination)) == 1


def test_two_applications_may_use_the_same_key(smsc: NodeSmsc, start_gateway: StartGateway) -> None:
    gateway = start_gateway(smsc.port)
    destination = handset()
    mine = gateway.send(destination, idempotency_key="k-1", app_id=1)
    yours = gateway.send(destination, idempotency_key="k-1", app_id=2)
    assert mine.message_id != yours.message_id


def test_a_transaction_to_the_same_number_with_the_same_text_is_sent_once(
    smsc: NodeSmsc, start_gateway: StartGateway
) -> None:
    gateway = start_gateway(smsc.port)
    destination = handset()
    first = gateway.send(destination, transaction_id="t-1")
    again = gateway.send(destination, transaction_id="t-1")
    assert again == first
    others = [
        gateway.send(destination, "other", transaction_id="t-1"),
        gateway.send(destination, transaction_id="t-2"),
        gateway.send(handset(), transaction_id="t-1"),
        gateway.send(destination, transaction_id="t-1", app_id=2),
        gateway.send(destination),
        gateway.send(destination),
    ]
    assert len({sent.message_id for sent in [first, *others]}) == 7


@pytest.mark.parametrize("key", [{"transaction_id": "t-1"}, {"idempotency_key": "k-1"}])
def test_after_the_window_a_key_sends_anew(
    smsc: NodeSmsc, start_gateway: StartGateway, key: dict[str, str]
) -> None:
    gateway = start_gateway(smsc.port)
    destination, began = handset(), datetime.now(UTC)
    first = gateway.send(destination, **key)
    gateway.journal.now = lambda: began + DAY - timedelta(seconds=1)
    assert gateway.send(destination, **key).message_id == first.message_id
    gateway.journal.now = lambda: began + DAY + timedelta(seconds=5)
    second = gateway.send(destination, **key)
    assert second.message_id != first.message_id
    assert gateway.send(destination, **key).message_id == second.message_id
    assert len(smsc.seen(destination)) == 2


# the store is away


def send_or_fail(gateway: Gateway, asked: SendRequest) -> float:
    """Return how long it took to be refused."""
    begun_s = monotonic()
    with pytest.raises(Unavailable):
        gateway.sending.send(asked)
    return monotonic() - begun_s


def test_while_the_store_is_away_a_send_is_refused_in_time_and_never_leaves(
    smsc: NodeSmsc, start_gateway: StartGateway, database_url: str
) -> None:
    gateway = start_gateway(smsc.port, lease_s=30)
    gateway.send(handset())
    refused = request(handset(), idempotency_key="k-1")
    with away(database_url):
        assert send_or_fail(gateway, refused) < 3.5
    after = gateway.send(handset())
    assert after.status == "submitted"
    assert smsc.seen(refused.destination) == []
    assert accepted(gateway.log) == 2
    assert gateway.sending.send(refused).status == "submitted"


def test_before_the_first_job_number_is_drawn_a_send_is_refused_in_time_too(
    smsc: NodeSmsc, start_gateway: StartGateway, database_url: str
) -> None:
    gateway = start_gateway(smsc.port, lease_s=30)
    with away(database_url):
        assert send_or_fail(gateway, request(handset())) < 3.5


def test_answers_that_come_while_the_store_is_away_are_recorded_when_it_is_back(
    start_gateway: StartGateway, database_url: str
) -> None:
    with NodeSmsc(RESP_DELAY_MS=300, DLR_DELAY_MS=10) as slow:
        gateway = start_gateway(slow.port, lease_s=30, response_timeout_s=5, send_wait_s=0.1)
        message_id = gateway.send(handset()).message_id
        eventually(lambda: slow.stats()["submits"] == 1)
        with away(database_url):
            gevent.sleep(0.6)
            assert slow.stats()["deliver_responses"] == 0
        eventually_equal(
            lambda: gateway.names(message_id),
            ["MessageAccepted", "SubmitAttempted", "MessageSubmitted", "ReceiptRecorded"],
        )
        eventually(lambda: slow.stats()["deliver_responses"] >= 1)
        assert len(slow.seen()) == 1
        gateway.close()


def test_a_send_refused_because_the_store_hangs_is_not_stored_later(
    smsc: NodeSmsc, start_gateway: StartGateway, database_url: str
) -> None:
    gateway = start_gateway(smsc.port, lease_s=30)
    gateway.send(handset())
    with psycopg.connect(database_url) as blocker:
        blocker.execute("LOCK TABLE signalbox.stored_events IN SHARE MODE")
        first = gevent.spawn(send_or_fail, gateway, request(handset()))
        gevent.sleep(0.1)  # the first is on its way into the store, the second still waits
        second = request(handset())
        assert send_or_fail(gateway, second) < 3.5
        first.get(timeout=1)
    assert gateway.send(handset()).status == "submitted"
    assert smsc.seen(second.destination) == []
