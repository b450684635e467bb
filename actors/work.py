"""What a link session has in hand: messages by stream, parts in the order they are to leave.

Nothing here decides or does anything; it is the session's memory, rebuilt from inbox and streams.
"""

from __future__ import annotations

import heapq
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from signalbox.domain import message as messages
from signalbox.domain import text as texts

if TYPE_CHECKING:
    from collections.abc import Iterable
    from collections.abc import Set as AbstractSet

REMEMBERED_MAX: Final = 20_000  # messages kept for the receipts that are still to come


@dataclass(slots=True)
class Tracked:
    """A message in hand: its state and version, its content while parts have yet to leave."""

    stream_id: str
    seq: int
    accepted: messages.MessageAccepted
    message: messages.Message
    version: int
    tenant_id: str
    encoded: tuple[texts.Part, ...] | None = None
    traceparent: str = ""

    def evolve(self, events: Iterable[messages.Event], at_s: float) -> None:
        """Apply events that are about to be appended, in this order, as the next versions."""
        for event in events:
            self.message = messages.evolve(self.message, event, at_s)
            self.version += 1

    def pdu(self, part: int) -> texts.Part:
        """Return part `part` (1-based) as it goes on the air.

        The reference that joins the parts comes from the job number: resent parts keep theirs.
        """
        if self.encoded is None:
            accepted = self.accepted
            self.encoded = texts.encode_parts(
                accepted.text, accepted.encoding, accepted.long_mode, accepted.task_id
            )
        return self.encoded[part - 1]


@dataclass(frozen=True, slots=True, order=True)
class Slot:
    """A part in line: older messages first, their parts together."""

    seq: int
    part: int
    stream_id: str


class Line:
    """Parts that are to leave, oldest first, each not before its time."""

    def __init__(self) -> None:
        self._ready: list[Slot] = []
        self._later: list[tuple[float, Slot]] = []

    def __len__(self) -> int:
        return len(self._ready) + len(self._later)

    def put(self, slot: Slot, at_s: float = 0.0) -> None:
        """Put a part in line; with `at_s` it is not ready before (Unix seconds)."""
        if at_s > 0:
            heapq.heappush(self._later, (at_s, slot))
        else:
            heapq.heappush(self._ready, slot)

    def ripen(self, now_s: float) -> None:
        """Move what has waited long enough to its place among the ready."""
        while self._later and self._later[0][0] <= now_s:
            heapq.heappush(self._ready, heapq.heappop(self._later)[1])

    def next_at_s(self) -> float | None:
        """Return when the next waiting part becomes ready, None when none waits."""
        return self._later[0][0] if self._later else None

    @property
    def ready(self) -> int:
        """How many parts could leave now."""
        return len(self._ready)

    def take(self) -> Slot:
        """Remove and return the oldest ready part."""
        return heapq.heappop(self._ready)

    def waiting(self) -> list[Slot]:
        """Return the ready parts, oldest first."""
        return sorted(self._ready)

    def remove(self, stream_ids: AbstractSet[str]) -> None:
        """Let go of the parts of some messages."""
        self._ready = [slot for slot in self._ready if slot.stream_id not in stream_ids]
        heapq.heapify(self._ready)
        self._later = [one for one in self._later if one[1].stream_id not in stream_ids]
        heapq.heapify(self._later)


class Memory:
    """Messages by stream, parts by the SMSC's ids; the oldest settled messages go first."""

    def __init__(self) -> None:
        self._tracked: OrderedDict[str, Tracked] = OrderedDict()
        self._parts: OrderedDict[str, tuple[str, int] | None] = OrderedDict()

    def __contains__(self, stream_id: str) -> bool:
        return stream_id in self._tracked

    def add(self, tracked: Tracked) -> None:
        """Take a message in hand."""
        self._tracked[tracked.stream_id] = tracked

    def get(self, stream_id: str) -> Tracked | None:
        """Return a message in hand."""
        return self._tracked.get(stream_id)

    def forget(self, stream_id: str) -> None:
        """Let go of a message."""
        self._tracked.pop(stream_id, None)

    def settled(self, tracked: Tracked) -> None:
        """Every part has left: the content can go, the rest waits for receipts a while."""
        tracked.encoded = None
        self._tracked.move_to_end(tracked.stream_id)
        while len(self._tracked) > REMEMBERED_MAX:
            stream_id, oldest = next(iter(self._tracked.items()))
            if oldest.message.needs_work:
                break
            del self._tracked[stream_id]

    def name(self, smsc_key: str, stream_id: str, part: int) -> None:
        """Remember the SMSC's id of a part; an id used twice is of no use here."""
        known = self._parts.get(smsc_key, (stream_id, part))
        self._parts[smsc_key] = (stream_id, part) if known == (stream_id, part) else None
        while len(self._parts) > REMEMBERED_MAX:
            self._parts.popitem(last=False)

    def find(self, keys: Iterable[str]) -> tuple[Tracked, int] | None:
        """Return the message and part of a receipt's id, if they are in hand beyond doubt."""
        for key in keys:
            found = self._parts.get(key)
            if found is not None and found[0] in self._tracked:
                return self._tracked[found[0]], found[1]
        return None
