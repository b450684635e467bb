"""What an InfluxDB is to who writes to it: takes line protocol over HTTP, or refuses it.

with InfluxServer() as influx:
    influx.answer = 503
    ...
    influx.lines()
"""

from __future__ import annotations

import ssl
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import parse_qs, urlsplit

from typing_extensions import override

if TYPE_CHECKING:
    from pathlib import Path


class InfluxServer:
    """Listens on a free port of the loopback.

    `answer` is the status of every answer; while `hanging` is set there is none.
    """

    def __init__(self, certificate: tuple[Path, Path] | None = None) -> None:
        self.answer = 204
        self.hanging = False
        self.requests = 0
        self.queries: list[dict[str, list[str]]] = []
        self.tokens: set[str] = set()
        self.batches: list[list[str]] = []
        self._closing = Event()
        influx = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                influx.take(self.path, self.headers["Authorization"], body)
                if influx.hanging:
                    influx.wait()
                self.send_response(influx.answer)
                self.send_header("Content-Length", "0")
                self.end_headers()

            @override
            def log_message(self, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
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

    def take(self, path: str, token: str | None, body: bytes) -> None:
        """Take one request; the lines of a refused one do not count."""
        parts = urlsplit(path)
        assert parts.path == "/api/v2/write", path
        self.requests += 1
        if self.answer == 204 and not self.hanging:
            self.queries.append(parse_qs(parts.query))
            self.tokens.add(token or "")
            self.batches.append(body.decode().split("\n"))

    def wait(self) -> None:
        """Stay silent until the end."""
        self._closing.wait()

    def lines(self) -> list[str]:
        """Return everything that was written, oldest first."""
        return [line for batch in self.batches for line in batch]
