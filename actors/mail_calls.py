"""Calls to tenants' own servers: where to, as whom, and what they said.

The words of the calls, and which there are, is the surface's business (`Wording`).
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from signalbox.domain.errors import InvalidField
from signalbox.domain.webhook import read_url

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from signalbox.actors.tenants import Tenants
    from signalbox.actors.transports.callbacks import Answer
    from signalbox.domain.tenant import Tenant
    from signalbox.projections.mail_views import ReportEvent

SYNC_PATH: Final = "/mail-proxy/sync"
TAKEN: Final = range(200, 300)
USER_AGENT: Final = "Signalbox-Mail/1"
WAIT_DIGITS: Final = re.compile(r"[0-9]{1,6}", re.ASCII)
HEADER_TEXT: Final = re.compile(r"[\t -~\x80-\xff]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What a server says besides having taken its reports; the moment is in Unix seconds."""

    has_more: bool = False
    rest_until_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What came of a call; without an answer `reason` says why."""

    was_taken: bool
    has_more: bool = False
    rest_until_s: float = 0.0
    wait_s: float = 0.0
    reason: str = ""

    @property
    def outcome(self) -> str:
        """One word for the statistics."""
        return "taken" if self.was_taken else "failed"


class Wording(Protocol):
    """How reports and answers are written."""

    def rest_goes_first(self, tenant: Tenant) -> bool:
        """True when a server that wants to rest is not even told of reports."""

    def body(self, tenant: Tenant, reports: Sequence[ReportEvent]) -> bytes:
        """Return what is posted. Raises: `Unavailable`."""

    def read(self, answer: bytes) -> Wish:
        """Return what an answer asks for; one that makes no sense asks for nothing."""


class ClientCalls:
    """Calls the servers of tenants; it never raises for what these do."""

    def __init__(
        self,
        tenants: Tenants,
        wording: Wording,
        post: Callable[[str, bytes, Mapping[str, str]], Answer],
    ) -> None:
        self._tenants = tenants
        self._wording = wording
        self._post = post

    def rest_goes_first(self, tenant: Tenant) -> bool:
        """True when the tenant's server is left alone until its rest is over, whatever happens."""
        return self._wording.rest_goes_first(tenant)

    def tell(self, tenant: Tenant, reports: Sequence[ReportEvent]) -> Said:
        """Post reports, or that there are none; any 2xx takes all of them.

        Raises: `Unavailable`.
        """
        url = sync_url(tenant)
        try:
            read_url(url)
            headers = self._headers(tenant)
        except (InvalidField, ValueError) as error:
            return Said(was_taken=False, reason=str(error))
        answer = self._post(url, self._wording.body(tenant, reports), headers)
        if answer.status not in TAKEN:
            reason = answer.reason or f"status {answer.status}"
            return Said(was_taken=False, wait_s=_wait_s(answer.retry_after), reason=reason)
        wish = self._wording.read(answer.body)
        return Said(was_taken=True, has_more=wish.has_more, rest_until_s=wish.rest_until_s)

    def _headers(self, tenant: Tenant) -> dict[str, str]:
        """Raise `ValueError` when the tenant's secret can't be told any more."""
        headers = {
            "Content-Type": "application/json",
            "Accept": "application/json",
            "User-Agent": USER_AGENT,
        }
        authorization = authorization_of(tenant, self._tenants)
        return headers | {"Authorization": authorization} if authorization else headers


def sync_url(tenant: Tenant) -> str:
    """Return where a tenant's server takes reports."""
    return url_of(tenant, tenant.client_sync_path or SYNC_PATH)


def url_of(tenant: Tenant, path: str) -> str:
    """Return the address of a path on a tenant's server."""
    return f"{tenant.client_base_url.rstrip('/')}/{path.removeprefix('/')}"


def authorization_of(tenant: Tenant, tenants: Tenants) -> str:
    """Return the header by which a tenant's server knows us, "" if it wants none.

    Raises: `ValueError` when SECRET_KEY is another one by now, or no header can hold the secret.
    """
    auth = tenant.client_auth
    if auth.method not in {"bearer", "basic"}:
        return ""
    secret = tenants.open_secret(auth.secret_sealed)
    if auth.method == "basic":
        return "Basic " + base64.b64encode(f"{auth.user}:{secret}".encode()).decode("ascii")
    token = secret.encode().decode("latin-1")  # http.client writes it back as these octets.
    if not HEADER_TEXT.fullmatch(token):
        raise ValueError("the token has line breaks in it")
    return f"Bearer {token}"


def _wait_s(retry_after: str) -> float:
    """Return the seconds a Retry-After header asks for; dates are not understood."""
    text = retry_after.strip()
    return float(text) if WAIT_DIGITS.fullmatch(text) else 0.0
