"""Users given access, and deprived of it.

register ──▶ UserRegistered, with AppRegistered or without
toggle_admin ──▶ AdminGranted | AdminRevoked
remove ──▶ UserRemoved: whatever token the user had is worth nothing from then on
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from signalbox.domain import account
from signalbox.domain.errors import UnknownUser, UserExists
from signalbox.eventstore.journal import Write

if TYPE_CHECKING:
    from collections.abc import Callable

    from signalbox.actors.directory import Directory
    from signalbox.actors.passwords import Passwords


@dataclass(frozen=True, slots=True, kw_only=True)
class NewApp:
    """The application a new user gets; `allowed_ips` as in `RegisterApp`."""

    name: str
    secret: str
    allowed_ips: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Registered:
    """The numbers a new user and its application got; `app_id` 0 is none."""

    user_id: int
    app_id: int


class Users:
    """Everything that is done to users. Its methods raise `Unavailable`.

    `find_stream` returns the stream of the user with a number, None when there is none.
    """

    def __init__(
        self,
        directory: Directory,
        passwords: Passwords,
        find_stream: Callable[[int], str | None],
    ) -> None:
        self._directory = directory
        self._passwords = passwords
        self._find_stream = find_stream

    def register(
        self, email: str, password: str, app: NewApp | None = None, *, by: str, request_id: str
    ) -> Registered:
        """Make a user, and its application if it gets one; durable on return.

        Raises:
            InvalidField: no address, a password that is empty or too long, no networks.
            UserExists: the address is taken, whatever its case.
        """
        self._passwords.require_length(password)
        stream = self._directory.stream_of(email)
        if self._directory.newest_user(stream)[0] is not None:
            raise UserExists  # Said before the password is hashed, which is dear.
        app_id = self._directory.next_number("app_ids") if app else 0
        command = account.RegisterUser(
            user_id=self._directory.next_number("user_ids"),
            email=email,
            password_hash=self._passwords.hash(password),
            app_id=app_id,
        )
        beside = (self._app(app, app_id),) if app else ()
        tenant_id = account.app_stream_of(app_id) if app else f"user-{command.user_id}"
        self._directory.change(
            stream, command, by=by, request_id=request_id, tenant_id=tenant_id, beside=beside
        )
        return Registered(command.user_id, app_id)

    def remove(self, user_id: int, *, admins_too: bool, by: str, request_id: str) -> None:
        """End a user's access. Raises: `UnknownUser`, `UserIsAdmin`."""
        command = account.RemoveUser(user_id=user_id, admins_too=admins_too)
        self._directory.change(self._stream_of(user_id), command, by=by, request_id=request_id)

    def toggle_admin(self, user_id: int, *, by: str, request_id: str) -> bool:
        """Make a user an administrator, or no longer one; return which. Raises: `UnknownUser`."""
        command = account.ToggleAdmin(user_id=user_id)
        stream = self._stream_of(user_id)
        user = self._directory.change(stream, command, by=by, request_id=request_id)
        assert user is not None, user_id
        return user.is_admin

    def is_admin(self, user_id: int) -> bool:
        """Tell whether a user is an administrator. Raises: `UnknownUser`."""
        user, _ = self._directory.newest_user(self._stream_of(user_id))
        if user is None or user.user_id != user_id:
            raise UnknownUser(user_id)
        return user.is_admin

    def _stream_of(self, user_id: int) -> str:
        stream = self._find_stream(user_id)
        if stream is None:
            raise UnknownUser(user_id)
        return stream

    def _app(self, app: NewApp, app_id: int) -> Write:
        secrets = self._directory.secrets
        register = account.RegisterApp(
            name=app.name,
            secret_sealed=secrets.seal(app.secret),
            secret_fingerprint=secrets.digest("app secret", app.secret),
            allowed_ips=app.allowed_ips,
        )
        return Write(account.app_stream_of(app_id), 1, account.decide_app(None, register))
