"""Those who want the same do it one after the other: the next may find it done."""

from __future__ import annotations

from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING, Generic, TypeVar

from gevent.lock import BoundedSemaphore

if TYPE_CHECKING:
    from collections.abc import Iterator

K = TypeVar("K")


class Turns(Generic[K]):
    """A turn for each key, for as long as anybody wants it."""

    def __init__(self) -> None:
        self._turns: dict[K, BoundedSemaphore] = {}
        self._wanted: Counter[K] = Counter()

    @contextmanager
    def of(self, key: K) -> Iterator[None]:
        """Wait for the turn, and keep it while in here."""
        turn = self._turns.setdefault(key, BoundedSemaphore())
        self._wanted[key] += 1
        try:
            with turn:
                yield
        finally:
            self._wanted[key] -= 1
            if not self._wanted[key]:
                del self._wanted[key], self._turns[key]
