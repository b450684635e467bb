"""The paths of this surface."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from signalbox.http import swagger
from signalbox.http.connections import Connections
from signalbox.http.doorstep import Doorstep
from signalbox.http.signalhouse import accounts, devices, gateway, sms
from signalbox.http.signalhouse.auth import Gate
from signalbox.http.signalhouse.channel import DeviceSocket
from signalbox.http.signalhouse.openapi import TITLE, document
from signalbox.http.signalhouse.operations import PREFIX
from signalbox.http.signalhouse.pairing import Key, QrCode
from signalbox.http.signalhouse.webhooks import Webhook

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import falcon

    from signalbox.http.body import BodyReader
    from signalbox.http.context import Request
    from signalbox.http.peer import Peers
    from signalbox.http.phone_ports import Lines, Webhooks
    from signalbox.http.signalhouse import ports

FOLDER: Final = "/signalhouse"
SOCKET: Final = "/ws/device/{device_id}"
WORDS: Final = frozenset({"auth", "sms", "device", "account", "ws"})
OTHERS: Final = frozenset({("sms", "send"), ("sms", "check-esme"), ("sms", "info")})
"""On a port that all share these are another surface's, or not this one's alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Signalhouse:
    """What the surface is made of.

    `limiter` is told the account of every message that is to be sent. With `require_phone` an
    account without a phone sends nothing. `public_url` is where phones are told to connect, the
    host of the request unless it is given.
    """

    accounts: ports.Accounts
    messages: ports.Messages
    lines: Lines
    reads: ports.Reads
    webhooks: Webhooks
    body: BodyReader
    peers: Peers
    limiter: Callable[[str], None]
    trusted_proxies: Sequence[str] = ()
    public_url: str = ""
    require_phone: bool = False
    strangers_per_ip_max: int = 20
    bad_frames_per_minute_max: int = 20

    def routes(self) -> dict[str, object]:
        """Return the resource of each path; call it once for each application."""
        below = {**self._auth(), **self._sms(), **self._devices(), **self._gateway()}
        socket = self._socket()
        return {
            **swagger.routes(FOLDER, TITLE, document),
            **{PREFIX + path: resource for path, resource in below.items()},
            f"{PREFIX}/account/key": Key(self._gate, self.accounts),
            f"{PREFIX}/account/webhook": Webhook(self._gate, self.webhooks, self.body),
            SOCKET: socket,
            PREFIX + SOCKET: socket,
        }

    def guard(self, *, alone: bool = False) -> Guard:
        """Return what stands before these paths, for `create_app`.

        On a port where the surface is `alone`, every path is its own.
        """
        return Guard(alone=alone)

    def send(self) -> sms.Send:
        """Return what `POST /api/v1/sms/send` is, for a port where that has two meanings."""
        return sms.Send(self._gate, self.limiter, self.messages, self._may_send, self.body)

    @property
    def _gate(self) -> Gate:
        return Gate(self.accounts, self.peers)

    @property
    def _phone_gate(self) -> Gate:
        return Gate(self.accounts, self.peers, phones_too=True)

    def _may_send(self, account_id: str) -> bool:
        return not self.require_phone or bool(self.accounts.account(account_id).phones)

    def _auth(self) -> dict[str, object]:
        parts = self.accounts, self.body, self.peers
        return {
            "/auth/token": accounts.Token(*parts),
            "/auth/register": accounts.Register(*parts),
            "/auth/refresh": accounts.Refresh(*parts),
            "/auth/user": accounts.User(self._gate, self.accounts, self.reads),
        }

    def _sms(self) -> dict[str, object]:
        gate, messages, reads = self._gate, self.messages, self.reads
        return {
            "/sms/send": self.send(),
            "/sms/messages": sms.AllMessages(gate, reads),
            "/sms/messages/{message_id}": sms.OneMessage(gate, messages, reads),
            "/sms/send/status/{message_id}": sms.SendStatus(gate, messages),
            "/sms/stats": sms.Stats(gate, reads),
            "/sms/archive/{message_id}": sms.Archive(gate, messages),
            "/sms/qr-code": QrCode(gate, self.accounts, self.public_url),
        }

    def _devices(self) -> dict[str, object]:
        gate = self._gate
        return {
            "/device/register": devices.RegisterDevice(gate, self.accounts, self.body),
            "/device/list": devices.Devices(gate, self.accounts, self.lines, self.reads),
            "/device/{device_id}": devices.Device(gate, self.accounts),
        }

    def _gateway(self) -> dict[str, object]:
        folder = "/sms/gateway/devices"
        parts = self._phone_gate, self.accounts, self.messages, self.body
        return {
            folder: gateway.RegisterGateway(self._gate, self.accounts, self.body),
            f"{folder}/{{device_id}}/receive-sms": gateway.ReceiveSms(*parts),
            f"{folder}/{{device_id}}/sms-status": gateway.SmsStatus(*parts),
        }

    def _socket(self) -> DeviceSocket:
        strangers = Connections(self.strangers_per_ip_max, self.trusted_proxies)
        doorstep = Doorstep(strangers, self.bad_frames_per_minute_max)
        return DeviceSocket(self.accounts, self.messages, self.lines, self.peers, doorstep)


class Guard:
    """Middleware: how errors look below this surface's paths, also where there is nothing."""

    def __init__(self, *, alone: bool) -> None:
        self._alone = alone

    def process_request(self, req: Request, resp: falcon.Response) -> None:  # noqa: ARG002
        """Let the request go on."""
        if self._alone or _is_ours(req.path):
            req.context.failure = {}


def _is_ours(path: str) -> bool:
    # The router, too, takes any number of slashes for one.
    words = [word for word in path.split("/") if word]
    if words[:2] == ["api", "v1"]:
        words = words[2:]
    elif words[:1] != ["ws"]:
        return False
    return words[:1] != [] and words[0] in WORDS and tuple(words) not in OTHERS
