"""Accounts and organisations with phones, seen from outside: over HTTP and WebSockets alone."""

from __future__ import annotations

import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import gevent
import websocket
from support.phone_sockets import connect, hear, say
from support.processes import Client

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.processes import Installation

PASSWORD: Final = "password of a test"
SECRET: Final = "secret-of-an-org-123"
MAKE: Final = (sys.executable, "-m", "signalbox.ops.main", "invite", "make")
FRAME_TIMEOUT_S: Final = 15.0


def invite(installation: Installation, uses: int = 1) -> str:
    """Make an invite code with the command for it."""
    made = subprocess.run(
        [*MAKE, "--uses", str(uses), "--config", str(installation.config)],
        env=installation.environment, check=True, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    return made.stdout.strip()


class Account:
    """An account of `/api/v1/auth/register`, and calls with its key."""

    def __init__(self, port: int, invite_code: str, name: str = "somebody") -> None:
        self.port = port
        credentials = {"email": f"{name}@example.com", "password": PASSWORD}
        anyone = Client(port)
        body = {**credentials, "name": name, "invite_code": invite_code}
        self.id: str = expect(201, anyone.call("POST", "/api/v1/auth/register", body))["user_id"]
        login = expect(200, anyone.call("POST", "/api/v1/auth/token", credentials))
        token = {"Authorization": f"Bearer {login['access_token']}"}
        shown = anyone.call("GET", "/api/v1/sms/qr-code", headers=token)
        self.key: str = expect(200, shown)["api_key"]
        anyone.close()

    def call(self, method: str, path: str, body: object = None, port: int | None = None) -> Any:  # noqa: ANN401
        """Call below /api/v1; return the answer, which must be a good one."""
        client = Client(port or self.port)
        headers = {"Authorization": f"Bearer {self.key}"}
        status, answer = client.call(method, f"/api/v1{path}", body, headers)
        client.close()
        assert status in {200, 201}, (status, answer)
        return answer

    def pair(self, name: str = "Pixel 6a") -> str:
        """Register a gateway device; return its id."""
        body = {"device_name": name, "api_key": self.key}
        device: str = self.call("POST", "/sms/gateway/devices", body)["id"]
        return device

    def send(self, to: str, text: str = "hello", port: int | None = None) -> str:
        """Send a text; return its id."""
        answer = self.call("POST", "/sms/send", {"to": to, "message": text}, port)
        message_id: str = answer["message_id"]
        return message_id

    def status(self, message_id: str) -> str:
        """Return what became of a text."""
        status: str = self.call("GET", f"/sms/send/status/{message_id}")["status"]
        return status

    def is_online(self, device_id: str) -> bool:
        """Tell whether a device is shown as online."""
        shown = self.call("GET", "/device/list")["devices"]
        online = {device["id"]: device["online"] for device in shown}
        return bool(online[device_id])

    @contextmanager
    def phone(self, device_id: str, port: int | None = None) -> Iterator[websocket.WebSocket]:
        """Connect a device, authenticated by its first message."""
        url = f"ws://127.0.0.1:{port or self.port}/api/v1/ws/device/{device_id}"
        with connect(url, timeout_s=FRAME_TIMEOUT_S) as socket:
            say(socket, type="auth", api_key=self.key)
            yield socket


class Org:
    """An organisation: nothing but a name and a secret."""

    def __init__(self, port: int, org_id: str, secret: str = SECRET) -> None:
        self.port = port
        self.id = org_id
        self.secret = secret

    def call(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        """Call with the secret; return status and answer."""
        client = Client(self.port)
        try:
            return client.call(method, path, body, {"X-Secret-Key": self.secret})
        finally:
            client.close()

    def send(self, to: str, text: str = "hello", **fields: object) -> dict[str, Any]:
        """Send a text; return the whole answer."""
        body = {"to": to, "body": text, **fields}
        answer: dict[str, Any] = expect(200, self.call("POST", f"/send/{self.id}", body))
        return answer

    def messages(self, query: str = "") -> list[dict[str, Any]]:
        """Return the messages."""
        answer = expect(200, self.call("GET", f"/messages/{self.id}{query}"))
        messages: list[dict[str, Any]] = answer["messages"]
        return messages

    @contextmanager
    def phone(
        self, *sims: dict[str, Any], port: int | None = None
    ) -> Iterator[websocket.WebSocket]:
        """Connect a phone, and tell its SIMs if there are any."""
        url = f"ws://127.0.0.1:{port or self.port}/websocket"
        with connect(url, timeout_s=FRAME_TIMEOUT_S) as socket:
            say(socket, type="auth", org_id=self.id, secret_key=self.secret)
            assert hear(socket) == {"type": "connected", "org_id": self.id}
            if sims:
                say(socket, type="sims", sims=sims)
                assert hear(socket) == {"type": "sims_ack", "count": len(sims)}
            yield socket


def hears_nothing(socket: websocket.WebSocket, for_s: float = 1.5) -> bool:
    """Tell whether no text comes for a while; pings do."""
    with gevent.Timeout(for_s, exception=False):
        hear(socket)
        return False
    return True


def hear_end(socket: websocket.WebSocket) -> int:
    """Return the code the gateway closes with; texts before it are passed over."""
    while True:
        opcode, data = socket.recv_data()
        if opcode == websocket.ABNF.OPCODE_CLOSE:
            return int.from_bytes(data[:2])


def expect(status: int, answer: tuple[int, Any]) -> Any:  # noqa: ANN401
    """Return an answer's body."""
    assert answer[0] == status, answer
    return answer[1]
