"""What was looked up a moment ago."""

from __future__ import annotations

from collections import OrderedDict
from time import monotonic
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

K = TypeVar("K")
V = TypeVar("V")


class Memory(Generic[K, V]):
    """Remembers findings until forgotten, absences for `absence_s` seconds; the oldest go first.

    What was still being looked up when something was forgotten is returned, but not remembered: it
    may be what it was before.
    """

    def __init__(
        self, entries_max: int, absence_s: float, now_s: Callable[[], float] = monotonic
    ) -> None:
        self._entries_max = entries_max
        self._absence_s = absence_s
        self._now_s = now_s
        self._found: OrderedDict[K, V] = OrderedDict()
        self._absent_until_s: OrderedDict[K, float] = OrderedDict()
        self._forgotten = 0

    def get(self, key: K, look_up: Callable[[], V | None]) -> V | None:
        """Return what is remembered, or else what `look_up` finds."""
        value = self._found.get(key)
        if value is not None:
            return value
        if self._now_s() < self._absent_until_s.get(key, 0.0):
            return None
        forgotten = self._forgotten
        value = look_up()
        if forgotten == self._forgotten:
            self._remember(key, value)
        return value

    def forget(self, key: K) -> bool:
        """Drop what is remembered of a key; return whether it was found before."""
        self._forgotten += 1
        self._absent_until_s.pop(key, None)
        return self._found.pop(key, None) is not None

    def clear(self) -> None:
        """Drop everything."""
        self._forgotten += 1
        self._found.clear()
        self._absent_until_s.clear()

    def _remember(self, key: K, value: V | None) -> None:
        if value is None:
            self._absent_until_s.pop(key, None)
            _keep(self._absent_until_s, key, self._now_s() + self._absence_s, self._entries_max)
        else:
            _keep(self._found, key, value, self._entries_max)


_V = TypeVar("_V")


def _keep(entries: OrderedDict[K, _V], key: K, value: _V, entries_max: int) -> None:
    entries[key] = value
    if len(entries) > entries_max:
        entries.popitem(last=False)
