"""The demo against a stand-in for the gateway: what it calls, and what it shows of it."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from typing_extensions import override

from signalbox.ops.demo import Demo
from signalbox.ops.sections import Server
from signalbox.ops.settings import Settings

TIMELINE = ("echo", "timeline of")


class Gateway(ThreadingHTTPServer):
    """Answers as the API does; a user can be registered once."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.registered = False
        self.final = "delivered"
        self.busy = 0  # so many calls are answered 503
        self.looks_until_claimed = 0  # so many looks at the phone's organisation are answered 401
        self.calls: list[tuple[str, dict[str, Any], Any]] = []

    def reply_to(self, path: str) -> tuple[int, dict[str, Any]]:
        """Return the status and the body for the call just recorded."""
        if self.busy:
            self.busy -= 1
            return 503, {"success": False, "error": "busy"}
        if path.startswith(("/send/", "/messages/")):
            return self._reply_to_organisation(path)
        return self._reply_to_application(path)

    def _reply_to_application(self, path: str) -> tuple[int, dict[str, Any]]:
        match path.rsplit("/", 1)[1]:
            case "register" if self.registered:
                return 400, {"success": False, "error": "user exists"}
            case "register":
                self.registered = True
                return 201, {"success": True, "data": {"user_id": 1, "app_id": 7}}
            case "login":
                return 200, {"token": "eyJ-hush", "error": ""}
            case "send":
                return 200, {"success": True, "message_id": "m-1", "status": "submitted"}
        asked = sum(call[0] == path for call in self.calls)
        return (404, {"error": "not found"}) if asked == 1 else (200, {"status": self.final})

    def _reply_to_organisation(self, path: str) -> tuple[int, dict[str, Any]]:
        if self.looks_until_claimed:
            self.looks_until_claimed -= path.startswith("/messages/")
            return 401, {"ok": False, "error": "invalid org_id or secret_key"}
        if path.startswith("/send/"):
            return 200, {"ok": True, "results": [{"id": 1}]}
        return 200, {"messages": [{"id": 1, "status": "sent"}]}


class Handler(BaseHTTPRequestHandler):
    """Records each call."""

    server: Gateway

    def do_GET(self) -> None:
        """Say that the gateway is ready, or what an organisation asks for."""
        self._write(*((200, {}) if self.path == "/readyz" else self.server.reply_to(self.path)))

    def do_POST(self) -> None:
        """Record the call, then answer it."""
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.calls.append((self.path, body, self.headers))
        self._write(*self.server.reply_to(self.path))

    def _write(self, status: int, body: dict[str, Any]) -> None:
        self.send_response(status)
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())

    @override
    def log_message(self, *_: object) -> None:
        """Keep the terminal for the demo."""


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    with Gateway() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def show(gateway: Gateway, home: Path, *, with_phone: bool = False) -> None:
    server = Server(port=gateway.server_address[1])
    settings = Settings(home=home, server=server, admin_api_key="hush-admin")
    Demo.prepare(home, with_phone=with_phone).show(settings, TIMELINE, {})


def test_the_configuration_has_one_link_to_the_demo_smsc(tmp_path: Path) -> None:
    demo = Demo.prepare(tmp_path)
    (link,) = Settings.load(demo.config_path, {}).links
    assert (link.id, link.name, link.host, link.port) == (1, "demo", "127.0.0.1", demo.port)


def test_every_call_is_shown_as_a_curl_line_without_keys_or_tokens(
    gateway: Gateway, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    show(gateway, tmp_path)
    output = capfd.readouterr().out
    assert output.count("$ curl http://127.0.0.1:") == 4
    assert f'-H "X-Admin-Key: $(cat {tmp_path}/admin_api_key)"' in output
    assert '-H "Authorization: Bearer $TOKEN" -H "X-App-ID: 7"' in output
    assert "hush" not in output
    assert "timeline of m-1" in output


def test_the_calls_carry_what_the_lines_leave_out(gateway: Gateway, tmp_path: Path) -> None:
    show(gateway, tmp_path)
    register, log_in, send, *_ = gateway.calls
    assert register[2]["X-Admin-Key"] == "hush-admin"
    assert log_in[1]["app_id"] == 7
    assert (send[2]["Authorization"], send[2]["X-App-ID"]) == ("Bearer eyJ-hush", "7")


def test_the_second_demo_uses_the_application_of_the_first(
    gateway: Gateway, tmp_path: Path
) -> None:
    show(gateway, tmp_path)
    show(gateway, tmp_path)
    log_ins = [body for path, body, _ in gateway.calls if path.endswith("/login")]
    assert log_ins[0] == log_ins[1]
    sends = [body["transaction_id"] for path, body, _ in gateway.calls if path.endswith("/send")]
    assert len(set(sends)) == 2


def test_the_second_demo_says_that_the_user_need_not_be_made(
    gateway: Gateway, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    show(gateway, tmp_path)
    assert "an earlier start made the user" not in capfd.readouterr().out
    show(gateway, tmp_path)
    lines = capfd.readouterr().out.splitlines()
    refused = lines.index('{"success": false, "error": "user exists"}')
    assert lines[refused + 1].startswith("signalbox: demo: that is as it should be")


def test_an_application_that_was_forgotten_is_reported_in_one_line(
    gateway: Gateway, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    gateway.registered = True
    show(gateway, tmp_path)
    last = capfd.readouterr().out.splitlines()[-1]
    assert last.startswith("signalbox: demo: demo-")
    assert last.endswith(f"exists already: remove {tmp_path}/demo/account.json")


def test_a_gateway_that_is_busy_is_asked_again(
    gateway: Gateway,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("signalbox.ops.demo_client.BUSY_RETRY_S", 0.05)
    gateway.busy = 2
    show(gateway, tmp_path)
    assert "signalbox: the demo is done and still serves" in capfd.readouterr().out


def test_a_text_for_a_phone_waits_until_the_phone_has_claimed_its_organisation(
    gateway: Gateway, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    gateway.looks_until_claimed = 2
    show(gateway, tmp_path, with_phone=True)
    output = capfd.readouterr().out
    assert "invalid org_id" not in output
    assert "timeline of sms-org_demo-" in output
    assert "signalbox: the demo is done and still serves" in output


def test_a_phone_that_never_comes_is_reported_in_one_line(
    gateway: Gateway,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("signalbox.ops.demo_client.CLAIM_TIMEOUT_S", 0.3)
    gateway.looks_until_claimed = 1_000
    show(gateway, tmp_path, with_phone=True)
    *_, refused, last = capfd.readouterr().out.splitlines()
    assert refused.startswith("signalbox: demo: no phone connected to demo-")
    assert last == "signalbox: the demo is done and still serves; Ctrl-C stops it"


def test_an_undelivered_message_is_reported_in_one_line(
    gateway: Gateway,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("signalbox.ops.demo_client.DELIVERY_TIMEOUT_S", 0.3)
    gateway.final = "queued"
    show(gateway, tmp_path)
    last = capfd.readouterr().out.splitlines()[-1]
    assert last == "signalbox: demo: m-1 is queued, not yet delivered"
