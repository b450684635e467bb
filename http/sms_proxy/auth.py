"""Who may call: an application's user with a token, or whoever has the admin key.

The order of the checks is the reference's: Authorization, X-App-ID, its number, the token; for
messages then the application's rate and the caller's address, and only then the body.
"""

from __future__ import annotations

import hashlib
import hmac
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, Protocol

from signalbox.http.errors import Denied
from signalbox.http.sms_proxy.wire import number

if TYPE_CHECKING:
    from collections.abc import Callable

    from signalbox.actors.accounts import Identity
    from signalbox.http.context import Request
    from signalbox.http.sms_proxy.addresses import AllowedAddresses
    from signalbox.http.sms_proxy.ports import Accounts

BEARER: Final = "bearer "
ADMIN: Final = "admin-key"
ANYBODY: Final = "anybody"


class Caller(Protocol):
    """Whoever was let in."""

    @property
    def by(self) -> str:
        """The caller as events name it."""


class Admin:
    """Somebody with the admin key."""

    by: str = ADMIN


class Anybody:
    """Somebody who was asked for nothing."""

    by: str = ANYBODY


class Gate(Protocol):
    """Lets a request in."""

    def __call__(self, req: Request) -> Caller:
        """Return who calls. Raises: `Denied`."""


class TokenGate:
    """For users of an application; with `admins_only` for administrators among them."""

    def __init__(self, accounts: Accounts, *, admins_only: bool = False) -> None:
        self._accounts = accounts
        self._admins_only = admins_only

    def __call__(self, req: Request) -> Identity:
        """Return who calls. Raises: `Denied`."""
        authorization: str = req.env.get("HTTP_AUTHORIZATION", "")
        token = authorization[len(BEARER) :].strip()
        if not token or authorization[: len(BEARER)].lower() != BEARER:
            raise _unauthorized("authorization header required")
        app_id = _app_id(req.env.get("HTTP_X_APP_ID", ""))
        if self._accounts.app(app_id) is None:
            raise _unauthorized("unknown app_id")
        identity = self._accounts.authenticate(token, app_id)
        if identity is None:
            raise _unauthorized("invalid or expired token")
        if self._admins_only and not identity.is_admin:
            raise Denied(HTTPStatus.FORBIDDEN, "admin privileges required")
        return identity


class SmsGate:
    """For messages: a user's token, then the application's rate, then the caller's address.

    `limiter` is told the application of every request that has a good token.
    """

    def __init__(
        self, tokens: TokenGate, limiter: Callable[[int], None], addresses: AllowedAddresses
    ) -> None:
        self._tokens = tokens
        self._limiter = limiter
        self._addresses = addresses

    def __call__(self, req: Request) -> Identity:
        """Return who calls. Raises: `Denied`, `Failure`, and what the limiter raises."""
        identity = self._tokens(req)
        self._limiter(identity.app_id)
        self._addresses.require(req, identity.app_id)
        return identity


class AdminGate:
    """For operators; without a configured key it lets nobody in."""

    def __init__(self, admin_api_key: str) -> None:
        self._digest = _digest(admin_api_key.encode()) if admin_api_key else b""

    def __call__(self, req: Request) -> Admin:
        """Return who calls. Raises: `Denied`."""
        if not self._digest:
            raise Denied(HTTPStatus.SERVICE_UNAVAILABLE, "admin API key not configured")
        # WSGI hands octets over as Latin-1 (PEP 3333). Digests have one length: nothing leaks.
        given = _digest(req.env.get("HTTP_X_ADMIN_KEY", "").encode("latin-1"))
        if not hmac.compare_digest(given, self._digest):
            raise _unauthorized("invalid or missing admin key")
        return Admin()


class OpenGate:
    """For everybody; whoever has the admin key is known by it."""

    def __init__(self, admin: AdminGate) -> None:
        self._admin = admin

    def __call__(self, req: Request) -> Caller:
        """Return who calls."""
        try:
            return self._admin(req)
        except Denied:
            return Anybody()


def no_limit(_app_id: int) -> None:
    """Let every application go on."""


def _app_id(text: str) -> int:
    if not text:
        raise _unauthorized("X-App-ID header required")
    app_id = number(text)
    if app_id is None:
        raise Denied(HTTPStatus.BAD_REQUEST, "invalid X-App-ID")
    return app_id


def _unauthorized(error: str) -> Denied:
    return Denied(HTTPStatus.UNAUTHORIZED, error)


def _digest(octets: bytes) -> bytes:
    return hashlib.sha256(octets).digest()
