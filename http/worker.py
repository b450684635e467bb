"""The server below the application: gunicorn's worker around gevent's pywsgi, hardened.

A head must be complete `header_timeout_s` after its first octet and is read by `head`; connections
that wait for a next request are closed when the worker stops; a body nobody wanted is not read to
its end. Nothing of a request but its route's template is ever logged or counted.
"""

from __future__ import annotations

import logging
import socket
import time
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache, partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote

import gevent
from gevent import monkey, pywsgi
from gevent import socket as gevent_socket
from gunicorn.workers.ggevent import GeventPyWSGIWorker
from typing_extensions import override

from signalbox.eventstore import metrics
from signalbox.http.connections import Connections
from signalbox.http.context import RAW_TARGET, ROUTE, encode
from signalbox.http.head import FIELDS_MAX, BadHead, Head, parse

if TYPE_CHECKING:
    from prometheus_client import Histogram

log = logging.getLogger(__name__)

END_OF_HEAD: Final = b"\r\n\r\n"
IDLE_S: Final = 75.0  # how long a connection may be silent
LINGER_S: Final = 2.0  # how long what a refused client still sends is thrown away, so that
LINGER_OCTETS: Final = 4_194_304  # it gets to read the answer instead of a reset
LEFTOVER_OCTETS_MAX: Final = 65_536


@dataclass(frozen=True, slots=True)
class Limits:
    """What a client may take: time and length for the head of a request, connections.

    0 connections set no limit, and there is none for the networks in `trusted_proxies`.
    """

    header_timeout_s: float = 5.0
    header_line_octets_max: int = 8_192
    connections_per_ip_max: int = 0
    trusted_proxies: tuple[str, ...] = ()


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
            self._head = head = parse(octets)
        except BadHead as error:
            self._refuse(error)
            return None
        except OSError:
            return None  # Gone, or silent for too long.
        self.close_connection = not head.keeps_alive
        self.request_version = f"HTTP/1.{head.minor_version}"
        self.environ = self.get_environ()
        self.application = self.server.application
        self.handle_one_response()
        if self._body.abandoned:
            self._linger()
            return None
        return None if self.close_connection or self.server.stopping else True

    @override
    def get_environ(self) -> dict[str, Any]:
        head = self._head
        path, _, query = head.target.partition("?")
        environ: dict[str, Any] = self.server.get_environ()
        environ.update(head.fields)
        environ["REQUEST_METHOD"] = head.method
        environ["SCRIPT_NAME"] = ""
        environ["PATH_INFO"] = _decoded(path)
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
                raise _too_long(first=not head)
            if not line:
                return b""
            head += line
            if head.endswith(END_OF_HEAD):
                return bytes(head)
        raise BadHead(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "too many header fields")

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


class Server(pywsgi.WSGIServer):  # type: ignore[misc]
    """The connections of one worker."""

    @override
    def __init__(self, *args: Any, limits: Limits, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.limits = limits
        self.connections = Connections(limits.connections_per_ip_max, limits.trusted_proxies)
        self.waiting: set[Handler] = set()
        self.stopping = False

    @override
    def close(self) -> None:
        """Accept nothing more, and close what only waits; answers under way are finished."""
        self.stopping = True
        super().close()
        for handler in self.waiting:
            with suppress(OSError):  # It has gone by itself.
                handler.socket.shutdown(socket.SHUT_RD)


class Worker(GeventPyWSGIWorker):  # type: ignore[misc]
    """A worker process. Its gunicorn application has `limits`."""

    wsgi_handler = Handler
    sockets: list[Any]

    @override
    def patch(self) -> None:
        # `queue` stays the standard library's: see signalbox.ops.patched.
        monkey.patch_all(queue=False)
        self.sockets = [
            gevent_socket.socket(s.FAMILY, socket.SOCK_STREAM, fileno=s.sock.detach())
            for s in self.sockets
        ]

    @override
    def run(self) -> None:
        self.server_class = partial(Server, limits=self.app.limits)
        super().run()


def _decoded(path: str) -> str:
    """Decode a path once; one with an encoded slash or NUL stays as it is and matches no route."""
    if "%" not in path:
        return path
    decoded = unquote(path, encoding="latin-1")
    return path if "\0" in decoded or decoded.count("/") != path.count("/") else decoded


def _refusal(error: BadHead) -> bytes:
    body = encode({"error": error.reason})
    status = error.status
    head = (
        f"HTTP/1.1 {status.value} {status.phrase}\r\nConnection: close\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def _too_long(*, first: bool) -> BadHead:
    if first:
        return BadHead(HTTPStatus.REQUEST_URI_TOO_LONG, "request line too long")
    return BadHead(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "header field too long")


@lru_cache(maxsize=1024)
def _histogram(route: str, status: int) -> Histogram:
    return metrics.REQUESTS.labels(route, str(status))
