"""Servers in processes of their own, which end when the process ends that started them."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

if TYPE_CHECKING:
    from collections.abc import Callable

STOP_TIMEOUT_S: Final = 5.0
_TESTS: Final = Path(__file__).parent.parent
_SETPRIV: Final = shutil.which("setpriv")
# A peer must not outlive a test run that was itself killed.
LEASH: Final = (_SETPRIV, "--pdeathsig", "KILL") if _SETPRIV else ()


class CountingPeer:
    """The process of a module that does `count_for_parent`, from `with` to its end."""

    def __init__(self, module: str, *arguments: str) -> None:
        self.port = 0
        self._command = [*LEASH, sys.executable, "-m", module, *arguments]

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            self._command,
            stdout=subprocess.PIPE,
            stdin=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(_TESTS)},
        )
        self.port = int(self._line())
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait(STOP_TIMEOUT_S)
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            pipe.close()

    @property
    def count(self) -> int:
        """How many mails were taken."""
        assert self._process.stdin is not None
        self._process.stdin.write(b"\n")
        self._process.stdin.flush()
        return int(self._line())

    def _line(self) -> bytes:
        assert self._process.stdout is not None
        return self._process.stdout.readline()


async def count_for_parent(server: asyncio.Server, count: Callable[[], int]) -> None:
    """Tell where a server listens, and the count whenever a line comes in; until there are none."""
    print(server.sockets[0].getsockname()[1], flush=True)  # noqa: T201  it is the output
    while await asyncio.to_thread(sys.stdin.readline):
        print(count(), flush=True)  # noqa: T201  same
