"""Rebuilding the read models beside the live ones."""

from contextlib import closing
from dataclasses import replace

import gevent
import pytest
from support.histories import accepted, dead_letters, record, record_messages, rows_of

from signalbox.eventstore.log import EventLog
from signalbox.projections import dashboard, messages
from signalbox.projections.building import BeingBuiltError, build, rebuild, scratch_schema
from signalbox.projections.models import PROJECTIONS
from signalbox.projections.projector import Progress, Projector
from signalbox.projections.readers import ReadModels


def test_rebuilt_tables_equal_the_live_ones(event_log: EventLog, projector: Projector) -> None:
    record_messages(event_log, 30)
    build(projector)
    live = rows_of(event_log)
    assert rebuild(event_log, PROJECTIONS) == 120
    assert rows_of(event_log) == live
    assert len(live["messages"]) == 30


def test_writer_projector_and_readers_go_on_during_a_rebuild(
    event_log: EventLog, projector: Projector, models: ReadModels
) -> None:
    record_messages(event_log, 40)
    build(projector)
    stopping = False
    read: list[int] = []

    def write() -> None:
        for number in range(40, 80):
            record_messages(event_log, 1, first=number)
            gevent.sleep(0.005)

    def project() -> None:
        while not stopping:
            projector.advance()
            gevent.sleep(0.002)

    def read_all() -> None:
        while not stopping:
            read.append(models.figures().accepted)
            models.links()
            assert models.message("0000", app_id=3, link_id=1)
            gevent.sleep(0.001)

    others = [gevent.spawn(project), gevent.spawn(read_all), gevent.spawn(write)]
    for _ in range(3):
        rebuild(event_log, PROJECTIONS, batch_events_max=20, watch=lambda _: gevent.sleep(0.001))
    others[2].join()
    assert models.wait_for(event_log.head())
    stopping = True
    gevent.joinall(others, timeout=5, raise_error=True)
    assert read == sorted(read)
    assert dead_letters(event_log) == []
    live = rows_of(event_log)
    assert len(live["messages"]) == 80
    rebuild(event_log, PROJECTIONS)
    assert rows_of(event_log) == live


def test_the_projector_keeps_its_turn_over_a_rebuild(
    event_log: EventLog, projector: Projector
) -> None:
    projector.advance()
    rebuild(event_log, PROJECTIONS)
    record_messages(event_log, 1)
    assert projector.advance().events == 4


def test_a_rebuild_gives_the_tables_a_new_shape(event_log: EventLog, projector: Projector) -> None:
    record_messages(event_log, 2)
    build(projector)
    newer = (messages.PROJECTION, replace(dashboard.PROJECTION, version=2))
    rebuild(event_log, newer)
    assert "links" not in rows_of(event_log)
    with closing(Projector(event_log, newer)) as new:
        assert new.prepare()
    assert not projector.advance().mine


def test_two_rebuilds_do_not_get_into_each_others_way(event_log: EventLog) -> None:
    with scratch_schema(event_log, "signalbox_read_new"), pytest.raises(BeingBuiltError):
        rebuild(event_log, PROJECTIONS)


def test_what_a_killed_rebuild_left_is_cleared_away(
    event_log: EventLog, projector: Projector
) -> None:
    record_messages(event_log, 1)
    build(projector)
    live = rows_of(event_log)
    with event_log.pool.connection() as connection:
        connection.execute("CREATE SCHEMA signalbox_read_new")
        connection.execute("CREATE TABLE signalbox_read_new.tracking (half boolean)")
        connection.execute("CREATE SCHEMA signalbox_read_old")
    rebuild(event_log, PROJECTIONS)
    assert rows_of(event_log) == live
    assert (
        rows_of(event_log, "signalbox_read_new") == rows_of(event_log, "signalbox_read_old") == {}
    )


def test_a_failed_rebuild_leaves_the_live_tables(event_log: EventLog, projector: Projector) -> None:
    record_messages(event_log, 1)
    build(projector)
    live = rows_of(event_log)
    caught_up = []

    def fail_before_the_swap(progress: Progress) -> None:
        caught_up.append(progress.caught_up)
        if caught_up.count(True) == 2:
            raise RuntimeError("out of luck")

    with pytest.raises(RuntimeError, match="out of luck"):
        rebuild(event_log, PROJECTIONS, watch=fail_before_the_swap)
    assert rows_of(event_log) == live
    assert rows_of(event_log, "signalbox_read_new") == {}


def test_a_rebuild_forgets_the_dead_letters_it_made_up_for(event_log: EventLog) -> None:
    def refuse(*_: object) -> None:
        raise ValueError("a bug of yesterday")

    position = record(event_log, "message-1", accepted())
    still = record(event_log, "message-2", accepted(transaction_id="\0"))
    buggy = (messages.PROJECTION, replace(dashboard.PROJECTION, apply=refuse))
    with closing(Projector(event_log, buggy)) as projector:
        projector.prepare()
        build(projector)
    assert dead_letters(event_log) == [
        ("dashboard", position),
        ("dashboard", still),
        ("messages", still),
    ]
    rebuild(event_log, PROJECTIONS)
    assert dead_letters(event_log) == [("messages", still)]


def test_a_scratch_schema_is_gone_after_an_interrupt(event_log: EventLog) -> None:
    def build_until_interrupted() -> None:
        with scratch_schema(event_log, "scratch") as schema:
            with closing(Projector(event_log, PROJECTIONS, schema)) as projector:
                projector.prepare()
            assert rows_of(event_log, schema).keys() >= {"messages", "links"}
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build_until_interrupted()
    assert rows_of(event_log, "scratch") == {}
