"""Bodies about users, read and written. Names, shapes and order are the API reference's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import msgspec
from msgspec import Meta

from signalbox.actors.users import NewApp
from signalbox.domain.account import ALLOWED_IPS_MAX
from signalbox.http.sms_proxy.wire import Data, Filled, Id, Succeeded, data

if TYPE_CHECKING:
    from collections.abc import Iterable

    from signalbox.actors.users import Registered as Made
    from signalbox.projections.accounts import UserRow

Email = Annotated[str, Meta(min_length=1, max_length=254)]
NewEmail = Annotated[
    str,
    Meta(min_length=1, max_length=254, extra_json_schema={"pattern": r"^[^@\s]+@\S+$"}),
]
Password = Annotated[str, Meta(extra_json_schema={"minLength": 1})]
Network = Annotated[str, Meta(min_length=1, max_length=64)]
Networks = Annotated[tuple[Network, ...], Meta(max_length=ALLOWED_IPS_MAX)]


class LogIn(msgspec.Struct):
    """`POST /api/v1/user/login`."""

    email: Email
    password: Password
    app_id: Id


class RegisterUser(msgspec.Struct):
    """`POST /api/v1/user/register`."""

    email: NewEmail
    password: Password


class UserId(msgspec.Struct):
    """`POST /api/v1/user/validate` and `POST /api/v1/user/delete`."""

    user_id: Id


class Register(msgspec.Struct):
    """`POST /api/v1/admin/proxy-users/register`; `allowed_ips` is ours, none is from anywhere."""

    email: NewEmail
    password: Password
    app_name: Filled
    app_secret: Filled
    allowed_ips: Networks = ()

    @property
    def app(self) -> NewApp:
        """The application that is asked for."""
        return NewApp(name=self.app_name, secret=self.app_secret, allowed_ips=self.allowed_ips)


class LoggedIn(msgspec.Struct):
    """A token, or why there is none."""

    token: str = ""
    error: str = ""


class UserMade(msgspec.Struct):
    """The number of a new user, or why there is none."""

    user_id: int = 0
    error: str = ""


class Validated(msgspec.Struct):
    """Whether a user is an administrator, or why nobody knows."""

    is_admin: bool = False
    error: str = ""


class Deleted(msgspec.Struct):
    """Whether a user was deleted, and if not, why."""

    result: bool = False
    error: str = ""


class ProxyUser(msgspec.Struct):
    """A user with its application; `app_secret` is a fingerprint that opens nothing."""

    id: int
    email: str
    is_admin: bool
    app_id: int
    app_name: str
    app_secret: str


class Registered(msgspec.Struct):
    """The new user's number, and its application's: that is ours, nobody could log in without."""

    user_id: int
    app_id: int


class Removed(msgspec.Struct):
    """`DELETE /api/v1/admin/proxy-users/{user_id}`, answered."""

    success: Succeeded = True


class Role(msgspec.Struct):
    """What a user is now."""

    id: int
    is_admin: bool


def proxy_users(rows: Iterable[UserRow]) -> Data[list[ProxyUser]]:
    """Return all users as operators see them."""
    return data([_proxy_user(row) for row in rows])


def registered(made: Made) -> Data[Registered]:
    """Return the new numbers."""
    return data(Registered(made.user_id, made.app_id))


def role(user_id: int, *, is_admin: bool) -> Data[Role]:
    """Return what a user is now."""
    return data(Role(user_id, is_admin))


def _proxy_user(row: UserRow) -> ProxyUser:
    return ProxyUser(
        id=row.user_id,
        email=row.email,
        is_admin=row.is_admin,
        app_id=row.app_id,
        app_name=row.app_name,
        app_secret=row.app_fingerprint,
    )
