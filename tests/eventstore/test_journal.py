"""The journal on a store that works: order, conflicts, gaps, and who fails with whom."""

import gevent
import psycopg
import pytest
from support.history import OFF, ON, append, rows, stored, text_from_handset, transactions

from signalbox.domain.errors import TenantErased
from signalbox.eventstore.errors import Conflict, FenceLost, Unavailable
from signalbox.eventstore.journal import Append, Journal, Write
from signalbox.eventstore.log import EventLog
from signalbox.eventstore.recorder import Fence, InboxRow, SubmittedPart


def inbox(url: str) -> list[str]:
    return [stream for (stream,) in rows(url, "SELECT stream_id FROM signalbox.inbox ORDER BY 1")]


def test_many_appends_share_a_commit(journal: Journal, database_url: str) -> None:
    results = [journal.append(append(f"link-{number}")) for number in range(500)]
    for result in results:
        result.get()
    assert len(stored(database_url)) == 500
    assert transactions(database_url) <= 5


def test_results_come_in_the_order_of_the_appends(journal: Journal, event_log: EventLog) -> None:
    results = [journal.append(append(f"link-{n}", events=[ON, OFF])) for n in range(50)]
    positions = [result.get() for result in results]
    assert positions == sorted(set(positions))
    assert journal.last_position == positions[-1] == event_log.head()


def test_a_version_is_written_once(journal: Journal, event_log: EventLog) -> None:
    journal.write(append("link-1", events=[ON]))
    with pytest.raises(Conflict, match="link-1 already has version 1"):
        journal.write(append("link-1", events=[OFF]))
    assert [recorded.event for recorded in event_log.read("link-1")] == [ON]


def test_of_two_first_versions_in_one_batch_the_first_wins(
    journal: Journal, database_url: str
) -> None:
    first, second = journal.append(append("link-1")), journal.append(append("link-1"))
    assert first.get() > 0
    with pytest.raises(Conflict):
        second.get()
    assert stored(database_url) == [("link-1", 1)]


@pytest.mark.parametrize("version", [2, 3])
def test_a_stream_gets_no_gap(journal: Journal, database_url: str, version: int) -> None:
    with pytest.raises(Conflict):
        journal.write(append("link-1", version))
    assert stored(database_url) == []


def test_a_gap_is_refused_when_the_versions_before_it_are_in_the_same_batch(
    journal: Journal, database_url: str
) -> None:
    whole = [journal.append(append("link-1", version)) for version in (1, 2)]
    behind_a_gap = journal.append(append("link-1", 4))
    for result in whole:
        result.get()
    with pytest.raises(Conflict):
        behind_a_gap.get()
    assert stored(database_url) == [("link-1", 1), ("link-1", 2)]


def test_an_append_is_stored_whole_or_not_at_all(journal: Journal, database_url: str) -> None:
    journal.write(append("link-2"))
    beside = {
        "inbox": [InboxRow("link-1", "message", "message-1")],
        "submitted": [SubmittedPart("account", "key", "message-1", 1)],
    }
    writes = [Write("message-1", 1, [ON]), Write("link-2", 1, [ON])]
    with pytest.raises(Conflict):
        journal.write(Append(writes=writes, **beside))  # type: ignore[arg-type]
    assert stored(database_url) == [("link-2", 1)]
    assert inbox(database_url) == []
    assert rows(database_url, "SELECT * FROM signalbox.submitted_parts") == []
    writes[1] = Write("link-2", 2, [ON])
    journal.write(Append(writes=writes, **beside))  # type: ignore[arg-type]
    assert stored(database_url) == [("link-2", 1), ("message-1", 1), ("link-2", 2)]
    assert inbox(database_url) == ["message-1"]
    parts = "SELECT account, smsc_key, stream_id, part FROM signalbox.submitted_parts"
    assert rows(database_url, parts) == [("account", "key", "message-1", 1)]


@pytest.mark.parametrize(
    "bad",
    [append("link-0"), append("nul-\0"), append("surrogate-\ud800"), append("link-99", 2**63)],
    ids=["conflict", "NUL", "surrogate", "version"],
)
def test_one_bad_append_does_not_harm_the_others(
    journal: Journal, database_url: str, bad: Append
) -> None:
    journal.write(append("link-0"))
    good = [journal.append(append(f"link-{number}")) for number in range(1, 10)]
    refused = journal.append(bad)
    good += [journal.append(append(f"link-{number}")) for number in range(10, 20)]
    assert len({result.get() for result in good}) == 19
    assert refused.exception is not None
    assert [stream for stream, _ in stored(database_url)] == [f"link-{n}" for n in range(20)]


def test_what_was_decided_upon_a_failed_append_fails_with_it(
    journal: Journal, event_log: EventLog
) -> None:
    journal.write(append("link-1"))
    journal.write(append("link-1", 2, [ON]))  # somebody else's second version
    second = journal.append(append("link-1", 2, [OFF]))
    third = journal.append(append("link-1", 3, [OFF]))
    fourth = journal.append(append("link-1", 4, [OFF]))
    for result in (second, third, fourth):
        with pytest.raises(Conflict):
            result.get()
    assert [recorded.event for recorded in event_log.read("link-1")] == [ON, ON]
    journal.write(append("link-1", 3, [OFF]))  # decided anew


def test_appends_may_build_on_each_other_before_they_are_stored(
    journal: Journal, database_url: str
) -> None:
    results = [journal.append(append("link-1", version)) for version in range(1, 20)]
    assert len({result.get() for result in results}) == 19
    assert stored(database_url) == [("link-1", version) for version in range(1, 20)]


