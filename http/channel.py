"""One WebSocket: a reader, which is the connection's greenlet, and a writer while there is need.

    run ──▶ receive() ◀── Incoming ◀── socket ◀── writer ◀── queue ◀── send(), close()

Who sends never waits: a peer for whom too many frames wait, or who takes none for too long, is
dropped. A close is told to the peer, who then has a moment to take notice of it.
"""

from __future__ import annotations

import socket
import struct
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING, Final

import gevent

from signalbox.http.frames import (
    Close,
    Incoming,
    Violation,
    close_frame,
    ping_frame,
    pong_frame,
    text_frame,
)

if TYPE_CHECKING:
    from io import BufferedReader

LINGER_S: Final = 1.0  # for the peer to read our close, instead of a reset
LINGER_OCTETS: Final = 4_194_304
PIECE_OCTETS: Final = 65_536
KEEPALIVE_S: Final = 60
NO_LINGER: Final = struct.pack("ii", 1, 0)
NEVER_SENT: Final = frozenset({Close.NO_CODE, Close.NO_CLOSE})


@dataclass(frozen=True, slots=True)
class ChannelLimits:
    """What a peer may send, how long it may be silent and slow.

    `first_message_…` hold until it has said who it is. `allowed_origins` are those of web pages
    that may connect besides our own; "*" is all.
    """

    message_octets_max: int = 65_536
    first_message_octets_max: int = 4_096
    first_message_timeout_s: float = 10.0
    frames_per_s: float = 20.0
    frames_burst: int = 100
    queue_frames_max: int = 64
    write_timeout_s: float = 10.0
    ping_s: float = 25.0
    silence_s: float = 70.0
    allowed_origins: tuple[str, ...] = ()


