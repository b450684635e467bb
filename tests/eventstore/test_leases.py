"""Leases: who may act, who takes over, and what becomes of one who was away too long."""

import json
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from time import monotonic
from typing import Protocol

import gevent
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.chaos_proxy import ChaosProxy
from support.history import append, rows, stored
from support.script import line_of, running

from signalbox.eventstore.journal import Journal
from signalbox.eventstore.leases import LeaseKeeper, partition_of, share_of
from signalbox.eventstore.log import EventLog
from signalbox.eventstore.recorder import Fence

SECRET_KEY = "a secret key for tests, long enough"
PARTITIONS = 32  # of so many, each of two processes gets some
ALL = frozenset(range(PARTITIONS))
TTL_S = 2.0
TIMES = {"partitions": PARTITIONS, "ttl_s": TTL_S, "renew_s": 0.5, "safety_s": 0.6}
HOLDER = f"""
    from time import monotonic
    import gevent, json
    from signalbox.domain.link import LinkToggled
    from signalbox.eventstore.errors import FenceLost
    from signalbox.eventstore.journal import Append, Journal, Write
    from signalbox.eventstore.leases import LeaseKeeper

    log = EventLog(url, secret_key)
    journal = Journal(log)
    keeper = LeaseKeeper(log, lambda _: None, lambda _: None, **{TIMES!r})
    while len(keeper.held) < {PARTITIONS}:
        gevent.sleep(0.02)
    fence = keeper.fence(3)
    before_s = now_s = monotonic()
    print(fence.epoch, flush=True)
    while now_s - before_s < 1:  # until it was stopped and goes on
        gevent.sleep(0.02)
        before_s, now_s = now_s, monotonic()
    may_act = keeper.may_act(3)
    try:
        write = Write("link-1", 1, [LinkToggled(True)])
        outcome = journal.write(Append(writes=[write], fence=fence))
    except FenceLost as error:
        outcome = str(error)
    print(json.dumps([may_act, outcome]), flush=True)
"""

process_ids = st.sets(st.text(min_size=1), min_size=1, max_size=6)


class StartKeeper(Protocol):
    """Starts a keeper that is closed when the test ends."""

    def __call__(
        self,
        log: EventLog,
        gained: Callable[[Fence], None] = ...,
        lost: Callable[[int], None] = ...,
        **other_times: float,
    ) -> LeaseKeeper:
        """Return it, started."""
        ...


@pytest.fixture
def start_keeper() -> Iterator[StartKeeper]:
    with ExitStack() as keepers:

        def start(
            log: EventLog,
            gained: Callable[[Fence], None] = lambda _: None,
            lost: Callable[[int], None] = lambda _: None,
            **other_times: float,
        ) -> LeaseKeeper:
            keeper = LeaseKeeper(log, gained, lost, **TIMES | other_times)  # type: ignore[arg-type]
            keepers.callback(keeper.close)
            return keeper

        yield start


def eventually(is_so: Callable[[], bool], timeout_s: float = 5) -> bool:
    deadline_s = monotonic() + timeout_s
    while not is_so() and monotonic() < deadline_s:
        gevent.sleep(0.01)
    return is_so()


@given(process_ids)
def test_every_partition_belongs_to_exactly_one_process(live: set[str]) -> None:
    shares = [share_of(process_id, live, 32) for process_id in live]
    assert sorted(partition for share in shares for partition in share) == list(range(32))


@given(process_ids, st.text(min_size=1))
def test_who_comes_or_goes_moves_only_its_own_share(live: set[str], other: str) -> None:
    moved = share_of(other, live | {other}, 32)
    for process_id in live - {other}:
        alone = share_of(process_id, live - {other}, 32)
        assert share_of(process_id, live | {other}, 32) == alone - moved


def test_an_entity_belongs_to_the_same_partition_for_ever() -> None:
    assert [partition_of(f"link-{n}", 128) for n in range(1, 6)] == [26, 32, 54, 21, 3]


def test_two_holders_share_the_partitions_and_the_rest_gets_all_when_one_closes(
    event_log: EventLog, start_keeper: StartKeeper
) -> None:
    gained: list[Fence] = []
    lost: list[int] = []
    first = start_keeper(event_log, gained.append, lost.append)
    assert eventually(lambda: first.held == ALL)
    assert {fence.partition for fence in gained} == ALL
    second = start_keeper(event_log)
    assert eventually(lambda: bool(second.held) and first.held | second.held == ALL)
    assert not first.held & second.held
    assert set(lost) == second.held
    second.close()
    began_s = monotonic()
    assert eventually(lambda: first.held == ALL)
    assert monotonic() - began_s < TTL_S  # It did not wait for that.
    epochs = {fence.partition: fence.epoch for fence in gained}
    assert all(epochs[partition] == 3 for partition in lost)


