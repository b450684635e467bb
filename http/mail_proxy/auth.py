"""Who may call: whoever has the admin's token, and each tenant with the key it was given.

| gate  | no token | unknown | a tenant's key                     |
|-------|----------|---------|------------------------------------|
| any   | 401      | 401     | let in; 401 for what isn't its own |
| admin | 401      | 401     | 403                                |

The statuses are the reference's. Where it looks at no tenant we do: none acts for another. A
surface that is open takes a request without a token for the admin's; a wrong one is refused. So is
one that a page of another site makes in a browser of this machine.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from signalbox.http.errors import Denied

if TYPE_CHECKING:
    from signalbox.http.context import Request
    from signalbox.http.mail_proxy.ports import Keys

HEADER: Final = "X-API-Token"
ADMIN: Final = "mail-admin"
ANYBODY: Final = "anybody"

INVALID: Final = "Invalid or missing API token"
NO_ADMIN: Final = "Admin token required"
TENANT_IS_NO_ADMIN: Final = "Admin token required, tenant tokens not allowed for this operation"
NOT_ITS_OWN: Final = "Token not authorized for this tenant"


@dataclass(frozen=True, slots=True)
class Caller:
    """Whoever was let in: `by` as events name it, `tenant_id` None for the admin."""

    by: str
    tenant_id: str | None = None

    def require(self, tenant_id: str) -> None:
        """Let it act for a tenant. Raises: `Denied` 401 when it is another."""
        if self.tenant_id not in {None, tenant_id}:
            raise Denied(HTTPStatus.UNAUTHORIZED, NOT_ITS_OWN)


class Gate:
    """Lets requests in by their `X-API-Token`; without an `admin_token` nobody is the admin.

    But when `is_open`: then everybody is who shows none.
    """

    def __init__(self, keys: Keys, admin_token: str, *, is_open: bool) -> None:
        self._keys = keys
        self._digest = _digest(admin_token.encode()) if admin_token else None
        self._is_open = is_open and not admin_token

    def __call__(self, req: Request) -> Caller:
        """Return who calls. Raises: `Denied` 401."""
        caller = self._caller(req)
        if caller is None:
            raise Denied(HTTPStatus.UNAUTHORIZED, INVALID)
        return caller

    def admin(self, req: Request) -> Caller:
        """Return who calls, if it is the admin. Raises: `Denied` 401, 403."""
        caller = self._caller(req)
        if caller is None:
            raise Denied(HTTPStatus.UNAUTHORIZED, INVALID if _token(req) else NO_ADMIN)
        if caller.tenant_id is not None:
            raise Denied(HTTPStatus.FORBIDDEN, TENANT_IS_NO_ADMIN)
        return caller

    def _caller(self, req: Request) -> Caller | None:
        token = _token(req)
        if not token:
            return Caller(ANYBODY) if self._is_open and _is_from_here(req) else None
        if self._digest is not None and hmac.compare_digest(_digest(token), self._digest):
            return Caller(ADMIN)
        tenant_id = self._keys.owner_of_key(token.decode("latin-1"))
        return None if tenant_id is None else Caller(f"tenant-{tenant_id}", tenant_id)


def is_loopback(host: str) -> bool:
    """Tell whether only this machine reaches a host."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def _is_from_here(req: Request) -> bool:
    """Tell whether nobody's page made the request but, if any, one of ours.

    Browsers tell where a page is from (W3C, Fetch Metadata); whoever has a name of their own lead
    here is told by the name.
    """
    site: str = req.env.get("HTTP_SEC_FETCH_SITE", "none")
    return site in {"none", "same-origin"} and is_loopback(req.host)


def _token(req: Request) -> bytes:
    # WSGI hands octets over as Latin-1 (PEP 3333).
    given: str = req.env.get("HTTP_X_API_TOKEN", "")
    return given.strip().encode("latin-1")


def _digest(octets: bytes) -> bytes:
    return hashlib.sha256(octets).digest()
