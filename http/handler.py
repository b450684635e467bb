"""One connection to the server: its requests, one after the other, and what they are answered.

A head must be complete `header_timeout_s` after its first octet and is read by `head`; a body
nobody wanted is not read to its end; a connection that became a WebSocket stays one. Nothing of a
request but its route's template is ever logged or counted.
"""

from __future__ import annotations

import logging
import socket
import time
from functools import lru_cache
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

import gevent
from gevent import pywsgi
from typing_extensions import override

from signalbox.eventstore import metrics
from signalbox.http.context import RAW_TARGET, ROUTE, encode
from signalbox.http.head import FIELDS_MAX, BadHead, Head, decoded, parse, too_long
from signalbox.http.websocket import RUN, is_asked_for

if TYPE_CHECKING:
    from prometheus_client import Histogram

    from signalbox.http.channels import Channels

log = logging.getLogger(__name__)

END_OF_HEAD: Final = b"\r\n\r\n"
IDLE_S: Final = 75.0  # how long a connection may be silent
LINGER_S: Final = 2.0  # how long what a refused client still sends is thrown away, so that
LINGER_OCTETS: Final = 4_194_304  # it gets to read the answer instead of a reset
LEFTOVER_OCTETS_MAX: Final = 65_536


class Body(pywsgi.Input):  # type: ignore[misc]
    """A request's body; `abandoned` when more is left of it than is worth reading."""

    __slots__ = ("abandoned",)

    @override
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.abandoned = False

    @override
    def _discard(self) -> None:
        left = (self.content_length or 0) - self.position
        read = self.chunk_length == 0 if self.chunked_input else left == 0
        if read and not self._chunked_input_error:
            return
        if not self.chunked_input and left <= LEFTOVER_OCTETS_MAX:
            with gevent.Timeout(LINGER_S, exception=False):
                super()._discard()
                return
        self.abandoned = True