def test_inbox_rows_come_and_go_with_events(journal: Journal, database_url: str) -> None:
    row = InboxRow("link-1", "message", "message-1")
    journal.write(append("message-1", inbox=[row]))
    assert inbox(database_url) == ["message-1"]
    journal.write(append("message-1", 2, done=["message-1"]))
    assert inbox(database_url) == []


def test_inbox_rows_come_and_go_without_events_too(journal: Journal, database_url: str) -> None:
    row = InboxRow("link-1", "message", "message-1")
    position = journal.write(append("message-1", inbox=[row]))
    assert journal.write(Append(writes=[], done=["message-1"])) == position
    assert inbox(database_url) == []
    assert journal.write(Append(writes=[], inbox=[row])) == position
    assert inbox(database_url) == ["message-1"]
    with pytest.raises(Conflict):
        journal.write(Append(writes=[], inbox=[row]))


def test_a_row_that_was_taken_is_gone_but_none_that_came_after_it(
    journal: Journal, database_url: str
) -> None:
    row = InboxRow("link-1", "message", "message-1", due_s=12.5)
    journal.write(append("message-1", inbox=[row]))
    ((seq, due_s),) = rows(database_url, "SELECT seq, due_s FROM signalbox.inbox")
    assert due_s == 12.5
    journal.write(Append(writes=[], taken=[seq], inbox=[row]))
    assert inbox(database_url) == ["message-1"]
    journal.write(Append(writes=[], taken=[seq]))
    assert inbox(database_url) == ["message-1"]


def test_work_that_is_lined_up_again_is_not_lost_to_an_earlier_end(
    journal: Journal, database_url: str
) -> None:
    row = InboxRow("link-1", "message", "message-1")
    ended = journal.append(append("message-1", done=["message-1"]))
    again = journal.append(append("message-1", 2, inbox=[row]))
    assert ended.get() < again.get()
    assert transactions(database_url) == 1
    assert inbox(database_url) == ["message-1"]


def test_an_empty_append_tells_that_all_before_is_stored(journal: Journal) -> None:
    before = journal.append(append("link-1"))
    assert journal.write(Append(writes=[])) == before.get(block=False)


def test_a_full_journal_takes_no_more(event_log: EventLog) -> None:
    journal = Journal(event_log, waiting_appends_max=2)
    taken = [journal.append(append(f"link-{number}")) for number in range(2)]
    with pytest.raises(Unavailable, match="full"):
        journal.append(append("link-2"))
    for result in taken:
        result.get()
    journal.write(append("link-2"))
    journal.close()


def test_a_closed_journal_has_written_what_waited_and_takes_no_more(event_log: EventLog) -> None:
    journal = Journal(event_log)
    results = [journal.append(append(f"link-{number}")) for number in range(10)]
    journal.close()
    assert all(result.successful() for result in results)
    with pytest.raises(Unavailable, match="closed"):
        journal.append(append("link-11"))


def test_a_journal_that_is_closed_leaves_another_of_the_same_log_alone(
    event_log: EventLog,
) -> None:
    closing, other = Journal(event_log), Journal(event_log)
    closing.write(append("link-1"))
    writing = gevent.spawn(lambda: [other.write(append("link-2", n)) for n in range(1, 201)])
    gevent.sleep(0.05)
    closing.close()
    assert len(writing.get(timeout=20)) == 200
    other.close()


def test_a_journal_that_the_store_holds_up_can_be_closed(
    event_log: EventLog, database_url: str
) -> None:
    journal = Journal(event_log)
    with psycopg.connect(database_url) as blocker:
        blocker.execute("LOCK TABLE signalbox.stored_events IN SHARE MODE")
        result = journal.append(append("link-1"))
        gevent.sleep(0.1)
        with gevent.Timeout(5):
            journal.close(timeout_s=0)
        with pytest.raises(Unavailable, match="closed"):
            result.get(timeout=1)


def test_nothing_personal_is_written_for_an_erased_tenant(
    journal: Journal, event_log: EventLog, database_url: str
) -> None:
    event_log.tenant_keys.destroy("acme")
    write = Write("mo-1", 1, [text_from_handset("hello")], tenant_id="acme")
    with pytest.raises(TenantErased):
        journal.append(Append(writes=[write]))
    journal.write(Append(writes=[Write("link-1", 1, [ON], tenant_id="acme")]))
    assert stored(database_url) == [("link-1", 1)]


def lease(url: str, partition: int, epoch: int, *, ends_in_s: float = 60) -> None:
    with psycopg.connect(url) as connection:
        connection.execute(
            "INSERT INTO signalbox.leases VALUES (%s, 'somebody', %s,"
            " clock_timestamp() + make_interval(secs => %s))",
            (partition, epoch, ends_in_s),
        )


def test_only_the_newest_epoch_of_a_lease_may_write(journal: Journal, database_url: str) -> None:
    lease(database_url, 5, epoch=2)
    current = journal.append(append("link-1", fence=Fence(5, 2)))
    stale = journal.append(append("link-2", fence=Fence(5, 1)))
    unfenced = journal.append(append("link-3"))
    assert current.get() < unfenced.get()
    with pytest.raises(FenceLost, match=r"lost the leases of partitions \[5\]"):
        stale.get()
    assert stored(database_url) == [("link-1", 1), ("link-3", 1)]


def test_a_lease_that_ran_out_allows_nothing(journal: Journal, database_url: str) -> None:
    lease(database_url, 5, epoch=1, ends_in_s=-1)
    for fence in (Fence(5, 1), Fence(6, 1)):
        with pytest.raises(FenceLost):
            journal.write(append("link-1", fence=fence))
    assert stored(database_url) == []
