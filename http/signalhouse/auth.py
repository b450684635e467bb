"""Who may call: an account by its token or key, and some paths a single phone by its own key."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from signalbox.http.errors import Failure
from signalbox.http.signalhouse.ids import phone_in
from signalbox.http.signalhouse.refusals import phrased

if TYPE_CHECKING:
    from signalbox.actors.phone_callers import Caller
    from signalbox.domain.phone_account import PairedPhone
    from signalbox.http.context import Request
    from signalbox.http.peer import Peers
    from signalbox.http.signalhouse.ports import Accounts

BEARER: Final = "bearer "
DEVICE: Final = "device"
INVALID: Final = "Invalid or expired API key or token"


class Gate:
    """Lets requests in; with `phones_too` also those of a phone that has a key of its own."""

    def __init__(self, accounts: Accounts, peers: Peers, *, phones_too: bool = False) -> None:
        self._accounts = accounts
        self._peers = peers
        self._phones_too = phones_too

    def __call__(self, req: Request) -> Caller:
        """Return who calls. Raises: `Failure` 401, 403, 429."""
        req.context.failure = {}
        credential = bearer(req)
        if not credential:
            raise Failure(HTTPStatus.UNAUTHORIZED, "Authorization header required")
        return self.of(req, credential)

    def of(self, req: Request, credential: str) -> Caller:
        """Return who shows a credential. Raises: `Failure` 401, 403, 429."""
        caller = authenticated(self._accounts, credential, self._peers.of(req))
        if caller.kind == DEVICE and not self._phones_too:
            raise Failure(HTTPStatus.FORBIDDEN, "A device key is not enough for this")
        return caller

    def phone(self, req: Request, device_id: str) -> tuple[Caller, PairedPhone]:
        """Return who calls and its phone of that id. Raises: `Failure` 401, 403, 404, 429."""
        caller = self(req)
        return caller, phone_of(self._accounts, caller, device_id)


def bearer(req: Request) -> str:
    """Return the credential of the Authorization header, "" when there is none."""
    authorization: str = req.env.get("HTTP_AUTHORIZATION", "")
    is_bearer = authorization[: len(BEARER)].lower() == BEARER
    return authorization[len(BEARER) :].strip() if is_bearer else ""


def authenticated(accounts: Accounts, credential: str, peer: str) -> Caller:
    """Return whose credential it is. Raises: `Failure` 401, 429."""
    with phrased():
        caller = accounts.authenticate(credential, peer=peer)
    if caller is None:
        raise Failure(HTTPStatus.UNAUTHORIZED, INVALID)
    return caller


def phone_of(accounts: Accounts, caller: Caller, device_id: str) -> PairedPhone:
    """Return a phone that the caller may act for. Raises: `Failure` 403, 404."""
    with phrased():
        phone = phone_in(accounts.account(caller.account_id), device_id)
    if caller.kind == DEVICE and caller.phone_id != phone.phone_id:
        raise Failure(HTTPStatus.FORBIDDEN, "The device key is another device's")
    return phone
