"""What there is under `/api/v1/auth`: opening an account, logging in, and whose account it is."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from signalbox.http.context import encode
from signalbox.http.errors import Failure
from signalbox.http.signalhouse import wire
from signalbox.http.signalhouse import wire_answers as answers
from signalbox.http.signalhouse.refusals import phrased

if TYPE_CHECKING:
    import falcon
    import msgspec

    from signalbox.http.body import BodyReader
    from signalbox.http.context import Request
    from signalbox.http.peer import Peers
    from signalbox.http.signalhouse.auth import Gate
    from signalbox.http.signalhouse.ports import Accounts, Reads


class _Auth:
    """What the paths have that nobody needs to be logged in for."""

    def __init__(self, accounts: Accounts, body: BodyReader, peers: Peers) -> None:
        self._accounts = accounts
        self._body = body
        self._peers = peers


class Token(_Auth):
    """`POST /api/v1/auth/token`."""

    def on_post(self, req: Request, resp: falcon.Response) -> None:
        """Answer with a token for an e-mail address and a password."""
        req.context.failure = {}
        body = self._body.fields(req, wire.LogIn)
        with phrased():
            session = self._accounts.log_in(
                body.email,
                body.password,
                peer=self._peers.of(req),
                request_id=req.context.request_id,
            )
        _answer_secret(resp, answers.logged_in(session))


class Register(_Auth):
    """`POST /api/v1/auth/register`."""

    def on_post(self, req: Request, resp: falcon.Response) -> None:
        """Open an account for somebody with an invite."""
        req.context.failure = {}
        body = self._body.fields(req, wire.Register)
        with phrased():
            account_id = self._accounts.register(
                body.email,
                body.password,
                body.name,
                body.invite_code,
                peer=self._peers.of(req),
                request_id=req.context.request_id,
            )
        resp.status = HTTPStatus.CREATED
        resp.data = encode(answers.registered(account_id))


class Refresh(_Auth):
    """`POST /api/v1/auth/refresh`."""

    def on_post(self, req: Request, resp: falcon.Response) -> None:
        """Answer with a new access token, for a refresh token or one that is still valid."""
        req.context.failure = {}
        access = self._accounts.refresh(self._body.fields(req, wire.Refresh).refresh_token)
        if access is None:
            raise Failure(HTTPStatus.UNAUTHORIZED, "Invalid or expired refresh token")
        _answer_secret(resp, answers.refreshed(access))


class User:
    """`GET /api/v1/auth/user`."""

    def __init__(self, gate: Gate, accounts: Accounts, reads: Reads) -> None:
        self._gate = gate
        self._accounts = accounts
        self._reads = reads

    def on_get(self, req: Request, resp: falcon.Response) -> None:
        """Answer with whose account it is."""
        account_id = self._gate(req).account_id
        profile = self._accounts.profile(account_id)
        _answer_secret(resp, answers.user(profile, self._reads.phones(account_id)))


def _answer_secret(resp: falcon.Response, body: msgspec.Struct) -> None:
    resp.set_header("Cache-Control", "no-store")
    resp.data = encode(body)
