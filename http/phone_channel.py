"""A phone's WebSocket as the core sees it: how it is ended, and why it ended."""

from __future__ import annotations

from contextlib import contextmanager
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from signalbox.actors.phone_line import LOST_BY, LineEnd
from signalbox.eventstore.errors import Unavailable
from signalbox.http.context import STORE_AWAY
from signalbox.http.errors import Failure
from signalbox.http.frames import Close

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from signalbox.domain.phone import Lost
    from signalbox.http.channel import Channel
    from signalbox.http.phone_ports import LiveLine

CODES: Final[Mapping[LineEnd, tuple[Close, str]]] = {
    LineEnd.REPLACED: (Close.REPLACED, "replaced by a newer connection"),
    LineEnd.REVOKED: (Close.BAD_CREDENTIAL, "credential revoked"),
    LineEnd.UNKNOWN_PHONE: (Close.UNKNOWN_DEVICE, "device removed"),
    LineEnd.SHUTDOWN: (Close.GOING_AWAY, "going away"),
    LineEnd.OVERLOAD: (Close.OVERLOAD, "overloaded"),
}
CLOSED_BY: Final[Mapping[int, Close]] = {
    HTTPStatus.UNAUTHORIZED: Close.BAD_CREDENTIAL,
    HTTPStatus.UNPROCESSABLE_ENTITY: Close.BAD_CREDENTIAL,
    HTTPStatus.FORBIDDEN: Close.NOT_THIS_DEVICE,
    HTTPStatus.NOT_FOUND: Close.UNKNOWN_DEVICE,
    HTTPStatus.TOO_MANY_REQUESTS: Close.TOO_MANY,
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
    def is_quiet(self) -> bool:
        """True while the phone has left a ping unanswered for a while."""
        return self._channel.is_quiet

    @property
    def heard_ago_s(self) -> float:
        """For how long nothing has come from the phone, not even an answer to a ping."""
        return self._channel.heard_ago_s

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


@contextmanager
def closed_by_failures(channel: Channel) -> Iterator[None]:
    """Close the socket, with the reason, instead of answering with it."""
    try:
        yield
    except Failure as failure:
        channel.close(CLOSED_BY[failure.status], failure.error)
    except Unavailable:
        channel.close(Close.OVERLOAD, STORE_AWAY)


def converse(live: LiveLine, line: ChannelLine, run: Callable[[LiveLine], None]) -> None:
    """Have the phone connected while a conversation runs, and note why that ended."""
    lost: Lost = "failed"
    try:
        live.ready()
        run(live)
        lost = line.lost
    finally:
        live.disconnect(lost)