class Channel:
    """One socket; `peer` is the address of the client.

    `closed_with` is the code it was closed with, whoever did it, and 0 while it is open; `reason`
    is ours, for the log.
    """

    __slots__ = (
        "_allowance", "_closed_s", "_heard_s", "_incoming", "_limits", "_pinged_s", "_queue",
        "_said_all", "_socket", "_stream", "_writer", "closed_with", "peer", "reason",
    )  # fmt: skip
    incoming = Incoming

    def __init__(
        self, sock: socket.socket, stream: BufferedReader, peer: str, limits: ChannelLimits
    ) -> None:
        _keep_alive(sock, limits)
        self._socket = sock
        self._stream = stream
        self._limits = limits
        self._incoming = self.incoming(stream, self._on_frame, self._on_ping)
        self._queue: deque[bytes] = deque()
        self._writer: gevent.Greenlet | None = None
        self._said_all = False
        self._heard_s = self._pinged_s = monotonic()
        self._closed_s = 0.0
        self._allowance = float(limits.frames_burst)
        self.peer = peer
        self.closed_with = 0
        self.reason = ""

    @property
    def is_open(self) -> bool:
        """False once it is closed, by whomever."""
        return not self.closed_with

    @property
    def heard_ago_s(self) -> float:
        """For how long no frame of any kind has come from the peer."""
        return monotonic() - self._heard_s

    @property
    def is_quiet(self) -> bool:
        """True while the peer owes an answer to a ping for as long as it may take for a frame."""
        limits = self._limits
        return self.heard_ago_s > limits.ping_s + limits.write_timeout_s

    def receive(self) -> str | None:
        """Return the next message; None once it is closed. For one greenlet alone."""
        return self._receive(self._limits.message_octets_max)

    def receive_first(self) -> str | None:
        """Return the first message; None once it is closed, as it is when that takes too long."""
        timer = gevent.spawn_later(
            self._limits.first_message_timeout_s, self.close, Close.TOO_LATE, "too late"
        )
        try:
            return self._receive(self._limits.first_message_octets_max)
        finally:
            timer.kill(block=False)

    def send(self, text: str | bytes) -> None:
        """Have a message sent, octets being UTF-8 already; once it is closed, do nothing."""
        self._put(text_frame(text))

    def close(self, code: int = Close.NORMAL, reason: str = "") -> None:
        """Have it closed once all that was sent is written; the first code and reason hold."""
        if self.is_open:
            self._end(code, reason)
            self._enqueue(close_frame(code, reason))

    def drop(self, reason: str) -> None:
        """Cut the connection: nothing more is written, whatever waits."""
        if self.is_open:
            self._end(Close.NO_CLOSE, reason)
        self._queue.clear()
        with suppress(OSError):  # It has gone by itself.
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, NO_LINGER)
            self._socket.shutdown(socket.SHUT_RDWR)

    def look(self, now_s: float) -> None:
        """Ask a quiet peer whether it is there, and drop one that is not."""
        limits = self._limits
        if not self.is_open:
            if now_s - self._closed_s > limits.write_timeout_s + LINGER_S:
                self.drop("does not end")
        elif now_s - self._heard_s > limits.silence_s:
            self.drop("silent")
        elif now_s - self._pinged_s >= limits.ping_s:
            self._pinged_s = now_s
            self._put(ping_frame())

    def finish(self) -> None:
        """Close it if nobody has, and return when the peer has had its chance to notice."""
        self.close()
        left = LINGER_OCTETS
        with suppress(OSError):  # It has gone by itself.
            while left > 0 and (octets := self._stream.read1(PIECE_OCTETS)):
                left -= len(octets)
        if self._writer is not None and not self._said_all:
            self._writer.join()
        if self._writer is not None:
            self._writer.kill(block=False)

    def _receive(self, octets_max: int) -> str | None:
        if not self.is_open:
            return None
        try:
            text = self._incoming.message(octets_max)
        except Violation as violation:
            self.close(violation.code, str(violation))
        except OSError:
            if self.is_open:
                self.drop("gone")
        else:
            if text is None:
                self._answer_close(self._incoming.closed_with)
            elif self.is_open:
                return text
        return None

    def _answer_close(self, code: int) -> None:
        if self.is_open:
            self._end(code, "by the peer")
            self._enqueue(close_frame(Close.NORMAL if code == Close.NO_CODE else code))

    def _end(self, code: int, reason: str) -> None:
        self.closed_with, self.reason = int(code), reason
        self._closed_s = monotonic()

    def _on_frame(self) -> None:
        """Note that the peer is there. Raises: `Violation` when it is there too often."""
        now_s, limits = monotonic(), self._limits
        earned = (now_s - self._heard_s) * limits.frames_per_s
        self._allowance = min(limits.frames_burst, self._allowance + earned) - 1
        self._heard_s = now_s
        if self._allowance < 0:
            raise Violation(Close.TOO_MANY, "too many frames")
        if 2 * len(self._queue) >= limits.queue_frames_max:
            gevent.sleep(0)  # Frames that came together are read without a turn for the writer.

    def _on_ping(self, payload: bytes) -> None:
        self._put(pong_frame(payload))

    def _put(self, frame: bytes) -> None:
        if not self.is_open:
            return
        if len(self._queue) >= self._limits.queue_frames_max:
            self.drop("too slow")
        else:
            self._enqueue(frame)

    def _enqueue(self, frame: bytes) -> None:
        self._queue.append(frame)
        if self._writer is None:
            self._writer = gevent.spawn(self._write)

    def _write(self) -> None:
        try:
            while self._queue:
                with gevent.Timeout(self._limits.write_timeout_s):
                    self._socket.sendall(self._queue.popleft())
        except (OSError, gevent.Timeout):
            self.drop("too slow or gone")
        if self.is_open:
            self._writer = None
        else:
            self._said_all = True
            self._let_go()

    def _let_go(self) -> None:
        """After our close: have a reader who still waits for the peer end soon."""
        with suppress(OSError):  # It has gone by itself.
            self._socket.shutdown(socket.SHUT_WR)
            gevent.sleep(LINGER_S)
            self._socket.shutdown(socket.SHUT_RD)


def _keep_alive(sock: socket.socket, limits: ChannelLimits) -> None:
    """Have the kernel, too, notice a peer that is no longer there."""
    sock.settimeout(None)  # Silence is the watchdog's concern: see `Channel.look`.
    if sock.family in {socket.AF_INET, socket.AF_INET6}:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, KEEPALIVE_S)
        timeout_ms = int(limits.silence_s * 1_000)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, timeout_ms)
