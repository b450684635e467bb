"""Small Python programs as processes of their own; they end with the test at the latest."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from textwrap import dedent
from typing import Final

import gevent

from signalbox.ops.children import ends_with_parent

END_TIMEOUT_S: Final = 10.0

_PREAMBLE: Final = """\
import signalbox.ops.patched
import sys
from signalbox.eventstore.log import EventLog
url, secret_key, *arguments = sys.argv[1:]
"""


def start(code: str, *arguments: str) -> subprocess.Popen[str]:
    """Start `code` behind the gateway's patching; it finds `url`, `secret_key`, `arguments`."""
    return subprocess.Popen(
        [sys.executable, "-c", _PREAMBLE + dedent(code), *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=ends_with_parent(signal.SIGKILL, os.getpid()),  # noqa: PLW1509
    )


@contextmanager
def running(code: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Start `code`, and kill it in the end if it still runs."""
    with start(code, *arguments) as process:
        try:
            yield process
        finally:
            process.kill()


def line_of(process: subprocess.Popen[str]) -> str:
    """Return the next line the process prints; `gevent.Timeout` if it keeps silent."""
    assert process.stdout is not None
    with gevent.Timeout(END_TIMEOUT_S):
        return process.stdout.readline().strip()
