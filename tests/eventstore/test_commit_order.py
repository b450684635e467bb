"""Positions are in the order of the commits, whoever writes, and nothing keeps writers waiting."""

from time import monotonic

import gevent
import psycopg
import pytest
from support.history import append, rows, stored
from support.script import END_TIMEOUT_S, start

from signalbox.eventstore.journal import Journal
from signalbox.eventstore.log import EventLog
from signalbox.eventstore.postgres import Factory
from signalbox.eventstore.recorder import JournalRecorder

SECRET_KEY = "a secret key for tests, long enough"
WRITERS, EVENTS_EACH = 8, 200
WRITER = """
    from signalbox.domain.link import LinkToggled
    from signalbox.eventstore.journal import Append, Journal, Write

    journal = Journal(EventLog(url, secret_key), batch_events_max=2)
    for version in range(1, int(arguments[1]) + 1, 4):
        results = [
            journal.append(Append(writes=[Write(arguments[0], version + n, [LinkToggled(True)])]))
            for n in range(4)
        ]
        for result in results:
            result.get(timeout=20)
    journal.close()
"""


def test_a_reader_misses_nothing_of_many_writers(event_log: EventLog, database_url: str) -> None:
    writers = [
        start(WRITER, database_url, SECRET_KEY, f"link-{number}", str(EVENTS_EACH))
        for number in range(WRITERS)
    ]
    reader = event_log.own_connection("reader")
    seen: list[tuple[str, int]] = []
    position, deadline_s = 0, monotonic() + 40
    while len(seen) < WRITERS * EVENTS_EACH and monotonic() < deadline_s:
        found, position = event_log.scan(reader.get(), position, 100)
        seen += [(stream, version) for _, stream, version, _, _ in found]
    reader.discard()
    assert [writer.wait(END_TIMEOUT_S) for writer in writers] == [0] * WRITERS
    assert len(seen) == WRITERS * EVENTS_EACH
    assert seen == stored(database_url)


def test_the_librarys_own_insert_functions_are_never_used(event_log: EventLog) -> None:
    assert isinstance(event_log.factory, Factory)
    assert event_log.factory.datastore.enable_db_functions is False
    event_log.factory.datastore.enable_db_functions = True
    with pytest.raises(AssertionError, match="loses events"):
        JournalRecorder(event_log.factory.datastore)


def test_vacuum_and_analyze_do_not_stop_the_writers(journal: Journal, database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(
            "INSERT INTO signalbox.stored_events"
            " SELECT 'link-0', n, 'link.toggled.1', convert_to(repeat('x', 300), 'UTF8')"
            " FROM generate_series(1, 30000) AS n"
        )
    vacuum = gevent.spawn(slow_vacuum, database_url)
    version, waits_s = 0, [0.0]
    while not vacuum.ready():
        version += 1
        began_s = monotonic()
        journal.write(append("link-1", version))
        waits_s.append(monotonic() - began_s)
    took_s = vacuum.get()
    assert took_s > 0.5
    assert version >= 20
    assert max(waits_s) < took_s / 2


def slow_vacuum(url: str) -> float:
    """Vacuum with long pauses in between, as autovacuum does; return how long it took, in s."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SET vacuum_cost_delay = '20ms'")
        connection.execute("SET vacuum_cost_limit = 40")
        began_s = monotonic()
        connection.execute("VACUUM (FREEZE, ANALYZE) signalbox.stored_events")
        return monotonic() - began_s


def test_the_log_can_be_read_whole_and_by_name(journal: Journal, event_log: EventLog) -> None:
    for number in range(25):
        journal.write(append(f"link-{number}"))
    streams = [f"link-{number}" for number in range(25)]
    batches = list(event_log.everything(batch=10))
    assert [len(batch) for batch in batches] == [10, 10, 5]
    assert [recorded.stream_id for batch in batches for recorded in batch] == streams
    first, last = batches[0][0], batches[-1][-1]
    assert (last.position, last.version) == (event_log.head(), 1)
    assert list(event_log.everything(after=last.position)) == []
    assert list(event_log.everything(topics=["message.accepted.1"])) == []
    assert event_log.read(first.stream_id) == [first]


def test_numbers_are_drawn_once(event_log: EventLog, database_url: str) -> None:
    drawn = [event_log.next_number("user_ids") for _ in range(3)]
    assert drawn == [1, 2, 3]
    assert rows(database_url, "SELECT last_value FROM signalbox.user_ids") == [(3,)]
