"""Everybody in a relay who acts under its leases is told when one comes or goes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import gevent

if TYPE_CHECKING:
    from collections.abc import Callable

    from psycopg.rows import TupleRow

    from signalbox.eventstore.recorder import Fence

    Told = dict[str, Callable[[TupleRow], None]]
    """Who takes the rows of the log with an event's name."""


class Holder(Protocol):
    """Who acts for what belongs to a partition; as `LeaseKeeper` calls it."""

    def gained(self, fence: Fence) -> None:
        """Start; must not block."""

    def leaving(self, partition: int) -> None:
        """Come to rest, still under the lease."""

    def lost(self, partition: int) -> None:
        """Stop at once; must not block."""


class Holders:
    """Tells all of them."""

    def __init__(self, *holders: Holder) -> None:
        self._holders = holders

    def gained(self, fence: Fence) -> None:
        """Let all of them start."""
        for holder in self._holders:
            holder.gained(fence)

    def leaving(self, partition: int) -> None:
        """Let all of them come to rest at the same time."""
        gevent.joinall([gevent.spawn(holder.leaving, partition) for holder in self._holders])

    def lost(self, partition: int) -> None:
        """Stop all of them."""
        for holder in self._holders:
            holder.lost(partition)
