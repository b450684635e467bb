"""The projector: batches, poison, kills and turns."""

import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace

import gevent
import psycopg
import pytest
from support.histories import (
    DELIVERED,
    T0_S,
    accepted,
    dead_letters,
    record,
    record_messages,
    rows_of,
)

from signalbox.eventstore.log import EventLog
from signalbox.eventstore.mapper import Recorded
from signalbox.eventstore.postgres import Broken
from signalbox.projections import activity, dashboard, links, messages
from signalbox.projections.building import build, rebuild, scratch_schema
from signalbox.projections.models import PROJECTIONS
from signalbox.projections.projection import Cursor, Projection
from signalbox.projections.projector import Progress, Projector
from signalbox.projections.readers import ReadModels

KILLED = -9

DIES_IN_THE_THIRD_BATCH = """
import signalbox.ops.patched
import os, signal, sys
from dataclasses import replace
from signalbox.eventstore.log import EventLog
from signalbox.projections.models import PROJECTIONS
from signalbox.projections.projector import Projector

batches = 0

def die(cursor, batch):
    global batches
    PROJECTIONS[0].apply(cursor, batch)
    batches += 1
    if batches == 3:
        os.kill(os.getpid(), signal.SIGKILL)

projections = (replace(PROJECTIONS[0], apply=die), *PROJECTIONS[1:])
projector = Projector(EventLog(*sys.argv[1:]), projections, batch_events_max=7)
projector.prepare()
while True:
    projector.advance()
"""


class Clumsy:
    """Applies like the dashboard, but can't take some events."""

    def __init__(self, *positions: int, error: Exception) -> None:
        self._positions, self._error = set(positions), error
        self.tries = 0
        self.projection = replace(dashboard.PROJECTION, apply=self._apply)

    def _apply(self, cursor: Cursor, batch: Sequence[Recorded]) -> None:
        dashboard.PROJECTION.apply(cursor, batch)
        if self._positions & {recorded.position for recorded in batch}:
            self.tries += len(batch) == 1
            raise self._error


@contextmanager
def projecting(log: EventLog, *projections: Projection, batch: int = 1000) -> Iterator[Projector]:
    with closing(Projector(log, projections, batch_events_max=batch)) as projector:
        projector.prepare()
        yield projector


def test_nothing_is_applied_twice(event_log: EventLog, projector: Projector) -> None:
    record_messages(event_log, 3)
    assert build(projector) == 12
    once = rows_of(event_log)
    assert projector.advance() == Progress(events=0)
    assert rows_of(event_log) == once


def test_a_step_tells_when_its_last_event_was_and_whether_more_waits(
    event_log: EventLog, projector: Projector
) -> None:
    record_messages(event_log, 2)
    assert projector.advance() == Progress(events=5, at_s=T0_S + 0.1, caught_up=False)
    assert projector.advance() == Progress(events=3, at_s=T0_S + 0.1, caught_up=True)


@pytest.mark.parametrize("batch", [1, 3, 1000])
def test_the_size_of_the_batches_changes_nothing(event_log: EventLog, batch: int) -> None:
    record_messages(event_log, 20)
    with projecting(event_log, *PROJECTIONS, batch=4) as projector:
        build(projector)
    by_fours = rows_of(event_log)
    rebuild(event_log, PROJECTIONS, batch_events_max=batch)
    assert rows_of(event_log) == by_fours


def test_an_event_that_can_not_be_applied_is_set_aside_after_three_tries(
    event_log: EventLog,
) -> None:
    record_messages(event_log, 8)
    poison = record(event_log, "message-poison", accepted())
    record_messages(event_log, 7, first=8)
    clumsy = Clumsy(poison, error=ValueError("no"))
    others = (messages.PROJECTION, links.PROJECTION, activity.PROJECTION)
    with projecting(event_log, *others[:1], clumsy.projection, *others[1:]) as all_:
        build(all_)
    assert clumsy.tries == 3
    assert dead_letters(event_log) == [("dashboard", poison)]
    assert ReadModels(event_log).figures().accepted == 15
    assert len(rows_of(event_log)["messages"]) == 16


