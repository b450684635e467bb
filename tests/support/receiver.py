"""Whoever is called back over HTTP: keeps every request whole, and answers as it is told to."""

from __future__ import annotations

import hashlib
import hmac
import json
import ssl
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Self

from typing_extensions import override

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path


@dataclass(frozen=True)
class Call:
    """One request as it came."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:  # noqa: ANN401  whatever was sent
        return json.loads(self.body)

    @property
    def event_id(self) -> str:
        return self.headers["X-Signalbox-Event-Id"]

    def is_signed_with(self, secret: str) -> bool:
        """Check the signature as a receiver does that has read the documentation."""
        timestamp = self.headers["X-Signalbox-Timestamp"]
        mac = hmac.new(secret.encode(), timestamp.encode() + b"." + self.body, hashlib.sha256)
        return self.headers["X-Signalbox-Signature"] == f"v1={mac.hexdigest()}"


Answer = int | tuple[int, dict[str, str], "Iterable[bytes]"]


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128


class Receiver:
    """Listens on a free port of the loopback.

    `answer` is a status, or status, headers and body, or a function of the call that returns such;
    while `hanging` is set there is no answer.
    """

    def __init__(self, certificate: tuple[Path, Path] | None = None) -> None:
        self.answer: Answer | Callable[[Call], Answer] = 200
        self.hanging = False
        self.calls: list[Call] = []
        self._closing = threading.Event()
        self._server = _Server(("127.0.0.1", 0), self._handler())
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*certificate)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.port: int = self._server.server_address[1]
        self.url = f"{'https' if certificate else 'http'}://127.0.0.1:{self.port}/hook"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        self._server.shutdown()
        self._server.server_close()

    @property
    def event_ids(self) -> list[str]:
        """The ids of the calls, in the order they came."""
        return [call.event_id for call in self.calls]

    def _answer(self, call: Call) -> Answer:
        self.calls.append(call)
        if self.hanging:
            self._closing.wait()
        return self.answer(call) if callable(self.answer) else self.answer

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
                call = Call(self.command, self.path, dict(self.headers.items()), body)
                answer = receiver._answer(call)
                status, headers, chunks = answer if isinstance(answer, tuple) else (answer, {}, ())
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()
                try:
                    for chunk in chunks:
                        self.wfile.write(chunk)
                except OSError:
                    return  # The other side has read enough.

            do_GET = do_POST  # noqa: N815  named after the method
            do_PUT = do_POST  # noqa: N815

            @override
            def log_message(self, *args: Any) -> None:
                pass

        return Handler
