"""Calls of the Signalhouse surface by an account that does everything right.

call = calls(client, account)
message_id = send(call)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from support.signalhouse import EMAIL, PASSWORD
from support.signalhouse_accounts import INVITE

if TYPE_CHECKING:
    import falcon.testing
    from support.signalhouse import Headers

AUTH: Final = "/api/v1/auth"
SMS: Final = "/api/v1/sms"
DEVICE: Final = "/api/v1/device"
GATEWAY: Final = "/api/v1/sms/gateway/devices"
WEBHOOK: Final = "/api/v1/account/webhook"
HELLO: Final = {"to": "+15551234567", "message": "Hello from Signalhouse"}
INBOUND: Final = {
    "from": "+15551234567",
    "message": "Inbound SMS content",
    "timestamp": "2026-04-20T14:30:00Z",
}
LOG_IN: Final = {"email": EMAIL, "password": PASSWORD}
REGISTER: Final = {
    "email": "new@example.com",
    "password": PASSWORD,
    "name": "Your Name",
    "invite_code": INVITE,
}
UNKNOWN_ID: Final = f"msg_{'0' * 32}"

Call = Callable[..., Any]


def calls(client: falcon.testing.TestClient, account: Headers) -> Call:
    """Return what calls with an account's key and returns the answer, which must be a good one."""

    def call(method: str, path: str, body: object = None, **more: Any) -> Any:  # noqa: ANN401
        headers = {**account, **more.pop("headers", {})}
        answer = client.simulate_request(method, path, json=body, headers=headers, **more)
        assert answer.status_code in {200, 201}, answer.text
        return answer.json

    return call


def send(call: Call, **changes: str) -> str:
    """Send a message; return its id."""
    message_id: str = call("POST", f"{SMS}/send", {**HELLO, **changes})["message_id"]
    return message_id


def receive(call: Call, phone_id: str, **changes: str) -> str:
    """Have a phone get a text; return its id."""
    body = {**INBOUND, "device_id": phone_id, **changes}
    answer = call("POST", f"{GATEWAY}/{phone_id}/receive-sms", body)
    assert list(answer) == ["status", "message_id"]
    assert answer["status"] == "received"
    return str(answer["message_id"])


def refused(answer: falcon.testing.Result) -> tuple[int, str]:
    """Return the status and the sentence of a refusal, whose body has nothing else."""
    assert list(answer.json) == ["error"], answer.text
    assert answer.headers["content-type"] == "application/json"
    return answer.status_code, answer.json["error"]
