"""Child processes that end when their parent does, however it ends."""

import ctypes
import os
import sys
from collections.abc import Callable
from signal import Signals
from typing import Final

_PR_SET_PDEATHSIG: Final = 1  # prctl(2)


def ends_with_parent(signal: Signals, parent_pid: int) -> Callable[[], None]:
    """Return what the child `parent_pid` made must call: the kernel then ends it with its parent.

    The child gets `signal` when the *thread* that made it ends, so make it from one that stays.
    Linux only; elsewhere a child outlives a killed parent, and the next start has to deal with it.
    """
    if sys.platform != "linux":
        return lambda: None
    prctl = ctypes.CDLL(None).prctl  # Loaded here: after a fork no lock may be taken.

    def ask_kernel() -> None:
        prctl(_PR_SET_PDEATHSIG, int(signal))
        if os.getppid() != parent_pid:
            os.kill(os.getpid(), signal)

    return ask_kernel
