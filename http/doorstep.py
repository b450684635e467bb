"""What a phone may do at its socket before it is shown the door."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING, Final

from signalbox.http.frames import Close

if TYPE_CHECKING:
    from collections.abc import Callable

    from signalbox.http.channel import Channel
    from signalbox.http.connections import Connections

MINUTE_S: Final = 60.0


class BadFrames:
    """Counts the frames of a socket that nobody understands, `per_minute_max` in any minute."""

    __slots__ = ("_at_s", "_now_s", "_per_minute_max")

    def __init__(self, per_minute_max: int, now_s: Callable[[], float] = monotonic) -> None:
        self._per_minute_max = per_minute_max
        self._now_s = now_s
        self._at_s: deque[float] = deque()

    def one_more(self) -> bool:
        """Count one; tell whether these are too many now."""
        now_s = self._now_s()
        while self._at_s and self._at_s[0] <= now_s - MINUTE_S:
            self._at_s.popleft()
        self._at_s.append(now_s)
        return len(self._at_s) >= self._per_minute_max


@dataclass(frozen=True, slots=True)
class Doorstep:
    """Where phones say who they are; `strangers` counts the sockets of those who have not yet."""

    strangers: Connections
    bad_frames_per_minute_max: int

    def first_frame(self, channel: Channel, peer: str) -> str | None:
        """Return what a stranger says first; None when the socket was closed instead."""
        with self.strangers.counted(peer) as has_room:
            if has_room:
                return channel.receive_first()
            channel.close(Close.TOO_MANY, "too many unauthenticated connections")
            return None

    def bad_frames(self) -> BadFrames:
        """Return what counts those of one socket."""
        return BadFrames(self.bad_frames_per_minute_max)