def test_an_owner_that_is_killed_is_replaced_when_its_lease_has_ended(
    event_log: EventLog, database_url: str, start_keeper: StartKeeper
) -> None:
    with running(HOLDER, database_url, SECRET_KEY) as owner:
        assert line_of(owner) == "1"
        successor = start_keeper(event_log)
        assert eventually(lambda: bool(successor.held))
        owner.kill()
        began_s = monotonic()
        assert eventually(lambda: successor.held == ALL, timeout_s=TTL_S + 2)
        assert monotonic() - began_s > 0.5


def test_an_owner_that_was_stopped_too_long_can_neither_act_nor_append(
    event_log: EventLog, journal: Journal, database_url: str, start_keeper: StartKeeper
) -> None:
    with running(HOLDER, database_url, SECRET_KEY) as owner:
        assert line_of(owner) == "1"
        os.kill(owner.pid, signal.SIGSTOP)
        successor = start_keeper(event_log)
        assert eventually(lambda: successor.held == ALL, timeout_s=TTL_S + 2)
        fence = successor.fence(3)
        assert fence == Fence(3, 2)
        os.kill(owner.pid, signal.SIGCONT)
        assert json.loads(line_of(owner)) == [False, "lost the leases of partitions [3]"]
        journal.write(append("link-2", fence=fence))
    assert stored(database_url) == [("link-2", 1)]


def test_an_owner_that_is_cut_off_stops_before_its_lease_ends(
    database_url: str, start_keeper: StartKeeper
) -> None:
    lost: list[int] = []
    with ChaosProxy(database_url) as proxy:
        log = EventLog(proxy.url, SECRET_KEY)
        keeper = start_keeper(log, lost=lost.append)
        assert eventually(lambda: keeper.held == ALL)
        fence = keeper.fence(3)
        proxy.go_away()
        assert keeper.may_act(3)
        assert eventually(lambda: not keeper.may_act(3))
        running_out = "SELECT count(*) FROM signalbox.leases WHERE expires_at > clock_timestamp()"
        assert rows(database_url, running_out) == [(PARTITIONS,)]
        assert eventually(lambda: set(lost) == ALL)
        assert keeper.fence(3) is None
        proxy.come_back()
        assert eventually(lambda: keeper.held == ALL)
        again = keeper.fence(3)
        assert fence is not None
        assert again is not None
        assert again.epoch > fence.epoch
        keeper.close()
        log.close()


def test_what_begins_slowly_does_not_keep_the_leases_from_renewal(
    event_log: EventLog, start_keeper: StartKeeper
) -> None:
    ttl_s, begin_s = 2.6, 0.1
    assert begin_s * PARTITIONS > ttl_s
    lost: list[int] = []
    keeper = start_keeper(
        event_log, lambda _: gevent.sleep(begin_s), lost.append, ttl_s=ttl_s, safety_s=0.1
    )
    assert eventually(lambda: keeper.held == ALL, timeout_s=30)
    assert not lost


def test_a_partition_whose_take_over_failed_is_taken_again(
    event_log: EventLog, start_keeper: StartKeeper
) -> None:
    failures = iter([RuntimeError("no room")])

    def gained(_: Fence) -> None:
        for failure in failures:
            raise failure

    lost: list[int] = []
    keeper = start_keeper(event_log, gained, lost.append)
    assert eventually(lambda: keeper.held == ALL)
    assert len(lost) == 1


def test_appends_and_renewals_never_lock_each_other_out(
    event_log: EventLog, journal: Journal, start_keeper: StartKeeper, database_url: str
) -> None:
    keeper = start_keeper(event_log)
    assert eventually(lambda: keeper.held == ALL)
    version, deadline_s = 0, monotonic() + 1.5
    while monotonic() < deadline_s:
        version += 1
        results = [
            journal.append(append(f"link-{p}", version, fence=keeper.fence(p)))
            for p in sorted(ALL, reverse=True)
        ]
        for result in results:
            result.get(timeout=5)
    deadlocks = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
    assert rows(database_url, deadlocks) == [(0,)]


def test_processes_that_ended_long_ago_are_forgotten(
    event_log: EventLog, start_keeper: StartKeeper, database_url: str
) -> None:
    with event_log.pool.connection() as connection:
        connection.execute(
            "INSERT INTO signalbox.processes (id, kind, host, pid, expires_at)"
            " VALUES ('old', 'relay', 'here', 1, clock_timestamp() - interval '2 hours')"
        )
    keeper = start_keeper(event_log)
    assert eventually(lambda: keeper.held == ALL)
    listed = rows(database_url, "SELECT id FROM signalbox.processes")
    assert listed == [(keeper.process_id,)]
