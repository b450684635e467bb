"""The public HTTP API as an application calls it; each call is printed as the curl line for it."""

import json
import secrets
import shlex
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

CALL_TIMEOUT_S: Final = 10.0
READY_TIMEOUT_S: Final = 60.0
DELIVERY_TIMEOUT_S: Final = 60.0
CLAIM_TIMEOUT_S: Final = 60.0
POLL_S: Final = 0.25
BUSY_S_MAX: Final = 30.0
BUSY_RETRY_S: Final = 1.0
ANSWER_OCTETS_MAX: Final = 65_536
ORG_SECRET: Final = "ORG_SECRET"  # noqa: S105  the shell variable that stands for it

# Each header's value, and how it is shown: keys and tokens as the shell's variables.
Headers = Mapping[str, tuple[str, str]]
Answer = tuple[int, dict[str, Any]]


class DemoError(Exception):
    """The gateway did not answer as it must; `str()` is one line."""


class DemoClient:
    """Calls the gateway at `url`."""

    def __init__(self, url: str) -> None:
        self._url = url

    def wait_until_ready(self) -> None:
        """Wait for `/readyz`.

        Raises:
            DemoError: it is not ready in time.
        """
        deadline_s = time.monotonic() + READY_TIMEOUT_S
        while not self._ready():
            if time.monotonic() > deadline_s:
                raise DemoError(f"{self._url}/readyz: not ready after {READY_TIMEOUT_S:g} s")
            time.sleep(POLL_S)

    def register(self, account: Mapping[str, str], admin_key: tuple[str, str]) -> int | None:
        """Register a user with an application; return its id, or `None` if the user exists."""
        path = "/api/v1/admin/proxy-users/register"
        status, answer = self._post(path, account, {"X-Admin-Key": admin_key})
        if status == HTTPStatus.BAD_REQUEST:
            return None
        return int(_expected(HTTPStatus.CREATED, status, answer)["data"]["app_id"])

    def log_in(self, email: str, password: str, app_id: int) -> Headers:
        """Return the headers of calls on behalf of the application."""
        body = {"email": email, "password": password, "app_id": app_id}
        status, answer = self._post("/api/v1/user/login", body, {})
        token = str(_expected(HTTPStatus.OK, status, answer)["token"])
        return {
            "Authorization": (f"Bearer {token}", "Bearer $TOKEN"),
            "X-App-ID": (str(app_id), str(app_id)),
        }

    def send(self, headers: Headers) -> str:
        """Send one SMS and return its message id."""
        body = {
            "esme": 1,
            "source": "Signalbox",
            "destination": "+491701234567",
            "message": "The line is clear: Signalbox delivers.",
            "transaction_id": f"demo-{secrets.token_hex(4)}",
        }
        status, answer = self._post("/api/v1/sms/send", body, headers)
        return str(_expected(HTTPStatus.OK, status, answer)["message_id"])

    def wait_until_delivered(self, headers: Headers, message_id: str) -> None:
        """Ask for the message's state until it is `delivered`.

        Raises:
            DemoError: it is not delivered in time.
        """
        path, body = "/api/v1/sms/info", {"esme": 1, "message_id": message_id}
        deadline_s = time.monotonic() + DELIVERY_TIMEOUT_S
        self._print_curl(path, body, headers)
        while (info := self._info(path, body, headers)).get("status") != "delivered":
            if time.monotonic() > deadline_s:
                raise DemoError(f"{message_id} is {info.get('status')}, not yet delivered")
            time.sleep(POLL_S)
        say(json.dumps(info))

    def wait_until_claimed(self, org_id: str, secret_key: str) -> None:
        """Wait until a phone has made the organisation known by connecting.

        Raises:
            DemoError: none has in time.
        """
        deadline_s = time.monotonic() + CLAIM_TIMEOUT_S
        path, headers = f"/messages/{org_id}", _secret(secret_key)
        while self._call(path, None, headers)[0] == HTTPStatus.UNAUTHORIZED:
            if time.monotonic() > deadline_s:
                raise DemoError(f"no phone connected to {org_id} within {CLAIM_TIMEOUT_S:g} s")
            time.sleep(POLL_S)

    def send_by_phone(self, org_id: str, secret_key: str) -> int:
        """Send one SMS through a phone and return its ticket."""
        body = {"to": "+15553334444", "body": "The line is clear: Signalbox delivers."}
        status, answer = self._post(f"/send/{org_id}", body, _secret(secret_key))
        return int(_expected(HTTPStatus.OK, status, answer)["results"][0]["id"])

    def wait_until_sent(self, org_id: str, secret_key: str, number: int) -> None:
        """Ask for the organisation's messages until the ticket is `sent`, then print them.

        Raises:
            DemoError: it is not sent in time.
        """
        path, headers = f"/messages/{org_id}", _secret(secret_key)
        self._print_curl(path, None, headers)
        deadline_s = time.monotonic() + DELIVERY_TIMEOUT_S
        while True:
            status, answer = self._call(path, None, headers)
            messages = _expected(HTTPStatus.OK, status, answer)["messages"]
            states = {message["id"]: message["status"] for message in messages}
            if states.get(number) == "sent":
                say(json.dumps(answer))
                return
            if time.monotonic() > deadline_s:
                raise DemoError(f"ticket {number} is {states.get(number)}, not yet sent")
            time.sleep(POLL_S)

    def _info(self, path: str, body: object, headers: Headers) -> dict[str, Any]:
        status, answer = self._call(path, body, headers)
        if status == HTTPStatus.NOT_FOUND:
            return {}  # The read model is a moment behind.
        return _expected(HTTPStatus.OK, status, answer)

    def _post(self, path: str, body: object, headers: Headers) -> Answer:
        self._print_curl(path, body, headers)
        status, answer = self._call(path, body, headers)
        say(json.dumps(answer | ({"token": "$TOKEN"} if "token" in answer else {})))
        return status, answer

    def _print_curl(self, path: str, body: object, headers: Headers) -> None:
        shown = "".join(f' -H "{name}: {text}"' for name, (_, text) in headers.items())
        if body is None:
            say(f"$ curl {self._url}{path}{shown}")
            return
        data = shlex.quote(json.dumps(body))
        say(f'$ curl {self._url}{path} -H "Content-Type: application/json"{shown} -d {data}')

    def _call(self, path: str, body: object, headers: Headers) -> Answer:
        """Ask; a gateway that is busy is asked again, as any client should."""
        deadline_s = time.monotonic() + BUSY_S_MAX
        while True:
            status, answer = self._call_once(path, body, headers)
            if status != HTTPStatus.SERVICE_UNAVAILABLE or time.monotonic() > deadline_s:
                return status, answer
            time.sleep(BUSY_RETRY_S)

    def _call_once(self, path: str, body: object, headers: Headers) -> Answer:
        request = urllib.request.Request(  # noqa: S310  # our own http address
            self._url + path,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json"}
            | {name: value for name, (value, _) in headers.items()},
        )
        try:
            with urllib.request.urlopen(request, timeout=CALL_TIMEOUT_S) as response:  # noqa: S310
                return response.status, json.loads(response.read(ANSWER_OCTETS_MAX))
        except urllib.error.HTTPError as error:
            return error.code, _decoded(error.read(ANSWER_OCTETS_MAX))
        except OSError as error:
            raise DemoError(f"{self._url}{path}: {error}") from None

    def _ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self._url}/readyz", timeout=CALL_TIMEOUT_S):  # noqa: S310
                return True
        except OSError:  # Not listening yet, or an answer that says so.
            return False


def _secret(secret_key: str) -> Headers:
    return {"X-Secret-Key": (secret_key, f"${ORG_SECRET}")}


def say(line: str) -> None:
    """Print one line, whole, between those of the processes."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _expected(expected: int, status: int, answer: dict[str, Any]) -> dict[str, Any]:
    if status != expected:
        raise DemoError(f"expected {expected}, got {status}: {json.dumps(answer)}")
    return answer


def _decoded(body: bytes) -> dict[str, Any]:
    try:
        answer = json.loads(body)
    except ValueError:
        answer = None
    return answer if isinstance(answer, dict) else {"body": body.decode(errors="replace")}
