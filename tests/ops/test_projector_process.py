"""The projector process: taking over, being killed, waiting for the store."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from time import monotonic

import gevent
import pytest
from support.histories import record_messages, rows_of

from signalbox.eventstore.log import EventLog
from signalbox.ops.projector import IDLE_S, ProjectorProcess
from signalbox.projections import dashboard
from signalbox.projections.building import build
from signalbox.projections.models import PROJECTIONS
from signalbox.projections.projector import Projector
from signalbox.projections.readers import ReadModels

SECRET_KEY = "a secret key for tests, long enough"
TAKEOVER_S = 3.0

Start = Callable[[], subprocess.Popen[bytes]]


@pytest.fixture
def start(database_url: str, tmp_path: Path) -> Iterator[Start]:
    """Start `signalbox projector` processes and end them with the test."""
    environment = {
        "PATH": os.defpath,
        "DATABASE_URL": database_url,
        "SECRET_KEY": SECRET_KEY,
        "SIGNALBOX_HOME": str(tmp_path),
    }
    started = []

    def start_one() -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "signalbox.ops.main", "projector"]
        started.append(subprocess.Popen(command, env=environment, cwd=tmp_path))
        return started[-1]

    yield start_one
    for process in started:
        process.kill()
        process.wait()


@pytest.mark.processes
@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGSTOP, signal.SIGTERM])
def test_a_standby_takes_over_from_a_projector_that_was(
    event_log: EventLog, start: Start, ending: signal.Signals
) -> None:
    models = ReadModels(event_log)
    first = start()
    assert _wait_for(models, record_messages(event_log, 1), timeout_s=20)
    start()
    gevent.sleep(2)  # until it stands by
    first.send_signal(ending)
    position = record_messages(event_log, 20, first=1)
    assert _wait_for(models, position, timeout_s=TAKEOVER_S)
    first.send_signal(signal.SIGCONT)
    assert _wait_for(models, record_messages(event_log, 20, first=21), timeout_s=TAKEOVER_S)
    assert models.figures().accepted == 41
    if ending == signal.SIGTERM:
        assert first.wait(timeout=5) == 0


@pytest.mark.processes
def test_projectors_killed_again_and_again_count_everything_once(
    event_log: EventLog, start: Start
) -> None:
    models = ReadModels(event_log)
    for round_ in range(3):
        running = start()
        position = record_messages(event_log, 150, first=150 * round_)
        assert _wait_for(models, position - 100, timeout_s=20)
        running.kill()
    with closing(Projector(event_log, PROJECTIONS)) as projector:
        with gevent.Timeout(5):
            while not projector.advance().mine:
                gevent.sleep(0.1)
        build(projector)
    assert len(rows_of(event_log)["messages"]) == 450
    figures = models.figures()
    assert (figures.accepted, figures.submitted, figures.delivered) == (450, 450, 450)


def test_new_events_are_shown_within_a_moment(event_log: EventLog) -> None:
    models = ReadModels(event_log)
    process = ProjectorProcess(event_log, PROJECTIONS, 1000)
    running = gevent.spawn(process.run)
    assert _wait_for(models, record_messages(event_log, 1), timeout_s=5)
    waits_s = []
    for number in range(1, 11):
        started_s = monotonic()
        assert models.wait_for(record_messages(event_log, 1, first=number))
        waits_s.append(monotonic() - started_s)
        gevent.sleep(0.03)
    assert sorted(waits_s)[5] < IDLE_S / 2
    process.stop()
    running.get(timeout=5)


def test_the_store_may_be_away_for_a_while(event_log: EventLog) -> None:
    models = ReadModels(event_log)
    process = ProjectorProcess(event_log, PROJECTIONS, 1000)
    running = gevent.spawn(process.run)
    assert _wait_for(models, record_messages(event_log, 1), timeout_s=5)
    with event_log.pool.connection() as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    event_log.journal_recorder.connection.discard()
    assert _wait_for(models, record_messages(event_log, 1, first=1), timeout_s=5)
    process.stop()
    running.get(timeout=5)


def test_read_models_of_an_older_version_are_made_anew_at_start(event_log: EventLog) -> None:
    record_messages(event_log, 3)
    older = (replace(dashboard.PROJECTION, version=0),)
    with closing(Projector(event_log, older)) as projector:
        projector.prepare()
        build(projector)
        projector.release()
    process = ProjectorProcess(event_log, PROJECTIONS, 1000)
    running = gevent.spawn(process.run)
    with gevent.Timeout(5):
        while len(rows_of(event_log).get("messages", [])) < 3:
            gevent.sleep(0.05)
    assert ReadModels(event_log).figures().accepted == 3
    process.stop()
    running.get(timeout=5)


def _wait_for(models: ReadModels, position: int, timeout_s: float) -> bool:
    """Wait until the read models are there and show the event at `position`."""
    deadline_s = monotonic() + timeout_s
    while monotonic() < deadline_s:
        try:
            if models.wait_for(position, timeout_s=deadline_s - monotonic()):
                return True
        except Exception:  # noqa: BLE001  they are not there yet
            gevent.sleep(0.05)
    return False
