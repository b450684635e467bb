"""How many mails a process sends at once, shared by the dispatchers of all its tenants."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Slots:
    """So many at once; whoever finds none free is told, in turn, when one is."""

    def __init__(self, slots_max: int) -> None:
        self._free = slots_max
        self._waiting: dict[Callable[[], None], None] = {}

    def take(self) -> bool:
        """Take a slot, if one is free."""
        if self._free <= 0:
            return False
        self._free -= 1
        return True

    def give(self, slots: int = 1) -> None:
        """Give slots back."""
        self._free += slots
        for tell in list(self._waiting)[: max(0, self._free)]:
            del self._waiting[tell]
            tell()

    def want(self, tell: Callable[[], None]) -> None:
        """Be told, once, when a slot is free."""
        self._waiting.setdefault(tell)
