"""Logging in; giving access, taking it away, and who has it."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from msgspec.structs import asdict

from signalbox.domain.errors import UnknownUser
from signalbox.http.context import encode
from signalbox.http.errors import Failure
from signalbox.http.sms_proxy import wire_accounts as wire
from signalbox.http.sms_proxy.wire import number

if TYPE_CHECKING:
    from collections.abc import Mapping

    import falcon

    from signalbox.http.body import BodyReader
    from signalbox.http.context import Request
    from signalbox.http.peer import Peers
    from signalbox.http.sms_proxy.auth import Gate
    from signalbox.http.sms_proxy.ports import Accounts, Reads, Users

NO_TOKEN: Final[Mapping[str, Any]] = asdict(wire.LoggedIn())
NOT_MADE: Final[Mapping[str, Any]] = asdict(wire.UserMade())
NOT_VALIDATED: Final[Mapping[str, Any]] = asdict(wire.Validated())
NOT_DELETED: Final[Mapping[str, Any]] = asdict(wire.Deleted())


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
            body.email,
            body.password,
            body.app_id,
            peer=self._peers.of(req),
            request_id=req.context.request_id,
        )
        resp.set_header("Cache-Control", "no-store")
        resp.data = encode(wire.LoggedIn(token))


class _OfUsers:
    """What every path below has."""

    def __init__(self, gate: Gate, users: Users, body: BodyReader) -> None:
        self._gate = gate
        self._users = users
        self._body = body


class RegisterUser(_OfUsers):
    """`POST /api/v1/user/register`."""

    def on_post(self, req: Request, resp: falcon.Response) -> None:
        """Make a user without an application."""
        req.context.failure = NOT_MADE
        caller = self._gate(req)
        body = self._body.read(req, wire.RegisterUser)
        made = self._users.register(
            body.email, body.password, by=caller.by, request_id=req.context.request_id
        )
        resp.status = HTTPStatus.CREATED
        resp.data = encode(wire.UserMade(made.user_id))


class Validate(_OfUsers):
    """`POST /api/v1/user/validate`."""

    def on_post(self, req: Request, resp: falcon.Response) -> None:
        """Answer whether a user is an administrator."""
        req.context.failure = NOT_VALIDATED
        self._gate(req)
        body = self._body.read(req, wire.UserId)
        try:
            is_admin = self._users.is_admin(body.user_id)
        except UnknownUser as unknown:
            # The reference gives this path no 404.
            raise Failure(HTTPStatus.BAD_REQUEST, str(unknown)) from None
        resp.data = encode(wire.Validated(is_admin))


class Delete(_OfUsers):
    """`POST /api/v1/user/delete`."""

    def on_post(self, req: Request, resp: falcon.Response) -> None:
        """Remove a user who is no administrator."""
        req.context.failure = NOT_DELETED
        caller = self._gate(req)
        body = self._body.read(req, wire.UserId)
        self._users.remove(
            body.user_id, admins_too=False, by=caller.by, request_id=req.context.request_id
        )
        resp.data = encode(wire.Deleted(result=True))


class Register(_OfUsers):
    """`POST /api/v1/admin/proxy-users/register`."""

    def on_post(self, req: Request, resp: falcon.Response) -> None:
        """Make a user and its application."""
        caller = self._gate(req)
        body = self._body.read(req, wire.Register)
        made = self._users.register(
            body.email,
            body.password,
            body.app,
            by=caller.by,
            request_id=req.context.request_id,
        )
        resp.status = HTTPStatus.CREATED
        resp.data = encode(wire.registered(made))


class ProxyUsers:
    """`GET /api/v1/admin/proxy-users`."""

    def __init__(self, gate: Gate, reads: Reads) -> None:
        self._gate = gate
        self._reads = reads

    def on_get(self, req: Request, resp: falcon.Response) -> None:
        """Answer with all users."""
        self._gate(req)
        resp.set_header("Cache-Control", "no-store")
        resp.data = encode(wire.proxy_users(self._reads.users()))


class RemoveProxyUser:
    """`DELETE /api/v1/admin/proxy-users/{user_id}`."""

    def __init__(self, gate: Gate, users: Users) -> None:
        self._gate = gate
        self._users = users

    def on_delete(self, req: Request, resp: falcon.Response, user_id: str) -> None:
        """Remove a user, an administrator, too."""
        caller = self._gate(req)
        try:
            self._users.remove(
                _number(user_id), admins_too=True, by=caller.by, request_id=req.context.request_id
            )
        except UnknownUser as unknown:
            # The reference gives this path no 404.
            raise Failure(HTTPStatus.BAD_REQUEST, str(unknown)) from None
        resp.data = encode(wire.Removed())


class ToggleAdmin:
    """`PUT /api/v1/admin/proxy-users/{user_id}/toggle-admin`."""

    def __init__(self, gate: Gate, users: Users) -> None:
        self._gate = gate
        self._users = users

    def on_put(self, req: Request, resp: falcon.Response, user_id: str) -> None:
        """Make a user an administrator, or no longer one."""
        caller = self._gate(req)
        asked = _number(user_id)
        try:
            is_admin = self._users.toggle_admin(
                asked, by=caller.by, request_id=req.context.request_id
            )
        except UnknownUser as unknown:
            # The reference gives this path no 404.
            raise Failure(HTTPStatus.INTERNAL_SERVER_ERROR, str(unknown)) from None
        resp.data = encode(wire.role(asked, is_admin=is_admin))


def _number(text: str) -> int:
    user_id = number(text)
    if not user_id:
        raise Failure(HTTPStatus.BAD_REQUEST, "invalid id")
    return user_id
