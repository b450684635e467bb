"""Streams decided by whoever is asked: always by the newest state, and not for ever."""

from collections.abc import Callable, Sequence
from typing import Final

import gevent
import pytest
from support.history import rows

from signalbox.actors import streams
from signalbox.actors.streams import Beside, Streams
from signalbox.domain.errors import UnknownIp
from signalbox.domain.names import Event
from signalbox.domain.sending_ip import WarmupGroupingRemoved, WarmupIpRemoved
from signalbox.eventstore.errors import Unavailable
from signalbox.eventstore.journal import Append, Journal, Write
from signalbox.eventstore.log import EventLog
from signalbox.eventstore.recorder import InboxRow, LineRow

STREAM: Final = "ip-192.0.2.1"
NEWS: Final = WarmupIpRemoved()
LINE: Final = LineRow(
    phone_id="dev_1",
    connection=7,
    owner="usr_1",
    process="p",
    anonymous=True,
    seen_at_s=1_000.5,
    ttl_s=45.0,
)
LINES: Final = """
    SELECT phone_id, connection, owner, process, anonymous, sims,
           extract(epoch FROM seen_at)::float8,
           expires_at BETWEEN now() + interval '40 s' AND now() + interval '45 s'
    FROM signalbox.phone_lines
"""

Decide = Callable[[int, float], Sequence[Event]]


def count(state: int, _event: Event, _at_s: float) -> int:
    return state + 1


def append_one(_state: int, _now_s: float) -> Sequence[Event]:
    return (NEWS,)


@pytest.fixture
def counters(event_log: EventLog, journal: Journal) -> Streams[int]:
    return Streams(event_log, journal, 0, count)


def somebody_else(journal: Journal, version: int) -> None:
    journal.write(Append(writes=(Write(STREAM, version, (NEWS,)),)))


def test_a_decision_is_stored_and_then_the_state(counters: Streams[int]) -> None:
    assert counters.remembered(STREAM) == 0
    counters.change(STREAM, append_one)
    assert counters.remembered(STREAM) == counters.newest(STREAM) == 1


def test_who_is_forestalled_decides_again(counters: Streams[int], journal: Journal) -> None:
    states: list[int] = []

    def decide(state: int, _now_s: float) -> Sequence[Event]:
        states.append(state)
        if state < 3:
            somebody_else(journal, state + 1)
        return (NEWS,)

    counters.change(STREAM, decide)
    assert states == [0, 1, 2, 3]
    assert counters.newest(STREAM) == 4


def test_who_is_forestalled_for_ever_is_told_so(
    counters: Streams[int], journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "DECIDE_TRIES", 3)

    def decide(state: int, _now_s: float) -> Sequence[Event]:
        somebody_else(journal, state + 1)
        return (NEWS,)

    with pytest.raises(Unavailable, match="changes all the time"):
        counters.change(STREAM, decide)
    assert counters.newest(STREAM) == 3


def test_a_refusal_leaves_the_stream_to_the_next(counters: Streams[int]) -> None:
    def refuse(_state: int, _now_s: float) -> Sequence[Event]:
        raise UnknownIp

    with pytest.raises(UnknownIp):
        counters.change(STREAM, refuse)
    counters.change(STREAM, append_one)
    assert counters.newest(STREAM) == 1


def test_nobody_waits_for_ever_for_those_before(
    counters: Streams[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "BUSY_S_MAX", 0.05)

    def wait(_state: int, _now_s: float) -> Sequence[Event]:
        gevent.sleep(0.5)
        return ()

    slow = gevent.spawn(counters.change, STREAM, wait)
    gevent.sleep(0)
    with pytest.raises(Unavailable, match="too many decide"):
        counters.change(STREAM, append_one)
    slow.get(timeout=5)


def test_many_in_one_process_take_turns_without_conflicts(counters: Streams[int]) -> None:
    calls = 0

    def decide(_state: int, _now_s: float) -> Sequence[Event]:
        nonlocal calls
        calls += 1
        return (NEWS, WarmupGroupingRemoved("&gmail"))

    at_once = [gevent.spawn(counters.change, STREAM, decide) for _ in range(20)]
    gevent.joinall(at_once, timeout=20, raise_error=True)
    assert (calls, counters.newest(STREAM)) == (20, 40)


def test_what_was_decided_is_returned_and_stored_for_its_tenant(
    counters: Streams[int], event_log: EventLog
) -> None:
    assert counters.change(STREAM, append_one, tenant_id="tenant", by="b") == (NEWS,)
    assert counters.change(STREAM, lambda _state, _now_s: ()) == ()
    (stored,) = event_log.read(STREAM)
    assert (stored.tenant_id, stored.by) == ("tenant", "b")


def test_what_closes_a_stream_takes_it_from_its_inbox(
    event_log: EventLog, journal: Journal, database_url: str
) -> None:
    until_two = Streams(event_log, journal, 0, count, is_open=lambda state: state < 2)
    row = InboxRow("phones-1", "push", STREAM)
    journal.write(Append(writes=(), inbox=(row,)))
    until_two.change(STREAM, append_one)
    assert rows(database_url, "SELECT stream_id FROM signalbox.inbox") == [(STREAM,)]
    until_two.change(STREAM, append_one)
    assert rows(database_url, "SELECT stream_id FROM signalbox.inbox") == []


def test_what_goes_with_events_is_stored_with_them(
    counters: Streams[int], event_log: EventLog, database_url: str
) -> None:
    row = InboxRow("somebody", "news", "other")
    beside = Beside((Write("other", 1, (NEWS,)),), (row,), (LINE,))
    counters.change(STREAM, append_one, beside=lambda events: beside if events else Beside())
    assert [one.event for one in event_log.read("other")] == [NEWS]
    assert rows(database_url, "SELECT stream_id FROM signalbox.inbox") == [("other",)]
    assert rows(database_url, LINES) == [("dev_1", 7, "usr_1", "p", True, None, 1_000.5, True)]


def test_nothing_goes_with_what_is_refused(
    counters: Streams[int],
    event_log: EventLog,
    database_url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(streams, "DECIDE_TRIES", 2)
    beside = Beside((Write("other", 2, (NEWS,)),), lines=(LINE,))  # version 1 is missing
    with pytest.raises(Unavailable):
        counters.change(STREAM, append_one, beside=lambda _: beside)
    assert event_log.read(STREAM) == event_log.read("other") == []
    assert rows(database_url, LINES) == []


def test_news_of_streams_nobody_asked_for_are_not_kept(
    counters: Streams[int], journal: Journal, event_log: EventLog
) -> None:
    somebody_else(journal, 1)
    counters.follow(event_log.read(STREAM)[0])
    assert counters.remembered(STREAM) == 1


def test_a_stream_that_was_forgotten_is_read_again(
    counters: Streams[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "REMEMBERED_MAX", 1)
    counters.change(STREAM, append_one)
    counters.change("ip-192.0.2.2", append_one)
    assert counters.remembered(STREAM) == 1
    counters.change(STREAM, append_one)
    assert counters.remembered(STREAM) == 2


def test_a_stream_is_read_from_any_version_on(journal: Journal, event_log: EventLog) -> None:
    for version in (1, 2, 3):
        somebody_else(journal, version)
    assert [one.version for one in event_log.read(STREAM, after=1)] == [2, 3]
    assert event_log.read(STREAM, after=3) == []
