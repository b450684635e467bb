"""The processes of `signalbox up`: their output on one terminal, their ends in order."""

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from functools import partial
from typing import Any, Final

from honcho.manager import Manager
from honcho.printer import Message, Printer
from honcho.process import Popen, Process
from typing_extensions import override

from signalbox.ops.children import ends_with_parent
from signalbox.ops.logs import as_json

STOP_TIMEOUT_S: Final = 30.0  # Of each process: `graceful_timeout_s` and a little more.
POLL_S: Final = 0.05
SIGNALLED: Final = (130, 143)  # What honcho returns after SIGINT and SIGTERM.


class Foreman(Manager):  # type: ignore[misc]  # honcho ships no types
    """Runs processes until one of them ends, a signal asks to stop, or `healthy` says no.

    Then each gets SIGTERM and up to STOP_TIMEOUT_S, in the order in which they were added, so that
    the web processes still have a relay to wait for while they drain.
    """

    _terminating: bool

    def __init__(
        self, healthy: Callable[[], bool], started: Callable[[], None], *, in_json: bool = False
    ) -> None:
        super().__init__(JsonPrinter(sys.stdout) if in_json else None)
        self._process_ctor = partial(_Child, os.getpid())
        self._healthy = healthy
        self._started = started

    @property
    def asked_to_stop(self) -> bool:
        """Whether it ended because of SIGINT or SIGTERM."""
        return self.returncode in SIGNALLED

    def hang_up(self, names: Iterable[str]) -> None:
        """Send SIGHUP to those of the processes that run; fit for a signal's handler."""
        for name in names:
            process = self._processes[name]
            if "pid" in process and "returncode" not in process:
                with suppress(ProcessLookupError):  # It has just ended.
                    os.kill(process["pid"], signal.SIGHUP)

    @override
    def terminate(self) -> None:
        if not self._terminating:
            self._terminating = True
            # The loop goes on meanwhile: it prints what they say and notices their ends.
            threading.Thread(target=self._stop_in_order, daemon=True).start()

    @override
    def kill(self) -> None:
        """Leave it to `terminate`: honcho's own patience of 5 s is too short to drain."""

    @override
    def _start(self) -> None:
        super()._start()
        self._started()

    @override
    def _any_stopped(self) -> bool:
        return bool(super()._any_stopped()) or not self._healthy()

    def _stop_in_order(self) -> None:
        for process in self._processes.values():
            _wait_for("pid", process)
            if "returncode" not in process:
                self._procmgr.terminate(process["pid"])
                _wait_for("returncode", process)
        self._killall(force=True)


class JsonPrinter(Printer):  # type: ignore[misc]  # honcho ships no types
    """One JSON object per line: a process's own, or made of what else it prints."""

    @override
    def write(self, message: Message) -> None:
        data = message.data
        text = data.decode("utf-8", "replace") if isinstance(data, bytes) else data
        for line in text.splitlines():
            self.output.write(f"{line if _is_json(line) else as_json(message.name, line)}\n")
        self.output.flush()


class _Child(Process):  # type: ignore[misc]  # honcho ships no types
    """A process and, between it and us, honcho's helper that reads its output."""

    def __init__(self, parent_pid: int, command: str, **options: object) -> None:
        super().__init__(command, **options)
        self._parent_pid = parent_pid

    @override
    def run(self, events: object = None, ignore_signals: bool = False) -> None:
        """Run in the helper: should we be killed, it goes too, and its child with it.

        SIGKILL, since nobody reads the child's output any more and nobody would end its drain.
        """
        # A terminal that closes tells its whole group; whether to end is for our parent to decide.
        # The child inherits this, and so lives until it has a reason of its own to listen.
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        ends_with_parent(signal.SIGKILL, self._parent_pid)()
        end_with_helper = ends_with_parent(signal.SIGKILL, os.getpid())
        self._child_ctor = partial(Popen, preexec_fn=end_with_helper)
        super().run(events, ignore_signals)


def _wait_for(fact: str, process: Mapping[str, Any]) -> None:
    deadline_s = time.monotonic() + STOP_TIMEOUT_S
    while fact not in process and time.monotonic() < deadline_s:
        time.sleep(POLL_S)


def _is_json(line: str) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except ValueError:
        return False