def test_what_postgres_refuses_harms_no_other_event(event_log: EventLog) -> None:
    record_messages(event_log, 2)
    poison = record(event_log, "message-poison", accepted(transaction_id="a\0b"))
    orphan = record(event_log, "message-poison", DELIVERED[1], first_version=2)
    record_messages(event_log, 2, first=2)
    with projecting(event_log, *PROJECTIONS) as projector:
        build(projector)
    assert dead_letters(event_log) == [("messages", poison), ("messages", orphan)]
    assert len(rows_of(event_log)["messages"]) == 4
    assert ReadModels(event_log).figures().accepted == 5


def test_a_stored_state_that_can_not_be_read_is_set_aside(event_log: EventLog) -> None:
    broken = record(event_log, "message-broken", accepted())
    with event_log.pool.connection() as connection:
        connection.execute("UPDATE signalbox.stored_events SET state = '{'")
    record_messages(event_log, 1)
    with projecting(event_log, *PROJECTIONS) as projector:
        build(projector)
    assert dead_letters(event_log) == [("decoding", broken)]
    assert len(rows_of(event_log)["messages"]) == 1


def test_trouble_of_the_store_is_nobodys_dead_letter(event_log: EventLog) -> None:
    position = record_messages(event_log, 1)
    clumsy = Clumsy(position, error=psycopg.OperationalError("server closed the connection"))
    others = (messages.PROJECTION, activity.PROJECTION)
    with projecting(event_log, *others, clumsy.projection) as projector:
        with pytest.raises(Broken):
            projector.advance()
        assert dead_letters(event_log) == []
        assert ReadModels(event_log).figures().accepted == 0


def test_a_projector_killed_in_a_batch_leaves_what_a_rebuild_makes(
    event_log: EventLog, database_url: str
) -> None:
    record_messages(event_log, 20)
    arguments = [sys.executable, "-c", DIES_IN_THE_THIRD_BATCH, database_url, "a" * 32]
    assert subprocess.run(arguments, timeout=30, check=False).returncode == KILLED
    assert len(rows_of(event_log)["messages"]) == 4  # two batches of seven events
    with projecting(event_log, *PROJECTIONS, batch=7) as next_one:
        _wait_for_turn(next_one)
        build(next_one)
    after_the_kill = rows_of(event_log)
    rebuild(event_log, PROJECTIONS)
    assert rows_of(event_log) == after_the_kill


def test_only_one_projector_works_and_a_standby_takes_over(event_log: EventLog) -> None:
    with (
        projecting(event_log, *PROJECTIONS) as first,
        projecting(event_log, *PROJECTIONS) as second,
    ):
        record_messages(event_log, 1)
        assert first.advance().events == 4
        record_messages(event_log, 1, first=1)
        assert not second.advance().mine
        first.release()
        assert second.advance().events == 4
        assert not first.advance().mine


def test_a_projector_that_says_nothing_loses_its_turn(event_log: EventLog) -> None:
    with (
        projecting(event_log, *PROJECTIONS) as paused,
        projecting(event_log, *PROJECTIONS) as standby,
    ):
        paused.advance()
        _wait_for_turn(standby)
        record_messages(event_log, 1)
        assert not paused.advance().mine


def test_tables_of_another_version_are_left_alone(event_log: EventLog) -> None:
    with projecting(event_log, *PROJECTIONS) as old:
        newer = replace(dashboard.PROJECTION, version=2)
        with closing(Projector(event_log, (messages.PROJECTION, newer))) as new:
            assert not new.prepare()
            record_messages(event_log, 1)
            assert not new.advance().mine
        assert old.advance().events == 4


def test_a_bounded_projector_stops_at_its_bound(event_log: EventLog) -> None:
    record_messages(event_log, 2)
    bound = record(event_log, "message-last", accepted())
    record_messages(event_log, 2, first=2)
    with (
        scratch_schema(event_log, "bounded") as schema,
        closing(Projector(event_log, PROJECTIONS, schema, until=bound)) as projector,
    ):
        projector.prepare()
        assert build(projector) == 9
        assert ReadModels(event_log, schema).figures().accepted == 3


def _wait_for_turn(projector: Projector) -> None:
    with gevent.Timeout(5):
        while not projector.advance().mine:
            gevent.sleep(0.05)
