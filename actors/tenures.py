"""The leases that actors of a relay begin to act under."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from signalbox.eventstore.leases import partition_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from signalbox.eventstore.leases import LeaseKeeper
    from signalbox.eventstore.recorder import Fence


@dataclass(frozen=True, slots=True)
class Tenure:
    """The lease an actor acts under; `holds` is asked before every effect."""

    fence: Fence
    holds: Callable[[], bool]


class Tenures:
    """What a relay has of the partitions, as the keeper of its leases tells.

    `keeper` is None until there is one.
    """

    def __init__(self, partitions: int) -> None:
        self._partitions = partitions
        self._fences: dict[int, Fence] = {}
        self._leaving: set[int] = set()
        self.keeper: LeaseKeeper | None = None

    def gained(self, fence: Fence) -> None:
        """Let actors of a partition begin."""
        self._fences[fence.partition] = fence
        self._leaving.discard(fence.partition)

    def leaving(self, partition: int) -> None:
        """Let none begin: the partition is about to be handed over."""
        self._leaving.add(partition)

    def lost(self, partition: int) -> None:
        """Let none begin: somebody else may have the partition already."""
        self._fences.pop(partition, None)

    def __len__(self) -> int:
        """Return how many partitions this relay has."""
        return len(self._fences)

    def partition_of(self, actor_id: str) -> int:
        """Return the partition an actor belongs to."""
        return partition_of(actor_id, self._partitions)

    def of(self, actor_id: str) -> Tenure | None:
        """Return what an actor may begin under; None when it is another relay's.

        The lease may be uncertain at this moment, and certain in the next.
        """
        keeper, fence = self.keeper, self._fences.get(self.partition_of(actor_id))
        if keeper is None or fence is None or fence.partition in self._leaving:
            return None
        return Tenure(fence, lambda: keeper.fence(fence.partition) == fence)
