"""Work in threads: what it raises is for whoever waits for it, and for nobody else.

A pool of gevent's prints the traceback of whatever is raised in it, even of what is expected; so
nothing is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

import gevent

if TYPE_CHECKING:
    from collections.abc import Callable

    from gevent.threadpool import ThreadPool

T = TypeVar("T")


class Outcome(Generic[T]):
    """What came of some work, which is done at once, by the thread that makes this."""

    def __init__(self, work: Callable[[], T]) -> None:
        self._error: Exception | None = None
        try:
            self._result = work()
        except Exception as error:  # noqa: BLE001  it is raised by `get`
            self._error = error

    def get(self) -> T:
        """Return the result, or raise what the work raised."""
        if self._error is not None:
            raise self._error
        return self._result


def in_thread(work: Callable[[], T], threads: ThreadPool | None = None) -> T:
    """Have some work done by a thread, of the hub's unless told, and wait for it.

    Raises: what the work raises.
    """
    pool = threads or gevent.get_hub().threadpool
    outcome: Outcome[T] = pool.apply(Outcome, (work,))
    return outcome.get()
