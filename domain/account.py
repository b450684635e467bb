"""Users who log in, and the applications they send for.

`RegisterUser` ──▶ `UserRegistered`, `RegisterApp` ──▶ `AppRegistered`. A user's stream is named
after a digest of the e-mail address, so that two registrations of one address meet in version 1.
"""

from dataclasses import dataclass
from typing import assert_never

from signalbox.domain.errors import InvalidField, UserExists
from signalbox.domain.personal import Personal


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisterUser:
    """Somebody gets access.

    `password_hash` is an argon2 string; `app_id` 0 means no application of one's own.
    """

    user_id: int
    email: str
    password_hash: str
    app_id: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisterApp:
    """An application gets a number, a name and a secret (sealed with the gateway's key)."""

    name: str
    secret_sealed: str
    secret_fingerprint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class UserRegistered:
    """Somebody was given access."""

    user_id: int
    email: Personal
    password_hash: str
    app_id: int
    is_admin: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class AppRegistered:
    """An application may send from now on."""

    name: str
    secret_sealed: str
    secret_fingerprint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """A user as decisions see it."""

    user_id: int
    password_hash: str
    app_id: int
    is_admin: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class App:
    """An application as decisions see it."""

    name: str
    secret_sealed: str
    secret_fingerprint: str


def user_stream_of(email_digest: str) -> str:
    """Name a user's stream by the digest of the normalised address."""
    return f"user-{email_digest}"


def app_stream_of(app_id: int) -> str:
    """Name an application's stream."""
    return f"app-{app_id}"


def decide_user(user: User | None, command: RegisterUser) -> tuple[UserRegistered]:
    """Decide on a registration. Raises: `UserExists`, `InvalidField`."""
    if user is not None:
        raise UserExists
    name, at, host = command.email.partition("@")
    if not (name and at and host) or any(c.isspace() for c in command.email):
        raise InvalidField("email", "not an address")
    registered = UserRegistered(
        user_id=command.user_id,
        email=command.email,
        password_hash=command.password_hash,
        app_id=command.app_id,
    )
    return (registered,)


def decide_app(app: App | None, command: RegisterApp) -> tuple[AppRegistered]:
    """Decide on a new application."""
    assert app is None, app
    registered = AppRegistered(
        name=command.name,
        secret_sealed=command.secret_sealed,
        secret_fingerprint=command.secret_fingerprint,
    )
    return (registered,)


def evolve_user(_user: User | None, event: UserRegistered) -> User:
    """Apply one event."""
    match event:
        case UserRegistered():
            return User(
                user_id=event.user_id,
                password_hash=event.password_hash,
                app_id=event.app_id,
                is_admin=event.is_admin,
            )
        case _:
            assert_never(event)


def evolve_app(_app: App | None, event: AppRegistered) -> App:
    """Apply one event."""
    return App(
        name=event.name,
        secret_sealed=event.secret_sealed,
        secret_fingerprint=event.secret_fingerprint,
    )
