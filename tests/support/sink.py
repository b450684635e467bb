"""Whoever takes what is posted to it over HTTP: keeps it, refuses it or stays silent."""

from __future__ import annotations

import ssl
from abc import ABC, abstractmethod
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import TYPE_CHECKING, Any, ClassVar, Self
from urllib.parse import urlsplit

from typing_extensions import override

if TYPE_CHECKING:
    from pathlib import Path


class Sink(ABC):
    """Listens on a free port of the loopback, for posts to `path` alone.

    `answer` is the status of every answer, at first `accepted`; while `hanging` is set there is
    none. `requests` counts them all.
    """

    path: ClassVar[str]
    accepted: ClassVar[int]

    def __init__(self, certificate: tuple[Path, Path] | None = None) -> None:
        self.answer = self.accepted
        self.hanging = False
        self.requests = 0
        self._closing = Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*certificate)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.address = f"127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        self._server.shutdown()
        self._server.server_close()

    @abstractmethod
    def keep(self, query: str, authorization: str, body: bytes) -> None:
        """Keep a request that is not refused."""

    def _take(self, target: str, authorization: str, body: bytes) -> None:
        parts = urlsplit(target)
        assert parts.path == self.path, target
        self.requests += 1
        if self.hanging:
            self._closing.wait()
        elif self.answer == self.accepted:
            self.keep(parts.query, authorization, body)

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        sink = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                sink._take(self.path, self.headers["Authorization"] or "", body)
                self.send_response(sink.answer)
                self.send_header("Content-Length", "0")
                self.end_headers()

            @override
            def log_message(self, *args: Any) -> None:
                pass

        return Handler