class Handler(pywsgi.WSGIHandler):  # type: ignore[misc]
    """One connection."""

    environ: Any  # WSGI's; None until the head of a request is read
    response_headers: list[tuple[bytes, bytes]]
    _head: Head
    _body: Body
    _has_room: bool

    @override
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.socket.settimeout(IDLE_S)

    @override
    def handle(self) -> None:
        peer, _ = self._peer()
        with self.server.connections.counted(peer) as self._has_room:
            super().handle()

    @override
    def handle_one_request(self) -> bool | None:
        self.environ, self.code = None, 0
        if not self._has_room:
            self._refuse(BadHead(HTTPStatus.TOO_MANY_REQUESTS, "too many connections"))
            return None
        try:
            octets = self._read_head()
            if not octets:
                return None
            self._head = parse(octets)
        except BadHead as error:
            self._refuse(error)
            return None
        except OSError:
            return None  # Gone, or silent for too long.
        return self._answer()

    @override
    def get_environ(self) -> dict[str, Any]:
        head = self._head
        path, _, query = head.target.partition("?")
        environ: dict[str, Any] = self.server.get_environ()
        environ.update(head.fields)
        environ["REQUEST_METHOD"] = head.method
        environ["SCRIPT_NAME"] = ""
        environ["PATH_INFO"] = decoded(path)
        environ["QUERY_STRING"] = query
        environ[RAW_TARGET] = head.target
        environ["SERVER_PROTOCOL"] = self.request_version
        environ["REMOTE_ADDR"], environ["REMOTE_PORT"] = self._peer()
        continues = head.fields.get("HTTP_EXPECT", "").lower() == "100-continue"
        self.wsgi_input = self._body = Body(
            self.rfile, head.content_length, self.socket if continues else None, head.chunked
        )
        environ["wsgi.input"] = self.wsgi_input
        environ["wsgi.input_terminated"] = True
        return environ

    @override
    def _write_with_headers(self, data: bytes) -> None:
        """Send head and body as one: one system call, one segment."""
        self.headers_sent = True
        self.finalize_headers()
        fields = (b"%b: %b" % field for field in self.response_headers)
        head = b"\r\n".join((b"HTTP/1.1 " + self.status, *fields, b"", b""))
        if self.response_use_chunked:
            self._sendall(head)
            self._write(data)
        else:
            self._sendall(head + data)

    @override
    def finalize_headers(self) -> None:
        if self.code != HTTPStatus.SWITCHING_PROTOCOLS:
            super().finalize_headers()
            if self.close_connection and self.request_version == "HTTP/1.1":
                self.response_headers.append((b"Connection", b"close"))
            return
        # An answer that goes on without an end has no length and no type.
        self.response_headers = [f for f in self.response_headers if f[0] != b"content-type"]

    @override
    def log_request(self) -> None:
        route = "unread" if self.environ is None else self.environ.get(ROUTE, "unmatched")
        seconds = self.time_finish - self.time_start
        _histogram(route, abs(self.code)).observe(seconds)
        if log.isEnabledFor(logging.DEBUG):
            log.debug(
                "answered",
                extra={"route": route, "status": self.code, "seconds": round(seconds, 6)},
            )

    @override
    def log_error(self, msg: str, *args: object) -> None:
        log.info("invalid request")  # What pywsgi would say quotes it.

    @override
    def _log_error(self, t: type[BaseException], v: BaseException, tb: Any) -> None:
        if not issubclass(t, gevent.GreenletExit):
            log.error("answer failed", exc_info=(t, v, tb))

    def _answer(self) -> bool | None:
        """Answer the request; True when the connection is there for another."""
        head = self._head
        self.close_connection = not head.keeps_alive or is_asked_for(head.fields)
        self.request_version = f"HTTP/1.{head.minor_version}"
        self.environ = self.get_environ()
        self.application = self.server.application
        self.handle_one_response()
        if self._body.abandoned:
            self._linger()
        elif RUN in self.environ:
            self._converse()
        elif not self.close_connection and not self.server.stopping:
            return True
        return None

    def _read_head(self) -> bytes:
        """Return the octets up to the empty line; nothing when the peer has gone."""
        self.server.waiting.add(self)
        try:
            buffered: bytes = self.rfile.peek(1)
        finally:
            self.server.waiting.discard(self)
        end = buffered.find(END_OF_HEAD)
        line_octets_max = self.server.limits.header_line_octets_max
        if 0 < end <= line_octets_max:
            octets: bytes = self.rfile.read(end + len(END_OF_HEAD))
            return octets
        too_slow = BadHead(HTTPStatus.REQUEST_TIMEOUT, "head too slow")
        with gevent.Timeout(self.server.limits.header_timeout_s, too_slow):
            return self._read_lines(line_octets_max)

    def _read_lines(self, line_octets_max: int) -> bytes:
        head = bytearray()
        for _ in range(FIELDS_MAX + 2):
            line: bytes = self.rfile.readline(line_octets_max + 1)
            if len(line) > line_octets_max:
                raise too_long(first=not head)
            if not line:
                return b""
            head += line
            if head.endswith(END_OF_HEAD):
                return bytes(head)
        raise BadHead(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "too many header fields")

    def _converse(self) -> None:
        """Be a WebSocket, if that was the answer; of the request only its route is kept."""
        environ, self.environ = self.environ, {}
        if self.code != HTTPStatus.SWITCHING_PROTOCOLS:
            return
        run, route = environ[RUN], environ.get(ROUTE, "unmatched")
        channels: Channels = self.server.channels
        channel = channels.open(
            self.socket, self.rfile, self.server.connections.peers.seen_in(environ)
        )
        del environ, self.wsgi_input, self._body, self._head
        channels.serve(channel, route, run)

    def _peer(self) -> tuple[str, str]:
        address = self.client_address
        return (str(address[0]), str(address[1])) if isinstance(address, tuple) else ("", "")

    def _refuse(self, error: BadHead) -> None:
        self.time_start = self.time_finish = time.time()
        self.code = error.status
        self.log_request()
        try:
            self.socket.sendall(_refusal(error))
        except OSError:
            return  # It did not wait for the answer.
        self._linger()

    def _linger(self) -> None:
        """Let the client see the answer before the connection is reset."""
        left = LINGER_OCTETS
        try:
            self.socket.shutdown(socket.SHUT_WR)
            with gevent.Timeout(LINGER_S, exception=False):
                while left > 0 and (octets := self.rfile.read1(LEFTOVER_OCTETS_MAX)):
                    left -= len(octets)
        except OSError:
            return  # It did not wait for the answer.


def _refusal(error: BadHead) -> bytes:
    body = encode({"error": error.reason})
    status = error.status
    head = (
        f"HTTP/1.1 {status.value} {status.phrase}\r\nConnection: close\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


@lru_cache(maxsize=1024)
def _histogram(route: str, status: int) -> Histogram:
    return metrics.REQUESTS.labels(route, str(status))
