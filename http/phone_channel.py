"""A phone's WebSocket as the core sees it: how it is ended, and why it ended."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from signalbox.actors.phone_line import LOST_BY, LineEnd
from signalbox.http.frames import Close

if TYPE_CHECKING:
    from collections.abc import Mapping

    from signalbox.domain.phone import Lost
    from signalbox.http.channel import Channel

CODES: Final[Mapping[LineEnd, tuple[Close, str]]] = {
    LineEnd.REPLACED: (Close.REPLACED, "replaced by a newer connection"),
    LineEnd.REVOKED: (Close.BAD_CREDENTIAL, "credential revoked"),
    LineEnd.UNKNOWN_PHONE: (Close.UNKNOWN_DEVICE, "device removed"),
    LineEnd.SHUTDOWN: (Close.GOING_AWAY, "going away"),
    LineEnd.OVERLOAD: (Close.OVERLOAD, "overloaded"),
}

_REFUSED: Final = frozenset(
    {
        Close.PROTOCOL_ERROR, Close.NO_BINARY, Close.BAD_UTF8, Close.TOO_BIG,
        Close.BAD_FRAMES, Close.BAD_CREDENTIAL, Close.TOO_MANY,
    }
)  # fmt: skip
_BY_PEER: Final = "by the peer"
_CUT: Final[Mapping[str, Lost]] = {
    "silent": "silent",
    "too slow": "slow",
    "too slow or gone": "slow",
}


class ChannelLine:
    """The side of a line (`actors.phone_line.Line`) that is the same for all dialects."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._ended: LineEnd | None = None

    def end(self, reason: LineEnd) -> None:
        """Close the socket."""
        if self._ended is None and self._channel.is_open:
            self._ended = reason
            self._channel.close(*CODES[reason])

    @property
    def lost(self) -> Lost:
        """Why the socket is closed."""
        channel = self._channel
        if self._ended is not None:
            return LOST_BY[self._ended]
        if channel.reason == _BY_PEER:
            return "closed"
        if channel.closed_with == Close.GOING_AWAY:
            return "shutdown"
        if channel.closed_with in _REFUSED:
            return "refused"
        return _CUT.get(channel.reason, "closed")
