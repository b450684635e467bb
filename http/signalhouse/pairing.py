"""The code that pairs a phone with an account: what its app has to know, for a camera.

The image holds JSON: `{"v": 1, "base_url": …, "ws_url": …, "api_key": …}`; a device's WebSocket is
at `ws_url/<device id>`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec
import segno

from signalbox.http.context import encode
from signalbox.http.signalhouse import wire_answers as answers

if TYPE_CHECKING:
    import falcon

    from signalbox.http.context import Request
    from signalbox.http.signalhouse.auth import Gate
    from signalbox.http.signalhouse.ports import Accounts

VERSION: Final = 1
DOTS_PER_MODULE: Final = 6
WEBSOCKET_SCHEMES: Final = {"http": "ws", "https": "wss"}


class Pairing(msgspec.Struct, frozen=True):
    """What the image says."""

    v: int
    base_url: str
    ws_url: str
    api_key: str


class QrCode:
    """`GET /api/v1/sms/qr-code`.

    Without a `public_url` phones are sent to the host that the request was sent to.
    """

    def __init__(self, gate: Gate, accounts: Accounts, public_url: str) -> None:
        self._gate = gate
        self._accounts = accounts
        self._public_url = public_url

    def on_get(self, req: Request, resp: falcon.Response) -> None:
        """Answer with the image and the account's key."""
        api_key = self._accounts.live_key(self._gate(req).account_id)
        pairing = pairing_of(self._public_url or f"{req.scheme}://{req.netloc}", api_key)
        resp.set_header("Cache-Control", "no-store")
        resp.data = encode(answers.qr_code(image_of(pairing), api_key))


class Key:
    """`POST /api/v1/account/key`, which is ours; a body is not looked at."""

    def __init__(self, gate: Gate, accounts: Accounts) -> None:
        self._gate = gate
        self._accounts = accounts

    def on_post(self, req: Request, resp: falcon.Response) -> None:
        """Answer with another key; the one before is worthless, phones that use it are cut off."""
        caller = self._gate(req)
        api_key = self._accounts.replace_key(
            caller.account_id, by=caller.by, request_id=req.context.request_id
        )
        resp.set_header("Cache-Control", "no-store")
        resp.data = encode(answers.NewKey(api_key))


def pairing_of(url: str, api_key: str) -> Pairing:
    """Return what a phone has to know of the gateway at `url`."""
    scheme, _, rest = url.rstrip("/").partition("://")
    return Pairing(
        v=VERSION,
        base_url=f"{scheme}://{rest}/api/v1",
        ws_url=f"{WEBSOCKET_SCHEMES[scheme]}://{rest}/ws/device",
        api_key=api_key,
    )


def image_of(pairing: Pairing) -> str:
    """Return the code as a data URL of a PNG."""
    code = segno.make_qr(encode(pairing).decode(), error="m")
    return code.png_data_uri(scale=DOTS_PER_MODULE)
