"""A stand-in for the mail proxy, and the command `signalbox mail` in front of it."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

import pytest
from typing_extensions import override

from signalbox.ops.mail_client import PREFIX
from signalbox.ops.main import main

Answer = tuple[int, Any]

TENANT = {"id": "acme", "name": "ACME", "active": True, "created_at": "2026-11-21T00:19:15"}
MAIL = {
    "pk": "p" * 22, "id": "m-1", "tenant_id": "acme", "account_id": "smtp1", "priority": 2,
    "created_at": "2026-11-21T00:19:15", "is_pec": False,
    "message": {"to": ["a@example.com", "b@example.com"], "subject": "hello"},
}  # fmt: skip


class Proxy(ThreadingHTTPServer):
    """Gives the answer it is told to, and keeps what it was asked."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers: dict[str, Answer] = {}
        self.asked: list[tuple[str, Any]] = []
        self.length = 0
        self.paths: list[str] = []
        self.tokens: list[str | None] = []
        self.url = f"http://127.0.0.1:{self.server_address[1]}"

    @override
    def __enter__(self) -> Self:
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()
        return self

    @override
    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()


class Handler(BaseHTTPRequestHandler):
    """Answers anything."""

    server: Proxy

    def do_GET(self) -> None:
        length = int(self.headers["Content-Length"] or 0)
        body = json.loads(self.rfile.read(length)) if length else None
        line = f"{self.command} {self.path.removeprefix(PREFIX)}"
        self.server.paths.append(self.path)
        self.server.asked.append((line, body))
        self.server.tokens.append(self.headers["X-API-Token"])
        status, answer = self.server.answers.get(line.partition("?")[0], (200, {"ok": True}))
        self.send_response(status)
        if self.server.length:
            self.send_header("Content-Length", str(self.server.length))
        self.send_header("Location", f"{self.server.url}/elsewhere")
        self.end_headers()
        self.wfile.write(
            answer.encode() if isinstance(answer, str) else json.dumps(answer).encode()
        )

    do_POST = do_PUT = do_DELETE = do_GET  # noqa: N815  named after the methods

    @override
    def log_message(self, *_: object) -> None:
        """Keep the terminal for the command."""


class Mail:
    """The command, its answers and what was asked for."""

    def __init__(self, proxy: Proxy, capsys: pytest.CaptureFixture[str]) -> None:
        self.proxy = proxy
        self._capsys = capsys

    def __call__(self, line: str, *more: str) -> str:
        """Run the command, which must succeed; return what it prints."""
        assert main(["mail", *line.split(), *more, "--url", self.proxy.url]) == 0
        printed = self._capsys.readouterr()
        return printed.out + printed.err

    def refusal(self, line: str, *more: str) -> str:
        """Run the command, which must fail; return the one line it says."""
        assert main(["mail", *line.split(), *more, "--url", self.proxy.url]) == 2
        printed = self._capsys.readouterr()
        assert printed.out == ""
        assert len(printed.err.splitlines()) == 1
        return printed.err.strip().removeprefix("signalbox: mail: ")

    @property
    def asked(self) -> list[tuple[str, Any]]:
        """What was called, with which bodies."""
        return self.proxy.asked
