"""An append on its way through the journal, and what a batch of them writes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from signalbox.eventstore.errors import Conflict
from signalbox.eventstore.recorder import Beside

if TYPE_CHECKING:
    from collections.abc import Iterable

    from eventsourcing.persistence import StoredEvent
    from gevent.event import AsyncResult

    from signalbox.eventstore.journal import Append


@dataclass(slots=True, eq=False)
class Waiting:
    """An append without a result yet; `deadline_s` by the monotonic clock."""

    append: Append
    command_id: str
    stored: list[StoredEvent]
    deadline_s: float
    result: AsyncResult
    relies_on: list[Waiting] = field(default_factory=list)
    versions: dict[str, int] = field(init=False)
    """The last version of each stream it writes."""

    def __post_init__(self) -> None:
        self.versions = {str(e.originator_id): e.originator_version for e in self.stored}

    @property
    def abandoned(self) -> bool:
        """True when something it was decided upon has failed."""
        return any(one.result.exception is not None for one in self.relies_on)

    def conflict(self) -> Conflict:
        """Return the error for an append that somebody else forestalled."""
        if not self.stored:  # Its row for the inbox is there already.
            return Conflict(self.append.inbox[0].stream_id, 0)
        first = self.stored[0]
        return Conflict(str(first.originator_id), first.originator_version)


def without_result(batch: Iterable[Waiting]) -> list[Waiting]:
    """Return those whose result is not set yet."""
    return [waiting for waiting in batch if not waiting.result.ready()]


def rows_beside(batch: Iterable[Waiting]) -> Beside:
    """Gather the rows that go with the events of a batch."""
    beside = Beside()
    for waiting in batch:
        append = waiting.append
        if append.fence is not None:
            beside.fences.add(append.fence)
        beside.inbox += append.inbox
        beside.done += append.done
        beside.taken += append.taken
        beside.submitted += append.submitted
        beside.lines += append.lines
    return beside
