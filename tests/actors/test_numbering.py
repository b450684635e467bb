"""Numbers of an owner's messages: no gap, in order, whoever takes them and whatever breaks."""

from collections.abc import Iterator
from contextlib import closing
from typing import Final

import gevent
import pytest
from support.chaos_proxy import ChaosProxy
from support.history import rows

from signalbox.actors.numbering import Numbering
from signalbox.actors.phone_messages import InboundRequest, OutboundRequest, PhoneMessages
from signalbox.domain import numbering as domain
from signalbox.domain.names import names_of
from signalbox.domain.numbering import NumberTaken
from signalbox.domain.phone_message import InboundReceived, OutboundQueued
from signalbox.domain.phone_rules import PhoneRules
from signalbox.eventstore.errors import Conflict, Unavailable
from signalbox.eventstore.journal import Append, Journal, Write
from signalbox.eventstore.log import EventLog

SECRET_KEY: Final = "a secret key for tests, long enough"
OWNER: Final = "org_acme-north"
RULES: Final = PhoneRules(ttl_s=3600, pending_max=10_000, numbered=True)
STREAM_NUMBERS: Final = 7
WRITERS, MESSAGES_EACH = 20, 50
_SEEN: Final = """
    SELECT count(*), coalesce(max(
        split_part(originator_id, '-', 4)::int * %s + originator_version), 0)
    FROM signalbox.stored_events WHERE topic = 'number.taken.1'
"""


@pytest.fixture
def numbering(event_log: EventLog, journal: Journal) -> Numbering:
    return Numbering(event_log, journal, stream_numbers=STREAM_NUMBERS)


@pytest.fixture
def other_log(database_url: str) -> Iterator[EventLog]:
    log = EventLog(database_url, SECRET_KEY)
    yield log
    log.close()


@pytest.fixture
def other_journal(other_log: EventLog) -> Iterator[Journal]:
    journal = Journal(other_log)
    yield journal
    journal.close()


def take(numbering: Numbering, count: int = 1) -> list[int]:
    """Take numbers, as often as it takes."""
    for _ in range(20):
        given: list[int] = []

        def make(numbers: range, given: list[int] = given) -> Append:
            given.extend(numbers)
            return Append(writes=(), wait_s=0.5)

        try:
            numbering.append(OWNER, count, make).get(timeout=5)
        except (Conflict, Unavailable):
            gevent.sleep(0.02)
        else:
            return given
    raise AssertionError("no number to be had")


def numbers_stored(url: str) -> list[int]:
    """Return all numbers in the order of the log."""
    found = rows(
        url,
        "SELECT originator_id, originator_version FROM signalbox.stored_events"
        " WHERE topic = 'number.taken.1' ORDER BY notification_id",
    )
    return [domain.number_at(stream, version, STREAM_NUMBERS) for stream, version in found]


def test_numbers_begin_with_one_and_have_no_gap(numbering: Numbering, database_url: str) -> None:
    taken = [take(numbering), take(numbering, 3), take(numbering, 2)]
    assert taken == [[1], [2, 3, 4], [5, 6]]
    assert numbers_stored(database_url) == [1, 2, 3, 4, 5, 6]


def test_one_append_may_fill_several_streams(numbering: Numbering, database_url: str) -> None:
    assert take(numbering, 3) == [1, 2, 3]
    assert take(numbering, 20) == list(range(4, 24))
    assert numbers_stored(database_url) == list(range(1, 24))
    streams = "SELECT DISTINCT originator_id FROM signalbox.stored_events ORDER BY 1"
    assert rows(database_url, streams) == [(f"numbers-{OWNER}-{chunk}",) for chunk in range(4)]


def test_nobody_waits_for_the_commit_of_the_number_before(
    numbering: Numbering, database_url: str
) -> None:
    take(numbering)
    asked = [numbering.append(OWNER, 1, lambda _: Append(writes=())) for _ in range(5)]
    assert not any(result.ready() for result in asked)
    gevent.wait(asked, timeout=5)
    assert numbers_stored(database_url) == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("stored", [0, 1, 6, 7, 8, 13, 14, 15, 49, 70, 71, 500])
def test_how_far_an_owner_is_tells_the_log(
    stored: int, numbering: Numbering, event_log: EventLog, journal: Journal
) -> None:
    if stored:
        take(numbering, stored)
    fresh = Numbering(event_log, journal, stream_numbers=STREAM_NUMBERS)
    assert take(fresh) == [stored + 1]


def test_what_others_took_is_taken_note_of(
    numbering: Numbering, other_log: EventLog, other_journal: Journal
) -> None:
    other = Numbering(other_log, other_journal, stream_numbers=STREAM_NUMBERS)
    assert (take(numbering), take(other, 10)) == ([1], list(range(2, 12)))
    assert take(numbering) == [12]


