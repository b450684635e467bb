"""All WebSockets of one server: one watchdog looks after them, and they end with it."""

from __future__ import annotations

import logging
from time import monotonic
from typing import TYPE_CHECKING, Final

import gevent

from signalbox.eventstore import metrics
from signalbox.http.channel import Channel, ChannelLimits
from signalbox.http.frames import Close

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable
    from io import BufferedReader

log = logging.getLogger(__name__)

LOOK_S: Final = 1.0
LOOKS_PER_PING: Final = 5
FAREWELL_S: Final = 1.0  # over which the closes of a server that ends are spread
FAREWELL_STEPS: Final = 20
CODES: Final = frozenset(Close)


class Channels:
    """Runs what is connected to, and counts it."""

    def __init__(self, limits: ChannelLimits, kind: type[Channel] = Channel) -> None:
        self.limits = limits
        self._kind = kind
        self._open: set[Channel] = set()
        self._watchdog: gevent.Greenlet | None = None
        self._ending = False

    def open(self, sock: socket.socket, stream: BufferedReader, peer: str) -> Channel:
        """Return a channel on a connection whose handshake is done."""
        return self._kind(sock, stream, peer, self.limits)

    def serve(self, channel: Channel, route: str, run: Callable[[Channel], None]) -> None:
        """Run `run` with the channel, and end that."""
        started_s = monotonic()
        self._add(channel)
        try:
            _run(channel, route, run)
            channel.finish()
        except BaseException:
            channel.drop("killed")
            raise
        finally:
            self._open.discard(channel)
            metrics.WEBSOCKETS_OPEN.dec()
            _record(channel, route, monotonic() - started_s)

    def close_all(self) -> None:
        """Have every channel closed within a second, those that are still to come at once."""
        self._ending = True
        gevent.spawn(self._say_goodbye)

    def _add(self, channel: Channel) -> None:
        self._open.add(channel)
        metrics.WEBSOCKETS_OPEN.inc()
        if self._ending:
            channel.close(Close.GOING_AWAY, "going away")
        if not self._watchdog:  # There is none, or it has ended.
            self._watchdog = gevent.spawn(self._watch)

    def _watch(self) -> None:
        pause_s = min(LOOK_S, self.limits.ping_s / LOOKS_PER_PING)
        while self._open:
            now_s = monotonic()
            for channel in tuple(self._open):
                channel.look(now_s)
            gevent.sleep(pause_s)

    def _say_goodbye(self) -> None:
        channels = tuple(self._open)
        step = len(channels) // FAREWELL_STEPS + 1
        for number, channel in enumerate(channels, start=1):
            channel.close(Close.GOING_AWAY, "going away")
            if not number % step:
                gevent.sleep(FAREWELL_S / FAREWELL_STEPS)


def _run(channel: Channel, route: str, run: Callable[[Channel], None]) -> None:
    try:
        run(channel)
    except Exception:
        log.exception("websocket failed", extra={"route": route})
        channel.close(Close.ACCIDENT, "internal error")


def _record(channel: Channel, route: str, seconds: float) -> None:
    code = channel.closed_with
    # Peers may choose any of three thousand.
    metrics.WEBSOCKET_CLOSES.labels(route, str(code) if code in CODES else "other").inc()
    log.debug(
        "websocket closed",
        extra={
            "route": route,
            "code": code,
            "reason": channel.reason,
            "seconds": round(seconds, 3),
        },
    )
