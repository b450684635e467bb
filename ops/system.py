"""How busy this machine is, looked at in the background and never while somebody waits."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

import gevent
import psutil
from gevent.event import Event

from signalbox.http.sms_proxy.ports import SystemLoad

if TYPE_CHECKING:
    from pathlib import Path

log = logging.getLogger(__name__)

FIRST_S: Final = 0.5  # psutil knows the processor's load between two looks
EVERY_S: Final = 5.0


class SystemSampler:
    """Knows the machine's load as it was `every_s` ago at most; `home` is on the disk it means.

    The load stays what it was when it can't be found out.
    """

    def __init__(self, home: Path, *, first_s: float = FIRST_S, every_s: float = EVERY_S) -> None:
        self._home = home
        self._load = SystemLoad()
        self._failing = False
        self._stopping = Event()
        self._greenlet = gevent.spawn(self._run, first_s, every_s)

    def load(self) -> SystemLoad:
        """Return the load as it was seen last."""
        return self._load

    def close(self) -> None:
        """Look no more."""
        self._stopping.set()
        self._greenlet.join()

    def _run(self, first_s: float, every_s: float) -> None:
        # psutil compares with the last look of the same greenlet: the first one must be here, too.
        self._look()
        wait_s = first_s
        while not self._stopping.wait(wait_s):
            self._look()
            wait_s = every_s

    def _look(self) -> None:
        try:
            self._load = SystemLoad(
                cpu=round(psutil.cpu_percent(None), 1),
                ram=round(psutil.virtual_memory().percent, 1),
                disk=round(psutil.disk_usage(str(self._home)).percent, 1),
            )
        except (OSError, psutil.Error) as error:
            if not self._failing:
                log.warning("machine's load is not known", extra={"error": str(error)})
            self._failing = True
        else:
            self._failing = False
