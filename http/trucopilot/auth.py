"""Who may act for an organisation: whoever shows its secret, wherever in the request that is.

A header goes before the body, and that before the path and the query; two that differ make no
sense, and are nobody's failure.
"""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from signalbox.domain.errors import WrongSecret
from signalbox.domain.org import ORG_ID
from signalbox.http.errors import Failure
from signalbox.http.trucopilot.problems import bad, wrong
from signalbox.http.trucopilot.refusals import phrased
from signalbox.http.trucopilot.wire import Credentials

if TYPE_CHECKING:
    from collections.abc import Iterable

    from signalbox.http.context import Request
    from signalbox.http.peer import Peers
    from signalbox.http.trucopilot.ports import Orgs

ORG_HEADER: Final = "X-Org-Id"
SECRET_HEADER: Final = "X-Secret-Key"  # noqa: S105  a name
NOTHING: Final = Credentials()


@dataclass(frozen=True, slots=True)
class Visitor:
    """Somebody who says which organisation it is, and shows a secret."""

    org_id: str
    secret: str
    peer: str
    request_id: str


class Gate:
    """Lets in whoever knows the secret."""

    def __init__(self, orgs: Orgs, peers: Peers) -> None:
        self._orgs = orgs
        self._peers = peers

    def visitor(
        self,
        req: Request,
        body: Credentials = NOTHING,
        *,
        org_id: str = "",
        secret_key: str = "",
    ) -> Visitor:
        """Return who it is by header, body, path (the last two) and query.

        Raises: `Failure` 400 for what contradicts itself, and as `visitor_of`.
        """
        return visitor_of(
            _only("org_id", _given(req, ORG_HEADER, "org_id", body.org_id, org_id)),
            _only(
                "secret_key", _given(req, SECRET_HEADER, "secret_key", body.secret_key, secret_key)
            ),
            self._peers.of(req),
            req.context.request_id,
        )

    def __call__(self, visitor: Visitor) -> str:
        """Return the owner that the organisation is. Raises: `Failure` 401, 429."""
        with phrased():
            owner = self.known(visitor)
            if owner is None:
                raise WrongSecret
            return owner

    def known(self, visitor: Visitor) -> str | None:
        """Return the owner; None while nobody claimed it. Raises: `Failure` 401, 429."""
        with phrased():
            return self._orgs.authenticate(visitor.org_id, visitor.secret, peer=visitor.peer)

    def claimed(self, visitor: Visitor) -> str:
        """Claim the organisation; return the owner that it is. Raises: `Failure` 401, 422, 429."""
        with phrased():
            return self._orgs.claim(
                visitor.org_id, visitor.secret, peer=visitor.peer, request_id=visitor.request_id
            )


def visitor_of(org_id: str, secret: str, peer: str, request_id: str) -> Visitor:
    """Return who that is. Raises: `Failure` 401 without a secret, 422 for an impossible name."""
    if not org_id and secret:
        raise wrong("org_id: required")
    if org_id and ORG_ID.fullmatch(org_id) is None:
        raise wrong("org_id: expected 3 to 64 letters, digits, hyphens and underscores")
    if not secret:
        error, more = "org_id and secret_key: required", {"code": "missing_credentials"}
        raise Failure(HTTPStatus.UNAUTHORIZED, error, more)
    return Visitor(org_id, secret, peer, request_id)


def has_credentials(req: Request) -> bool:
    """Tell whether a request says anything of who it is, but for a body."""
    given = (_given(req, ORG_HEADER, "org_id"), _given(req, SECRET_HEADER, "secret_key"))
    return any(given)


def _given(
    req: Request, header: str, name: str, in_body: str | None = None, in_path: str = ""
) -> list[str]:
    """Return what is given, in the order of precedence; what is empty is not given."""
    octets: str = req.env.get(f"HTTP_{header.upper().replace('-', '_')}", "")
    # WSGI hands octets over as Latin-1 (PEP 3333).
    in_header = octets.encode("latin-1").decode(errors="replace").strip()
    in_query: list[str] = req.get_param_as_list(name) or []
    return [value for value in (in_header, in_body or "", in_path, *in_query) if value]


def _only(name: str, given: Iterable[str]) -> str:
    values = set(given)
    if len(values) > 1:
        raise bad(f"{name}: given twice, and not the same")
    return values.pop() if values else ""
