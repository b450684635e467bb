"""The commands that project the log again: replay and rebuild."""

from datetime import timedelta
from pathlib import Path

import pytest
from support.histories import CONFIGURED, T0, dead_letters, record, record_messages, rows_of

from signalbox.domain.session import LinkBound, LinkClaimed, LinkLost
from signalbox.eventstore.log import EventLog
from signalbox.ops import rebuild, replay
from signalbox.ops.settings import Settings
from signalbox.projections.building import build, scratch_schema
from signalbox.projections.models import PROJECTIONS
from signalbox.projections.projector import Projector
from signalbox.projections.readers import ReadModels

SECRET_KEY = "a secret key for tests, long enough"


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    return Settings(home=tmp_path, secret_key=SECRET_KEY).with_database_url(database_url)


def test_a_replay_shows_the_figures_recorded_then(event_log: EventLog) -> None:
    projector = Projector(event_log, PROJECTIONS)
    projector.prepare()
    record(event_log, "link-1", CONFIGURED)
    record(event_log, "link-1-2026-11-21", LinkClaimed("relay", 1), LinkBound("smsc"))
    then = []
    for number in range(4):
        at = T0 + timedelta(milliseconds=100 * number)
        position = record_messages(event_log, 1, first=number)
        build(projector)
        models = ReadModels(event_log, now_s=at.timestamp)
        then.append((position, at, models.figures(), models.links()))
    record(event_log, "link-1-2026-11-22", LinkLost("cut", 0.0))
    build(projector)
    for position, at, figures, links in then:
        assert replay.look_back(event_log, position, at, 3) == (figures, links)
    projector.close()


@pytest.mark.parametrize("until", ["9", "2026-11-21T14:30:00.150Z"])
def test_the_command_prints_figures_links_and_minutes(
    settings: Settings, event_log: EventLog, capsys: pytest.CaptureFixture[str], until: str
) -> None:
    record(event_log, "link-1", CONFIGURED)
    record_messages(event_log, 5)
    assert replay.run(settings, until) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["accepted", "2"] in lines
    assert ["1", "north", "DOWN", "0", "50"] in lines
    assert ["14:30", "2", "0"] in lines


def test_a_replay_leaves_no_trace(settings: Settings, event_log: EventLog) -> None:
    record_messages(event_log, 1)
    with event_log.pool.connection() as connection:
        connection.execute(
            'UPDATE signalbox.stored_events SET state = \'{"at":"2026-11-21T14:30:00Z"}\''
        )
    assert replay.run(settings, "9") == 0
    assert rows_of(event_log, replay.SCHEMA) == {}
    assert dead_letters(event_log) == []


def test_one_replay_at_a_time(
    settings: Settings, event_log: EventLog, capsys: pytest.CaptureFixture[str]
) -> None:
    with scratch_schema(event_log, replay.SCHEMA):
        assert replay.run(settings, "9") == 1
    assert capsys.readouterr().err == "signalbox: another replay is running\n"


def test_the_rebuild_command_makes_the_read_models_from_nothing(
    settings: Settings, event_log: EventLog, capsys: pytest.CaptureFixture[str]
) -> None:
    record_messages(event_log, 3)
    assert rebuild.run(settings) == 0
    assert capsys.readouterr().out.startswith("read models rebuilt from 12 events in ")
    assert ReadModels(event_log).figures().delivered == 3


def test_one_rebuild_at_a_time(
    settings: Settings, event_log: EventLog, capsys: pytest.CaptureFixture[str]
) -> None:
    with scratch_schema(event_log, "signalbox_read_new"):
        assert rebuild.run(settings) == 1
    assert "rebuilt already" in capsys.readouterr().err
