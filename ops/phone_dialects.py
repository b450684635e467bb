"""How an Android gateway app talks to each of the two surfaces: its side of the documented APIs."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http import HTTPStatus
from http.client import HTTPException
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol
from urllib.parse import quote, urlsplit

if TYPE_CHECKING:
    from collections.abc import Sequence

CALL_TIMEOUT_S: Final = 10.0
ANSWER_OCTETS_MAX: Final = 65_536
SHOWN_CHARS_MAX: Final = 200

Frame = dict[str, Any]
Outcome = Literal["sent", "delivered", "failed"]


class PhoneError(Exception):
    """The gateway refuses this phone; `str()` is one line."""


@dataclass(frozen=True, slots=True)
class Sms:
    """A text the gateway wants sent."""

    id: str | int
    to: str
    text: str


class Dialect(Protocol):
    """One surface, seen from the phone."""

    @property
    def socket_url(self) -> str:
        """Where the WebSocket is."""

    def pair(self) -> None:
        """Make the gateway know this phone, before the first connection. Raises: `PhoneError`."""

    def greeting(self) -> Sequence[Frame]:
        """Return what the phone says first."""

    def command(self, frame: Frame) -> Sms | None:
        """Return what the gateway wants sent, if that is what a frame says."""

    def outcome(self, sms: Sms, outcome: Outcome) -> Frame | None:
        """Return how the phone says what became of it; None where there is no word for that."""

    def inbound(self, sender: str, text: str) -> Frame | None:
        """Tell of a text that arrived: now, or by the frame that is returned."""


@dataclass(slots=True)
class Signalhouse:
    """A gateway device of an account. Texts that arrive go over HTTP, everything else by frames."""

    url: str
    api_key: str = field(repr=False)
    device_id: str = ""
    device_name: str = "signalbox phone"

    @property
    def socket_url(self) -> str:
        """Where the WebSocket is; the key does not go into it, since proxies log URLs."""
        return f"{_websocket(self.url)}/api/v1/ws/device/{quote(self.device_id)}"

    def pair(self) -> None:
        """Register as a new device, unless one was given."""
        if not self.device_id:
            body = {"device_name": self.device_name, "api_key": self.api_key}
            answer = self._post("", body, HTTPStatus.CREATED)
            self.device_id = str(answer["id"])

    def greeting(self) -> Sequence[Frame]:
        """Return the authentication."""
        return ({"type": "auth", "api_key": self.api_key},)

    def command(self, frame: Frame) -> Sms | None:
        """Return what the gateway wants sent, if that is what a frame says."""
        if frame.get("type") != "send_sms":
            return None
        return Sms(frame["sms_id"], frame["to"], frame["message"])

    def outcome(self, sms: Sms, outcome: Outcome) -> Frame | None:
        """Return how the phone says what became of it."""
        return {"type": "sms_status", "sms_id": sms.id, "status": outcome}

    def inbound(self, sender: str, text: str) -> Frame | None:
        """Deliver a text that arrived."""
        body = {
            "from": sender,
            "message": text,
            "timestamp": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
            "device_id": self.device_id,
        }
        self._post(f"/{quote(self.device_id)}/receive-sms", body, HTTPStatus.OK)
        return None

    def _post(self, path: str, body: Frame, expected: HTTPStatus) -> Frame:
        request = urllib.request.Request(  # noqa: S310  the address its user gave
            f"{self.url}/api/v1/sms/gateway/devices{path}",
            data=json.dumps(body).encode(),
            headers={
                "Content-Type": "application/json",
                "Authorization": f"Bearer {self.api_key}",
            },
        )
        try:
            with urllib.request.urlopen(request, timeout=CALL_TIMEOUT_S) as response:  # noqa: S310
                status, answer = response.status, json.loads(response.read(ANSWER_OCTETS_MAX))
        except urllib.error.HTTPError as error:
            raise PhoneError(f"{error.code}: {_reason(error.read(ANSWER_OCTETS_MAX))}") from None
        except urllib.error.URLError as error:
            raise ConnectionError(str(error.reason)) from None
        except (HTTPException, ValueError) as error:
            raise ConnectionError(f"is that a gateway? {error}") from None
        if status != expected:
            raise PhoneError(f"expected {expected.value}, got {status}")
        return dict(answer)


@dataclass(slots=True)
class Trucopilot:
    """A phone of an organisation, which its first connection claims."""

    url: str
    org_id: str
    secret_key: str = field(repr=False)
    sims: Sequence[Frame] = ()

    @property
    def socket_url(self) -> str:
        """Where the WebSocket is; the secret does not go into it, since proxies log URLs."""
        return f"{_websocket(self.url)}/websocket"

    def pair(self) -> None:
        """Do nothing: the connection itself claims the organisation."""

    def greeting(self) -> Sequence[Frame]:
        """Return the authentication, and the SIMs."""
        auth = {"type": "auth", "org_id": self.org_id, "secret_key": self.secret_key}
        return (auth, {"type": "sims", "sims": list(self.sims)}) if self.sims else (auth,)

    def command(self, frame: Frame) -> Sms | None:
        """Return what the gateway wants sent, if that is what a frame says."""
        if frame.get("type") != "send_sms":
            return None
        return Sms(frame["id"], frame["to"], frame["body"])

    def outcome(self, sms: Sms, outcome: Outcome) -> Frame | None:
        """Return how the phone says what became of it; delivery has no word here."""
        if outcome == "delivered":
            return None
        return {"type": "send_result", "id": sms.id, "success": outcome == "sent"}

    def inbound(self, sender: str, text: str) -> Frame | None:
        """Return the frame that tells of a text that arrived."""
        slot = self.sims[0]["slot"] if self.sims else None
        message = {
            "address": sender,
            "body": text,
            "date": int(time.time() * 1000),
            "sim_slot": slot,
        }
        return {"type": "inbound", "message": message}


def in_a_line(text: str) -> str:
    """Return the beginning of a text from anywhere, fit for a terminal."""
    shown = " ".join(text.split())[:SHOWN_CHARS_MAX]
    return "".join(char if char.isprintable() else "?" for char in shown)


def _websocket(url: str) -> str:
    parts = urlsplit(url)
    scheme = "wss" if parts.scheme == "https" else "ws"
    return f"{scheme}://{parts.netloc}{parts.path.rstrip('/')}"


def _reason(body: bytes) -> str:
    try:
        return str(json.loads(body)["error"])
    except (ValueError, KeyError, TypeError):
        return in_a_line(body.decode(errors="replace"))
