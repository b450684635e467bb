"""Who in this process waits for news of which stream; fed by the follower."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from signalbox.eventstore.mapper import Recorded

    Tell = Callable[[Recorded], None]


class Audience:
    """Passes on what is told of a stream to all who listen at that moment."""

    def __init__(self) -> None:
        self._listeners: dict[str, list[Tell]] = {}

    def __contains__(self, stream_id: str) -> bool:
        return stream_id in self._listeners

    @contextmanager
    def listening(self, stream_ids: Collection[str], tell: Tell) -> Iterator[None]:
        """Have `tell` called with every event of the streams while the caller is in here."""
        for stream_id in stream_ids:
            self._listeners.setdefault(stream_id, []).append(tell)
        try:
            yield
        finally:
            for stream_id in stream_ids:
                self._leave(stream_id, tell)

    def tell(self, recorded: Recorded) -> None:
        """Pass on an event."""
        for tell in list(self._listeners.get(recorded.stream_id, ())):
            tell(recorded)

    def _leave(self, stream_id: str, tell: Tell) -> None:
        listeners = self._listeners[stream_id]
        listeners.remove(tell)
        if not listeners:
            del self._listeners[stream_id]
