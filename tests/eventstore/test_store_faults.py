"""The store is away, cut off, or hangs: nothing is lost, nothing is stored twice, nobody waits."""

import os
import signal
from collections.abc import Iterator
from contextlib import closing
from time import monotonic

import gevent
import pytest
from support.chaos_proxy import ChaosProxy
from support.history import OFF, ON, append, backend_of, rows, stored, text_from_handset

from signalbox.eventstore.errors import Conflict, Unavailable
from signalbox.eventstore.journal import Append, Journal, Write
from signalbox.eventstore.log import EventLog
from signalbox.eventstore.recorder import InboxRow

SECRET_KEY = "a secret key for tests, long enough"


@pytest.fixture
def proxy(database_url: str) -> Iterator[ChaosProxy]:
    with ChaosProxy(database_url) as proxy:
        yield proxy


@pytest.fixture
def far_log(proxy: ChaosProxy) -> Iterator[EventLog]:
    log = EventLog(proxy.url, SECRET_KEY)
    yield log
    log.close()


@pytest.fixture
def far_journal(far_log: EventLog) -> Iterator[Journal]:
    journal = Journal(far_log)
    yield journal
    journal.close(timeout_s=0.1)


def test_a_caller_waits_for_the_store_as_long_as_it_wants(
    far_journal: Journal, proxy: ChaosProxy, database_url: str
) -> None:
    proxy.go_away()
    patient = far_journal.append(append("link-1", wait_s=None))
    began_s = monotonic()
    with pytest.raises(Unavailable):
        far_journal.write(append("link-2", wait_s=0.3))
    assert 0.2 < monotonic() - began_s < 2
    assert not patient.ready()
    proxy.come_back()
    assert patient.get(timeout=5) > 0
    assert stored(database_url) == [("link-1", 1)]


def test_what_relies_on_an_append_that_was_given_up_is_not_stored(
    far_journal: Journal, proxy: ChaosProxy, database_url: str
) -> None:
    proxy.go_away()
    first = far_journal.append(append("link-1", wait_s=0.1))
    second = far_journal.append(append("link-1", 2))
    with pytest.raises(Unavailable):
        first.get()
    proxy.come_back()
    with pytest.raises(Conflict):
        second.get()
    assert stored(database_url) == []


def test_a_journal_closed_without_a_store_leaves_nobody_waiting(
    far_journal: Journal, proxy: ChaosProxy
) -> None:
    proxy.go_away()
    results = [far_journal.append(append("link-1", version)) for version in (1, 2)]
    gevent.sleep(0.1)
    results.append(far_journal.append(append("link-1", 3)))
    far_journal.close(timeout_s=0.1)
    for result in results:
        with pytest.raises(Unavailable, match="closed"):
            result.get(timeout=1)


def test_readers_are_told_within_seconds_and_go_on_by_themselves(
    far_log: EventLog, far_journal: Journal, proxy: ChaosProxy
) -> None:
    far_journal.write(append("link-1"))
    proxy.go_away()
    began_s = monotonic()
    with pytest.raises(Unavailable):
        far_log.read("link-1")
    with pytest.raises(Unavailable):
        far_log.next_number("task_ids")
    write = Write("mo-1", 1, [text_from_handset("hello")], tenant_id="never seen here")
    with pytest.raises(Unavailable):
        far_journal.append(Append(writes=[write]))
    assert monotonic() - began_s < 10
    proxy.come_back()
    deadline_s = monotonic() + 5
    while True:
        try:
            assert [recorded.event for recorded in far_log.read("link-1")] == [ON]
            break
        except Unavailable:
            assert monotonic() < deadline_s


def test_an_append_whose_commit_was_not_answered_is_stored_once(
    far_journal: Journal, far_log: EventLog, proxy: ChaosProxy, database_url: str
) -> None:
    for version in range(1, 40, 2):
        proxy.commits_to_cut = 1
        assert far_journal.write(append("link-1", version, [ON, OFF])) == far_log.head()
        assert proxy.commits_to_cut == 0
    assert stored(database_url) == [("link-1", version) for version in range(1, 41)]


def test_a_whole_batch_whose_commit_was_not_answered_is_stored_once(
    far_journal: Journal, proxy: ChaosProxy, database_url: str
) -> None:
    streams = [f"message-{number}" for number in range(20)]
    proxy.commits_to_cut = 1
    results = [
        far_journal.append(append(stream, inbox=[InboxRow("link-1", "message", stream)]))
        for stream in streams
    ]
    foreign = far_journal.append(append(streams[7]))
    positions = [result.get() for result in results]
    with pytest.raises(Conflict):
        foreign.get()
    assert positions == sorted(set(positions))
    assert stored(database_url) == [(stream, 1) for stream in streams]
    assert len(rows(database_url, "SELECT * FROM signalbox.inbox")) == len(streams)


def test_commits_may_go_unanswered_again_and_again(
    far_journal: Journal, proxy: ChaosProxy, database_url: str
) -> None:
    proxy.commits_to_cut = 3
    assert far_journal.write(append("link-1")) > 0
    assert far_journal.write(append("link-1", 2)) > 0
    assert far_journal.write(append("link-1", 3)) > 0
    assert stored(database_url) == [("link-1", 1), ("link-1", 2), ("link-1", 3)]
    assert proxy.commits_to_cut == 0


def test_a_terminated_connection_is_replaced(journal: Journal, database_url: str) -> None:
    journal.write(append("link-1"))
    rows(database_url, "SELECT pg_terminate_backend(%s)", backend_of(database_url, "journal"))
    journal.write(append("link-1", 2))
    assert stored(database_url) == [("link-1", 1), ("link-1", 2)]


def test_a_server_that_became_read_only_is_left_for_another(
    journal: Journal, database_url: str
) -> None:
    journal.write(append("link-1"))
    journal.connection.get().execute("SET default_transaction_read_only = on")
    assert journal.append(append("link-1", 2)).get(timeout=5) > 0
    assert stored(database_url) == [("link-1", 1), ("link-1", 2)]


def test_a_store_that_hangs_is_left_for_a_new_connection(
    event_log: EventLog, database_url: str
) -> None:
    with closing(Journal(event_log, answer_s_max=0.5)) as journal:
        journal.write(append("link-1"))
        hanging = backend_of(database_url, "journal")
        os.kill(hanging, signal.SIGSTOP)
        try:
            assert journal.append(append("link-1", 2)).get(timeout=5) > 0
        finally:
            os.kill(hanging, signal.SIGCONT)
        journal.write(append("link-1", 3))
    assert stored(database_url) == [("link-1", 1), ("link-1", 2), ("link-1", 3)]
