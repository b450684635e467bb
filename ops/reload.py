"""The configuration file, read again while a process runs: SIGHUP asks for it.

    SIGHUP ─▶ the whole file, checked as at the start ─▶ links, pools, filters as it has them now

A file that is wrong changes nothing; a change of anything else waits for a restart.
"""

from __future__ import annotations

import logging
import os
import signal
from typing import TYPE_CHECKING, Final

import gevent
import msgspec
from gevent.event import Event

from signalbox.eventstore.errors import Unavailable
from signalbox.ops.settings import Settings, SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable

    from signalbox.actors.links import Links
    from signalbox.projections.readers import ReadModels

log = logging.getLogger(__name__)

RELOADED: Final = ("links", "pools", "filters", "ip_pools", "groupings")
BY: Final = "configuration"
RETRY_S: Final = 1.0
LOOK_S: Final = 0.05


class Reload:
    """Reads the file for one process whenever that is told to; `settings` are those in force."""

    def __init__(self, settings: Settings, *, tells_waiting: bool = True) -> None:
        self.settings = settings
        self._tells_waiting = tells_waiting
        self._asked = Event()
        gevent.signal_handler(signal.SIGHUP, self._asked.set)

    def start(self, apply: Callable[[Settings], None]) -> None:
        """From now on have `apply` called with new settings; it may raise `Unavailable`."""
        self._greenlet = gevent.spawn(self._run, apply)

    def close(self) -> None:
        """Read nothing more."""
        self._greenlet.kill()

    def _run(self, apply: Callable[[Settings], None]) -> None:
        while True:
            self._asked.wait()
            self._asked.clear()
            fresh = read_again(self.settings, tells_waiting=self._tells_waiting)
            if fresh is not None:
                self._apply(apply, fresh)

    def _apply(self, apply: Callable[[Settings], None], fresh: Settings) -> None:
        """Apply until the store has taken what is news; a second time changes nothing."""
        while True:
            try:
                apply(fresh)
            except Unavailable as error:
                log.warning("configuration waits for the store", extra={"reason": error.reason})
                gevent.sleep(RETRY_S)
            except Exception:
                log.exception("configuration could not be applied")
                return
            else:
                self.settings = fresh
                log.info("configuration read again", extra={"links": len(fresh.links)})
                return


def read_again(settings: Settings, *, tells_waiting: bool = True) -> Settings | None:
    """Return the settings with what can change at run time as the file has it now.

    None when the file is wrong. Both that, and what has to wait for a restart, is logged.
    """
    try:
        fresh = Settings.load(settings.config_path, os.environ)
    except SettingsError as error:
        mistake = {"error": str(error)}
        log.error("configuration is wrong, nothing changed", extra=mistake)  # noqa: TRY400
        return None
    others = [name for name in settings.__struct_fields__ if name not in RELOADED]
    waiting = [name for name in others if getattr(fresh, name) != getattr(settings, name)]
    if waiting and tells_waiting:
        log.warning("changes wait for a restart", extra={"sections": ", ".join(waiting)})
    return msgspec.structs.replace(settings, **{name: getattr(fresh, name) for name in RELOADED})


def remove_forgotten(links: Links, models: ReadModels, head: int) -> list[int]:
    """Remove the links that went from the configuration while nobody ran, and return them.

    Which links the log has is the read model's knowledge; this waits until it has seen the log up
    to `head`, however long that takes.
    """
    while True:
        try:
            if models.wait_for(head, LOOK_S):
                return links.remove_others([row.id for row in models.links()], BY)
        except Unavailable as error:
            log.debug("links of the log are not known yet", extra={"reason": error.reason})
        gevent.sleep(RETRY_S)
