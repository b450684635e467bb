"""Messages no phone sent in time are given up, by whoever looks, and each once."""

from collections.abc import Iterator
from typing import Final

import gevent
import pytest
from support.gateway import eventually
from support.history import rows

from signalbox.actors.phone_expiry import PhoneExpiry
from signalbox.actors.phone_messages import OutboundRequest, PhoneMessages
from signalbox.domain.phone_rules import PhoneRules
from signalbox.eventstore.errors import Unavailable
from signalbox.eventstore.journal import Journal
from signalbox.eventstore.log import EventLog

OWNER: Final = "org_acme"
NOW_S: Final = 1_800_000_000.0
EXPIRED: Final = "SELECT originator_id FROM signalbox.stored_events WHERE topic = 'sms.expired.1'"


@pytest.fixture
def messages(event_log: EventLog, journal: Journal) -> PhoneMessages:
    return PhoneMessages(
        event_log, journal, lambda _: PhoneRules(ttl_s=0, pending_max=100, numbered=True)
    )


@pytest.fixture
def started() -> Iterator[list[PhoneExpiry]]:
    running: list[PhoneExpiry] = []
    yield running
    for expiry in running:
        expiry.close()


def queue(messages: PhoneMessages, count: int = 1) -> list[str]:
    keys = messages.queue(OWNER, [OutboundRequest(to="+1555", text="x")] * count, by="test")
    return [f"sms-{OWNER}-{key}" for key in keys]


def test_what_is_due_is_given_up_by_several_at_once_and_once_each(
    messages: PhoneMessages, database_url: str, started: list[PhoneExpiry]
) -> None:
    streams = queue(messages, 25)
    started += [
        PhoneExpiry(lambda _now_s, _limit: streams, messages.expire, look_s=60) for _ in range(2)
    ]
    eventually(lambda: len(rows(database_url, EXPIRED)) == 25)
    assert rows(database_url, "SELECT * FROM signalbox.inbox") == []


def test_it_looks_again_and_again_at_the_time_of_its_clock(
    messages: PhoneMessages, database_url: str, started: list[PhoneExpiry]
) -> None:
    streams: list[str] = []
    asked: list[tuple[float, int]] = []

    def due(now_s: float, limit: int) -> list[str]:
        asked.append((now_s, limit))
        return streams

    started.append(
        PhoneExpiry(due, messages.expire, look_s=0.02, messages_max=7, now_s=lambda: NOW_S)
    )
    eventually(lambda: asked)
    streams += queue(messages)
    eventually(lambda: rows(database_url, EXPIRED))
    assert set(asked) == {(NOW_S, 7)}


def test_what_is_not_done_yet_is_done_at_once(started: list[PhoneExpiry]) -> None:
    waiting = [f"sms-{number}" for number in range(10)]

    def expire(stream_id: str) -> bool:
        waiting.remove(stream_id)
        return True

    expiry = PhoneExpiry(lambda _, limit: waiting[:limit], expire, look_s=60, messages_max=4)
    started.append(expiry)
    eventually(lambda: not waiting)


def test_a_view_that_lags_is_not_asked_over_and_over(started: list[PhoneExpiry]) -> None:
    asked = []

    def due(_now_s: float, limit: int) -> list[str]:
        asked.append(limit)
        return ["sms-1"] * limit

    expiry = PhoneExpiry(due, lambda _: False, look_s=60, messages_max=2)
    started.append(expiry)
    assert expiry.look() == 0
    eventually(lambda: len(asked) == 2)


@pytest.mark.parametrize("error", [Unavailable("away"), RuntimeError("a bug")])
def test_what_fails_now_is_tried_again_and_keeps_no_other_waiting(
    error: Exception, started: list[PhoneExpiry], caplog: pytest.LogCaptureFixture
) -> None:
    done: list[str] = []
    failing = {"sms-1"}

    def due(_now_s: float, _limit: int) -> list[str]:
        if "due" not in done:
            done.append("due")
            raise error
        return ["sms-1", "sms-2"]

    def expire(stream_id: str) -> bool:
        if stream_id in failing:
            raise error
        done.append(stream_id)
        return True

    started.append(PhoneExpiry(due, expire, look_s=0.01))
    eventually(lambda: "sms-2" in done)
    assert "sms-1" not in done
    failing.clear()
    eventually(lambda: "sms-1" in done)
    assert "expired messages can't be read" in caplog.text


def test_nobody_looks_after_it_was_closed() -> None:
    asked = []
    expiry = PhoneExpiry(lambda now_s, _: asked.append(now_s) or [], bool, look_s=0.01)
    eventually(lambda: asked)
    expiry.close()
    seen = len(asked)
    gevent.sleep(0.05)
    assert len(asked) == seen
