"""How a session in a pool gets rid of messages it can't send: another member takes them over.

Only messages none of whose parts was ever attempted go, and only to a link that could send them at
once; whatever finds no such link stays.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from time import time
from typing import TYPE_CHECKING, Final

from signalbox.domain import link as links
from signalbox.domain import message as messages
from signalbox.eventstore import metrics
from signalbox.eventstore.recorder import InboxRow

if TYPE_CHECKING:
    from collections.abc import Callable

    from signalbox.actors.changes import Changes
    from signalbox.actors.loads import Vitals
    from signalbox.actors.work import Line, Memory
    from signalbox.domain.pool import Pool

MOVED_MAX: Final = 200  # messages in one append


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why messages should go, how many, and from which end of the line."""

    reason: str
    messages: int = MOVED_MAX
    newest_first: bool = False


@dataclass(frozen=True, slots=True)
class Relief:
    """What a session is given for that: where it says how it is, and where others are found."""

    vitals: Vitals
    pool: Callable[[], Pool | None]
    elsewhere: Callable[[], int | None]

    def trouble(self, *, enabled: bool, down_s: float) -> Trouble | None:
        """Return why messages should go. `down_s` is for how long the link has not been bound."""
        pool = self.pool()
        if pool is None:
            return None
        if not enabled:
            return Trouble("link disabled")
        if down_s > pool.failover_after_s:
            return Trouble("link down")
        over_s = self.vitals.wait_s - pool.queue_wait_s_max
        if over_s <= 0:
            return None
        surplus = int(over_s * max(self.vitals.rate_per_s, 1.0)) + 1
        return Trouble("queue too long", min(surplus, MOVED_MAX), newest_first=True)

    def move(self, line: Line, memory: Memory, trouble: Trouble, changes: Changes) -> None:
        """Decide which of the waiting messages go where."""
        slots = line.waiting()
        stream_ids = dict.fromkeys(s.stream_id for s in slots[:: -1 if trouble.newest_first else 1])
        for stream_id in islice(stream_ids, trouble.messages):
            tracked = memory.get(stream_id)
            if tracked is None or not tracked.message.may_move:
                continue
            link_id = self.elsewhere()
            if link_id is None:
                break
            command = messages.RerouteMessage(link_id, trouble.reason)
            if changes.decide(tracked, command, time()):
                changes.done.append(stream_id)
                changes.inbox.append(InboxRow(links.stream_of(link_id), "submit", stream_id))
                memory.forget(stream_id)
        line.remove(set(changes.done))
        metrics.REROUTED.labels(trouble.reason).inc(len(changes.done))
