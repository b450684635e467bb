"""The process that keeps the read models: any number may run, one works, the others stand by."""

from __future__ import annotations

import logging
import signal
from contextlib import ExitStack
from time import time
from typing import TYPE_CHECKING, Final

import gevent
from gevent.event import Event

from signalbox.eventstore import metrics
from signalbox.eventstore.follower import Follower
from signalbox.eventstore.postgres import Broken
from signalbox.ops.store import open_log
from signalbox.projections.building import BeingBuiltError, rebuild
from signalbox.projections.models import PROJECTIONS
from signalbox.projections.projector import Projector
from signalbox.projections.readers import ReadModels

if TYPE_CHECKING:
    from collections.abc import Sequence

    from signalbox.eventstore.log import EventLog
    from signalbox.ops.sections import StatisticExporter
    from signalbox.ops.settings import Settings
    from signalbox.projections.projection import Projection

log = logging.getLogger(__name__)

IDLE_S: Final = 0.5  # how often a turn is prolonged, or another's looked at, when nothing happens
GATHER_S: Final = 0.05  # events of that time are applied together: fewer transactions under load
RETRY_S: Final = 0.5


class ProjectorProcess:
    """Follows the log and takes the read models along until it is told to stop."""

    def __init__(
        self, log_: EventLog, projections: Sequence[Projection], batch_events_max: int
    ) -> None:
        self._log = log_
        self._projections = projections
        self._batch_events_max = batch_events_max
        self._projector = Projector(log_, projections, batch_events_max=batch_events_max)
        self._wake = Event()
        self._stopping = Event()
        self._away = False
        self.is_current = False
        """True while this process has the turn and shows all that was stored."""

    def run(self) -> None:
        """Work until `stop`; the store may be away for any time."""
        while not (self._stopping.is_set() or self._prepare()):
            self._stopping.wait(RETRY_S)
        follower = Follower(self._log, (), lambda _: None, lambda _: self._wake.set())
        try:
            while not self._stopping.is_set():
                self._wake.clear()
                if not self._advance():
                    self._wake.wait(IDLE_S)
                    self._stopping.wait(GATHER_S)
        finally:
            follower.close()
            self._projector.release()
            self._projector.close()

    def stop(self) -> None:
        """Stop after the batch at hand."""
        self._stopping.set()
        self._wake.set()

    def _prepare(self) -> bool:
        """Make the tables, anew if they were made for other projections; False to try again."""
        try:
            if self._projector.prepare():
                return True
            log.info("read models are made anew for this version")
            rebuild(self._log, self._projections, batch_events_max=self._batch_events_max)
        except BeingBuiltError:
            log.info("another process makes the read models anew")
        except Broken as error:
            log.warning("store does not answer", extra={"error": str(error)})
        return False

    def _advance(self) -> bool:
        """Apply a batch; True when more waits."""
        try:
            progress = self._projector.advance()
        except Broken as error:
            if not self._away:
                log.warning("store does not answer", extra={"error": str(error)})
            self._away, self.is_current = True, False
            self._stopping.wait(RETRY_S)
            return False
        self._away = False
        self.is_current = progress.mine and progress.caught_up
        metrics.PROJECTED.inc(progress.events)
        metrics.PROJECTOR_LAG.set(0.0 if progress.caught_up else time() - progress.at_s)
        return not progress.caught_up


def run(settings: Settings) -> int:
    """Keep the read models until SIGTERM; return the exit code."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # Nothing of its can change while it runs.
    log_ = open_log(settings)
    process = ProjectorProcess(log_, PROJECTIONS, settings.projector.batch_events_max)
    for number in (signal.SIGTERM, signal.SIGINT):
        gevent.signal_handler(number, process.stop)
    log.info("projector is ready")
    with ExitStack() as closing:
        closing.callback(log_.close)
        if settings.statistic_exporter.enabled:
            _export(settings.statistic_exporter, log_, process, closing)
        process.run()
    log.info("projector stopped")
    return 0


def _export(
    target: StatisticExporter, log_: EventLog, process: ProjectorProcess, closing: ExitStack
) -> None:
    # The client takes a while to import, and most installations do without.
    from signalbox.ops.exporter import Exporter, InfluxSink  # noqa: PLC0415

    sink = InfluxSink(target)
    closing.callback(sink.close)
    exporter = Exporter(ReadModels(log_), sink.write, lambda: process.is_current, target.interval_s)
    closing.callback(exporter.close)
