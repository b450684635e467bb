"""The web process: gunicorn's master, and workers that serve the HTTP surfaces.

Everything is made in the worker, after the fork: no connection and no greenlet may be shared.
"""

from __future__ import annotations

import logging
import signal
from contextlib import ExitStack
from typing import TYPE_CHECKING, Final

import gevent
import msgspec
from gunicorn import glogging
from gunicorn.app.base import BaseApplication
from gunicorn.arbiter import Arbiter
from prometheus_client import multiprocess
from typing_extensions import override

from signalbox.http.channel import ChannelLimits
from signalbox.http.worker import Limits, Worker
from signalbox.ops.reload import read_again
from signalbox.ops.surfaces import compose

if TYPE_CHECKING:
    from signalbox.http.listeners import Listeners
    from signalbox.ops.settings import Settings

log = logging.getLogger(__name__)

WORKER_TIMEOUT_S: Final = 60  # a worker whose loop is stuck for so long is killed
LOOK_S: Final = 0.2  # how often the master looks for signals and for workers that ended


def run(settings: Settings) -> int:
    """Serve until SIGTERM or SIGINT."""
    try:
        Gateway(settings).run()
    except SystemExit as end:
        return int(end.code or 0)
    return 0


class Gateway(BaseApplication):  # type: ignore[misc]
    """Gunicorn, configured by our settings alone."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._closing = ExitStack()
        server = settings.server
        self.limits = Limits(
            server.header_timeout_s,
            server.header_line_octets_max,
            server.connections_per_ip_max,
            server.trusted_proxies,
        )
        self.channel_limits = ChannelLimits(**msgspec.structs.asdict(settings.websockets))
        super().__init__()

    @override
    def load_config(self) -> None:
        server, listeners = self._settings.server, self._settings.listeners.ports
        chosen: dict[str, object] = {
            "bind": [server.endpoint_at(port) for port in (server.port, *listeners.values())],
            "workers": server.web_concurrency,
            "worker_class": Worker,
            "worker_connections": server.connections_max,
            "backlog": server.backlog,
            "timeout": WORKER_TIMEOUT_S,
            "graceful_timeout": server.graceful_timeout_s,
            "control_socket_disable": True,
            "logger_class": Logs,
            "child_exit": _forget_gauges,
            "worker_exit": self._close,
        }
        for name, value in chosen.items():
            self.cfg.set(name, value)

    @override
    def run(self) -> None:
        Master(self).run()

    def read_again(self) -> bool:
        """Read the file for the workers to come; False when it is wrong."""
        fresh = read_again(self._settings)
        self._settings = fresh or self._settings
        return fresh is not None

    @override
    def load(self) -> Listeners:
        app = compose(self._settings, self._closing)
        log.info("web worker is up", extra={"url": self._settings.server.url})
        return app

    def _close(self, _arbiter: object, _worker: object) -> None:
        self._closing.close()


class Master(Arbiter):  # type: ignore[misc]
    """Gunicorn's master in a process whose blocking calls are gevent's."""

    @override
    def wait_for_signals(self, timeout: float = 1.0) -> list[int]:
        # Only gevent's loop notices that a worker ended; waiting on the queue would stand still.
        gevent.sleep(LOOK_S)
        signals: list[int] = super().wait_for_signals(timeout=LOOK_S / 10)
        return signals

    @override
    def reload(self) -> None:
        """Have the workers read the configuration again, once it is known to be right.

        They stay, and with them every request and connection.
        """
        if self.app.read_again():
            self.kill_workers(signal.SIGHUP)


class Logs(glogging.Logger):  # type: ignore[misc]
    """Gunicorn's own messages, through our handlers; it must not log requests: they hold keys."""

    @override
    def setup(self, cfg: object) -> None:
        self.error_log.propagate = True
        self.access_log.disabled = True


def _forget_gauges(_arbiter: object, worker: Worker) -> None:
    """Drop what a worker that is gone said of the present."""
    multiprocess.mark_process_dead(worker.pid)  # type: ignore[no-untyped-call]
