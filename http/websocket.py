"""WebSockets as routes: a resource's `on_get` checks who asks, as any other, and then accepts.

    def on_get(self, req, resp):
        phone = self._authenticate(req)  # raises: an ordinary answer, in the surface's own form
        accept(req, resp, partial(self._serve, phone))

    def _serve(self, phone, channel):
        while (text := channel.receive()) is not None:
            channel.send(...)

The server writes the 101 and runs `_serve` in the connection's greenlet. What that holds on to
stays in memory for as long as the socket is open: better not the request.
"""

from __future__ import annotations

import base64
import binascii
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from signalbox.http.channel import Channel, ChannelLimits
from signalbox.http.errors import Failure
from signalbox.http.frames import Close, accept_key

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import falcon

    from signalbox.http.context import Request

__all__ = [
    "ALLOWED_ORIGINS", "RUN", "Channel", "ChannelLimits", "Close", "accept", "is_asked_for",
]  # fmt: skip

RUN: Final = "signalbox.websocket.run"
"""The WSGI environment's key for what the server is to run after a 101."""

ALLOWED_ORIGINS: Final = "signalbox.websocket.allowed_origins"
"""The WSGI environment's key for the server's `ChannelLimits.allowed_origins`."""

VERSION: Final = "13"
KEY_OCTETS: Final = 16
PORTS: Final = {"http": 80, "https": 443, "ws": 80, "wss": 443}


def accept(req: Request, resp: falcon.Response, run: Callable[[Channel], None]) -> None:
    """Answer 101, and have the server run `run`, which ends the socket when it returns.

    Raises:
        Failure: 426, 400 or 403 for a handshake that is none.
    """
    key = _checked_key(req, resp)
    resp.status = HTTPStatus.SWITCHING_PROTOCOLS
    resp.set_header("Upgrade", "websocket")
    resp.set_header("Connection", "Upgrade")
    resp.set_header("Sec-WebSocket-Accept", accept_key(key))
    req.env[RUN] = run


def is_asked_for(fields: Mapping[str, Any]) -> bool:
    """Tell whether a request with these header fields, named as in WSGI, is a handshake."""
    return "websocket" in _tokens(fields, "HTTP_UPGRADE")


def _checked_key(req: Request, resp: falcon.Response) -> str:
    env = req.env
    if not is_asked_for(env):
        raise _upgrade_required(resp, "this is a websocket: upgrade needed")
    if env.get("SERVER_PROTOCOL") != "HTTP/1.1" or "upgrade" not in _tokens(env, "HTTP_CONNECTION"):
        raise _bad("invalid websocket handshake")
    if env.get("HTTP_SEC_WEBSOCKET_VERSION", "").strip() != VERSION:
        raise _upgrade_required(resp, "websocket version 13 needed")
    if env.get("CONTENT_LENGTH", "0") != "0" or "HTTP_TRANSFER_ENCODING" in env:
        raise _bad("a websocket handshake has no body")
    key: str = env.get("HTTP_SEC_WEBSOCKET_KEY", "").strip()
    if not _is_key(key):
        raise _bad("invalid Sec-WebSocket-Key")
    if not _is_at_home(env):
        raise Failure(HTTPStatus.FORBIDDEN, "origin not allowed")
    return key


def _bad(reason: str) -> Failure:
    return Failure(HTTPStatus.BAD_REQUEST, reason)


def _upgrade_required(resp: falcon.Response, reason: str) -> Failure:
    resp.set_header("Upgrade", "websocket")
    resp.set_header("Connection", "Upgrade")
    resp.set_header("Sec-WebSocket-Version", VERSION)
    return Failure(HTTPStatus.UPGRADE_REQUIRED, reason)


def _tokens(env: Mapping[str, Any], key: str) -> set[str]:
    return {token.strip().lower() for token in env.get(key, "").split(",")}


def _is_key(key: str) -> bool:
    try:
        return len(base64.b64decode(key, validate=True)) == KEY_OCTETS
    except (binascii.Error, ValueError):
        return False


def _is_at_home(env: dict[str, Any]) -> bool:
    """Tell whether a web page that connects is ours, or allowed; phones have no Origin."""
    origin: str | None = env.get("HTTP_ORIGIN")
    if origin is None:
        return True
    allowed = env.get(ALLOWED_ORIGINS, ())
    if "*" in allowed or origin.lower() in allowed:
        return True
    scheme = origin.partition(":")[0].lower()
    home = _place(f"{scheme}://{env.get('HTTP_HOST', '')}")
    return home is not None and _place(origin) == home


def _place(url: str) -> tuple[str, int | None] | None:
    """Return host and port; None for what has none."""
    try:
        parts = urlsplit(url)
        return (parts.hostname, parts.port or PORTS.get(parts.scheme)) if parts.hostname else None
    except ValueError:
        return None
