"""Who may call: whoever has one of the keys, or everybody when none are configured.

That is decided before a request is routed, so that a stranger learns nothing of what is there, and
once more by each resource, so that no way of writing a path gets around it.
"""

from __future__ import annotations

import hashlib
import hmac
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from signalbox.http.errors import Denied

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    import falcon

    from signalbox.http.context import Request

HEADER: Final = "X-Api-Key"
WITH_KEY: Final = "warmup-key"
ANYBODY: Final = "anybody"


class KeyGate:
    """Lets requests in by their `X-Api-Key`."""

    def __init__(self, api_keys: Collection[str]) -> None:
        self._digests = [_digest(key.encode()) for key in api_keys]

    def __call__(self, req: Request) -> str:
        """Return the caller as events name it. Raises: `Denied`."""
        if not self._digests:
            return ANYBODY
        # WSGI hands octets over as Latin-1 (PEP 3333). Every key is compared, whichever fits.
        given = _digest(req.env.get("HTTP_X_API_KEY", "").encode("latin-1"))
        fits = [hmac.compare_digest(given, digest) for digest in self._digests]
        if not any(fits):
            raise Denied(HTTPStatus.UNAUTHORIZED, "Unauthorized")
        return WITH_KEY


class Guard:
    """Middleware for a surface's paths, by their first word: the gate, and how errors look."""

    def __init__(self, gate: KeyGate, is_ours: Callable[[str], bool]) -> None:
        self._gate = gate
        self._is_ours = is_ours

    def process_request(self, req: Request, resp: falcon.Response) -> None:  # noqa: ARG002
        """Let the request go on. Raises: `Denied`."""
        # The router, too, takes any number of slashes for one.
        if self._is_ours(req.path.lstrip("/").partition("/")[0]):
            req.context.failure = {}
            self._gate(req)


def _digest(octets: bytes) -> bytes:
    return hashlib.sha256(octets).digest()
