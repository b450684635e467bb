"""Minutes on their way to an InfluxDB that is there, away, silent, or somebody else's."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import monotonic
from typing import Any

import gevent
import pytest
from support.certificates import self_signed
from support.gateway import eventually
from support.histories import DELIVERED, T0, T0_S, accepted, record, record_messages
from support.influx import InfluxServer

from signalbox.domain.message import MessageSubmitted, SubmitAttempted
from signalbox.eventstore import metrics
from signalbox.eventstore.log import EventLog
from signalbox.ops.exporter import POINTS_MAX, Exporter, InfluxSink
from signalbox.ops.projector import ProjectorProcess
from signalbox.ops.sections import StatisticExporter
from signalbox.projections.activity import LinkMinute, Minute
from signalbox.projections.building import build
from signalbox.projections.models import PROJECTIONS
from signalbox.projections.outcomes import MINUTES_KEPT
from signalbox.projections.projector import Projector
from signalbox.projections.readers import ReadModels

HOUR_S = 3600
SECRET_KEY = "a secret key for tests, long enough"

Export = Callable[..., None]


@pytest.fixture
def influx() -> Iterator[InfluxServer]:
    with InfluxServer() as influx:
        yield influx


@pytest.fixture
def projector(event_log: EventLog) -> Iterator[Projector]:
    projector = Projector(event_log, PROJECTIONS)
    projector.prepare()
    yield projector
    projector.close()


class Clock:
    """Stands still unless it is moved on."""

    def __init__(self) -> None:
        self.now_s = T0_S + 60.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def export(event_log: EventLog, clock: Clock) -> Iterator[Export]:
    """Export every few milliseconds, to a server or to a function, until the test ends."""
    with ExitStack() as closing:

        def start(
            target: Any,  # noqa: ANN401  a server or a function
            is_current: Callable[[], bool] = lambda: True,
            **settings: Any,  # noqa: ANN401
        ) -> None:
            if isinstance(target, InfluxServer):
                chosen = {"tls": False, "bucket": "sms-stats", "org": "ops", **settings}
                sink = InfluxSink(StatisticExporter(target=target.address, **chosen))
                closing.callback(sink.close)
                target = sink.write
            models = ReadModels(event_log, now_s=clock)
            closing.callback(Exporter(models, target, is_current, 0.02).close)

        yield start


class Recorder:
    """A sink that keeps what it is given, once it is no longer told to fail."""

    def __init__(self) -> None:
        self.error: Exception | None = None
        self.tries = 0
        self.taken: list[Minute | LinkMinute] = []

    def __call__(self, minutes: Sequence[Minute | LinkMinute]) -> None:
        self.tries += 1
        if self.error:
            raise self.error
        self.taken += minutes


def test_minutes_that_are_over_are_written_as_lines(
    event_log: EventLog, projector: Projector, influx: InfluxServer, export: Export
) -> None:
    record(event_log, "message-1", *DELIVERED)
    told = (accepted(), SubmitAttempted(1, 1, 2), MessageSubmitted(1, "id", 2))
    record(event_log, "message-2", *told)
    record(event_log, "message-3", accepted(), at=T0 + timedelta(minutes=1))
    build(projector)
    export(influx, token="a token", is_current=lambda: True)
    eventually(influx.lines)
    assert influx.queries == [{"bucket": ["sms-stats"], "org": ["ops"], "precision": ["s"]}]
    assert influx.tokens == {"Token a token"}
    fields = "accepted=2i,delivered=1i,failed=0i,partial=0i,rejected=0i,sent=2i"
    assert influx.lines()[-3:] == [
        f"signalbox {fields},submitted=2i,undelivered=0i {T0_S}",
        f"signalbox_links,link=1 submitted=1i {T0_S}",
        f"signalbox_links,link=2 submitted=1i {T0_S}",
    ]
    assert len(influx.lines()) == MINUTES_KEPT - 1 + 2  # Nothing is a figure, too.
    assert all(" accepted=0i," in line for line in influx.lines()[:-3])


def test_each_minute_is_written_once_and_again_when_it_changes(
    event_log: EventLog, projector: Projector, clock: Clock, export: Export
) -> None:
    record_messages(event_log, 1)
    build(projector)
    sink = Recorder()
    export(sink)
    eventually(lambda: sink.taken)
    gevent.sleep(0.1)
    assert len(sink.taken) == MINUTES_KEPT - 1 + 1
    record_messages(event_log, 1, first=1)
    build(projector)
    changed = {Minute(T0_S, accepted=2, submitted=2, delivered=2, sent=2), LinkMinute(T0_S, 1, 2)}
    eventually(lambda: changed <= set(sink.taken))
    clock.now_s += 60
    eventually(lambda: Minute(T0_S + 60) in sink.taken)
    gevent.sleep(0.1)
    # Between two batches of events the exporter may have met the minute half changed.
    assert {one.start_s for one in sink.taken[MINUTES_KEPT:]} == {T0_S, T0_S + 60}
    assert len(sink.taken) == len(set(sink.taken))


def test_a_target_that_was_away_for_an_hour_misses_nothing(
    event_log: EventLog,
    projector: Projector,
    clock: Clock,
    export: Export,
    caplog: pytest.LogCaptureFixture,
) -> None:
    sink = Recorder()
    export(sink)
    eventually(lambda: sink.taken)
    sink.taken.clear()
    sink.error = OSError("no route to host")
    caplog.set_level("INFO", "signalbox.ops.exporter")
    failures = metrics.EXPORT_FAILURES._value.get()  # noqa: SLF001
    for minute in range(1, 62):
        record(event_log, f"message-{minute}", *DELIVERED, at=T0 + timedelta(minutes=minute))
        clock.now_s += 60
    build(projector)
    tries = sink.tries
    eventually(lambda: sink.tries > tries + 3)
    sink.error = None
    eventually(lambda: sink.taken)
    gevent.sleep(0.1)
    minutes = [one for one in sink.taken if isinstance(one, Minute) and one.accepted]
    assert [one.start_s for one in minutes] == [T0_S + 60 * m for m in range(1, 62)]
    assert [record.getMessage() for record in caplog.records] == [
        "statistics are not exported",
        "statistics are exported again",
    ]
    assert metrics.EXPORT_FAILURES._value.get() > failures + 3  # noqa: SLF001
    assert metrics.EXPORTED._value.get() > T0_S - 10 * 365 * 86_400  # noqa: SLF001


@pytest.mark.parametrize("status", [400, 401, 404, 429, 500, 503])
def test_what_a_server_refused_it_gets_again(
    event_log: EventLog,
    projector: Projector,
    influx: InfluxServer,
    export: Export,
    caplog: pytest.LogCaptureFixture,
    status: int,
) -> None:
    record_messages(event_log, 1)
    build(projector)
    influx.answer = status
    export(influx, token="hush")
    eventually(lambda: influx.requests > 3)
    assert influx.lines() == []
    influx.answer = 204
    eventually(influx.lines)
    assert len(influx.lines()) == MINUTES_KEPT - 1 + 1
    (warning,) = [record for record in caplog.records if record.levelname == "WARNING"]
    assert str(warning.__dict__["reason"]).startswith(str(status))
    assert "hush" not in caplog.text


def test_the_read_models_may_be_away(event_log: EventLog, export: Export) -> None:
    sink = Recorder()
    export(sink)  # the read models are not there yet
    gevent.sleep(0.1)
    assert sink.taken == []
    projector = Projector(event_log, PROJECTIONS)
    projector.prepare()
    eventually(lambda: sink.taken)
    projector.close()


def test_who_does_not_have_the_turn_exports_nothing(projector: Projector, export: Export) -> None:
    build(projector)
    sink, current = Recorder(), [False]
    export(sink, is_current=lambda: current[0])
    gevent.sleep(0.1)
    assert sink.tries == 0
    current[0] = True
    eventually(lambda: sink.taken)


def test_many_links_are_written_in_several_requests(
    event_log: EventLog, projector: Projector, influx: InfluxServer, export: Export
) -> None:
    build(projector)
    with event_log.pool.connection() as connection:
        connection.execute(
            "INSERT INTO signalbox_read.link_minutes"
            " SELECT %s, link, 1 FROM generate_series(1, 2500) AS link",
            (T0_S // 60,),
        )
    export(influx)
    eventually(lambda: len(influx.lines()) == 2500 + MINUTES_KEPT - 1)
    assert max(map(len, influx.batches)) == POINTS_MAX


def test_over_tls_only_to_whom_it_trusts(
    projector: Projector, export: Export, tmp_path: Path
) -> None:
    build(projector)
    certificate, key = self_signed(tmp_path)
    with InfluxServer((certificate, key)) as influx:
        export(influx, tls=True)
        gevent.sleep(0.2)
        assert influx.requests == 0
        export(influx, tls=True, tls_ca_file=str(certificate))
        eventually(influx.lines)


def test_a_target_that_never_answers_holds_up_neither_projector_nor_exit(
    event_log: EventLog, influx: InfluxServer
) -> None:
    influx.hanging = True
    process = ProjectorProcess(event_log, PROJECTIONS, 1000)
    running = gevent.spawn(process.run)
    eventually(lambda: process.is_current)
    target = StatisticExporter(target=influx.address, tls=False, bucket="b", timeout_s=1.0)
    sink = InfluxSink(target)
    exporter = Exporter(ReadModels(event_log), sink.write, lambda: process.is_current, 0.01)
    eventually(lambda: influx.requests)
    models = ReadModels(event_log)
    for number in range(5):
        assert models.wait_for(record_messages(event_log, 1, first=number))
    eventually(lambda: influx.requests > 1)  # The first was given up.
    started_s = monotonic()
    exporter.close()
    assert monotonic() - started_s < 0.8
    sink.close()
    process.stop()
    running.get(timeout=5)


def test_a_standby_exports_nothing(event_log: EventLog) -> None:
    active, standby = (ProjectorProcess(event_log, PROJECTIONS, 1000) for _ in range(2))
    running = [gevent.spawn(active.run)]
    try:
        eventually(lambda: active.is_current)
        running.append(gevent.spawn(standby.run))
        for _ in range(30):
            gevent.sleep(0.01)
            assert not standby.is_current
        eventually(lambda: active.is_current)  # The other's look may have been in its way.
        active.stop()
        eventually(lambda: standby.is_current)
    finally:
        active.stop()
        standby.stop()
        gevent.joinall(running, timeout=5, raise_error=True)


@pytest.mark.processes
def test_the_projector_process_exports_what_is_configured(
    event_log: EventLog, database_url: str, influx: InfluxServer, tmp_path: Path
) -> None:
    config = tmp_path / "signalbox.toml"
    config.write_text(
        "[statistic_exporter]\nenabled = true\ntls = false\ninterval_s = 0.2\n"
        f'target = "http://{influx.address}"\nbucket = "b"\n',
        encoding="utf-8",
    )
    start_s = int(datetime.now(UTC).timestamp()) // 60 * 60 - 120
    record(event_log, "message-1", *DELIVERED, at=datetime.fromtimestamp(start_s, UTC))
    environment = {
        "PATH": os.defpath,
        "DATABASE_URL": database_url,
        "SECRET_KEY": SECRET_KEY,
        "SIGNALBOX_HOME": str(tmp_path),
        "STATISTIC_EXPORTER_TOKEN": "from the environment",
    }
    command = [sys.executable, "-m", "signalbox.ops.main", "projector"]
    process = subprocess.Popen(command, env=environment, cwd=tmp_path)
    try:
        line = f"signalbox_links,link=1 submitted=1i {start_s}"
        eventually(lambda: line in influx.lines(), timeout_s=20)
        assert influx.tokens == {"Token from the environment"}
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=5) == 0
    finally:
        process.kill()
        process.wait()
