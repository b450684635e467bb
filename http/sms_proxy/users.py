"""Logging in, and giving access."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from signalbox.http.context import encode
from signalbox.http.sms_proxy import wire

if TYPE_CHECKING:
    from collections.abc import Mapping

    import falcon

    from signalbox.http.body import BodyReader
    from signalbox.http.context import Request
    from signalbox.http.peer import Peers
    from signalbox.http.sms_proxy.auth import Gate
    from signalbox.http.sms_proxy.ports import Accounts

NO_TOKEN: Final[Mapping[str, object]] = {"token": ""}


class LogIn:
    """`POST /api/v1/user/login`."""

    def __init__(self, accounts: Accounts, body: BodyReader, peers: Peers) -> None:
        self._accounts = accounts
        self._body = body
        self._peers = peers

    def on_post(self, req: Request, resp: falcon.Response) -> None:
        """Answer with a token."""
        req.context.failure = NO_TOKEN
        body = self._body.read(req, wire.LogIn)
        token = self._accounts.log_in(
            body.email, body.password, body.app_id, peer=self._peers.of(req)
        )
        resp.set_header("Cache-Control", "no-store")
        resp.data = encode({"token": token, "error": ""})


class Register:
    """`POST /api/v1/admin/proxy-users/register`."""

    def __init__(self, gate: Gate, accounts: Accounts, body: BodyReader) -> None:
        self._gate = gate
        self._accounts = accounts
        self._body = body

    def on_post(self, req: Request, resp: falcon.Response) -> None:
        """Make a user and its application."""
        caller = self._gate(req)
        body = self._body.read(req, wire.Register)
        made = self._accounts.register(
            body.email,
            body.password,
            body.app_name,
            body.app_secret,
            by=caller.by,
            request_id=req.context.request_id,
        )
        resp.status = HTTPStatus.CREATED
        resp.data = encode(wire.registered(made.user_id, made.app_id))