def test_who_follows_the_others_meets_no_conflict(
    numbering: Numbering, event_log: EventLog, other_log: EventLog, other_journal: Journal
) -> None:
    other = Numbering(other_log, other_journal, stream_numbers=STREAM_NUMBERS)
    take(numbering)
    take(other, 8)
    for batch in event_log.everything():
        for one in batch:
            numbering.follow(one.stream_id, one.version)
    numbering.append(OWNER, 1, lambda _: Append(writes=())).get(timeout=5)
    assert numbering.append(OWNER, 1, lambda _: Append(writes=())).get(timeout=5)


def test_what_follows_a_failed_number_fails_with_it_also_in_the_next_stream(
    numbering: Numbering, other_journal: Journal, database_url: str
) -> None:
    take(numbering, 5)
    other_journal.write(
        Append(writes=[Write(f"numbers-{OWNER}-0", 6, [NumberTaken("sms-foreign-6")])])
    )
    sixth, seventh = (
        numbering.append(OWNER, 1, lambda _: Append(writes=(), by="late")) for _ in range(2)
    )
    first_of_the_next_stream: list[int] = []

    def make(numbers: range) -> Append:
        first_of_the_next_stream.extend(numbers)
        return Append(writes=())

    numbering.append(OWNER, 1, make).get(timeout=5)
    for forestalled in (sixth, seventh):
        with pytest.raises(Conflict):
            forestalled.get(timeout=5)
    assert first_of_the_next_stream == [7]
    assert numbers_stored(database_url) == [1, 2, 3, 4, 5, 6, 7]


def test_an_append_that_is_refused_takes_no_number(numbering: Numbering) -> None:
    def refuse(_: range) -> Append:
        raise Unavailable("journal is full")

    assert take(numbering) == [1]
    with pytest.raises(Unavailable):
        numbering.append(OWNER, 1, refuse)
    assert take(numbering) == [2]


def test_a_store_that_comes_and_goes_leaves_no_gap(database_url: str) -> None:
    with ChaosProxy(database_url) as proxy:
        log = EventLog(proxy.url, SECRET_KEY)
        with closing(log), closing(Journal(log)) as journal:
            numbering = Numbering(log, journal, stream_numbers=STREAM_NUMBERS)
            writers = [gevent.spawn(lambda: [take(numbering) for _ in range(15)]) for _ in range(8)]
            for _ in range(4):
                gevent.sleep(0.05)
                proxy.commits_to_cut = 1
                gevent.sleep(0.05)
                proxy.go_away()
                gevent.sleep(0.1)
                proxy.come_back()
            gevent.joinall(writers, timeout=40, raise_error=True)
            taken = [number for writer in writers for given in writer.value for number in given]
    stored = numbers_stored(database_url)
    assert stored == list(range(1, len(stored) + 1))
    # What was stored although its caller was told otherwise is taken by nobody else.
    assert len(set(taken)) == len(taken) == 120 <= len(stored)


def test_readers_never_see_a_number_before_all_smaller_ones(
    event_log: EventLog,
    journal: Journal,
    other_log: EventLog,
    other_journal: Journal,
    database_url: str,
) -> None:
    processes = [
        PhoneMessages(log, own, lambda _: RULES, stream_numbers=STREAM_NUMBERS)
        for log, own in ((event_log, journal), (other_log, other_journal))
    ]
    ticket = OutboundRequest(to="+15551234567", text="hello")

    def write(writer: int) -> list[str]:
        messages, keys = processes[writer % 2], []
        for number in range(MESSAGES_EACH):
            if number % 5:
                keys += messages.queue(OWNER, [ticket], by="test")
            else:
                keys += [
                    one.key for one in messages.receive(OWNER, [inbound(writer, number)], by="")
                ]
        return keys

    writers = [gevent.spawn(write, writer) for writer in range(WRITERS)]
    reader = event_log.own_connection("reader")
    position, seen = 0, list[int]()
    topics = [*names_of(OutboundQueued, InboundReceived)]
    while len(seen) < WRITERS * MESSAGES_EACH:
        ready = all(writer.ready() for writer in writers)
        ((count, newest),) = rows(database_url, _SEEN, STREAM_NUMBERS)
        assert count == newest
        found, position = event_log.scan(reader.get(), position, 1000, topics)
        seen += [event_log.decode_row(row, hidden="").event.number for row in found]  # type: ignore[union-attr]
        assert seen == list(range(1, len(seen) + 1))
        assert not (ready and not found and len(seen) < WRITERS * MESSAGES_EACH)
    reader.discard()
    gevent.joinall(writers, timeout=40, raise_error=True)
    keys = [int(key) for writer in writers for key in writer.value]
    assert sorted(keys) == list(range(1, WRITERS * MESSAGES_EACH + 1))


def inbound(writer: int, number: int) -> InboundRequest:
    return InboundRequest(
        sender="+15559876543",
        text="hi",
        phone_id="pixel",
        received_at_s=1.0,
        same=("pixel", f"{writer} {number}"),
    )
